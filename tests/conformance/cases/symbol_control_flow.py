"""``mx.sym.contrib.foreach``, ``while_loop`` and ``cond``: graphs, inference, values, gradients."""

import json
import os
import re

from harness import HERE, attempt, case, data


def scopes_renamed(text):
    """Names of scopes count the bodies that the process has made before."""
    found = {}

    def rename(match):
        return found.setdefault(match[0], f"scope{len(found)}")

    return re.sub(r"(?<=\"__subgraph_name__\": \")[^\"]+", rename, text)


def lines(graph, indent=""):
    names = [node["name"] for node in graph["nodes"]]
    for node in graph["nodes"]:
        inputs = ", ".join(f"{names[i]}[{k}]" for i, k, _ in node["inputs"])
        # MXNet forgets the scope of a variable that it copies into a loop in a loop.
        attributes = {
            key: value
            for key, value in node.get("attrs", {}).items()
            if key != "__subgraph_name__" or node["op"] != "null"
        }
        yield f"{indent}{node['op']} {node['name']}({inputs}) {json.dumps(attributes)}"
        for body in node.get("subgraphs", ()):
            yield from lines(body, indent + "    ")
    heads = " ".join(f"{names[i]}[{k}]" for i, k, *_ in graph["heads"])
    yield f"{indent}heads {heads}"


def flat(nested):
    if not isinstance(nested, (list, tuple)):
        return [nested]
    return [symbol for inner in nested for symbol in flat(inner)]


def form(nested):
    return [form(n) for n in nested] if isinstance(nested, (list, tuple)) else "symbol"


def describe(mx, make):
    with mx.name.NameManager():
        made = make(mx)
    whole = mx.sym.Group(flat(made))
    return {
        "form": form(made),
        "graph": list(lines(json.loads(scopes_renamed(whole.tojson())))),
        "arguments": whole.list_arguments(),
        "states": whole.list_auxiliary_states(),
        "outputs": whole.list_outputs(),
    }


def run(mx, symbol, dtype="float64", **values):
    arrays = {name: mx.nd.array(value, dtype=dtype) for name, value in values.items()}
    grads = {name: mx.nd.zeros_like(array) for name, array in arrays.items()}
    executor = symbol.bind(mx.cpu(), arrays, grads)
    outputs = executor.forward(is_train=True)
    executor.backward([mx.nd.array(data(o.shape, seed=3), dtype=dtype) for o in outputs])
    return {"outputs": outputs, "gradients": grads}


def var(mx, names):
    found = [mx.sym.var(name) for name in names.split()]
    return found[0] if len(found) == 1 else found


def scan(mx, body, rows="d", states="s"):
    return mx.sym.contrib.foreach(body, var(mx, rows), var(mx, states) if states else [])


def outer(mx):
    y = mx.sym.var("q") * 2
    return scan(mx, lambda x, s: (x * y, s + y))


def dense(mx):
    def body(x, states):
        joined = mx.sym.concat(x, states[0], dim=1)
        h = mx.sym.FullyConnected(joined, num_hidden=3, name="fc")
        h = mx.sym.Activation(h, act_type="tanh")
        return h, [h]

    return mx.sym.contrib.foreach(body, mx.sym.var("d"), [mx.sym.var("s")])


def nested(mx):
    def row(x, state):
        inner, last = mx.sym.contrib.foreach(
            lambda a, b: (a * mx.sym.var("k"), b + a), x, mx.sym.sum(state)
        )
        return inner, state + last

    return scan(mx, row)


def parts(mx):
    split = mx.sym.split(mx.sym.var("z"), num_outputs=2, name="sp", axis=1)

    def body(x, s):
        pieces = mx.sym.split(x + s, num_outputs=2, name="in", axis=0)
        return mx.sym.concat(pieces[0], pieces[1], dim=0), s * pieces[1].sum()

    return mx.sym.contrib.foreach(body, split[1], mx.sym.sum(split[0], axis=0))


FOREACH = {
    "one of each": lambda mx: scan(mx, lambda x, s: (x * mx.sym.var("w") + s, s + x)),
    "lists": lambda mx: scan(
        mx,
        lambda x, s: ([x[0] * 2, [x[1] + mx.sym.var("w")]], [s[0] + x[0], s[1]]),
        "d e",
        "s t",
    ),
    "no states": lambda mx: scan(mx, lambda x, s: (x * 2, s), states=""),
    "no outputs": lambda mx: scan(mx, lambda x, s: ([], s + x)),
    "output is state": lambda mx: scan(mx, lambda x, s: (s + x, s + x)),
    "one result for both": lambda mx: scan(mx, lambda x, s: (lambda h: (h, h))(s * x)),
    "last row": lambda mx: scan(mx, lambda x, s: (x + s, x)),
    "from outside": outer,
    "dense": dense,
    "nested": nested,
    "parts": parts,
}
LOOPS = {
    "count": lambda mx: mx.sym.contrib.while_loop(
        lambda i, s: i <= 3, lambda i, s: (i * s, [i + 1, s * 2]), var(mx, "i s"), 5
    ),
    "weights": lambda mx: mx.sym.contrib.while_loop(
        lambda i, s: i <= mx.sym.var("limit"),
        lambda i, s: ([i * mx.sym.var("w"), [s]], [i + 1, s * i]),
        var(mx, "i s"),
        max_iterations=4,
        name="loop",
    ),
    "no outputs": lambda mx: mx.sym.contrib.while_loop(
        lambda i: i < 5, lambda i: (None, i + 1), mx.sym.var("i"), max_iterations=9
    ),
}
BRANCHES = {
    "one": lambda mx: mx.sym.contrib.cond(
        mx.sym.var("a") * mx.sym.var("b") < 5,
        lambda: (mx.sym.var("a") + 5) * (mx.sym.var("b") + 5),
        lambda: (mx.sym.var("a") - 5) * (mx.sym.var("b") - 5),
    ),
    "two": lambda mx: mx.sym.contrib.cond(
        mx.sym.var("p"),
        lambda: var(mx, "a c"),
        lambda: [mx.sym.var("b"), mx.sym.var("c") * 2],
        name="branch",
    ),
    "shared": lambda mx: [
        mx.sym.contrib.cond(
            mx.sym.var("p"), lambda: mx.sym.var("a") * 2, lambda: mx.sym.var("b") * mx.sym.var("a")
        )
    ],
}

for kind, makes in (("foreach", FOREACH), ("while_loop", LOOPS), ("cond", BRANCHES)):
    for name, make in makes.items():

        @case(name=f"graph {kind} {name}")
        def graph(mx, make=make):
            return describe(mx, make)


def filled(symbol, **shapes):
    names = symbol.list_arguments()
    found = symbol.infer_shape(**shapes)[0]
    return {n: data(s, -0.75, 0.75, seed=k) for k, (n, s) in enumerate(zip(names, found))}


SHAPES = {
    "one of each": {"d": (3, 2), "s": (2,)},
    "lists": {"d": (3, 2), "e": (3, 4), "s": (2,), "t": (5,)},
    "no states": {"d": (2, 2, 2)},
    "no outputs": {"d": (3, 2), "s": (2,)},
    "output is state": {"d": (3, 2), "s": (2,)},
    "one result for both": {"d": (4, 2), "s": (2,)},
    "last row": {"d": (1, 3), "s": (3,)},
    "from outside": {"d": (3, 2), "s": (2,), "q": (2,)},
    "dense": {"d": (3, 2, 4), "s": (2, 3)},
    "nested": {"d": (2, 3), "s": (1,), "k": (1,)},
    "parts": {"z": (3, 8)},
}
for name, shapes in SHAPES.items():
    if name in ("nested", "parts", "from outside"):
        continue  # MXNet fails to infer these, or to bind them

    @case(name=f"infer foreach {name}")
    def infer(mx, make=FOREACH[name], shapes=shapes):
        whole = mx.sym.Group(flat(make(mx)))
        return [whole.infer_shape(**shapes), [str(t) for t in whole.infer_type(d="float64")]]

    @case(name=f"values foreach {name}")
    def values(mx, make=FOREACH[name], shapes=shapes):
        whole = mx.sym.Group(flat(make(mx)))
        return run(mx, whole, **filled(whole, **shapes))


for start, limit in ((1, 3), (-3, 9), (2, 2)):

    @case(name=f"values while_loop {start} {limit}")
    def loop_values(mx, start=start, limit=limit):
        """Rows after the last step are not compared: MXNet leaves in them what was there."""
        whole = mx.sym.Group(
            flat(
                mx.sym.contrib.while_loop(
                    lambda i, s: i <= limit,
                    lambda i, s: (i * mx.sym.var("w"), [i + 1, s * i]),
                    var(mx, "i s"),
                    max_iterations=5,
                )
            )
        )
        steps = min(5, limit - start + 1)
        inputs = {"i": [start], "s": [1.5], "w": [2.0]}
        arrays = {n: mx.nd.array(v, dtype="float64") for n, v in inputs.items()}
        grads = {n: mx.nd.zeros_like(a) for n, a in arrays.items()}
        executor = whole.bind(mx.cpu(), arrays, grads)
        outputs = executor.forward(is_train=True)
        heads = [data(o.shape, seed=3) for o in outputs]
        heads[0][steps:] = 0
        executor.backward([mx.nd.array(h, dtype="float64") for h in heads])
        return [outputs[0][:steps], outputs[1:], grads]


for p in (0, 1, -2):

    @case(name=f"values cond {p}")
    def branch_values(mx, p=p):
        whole = mx.sym.Group(BRANCHES["shared"](mx))
        return run(mx, whole, "float32", p=[p], a=[1.0, 2.0], b=[3.0, 4.0])


# ---- files that mxtape wrote, read by both

INPUTS = {
    "foreach one of each": {"d": (3, 2), "s": (2,), "w": (2,)},
    "foreach lists": {"d": (3, 2), "e": (3, 4), "s": (2,), "t": (5,), "w": (4,)},
    "foreach dense": {"d": (3, 2, 4), "s": (2, 3), "fc_weight": (3, 7), "fc_bias": (3,)},
    "foreach one result for both": {"d": (4, 2), "s": (2,)},
    "foreach parts": {"z": (3, 8)},
    "while_loop no outputs": {"i": (1,)},
    "cond shared": {"p": (1,), "a": (2,), "b": (2,)},
}


def files():
    with open(os.path.join(HERE, "symbols", "control_flow.jsonl"), encoding="utf-8") as f:
        return {item["name"]: item["json"] for item in map(json.loads, f)}


for name, text in files().items():

    @case(name=f"file {name}")
    def file(mx, name=name, text=text):
        symbol = mx.sym.load_json(text)
        if name not in INPUTS:
            return symbol.tojson() == text, symbol.list_arguments()
        values = {n: data(s, 0.25, 1, seed=k) for k, (n, s) in enumerate(INPUTS[name].items())}
        arrays = {n: mx.nd.array(value) for n, value in values.items()}
        return symbol.tojson() == text, symbol.bind(mx.cpu(), arrays).forward()


@case
def states_in_a_body(mx):
    """Batch normalization in a loop: moving statistics are arguments of the whole."""

    def body(x, s):
        return mx.sym.BatchNorm(x, name="bn", momentum=0.5, fix_gamma=False), s + 1

    with mx.name.NameManager():
        outputs, last = mx.sym.contrib.foreach(body, mx.sym.var("d"), mx.sym.var("s"))
    whole = mx.sym.Group([outputs, last])
    return whole.list_arguments(), whole.list_auxiliary_states()


@case
def errors(mx):
    contrib = mx.sym.contrib
    d, s, i = var(mx, "d s i")
    return [
        attempt(contrib.foreach, 3, d, []),
        attempt(contrib.foreach, lambda x, s: (x, s), mx.nd.ones((2,)), []),
        attempt(contrib.foreach, lambda x, s: (x, []), d, [s]),
        attempt(contrib.foreach, lambda x, s: (x, [s, s]), d, s),
        attempt(contrib.foreach, lambda x, s: (mx.nd.ones((2,)), s), d, s),
        attempt(contrib.foreach, lambda x, s: (s, s), d, s),
        attempt(contrib.foreach, lambda x, s: (x, x), d, s),
        attempt(contrib.while_loop, lambda i: i, lambda i: (i, [i, i]), i, max_iterations=3),
        attempt(contrib.while_loop, lambda i: [i, i], lambda i: (i, i), i, max_iterations=3),
        attempt(contrib.while_loop, lambda i: i, lambda i: (i, i), [], max_iterations=3),
        attempt(contrib.while_loop, lambda i: i, lambda i: (i, i), i, max_iterations="a"),
        attempt(contrib.while_loop, lambda i: i, lambda i: (i, i), i),
        attempt(contrib.while_loop, lambda i: i, lambda i: (i, d), [i], max_iterations=3),
        attempt(contrib.cond, [s, s], lambda: d, lambda: d),
        attempt(contrib.cond, lambda: s, lambda: d, lambda: d),
        attempt(contrib.cond, s, d, d),
        attempt(contrib.cond, s, list, list),
        attempt(contrib.cond, s, lambda: d, lambda: [d, s]),
        attempt(contrib.cond, s, lambda: 3, lambda: 4),
    ]

"""autograd.get_symbol: names, arguments, outputs and the JSON of a recorded computation."""

import ast
import json
import re

from harness import attempt, case


def meaning(text):
    """An attribute without its spelling: MXNet takes ``(1,)``, ``[1]``, ``1`` and ``1.0`` alike."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    items = list(value) if isinstance(value, (tuple, list)) else [value]
    if any(isinstance(item, bool) for item in items):
        return text
    return str([None if item is None else float(item) for item in items])


def graph(symbol):
    """The JSON without spelling, and without the counters inside generated names.

    The counters depend on what ran before.
    """
    tree = json.loads(symbol.tojson())
    renamed = {}

    def name_of(text):
        match = re.fullmatch(r"(.*?)(\d+)", text)
        if not match:
            return text
        return renamed.setdefault(text, f"{match.group(1)}#{len(renamed)}")

    for node in tree["nodes"]:
        node["name"] = name_of(node["name"])
        if "attrs" in node:
            node["attrs"] = {key: meaning(text) for key, text in node["attrs"].items()}
    return json.dumps(
        {k: tree[k] for k in ("nodes", "arg_nodes", "heads") if k in tree}, sort_keys=True
    )


PROGRAMS = {
    "product": lambda nd, x, w: x * w,
    "scalar": lambda nd, x, w: x * 2 + 1.5,
    "reverse scalar": lambda nd, x, w: 2 - x,
    "divide": lambda nd, x, w: 1 / x,
    "power": lambda nd, x, w: x**2,
    "negative": lambda nd, x, w: -x,
    "comparison": lambda nd, x, w: x > w,
    "exp": lambda nd, x, w: nd.exp(x),
    "sum": lambda nd, x, w: nd.sum(x, axis=1, keepdims=True),
    "sum method": lambda nd, x, w: x.sum(axis=(0, 1)),
    "dot": lambda nd, x, w: nd.dot(x, w, transpose_b=True),
    "dense": lambda nd, x, w: nd.FullyConnected(x, w, num_hidden=2, no_bias=True),
    "activation": lambda nd, x, w: nd.Activation(x, act_type="relu"),
    "softmax": lambda nd, x, w: nd.softmax(x, axis=-1),
    "reshape": lambda nd, x, w: x.reshape((3, 2)) * 2,
    "reshape operator": lambda nd, x, w: nd.reshape(x, shape=(3, 2)),
    "slice": lambda nd, x, w: x[0:1] * 2,
    "index": lambda nd, x, w: x[1] * 2,
    "column": lambda nd, x, w: x[:, 1] * 2,
    "advanced": lambda nd, x, w: x[[0, 1]] * 2,
    "split": lambda nd, x, w: nd.split(x, num_outputs=3, axis=1)[1],
    "concat": lambda nd, x, w: nd.concat(x, w, dim=0),
    "cast": lambda nd, x, w: x.astype("float64"),
    "transpose": lambda nd, x, w: x.T,
    "clip": lambda nd, x, w: nd.clip(x, 0, 1),
    "dropout": lambda nd, x, w: nd.Dropout(x, p=0.25),
    "take": lambda nd, x, w: nd.take(x, nd.array([0, 1])),
    "named": lambda nd, x, w: nd.exp(x, name="mine"),
    "where": lambda nd, x, w: nd.where(x, x, w),
    "diamond": lambda nd, x, w: (x + w) * (x + w),
    "constant": lambda nd, x, w: x + nd.ones((2, 3)),
    "softmax output": lambda nd, x, w: nd.SoftmaxOutput(x, nd.array([0, 1])),
    "maximum": lambda nd, x, w: nd.maximum(x, w),
    "maximum scalar": lambda nd, x, w: nd.maximum(x, 0),
    "mean": lambda nd, x, w: x.mean(),
    "expand": lambda nd, x, w: x.expand_dims(0),
    "broadcast": lambda nd, x, w: x[:1].broadcast_to((2, 3)),
}
for label, program in PROGRAMS.items():

    @case(name=f"graph of {label}")
    def recorded_graph(mx, program=program):
        x, w = mx.nd.ones((2, 3)), mx.nd.ones((2, 3))
        x.attach_grad()
        w.attach_grad()
        with mx.autograd.record():
            y = program(mx.nd, x, w)
        s = mx.autograd.get_symbol(y)
        return [graph(s), len(s.list_arguments()), len(s.list_outputs()), s.list_auxiliary_states()]


@case
def names(mx):
    x = mx.nd.ones((2,))
    x.attach_grad()
    with mx.autograd.record():
        y = mx.nd.exp(x * 2)
    s = mx.autograd.get_symbol(y)
    inner = s.get_internals()
    strip = re.compile(r"\d+")
    return {
        "arguments": [strip.sub("#", n) for n in s.list_arguments()],
        "outputs": [strip.sub("#", n) for n in s.list_outputs()],
        "name": strip.sub("#", s.name),
        "internals": [strip.sub("#", n) for n in inner.list_outputs()],
        "type": type(s).__name__,
        "number": len(list(s)),
        "attrs": json.loads(s.tojson())["attrs"],
        "keys": sorted(json.loads(s.tojson())),
    }


@case
def get_symbol_of_what_was_not_recorded(mx):
    x = mx.nd.ones((2,))
    first = attempt(mx.autograd.get_symbol, x)
    x.attach_grad()
    return [
        first,
        attempt(lambda: len(mx.autograd.get_symbol(x).list_arguments())),
        attempt(mx.autograd.get_symbol, 3),
    ]


@case
def get_symbol_after_backward(mx):
    x = mx.nd.ones((2,))
    x.attach_grad()
    with mx.autograd.record():
        y = mx.nd.exp(x)
    y.backward()
    return attempt(lambda: len(mx.autograd.get_symbol(y).list_arguments()))

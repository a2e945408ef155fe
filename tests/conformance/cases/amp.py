"""mx.contrib.amp: lists of operators, converted symbols and models, the loss scale."""

import json
import os
import tempfile

from harness import attempt, case


def amp_of(mx):
    from importlib import import_module

    return import_module(f"{mx.__name__}.contrib.amp")


def nodes(sym):
    """The graph's nodes, with the casts among them, and its heads."""
    with tempfile.TemporaryDirectory() as folder:
        name = os.path.join(folder, "symbol.json")
        sym.save(name, remove_amp_cast=False)
        with open(name) as f:
            graph = json.load(f)
    rows = [
        [
            node["op"],
            node["name"] if node["op"] == "null" else "",
            [entry[:2] for entry in node["inputs"]],
            node.get("attrs", {}).get("dtype", ""),
            node.get("attrs", {}).get("__dtype__", ""),
        ]
        for node in graph["nodes"]
    ]
    return [str(row) for row in rows] + [str([head[:2] for head in graph["heads"]])]


def network(mx):
    s = mx.sym
    x = s.Convolution(s.Variable("data"), num_filter=2, kernel=(3, 3), name="conv")
    x = s.Activation(s.BatchNorm(x, name="bn"), act_type="relu", name="relu")
    x = s.FullyConnected(x, num_hidden=3, name="fc")
    x = x + s.FullyConnected(s.Variable("more"), num_hidden=3, name="fc2")
    return s.SoftmaxOutput(s.exp(x, name="exp") * 2 + x, name="softmax")


def dense(mx):
    return mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=3, name="fc")


SYMBOLS = {
    "network": network,
    "dense": dense,
    "softrelu": lambda mx: mx.sym.Activation(dense(mx), act_type="softrelu", name="a"),
    "elu and prelu": lambda mx: mx.sym.LeakyReLU(
        mx.sym.LeakyReLU(dense(mx), act_type="elu", name="e"), act_type="leaky", name="l"
    ),
    "split": lambda mx: mx.sym.FullyConnected(
        mx.sym.split(dense(mx), num_outputs=3, name="s")[1], num_hidden=2, name="f"
    ),
    "rnn": lambda mx: mx.sym.RNN(
        *(mx.sym.Variable(name) for name in "xpsc"), state_size=3, num_layers=1, mode="lstm"
    ),
    "branches": lambda mx: mx.sym.Group([dense(mx), mx.sym.relu(dense(mx), name="r")]),
}
OPTIONS = {
    "": {},
    "with parameters": {"data_names": ["data", "more"], "cast_optional_params": True},
    "without fc": {"excluded_sym_names": ["fc"]},
    "in bfloat16": {"target_dtype": "bfloat16"},
    "without relu": {"conditional_fp32_ops": [("Activation", "act_type", ["relu"])]},
}

for name, make in SYMBOLS.items():
    for label, options in OPTIONS.items():
        if name != "network" and (options and label != "in bfloat16"):
            continue
        if name in ("rnn", "split") and options:
            continue  # casts that differ in nothing but their order

        @case(name=f"{name} {label}".strip())
        def converted(mx, make=make, options=options):
            return nodes(amp_of(mx).convert_symbol(make(mx), **options))


for cast in (False, True):

    @case(name=f"a model, cast_optional_params {cast}")
    def model(mx, cast=cast):
        sym = network(mx)
        shapes, _, states = sym.infer_shape(data=(1, 3, 5, 5), more=(1, 4))
        inputs = ("data", "more", "softmax_label")
        args = {
            name: mx.nd.ones(shape)
            for name, shape in zip(sym.list_arguments(), shapes)
            if name not in inputs
        }
        aux = {name: mx.nd.ones(shape) for name, shape in zip(sym.list_auxiliary_states(), states)}
        made, args, aux = amp_of(mx).convert_model(sym, args, aux, cast_optional_params=cast)
        dtypes = {name: value.dtype.__name__ for name, value in {**args, **aux}.items()}
        return [nodes(made), dtypes]


@case
def names_of_lists(mx):
    amp = amp_of(mx)
    found = {}
    for module in (amp.lists.symbol_fp16, amp.lists.symbol_bf16):
        for name in sorted(n for n in dir(module) if n.isupper() and n[0] != "_"):
            value = getattr(module, name)
            items = sorted(str(item) for item in value)
            found[f"{module.__name__.rpartition('.')[2]} {name}"] = items
    return found


@case
def functions_that_list(mx):
    amp = amp_of(mx)
    kinds = (
        "lp16_ops fp32_ops lp16_fp32_ops conditional_fp32_ops widest_type_cast "
        "loss_output_functions".split()
    )
    found = [sorted(map(str, getattr(amp, f"list_{kind}")("float16"))) for kind in kinds]
    return [found, amp.list_lp16_use_fp32_params("float16"), attempt(amp.list_lp16_ops, "float64")]


class Gradient:
    """A stand-in for a parameter with one gradient."""

    grad_req = "write"

    def __init__(self, mx, value):
        self._grad = [mx.nd.array([1.0, value])]

    def list_grad(self):
        return self._grad


@case
def loss_scale(mx):
    scaler = amp_of(mx).loss_scaler.LossScaler()
    first = [scaler._max_loss_scale, scaler._scale_seq_len]
    scaler._scale_seq_len = 3
    values = {"1": 1.0, "i": float("inf"), "n": float("nan")}
    found = []
    for letter in "11111111i1ni1111":
        before = scaler.loss_scale
        overflow = scaler.has_overflow([Gradient(mx, 1.0), Gradient(mx, values[letter])])
        found.append([before, overflow, scaler.loss_scale, scaler._unskipped])
    scaler._loss_scale = scaler._next_loss_scale = 2.0**23
    scaler._scale_seq_len = 1
    for _ in range(3):
        scaler.has_overflow([Gradient(mx, 1.0)])
        found.append([scaler.loss_scale])
    return [first, found]


@case
def bad_arguments(mx):
    amp, sym = amp_of(mx), dense(mx)
    convert = amp.convert_symbol
    return [
        attempt(convert, sym, "float64"),
        attempt(convert, "sym"),
        attempt(convert, sym, target_dtype_ops=["nothing"]),
        attempt(convert, sym, target_dtype_ops="exp"),
        attempt(convert, sym, target_dtype_ops=["exp"]),
        attempt(convert, sym, target_dtype_ops=["exp"], fp32_ops=["exp"]),
        attempt(convert, sym, conditional_fp32_ops=["Activation"]),
        attempt(convert, sym, conditional_fp32_ops=[("FullyConnected", "num_hidden", ["3"])]),
        attempt(amp.convert_model, 1, {}, {}),
        attempt(amp.convert_model, sym, {}, 1),
        attempt(amp.init_trainer, None),
        attempt(amp.unscale, None),
        attempt(amp.unscale, mx.optimizer.SGD()),
    ]

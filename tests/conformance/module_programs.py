"""What the programs of Module have in common: networks, parameters, batches, what is logged."""

import logging
import re
import tempfile

import numpy as np
from harness import data

X = data((20, 5), seed=1)
Y = (np.arange(20) % 3).astype("float32")


def network(mx, **options):
    """A classifier of two layers."""
    n = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=6, name="fc1")
    n = mx.sym.Activation(n, act_type="tanh", name="tanh")
    n = mx.sym.FullyConnected(n, num_hidden=3, name="fc2")
    return mx.sym.SoftmaxOutput(n, mx.sym.Variable("softmax_label"), name="softmax", **options)


def normalized(mx):
    """The same with batch normalization."""
    n = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=6, name="fc1")
    n = mx.sym.BatchNorm(n, name="bn", fix_gamma=False, momentum=0.8)
    n = mx.sym.FullyConnected(mx.sym.Activation(n, act_type="relu"), num_hidden=3, name="fc2")
    return mx.sym.SoftmaxOutput(n, mx.sym.Variable("softmax_label"), name="softmax")


def parameters(mx, symbol, **shapes):
    """Values for all parameters and auxiliary states, by their names."""
    args, _, states = symbol.infer_shape(**shapes)
    named = dict(zip(symbol.list_arguments(), args))
    arg = {
        name: mx.nd.array(data(shape, -0.5, 0.5, seed=len(name)))
        for name, shape in named.items()
        if name not in shapes and not name.endswith("label")
    }
    aux = {
        name: mx.nd.ones(shape) if name.endswith("var") else mx.nd.zeros(shape)
        for name, shape in zip(symbol.list_auxiliary_states(), states)
    }
    return arg, aux


def bound(mx, symbol=None, batch=4, width=5, bind=None, **options):
    """A module with parameters, bound to batches."""
    symbol = network(mx) if symbol is None else symbol
    module = mx.mod.Module(symbol, **options)
    labels = [("softmax_label", (batch,))] if module.label_names else None
    module.bind([("data", (batch, width))], labels, **(bind or {}))
    module.init_params(mx.init.Zero(), *parameters(mx, symbol, data=(batch, width)), True)
    return module


def batch_of(mx, count=4, first=0, labels=True, **options):
    part = slice(first, first + count)
    label = [mx.nd.array(Y[part])] if labels else None
    return mx.io.DataBatch([mx.nd.array(X[part])], label, **options)


def numbers(pairs):
    """What a metric gives, as plain numbers."""
    return [(name, float(value)) for name, value in pairs]


def params(mx, module):
    mx.nd.waitall()  # MXNet may read running statistics before they are written
    arg, aux = module.get_params()
    return {"arg": dict(sorted(arg.items())), "aux": dict(sorted(aux.items()))}


class Lines(logging.Handler):
    """The lines that are logged, without what depends on time."""

    def __init__(self):
        super().__init__(logging.INFO)
        self.lines = []

    def emit(self, record):
        line = re.sub(r"(Speed: |Time cost=)[\d.inf]+", r"\1", record.getMessage())
        self.lines.append(line.replace(tempfile.gettempdir(), "TMP"))

    def __enter__(self):
        self.logger = logging.getLogger()
        self.level = self.logger.level
        self.logger.addHandler(self)
        self.logger.setLevel(logging.INFO)
        return self.lines

    def __exit__(self, *_):
        self.logger.removeHandler(self)
        self.logger.setLevel(self.level)


def trained(mx, symbol, epochs=2, count=20, begin=0, context=None, **options):
    """What a training gives: lines, parameters, and the predictions after it."""
    extra = {} if context is None else {"context": context}
    if "work_load_list" in options:
        extra["work_load_list"] = options.pop("work_load_list")
    if "fixed_param_names" in options:
        extra["fixed_param_names"] = options.pop("fixed_param_names")
    module = mx.mod.Module(symbol, **extra)
    start = parameters(mx, symbol, data=(4, 5))
    train = mx.io.NDArrayIter(X[:count], Y[:count], 4)
    test = mx.io.NDArrayIter(X[:10], Y[:10], 4)
    with Lines() as lines:
        module.fit(
            train,
            test,
            eval_metric=["acc", "ce"],
            arg_params=start[0],
            aux_params=start[1],
            begin_epoch=begin,
            num_epoch=begin + epochs,
            **options,
        )
    steps = module._optimizer.num_update
    return lines, params(mx, module), module.predict(test), numbers(module.score(test, "ce")), steps


SGD = {"learning_rate": 0.5}
MOMENTUM = {"learning_rate": 0.2, "momentum": 0.9, "wd": 0.01}

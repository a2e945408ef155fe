"""Blocks of Gluon: names, attributes, calls with nested and absent arguments, files."""

import json
import os
import re
import tempfile
import warnings

from harness import attempt, case, data


def _ones(mx, *shape, **kwargs):
    return mx.nd.ones(shape or (1,), **kwargs)


def _net(mx, **kwargs):
    """A network with children of many kinds."""
    nn = mx.gluon.nn

    class Net(mx.gluon.HybridBlock):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            with self.name_scope():
                self.a = nn.Dense(2)
                self.b = nn.HybridSequential()
                with self.b.name_scope():
                    self.b.add(nn.Dense(2), nn.Dense(3, prefix="x_"))
                self.c = nn.HybridSequential(prefix="")
                with self.c.name_scope():
                    self.c.add(nn.Dense(2))
                self.d = nn.Dense(2, params=self.a.params)
                self.e = nn.Dense(2, prefix="q_", params=self.a.params)
                self.f = nn.Dense(4, activation="relu", prefix="")
            self.g = nn.Dense(1)

        def hybrid_forward(self, F, x):
            return self.g(self.f(self.c(self.b(self.d(x)))))

    return Net(**kwargs)


def _mlp(mx, prefix=None):
    nn = mx.gluon.nn
    net = nn.HybridSequential(prefix=prefix)
    with net.name_scope():
        net.add(nn.Dense(3, activation="relu"), nn.Dense(2))
    return net


def _block(mx, function, base="HybridBlock", **parameters):
    class Net(getattr(mx.gluon, base)):
        def __init__(self):
            super().__init__()
            for name, shape in parameters.items():
                setattr(self, name, self.params.get(name, shape=shape))

        def hybrid_forward(self, F, *args, **params):
            return function(F, *args, **params)

        def forward(self, *args):
            return super().forward(*args) if base == "HybridBlock" else function(*args)

    return Net()


# ---- names


@case
def names_of_a_network(mx):
    found = []
    shared = _net(mx, prefix="s_").collect_params()
    for kwargs in ({}, {"prefix": "p_"}, {"prefix": ""}, {"params": shared}):
        net = _net(mx, **kwargs)
        found.append([list(net.collect_params()), net.prefix, net.name, net.params.prefix])
        found.append([block.prefix for block in net._children.values()])
    return found


@case
def names_by_managers(mx):
    found = []
    with mx.name.NameManager():
        found += [_net(mx).prefix, mx.gluon.nn.Dense(2).prefix, mx.gluon.nn.Dense(2).name]
    with mx.name.Prefix("foo_"):
        found += [_net(mx).prefix, mx.gluon.nn.Dense(2).prefix]
    return found


@case
def names_of_nodes(mx):
    net = _net(mx)
    symbol = net(mx.sym.var("x"))
    again = net(symbol)
    return symbol.get_internals().list_outputs(), again.list_outputs(), again.list_arguments()


@case
def collected_by_a_pattern(mx):
    net = _net(mx)
    return [list(net.collect_params(p)) for p in (".*bias", "bias", ".*dense1|.*x_weight")]


@case
def paths_of_parameters(mx):
    return {k: p.name for k, p in _net(mx)._collect_params_with_prefix().items()}


@case
def shown(mx):
    nn = mx.gluon.nn
    net = _net(mx)
    sequential = nn.Sequential()
    sequential.add(nn.HybridSequential(), nn.Dense(1, in_units=2), nn.Lambda("relu"))
    sequential.x = nn.Dense(2, use_bias=False)
    return [
        repr(net),
        repr(sequential),
        repr(net.collect_params()),
        repr(mx.gluon.ParameterDict()),
        repr(_block(mx, None, "Block")),
        repr(sequential[1]),
        repr(sequential[-1]),
        repr(sequential[:2]),
        len(sequential),
        sequential[:2].prefix == sequential.prefix,
        repr(nn.HybridLambda(lambda F, x: x)),
    ]


# ---- attributes


@case
def assigned_attributes(mx):
    nn = mx.gluon.nn
    block = _block(mx, None, "Block", w=(1,))
    block.layer = nn.Dense(2)
    results = [
        attempt(setattr, block, "layer", 3),
        attempt(setattr, block, "layer", None),
        attempt(setattr, block, "layer", nn.Flatten()),
        attempt(setattr, block, "layer", nn.Dense(3)),
        attempt(setattr, block, "w", None),
        attempt(setattr, block, "w", block.params.get("v", shape=(1,))),
        list(block._children),
        list(block._reg_params),
        block.layer._units,
    ]
    hybrid = _block(mx, None)
    results.append(attempt(setattr, hybrid, "layer", block))
    results.append(attempt(nn.HybridSequential().add, nn.Lambda("relu")))
    return results


@case
def blocks_in_lists(mx):
    nn = mx.gluon.nn
    block = _block(mx, None, "Block")
    block.layer = nn.Dense(2)
    block.known = [block.layer]
    block.layers = [nn.Dense(2)]
    block.nested = {"a": [nn.Dense(2)]}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        names = list(block.collect_params())
    return names, [w.category for w in caught]


@case
def functions_as_blocks(mx):
    nn = mx.gluon.nn
    return [
        attempt(nn.Lambda, "no_function"),
        attempt(nn.Lambda, 3),
        attempt(nn.HybridLambda, "no_function"),
        attempt(nn.HybridLambda, 3),
        nn.Lambda("tanh")(_ones(mx)),
        nn.HybridLambda(lambda F, x, y: x + y)(_ones(mx), _ones(mx)),
        nn.HybridLambda("relu")(mx.sym.var("x")).list_outputs(),
    ]


@case
def not_defined(mx):
    return [
        attempt(mx.gluon.Block(), _ones(mx)),
        attempt(mx.gluon.HybridBlock(), _ones(mx)),
        attempt(mx.gluon.nn.Dense(2), _ones(mx, 1, 2)),
        attempt(mx.gluon.nn.Sequential(), _ones(mx), _ones(mx)),
        attempt(mx.gluon.nn.HybridSequential(), _ones(mx), _ones(mx)),
        attempt(mx.gluon.nn.Dense(2).export, "never"),
        attempt(mx.gluon.nn.Dense(2).optimize_for, _ones(mx)),
    ]


# ---- calls


def _outcome(block, *args):
    """The result of a call, and how arguments and results are nested."""
    return attempt(block, *args), block._in_format, block._out_format


@case
def nested_arguments(mx):
    def forward(F, x, pair):
        return [x + 1, [pair[0] * 2, pair[1]]], F.split(x, 2)

    block = _block(mx, forward)
    x, y, z = _ones(mx, 2, 2), _ones(mx), _ones(mx, 2)
    results = [block(x, [y, z])]
    block.hybridize()
    results += [_outcome(block, x, [y, z]), _outcome(block, x, (y, z)), _outcome(block, x, [y])]
    inputs, output = block._cached_graph
    return results, [s.name for s in inputs], output.list_inputs(), output.list_outputs()


def _optional(F, x, y=None, z=None):
    result = x if y is None else x + y
    return result if z is None else (result, z)


@case
def absent_arguments(mx):
    results = []
    one = _ones(mx)
    for calls in ([(one, None), (one,), (one, None, None)], [(one,), (one, None), (one, one)]):
        block = _block(mx, _optional)
        block.hybridize()
        results += [_outcome(block, *args) for args in calls]
    return results


@case
def kinds_of_arguments(mx):
    one, x = _ones(mx), mx.sym.var("x")
    other = _ones(mx, ctx=mx.cpu(1))
    block = _block(mx, _optional)
    calls = [(3,), (one, x), (one, 3), (one, [one]), (other, one), (x, x), ("x",), ()]
    results = [attempt(lambda a=args: len(block(*a))) for args in calls]
    block.hybridize()
    return results + [attempt(lambda a=args: len(block(*a))) for args in calls]


@case
def other_shapes_and_dtypes_after_hybridize(mx):
    net = mx.gluon.nn.Dense(2)
    net.initialize(mx.init.One())
    net.hybridize()
    first = net(_ones(mx, 1, 3))
    results = [
        attempt(net, _ones(mx, *shape, dtype=dtype))
        for shape, dtype in [
            ((5, 3), "float32"),
            ((5, 3, 1), "float32"),
            ((5, 4), "float32"),
            ((5, 3), "float64"),
        ]
    ]
    net.cast("float64")
    return [first, *results, net(_ones(mx, 5, 3, dtype="float64"))]


@case
def forms_of_outputs(mx):
    results = []
    for function in (
        lambda F, x: (x,),
        lambda F, x: [x, [x * 2]],
        lambda F, x: F.split(x, 2),
        lambda F, x: F.split(x, 2)[1],
        lambda F, x, *unused: x * 2,
    ):
        block = _block(mx, function)
        x = _ones(mx, 2, 2)
        results.append(block(x))
        block.hybridize()
        results.append(_outcome(block, x))
    return results


@case
def what_a_graph_may_not_have(mx):
    one = _ones(mx)
    results = []
    for function in (
        lambda F, x: {"a": x},
        lambda F, x: x + F.var("unknown"),
        lambda F, x: x.asnumpy(),
        lambda F, x: 3,
    ):
        block = _block(mx, function)
        block.hybridize()
        results.append(attempt(block, one))
    return results


@case
def parameters_that_are_not_used(mx):
    block = _block(mx, lambda F, x, w, v: x * 2, w=(1,), v=(2,))
    block.initialize()
    block.hybridize()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = block(_ones(mx))
    return result, [w.category for w in caught]


@case
def hooks(mx):
    net = _mlp(mx)
    net.initialize(mx.init.One())
    called = []

    def note(kind):
        return lambda block, *rest: called.append((kind, type(block).__name__, len(rest)))

    handles = [
        net.register_forward_pre_hook(note("before")),
        net.register_forward_hook(note("after")),
        net[0].register_forward_hook(lambda block, args, out: called.append((args, out))),
    ]
    net(_ones(mx, 1, 2))
    handles[1].detach()
    handles[1].detach()
    with handles[2]:
        net(_ones(mx, 1, 2))
    net(_ones(mx, 1, 2))
    return [c for c in called if not (len(c) == 2 and isinstance(c[1], mx.sym.Symbol))]


@case
def blocks_in_order(mx):
    order = []
    net = _net(mx)
    same = net.apply(lambda block: order.append(block.name)) is net
    return order, same


@case
def loops_in_blocks(mx):
    def forward(F, x, w):
        def step(row, state):
            state = F.broadcast_mul(F.tanh(row + state), w)
            return state * 2, state

        rows, last = F.contrib.foreach(step, x, F.zeros((2,)))
        outputs, _ = F.contrib.while_loop(
            lambda i, s: i < 2, lambda i, s: (s, (i + 1, s * s)), (F.zeros((1,)), last), 2
        )
        chosen = F.contrib.cond(F.sum(last) > 0, lambda: last * 3, lambda: last - 1)
        return rows, outputs, chosen

    block = _block(mx, forward, w=(1,))
    block.initialize(mx.init.Constant(0.5))
    x = mx.nd.array(data((3, 2)))
    results = []
    for hybrid in (False, True):
        block.hybridize(hybrid)
        with mx.autograd.record():
            rows, outputs, chosen = block(x)
            total = rows.sum() + outputs.sum() + chosen.sum()
        total.backward()
        results.append((rows, outputs, chosen, block.w.grad().copy()))
    return results


# ---- files


def _files(function):
    with tempfile.TemporaryDirectory() as folder:
        return function(lambda name: os.path.join(folder, name))


@case
def saved_parameters(mx):
    def program(path):
        net = _net(mx)
        net.initialize(mx.init.One())
        results = [attempt(net.save_parameters, path("deferred"))]
        net(_ones(mx, 1, 2))
        net.save_parameters(path("all"))
        net.save_parameters(path("once"), deduplicate=True)
        net.collect_params().save(path("named"))
        results += [sorted(mx.nd.load(path(name))) for name in ("all", "once", "named")]
        for name in ("all", "once"):
            other = _net(mx)
            other.load_parameters(path(name))
            results.append(other(_ones(mx, 1, 2)))
        results.append(attempt(_net(mx).load_parameters, path("named")))
        return results

    return _files(program)


@case
def loaded_parameters(mx):
    nn = mx.gluon.nn

    def sequential(*layers):
        net = nn.HybridSequential()
        net.add(*layers)
        return net

    def program(path):
        net = sequential(nn.Dense(3, in_units=2))
        net.initialize(mx.init.One())
        net.save_parameters(path("net"))
        net[0].save_parameters(path("layer"))
        single = nn.Dense(3)
        single.load_parameters(path("layer"))
        results = [sorted(mx.nd.load(path("layer"))), single.weight.data()]
        for layers, options in [
            ((nn.Dense(3), nn.Dense(3)), {}),
            ((nn.Dense(3), nn.Dense(3)), {"allow_missing": True}),
            ((), {}),
            ((), {"ignore_extra": True}),
            ((nn.Dense(4),), {}),
            ((nn.Dense(3, dtype="float64"),), {}),
            ((nn.Dense(3, dtype="float64"),), {"cast_dtype": True}),
            ((nn.Dense(3, dtype="float64"),), {"cast_dtype": True, "dtype_source": "saved"}),
            ((nn.Dense(3, dtype="float64"),), {"cast_dtype": True, "dtype_source": "x"}),
            ((nn.Dense(3),), {"ctx": mx.cpu(1)}),
            ((nn.Dense(3),), {"ctx": [mx.cpu(1), mx.cpu(2)]}),
        ]:
            other = sequential(*layers)
            loaded = attempt(other.load_parameters, path("net"), **options)
            results.append(loaded)
            if loaded is None:
                results.append([p.shape for p in other.collect_params().values()])
            results.append(attempt(lambda net=other: net[0].weight.list_data()))
        initialized = sequential(nn.Dense(3))
        initialized.initialize(ctx=[mx.cpu(0), mx.cpu(1)])
        results.append(attempt(initialized.load_parameters, path("net"), mx.cpu(2)))
        initialized.load_parameters(path("net"))
        return [*results, initialized[0].weight.list_data()]

    return _files(program)


@case
def saved_blocks(mx):
    def program(path):
        results = []
        for hybrid in (False, True):
            net = _mlp(mx, "net_")
            net.initialize(mx.init.One())
            net.hybridize(hybrid)
            net(_ones(mx, 1, 2))
            net.save(path("net"))
            with open(path("net-model.json")) as file:
                results.append(re.sub(r"\s+", "", json.dumps(json.load(file))))
            other = _mlp(mx, "other_")
            other.load(path("net"))
            results += [other.name, other.prefix, other[0].name, list(other.collect_params())]
            results += [other._active, other[0]._active, other(_ones(mx, 1, 2))]
        results.append(attempt(mx.gluon.nn.Dense(2).load, path("net")))
        return results

    return _files(program)


@case
def symbols_as_blocks(mx):
    x, y = mx.sym.var("x"), mx.sym.var("y")
    first = mx.sym.FullyConnected(x, num_hidden=2, name="f1")
    second = mx.sym.FullyConnected(first, num_hidden=3, name="f2")
    SymbolBlock = mx.gluon.SymbolBlock
    block = SymbolBlock([second, first], [x])
    block.initialize(mx.init.One())
    shared = SymbolBlock(second + y, [x, y], params=block.collect_params())
    results = [
        repr(block),
        block.prefix,
        list(block._reg_params),
        block(_ones(mx, 1, 2)),
        shared(_ones(mx, 1, 2), _ones(mx, 1, 3)),
        shared.collect_params()["f1_weight"] is block.collect_params()["f1_weight"],
        [s.list_outputs() for s in block(mx.sym.var("z"))],
        attempt(SymbolBlock, second, [first]),
        attempt(SymbolBlock, "x", [x]),
        attempt(block, _ones(mx, 1, 2), _ones(mx, 1, 2)),
        list(SymbolBlock(second, [mx.sym.var("q")]).collect_params()),
    ]
    normalized = mx.sym.BatchNorm(second, name="bn")
    states = SymbolBlock(normalized, [x]).collect_params()
    return results, {k: (p.grad_req, p.shape) for k, p in states.items()}

"""Parameters of Gluon, dictionaries of them, and mx.gluon.utils."""

import warnings

import numpy as np
from harness import array, attempt, case, data


def _parameter(mx, name="w_weight", **kwargs):
    kwargs = {"shape": (2, 3), **kwargs}
    return mx.gluon.Parameter(name, **kwargs)


@case
def shown(mx):
    return [
        repr(_parameter(mx)),
        repr(_parameter(mx, shape=3, dtype="float16")),
        repr(_parameter(mx, shape=None)),
        repr(mx.gluon.Constant("c", [[1, 2]])),
        attempt(_parameter, mx, stype="other"),
        attempt(_parameter, mx, grad_req="other"),
    ]


@case
def attributes_of_the_variable(mx):
    param = _parameter(mx, lr_mult=2.0, wd_mult=0.5, init="ones")
    symbol = param.var()
    return symbol.name, dict(sorted(symbol.list_attr().items())), param.var() is symbol


@case
def several_contexts(mx):
    param = _parameter(mx)
    param.initialize(mx.init.One(), ctx=[mx.cpu(0), mx.cpu(2)])
    results = [
        param.list_ctx(),
        param._ctx_map,
        param.list_data(),
        param.list_grad(),
        param.data(),
        param.data(mx.cpu(2)).context,
        attempt(param.data, mx.cpu(1)),
    ]
    with mx.cpu(2):
        results.append(param.data().context)
    with mx.cpu(1):
        results.append(attempt(param.data))
    param.data(mx.cpu(2))[:] = 3
    results.append(param._reduce())
    param.reset_ctx(mx.cpu(1))
    return [*results, param.list_ctx(), param.data(), param.data().context]


@case
def without_values(mx):
    param = _parameter(mx)
    later = _parameter(mx, shape=(0, 3), allow_deferred_init=True)
    later.initialize(mx.init.One())
    never = _parameter(mx, shape=(0, 3))
    results = []
    for p in (param, later):
        results += [
            attempt(p.data),
            attempt(p.list_data),
            attempt(p.grad),
            attempt(p.list_ctx),
            attempt(p.zero_grad),
            attempt(p._reduce),
        ]
    results += [
        attempt(never.initialize),
        attempt(param.set_data, mx.nd.ones((2, 3))),
        attempt(param.reset_ctx, mx.cpu(1)),
        attempt(setattr, later, "shape", (2, 4)),
    ]
    later.reset_ctx(mx.cpu(1))
    later.set_data(mx.nd.ones((5, 3)) * 2)
    results.append(later.shape)
    later._finish_deferred_init()
    return [*results, later.data(), later.data().context]


@case
def initialized(mx):
    param = _parameter(mx, init="zeros")
    param.initialize()
    results = [param.data()]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        param.initialize(mx.init.One())
    results += [[w.category for w in caught], param.data()]
    param.initialize(mx.init.One(), force_reinit=True)
    results.append(param.data())
    param.initialize(default_init=mx.init.One(), force_reinit=True)
    results.append(param.data())
    own = _parameter(mx, "anything")
    own.initialize(default_init=mx.init.Constant(4))
    return [*results, own.data()]


@case
def cast(mx):
    param = _parameter(mx, init="ones")
    param.initialize()
    before = param.data()
    with mx.autograd.record():
        y = (param.data() * 3).sum()
    y.backward()
    param.cast("float64")
    results = [param.dtype, param.data(), param.grad(), before.dtype]
    param.dtype = "float16"
    with mx.autograd.record():
        y = (param.data() * 2).sum()
    y.backward()
    return [*results, param.dtype, param.grad()]


@case
def grad_req(mx):
    param = _parameter(mx, init="ones")
    param.initialize()
    results = []
    for req in ("add", "write", "null", "add"):
        param.grad_req = req
        for _ in range(2):
            with mx.autograd.record():
                y = (param.data() * mx.nd.ones((2, 3))).sum() * 2
            attempt(y.backward)
        results.append(attempt(lambda: param.grad().copy()))
    param.zero_grad()
    results += [param.grad(), attempt(setattr, param, "grad_req", "other")]
    fixed = _parameter(mx, differentiable=False)
    fixed.grad_req = "write"
    return [*results, fixed.grad_req]


@case
def set_data(mx):
    param = _parameter(mx, init="ones")
    param.initialize(ctx=[mx.cpu(0), mx.cpu(1)])
    arrays = param.list_data()
    param.set_data(mx.nd.ones((2, 3), dtype="float64") * 5)
    results = [arrays, param.list_data()[0] is arrays[0]]
    return [*results, attempt(param.set_data, mx.nd.ones((3, 3))), param.data(mx.cpu(0))]


@case
def rows(mx):
    param = _parameter(mx)
    param.initialize()
    ids = mx.nd.array([0])
    return attempt(param.row_sparse_data, ids), attempt(param.list_row_sparse_data, ids)


@case
def constant(mx):
    param = mx.gluon.Constant("c", [[1, 2], [3, 4]])
    param.initialize()
    results = [param.grad_req, param.dtype, param.data(), attempt(param.grad)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        param.grad_req = "write"
    results += [param.grad_req, len(caught)]
    return [*results, mx.gluon.Constant("d", array(mx, data((2,), dtype="float64"))).dtype]


@case
def dictionary(mx):
    params = mx.gluon.ParameterDict("pre_")
    get, const = params.get, params.get_constant
    weight = get("w", shape=(2, 0))
    results = [
        get("w", shape=(0, 3)) is weight,
        weight.shape,
        attempt(get, "w", shape=(3, 3)),
        attempt(get, "w", shape=(3,)),
        get("w", dtype="float32") is weight,
        attempt(get, "w", dtype="float16"),
        get("w", init="ones").init,
        attempt(get, "w", init="zeros"),
        attempt(get, "w", lr_mult=2.0),
        attempt(const, "k"),
        repr(const("k", mx.nd.array([1.0]))),
        attempt(const, "k", mx.nd.array([2.0])),
        attempt(const, "w", mx.nd.array([2.0])),
        const("k") is const("k", np.array([1.0])),
        repr(params),
        list(params),
        list(params.keys()),
        "pre_w" in params,
        params.prefix,
        params["pre_w"] is weight,
        attempt(lambda: params["w"]),
    ]
    other = mx.gluon.ParameterDict("pre_")
    other.get("w", shape=(1,))
    results.append(attempt(params.update, other))
    shared = mx.gluon.ParameterDict("pre_", shared=params)
    results += [list(shared), shared.get("w") is weight, list(shared)]
    return results


@case
def dictionary_of_all(mx):
    params = mx.gluon.ParameterDict()
    params.get("a_weight", shape=(2,))
    params.get("b_bias", shape=(1,), init="zeros")
    params.initialize(mx.init.One(), ctx=[mx.cpu(1), mx.cpu(2)])
    results = [p.list_data() for p in params.values()]
    results.append(sorted(str(ctx) for ctx in params.list_ctx()))
    params.setattr("grad_req", "add")
    params.setattr("lr_mult", 3)
    results += [(p.grad_req, p.lr_mult) for p in params.values()]
    params.zero_grad()
    params.reset_ctx(mx.cpu())
    return [*results, [p.list_ctx() for p in params.values()]]


# ---- utils


@case
def slices(mx):
    utils = mx.gluon.utils
    x = array(mx, data((7, 2)))
    return [
        utils.split_data(x, 3, even_split=False),
        utils.split_data(x, 2, batch_axis=1),
        attempt(utils.split_data, x, 3),
        [part.shape for part in utils.split_data(x[:2], 3, even_split=False)],
        utils.split_data(x, 1),
        utils.split_and_load([[1, 2], [3, 4]], [mx.cpu(0), mx.cpu(1)], batch_axis=1),
        utils.split_and_load(np.ones((4, 2), dtype="float64"), [mx.cpu()]),
        utils.split_and_load(x, [mx.cpu(0), mx.cpu(1)], even_split=False)[1].context,
    ]


@case
def clipped(mx):
    clip = mx.gluon.utils.clip_global_norm
    results = []
    for norm in (1.0, 100.0):
        arrays = [array(mx, data((2, 3))), array(mx, data((4,), seed=1))]
        results += [clip(arrays, norm), arrays]
    far = [mx.nd.ones((2,)), mx.nd.ones((2,), ctx=mx.cpu(1))]
    results += [clip(far, 1.0), far]
    results.append(attempt(clip, [], 1.0))
    for value in (np.nan, np.inf):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = clip([mx.nd.array([value, 1.0])], 1.0)
        results += [found, [w.category for w in caught if w.category is UserWarning]]
    return results


@case
def known_shapes(mx):
    from importlib import import_module

    utils = import_module(mx.__name__ + ".gluon.utils")
    shapes = [None, (), (0,), (2, 0), (2, 3), (-1,)]
    return [attempt(utils.shape_is_known, shape) for shape in shapes]

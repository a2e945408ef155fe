"""Batch normalisation: results, gradients, and the running statistics after calls."""

from harness import array, attempt, case, data, gradients, head_like, values

DTYPES = ("float32", "float64")


def channels(mx, count=3, dtype="float32"):
    return {
        "g": array(mx, data((count,), 0.5, 2, seed=2, dtype=dtype)),
        "b": array(mx, data((count,), -1, 1, seed=3, dtype=dtype)),
        "m": array(mx, data((count,), -0.5, 0.5, seed=4, dtype=dtype)),
        "v": array(mx, data((count,), 0.5, 2, seed=5, dtype=dtype)),
    }


def layer(shape=(2, 3, 4, 5), count=3, dtype="float32"):
    def setup(mx):
        x = array(mx, data(shape, -2, 3, seed=1, dtype=dtype))
        return {"x": x, **channels(mx, count, dtype)}

    return setup


# MXNet holds these two as float32 numbers, also where it computes in float64.
EXACT = "eps=0.0625, momentum=0.5"
ARGUMENTS = [
    "",
    "fix_gamma=False",
    "fix_gamma=True",
    "fix_gamma=False, use_global_stats=True",
    "use_global_stats=True",
    "fix_gamma=False, axis=1",
]
for dtype in DTYPES:
    gradients(
        __name__,
        layer(dtype=dtype),
        "\n".join(f"nd.BatchNorm(x, g, b, m, v, {EXACT}{', ' * bool(a)}{a})" for a in ARGUMENTS),
        prefix=f"{dtype} ",
        wrt="x g b",
    )
for shape in ((6, 3), (2, 3, 7), (2, 3, 2, 2, 3), (70, 3), (4, 3, 40, 40)):
    gradients(
        __name__,
        layer(shape),
        f"nd.BatchNorm(x, g, b, m, v, fix_gamma=False, {EXACT})",
        prefix=f"{len(shape)}-d {shape[0]} ",
        wrt="x g b",
        **({"rtol": 1e-4, "why": "MXNet sums in float32"} if shape[-1] == 40 else {}),
    )
gradients(
    __name__,
    layer((3, 4, 2), 2),
    "nd.BatchNorm(x, g, b, m, v, fix_gamma=False, axis=2)\n"
    "nd.BatchNorm(x, g, b, m, v, fix_gamma=False, axis=-1)",
    wrt="x g b",
)
gradients(
    __name__,
    layer((3, 4, 2), 3),
    "nd.BatchNorm(x, g, b, m, v, fix_gamma=False, axis=0)\n"
    "nd.BatchNorm(x, g, b, m, v, 1e-3, 0.9, False, False, False, 0)",
    wrt="x g b",
)
gradients(
    __name__,
    layer(),
    "nd.contrib.SyncBatchNorm(x, g, b, m, v, key='k', fix_gamma=False)\n"
    "nd.contrib.SyncBatchNorm(x, g, b, m, v, key='k')\n"
    "nd.contrib.SyncBatchNorm(x, g, b, m, v, eps=0.1, key='k', use_global_stats=True)\n"
    "nd.contrib.BatchNormWithReLU(x, g, b, m, v, fix_gamma=False)\n"
    "nd.contrib.BatchNormWithReLU(x, g, b, m, v)\n"
    "nd.contrib.BatchNormWithReLU(x, g, b, m, v, fix_gamma=False, use_global_stats=True)",
    wrt="x g b",
)
values(
    __name__,
    layer(),
    """
    nd.BatchNorm(x, g, b, m, v)
    nd.BatchNorm(x, g, b, m, v, fix_gamma=False)
    nd.BatchNorm(x, g, b, m, v, fix_gamma=False, output_mean_var=True)
    nd.BatchNorm(x, g, b, m, v, eps=0.0, output_mean_var=True)
    nd.BatchNorm(x, g, b, m, v, axis=4)
    nd.BatchNorm(x, g, b, m, v, axis=-5)
    nd.BatchNorm(x, g, b)
    nd.BatchNorm(x, g, b, m, v, nonsense=1)
    nd.BatchNorm(x.astype('int32'), g, b, m, v)
    nd.BatchNorm(x.astype('float64'), g, b, m, v)
    nd.BatchNorm(x.astype('float16'), g, b, m, v)
    nd.BatchNorm(x.astype('float16'), g, b, m, v, fix_gamma=False, output_mean_var=True)
    nd.BatchNorm(x, g, b, m, v, min_calib_range=-1.0, max_calib_range=1.0, cudnn_off=True)
    nd.contrib.SyncBatchNorm(x, g, b, m, v)
    nd.contrib.SyncBatchNorm(x, g, b, m, v, key='k')
    nd.contrib.BatchNormWithReLU(x, g, b, m, v)
    """,
)


def step(mx, env, op="BatchNorm", times=1, req="write", **params):
    """Forward and backward in training mode; all that changed."""
    x, g, b, m, v = (env[k] for k in "xgbmv")
    function = getattr(mx.nd, op, None) or getattr(mx.nd.contrib, op)
    for variable in (x, g, b):
        variable.attach_grad(req)
    for _ in range(times):
        with mx.autograd.record():
            y = function(x, g, b, m, v, **params)
        heads = y if isinstance(y, list) else [y]
        heads[0].backward(head_like(mx, heads[0]))
    return {"y": y, "x": x.grad, "g": g.grad, "b": b.grad, "after": [g, b, m, v]}


STEPS = {
    "default": {},
    "twice": {"times": 2},
    "momentum": {"momentum": 0.5, "fix_gamma": False},
    "momentum 0": {"momentum": 0.0},
    "momentum 1": {"momentum": 1.0},
    "use_global_stats": {"use_global_stats": True},
    "output_mean_var": {"output_mean_var": True, "fix_gamma": False},
    "output_mean_var of use_global_stats": {"output_mean_var": True, "use_global_stats": True},
    "add": {"req": "add", "times": 3, "fix_gamma": False},
    "add fix_gamma": {"req": "add", "times": 2},
    "Sync": {"op": "SyncBatchNorm", "key": "k", "fix_gamma": False},
    "ReLU": {"op": "BatchNormWithReLU", "fix_gamma": False},
}
for title, options in STEPS.items():
    case(lambda mx, o=options: step(mx, layer()(mx), **o), name=f"step {title}")


@case
def steps_then_inference(mx):
    env = layer()(mx)
    step(mx, env, times=2, fix_gamma=False)
    x, g, b, m, v = (env[k] for k in "xgbmv")
    return mx.nd.BatchNorm(x, g, b, m, v, fix_gamma=False)


@case
def inference_changes_nothing_but_a_fixed_gamma(mx):
    env = layer()(mx)
    x, g, b, m, v = (env[k] for k in "xgbmv")
    mx.nd.BatchNorm(x, g, b, m, v, fix_gamma=False).wait_to_read()
    before = [a.copy() for a in (g, b, m, v)]
    mx.nd.BatchNorm(x, g, b, m, v).wait_to_read()
    return [before, [g, b, m, v]]


@case(rtol=5e-3, why="MXNet finds the statistics of float16 data in float16")
def float16_data_with_float32_statistics(mx):
    env = layer()(mx)
    env["x"] = env["x"].astype("float16")
    return step(mx, env, fix_gamma=False)


@case
def gradient_of_inference(mx):
    env = layer()(mx)
    x, g, b, m, v = (env[k] for k in "xgbmv")
    x.attach_grad()
    with mx.autograd.record(train_mode=False):
        y = mx.nd.BatchNorm(x, g, b, m, v, fix_gamma=False)
    y.backward(head_like(mx, y), train_mode=False)
    return {"y": y, "x": x.grad, "after": [g, b, m, v]}


@case
def statistics_have_no_gradient(mx):
    env = layer()(mx)
    x, g, b, m, v = (env[k] for k in "xgbmv")
    for variable in (x, m, v):
        variable.attach_grad()
    with mx.autograd.record():
        y = mx.nd.BatchNorm(x, g, b, m, v, use_global_stats=True)
    y.backward(head_like(mx, y))
    return [m.grad, v.grad]


@case
def shapes_that_do_not_fit(mx):
    env = layer()(mx)
    x, g, b, m, v = (env[k] for k in "xgbmv")
    return attempt(mx.nd.BatchNorm, x.reshape((120,)), g, b, m, v)


def small(mx, x=(0.0, 2.0), var=1.0):
    one = mx.nd.ones((1,))
    return mx.nd.array(x).reshape((-1, 1)), one, one * 0, one * 0, one * var


@case
def training_without_backward(mx):
    x, g, b, m, v = small(mx)
    with mx.autograd.train_mode():
        mx.nd.BatchNorm(x, g, b, m, v, momentum=0.5).wait_to_read()
    return [m, v]


@case
def backward_twice(mx):
    x, g, b, m, v = small(mx)
    x.attach_grad()
    with mx.autograd.record():
        y = mx.nd.BatchNorm(x, g, b, m, v, momentum=0.5)
    y.backward(retain_graph=True)
    y.backward()
    return [m, v]


@case
def training_backward_of_inference(mx):
    x, g, b, m, v = small(mx, (1.0, 2.0, 4.0, 7.0), var=4.0)
    x.attach_grad()
    with mx.autograd.record(train_mode=False):
        y = mx.nd.BatchNorm(x, g, b, m, v, eps=0.0)
    y.backward(mx.nd.array([[1], [2], [3], [4]]))
    return x.grad


@case
def statistics_that_are_outputs(mx):
    x, g, b, m, v = small(mx)
    x.attach_grad()
    with mx.autograd.record():
        _, mean, _ = mx.nd.BatchNorm(x, g, b, m, v, output_mean_var=True)
    mean.backward()
    return x.grad

"""Output layers that carry a loss, and what mixed precision needs."""

from harness import array, case, data, gradients, values


def regression(dtype="float32"):
    def setup(mx):
        return {
            "x": array(mx, data((3, 4), -2, 2, seed=331, dtype=dtype)),
            "y": array(mx, data((3, 4), -2, 2, seed=332, dtype=dtype)),
        }

    return setup


for name in ("Linear", "Logistic", "MAE"):
    op = f"nd.{name}RegressionOutput"
    for dtype in ("float32", "float64", "float16"):
        gradients(__name__, regression(dtype), f"{op}(x, y)", prefix=f"{dtype} ")
    gradients(
        __name__,
        regression(),
        f"{op}(x, y, grad_scale=2.5) * 3\n"
        f"{op}(x, y.reshape((3, 2, 2)))\n"
        f"{op}(x.reshape((3, 2, 2)), y)\n"
        f"{op}(x.reshape((12, 1)), y.reshape((12,)))",
        wrt="x",
    )
    values(
        __name__,
        regression(),
        f"{op}(x, y[:, 0])\n"
        f"{op}(x, y.reshape((12,)))\n"
        f"{op}(x[:, 0], y[:, :1])\n"
        f"{op}(x, y.astype('int32'))\n"
        f"{op}(x.astype('int32'), y.astype('int32'))\n"
        f"{op}(x)",
    )


def scores(dtype="float32"):
    def setup(mx):
        return {
            "x": array(mx, data((3, 4), -2, 2, seed=331, dtype=dtype)),
            "l": mx.nd.array([1, 0, 3], dtype=dtype),
            "far": mx.nd.array([-1, 9, 1.75], dtype=dtype),
        }

    return setup


gradients(
    __name__,
    scores(),
    """
    nd.SVMOutput(x, l)
    nd.SVMOutput(x, l, use_linear=True)
    nd.SVMOutput(x, l, margin=0.5, regularization_coefficient=2) * 3
    nd.SVMOutput(x, l, margin=0.5, regularization_coefficient=2, use_linear=True)
    nd.SVMOutput(x, far)
    nd.SVMOutput(x, far, use_linear=True)
    """,
    wrt="x",
)
gradients(__name__, scores("float64"), "nd.SVMOutput(x, l)", prefix="float64 ", wrt="x")
values(
    __name__,
    scores(),
    """
    nd.SVMOutput(x, l[:2])
    nd.SVMOutput(x.reshape((3, 2, 2)), l)
    nd.SVMOutput(x, l.astype('int32'))
    nd.SVMOutput(l, l)
    """,
)
gradients(
    __name__,
    lambda mx: {"x": array(mx, data((3, 4), -2, 2, seed=331))},
    """
    nd.MakeLoss(x)
    nd.MakeLoss(x) * 4
    nd.MakeLoss(x, grad_scale=3)
    nd.MakeLoss(x, grad_scale=3, normalization='batch')
    nd.MakeLoss(x, grad_scale=3, normalization='valid')
    nd.MakeLoss(x, grad_scale=3, normalization='valid', valid_thresh=0.5)
    nd.MakeLoss(x, grad_scale=3, normalization='valid', valid_thresh=50)
    nd.MakeLoss(x * 0, normalization='valid')
    """,
)
values(
    __name__,
    lambda mx: {"x": array(mx, data((3, 4), -2, 2, seed=331))},
    """
    nd.MakeLoss(x, normalization='nonsense')
    nd.MakeLoss(x.astype('int32'))
    nd.IdentityAttachKLSparseReg(x)
    """,
)

# ---- mixed precision


def mixed(mx):
    return {
        "x": array(mx, data((2, 3), -2, 2, seed=333)),
        "h": array(mx, data((2, 3), -2, 2, seed=334, dtype="float16")),
        "i": mx.nd.array([[1, -2, 3]], dtype="int32"),
        "bad": mx.nd.array([1, float("nan")]),
        "inf": mx.nd.array([float("inf")]),
    }


gradients(
    __name__,
    lambda mx: {"x": array(mx, data((2, 3), -2, 2, seed=333))},
    "nd.amp_cast(x, dtype='float16')\nnd.amp_cast(x, 'float64')",
)
values(
    __name__,
    mixed,
    """
    nd.amp_cast(x, dtype='int32')
    nd.amp_cast(i, dtype='float16')
    nd.amp_cast(x, dtype='bool')
    nd.amp_cast(x)
    nd.amp_multicast(x, i, num_outputs=1)
    nd.amp_multicast(x, x)
    nd.all_finite(x)
    nd.all_finite(h)
    nd.all_finite(bad)
    nd.all_finite(inf)
    nd.all_finite(i)
    nd.all_finite(x, init_output=False, out=nd.zeros((1,)))
    nd.all_finite(x, init_output=False, out=nd.ones((1,)))
    nd.all_finite(bad, init_output=False, out=nd.ones((1,)))
    nd.multi_all_finite(x, bad, num_arrays=2)
    nd.multi_all_finite(x, x, num_arrays=2)
    nd.multi_all_finite(x, bad)
    nd.multi_all_finite(i, num_arrays=1)
    nd.multi_sum_sq(x, bad[:1], num_arrays=2)
    nd.multi_sum_sq(x.astype('float64'), num_arrays=1)
    nd.multi_sum_sq(x.astype('float64'), x, num_arrays=2)
    nd.multi_sum_sq(x, x)
    nd.multi_sum_sq(i, num_arrays=1)
    nd.reset_arrays(x, x)
    """,
)
values(
    __name__,
    mixed,
    """
    nd.amp_multicast(x, h, num_outputs=2)
    nd.amp_multicast(x, h, num_outputs=2, cast_narrow=True)
    nd.amp_multicast(x, i, num_outputs=2)
    nd.amp_multicast(x, num_outputs=1)
    """,
    unsafe=True,
)
values(
    __name__,
    mixed,
    "nd.multi_sum_sq(h, h, num_arrays=2)",
    rtol=1e-3,
    why="MXNet sums squares of float16 in float16",
)


@case
def mae_at_the_label(mx):
    x = mx.nd.array([[1.0, 2.0]])
    x.attach_grad()
    with mx.autograd.record():
        y = mx.nd.MAERegressionOutput(x, mx.nd.array([[1.0, 3.0]]))
    y.backward()
    return x.grad


@case
def reset_arrays_writes_in_place(mx):
    a, b = mx.nd.ones((2, 2)), mx.nd.ones((3,), dtype="float64")
    result = mx.nd.reset_arrays(a, b, num_arrays=2)
    return [result, a, b]

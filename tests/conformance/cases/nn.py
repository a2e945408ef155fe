"""Activations, softmax and its losses, dropout: every parameter and their gradients."""

from harness import array, case, data, gradients, head_like, values


def rows(dtype="float32"):
    def setup(mx):
        return {"x": array(mx, data((2, 3, 4), -3, 3, seed=101, dtype=dtype))}

    return setup


ACTIVATIONS = "relu sigmoid softrelu softsign tanh".split()
for dtype in ("float32", "float64", "float16"):
    gradients(
        __name__,
        rows(dtype),
        "\n".join(f"nd.Activation(x, act_type='{a}')" for a in ACTIVATIONS),
        prefix=f"{dtype} ",
    )
gradients(
    __name__,
    rows(),
    "nd.Activation(x, 'relu')\nnd.SoftmaxActivation(x)\nnd.SoftmaxActivation(x, mode='channel')",
)
values(
    __name__,
    lambda mx: {
        "x": mx.nd.array([-200.0, -20, 0, 20, 200]),
        "i": mx.nd.array([-1, 0, 2], dtype="int32"),
    },
    """
    nd.Activation(x, act_type='softrelu')
    nd.Activation(x, act_type='tanh')
    nd.Activation(x, act_type='nonsense')
    nd.Activation(x)
    nd.Activation(i, act_type='relu')
    nd.sigmoid(x)
    nd.softmax(x)
    nd.log_softmax(x)
    nd.softmax(i)
    nd.log_softmax(i)
    nd.softmin(x)
    """,
    prefix="range ",
)

SOFTMAX_ARGUMENTS = [
    "",
    "axis=0",
    "axis=1",
    "axis=2",
    "axis=-1",
    "axis=-2",
    "temperature=2.0",
    "temperature=0.5, axis=1",
    "dtype='float64'",
    "dtype='float16'",
    "dtype='float32'",
    "temperature=1.0, axis=0, dtype='float64'",
]
# With dtype= MXNet computes in the narrower of the two types, and rounds the output to it before
# the gradient; mxtape computes in the wider.
ROUNDED = {
    "float64": {"rtol": 2e-5, "why": "MXNet computes a float64 result of float32 data in float32"},
    "float16": {"rtol": 8e-3, "why": "MXNet rounds on its way to, and from, float16"},
}
for name in ("softmax", "log_softmax", "softmin"):
    for argument in SOFTMAX_ARGUMENTS:
        options = next((o for t, o in ROUNDED.items() if f"dtype='{t}'" in argument), {})
        line = f"nd.{name}(x{', ' + argument if argument else ''})"
        gradients(__name__, rows(), line, **options)
    values(
        __name__,
        rows(),
        f"nd.{name}(x, axis=3)\n"
        f"nd.{name}(x, axis=-4)\n"
        f"nd.{name}(x, dtype='int32')\n"
        f"x.{name}()\n"
        f"x.{name}(axis=1)",
    )
    for dtype in ("float64", "float16"):
        gradients(
            __name__,
            rows(dtype),
            f"nd.{name}(x)\nnd.{name}(x, axis=1, temperature=2)",
            prefix=f"{dtype} ",
        )
    values(
        __name__,
        rows("float16"),
        f"nd.{name}(x, dtype='float32')\nnd.{name}(x, dtype='float64')",
        prefix="float16 ",
        **ROUNDED["float16"],
    )


def lengths(mx):
    return {
        "x": array(mx, data((2, 3, 4), -3, 3, seed=101)),
        "n": mx.nd.array([[1, 2, 4], [0, 3, 4]], dtype="int32"),
        "k": mx.nd.array([[1, 2, 3, 0], [3, 3, 1, 2]], dtype="int32"),
        "r": mx.nd.array([1, 3], dtype="int32"),
        "m": array(mx, data((2, 4), -3, 3, seed=102)),
    }


gradients(
    __name__,
    lengths,
    """
    nd.softmax(x, n, use_length=True)
    nd.softmax(x, length=n, use_length=True)
    nd.softmax(x, k, axis=1, use_length=True)
    nd.softmax(m, r, use_length=True)
    nd.softmax(m, r, use_length=True, temperature=2.0)
    nd.softmax(x, n.astype('int64'), use_length=True)
    """,
    prefix="length ",
)
values(
    __name__,
    lengths,
    """
    nd.softmax(x, n)
    nd.softmax(x, use_length=True)
    nd.softmax(x, n.astype('float32'), use_length=True)
    nd.softmax(x, r, use_length=True)
    nd.log_softmax(m, use_length=True)
    nd.softmin(m, use_length=True)
    """,
    prefix="length ",
)

# ---- SoftmaxOutput: its gradient ignores the head unless out_grad is set

OUTPUT_ARGUMENTS = [
    "",
    "grad_scale=2.0",
    "normalization='batch'",
    "normalization='valid'",
    "normalization='null'",
    "use_ignore=True, ignore_label=1",
    "use_ignore=True, ignore_label=1, normalization='valid'",
    "use_ignore=True, ignore_label=1, normalization='batch'",
    "use_ignore=True",
    "ignore_label=1",
    "out_grad=True",
    "out_grad=True, grad_scale=0.5",
    "out_grad=True, normalization='batch'",
    "smooth_alpha=0.1",
    "smooth_alpha=0.3, use_ignore=True, ignore_label=2",
    "preserve_shape=True",
    "grad_scale=3.0, normalization='valid', use_ignore=True, ignore_label=0",
]


def logits(mx):
    return {
        "x": array(mx, data((4, 3), -3, 3, seed=111)),
        "l": mx.nd.array([0, 1, 2, 1]),
        "i": mx.nd.array([0, 1, 2, 1], dtype="int32"),
        "far": mx.nd.array([-1, 1, 7, 0], dtype="float32"),
        "p": mx.nd.array([[1, 0, 0], [0.5, 0.5, 0], [0.25, 0.25, 0.5], [0, 0, 1]]),
    }


def channels(mx):
    return {
        "x": array(mx, data((2, 3, 4), -3, 3, seed=112)),
        "l": mx.nd.array([[0, 1, 2, 1], [2, 2, 0, 1]]),
        "r": mx.nd.array([[0, 3, 2], [2, 1, 0]]),
    }


OUT = "\n".join(f"nd.SoftmaxOutput(x, l{', ' + a if a else ''})" for a in OUTPUT_ARGUMENTS)
gradients(__name__, logits, OUT)
gradients(
    __name__,
    logits,
    "nd.Softmax(x, l)\n"
    "nd.SoftmaxOutput(x, p)\n"
    "nd.SoftmaxOutput(x, p, grad_scale=2.0)\n"
    "nd.SoftmaxOutput(x, p, normalization='batch')",
)
gradients(__name__, logits, "nd.SoftmaxOutput(data=x, label=l, name='softmax')")
OUT = "\n".join(
    f"nd.SoftmaxOutput(x, l, multi_output=True{', ' + a if a else ''})" for a in OUTPUT_ARGUMENTS
)
gradients(__name__, channels, OUT)
gradients(
    __name__,
    channels,
    "\n".join(
        f"nd.SoftmaxOutput(x, r, preserve_shape=True{a}) "
        for a in (
            "",
            ", normalization='batch'",
            ", use_ignore=True, ignore_label=2, normalization='valid'",
        )
    ),
)
for dtype in ("float64", "float16"):

    def typed(mx, dtype=dtype):
        return {
            "x": array(mx, data((4, 3), -3, 3, seed=111, dtype=dtype)),
            "l": mx.nd.array([0, 1, 2, 1], dtype=dtype),
        }

    gradients(
        __name__,
        typed,
        "nd.SoftmaxOutput(x, l)\nnd.SoftmaxOutput(x, l, normalization='batch')",
        prefix=f"{dtype} ",
    )
values(
    __name__,
    logits,
    """
    nd.SoftmaxOutput(x, i)
    nd.SoftmaxOutput(x, l[:2])
    nd.SoftmaxOutput(x)
    nd.SoftmaxOutput(x, l.astype('float64'))
    nd.SoftmaxOutput(x, l, normalization='nonsense')
    nd.SoftmaxOutput(x, l.reshape((4, 1)))
    nd.SoftmaxOutput(x, l, smooth_alpha=2)
    nd.SoftmaxOutput(x[0], l[:1])
    nd.softmax_cross_entropy(x, l)
    nd.softmax_cross_entropy(x, i)
    nd.softmax_cross_entropy(x, l[:2])
    nd.softmax_cross_entropy(x, far)
    nd.softmax_cross_entropy(x[0], l[:1])
    nd.softmax_cross_entropy(x, p)
    """,
)
LOSSES = (
    "nd.softmax_cross_entropy(x, l)\n"
    "nd.softmax_cross_entropy(x, l) * 2\n"
    "nd.softmax_cross_entropy(data=x, label=l)"
)
gradients(__name__, logits, LOSSES, wrt="x")
gradients(__name__, logits, "nd.softmax_cross_entropy(x, l)", prefix="with label ")


@case
def softmax_output_ignores_its_head(mx):
    x, label = array(mx, data((2, 3), seed=113)), mx.nd.array([0, 2])
    grads = []
    for scale in (1, 10):
        x.attach_grad()
        with mx.autograd.record():
            y = mx.nd.SoftmaxOutput(x, label) * scale
        y.backward()
        grads.append(x.grad.copy())
    return grads


@case
def softmax_output_label_gets_zero_gradient(mx):
    x, label = array(mx, data((2, 3), seed=113)), mx.nd.array([0, 2])
    x.attach_grad()
    label.attach_grad()
    label.grad[:] = 7
    with mx.autograd.record():
        y = mx.nd.SoftmaxOutput(x, label)
    y.backward()
    return [x.grad, label.grad]


# ---- Dropout


@case
def dropout_is_the_identity_outside_training(mx):
    x = array(mx, data((2, 3), seed=121))
    x.attach_grad()
    with mx.autograd.record(train_mode=False):
        y = mx.nd.Dropout(x, p=0.5)
    y.backward(head_like(mx, y))
    with mx.autograd.predict_mode():
        z = mx.nd.Dropout(x, p=0.9)
    return [y, x.grad, mx.nd.Dropout(x), z]


@case
def dropout_p_zero(mx):
    x = array(mx, data((2, 3), seed=121))
    x.attach_grad()
    with mx.autograd.record():
        y = mx.nd.Dropout(x, p=0)
    y.backward(head_like(mx, y))
    return [y, x.grad, mx.nd.Dropout(x, p=0, mode="always")]


@case
def dropout_keeps_and_scales(mx):
    x = mx.nd.ones((200, 50))
    x.attach_grad()
    with mx.autograd.record():
        y = mx.nd.Dropout(x, p=0.75)
    y.backward()
    kept = y.asnumpy()
    fraction = (kept != 0).mean()
    return [
        sorted(set(kept.ravel().tolist())),
        bool(abs(fraction - 0.25) < 0.03),
        bool((x.grad.asnumpy() == kept).all()),
    ]


@case
def dropout_always(mx):
    y = mx.nd.Dropout(mx.nd.ones((100, 50)), p=0.5, mode="always")
    return [sorted(set(y.asnumpy().ravel().tolist())), y.dtype, y.shape]


@case
def dropout_axes_share_the_mask(mx):
    y = mx.nd.Dropout(mx.nd.ones((50, 20)), p=0.5, mode="always", axes=(0,)).asnumpy()
    z = mx.nd.Dropout(mx.nd.ones((50, 20)), p=0.5, mode="always", axes=(1,)).asnumpy()
    return [bool((y == y[0]).all()), bool((z == z[:, :1]).all()), bool((y == y[:, :1]).all())]


values(
    __name__,
    rows(),
    """
    nd.Dropout(x, p=1.5)
    nd.Dropout(x, p=-0.1)
    nd.Dropout(x, p=1)
    nd.Dropout(x, mode='nonsense')
    nd.Dropout(x.astype('float64'))
    nd.Dropout(x.astype('float16'), mode='always', p=0)
    """,
)
gradients(
    __name__,
    rows(),
    """
    nd.LeakyReLU(x)
    nd.MakeLoss(x * x)
    nd.make_loss(x * x)
    """,
)

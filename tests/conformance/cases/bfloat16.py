"""bfloat16 arrays, named as MXNet names them: by a structure that holds the bits.

Results are compared in float32, within an eighth of what float16's tolerance is to its precision:
MXNet truncates where mxtape rounds to nearest, and keeps more or fewer digits on the way.
"""

import numpy as np
from harness import array, case, data, values

BFLOAT16 = np.dtype([("bfloat16", np.uint16)])
TOLERANCE = {"rtol": 2.0**-6, "why": "bfloat16 has 8 bits, and MXNet truncates"}


def arrays(mx):
    return {
        "B": BFLOAT16,
        "x": array(mx, data((3, 4), -2, 2, seed=901)).astype(BFLOAT16),
        "y": array(mx, data((3, 4), 0.5, 2, seed=902)).astype(BFLOAT16),
        "i": array(mx, np.array([2, 0], dtype="int32")),
    }


def lines(text):
    """Each expression's result in float32."""
    return "\n".join(f"({line.strip()}).astype('float32')" for line in text.strip().splitlines())


values(
    __name__,
    arrays,
    lines("""
    x
    x.copy()
    x[1:]
    x[1]
    x.reshape((4, 3))
    x.T
    x.transpose((1, 0))
    x.slice_axis(axis=1, begin=1, end=3)
    nd.concat(x, y, dim=0)
    nd.stack(x, y)
    nd.zeros_like(x)
    nd.ones_like(x)
    nd.zeros((2, 3), dtype=B)
    nd.ones((2, 3), dtype=B)
    nd.take(x, i)
    """),
)
values(
    __name__,
    arrays,
    lines("""
    x + y
    x - y
    x * y
    x / y
    x + 1
    2 * x
    -x
    nd.abs(x)
    nd.square(x)
    nd.sqrt(y)
    nd.exp(x)
    nd.log(y)
    nd.tanh(x)
    nd.sigmoid(x)
    nd.relu(x)
    nd.maximum(x, y)
    nd.broadcast_add(x, y[0:1])
    nd.broadcast_mul(x, y[0:1])
    x.sum()
    x.sum(axis=1)
    x.mean(axis=0)
    nd.max(x, axis=1)
    nd.softmax(x)
    nd.log_softmax(x)
    nd.dot(x, y.T)
    nd.FullyConnected(x, y, no_bias=True, num_hidden=3)
    """),
    **TOLERANCE,
)


@case
def dtype(mx):
    x = arrays(mx)["x"]
    return [x.shape, x.size, (x + x).dtype == x.dtype, x.astype("float32").dtype]


@case(**TOLERANCE)
def round_trips(mx):
    """Numbers that bfloat16 holds come back, infinities and NaN included."""
    x = mx.nd.array([0.0, 1.0, -2.5, 3.140625, float("inf"), float("-inf"), float("nan"), 2.0**100])
    return x.astype(BFLOAT16).astype("float32")


@case(**TOLERANCE)
def amp_cast(mx):
    x = mx.nd.array([1.00390625, 1.01171875, 1.0, -1.01171875])
    return mx.nd.amp_cast(x, dtype=BFLOAT16).astype("float32")


@case(**TOLERANCE)
def gradient_of_a_product(mx):
    inputs = arrays(mx)
    x, y = inputs["x"], inputs["y"]
    x.attach_grad()
    y.attach_grad()
    with mx.autograd.record():
        z = x * y
    z.backward()
    return [x.grad.astype("float32"), y.grad.astype("float32")]

"""LayerNorm and its kin, LeakyReLU, LRN, moments."""

from harness import array, data, gradients, values


def typed(dtype):
    def setup(mx):
        return {
            "x": array(mx, data((2, 3, 4), -3, 3, seed=301, dtype=dtype)),
            "g": array(mx, data((4,), -2, 2, seed=302, dtype=dtype)),
            "b": array(mx, data((4,), -2, 2, seed=303, dtype=dtype)),
        }

    return setup


layers = typed("float32")
gradients(
    __name__,
    layers,
    """
    nd.LayerNorm(x, g, b)
    nd.LayerNorm(x, g, b, eps=0.5)
    nd.LayerNorm(x, gamma=g, beta=b, axis=2)
    nd.LayerNorm(x[0, 0], g, b)
    nd.LayerNorm(x, g, b, output_mean_var=True)
    """,
)
gradients(__name__, typed("float64"), "nd.LayerNorm(x, g, b)", prefix="float64 ")
gradients(__name__, typed("float16"), "nd.LayerNorm(x, g, b)", prefix="float16 ")
values(
    __name__,
    layers,
    """
    nd.LayerNorm(x * 1000 + 10000, g, b)
    nd.LayerNorm(x, g, b, axis=1)
    nd.LayerNorm(x, g[:3], b[:3], axis=1)
    nd.LayerNorm(x, g[:3], b[:3], axis=1, output_mean_var=True)
    nd.LayerNorm(x, g[:2], b[:2], axis=0)
    nd.LayerNorm(x, g, b, axis=3)
    nd.LayerNorm(x, g, b, axis=-4)
    nd.LayerNorm(x, g)
    nd.LayerNorm(x, g.reshape((1, 4)), b)
    nd.LayerNorm(x, g[:3], b)
    nd.LayerNorm(x.astype('float64'), g, b)
    nd.LayerNorm(x.astype('int32'), g.astype('int32'), b.astype('int32'))
    nd.LayerNorm(x, g, b, output_mean_std=True)
    """,
)


def channels(mx, dtype="float32"):
    return {
        "x": array(mx, data((2, 4, 3), -3, 3, seed=304, dtype=dtype)),
        "g": array(mx, data((2,), -2, 2, seed=305, dtype=dtype)),
        "b": array(mx, data((2,), -2, 2, seed=306, dtype=dtype)),
    }


def instances(mx):
    return {
        "x": array(mx, data((2, 4, 3), -3, 3, seed=304)),
        "g": array(mx, data((4,), -2, 2, seed=307)),
        "b": array(mx, data((4,), -2, 2, seed=308)),
    }


gradients(
    __name__,
    channels,
    """
    nd.GroupNorm(x, g, b, num_groups=2)
    nd.GroupNorm(x, g, b, num_groups=2, eps=0.5)
    nd.GroupNorm(x, g, b, num_groups=2, output_mean_var=True)
    """,
)
gradients(
    __name__,
    instances,
    "nd.InstanceNorm(x, g, b)\nnd.InstanceNorm(x, g, b, eps=0.1)\n"
    "nd.GroupNorm(x, g, b, num_groups=4)",
)
values(
    __name__,
    channels,
    """
    nd.GroupNorm(x, g, b, num_groups=3)
    nd.GroupNorm(x, g[:1], b[:1])
    nd.GroupNorm(x, g, b)
    nd.GroupNorm(x, g, b, num_groups=-2)
    nd.GroupNorm(x[0], g, b, num_groups=2)
    nd.GroupNorm(x.reshape((2, 4, 3, 1)), g, b, num_groups=2)
    nd.GroupNorm(x.astype('float64'), g, b, num_groups=2)
    nd.GroupNorm(x.astype('float16'), g.astype('float16'), b.astype('float16'), num_groups=2)
    nd.InstanceNorm(x, g, b)
    nd.InstanceNorm(x[0, 0], g, b)
    nd.InstanceNorm(x.reshape((6, 4)), g, b)
    """,
)
gradients(
    __name__,
    lambda mx: {"x": array(mx, data((2, 4, 3), -3, 3, seed=304))},
    """
    nd.L2Normalization(x)
    nd.L2Normalization(x, mode='channel')
    nd.L2Normalization(x, mode='spatial')
    nd.L2Normalization(x, eps=10)
    nd.L2Normalization(x.reshape((6, 4)))
    nd.L2Normalization(x.reshape((2, 2, 2, 3)), mode='spatial')
    nd.L2Normalization(x.reshape((2, 2, 2, 3)), mode='channel')
    nd.moments(x, axes=(0, 2))
    nd.moments(x, axes=1, keepdims=True)
    nd.moments(x, axes=(0, 1, 2))
    nd.moments(x, axes=(1,))[0]
    nd.moments(x, axes=(-1,))[1]
    """,
)
values(
    __name__,
    lambda mx: {"x": array(mx, data((2, 4, 3), -3, 3, seed=304))},
    """
    nd.L2Normalization(x * 0)
    nd.L2Normalization(x.reshape((24,)))
    nd.L2Normalization(x.reshape((6, 4)), mode='channel')
    nd.L2Normalization(x.reshape((6, 4)), mode='spatial')
    nd.L2Normalization(x.astype('float16'))
    nd.L2Normalization(x.astype('int32'))
    nd.L2Normalization(x, mode='nonsense')
    nd.moments(x)
    nd.moments(x, axes=())
    nd.moments(x, axes=3)
    nd.moments(x, axes=(0, 0))
    nd.moments(x, axes=(2, 0))
    nd.moments(x.astype('float16'), axes=(0, 1))
    nd.moments(x.astype('float64'), axes=(0, 1))
    hasattr(x, 'moments')
    """,
)

# ---- LRN: float32 alone, and on 4 axes, has a gradient in MXNet

gradients(
    __name__,
    lambda mx: {"x": array(mx, data((2, 5, 1, 2), -3, 3, seed=309))},
    """
    nd.LRN(x, nsize=3)
    nd.LRN(x, nsize=3, alpha=0.5, beta=0.6, knorm=1)
    nd.LRN(x, nsize=4, alpha=0.5)
    nd.LRN(x, nsize=1, alpha=0.5)
    nd.LRN(x, nsize=9, alpha=0.5)
    """,
    rtol=2e-4,
    why="oneDNN approximates the power",
)
values(
    __name__,
    lambda mx: {"x": array(mx, data((2, 5, 1, 2), -3, 3, seed=309))},
    "nd.LRN(x)",
)

# ---- LeakyReLU


def rectified(dtype):
    def setup(mx):
        return {"x": array(mx, data((2, 3, 4), -3, 3, seed=310, dtype=dtype))}

    return setup


KINDS = ("leaky", "elu", "selu", "gelu")
FLOAT_CONSTANTS = {"rtol": 1e-5, "why": "MXNet's constants and its erf are float32"}
for dtype in ("float32", "float64", "float16"):
    gradients(
        __name__,
        rectified(dtype),
        "\n".join(f"nd.LeakyReLU(x, act_type='{kind}')" for kind in KINDS),
        prefix=f"{dtype} ",
        **(FLOAT_CONSTANTS if dtype == "float64" else {}),
    )
gradients(
    __name__,
    rectified("float32"),
    """
    nd.LeakyReLU(x, slope=0.5)
    nd.LeakyReLU(x, slope=-0.5)
    nd.LeakyReLU(x, act_type='elu', slope=0.5)
    nd.LeakyReLU(x, None, 'elu')
    nd.LeakyReLU(x * 0)
    nd.LeakyReLU(x * 0, act_type='elu')
    nd.LeakyReLU(x * 0, act_type='selu')
    """,
)
values(
    __name__,
    lambda mx: {
        "x": mx.nd.array([-100, -20, -0.5, 0, 20, 100]),
        "i": mx.nd.array([-1, 2], dtype="int32"),
        "g": mx.nd.array([0.5]),
    },
    "\n".join(f"nd.LeakyReLU(x, act_type='{kind}')" for kind in KINDS)
    + """
    nd.LeakyReLU(i)
    nd.LeakyReLU(x, act_type='nonsense')
    nd.LeakyReLU(x, act_type='prelu')
    nd.LeakyReLU(x, g)
    nd.LeakyReLU(x, 'elu')
    nd.LeakyReLU(x, g.astype('float64'), act_type='prelu')
    """,
    prefix="range ",
)
for shape in ((3,), (1,), (2,), (1, 1), (2, 3), (1, 3)):

    def prelu(mx, shape=shape):
        return {
            "x": array(mx, data((2, 3, 4), -3, 3, seed=310)),
            "g": array(mx, data(shape, 0, 1, seed=311)),
        }

    gradients(__name__, prelu, "nd.LeakyReLU(x, g, act_type='prelu')", prefix=f"{shape} ")
gradients(
    __name__,
    lambda mx: {
        "x": array(mx, data((3,), -3, 3, seed=312)),
        "g": array(mx, data((3,), 0, 1, seed=311)),
    },
    "nd.LeakyReLU(x, g, act_type='prelu')\nnd.LeakyReLU(x, g[:1], act_type='prelu')",
)
for shape in ((3, 1), (1, 3, 1), (2, 3, 4), (3, 4), (4,), (5,)):

    def wrong(mx, shape=shape):
        return {"x": mx.nd.ones((2, 3, 4)), "g": mx.nd.ones(shape)}

    values(__name__, wrong, "nd.LeakyReLU(x, g, act_type='prelu')", prefix=f"{shape} ")
values(
    __name__,
    rectified("float32"),
    "nd.LeakyReLU(x, act_type='rrelu')[0]\n"
    "nd.LeakyReLU(x, act_type='rrelu', lower_bound=0.2, upper_bound=0.6)[0]\n"
    "len(nd.LeakyReLU(x, act_type='rrelu'))",
)

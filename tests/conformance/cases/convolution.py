"""Convolution, Deconvolution, im2col and col2im: every parameter, gradients, errors."""

from harness import array, data, gradients, values


def arrays(x, w, b=None, dtype="float32", seed=1):
    def setup(mx):
        names = {"x": array(mx, data(x, -2, 2, seed=seed, dtype=dtype))}
        names["w"] = array(mx, data(w, -1, 1, seed=seed + 1, dtype=dtype))
        if b:
            names["b"] = array(mx, data((b,), -1, 1, seed=seed + 2, dtype=dtype))
        return names

    return setup


def conv(arguments, op="Convolution", names="x, w, b"):
    return "\n".join(f"nd.{op}({names}, {a})" for a in arguments)


IMAGE = [
    "kernel=(3, 3), num_filter=4",
    "kernel=(3, 3), num_filter=4, stride=(2, 1)",
    "kernel=(3, 3), num_filter=4, pad=(1, 2)",
    "kernel=(3, 3), num_filter=4, dilate=(2, 1)",
    "kernel=(3, 3), num_filter=4, stride=(2, 2), pad=(2, 2), dilate=(2, 2)",
    "kernel=(3, 3), num_filter=4, layout='NCHW', cudnn_tune='off', cudnn_off=True, workspace=64",
    "kernel=(3, 3), num_filter=4, cudnn_tune='fastest', cudnn_off=False",
    "kernel=[3, 3], num_filter=4, stride=[1, 1]",
]
for dtype in ("float32", "float64"):
    gradients(
        __name__,
        arrays((2, 3, 6, 7), (4, 3, 3, 3), 4, dtype),
        conv(IMAGE) + "\n" + conv(IMAGE[:5], "Convolution_v1"),
        prefix=f"{dtype} ",
    )
    gradients(
        __name__,
        arrays((2, 3, 6, 7), (4, 3, 3, 3), dtype=dtype),
        conv([f"{a}, no_bias=True" for a in IMAGE[:2]], names="x, w"),
        prefix=f"no bias {dtype} ",
    )
    GROUPED = [
        "kernel=(3, 2), num_filter=6, num_group=2",
        "kernel=(3, 2), num_filter=6, num_group=2, pad=(1, 1)",
    ]
    gradients(
        __name__,
        arrays((2, 4, 5, 6), (6, 2, 3, 2), 6, dtype),
        conv(GROUPED),
        prefix=f"groups {dtype} ",
    )
    gradients(
        __name__,
        arrays((2, 4, 5, 6), (4, 1, 3, 3), 4, dtype),
        conv(["kernel=(3, 3), num_filter=4, num_group=4, stride=(2, 2)"]),
        prefix=f"depthwise {dtype} ",
    )
    gradients(
        __name__,
        arrays((2, 3, 9), (4, 3, 3), 4, dtype),
        conv(
            [
                "kernel=(3,), num_filter=4",
                "kernel=3, num_filter=4",
                "kernel=(3,), num_filter=4, stride=(2,), pad=(1,), dilate=(2,), layout='NCW'",
            ]
        ),
        prefix=f"1-d {dtype} ",
    )
    gradients(
        __name__,
        arrays((1, 2, 4, 5, 4), (3, 2, 2, 3, 2), 3, dtype),
        conv(
            [
                "kernel=(2, 3, 2), num_filter=3",
                "kernel=(2, 3, 2), num_filter=3, stride=(2, 1, 2), pad=(1, 1, 0), layout='NCDHW'",
            ]
        ),
        prefix=f"3-d {dtype} ",
    )
    gradients(
        __name__,
        arrays((2, 3, 4, 5), (3, 4, 3, 3), dtype=dtype),
        conv(
            [
                "kernel=(3, 3), num_filter=4",
                "kernel=(3, 3), num_filter=4, stride=(2, 2), pad=(1, 0), adj=(1, 0)",
                "kernel=(3, 3), num_filter=4, dilate=(2, 1), layout='NCHW'",
                "kernel=(3, 3), num_filter=4, stride=(2, 2), target_shape=(0, 0)",
                "kernel=(3, 3), num_filter=4, stride=(2, 2), target_shape=(9, 11)",
            ],
            "Deconvolution",
            "x, w",
        ),
        prefix=f"{dtype} ",
    )
    gradients(
        __name__,
        arrays((2, 3, 4, 5), (3, 4, 3, 3), 4, dtype),
        conv(
            [
                "kernel=(3, 3), num_filter=4, no_bias=False",
                "kernel=(3, 3), num_filter=4, no_bias=False, stride=(2, 1), pad=(1, 1)",
            ],
            "Deconvolution",
        ),
        prefix=f"bias {dtype} ",
    )
    gradients(
        __name__,
        arrays((2, 4, 4, 3), (4, 3, 2, 3), dtype=dtype),
        conv(["kernel=(2, 3), num_filter=6, num_group=2"], "Deconvolution", "x, w"),
        prefix=f"groups {dtype} ",
    )
    gradients(
        __name__,
        arrays((2, 3, 5), (3, 4, 3), dtype=dtype),
        conv(
            ["kernel=(3,), num_filter=4", "kernel=(3,), num_filter=4, stride=(2,), adj=(1,)"],
            "Deconvolution",
            "x, w",
        ),
        prefix=f"1-d {dtype} ",
    )
# MXNet chooses pads for target_shape in float64 alone; the 3-d layer exists in float32 alone.
gradients(
    __name__,
    arrays((1, 2, 4, 5), (2, 3, 3, 3), dtype="float64"),
    conv(
        ["kernel=(3, 3), num_filter=3, stride=(2, 2), target_shape=(10, 11)"]
        + [
            f"kernel=(3, 3), num_filter=3, stride=(2, 2), pad=(7, 7), target_shape={t}"
            for t in [(8, 10), (7, 7), (4, 11), (1, 1)]
        ]
        + [
            "kernel=(3, 3), num_filter=3, dilate=(2, 2), target_shape=(6, 7)",
            "kernel=(3, 3), num_filter=3, target_shape=(4, 5)",
            "kernel=(3, 3), num_filter=3, target_shape=(5, 6)",
            "kernel=(3, 3), num_filter=3, target_shape=(7, 8)",
        ],
        "Deconvolution",
        "x, w",
    ),
    prefix="target ",
)
# In float64 MXNet computes stride and dilate together wrongly, see differences.py.
gradients(
    __name__,
    arrays((2, 3, 4, 5), (3, 4, 3, 3)),
    conv(
        ["kernel=(3, 3), num_filter=4, stride=(2, 2), dilate=(2, 1), pad=(2, 1)"],
        "Deconvolution",
        "x, w",
    ),
    prefix="float32 ",
)
gradients(
    __name__,
    arrays((1, 2, 3, 4, 3), (2, 3, 2, 3, 2)),
    conv(
        [
            "kernel=(2, 3, 2), num_filter=3",
            "kernel=(2, 3, 2), num_filter=3, stride=(2, 1, 2), pad=(0, 1, 1), adj=(1, 0, 0)",
        ],
        "Deconvolution",
        "x, w",
    ),
    prefix="3-d ",
)
values(
    __name__,
    arrays((1, 2, 5, 5), (3, 2, 3, 3), 3),
    """
    nd.Convolution(x, w, b, num_filter=3)
    nd.Convolution(x, w, b, kernel=(3, 3))
    nd.Convolution(x, w, kernel=(3, 3), num_filter=3)
    nd.Convolution(x, w, b, kernel=(3, 3), num_filter=3, no_bias=True)
    nd.Convolution(x, w, b, kernel=(2, 2), num_filter=3)
    nd.Convolution(x, w, b, kernel=(3, 3), num_filter=4)
    nd.Convolution(x, w, b, kernel=(3, 3), num_filter=0)
    nd.Convolution(x, w, b, kernel=(3,), num_filter=3)
    nd.Convolution(x, w, b, kernel=(), num_filter=3)
    nd.Convolution(x, w, b, kernel=(3, 3), num_filter=3, stride=2)
    nd.Convolution(x, w, b, kernel=(3, 3), num_filter=3, stride=(0, 1))
    nd.Convolution(x, w, b, kernel=(3, 3), num_filter=3, dilate=(0, 0))
    nd.Convolution(x, w, b, kernel=(3, 3), num_filter=3, dilate=(3, 1))
    nd.Convolution(x, w, b, kernel=(3, 3), num_filter=3, pad=(1, 1, 1))
    nd.Convolution(x, w, b, kernel=(3, 3), num_filter=3, layout='NHWC')
    nd.Convolution(x, w, b, kernel=(3, 3), num_filter=3, layout='NWC')
    nd.Convolution(x, w, b, kernel=(3, 3), num_filter=3, cudnn_tune='best')
    nd.Convolution(x, w, b, kernel=(3, 3), num_filter=3, num_group=2)
    nd.Convolution(x, w, w, kernel=(3, 3), num_filter=3)
    nd.Convolution(x, w.astype('float64'), b, kernel=(3, 3), num_filter=3)
    nd.Convolution(*(v.astype('int32') for v in (x, w, b)), kernel=(3, 3), num_filter=3)
    nd.Convolution(x[0:1, :, 0:2], w, b, kernel=(3, 3), num_filter=3)
    nd.Convolution_v1(x, w, b, kernel=(3, 3), num_filter=3, layout='NHWC')
    nd.Convolution_v1(x, w, b, kernel=(3, 3), num_filter=3, layout='NCW')
    nd.Convolution_v1(x[0], w[0], b, kernel=(3,), num_filter=3)
    nd.Deconvolution(x, w, kernel=(3, 3), num_filter=3)
    nd.Deconvolution(x, w, b, kernel=(3, 3), num_filter=3)
    """,
    prefix="errors ",
)
values(
    __name__,
    arrays((1, 2, 5, 5), (2, 3, 3, 3), 3),
    """
    nd.Deconvolution(x, w, kernel=(3, 3), num_filter=3, no_bias=False)
    nd.Deconvolution(x, w, kernel=(3, 3), num_filter=3, adj=(1, 1))
    nd.Deconvolution(x, w, kernel=(3, 3), num_filter=3, stride=(2, 2), adj=(3, 1))
    nd.Deconvolution(x, w, kernel=(3, 3), num_filter=3, stride=(2, 2), adj=(1,))
    nd.Deconvolution(x, w, kernel=(3, 3), num_filter=3, stride=(2, 2), target_shape=(12, 11))
    nd.Deconvolution(x, w, kernel=(3, 3), num_filter=3, stride=(2, 2), target_shape=(0, 11))
    nd.Deconvolution(x, w, kernel=(3, 3), num_filter=3, stride=(2, 2), target_shape=(9,))
    nd.Deconvolution(x, w, kernel=(3, 3), num_filter=3, pad=(4, 4))
    nd.Deconvolution(x, w, kernel=(3, 3), num_filter=3, pad=(3, 3))
    nd.Deconvolution(x, w, kernel=(3, 3), num_filter=3, layout='NHWC')
    nd.Deconvolution(x, w, kernel=(3, 3), num_filter=3, num_group=2)
    nd.Deconvolution(x.astype('int32'), w.astype('int32'), kernel=(3, 3), num_filter=3)
    """,
    prefix="errors ",
)


def image(dtype):
    return lambda mx: {"x": array(mx, data((2, 3, 5, 6), -2, 2, seed=7, dtype=dtype))}


def matrix(dtype):
    return lambda mx: {"m": array(mx, data((2, 12, 20), -2, 2, seed=8, dtype=dtype))}


for dtype in ("float32", "float64"):
    gradients(
        __name__,
        image(dtype),
        """
        nd.im2col(x, kernel=(2, 2))
        nd.im2col(x, kernel=(3, 2), stride=(2, 1), pad=(1, 2))
        nd.im2col(x, kernel=(2, 3), dilate=(3, 2), pad=(0, 1))
        nd.im2col(x, (2, 2))
        """,
        prefix=f"{dtype} ",
    )
    gradients(
        __name__,
        matrix(dtype),
        """
        nd.col2im(m, output_size=(5, 6), kernel=(2, 2))
        nd.col2im(m, output_size=(4, 5), kernel=(1, 1))
        nd.col2im(m, output_size=(6, 7), kernel=(2, 3), stride=(1, 2), pad=(0, 1), dilate=(3, 1))
        nd.col2im(m, (5, 6), (2, 2))
        """,
        prefix=f"{dtype} ",
    )
values(
    __name__,
    image("float32"),
    """
    nd.im2col(x.astype('float16'), kernel=(2, 2))
    nd.im2col(x.astype('int32'), kernel=(2, 2))
    nd.im2col(x, kernel=(2, 7))
    nd.im2col(x)
    nd.im2col(x, kernel=(2, 2), stride=(0, 1))
    nd.im2col(x, kernel=(2, 2), stride=1)
    """,
    prefix="more ",
)
values(
    __name__,
    matrix("float32"),
    """
    nd.col2im(m.astype('int32'), output_size=(5, 6), kernel=(2, 2))
    nd.col2im(m, output_size=(5, 5), kernel=(2, 2))
    nd.col2im(m, output_size=(5, 6, 1), kernel=(2, 2))
    nd.col2im(m, output_size=(6, 7), kernel=(2, 4))
    nd.col2im(m, kernel=(2, 2))
    """,
    prefix="more ",
)

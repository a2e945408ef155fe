"""Pooling, adaptive pooling, resizing, upsampling: results, gradients and what is refused."""

from harness import array, data, gradients, values


def images(shape=(2, 2, 7, 6), dtype="float32", low=-2, high=2):
    def setup(mx):
        return {"x": array(mx, data(shape, low, high, seed=11, dtype=dtype))}

    return setup


WINDOWS = [
    "kernel=(2, 2)",
    "kernel=(2, 3), stride=(2, 2)",
    "kernel=(3, 3), stride=(2, 2), pad=(1, 1)",
    "kernel=(3, 2), stride=(2, 3), pooling_convention='full'",
    "kernel=(3, 3), stride=(2, 2), pad=(1, 1), pooling_convention='full'",
    "kernel=(2, 3), layout='NHWC', stride=(2, 2)",
    "global_pool=True",
    "global_pool=True, layout='NHWC'",
    "global_pool=True, kernel=(2, 2), pad=(1, 1), stride=(3, 3)",
]
KINDS = ["", ", pool_type='avg'", ", pool_type='avg', count_include_pad=False", ", pool_type='sum'"]
for dtype in ("float32", "float64"):
    gradients(
        __name__,
        images(dtype=dtype),
        "\n".join(f"nd.Pooling(x, {w}{k})" for w in WINDOWS for k in KINDS),
        prefix=f"{dtype} ",
    )
gradients(
    __name__,
    images(low=0.5, high=2),
    "\n".join(
        f"nd.Pooling(x, {w}, pool_type='lp', p_value={p})" for w in WINDOWS[:6] for p in (1, 2, 3)
    ),
)
gradients(
    __name__,
    images((2, 3, 9)),
    """
    nd.Pooling(x, kernel=(2,))
    nd.Pooling(x, kernel=(3,), stride=(2,), pad=(1,), pool_type='avg')
    nd.Pooling(x, kernel=(4,), stride=(3,), pooling_convention='full')
    nd.Pooling(x, kernel=(4,), stride=(3,), layout='NWC', pool_type='sum')
    nd.Pooling(x, global_pool=True, pool_type='avg')
    """,
    prefix="1-d ",
)
gradients(
    __name__,
    images((2, 2, 4, 5, 3)),
    """
    nd.Pooling(x, kernel=(2, 2, 2))
    nd.Pooling(x, kernel=(2, 3, 2), stride=(2, 2, 1), pad=(1, 1, 0), pool_type='avg')
    nd.Pooling(x, kernel=(2, 3, 1), stride=(2, 2, 2), pool_type='avg', layout='NDHWC')
    nd.Pooling(x, kernel=(3, 3, 2), stride=(2, 1, 2), pooling_convention='full')
    nd.Pooling(x, global_pool=True, pool_type='sum')
    """,
    prefix="3-d ",
)
gradients(
    __name__,
    lambda mx: {"x": mx.nd.array([[[[1, 1, 1, 1], [1, 1, 1, 1], [0, 2, 2, 0], [2, 0, 0, 2]]]])},
    """
    nd.Pooling(x, kernel=(2, 2))
    nd.Pooling(x, kernel=(2, 2), stride=(2, 2))
    nd.Pooling(x, kernel=(2, 2), pad=(1, 1))
    nd.Pooling(x, kernel=(1, 1), stride=(2, 2), pooling_convention='full')
    nd.Pooling(x, kernel=(1, 1), stride=(2, 2), pooling_convention='full', pool_type='avg')
    nd.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type='lp', p_value=2)
    nd.Pooling(x * 0, kernel=(2, 2), stride=(2, 2), pool_type='lp', p_value=3)
    nd.Pooling(x * float('inf'), kernel=(2, 2), stride=(1, 2))
    """,
    prefix="ties ",
)
values(
    __name__,
    images(),
    """
    nd.Pooling(x)
    nd.Pooling(x, kernel=(2,))
    nd.Pooling(x, kernel=2)
    nd.Pooling(x, kernel=(2, 2, 2))
    nd.Pooling(x, kernel=(0, 2))
    nd.Pooling(x, kernel=(9, 2))
    nd.Pooling(x, kernel=(9, 2), pad=(1, 0))
    nd.Pooling(x, kernel=(2, 2), stride=(1,))
    nd.Pooling(x, kernel=(2, 2), stride=(0, 1))
    nd.Pooling(x, kernel=(2, 2), pad=(2, 2))
    nd.Pooling(x, kernel=(2, 2), pad=(1,))
    nd.Pooling(x, kernel=(2, 2), pool_type='nonsense')
    nd.Pooling(x, kernel=(2, 2), pool_type='lp')
    nd.Pooling(x, kernel=(2, 2), pool_type='lp', p_value=4)
    nd.Pooling(x, kernel=(2, 2), layout='NCW')
    nd.Pooling(x, kernel=(2, 2), layout='NCDHW')
    nd.Pooling(x, kernel=(2, 2), layout='CHWN')
    nd.Pooling(x, kernel=(2, 2), pooling_convention='same')
    nd.Pooling(x, kernel=(2, 2), nonsense=1)
    nd.Pooling(x, (2, 2), 'avg', False, False, 'full', (2, 2))
    nd.Pooling(x, kernel=(2, 2), cudnn_off=True)
    nd.Pooling(x.astype('int32'), kernel=(2, 2))
    nd.Pooling(x.astype('float16'), kernel=(2, 2))
    nd.Pooling(x.astype('float16'), kernel=(2, 3), pad=(1, 1), pool_type='avg')
    nd.Pooling(x.reshape((28, 6)), kernel=(2,))
    nd.Pooling(x.reshape((28, 6)), global_pool=True)
    nd.Pooling(x.reshape((4, 7, 6)), kernel=(2, 2))
    """,
)

V1 = [
    "kernel=(2, 2)",
    "kernel=(3, 3), stride=(2, 2), pad=(1, 1)",
    "kernel=(3, 3), stride=(2, 2), pooling_convention='full'",
    "kernel=(3, 3), stride=(2, 3), pad=(1, 1), pooling_convention='full'",
    "global_pool=True",
]
# Positive: its maxima take the padding for zeros. From many numbers: all equal maxima have the
# gradient. Neither is so in mxtape.
gradients(
    __name__,
    images(low=1, high=60),
    "\n".join(f"nd.Pooling_v1(x, {w}, pool_type='{k}')" for w in V1 for k in ("max", "avg", "sum")),
)
values(
    __name__,
    images(),
    """
    nd.Pooling_v1(x, kernel=(2, 2), pool_type='lp')
    nd.Pooling_v1(x, kernel=(2, 2), pooling_convention='same')
    nd.Pooling_v1(x.reshape((4, 7, 6)), kernel=(2,))
    nd.Pooling_v1(x)
    """,
)

for dtype in ("float32", "float64"):
    gradients(
        __name__,
        images(dtype=dtype),
        "\n".join(
            f"nd.contrib.AdaptiveAvgPooling2D(x{a})"
            for a in ("", ", output_size=3", ", output_size=(3, 2)", ", (9, 4)", ", (1,)")
        ),
        prefix=f"{dtype} ",
    )
values(
    __name__,
    images(),
    """
    nd.contrib.AdaptiveAvgPooling2D(x.astype('int32'))
    nd.contrib.AdaptiveAvgPooling2D(x.astype('float16'), output_size=2)
    nd.contrib.AdaptiveAvgPooling2D(x.reshape((4, 7, 6)), output_size=2)
    nd.contrib.AdaptiveAvgPooling2D(x, output_size='big')
    """,
)

RESIZES = [
    "height=9, width=11",
    "height=3, width=4",
    "height=7, width=6",
    "height=1, width=1",
    "height=9, width=1, align_corners=False",
    "height=9, width=11, align_corners=False",
    "height=3, width=4, align_corners=False",
    "height=12",
    "",
    "scale_height=2.0, scale_width=1.5",
    "scale_height=0.5, scale_width=2.4, align_corners=False",
    "scale_height=2.0, scale_width=0.7, mode='odd_scale'",
    "mode='to_even_down'",
    "mode='to_even_up'",
    "mode='to_odd_down', align_corners=False",
    "mode='to_odd_up'",
]
gradients(
    __name__,
    images(),
    "\n".join(f"nd.contrib.BilinearResize2D(x{', ' * bool(a)}{a})" for a in RESIZES)
    + "\nnd.contrib.BilinearResize2D(x, nd.ones((2, 2, 5, 9)), mode='like')"
    + "\nnd.contrib.BilinearResize2D(x, nd.ones((2, 2, 9, 4)), mode='like', align_corners=False)",
    rtol=5e-5,
    why="MXNet finds the places between elements in float32",
)
values(
    __name__,
    images(),
    """
    nd.contrib.BilinearResize2D(x, height=0, width=2)
    nd.contrib.BilinearResize2D(x, height=-1, width=2)
    nd.contrib.BilinearResize2D(x, scale_height=2.0)
    nd.contrib.BilinearResize2D(x, height=4, width=4, mode='odd_scale')
    nd.contrib.BilinearResize2D(x, scale_height=-2.0, scale_width=1.0)
    nd.contrib.BilinearResize2D(x, mode='like')
    nd.contrib.BilinearResize2D(x, x, height=4, width=4)
    nd.contrib.BilinearResize2D(x, mode='nonsense')
    nd.contrib.BilinearResize2D(x.reshape((4, 7, 6)), height=4, width=4)
    """,
)


def pyramid(mx):
    return {
        "x": array(mx, data((2, 2, 3, 2), seed=21)),
        "y": array(mx, data((2, 1, 6, 4), seed=22)),
    }


def weighted(scale, kernel, channels=2):
    def setup(mx):
        return {
            "x": array(mx, data((2, channels, 3, 4), seed=24)),
            "w": array(mx, data((channels, 1, kernel, kernel), seed=25)),
        }

    gradients(
        __name__,
        setup,
        f"nd.UpSampling(x, w, scale={scale}, sample_type='bilinear', num_filter={channels}, "
        "num_args=2)",
        prefix=f"{kernel} ",
    )


gradients(
    __name__,
    pyramid,
    """
    nd.UpSampling(x, scale=2, sample_type='nearest', num_args=1)
    nd.UpSampling(x, scale=3, sample_type='nearest')
    nd.UpSampling(x, y, scale=2, sample_type='nearest', num_args=2)
    nd.UpSampling(x, y, x, scale=4, sample_type='nearest', num_args=3)
    nd.UpSampling(x, x, scale=2, sample_type='nearest', num_args=2, multi_input_mode='sum')
    """,
)
for scale, kernel in ((1, 1), (2, 4), (3, 5), (4, 8)):
    weighted(scale, kernel)
weighted(2, 4, channels=1)
values(
    __name__,
    pyramid,
    """
    nd.UpSampling(x, y, scale=2, sample_type='nearest', num_args=2, multi_input_mode='sum')
    nd.UpSampling(x, scale=0, sample_type='nearest', num_args=1)
    nd.UpSampling(x, sample_type='nearest', num_args=1)
    nd.UpSampling(x, scale=2, num_args=1)
    nd.UpSampling(x, scale=2, sample_type='bilinear', num_filter=2, num_args=1)
    nd.UpSampling(x.astype('int32'), scale=2, sample_type='nearest', num_args=1)
    nd.UpSampling(x.astype('float16'), scale=2, sample_type='nearest', num_args=1)
    nd.UpSampling(x.reshape((4, 3, 2)), scale=2, sample_type='nearest', num_args=1)
    """,
)

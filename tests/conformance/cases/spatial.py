"""Sampling of images: grids, bilinear sampling, spatial transformers, pooling of regions."""

from harness import array, case, data, gradients, head_like, values


def grids(dtype="float32"):
    def setup(mx):
        return {
            "a": mx.nd.array([[1, 0, 0, 0, 1, 0], [0.5, 0.1, -0.2, 0.3, 0.7, 0.1]], dtype=dtype),
            "f": array(mx, data((2, 2, 3, 4), -1, 1, seed=201, dtype=dtype)),
        }

    return setup


gradients(
    __name__,
    grids(),
    """
    nd.GridGenerator(a, 'affine', (2, 3))
    nd.GridGenerator(a, transform_type='affine', target_shape=(4, 2))
    nd.GridGenerator(data=a, transform_type='affine', target_shape=(1, 3))
    """,
    wrt="a",
)
gradients(
    __name__,
    grids(),
    "nd.GridGenerator(f, 'warp')\nnd.GridGenerator(f, transform_type='warp', target_shape=(5, 5))",
    wrt="f",
)
values(
    __name__,
    grids(),
    """
    nd.GridGenerator(a, 'affine')
    nd.GridGenerator(a, 'affine', (0, 3))
    nd.GridGenerator(a, 'affine', (3,))
    nd.GridGenerator(a, 'affine', (1, 1))
    nd.GridGenerator(f[:, :, :1, :1], 'warp')
    nd.GridGenerator(a[:, :5], 'affine', (2, 3))
    nd.GridGenerator(a.reshape((2, 2, 3)), 'affine', (2, 3))
    nd.GridGenerator(f, 'affine', (2, 3))
    nd.GridGenerator(a, 'warp')
    nd.GridGenerator(a)
    nd.GridGenerator(a, 'nonsense', (2, 3))
    nd.GridGenerator(f.astype('int32'), 'warp')
    nd.GridGenerator(a.astype('int32'), 'affine', (2, 3))
    """,
)


def images(dtype="float32"):
    def setup(mx):
        return {
            "x": array(mx, data((2, 3, 4, 5), seed=202, dtype=dtype)),
            "g": array(mx, data((2, 2, 3, 3), -1.4, 1.4, seed=203, dtype=dtype)),
        }

    return setup


for dtype in ("float32", "float64"):
    gradients(
        __name__,
        images(dtype),
        "nd.BilinearSampler(x, g)\nnd.BilinearSampler(data=x, grid=g, cudnn_off=True)",
        prefix=f"{dtype} ",
    )
gradients(
    __name__,
    images("float16"),
    "nd.BilinearSampler(x, g)",
    prefix="float16 ",
    rtol=0.03,
    why="MXNet computes the place of a sample in float16",
)
gradients(
    __name__,
    lambda mx: {
        "x": array(mx, data((1, 1, 3, 5), seed=204)),
        "g": mx.nd.array(
            [[-1, 1, 0, 0.5, -1.25, 1.25, 3, -3, 1e30], [1, -1, 0, -1, 1, 0.5, 0, 1, 0]]
        ).reshape((1, 2, 3, 3)),
    },
    "nd.BilinearSampler(x, g)",
    prefix="borders ",
)
gradients(
    __name__,
    lambda mx: {"x": array(mx, data((1, 2, 1, 1), seed=205)), "g": mx.nd.ones((1, 2, 2, 1)) * 0.25},
    "nd.BilinearSampler(x, g)",
    prefix="one pixel ",
)
values(
    __name__,
    images(),
    """
    nd.BilinearSampler(x, g[:1])
    nd.BilinearSampler(x, nd.concat(g, g, dim=1))
    nd.BilinearSampler(x, g[0])
    nd.BilinearSampler(x[0], g)
    nd.BilinearSampler(x.astype('float64'), g)
    nd.BilinearSampler(x.astype('int32'), g.astype('int32'))
    nd.BilinearSampler(x)
    """,
)


def transformed(dtype="float32"):
    def setup(mx):
        return {
            "x": array(mx, data((2, 3, 4, 5), seed=206, dtype=dtype)),
            "l": mx.nd.array(
                [[1.06, 0.13, 0.02, -0.08, 0.94, 0.03], [0.5, 0.1, -0.2, 0.3, 0.7, 0.1]],
                dtype=dtype,
            ),
        }

    return setup


for dtype in ("float32", "float64"):
    gradients(
        __name__,
        transformed(dtype),
        """
        nd.SpatialTransformer(x, l, (3, 4), 'affine', 'bilinear')
        nd.SpatialTransformer(x, l, (6, 2), 'affine', sampler_type='bilinear', cudnn_off=True)
        """,
        prefix=f"{dtype} ",
    )
values(
    __name__,
    transformed(),
    """
    nd.SpatialTransformer(x, l, transform_type='affine', sampler_type='bilinear')
    nd.SpatialTransformer(x, l, (2, 3))
    nd.SpatialTransformer(x, l, (2, 3), 'affine')
    nd.SpatialTransformer(x, l, (2, 3), 'warp', 'bilinear')
    nd.SpatialTransformer(x, l, (2, 3), 'affine', 'nearest')
    nd.SpatialTransformer(x, l[:1], (2, 3), 'affine', 'bilinear')
    nd.SpatialTransformer(x, l[:, :5], (2, 3), 'affine', 'bilinear')
    nd.SpatialTransformer(x[0], l, (2, 3), 'affine', 'bilinear')
    """,
)

# ---- regions of interest


def regions(dtype="float32"):
    def setup(mx):
        return {
            "x": array(mx, data((2, 8, 7, 9), seed=211, dtype=dtype)),
            "r": mx.nd.array(
                [[0, 0, 0, 8, 6], [1, 1.2, 0.7, 6.4, 5.1], [0, 5, 5, 5, 5], [1, 3, 2, 12, 9]],
                dtype=dtype,
            ),
            "far": mx.nd.array(
                [[0, -4, -3, 2, 2], [1, 20, 20, 30, 30], [0, 6, 5, 2, 1]], dtype=dtype
            ),
            "wide": mx.nd.array(
                [[0, 0, 0, 8, 6], [1, 1.2, 0.7, 6.4, 5.1], [0, -5, 1, 3, 1.5], [1, 3, 2, 30, 90]],
                dtype=dtype,
            ),
            "none": mx.nd.array([[-1, 0, 0, 4, 4]], dtype=dtype),
            "beyond": mx.nd.array([[2, 0, 0, 4, 4]], dtype=dtype),
        }

    return setup


POOLINGS = """
nd.ROIPooling(x, {r}, (2, 2), 1.0)
nd.ROIPooling(x, {r}, pooled_size=(3, 4), spatial_scale=0.5)
nd.ROIPooling(data=x, rois={r}, pooled_size=(1, 2), spatial_scale=1.4)
"""
ALIGNMENTS = """
nd.contrib.ROIAlign(x, {r}, (2, 2), 1.0)
nd.contrib.ROIAlign(x, {r}, (3, 4), 0.5, 2)
nd.contrib.ROIAlign(x, {r}, pooled_size=(2, 2), spatial_scale=1.0, position_sensitive=True)
"""
# Under aligned=True MXNet ends the process where a region has no width.
WIDE_ALIGNMENTS = """
nd.contrib.ROIAlign(x, wide, (3, 2), 1.0, 3, False, True)
nd.contrib.ROIAlign(x, wide, pooled_size=(2, 3), spatial_scale=0.75, aligned=True)
nd.contrib.ROIAlign(x, wide, (1, 2), 1.0, 2, position_sensitive=True, aligned=True)
"""
for dtype in ("float32", "float64"):
    for r in ("r", "far"):
        gradients(__name__, regions(dtype), POOLINGS.format(r=r), prefix=f"{dtype} ", wrt="x")
for r in ("r", "far"):
    gradients(__name__, regions(), ALIGNMENTS.format(r=r), wrt="x")
# MXNet does not write all of the result for a region of image -1.
gradients(__name__, regions(), ALIGNMENTS.format(r="none"), wrt="x", unsafe=True)
gradients(__name__, regions(), WIDE_ALIGNMENTS, wrt="x")
gradients(__name__, regions("float64"), WIDE_ALIGNMENTS, prefix="float64 ", wrt="x")
gradients(__name__, regions("float64"), ALIGNMENTS.format(r="r"), prefix="float64 ", wrt="x")
ROI_ERRORS = """
{op}(x, r, (0, 2), 1.0)
{op}(x, r, (2,), 1.0)
{op}(x, r, 2, 1.0)
{op}(x, r, (2, 2))
{op}(x, r, spatial_scale=1.0)
{op}(x, r[:, :4], (2, 2), 1.0)
{op}(x, r[0], (2, 2), 1.0)
{op}(x[0], r, (2, 2), 1.0)
{op}(x, r.astype('float64'), (2, 2), 1.0)
{op}(x.astype('int32'), r.astype('int32'), (2, 2), 1.0)
{op}(x, r, (2, 2), -1.0)
{op}(x, r, (2, 2), 0)
{op}(x, r, (2, 2), 1.5)
"""
values(__name__, regions(), ROI_ERRORS.format(op="nd.ROIPooling"))
values(__name__, regions(), ROI_ERRORS.format(op="nd.contrib.ROIAlign"))
values(
    __name__,
    regions(),
    "nd.contrib.ROIAlign(x[:, :7], r, (2, 2), 1.0, position_sensitive=True)",
)
values(__name__, regions(), "nd.ROIPooling(x, none, (2, 2), 1.0)", unsafe=True)
values(
    __name__,
    regions(),
    "nd.ROIPooling(x, beyond, (2, 2), 1.0)\nnd.contrib.ROIAlign(x, beyond, (2, 2), 1.0)",
    unsafe=True,
)


@case
def regions_get_no_gradient(mx):
    env = regions()(mx)
    results = []
    for op in (mx.nd.ROIPooling, mx.nd.contrib.ROIAlign):
        rois = env["r"].copy()
        rois.attach_grad()
        rois.grad[:] = 7
        env["x"].attach_grad()
        with mx.autograd.record():
            y = op(env["x"], rois, pooled_size=(2, 2), spatial_scale=1.0)
        y.backward(head_like(mx, y))
        results.append(rois.grad)
    return results


# ---- regions whose bins have channels of their own, and turned ones


def parts(dtype="float32"):
    def setup(mx):
        return {
            "x": array(mx, data((2, 8, 7, 9), seed=215, dtype=dtype)),
            "y": array(mx, data((2, 18, 7, 9), seed=216, dtype=dtype)),
            "r": mx.nd.array(
                [[0, 0, 0, 8, 6], [1, 1.2, 0.7, 6.4, 5.1], [0, 5, 5, 5, 5], [1, -3, 2, 12, 9]],
                dtype=dtype,
            ),
            "t": mx.nd.array(
                [[0, 4, 3, 5, 4, 30], [1, 2.5, 3.1, 3, 6, -75], [0, 8, 6, 4, 4, 10]],
                dtype=dtype,
            ),
        }

    return setup


gradients(
    __name__,
    parts(),
    """
    nd.contrib.PSROIPooling(x, r, spatial_scale=1.0, output_dim=2, pooled_size=2)
    nd.contrib.PSROIPooling(x, r, spatial_scale=0.6, output_dim=2, pooled_size=4, group_size=2)
    nd.contrib.PSROIPooling(x, r, spatial_scale=0.6, output_dim=8, pooled_size=3, group_size=1)
    """,
    wrt="x",
)
gradients(
    __name__,
    parts(),
    "nd.contrib.PSROIPooling(y, r, spatial_scale=1.0, output_dim=2, pooled_size=2, group_size=3)",
    wrt="y",
)
values(
    __name__,
    parts(),
    """
    nd.contrib.PSROIPooling(x, r[:, :4], spatial_scale=1.0, output_dim=2, pooled_size=2)
    nd.contrib.PSROIPooling(x[0], r, spatial_scale=1.0, output_dim=2, pooled_size=2)
    nd.contrib.PSROIPooling(x, r, spatial_scale=1.0, pooled_size=2)
    nd.contrib.RROIAlign(x, t, (2, 2), 1.0)
    nd.contrib.RROIAlign(x, t, (3, 2), 0.5, 2)
    nd.contrib.RROIAlign(x, t, pooled_size=(1, 3), spatial_scale=1.0, sampling_ratio=3)
    nd.contrib.RROIAlign(x, r, (2, 2), 1.0)
    nd.contrib.RROIAlign(x, t, (0, 2), 1.0)
    nd.contrib.RROIAlign(x, t, (2,), 1.0)
    nd.contrib.RROIAlign(x[0], t, (2, 2), 1.0)
    """,
)
values(
    __name__,
    parts(),
    "nd.contrib.PSROIPooling(x, r, spatial_scale=1.0, output_dim=3, pooled_size=2)",
    unsafe=True,
)

# ---- correlation


def pairs(dtype="float32"):
    def setup(mx):
        return {
            "x": array(mx, data((2, 3, 5, 6), seed=221, dtype=dtype)),
            "y": array(mx, data((2, 3, 5, 6), seed=222, dtype=dtype)),
        }

    return setup


CORRELATIONS = """
nd.Correlation(x, y)
nd.Correlation(x, y, max_displacement=2, pad_size=2)
nd.Correlation(x, y, 3, 1, 1, 1, 1)
nd.Correlation(x, y, kernel_size=3, max_displacement=2, stride2=2, pad_size=3)
nd.Correlation(x, y, kernel_size=1, max_displacement=1, stride1=2, stride2=1, pad_size=1)
nd.Correlation(x, y, kernel_size=1, max_displacement=3, stride1=2, stride2=2, pad_size=4)
nd.Correlation(x, y, max_displacement=0)
nd.Correlation(x, y, is_multiply=False)
nd.Correlation(x, y, 3, 2, stride1=2, stride2=2, pad_size=3, is_multiply=False)
"""
for dtype in ("float32", "float64"):
    gradients(__name__, pairs(dtype), CORRELATIONS, prefix=f"{dtype} ")
values(
    __name__,
    pairs(),
    """
    nd.Correlation(x, y.astype('float64'))
    nd.Correlation(x, y, kernel_size=2)
    nd.Correlation(x, y, kernel_size=2, pad_size=2)
    nd.Correlation(x, y, max_displacement=4)
    nd.Correlation(x[0], y[0])
    nd.Correlation(x)
    """,
)
values(
    __name__,
    pairs(),
    "nd.Correlation(x, y[:1])\nnd.Correlation(x, y[:, :, :4])",
    unsafe=True,
)

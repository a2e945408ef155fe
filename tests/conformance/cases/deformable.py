"""Deformable convolutions and pooling; proposals of regions."""

from harness import array, data, gradients, values


def layer(dtype="float32"):
    def setup(mx):
        return {
            "x": array(mx, data((2, 4, 5, 6), seed=501, dtype=dtype)),
            # Between pixels, up to three of them away.
            "o": array(mx, data((2, 16, 4, 5), -3, 3, seed=502, dtype=dtype) + 1 / 128),
            "m": array(mx, data((2, 8, 4, 5), 0, 1, seed=503, dtype=dtype)),
            "w": array(mx, data((4, 4, 2, 2), seed=504, dtype=dtype)),
            "b": array(mx, data((4,), seed=505, dtype=dtype)),
        }

    return setup


PLAIN = """
{op}(x, o[:, :8], w, b, kernel=(2, 2), num_filter=4)
{op}(x, o, w, kernel=(2, 2), num_filter=4, num_deformable_group=2, no_bias=True)
{op}(x, o[:, :8], w[:, :2], b, kernel=(2, 2), num_filter=4, num_group=2)
{op}(x, o[:, :8, :4, :2], w, b, (2, 2), (2, 3), (1, 2), (2, 1), 4)
{op}(x[:, :, :4, :5], o[:, :2], w[:1, :, :1, :1], kernel=(1, 1), num_filter=1, no_bias=True)
""".format(op="nd.contrib.DeformableConvolution")
MASKED = """
{op}(x, o[:, :8], m[:, :4], w, b, kernel=(2, 2), num_filter=4)
{op}(x, o, m, w, kernel=(2, 2), num_filter=4, num_deformable_group=2, no_bias=True)
{op}(x, o[:, :8], m[:, :4], w[:, :2], b, kernel=(2, 2), num_filter=4, num_group=2, im2col_step=1)
{op}(x, o[:, :8, :4, :2], m[:, :4, :4, :2], w, b, (2, 2), (2, 3), (1, 2), (2, 1), 4)
""".format(op="nd.contrib.ModulatedDeformableConvolution")


for dtype in ("float32", "float64"):
    gradients(__name__, layer(dtype), PLAIN, prefix=f"{dtype} ")
    values(__name__, layer(dtype), MASKED, prefix=f"{dtype} ")
values(
    __name__,
    layer(),
    """
    nd.contrib.DeformableConvolution(x, o[:, :8], w, kernel=(2, 2), num_filter=4)
    nd.contrib.DeformableConvolution(x, o[:, :8], w, b, kernel=(2, 2))
    nd.contrib.DeformableConvolution(x, o[:, :8], w, b, num_filter=4)
    nd.contrib.DeformableConvolution(x, o[:, :7], w, b, kernel=(2, 2), num_filter=4)
    nd.contrib.DeformableConvolution(x, o, w, b, kernel=(2, 2), num_filter=4)
    nd.contrib.DeformableConvolution(x, o[:, :8, :3], w, b, kernel=(2, 2), num_filter=4)
    nd.contrib.DeformableConvolution(x, o[:, :8], w[:, :3], b, kernel=(2, 2), num_filter=4)
    nd.contrib.DeformableConvolution(x, o[:, :8], w, b[:3], kernel=(2, 2), num_filter=4)
    nd.contrib.DeformableConvolution(x, o[:, :8], w, b, kernel=(2, 2), num_filter=4, num_group=3)
    nd.contrib.DeformableConvolution(x, o, w, b, (2, 2), num_filter=4, num_deformable_group=3)
    nd.contrib.DeformableConvolution(x, o[:, :8], w, b, kernel=(2, 2), num_filter=4, layout='NCHW')
    nd.contrib.DeformableConvolution(x, o[:, :8], w, b, kernel=(2, 2), num_filter=4, layout='NCW')
    nd.contrib.DeformableConvolution(x, o[:, :8], w, b, kernel=(2, 2), num_filter=4, layout='NHWC')
    nd.contrib.DeformableConvolution(x[:, :, 0], o[:, :8], w, b, kernel=(2,), num_filter=4)
    nd.contrib.DeformableConvolution(x, o[:, :8].astype('float64'), w, b, (2, 2), num_filter=4)
    nd.contrib.DeformableConvolution(x, o[:, :8], w, b, kernel=(2, 2), num_filter=0)
    nd.contrib.ModulatedDeformableConvolution(x, o[:, :8], w, b, kernel=(2, 2), num_filter=4)
    nd.contrib.ModulatedDeformableConvolution(x, o[:, :8], m[:, :3], w, b, (2, 2), num_filter=4)
    nd.contrib.ModulatedDeformableConvolution(x, o[:, :8], m, w, b, (2, 2), num_filter=4)
    nd.contrib.ModulatedDeformableConvolution(x, o[:, :8], m[:, :4, :2], w, b, (2, 2), num_filter=4)
    nd.contrib.ModulatedDeformableConvolution(x, o[:, :7], m[:, :4], w, b, (2, 2), num_filter=4)
    """,
)
values(
    __name__,
    layer(),
    """
    nd.contrib.DeformableConvolution(x, o[:1, :8], w, b, kernel=(2, 2), num_filter=4)
    nd.contrib.DeformableConvolution(x, o, w, b, (2, 2), num_filter=4, num_deformable_group=0)
    nd.contrib.ModulatedDeformableConvolution(x, o[:, :8], m[:1, :4], w, b, (2, 2), num_filter=4)
    """,
    unsafe=True,
)

# ---- proposals


def maps(mx):
    return {
        # Scores that are apart: 96 multiples of 1/64.
        "s": array(mx, (data((2, 4, 4, 3), 0, 1, seed=511) + data((2, 4, 4, 3), 0, 64, seed=512))),
        "d": array(mx, data((2, 8, 4, 3), -0.5, 0.5, seed=513)),
        "i": mx.nd.array([[64, 48, 1], [40, 33.5, 2]]),
        "big": mx.nd.array([[64, 65, 1]]),
        "same": mx.nd.ones((1, 4, 4, 3)),
    }


SMALL = "scales=(1, 2), ratios=(1,), feature_stride=16"
values(
    __name__,
    maps,
    f"""
    nd.contrib.Proposal(s[:1], d[:1], i[:1], 100, 40, 0.7, 4, (1, 2), (1,), 16, True)
    nd.contrib.Proposal(s[:1], d[:1], i[:1], 100, 9, threshold=0.3, output_score=True, {SMALL})
    nd.contrib.Proposal(s[:1], d[:1], i[:1], 100, 9, threshold=1, rpn_min_size=24, {SMALL})
    nd.contrib.Proposal(s[:1], d[:1], i[:1], 5, 9, threshold=1, output_score=True, {SMALL})
    nd.contrib.Proposal(s[:1], d[:1], i[:1], 0, 3, threshold=0, {SMALL})
    nd.contrib.Proposal(s[:1], d[:1], i[:1], -1, 0, {SMALL})
    nd.contrib.Proposal(s[:1], d[:1], i[:1], 100, 9, iou_loss=True, {SMALL})
    nd.contrib.Proposal(s[1:], d[1:], i[1:], 100, 12, threshold=0.9, output_score=True, {SMALL})
    nd.contrib.Proposal(same, d[:1], i[:1], 100, 12, threshold=0.9, rpn_min_size=0, {SMALL})
    nd.contrib.Proposal(s[:1], d[:1], i[:1], 20, 9, 0.6, 4, (0.7,), (0.3, 1.7), output_score=True)
    nd.contrib.Proposal(s[:1], d[:1], i[:1], 20, 9, 0.6, 1, (3, 9), (0.5,), 17)
    nd.contrib.Proposal(s, d, i, {SMALL})
    nd.contrib.Proposal(s[:1], d[:1], big, {SMALL})
    nd.contrib.Proposal(s[:1], d[:1], i[:1])
    nd.contrib.Proposal(s[:1], d[:1, :7], i[:1], {SMALL})
    nd.contrib.Proposal(s[:1, :3], d[:1], i[:1], {SMALL})
    nd.contrib.Proposal(s[:1], d[:1], i[:1, :2], {SMALL})
    nd.contrib.Proposal(s[0], d[:1], i[:1], {SMALL})
    nd.contrib.Proposal(s[:1], d[:1].astype('float64'), i[:1], {SMALL})
    nd.contrib.MultiProposal(s, d, i, 100, 15, 0.5, 1, output_score=True, {SMALL})
    nd.contrib.MultiProposal(s, d, i, 6, 9, 0.8, 8, {SMALL})
    nd.contrib.MultiProposal(s, d, i, 6, 9, 0.8, 8, iou_loss=True, {SMALL})
    nd.contrib.MultiProposal(s[:1], d[:1], i[:1], 100, 9, threshold=0.4, {SMALL})
    nd.contrib.MultiProposal(s, d[:1], i, {SMALL})
    nd.contrib.MultiProposal(s, d, i[:, :2], {SMALL})
    """,
)
gradients(
    __name__,
    maps,
    f"""
    nd.contrib.Proposal(s[:1], d[:1], i[:1], 100, 9, rpn_min_size=2, {SMALL})
    nd.contrib.MultiProposal(s, d, i, 100, 9, rpn_min_size=2, {SMALL})
    """,
    wrt="s d i",
)
values(
    __name__,
    maps,
    f"nd.contrib.MultiProposal(s[:1], d[:1], big, {SMALL})\n"
    f"nd.contrib.MultiProposal(s[:1], d[:1], i[:1])",
)

# ---- displaced bins of regions


def parts(dtype="float32"):
    def setup(mx):
        return {
            "x": array(mx, data((2, 8, 7, 9), seed=521, dtype=dtype)),
            "r": mx.nd.array(
                [[0, 0, 0, 8, 6], [1, 1.2, 0.7, 6.4, 5.1], [0, -3, 2, 12, 9], [1, 30, 30, 40, 40]],
                dtype=dtype,
            ),
            "t": array(mx, data((4, 4, 2, 2), seed=522, dtype=dtype)),
        }

    return setup


POOL = "nd.contrib.DeformablePSROIPooling"
STILL = f"""
{POOL}(x, r, spatial_scale=1, output_dim=2, group_size=2, pooled_size=2, no_trans=True)
{POOL}(x, r, None, 0.7, 8, 1, 3, 0, 3, no_trans=True)
"""
MOVED = f"""
{POOL}(x, r, t, 1.0, 2, 2, 2, 0, 1, 0.125)
{POOL}(x, r, t, 0.75, 2, 2, 4, 2, 3, trans_std=0.25)
{POOL}(x, r, t[:, :2], 0.75, 8, 1, 3, part_size=2, sample_per_part=4, trans_std=0.25)
"""
gradients(__name__, parts(), STILL, wrt="x r")
gradients(__name__, parts(), MOVED, wrt="x r t")
gradients(__name__, parts("float64"), MOVED, prefix="float64 ", wrt="x r t")
values(
    __name__,
    parts(),
    f"""
    {POOL}(x, r, t, 1.0, 2, 2, 2, no_trans=True)
    {POOL}(x, r, spatial_scale=1.0, output_dim=2, group_size=2, pooled_size=2)
    {POOL}(x, r, t, 1.0, 2, 2)
    {POOL}(x, r[:, :4], t, 1.0, 2, 2, 2)
    {POOL}(x[0], r, t, 1.0, 2, 2, 2)
    """,
)

"""Differences in layers, losses, sorting and whole families of operators: see difference.py."""

import harness
import numpy as np
from difference import _list, array, gradient, raises

# ---- losses

_LOGITS = harness.data((4, 3), -3, 3, seed=111).astype("float64")
_IMAGE = harness.data((2, 3, 4), -3, 3, seed=112).astype("float64")


def _softmax_along(x, axis):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


_REASON = "with out_grad MXNet multiplies by the output where its documentation says head gradient"
_Y = _softmax_along(_LOGITS, 1)
_ERROR = (_Y - np.eye(3)[[0, 1, 2, 1]]) * harness.head_values((4, 3))
for _label, _scale in (("", 1), (", grad_scale=0.5", 0.5), (", normalization='batch'", 0.25)):
    _others_zero = {
        "l": array(np.zeros(4)),
        "far": array(np.zeros(4)),
        "p": array(np.zeros((4, 3))),
    }
    _list(
        _REASON,
        gradient(array(_Y), x=array(_ERROR * _scale), **_others_zero),
        f"nn::grad nd.SoftmaxOutput(x, l, out_grad=True{_label})",
    )
_head = harness.head_values

_list(
    "MXNet cannot take the gradient of a label; it is 0, as SoftmaxOutput's",
    gradient(
        array([-np.log(_Y[range(4), [0, 1, 2, 1]]).sum()]),
        x=array((_Y - np.eye(3)[[0, 1, 2, 1]]) * harness.head_values((1,))),
        **_others_zero,
    ),
    "nn::grad with label nd.softmax_cross_entropy(x, l)",
)
_list(
    "MXNet takes a label that is no class for one of its own choice",
    raises("MXNetError"),
    "nn::nd.softmax_cross_entropy(x, far)",
)
_Y = _softmax_along(_IMAGE, 1)
_ERROR = _Y - np.eye(3)[[[0, 1, 2, 1], [2, 2, 0, 1]]].transpose(0, 2, 1)
_ERROR = _ERROR * harness.head_values((2, 3, 4))
for _label, _scale in (
    ("", 1 / 4),
    (", grad_scale=0.5", 1 / 8),
    (", normalization='batch'", 1 / 8),
):
    _list(
        _REASON,
        gradient(
            array(_Y),
            x=array(_ERROR * _scale),
            l=array(np.zeros((2, 4))),
            r=array(np.zeros((2, 3))),
        ),
        f"nn::grad nd.SoftmaxOutput(x, l, multi_output=True, out_grad=True{_label})",
    )
_Y = _softmax_along(harness.data((2, 3, 4), -3, 3, seed=101).astype("float64"), 2)
_HEAD = harness.head_values((2, 3, 4))
_list(
    "MXNet's gradient takes all axes but the first for one, its forward pass the last axis alone",
    gradient(array(_Y), x=array(_Y * (_HEAD - (_HEAD * _Y).sum(axis=2, keepdims=True)))),
    "nn::grad nd.SoftmaxActivation(x)",
)

# ---- normalization, borders, losses, mixed precision, contrib


def _affine_norm(x, gamma, beta, axes, shape, eps):
    """Outputs and gradients of a layer that returns mean and deviation, under the fixed heads."""
    d = x - x.mean(axis=axes, keepdims=True)
    s = np.sqrt((d * d).mean(axis=axes, keepdims=True) + eps)
    hat, n = d / s, x.size // s.size
    heads = harness.head_values(x.shape)
    w = heads * gamma
    fold = [v.mean(axis=axes, keepdims=True) for v in (w, w * hat)]
    into = harness.head_values(s.shape) * (1 + hat) / n  # what flows into the mean and into s
    grads = ((w - fold[0] - hat * fold[1]) / s + into, heads * hat, heads)
    stats = [array(v.reshape(shape)) for v in (x.mean(axis=axes, keepdims=True), s)]
    return [array(hat * gamma + beta), *stats], grads


def _layer_norm_case():
    x, gamma, beta = (
        harness.data(shape, low, -low, seed=seed).astype("float64")
        for shape, low, seed in (((2, 3, 4), -3, 301), ((4,), -2, 302), ((4,), -2, 303))
    )
    out, (dx, dg, db) = _affine_norm(x, gamma, beta, 2, (2, 3, 1), 1e-5)
    return gradient(out, x=array(dx), g=array(dg.sum(axis=(0, 1))), b=array(db.sum(axis=(0, 1))))


def _group_norm_case():
    x = harness.data((2, 4, 3), -3, 3, seed=304).astype("float64").reshape(2, 2, 6)
    gamma, beta = (
        harness.data((2,), -2, 2, seed=seed).astype("float64").reshape(1, 2, 1)
        for seed in (305, 306)
    )
    out, (dx, dg, db) = _affine_norm(x, gamma, beta, 2, (2, 2), 1e-5)
    out[0] = {**out[0], "shape": [2, 4, 3]}
    return gradient(
        out,
        x=array(dx.reshape(2, 4, 3)),
        g=array(dg.sum(axis=(0, 2))),
        b=array(db.sum(axis=(0, 2))),
    )


_REASON = "MXNet loses the gradients that flow into the mean and the deviation"
_list(_REASON, _layer_norm_case(), "norm::grad nd.LayerNorm(x, g, b, output_mean_var=True)")
_list(
    _REASON,
    _group_norm_case(),
    "norm::grad nd.GroupNorm(x, g, b, num_groups=2, output_mean_var=True)",
)
for _dtype in ("float32", "float64", "float16"):
    _X = harness.data((2, 3, 4), -3, 3, seed=310).astype("float64")
    _SCALE, _ALPHA = 1.0507009873554805, 1.6732632423543772
    _HEAD = harness.head_values((2, 3, 4))
    _list(
        "MXNet takes the slope of selu at its result instead of at its argument",
        gradient(
            array(np.where(_X > 0, _SCALE * _X, _SCALE * _ALPHA * np.expm1(_X)), _dtype),
            x=array(_HEAD * np.where(_X > 0, _SCALE, _SCALE * _ALPHA * np.exp(_X)), _dtype),
        ),
        f"norm::grad {_dtype} nd.LeakyReLU(x, act_type='selu')",
    )
_list(
    "MXNet reads before the start of a sequence of length 0",
    raises("MXNetError"),
    "borders::sequence_last_of_no_steps",
)
_X = harness.data((2, 3), -2, 2, seed=333)
_H = harness.data((2, 3), -2, 2, seed=334, dtype="float16")
_list(
    "MXNet casts float32 to float64 everywhere but here",
    gradient(array(_X, "float64"), x=array(harness.head_values((2, 3)))),
    "losses::grad nd.amp_cast(x, 'float64')",
)
_list(
    "MXNet rounds to the nearest integer, where every other cast truncates",
    array(_X.astype("int32"), "int32"),
    "losses::nd.amp_cast(x, dtype='int32')",
)
_REASON = "MXNet's amp_multicast refuses float16 on the CPU, and crashes now and then"
_list(_REASON, [array(_X), array(_H)], "losses::nd.amp_multicast(x, h, num_outputs=2)")
_list(
    _REASON,
    [array(_X.astype("float16"), "float16"), array(_H, "float16")],
    "losses::nd.amp_multicast(x, h, num_outputs=2, cast_narrow=True)",
)
_list(
    _REASON,
    [array(_X), array([[1, -2, 3]], "int32")],
    "losses::nd.amp_multicast(x, i, num_outputs=2)",
)
_list(_REASON, array(_X), "losses::nd.amp_multicast(x, num_outputs=1)")
_list(
    "to MXNet all infinities are close, of either sign",
    array(0, "uint8"),
    "contrib::nd.contrib.allclose(inf, -inf)",
)
_list(
    "MXNet reads past the shape for an axis that is out of range",
    raises("MXNetError"),
    "contrib::index_array_axis_out_of_range",
)
_list(
    "MXNet divides by zero",
    raises("MXNetError"),
    "contrib::arange_like_repeat_zero",
)

# ---- sorting and kin


def _sorted_gradient(wrt, setup):
    """The gradient case of a sort along the last axis: x ascending, v descending."""
    x, v = setup
    name = "x" if wrt is x else "v"
    keys = x if name == "x" else -v
    order = np.argsort(keys, axis=-1, kind="stable")
    grad = np.zeros_like(wrt)
    np.put_along_axis(grad, order, _head(wrt.shape).astype(wrt.dtype), -1)
    rest = {"x": array(np.zeros((3, 4))), "v": array(np.zeros(5)), "c": array(np.zeros((2, 3, 4)))}
    return gradient(array(np.take_along_axis(wrt, order, -1)), **{**rest, name: array(grad)})


_DISTINCT = (harness.data((12,), seed=171).argsort().reshape(3, 4) * 0.5 - 2).astype("float32")
_VECTOR = harness.data((5,), seed=173)
_REASON = "MXNet's gradient of a sort along the last axis by default fails on its own parameter"
_list(_REASON, _sorted_gradient(_DISTINCT, (_DISTINCT, _VECTOR)), "sorting::grad nd.sort(x)")
_list(
    _REASON,
    _sorted_gradient(_VECTOR, (_DISTINCT, _VECTOR)),
    "sorting::grad nd.sort(v, is_ascend=False)",
)
_REASON = "MXNet does not sort float16, nor booleans; mxtape does"
_list(_REASON, array([1, 1, 2, 3], "float16"), "sorting::nd.sort(i.astype('float16'))")
_list(_REASON, array([1, 3, 2, 0]), "sorting::nd.argsort(i.astype('float16'))")
_list(_REASON, array([False, True, True], "bool"), "sorting::nd.sort(b)")
_list(_REASON, array([0]), "sorting::nd.topk(b)")
_list(
    "operators that only move elements take booleans",
    array(np.diag([True, False, True]), "bool"),
    "sorting::nd.diag(b)",
)
_list(
    "MXNet's cumsum looks a negative axis up before it counts from the end",
    array([[3, 4, 6, 7], [0, 5, 10, 10]]),
    "sorting::nd.cumsum(t, axis=-1)",
)
_list(
    "the result has an axis more than the indices; MXNet's has the indices' shape, and lost values",
    array([[[0, 0], [0, 0]], [[1, 2], [3, 4]]]),
    "sorting::nd.unravel_index(nd.array([[1, 2], [3, 4]]), shape=(7, 6))",
)
_list(
    "bounds that do not increase are refused; MXNet counts nothing",
    raises("MXNetError"),
    "sorting::nd.histogram(m, bins=nd.array([4, 3, 1]))",
)


def _power_gradient(a, b):
    a, b = np.float32(a), np.float32(b)
    g = _head(a.shape)
    with np.errstate(all="ignore"):
        power = np.float64(a) ** b
        to_b = g * power * np.log(a)
        to_b[(power == 0) | (g == 0)] = 0
        return gradient(array(power), a=array(g * b * np.float64(a) ** (b - 1)), b=array(to_b))


_REASON = "0 ** b stays 0 where b > 0: the gradient of b is 0, MXNet's is 0 times -inf"
_list(
    _REASON,
    _power_gradient(
        np.round(harness.data((2, 6), 0.25, 4, seed=21)),
        np.round(harness.data((2, 6), 0.25, 4, seed=22)),
    ),
    "pointwise::grad ties nd.broadcast_power(a, b)",
)
_list(
    _REASON,
    _power_gradient([-7.5, 7.5, -7.5, 7.5, 0, 5], [2, -2, -2, 2, 3, 2]),
    "pointwise::grad signs nd.broadcast_power(a, b)",
)

_KINK = np.float32([-1, -0.0, 0.0, 1, 2, 3])
with np.errstate(all="ignore"):
    _to_exponent = np.float32([-np.inf] * 6) * _head((6,))
    _to_exponent[3:] = 0
    _list(
        _REASON,
        gradient(array(np.float64(0) ** _KINK), x=array(_to_exponent)),
        "pointwise::grad kink 0 ** x",
    )
    _list(
        "x ** 0 is constant: its gradient is 0, MXNet's at 0 is 0 times infinity",
        gradient(array(np.ones(6)), x=array(np.zeros(6))),
        "pointwise::grad kink x ** 0",
    )
    _slope = np.sqrt(np.float64(_KINK) - 1) * np.sqrt(np.float64(_KINK) + 1)
    _list(
        "arccosh is not defined at -1, and neither is its gradient: MXNet's is infinite",
        gradient(array(np.arccosh(_KINK)), x=array(_head((6,)) / _slope)),
        "pointwise::grad kink nd.arccosh(x)",
    )
_INF = np.inf
_list(
    "a head gradient that is 0 stays 0 on its way through a product, whatever the factor",
    gradient(
        array(np.full((1, 1, 3, 2), _INF)),
        x=array([[[[-_INF, 0, _INF, 0], [_INF, 0, -_INF, 0], [0, _INF, _INF, 0], [0, 0, 0, 0]]]]),
    ),
    "pooling::grad ties nd.Pooling(x * float('inf'), kernel=(2, 2), stride=(1, 2))",
)
_list(
    "softsign is 1 and -1 at infinity; MXNet's is infinity by infinity",
    array([0, -0.0, 0.5, -0.5, 1, -1, np.nan, 1e-30, 88 / 89, -100 / 101]),
    "pointwise::special nd.softsign(x)",
)

_list(
    "MXNet's adamw_update leaves the rescaled and clipped gradient in its input",
    array(harness.data((2, 3), seed=302)),
    "optimizer_updates::adamw_update_leaves_the_gradient",
)
_list(
    "MXNet's mp_lamb_update_phase2 does not change weight32, from which the next step starts",
    array(
        harness.data((2, 3), seed=401)
        + np.float32(0.0001)
        - np.float32(0.5) * harness.data((2, 3), seed=402)
    ),
    "optimizer_updates::mp_lamb_update_phase2_changes_the_copy",
)


_STRIDED_AND_DILATED = "kernel=(3, 3), num_filter=4, stride=(2, 2), pad=(2, 2), dilate=(2, 2))"
for _dtype in ("float32", "float64"):
    _list(
        "MXNet's Convolution_v1 gives a wrong data gradient where stride and dilate both exceed 1; "
        "its Convolution, whose result this is, does not",
        harness.load_recording("convolution")[
            f"grad {_dtype} nd.Convolution(x, w, b, {_STRIDED_AND_DILATED}"
        ],
        f"convolution::grad {_dtype} nd.Convolution_v1(x, w, b, {_STRIDED_AND_DILATED}",
    )
# ---- CTC, self-exciting processes, products of columns, sketches, Fourier

_REASON = "MXNet reads past the end of its arrays; mxtape refuses"
_list(
    _REASON,
    raises("MXNetError"),
    "ctc::nd.CTCLoss(x, a + 2)",
    "ctc::nd.CTCLoss(x, a, t + 2, use_data_lengths=True)",
    "ctc::nd.CTCLoss(x, a, n + 2, use_label_lengths=True)",
    "hawkes::nd.contrib.hawkesll(mu, alpha, beta, s, lags, marks + 3, n, end)",
)
_x = harness.data((5, 2, 4), -2, 2, seed=930).astype("float64")
_p = np.exp(_x) / np.exp(_x).sum(axis=2, keepdims=True)
_list(
    "MXNet returns what was in memory when no sequence of the batch has a label",
    gradient(
        array(-np.log(_p[:, :, 0]).sum(axis=0)),
        x=array((_p - np.eye(4)[0]) * harness.head_values((2,))[:, None]),
    ),
    "ctc::grad nd.CTCLoss(x, nd.zeros((2, 3)))",
)
_list(
    "MXNet leaves the gradient as memory was when there are too few steps for the labels",
    gradient(array([0, 0]), x=array(0 * _x)),
    "ctc::grad nd.CTCLoss(x, nd.array([[1, 1, 1, 1], [2, 2, 2, 2]]))",
)
_list(
    "MXNet's CTCLoss takes float32 alone",
    array([1.9515317637471656, 8.055485757145544], "float64"),
    "ctc::nd.CTCLoss(x.astype('float64'), a)",
)
_a, _b = (harness.data((n, 3), seed=s).astype("float64") for n, s in ((2, 950), (4, 951)))
_h = harness.head_values((8, 3)).reshape(2, 4, 3)
_list(
    "MXNet has no gradient of khatri_rao",
    gradient(
        array(np.einsum("ik,jk->ijk", _a, _b).reshape(8, 3)),
        a=array(np.einsum("ijk,jk->ik", _h, _b)),
        b=array(np.einsum("ijk,ik->jk", _h, _a)),
        c=array(np.zeros((1, 3))),
    ),
    "hawkes::grad nd.khatri_rao(a, b)",
)
_REASON = "MXNet has it on GPUs alone"
_f = np.fft.fft(_a, axis=1)
_list(
    _REASON,
    array(np.stack([_f.real, _f.imag], axis=2).reshape(2, 6)),
    "hawkes::nd.contrib.fft(a)",
)
_z = _b.reshape(2, 3, 2)
_list(
    _REASON,
    array((np.fft.ifft(_z[..., 0] + 1j * _z[..., 1], axis=1) * 3).real),
    "hawkes::nd.contrib.ifft(b.reshape((2, 6)))",
)
_s = np.zeros((2, 5))
_s[:, 0], _s[:, 3] = _a[:, 0], _a[:, 2] - _a[:, 1]
_list(
    _REASON,
    array(_s),
    "hawkes::nd.contrib.count_sketch(a, nd.array([[0, 3, 3]]), nd.array([[1, -1, 1]]), out_dim=5)",
)
_list(
    "MXNet moves the running statistics in backward: never without one, twice with two",
    [array([0.5]), array([1.0])],
    "batch_norm::training_without_backward",
    "batch_norm::backward_twice",
)

_list(
    "MXNet differentiates through statistics of the batch that the recorded call did not use",
    array([[0.5], [1.0], [1.5], [2.0]]),
    "batch_norm::training_backward_of_inference",
)

_list(
    "MXNet drops the gradients of the statistics that BatchNorm returns",
    array([[0.5], [0.5]]),
    "batch_norm::statistics_that_are_outputs",
)


_list(
    "MXNet divides by zero where a grid has one row or column; mxtape puts it in the middle",
    gradient(
        array(
            [
                [[[-1, 0, 1]], [[0, 0, 0]]],
                [[[-0.7, -0.2, 0.3]], [[-0.2, 0.1, 0.4]]],
            ]
        ),
        a=array([[0.75, 0, 1.75, 0.75, 0, 1.0], [0.75, 0, 0.25, 0.75, 0, -0.5]]),
    ),
    "spatial::grad nd.GridGenerator(data=a, transform_type='affine', target_shape=(1, 3))",
)
_list(
    "The same",
    array(np.reshape([0, 0, -0.2, 0.1], (2, 2, 1, 1))),
    "spatial::nd.GridGenerator(a, 'affine', (1, 1))",
)
_list(
    "The same",
    array(np.zeros((2, 2, 1, 1))),
    "spatial::nd.GridGenerator(f[:, :, :1, :1], 'warp')",
)
for _call, _shape in (
    ("nd.contrib.ROIAlign(x, none, (2, 2), 1.0)", (1, 8, 2, 2)),
    ("nd.contrib.ROIAlign(x, none, (3, 4), 0.5, 2)", (1, 8, 3, 4)),
    (
        "nd.contrib.ROIAlign(x, none, pooled_size=(2, 2), spatial_scale=1.0, "
        "position_sensitive=True)",
        (1, 2, 2, 2),
    ),
):
    _list(
        "MXNet leaves memory unwritten for a region of image -1",
        gradient(array(np.zeros(_shape)), x=array(np.zeros((2, 8, 7, 9)))),
        f"spatial::grad {_call}",
    )
_list(
    "MXNet reads beyond the images for a region of one that does not exist",
    raises("MXNetError"),
    "spatial::nd.ROIPooling(x, none, (2, 2), 1.0)",
    "spatial::nd.ROIPooling(x, beyond, (2, 2), 1.0)",
    "spatial::nd.contrib.ROIAlign(x, beyond, (2, 2), 1.0)",
)
_list(
    "MXNet reads beyond the images when they have too few channels",
    raises("MXNetError"),
    "spatial::nd.contrib.PSROIPooling(x, r, spatial_scale=1.0, output_dim=3, pooled_size=2)",
)
_list(
    "MXNet reads beyond the second image of a correlation when it is smaller",
    raises("MXNetError"),
    "spatial::nd.Correlation(x, y[:1])",
    "spatial::nd.Correlation(x, y[:, :, :4])",
)


def _saturated(image, factor):
    gray = image.astype("float64") @ np.array([0.299, 0.587, 0.114])
    return image * factor + gray[..., None] * (1 - factor)


_SATURATION = "MXNet takes 0.114 of blue alone for the gray that saturation is measured from"
_list(
    _SATURATION,
    array(
        np.floor(_saturated(harness.integers((4, 5, 3), 0, 256, seed=401), 0.5)),
        "uint8",
    ),
    "image::nd.image.random_saturation(u, 0.5, 0.5)",
)
_list(
    _SATURATION,
    array(_saturated(harness.data((4, 5, 3), 0, 255, seed=403), 1.5)),
    "image::nd.image.random_saturation(f, 1.5, 1.5)",
)
_list(
    "MXNet reads beyond the offsets or the mask when they are of fewer images",
    raises("MXNetError"),
    "deformable::nd.contrib.DeformableConvolution(x, o[:1, :8], w, b, kernel=(2, 2), num_filter=4)",
    "deformable::nd.contrib.ModulatedDeformableConvolution"
    "(x, o[:, :8], m[:1, :4], w, b, (2, 2), num_filter=4)",
)
_list(
    "MXNet divides by the zero and ends the process",
    raises("MXNetError"),
    "deformable::nd.contrib.DeformableConvolution"
    "(x, o, w, b, (2, 2), num_filter=4, num_deformable_group=0)",
)
_list(
    "MXNet ends the process for an image that the map does not cover",
    raises("MXNetError"),
    "deformable::nd.contrib.MultiProposal"
    "(s[:1], d[:1], big, scales=(1, 2), ratios=(1,), feature_stride=16)",
)

"""Rows of the gradient matrix: convolutions, their gradients, and images as matrices."""

from gradient_row import Row


def _conv(data, weight, bias=True, op="Convolution", **params):
    inputs = [data, weight, (weight[0],)] if bias else [data, weight]
    if not bias:
        params["no_bias"] = True
    return Row(op, inputs, {"kernel": weight[2:], "num_filter": weight[0], **params})


def _deconv(data, weight, bias=False, **params):
    num_filter = weight[1] * params.get("num_group", 1)
    inputs = [data, weight, (num_filter,)] if bias else [data, weight]
    if bias:
        params["no_bias"] = False
    return Row("Deconvolution", inputs, {"kernel": weight[2:], "num_filter": num_filter, **params})


ROWS = [
    _conv((2, 2, 5), (3, 2, 3)),
    _conv((1, 2, 6), (2, 2, 2), stride=(2,), pad=(1,), dilate=(2,), layout="NCW"),
    _conv((2, 2, 4, 3), (2, 2, 3, 2)),
    _conv((1, 2, 5, 4), (3, 2, 3, 3), stride=(2, 1), pad=(1, 2), layout="NCHW"),
    _conv((1, 2, 5, 6), (2, 2, 2, 3), dilate=(2, 2), bias=False),
    _conv((1, 4, 4, 4), (4, 2, 2, 2), num_group=2),
    _conv((2, 3, 4, 4), (3, 1, 3, 3), num_group=3, pad=(1, 1)),
    _conv((2, 3, 2, 3), (2, 3, 1, 1)),
    _conv((2, 3, 3, 3), (2, 3, 1, 1), stride=(2, 2), bias=False),
    # The last column of the data is under no place of the kernel.
    _conv((1, 1, 4, 6), (1, 1, 3, 3), stride=(2, 2)),
    _conv((1, 2, 3, 4, 3), (2, 2, 2, 3, 2), pad=(1, 0, 1), layout="NCDHW"),
    _conv((1, 2, 4, 3, 3), (2, 1, 2, 2, 1), num_group=2, stride=(2, 1, 2), bias=False),
    _conv((1, 2, 5, 4), (3, 2, 3, 3), op="Convolution_v1", stride=(2, 1), pad=(1, 1)),
    _conv((1, 2, 4, 4), (2, 1, 2, 2), op="Convolution_v1", num_group=2, bias=False),
    _deconv((2, 2, 4), (2, 3, 3)),
    _deconv((1, 2, 3), (2, 2, 3), stride=(2,), pad=(1,), adj=(1,), bias=True),
    _deconv((2, 2, 3, 2), (2, 2, 2, 3), bias=True),
    _deconv((1, 2, 3, 2), (2, 2, 3, 3), stride=(2, 2), pad=(1, 1), adj=(1, 0)),
    _deconv((1, 2, 3, 3), (2, 1, 2, 3), dilate=(2, 1)),
    _deconv((1, 4, 2, 3), (4, 1, 2, 2), num_group=2, bias=True),
    _deconv((1, 1, 3, 3), (1, 2, 3, 3), stride=(2, 2), target_shape=(6, 5)),
    _deconv((1, 2, 2, 3), (2, 2, 1, 1)),
    _deconv((1, 2, 2, 2, 3), (2, 1, 2, 1, 2), stride=(1, 2, 1), adj=(0, 1, 0)),
    Row(
        "_backward_Convolution_data",
        [(2, 4, 2, 2), (4, 1, 2, 2)],
        {"kernel": (2, 2), "stride": (2, 1), "num_group": 2, "shape": (2, 2, 5, 3)},
    ),
    Row(
        "_backward_Convolution_data",
        [(1, 2, 4), (2, 2, 3)],
        {"kernel": (3,), "pad": (1,), "shape": (1, 2, 4)},
    ),
    Row(
        "_backward_Convolution_weight",
        [(2, 4, 2, 3), (2, 2, 4, 4)],
        {"kernel": (2, 2), "stride": (2, 1), "num_group": 2, "shape": (4, 1, 2, 2)},
    ),
    Row(
        "_backward_Convolution_weight",
        [(2, 3, 5), (2, 2, 4)],
        {"kernel": (2,), "pad": (1,), "shape": (3, 2, 2)},
    ),
    Row("im2col", [(2, 2, 4, 3)], {"kernel": (2, 2)}),
    Row("im2col", [(1, 2, 4, 5)], {"kernel": (3, 2), "stride": (2, 1), "pad": (1, 2)}),
    Row("im2col", [(1, 1, 5, 5)], {"kernel": (2, 2), "dilate": (2, 3), "pad": (1, 0)}),
    Row("im2col", [(2, 2, 5)], {"kernel": (3,), "stride": (2,)}),
    Row("im2col", [(1, 1, 3, 3, 4)], {"kernel": (2, 2, 3)}),
    Row("col2im", [(2, 8, 6)], {"output_size": (4, 3), "kernel": (2, 2)}),
    Row(
        "col2im",
        [(1, 6, 16)],
        {"output_size": (4, 5), "kernel": (3, 2), "stride": (2, 1), "pad": (1, 2)},
    ),
    Row("col2im", [(1, 2, 9)], {"output_size": (10,), "kernel": (2,)}),
]

"""Pad, Crop and the sequence operators."""

from harness import array, case, data, gradients, values


def image(dtype="float32"):
    def setup(mx):
        return {"x": array(mx, data((1, 2, 3, 3), -3, 3, seed=321, dtype=dtype))}

    return setup


PADS = "\n".join(
    f"nd.Pad(x, mode='{mode}', pad_width=(0, 0, 0, 0, 1, 1, 2, 1){more})"
    for mode in ("constant", "edge", "reflect")
    for more in ("", ", constant_value=1.5")
)
for dtype in ("float32", "float64", "float16"):
    gradients(__name__, image(dtype), PADS, prefix=f"{dtype} ")
gradients(
    __name__,
    lambda mx: {"x": array(mx, data((1, 2, 2, 3, 3), -3, 3, seed=322))},
    "\n".join(
        f"nd.pad(x, mode='{mode}', pad_width=(0, 0, 0, 0, 1, 0, 1, 1, 2, 1))"
        for mode in ("constant", "edge", "reflect")
    ),
)
values(
    __name__,
    image(),
    """
    nd.Pad(x, mode='constant', pad_width=(1, 0, 0, 0, 1, 1, 2, 1))
    nd.Pad(x, mode='constant', pad_width=(0, 0, 0, 0, 1, 1))
    nd.Pad(x, mode='constant', pad_width=(0, 0, 0, 0, -1, 0, 0, 0))
    nd.Pad(x, mode='reflect', pad_width=(0, 0, 0, 0, 2, 2, 0, 0))
    nd.Pad(x, mode='reflect', pad_width=(0, 0, 0, 0, 3, 0, 0, 0))
    nd.Pad(x, mode='nonsense', pad_width=(0, 0, 0, 0, 2, 2, 0, 0))
    nd.Pad(x, pad_width=(0, 0, 0, 0, 2, 2, 0, 0))
    nd.Pad(x, mode='edge')
    nd.Pad(x.reshape((2, 9)), mode='edge', pad_width=(0, 0, 1, 1))
    nd.Pad(x.reshape((1, 2, 9)), mode='edge', pad_width=(0, 0, 0, 0, 1, 1))
    x.pad(mode='edge', pad_width=(0, 0, 0, 0, 1, 1, 1, 1))
    nd.pad(x, 'edge', (0, 0, 0, 0, 1, 1, 1, 1))
    """,
)


def crops(mx):
    return {
        "x": array(mx, data((1, 2, 4, 5), -3, 3, seed=323)),
        "k": array(mx, data((1, 1, 2, 3), -3, 3, seed=324)),
    }


gradients(
    __name__,
    crops,
    """
    nd.Crop(x, offset=(1, 2), h_w=(2, 3), num_args=1)
    nd.Crop(x, offset=(1, 2), h_w=(2, 3))
    nd.Crop(x, h_w=(3, 2), center_crop=True, num_args=1)
    nd.Crop(x, h_w=(3, 2), offset=(1, 1), center_crop=True, num_args=1)
    """,
    wrt="x",
)
gradients(
    __name__,
    crops,
    """
    nd.Crop(x, k)
    nd.Crop(x, k, num_args=2)
    nd.Crop(x, k, num_args=2, offset=(1, 1))
    nd.Crop(x, k, num_args=2, center_crop=True)
    """,
)
values(
    __name__,
    crops,
    """
    nd.Crop(x, num_args=1)
    nd.Crop(x, num_args=1, h_w=(5, 2))
    nd.Crop(x, num_args=1, h_w=(3, 2), offset=(2, 0))
    nd.Crop(x, num_args=1, h_w=(3, 2), offset=(-1, 0))
    nd.Crop(x, num_args=1, h_w=(0, 2))
    nd.Crop(x, num_args=1, h_w=(2,))
    nd.Crop(x.reshape((8, 5)), num_args=1, h_w=(1, 2))
    nd.Crop(k, x, num_args=2)
    nd.Crop(x, k, k, num_args=3)
    nd.Crop(x, k.reshape((2, 3)), num_args=2)
    """,
)

# ---- sequences


def steps(mx, dtype="float32"):
    return {
        "x": array(mx, data((4, 2, 3), -3, 3, seed=325, dtype=dtype)),
        "n": mx.nd.array([2, 4]),
    }


def batches(mx):
    return {"x": array(mx, data((2, 4, 3), -3, 3, seed=326)), "n": mx.nd.array([2, 4])}


gradients(
    __name__,
    steps,
    """
    nd.SequenceMask(x, n, use_sequence_length=True)
    nd.SequenceMask(x, n, use_sequence_length=True, value=-7)
    nd.SequenceLast(x, n, use_sequence_length=True)
    nd.SequenceReverse(x, n, use_sequence_length=True)
    """,
)
gradients(__name__, steps, "nd.SequenceMask(x)\nnd.SequenceReverse(x)", wrt="x")
gradients(
    __name__,
    batches,
    """
    nd.SequenceMask(x, n, use_sequence_length=True, axis=1)
    nd.SequenceMask(x, n, use_sequence_length=True, axis=1, value=0.5)
    nd.SequenceLast(x, n, use_sequence_length=True, axis=1)
    """,
    prefix="batch first ",
)
values(__name__, batches, "nd.SequenceLast(x, axis=1)\nnd.SequenceReverse(x, axis=1)")
values(
    __name__,
    steps,
    """
    nd.SequenceLast(x)
    nd.SequenceLast(x.astype('int32'))
    nd.SequenceLast(x[:, :, 0], n, use_sequence_length=True)
    nd.SequenceMask(x.astype('int32'), n.astype('int32'), use_sequence_length=True)
    nd.SequenceMask(x.astype('float16'), n.astype('float16'), use_sequence_length=True)
    nd.SequenceMask(x.astype('float64'), n.astype('float64'), use_sequence_length=True)
    nd.SequenceMask(x, n.astype('int64'), use_sequence_length=True)
    nd.SequenceMask(x, n * 2 - 3.5, use_sequence_length=True)
    nd.SequenceMask(x, n - 2, use_sequence_length=True)
    nd.SequenceMask(x[:, :, 0], n, use_sequence_length=True)
    nd.SequenceReverse(x.astype('uint8'))
    nd.SequenceReverse(x[:, :, 0], n, use_sequence_length=True)
    nd.SequenceReverse(x, n - 2, use_sequence_length=True)
    nd.SequenceReverse(x, n.astype('int32'), use_sequence_length=True)
    """,
)
for name in ("SequenceMask", "SequenceLast", "SequenceReverse"):
    values(
        __name__,
        steps,
        f"nd.{name}(x, n)\n"
        f"nd.{name}(x, use_sequence_length=True)\n"
        f"nd.{name}(x, n[:1], use_sequence_length=True)\n"
        f"nd.{name}(x, n.reshape((1, 2)), use_sequence_length=True)\n"
        f"nd.{name}(x, axis=2)\n"
        f"nd.{name}(x, axis=-1)\n"
        f"nd.{name}(x[:, 0, 0])",
    )


@case(unsafe=True)
def sequence_last_of_no_steps(mx):
    return mx.nd.SequenceLast(mx.nd.ones((3, 2)), mx.nd.array([0, 1]), use_sequence_length=True)

"""mx.io.ImageRecordIter and its kin, where nothing is drawn: their batches."""

import tempfile

import numpy as np
from harness import attempt, case, integers

from cases.pictures import png

BOXES = [
    [2, 5, 0, 0.1, 0.2, 0.5, 0.6, 1, 0.3, 0.3, 0.9, 0.9],
    [2, 5, 1, 0.2, 0.2, 0.5, 0.5],
    [4, 5, 40, 50, 2, 0.1, 0.2, 0.5, 0.6],
    [2, 5, 3, 0.1, 0.1, 0.9, 0.9, 2, 0, 0, 1, 1],
    [2, 5, 4, 0.3, 0.3, 0.4, 0.4],
]


def _files(mx, folder):
    """Records with one label, two labels and boxes; an index and a list of labels."""
    kinds = {"one": [float(i) for i in range(7)], "two": [[i, 10 * i] for i in range(7)]}
    kinds["det"] = BOXES
    for kind, labels in kinds.items():
        path = f"{folder}/{kind}"
        record = mx.recordio.MXIndexedRecordIO(f"{path}.idx", f"{path}.rec", "w")
        with open(f"{path}.lst", "w") as lines:
            for i, label in enumerate(labels):
                data = png(integers((8 + i % 3, 9 + i, 3), 0, 256, seed=520 + i, dtype="uint8"))
                record.write_idx(i, mx.recordio.pack(mx.recordio.IRHeader(0, label, i, 0), data))
                words = [100 + x for x in label] if kind == "two" else np.ravel(label)
                print(i, *words, f"{i}.png", sep="\t", file=lines)
        record.close()


def _run(mx, folder, name, epochs, options):
    """Descriptions, and of each batch the rows' sums, corners, labels and pad."""
    options = {
        "path_imgrec": f"{folder}/one.rec",
        "data_shape": (3, 6, 6),
        "batch_size": 3,
        "verbose": False,
        "preprocess_threads": 1,
        **options,
    }
    options = {
        key: f"{folder}/{value}" if key.startswith("path") and "/" not in value else value
        for key, value in options.items()
    }
    iterator = getattr(mx.io, name)(**options)
    described = [
        [d.name, d.shape, np.dtype(d.dtype).name]
        for d in iterator.provide_data + iterator.provide_label
    ]
    found = [described]
    for _ in range(epochs):
        for batch in iterator:
            x = batch.data[0].asnumpy().astype("float64")
            # MXNet writes the next labels over these.
            label = batch.label[0].asnumpy().copy()
            found.append([x.sum(axis=(2, 3)), x[:, :, 0, :2], label, batch.pad])
        iterator.reset()
    return found


KINDS = {
    "plain": (3, {}),
    "an index": (2, {"path_imgidx": "one.idx"}),
    "batches of 4": (3, {"batch_size": 4}),
    "batches of 8": (3, {"batch_size": 8}),
    **{f"part {k}": (2, {"num_parts": 3, "part_index": k, "batch_size": 2}) for k in range(3)},
    **{
        f"part {k} by index": (
            1,
            {"num_parts": 3, "part_index": k, "batch_size": 2, "path_imgidx": "one.idx"},
        )
        for k in range(3)
    },
    "a part too many": (1, {"num_parts": 3, "part_index": 3}),
    "values": (
        1,
        {"mean_r": 1, "mean_g": 2, "mean_b": 3, "std_r": 2, "std_g": 4, "std_b": 8, "scale": 0.5},
    ),
    "as text": (1, {"batch_size": "3", "data_shape": "(3,6,6)", "mean_r": "1", "round_batch": "1"}),
    "mirror": (1, {"mirror": True}),
    "resize": (1, {"resize": 6}),
    "resize, cubic": (1, {"resize": 6, "inter_method": 2}),
    "small": (1, {"data_shape": (3, 9, 9)}),
    "smaller": (1, {"data_shape": (3, 12, 14)}),
    "gray": (1, {"data_shape": (1, 6, 6)}),
    "two labels": (1, {"path_imgrec": "two.rec", "label_width": 2}),
    "a list": (1, {"path_imglist": "two.lst", "label_width": 2}),
    "a list, one label": (1, {"path_imglist": "two.lst"}),
    "uint8": (1, {"dtype": "uint8"}),
    "names": (1, {"data_name": "x", "label_name": "y"}),
    "pad": (1, {"pad": 2, "fill_value": 7}),
    "pad in view": (1, {"pad": 3, "fill_value": 7, "data_shape": (3, 13, 13)}),
    "crop size": (1, {"min_crop_size": 7, "max_crop_size": 7}),
    "no file": (1, {"path_imgrec": "none.rec"}),
    "no path": (1, {"path_imgrec": ""}),
    "two axes": (1, {"data_shape": (6, 6)}),
}


@case
def image_record_iter(mx):
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        _files(mx, folder)
        for name, (epochs, options) in KINDS.items():
            found[name] = attempt(_run, mx, folder, "ImageRecordIter", epochs, options)
        for name in (
            "ImageRecordIter_v1",
            "ImageRecordUInt8Iter",
            "ImageRecordInt8Iter",
            "ImageRecordUInt8Iter_v1",
        ):
            found[name] = attempt(_run, mx, folder, name, 1, {"resize": 7})
    return found


DET_KINDS = {
    "plain": (2, {"batch_size": 2}),
    "padded labels": (1, {"label_pad_width": 20, "label_pad_value": 7}),
    "too narrow": (1, {"label_pad_width": 5}),
    "a list": (1, {"path_imglist": "det.lst"}),
    "fit": (1, {"resize_mode": "fit", "fill_value": 9}),
    "shrink": (1, {"resize_mode": "shrink", "data_shape": (3, 9, 9)}),
    "mirror": (1, {"rand_mirror_prob": 1}),
    "values": (1, {"mean_r": 1, "std_r": 2, "std_g": 1, "std_b": 1, "scale": 0.5}),
    "no round": (1, {"round_batch": False}),
    "resize": (1, {"resize": 6}),
    "no boxes": (1, {"path_imgrec": "one.rec"}),
}


@case
def image_det_record_iter(mx):
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        _files(mx, folder)
        for name, (epochs, options) in DET_KINDS.items():
            options = {"path_imgrec": "det.rec", **options}
            found[name] = attempt(_run, mx, folder, "ImageDetRecordIter", epochs, options)
    return found

"""Iterators: their batches, pads, positions and descriptions."""

import os
import struct
import tempfile

import numpy as np
from harness import attempt, case, values

SIZES = (1, 3, 4, 8, 10, 12)


def _batch(batch):
    return [
        [x.asnumpy().tolist() for x in batch.data],
        [x.asnumpy().tolist() for x in batch.label] if batch.label else [],
        batch.pad,
    ]


def _epochs(iterator, count=3):
    """The batches of some epochs, as lists."""
    found = []
    for _ in range(count):
        found.append([_batch(batch) for batch in iterator])
        iterator.reset()
    return found


def _described(iterator):
    return [
        [[d.name, d.shape, np.dtype(d.dtype).name, d.layout] for d in described]
        for described in (iterator.provide_data, iterator.provide_label)
    ]


def _setup(mx):
    x = np.arange(30, dtype="float32").reshape(10, 3)
    return {
        "io": mx.io,
        "x": x,
        "y": np.arange(10, dtype="float32"),
        "d": _described,
        "e": _epochs,
        "arr": mx.nd.array,
        "f16": mx.nd.array(x, dtype="float16"),
        "i32": mx.nd.arange(10, dtype="int32"),
        "f64": mx.nd.arange(10, dtype="float64"),
        "seed": np.random.seed,
    }


def _all_sizes(mx, handle, shuffle=False):
    found = {}
    for n in (1, 4, 9, 10):
        for size in SIZES:
            np.random.seed(n)  # noqa: NPY002
            labels = np.arange(n) * 10
            iterator = mx.io.NDArrayIter(np.arange(n), labels, size, shuffle, handle)
            if handle == "roll_over" and size > 2 * n:
                continue  # an error in MXNet
            found[f"{n} by {size}"] = _epochs(iterator)
    return found


for _handle in ("pad", "discard", "roll_over"):
    for _shuffle in (False, True):
        case(
            lambda mx, handle=_handle, shuffle=_shuffle: _all_sizes(mx, handle, shuffle),
            name=f"NDArrayIter {_handle}{' shuffled' * _shuffle}",
        )

values(
    __name__,
    _setup,
    """
    d(io.NDArrayIter(x, y, 4))
    d(io.NDArrayIter(x))
    d(io.NDArrayIter(x, None, 4))
    d(io.NDArrayIter(x, [], 4))
    d(io.NDArrayIter({'b': x, 'a': y}, {'l': y}, 4))
    d(io.NDArrayIter([x, y], [y], 4))
    d(io.NDArrayIter([x], [y, y], 4))
    d(io.NDArrayIter([x, y], None, 4, data_name='q'))
    d(io.NDArrayIter(x, y, 4, data_name='q', label_name='r', layout='NTC'))
    d(io.NDArrayIter({'a': f16, 'b': i32}, f64, 4))
    d(io.NDArrayIter(x.astype('int32'), y.astype('float64'), 4))
    d(io.NDArrayIter([[1, 2, 3], [4, 5, 6]], None, 1))
    d(io.NDArrayIter(np.zeros((0, 3)), None, 4))
    e(io.NDArrayIter(np.zeros((0, 3)), None, 4))
    e(io.NDArrayIter({'a': f16, 'b': i32}, f64, 4))
    [b.dtype for b in next(io.NDArrayIter({'a': f16, 'b': i32}, f64, 4)).data]
    e(io.NDArrayIter([[1, 2, 3], [4, 5, 6]], None, 2))
    io.NDArrayIter(None, y, 4)
    io.NDArrayIter([], y, 4)
    io.NDArrayIter((x, y), None, 4)
    io.NDArrayIter(x, 'abc', 4)
    io.NDArrayIter(3, None, 4)
    io.NDArrayIter(x, y, 4).getdata()
    io.NDArrayIter(x, y, 4).getlabel()
    [io.NDArrayIter(x, y, 4).getpad(), io.NDArrayIter(x, y, 4).getindex()]
    sorted(k for k in vars(io.NDArrayIter(x, y, 4)) if not k.startswith('_'))
    sorted(vars(next(io.NDArrayIter(x, y, 4))))
    str(next(io.NDArrayIter(x, y, 4)))
    str(io.DataBatch([arr(x)]))
    str(io.DataBatch((arr(x),), (arr(y), arr(y))))
    io.DataBatch(arr(x))
    io.DataBatch([arr(x)], arr(y))
    repr(io.DataDesc('data', (2, 3)))
    repr(io.DataDesc('data', (2, 3), 'float16', 'NTC'))
    tuple(io.DataDesc('data', (2, 3)))
    io.DataDesc('data', (2, 3)) == ('data', (2, 3))
    io.DataDesc('data', (2, 3)).dtype
    io.DataDesc('data', [2, 3]).shape
    [io.DataDesc.get_batch_axis(x) for x in (None, 'NCHW', 'TNC', 'CHW', '')]
    repr(io.DataDesc.get_list([('a', (1,)), ('b', (2,))], None))
    repr(io.DataDesc.get_list([('a', (1,)), ('b', (2,))], [('a', 'float16')]))
    io.DataIter().next()
    [getattr(io.DataIter(), f'get{what}')() for what in ('data', 'label', 'index', 'pad')]
    [io.DataIter().iter_next(), io.DataIter().reset()]
    vars(io.DataIter(3))
    """,
)


@case
def by_hand(mx):
    """What iter_next and the get functions say of one batch after the other."""
    found = []
    for handle in ("pad", "discard", "roll_over"):
        iterator = mx.io.NDArrayIter(np.arange(10), np.arange(10), 4, last_batch_handle=handle)
        for _ in range(2):
            while iterator.cursor < 4:
                found.append([iterator.iter_next(), iterator.cursor, iterator.getpad()])
                found.append([iterator.getdata()[0], iterator.getlabel()[0]])
            iterator.hard_reset()
    return found


@case
def reset_in_the_middle(mx):
    found = []
    for handle in ("pad", "discard", "roll_over"):
        iterator = mx.io.NDArrayIter(np.arange(10), None, 4, last_batch_handle=handle)
        iterator.next()
        iterator.reset()
        found.append(_epochs(iterator, 2))
        iterator.next()
        iterator.hard_reset()
        found.append(_epochs(iterator, 2))
    return found


@case
def batches_are_written_to(mx):
    """Whether an array that was given, or the data set, changes with the batch."""
    given = mx.nd.arange(10)
    found = []
    for shuffle in (False, True):
        for size in (4, 10, 12):
            iterator = mx.io.NDArrayIter(given, None, size, shuffle)
            batch = iterator.next().data[0]
            batch[:] = 99
            iterator.reset()
            found.append(
                [given.asnumpy(), sum(float((b.data[0] == 99).sum().asscalar()) for b in iterator)]
            )
            given[:] = mx.nd.arange(10)
    return found


@case
def resize(mx):
    found = []
    for size in (1, 2, 3, 5, 7):
        for reset_internal in (True, False):
            base = mx.io.NDArrayIter(np.arange(10), np.arange(10), 4)
            iterator = mx.io.ResizeIter(base, size, reset_internal)
            found.append(_epochs(iterator))
            found.append([iterator.iter_next(), iterator.getdata(), iterator.getlabel()])
            found.append([iterator.getpad(), iterator.getindex(), iterator.batch_size])
            found.append(_described(iterator))
    return found


@case
def resize_nothing(mx):
    return mx.io.ResizeIter(mx.io.NDArrayIter(np.zeros((0, 3)), None, 4), 3).next()


@case
def prefetching(mx):
    found = []
    for n in (1, 8, 10):
        base = mx.io.NDArrayIter(np.arange(n), np.arange(n), 4)
        iterator = mx.io.PrefetchingIter(base)
        found.append([_described(iterator), iterator.batch_size, _epochs(iterator)])
        iterator.next()
        iterator.reset()
        found.append(_epochs(iterator, 2))
        found.append([iterator.iter_next() for _ in range(5)])
    return found


@case
def prefetching_two(mx):
    y = np.arange(10)
    two = [mx.io.NDArrayIter(y, y, 4), mx.io.NDArrayIter(y * 2, y * 3, 4)]
    iterator = mx.io.PrefetchingIter(
        two,
        rename_data=[{"data": "a"}, {"data": "b"}],
        rename_label=[{"softmax_label": "l"}, {"softmax_label": "m"}],
    )
    found = [_described(iterator), _epochs(iterator)]
    batch = iterator.next()
    described = batch.provide_data + batch.provide_label
    found.append([[d.name, d.shape] for d in described])
    found.append([iterator.getdata(), iterator.getlabel(), iterator.getpad()])
    return found


@case
def prefetching_of_different_pads(mx):
    y = np.arange(10)
    two = [mx.io.NDArrayIter(y, y, 4), mx.io.NDArrayIter(y[:9], y[:9], 4)]
    iterator = mx.io.PrefetchingIter(two)
    return [attempt(lambda: [_batch(b) for b in iterator])]


@case
def prefetching_nothing(mx):
    return mx.io.PrefetchingIter([])


# ---- files


def _write(folder, name, lines):
    path = os.path.join(folder, name)
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")
    return path


def _of_files(mx, function, lines, **kwargs):
    """Two epochs of an iterator over files; `lines` are what the files have."""
    with tempfile.TemporaryDirectory() as folder:
        files = {key: _write(folder, key, text) for key, text in lines.items()}
        iterator = getattr(mx.io, function)(**files, **kwargs)
        found = [_described(iterator), iterator.batch_size, type(iterator).__name__]
        for _ in range(3):
            for batch in iterator:
                dtypes = [x.dtype for x in batch.data + batch.label]
                found.append([_batch(batch), np.array(batch.index).tolist(), dtypes])
            iterator.reset()
            found.append("reset")
        return found


ROWS = [",".join(str(i * 4 + j) for j in range(4)) for i in range(7)]
LABELS = [str(i * 10) for i in range(7)]
PAIRS = [f"{i},{i + 0.5}" for i in range(7)]

for _name, _lines, _kwargs in (
    ("rows", {"data_csv": ROWS}, {"data_shape": (4,), "batch_size": 3}),
    ("one by one", {"data_csv": ROWS}, {"data_shape": (4,), "batch_size": 1}),
    ("all at once", {"data_csv": ROWS}, {"data_shape": (4,), "batch_size": 7}),
    (
        "labels",
        {"data_csv": ROWS, "label_csv": LABELS},
        {"data_shape": (2, 2), "label_shape": (1,), "batch_size": 3},
    ),
    (
        "not round",
        {"data_csv": ROWS, "label_csv": LABELS},
        {"data_shape": (4,), "batch_size": 3, "round_batch": False},
    ),
    (
        "not round, by 4",
        {"data_csv": ROWS},
        {"data_shape": (4,), "batch_size": 4, "round_batch": False},
    ),
    (
        "label of two",
        {"data_csv": ROWS, "label_csv": PAIRS},
        {"data_shape": (4,), "label_shape": (2,), "batch_size": 2},
    ),
    (
        "names and dtype",
        {"data_csv": ROWS},
        {
            "data_shape": (4,),
            "batch_size": 3,
            "dtype": "int32",
            "data_name": "a",
            "label_name": "b",
        },
    ),
    ("int64", {"data_csv": ROWS}, {"data_shape": (4,), "batch_size": 3, "dtype": "int64"}),
    ("text for shapes", {"data_csv": ROWS}, {"data_shape": "(4,)", "batch_size": "3"}),
    ("no shape", {"data_csv": ROWS}, {"batch_size": 3}),
    ("no batch size", {"data_csv": ROWS}, {"data_shape": (4,)}),
    ("no file", {}, {"data_csv": "absent.csv", "data_shape": (4,), "batch_size": 3}),
    ("other keywords", {"data_csv": ROWS}, {"data_shape": (4,), "batch_size": 3, "other": 1}),
):
    case(
        lambda mx, lines=_lines, kwargs=_kwargs: _of_files(mx, "CSVIter", lines, **kwargs),
        name=f"CSVIter {_name}",
    )

SVM = ["1.0 0:0.5 2:1.5", "-2.0", "-3.0 0:0.75 1:2.5 2:1.25", "4 2:-1.25 # of a line"]
SVM_LABELS = ["9 0:1 1:2", "9 1:3", "9 0:4", "9 1:5"]

for _name, _lines, _kwargs in (
    ("rows", {"data_libsvm": SVM}, {"data_shape": (3,), "batch_size": 3}),
    ("rows by 2", {"data_libsvm": SVM}, {"data_shape": (3,), "batch_size": 2}),
    (
        "labels",
        {"data_libsvm": SVM, "label_libsvm": SVM_LABELS},
        {"data_shape": (3,), "label_shape": (2,), "batch_size": 2},
    ),
    (
        "not round",
        {"data_libsvm": SVM},
        {"data_shape": (3,), "batch_size": 3, "round_batch": False},
    ),
):
    case(
        lambda mx, lines=_lines, kwargs=_kwargs: _of_files(mx, "LibSVMIter", lines, **kwargs),
        name=f"LibSVMIter {_name}",
    )


def _mnist(mx, **kwargs):
    images = (np.arange(10 * 2 * 3) * 4 % 256).astype("uint8")
    with tempfile.TemporaryDirectory() as folder:
        image, label = os.path.join(folder, "image"), os.path.join(folder, "label")
        with open(image, "wb") as f:
            f.write(struct.pack(">4I", 0x803, 10, 2, 3) + images.tobytes())
        with open(label, "wb") as f:
            f.write(struct.pack(">2I", 0x801, 10) + bytes(range(10)))
        iterator = mx.io.MNISTIter(image=image, label=label, silent=True, **kwargs)
        return [_described(iterator), iterator.batch_size, _epochs(iterator)]


for _name, _kwargs in (
    ("images", {"batch_size": 4}),
    ("rows", {"batch_size": 4, "flat": True}),
    ("rows by 5", {"batch_size": 5, "flat": True}),
    ("second of two parts", {"batch_size": 4, "num_parts": 2, "part_index": 1, "flat": True}),
    ("second of three parts", {"batch_size": 3, "num_parts": 3, "part_index": 1, "flat": True}),
    ("other keywords", {"batch_size": 4, "input_shape": (1, 2, 3), "data_shape": (6,)}),
    ("text", {"batch_size": "4", "flat": "True"}),
    ("names", {"batch_size": 4, "data_name": "a", "label_name": "b"}),
):
    case(lambda mx, kwargs=_kwargs: _mnist(mx, shuffle=False, **kwargs), name=f"MNISTIter {_name}")

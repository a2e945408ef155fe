"""Data sets, samplers, loaders and data sets from files."""

import gzip
import os
import struct
import tempfile

import numpy as np
from harness import attempt, case, values

_LASTS = ("keep", "discard", "rollover")


def _items(dataset):
    return [dataset[i] for i in range(len(dataset))]


def _epochs(batches, count=3):
    found = []
    for _ in range(count):
        length = len(batches)
        found.append([length, list(batches)])
    return found


def _setup(mx):
    x = mx.nd.arange(20).reshape((10, 2))
    a = mx.gluon.data.ArrayDataset(x, mx.nd.arange(10))
    d = mx.gluon.data
    return {
        "D": d,
        "x": x,
        "n": np.arange(20, dtype="float32").reshape(10, 2),
        "a": a,
        "s": d.SimpleDataset(list(range(10))),
        "items": _items,
        "epochs": _epochs,
        "bat": d.dataloader.default_batchify_fn,
        "seq": d.SequentialSampler,
        "arr": mx.nd.array,
        "one": mx.nd.ones((2,)),
        "kinds": lambda item: [type(part).__name__ for part in item],
        "seed": np.random.seed,
    }


values(
    __name__,
    _setup,
    """
    a[3]
    kinds(a[3])
    a[-1]
    a[10]
    a[1:3]
    kinds(a._data)
    len(a)
    D.ArrayDataset(x)[0]
    D.ArrayDataset([1, 2, 3])[1]
    D.ArrayDataset(x, arr(range(10), dtype='int32'))[2]
    D.ArrayDataset(n, [str(i) for i in range(10)])[2]
    D.ArrayDataset()
    D.ArrayDataset(x, [1, 2])
    D.ArrayDataset(iter([1]))
    [s[1], len(s), s[-1], s[2:4], list(s)]
    s[10]
    [[items(s.shard(k, i)) for i in range(k)] for k in range(1, 13)]
    s.shard(3, 3)
    s.shard(3, -1)
    s.shard(0, 0)
    s.shard(2.0, 0)
    s.shard(3, 1)[3]
    s.shard(3, 1)[-1]
    [[len(s.take(k)), list(s.take(k))] for k in (None, 0, 3, 10, 11)]
    len(s.take(-1))
    s.take(2.5)
    s.take(3)[3]
    list(s.sample(seq(4, 2)))
    s.sample([1, 2])
    s.sample(seq(11))[10]
    list(s.filter(lambda v: v % 2))
    [[float(y), x] for x, y in items(a.filter(lambda item: item[1] > 6))]
    s.transform(lambda v: v * 2)[3]
    s.transform(lambda v: v * 2)[10]
    s.transform(lambda v: v)[1:3]
    vars(s.transform(lambda v: v * 2, lazy=False))
    type(s.transform(lambda v: v, False)).__name__
    a.transform(lambda u, v: [u, -v])[3]
    a.transform(lambda u: u)[3]
    a.transform_first(lambda v: v * 2)[3]
    kinds(a.transform_first(lambda v: v * 2)[3])
    s.transform_first(lambda v: v * 2)[3]
    items(a.transform_first(lambda v: v * 2, lazy=False))
    D.SimpleDataset([(1, 2)]).transform(lambda u, v: u + v)[0]
    D.SimpleDataset([[1, 2]]).transform(lambda u: u)[0]
    D.SimpleDataset([(1,)]).transform_first(lambda u: u)[0]
    items(s.take(6).shard(2, 1).transform(lambda v: -v).filter(lambda v: v < -3))
    D.Dataset()[0]
    len(D.Dataset())
    iter(D.Sampler())
    len(D.Sampler())
    [list(seq(3, 5)), len(seq(3, 5)), list(seq(0))]
    [seed(3), list(D.RandomSampler(10)), list(D.RandomSampler(10)), len(D.RandomSampler(10))]
    [type(i).__name__ for i in D.RandomSampler(2)]
    list(D.RandomSampler(0))
    list(D.RandomSampler(-1))
    [list(D.FilterSampler(lambda v: v % 2, s)), len(D.FilterSampler(lambda v: v % 2, s))]
    list(D.BatchSampler(seq(10), 4, 'nonsense'))
    len(D.BatchSampler(seq(10), 4, 'nonsense'))
    list(D.BatchSampler(seq(10), 0))
    len(D.BatchSampler(seq(10), 0))
    bat([one, one * 0])
    bat([1, 2])
    bat([1.5, 2])
    bat([(1, one), (2, one)])
    bat([np.float32(1), np.float32(2)])
    bat([np.ones(2), np.zeros(2)])
    bat([np.ones(2, 'float16')])
    bat([np.uint8(3)])
    bat([[1, 2], [3, 4]])
    bat([True, False])
    bat([arr(one, dtype='float16'), arr(one, dtype='float16')])
    bat([((1, 2), 3), ((4, 5), 6)])
    bat([(1, 2), (3,)])
    bat([one, arr([1, 2, 3])])
    bat([one, arr(one, dtype='int32')])
    bat([])
    D.DataLoader(s)
    D.DataLoader(s, 2, batch_sampler=[[1]])
    D.DataLoader(s, 2, shuffle=True, sampler=seq(3))
    D.DataLoader(s, shuffle=True, batch_sampler=[[1]])
    D.DataLoader(s, last_batch='keep', batch_sampler=[[1]])
    D.DataLoader(s, sampler=seq(3), batch_sampler=[[1]])
    list(D.DataLoader(s, 3, last_batch='nonsense'))
    D.DataLoader(s, 2, timeout=0)
    D.DataLoader(s, 2, timeout=-1)
    [D.DataLoader(s, 2)._prefetch, D.DataLoader(s, 2, num_workers=-3)._num_workers]
    list(D.DataLoader(s, 3))
    list(D.DataLoader(a, 4))
    list(D.DataLoader(D.ArrayDataset(n, n), 4))
    list(D.DataLoader([1, 2, 3], 2))
    list(D.DataLoader(n, 4))
    list(D.DataLoader(x, 4))
    list(D.DataLoader(arr([5, 6, 7]), 2))
    list(D.DataLoader(D.ArrayDataset([1, 2], [1.5, 2.5]), 2))
    list(D.DataLoader(s, batch_sampler=[[0, 1], [2, 2, 2]]))
    list(D.DataLoader(s, batch_size=2, sampler=[2, 1, 0]))
    list(D.DataLoader(s, 4, batchify_fn=len))
    list(D.DataLoader([], 2))
    list(D.DataLoader(s, 4, sampler=[9, 10]))
    list(D.DataLoader(a, 4, sampler=[-1, 3]))
    list(D.DataLoader(s.transform(lambda v: (v, v * 0.5)), 4))
    [seed(1), list(D.DataLoader(s, 4, shuffle=True))]
    D.vision.ImageFolderDataset('/nosuch')
    D.RecordFileDataset('/nosuch.rec')
    """,
)


@case
def batch_samplers(mx):
    """The lists and lengths of several epochs, and after one that is left half way."""
    found = {}
    data = mx.gluon.data
    for last in _LASTS:
        for count, size in ((10, 4), (2, 4), (8, 4), (0, 3), (3, 1)):
            sampler = data.BatchSampler(data.SequentialSampler(count), size, last)
            found[f"{last} {count} by {size}"] = _epochs(sampler, 5)
            next(iter(sampler), None)
            found[f"{last} {count} by {size}, half"] = _epochs(sampler, 2)
    return found


@case
def loaders(mx):
    """What each way to end gives in three epochs."""
    data = mx.gluon.data
    return {
        last: _epochs(data.DataLoader(data.SimpleDataset(list(range(7))), 3, last_batch=last))
        for last in _LASTS
    }


class _Five:
    def __len__(self):
        return 10

    def __getitem__(self, i):
        if i == 5:
            raise ArithmeticError("five")
        return i


@case
def errors_of_a_data_set(mx):
    loader = mx.gluon.data.DataLoader
    return [
        attempt(list, loader(_Five(), 3, **options))
        for options in ({}, {"num_workers": 1}, {"num_workers": 1, "thread_pool": True})
    ]


@case
def as_in_context(mx):
    move = mx.gluon.data.dataloader._as_in_context
    moved = move((mx.nd.ones((1,)), [mx.nd.ones((1,)), 3, "a"]), mx.cpu(2))
    return [type(moved).__name__, str(moved[0].context), str(moved[1][0].context), moved]


def _write_mnist(folder, part, count):
    images = (np.arange(count * 784) % 251).astype("uint8").tobytes()
    labels = (np.arange(count) % 10).astype("uint8").tobytes()
    for name, content in (
        ("images-idx3", struct.pack(">4I", 2051, count, 28, 28) + images),
        ("labels-idx1", struct.pack(">2I", 2049, count) + labels),
    ):
        with gzip.open(os.path.join(folder, f"{part}-{name}-ubyte.gz"), "wb") as f:
            f.write(content)


def _write_cifar(folder, name, count, labels):
    with open(os.path.join(folder, name), "wb") as f:
        for i in range(count):
            f.write(bytes((i + k) % 10 for k in range(labels)))
            f.write(((np.arange(3072) + 7 * i) % 251).astype("uint8").tobytes())


def _described(dataset):
    x, y = dataset[len(dataset) - 1]
    part = x.asnumpy()[::9, ::9] if hasattr(x, "asnumpy") else x
    return [len(dataset), type(x).__name__, part, type(y).__name__, y, dataset._label]


def _without_checks(mx):
    """MXNet takes files whose checksums are not those of the published ones for damaged."""
    datasets = mx.gluon.data.vision.datasets
    if mx.__name__ == "mxnet":
        datasets.check_sha1 = lambda *_: True
        datasets.download = lambda url, path=None, **_: os.path.join(path, url.split("/")[-1])
    return mx.gluon.data.vision


@case
def mnist(mx):
    vision = _without_checks(mx)
    with tempfile.TemporaryDirectory() as folder:
        _write_mnist(folder, "train", 5)
        _write_mnist(folder, "t10k", 3)
        found = [
            _described(vision.MNIST(folder)),
            _described(vision.FashionMNIST(folder, train=False)),
            _described(vision.MNIST(folder, transform=lambda x, y: (x.shape, -y))),
            [part.shape for part in vision.MNIST(folder)[1:3]],
            attempt(lambda: vision.MNIST(folder)[5]),
        ]
        loader = mx.gluon.data.DataLoader(vision.MNIST(folder), 3)
        found.append(
            [[part[..., :1, :1, :] if part.ndim > 1 else part for part in b] for b in loader]
        )
    return found


@case
def cifar(mx):
    vision = _without_checks(mx)
    with tempfile.TemporaryDirectory() as folder:
        for i in range(1, 6):
            _write_cifar(folder, f"data_batch_{i}.bin", 2, 1)
        _write_cifar(folder, "test_batch.bin", 3, 1)
        _write_cifar(folder, "train.bin", 3, 2)
        _write_cifar(folder, "test.bin", 2, 2)
        return [
            _described(vision.CIFAR10(folder)),
            _described(vision.CIFAR10(folder, train=False)),
            _described(vision.CIFAR100(folder)),
            _described(vision.CIFAR100(folder, fine_label=True)),
            _described(vision.CIFAR100(folder, train=False)),
        ]


@case
def test_utils_mnist(mx):
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        try:
            os.chdir(folder)
            _write_mnist(folder, "train", 5)
            _write_mnist(folder, "t10k", 3)
            found = mx.test_utils.get_mnist()
            found = {
                name: [a.shape, a.dtype.name, a[:, :, ::5, ::5] if a.ndim > 1 else a]
                for name, a in found.items()
            }
        finally:
            os.chdir(here)
    return found

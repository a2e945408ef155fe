"""Data sets from files, and what finds files that MXNet would download."""

import bz2
import gzip
import io
import os
import struct
import tarfile
import zipfile

import numpy as np
import pytest

import mxtape as mx
from mxtape import nd, recordio
from mxtape.gluon.data import ArrayDataset, DataLoader, RecordFileDataset, vision
from support import assert_same

pytestmark = pytest.mark.skipif(mx.__name__ == "mxnet", reason="MXNet would download the files")

IMAGES = (np.arange(4 * 784) % 251).astype("uint8").reshape(4, 28, 28)
LABELS = np.array([3, 1, 4, 1], "uint8")


def write_mnist(folder, part="train", packed=True, images=IMAGES, labels=LABELS):
    for name, content in (
        ("images-idx3", struct.pack(">4I", 2051, *images.shape) + images.tobytes()),
        ("labels-idx1", struct.pack(">2I", 2049, *labels.shape) + labels.tobytes()),
    ):
        path = folder / f"{part}-{name}-ubyte{'.gz' * packed}"
        path.write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize("packed", [True, False])
def test_mnist_packed_and_unpacked(tmp_path, packed):
    write_mnist(tmp_path, "t10k", packed)
    dataset = vision.MNIST(str(tmp_path), train=False)
    x, y = dataset[2]
    assert (x.shape, x.dtype, y.dtype, len(dataset)) == ((28, 28, 1), np.uint8, np.int32, 4)
    for options in ({}, {"num_workers": 1}):
        ((x, y),) = DataLoader(dataset, 4, **options)
        assert_same(x, IMAGES[..., None])
        assert_same(y, LABELS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not begin as a file of 3 axes"),
        (b"\x1f\x8bnonsense", "cannot be unpacked"),
        (struct.pack(">4I", 2051, 4, 28, 28) + b"few", "3 bytes for the shape"),
        (struct.pack(">4I", 2051, 1, 28, 28) + bytes(784), "1 images in .* and 4 labels"),
    ],
)
def test_damaged_files_of_mnist(tmp_path, content, message):
    write_mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(mx.MXNetError, match=message):
        vision.MNIST(str(tmp_path))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (vision.MNIST, "train-images-idx3-ubyte.gz"),
        (vision.FashionMNIST, "fashion-mnist/train-images-idx3-ubyte.gz"),
        (vision.CIFAR10, "cifar-10-binary.tar.gz"),
        (vision.CIFAR100, "cifar-100-binary.tar.gz"),
    ],
)
def test_what_is_missing_is_named(tmp_path, make, name):
    with pytest.raises(mx.MXNetError, match=f"{name}.*{tmp_path}.*downloads nothing"):
        make(str(tmp_path / "folder"))


def test_cifar_in_its_archive(tmp_path):
    records = b"".join(bytes([k]) + bytes([10 * k]) * 3072 for k in range(3))
    path = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as packed:
        for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(records)
            packed.addfile(member, io.BytesIO(records))
    dataset = vision.CIFAR10(str(tmp_path))
    assert len(dataset) == 15
    assert dataset[14][0].shape == (32, 32, 3)
    assert dataset[14][0].max().asscalar() == 20
    assert dataset[14][1] == 2
    with tarfile.open(path, "w:gz") as packed:
        pass
    with pytest.raises(mx.MXNetError, match=r"no 'test_batch\.bin' in it"):
        vision.CIFAR10(str(tmp_path), train=False)
    path.write_bytes(b"nonsense")
    with pytest.raises(mx.MXNetError, match="cannot be read"):
        vision.CIFAR10(str(tmp_path))
    (tmp_path / "test_batch.bin").write_bytes(records[:-1])
    with pytest.raises(mx.MXNetError, match=r"test_batch.bin in .*no multiple of the 3073"):
        vision.CIFAR10(str(tmp_path), train=False)


@pytest.fixture
def pictures(tmp_path):
    """Folders a and b with a picture each, of the colours 10 and 20, and what is no picture."""
    pytest.importorskip("PIL.Image")
    for value, name in ((10, "a/one.png"), (20, "b/two.PNG")):
        path = tmp_path / name
        path.parent.mkdir()
        header = recordio.IRHeader(0, 0.0, 0, 0)
        content = recordio.pack_img(header, np.full((6, 5, 3), value, "uint8"), img_fmt=".png")
        path.write_bytes(recordio.unpack(content)[1])
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    (tmp_path / "file.png").write_text("no folder")
    return tmp_path


def test_folders_of_pictures(pictures):
    with pytest.warns(UserWarning, match="left out") as caught:
        dataset = vision.ImageFolderDataset(str(pictures))
    assert len(caught) == 2
    assert dataset.synsets == ["a", "b"]
    assert dataset.items == [(str(pictures / "a/one.png"), 0), (str(pictures / "b/two.PNG"), 1)]
    x, y = dataset[1]
    assert (x.shape, x.dtype, x[0, 0, 0].asscalar(), y) == ((6, 5, 3), np.uint8, 20, 1)
    with pytest.warns(UserWarning, match="left out"):
        gray = vision.ImageFolderDataset(str(pictures), 0, lambda x, y: (x.shape, y + 5))
    assert gray[0] == ((6, 5, 1), 5)
    for x, y in DataLoader(dataset, 2, num_workers=1):
        assert_same(x, np.full((2, 6, 5, 3), [[[[10]]], [[[20]]]]))
        assert_same(y, [0, 1])


def test_lists_of_pictures(pictures):
    (pictures / "two.lst").write_text("0\t3.5\ta/one.png\n\n1\t4\t5\tb/two.PNG\n")
    entries = [[3.5, "a/one.png"], [[4, 5], "b/two.PNG"]]
    for imglist in ("two.lst", entries, [entries[0], [4, 5, "b/two.PNG"]]):
        dataset = vision.ImageListDataset(str(pictures), imglist)
        assert len(dataset) == 2
        assert dataset[0][0].shape == (6, 5, 3)
        assert dataset[0][1] == 3.5
        assert dataset[1][1].tolist() == [4, 5]
    for imglist in ([["a/one.png"]], [[]], [["x", "a/one.png"]], None):
        with pytest.raises(ValueError, match="ImageListDataset"):
            vision.ImageListDataset(str(pictures), imglist)


def test_records_of_pictures(pictures):
    path = str(pictures / "two.rec")
    record = recordio.MXIndexedRecordIO(path[:-3] + "idx", path, "w")
    for key, label in ((3, 1.5), (8, [1, 2, 3])):
        header = recordio.IRHeader(0, label, key, 0)
        picture = np.full((6, 5, 3), 10 * key, "uint8")
        record.write_idx(key, recordio.pack_img(header, picture, img_fmt=".png"))
    record.close()
    dataset = vision.ImageRecordDataset(path)
    assert len(dataset) == len(RecordFileDataset(path)) == 2
    assert isinstance(RecordFileDataset(path)[0], bytes)
    assert dataset[0][1] == 1.5
    assert dataset[-1][1].tolist() == [1, 2, 3]
    assert dataset[1][0][0, 0, 0].asscalar() == 80
    gray = vision.ImageRecordDataset(path, 0, lambda x, y: x)
    for options in ({}, {"num_workers": 2}, {"num_workers": 2, "thread_pool": True}):
        batches = list(DataLoader(gray, 1, **options))
        assert [batch[0, 0, 0, 0].asscalar() for batch in batches] == [30, 80]
    with pytest.raises(IndexError):
        dataset[2]
    os.remove(path[:-3] + "idx")
    with pytest.raises(FileNotFoundError, match=r"two\.idx"):
        vision.ImageRecordDataset(path)


def test_transforms_of_a_batch_of_digits(tmp_path):
    write_mnist(tmp_path)
    dataset = vision.MNIST(str(tmp_path)).transform_first(vision.transforms.ToTensor())
    ((x, y),) = DataLoader(dataset, 4, num_workers=1)
    assert_same(x, IMAGES[:, None] / 255)
    assert_same(y, LABELS)


# ---- test_utils


def test_get_mnist_looks_in_three_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "home"))
    with pytest.raises(mx.MXNetError, match="no file train-images-idx3-ubyte"):
        mx.test_utils.get_mnist()
    folder = tmp_path / "home/datasets/mnist"
    folder.mkdir(parents=True)
    write_mnist(folder)
    write_mnist(folder, "t10k", packed=False)
    found = mx.test_utils.get_mnist()
    assert found["test_data"].dtype == np.float32
    np.testing.assert_allclose(found["train_data"], IMAGES[:, None] / 255, rtol=1e-6)
    assert found["train_label"].tolist() == LABELS.tolist()


def test_get_mnist_iterator(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(mx.MXNetError, match=r"data/mnist\.zip"):
        mx.test_utils.get_mnist_iterator(2, (784,))
    for part in ("train", "t10k"):
        write_mnist(tmp_path, part, packed=False)
    with zipfile.ZipFile("data/mnist.zip", "w") as packed:
        for path in tmp_path.glob("*ubyte"):
            packed.write(path, path.name)
    train, test = mx.test_utils.get_mnist_iterator(2, (784,))
    assert train.provide_data[0].shape == (2, 784)
    assert sorted(y for batch in test for y in batch.label[0].asnumpy()) == sorted(LABELS)
    images, _ = mx.test_utils.get_mnist_iterator(1, (1, 28, 28), 2, 1)
    assert [batch.data[0].shape for batch in images] == [(1, 1, 28, 28)] * 2


def test_files_that_would_be_downloaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tu = mx.test_utils
    (tmp_path / "a.txt").write_text("text")
    assert tu.download("https://example.com/a.txt") == "a.txt"
    assert tu.download("https://example.com/b", fname="a.txt") == "a.txt"
    assert tu.download(f"file://{tmp_path}/a.txt", "copy.txt", "folder") == "folder/copy.txt"
    assert (tmp_path / "folder/copy.txt").read_text() == "text"
    with pytest.raises(mx.MXNetError, match="overwrite"):
        tu.download("https://example.com/a.txt", overwrite=True)
    for call in (tu.get_mnist_pkl, tu.get_cifar10, lambda: tu.download("http://x.org/none")):
        with pytest.raises(mx.MXNetError, match="no such file"):
            call()
    (tmp_path / "data/mnist.pkl.gz").touch()
    tu.get_mnist_pkl()
    (tmp_path / "data/p.bz2").write_bytes(bz2.compress(b"words"))
    for _ in range(2):
        tu.get_bz2_data("data", "words", "http://x.org/p.bz2", "p.bz2")
        assert (tmp_path / "data/words").read_bytes() == b"words"
    with zipfile.ZipFile("data/p.zip", "w") as packed:
        packed.writestr("in/side", "x")
    tu.get_zip_data("data", "http://x.org/p.zip", "p.zip")
    assert (tmp_path / "data/in/side").read_text() == "x"
    assert tu.download_model("m", meta_info={}) == (None, 0)
    with pytest.raises(mx.MXNetError, match=r"m-symbol\.json"):
        tu.download_model("m")
    for name in ("m-symbol.json", "m-0000.params"):
        (tmp_path / name).touch()
    assert tu.download_model("m") == ("./m", 0)
    with pytest.raises(AssertionError, match="params"):
        tu.download_model("m", ".", {"m": {"symbol": "http://x.org/s.json"}})


def test_a_subclass_of_a_data_set_reads_for_itself():
    class Doubled(ArrayDataset):
        def __getitem__(self, idx):
            x, y = super().__getitem__(idx)
            return x * 2, y

    ((x, y),) = DataLoader(Doubled(nd.ones((3, 2)), [1, 2, 3]), 3)
    assert_same(x, np.full((3, 2), 2))
    assert_same(y, [1, 2, 3])

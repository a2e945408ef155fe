"""Data sets of pictures, read from local files. Nothing is downloaded."""

import gzip
import os
import struct
import tarfile
import warnings
import zlib

import numpy as np

from .... import base, image, recordio
from .... import ndarray as nd
from ....base import MXNetError
from ...utils import download
from .. import dataset

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "FashionMNIST",
    "ImageFolderDataset",
    "ImageListDataset",
    "ImageRecordDataset",
]

_ADDRESS = "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/gluon/dataset"


_MNIST, _FASHION, _CIFAR10, _CIFAR100 = (
    os.path.join(base.data_dir(), "datasets", name)
    for name in ("mnist", "fashion-mnist", "cifar10", "cifar100")
)


class MNIST(dataset._DownloadedDataset):
    """The handwritten digits of MNIST, from its files.

    Parameters
    ----------
    root : str
        The folder of the files; ``datasets/mnist`` in `mxtape.base.data_dir()` by default. They
        are ``train-images-idx3-ubyte.gz``, ``train-labels-idx1-ubyte.gz``, and the two that begin
        with ``t10k``; without ``.gz`` where they are unpacked.
    train : bool, default True
        Whether to read the 60,000 images for training, or the 10,000 for testing.
    transform : callable, optional
        Called with an image and its label when an item is read.

    An item is an image, an NDArray of shape (28, 28, 1) and dtype uint8, and its label, of dtype
    int32.

    Raises
    ------
    MXNetError
        When a file is missing, or is no such file. The message names it.
    """

    _namespace = "mnist"
    _train_data = "train-images-idx3-ubyte.gz"
    _train_label = "train-labels-idx1-ubyte.gz"
    _test_data = "t10k-images-idx3-ubyte.gz"
    _test_label = "t10k-labels-idx1-ubyte.gz"

    def __init__(self, root=_MNIST, train=True, transform=None):
        self._train = train
        super().__init__(root, transform)

    def _get_data(self):
        if self._train:
            names = self._train_data, self._train_label
        else:
            names = self._test_data, self._test_label
        images, labels = (_idx(self._found(name), axes) for name, axes in zip(names, (3, 1)))
        if len(images) != len(labels):
            raise MXNetError(
                f"{type(self).__name__}: {len(images)} images in {names[0]}, and {len(labels)} "
                f"labels in {names[1]}, in {self._root}"
            )
        self._data = nd.array(images[..., None], dtype=images.dtype)
        self._label = labels.astype(np.int32)

    def _found(self, name):
        unpacked = os.path.join(self._root, name[: -len(".gz")])
        if os.path.isfile(unpacked) and not os.path.isfile(os.path.join(self._root, name)):
            return unpacked
        return download(f"{_ADDRESS}/{self._namespace}/{name}", self._root)


class FashionMNIST(MNIST):
    """The pictures of clothes of Fashion-MNIST, from its files, whose names are those of MNIST.

    Parameters and items are those of :class:`MNIST`. The folder is ``datasets/fashion-mnist`` by
    default.
    """

    _namespace = "fashion-mnist"

    def __init__(self, root=_FASHION, train=True, transform=None):
        super().__init__(root, train, transform)


def _idx(path, axes):
    """The bytes of a file of MNIST's form, with so many axes."""
    with open(path, "rb") as file:
        content = file.read()
    try:
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        raise MXNetError(f"{path}: it cannot be unpacked: {error}") from error
    begin = 4 + 4 * axes
    if len(content) < begin or content[:4] != bytes((0, 0, 8, axes)):
        raise MXNetError(f"{path}: it does not begin as a file of {axes} axes of bytes does")
    shape = struct.unpack_from(f">{axes}I", content, 4)
    if len(content) - begin != np.prod(shape, dtype=np.int64):
        raise MXNetError(f"{path}: it has {len(content) - begin} bytes for the shape {shape}")
    return np.frombuffer(content, np.uint8, offset=begin).reshape(shape)


class CIFAR10(dataset._DownloadedDataset):
    """The pictures of CIFAR-10, from its binary files.

    Parameters
    ----------
    root : str
        The folder of the files; ``datasets/cifar10`` in `mxtape.base.data_dir()` by default. They
        are ``data_batch_1.bin`` to ``data_batch_5.bin`` and ``test_batch.bin``, or
        ``cifar-10-binary.tar.gz`` with these in it.
    train : bool, default True
        Whether to read the 50,000 pictures for training, or the 10,000 for testing.
    transform : callable, optional
        Called with a picture and its label when an item is read.

    An item is a picture, an NDArray of shape (32, 32, 3) and dtype uint8, and its label, of dtype
    int32.

    Raises
    ------
    MXNetError
        When a file is missing, or is no such file. The message names it.
    """

    _namespace = "cifar10"
    _archive_file = "cifar-10-binary.tar.gz"
    _train_data = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
    _test_data: tuple = ("test_batch.bin",)

    def __init__(self, root=_CIFAR10, train=True, transform=None):
        self._train = train
        super().__init__(root, transform)

    def _read_batch(self, content):
        """The pictures and labels of a file."""
        return _records(content, 1, 0)

    def _get_data(self):
        names = self._train_data if self._train else self._test_data
        parts = []
        for name, content in zip(names, self._contents(names)):
            try:
                parts.append(self._read_batch(content))
            except ValueError as error:
                raise MXNetError(f"{name} in {self._root}: {error}") from None
        data, labels = (np.concatenate(part) for part in zip(*parts))
        self._data = nd.array(data, dtype=data.dtype)
        self._label = labels

    def _contents(self, names):
        paths = [os.path.join(self._root, name) for name in names]
        if all(map(os.path.isfile, paths)):
            for path in paths:
                with open(path, "rb") as unpacked:
                    yield unpacked.read()
            return
        archive = download(f"{_ADDRESS}/{self._namespace}/{self._archive_file}", self._root)
        try:
            with tarfile.open(archive) as packed:
                members = {os.path.basename(each.name): each for each in packed.getmembers()}
                for name in names:
                    file = packed.extractfile(members[name])
                    assert file is not None
                    yield file.read()
        except KeyError as error:
            raise MXNetError(f"{archive}: there is no {error} in it") from None
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise MXNetError(f"{archive}: it cannot be read: {error}") from error


class CIFAR100(CIFAR10):
    """The pictures of CIFAR-100, from its binary files.

    Parameters
    ----------
    root : str
        The folder of the files; ``datasets/cifar100`` in `mxtape.base.data_dir()` by default. They
        are ``train.bin`` and ``test.bin``, or ``cifar-100-binary.tar.gz`` with these in it.
    fine_label : bool, default False
        Whether labels are the 100 classes, or the 20 groups of classes.
    train, transform
        As in :class:`CIFAR10`, whose items these have.
    """

    _namespace = "cifar100"
    _archive_file = "cifar-100-binary.tar.gz"
    _train_data = ("train.bin",)
    _test_data = ("test.bin",)

    def __init__(self, root=_CIFAR100, fine_label=False, train=True, transform=None):
        self._fine_label = fine_label
        super().__init__(root, train, transform)

    def _read_batch(self, content):
        return _records(content, 2, int(self._fine_label))


def _records(content, labels, label):
    """Pictures by height, width and colour, and one of the labels that are before each."""
    length = labels + 3 * 32 * 32
    if len(content) % length:
        raise ValueError(f"{len(content)} bytes are no multiple of the {length} of a picture")
    records = np.frombuffer(content, np.uint8).reshape(-1, length)
    pictures = records[:, labels:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return pictures, records[:, label].astype(np.int32)


class ImageRecordDataset(dataset.RecordFileDataset):
    """The pictures of an indexed record file.

    Parameters
    ----------
    filename : str
        The file, ``name.rec``. Its index ``name.idx`` is beside it.
    flag : int, default 1
        1 reads three channels, 0 one, for gray.
    transform : callable, optional
        Called with a picture and its label when an item is read.

    An item is a picture, an NDArray of shape (height, width, channels) and dtype uint8, and the
    label of the record: a number, or a NumPy array of several.
    """

    def __init__(self, filename, flag=1, transform=None):
        super().__init__(filename)
        self._flag = flag
        self._transform = transform

    def __getitem__(self, idx):
        header, content = recordio.unpack(super().__getitem__(idx))
        picture = image.imdecode(content, self._flag)
        if self._transform is None:
            return picture, header.label
        return self._transform(picture, header.label)


class ImageFolderDataset(dataset.Dataset):
    """The pictures of a folder that has a folder for each class.

    Parameters
    ----------
    root : str
        The folder. Files in it, and what is not ``.jpg``, ``.jpeg`` or ``.png`` in the folders, is
        left out with a warning.
    flag : int, default 1
        1 reads three channels, 0 one, for gray.
    transform : callable, optional
        Called with a picture and its label when an item is read.

    Attributes
    ----------
    synsets : list of str
        The names of the classes, in order: the labels are positions in it.
    items : list of (str, int)
        The files and their labels.

    Raises
    ------
    FileNotFoundError
        When there is no such folder.
    """

    def __init__(self, root, flag=1, transform=None):
        self._root = os.path.expanduser(root)
        self._flag = flag
        self._transform = transform
        self._exts = [".jpg", ".jpeg", ".png"]
        self._list_images(self._root)

    def _list_images(self, root):
        self.synsets: list[str] = []
        self.items: list[tuple[str, int]] = []
        for name in sorted(os.listdir(root)):
            folder = os.path.join(root, name)
            if not os.path.isdir(folder):
                warnings.warn(
                    f"ImageFolderDataset: {folder} is no folder, and left out", stacklevel=3
                )
                continue
            label = len(self.synsets)
            self.synsets.append(name)
            for file in sorted(os.listdir(folder)):
                path = os.path.join(folder, file)
                if os.path.splitext(file)[1].lower() in self._exts:
                    self.items.append((path, label))
                else:
                    warnings.warn(
                        f"ImageFolderDataset: {path} is left out; pictures end in "
                        f"{', '.join(self._exts)}",
                        stacklevel=3,
                    )

    def __getitem__(self, idx):
        path, label = self.items[idx]
        picture = image.imread(path, self._flag)
        return (picture, label) if self._transform is None else self._transform(picture, label)

    def __len__(self):
        return len(self.items)


class ImageListDataset(dataset.Dataset):
    """The pictures of a list, as MXNet 2 has it.

    Parameters
    ----------
    root : str, default '.'
        The folder that the paths in the list begin from.
    imglist : str or list
        A file of which each line has a number, labels and a path, with tabs between them; or a
        list of lists of labels and a path.
    flag : int, default 1
        1 reads three channels, 0 one, for gray.

    An item is a picture, an NDArray of shape (height, width, channels) and dtype uint8, and its
    label: a number, or a NumPy array of several, of dtype float32.

    Raises
    ------
    ValueError
        For a line or an entry that is not of this form.
    """

    def __init__(self, root=".", imglist=None, flag=1):
        self._root = os.path.expanduser(root)
        self._flag = flag
        if isinstance(imglist, (str, os.PathLike)):
            path = os.path.join(self._root, os.path.expanduser(imglist))
            with open(path) as lines:
                entries = [line.rstrip("\n").split("\t")[1:] for line in lines if line.strip()]
        elif isinstance(imglist, (list, tuple)):
            entries = list(imglist)
        else:
            raise ValueError(f"ImageListDataset: imglist is a list or a file, got {imglist!r}")
        self.items = [self._item(entry) for entry in entries]

    def _item(self, entry):
        try:
            *labels, path = entry
            labels = np.array(labels[0] if len(labels) == 1 else labels, np.float32)
            path = os.path.join(self._root, path)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"ImageListDataset: {entry!r:.200} is not labels and a path: {error}"
            ) from None
        if not labels.size:
            raise ValueError(f"ImageListDataset: {entry!r:.200} has no label")
        return path, labels[()]

    def __getitem__(self, idx):
        path, label = self.items[idx]
        return image.imread(path, self._flag), label

    def __len__(self):
        return len(self.items)

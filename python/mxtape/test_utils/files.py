"""Data sets and models that MXNet downloads, from local files. Nothing is downloaded here."""

import bz2
import logging
import os
import shutil
import zipfile

import numpy as np

from .. import base
from ..gluon.data.vision.datasets import _idx
from ..gluon.utils import download as _found
from ..io import MNISTIter

__all__ = [
    "download",
    "download_model",
    "get_bz2_data",
    "get_cifar10",
    "get_mnist",
    "get_mnist_iterator",
    "get_mnist_pkl",
    "get_mnist_ubyte",
    "get_zip_data",
]

_MNIST = {
    "train_data": "train-images-idx3-ubyte",
    "train_label": "train-labels-idx1-ubyte",
    "test_data": "t10k-images-idx3-ubyte",
    "test_label": "t10k-labels-idx1-ubyte",
}


def download(url, fname=None, dirname=None, overwrite=False, retries=5):
    """The name of the local file for a URL.

    Parameters
    ----------
    url : str
        A ``file://`` URL is copied. Of any other, only the last part is used, as a name.
    fname : str, optional
        The name of the file; the URL's last part by default.
    dirname : str, optional
        The folder, made if there is none.
    overwrite : bool, default False
        True asks for the file again, which raises for what is not a ``file://`` URL.
    retries
        Not used.

    Raises
    ------
    MXNetError
        When there is no such file.

    Examples
    --------
    >>> import mxtape as mx
    >>> import os
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     open(os.path.join(folder, "a.txt"), "w").close()
    ...     mx.test_utils.download("https://example.com/a.txt", dirname=folder)[len(folder) :]
    '/a.txt'
    """
    name = fname or url.split("/")[-1]
    if dirname is not None:
        name = os.path.join(dirname, name)
        os.makedirs(dirname, exist_ok=True)
    if url.startswith("file://") and (overwrite or not os.path.exists(name)):
        return shutil.copyfile(url[len("file://") :], name)
    return _found(url, name, overwrite)


def get_mnist():
    """The digits of MNIST as arrays, from the four files of its images and labels.

    They are looked for in the current folder, in ``data`` and in ``datasets/mnist`` of
    `mxtape.base.data_dir()`, as ``train-images-idx3-ubyte.gz`` or without ``.gz``.

    Returns
    -------
    dict of str to numpy.ndarray
        'train_data' and 'test_data' of shape (count, 1, 28, 28) and dtype float32, from 0 to 1;
        'train_label' and 'test_label' of dtype int8.

    Raises
    ------
    MXNetError
        When a file is missing.
    """
    arrays = {}
    for name, file in _MNIST.items():
        if name.endswith("label"):
            arrays[name] = _idx(_mnist_file(file), 1).astype(np.int8)
        else:
            arrays[name] = _idx(_mnist_file(file), 3)[:, None].astype(np.float32) / 255
    return arrays


def _mnist_file(name):
    folders = ".", "data", os.path.join(base.data_dir(), "datasets", "mnist")
    for folder in folders:
        for path in (os.path.join(folder, name + ".gz"), os.path.join(folder, name)):
            if os.path.isfile(path):
                return path
    raise base.MXNetError(
        f"get_mnist: there is no file {name}.gz or {name} in {', '.join(folders)}; mxtape "
        "downloads nothing; put it there"
    )


def get_mnist_ubyte():
    """Sees that the files of MNIST are unpacked in the folder ``data``, from ``data/mnist.zip``.

    Raises
    ------
    MXNetError
        When neither is there.
    """
    paths = [os.path.join("data", name) for name in _MNIST.values()]
    _unpacked("data", paths, "http://data.mxnet.io/mxnet/data/mnist.zip")


def get_mnist_pkl():
    """Sees that there is a file ``data/mnist.pkl.gz``; an MXNetError if not."""
    download("http://deeplearning.net/data/mnist/mnist.pkl.gz", dirname="data")


def get_cifar10():
    """Sees that CIFAR-10's record files are in ``data/cifar``, from ``data/cifar10.zip``.

    Raises
    ------
    MXNetError
        When neither is there.
    """
    paths = [os.path.join("data", "cifar", f"{name}.rec") for name in ("train", "test")]
    _unpacked("data", paths, "http://data.mxnet.io/mxnet/data/cifar10.zip")


def _unpacked(folder, paths, url):
    if not all(map(os.path.isfile, paths)):
        with zipfile.ZipFile(download(url, dirname=folder)) as packed:
            packed.extractall(folder)


def get_mnist_iterator(batch_size, input_shape, num_parts=1, part_index=0):
    """Iterators over MNIST's images for training and for testing, of the files in ``data``.

    Parameters
    ----------
    batch_size : int
    input_shape : tuple of int
        Of one image: (784,) gives rows, (1, 28, 28) images.
    num_parts, part_index : int, default 1 and 0
        Gives only one of several parts.

    Returns
    -------
    tuple of MXDataIter
        The one for training and the one for testing.

    Raises
    ------
    MXNetError
        When a file is missing.
    """
    get_mnist_ubyte()
    return tuple(
        MNISTIter(
            image=os.path.join("data", _MNIST[f"{which}_data"]),
            label=os.path.join("data", _MNIST[f"{which}_label"]),
            batch_size=batch_size,
            flat=len(input_shape) != 3,
            num_parts=num_parts,
            part_index=part_index,
        )
        for which in ("train", "test")
    )


def get_bz2_data(data_dir, data_name, url, data_origin_name):
    """Unpacks a file that bzip2 has packed, where that has not been done.

    Parameters
    ----------
    data_dir : str
        The folder.
    data_name : str
        The unpacked file in it.
    url : str
        Where the packed file would come from.
    data_origin_name : str
        The packed file in the folder; removed when it is unpacked, as in MXNet.

    Raises
    ------
    MXNetError
        When neither file is there.
    """
    path = os.path.join(data_dir, data_name)
    if os.path.exists(path):
        return
    packed = download(url, data_origin_name, data_dir)
    with bz2.BZ2File(packed) as source, open(path, "wb") as target:
        shutil.copyfileobj(source, target)
    os.remove(packed)


def get_zip_data(data_dir, url, data_origin_name):
    """Unpacks a zip file in a folder, each time.

    Parameters
    ----------
    data_dir : str
        The folder.
    url : str
        Where the file would come from.
    data_origin_name : str
        The file in the folder.

    Raises
    ------
    MXNetError
        When it is not there.
    """
    with zipfile.ZipFile(download(url, data_origin_name, data_dir)) as packed:
        packed.extractall(data_dir)


def download_model(model_name, dst_dir="./", meta_info=None):
    """The name under which :func:`mxtape.model.load_checkpoint` finds a model, and its epoch.

    Parameters
    ----------
    model_name : str
        The files are ``<model_name>-symbol.json`` and ``<model_name>-0000.params``.
    dst_dir : str, default './'
        Their folder.
    meta_info : dict, optional
        By model, the URLs that ``symbol`` and ``params`` come from.

    Returns
    -------
    tuple of (str, int)
        (None, 0) for a model that is not in `meta_info`.

    Raises
    ------
    AssertionError
        When `meta_info` has no URL for one of the files.
    MXNetError
        When a file is missing.
    """
    if meta_info is not None and model_name not in meta_info:
        logging.warning("download_model: %s is not in meta_info", model_name)
        return None, 0
    prefix = os.path.join(dst_dir, model_name)
    for kind, suffix in (("symbol", "-symbol.json"), ("params", "-0000.params")):
        url = prefix + suffix
        if meta_info is not None:
            url = meta_info[model_name].get(kind)
            if url is None:
                raise AssertionError(f"download_model: no URL of {kind} for {model_name}")
        download(url, prefix + suffix)
    return prefix, 0

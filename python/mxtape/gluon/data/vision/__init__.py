"""Data sets of pictures from local files, and transforms of pictures: ``gluon.data.vision``."""

from .... import _borrowed
from . import datasets
from .datasets import (
    CIFAR10,
    CIFAR100,
    MNIST,
    FashionMNIST,
    ImageFolderDataset,
    ImageListDataset,
    ImageRecordDataset,
)

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "FashionMNIST",
    "ImageFolderDataset",
    "ImageListDataset",
    "ImageRecordDataset",
    "datasets",
]

__getattr__ = _borrowed.borrow(__name__, "transforms=.gluon.data.vision.transforms")

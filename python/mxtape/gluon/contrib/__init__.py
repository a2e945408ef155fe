"""Layers, cells, data and the estimator that MXNet kept under ``gluon.contrib``."""

from ... import _borrowed

__all__ = []

__getattr__ = _borrowed.borrow(
    __name__,
    "cnn=.gluon.contrib.cnn data=.gluon.contrib.data estimator=.gluon.contrib.estimator "
    "nn=.gluon.contrib.nn rnn=.gluon.contrib.rnn",
)

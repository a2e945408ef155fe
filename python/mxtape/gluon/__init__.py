"""Gluon: layers, losses, data and training loops built on arrays: ``mx.gluon``."""

from .. import _borrowed

__all__ = []

__getattr__ = _borrowed.borrow(
    __name__,
    "block=.gluon.block contrib=.gluon.contrib data=.gluon.data loss=.gluon.loss "
    "model_zoo=.gluon.model_zoo nn=.gluon.nn parameter=.gluon.parameter rnn=.gluon.rnn "
    "trainer=.gluon.trainer utils=.gluon.utils",
    {
        ".gluon.block": "Block HybridBlock SymbolBlock",
        ".gluon.parameter": "Constant DeferredInitializationError Parameter ParameterDict "
        "tensor_types",
        ".gluon.trainer": "Trainer",
    },
)

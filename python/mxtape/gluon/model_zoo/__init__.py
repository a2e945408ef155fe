"""Networks that are defined already, with weights from files: ``gluon.model_zoo``."""

from ... import _borrowed

__all__ = []

__getattr__ = _borrowed.borrow(
    __name__,
    "model_store=.gluon.model_zoo.model_store vision=.gluon.model_zoo.vision",
    {".gluon.model_zoo.vision": "get_model"},
)

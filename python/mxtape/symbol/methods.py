"""The methods of Symbol that are operators: from the operators' declarations."""

from . import register


class OperatorMethods:
    """``x.sum()`` for ``mx.sym.sum(x)``, of every operator that is a method of NDArray too."""

    __slots__ = ()

    def astype(self, *args, **kwargs):
        """The symbol cast to a data type: :func:`mxtape.sym.cast`."""
        return register.get("cast")(self, *args, **kwargs)

    def diag(self, k=0, **kwargs):
        """A diagonal, or the matrix that has the symbol as one: :func:`mxtape.sym.diag`."""
        return register.get("diag")(self, k, **kwargs)

    def expand_dims(self, axis, inplace=False, **kwargs):
        """With one more axis, of extent 1. `inplace` is accepted for NDArray's sake."""
        return register.get("expand_dims")(self, axis, **kwargs)

    def flatten(self, inplace=False, **kwargs):
        """With two axes, the first as it was. `inplace` is accepted for NDArray's sake."""
        return register.get("flatten")(self, **kwargs)

    def split_v2(self, *args, **kwargs):
        """The parts along an axis: :func:`mxtape.sym.split_v2`."""
        from .creation import split_v2  # which needs this class

        return split_v2(self, *args, **kwargs)

    def squeeze(self, axis=None, inplace=False, **kwargs):
        """Without axes of extent 1. `inplace` is accepted for NDArray's sake."""
        return register.get("squeeze")(self, axis, **kwargs)


register.publish_methods(OperatorMethods)

"""Embedding: rows of a matrix by their numbers."""

from ..block import HybridBlock

__all__ = ["Embedding"]


class Embedding(HybridBlock):
    """The vectors of the numbers that are given, which are learnt.

    Parameters
    ----------
    input_dim : int
        How many vectors there are: numbers are in ``[0, input_dim)``. One that is not means the
        nearest that is.
    output_dim : int
        The size of a vector.
    dtype : str or numpy type, default 'float32'
        The type of the vectors.
    weight_initializer : Initializer or str, optional
    sparse_grad : bool, default False
        Whether the gradient is row_sparse: only of the vectors that were used. Optimizers with
        ``lazy_update`` then change only those.

    Inputs
    ------
    data : numbers, of any shape and dtype

    Returns an array of that shape with one more axis, of `output_dim` elements.

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.nn.Embedding(10, 4)
    >>> layer.initialize()
    >>> layer, layer(mx.nd.array([[3, 3, 7]])).shape
    (Embedding(10 -> 4, float32), (1, 3, 4))
    """

    def __init__(
        self,
        input_dim,
        output_dim,
        dtype="float32",
        weight_initializer=None,
        sparse_grad=False,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self._kwargs = {
            "input_dim": input_dim,
            "output_dim": output_dim,
            "dtype": dtype,
            "sparse_grad": sparse_grad,
        }
        self.weight = self.params.get(
            "weight",
            shape=(input_dim, output_dim),
            dtype=dtype,
            init=weight_initializer,
            allow_deferred_init=True,
            grad_stype="row_sparse" if sparse_grad else "default",
        )

    def __repr__(self):
        sizes = "{input_dim} -> {output_dim}, {dtype}".format(**self._kwargs)
        return f"{type(self).__name__}({sizes})"

    def hybrid_forward(self, F, x, weight):
        return F.Embedding(x, weight, name="fwd", **self._kwargs)

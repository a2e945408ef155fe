"""An iterator that costs nothing, to time what is done with its batches."""

from ..io import DataIter

__all__ = ["DummyIter"]


class DummyIter(DataIter):
    """The first batch of another iterator, without end.

    Parameters
    ----------
    real_iter : DataIter
        One batch is taken of it.

    Examples
    --------
    >>> import mxtape as mx
    >>> same = mx.test_utils.DummyIter(mx.io.NDArrayIter(mx.nd.arange(4), batch_size=2))
    >>> [same.next().data[0].asnumpy().tolist() for _ in range(3)]
    [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]
    """

    def __init__(self, real_iter):
        super().__init__(real_iter.batch_size)
        self.real_iter = real_iter
        self.provide_data = real_iter.provide_data
        self.provide_label = real_iter.provide_label
        self.the_batch = next(real_iter)

    def next(self):
        return self.the_batch

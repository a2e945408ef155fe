"""Symbols of constant arrays, and functions with other arguments than their operators."""

import numpy as np

from . import register
from .symbol import Symbol


def zeros(shape, dtype=None, **kwargs):
    """An array of zeros.

    Parameters
    ----------
    shape : int or tuple of int
        Its shape. An extent of 0 is left open: it follows from what the symbol is used for.
    dtype : str or numpy type, default 'float32'
        Data type.
    name, attr : optional
        As of every function here.

    >>> import mxtape as mx
    >>> mx.sym.zeros((2, 3)).infer_shape()
    ([], [(2, 3)], [])
    """
    return register.get("_zeros")(shape=shape, dtype=_default(dtype), **kwargs)


def ones(shape, dtype=None, **kwargs):
    """An array of ones; the parameters are as of :func:`zeros`."""
    return register.get("_ones")(shape=shape, dtype=_default(dtype), **kwargs)


def full(shape, val, dtype=None, **kwargs):
    """An array of the number `val`; the other parameters are as of :func:`zeros`."""
    return register.get("_full")(shape=shape, dtype=_default(dtype), value=float(val), **kwargs)


def eye(N, M=0, k=0, dtype=None, **kwargs):
    """A matrix of `N` rows and `M` columns, or `N`, with ones on the diagonal number `k`."""
    return register.get("_eye")(N=N, M=M, k=k, dtype=_default(dtype), **kwargs)


def arange(start, stop=None, step=1.0, repeat=1, infer_range=False, name=None, dtype=None):
    """Numbers from `start` on, below `stop`; from 0 below `start` where `stop` is None.

    Parameters
    ----------
    step : float, default 1
        Distance between neighbours.
    repeat : int, default 1
        How many times each number stands.
    infer_range : bool, default False
        How many numbers there are follows from what the symbol is used for.
    """
    return register.get("_arange")(
        start=start,
        stop=stop,
        step=step,
        repeat=repeat,
        infer_range=infer_range,
        name=name,
        dtype=_default(dtype),
    )


def linspace(start, stop, num, endpoint=True, name=None, dtype=None):
    """`num` numbers at equal distances from `start` to `stop`, which is one unless `endpoint` is
    False.
    """
    return register.get("_linspace")(
        start=start, stop=stop, num=num, endpoint=endpoint, name=name, dtype=_default(dtype)
    )


def histogram(a, bins=10, range=None, **kwargs):
    """How many elements lie between which bounds.

    Parameters
    ----------
    a : Symbol
        The elements.
    bins : int or Symbol, default 10
        Number of bins, or their bounds.
    range : tuple of two floats
        The outer bounds, where `bins` is a number.
    """
    count = register.get("_histogram")
    if isinstance(bins, Symbol):
        return count(data=a, bins=bins, **kwargs)
    if range is None:
        raise ValueError("histogram: give the range, as (lowest, highest)")
    return count(data=a, bin_cnt=bins, range=range, **kwargs)


def split_v2(ary, indices_or_sections, axis=0, squeeze_axis=False):
    """The array cut along an axis: into equal parts, or before the positions in a tuple.

    >>> import mxtape as mx
    >>> with mx.name.NameManager():
    ...     mx.sym.split_v2(mx.sym.Variable("x"), 3).list_outputs()
    ['_split_v20_output0', '_split_v20_output1', '_split_v20_output2']
    """
    indices, sections = [], 0
    if isinstance(indices_or_sections, (int, np.integer)):
        sections = int(indices_or_sections)
    elif isinstance(indices_or_sections, (tuple, list, set)):
        indices = [0, *indices_or_sections]
    else:
        raise ValueError("split_v2: indices_or_sections must be an int or a tuple of ints")
    return register.get("_split_v2")(ary, indices, axis, squeeze_axis, sections)


def _default(dtype):
    return "float32" if dtype is None else dtype

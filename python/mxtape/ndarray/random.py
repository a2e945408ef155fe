"""Random arrays: ``mx.nd.random``, also as ``mx.random``.

Every draw is a function of the seed, the number of the call and the element's index, so results do not
depend on the number of threads.
"""

import numpy as np

from .._loader import core as _core
from ..base import MXNetError, _Null, integer_types, numeric_types
from ..context import check_context
from . import register

NDArray = _core.NDArray


def _draw(name, sampler, like_sampler, params, shape, dtype, ctx, out, kwargs):
    """Calls the sampler of numbers, or the one of arrays of parameters."""
    kwargs.pop("name", None)
    if kwargs:
        raise MXNetError(f"random.{name}: unknown argument {next(iter(kwargs))!r}")
    arrays = [isinstance(value, NDArray) for value in params.values()]
    if any(arrays):
        if not all(arrays):
            raise AssertionError(f"random.{name}: parameters must be all arrays or all numbers")
        return register.get(like_sampler)(*params.values(), shape=shape, dtype=dtype, out=out)
    for label, value in params.items():
        if not isinstance(value, numeric_types):
            raise ValueError(f"random.{name}: {label} must be a number or an NDArray, got {value!r}")
    if shape is _Null and out is None:
        shape = 1
    elif out is not None:
        shape = out.shape
        dtype = out.dtype if dtype in (_Null, None) else dtype
    if isinstance(shape, (list, tuple)) and not len(shape):
        shape = (1,)
    ctx = check_context(None if ctx is _Null else ctx, f"random.{name}")
    made = register.get(sampler)(**params, shape=shape, dtype=dtype, out=out)
    if out is None:
        _core.set_device(made, ctx.device_typeid, ctx.device_id)
    return made


def uniform(low=0, high=1, shape=_Null, dtype=_Null, ctx=None, out=None, **kwargs):
    """Numbers drawn evenly from [low, high).

    Parameters
    ----------
    low, high : float or NDArray
        Bounds. As arrays of one shape, `shape` numbers are drawn for each pair.
    shape : int or tuple of int, default (1,)
        Shape of the result, or of what is drawn for each pair.
    dtype : {'float16', 'float32', 'float64'}, default 'float32'
        Data type.
    ctx : Context, default current_context()
        Where the array is.
    out : NDArray, optional
        Array that takes the result.

    >>> x = uniform(2, 3, shape=(4,))
    >>> bool((x >= 2).min() and (x < 3).min())
    True
    """
    params = {"low": low, "high": high}
    return _draw(
        "uniform", "_random_uniform", "_sample_uniform", params, shape, dtype, ctx, out, kwargs
    )


def normal(loc=0, scale=1, shape=_Null, dtype=_Null, ctx=None, out=None, **kwargs):
    """Numbers from the normal distribution of mean `loc` and standard deviation `scale`.

    Parameters as of :func:`uniform`.

    >>> normal(shape=(2, 2)).shape
    (2, 2)
    """
    params = {"loc": loc, "scale": scale}
    if isinstance(loc, NDArray):
        params = {"mu": loc, "sigma": scale}
    return _draw(
        "normal", "_random_normal", "_sample_normal", params, shape, dtype, ctx, out, kwargs
    )


def randn(*shape, **kwargs):
    """Numbers from the normal distribution, its `loc` and `scale` given by name.

    >>> randn(2, 3).shape
    (2, 3)
    """
    loc = kwargs.pop("loc", 0)
    scale = kwargs.pop("scale", 1)
    dtype = kwargs.pop("dtype", _Null)
    ctx = kwargs.pop("ctx", None)
    out = kwargs.pop("out", None)
    if kwargs:
        raise MXNetError(f"random.randn: unknown argument {next(iter(kwargs))!r}")
    return normal(loc, scale, shape=shape or (1,), dtype=dtype, ctx=ctx, out=out)


def randint(low, high, shape=_Null, dtype=_Null, ctx=None, out=None, **kwargs):
    """Integers drawn evenly from [low, high).

    Parameters
    ----------
    low, high : int
        Bounds; low < high.
    shape : int or tuple of int, default (1,)
        Shape of the result.
    dtype : {'int32', 'int64'}, default 'int32'
        Data type.
    ctx : Context, default current_context()
        Where the array is.
    out : NDArray, optional
        Array that takes the result.

    >>> set(randint(0, 2, shape=(100,)).asnumpy().tolist()) == {0, 1}
    True
    """
    for label, value in (("low", low), ("high", high)):
        if not isinstance(value, integer_types):
            raise MXNetError(f"random.randint: {label} must be an integer, got {value!r}")
    params = {"low": low, "high": high}
    return _draw("randint", "_random_randint", "", params, shape, dtype, ctx, out, kwargs)


def shuffle(data, **kwargs):
    """A copy of the array with the rows of its first axis in random order.

    >>> sorted(shuffle(uniform(shape=(5,))).shape)
    [5]
    """
    return register.get("_shuffle")(data, **kwargs)


def seed(seed_state, ctx="all"):
    """Starts the random numbers again from a seed.

    Parameters
    ----------
    seed_state : int
        The seed.
    ctx : str or Context, default 'all'
        Accepted for compatibility: there is one generator.

    >>> seed(1)
    >>> a = uniform(shape=(3,)).asnumpy()
    >>> seed(1)
    >>> bool(np.array_equal(a, uniform(shape=(3,)).asnumpy()))
    True
    """
    if not isinstance(seed_state, integer_types):
        raise ValueError(f"random.seed: the seed must be an integer, got {seed_state!r}")
    _core.seed(int(seed_state) & 0xFFFFFFFFFFFFFFFF)


__all__ = ["normal", "randint", "randn", "seed", "shuffle", "uniform"]

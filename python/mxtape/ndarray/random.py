"""Random arrays: ``mx.nd.random``, also as ``mx.random``.

Every draw is a function of the seed, the number of the call and the element's index, so results do
not depend on the number of threads.
"""

from typing import Any

from .._loader import core as _core
from ..base import MXNetError, _Null, integer_types, numeric_types
from ..context import check_context, current_context
from . import register
from .ndarray import _refuse_unknown

NDArray = _core.NDArray


def _draw(name, sampler, like_sampler, params, shape, dtype, ctx, out, kwargs):
    """Calls the sampler of numbers, or the one of arrays of parameters."""
    _refuse_unknown(f"random.{name}", kwargs, ", ".join([*params, "shape, dtype, ctx, out"]))
    arrays = [isinstance(value, NDArray) for value in params.values()]
    if any(arrays):
        if not all(arrays):
            raise AssertionError(f"random.{name}: parameters must be all arrays or all numbers")
        return register.get(like_sampler)(*params.values(), shape=shape, dtype=dtype, out=out)
    for label, value in params.items():
        if not isinstance(value, numeric_types):
            hint = f"; did you mean shape={value!r}?" if isinstance(value, tuple) else ""
            raise ValueError(
                f"random.{name}: {label} must be a number or an NDArray, got {value!r}{hint}"
            )
    if shape is _Null:
        shape = 1 if out is None else out.shape
    if out is not None and dtype in (_Null, None):
        dtype = out.dtype
    if isinstance(shape, (list, tuple)) and not len(shape):
        shape = (1,)
    ctx = check_context(None if ctx is _Null else ctx, f"random.{name}")
    if out is not None and out.ndim == 0:
        # Operators draw at least one axis: into the same memory.
        register.get(sampler)(**params, shape=1, dtype=dtype, out=_core.reshape_to(out, [1]))
        return out
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
    dtype : {'float16', 'bfloat16', 'float32', 'float64'}, default 'float32'
        Data type.
    ctx : Context, default current_context()
        Where the array is.
    out : NDArray, optional
        Array to write the result to.

    >>> import mxtape as mx
    >>> x = mx.nd.random.uniform(2, 3, shape=(4,))
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

    >>> import mxtape as mx
    >>> mx.nd.random.normal(shape=(2, 2)).shape
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

    >>> import mxtape as mx
    >>> mx.nd.random.randn(2, 3).shape
    (2, 3)
    """
    loc = kwargs.pop("loc", 0)
    scale = kwargs.pop("scale", 1)
    dtype = kwargs.pop("dtype", _Null)
    ctx = kwargs.pop("ctx", None)
    out = kwargs.pop("out", None)
    if kwargs:
        key = next(iter(kwargs))
        raise MXNetError(
            f"random.randn: unknown argument {key!r}; it accepts the extents of the result by "
            "position, and loc, scale, dtype, ctx, out"
        )
    if not shape:
        raise MXNetError("random.randn: give the extents of the result, as in randn(2, 3)")
    return normal(loc, scale, shape=shape, dtype=dtype, ctx=ctx, out=out)


def exponential(scale=1, shape=_Null, dtype=_Null, ctx=None, out=None, **kwargs):
    """Numbers from the exponential distribution.

    Parameters
    ----------
    scale : float or NDArray, default 1
        Mean: one divided by the rate.

    The other parameters are as of :func:`uniform`.

    >>> import mxtape as mx
    >>> mx.nd.random.exponential(2, shape=(3,)).shape
    (3,)
    """
    rate: Any = scale
    if isinstance(scale, numeric_types):
        if scale == 0:
            raise ZeroDivisionError("random.exponential: the scale must not be 0")
        rate = 1.0 / float(scale)
    elif isinstance(scale, NDArray):
        rate = 1.0 / scale
    return _draw(
        "exponential",
        "_random_exponential",
        "_sample_exponential",
        {"lam": rate},
        shape,
        dtype,
        ctx,
        out,
        kwargs,
    )


def gamma(alpha=1, beta=1, shape=_Null, dtype=_Null, ctx=None, out=None, **kwargs):
    """Numbers from the gamma distribution, whose mean is `alpha` times `beta`.

    Parameters
    ----------
    alpha, beta : float or NDArray, default 1
        Shape and scale of the distribution, both positive.

    The other parameters are as of :func:`uniform`.

    >>> import mxtape as mx
    >>> from mxtape import nd
    >>> mx.nd.random.gamma(nd.array([1.0, 9.0]), nd.array([0.5, 1.0]), shape=4).shape
    (2, 4)
    """
    params = {"alpha": alpha, "beta": beta}
    return _draw("gamma", "_random_gamma", "_sample_gamma", params, shape, dtype, ctx, out, kwargs)


def poisson(lam=1, shape=_Null, dtype=_Null, ctx=None, out=None, **kwargs):
    """Counts from the Poisson distribution, as floating-point numbers.

    Parameters
    ----------
    lam : float or NDArray, default 1
        Mean; not negative.

    The other parameters are as of :func:`uniform`.

    >>> import mxtape as mx
    >>> counts = mx.nd.random.poisson(3, shape=(5,)).asnumpy()
    >>> bool((counts == counts.astype(int)).all())
    True
    """
    params = {"lam": lam}
    return _draw(
        "poisson", "_random_poisson", "_sample_poisson", params, shape, dtype, ctx, out, kwargs
    )


def negative_binomial(k=1, p=1, shape=_Null, dtype=_Null, ctx=None, out=None, **kwargs):
    """Counts of failures before `k` successes, as floating-point numbers.

    Parameters
    ----------
    k : int or NDArray, default 1
        Number of successes.
    p : float or NDArray, default 1
        Probability of success, in (0, 1].

    The other parameters are as of :func:`uniform`.

    >>> import mxtape as mx
    >>> mx.nd.random.negative_binomial(3, 0.5, shape=(2, 2)).shape
    (2, 2)
    """
    return _draw(
        "negative_binomial",
        "_random_negative_binomial",
        "_sample_negative_binomial",
        {"k": k, "p": p},
        shape,
        dtype,
        ctx,
        out,
        kwargs,
    )


def generalized_negative_binomial(
    mu=1, alpha=1, shape=_Null, dtype=_Null, ctx=None, out=None, **kwargs
):
    """Counts from the negative binomial distribution given by its mean, as floating-point numbers.

    Parameters
    ----------
    mu : float or NDArray, default 1
        Mean; not negative.
    alpha : float or NDArray, default 1
        Dispersion: the variance is ``mu + alpha * mu ** 2``.

    The other parameters are as of :func:`uniform`.

    >>> import mxtape as mx
    >>> mx.nd.random.generalized_negative_binomial(4, 0, shape=(3,)).shape
    (3,)
    """
    return _draw(
        "generalized_negative_binomial",
        "_random_generalized_negative_binomial",
        "_sample_generalized_negative_binomial",
        {"mu": mu, "alpha": alpha},
        shape,
        dtype,
        ctx,
        out,
        kwargs,
    )


def multinomial(data, shape=_Null, get_prob=False, out=None, dtype="int32", **kwargs):
    """Indices drawn with given probabilities.

    Parameters
    ----------
    data : NDArray
        Probabilities along the last axis.
    shape : int or tuple of int, optional
        Shape of what is drawn for each row of probabilities; by default one index.
    get_prob : bool
        Whether the logarithms of the drawn probabilities are returned too. The gradient of `data`
        flows through them.
    out : NDArray, optional
        Array to write the result to.
    dtype : {'int32', 'uint8', 'float16', 'bfloat16', 'float32', 'float64'}
        Data type of the indices.

    >>> import mxtape as mx
    >>> from mxtape import nd
    >>> mx.nd.random.multinomial(nd.array([[0, 1], [1, 0]]), shape=3).asnumpy().tolist()
    [[1, 1, 1], [0, 0, 0]]
    """
    return register.get("_sample_multinomial")(
        data, shape=shape, get_prob=get_prob, out=out, dtype=dtype, **kwargs
    )


# Samples in the shape and dtype of an array, e.g. uniform_like(x, low=0, high=1).
uniform_like = register.get("_random_uniform_like")
normal_like = register.get("_random_normal_like")
exponential_like = register.get("_random_exponential_like")
gamma_like = register.get("_random_gamma_like")
poisson_like = register.get("_random_poisson_like")
negative_binomial_like = register.get("_random_negative_binomial_like")
generalized_negative_binomial_like = register.get("_random_generalized_negative_binomial_like")


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
        Array to write the result to.

    >>> import mxtape as mx
    >>> set(mx.nd.random.randint(0, 2, shape=(100,)).asnumpy().tolist()) == {0, 1}
    True
    """
    for label, value in (("low", low), ("high", high)):
        if not isinstance(value, integer_types):
            raise MXNetError(f"random.randint: {label} must be an integer, got {value!r}")
    params = {"low": low, "high": high}
    return _draw("randint", "_random_randint", "", params, shape, dtype, ctx, out, kwargs)


def shuffle(data, **kwargs):
    """A copy of the array with the rows of its first axis in random order.

    >>> import mxtape as mx
    >>> sorted(mx.nd.random.shuffle(mx.nd.random.uniform(shape=(5,))).shape)
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

    >>> import mxtape as mx
    >>> mx.nd.random.seed(1)
    >>> a = mx.nd.random.uniform(shape=(3,)).asnumpy()
    >>> mx.nd.random.seed(1)
    >>> bool((a == mx.nd.random.uniform(shape=(3,)).asnumpy()).all())
    True
    """
    if not isinstance(seed_state, integer_types):
        raise ValueError(f"random.seed: the seed must be an integer, got {seed_state!r}")
    _core.seed(int(seed_state) & 0xFFFFFFFFFFFFFFFF)


def __getattr__(name):
    raise AttributeError(register.explain_missing(__name__, name))


__all__ = [
    "current_context",
    "exponential",
    "exponential_like",
    "gamma",
    "gamma_like",
    "generalized_negative_binomial",
    "generalized_negative_binomial_like",
    "multinomial",
    "negative_binomial",
    "negative_binomial_like",
    "normal",
    "normal_like",
    "poisson",
    "poisson_like",
    "randint",
    "randn",
    "seed",
    "shuffle",
    "uniform",
    "uniform_like",
]

"""Symbols of random arrays: ``mx.sym.random``. Each run of an executor draws anew."""

from ..base import MXNetError, _Null, numeric_types
from . import register
from .symbol import Symbol


def _draw(name, params, like_params, shape, dtype, kwargs):
    """The sampler with parameters that are numbers, or the one with parameters that are symbols."""
    values = list(params.values())
    symbols = [isinstance(value, Symbol) for value in values]
    if all(symbols):
        given = dict(zip(like_params.split(), values)) if like_params else params
        return register.get(f"_sample_{name}")(**given, shape=shape, dtype=dtype, **kwargs)
    if any(symbols):
        raise ValueError(f"random.{name}: parameters must be all symbols or all numbers")
    for label, value in params.items():
        if not isinstance(value, numeric_types):
            raise ValueError(f"random.{name}: {label} must be a number or a Symbol, got {value!r}")
    return register.get(f"_random_{name}")(**params, shape=shape, dtype=dtype, **kwargs)


def uniform(low=0, high=1, shape=_Null, dtype=_Null, **kwargs):
    """Numbers drawn evenly from [low, high).

    Parameters
    ----------
    low, high : float or Symbol
        Bounds. As symbols of one shape, `shape` numbers are drawn for each pair.
    shape : int or tuple of int, default (1,)
        Shape of the result, or of what is drawn for each pair.
    dtype : {'float16', 'float32', 'float64'}, default 'float32'
        Data type.

    >>> import mxtape as mx
    >>> mx.sym.random.uniform(2, 3, shape=(4,)).infer_shape()
    ([], [(4,)], [])
    """
    return _draw("uniform", {"low": low, "high": high}, "", shape, dtype, kwargs)


def normal(loc=0, scale=1, shape=_Null, dtype=_Null, **kwargs):
    """Numbers from the normal distribution of mean `loc` and standard deviation `scale`.

    Parameters as of :func:`uniform`.
    """
    return _draw("normal", {"loc": loc, "scale": scale}, "mu sigma", shape, dtype, kwargs)


def randn(*shape, **kwargs):
    """Numbers from the normal distribution, its `loc` and `scale` given by name."""
    loc, scale = kwargs.pop("loc", 0), kwargs.pop("scale", 1)
    dtype = kwargs.pop("dtype", _Null)
    return normal(loc, scale, shape=shape, dtype=dtype, **kwargs)


def exponential(scale=1, shape=_Null, dtype=_Null, **kwargs):
    """Numbers from the exponential distribution of mean `scale`. Parameters as of uniform."""
    if isinstance(scale, numeric_types) and scale == 0:
        raise MXNetError("random.exponential: scale must not be 0")
    return _draw("exponential", {"lam": 1.0 / scale}, "", shape, dtype, kwargs)


def poisson(lam=1, shape=_Null, dtype=_Null, **kwargs):
    """Numbers from the Poisson distribution of mean `lam`. Parameters as of :func:`uniform`."""
    return _draw("poisson", {"lam": lam}, "", shape, dtype, kwargs)


def gamma(alpha=1, beta=1, shape=_Null, dtype=_Null, **kwargs):
    """Numbers from the gamma distribution of shape `alpha` and scale `beta`.

    Parameters as of :func:`uniform`.
    """
    return _draw("gamma", {"alpha": alpha, "beta": beta}, "", shape, dtype, kwargs)


def negative_binomial(k=1, p=1, shape=_Null, dtype=_Null, **kwargs):
    """How often a trial of probability `p` fails before the `k`-th success."""
    return _draw("negative_binomial", {"k": k, "p": p}, "", shape, dtype, kwargs)


def generalized_negative_binomial(mu=1, alpha=1, shape=_Null, dtype=_Null, **kwargs):
    """The negative binomial distribution by its mean `mu` and its dispersion `alpha`."""
    params = {"mu": mu, "alpha": alpha}
    return _draw("generalized_negative_binomial", params, "", shape, dtype, kwargs)


def randint(low, high, shape=_Null, dtype=_Null, **kwargs):
    """Integers drawn evenly from [low, high)."""
    return _draw("randint", {"low": low, "high": high}, "", shape, dtype, kwargs)


def multinomial(data, shape=_Null, get_prob=True, dtype="int32", **kwargs):
    """Indices drawn by their probabilities, which are in the last axis of `data`."""
    sample = register.get("_sample_multinomial")
    return sample(data, shape=shape, get_prob=get_prob, dtype=dtype, **kwargs)


def shuffle(data, **kwargs):
    """The rows of `data` in random order."""
    return register.get("_shuffle")(data, **kwargs)


__all__ = [
    "exponential",
    "gamma",
    "generalized_negative_binomial",
    "multinomial",
    "negative_binomial",
    "normal",
    "poisson",
    "randint",
    "randn",
    "shuffle",
    "uniform",
]
for _name in (
    "exponential gamma generalized_negative_binomial negative_binomial normal poisson uniform"
).split():
    globals()[f"{_name}_like"] = register.get(f"_random_{_name}_like", f"{_name}_like")
    __all__.append(f"{_name}_like")


def __getattr__(name):
    raise AttributeError(register.explain_missing(__name__, name))

"""Initial values of parameters: ``mx.initializer``, also ``mx.init``.

An initializer is called with a parameter's name and its array, and writes the values in place. The
end of the name decides what it does: ``fc1_weight`` gets what the class stands for, ``fc1_bias``
zeros, ``bn_gamma`` ones.
"""

import json
import logging
import re
import warnings
from math import sqrt
from typing import Any

import numpy as np

from . import _borrowed, ndarray, random, registry
from .base import numeric_types, string_types
from .context import Context
from .ndarray import NDArray, load

__all__ = [
    "Bilinear",
    "Constant",
    "FusedRNN",
    "InitDesc",
    "Initializer",
    "LSTMBias",
    "Load",
    "MSRAPrelu",
    "Mixed",
    "NDArray",
    "Normal",
    "One",
    "Orthogonal",
    "Uniform",
    "Xavier",
    "Zero",
    "alias",
    "create",
    "json",
    "load",
    "logging",
    "ndarray",
    "np",
    "random",
    "re",
    "register",
    "registry",
    "sqrt",
    "string_types",
    "warnings",
]
__getattr__ = _borrowed.borrow(__name__, "", {".util": "is_np_array"})


class InitDesc(str):
    """A parameter's name, with what else an initializer may want to know.

    Parameters
    ----------
    name : str
    attrs : dict of str to str, optional
        The variable's attributes. ``__init__`` is the initializer that it asks for, whatever its
        name.
    global_init : Initializer, optional
        The initializer of the whole model. Where it is None, the one that is called first.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.init.InitDesc("fc1_weight", {"__init__": '["one", {}]'})
    'fc1_weight'
    """

    attrs: dict
    global_init: Any

    def __new__(cls, name, attrs=None, global_init=None):
        self = super().__new__(cls, name)
        self.attrs = attrs or {}
        self.global_init = global_init
        return self


def _root_mean_square(values):
    """What verbose initializers print of an array, by default."""
    return str((ndarray.norm(values) / sqrt(values.size)).asscalar())


# Which method initializes a parameter, by the end of its name.
_BY_NAME = (
    ("weight", "_init_weight"),
    ("bias", "_init_bias"),
    ("gamma", "_init_gamma"),
    ("beta", "_init_beta"),
    ("min", "_init_zero"),
    ("max", "_init_one"),
    ("weight_quantize", "_init_quantized_weight"),
    ("bias_quantize", "_init_quantized_bias"),
)
# The same for names that are not an InitDesc. The first that fits is taken: its start, its end.
_BY_PLAIN_NAME = (
    ("upsampling", "", "_init_bilinear"),
    ("stn_loc", "weight", "_init_zero"),
    ("stn_loc", "bias", "_init_loc_bias"),
    ("", "bias", "_init_bias"),
    ("", "gamma", "_init_gamma"),
    ("", "beta", "_init_beta"),
    ("", "weight", "_init_weight"),
    ("", "moving_mean", "_init_zero"),
    ("", "moving_var", "_init_one"),
    ("", "moving_inv_var", "_init_zero"),
    ("", "moving_avg", "_init_zero"),
    ("", "min", "_init_zero"),
    ("", "max", "_init_one"),
)


class Initializer:
    """Base of the initializers; a subclass defines ``_init_weight(name, array)``.

    Called with a name and an array, an initializer writes the array in place:

    ================================= ============================================================
    the name                          the values
    ================================= ============================================================
    has an attribute ``__init__``     those of that initializer
    ends in ``weight``                ``_init_weight``: what the class stands for
    ends in ``bias``, ``beta``        zeros; ``_init_bias``, ``_init_beta``
    ends in ``gamma``                 ones; ``_init_gamma``
    ends in ``min``, ``max``          zeros, ones
    ends in ``weight_quantize``       random whole numbers from -127 to 126
    ends in ``bias_quantize``         zeros
    another                           ``_init_default``, which raises ValueError
    ================================= ============================================================

    A name that is a plain str is accepted with a DeprecationWarning. By it, ``moving_mean`` is
    initialized with zeros and ``moving_var`` with ones too, and no attribute is known.

    Parameters
    ----------
    kwargs
        The arguments that :meth:`dumps` writes down; plain values that JSON can hold.

    Examples
    --------
    >>> import mxtape as mx
    >>> @mx.init.register
    ... class Halves(mx.init.Initializer):
    ...     def _init_weight(self, name, array):
    ...         array[:] = 0.5
    >>> weight, gamma = mx.nd.zeros((2,)), mx.nd.zeros((2,))
    >>> initialize = mx.init.create("halves")
    >>> initialize(mx.init.InitDesc("fc_weight"), weight)
    >>> initialize(mx.init.InitDesc("bn_gamma"), gamma)
    >>> weight.asnumpy().tolist(), gamma.asnumpy().tolist()
    ([0.5, 0.5], [1.0, 1.0])
    """

    def __init__(self, **kwargs):
        self._kwargs, self._verbose, self._print_func = kwargs, False, None

    def set_verbosity(self, verbose=False, print_func=None):
        """Log each array that is initialized, at level INFO; returns the initializer.

        Parameters
        ----------
        verbose : bool, default False
        print_func : callable, optional
            Gives the text to log of an array; by default the root of its mean square.
        """
        self._verbose = verbose
        self._print_func = print_func or _root_mean_square
        return self

    def _verbose_print(self, desc, init, arr):
        if self._verbose and self._print_func:
            logging.info("Initialized %s as %s: %s", desc, init, self._print_func(arr))

    def dumps(self):
        """The initializer as JSON text, from which :func:`create` makes an equal one.

        >>> import mxtape as mx
        >>> mx.init.Uniform(0.1).dumps()
        '["uniform", {"scale": 0.1}]'
        """
        return json.dumps([type(self).__name__.lower(), self._kwargs])

    def __call__(self, desc, arr):
        """Writes the initial values of the parameter `desc` to `arr`.

        Parameters
        ----------
        desc : InitDesc or str
        arr : NDArray

        Raises
        ------
        TypeError
            `desc` is not a str.
        ValueError
            The name says nothing about the values.
        """
        if not isinstance(desc, InitDesc):
            self._legacy_init(desc, arr)
            return
        if desc.global_init is None:
            desc.global_init = self
        own = desc.attrs.get("__init__", "")
        if own:
            create(own)._init_weight(desc, arr)
            self._verbose_print(desc, own, arr)
            return
        for ending, method in _BY_NAME:
            if desc.endswith(ending):
                getattr(self, method)(desc, arr)
                self._verbose_print(desc, ending, arr)
                return
        self._init_default(desc, arr)

    def _legacy_init(self, name, arr):
        warnings.warn(
            "an initializer is called with a plain name; give it mx.init.InitDesc(name)",
            DeprecationWarning,
            stacklevel=3,
        )
        if not isinstance(name, string_types):
            raise TypeError(f"the name of a parameter must be a str, got {name!r}")
        for start, ending, method in _BY_PLAIN_NAME:
            if name.startswith(start) and name.endswith(ending):
                getattr(self, method)(name, arr)
                return
        self._init_default(name, arr)

    def _init_bias(self, _, arr):
        arr[:] = 0.0

    def _init_beta(self, _, arr):
        arr[:] = 0.0

    def _init_gamma(self, _, arr):
        arr[:] = 1.0

    def _init_zero(self, _, arr):
        arr[:] = 0.0

    def _init_one(self, _, arr):
        arr[:] = 1.0

    def _init_bilinear(self, _, arr):
        arr[:] = _bilinear(arr.shape)

    def _init_loc_bias(self, _, arr):
        if arr.shape != (6,):
            raise AssertionError(f"the bias of a stn_loc layer has shape (6,), got {arr.shape}")
        arr[:] = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]  # the affine map that changes nothing

    def _init_quantized_bias(self, _, arr):
        arr[:] = 0

    def _init_weight(self, name, arr):
        raise NotImplementedError(f"{type(self).__name__} does not define _init_weight(name, arr)")

    def _init_quantized_weight(self, _, arr):
        arr[:] = random.randint(-127, 127, shape=arr.shape, dtype="int32").astype(arr.dtype)

    def _init_default(self, name, _):
        raise ValueError(
            f"no initial values are known for {str(name)!r}: its name ends in none of weight, "
            "bias, gamma, beta; mx.sym.Variable(..., init=...) or mx.init.Mixed states them"
        )

    def __eq__(self, other):
        """Whether `other` has the same class and arguments."""
        if not isinstance(other, Initializer):
            return NotImplemented
        return type(self) is type(other) and self._kwargs == other._kwargs


register = registry.get_register_func(Initializer, "initializer")
register.__doc__ = """Makes an initializer class known to :func:`create` by its name in lower case.

    A decorator; see :class:`Initializer`. A class of the same name is replaced, with a warning.
    """
alias = registry.get_alias_func(Initializer, "initializer")
create = registry.get_create_func(Initializer, "initializer")
create.__doc__ = """An initializer by its name, with the arguments of its class.

    Also accepts an Initializer, the text that :meth:`Initializer.dumps` gives, and a dict of the
    arguments with the name under 'initializer'.

    Raises
    ------
    AssertionError
        No initializer is registered under the name.

    >>> create("xavier", magnitude=2).magnitude
    2.0
    >>> create('["constant", {"value": 3}]').value
    3
    """


def require(init, what):
    """Raises an error where `init` is neither an initializer nor its name, nor None.

    Raises
    ------
    AssertionError
        It is a class, whose call would only make an initializer, or something else.
    TypeError
        It is a number.
    """
    if isinstance(init, numeric_types):
        raise TypeError(
            f"{what}: expected an initializer or its name, got the number {init!r}; "
            f"mx.init.Constant({init!r}) fills with it, mx.init.Normal({init!r}) draws"
        )
    hint = ""
    if isinstance(init, type):
        hint = f"; did you mean {init.__name__}()?"
    elif init is None or isinstance(init, str) or callable(init):
        return
    elif isinstance(init, (Context, list)):
        hint = "; contexts are given as ctx="
    raise AssertionError(f"{what}: expected an initializer or its name, got {init!r}{hint}")


class Load:
    """Values from a file or a dict; parameters that are not there go to another initializer.

    Parameters
    ----------
    param : str or dict of str to NDArray
        A file of :func:`mxtape.nd.save`, or what it holds. The prefixes ``arg:`` and ``aux:`` of a
        checkpoint are dropped.
    default_init : Initializer, optional
        For the names that are not in `param`.
    verbose : bool, default False
        Log where each value comes from, at level INFO.

    Raises
    ------
    AssertionError
        `param` holds no names. When called: the shapes differ, or the name is unknown and there is
        no `default_init`.

    Examples
    --------
    >>> import mxtape as mx
    >>> initialize = mx.init.Load({"arg:fc_weight": mx.nd.ones((2,))})
    >>> weight = mx.nd.zeros((2,))
    >>> initialize("fc_weight", weight)
    >>> weight.asnumpy().tolist()
    [1.0, 1.0]
    """

    def __init__(self, param, default_init=None, verbose=False):
        if isinstance(param, string_types):
            param = load(param)
        if not isinstance(param, dict):
            raise AssertionError(f"Load needs arrays by name, got {type(param).__name__}")
        self.param = {re.sub("^(arg|aux):", "", name): value for name, value in param.items()}
        self.default_init = default_init
        self.verbose = verbose

    def __call__(self, name, arr):
        if name in self.param:
            value = self.param[name]
            if arr.shape != value.shape:
                raise AssertionError(
                    f"the parameter {str(name)!r} has shape {arr.shape}, and the loaded value "
                    f"has shape {value.shape}"
                )
            arr[:] = value
        else:
            if self.default_init is None:
                raise AssertionError(
                    f"the parameter {str(name)!r} is not among the loaded ones, and there is no "
                    "default_init"
                )
            self.default_init(name, arr)
        if self.verbose:
            how = "loading" if name in self.param else "default"
            logging.info("Initialized %s by %s", name, how)


class Mixed:
    """Initializers by patterns of names: the first pattern that matches decides.

    Parameters
    ----------
    patterns : list of str
        Regular expressions, matched from the start of the name.
    initializers : list of Initializer
        One for each pattern.

    Raises
    ------
    AssertionError
        The lists are not equally long.
    ValueError
        When called: no pattern matches.

    Examples
    --------
    >>> import mxtape as mx
    >>> initialize = mx.init.Mixed([".*first_weight", ".*"], [mx.init.One(), mx.init.Zero()])
    >>> weight = mx.nd.zeros((2,))
    >>> initialize(mx.init.InitDesc("first_weight"), weight)
    >>> weight.asnumpy().tolist()
    [1.0, 1.0]
    """

    def __init__(self, patterns, initializers):
        if len(patterns) != len(initializers):
            raise AssertionError(
                f"Mixed needs one initializer for each pattern, got {len(patterns)} patterns and "
                f"{len(initializers)} initializers"
            )
        self.map = [(re.compile(p), init) for p, init in zip(patterns, initializers)]

    def __call__(self, name, arr):
        for pattern, init in self.map:
            if pattern.match(name):
                init(name, arr)
                return
        raise ValueError(
            f"no pattern matches the parameter {str(name)!r}; a last pattern '.*' matches all"
        )


@alias("zeros")
@register
class Zero(Initializer):
    """Zeros for weights.

    >>> import mxtape as mx
    >>> mx.init.Zero().dumps()
    '["zero", {}]'
    """

    def __init__(self):
        super().__init__()

    def _init_weight(self, _, arr):
        arr[:] = 0


@alias("ones")
@register
class One(Initializer):
    """Ones for weights.

    >>> import mxtape as mx
    >>> mx.init.create("ones") == mx.init.One()
    True
    """

    def __init__(self):
        super().__init__()

    def _init_weight(self, _, arr):
        arr[:] = 1


@register
class Constant(Initializer):
    """One value for weights.

    Parameters
    ----------
    value : float, or array_like of a shape that broadcasts to the parameter's

    Examples
    --------
    >>> import mxtape as mx
    >>> weight = mx.nd.zeros((2, 2))
    >>> mx.init.Constant([1.0, 2.0])(mx.init.InitDesc("fc_weight"), weight)
    >>> weight.asnumpy().tolist()
    [[1.0, 2.0], [1.0, 2.0]]
    """

    def __init__(self, value):
        super().__init__(value=value)
        self.value = value

    def _init_weight(self, _, arr):
        arr[:] = self.value

    def dumps(self):
        value = self._kwargs["value"]
        if isinstance(value, NDArray):
            value = value.asnumpy()
        if isinstance(value, (np.ndarray, np.generic)):
            value = value.tolist()
        return json.dumps([type(self).__name__.lower(), {**self._kwargs, "value": value}])

    def __eq__(self, other):
        return type(self) is type(other) and self.dumps() == other.dumps()


@register
class Uniform(Initializer):
    """Weights drawn evenly from [-scale, scale).

    Parameters
    ----------
    scale : float, default 0.07

    Examples
    --------
    >>> import mxtape as mx
    >>> weight = mx.nd.zeros((100,))
    >>> mx.init.Uniform(0.5)(mx.init.InitDesc("fc_weight"), weight)
    >>> bool((abs(weight) <= 0.5).asnumpy().all())
    True
    """

    def __init__(self, scale=0.07):
        super().__init__(scale=scale)
        self.scale = scale

    def _init_weight(self, _, arr):
        random.uniform(-self.scale, self.scale, out=arr)


@register
class Normal(Initializer):
    """Weights drawn from the normal distribution of mean 0 and deviation `sigma`.

    Parameters
    ----------
    sigma : float, default 0.01

    Examples
    --------
    >>> import mxtape as mx
    >>> weight = mx.nd.zeros((1000,))
    >>> mx.init.Normal(2)(mx.init.InitDesc("fc_weight"), weight)
    >>> bool(1.5 < weight.asnumpy().std() < 2.5)
    True
    """

    def __init__(self, sigma=0.01):
        super().__init__(sigma=sigma)
        self.sigma = sigma

    def _init_weight(self, _, arr):
        random.normal(0, self.sigma, out=arr)


@register
class Orthogonal(Initializer):
    """A random orthogonal matrix times `scale`.

    The weight is a matrix of ``shape[0]`` rows; its rows, or its columns where there are fewer of
    them, are orthogonal and have the length `scale`. From Saxe, McClelland and Ganguli, *Exact
    solutions to the nonlinear dynamics of learning in deep linear neural networks*, ICLR 2014.

    Parameters
    ----------
    scale : float, default 1.414
    rand_type : {'uniform', 'normal'}
        Distribution of the matrix from whose singular vectors the weight is made.

    Examples
    --------
    >>> import mxtape as mx
    >>> weight = mx.nd.zeros((2, 3))
    >>> mx.init.Orthogonal(scale=1)(mx.init.InitDesc("fc_weight"), weight)
    >>> (abs(mx.nd.dot(weight, weight.T)) < 1e-6).asnumpy().tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """

    def __init__(self, scale=1.414, rand_type="uniform"):
        super().__init__(scale=scale, rand_type=rand_type)
        self.scale = scale
        self.rand_type = rand_type

    def _init_weight(self, _, arr):
        rows, columns = arr.shape[0], int(np.prod(arr.shape[1:]))
        if self.rand_type == "uniform":
            drawn = random.uniform(-1.0, 1.0, shape=(rows, columns))
        elif self.rand_type == "normal":
            drawn = random.normal(0.0, 1.0, shape=(rows, columns))
        else:
            raise ValueError(f"rand_type must be 'uniform' or 'normal', got {self.rand_type!r}")
        left, _, right = np.linalg.svd(drawn.asnumpy(), full_matrices=False)
        basis = left if left.shape == (rows, columns) else right
        arr[:] = self.scale * basis.reshape(arr.shape)


@register
class Xavier(Initializer):
    """Random weights whose size depends on how many numbers go in and out.

    With ``s = sqrt(magnitude / n)``, weights are drawn evenly from [-s, s), or from the normal
    distribution of deviation ``s``. A weight of shape ``(a, b, ...)`` has ``b`` times the product
    of the rest inputs and ``a`` times it outputs; ``n`` is one of the two or their mean. From
    Glorot and Bengio, *Understanding the difficulty of training deep feedforward neural networks*,
    AISTATS 2010.

    Parameters
    ----------
    rnd_type : {'uniform', 'gaussian'}
    factor_type : {'avg', 'in', 'out'}
        What ``n`` is.
    magnitude : float, default 3

    Raises
    ------
    ValueError
        When called: the weight has fewer than 2 dimensions, or a type is unknown.

    Examples
    --------
    >>> import mxtape as mx
    >>> weight = mx.nd.zeros((4, 8))
    >>> mx.init.Xavier(factor_type="in", magnitude=2)(mx.init.InitDesc("fc_weight"), weight)
    >>> bool((abs(weight) <= 0.5).asnumpy().all())
    True
    """

    def __init__(self, rnd_type="uniform", factor_type="avg", magnitude=3):
        super().__init__(rnd_type=rnd_type, factor_type=factor_type, magnitude=magnitude)
        self.rnd_type, self.factor_type = rnd_type, factor_type
        self.magnitude = float(magnitude)

    def _init_weight(self, name, arr):
        shape = arr.shape
        if len(shape) < 2:
            raise ValueError(
                f"Xavier needs a weight of 2 dimensions or more; {str(name)!r} has shape {shape}"
            )
        window = float(np.prod(shape[2:])) if len(shape) > 2 else 1.0
        inputs, outputs = shape[1] * window, shape[0] * window
        counts = {"avg": (inputs + outputs) / 2.0, "in": inputs, "out": outputs}
        if self.factor_type not in counts:
            raise ValueError(f"factor_type must be avg, in or out, got {self.factor_type!r}")
        scale = sqrt(self.magnitude / counts[self.factor_type])
        if self.rnd_type == "uniform":
            random.uniform(-scale, scale, out=arr)
        elif self.rnd_type == "gaussian":
            random.normal(0, scale, out=arr)
        else:
            raise ValueError(f"rnd_type must be uniform or gaussian, got {self.rnd_type!r}")


@register
class MSRAPrelu(Xavier):
    """Normal weights for layers that a rectifier follows.

    :class:`Xavier` with ``magnitude = 2 / (1 + slope ** 2)`` and normal values. From He, Zhang, Ren
    and Sun, *Delving Deep into Rectifiers*, ICCV 2015.

    Parameters
    ----------
    factor_type : {'avg', 'in', 'out'}
    slope : float, default 0.25
        Initial slope of the rectifier for negative numbers.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.init.MSRAPrelu(slope=0).magnitude
    2.0
    """

    def __init__(self, factor_type="avg", slope=0.25):
        super().__init__("gaussian", factor_type, 2.0 / (1 + slope**2))
        self._kwargs = {"factor_type": factor_type, "slope": slope}


def _bilinear(shape):
    """The kernel of bilinear upsampling in an array of this shape, the same for every channel."""
    if len(shape) < 4:
        raise IndexError(f"bilinear weights have 4 dimensions, got the shape {shape}")
    half = np.ceil(shape[3] / 2.0)
    centre = (2 * half - 1 - half % 2) / (2.0 * half)
    rows, columns = (1 - abs(np.arange(n) / half - centre) for n in shape[2:4])
    return np.broadcast_to(np.outer(rows, columns), shape).astype("float32")


@register
class Bilinear(Initializer):
    """Weights of a transposed convolution that makes images larger by bilinear interpolation.

    >>> import mxtape as mx
    >>> weight = mx.nd.zeros((1, 1, 2, 4))
    >>> mx.init.Bilinear()(mx.init.InitDesc("up_weight"), weight)
    >>> weight[0, 0].asnumpy().tolist()
    [[0.0625, 0.1875, 0.1875, 0.0625], [0.1875, 0.5625, 0.5625, 0.1875]]
    """

    def __init__(self):
        super().__init__()

    def _init_weight(self, _, arr):
        arr[:] = _bilinear(arr.shape)


@register
class LSTMBias(Initializer):
    """The bias of an LSTM: `forget_bias` for the forget gate, zeros for the others.

    Meant for a variable's own ``init``; as the initializer of a model it would not be asked for
    biases. The gates are in the order input, forget, cell, output, a quarter of the array each.

    Parameters
    ----------
    forget_bias : float, default 1.0

    Examples
    --------
    >>> import mxtape as mx
    >>> bias = mx.nd.zeros((8,))
    >>> own = {"__init__": mx.init.LSTMBias(2).dumps()}
    >>> mx.init.Xavier()(mx.init.InitDesc("lstm_i2h_bias", own), bias)
    >>> bias.asnumpy().tolist()
    [0.0, 0.0, 2.0, 2.0, 0.0, 0.0, 0.0, 0.0]
    """

    def __init__(self, forget_bias=1.0):
        super().__init__(forget_bias=forget_bias)
        self.forget_bias = forget_bias

    def _init_weight(self, _, arr):
        arr[:] = 0.0
        quarter = arr.shape[0] // 4
        arr[quarter : 2 * quarter] = self.forget_bias


@register
class FusedRNN(Initializer):
    """The parameters of a fused recurrent layer, which are one vector.

    The vector is taken apart into the layers' weights and biases, each of which is initialized by
    its own name, and put together again.

    Parameters
    ----------
    init : Initializer or str or None
        For the parts; None for the initializer of the model.
    num_hidden, num_layers, mode, bidirectional
        As of ``mx.rnn.FusedRNNCell``.
    forget_bias : float, default 1.0
        Bias of the forget gates of an LSTM.

    Examples
    --------
    >>> import mxtape as mx
    >>> own = mx.init.FusedRNN("xavier", num_hidden=3, num_layers=1, mode="gru")
    >>> mx.init.create(own.dumps()) == own
    True
    """

    def __init__(self, init, num_hidden, num_layers, mode, bidirectional=False, forget_bias=1.0):
        if init is not None:
            init = create(init)
        super().__init__(
            init=init.dumps() if init is not None else None,
            num_hidden=num_hidden,
            num_layers=num_layers,
            mode=mode,
            bidirectional=bidirectional,
            forget_bias=forget_bias,
        )
        self._init = init
        self._num_hidden, self._num_layers = num_hidden, num_layers
        self._mode = mode
        self._bidirectional = bidirectional
        self._forget_bias = forget_bias

    def _init_weight(self, desc, arr):
        from .rnn import FusedRNNCell

        cell = FusedRNNCell(
            self._num_hidden,
            self._num_layers,
            self._mode,
            self._bidirectional,
            forget_bias=self._forget_bias,
            prefix="",
        )
        parts = cell.unpack_weights({"parameters": arr})
        init = self._init if self._init is not None else desc.global_init
        for name, part in parts.items():
            if self._mode == "lstm" and name.endswith("_f_bias"):
                part[:] = self._forget_bias
            else:
                init(InitDesc(name, global_init=desc.global_init), part)
        arr[:] = cell.pack_weights(parts)["parameters"]

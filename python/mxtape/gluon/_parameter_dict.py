"""ParameterDict: parameters by their names."""

from collections import OrderedDict

import numpy as np

from .. import initializer, ndarray
from ._parameter import Constant, Parameter, _is_unknown, _same_dtype
from .utils import _brief_print_list, _indent


class ParameterDict:
    """Parameters by their names, in the order in which they came.

    Parameters
    ----------
    prefix : str, default ''
        What :meth:`get` puts before a name.
    shared : ParameterDict, optional
        Where :meth:`get` looks for a parameter before it makes one.

    Examples
    --------
    >>> import mxtape as mx
    >>> params = mx.gluon.ParameterDict("net_")
    >>> params.get("weight", shape=(2, 3))
    Parameter net_weight (shape=(2, 3), dtype=<class 'numpy.float32'>)
    >>> list(params.keys())
    ['net_weight']
    """

    def __init__(self, prefix="", shared=None) -> None:
        self._prefix = prefix
        self._params: OrderedDict = OrderedDict()
        self._shared = shared

    def __repr__(self):
        name = self._prefix + " " if self._prefix else ""
        lines = "\n".join(f"  {_indent(repr(param), 2)}" for param in self.values())
        return f"{name}(\n{lines}\n)"

    def keys(self):
        """Names."""
        return self._params.keys()

    def values(self):
        """Parameters."""
        return self._params.values()

    def items(self):
        """Names and parameters."""
        return self._params.items()

    def __iter__(self):
        return iter(self._params)

    def __getitem__(self, key):
        return self._params[key]

    @property
    def prefix(self):
        """What :meth:`get` puts before a name."""
        return self._prefix

    def _get_impl(self, name):
        """The parameter of this whole name, also of the shared ones; or None."""
        if name not in self._params and self._shared is not None and name in self._shared._params:
            self._params[name] = self._shared._params[name]
        return self._params.get(name)

    def get(self, name, **kwargs):
        """The parameter whose name is the prefix and `name`; it is made if there is none.

        Parameters
        ----------
        name : str
        **kwargs
            The arguments of :class:`Parameter`. One that exists must agree with them; what it does
            not know yet it learns.

        Raises
        ------
        AssertionError
            The parameter exists, and is another than the arguments say.
        """
        name = self._prefix + name
        param = self._get_impl(name)
        if param is None:
            param = self._params[name] = Parameter(name, **kwargs)
            return param
        for key, wanted in kwargs.items():
            _agree(param, key, wanted)
        return param

    def get_constant(self, name, value=None):
        """The constant whose name is the prefix and `name`; it is made of `value` if there is none.

        Raises
        ------
        KeyError
            There is no such constant, and no value.
        AssertionError
            There is one with another value, or a parameter of the name that is no constant.
        """
        name = self._prefix + name
        param = self._get_impl(name)
        if param is None:
            if value is None:
                raise KeyError(f"there is no constant {name!r}; give the value for a new one")
            param = self._params[name] = Constant(name, value)
            return param
        if value is None:
            return param
        if not isinstance(param, Constant):
            raise AssertionError(f"Parameter {name} exists and is no Constant")
        given = value.asnumpy() if isinstance(value, ndarray.NDArray) else np.asarray(value)
        own = param.value.asnumpy()
        if given.shape != own.shape or (given != own).any():
            raise AssertionError(f"Constant {name} exists with another value")
        return param

    def update(self, other):
        """Adds the parameters of another ParameterDict.

        Raises
        ------
        AssertionError
            There is another parameter of one name already.
        """
        for name, param in other.items():
            if self._params.setdefault(name, param) is not param:
                raise AssertionError(
                    f"update: there is another parameter of the name {name!r} already:\n"
                    f"{self._params[name]}\n{param}"
                )

    def initialize(
        self,
        init=initializer.Uniform(),  # noqa: B008 (MXNet's default)
        ctx=None,
        verbose=False,
        force_reinit=False,
    ):
        """Initializes all parameters; `init` is for those without an initializer of their own.

        The other parameters are as of :meth:`Parameter.initialize`; `verbose` has the initializer
        log what it does.
        """
        if verbose:
            init.set_verbosity(verbose=verbose)
        for param in self.values():
            param.initialize(None, ctx, init, force_reinit=force_reinit)

    def zero_grad(self):
        """Fills the gradients of all parameters with zeros."""
        for param in self.values():
            param.zero_grad()

    def list_ctx(self):
        """The contexts that a parameter is on, each once."""
        return list(dict.fromkeys(ctx for param in self.values() for ctx in param.list_ctx()))

    def reset_ctx(self, ctx):
        """Moves all parameters; see :meth:`Parameter.reset_ctx`."""
        for param in self.values():
            param.reset_ctx(ctx)

    def setattr(self, name, value):
        """Sets an attribute of all parameters.

        >>> import mxtape as mx
        >>> net = mx.gluon.nn.Dense(2, in_units=3)
        >>> net.collect_params().setattr("grad_req", "null")
        >>> net.weight.grad_req
        'null'
        """
        for param in self.values():
            setattr(param, name, value)

    def save(self, filename, strip_prefix=""):
        """Writes the values to a ``.params`` file, under the names without `strip_prefix`.

        Raises
        ------
        ValueError
            A name does not begin with `strip_prefix`.
        """
        arrays = {}
        for name, param in self.items():
            if not name.startswith(strip_prefix):
                raise ValueError(
                    f"save: parameter {name!r} does not begin with the prefix {strip_prefix!r} "
                    "that is to be left out; it may be shared with another block, or its block was "
                    "made outside of name_scope()"
                )
            arrays[name[len(strip_prefix) :]] = param._reduce()
        ndarray.save(filename, arrays)

    def load(
        self,
        filename,
        ctx=None,
        allow_missing=False,
        ignore_extra=False,
        restore_prefix="",
        cast_dtype=False,
        dtype_source="current",
    ):
        """Reads the values of the parameters from a file.

        Parameters
        ----------
        filename : str
            A ``.params`` file of :meth:`save`, ``mx.model.save_checkpoint`` or
            ``HybridBlock.export``.
        ctx : Context or list of Context, optional
            Where the parameters that have no values yet are to be.
        allow_missing, ignore_extra : bool, default False
            Whether the file may lack parameters, and may have others.
        restore_prefix : str, default ''
            Put before the names in the file.
        cast_dtype : bool, default False
            Whether a data type in the file that is another is no error.
        dtype_source : {'current', 'saved'}, default 'current'
            With `cast_dtype`: which of the two types the parameter has then.

        Raises
        ------
        AssertionError
            A parameter is missing in the file, or is of another shape or dtype there; or the file
            has one that this has not.
        """
        self.load_dict(
            load_named(filename),
            ctx,
            allow_missing,
            ignore_extra,
            restore_prefix,
            filename,
            cast_dtype,
            dtype_source,
        )

    def load_dict(
        self,
        param_dict,
        ctx=None,
        allow_missing=False,
        ignore_extra=False,
        restore_prefix="",
        filename=None,
        cast_dtype=False,
        dtype_source="current",
    ):
        """As :meth:`load`, with arrays by name in the place of a file, which `filename` is."""
        where = f"in file {filename!r}" if filename else "in param_dict"
        loaded = {}
        for key, array in param_dict.items():
            plain = key[4:] if key.startswith(("arg:", "aux:")) else key
            loaded[restore_prefix + plain] = array
        for name in () if allow_missing else self.keys():
            if not name.startswith(restore_prefix):
                raise AssertionError(
                    f"load: parameter {name!r} does not begin with restore_prefix "
                    f"{restore_prefix!r}"
                )
            if name not in loaded:
                raise AssertionError(
                    f"load: parameter {name[len(restore_prefix) :]!r} is missing {where}, which "
                    f"has {_brief_print_list(param_dict)}; allow_missing=True leaves it as it is"
                )
        for name in () if ignore_extra else loaded:
            if name not in self._params:
                raise AssertionError(
                    f"load: {name[len(restore_prefix) :]!r} {where} is none of the parameters "
                    f"{_brief_print_list(self.keys())}; ignore_extra=True ignores it"
                )
        load_all(self._params, loaded, ctx, cast_dtype, dtype_source)


def load_all(params, arrays, *options):
    """Gives the parameters with these names their values: all of them, or on an error none.

    `options` are those of ``Parameter._load_init``.
    """
    pairs = [(params[name], array) for name, array in arrays.items() if name in params]
    for param, array in pairs:
        param._check_loaded(array, *options)
    for param, array in pairs:
        param._load_init(array, *options)


def load_named(filename):
    """The arrays in a file by their names; ValueError where they have none."""
    loaded = ndarray.load(filename) or {}
    if not isinstance(loaded, dict):
        raise ValueError(f"the {len(loaded)} arrays in {filename} have no names")
    return loaded


def _agree(param, key, wanted):
    """Checks that a parameter is what a second caller of ``get`` wants, or completes it."""
    own = getattr(param, key, None)
    if own is None:
        setattr(param, key, wanted)
        return
    if wanted is None or wanted == own:
        return
    if key == "shape" and len(wanted) == len(own):
        pairs = list(zip(wanted, own))
        if all(a == b or _is_unknown(a) or _is_unknown(b) for a, b in pairs):
            param._shape = tuple(b if _is_unknown(a) else a for a, b in pairs)
            return
    if key == "dtype" and _same_dtype(wanted, own):
        return
    raise AssertionError(
        f"Parameter {param.name} exists already with {key}={own!r}, and is asked for with "
        f"{key}={wanted!r}"
    )

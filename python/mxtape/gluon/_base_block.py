"""Block: the base of layers and networks, and the names of blocks."""

import re
import threading
import warnings
from collections import OrderedDict, defaultdict
from typing import Any

from .. import initializer, name, ndarray
from .._missing import elsewhere, refuse_argument
from ._parameter_dict import ParameterDict, load_all, load_named
from ._structure import load_structure, save_structure
from ._summary import print_summary
from .parameter import Parameter
from .utils import HookHandle, _brief_print_list, _indent


class _Thread(threading.local):
    """The scope that one thread is in, and what its open ``with`` blocks return to."""

    scope: Any = None

    def __init__(self) -> None:
        self.outer: list = []


class _BlockScope:
    """A ``with`` block in which the names of new blocks begin with a block's prefix."""

    _current = _Thread()

    def __init__(self, block) -> None:
        self._block = block
        self._counter: dict = {}

    @staticmethod
    def create(prefix, params, hint):
        """The whole prefix and the ParameterDict for a block that is made here."""
        scope = _BlockScope._current.scope
        if scope is None:
            if prefix is None:
                prefix = name.NameManager.current.get(None, hint) + "_"
            if params is None:
                return prefix, ParameterDict(prefix)
            return prefix, ParameterDict(params.prefix, params)
        if prefix is None:
            number = scope._counter.get(hint, 0)
            scope._counter[hint] = number + 1
            prefix = f"{hint}{number}_"
        block = scope._block
        if params is None:
            own = ParameterDict(block.params.prefix + prefix, block.params._shared)
        else:
            own = ParameterDict(params.prefix, params)
        return block.prefix + prefix, own

    def __enter__(self):
        # A block without a prefix leaves names to the scope around it.
        if not self._block._empty_prefix:
            thread = _BlockScope._current
            names = name.Prefix(self._block.prefix)
            thread.outer.append((thread.scope, names))
            thread.scope = self
            names.__enter__()
        return self

    def __exit__(self, ptype, value, trace):
        if not self._block._empty_prefix:
            thread = _BlockScope._current
            thread.scope, names = thread.outer.pop()
            names.__exit__(ptype, value, trace)


class Block:
    """The base of layers and networks; a subclass defines ``forward(*args)``.

    Blocks and parameters that are attributes of a block belong to it: :meth:`collect_params`,
    :meth:`initialize` and the like go through them. Blocks in a list do not; there is
    :meth:`register_child`, and :class:`mxtape.gluon.nn.Sequential`.

    Parameters
    ----------
    prefix : str, optional
        What the names of the block's parameters, and of the blocks made in its
        :meth:`name_scope`, begin with. By default the name of the class with a number.
    params : ParameterDict, optional
        Where the block looks for parameters before it makes them: those of another block are
        shared.

    Examples
    --------
    >>> import mxtape as mx
    >>> from mxtape.gluon import Block, nn
    >>> class Net(Block):
    ...     def __init__(self, **kwargs):
    ...         super().__init__(**kwargs)
    ...         with self.name_scope():
    ...             self.first = nn.Dense(4, activation="relu")
    ...             self.second = nn.Dense(2)
    ...     def forward(self, x):
    ...         return self.second(self.first(x))
    >>> net = Net(prefix="net_")
    >>> net.initialize()
    >>> net(mx.nd.ones((3, 5))).shape
    (3, 2)
    >>> list(net.collect_params())
    ['net_dense0_weight', 'net_dense0_bias', 'net_dense1_weight', 'net_dense1_bias']
    """

    def __init__(self, prefix=None, params=None, **kwargs) -> None:
        if kwargs:  # from a subclass that passes on what it does not know
            refuse_argument(type(self), next(iter(kwargs)))
        if not isinstance(prefix, (str, type(None))):
            raise TypeError(
                f"{type(self).__name__}: prefix must be a str, got a {type(prefix).__name__}; "
                "add() puts blocks into a container"
            )
        self._children: OrderedDict = OrderedDict()
        self._reg_params: dict = {}
        self._forward_pre_hooks: OrderedDict = OrderedDict()
        self._forward_hooks: OrderedDict = OrderedDict()
        self._scope = _BlockScope(self)
        self._empty_prefix = prefix == ""
        self._prefix, self._params = _BlockScope.create(prefix, params, self._alias())
        self._name = self._prefix.removesuffix("_")

    def _alias(self):
        """What a made prefix begins with."""
        return type(self).__name__.lower()

    def __repr__(self):
        blocks = [(key, x) for key, x in self.__dict__.items() if isinstance(x, Block)]
        return self._repr_of(blocks)

    def _repr_of(self, blocks):
        """The class's name, and a line or more for each of these blocks, with its key."""
        lines = "\n".join(f"  ({key}): {_indent(repr(block), 2)}" for key, block in blocks)
        return f"{type(self).__name__}(\n{lines}\n)"

    def __setattr__(self, name, value):
        """Sets an attribute. Blocks and parameters are registered under its name.

        Raises
        ------
        TypeError
            The attribute is a block or a parameter, and the value has another type.
        AssertionError
            The attribute is a parameter already.
        AttributeError
            ``Block.__init__`` has not been called.
        """
        existing = getattr(self, name, None)
        if isinstance(existing, (Parameter, Block)) and not isinstance(value, type(existing)):
            raise TypeError(
                f"attribute {name} of {self.name} is a {type(existing)}; it cannot become a "
                f"{type(value)}"
            )
        if isinstance(value, (Block, Parameter)) and "_children" not in self.__dict__:
            raise AttributeError(
                f"{type(self).__name__}.{name} cannot be set yet: super().__init__() comes first"
            )
        if isinstance(value, Block):
            self.register_child(value, name)
        elif isinstance(value, Parameter):
            if name in self._reg_params:
                raise AssertionError(
                    f"attribute {name} of {self.name} is a parameter already and cannot be "
                    "another; params= of the block's constructor shares parameters"
                )
            self._reg_params[name] = value
        super().__setattr__(name, value)

    # ---- names and parameters

    @property
    def prefix(self):
        """What the names of the block's parameters begin with."""
        return self._prefix

    @property
    def name(self):
        """The prefix without the underscore at its end."""
        return self._name

    def name_scope(self) -> Any:
        """A ``with`` block: the names of blocks made in it begin with this block's prefix."""
        return self._scope

    @property
    def params(self):
        """The parameters of this block itself; :meth:`collect_params` has those of all inside."""
        return self._params

    def collect_params(self, select=None) -> ParameterDict:
        """The parameters of the block and of the blocks in it.

        Parameters
        ----------
        select : str, optional
            A regular expression; only parameters whose names match it from their start on.

        Returns
        -------
        ParameterDict

        Examples
        --------
        >>> from mxtape.gluon import nn
        >>> list(nn.Dense(2, prefix="fc_").collect_params(".*bias"))
        ['fc_bias']
        """
        self._check_container_with_block()
        found = ParameterDict(self._params.prefix)
        if select:
            pattern = re.compile(select)
            own = {key: param for key, param in self.params.items() if pattern.match(key)}
            found.update(own)
        else:
            found.update(self.params)
        for child in self._children.values():
            found.update(child.collect_params(select))
        return found

    def _check_container_with_block(self):
        """Warns of blocks in lists and dicts: they belong to nothing."""
        own = set(map(id, self._children.values()))
        for key, value in self.__dict__.items():
            is_container = isinstance(value, (list, tuple, dict)) and key != "_children"
            if is_container and _has_other_block(value, own):
                warnings.warn(
                    f"{type(self).__name__}.{key} is a container of blocks that are not "
                    "registered: their parameters are not collected. Use register_child(), "
                    "nn.Sequential or nn.HybridSequential",
                    stacklevel=3,
                )

    def _collect_params_with_prefix(self, prefix=""):
        """The parameters by the paths of attributes that lead to them."""
        if prefix:
            prefix += "."
        found = {prefix + key: param for key, param in self._reg_params.items()}
        for key, child in self._children.items():
            found.update(child._collect_params_with_prefix(prefix + key))
        return found

    def register_child(self, block, name=None) -> None:
        """Makes a block belong to this one, under a name or the next number."""
        if not isinstance(block, Block):
            hint = "; give blocks one by one, as in add(*blocks)" if _is_list(block) else ""
            raise TypeError(
                f"{type(self).__name__}: a child must be a Block, got a "
                f"{type(block).__name__}{hint}; nn.Lambda makes a block of a function"
            )
        self._children[str(len(self._children)) if name is None else name] = block

    def initialize(
        self,
        init=initializer.Uniform(),  # noqa: B008 (MXNet's default)
        ctx=None,
        verbose=False,
        force_reinit=False,
    ) -> None:
        """Initializes the parameters of the block and of the blocks in it.

        The arguments are as of :meth:`ParameterDict.initialize`.
        """
        self.collect_params().initialize(init, ctx, verbose, force_reinit)

    def cast(self, dtype) -> None:
        """Casts all parameters to another data type."""
        for child in self._children.values():
            child.cast(dtype)
        for param in self.params.values():
            param.cast(dtype)

    def apply(self, fn) -> Any:
        """Calls ``fn(block)`` for the blocks inside, then for this one; returns the block."""
        for child in self._children.values():
            child.apply(fn)
        fn(self)
        return self

    def hybridize(self, active=True, **kwargs) -> None:
        """Has the hybrid blocks inside run as graphs; see :meth:`HybridBlock.hybridize`."""
        for child in self._children.values():
            child.hybridize(active, **kwargs)

    # ---- hooks

    def register_forward_hook(self, hook):
        """Has ``hook(block, inputs, output)`` called after each forward pass.

        `inputs` is the tuple of arguments. What the hook returns is not used.

        Returns
        -------
        HookHandle
            Its ``detach()`` removes the hook.
        """
        handle = HookHandle()
        handle.attach(self._forward_hooks, hook)
        return handle

    def register_forward_pre_hook(self, hook):
        """Has ``hook(block, inputs)`` called before each forward pass; returns a HookHandle."""
        handle = HookHandle()
        handle.attach(self._forward_pre_hooks, hook)
        return handle

    def register_op_hook(self, callback, monitor_all=False):
        """Has ``callback(name, operator, array)`` called for each result in hybridized blocks.

        Parameters
        ----------
        callback : callable
        monitor_all : bool, default False
            Whether inputs are shown too.
        """
        for child in self._children.values():
            child.register_op_hook(callback, monitor_all)

    # ---- calls

    def __call__(self, *args) -> Any:
        if self._forward_pre_hooks:
            for hook in list(self._forward_pre_hooks.values()):
                hook(self, args)
        out = self.forward(*args)
        if self._forward_hooks:
            for hook in list(self._forward_hooks.values()):
                hook(self, args, out)
        return out

    def forward(self, *args) -> Any:
        """What the block computes; a subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def summary(self, *inputs) -> None:
        """Prints a table of the blocks inside with the shapes of their results.

        Parameters
        ----------
        *inputs
            The arguments of one forward pass, which is run.

        Raises
        ------
        AssertionError
            A block inside is hybridized: its parts are not called one by one.
        """
        print_summary(self, inputs)

    # ---- files

    def save_parameters(self, filename, deduplicate=False) -> None:
        """Writes the values of all parameters to a ``.params`` file.

        They are named by the attributes that lead to them, such as ``features.0.weight``, so that
        another block of the class can read them whatever its prefix is.

        Parameters
        ----------
        filename : str
        deduplicate : bool, default False
            Whether a parameter that several blocks share is written once only, not under each of
            its names.
        """
        params = self._collect_params_with_prefix()
        if deduplicate:
            last = {id(param): key for key, param in params.items()}
            params = {key: params[key] for key in last.values()}
        ndarray.save(filename, {key: param._reduce() for key, param in params.items()})

    def load_parameters(
        self,
        filename,
        ctx=None,
        allow_missing=False,
        ignore_extra=False,
        cast_dtype=False,
        dtype_source="current",
    ) -> None:
        """Reads the values of all parameters from a file.

        Files of :meth:`save_parameters`, of ``collect_params().save()`` and of
        :meth:`HybridBlock.export` are accepted. The arguments and errors are as of
        :meth:`ParameterDict.load`.
        """
        loaded = load_named(filename)
        params = self._collect_params_with_prefix()
        if not loaded and not params:
            return
        if not any("." in key for key in loaded):
            # Whole names, or those of a block without blocks inside. save_parameters() of a
            # SymbolBlock leaves out what all its names begin with, which need not be its prefix.
            whole = self.collect_params()
            restored = "" if whole.keys() & loaded.keys() else self.prefix
            if (
                whole.keys() & {restored + key for key in loaded}
                or not params.keys() & loaded.keys()
            ):
                whole.load_dict(
                    loaded,
                    ctx,
                    allow_missing,
                    ignore_extra,
                    restored,
                    filename,
                    cast_dtype,
                    dtype_source,
                )
                return
        keys_of = defaultdict(list)
        for key, param in params.items():
            keys_of[param].append(key)
        for key, param in () if allow_missing else params.items():
            if not any(other in loaded for other in keys_of[param]):
                raise AssertionError(
                    f"load_parameters: {key!r} is missing in file {filename!r}, which has "
                    f"{_brief_print_list(loaded)}; allow_missing=True leaves it as it is"
                )
        for key in () if ignore_extra else loaded:
            if key not in params:
                raise ValueError(
                    f"load_parameters: {key!r} in file {filename!r} is none of the parameters "
                    f"{_brief_print_list(params)}; ignore_extra=True ignores it"
                )
        load_all(params, loaded, ctx, cast_dtype, dtype_source)

    def save(self, prefix):
        """Writes the parameters, and what blocks there are with their graphs.

        Parameters
        ----------
        prefix : str
            What the names of the two files begin with: ``prefix-model.json``, and
            ``prefix-model.params`` as of :meth:`save_parameters`.
        """
        save_structure(self, f"{prefix}-model.json")
        self.save_parameters(f"{prefix}-model.params")

    def load(self, prefix):
        """Reads what :meth:`save` wrote of a block of the same classes.

        The names become those that the blocks had. Blocks that had a graph run as that graph.

        Raises
        ------
        KeyError
            The file is of blocks of other classes.
        """
        load_structure(self, f"{prefix}-model.json")
        self.load_parameters(f"{prefix}-model.params")

    def save_params(self, filename):
        """The older :meth:`save_parameters`: writes the parameters under their whole names."""
        warnings.warn(
            "save_params is deprecated; use save_parameters, or export for a SymbolBlock",
            stacklevel=2,
        )
        self.collect_params().save(filename, strip_prefix=self.prefix)

    def load_params(self, filename, ctx=None, allow_missing=False, ignore_extra=False):
        """The older name of :meth:`load_parameters`."""
        warnings.warn("load_params is deprecated; use load_parameters", stacklevel=2)
        self.load_parameters(filename, ctx, allow_missing, ignore_extra)


def _is_list(value):
    return isinstance(value, (list, tuple))


def _has_other_block(container, own):
    """Whether there is a block in a container, or in one inside, that is none of `own`."""
    items = container.values() if isinstance(container, dict) else container
    for item in items:
        if isinstance(item, Block):
            if id(item) not in own:
                return True
        elif isinstance(item, (list, tuple, dict)) and _has_other_block(item, own):
            return True
    return False


# What PyTorch's modules have, and what to write instead.
elsewhere(
    Block,
    """
    eval: modes are of the computation: autograd.record() trains, without it a block predicts
    load_state_dict: net.load_parameters(file)
    named_parameters: net.collect_params().items()
    parameters: net.collect_params().values()
    state_dict: net.save_parameters(file), or net.collect_params()
    to: net.collect_params().reset_ctx(ctx), or net.cast(dtype)
    train: modes are of the computation: autograd.record() trains, without it a block predicts
    zero_grad: net.collect_params().zero_grad(); backward() overwrites gradients by default
    """,
)

"""Modules of MXNet that mxtape does not support, and messages for whoever asks for what is missing.

They name a command that tells more: :func:`see`.
"""

import importlib
import sys
import threading
from importlib.machinery import ModuleSpec
from types import ModuleType

# Names under mxtape, by what they would need; "" for those that stand for themselves.
_NEEDS = {
    "": "api contrib.svrg_optimization error ndarray.numpy "
    "ndarray.numpy_extension ndarray.sparse "
    "ndarray_doc notebook np np_symbol npx numpy numpy_dispatch_protocol numpy_extension "
    "numpy_op_fallback numpy_op_signature onnx rtc symbol_doc th "
    "torch tvmop",
    "quantized arrays": "contrib.quant contrib.quantization",
    "protobuf files of other frameworks": "contrib.onnx",
    "MXNet's C interface": "ndarray._new_empty_handle",
}
_MODULES = {name: needs for needs, names in _NEEDS.items() for name in names.split()}


def see(word=""):
    """Where to read on, as a part of a message: a command that works wherever mxtape does.

    >>> from mxtape._missing import see
    >>> see("sparse")
    "see 'python -m mxtape differences sparse'"
    """
    return f"see 'python -m mxtape differences {word}".rstrip() + "'"


def why(name):
    """Why there is no ``mxtape.<name>``, as a text; None for names that MXNet does not have.

    >>> from mxtape._missing import why
    >>> why("np")
    "mxtape.np is not in mxtape yet; see 'python -m mxtape differences submodules'"
    """
    if name not in _MODULES:
        return None
    needs = _MODULES[name]
    needs = f": it needs {needs}" if needs else ""
    return f"mxtape.{name} is not in mxtape yet{needs}; {see(_WORDS.get(name, 'submodules'))}"


# What to look for on the page. The others are "other submodules" there.
_WORDS = {
    "ndarray.sparse": "sparse",
    "ndarray._new_empty_handle": "_LIB",
    "contrib.onnx": "onnx",
    "contrib.svrg_optimization": "svrg_optimization",
    "contrib.quant": "quantization",
    "contrib.quantization": "quantization",
}


def guess(name, candidates):
    """``; did you mean ...?`` with the most similar candidates, or nothing.

    >>> from mxtape._missing import guess
    >>> guess("sofmax", ["softmax", "exp"])
    "; did you mean 'softmax'?"
    """
    # Not at the top: programs without mistakes do not wait for it.
    from difflib import get_close_matches

    close = get_close_matches(name, [c for c in candidates if not c.startswith("_")], 3, 0.75)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""


def refuse(module, name):
    """Raises the AttributeError for ``module.name``."""
    raise AttributeError(explain(module, name))


def explain(module, name):
    """Why `module` has no `name`, as a text."""
    whole = f"{module}.{name}".partition(".")[2]
    plain = f"module {module!r} has no attribute {name!r}"
    return why(whole) or plain + ("" if name.startswith("_") else _like(module, name))


def argument_hint(key, known):
    """What was probably meant by an argument that a function does not have, or nothing.

    >>> from mxtape._missing import argument_hint
    >>> argument_hint("keepdim", "data, axis, keepdims")
    "; did you mean 'keepdims'?"
    """
    from ._habits import argument

    names = known.split(", ")
    return argument(key, names) or guess(key, names)


def refuse_argument(cls, key):
    """Raises the TypeError for an argument that neither a class nor its bases have.

    >>> from mxtape._missing import refuse_argument
    >>> class Layer:
    ...     def __init__(self, units, activation=None):
    ...         pass
    >>> refuse_argument(Layer, "unit")
    Traceback (most recent call last):
        ...
    TypeError: Layer: unknown argument 'unit'; it accepts units, activation; did you mean 'units'?
    """
    # Not at the top: programs without mistakes do not wait for it.
    import inspect

    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    known = ", ".join(
        dict.fromkeys(
            name
            for base in cls.__mro__
            if "__init__" in vars(base) and base is not object
            for name, p in inspect.signature(vars(base)["__init__"]).parameters.items()
            if name != "self" and p.kind not in variadic
        )
    )
    hint = argument_hint(key, known)
    raise TypeError(f"{cls.__name__}: unknown argument {key!r}; it accepts {known}{hint}")


class _Elsewhere:
    """An attribute that other libraries have: asking for it is an AttributeError with a hint."""

    __slots__ = ("hint", "name")

    def __init__(self, name, hint):
        self.name, self.hint = name, hint

    def __get__(self, instance, owner):
        text = f"{owner.__name__!r} object has no attribute {self.name!r}; here: {self.hint}"
        raise AttributeError(text)


def elsewhere(cls, table):
    """Gives a class hints for attributes that it has not: lines of a name and what to write here.

    >>> from mxtape._missing import elsewhere
    >>> class Array:
    ...     pass
    >>> elsewhere(Array, "numpy: x.asnumpy()")
    >>> hasattr(Array(), "numpy")
    False
    >>> Array().numpy
    Traceback (most recent call last):
        ...
    AttributeError: 'Array' object has no attribute 'numpy'; here: x.asnumpy()
    """
    for line in table.strip().splitlines():
        name, hint = line.strip().split(": ", 1)
        setattr(cls, name, _Elsewhere(name, hint))


def _like(module, name):
    from ._habits import function

    hint = function(module.partition(".")[2], name)
    if hint:
        return hint
    found = sys.modules.get(module)
    return guess(name, {*dir(found), *getattr(found, "__all__", ())})


# Packages under other names, with their own. What is in them must not be loaded twice.
_aliases: dict = {}


class _AliasFinder:
    """Answers imports from packages under other names, such as ``mxtape.nd.random``."""

    @staticmethod
    def find_spec(fullname, path=None, target=None):
        parent, _, last = fullname.rpartition(".")
        if parent not in _aliases:
            return None
        module = importlib.import_module(f"{_aliases[parent]}.{last}")
        return ModuleSpec(fullname, _Alias, loader_state=module)  # type: ignore[arg-type]


class _Alias:
    """Loads a module under the other name that it has in its package, as ``mxtape.nd`` is."""

    @staticmethod
    def create_module(spec):
        module = spec.loader_state
        if hasattr(module, "__path__"):
            _aliases[spec.name] = module.__name__
            if _AliasFinder not in sys.meta_path:
                # First: the files of the package are found under any name.
                sys.meta_path.insert(0, _AliasFinder)
        # The import system is about to write its own spec over the module's.
        spec.loader_state = (module.__spec__, module.__loader__)
        return module

    @staticmethod
    def exec_module(module):
        spec = module.__spec__
        module.__spec__, module.__loader__ = spec.loader_state


class _Finder:
    """Answers imports from mxtape that no file answers: modules under other names, what is missing.

    An error that names the module is taken for an attribute that is missing; this one does not.
    """

    @staticmethod
    def find_spec(fullname, path=None, target=None):
        own, _, name = fullname.partition(".")
        if own != __package__ or not name or name.endswith("__"):
            return None
        parent, _, last = fullname.rpartition(".")
        module = _module_in(parent, last)
        if isinstance(module, ModuleType) and module.__name__.startswith(own + "."):
            return ModuleSpec(fullname, _Alias, loader_state=module)  # type: ignore[arg-type]
        raise ModuleNotFoundError(
            why(name) or f"there is no {last!r} in {parent}{_like(parent, last)}"
        )


_asked: set = set()


def _module_in(parent, name):
    """What a module has under a name; None also while it is importing a module of that name."""
    asked = (threading.get_ident(), parent, name)
    if asked in _asked:
        return None
    _asked.add(asked)
    try:
        return getattr(sys.modules.get(parent), name, None)
    except ImportError:
        return None
    finally:
        _asked.discard(asked)


def install():
    """Lets failing imports say why; last, so that no other import waits for it."""
    if not any(finder is _Finder for finder in sys.meta_path):
        sys.meta_path.append(_Finder)

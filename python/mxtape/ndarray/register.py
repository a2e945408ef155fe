"""Puts the engine's operators under their names into the Python namespaces."""

from typing import Any

from .. import _missing
from .._loader import core as _core
from ..base import MXNetError

# What a parameter of each ParamType is called in a docstring, in the order of the C++ enumeration.
_PARAM_TYPES = (
    "bool",
    "bool or None",
    "int",
    "int or None",
    "float",
    "float or None",
    "str",
    "str",
    "str or numpy type",
    "str, numpy type or None",
    "tuple of int",
    "tuple of int or None",
    "tuple of int and None",
    "tuple of float",
)

operators: dict = {}

explain_missing = _missing.explain


def get(name):
    """The operator object called `name`; one object for all its aliases."""
    info_name = _names[name]
    if info_name not in operators:
        operators[info_name] = _core.make_op(info_name)
    return operators[info_name]


_labels = _core.op_labels()
_names = {label: name for label, name, _ in _labels}


def method_names():
    """Names and aliases of the operators that are methods of NDArray too."""
    return [label for label, _, is_method in _labels if is_method and not label.startswith("_")]


def all_names():
    """Names and aliases of all operators."""
    return list(_names)


def canonical(name):
    """The name of which `name` is an alias; `name` itself where no operator is called so.

    >>> from mxtape.ndarray.register import canonical
    >>> canonical("broadcast_plus"), canonical("nothing")
    ('broadcast_add', 'nothing')
    """
    return _names.get(name, name)


def arguments_of(name):
    """Names of an operator's inputs and parameters, and what each accepts, as text."""
    if name not in _names:
        raise MXNetError(f"there is no operator called {name!r}")
    info = _core.describe_op(_names[name])
    kind = "NDArray-or-Symbol" + ("[]" if info["variadic"] else "")
    names, types = [label for label, _ in info["inputs"]], [kind] * len(info["inputs"])
    for label, number, required, default, choices, _ in info["params"]:
        names.append(label)
        types.append(", ".join(_type_text(number, required, default, choices, "optional, ")))
    return names, types


def publish_operators(*namespaces):
    """Adds every public operator to the namespaces, where nothing of its name is there."""
    for name in _names:
        if not name.startswith("_"):
            for namespace in namespaces:
                namespace.setdefault(name, get(name))


def publish_internal(namespace):
    """Adds the operators whose names start with an underscore."""
    for name in _names:
        if name.startswith("_"):
            namespace.setdefault(name, get(name))


def publish_prefixed(namespace, prefix):
    """Adds the operators whose names start with `prefix`, without it; returns these names."""
    names = [name for name in _names if name.startswith(prefix)]
    for name in names:
        namespace.setdefault(name[len(prefix) :], get(name))
    return sorted(name[len(prefix) :] for name in names)


class _Required:
    """Stands for the default of a parameter that must be given, after one that need not."""

    def __repr__(self):
        return "<required>"


def _default(number, text, choices):
    """A parameter's default as a value of Python, from how the declaration prints it."""
    if text == "None":
        return None
    if choices or _PARAM_TYPES[number].startswith("str"):
        return text
    from ast import literal_eval

    return float(text) if text.lstrip("-") in ("inf", "nan") else literal_eval(text)


def signature_of(name, variables=False):
    """The signature of an operator, from its declaration.

    With `variables`, no input must be given, as of symbols, which get variables in their place.
    """
    # Not at the top: few programs ask, and every program would wait for it.
    import inspect

    info = _core.describe_op(name)
    parameters: list = []
    needed = inspect.Parameter.empty
    kind: Any
    if info["variadic"]:
        kind = inspect.Parameter.KEYWORD_ONLY
        label = info["inputs"][0][0]
        parameters.append(inspect.Parameter(label, inspect.Parameter.VAR_POSITIONAL))
    else:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD

    def add(label, default):
        # After one that may be left out, all others have defaults.
        before = kind is not inspect.Parameter.KEYWORD_ONLY and parameters
        if default is needed and before and parameters[-1].default is not needed:
            default = _Required()
        parameters.append(inspect.Parameter(label, kind, default=default))

    if not info["variadic"]:
        for label, optional in info["inputs"]:
            add(label, None if optional or variables else needed)
    for label, number, required, text, choices, _ in info["params"]:
        counted = label == info["count_param"]  # the number of inputs, which are counted
        add(label, None if counted else needed if required else _default(number, text, choices))
    for label in ("out", "name"):
        add(label, None)
    return inspect.Signature(parameters)


def _type_text(number, required, default, choices, optional=""):
    text = "{" + ", ".join(repr(c) for c in choices) + "}" if choices else _PARAM_TYPES[number]
    return text, "required" if required else f"{optional}default {default}"


def doc_of(name):
    """The docstring of an operator, from its declaration."""
    info = _core.describe_op(name)
    # Not at the top, as in signature_of.
    from textwrap import fill

    lines = [fill(info["doc"], 88), "", "Parameters", "----------"]
    for label, optional in info["inputs"]:
        kind = "list of NDArray" if info["variadic"] else "NDArray"
        lines.append(f"{label} : {kind}{', optional' if optional else ''}")
    for label, kind, required, default, choices, doc in info["params"]:
        lines.append(f"{label} : {', '.join(_type_text(kind, required, default, choices))}")
        lines.append(fill(doc, 88, initial_indent="    ", subsequent_indent="    "))
    lines += ["out : NDArray, optional", "    Array to write the result to."]
    lines += ["name : str, optional", "    Accepted for compatibility."]
    if not info["has_gradient"]:
        lines += ["", fill(f"No gradient: {info['no_grad_reason']}.", 88)]
    if info["example"]:
        lines += ["", "Examples", "--------", ">>> import mxtape as mx", info["example"].strip()]
    return "\n".join(lines)


def _describe(name, what):
    return doc_of(name) if what == "doc" else signature_of(name)


_core.set_describe_hook(_describe)

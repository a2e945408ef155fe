"""Puts the functions that compose symbols under their names into the Python namespaces."""

from .._loader import core as _core
from ..ndarray import register as _arrays

explain_missing = _arrays.explain_missing

_functions: dict = {}


def get(label, name=None):
    """The function that composes the operator `label`.

    Symbols that are given no name get `name` in lower case and a number; it is the label where it
    is not given.
    """
    key = label, name or label
    if key not in _functions:
        _functions[key] = _core.make_symbol_op(*key)
    return _functions[key]


def publish_operators(*namespaces):
    """Adds every public operator to the namespaces, where nothing of its name is there."""
    for label in _arrays.all_names():
        if not label.startswith("_"):
            for namespace in namespaces:
                namespace.setdefault(label, get(label))


def publish_internal(namespace):
    """Adds the operators whose names start with an underscore."""
    for label in _arrays.all_names():
        if label.startswith("_"):
            namespace.setdefault(label, get(label))


def publish_prefixed(namespace, prefix):
    """Adds the operators whose names start with `prefix`, without it; returns these names."""
    labels = [label for label in _arrays.all_names() if label.startswith(prefix)]
    for label in labels:
        name = label[len(prefix) :]
        namespace.setdefault(name, get(label, name))
    return sorted(label[len(prefix) :] for label in labels)


def publish_methods(cls):
    """Adds the operators that are methods of arrays to a class, where it has none of the name."""
    for label in ["reshape", *_arrays.method_names()]:
        if label not in vars(cls):
            setattr(cls, label, get(label))


def describe(label, what):
    """The docstring or the signature of a function, from the operator's declaration."""
    name = _arrays._names[label]
    if what == "signature":
        import inspect  # few programs ask, and every program would wait for it

        signature = _arrays.signature_of(name, variables=True)
        kept = [p for p in signature.parameters.values() if p.name not in ("out", "name")]
        kind = kept[-1].kind if kept else inspect.Parameter.POSITIONAL_OR_KEYWORD
        if kind is inspect.Parameter.VAR_POSITIONAL:
            kind = inspect.Parameter.KEYWORD_ONLY
        kept += [inspect.Parameter(n, kind, default=None) for n in ("name", "attr", "out")]
        kept.append(inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD))
        return inspect.Signature(kept)
    text = _arrays.doc_of(name).partition("\n\nExamples\n--------\n")[0]
    return (
        text.replace("NDArray", "Symbol")
        .replace("out : Symbol, optional\n    Array to write the result to.\n", "")
        .replace(
            "    Accepted for compatibility.",
            "    Name of the node; ``mx.name.NameManager`` makes one where it is not given.\n"
            "attr : dict of str to str, optional\n    Attributes of the node.",
        )
    )

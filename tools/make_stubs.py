#!/usr/bin/env python3
"""Writes the type stubs of mx.nd and mx.sym from the operators' declarations.

    make_stubs.py            write them
    make_stubs.py --check    fail when a file is not what would be written

A checker finds in them the engine's operators, which no Python source defines: their inputs, their
parameters with types and choices, and the methods of NDArray and Symbol.
"""

from __future__ import annotations

import inspect
import keyword
import re
import sys
import types
from pathlib import Path

import mxtape as mx
from mxtape._loader import core

PACKAGE = Path(mx.__file__).parent
OP_NAMES = {label: name for label, name, _ in core.op_labels()}
HEADER = """\
# Made by tools/make_stubs.py from the operators' declarations; not to be edited.
from collections.abc import Iterator, Sequence
from typing import Any, Literal, SupportsIndex

import numpy as np

"""
IMPORTS = """\
from ..context import Context

_Number = int | float | bool | np.generic
_DType = str | type | np.dtype[Any]
_Ints = SupportsIndex | Sequence[SupportsIndex]
_SliceInts = SupportsIndex | Sequence[SupportsIndex | None]
_Floats = _Number | Sequence[_Number]
_Out = NDArray | Sequence[NDArray] | None

"""
SHARED = "from . import NDArray, _DType, _Floats, _Ints, _Number, _Out, _SliceInts\n\n"

# Of each ParamType, in the order of the C++ enumeration.
PARAM_TYPES = (
    "bool | int",
    "bool | int | None",
    "SupportsIndex",
    "SupportsIndex | None",
    "_Number",
    "_Number | None",
    "str",
    "str",
    "_DType",
    "_DType | None",
    "_Ints",
    "_Ints | None",
    "_SliceInts | None",
    "_Floats",
)

ATTRIBUTES = {
    "shape": "tuple[int, ...]",
    "dtype": "Any",
    "size": "int",
    "ndim": "int",
    "grad": "NDArray | Any",
    "context": "Context",
    "ctx": "Context",
    "stype": "str",
    "writable": "bool",
    "handle": "Any",
    "T": "NDArray",
}
ARITHMETIC = "add sub mul truediv mod pow".split()
IN_PLACE = "add sub mul truediv mod".split()
COMPARISONS = "eq ne lt le gt ge".split()
SLOTS = {
    "__neg__": "(self) -> NDArray",
    "__abs__": "(self) -> NDArray",
    "__len__": "(self) -> int",
    "__bool__": "(self) -> bool",
    "__iter__": "(self) -> Iterator[NDArray]",
    "__getitem__": "(self, key: Any) -> NDArray",
    "__setitem__": "(self, key: Any, value: Any) -> None",
    "__array__": "(self, dtype: Any = ..., copy: bool | None = ...) -> np.ndarray[Any, Any]",
    "__hash__": "(self) -> int",
}


# What functions in Python return that does not follow from a Returns section.
ARRAY, ARRAYS, NOTHING = "NDArray", "list[NDArray]", "None"
RETURNS = {
    **dict.fromkeys(
        """add arange array concatenate divide empty equal eye from_numpy full greater greater_equal
        lesser lesser_equal linspace logical_and logical_or logical_xor maximum minimum modulo
        moveaxis multiply not_equal onehot_encode ones power subtract true_divide zeros uniform
        normal randn exponential gamma poisson randint as_in_context as_in_ctx astype broadcast_like
        broadcast_to copy detach expand_dims flatten reshape slice_assign slice_assign_scalar
        squeeze""".split(),
        ARRAY,
    ),
    **dict.fromkeys(
        "save waitall attach_grad backward retain_grad wait_to_read seed".split(), NOTHING
    ),
    "split_v2": ARRAYS,
    "asnumpy": "np.ndarray[Any, Any]",
    "__dlpack_device__": "tuple[int, int]",
}


def returns_of(function) -> str:
    """The type that a docstring's Returns section begins with, or the table says."""
    if function.__name__ in RETURNS:
        return RETURNS[function.__name__]
    found = re.search(r"Returns\s*\n\s*-+\s*\n\s*(.+)", function.__doc__ or "")
    text = found[1].strip() if found else ""
    known = {
        "NDArray": "NDArray",
        "list of NDArray": "list[NDArray]",
        "bool": "bool",
        "int": "int",
        "HookHandle": "HookHandle",
        "numpy.ndarray": "np.ndarray[Any, Any]",
    }
    return known.get(text, "Any")


def python_function(name: str, function, indent: str = "") -> str:
    """The stub of a function that is written in Python."""
    parameters = []
    kinds = inspect.Parameter
    starred = False
    for p in inspect.signature(function).parameters.values():
        label = {kinds.VAR_POSITIONAL: "*", kinds.VAR_KEYWORD: "**"}.get(p.kind, "") + p.name
        starred = starred or p.kind is kinds.VAR_POSITIONAL
        if p.kind is kinds.KEYWORD_ONLY and not starred:
            parameters.append("*")
            starred = True
        kind = "" if p.name == "self" else ": Any"
        default = "" if p.default is kinds.empty else " = ..."
        parameters.append(f"{label}{kind}{default}")
    return f"{indent}def {name}({', '.join(parameters)}) -> {returns_of(function)}: ...\n"


def operator_function(name: str, op_name: str, indent: str = "") -> str:
    """The stub of an operator, as a function, or as a method when it is indented."""
    info = core.describe_op(op_name)
    parameters, optional = [], False
    for i, (label, may_be_absent) in enumerate(info["inputs"]):
        if indent and i == 0:
            parameters.append("self")
        elif info["variadic"]:
            parameters.append(f"*{label}: NDArray | Sequence[NDArray]")
        else:
            optional = optional or may_be_absent
            parameters.append(f"{label}: NDArray" + (" | None = ..." if optional else ""))
    for label, number, required, _, choices, _ in info["params"]:
        kind = PARAM_TYPES[number]
        if choices:
            values = [repr(choice) for choice in choices if choice != "None"]
            kind = f"Literal[{', '.join(values)}]" + (" | None" if "None" in choices else "")
        required = required and (not optional or info["variadic"])
        optional = optional or not required
        parameters.append(f"{label}: {kind}" + ("" if required else " = ..."))
    # Names that are words of Python can be given through a dictionary alone.
    parameters = [p for p in parameters if not keyword.iskeyword(p.split(":")[0])]
    parameters += ["out: _Out = ...", "name: str | None = ..."]
    # Where parameters decide, one array is the rule: several of them unpack and index as one does.
    several = info["variadic"] or op_name in ("SliceChannel", "_split_v2")
    result = "NDArray" if info["outputs"] == 1 else "list[NDArray]"
    if info["outputs"] is None and not several:
        result = "NDArray"
    return f"{indent}def {name}({', '.join(parameters)}) -> {result}: ...\n"


def symbol_function(name: str, op_name: str, indent: str = "") -> str:
    """The stub of a function that composes an operator; what is missing becomes a variable."""
    info = core.describe_op(op_name)
    parameters = []
    for i, (label, _) in enumerate(info["inputs"]):
        if indent and i == 0:
            parameters.append("self")
        elif info["variadic"]:
            parameters.append(f"*{label}: Symbol | Sequence[Symbol]")
        else:
            parameters.append(f"{label}: Symbol | None = ...")
    for label, number, _, _, choices, _ in info["params"]:
        kind = PARAM_TYPES[number]
        if choices:
            values = [repr(choice) for choice in choices if choice != "None"]
            kind = f"Literal[{', '.join(values)}]" + (" | None" if "None" in choices else "")
        parameters.append(f"{label}: {kind} = ...")
    parameters = [p for p in parameters if not keyword.iskeyword(p.split(":")[0])]
    parameters += ["name: str | None = ...", "attr: dict[str, str] | None = ...", "**kwargs: Any"]
    return f"{indent}def {name}({', '.join(parameters)}) -> Symbol: ...\n"


def member(name: str, value, indent: str = "") -> str | None:
    if isinstance(value, core.SymbolOperator):
        return symbol_function(name, OP_NAMES[value.__name__], indent)
    if isinstance(value, core.Operator):
        return operator_function(name, value.__name__, indent)
    if isinstance(value, types.FunctionType):
        return python_function(name, value, indent)
    return None


def array_class() -> str:
    """The stub of NDArray."""
    text = "class NDArray:\n"
    for name, kind in ATTRIBUTES.items():
        text += f"    {name}: {kind}\n"
    slots = dict(SLOTS)
    for name in ARITHMETIC:
        slots[f"__{name}__"] = slots[f"__r{name}__"] = "(self, other: NDArray | _Number) -> NDArray"
    for name in IN_PLACE:
        slots[f"__i{name}__"] = "(self, other: NDArray | _Number) -> NDArray"
    for name in COMPARISONS:
        slots[f"__{name}__"] = "(self, other: object) -> NDArray"
    for name, signature in sorted(slots.items()):
        ignore = "  # type: ignore[override]" if name in ("__eq__", "__ne__") else ""
        text += f"    def {name}{signature}: ...{ignore}\n"
    for name in sorted(set(dir(core.NDArray)) - set(ATTRIBUTES) - set(slots)):
        value = inspect.getattr_static(core.NDArray, name)
        if not name.startswith("_") or name in ("__dlpack__", "__dlpack_device__"):
            text += member(name, value, "    ") or ""
    return text + "\n"


def module_stub(module) -> str:
    """The stubs of a namespace's functions."""
    text = f"__all__ = {sorted(module.__all__)!r}\n" if hasattr(module, "__all__") else ""
    # Some names are made when they are asked for.
    for name in sorted({*vars(module), *getattr(module, "__all__", ())}):
        value = getattr(module, name)
        # A word of Python cannot be defined; mx.nd.op has none that mx.nd has not.
        if name.startswith("__") or keyword.iskeyword(name):
            continue
        if name.startswith("_") and module not in (mx.nd._internal, mx.sym._internal):
            continue
        text += member(name, value) or ""
    return text


def stubs() -> dict[Path, str]:
    """The stubs' texts by their files."""
    nd = mx.nd
    folder = PACKAGE / "ndarray"
    submodules = [
        name
        for name, value in sorted(vars(nd).items())
        if isinstance(value, types.ModuleType) and value.__name__ == f"{nd.__name__}.{name}"
    ]
    files = {
        folder / "__init__.pyi": HEADER
        + "from ..autograd.hooks import HookHandle\n"
        + "".join(f"from . import {name} as {name}\n" for name in submodules)
        + IMPORTS
        + array_class()
        + module_stub(nd)
    }
    # Namespaces that hold operators: no source says what is in them.
    for name in submodules:
        module = getattr(nd, name)
        if any(isinstance(value, core.Operator) for value in vars(module).values()):
            text = module_stub(module)
            dynamic = "def __getattr__(name: str) -> Any: ...\n" if name == "_internal" else ""
            files[folder / f"{name}.pyi"] = HEADER + SHARED + text + dynamic
    return files


SYMBOL_TYPES = """\
_Number = int | float | bool | np.generic
_DType = str | type | np.dtype[Any]
_Ints = SupportsIndex | Sequence[SupportsIndex]
_SliceInts = SupportsIndex | Sequence[SupportsIndex | None]
_Floats = _Number | Sequence[_Number]

"""


def symbol_stubs() -> dict[Path, str]:
    """The stubs of mx.sym by their files. What is written in Python is imported from there."""
    sym, folder = mx.sym, PACKAGE / "symbol"
    head = HEADER + "from .symbol import Symbol\n\n" + SYMBOL_TYPES
    methods = "class OperatorMethods:\n"
    for name, value in sorted(vars(sys.modules["mxtape.symbol.methods"].OperatorMethods).items()):
        if not name.startswith("_"):
            methods += member(name, value, "    ") or ""
    files = {folder / "methods.pyi": head + methods}
    for name in "_internal contrib image linalg op random sparse".split():
        dynamic = "def __getattr__(name: str) -> Any: ...\n" if name == "_internal" else ""
        files[folder / f"{name}.pyi"] = head + module_stub(getattr(sym, name)) + dynamic
    imports = "from . import " + ", ".join(
        f"{name} as {name}"
        for name, value in sorted(vars(sym).items())
        if isinstance(value, types.ModuleType)
    )
    text = ""
    for name, value in sorted(vars(sym).items()):
        if isinstance(value, (types.FunctionType, type)) and not name.startswith("_"):
            imports += f"\nfrom {value.__module__[len('mxtape.symbol') :]} import "
            imports += f"{name} as {name}"
        elif isinstance(value, core.SymbolOperator):
            text += symbol_function(name, OP_NAMES[value.__name__])
    files[folder / "__init__.pyi"] = HEADER + imports + "\n\n" + SYMBOL_TYPES + text
    return {path: text.replace("NDArray", "Symbol") for path, text in files.items()}


def main(arguments: list[str]) -> int:
    wrong = []
    for path, text in {**stubs(), **symbol_stubs()}.items():
        if "--check" in arguments:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                wrong.append(path.name)
        else:
            path.write_text(text, encoding="utf-8")
    if wrong:
        print(f"not up to date: {', '.join(wrong)}; run tools/make_stubs.py", file=sys.stderr)
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

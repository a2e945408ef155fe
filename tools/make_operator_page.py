#!/usr/bin/env python3
"""Writes docs/operators.md from the registry and the gradient matrix.

    make_operator_page.py            write it
    make_operator_page.py --check    fail when the page is not what would be written

The data types are those that the operator accepts when it is called: with the inputs of its rows in
the gradient matrix, or with small arrays where it has no gradient. The orders are those to which
the matrix differentiates it.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "python"))

import numpy as np  # noqa: E402

import mxtape as mx  # noqa: E402
from gradient_matrix import all_rows, draw  # noqa: E402
from mxtape._loader import core  # noqa: E402
from mxtape.ndarray import register  # noqa: E402
from range_bounds import BOUNDS, EXCEPTIONS  # noqa: E402

PAGE = ROOT / "docs" / "operators.md"
FLOATING = ("float16", "bfloat16", "float32", "float64")
DTYPES = (*FLOATING, "uint8", "int8", "int32", "int64", "bool")
SHORT = {
    frozenset(DTYPES): "all",
    frozenset(DTYPES[:-1]): "all but bool",
    frozenset(FLOATING): "floating",
}
# Sections by what the names begin with, in the order of the page.
SECTIONS = (
    ("_linalg_", "mx.nd.linalg", "linalg."),
    ("_contrib_", "mx.nd.contrib", "contrib."),
    ("_image_", "mx.nd.image", "image."),
    ("_random_", "Random numbers", "random."),
    ("_sample_", "Random numbers", "_internal._sample_"),
    ("_", "mx.nd._internal", "_internal._"),
    ("", "mx.nd", ""),
)
INTRODUCTION = """\
# Operators

Made by `tools/make_operator_page.py` from the registry; a test fails when it is out of date.
`help(mx.nd.softmax)` shows an operator's parameters and an example.

- **Data types**: those that a call accepts. `all` are float16, bfloat16, float32, float64, uint8,
  int8, int32, int64 and bool; `floating` the first four. Operators of no array have a `dtype`.
- **Orders**: to which order the gradient matrix (`tests/python/test_gradients.py`) holds the
  gradients against numeric differentiation; with the number of calls, which differ in the
  parameters that change the formula. `none`, with the reason: not differentiable.
"""

BATCHES = """
## Operators inside vmap

`autograd.vmap` has a rule for {} of the {} operators that accept arrays, and for what their
gradients call. In a mapped function these raise an error that names the operator:

"""

ERRORS = """
## Errors of pointwise functions

How far a result may be off, in units in the last place of its dtype (the spacing of numbers there;
among subnormal numbers the smallest one), for float16, bfloat16, float32 and float64 alike. The
range matrix (`tests/python/test_range.py`) holds value, first and second derivatives to these
bounds, at about two hundred points that span each dtype, against `mpmath`. A function of two
numbers is also that of an array and a number.

- Where terms of a sum cancel, the error is counted in units of the larger one. Where the truth is
  subnormal, the error may be larger by a hundredth of the truth.
- Where the truth is beyond the largest number, the result is infinite.
- Where it is infinite, at a pole, a value is infinite, and a derivative infinite or NaN.
- Where a function is not defined, its value is NaN. Its derivatives may be anything, as those of a
  NaN may be. At infinity a derivative is the limit, or NaN.

| function | value | first | second |
|---|---|---|---|
"""


def section_of(name: str) -> tuple[str, str]:
    for prefix, title, shown in SECTIONS:
        if name.startswith(prefix):
            return title, shown + name[len(prefix) :]
    raise AssertionError(name)


def accepts(name: str, arrays: list, params: dict) -> bool:
    try:
        result = register.get(name)(*arrays, **params)
        (result[0] if isinstance(result, list) else result).wait_to_read()
    except (mx.MXNetError, TypeError, AssertionError, IndexError, ValueError):
        return False
    return True


def converted(values, dtype: str):
    """Values of a row in `dtype`, or as they are where they are indices."""
    with np.errstate(invalid="ignore"):
        return [mx.nd.array(v, dtype=dtype if v.dtype.kind == "f" else v.dtype) for v in values]


def dtypes_of(name: str, info: dict, rows: list) -> str:
    taken = set()
    for dtype in DTYPES:
        calls = [(converted(draw(row)[0], dtype), row.params) for row in rows]
        if not rows and info["inputs"]:
            count = 2 if info["variadic"] else len(info["inputs"])
            for n in range(count, 0, -1):
                for shape in ((2, 3), (3, 3), (2, 2, 3), (4,), (2, 3, 4, 4)):
                    calls.append(([mx.nd.ones(shape, dtype=dtype)] * n, required(info)))
        mx.random.seed(1)
        with mx.autograd.train_mode():
            if any(accepts(name, arrays, params) for arrays, params in calls):
                taken.add(dtype)
    if not info["inputs"]:
        return "as asked for"
    listed = ", ".join(dtype for dtype in DTYPES if dtype in taken)
    return SHORT.get(frozenset(taken)) or listed or "see its help"


def required(info: dict) -> dict:
    """Values for the parameters that have no default."""
    by_type = {2: 1, 4: 0.1, 6: "1", 10: (1,), 12: (1,), 13: (0.1,)}
    return {
        label: choices[0] if choices else ("float32" if kind == 8 else by_type.get(kind, 1))
        for label, kind, is_required, _, choices, _ in info["params"]
        if is_required
    }


def orders_of(info: dict, rows: list) -> str:
    if not info["has_gradient"]:
        return f"none: {info['no_grad_reason']}"
    low = [row for row in rows if row.order < 2]
    text = f"{max(row.order for row in rows)} ({len(rows)})"
    return text + (f"; 1: {low[0].note}" if low else "")


def page() -> str:
    rows: dict = {}
    for row in all_rows():
        rows.setdefault(row.op, []).append(row)
    sections: dict = {}
    for name in core.op_names():
        if name.startswith("_backward_"):
            continue
        info = core.describe_op(name)
        title, shown = section_of(name)
        also = [a for a in info["aliases"] if not a.startswith("_")]
        summary = info["doc"].split(". ")[0].rstrip(".").replace("|", "\\|")
        own = rows.get(name, [])
        sections.setdefault(title, []).append(
            f"| `{shown}`{''.join(f', `{a}`' for a in also)} | {dtypes_of(name, info, own)} "
            f"| {orders_of(info, own)} | {summary} |\n"
        )
    text = INTRODUCTION
    for title in dict.fromkeys(title for _, title, _ in reversed(SECTIONS)):
        if title in sections:
            text += f"\n## {title}\n\n| operator | data types | orders | |\n|---|---|---|---|\n"
            text += "".join(sections[title])
    return text + batches() + errors()


def batches() -> str:
    """Which operators vmap cannot run over a batch."""
    taking = [
        (name, section_of(name)[1])
        for name in core.op_names()
        if core.describe_op(name)["inputs"] and not name.startswith("_backward_")
    ]
    without = [f"`{shown}`" for name, shown in taking if not core.has_batch_rule(name)]
    return BATCHES.format(len(taking) - len(without), len(taking)) + ", ".join(without) + ".\n"


def errors() -> str:
    text = ERRORS
    for name, bounds in BOUNDS.items():
        text += f"| `{name}` | {' | '.join(map(str, bounds))} |\n"
    orders = ("value", "first derivative", "second derivative")
    reasons = dict.fromkeys(
        f"- `{family}`, {orders[order]}: {excuse.reason}\n"
        for (family, order, _), excuses in EXCEPTIONS.items()
        for excuse in excuses
    )
    return text + ("\nWorse than their bounds are:\n\n" + "".join(reasons) if reasons else "")


def main(arguments: list[str]) -> int:
    text = page()
    if "--check" not in arguments:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    print(f"{PAGE.name} is not up to date; run tools/make_operator_page.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

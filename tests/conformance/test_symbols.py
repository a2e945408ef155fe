"""The expressions of the conformance cases once more, with symbols in the place of arrays.

What composes is bound and run, and compared with what MXNet 1.9.1 recorded for arrays, gradients
too. What does not compose is a method or a key that only arrays have.
"""

import os
import re
import sys
import types

import numpy as np
import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import differences
import harness

import mxtape as mx

# Random numbers, programs about arrays, and what is about symbols anyway.
LEFT_OUT = {"random", "views", "indexing", "bfloat16", "gluon_data", "sparse_io"}
ONLY_ARRAYS = (
    mx.MXNetError,
    TypeError,
    AttributeError,
    ValueError,
    AssertionError,
    LookupError,
    NameError,
)


def expressions():
    for family, items in harness.load_cases().items():
        if family in LEFT_OUT:
            continue
        # Sparse arrays have an astype of their own. That of a symbol is Cast: its result is dense.
        left_out = ".astype(" if family.startswith("sparse_") else "\n"
        yield from (item for item in items if item.line is not None and left_out not in item.line)


def composed(item):
    """The expression's symbol, and its arrays by name; None where it does not compose."""
    try:
        inputs = item.setup(mx)
    except ModuleNotFoundError:  # SciPy
        return None
    arrays = {k: v for k, v in inputs.items() if harness.is_array(v)}
    # A key selects outputs of a symbol, not elements, and a list of one has its outputs.
    if not arrays or re.search(rf"\b({'|'.join(arrays)})\[|list\(", item.line):
        return None
    names = {**inputs, **{k: mx.sym.Variable(k) for k in arrays}}
    shim = types.SimpleNamespace(nd=mx.sym, sym=mx.sym)
    try:
        made = eval(item.line, {"mx": shim, "nd": mx.sym, "np": np, **names})
    except ONLY_ARRAYS:
        return None
    if isinstance(made, (list, tuple)) and all(isinstance(s, mx.sym.Symbol) for s in made):
        made = mx.sym.Group(made)
    if not isinstance(made, mx.sym.Symbol):
        return None
    return mx.sym.load_json(made.tojson()), arrays


def run(item, symbol, arrays, with_gradients):
    """What the case returns, computed by an executor."""
    names = symbol.list_arguments()
    states = {name: arrays[name] for name in symbol.list_auxiliary_states()}
    arguments = {name: arrays[name] for name in names}
    wanted = {
        k: v
        for k, v in arrays.items()
        if harness.is_float_array(v) and (item.wrt is None or k in item.wrt.split())
    }
    buffers = {k: mx.nd.zeros(v.shape, dtype=v.dtype) for k, v in wanted.items() if k in names}
    executor = symbol.bind(
        mx.cpu(), arguments, buffers if with_gradients else None, aux_states=states
    )
    outputs = executor.forward(is_train=with_gradients)
    out = outputs[0] if len(outputs) == 1 else list(outputs)
    if not with_gradients:
        return out
    executor.backward([harness.head_like(mx, y) for y in outputs])
    zeros = {k: mx.nd.zeros(v.shape, dtype=v.dtype) for k, v in wanted.items()}
    return {"out": out, "grad": {**zeros, **buffers}}


def recorded(line):
    """The JSON of what a program of symbol_graphs records."""
    x, w = (harness.array(mx, harness.data((4, 6), -1, 1, seed=i)) for i in range(2))
    x.attach_grad()
    w.attach_grad()
    with mx.autograd.record():
        y = eval(line, {"x": x, "w": w, "nd": mx.nd})
    return mx.autograd.get_symbol(y).tojson()


def test_the_file_of_recorded_programs_is_what_is_recorded():
    """MXNet read the file and computed with it: its results are among the conformance cases."""
    harness.load_cases()
    graphs = sys.modules["cases.symbol_graphs"]
    listed = [
        [names, line, recorded(line)]
        for names, programs in graphs.RECORDED.items()
        for line in map(str.strip, programs.strip().splitlines())
    ]
    assert graphs.traced() == listed


@pytest.mark.filterwarnings("ignore")
def test_expressions_as_symbols_give_what_mxnet_recorded_for_arrays():
    recordings = {}
    wrong, compared, gradients = [], 0, 0
    for item in expressions():
        if item.family not in recordings:
            recordings[item.family] = harness.load_recording(item.family)
        want = recordings[item.family][item.name]
        if item.id in differences.DIFFERENCES:
            want = differences.DIFFERENCES[item.id].expected
        if not isinstance(want, (dict, list)) or "error" in want or "crash" in want:
            continue
        made = composed(item)
        if made is None:
            continue
        symbol, arrays = made
        with_gradients = item.name.startswith("grad ")
        try:
            got = harness.encode(run(item, symbol, arrays, with_gradients))
        except Exception as error:
            # A symbol's operators do not broadcast.
            if "inputs must have one shape" in str(error):
                continue
            wrong.append(f"{item.id}: {type(error).__name__}: {error}")
            continue
        compared += 1
        gradients += with_gradients
        lines = harness.compare(want, got, item.rtol)
        if lines:
            wrong.append(f"{item.id}: {lines[0]}")
    assert wrong == []
    assert compared > 3000
    assert gradients > 1500

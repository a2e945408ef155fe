"""Every operator as a symbol, also after a round through a file; long graphs."""

import itertools
import json
import time

import numpy as np

import mxtape as mx
from gradient_matrix import all_rows, as_arrays, call, draw, operator_inputs, row_id
from mxtape.ndarray import register
from mxtape.symbol import register as symbols

# The shape of the result depends on the values of an input.
OPEN = {"_contrib_boolean_mask"}
# MXNet's name in a file of an operator that is called otherwise here.
FILE_NAMES = {
    "_np_cumsum": "cumsum",
    "_ravel_multi_index": "ravel_multi_index",
    "_unravel_index": "unravel_index",
}


def replay(symbol, arrays):
    """What the graph in a symbol's JSON computes, node by node; attributes are given as text."""
    tree = json.loads(symbol.tojson())
    results = []
    for node in tree["nodes"]:
        if node["op"] == "null":
            results.append([arrays[node["name"]]])
            continue
        inputs = [results[i][k] for i, k, _ in node["inputs"]]
        attributes = {k: v for k, v in node.get("attrs", {}).items() if not k.startswith("__")}
        function = register.get(FILE_NAMES.get(node["op"], node["op"]))
        made = function(*inputs, **attributes)
        results.append(made if isinstance(made, list) else [made])
    return [results[i][k] for i, k, _ in tree["heads"]]


def composed(row, inputs):
    """The row's call as a symbol of variables v0, v1, ..., and their arrays by name."""
    arrays = {f"v{i}": array for i, array in enumerate(inputs)}
    variables = [mx.sym.Variable(name, dtype=x.dtype) for name, x in arrays.items()]
    symbol = symbols.get(row.op)(*variables, **row.params, name="made")
    return mx.sym.load_json(symbol.tojson()), arrays


def test_rows_as_symbols_compute_what_their_calls_do():
    """Each row of the gradient matrix: the same bits, shapes and dtypes."""
    wrong = []
    rows = all_rows()
    for row in rows:
        values, _ = draw(row)
        with mx.autograd.train_mode():
            expected = call(row, as_arrays(values))
            symbol, arrays = composed(row, operator_inputs(row, as_arrays(values)))
            mx.random.seed(11)
            found = replay(symbol, arrays)
        if len(found) != len(expected) or not all(
            np.array_equal(a.asnumpy(), b.asnumpy(), equal_nan=True)
            for a, b in zip(found, expected)
        ):
            wrong.append(f"{row_id(row)}: other values")
        if row.op in OPEN:
            continue
        shapes = symbol.infer_shape(**{name: x.shape for name, x in arrays.items()})
        if shapes[1] != [x.shape for x in expected]:
            wrong.append(f"{row_id(row)}: infer_shape gives {shapes[1]}")
        types = symbol.infer_type_partial()[1]
        if types != [x.dtype for x in expected]:
            wrong.append(f"{row_id(row)}: infer_type gives {types}")
    assert wrong == []
    assert len(rows) > 500


def agrees(known, true):
    """Whether what is known of a shape is so; 0 and () are what is not known."""
    return not known or (len(known) == len(true) and all(a in (0, b) for a, b in zip(known, true)))


def will_do(symbol, full, name, shape):
    """Whether an input may have this shape too, as labels and biases of several shapes may."""
    expected = symbol.infer_shape(**full)[1]
    extents = {n for each in full.values() for n in each}
    for filled in itertools.product(*[[n] if n else extents for n in shape]):
        try:
            if symbol.infer_shape(**{**full, name: filled})[1] == expected:
                return True
        except mx.MXNetError:
            continue
    return False


def test_what_follows_from_parts_of_shapes_is_so():
    """Each row with some extents, or whole inputs, hidden: nothing wrong is inferred."""
    random = np.random.RandomState(3)
    wrong, hidden, learnt = [], 0, 0
    for row in all_rows():
        values, _ = draw(row)
        with mx.autograd.train_mode():
            expected = [x.shape for x in call(row, as_arrays(values))]
            symbol, arrays = composed(row, operator_inputs(row, as_arrays(values)))
        full = {name: arrays[name].shape for name in symbol.list_inputs()}
        if row.op in OPEN or any(0 in shape or not shape for shape in full.values()):
            continue
        for trial in range(4):
            share = (0.2, 0.5, 0.5, 0.9)[trial]
            given = {
                name: tuple(0 if random.rand() < share else n for n in shape)
                for name, shape in full.items()
                if trial == 0 or random.rand() < 0.8
            }
            given = {name: shape for name, shape in given.items() if any(shape)}
            arguments, outputs, states = symbol.infer_shape_partial(**given)
            found = dict(
                zip(symbol.list_arguments() + symbol.list_auxiliary_states(), arguments + states)
            )
            for name, shape in found.items():
                if not agrees(shape, full[name]) and not will_do(symbol, full, name, shape):
                    wrong.append(f"{row_id(row)} with {given}: {name} {shape}")
                unknown = len(full[name]) - np.count_nonzero(given.get(name, ()))
                hidden += unknown
                learnt += np.count_nonzero(shape) - np.count_nonzero(given.get(name, ()))
            if not all(map(agrees, outputs, expected)):
                wrong.append(f"{row_id(row)} with {given}: {outputs}, not {expected}")
    assert wrong == []
    assert learnt > 0.05 * hidden


def test_every_public_name_of_nd_that_is_an_operator_is_a_function_of_sym():
    for label in register.all_names():
        if not label.startswith("_"):
            assert isinstance(getattr(mx.sym, label), mx.sym.op.exp.__class__), label


def test_docstrings_and_signatures_follow_from_the_declarations():
    import inspect

    function = mx.sym.FullyConnected
    assert list(inspect.signature(function).parameters) == (
        "data weight bias num_hidden no_bias flatten name attr out kwargs".split()
    )
    assert "num_hidden : int, required" in function.__doc__
    assert "data : Symbol" in function.__doc__
    assert "NDArray" not in function.__doc__
    assert function.__name__ == "FullyConnected"
    assert "FullyConnected" in repr(function)
    assert mx.sym.flatten.__name__ == "flatten"


def chain(length):
    symbol = mx.sym.Variable("x")
    step = mx.sym.relu
    for _ in range(length):
        symbol = step(symbol, name="r")
    return symbol


def seconds(function):
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def test_a_long_chain_takes_linear_time():
    """Composed, inferred, written, read, listed, called, copied and freed, without recursion."""

    def all_of_it(length):
        symbol = chain(length)
        assert symbol.infer_shape(x=(2, 3))[1] == [(2, 3)]
        text = symbol.tojson()
        assert mx.sym.load_json(text).list_arguments() == ["x"]
        assert len(symbol.get_internals().list_outputs()) == length + 1
        assert symbol(x=mx.sym.Variable("y")).list_arguments() == ["y"]
        del symbol

    small, _ = seconds(lambda: all_of_it(10_000))
    large, _ = seconds(lambda: all_of_it(200_000))
    assert large < 20 * small * 3


def test_shapes_flow_backward_through_a_long_chain_in_linear_time():
    symbol = chain(100_000) + mx.sym.Variable("w")
    taken, shapes = seconds(lambda: symbol.infer_shape_partial(w=(2, 3)))
    assert shapes[0] == [(2, 3), (2, 3)]
    assert taken < 5

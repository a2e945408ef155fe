"""get_symbol(): the recorded graph as a Symbol in MXNet's JSON."""

import json
import re

import pytest

from mxtape import autograd, nd
from mxtape.base import MXNetError
from support import variable


def recorded_layer():
    x, w = variable([1.0, 2.0]), variable([3.0, 4.0])
    with autograd.record():
        y = nd.exp(x * w + 2)
        return nd.FullyConnected(y.reshape((1, 2)), w.reshape((1, 2)), no_bias=True, num_hidden=1)


def test_arguments_outputs_and_name():
    symbol = autograd.get_symbol(recorded_layer())
    assert type(symbol).__name__ == "Symbol"
    first, second = symbol.list_arguments()
    assert re.fullmatch(r"var\d+", first)
    assert re.fullmatch(r"var\d+", second)
    assert first != second
    assert len(symbol.list_outputs()) == 1
    assert symbol.list_outputs()[0] == symbol.name + "_output"


def test_internals_list_every_node_in_order():
    symbol = autograd.get_symbol(recorded_layer())
    internals = symbol.get_internals().list_outputs()
    assert internals[:2] == symbol.list_arguments()
    assert len(internals) == 8
    assert internals[-1] == symbol.list_outputs()[0]
    assert len(set(internals)) == 8


def test_json_is_mxnets():
    graph = json.loads(autograd.get_symbol(recorded_layer()).tojson())
    assert [node["op"] for node in graph["nodes"]] == [
        "null",
        "null",
        "broadcast_mul",
        "_plus_scalar",
        "exp",
        "Reshape",
        "Reshape",
        "FullyConnected",
    ]
    assert [node["inputs"] for node in graph["nodes"]] == [
        [],
        [],
        [[0, 0, 0], [1, 0, 0]],
        [[2, 0, 0]],
        [[3, 0, 0]],
        [[4, 0, 0]],
        [[1, 0, 0]],
        [[5, 0, 0], [6, 0, 0]],
    ]
    assert graph["arg_nodes"] == [0, 1]
    assert graph["heads"] == [[7, 0, 0]]
    assert graph["node_row_ptr"] == list(range(9))
    assert graph["attrs"] == {"mxnet_version": ["int", 10901]}


def test_attributes_are_strings_under_mxnets_names():
    graph = json.loads(autograd.get_symbol(recorded_layer()).tojson())
    attributes = [node.get("attrs") for node in graph["nodes"]]
    assert attributes[2] is None
    assert attributes[3] == {"scalar": "2.0"}
    assert attributes[5]["shape"].replace(" ", "") in ("[1,2]", "(1,2)")
    assert attributes[7] == {"no_bias": "True", "num_hidden": "1"}


def test_output_of_an_operator_with_several():
    x = variable([[1.0, 2.0], [3.0, 4.0]])
    with autograd.record():
        parts = nd.split(x, num_outputs=2, axis=1)
    symbol = autograd.get_symbol(parts[1])
    assert symbol.list_outputs() == [symbol.name + "_output1"]
    graph = json.loads(symbol.tojson())
    assert graph["nodes"][-1]["op"] == "SliceChannel"
    assert graph["nodes"][-1]["attrs"] == {"axis": "1", "num_outputs": "2"}
    assert graph["heads"] == [[1, 1, 0]]
    assert graph["node_row_ptr"] == [0, 1, 3]


def test_variable_alone():
    symbol = autograd.get_symbol(variable([1.0]))
    (name,) = symbol.list_arguments()
    assert symbol.list_outputs() == [name]
    assert re.fullmatch(r"var\d+", name)
    assert json.loads(symbol.tojson())["heads"] == [[0, 0, 0]]


def test_constants_are_arguments_too():
    x = variable([1.0])
    with autograd.record():
        y = x * nd.ones((1,))
    assert len(autograd.get_symbol(y).list_arguments()) == 2


def test_shared_node_appears_once():
    x = variable([1.0])
    with autograd.record():
        y = nd.exp(x)
        z = y * y
    graph = json.loads(autograd.get_symbol(z).tojson())
    assert [node["op"] for node in graph["nodes"]] == ["null", "exp", "broadcast_mul"]
    assert graph["nodes"][2]["inputs"] == [[1, 0, 0], [1, 0, 0]]


def test_attached_intermediate_is_a_variable():
    x = variable([1.0])
    with autograd.record():
        y = x * 2
        y.attach_grad()
        z = nd.exp(y)
    graph = json.loads(autograd.get_symbol(z).tojson())
    assert [node["op"] for node in graph["nodes"]] == ["null", "exp"]


def test_backward_still_works_afterwards():
    x = variable([1.0])
    with autograd.record():
        y = x * 5
    autograd.get_symbol(y)
    y.backward()
    assert x.grad.asscalar() == 5


def test_array_without_a_graph():
    with pytest.raises(MXNetError, match=r"graph|record"):
        autograd.get_symbol(nd.ones((1,)))


@pytest.mark.parametrize("thing", [None, 3, "x"])
def test_what_is_no_array(thing):
    with pytest.raises((AssertionError, TypeError)):
        autograd.get_symbol(thing)


def test_long_chain():
    x = variable([1.0])
    with autograd.record():
        y = x
        for _ in range(2000):
            y = y + 1
    assert len(json.loads(autograd.get_symbol(y).tojson())["nodes"]) == 2001

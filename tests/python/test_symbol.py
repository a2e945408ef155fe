"""Symbol: what the conformance cases of symbols' files leave open."""

import copy
import json
import pathlib
import pickle

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd
from mxtape.base import MXNetError, NotImplementedForSymbol
from support import variable


def text_of(*nodes, heads=None, **more):
    graph = {"nodes": list(nodes), "arg_nodes": [], "heads": heads or [[len(nodes) - 1, 0]]}
    return json.dumps({**graph, "attrs": {"mxnet_version": ["int", 10901]}, **more})


def node(op, name, *inputs, **attributes):
    return {"op": op, "name": name, "attrs": attributes, "inputs": [[i, 0] for i in inputs]}


X = node("null", "x")
SPLIT = node("SliceChannel", "halves", 0, num_outputs="3")


def symbol_of(*nodes, **more):
    return mx.sym.load_json(text_of(*nodes, **more))


@pytest.mark.parametrize("kind", [str, pathlib.Path])
def test_save_and_load(tmp_path, kind):
    path = kind(tmp_path / "symbol.json")
    symbol = symbol_of(X, node("relu", "r", 0))
    symbol.save(path)
    assert pathlib.Path(path).read_text(encoding="utf-8") == symbol.tojson()
    assert mx.sym.load(path).tojson() == symbol.tojson()


def test_errors_of_files_name_the_file(tmp_path):
    missing = tmp_path / "none.json"
    with pytest.raises(MXNetError, match=r"cannot read .*none\.json: No such file"):
        mx.sym.load(missing)
    with pytest.raises(MXNetError, match=r"cannot write .*No such file"):
        symbol_of(X).save(tmp_path / "none" / "x.json")
    (tmp_path / "bad.json").write_text('{\n "nodes": [}')
    with pytest.raises(MXNetError, match=r"bad\.json: line 2, column 12: expected '{', got '}'"):
        mx.sym.load(tmp_path / "bad.json")


def test_errors_of_graphs_name_the_node():
    with pytest.raises(MXNetError, match=r"node 1 \('fc'\): there is no operator called Dense"):
        symbol_of(X, node("Dense", "fc", 0))
    with pytest.raises(MXNetError, match=r"node 1 \('fc'\): FullyConnected: 1 inputs given, exp"):
        symbol_of(X, node("FullyConnected", "fc", 0, num_hidden="2"))
    with pytest.raises(MXNetError, match=r"node 1 \('a'\): Activation: invalid value 'no'"):
        symbol_of(X, node("Activation", "a", 0, act_type="no"))
    with pytest.raises(MXNetError, match=r"input 0 is node 2, which does not come before it"):
        symbol_of(X, node("relu", "a", 2), node("relu", "b", 1))


def test_every_prefix_of_a_text_is_refused():
    text = symbol_of(X, SPLIT, node("relu", "r", 1, __note__='\\"')).tojson()
    for end in range(len(text)):
        with pytest.raises(MXNetError, match="load_json: "):
            mx.sym.load_json(text[:end])


def test_a_text_with_changed_characters_is_read_or_refused():
    text = symbol_of(X, SPLIT, node("relu", "r", 1, __note__='\\"')).tojson()
    random = np.random.RandomState(7)
    refused = []
    for _ in range(3000):
        changed = list(text)
        for at in random.randint(0, len(text), 2):
            changed[at] = chr(random.choice([34, 44, 48, 49, 57, 91, 93, 123, 125, 0, 233, 8364]))
        try:
            mx.sym.load_json("".join(changed)).get_internals().tojson()
        except MXNetError as error:
            refused.append(str(error))
    assert 0 < len(refused) < 3000
    assert all(message.startswith("load_json: ") for message in refused)


def test_text_that_is_no_utf8_comes_back():
    symbol = symbol_of(X)
    odd = symbol.tojson().replace('"x"', '"\udcff"')
    assert mx.sym.load_json(odd).list_arguments() == ["\udcff"]
    assert mx.sym.load_json(odd).tojson() == odd


def test_indices_from_the_end():
    symbol = symbol_of(X, SPLIT, heads=[[1, 0], [1, 1], [1, 2]])
    assert symbol[-1].list_outputs() == ["halves_output2"]
    assert symbol[-2:].list_outputs() == ["halves_output1", "halves_output2"]
    with pytest.raises(IndexError, match="output -4 of a symbol with 3 outputs"):
        symbol[-4]


def test_names_that_are_not_there_or_not_alone():
    symbol = symbol_of(X, SPLIT)
    with pytest.raises(ValueError, match="no output is called 'halves'"):
        symbol["halves"]
    with pytest.raises(ValueError, match="several outputs are called 'x'"):
        mx.sym.Group([symbol_of(X), symbol_of(X)])["x"]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda s: s.__deepcopy__({})])
def test_a_copy_is_independent(copied):
    symbol = symbol_of(X, node("relu", "r", 0))
    other = copied(symbol)
    other._set_attr(color="red")
    assert other.attr("color") == "red"
    assert symbol.attr("color") is None


def test_attributes_set_later_are_those_of_every_symbol_with_the_node():
    symbol = symbol_of(X, node("relu", "r", 0))
    group = mx.sym.Group([symbol, symbol_of(X)])
    symbol._set_attr(color="red")
    assert group.attr_dict() == {"r": {"color": "red"}}
    assert [n.name for n in mx.sym.Group([symbol, group]).get_internals()] == ["x", "r", "x"]


def test_pickle_holds_the_json():
    symbol = symbol_of(X, SPLIT)
    assert symbol.__getstate__() == {"handle": symbol.tojson()}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        other = pickle.loads(pickle.dumps(symbol, protocol))
        assert other.tojson() == symbol.tojson()


def test_what_needs_values_is_refused():
    symbol = symbol_of(X)
    with pytest.raises(NotImplementedForSymbol, match="asnumpy is not implemented for Symbol"):
        symbol.asnumpy()
    with pytest.raises(NotImplementedForSymbol, match="__bool__"):
        assert symbol
    with pytest.raises(TypeError, match="Symbol: expected a graph"):
        mx.sym.Symbol(3)
    with pytest.raises(AttributeError, match="this Symbol has no graph"):  # half unpickled
        mx.sym.exp(mx.sym.Symbol(None))


def test_symbol_of_a_function_in_python():
    class Twice(autograd.Function):
        def forward(self, x):
            return x * 2, x * 3

        def backward(self, first, second):
            return first * 2 + second * 3

    x = variable([1.0])
    with autograd.record():
        first, second = Twice()(x)
        y = first * second
    symbol = autograd.get_symbol(y)
    graph = json.loads(symbol.tojson())
    assert [n["op"] for n in graph["nodes"]] == ["null", "_CustomFunction", "broadcast_mul"]
    assert graph["node_row_ptr"] == [0, 1, 3, 4]
    assert symbol.get_internals().list_outputs()[1:3] == ["node_0_output0", "node_0_output1"]


def test_constants_are_told_apart_by_what_they_show():
    x, c = variable([[1.0, 2.0]]), nd.array([[3.0, 4.0]])
    with autograd.record():
        y = x * c + x * c
        z = nd.dot(x * c, c.reshape((2, 1)))
    assert autograd.get_symbol(y).list_arguments() == ["var0", "null1"]
    assert autograd.get_symbol(z).list_arguments() == ["var0", "null1", "null2"]


def test_states_of_a_recorded_layer():
    x, gamma, beta = (variable(np.ones(s)) for s in ((2, 3), 3, 3))
    with autograd.record():
        y = nd.BatchNorm(x, gamma, beta, nd.zeros(3), nd.ones(3))
    symbol = autograd.get_symbol(y)
    assert symbol.list_arguments() == ["var0", "var1", "var2"]
    assert symbol.list_auxiliary_states() == ["null3", "null4"]


def test_what_mxtape_writes_it_reads():
    x, w = variable(np.ones((2, 3))), variable(np.ones((4, 3)))
    with autograd.record():
        y = nd.FullyConnected(x, w, num_hidden=4, no_bias=True)
        y = nd.add_n(*nd.split(nd.softmax(y * 2 + 1.5, axis=-1), num_outputs=2, axis=1))
        (gradient,) = autograd.grad(y.sum(), [x], create_graph=True)
        z = nd.concat(gradient, x[:, 1:], dim=1).sum()
    text = autograd.get_symbol(z).tojson()
    assert mx.sym.load_json(text).tojson() == text


def test_long_chain():
    count = 200_000
    nodes = [X] + [node("relu", "r", i) for i in range(count)]
    symbol = symbol_of(*nodes)
    assert len(symbol.get_internals()) == count + 1
    assert len(symbol.get_internals()[count // 2].get_internals()) == count // 2 + 1
    text = symbol.tojson()
    assert mx.sym.load_json(text).tojson() == text
    del symbol

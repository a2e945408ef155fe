"""Symbols from files: what load_json makes of files of MXNet 0.8 to 1.9, and writes again."""

import copy
import json
import os
import pickle

from harness import HERE, attempt, case

FOLDER = os.path.join(HERE, "symbols")


def read(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as f:
        return f.read()


def in_order(attributes):
    """As one text: the order is MXNet's hash table's, and a key may be one of the harness."""
    return json.dumps(attributes, sort_keys=True)


def everything(symbol):
    """All that a symbol says of itself."""
    children = symbol.get_children()
    return {
        "json": symbol.tojson(),
        "name": symbol.name,
        "repr": repr(symbol),
        "outputs": symbol.list_outputs(),
        "arguments": symbol.list_arguments(),
        "states": symbol.list_auxiliary_states(),
        "inputs": symbol.list_inputs(),
        "internals": symbol.get_internals().list_outputs(),
        "internals json": symbol.get_internals().tojson(),
        "children": None if children is None else children.list_outputs(),
        "children json": None if children is None else children.tojson(),
        "attributes": in_order(symbol.list_attr()),
        "all attributes": in_order(symbol.attr_dict()),
        "text": symbol.debug_str(),
    }


for version in ("v0_8", "v0_11", "v1_0"):

    @case(name=f"file of {version}")
    def whole_file(mx, version=version):
        return everything(mx.sym.load_json(read(version + ".json")))

    @case(name=f"every part of {version}")
    def parts(mx, version=version):
        internals = mx.sym.load_json(read(version + ".json")).get_internals()
        return [everything(internals[name]) for name in internals.list_outputs()]


def one_node(op, inputs, attributes, version=10901, **more):
    nodes = [{"op": "null", "name": f"i{k}", "inputs": []} for k in range(inputs)]
    node = {"op": op, "name": "n", "attrs": attributes, "inputs": [[k, 0] for k in range(inputs)]}
    return json.dumps(
        {
            "nodes": [*nodes, {**node, **more}],
            "arg_nodes": list(range(inputs)),
            "heads": [[inputs, 0]],
            "attrs": {"mxnet_version": ["int", version]},
        }
    )


for line in read("operators.jsonl").splitlines():

    @case(name=f"node {line}")
    def operator(mx, line=line):
        op, inputs, attributes = json.loads(line)
        symbol = mx.sym.load_json(one_node(op, inputs, attributes))
        graph = json.loads(symbol.tojson())
        return {
            "op": graph["nodes"][-1]["op"],
            "attributes": in_order(graph["nodes"][-1].get("attrs")),
            "rows": graph["node_row_ptr"],
            "outputs": symbol.get_internals().list_outputs(),
            "states": symbol.list_auxiliary_states(),
        }


@case
def indexing(mx):
    symbol = mx.sym.load_json(read("v0_11.json")).get_internals()
    gates = mx.sym.load_json(one_node("SliceChannel", 1, {"num_outputs": "3"}))
    gates = mx.sym.Group([gates.get_internals()[k] for k in (1, 2, 3)])
    keys = ["n_output1", "n", "nope", 0, 2, 3, 1.0, None, slice(0, 2), slice(None), slice(2, 1)]
    result = [attempt(lambda key=key: everything(gates[key])) for key in keys]
    twice = mx.sym.Group([symbol["data"], symbol["data"]])
    result += [len(symbol), len(gates), [repr(s) for s in gates], gates.name, twice.name]
    return [*result, attempt(lambda: twice["data"]), everything(symbol["fc1_output"])]


@case
def groups(mx):
    old, new = (mx.sym.load_json(read(name + ".json")) for name in ("v0_11", "v1_0"))
    return [
        everything(mx.sym.Group([old, new])),
        attempt(mx.sym.Group, []),
        attempt(mx.sym.Group, [1]),
        attempt(mx.sym.Group, [old, None]),
    ]


@case
def copies(mx):
    symbol = mx.sym.load_json(read("v1_0.json"))
    others = [copy.copy(symbol), copy.deepcopy(symbol), pickle.loads(pickle.dumps(symbol))]
    return [
        [other is symbol, other.tojson() == symbol.tojson(), type(other) is type(symbol)]
        for other in others
    ] + [symbol.__getstate__()]


@case
def attributes(mx):
    def node(version, **attrs):
        symbol = mx.sym.load_json(one_node("relu", 1, attrs, version))
        keys = ["lr_mult", "__lr_mult__", "wd_mult", "ctx_group", "other", "none", "mirror_stage"]
        return [symbol.tojson(), in_order(symbol.list_attr()), *(symbol.attr(key) for key in keys)]

    keys = {"lr_mult": "1", "__wd_mult__": "2", "other": "3", "ctx_group": "4"}
    symbol = mx.sym.load_json(one_node("relu", 1, {}))
    symbol._set_attr(lr_mult="2", other="x")
    return [
        node(10901, **keys),
        node(1000, **keys),
        node(800, force_mirroring="1", mirror_stage="2", weight_lr_mult="3"),
        in_order(symbol.attr_dict()),
        symbol.tojson(),
        attempt(symbol._set_attr, a=1),
        attempt(lambda: symbol.get_internals()._set_attr(a="1")),
        attempt(symbol.list_attr, recursive=True),
        in_order(mx.sym.Group([symbol, symbol.get_children()]).list_attr()),
        mx.sym.Group([symbol, symbol.get_children()]).attr("other"),
    ]


@case
def text_of_names_and_attributes(mx):
    name = "a\"b\\c\n\té€/'"
    text = json.dumps(
        {
            "nodes": [{"op": "null", "name": name, "attrs": {"k": name}, "inputs": []}],
            "arg_nodes": [0],
            "heads": [[0, 0]],
        },
        ensure_ascii=False,
    )
    return everything(mx.sym.load_json(text))


@case
def long_lists(mx):
    nodes = [{"op": "null", "name": f"x{k}", "inputs": []} for k in range(12)]
    entries = [[k, 0] for k in range(12)]
    join = {"op": "concat", "name": "c", "attrs": {"num_args": "12"}, "inputs": entries}
    graph = {"nodes": [*nodes, join], "arg_nodes": [], "heads": [*entries, [12, 0]]}
    return everything(mx.sym.load_json(json.dumps(graph)))


@case
def casts_of_mixed_precision(mx):
    nodes = [
        {"op": "null", "name": "x", "inputs": []},
        {"op": "null", "name": "y", "inputs": []},
        {"op": "amp_cast", "name": "a", "attrs": {"dtype": "float16"}, "inputs": [[0, 0]]},
        {
            "op": "amp_multicast",
            "name": "b",
            "attrs": {"num_outputs": "2"},
            "inputs": [[2, 0], [1, 0]],
        },
        {"op": "elemwise_add", "name": "c", "inputs": [[3, 1], [3, 0]]},
    ]
    graph = {"nodes": nodes, "arg_nodes": [], "heads": [[4, 0], [2, 0]]}
    symbol = mx.sym.load_json(json.dumps(graph))
    return [symbol.tojson(), symbol.tojson(remove_amp_cast=False), symbol.list_outputs()]


@case
def versions_of_states(mx):
    text = one_node("BatchNorm", 5, {})
    symbol = mx.sym.load_json(text.replace("[3, 0]", "[3, 0, 1]").replace("[4, 0]", "[4, 0, 2]"))
    return everything(symbol)


@case
def refused(mx):
    relu = one_node("relu", 1, {})
    texts = [
        "garbage",
        "[]",
        "3",
        "{}",
        relu.replace('"relu"', '"nonesuch"'),
        relu.replace('"name"', '"nom"'),
        relu.replace('"arg_nodes"', '"arguments"'),
        relu.replace("[[1, 0]]", "[[4, 0]]"),
        relu.replace("[[1, 0]]", "[[-1, 0]]"),
        relu.replace("[[1, 0]]", "[[1.5, 0]]"),
        relu.replace("[[1, 0]]", "[[1, 0, 0, 0]]"),
        relu.replace("[[1, 0]]", "[[1]]"),
        relu.replace("[[1, 0]]", "[1, 0]"),
        relu.replace('{"mxnet_version"', '{"mxnet_version": 3, "x"'),
        one_node("Activation", 1, {"act_type": "nope"}),
        one_node("Activation", 1, {}),
        one_node("Activation", 1, {"act_type": "relu", "zork": "1"}),
        one_node("relu", 1, {"x": 3}),
        one_node("relu", 1, None),
    ]
    return [attempt(mx.sym.load_json, text) for text in texts] + [
        attempt(mx.sym.load_json, 3),
        attempt(mx.sym.load, 3),
        attempt(mx.sym.load, os.path.join(FOLDER, "nonesuch.json")),
    ]


@case
def no_arrays(mx):
    symbol = mx.sym.load_json(one_node("relu", 1, {}))
    names = "asnumpy asscalar wait_to_read detach backward copy as_in_context __bool__".split()
    return [attempt(getattr(symbol, name)) for name in names] + [attempt(lambda: not symbol)]

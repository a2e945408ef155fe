"""Networks that MXNet 1.9.1 exported are imported here, and those exported here are the same files.

The files and what MXNet computed are in ``tests/conformance/gluon``; ``networks.py`` there makes
them.
"""

import importlib.util
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

import mxtape as mx
from mxtape import gluon, nd

FOLDER = Path(__file__).resolve().parents[1] / "conformance" / "gluon"


def _load():
    spec = importlib.util.spec_from_file_location("networks", FOLDER / "networks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NETWORKS = _load()
EXPECTED = json.loads((FOLDER / "results.json").read_text())
# MXNet's gradient of a parameter that is itself an output is 0, by mistake.
WRONG = {("parameter_as_output", "net_w")}


def _compare(name, got):
    for kind in ("outputs", "arguments"):
        for number, (mine, theirs) in enumerate(zip(got[kind], EXPECTED[name][kind])):
            np.testing.assert_allclose(mine, theirs, 2e-5, 2e-6, err_msg=f"{kind} {number}")
        assert len(got[kind]) == len(EXPECTED[name][kind])
    for key, theirs in EXPECTED[name]["gradients"].items():
        if (name, key) in WRONG:
            theirs = np.ones_like(theirs)
        np.testing.assert_allclose(got["gradients"][key], theirs, 2e-5, 2e-6, err_msg=key)


def _normalized(text):
    """A graph without what differs: numbers of constants, and attributes of variables in bodies.

    MXNet leaves the latter out.
    """
    graph = json.loads(text)

    def clean(nodes, inside):
        for node in nodes:
            attributes = node.get("attrs", {})
            if inside and node["op"] == "null":
                node.pop("attrs", None)
            elif attributes.get("__init__", "").startswith("Constant_"):
                attributes["__init__"] = "Constant"
            for body in node.get("subgraphs", ()):
                clean(body["nodes"], True)

    clean(graph["nodes"], False)
    return graph


@pytest.mark.parametrize("name", NETWORKS.NETWORKS)
def test_exported_as_mxnet_exports_it(name, tmp_path, monkeypatch):
    monkeypatch.setattr("mxtape.symbol.control_flow._made", defaultdict(int))
    _compare(name, NETWORKS.export(mx, name, str(tmp_path)))
    file = f"{name}-symbol.json"
    assert _normalized((tmp_path / file).read_text()) == _normalized((FOLDER / file).read_text())
    file = f"{name}-0000.params"
    assert (tmp_path / file).read_bytes() == (FOLDER / file).read_bytes()


def _imported(name, count, **kwargs):
    inputs = ["data"] if count == 1 else [f"data{i}" for i in range(count)]
    return gluon.SymbolBlock.imports(str(FOLDER / f"{name}-symbol.json"), inputs, **kwargs)


@pytest.mark.parametrize("hybridize", [False, True])
@pytest.mark.parametrize("name", NETWORKS.NETWORKS)
def test_imported_from_mxnet(name, hybridize):
    arguments = NETWORKS.flat(NETWORKS.made(mx, name)[1])
    block = _imported(name, len(arguments), param_file=str(FOLDER / f"{name}-0000.params"))
    if hybridize:
        block.hybridize(static_alloc=True, static_shape=True)
    _compare(name, NETWORKS.results(mx, name, block, arguments))


@pytest.mark.parametrize("name", ["convolutional", "nested", "foreach", "float64"])
def test_an_imported_block_is_part_of_another(name, tmp_path):
    arguments = NETWORKS.flat(NETWORKS.made(mx, name)[1])
    inner = _imported(name, len(arguments), param_file=str(FOLDER / f"{name}-0000.params"))

    class Outer(gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def hybrid_forward(self, F, *args):
            return self.inner(*args)

    outer = Outer()
    _compare(name, NETWORKS.results(mx, name, outer, arguments))
    outer.hybridize()
    outer(*arguments)
    outer.export(str(tmp_path / "outer"))
    again = gluon.SymbolBlock.imports(
        str(tmp_path / "outer-symbol.json"),
        [variable.name for variable in outer._cached_graph[0]],
        str(tmp_path / "outer-0000.params"),
    )
    got = [x.asnumpy() for x in NETWORKS.flat(again(*arguments))]
    for mine, theirs in zip(got, NETWORKS.flat(outer(*arguments))):
        np.testing.assert_array_equal(mine, theirs.asnumpy())


def test_without_a_file_parameters_are_initialized_by_the_first_call():
    block = _imported("mlp", 1)
    block.initialize(mx.init.One())
    assert block.collect_params()["net_dense0_weight"].shape is None
    assert block(nd.ones((1, 5))).shape == (1, 2)
    assert block.collect_params()["net_dense0_weight"].shape == (3, 5)


def test_dtypes_of_imported_parameters():
    block = _imported("float64", 1)
    block.initialize()
    assert block(nd.ones((1, 5), dtype="float64")).dtype == np.float64
    block.cast("float32")
    assert block(nd.ones((1, 5))).dtype == np.float32


def test_a_file_with_other_parameters_is_an_error():
    other = str(FOLDER / "float64-0000.params")
    with pytest.raises(AssertionError, match="net_conv0_weight"):
        _imported("convolutional", 1, param_file=str(FOLDER / "nested-0000.params"))
    with pytest.raises(AssertionError, match="net_dense1_bias"):
        _imported("mlp", 1, param_file=other, allow_missing=True)
    block = _imported("mlp", 1, param_file=other, allow_missing=True, ignore_extra=True)
    assert block.collect_params()["net_dense0_weight"].data().dtype == np.float64


def test_what_a_module_reads():
    """An exported network is a checkpoint."""
    symbol, arguments, states = mx.model.load_checkpoint(str(FOLDER / "convolutional"), 0)
    assert set(arguments) | {"data"} == set(symbol.list_arguments())
    assert set(states) == set(symbol.list_auxiliary_states())
    data = NETWORKS.made(mx, "convolutional")[1][0]
    executor = symbol.bind(mx.cpu(), {**arguments, "data": data}, aux_states=states)
    np.testing.assert_allclose(
        executor.forward(is_train=True)[0].asnumpy(),
        EXPECTED["convolutional"]["outputs"][0],
        rtol=2e-5,
        atol=2e-6,
    )


def test_parameters_are_exported_in_the_order_of_the_graph(tmp_path):
    class Net(gluon.HybridBlock):
        def __init__(self):
            super().__init__(prefix="n_")
            with self.name_scope():
                self.last, self.norm = gluon.nn.Dense(2), gluon.nn.BatchNorm()
                self.w = self.params.get("w", shape=(1,))
                self.c = self.params.get_constant("c", mx.nd.ones((1,)))

        def hybrid_forward(self, F, x, w, c):
            return F.broadcast_add(self.last(self.norm(F.broadcast_mul(x, w))), c)

    net = Net()
    net.initialize()
    net.hybridize()
    net(mx.nd.ones((2, 3)))
    net.export(str(tmp_path / "net"))
    # As MXNet 1.9.1 writes them.
    norm = "arg:n_batchnorm0_gamma arg:n_batchnorm0_beta aux:n_batchnorm0_running_mean "
    names = (
        f"arg:n_w {norm}aux:n_batchnorm0_running_var arg:n_dense0_weight arg:n_dense0_bias arg:n_c"
    )
    assert list(mx.nd.load(str(tmp_path / "net-0000.params"))) == names.split()


def test_nothing_to_export():
    net = gluon.nn.Dense(2)
    with pytest.raises(RuntimeError, match="hybridize"):
        net.export("never")


@pytest.mark.parametrize("layers", [1, 2])
def test_parameters_of_a_symbol_block_are_saved_and_read(layers, tmp_path):
    """Its names in the file are without what all of them begin with: MXNet does not read them."""
    net = data = mx.sym.Variable("data")
    for i in range(layers):
        net = mx.sym.FullyConnected(net, num_hidden=2, name=f"net_fc{i}")
    file = str(tmp_path / "saved.params")
    outputs = []
    for init in (mx.init.One(), mx.init.Zero()):
        block = gluon.SymbolBlock(net, data)
        block.initialize(init)
        block(nd.ones((1, 2)))
        if not outputs:
            block.save_parameters(file)
        else:
            block.load_parameters(file)
        outputs.append(block(nd.ones((1, 2))).asnumpy().tolist())
    assert outputs[0] == outputs[1] != [[0, 0]]


def test_a_symbol_block_called_with_other_arguments():
    a, b = mx.sym.Variable("a"), mx.sym.Variable("b")
    block = gluon.SymbolBlock(a + b, [a, b])
    for given in ([nd.ones(2)], [nd.ones(2)] * 3, [nd.ones(2), [nd.ones(2)]]):
        with pytest.raises(ValueError, match="the arguments a, b are needed"):
            block(*given)
    assert block(nd.ones(2), nd.ones(2)).asnumpy().tolist() == [2, 2]

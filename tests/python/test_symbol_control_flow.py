"""Loops and branches as symbols: second order, files, executors, hostile graphs."""

import json
import re

import numpy as np
import pytest

import mxtape as mx
from support import assert_same, variable

nd, autograd, sym = mx.nd, mx.autograd, mx.sym
contrib = sym.contrib


def scan():
    """A recurrent loop over d with a state s and weights w: outputs and the last state."""
    w = sym.var("w")
    outputs, last = contrib.foreach(
        lambda x, s: (sym.tanh(x * w + s), sym.sin(s * w) + x), sym.var("d"), sym.var("s")
    )
    return sym.Group([outputs, last])


def same_in_python(d, s, w):
    outputs = []
    for i in range(d.shape[0]):
        x = d[i]
        outputs.append(nd.tanh(x * w + s))
        s = nd.sin(s * w) + x
    return nd.stack(*outputs, axis=0), s


ARRAYS = {
    "d": np.array([[0.5, -1.0], [2.0, 0.25], [1.0, 3.0]]),
    "s": np.array([0.1, 0.2]),
    "w": np.array([1.5, -0.5]),
}


def arrays():
    return {name: variable(value, dtype="float64") for name, value in ARRAYS.items()}


def test_a_recorded_loop_has_gradients_of_second_order():
    call = nd.CachedOp(scan(), ())
    results = []
    for function in (lambda d, s, w: call(d, s, w), same_in_python):
        given = arrays()
        order = scan().list_inputs() if function is not same_in_python else ["d", "s", "w"]
        with autograd.record():
            outputs, last = function(*(given[name] for name in order))
            loss = (outputs * outputs).sum() + last.sum()
            grads = autograd.grad(loss, list(given.values()), create_graph=True)
            (sum((g * g).sum() for g in grads)).backward()
        results.append([*grads, *(given[name].grad for name in "dsw")])
    for got, want in zip(*results):
        np.testing.assert_allclose(got.asnumpy(), want.asnumpy(), rtol=1e-12)


def test_an_executor_adds_to_gradients_and_takes_other_lengths():
    symbol = scan()
    executor = symbol.simple_bind(mx.cpu(), grad_req="add", d=(3, 2))
    for name, value in ARRAYS.items():
        executor.arg_dict[name][:] = value
    for _ in range(2):
        executor.forward(is_train=True)
        executor.backward([nd.ones(o.shape) for o in executor.outputs])
    given = arrays()
    with autograd.record():
        outputs, last = same_in_python(given["d"], given["s"], given["w"])
    autograd.backward([outputs, last])
    for name, array in given.items():
        np.testing.assert_allclose(
            executor.grad_dict[name].asnumpy(), 2 * array.grad.asnumpy(), rtol=1e-4
        )
    longer = executor.reshape(d=(7, 2), allow_up_sizing=True)
    assert longer.forward()[0].shape == (7, 2)


def test_files_keep_the_bodies():
    symbol = scan()
    again = sym.load_json(symbol.tojson())
    assert again.tojson() == symbol.tojson()
    want = symbol.bind(mx.cpu(), arrays()).forward()
    for got, expected in zip(again.bind(mx.cpu(), arrays()).forward(), want):
        assert_same(got, expected.asnumpy())


def test_many_steps():
    outputs, last = contrib.foreach(lambda x, s: (s + x, s + x), sym.var("d"), sym.var("s"))
    rows = 3000
    symbol = sym.Group([outputs, last])
    executor = symbol.bind(
        mx.cpu(),
        {"d": nd.ones((rows, 1)), "s": nd.zeros((1,))},
        {"d": nd.zeros((rows, 1)), "s": nd.zeros((1,))},
    )
    assert executor.forward(is_train=True)[1].asscalar() == rows
    executor.backward([nd.zeros((rows, 1)), nd.ones((1,))])
    assert_same(executor.grad_dict["d"], np.ones((rows, 1)))


def test_a_loop_without_a_step_and_one_that_fills_all_rows():
    outputs, last = contrib.while_loop(
        lambda i: i < 3, lambda i: (i * sym.var("w"), i + 1), sym.var("i"), max_iterations=3
    )
    symbol = sym.Group([outputs, last])
    for start, rows, end in ((5, [0, 0, 0], 5), (1, [2, 4, 0], 3), (0, [0, 2, 4], 3)):
        got = symbol.eval(i=nd.array([start]), w=nd.array([2]))
        assert_same(got[0], np.array(rows).reshape(3, 1))
        assert_same(got[1], [end])


def test_shapes_flow_out_of_and_into_bodies():
    outputs, last = contrib.foreach(
        lambda x, s: (sym.FullyConnected(x, num_hidden=4, name="fc"), s + x),
        sym.var("d"),
        sym.var("s"),
    )
    symbol = sym.Group([outputs, last])
    shapes = dict(zip(symbol.list_arguments(), symbol.infer_shape(d=(5, 2, 3))[0]))
    assert shapes == {"d": (5, 2, 3), "s": (2, 3), "fc_weight": (4, 3), "fc_bias": (4,)}
    assert symbol.infer_type(d="float64")[0] == [np.float64] * 4
    chosen = contrib.cond(sym.var("p"), lambda: sym.var("a") * 2, lambda: sym.var("a") + 1)
    assert chosen.infer_shape(p=(1,), a=(2, 3))[1] == [(2, 3)]
    with pytest.raises(mx.MXNetError, match="_foreach"):
        symbol.infer_shape(d=(5, 2, 3), s=(2, 4))
    with pytest.raises(mx.MXNetError, match=r"one number, not an array of shape \(2,\)"):
        chosen.eval(p=nd.ones((2,)), a=nd.ones((2,)))
    both = contrib.foreach(lambda x, s: (x[0] + x[1], s), [sym.var("a"), sym.var("b")], [])[0]
    with pytest.raises(mx.MXNetError, match="rows"):
        both.infer_shape(a=(3, 2), b=(4, 2))


def test_running_statistics_change_in_a_loop():
    outputs, _ = contrib.foreach(
        lambda x, s: (sym.BatchNorm(x, name="bn", momentum=0.5, fix_gamma=False), s + x),
        sym.var("d"),
        sym.var("s"),
    )
    executor = outputs.simple_bind(mx.cpu(), d=(2, 4, 3))
    executor.arg_dict["d"][:] = nd.array(np.arange(24).reshape(2, 4, 3))
    executor.arg_dict["bn_moving_mean"][:] = 0
    executor.forward(is_train=True)
    rows = np.arange(24).reshape(2, 4, 3).mean(axis=1)
    want = 0.5 * (0.5 * rows[0]) + 0.5 * rows[1]
    np.testing.assert_allclose(executor.arg_dict["bn_moving_mean"].asnumpy(), want, rtol=1e-6)


def test_a_predicted_branch_is_the_only_one_that_runs():
    calls = []

    class Note(mx.operator.CustomOp):
        def forward(self, is_train, req, in_data, out_data, aux):
            calls.append(in_data[0].asnumpy().tolist())
            self.assign(out_data[0], req[0], in_data[0])

    @mx.operator.register("noted_in_a_branch")
    class NoteProp(mx.operator.CustomOpProp):
        def create_operator(self, ctx, shapes, dtypes):
            return Note()

    chosen = contrib.cond(
        sym.var("p"),
        lambda: sym.Custom(sym.var("a"), op_type="noted_in_a_branch"),
        lambda: sym.var("b") * 1,
    )
    assert_same(chosen.eval(p=nd.array([0]), a=nd.array([1]), b=nd.array([2]))[0], [2])
    assert not calls
    assert_same(chosen.eval(p=nd.array([1]), a=nd.array([1]), b=nd.array([2]))[0], [1])
    assert calls == [[1.0]]


def loop_node(**changes):
    """The JSON of a loop, whose node has other parameters."""
    tree = json.loads(scan().tojson())
    node = next(node for node in tree["nodes"] if node["op"] == "_foreach")
    for key, value in changes.items():
        if key in node:
            node[key] = value
        else:
            node["attrs"][key] = value
    return json.dumps(tree)


@pytest.mark.parametrize(
    "changes",
    [
        {"in_data_locs": "[7]"},
        {"in_data_locs": "[-1]"},
        {"in_data_locs": "[]"},
        {"in_state_locs": "[0]"},
        {"remain_locs": "[1, 1]"},
        {"num_outputs": "9"},
        {"num_out_data": "-3"},
        {"subgraphs": []},
        {"inputs": [[0, 0, 0]]},
    ],
    ids=str,
)
def test_a_file_whose_numbers_do_not_fit_is_refused(changes):
    with pytest.raises(mx.MXNetError, match="_foreach"):
        sym.load_json(loop_node(**changes))


def test_mutated_files_are_refused_or_run():
    """Other numbers in a file: an error or a result, never a crash."""
    random = np.random.RandomState(0)
    texts = [scan().tojson(), chosen_and_counted().tojson()]
    loaded = 0
    for _ in range(400):
        text = texts[random.randint(2)]
        for _ in range(random.randint(1, 4)):
            numbers = list(re.finditer(r"-?\d+", text))
            at = numbers[random.randint(len(numbers))]
            value = [0, 1, 2, 3, -1, 10**12][random.randint(6)]
            text = f"{text[: at.start()]}{value}{text[at.end() :]}"
        try:
            symbol = sym.load_json(text)
            loaded += 1
            shapes = {
                name: [(1,), (2,), (3, 2)][random.randint(3)] for name in symbol.list_inputs()
            }
            args = {name: nd.ones(shape) for name, shape in shapes.items()}
            grads = {name: nd.zeros(shape) for name, shape in shapes.items()}
            executor = symbol.bind(mx.cpu(), args, grads)
            outputs = executor.forward(is_train=True)
            executor.backward([nd.ones(output.shape) for output in outputs])
        except (mx.MXNetError, ValueError, TypeError):
            pass
    assert 40 < loaded < 360


def chosen_and_counted():
    """A branch and a loop with a condition."""
    chosen = contrib.cond(sym.var("p"), lambda: sym.var("a") * 2, lambda: sym.var("a") + 1)
    outputs, last = contrib.while_loop(
        lambda i: i < 3, lambda i: (i * sym.var("w"), i + 1), sym.var("i"), max_iterations=4
    )
    return sym.Group([chosen, outputs, last])

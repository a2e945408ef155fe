"""Messages for mistakes that newcomers make say what was expected, and what was probably meant."""

import subprocess
import sys

import numpy as np
import pytest

import mxtape as mx
from mxtape import _habits, autograd, gluon, nd
from mxtape.gluon import loss, nn

NAMES = {"autograd": autograd, "gluon": gluon, "loss": loss, "mx": mx, "nd": nd, "nn": nn, "np": np}
x = nd.ones((2, 3))
v = nd.ones((2,))


def recorded(f):
    a = nd.ones((2,))
    a.attach_grad()
    with autograd.record():
        return f(a)


def dense():
    net = nn.Dense(2)
    net.initialize()
    return net


def lstm_cell(states):
    cell = gluon.rnn.LSTMCell(3)
    cell.initialize()
    return cell(x, states)


def junk_states(tmp=__file__):
    gluon.Trainer(dense().collect_params(), "sgd").load_states(tmp)


def init_params(initializer):
    net = mx.mod.Module(mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=2), label_names=None)
    net.bind([("data", (2, 3))])
    net.init_params(initializer)


def hybridized(function):
    block = nn.HybridLambda(function)
    block.hybridize()
    return block(x)


def add(blocks):
    nn.Sequential().add(blocks)


# A mistake, the error's type, and parts of its message with " ... " between them.
MISTAKES = """
float(v) | TypeError | float: expected an array of one element, got shape (2,) ... x.asnumpy()
v.attach_grad('sum') | KeyError | grad_req must be 'write', 'add' or 'null', got 'sum'
nd.ones((2,), dtype='int16') | KeyError | dtype int16 is not supported; there are bfloat16 ... uint8
x.astype('uint16') | KeyError | dtype uint16 is not supported
nd.one_hot(v, 3, dtype='int16') | MXNetError | 'int16' for parameter dtype; expected one of float32
nd.ones(2, 3) | MXNetError | ones: expected a context ... got 3 ... ones((2, 3)), not ones(2, 3)
nd.array([1, 2], 'float32') | MXNetError | array: expected a context such as mx.cpu() as ctx
nd.zeros((2,), 'cuda:0') | MXNetError | got 'cuda:0'; devices are mx.cpu() and mx.gpu()
nd.zeros((2,), mx.gpu()) | MXNetError | use mx.cpu()
mx.Context('tpu') | KeyError | there is no kind of device 'tpu'; expected one of cpu, gpu
nd.zeros((2,), device='cpu') | MXNetError | it accepts shape, ctx, dtype, out; did you mean 'ctx'?
nd.zeros((2,), requires_grad=True) | MXNetError | x.attach_grad() makes an array a variable
nd.random.uniform(size=(2,)) | MXNetError | random.uniform ... 'size' ... did you mean 'shape'?
nd.random.normal((2, 3)) | ValueError | random.normal: loc ... did you mean shape=(2, 3)?
mx.random.randn(2, size=3) | MXNetError | unknown argument 'size'; it accepts the extents
nd.random.rand(2) | AttributeError | here: nd.random.uniform(shape=(2, 3))
recorded(lambda a: a.__iadd__(1)) | MXNetError | x += y: cannot write ... as x = x + y
recorded(lambda a: a.__imul__(2)) | MXNetError | x *= y: cannot write in place
nd.FullyConnected(x, x, num_hidden=2) | MXNetError | bias is missing; give it, or no_bias=True
nd.BatchNorm(x) | MXNetError | gamma is missing; its arrays are data, gamma, beta, moving_mean
nd.tile(x, 2, 2) | TypeError | did you mean reps=(2, 2)?
x.transpose(1, 0) | TypeError | did you mean axes=(1, 0)?
nd.reshape(x, 3, 2) | MXNetError | did you mean shape=(3, 2)?
nd.softmax(x, dim=1) | MXNetError | unknown argument 'dim' ... did you mean 'axis'?
nd.concat(x, x, axis=0) | MXNetError | did you mean 'dim'?
x.sum(axis=0, keepdim=True) | MXNetError | did you mean 'keepdims'?
nd.clip(x, min=0) | MXNetError | did you mean 'a_min'?
mx.sym.softmax(mx.sym.var('x'), dim=1) | MXNetError | did you mean 'axis'?
nd.exp([1, 2]) | AssertionError | must be an NDArray, got <class 'list'>; mx.nd.array(...) makes one
nd.dot(x, np.ones(3)) | AssertionError | mx.nd.array(...) makes one
x.numpy() | AttributeError | 'NDArray' object has no attribute 'numpy'; here: x.asnumpy()
x.view(-1) | AttributeError | here: x.reshape(shape)
x.requires_grad | AttributeError | here: x.attach_grad()
nd.cat([x, x]) | AttributeError | here: nd.concat(x, y, dim=0)
nd.matmul(x, x) | AttributeError | here: nd.dot(x, y)
nd.linalg.inv(x) | AttributeError | here: nd.linalg.inverse(x)
mx.sym.unsqueeze | AttributeError | here: nd.expand_dims(x, axis=0)
mx.tensor([1]) | AttributeError | here: mx.nd.array(values)
autograd.no_grad() | AttributeError | here: autograd.pause()
nn.Linear(2, 3) | AttributeError | here: nn.Dense(units)
nn.Conv2d(2, 3) | AttributeError | here: nn.Conv2D(channels, kernel_size)
gluon.optim | AttributeError | here: gluon.Trainer(net.collect_params()
loss.MSELoss() | AttributeError | here: L2Loss(), which is half of it
loss.L3Loss() | AttributeError | did you mean 'L2Loss' or 'L1Loss'
nn.Dense(2, 3) | TypeError | activation must be a name such as 'relu', got 3 ... in_units
nn.Dense(2, weight_initializer=0.1) | TypeError | the number 0.1; mx.init.Constant(0.1)
nn.Dense(2).initialize(mx.init.Xavier) | AssertionError | got <class ... mean Xavier()?
nn.Dense(2, weight_initializer=mx.init.One).initialize() | AssertionError | did you mean One()?
nn.Dense(2).initialize(0.1) | TypeError | got the number 0.1; mx.init.Constant(0.1)
nn.Dense(2).initialize(mx.cpu()) | AssertionError | got cpu(0); contexts are given as ctx=
hybridized(lambda F, x: x if x.sum() > 0 else -x) | NotImplementedForSymbol | F.where or F.contrib
hybridized(lambda F, x: x.asnumpy()) | NotImplementedForSymbol | asnumpy ... A hybridized block
hybridized(lambda F, x: x[:, 0]) | TypeError | got (slice(None, None, None), 0) ... F.slice
init_params(mx.init.One) | AssertionError | init_params: expected an initializer ... One()?
nn.Dense(3, act='relu') | TypeError | Dense: unknown argument 'act'; ... did you mean 'activation'?
nn.Conv2D(3, 3, stride=2) | TypeError | Conv2D: unknown ... did you mean 'strides'?
nn.BatchNorm(eps=1e-3) | TypeError | BatchNorm: unknown ... did you mean 'epsilon'?
gluon.contrib.rnn.Conv1DGRUCell(1, 2, 3, 3, pad=1) | TypeError | Conv1DGRUCell.__init__()
mx.viz.print_summary(dense()) | TypeError | got Dense; of a Gluon network it is net(mx.sym.var(
mx.viz.plot_network(mx.sym.var('a'), shape=(1, 3)) | TypeError | a dict ... {'a': ...}; got (1, 3)
gluon.data.DataLoader(x, batch_size=0) | ValueError | whole number of 1 or more, got 0
gluon.data.DataLoader(x, batch_size='2') | ValueError | whole number of 1 or more, got '2'
gluon.data.DataLoader(x, batch_size=1.5) | ValueError | whole number of 1 or more, got 1.5
x.item() | ValueError | item: expected an array of one element, got shape (2, 3) ... x.asnumpy()
x.asscalar() | ValueError | asscalar: expected an array of one element, got shape (2, 3)
nn.Sequential(nn.Dense(2)) | TypeError | prefix must be a str, got a Dense; add()
add([nn.Dense(2)]) | TypeError | a child must be a Block, got a list; give blocks one by one
dense().parameters() | AttributeError | here: net.collect_params().values()
dense().eval() | AttributeError | autograd.record() trains
nn.Dense(2).initialize('xaviar') | AssertionError | did you mean 'xavier'?
lstm_cell([nd.ones((2, 3))]) | ValueError | expected states as a list of 2, got 1; begin_state(
lstm_cell(nd.ones((2, 3))) | ValueError | expected states as a list of 2, got NDArray
gluon.utils.split_and_load(x, []) | ValueError | ctx_list must be a list of contexts
gluon.utils.split_and_load(x, mx.cpu()) | ValueError | such as [mx.cpu()], got cpu(0)
gluon.utils.split_data(x, 0) | ValueError | num_slice must be 1 or more, got 0
loss.L2Loss()(x, v) | MXNetError | pred has shape (2, 3) and label (2,)
loss.SigmoidBCELoss()(x, v) | MXNetError | pred has shape (2, 3) and label (2,)
loss.SoftmaxCELoss()(x, x) | MXNetError | of shape (2,); distributions need sparse_label=False
loss.SoftmaxCELoss()(x, nd.ones((3,))) | MXNetError | the numbers of classes, of shape (2,)
gluon.Trainer(dense(), 'sgd') | ValueError | got Dense; did you mean net.collect_params()?
gluon.Trainer(dense().collect_params(), 'sgdd') | ValueError | did you mean 'sgd'
gluon.Trainer(dense().collect_params(), 'sgd', 0.1) | TypeError | a dict such as {
mx.optimizer.create('sgd', lr=0.1) | TypeError | did you mean 'learning_rate'?
gluon.Trainer(dense().collect_params(), 'sgd').step(0) | ZeroDivisionError | must be above 0
gluon.Trainer(dense().collect_params(), 'sgd').zero_grad() | AttributeError | overwrites gradients
mx.optimizer.Adam(weight_decay=0.1) | TypeError | Adam: unknown ... did you mean 'wd'?
junk_states() | UnpicklingError | not states of an optimizer, as Trainer.save_states
"""
ROWS = [line.split(" | ") for line in MISTAKES.strip().splitlines()]


@pytest.mark.parametrize(("mistake", "kind", "parts"), ROWS, ids=[row[0] for row in ROWS])
def test_what_a_mistake_is_told(mistake, kind, parts):
    with pytest.raises(Exception) as error:  # noqa: PT011 (its type and text are checked)
        eval(mistake, {**globals(), **NAMES})
    assert error.type.__name__ == kind, error.value
    text = str(error.value)
    for part in parts.split(" ... "):
        assert part in text, text
        text = text[text.index(part) :]


def test_what_is_said_to_be_here_is_here():
    """The names in the table of habits exist, and those of others do not."""
    for module, table in _habits._FUNCTIONS.items():
        owner = mx
        for name in filter(None, module.split(".")):
            owner = getattr(owner, name)
        for name, hint in _habits._table(table).items():
            assert not hasattr(owner, name), (module, name)
            for word in hint.replace("(", " ").replace(",", " ").split():
                root, _, rest = word.partition(".")
                if root in NAMES and rest:
                    value = NAMES[root]
                    for part in rest.rstrip(");").split("."):
                        value = getattr(value, part)


def test_hints_for_attributes_stay_out_of_sight():
    assert not hasattr(x, "numpy")
    assert not hasattr(dense(), "train")
    assert "numpy" not in dir(x)
    assert "asnumpy" in dir(x)

    class Net(gluon.Block):
        def __init__(self):
            super().__init__()
            self.to = nn.Dense(2)

        def train(self):
            return "mine"

    assert Net().train() == "mine"
    assert isinstance(Net().to, nn.Dense)


def test_a_failing_step_of_a_cell_is_not_blamed_on_good_states():
    cell = gluon.rnn.LSTMCell(3)
    cell.initialize()
    cell(x, cell.begin_state(2))
    with pytest.raises(mx.MXNetError, match="FullyConnected"):
        cell(nd.ones((2, 5)), cell.begin_state(2))


def test_completion_lists_what_is_imported_later():
    """dir() has it, in a new process too: names that nobody has used yet."""
    program = (
        "import mxtape as mx, sys\n"
        "print(*dir(mx), *dir(mx.gluon), *dir(mx.contrib))\n"
        "print(*(name for name in ('gluon.trainer', 'io', 'test_utils') "
        "if f'mxtape.{name}' in sys.modules))"
    )
    listed, loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    names = "AttrScope io metric mod nd viz __version__ Block Trainer loss rnn amp text"
    assert set(names.split()) <= set(listed.split())
    assert not loaded

"""Layers and losses of Gluon: what MXNet's recorded values (tests/conformance) do not show."""

import warnings

import numpy as np
import pytest

import mxtape as mx
from mxtape import MXNetError, autograd, nd
from mxtape.gluon import contrib, loss, nn
from support import assert_same, variable


def made(net, x=None):
    """The initialized layer, after a first call if there is an input."""
    net.initialize(mx.init.Xavier())
    if x is not None:
        net(x)
    return net


def test_modules_have_the_names_of_mxnets():
    assert nn.BatchNorm is nn.basic_layers.BatchNorm
    assert nn.Dropout is nn.basic_layers.Dropout
    assert nn.Conv2D is nn.conv_layers.Conv2D
    assert nn.MaxPool2D is nn.conv_layers.MaxPool2D
    assert nn.PReLU is nn.activations.PReLU
    assert contrib.nn.SyncBatchNorm is contrib.nn.basic_layers.SyncBatchNorm
    assert issubclass(nn.Conv3DTranspose, nn.conv_layers._Conv)
    assert issubclass(nn.GlobalMaxPool1D, nn.conv_layers._Pooling)
    assert issubclass(loss.SoftmaxCELoss, loss.Loss)
    assert issubclass(loss.Loss, mx.gluon.HybridBlock)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_batch_norm_normalizes_narrow_types_with_wide_statistics(dtype):
    layer = made(nn.BatchNorm())
    layer.cast(dtype)
    values = np.random.RandomState(0).uniform(-2, 2, (8, 3, 4)).astype("float32")
    x = nd.array(values).astype(dtype)
    layer(x)
    with autograd.record():
        y = layer(x)
    assert y.dtype == x.dtype
    assert {p.data().dtype for p in layer.collect_params().values()} == {np.float32}
    seen = x.astype("float32").asnumpy()
    mean, var = seen.mean((0, 2), keepdims=True), seen.var((0, 2), keepdims=True)
    want = (seen - mean) / np.sqrt(var + 1e-5)
    np.testing.assert_allclose(y.astype("float32").asnumpy(), want, atol=0.02)
    np.testing.assert_allclose(layer.running_mean.data().asnumpy(), 0.1 * mean.ravel(), rtol=1e-5)


def test_dropout_keeps_the_mean_and_drops_whole_axes():
    mx.random.seed(1)
    x = nd.ones((200, 200))
    with autograd.train_mode():
        y = nn.Dropout(0.25)(x).asnumpy()
        rows = nn.Dropout(0.5, axes=(1,))(x).asnumpy()
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    assert abs(y.mean() - 1) < 0.02
    assert (rows == rows[:, :1]).all()
    assert 60 < (rows[:, 0] == 0).sum() < 140
    assert nn.Dropout(0.9)(x).asnumpy().all()


def test_embedding_casts_with_its_weight():
    layer = made(nn.Embedding(5, 4))
    layer.cast("float16")
    assert layer(nd.array([1, 2])).dtype == np.float16


def test_sync_batch_norm_warns_that_it_guesses_the_number_of_devices():
    with pytest.warns(UserWarning, match="num_devices"):
        guessed = contrib.nn.SyncBatchNorm()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        given = contrib.nn.SyncBatchNorm(num_devices=4)
    assert (guessed._kwargs["ndev"], given._kwargs["ndev"]) == (1, 4)


def test_channels_last():
    """Pooling computes both layouts; convolutions only one, as on MXNet's CPU."""
    x = nd.array(np.random.RandomState(4).rand(2, 5, 5, 3))
    for kind in (nn.MaxPool2D, nn.AvgPool2D):
        last = kind(3, 2, 1, layout="NHWC")(x)
        first = kind(3, 2, 1)(x.transpose((0, 3, 1, 2)))
        assert_same(last, first.transpose((0, 2, 3, 1)).asnumpy())
    layer = made(nn.Conv2D(2, 3, layout="NHWC", in_channels=3))
    assert layer.weight.shape == (2, 3, 3, 3)
    with pytest.raises(MXNetError, match="NHWC"):
        layer(x)


ERRORS = [
    (lambda: nn.LeakyReLU(-1), AssertionError, "LeakyReLU: alpha .* -1"),
    (lambda: nn.Conv2D(4, (3,)), AssertionError, r"kernel_size .* 2 numbers; got \(3,\)"),
    (lambda: nn.Conv1D(4, 3, layout="NWC"), AssertionError, "Conv1D: layout .* 'NWC'"),
    (lambda: nn.Conv2D(4, 3, groups=0), MXNetError, "Conv2D: channels and groups .* 4, 0"),
    (lambda: nn.Conv2D(4, 3, groups=3), MXNetError, "Conv2D: groups must divide .* 3 groups of 4"),
    (lambda: nn.Conv3D(4, 0), MXNetError, r"Conv3D: kernel .* \(0, 0, 0\)"),
    (lambda: nn.Conv2DTranspose(4, 3, 2, output_padding=(1,)), AssertionError, "output_padding"),
    (lambda: nn.AvgPool3D((2, 2)), AssertionError, r"pool_size .* 3 numbers; got \(2, 2\)"),
    (lambda: nn.ReflectionPad2D((1, 1)), AssertionError, r"ReflectionPad2D: .* \(1, 1\)"),
    (lambda: contrib.nn.PixelShuffle2D((2,)), AssertionError, r"PixelShuffle2D: .* \(2,\)"),
    (lambda: loss.CTCLoss("NCT"), AssertionError, "CTCLoss: layout 'NCT'"),
    (lambda: loss.LogisticLoss(label_format=1), ValueError, "LogisticLoss: label_format .* 1"),
    (lambda: loss.L1Loss("a")(nd.ones(2), nd.ones(2)), AssertionError, "number; got 'a'"),
    (
        lambda: loss.SoftmaxCELoss()(nd.ones((2, 3)), 1),
        AssertionError,
        "pick: argument index .*int",
    ),
    (lambda: loss.SDMLLoss()(nd.ones((2, 3)), nd.ones((2, 2))), AssertionError, "SDMLLoss: x1"),
]


@pytest.mark.parametrize(("wrong", "error", "text"), ERRORS, ids=[text for *_, text in ERRORS])
def test_errors_say_what_is_wrong(wrong, error, text):
    with pytest.raises(error, match=text):
        wrong()


def test_layers_share_parameters():
    x = nd.array(np.random.RandomState(1).rand(1, 3, 5, 5))
    first = nn.Conv2D(3, 3, padding=1)
    second = nn.Conv2D(3, 3, padding=1, params=first.params)
    made(first, x)
    assert second.weight is first.weight
    with autograd.record():
        y = second(first(x))
    y.backward()
    both = first.weight.grad().asnumpy().copy()
    with autograd.record():
        y = second(first(x).detach())
    y.backward()
    assert not np.allclose(both, first.weight.grad().asnumpy())


class Standardized(nn.Conv2D):
    """A convolution whose weight is standardized: a layer that users derive."""

    def hybrid_forward(self, F, x, weight, bias=None):
        mean = F.mean(weight, axis=0, exclude=True, keepdims=True)
        centred = F.broadcast_sub(weight, mean)
        return super().hybrid_forward(F, x, centred, bias)


@pytest.mark.parametrize("hybrid", [False, True])
def test_layers_are_derived_from(hybrid):
    layer = Standardized(2, 3, use_bias=False)
    layer.initialize()
    layer.hybridize(hybrid)
    assert abs(layer(nd.ones((1, 3, 3, 3))).asnumpy()).max() < 1e-6
    assert repr(layer) == "Standardized(3 -> 2, kernel_size=(3, 3), stride=(1, 1), bias=False)"


def small_network():
    net = nn.HybridSequential()
    net.add(
        nn.Conv2D(4, 3, padding=1, activation="tanh"),
        nn.BatchNorm(),
        nn.Swish(),
        nn.AvgPool2D(),
        nn.Conv2DTranspose(3, 2, strides=2),
        nn.GroupNorm(3),
        nn.PReLU(),
        nn.GlobalAvgPool2D(),
        nn.Flatten(),
        nn.LayerNorm(),
        nn.Dense(3),
    )
    return net


def test_a_network_trains_to_the_same_bits_hybridized():
    random = np.random.RandomState(2)
    x, y = nd.array(random.rand(6, 2, 6, 6)), nd.array(random.randint(0, 3, 6))
    start = {}

    def train(hybrid):
        net, entropy = small_network(), loss.SoftmaxCELoss()
        made(net, x)
        own = net._collect_params_with_prefix()
        for name, param in own.items():
            param.set_data(start.setdefault(name, param.data().copy()))
        net.hybridize(hybrid)
        losses = []
        for _ in range(8):
            with autograd.record():
                value = entropy(net(x), y)
            value.backward()
            for param in own.values():
                if param.grad_req != "null":
                    param.set_data(param.data() - 0.1 * param.grad())
            losses.append(value.mean().asscalar())
        return losses, {name: param.data().asnumpy() for name, param in own.items()}

    (eager, weights), (hybrid, others) = train(False), train(True)
    assert eager == hybrid
    assert eager[-1] < 0.8 * eager[0]
    assert all((weights[name] == others[name]).all() for name in weights)


@pytest.mark.parametrize("hybrid", [False, True])
def test_gradients_of_gradients_go_through_layers(hybrid):
    """A gradient penalty: the derivative for a weight against a difference quotient."""
    net = nn.HybridSequential()
    net.add(nn.Conv2D(2, 3, activation="tanh"), nn.LayerNorm(), nn.Swish(), nn.Dense(1))
    x = nd.array(np.random.RandomState(3).rand(2, 1, 4, 4), dtype="float64")
    net.initialize()
    net.cast("float64")
    net(x)
    net.hybridize(hybrid)

    def penalty():
        x.attach_grad()
        with autograd.record():
            slopes = autograd.grad(net(x), x, create_graph=True)[0]
            return (slopes**2).sum()

    value = penalty()
    value.backward()
    weight = net[0].weight
    got, step = weight.grad()[0, 0, 1, 1].asscalar(), 1e-5
    around = []
    for sign in (1, -1):
        moved = weight.data().asnumpy()
        moved[0, 0, 1, 1] += sign * step
        weight.set_data(nd.array(moved, dtype="float64"))
        around.append(penalty().asscalar())
        moved[0, 0, 1, 1] -= sign * step
        weight.set_data(nd.array(moved, dtype="float64"))
    assert abs(got) > 1e-7
    np.testing.assert_allclose(got, (around[0] - around[1]) / (2 * step), rtol=1e-4)


def test_poisson_loss_counts_zeros():
    """0 log(0) is 0; MXNet's loss is NaN."""
    counts = np.array([0.0, 1, 2, 30])
    got = loss.PoissonNLLLoss(compute_full=True)(nd.zeros((4,)), nd.array(counts)).asscalar()
    stirling = [0, 0] + [n * np.log(n) - n + 0.5 * np.log(2 * np.pi * n) for n in counts[2:]]
    np.testing.assert_allclose(got, 1 + np.mean(stirling), rtol=1e-6)


@pytest.mark.parametrize("hybrid", [False, True])
def test_metric_learning_of_one_sample_has_no_gradient(hybrid):
    x, criterion = nd.array([[1.0, 2.0]]), loss.SDMLLoss()
    criterion.hybridize(hybrid)
    x.attach_grad()
    with autograd.record():
        y = criterion(x, nd.array([[3.0, 5.0]]))
    y.backward()
    assert np.isfinite(y.asscalar())
    assert x.grad.asnumpy().tolist() == [[0, 0]]


def double(values):
    return nd.array(values, dtype="float64")


RANDOM = np.random.RandomState(5)
SCORES, TARGETS = RANDOM.uniform(-2, 2, (2, 3)), double(RANDOM.uniform(0.1, 0.9, (2, 3)))
SIGNS = double([[1, -1, 1], [-1, -1, 1]])
SEQUENCE = RANDOM.uniform(-2, 2, (1, 4, 3))
# Losses, and what follows the scores, at which they are smooth.
SMOOTH = [
    (loss.L2Loss(weight=3), [TARGETS]),
    (loss.L1Loss(), [TARGETS, TARGETS]),
    (loss.HuberLoss(rho=0.7), [TARGETS]),
    (loss.SigmoidBCELoss(), [TARGETS, TARGETS, 2 * TARGETS]),
    (loss.SoftmaxCELoss(), [double([2, 0])]),
    (loss.SoftmaxCELoss(sparse_label=False, axis=0, batch_axis=1), [TARGETS]),
    (loss.KLDivLoss(from_logits=False), [TARGETS]),
    (loss.HingeLoss(), [SIGNS]),
    (loss.SquaredHingeLoss(), [SIGNS]),
    (loss.LogisticLoss(), [SIGNS]),
    (loss.PoissonNLLLoss(compute_full=True), [5 * TARGETS]),
    (loss.TripletLoss(margin=9), [TARGETS, SIGNS]),
    (loss.CosineEmbeddingLoss(margin=-0.9), [TARGETS, double([1, -1])]),
    (loss.SDMLLoss(), [TARGETS]),
    (loss.CTCLoss(), [double([[1, 0]])]),
]


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize(("criterion", "others"), SMOOTH, ids=[repr(c) for c, _ in SMOOTH])
def test_derivatives_of_losses_are_difference_quotients(criterion, others, hybrid):
    """The first and the second derivative in one direction, in float64."""
    scores = SEQUENCE if isinstance(criterion, loss.CTCLoss) else SCORES
    direction = np.cos(np.arange(scores.size)).reshape(scores.shape)
    criterion.hybridize(hybrid)

    def derivatives(offset):
        """The loss, its slope along the direction, and the slope's gradient."""
        x = variable(scores + offset * direction, "float64")
        with autograd.record():
            value = criterion(x, *others)
            value = (
                value * (1 + nd.arange(value.size, dtype="float64").reshape(value.shape))
            ).sum()
            slope = (autograd.grad(value, x, create_graph=True)[0] * double(direction)).sum()
        slope.backward()
        return value.asscalar(), slope.asscalar(), (x.grad.asnumpy() * direction).sum()

    step = 1e-5
    (above, slope_above, _), (below, slope_below, _) = derivatives(step), derivatives(-step)
    _, first, second = derivatives(0)
    np.testing.assert_allclose(first, (above - below) / (2 * step), rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(
        second, (slope_above - slope_below) / (2 * step), rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_cosine_loss_of_vectors_of_zeros_has_finite_gradients(dtype):
    x = variable([[0, 0], [3, 4]], dtype)
    y = nd.array([[1, 2], [0, 0]], dtype=dtype)
    with autograd.record():
        value = loss.CosineEmbeddingLoss()(x, y, nd.array([1, 1], dtype=dtype))
    value.backward()
    assert value.dtype == x.dtype
    assert value.asnumpy().tolist() == [[1], [1]]
    assert_same(x.grad, [[-1, -2], [0, 0]])


def test_l2_loss_without_weight():
    x, y = nd.array([1.0, 2]), nd.array([3.0, 2])
    assert loss.L2Loss(weight=None)(x, y).asnumpy().tolist() == [2, 0]


def test_transposed_convolution_in_groups_waits_for_its_input():
    layer = made(nn.Conv2DTranspose(4, 3, groups=2), nd.ones((1, 6, 3, 3)))
    assert layer.weight.shape == (6, 2, 3, 3)


def test_losses_of_wide_scores_are_finite():
    scores, labels = nd.array([[-1e4, 0, 1e4]]), nd.array([[1, 0, 0]])
    for criterion, label in (
        (loss.SigmoidBCELoss(), labels),
        (loss.SoftmaxCELoss(), nd.array([0])),
        (loss.LogisticLoss(), 2 * labels - 1),
    ):
        scores.attach_grad()
        with autograd.record():
            y = criterion(scores, label)
        y.backward()
        assert np.isfinite(y.asnumpy()).all()
        assert np.isfinite(scores.grad.asnumpy()).all()


def test_both_batch_normalizations_have_the_base_that_programs_ask_for():
    base = nn.basic_layers._BatchNorm
    assert isinstance(nn.BatchNorm(), base)
    assert isinstance(nn.BatchNormReLU(), base)
    assert not isinstance(nn.LayerNorm(), base)

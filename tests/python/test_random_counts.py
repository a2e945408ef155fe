"""Samplers of counts and of indices: distributions, gradients of drawn probabilities, threads."""

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd
from mxtape.base import MXNetError
from mxtape.ndarray.contrib_random import rand_zipfian
from support import output_of

COUNT = 100_000


@pytest.fixture(autouse=True)
def fixed_seed():
    mx.random.seed(1234)


def negative_binomial(k, p):
    return k * (1 - p) / p, k * (1 - p) / p**2


def generalized(mu, alpha):
    return mu, mu + alpha * mu**2


DISTRIBUTIONS = [
    ("negative_binomial", (3, 0.4), negative_binomial),
    ("negative_binomial", (40, 0.1), negative_binomial),
    ("generalized_negative_binomial", (2.0, 0.3), generalized),
    ("generalized_negative_binomial", (50.0, 0.05), generalized),
    ("generalized_negative_binomial", (7.0, 0.0), generalized),
]


def log_probability(counts, name, params):
    """The logarithm of the mass function, by the density operators."""
    columns = [nd.array([float(value)], dtype="float64") for value in params]
    sample = nd.array([counts], dtype="float64")
    return getattr(nd, f"random_pdf_{name}")(sample, *columns, is_log=True).asnumpy()[0]


@pytest.mark.parametrize(("name", "params", "moments"), DISTRIBUTIONS)
def test_moments(name, params, moments):
    mean, variance = moments(*params)
    drawn = getattr(nd.random, name)(*params, shape=(COUNT,)).asnumpy()
    assert drawn.dtype == np.float32
    assert drawn.min() >= 0
    assert (drawn == np.floor(drawn)).all()
    assert abs(drawn.mean() - mean) < 5 * np.sqrt(variance / COUNT)
    assert abs(drawn.var() / variance - 1) < 0.05
    rows = getattr(nd.random, name)(*(nd.array([v, v]) for v in params), shape=COUNT).asnumpy()
    assert rows.shape == (2, COUNT)
    assert abs(rows.mean(axis=1) - mean).max() < 5 * np.sqrt(variance / COUNT)
    assert abs(np.corrcoef(rows)[0, 1]) < 0.02
    like = getattr(nd.random, f"{name}_like")
    labels = ("k", "p") if name == "negative_binomial" else ("mu", "alpha")
    drawn = like(nd.zeros((100, 1000), dtype="float64"), **dict(zip(labels, params))).asnumpy()
    assert drawn.dtype == np.float64
    assert abs(drawn.mean() - mean) < 5 * np.sqrt(variance / COUNT)


@pytest.mark.parametrize(("name", "params", "moments"), DISTRIBUTIONS[:3])
def test_frequencies_are_the_densities(name, params, moments):
    """Chi-squared over the counts that are expected often enough."""
    drawn = getattr(nd.random, name)(*params, shape=(COUNT,)).asnumpy().astype(int)
    counts = np.arange(drawn.max() + 1)
    expected = COUNT * np.exp(log_probability(counts, name, params))
    seen = np.bincount(drawn)
    often = expected > 20
    assert often.sum() > 5
    statistic = ((seen - expected)[often] ** 2 / expected[often]).sum()
    assert statistic < often.sum() + 5 * np.sqrt(2 * often.sum())


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("uniform", (0.5, 3.0)),
        ("normal", (0.3, 0.7)),
        ("gamma", (2.5, 1.5)),
        ("exponential", (1.5,)),
        ("poisson", (3.0,)),
        ("negative_binomial", (3.0, 0.4)),
        ("generalized_negative_binomial", (3.0, 0.4)),
    ],
)
def test_densities_add_up_to_one(name, params):
    counts = name == "poisson" or "binomial" in name
    low, high = {"uniform": (0.5, 3.0), "normal": (-8, 8)}.get(name, (0, 60))
    step = 1.0 if counts else (high - low) / 200_000
    middle = 0.0 if counts else step / 2
    points = nd.array([np.arange(low, high, step) + middle], dtype="float64")
    columns = [nd.array([value], dtype="float64") for value in params]
    total = getattr(nd, f"random_pdf_{name}")(points, *columns).asnumpy().sum() * step
    assert abs(total - 1) < 1e-5


def test_parameters_outside_the_distributions_give_nan_in_arrays():
    k, p = nd.array([-1, 2, 2, 2]), nd.array([0.5, 0, -1, 1.5])
    assert np.isnan(nd.random.negative_binomial(k, p).asnumpy()).all()
    mu, alpha = nd.array([-1, 1, np.nan]), nd.array([0.5, -1, 1])
    assert np.isnan(nd.random.generalized_negative_binomial(mu, alpha).asnumpy()).all()


@pytest.mark.parametrize("params", [(1, 0), (1, 1.5), (-1, 0.5), (1, -0.5)])
def test_parameters_outside_the_distributions(params):
    with pytest.raises(MXNetError, match="negative_binomial"):
        nd.random.negative_binomial(*params, shape=(2,))


PROBABILITIES = [[0.1, 0.0, 0.6, 0.3], [0.25, 0.25, 0.5, 0.0]]


@pytest.mark.parametrize("scale", [1, 7])
def test_multinomial_frequencies(scale):
    drawn = nd.random.multinomial(nd.array(PROBABILITIES) * scale, shape=COUNT).asnumpy()
    assert drawn.dtype == np.int32
    for row, expected in zip(drawn, PROBABILITIES):
        seen = np.bincount(row, minlength=4) / COUNT
        assert seen[np.array(expected) == 0].sum() == 0
        assert abs(seen - expected).max() < 0.01
    assert abs(np.corrcoef(drawn)[0, 1]) < 0.02


def test_multinomial_of_many_kinds():
    kinds = 10_000
    drawn = nd.random.multinomial(nd.ones((kinds,)), shape=COUNT).asnumpy()
    assert 0 <= drawn.min() < drawn.max() < kinds
    assert abs(drawn.mean() - (kinds - 1) / 2) < 5 * kinds / np.sqrt(12 * COUNT)


def test_multinomial_refused():
    for data, params in (
        (nd.ones((2, 0)), {}),
        (nd.ones((2, 3), dtype="int32"), {}),
        (nd.ones((300,)), {"dtype": "uint8"}),
        (nd.ones((3,)), {"dtype": "int64"}),
        (nd.array(1.0), {}),
    ):
        with pytest.raises(MXNetError, match="_sample_multinomial"):
            nd.random.multinomial(data, **params)
    assert nd.random.multinomial(nd.ones((0, 3)), shape=2).shape == (0, 2)
    assert nd.random.multinomial(nd.ones((2, 3)), shape=(0,)).shape == (2, 0)


def test_gradient_of_drawn_probabilities():
    """log p[drawn] differentiates to the counts over p, and again to minus those over p squared."""
    p = nd.array([[0.2, 0.3, 0.5], [0.6, 0.0, 0.4]], dtype="float64")
    p.attach_grad()
    with autograd.record():
        drawn, logs = nd.random.multinomial(p, shape=200, get_prob=True)
        first = autograd.grad(logs, p, create_graph=True)[0]
        total = (first * first).sum()
    values, picked = p.asnumpy(), drawn.asnumpy().astype(int)
    expected = np.log(np.take_along_axis(values, picked, axis=1))
    np.testing.assert_allclose(logs.asnumpy(), expected, rtol=1e-12)
    counts = np.stack([np.bincount(row, minlength=3) for row in picked])
    assert counts[1, 1] == 0
    by_value = np.divide(counts, values, out=np.zeros_like(values), where=values > 0)
    np.testing.assert_allclose(first.asnumpy(), by_value, rtol=1e-12)
    total.backward()
    by_cube = np.divide(-2.0 * counts**2, values**3, out=np.zeros_like(values), where=values > 0)
    np.testing.assert_allclose(p.grad.asnumpy(), by_cube, rtol=1e-12)


def test_no_gradient_without_the_probabilities():
    p = nd.array([0.5, 0.5])
    p.attach_grad()
    with autograd.record():
        drawn = nd.random.multinomial(p, shape=5, dtype="float32")
    drawn.backward()
    assert (p.grad.asnumpy() == 0).all()


HASHES = """
import hashlib
import mxtape as mx
from mxtape import nd

mx.random.seed(5)
ones, many = nd.ones((9,)), nd.ones((50_000,))
for array in (
    nd.random.negative_binomial(3, 0.4, shape=(50_000,)),
    nd.random.generalized_negative_binomial(9, 0.4, shape=(50_000,)),
    nd.random.negative_binomial(ones, ones / 2, shape=(5000,)),
    nd.random.multinomial(nd.arange(900), shape=(50_000,)),
    nd.random_pdf_gamma(nd.arange(1, 50_001) / 5000, many, many),
):
    print(hashlib.sha256(array.asnumpy().tobytes()).hexdigest()[:16])
"""


def test_same_bits_for_any_number_of_threads():
    one, two, four = (output_of(HASHES, {"OMP_NUM_THREADS": str(n)}).split() for n in (1, 2, 4))
    assert len(set(one)) == 5
    assert one == two
    assert one == four


def test_zipfian():
    classes, draws = 50, 20_000
    sampled, true, expected = rand_zipfian(nd.arange(classes), draws, classes)
    assert sampled.dtype == np.int64
    assert abs(true.asnumpy().sum() - draws) < 1e-6 * draws
    seen = np.bincount(sampled.asnumpy(), minlength=classes)
    deviation = (seen - true.asnumpy()) / np.sqrt(true.asnumpy())
    assert abs(deviation).max() < 5
    np.testing.assert_allclose(expected.asnumpy(), true.asnumpy()[sampled.asnumpy()])
    with pytest.raises(MXNetError):
        rand_zipfian(nd.array([1]), 3, 0)

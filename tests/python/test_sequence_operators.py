"""CTC by enumeration of all paths, sketches and Fourier transforms by NumPy."""

import itertools

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd
from mxtape.ndarray import _internal


def spelled(path, blank):
    """What a path spells: repetitions are one, blanks nothing."""
    return tuple(k for k, _ in itertools.groupby(path) if k != blank)


def enumerated(x, labels, blank):
    """The loss of one sequence: x has shape (steps, classes)."""
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    paths = itertools.product(range(x.shape[1]), repeat=len(x))
    total = sum(
        np.prod([p[t, k] for t, k in enumerate(path)])
        for path in paths
        if spelled(path, blank) == tuple(labels)
    )
    return -np.log(total)


TOLERANCES = [("float64", 1e-12), ("float32", 1e-5), ("float16", 1e-2)]
TARGETS = [[], [1], [1, 2], [2, 2], [1, 2, 1], [1, 1, 2]]


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("blank", ["first", "last"])
def test_ctc_is_the_sum_over_paths(blank, dtype, tolerance):
    random = np.random.RandomState(2)
    x = np.float16(random.uniform(-2, 2, (5, len(TARGETS), 3))).astype("float64")
    shift = 0 if blank == "first" else -1
    padding = 0 if blank == "first" else -1
    targets = [[k + shift for k in labels] for labels in TARGETS]
    padded = np.array([t + [padding] * (4 - len(t)) for t in targets])
    loss = nd.CTCLoss(nd.array(x, dtype=dtype), nd.array(padded), blank_label=blank)
    assert loss.dtype == np.dtype(dtype)
    want = [enumerated(x[:, n], t, 0 if blank == "first" else 2) for n, t in enumerate(targets)]
    np.testing.assert_allclose(loss.asnumpy(), want, rtol=tolerance)
    # The same by lengths, whatever the padding is.
    garbage = np.where(padded == padding, 1, padded)
    counts = nd.array([len(t) for t in targets])
    again = nd.CTCLoss(
        nd.array(x, dtype=dtype),
        nd.array(garbage),
        label_lengths=counts,
        use_label_lengths=True,
        blank_label=blank,
    )
    np.testing.assert_array_equal(again.asnumpy(), loss.asnumpy())


def test_ctc_of_short_sequences():
    random = np.random.RandomState(2)
    x = random.uniform(-2, 2, (5, 3, 3))
    lengths = [2, 4, 5]
    loss = nd.CTCLoss(
        nd.array(x, dtype="float64"),
        nd.array([[1, 2], [2, 2], [1, 0]]),
        nd.array(lengths),
        use_data_lengths=True,
    )
    targets = [*TARGETS[2:4], [1]]
    want = [enumerated(x[:t, n], targets[n], 0) for n, t in enumerate(lengths)]
    np.testing.assert_allclose(loss.asnumpy(), want, rtol=1e-12)


@pytest.mark.parametrize("scale", [1, 1000])
def test_ctc_gradient_of_long_sequences(scale):
    """Neither underflows, and the composed gradient is the kernel's."""
    random = np.random.RandomState(4)
    x = nd.array(random.uniform(-1, 1, (120, 3, 7)) * scale, dtype="float64")
    labels = nd.array(random.randint(1, 7, (3, 30)))
    x.attach_grad()
    found = []
    for create_graph in (False, True):
        with autograd.record():
            loss = nd.CTCLoss(x, labels)
            found.append(autograd.grad(loss, x, create_graph=create_graph)[0].asnumpy())
    assert np.isfinite(loss.asnumpy()).all()
    assert (loss.asnumpy() > 0).all()
    np.testing.assert_allclose(found[0], found[1], atol=1e-9)
    np.testing.assert_allclose(found[0].sum(axis=2), 0, atol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 12, 64, 97, 100, 1009])
def test_fourier(n):
    x = np.random.RandomState(n).uniform(-1, 1, (3, n))
    got = _internal._contrib_fft(nd.array(x, dtype="float64")).asnumpy().reshape(3, n, 2)
    want = np.fft.fft(x, axis=1)
    np.testing.assert_allclose(got[..., 0] + 1j * got[..., 1], want, atol=1e-11 * n)
    back = _internal._contrib_ifft(nd.array(got.reshape(3, 2 * n), dtype="float64"))
    np.testing.assert_allclose(back.asnumpy() / n, x, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: _internal._contrib_ifft(x), "must be even"),
        (lambda x: _internal._contrib_count_sketch(x, x[0], x[0], out_dim=2), "h must be in"),
        (lambda x: _internal._contrib_count_sketch(x, x[0], x[0], out_dim=0), "out_dim"),
        (lambda x: _internal._contrib_count_sketch(x, x, x, out_dim=9), "an element for each"),
        (lambda x: nd.khatri_rao(x, x[0]), "must be matrices"),
        (lambda x: nd.khatri_rao(x, x[:, :1]), "same number of columns"),
    ],
)
def test_refuses(call, text):
    with pytest.raises(mx.MXNetError, match=text):
        call(nd.array([[1, 2, 3], [4, 5, 6]]))

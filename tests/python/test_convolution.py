"""Convolution layers: oneDNN against the core's own kernels, threads, empty arrays, plain misuse.

The kernels themselves are tested in tests/cpp/convolution_test.cpp, values in tests/conformance.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd

# Prints nothing; saves outputs and gradients in float32 of layers of every kind.
PROGRAM = """
import sys
import numpy as np
import mxtape as mx
from mxtape import autograd, nd

CASES = [
    ("Convolution", (5, 16, 20, 21), (24, 16, 3, 3), dict(num_filter=24, pad=(1, 1))),
    ("Convolution", (2, 16, 20, 21), (24, 16, 3, 3), dict(num_filter=24, stride=(2, 3))),
    ("Convolution", (2, 12, 15, 9), (8, 3, 3, 2), dict(num_filter=8, num_group=4)),
    ("Convolution", (3, 24, 12, 12), (24, 1, 5, 5), dict(num_filter=24, num_group=24)),
    ("Convolution", (3, 5, 40), (6, 5, 3), dict(num_filter=6, dilate=(3,))),
    ("Convolution", (2, 3, 6, 7, 8), (4, 3, 2, 3, 2), dict(num_filter=4, stride=(1, 2, 1))),
    ("Deconvolution", (3, 16, 10, 11), (16, 12, 4, 4), dict(num_filter=12, stride=(2, 2))),
    ("Deconvolution", (2, 8, 5, 6), (8, 2, 3, 3), dict(num_filter=8, num_group=4, pad=(1, 1))),
    ("Deconvolution", (2, 4, 7), (4, 3, 3), dict(num_filter=3, stride=(2,), target_shape=(14,))),
]
results = {}
random = np.random.RandomState(3)
for i, (name, data, weight, params) in enumerate(CASES):
    arrays = [nd.array(random.uniform(-1, 1, s)) for s in (data, weight, (params["num_filter"],))]
    for a in arrays:
        a.attach_grad()
    with autograd.record():
        y = getattr(nd, name)(*arrays, kernel=weight[2:], no_bias=False, **params)
        # The square makes the head gradient another at each element.
        loss = (y * y).sum()
    grads = autograd.grad(loss, arrays, create_graph=False)
    for part, value in zip("y x w b".split(), [y, *grads]):
        results[f"{i} {name} {part}"] = value.asnumpy()
np.savez(sys.argv[1], **results)
"""


def results_under(path, **environment):
    subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)],
        check=True,
        env={**os.environ, **environment},
        timeout=120,
    )
    return dict(np.load(path))


def test_onednn_agrees_with_the_own_kernels_and_threads_do_not_matter(tmp_path):
    runs = {
        (onednn, threads): results_under(
            tmp_path / f"{onednn}-{threads}.npz", MXTAPE_ONEDNN=onednn, OMP_NUM_THREADS=threads
        )
        for onednn in "01"
        for threads in "12"
    }
    for name, own in runs["0", "1"].items():
        scale = np.abs(own).max()
        np.testing.assert_allclose(runs["1", "1"][name], own, atol=1e-5 * scale, err_msg=name)
        for onednn in "01":
            one, two = runs[onednn, "1"][name], runs[onednn, "2"][name]
            assert one.tobytes() == two.tobytes(), f"{name}, oneDNN {onednn}: bits differ"


def test_winograds_algorithm_can_be_switched_off(tmp_path):
    with_it, without = (
        results_under(tmp_path / f"{switch}.npz", MXTAPE_WINOGRAD=switch) for switch in "10"
    )
    for name, values in without.items():
        scale = np.abs(values).max()
        np.testing.assert_allclose(with_it[name], values, atol=4e-6 * scale, err_msg=name)
        if name in ("0 Convolution y", "0 Convolution x", "0 Convolution w"):
            assert with_it[name].tobytes() != values.tobytes(), f"{name}: one algorithm, not two"


@pytest.mark.skipif(
    not mx.runtime.Features().is_enabled("MKLDNN"), reason="built without oneDNN: one path alone"
)
def test_the_switch_changes_the_path(tmp_path):
    # Two paths that round alike everywhere would be one path.
    with_onednn = results_under(tmp_path / "1.npz", MXTAPE_ONEDNN="1")
    without = results_under(tmp_path / "0.npz", MXTAPE_ONEDNN="0")
    assert any(not np.array_equal(with_onednn[name], without[name]) for name in without)


@pytest.mark.parametrize("layer", [nd.Convolution, nd.Deconvolution])
def test_an_empty_batch_gives_an_empty_result_and_zero_gradients(layer):
    x, w = nd.zeros((0, 3, 5, 5)), nd.ones((3, 3, 3, 3))
    x.attach_grad()
    w.attach_grad()
    with autograd.record():
        y = layer(x, w, kernel=(3, 3), num_filter=3, no_bias=True)
    y.backward()
    assert y.shape == (0, 3, 3, 3) if layer is nd.Convolution else (0, 3, 7, 7)
    assert x.grad.shape == x.shape
    assert (w.grad.asnumpy() == 0).all()


def test_float16_is_computed_in_float32():
    x, w = nd.ones((1, 300, 3, 3)), nd.ones((1, 300, 3, 3))
    y = nd.Convolution(
        x.astype("float16"), w.astype("float16"), kernel=(3, 3), num_filter=1, no_bias=True
    )
    assert y.dtype == np.float16
    # Counting up in float16 would stop at 2048.
    assert y.asnumpy().item() == 2700


def test_im2col_by_weight_is_the_convolution():
    random = np.random.RandomState(0)
    x = nd.array(random.uniform(-1, 1, (2, 3, 7, 6)), dtype="float64")
    w = nd.array(random.uniform(-1, 1, (4, 3, 3, 2)), dtype="float64")
    window = {"kernel": (3, 2), "stride": (2, 1), "pad": (1, 0), "dilate": (1, 2)}
    want = nd.Convolution(x, w, num_filter=4, no_bias=True, **window)
    matrix = nd.im2col(x, **window)
    got = nd.stack(*[nd.dot(w.reshape((4, -1)), m) for m in matrix]).reshape(want.shape)
    np.testing.assert_allclose(got.asnumpy(), want.asnumpy(), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("value", [2**31, 2**62])
@pytest.mark.parametrize("name", ["stride", "dilate", "pad", "kernel"])
def test_enormous_parameters_are_errors(name, value):
    params = {"kernel": (3, 3), "num_filter": 2, name: (value, 1)}
    with pytest.raises(mx.MXNetError, match="Convolution"):
        nd.Convolution(nd.ones((1, 2, 5, 5)), nd.ones((2, 2, 3, 3)), no_bias=True, **params)


def test_errors_name_the_operator_and_what_was_expected():
    with pytest.raises(mx.MXNetError, match=r"Convolution.*weight must have shape \(4, 2, 3, 3\)"):
        nd.Convolution(
            nd.ones((1, 2, 5, 5)), nd.ones((4, 3, 3, 3)), kernel=(3, 3), num_filter=4, no_bias=True
        )
    with pytest.raises(mx.MXNetError, match="the layout is NCHW"):
        nd.Convolution(
            nd.ones((1, 5, 5, 2)),
            nd.ones((4, 3, 3, 2)),
            kernel=(3, 3),
            num_filter=4,
            no_bias=True,
            layout="NHWC",
        )


def test_a_forked_child_computes_the_same_bits():
    random = np.random.RandomState(1)
    x, w = (
        nd.array(random.uniform(-1, 1, (8, 32, 28, 28))),
        nd.array(random.uniform(-1, 1, (32, 32, 3, 3))),
    )

    def bits():
        return nd.Convolution(x, w, kernel=(3, 3), num_filter=32, no_bias=True).asnumpy().tobytes()

    want = bits()
    child = os.fork()
    if child == 0:
        # Nothing of pytest's may run in the child.
        os._exit(0 if bits() == want else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_threads_of_the_program_convolve_at_once():
    random = np.random.RandomState(2)
    sizes = [*range(8, 24)] * 4
    inputs = {n: nd.array(random.uniform(-1, 1, (4, 16, n, n))) for n in sizes}
    weight = nd.array(random.uniform(-1, 1, (16, 16, 3, 3)))

    def bits(n):
        y = nd.Convolution(inputs[n], weight, kernel=(3, 3), num_filter=16, no_bias=True)
        return y.asnumpy().tobytes()

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(bits, sizes))
    assert together == [bits(n) for n in sizes]

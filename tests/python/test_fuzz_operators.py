"""Every operator, called with what nobody should call it with: see fuzz_calls.py.

MXTAPE_FUZZ_CALLS says how many calls each operator gets, MXTAPE_FUZZ_SEED which.
"""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import mxtape as mx
from mxtape import autograd, nd
from mxtape._loader import core
from mxtape.ndarray import register

PROGRAM = pathlib.Path(__file__).parent / "fuzz_calls.py"
CALLS = int(os.environ.get("MXTAPE_FUZZ_CALLS", "50"))
SEED = int(os.environ.get("MXTAPE_FUZZ_SEED", "1"))
PARTS = 8


class Fuzz:
    """Runs the calls of some operators in processes of their own, and collects what they report."""

    def __init__(self, count=CALLS, seed=SEED, options=()):
        self.count, self.seed, self.options = count, seed, options
        self.problems, self.done = [], {}

    def run(self, ops):
        first = 0
        while ops:
            last = self.run_process(ops, first)
            if last is None:
                return self
            # The process ended in a call: go on behind it.
            op, number = last
            ops, first = ops[ops.index(op) :], number + 1
        return self

    def run_process(self, ops, first):
        """Where a process ended before its time; None when it came to its end."""
        command = [sys.executable, str(PROGRAM), "--ops", ",".join(ops), "--first", str(first)]
        command += ["--count", str(self.count), "--seed", str(self.seed), *self.options]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        call = None
        for line in done.stdout.splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "C":
                call = rest
            elif kind == "P":
                self.problems.append(rest)
            elif kind == "D":
                op, _, carried_out = rest.split()
                self.done[op] = self.done.get(op, 0) + int(carried_out)
        if done.returncode == 0:
            return None
        if call is None:
            raise RuntimeError(done.stderr[-3000:])
        op, number, text = call.split(" ", 2)
        self.problems.append(f"{text}: the process ended ({done.returncode}) {done.stderr[-2500:]}")
        return op, int(number)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_call_does_harm(part):
    ops = core.op_names()[part::PARTS]
    fuzz = Fuzz().run(ops)
    assert not fuzz.problems, f"{len(fuzz.problems)} calls:\n" + "\n".join(fuzz.problems[:30])
    # Calls that are all refused would prove little.
    never = [op for op in ops if not fuzz.done[op]]
    assert not never, f"never carried out: {never}"


def test_a_call_that_ends_the_process_is_reported_and_passed_over():
    fuzz = Fuzz(5, 1, ["--abort-at", "dot#3"]).run(["abs", "dot", "exp"])
    (problem,) = fuzz.problems
    assert problem.startswith("dot#3(")
    assert "ended (-6)" in problem
    assert set(fuzz.done) == {"abs", "dot", "exp"}


# Calls that did harm once: what random calls showed, by name.
IMAGES = {"data_shape": (1, 2, 4, 5), "out_shape": (1, 2, 2, 3)}
WINDOW = {"kernel": (3, 2), "stride": (2, 2), "pad": (1, 1)}
POOLED, LARGE = (1, 2, 2, 3), (1, 2, 4, 5)
JOINED = {"heads": 2, "parts": 3, "which": 0}
REFUSED = {
    "labels that do not fit": ("_backward_SoftmaxOutput", [(2, 3, 3), (2, 2)], {}),
    "integers": ("_backward_SoftmaxOutput", [(4, 3), (4,)], {"dtype": "int64"}),
    "pads for one axis of two": ("_pool_sum", [LARGE], {**IMAGES, **WINDOW, "pad": (1,)}),
    "no axes": ("_pool_sum", [(1,)], {"data_shape": (1,), "kernel": (0, 3)}),
    "other channels": ("_backward_pool_sum", [POOLED], {**IMAGES, **WINDOW, "channels_last": True}),
    "a negative kernel": ("_backward_pool_sum", [POOLED], {**IMAGES, **WINDOW, "kernel": (-2, 3)}),
    "a window of 2^62": ("Pooling", [LARGE], {"kernel": (2**62, 1), "pad": (2**62 - 1, 0)}),
    "a stride of 2^63": ("Pooling", [LARGE], {"kernel": (1, 1), "stride": (2**63 - 1, 1)}),
    "no shapes": ("_spread", [(4, 1, 3)] * 2, {"scale": 7}),
    "two axes": ("_backward_spread_weight", [(), ()], {"large": (-2, 1)}),
    "no parts": ("_attention_part", [(3, 2, 12)], {"heads": 2, "parts": 0, "which": 1}),
    "too many parts": ("_attention_join", [(4, 3, 2)], {"heads": 2, "parts": 2**62, "which": 1}),
    "three parts": ("_attention_join", [(4, 3, 2)] * 2, {**JOINED, "count": 3}),
    "parts of two shapes": ("_attention_join", [(4, 3, 2), (4, 3, 1)], {**JOINED, "count": 2}),
    "a part behind the last": (
        "_attention_join",
        [(4, 3, 2)] * 2,
        {**JOINED, "which": 2, "count": 2},
    ),
    "2^62 parts": ("SliceChannel", [(4,)], {"num_outputs": 2**62, "axis": 0}),
    "2^62 sections": ("_split_v2", [(4,)], {"indices": (0, 1), "sections": 2**62}),
    "2^62 copies": ("amp_multicast", [(4,)], {"num_outputs": 2**62}),
    "2^62 weights": ("multi_sgd_update", [(3,)] * 2, {"lrs": 1, "wds": 0, "num_weights": 2**62}),
    "2^62 numbers": ("_linspace", [], {"start": 0, "stop": 1, "num": 2**62}),
    "an empty array of 2^63 rows": ("_zeros", [], {"shape": (0, 2**63 - 1, 2)}),
    "bins without end": (
        "ROIPooling",
        [(1, 2, 5, 6), (0, 5)],
        {"pooled_size": (2**63 - 1, 7), "spatial_scale": 1},
    ),
    "bins of which none divides": (
        "_contrib_ROIAlign",
        [(1, 2, 5, 6), (0, 5)],
        {"pooled_size": (2**32, 2**32), "spatial_scale": 1, "position_sensitive": True},
    ),
    "2^31 samples for each bin": (
        "_contrib_ROIAlign",
        [(1, 2, 5, 6), (1, 5)],
        {"pooled_size": (2, 2), "spatial_scale": 1, "sample_ratio": 2**31},
    ),
    "samples without end": (
        "_contrib_RROIAlign",
        [(1, 2, 5, 6), (1, 6)],
        {"pooled_size": (2, 2), "spatial_scale": 1, "sampling_ratio": 2**31},
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_is_refused(what):
    op, shapes, params = REFUSED[what]
    params = dict(params)
    dtype = params.pop("dtype", "float32")
    inputs = [nd.zeros(shape, dtype=dtype) for shape in shapes]
    with pytest.raises(mx.MXNetError, match=register.get(op).__name__):
        register.get(op)(*inputs, **params)


def test_an_error_about_a_dtype_names_operator_and_parameter():
    with pytest.raises(TypeError, match="Cast: parameter dtype: not a data type: nan"):
        nd.Cast(nd.zeros((3,)), dtype=float("nan"))


def test_a_region_of_negative_width_is_empty_and_spoils_no_other():
    rois = np.array([[0, 1, 1, 3, 3], [0, 3, 3, 1, 1], [0, 1, 1, 3, 3]], "float32")
    images = nd.array(np.arange(30.0).reshape(1, 1, 5, 6))
    params = {"pooled_size": (2, 2), "spatial_scale": 1.0, "aligned": True}
    pooled = nd.contrib.ROIAlign(images, nd.array(rois), **params).asnumpy()
    alone = nd.contrib.ROIAlign(images, nd.array(rois[:1]), **params).asnumpy()
    np.testing.assert_array_equal(pooled[1], np.zeros((1, 2, 2)))
    np.testing.assert_array_equal(pooled[[0, 2]], alone[[0, 0]])


def test_axes_of_the_gradient_of_batch_norm_count_from_the_end_too():
    inputs = [nd.random.uniform(shape=s) for s in ((2, 3, 4), (2, 3, 4), (3,), (3,), (3,))]
    first, second = (register.get("_backward_BatchNorm")(*inputs, axis=a) for a in (1, -2))
    for one, other in zip(first, second):
        np.testing.assert_array_equal(one.asnumpy(), other.asnumpy())


def test_statistics_of_nothing_are_zero():
    empty = nd.zeros((0,))
    for _ in range(5):
        nd.array(np.full((2, 1), 7.0)) * 1  # leaves memory that is not zero
        _, mean, deviation = nd.LayerNorm(nd.zeros((2, 0)), empty, empty, output_mean_var=True)
        np.testing.assert_array_equal(mean.asnumpy(), np.zeros((2, 1)))
        np.testing.assert_array_equal(deviation.asnumpy(), np.zeros((2, 1)))


@pytest.mark.parametrize("name", ["makediag", "maketrian"])
def test_matrices_around_nothing_have_gradients(name):
    x = nd.zeros((2, 0))
    x.attach_grad()
    with autograd.record():
        made = getattr(nd.linalg, name)(x, offset=1)
    made.backward()
    assert made.shape == (2, 1, 1)
    assert x.grad.shape == (2, 0)


def test_pooling_all_of_an_empty_axis_has_gradients():
    x = nd.zeros((1, 2, 0, 3))
    x.attach_grad()
    with autograd.record():
        pooled = nd.Pooling(x, global_pool=True, pool_type="avg")
    pooled.backward()
    assert pooled.shape == (1, 2, 1, 1)


def test_upsampling_to_nothing_has_gradients():
    first, second = nd.zeros((1, 1, 0, 3)), nd.ones((1, 1, 2, 3))
    for x in (first, second):
        x.attach_grad()
    with autograd.record():
        joined = nd.UpSampling(first, second, scale=1, sample_type="nearest", num_args=2)
    joined.backward()
    np.testing.assert_array_equal(second.grad.asnumpy(), np.zeros((1, 1, 2, 3)))

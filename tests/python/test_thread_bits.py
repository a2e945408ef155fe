"""Bits are the same for any number of threads: every operator, forward and backward.

The rows of the gradient matrix are small enough for one thread. Here they grow, evenly or along the
first axis, until their kernels are cut into pieces.
"""

import dataclasses

import numpy as np
import pytest

import mxtape as mx
from gradient_matrix import all_rows, call, draw, row_id
from gradient_row import Ints, Row
from gradient_rows import detection, hawkes, rnn
from mxtape import autograd, nd
from mxtape._loader import core

ELEMENTS = 1 << 17  # of the largest input: several times what a thread is given at least
THREADS = (1, 2, 5)

# Where the parameters name the shapes, or would grow too much: rows that are large as they are.
LARGE = [
    Row("Embedding", [Ints((600, 20), 500), (500, 40)], {"input_dim": 500, "output_dim": 40}),
    Row(
        "_contrib_SparseEmbedding",
        [Ints((600, 20), 500), (500, 40)],
        {"input_dim": 500, "output_dim": 40},
    ),
    Row(
        "_backward_slice", [(300, 600)], {"shape": (600, 700), "begin": (300, 0), "end": (600, 600)}
    ),
    Row("_linalg_makediag", [(50, 60)]),
    Row("ravel_multi_index", [(2, 70_000)], {"shape": (4, 5)}, domain=(0.1, 3.7)),
    Row(
        "_contrib_MultiBoxDetection",
        [(4000, 3, 3), (4000, 12), detection.ANCHORS],
        domain=(0.1, 0.5),
    ),
    Row(
        "_contrib_MultiBoxTarget",
        [detection.ANCHORS, np.tile(detection.LABELS, (500, 1, 1)), (500, 3, 3)],
    ),
    Row(
        "_contrib_hawkesll",
        [(4000, 2), (2,), (2,), (4000, 2)]
        + [np.tile(x, (2000,) + (1,) * (x.ndim - 1)) for x in hawkes.ROWS[0].inputs[4:]],
        domain=(0.5, 1.5),
    ),
]
# Parts of other operators, whose parameters name the shapes: they have kernels in common with what
# is tested here, in test_pooling.py and in test_deformable.py.
PARTS = {
    "_backward_Convolution_data",
    "_backward_Pad",
    "_backward_deformable_data",
    "_backward_diag",
    "_backward_displaced_data",
    "_backward_gather_nd",
    "_backward_pool_max",
    "_backward_pool_sum",
    "_backward_spread_data",
    "_backward_spread_weight",
    "_pool_max_gather",
    "_pool_sum",
    "_scatter_set_nd",
    "_spread",
    "scatter_nd",
}


def shape_of(spec):
    return spec.shape if isinstance(spec, (Ints, np.ndarray)) else tuple(spec)


def grown(row, factors):
    """The row with its shapes multiplied; factors(shape) gives a factor for each axis."""

    def grow(spec):
        times = factors(shape_of(spec))
        if isinstance(spec, np.ndarray):  # repeated along the first axis only
            return np.tile(spec, times) if spec.ndim and max(times[1:], default=1) == 1 else spec
        shape = tuple(n * f for n, f in zip(shape_of(spec), times))
        return Ints(shape, spec.below) if isinstance(spec, Ints) else shape

    return dataclasses.replace(row, inputs=[grow(spec) for spec in row.inputs])


def candidates(row):
    """The row with all axes longer, and with the first axis of all inputs that share it longer."""
    largest = max((shape_of(spec) for spec in row.inputs), key=np.prod)
    if not largest or not np.prod(largest):
        return
    missing = ELEMENTS / np.prod(largest)
    even = max(2, round(missing ** (1 / len(largest))))
    yield grown(row, lambda shape: [even] * len(shape))
    first = largest[0]
    batch = max(2, round(missing))
    yield grown(row, lambda s: [batch if i == 0 and s[0] == first else 1 for i in range(len(s))])
    if len(largest) > 2:  # images: the axes after the channels
        side = max(2, round(missing ** (1 / (len(largest) - 2))))
        yield grown(
            row, lambda s: [side if len(s) == len(largest) and i > 1 else 1 for i in range(len(s))]
        )


def as_arrays(arrays):
    return [nd.array(a, dtype="float32" if a.dtype.kind == "f" else a.dtype.name) for a in arrays]


def results(row):
    """The outputs and gradients of a call in float32, as bytes."""
    arrays, floating = draw(row)
    inputs = as_arrays(arrays)
    variables = [x for x, is_float in zip(inputs, floating) if is_float]
    for x in variables:
        x.attach_grad()
    with autograd.record():
        outputs = call(row, inputs)
    random = np.random.RandomState(5)
    heads = [
        nd.array(random.uniform(-1, 1, y.shape), dtype=y.dtype) if y.size else y for y in outputs
    ]
    autograd.backward(outputs, heads)
    return [y.asnumpy().tobytes() for y in [*outputs, *(x.grad for x in variables)]]


def large_row(op):
    """A row of the operator that is large, and accepted."""
    for row in LARGE:
        if row.op == op:
            return row
    for row in all_rows():
        for large in candidates(row) if row.op == op else ():
            try:
                with autograd.pause(train_mode=True):
                    for y in call(large, as_arrays(draw(large)[0])):
                        y.wait_to_read()
            except (mx.MXNetError, ValueError, IndexError, TypeError):
                continue
            return large
    return None


@pytest.fixture
def threads():
    before = core.thread_count()
    yield core.set_thread_count
    core.set_thread_count(before)


@pytest.mark.parametrize("op", sorted({row.op for row in all_rows()} - PARTS))
def test_bits_do_not_depend_on_the_number_of_threads(op, threads):
    row = large_row(op)
    assert row is not None, "no row of the gradient matrix grows: give it one in LARGE"
    threads(THREADS[0])
    expected = results(row)
    for count in THREADS[1:]:
        threads(count)
        assert results(row) == expected, f"{row_id(row)} with {count} threads"


@pytest.mark.parametrize("mode", ["lstm", "gru"])
def test_bits_where_threads_share_out_the_steps_of_a_recurrence(mode, threads):
    """As they do with weights of more than 2 MB: those of the row above are small."""
    hidden, width, batch = 480, 8, 40
    gates = rnn.GATES[mode] * hidden
    inputs = [(3, batch, width), (2 * (gates * (width + hidden) + 2 * gates),)]
    inputs += [(2, batch, hidden)] * (2 if mode == "lstm" else 1)
    params = {"state_size": hidden, "num_layers": 1, "mode": mode, "bidirectional": True}
    row = Row("RNN", inputs, params, domain=(-0.1, 0.1))
    threads(THREADS[0])
    expected = results(row)
    for count in THREADS[1:]:
        threads(count)
        assert results(row) == expected, f"{count} threads"

"""Random calls of operators, and what must hold of every one of them.

Run as a program it makes the calls of some operators, and prints each before it is made, so that
the one that ends the process is known:

    python tests/python/fuzz_calls.py --ops dot,concat --count 1000 --seed 3
    python tests/python/fuzz_calls.py --ops dot --only 17
"""

import argparse
import os
import random
import resource
import signal
import sys

import numpy as np

import mxtape as mx
from gradient_matrix import all_rows, draw
from gradient_row import Ints, Row
from mxtape import autograd, nd
from mxtape._loader import core
from mxtape.ndarray import register

SANITIZED = bool(os.environ.get("MXTAPE_SANITIZED"))
# Address space that the calls may take beyond what the process has at its start.
MEMORY = 512 << 20
SECONDS = 60 if SANITIZED else 10
ERRORS = (mx.MXNetError, TypeError, ValueError, IndexError, AssertionError)

FLOATS = ("float32", "float64", "float16")
DTYPES = (*FLOATS, "int32", "int64", "int8", "uint8", "bool")
SMALL = (0, 1, 1, 2, 2, 3, 4, 5, -1, -2, 7)
HUGE = (100, 4097, 2**20, 2**31 - 1, 2**31, -(2**31), 2**32 + 1, 2**62, -(2**62))
HUGE += (2**63 - 1, -(2**63))
NUMBERS = (0.0, 1.0, -1.0, 0.5, 2.0, 1e-3, 0.9, 3.0)
WILD = (np.nan, np.inf, -np.inf, 1e30, -1e30, 1e308, 2.0**31, -(2.0**63), -0.7, 1e-310)
SPECIAL = (*WILD, -1.0, -3.0, 1e9, 70000.0, 0.0, 5.5)
WORDS = ("", "nonsense", "cpu(0)", "float32", "None", "(1, 2)", "-1", "NCHW")

# Calls of operators that have no row in the gradient matrix and take arrays of several shapes.
STEP = {"lrs": (0.1,), "wds": (0.0,), "num_weights": 1}
ONE_WEIGHT = {"num_weights": 1}
ADAM = {**STEP, "etas": (1.0,)}
LAMB = {"learning_rates": (0.1,), "wds": (0.0,), "step_count": (1,), "num_tensors": 1}
LRS = np.full(1, 0.1, "float32")
HALF, FULL = np.full((3, 2), 0.7, "float16"), np.full((3, 2), 0.7, "float32")
ONE = np.full(1, 0.3, "float32")
X = (3, 2, 2)
RNN = {"state_size": 2, "num_layers": 1, "mode": "rnn_tanh"}
BINS = {"pooled_size": (2, 2), "spatial_scale": 1.0}
TURNED = np.array([[0, 2, 2, 3, 2, 30.0]])
HAWKES = [(2, 2), np.full(2, 0.2), np.full(2, 2.0), np.zeros((2, 2))]
HAWKES += [np.ones((2, 3)), np.zeros((2, 3), "int32")]
HAWKES += [np.full(2, 3.0), np.full(2, 5.0), np.ones(2), np.ones((2, 2))]
SEEDS = [
    Row("_contrib_edge_id", [(3, 4), Ints((5,), below=3), Ints((5,), below=3)]),
    Row("_contrib_getnnz", [(3, 4)], {"axis": 1}),
    Row("multi_sgd_update", [(3, 2)] * 2, STEP),
    Row("multi_sgd_mom_update", [(3, 2)] * 3, STEP),
    Row("multi_mp_sgd_update", [HALF, HALF, FULL], STEP),
    Row("multi_mp_sgd_mom_update", [HALF, HALF, FULL, FULL], STEP),
    Row("preloaded_multi_sgd_update", [FULL] * 2 + [LRS] * 2, {"num_weights": 1}),
    Row("preloaded_multi_sgd_mom_update", [FULL] * 3 + [LRS] * 2, {"num_weights": 1}),
    Row("preloaded_multi_mp_sgd_update", [HALF, HALF, FULL] + [LRS] * 2, {"num_weights": 1}),
    Row("preloaded_multi_mp_sgd_mom_update", [HALF] * 2 + [FULL] * 2 + [LRS] * 2, ONE_WEIGHT),
    Row("mp_sgd_update", [HALF, HALF, FULL], {"lr": 0.1}),
    Row("mp_sgd_mom_update", [HALF, HALF, FULL, FULL], {"lr": 0.1}),
    Row("mp_nag_mom_update", [HALF, HALF, FULL, FULL], {"lr": 0.1}),
    Row("mp_lamb_update_phase1", [HALF, HALF, FULL, FULL, FULL], {"t": 1, "wd": 0.1}),
    Row("mp_lamb_update_phase2", [HALF, FULL, ONE, ONE, FULL], {"lr": 0.1}),
    Row("lamb_update_phase2", [FULL, FULL, ONE, ONE], {"lr": 0.1}),
    Row("_multi_adamw_update", [FULL] * 4 + [LRS], ADAM),
    Row("_multi_mp_adamw_update", [HALF, HALF, FULL, FULL, FULL, LRS], ADAM),
    Row("_multi_lamb_update", [(3, 2)] * 4, LAMB),
    Row("_multi_mp_lamb_update", [HALF, HALF, FULL, FULL, FULL], LAMB),
    Row("_adamw_update", [FULL] * 4 + [LRS], {"lr": 0.1, "eta": 1.0}),
    Row("_mp_adamw_update", [HALF, HALF, FULL, FULL, FULL, LRS], {"lr": 0.1, "eta": 1.0}),
    Row("_contrib_group_adagrad_update", [(3, 2), (3, 2), (3, 1)], {"lr": 0.1}),
    Row("_contrib_RROIAlign", [(1, 2, 5, 6), TURNED], BINS),
    Row("_contrib_backward_hawkesll", HAWKES),
    Row("multi_sum_sq", [(3, 2), (2,)], {"num_arrays": 2}),
    Row("_backward_RNN", [X, (12,), (1, 2, 2), X, (12,), (0,), X, (1, 2, 2)], RNN),
    Row("fill_element_0index", [(3, 4), (3,), np.array([0.0, 3, 1])]),
    Row("_histogram", [(7,)], {"bin_cnt": 4, "range": (-1.0, 1.0)}),
    Row("_histogram", [(7,), np.array([-1.0, 0, 1])]),
    Row("_image_resize", [(4, 5, 3)], {"size": (3, 2)}),
    Row("_image_to_tensor", [(4, 5, 3)]),
    Row("_image_random_hue", [(4, 5, 3)], {"min_factor": 0.5, "max_factor": 1.5}),
    Row("_random_randint", [], {"low": 0, "high": 5, "shape": (2, 3)}),
]  # fmt: skip

# Shapes of further inputs, from that of the first.
_RELATED = (slice(None), slice(None), slice(1), slice(-1, None), slice(1, None), slice(0))


def draw_shape(rng):
    extents = [rng.choice((0, 1, 1, 2, 2, 3, 3, 4, 5, 7)) for _ in range(rng.randrange(6))]
    if extents and rng.random() < 0.7:
        extents = [max(extent, 1) for extent in extents]
    return tuple(extents)


def draw_values(rng, shape, dtype):
    numbers = np.random.RandomState(rng.randrange(2**32))
    with np.errstate(all="ignore"):
        if rng.random() < 0.5:
            values = numbers.uniform(-2, 2, shape)
        else:
            values = numbers.randint(-2, 6, shape).astype("float64")
        values = np.asarray(values).astype(dtype)
    return with_special_values(rng, values) if rng.random() < 0.3 else values


def with_special_values(rng, array):
    """`array` with a few values that no index, label or size should have."""
    array = array.copy()
    for _ in range(rng.choice((1, 1, 2, 5)) if array.size else 0):
        at = rng.randrange(array.size)
        with np.errstate(all="ignore"):
            if array.dtype.kind == "f":
                array.flat[at] = np.float64(rng.choice(SPECIAL)).astype(array.dtype)
            elif array.dtype.kind in "iu":
                limits = np.iinfo(array.dtype)
                array.flat[at] = rng.choice((limits.min, limits.max, 0, 1, limits.max // 2 + 1))
    return array


def draw_int(rng):
    return rng.choice(SMALL) if rng.random() < 0.8 else rng.choice(HUGE)


def draw_float(rng):
    return rng.choice(NUMBERS) if rng.random() < 0.7 else rng.choice(WILD)


def draw_tuple(rng, item):
    return tuple(item(rng) for _ in range(rng.choice((0, 1, 1, 2, 2, 2, 3, 4, 5))))


def draw_param(rng, kind, choices):
    """A value for a parameter whose type has the number `kind` in the C++ enumeration."""
    if rng.random() < 0.02:
        return rng.choice((*WORDS, None, -1, 2**62, (), (0,), (2**62, 2**62), np.nan, (None, 1)))
    if kind in (1, 3, 5, 9, 11) and rng.random() < 0.3:
        return None
    if choices:
        return rng.choice(choices)
    if kind in (0, 1):
        return rng.random() < 0.5
    if kind in (2, 3):
        return draw_int(rng)
    if kind in (4, 5):
        return draw_float(rng)
    if kind == 6:
        return rng.choice(WORDS)
    if kind in (8, 9):
        return rng.choice(DTYPES)
    if kind in (10, 11):
        return draw_tuple(rng, draw_int)
    if kind == 12:
        return draw_tuple(rng, lambda r: None if r.random() < 0.3 else draw_int(r))
    return draw_tuple(rng, draw_float)


class Calls:
    """The calls of one operator: number `i` is the same in every run with one seed."""

    def __init__(self, op, rows, seed):
        self.op, self.seed = op, seed
        self.info = core.describe_op(op)
        self.stypes = []
        self.rows = [row for row in rows if row.op == op]
        fields = self.info["params"]
        self.fields = {name: (kind, choices) for name, kind, _, _, choices, _ in fields}
        self.required = {name for name, _, required, *_ in fields if required}

    def make(self, i):
        """The inputs as NumPy arrays, the parameters, and the source of further choices."""
        rng = random.Random(f"{self.seed}:{self.op}:{i}")
        valid = self.rows and rng.random() < 0.75
        arrays, params = self.from_row(rng) if valid else self.from_nothing(rng)
        if not valid or rng.random() < 0.9:
            for _ in range(rng.choice((1, 1, 1, 2, 3))):
                self.change(rng, arrays, params)
        return arrays, params, rng

    def from_row(self, rng):
        row = rng.choice(self.rows)
        arrays, _ = draw(row)
        if row.prepare is not None:
            prepared = row.prepare(nd, *[nd.array(a, dtype=a.dtype) for a in arrays])
            arrays = [array.asnumpy() for array in prepared]
        dtype = rng.choice(FLOATS)
        if any(row is seed for seed in SEEDS) and rng.random() < 0.7:
            return list(arrays), dict(row.params)
        return [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays], dict(row.params)

    def from_nothing(self, rng):
        inputs = self.info["inputs"]
        count = rng.randrange(1, 5) if self.info["variadic"] else len(inputs)
        if not self.info["variadic"] and rng.random() < 0.5:
            count = sum(not optional for _, optional in inputs)
        shape, dtype = draw_shape(rng), rng.choice(DTYPES)
        related = rng.random() < 0.7
        arrays = []
        for _ in range(count):
            this = shape[rng.choice(_RELATED)] if related else draw_shape(rng)
            arrays.append(draw_values(rng, this, dtype if related else rng.choice(DTYPES)))
        if rng.random() < 0.5:
            arrays = [draw_values(rng, shape, dtype) for _ in arrays]
        given = {name for name in self.fields if rng.random() < 0.3} | self.required
        return arrays, {
            name: draw_param(rng, *field) for name, field in self.fields.items() if name in given
        }

    def change(self, rng, arrays, params):
        """Changes one thing of a call."""
        what = rng.random()
        if what < 0.4 and self.fields:
            name = rng.choice(list(self.fields))
            if name in params and isinstance(params[name], tuple) and rng.random() < 0.6:
                items = list(params[name])
                if items and rng.random() < 0.8:
                    items[rng.randrange(len(items))] = draw_int(rng)
                elif items and rng.random() < 0.5:
                    items.pop()
                else:
                    items.append(draw_int(rng))
                params[name] = tuple(items)
            else:
                params[name] = draw_param(rng, *self.fields[name])
        elif not arrays:
            return
        elif what < 0.6:
            at = rng.randrange(len(arrays))
            shape = list(arrays[at].shape)
            if shape and rng.random() < 0.8:
                axis = rng.randrange(len(shape))
                shape[axis] = rng.choice((0, 1, max(shape[axis] - 1, 0), shape[axis] + 1))
                if rng.random() < 0.3:
                    for other, array in enumerate(arrays):
                        if array.ndim > axis:
                            same = (*array.shape[:axis], shape[axis], *array.shape[axis + 1 :])
                            arrays[other] = np.resize(array, same)
            elif rng.random() < 0.5:
                shape.insert(rng.randrange(len(shape) + 1), rng.choice((0, 1, 2)))
            elif shape:
                shape.pop(rng.randrange(len(shape)))
            arrays[at] = np.resize(arrays[at], shape)
        elif what < 0.75:
            dtype = rng.choice(DTYPES)
            which = range(len(arrays)) if rng.random() < 0.5 else [rng.randrange(len(arrays))]
            with np.errstate(all="ignore"):
                for at in which:
                    arrays[at] = arrays[at].astype(dtype)
        elif what < 0.93:
            at = rng.randrange(len(arrays))
            arrays[at] = with_special_values(rng, arrays[at])
        elif what < 0.96:
            arrays.append(draw_values(rng, draw_shape(rng), rng.choice(DTYPES)))
        else:
            arrays.pop(rng.randrange(len(arrays)))

    def text(self, i, arrays, params):
        inputs = [f"{a.dtype.name}{a.shape}" for a in arrays]
        named = [f"{name}={value!r}" for name, value in params.items()]
        return f"{self.op}#{i}({', '.join(inputs + named)})"


class Broken(Exception):
    """A call did what no call may do."""


def as_list(result):
    return result if isinstance(result, list) else [result]


def bytes_of(arrays):
    return [array.asnumpy().tobytes() for array in arrays]


def filled(shape, dtype):
    """An array whose bytes no kernel leaves behind by chance."""
    return nd.array(np.full(shape, 85).astype(dtype), dtype=dtype)


# Operators of csr arrays only.
OF_CSR = ("_contrib_getnnz", "_contrib_edge_id")


class Checks:
    """Makes calls of one operator and holds them against the property."""

    def __init__(self, op):
        self.info = core.describe_op(op)
        self.stypes = []
        self.function = register.get(op)
        self.names = [self.info["name"], *self.info["aliases"]]

    def attempt(self, inputs, params):
        """The outputs, or None where the call was refused as it should be."""
        mx.random.seed(5)
        try:
            return as_list(self.function(*inputs, **params))
        except ERRORS as error:
            text = str(error)
            if "out of memory" not in text and not any(name in text for name in self.names):
                raise Broken(f"error without the operator's name: {error!r}") from None
            return None
        except Exception as error:
            raise Broken(f"unexpected {error!r}") from None

    def draw_storage(self, arrays, rng):
        """How each input is stored: mostly dense."""
        wants_csr = self.info["name"] in OF_CSR
        sparse = wants_csr or rng.random() < 0.15
        self.stypes = []
        for a in arrays:
            kinds = ["default"] + ["row_sparse"] * (a.ndim > 0) + ["csr"] * (a.ndim == 2)
            self.stypes.append(rng.choice(kinds) if sparse else "default")
        if wants_csr and arrays and arrays[0].ndim == 2:
            self.stypes = ["csr"] + ["default"] * (len(arrays) - 1)

    def stored(self, arrays):
        return [nd.array(a, dtype=a.dtype).tostype(s) for a, s in zip(arrays, self.stypes)]

    def run(self, arrays, params, rng):
        """Whether the call was carried out."""
        self.draw_storage(arrays, rng)
        inputs = self.stored(arrays)
        before = bytes_of(inputs)
        outputs = self.attempt(inputs, params)
        if not self.info["variadic"] and len(arrays) > len(self.info["inputs"]):
            return False  # one too many was taken for a parameter, or for out
        if (outputs is None or not self.info["mutates"]) and bytes_of(inputs) != before:
            raise Broken("an input has changed")
        if outputs is None:
            self.refuse_out(inputs, params, rng)
            return False
        results = []
        for output in outputs:
            if output.size * np.dtype(output.dtype).itemsize > MEMORY // 8:
                return True
            value = output.asnumpy()
            if value.shape != output.shape or value.dtype != output.dtype:
                raise Broken(f"{value.dtype}{value.shape} of {output.dtype}{output.shape}")
            results.append(value)
        if results and sum(value.nbytes for value in results) < 1 << 20:
            self.repeat(arrays, params, results)
            if rng.random() < 0.7:
                self.differentiate(arrays, params)
        return True

    def repeat(self, arrays, params, results):
        """The same call must give the same bytes, also into arrays that held others."""
        inputs = self.stored(arrays)
        if params.get("init_output") is False:
            return  # all_finite then goes on from what is in its output
        out = [filled(value.shape, value.dtype.name) for value in results]
        again = self.attempt(inputs, {**params, "out": out})
        if again is None:
            raise Broken("refused with out=, accepted without")
        for first, second in zip(results, again):
            if not np.array_equal(first, second.asnumpy(), equal_nan=first.dtype.kind == "f"):
                raise Broken(f"not the same with out=: {first!r}, {second!r}")

    def refuse_out(self, inputs, params, rng):
        out = [filled(draw_shape(rng), "float32") for _ in range(rng.choice((1, 1, 2)))]
        before = bytes_of(out)
        if self.attempt(inputs, {**params, "out": out}) is not None:
            raise Broken("accepted with out=, refused without")
        if bytes_of(out) != before:
            raise Broken("a call that failed has changed out")

    def differentiate(self, arrays, params):
        inputs = self.stored(arrays)
        variables = [x for x in inputs if x.dtype in (np.float16, np.float32, np.float64)]
        for x in variables:
            x.attach_grad()
        with autograd.record():
            outputs = self.attempt(inputs, params)
        heads = [y for y in outputs or [] if y.dtype in (np.float16, np.float32, np.float64)]
        if not heads:
            return
        try:
            autograd.backward(heads)
        except mx.MXNetError as error:
            known = ("no gradient", "not in a computational graph", "out of memory", "is singular")
            if self.info["has_gradient"] and not any(text in str(error) for text in known):
                raise Broken(f"backward: {error!r}") from None
        except Exception as error:
            raise Broken(f"backward: unexpected {error!r}") from None
        for x in variables:
            if x.grad.asnumpy().shape != x.shape:
                raise Broken(f"a gradient of shape {x.grad.shape} for {x.shape}")


def limit_memory():
    """A call that asks for too much must fail by an error, not take the machine's memory."""
    nd.ones((512, 512)).sum().asnumpy()  # the threads have their stacks
    if SANITIZED:
        return  # its shadow takes terabytes of addresses; max_allocation_size_mb does this there
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ops", required=True)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--abort-at", help="end the process there: OPERATOR#NUMBER")
    options = parser.parse_args()

    np.seterr(all="ignore")
    rows = all_rows() + SEEDS
    limit_memory()
    first = options.first
    for op in options.ops.split(","):
        calls, checks, done = Calls(op, rows, options.seed), Checks(op), 0
        numbers = range(first, options.count) if options.only is None else [options.only]
        for i in numbers:
            arrays, params, rng = calls.make(i)
            text = calls.text(i, arrays, params)
            os.write(1, f"C {op} {i} {text}\n".encode())
            if options.only is not None:
                print(*arrays, sep="\n")
            if options.abort_at == f"{op}#{i}":
                os.abort()
            signal.alarm(SECONDS)  # ends a process that hangs
            try:
                done += checks.run(arrays, params, rng)
            except Broken as problem:
                where = f"{text} {checks.stypes}"
                os.write(1, f"P {where}: {problem}\n".replace("\n", " ").encode() + b"\n")
            signal.alarm(0)
        first = 0
        os.write(1, f"D {op} {len(numbers)} {done}\n".encode())


if __name__ == "__main__":
    sys.exit(main())

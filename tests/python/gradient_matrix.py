"""The rows of the gradient matrix, and numeric differentiation to hold them against."""

import importlib
import pathlib
import zlib
from dataclasses import replace

import numpy as np

import mxtape as mx
from gradient_row import Ints, Row
from mxtape._loader import core
from mxtape.ndarray import register

FLOATS = ("float64", "float32", "float16", "bfloat16")


def pointwise_rows():
    """Rows of the pointwise operators, from the domains that their declarations name."""
    rows = []
    for name in core.op_names():
        info = core.describe_op(name)
        if not info["pointwise"] or not info["has_gradient"]:
            continue
        domain = info["samples"][0][:2] if info["samples"] else (-2.0, 2.0)
        labels = [label for label, *_ in info["params"]]
        params = {"scalar": 1.5} if labels == ["scalar", "is_int"] else {}
        if len(info["inputs"]) == 1:
            rows.append(Row(name, [(3, 4)], params, domain))
        else:
            if name in OF_OUTPUTS:
                rows.append(Row(name, [(3, 4)] * 2, params, domain, prepare=OF_OUTPUTS[name]))
                continue
            rows.append(Row(name, [(3, 4)] * len(info["inputs"]), params, domain))
            if name.startswith("broadcast_"):
                rows.append(Row(name, [(2, 1, 4), (3, 1)], params, domain))
    return rows


def with_sigmoid(nd, head, x):
    return [head, nd.sigmoid(x), x]


def with_tanh(nd, head, x):
    return [head, nd.tanh(x), x]


# Gradients that read both the output of a function and its input.
OF_OUTPUTS = {"_backward_sigmoid": with_sigmoid, "_backward_tanh": with_tanh}


# Pointwise operators whose parameters have no default, or change the formula.
PARAMETERS = {
    "clip": [{"a_min": -1.1, "a_max": 0.9}],
    "smooth_l1": [{"scalar": 1.0}, {"scalar": 2.0}],
    "hard_sigmoid": [{}, {"alpha": 0.3, "beta": 0.4}],
    "_polygamma": [{"n": 0}, {"n": 1}, {"n": 2}],
}


# Where values of the declared domain may come upon a jump.
DOMAINS = {
    "_mod": ((7.1, 7.9), (3.1, 3.4)),
    "broadcast_mod": ((7.1, 7.9), (3.1, 3.4)),
    "_mod_scalar": ((3.1, 4.4),),
    "_rmod_scalar": ((0.55, 0.7),),
}


def all_rows():
    """Every row: of the pointwise operators, and of the files in gradient_rows/."""
    rows = []
    for row in pointwise_rows():
        for params in PARAMETERS.get(row.op, [row.params]):
            rows.append(replace(row, params=params, domain=DOMAINS.get(row.op, row.domain)))
    for path in sorted((pathlib.Path(__file__).parent / "gradient_rows").glob("*.py")):
        if path.stem != "__init__":
            rows += importlib.import_module(f"gradient_rows.{path.stem}").ROWS
    return rows


def row_id(row):
    shapes = "-".join(
        "x".join(map(str, i)) if isinstance(i, tuple) else type(i).__name__ for i in row.inputs
    )
    params = ",".join(f"{k}={v}" for k, v in row.params.items())
    prepared = f";{row.prepare.__name__}" if row.prepare else ""
    prepared += f";{'-'.join(row.stypes)}" if row.stypes else ""
    return f"{row.op}({shapes}{';' + params if params else ''}{prepared})".replace(" ", "")


def draw(row):
    """The inputs as NumPy arrays, and which of them are differentiated."""
    random = np.random.RandomState(zlib.crc32(row_id(row).encode()) % 2**31)
    arrays, floating = [], []
    for spec in row.inputs:
        if isinstance(spec, Ints):
            arrays.append(random.randint(0, spec.below, spec.shape).astype("float64"))
            floating.append(False)
        elif isinstance(spec, tuple):
            # Evenly spaced and shuffled: no ties, and no value near a kink by chance.
            size = int(np.prod(spec))
            nested = isinstance(row.domain[0], tuple)
            low, high = row.domain[len(arrays)] if nested else row.domain
            values = low + (high - low) * (np.arange(size) + 0.37) / max(size, 1)
            values += (high - low) * 0.0113 * (len(arrays) + 1) / max(size, 1)
            arrays.append(random.permutation(values).reshape(spec))
            floating.append(True)
        else:
            arrays.append(np.asarray(spec))
            floating.append(False)
    return arrays, floating


def as_arrays(values, dtype="float64"):
    """The values as arrays of the engine; what is not floating keeps its dtype."""
    return [mx.nd.array(v, dtype=dtype if v.dtype.kind == "f" else v.dtype.name) for v in values]


def sparse_mask(shape, stype):
    """Ones where a sparse array of this shape has elements: some of a csr one, some rows."""
    mask = np.zeros(shape)
    if stype == "row_sparse":
        mask[1::2] = 1
    else:
        rows, columns = np.indices(shape)
        mask[(rows * 3 + columns * 2) % 5 < 2] = 1
        mask[len(mask) // 2] = 0
    return mask


def in_storage(x, stype):
    """The array with zeros in it, in the storage type; a function of the array."""
    if stype == "default":
        return x
    return (x * mx.nd.array(sparse_mask(x.shape, stype), dtype=x.dtype)).tostype(stype)


def operator_inputs(row, inputs):
    """The inputs that the row's operator gets."""
    if row.prepare is not None:
        prepared = row.prepare(mx.nd, *inputs)
        inputs = list(prepared) if isinstance(prepared, (list, tuple)) else [prepared]
    if row.stypes:
        return [in_storage(x, stype) for x, stype in zip(inputs, row.stypes, strict=True)]
    return inputs


def call(row, inputs):
    """The outputs of the row's operator, as a list; random numbers are the same in each call."""
    mx.random.seed(11)
    result = register.get(row.op)(*operator_inputs(row, inputs), **row.params)
    return result if isinstance(result, list) else [result]


def objective(row, inputs, weights):
    """A scalar with a weight of its own for every output element."""
    total = None
    for output, weight in zip(call(row, inputs), weights):
        if output.dtype != weight.dtype:
            weight = weight.astype(output.dtype)
        term = (output * weight.reshape(output.shape)).sum()
        total = term if total is None else total + term
    return total


def output_weights(row, inputs, dtype="float64"):
    random = np.random.RandomState(7)
    with mx.autograd.pause(train_mode=True):
        shapes = [output.shape for output in call(row, inputs)]
    return [mx.nd.array(random.uniform(0.5, 1.5, shape), dtype=dtype) for shape in shapes]


def numeric_gradient(function, arrays, which, eps):
    """Central differences of a scalar function of NumPy arrays with respect to arrays[which]."""
    gradient = np.zeros(arrays[which].shape)
    for index in np.ndindex(*arrays[which].shape):
        values = []
        for step in (eps, -eps, 2 * eps, -2 * eps):
            moved = [array.copy() for array in arrays]
            moved[which][index] += step
            values.append(function(moved))
        # Fourth order: the error is that of rounding.
        gradient[index] = (8 * (values[0] - values[1]) - (values[2] - values[3])) / (12 * eps)
    return gradient

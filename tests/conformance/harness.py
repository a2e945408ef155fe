"""The conformance harness: how a case is declared, run, written down and compared.

A case is a small program that takes the module under test and returns a (nested) result. The
recorder runs it under MXNet 1.9.1 and writes the result down; pytest runs it under mxtape and
compares the two.

Three ways to declare cases, all in ``cases/<family>.py``:

* ``@case`` on a function ``f(mx)``;
* ``values(setup, text)``: every line of ``text`` is an expression and its own case id;
* ``gradients(setup, text)``: the same, but the case is the value of the expression under ``record``
  and the gradient of every float array that ``setup`` returned, for a fixed head gradient.
"""

import importlib
import json
import os
import pkgutil
import sys
import warnings

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
RECORDED = os.path.join(HERE, "recorded")
FLOATS = ("float16", "float32", "float64")
# rtol and atol; atol is relative to the largest recorded magnitude (10 at most), so that sums that
# cancel compare fairly and a huge value beside small ones excuses nothing.
TOLERANCE = {"float16": (4e-3, 2e-3), "float32": (2e-5, 2e-6), "float64": (1e-11, 1e-12)}


class Case:
    """One registered program; ``rtol`` widens the default tolerance and then needs a ``why``.

    An ``unsafe`` case makes MXNet read or write memory that it does not own: it is never run there,
    and ``differences.py`` states its result. What a case ``needs``, a package, may be absent.
    """

    def __init__(
        self,
        family,
        name,
        function,
        rtol=None,
        why=None,
        unsafe=False,
        needs=None,
        setup=None,
        line=None,
    ):
        if rtol is not None and not why:
            raise ValueError(f"{family}::{name}: a wider tolerance needs a reason")
        self.family, self.name, self.function = family, name, function
        self.rtol, self.unsafe, self.needs = rtol, unsafe, needs
        # Of an expression: where its arrays come from, and its text.
        self.setup, self.line, self.wrt = setup, line, None
        self.id = f"{family}::{name}"


class Raised:
    """An exception that a case met, as a value: the names of its classes, most specific first."""

    def __init__(self, error):
        names = [c.__name__ for c in type(error).__mro__]
        own = names[: names.index("Exception")] if "Exception" in names else names
        self.names = own or ["Exception"]
        self.text = str(error)


REGISTRY = {}


def _register(item):
    if item.id in REGISTRY:
        raise ValueError(f"the conformance case {item.id!r} is declared twice")
    REGISTRY[item.id] = item


def _family(function_or_name):
    return function_or_name.rsplit(".", 1)[-1]


def case(function=None, *, name=None, **options):
    """Register ``function(mx)``; its module is the family, its name the case's name."""

    def register(f):
        _register(Case(_family(f.__module__), name or f.__name__, f, **options))
        return f

    return register(function) if function is not None else register


def _lines(text):
    return [line.strip() for line in text.strip().splitlines() if line.strip()]


def _environment(mx, setup):
    env = {"mx": mx, "nd": mx.nd, "ag": mx.autograd, "np": np, "attempt": attempt}
    inputs = setup(mx)
    env.update(inputs)
    return env, inputs


def values(family, setup, text, prefix="", **options):
    """Register one case per line of ``text``, an expression over ``setup(mx)``'s names."""
    for line in _lines(text):

        def run(mx, line=line):
            env, _ = _environment(mx, setup)
            return eval(line, env)

        _register(Case(_family(family), prefix + line, run, setup=setup, line=line, **options))


def gradients(family, setup, text, prefix="", wrt=None, **options):
    """Register one case per line of ``text``: its value and the gradients of the float arrays.

    ``wrt`` names the arrays to differentiate, separated by spaces, when it is not all of them.
    """
    for line in _lines(text):

        def run(mx, line=line):
            env, inputs = _environment(mx, setup)
            wanted = {
                k: v
                for k, v in inputs.items()
                if is_float_array(v) and (wrt is None or k in wrt.split())
            }
            for x in wanted.values():
                x.attach_grad()
            with mx.autograd.record():
                y = eval(line, env)
            heads = list(y) if isinstance(y, (list, tuple)) else [y]
            mx.autograd.backward(heads, [head_like(mx, h) for h in heads])
            return {"out": y, "grad": {k: v.grad for k, v in wanted.items()}}

        made = Case(
            _family(family), "grad " + prefix + line, run, setup=setup, line=line, **options
        )
        made.wrt = wrt
        _register(made)


def attempt(function, *args, **kwargs):
    """``function(*args)``, or what it raised as a value, for cases that go on after an error."""
    try:
        return function(*args, **kwargs)
    except Exception as error:
        return Raised(error)


# ---- deterministic data, the same under every NumPy


def data(shape, low=-2.0, high=2.0, seed=0, dtype="float32"):
    """Uniform multiples of 1/64, exact in every floating dtype including float16."""
    raw = np.random.RandomState(seed).random_sample(shape) * (high - low) + low
    return (np.round(raw * 64) / 64).astype(dtype)


def integers(shape, low, high, seed=0, dtype="int32"):
    """Integers in [low, high)."""
    return np.random.RandomState(seed).randint(low, high, shape).astype(dtype)


def array(mx, a):
    """An array of the module under test with the dtype of the NumPy array ``a``."""
    return mx.nd.array(a, dtype=str(a.dtype))


def vector(mx, values=(1.0, 2.0, 3.0), grad_req="write", dtype="float32"):
    """A small array with a gradient attached."""
    x = mx.nd.array(values, dtype=dtype)
    x.attach_grad(grad_req)
    return x


def head_values(shape):
    """A head gradient with distinct signs and sizes, the same for every array of this size."""
    n = int(np.prod(shape)) if shape else 1
    return (((np.arange(n) * 7 + 3) % 11 - 4) / 4.0).reshape(shape)


def head_like(mx, y):
    """:func:`head_values` for the array ``y``, in its dtype."""
    return mx.nd.array(head_values(y.shape), dtype=dtype_name(y.dtype))


def dtype_name(dtype):
    return np.dtype(dtype).name


def is_array(x):
    return hasattr(x, "asnumpy") and hasattr(x, "attach_grad")


def is_float_array(x):
    return is_array(x) and dtype_name(x.dtype) in FLOATS


# ---- results as JSON


def _number(x, kind):
    if kind == "b":
        return bool(x)
    if kind in "iu":
        return int(x)
    if np.isnan(x):
        return "nan"
    if np.isinf(x):
        return "inf" if x > 0 else "-inf"
    return float(np.format_float_scientific(x))  # shortest text that reads back to the same value


def encode_array(tag, a):
    flat = a.reshape(-1)
    return {
        tag: a.dtype.name,
        "shape": list(a.shape),
        "values": [_number(v, a.dtype.kind) for v in flat],
    }


def encode_sparse(x):
    """The parts of a sparse array, which MXNet itself knows to be one by ``stype``."""
    parts = ("data", "indices", "indptr") if x.stype == "csr" else ("data", "indices")
    return {
        "sparse": x.stype,
        "shape": list(x.shape),
        **{part: encode(getattr(x, part)) for part in parts},
    }


def encode(x):
    """The JSON-able form of a result."""
    if isinstance(x, Raised):
        return {"error": x.names}
    if is_array(x) and x.stype != "default":
        return encode_sparse(x)
    if is_array(x):
        return encode_array("array", x.asnumpy())
    if isinstance(x, np.ndarray):
        return encode_array("numpy", x)
    if isinstance(x, np.generic):
        return {"scalar": x.dtype.name, "values": [_number(x, x.dtype.kind)]}
    if isinstance(x, (bool, int, str)) or x is None:
        return x
    if isinstance(x, float):
        return {"float": _number(np.float64(x), "f")}
    if (isinstance(x, type) and issubclass(x, np.generic)) or isinstance(x, np.dtype):
        return {"dtype": np.dtype(x).name}
    if isinstance(x, type):
        return {"type": x.__name__}
    if isinstance(x, tuple):
        return {"tuple": [encode(v) for v in x]}
    if isinstance(x, list):
        return [encode(v) for v in x]
    if isinstance(x, dict):
        return {"dict": {str(k): encode(v) for k, v in x.items()}}
    if type(x).__name__ == "Context":
        return {"context": str(x)}
    raise TypeError(f"a case returned {type(x)}, which the conformance harness cannot write down")


def run(item, mx):
    """Run one case; anything it raises is its result."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # Names that are counted begin anew, whatever cases have run before.
            with mx.name.NameManager():
                return encode(item.function(mx)), None
        except Exception as error:
            raised = Raised(error)
            return encode(raised), raised.text


# ---- comparison


def _floats(items):
    return np.array([float(v) for v in items], dtype=np.float64)


def _compare_values(want, got, dtype, rtol_override, where):
    if dtype not in FLOATS:
        return [] if want == got else [f"{where}: expected {want}, got {got}"]
    a, b = _floats(want), _floats(got)
    rtol, atol = TOLERANCE[dtype]
    rtol = rtol_override if rtol_override is not None else rtol
    finite = a[np.isfinite(a)]
    scale = min(np.abs(finite).max(), 10.0) if finite.size else 0.0
    if np.allclose(b, a, rtol=rtol, atol=atol * scale, equal_nan=True):
        return []
    return [f"{where}: expected {want}, got {got} (rtol {rtol:g})"]


def compare(want, got, rtol=None, where="result"):
    """Every disagreement between a recorded and a new result, as readable lines."""
    if isinstance(want, dict) and isinstance(got, dict):
        if "error" in want:
            names = want["error"][:1]
            if names == ["AttributeError"]:  # MXNet meets a wrong type as a missing attribute
                names = ["AttributeError", "TypeError"]
            # MXNet raises a plain Exception here and there: any class is better.
            ok = "error" in got and any(n in ("Exception", *got["error"]) for n in names)
            return [] if ok else [f"{where}: expected {want['error'][0]}, got {got}"]
        for tag in ("array", "numpy", "scalar"):
            if tag in want:
                if want[tag] != got.get(tag) or want.get("shape") != got.get("shape"):
                    return [f"{where}: expected {describe(want)}, got {describe(got)}"]
                return _compare_values(want["values"], got["values"], want[tag], rtol, where)
        if "float" in want and "float" in got:
            return _compare_values([want["float"]], [got["float"]], "float64", rtol or 1e-6, where)
        for tag in ("dict", "tuple"):
            if tag in want:
                if tag not in got:
                    return [f"{where}: expected a {tag}, got {got}"]
                return compare(want[tag], got[tag], rtol, where)
        if set(want) != set(got):
            return [f"{where}: expected {describe(want)}, got {describe(got)}"]
        return [line for k in want for line in compare(want[k], got[k], rtol, f"{where}.{k}")]
    if isinstance(want, list) and isinstance(got, list):
        if len(want) != len(got):
            return [f"{where}: expected {len(want)} items, got {len(got)}"]
        pairs = enumerate(zip(want, got))
        return [line for i, (a, b) in pairs for line in compare(a, b, rtol, f"{where}[{i}]")]
    same = type(want) is type(got) and want == got
    return [] if same else [f"{where}: expected {describe(want)}, got {describe(got)}"]


def describe(x):
    """A short text for a result in a failure message."""
    for tag in ("array", "numpy"):
        if isinstance(x, dict) and tag in x:
            return f"{tag} {x[tag]} {tuple(x['shape'])} {x['values'][:8]}"
    return json.dumps(x)[:300]


# ---- loading


def load_cases():
    """Import every family and return {family: [cases in the order of declaration]}."""
    if HERE not in sys.path:
        sys.path.insert(0, HERE)
    import cases

    families = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(cases.__path__)):
        importlib.import_module(f"cases.{module}")
    for item in REGISTRY.values():
        families.setdefault(item.family, []).append(item)
    return families


def recording_path(family):
    return os.path.join(RECORDED, f"{family}.json")


def load_recording(family):
    """The recorded {case name: result} of one family."""
    with open(recording_path(family), encoding="utf-8") as f:
        return json.load(f)["results"]

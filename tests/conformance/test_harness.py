"""The harness: what is written down reads back exactly, every kind of disagreement shows."""

import json
import os
import sys

import numpy as np
import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness


def written(x):
    return json.loads(json.dumps(harness.encode(x)))


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int32", "int64", "uint8", "bool"]
)
def test_arrays_read_back_exactly(dtype):
    a = (np.random.RandomState(0).standard_normal(50) * 100).astype(dtype)
    back = np.array(written(a)["values"], dtype=dtype)
    assert back.tobytes() == a.tobytes()


def test_special_values_are_kept_apart():
    a = np.array([np.nan, np.inf, -np.inf, -0.0])
    assert written(a)["values"][:3] == ["nan", "inf", "-inf"]
    assert harness.compare(written(a), written(a)) == []
    assert harness.compare(written(a), written(np.array([np.nan, np.inf, np.inf, 0.0])))
    assert harness.compare(written(a), written(np.array([0.0, np.inf, -np.inf, 0.0])))


ONE = np.array([1.0, 2.0], dtype="float32")
DISAGREEMENTS = [
    (ONE, ONE + np.float32(0.001)),
    (ONE, ONE.astype("float64")),
    (ONE, ONE.reshape(1, 2)),
    (ONE, ONE[:1]),
    (np.array([1, 2]), np.array([1, 3])),
    ([ONE], [ONE, ONE]),
    ([ONE], (ONE,)),
    ({"a": ONE}, {"b": ONE}),
    ({"a": ONE}, {"a": ONE + 1}),
    (1, 2),
    (1, True),
    (None, 0),
    ("a", "b"),
    (np.float32, np.float64),
    (harness.Raised(ValueError("v")), harness.Raised(TypeError("t"))),
    (harness.Raised(ValueError("v")), ONE),
    (ONE, harness.Raised(ValueError("v"))),
]


@pytest.mark.parametrize("pair", DISAGREEMENTS, ids=range(len(DISAGREEMENTS)))
def test_disagreements_are_found(pair):
    want, got = (written(x) for x in pair)
    assert harness.compare(want, want) == []
    assert harness.compare(want, got)


def test_a_derived_error_is_accepted():
    want = written(harness.Raised(LookupError("l")))
    assert harness.compare(want, written(harness.Raised(IndexError("i")))) == []


def test_a_huge_value_excuses_nothing():
    want, got = np.array([1e30, 1.0], "float32"), np.array([1e30, 2.0], "float32")
    assert harness.compare(written(want), written(got))


def test_a_wider_tolerance_needs_a_reason():
    with pytest.raises(ValueError, match="needs a reason"):
        harness.Case("family", "name", lambda mx: None, rtol=0.1)


def test_a_case_cannot_be_declared_twice():
    item = next(iter(harness.load_cases().values()))[0]
    with pytest.raises(ValueError, match="declared twice"):
        harness._register(item)

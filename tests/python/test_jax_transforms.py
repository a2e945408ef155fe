"""The transforms against what JAX answers, recorded by tests/oracle/jax_transforms.py."""

import json
from pathlib import Path

import numpy as np
import pytest

import transform_cases
from mxtape import autograd, nd

RECORDED = json.loads((Path(__file__).parent / "jax_transforms.json").read_text())["results"]


def as_arrays(tree):
    if isinstance(tree, dict):
        return {key: as_arrays(item) for key, item in tree.items()}
    if isinstance(tree, list):
        return [as_arrays(item) for item in tree]
    return nd.array(tree, dtype="float64")


def leaves(tree):
    """In JAX's order, which sorts the keys of a dict."""
    if isinstance(tree, dict):
        return [leaf for key in sorted(tree) for leaf in leaves(tree[key])]
    if isinstance(tree, (tuple, list)):
        return [leaf for item in tree for leaf in leaves(item)]
    return [tree]


@pytest.fixture(scope="module")
def computed():
    given = as_arrays(transform_cases.inputs())
    return transform_cases.results(nd, autograd, given)


@pytest.mark.parametrize("name", RECORDED)
def test_agrees_with_jax(name, computed):
    got, expected = leaves(computed[name]), RECORDED[name]
    assert len(got) == len(expected)
    for ours, theirs in zip(got, expected):
        theirs = np.asarray(theirs)
        # A number is an array of shape (1,) here.
        np.testing.assert_allclose(ours.asnumpy().reshape(theirs.shape), theirs, 1e-10, 1e-12)

"""Checkpoints that cross between mxtape and MXNet 1.9.1.

``lenet`` is one that ``examples/module_digits.py`` saved with mxtape, ``digits`` one that the same
program saved with MXNet. What MXNet predicted with both is in ``predictions.json``.
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import mxtape as mx

FOLDER = Path(__file__).resolve().parents[1] / "conformance" / "checkpoints"


def _make():
    path = FOLDER / "make_checkpoints.py"
    spec = importlib.util.spec_from_file_location("make_checkpoints", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKE = _make()


@pytest.mark.parametrize("name", ["lenet", "digits"])
def test_mxnet_and_mxtape_predict_the_same(name):
    expected = json.loads((FOLDER / "predictions.json").read_text())[name]
    got = MAKE.predictions(mx, *MAKE.PREFIXES[name])
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-7)
    assert got.shape == (7, 10)


@pytest.mark.parametrize("name", ["lenet", "digits"])
def test_a_checkpoint_that_was_loaded_is_saved_as_it_was(name, tmp_path):
    prefix, epoch = MAKE.PREFIXES[name]
    mx.model.save_checkpoint(str(tmp_path / "net"), epoch, *mx.model.load_checkpoint(prefix, epoch))
    for end in ("symbol.json", f"{epoch:04d}.params"):
        saved, before = (
            Path(f"{where}-{end}").read_bytes() for where in (tmp_path / "net", prefix)
        )
        if end == "symbol.json":
            saved, before = json.loads(saved), json.loads(before)
        assert saved == before, end


def test_feed_forward_reads_it_too():
    prefix, epoch = MAKE.PREFIXES["digits"]
    model = mx.model.FeedForward.load(prefix, epoch)
    expected = json.loads((FOLDER / "predictions.json").read_text())["digits"]
    got = model.predict(MAKE.images().astype("float32"))
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-7)

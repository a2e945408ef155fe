"""Every conformance case under mxtape, against what MXNet 1.9.1 returned.

``MXTAPE_CONFORMANCE_MODULE=mxnet`` runs the cases under MXNet itself, which tests this harness.
"""

import importlib
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import differences
import harness

MODULE = os.environ.get("MXTAPE_CONFORMANCE_MODULE", "mxtape")
FAMILIES = harness.load_cases()
CASES = [item for items in FAMILIES.values() for item in items]


def comparable(result):
    """Whether MXNet gave a result at all: it did not crash and was not spared an unsafe program."""
    return not (isinstance(result, dict) and ("crash" in result or "unsafe" in result))


@pytest.fixture(scope="session")
def mx():
    return importlib.import_module(MODULE)


@pytest.fixture(scope="session")
def recordings():
    return {family: harness.load_recording(family) for family in FAMILIES}


@pytest.mark.parametrize("item", CASES, ids=[c.id for c in CASES])
def test_case(item, mx, recordings):
    if item.needs:
        pytest.importorskip(item.needs)
    want = recordings[item.family][item.name]
    different = differences.DIFFERENCES.get(item.id)
    if MODULE == "mxnet":
        if not comparable(want):
            pytest.skip("MXNet crashes or corrupts memory here")
    elif different is not None:
        want = different.expected
    got, text = harness.run(item, mx)
    lines = harness.compare(want, got, item.rtol)
    reason = f"\nMXNet differs: {different.reason}" if different else ""
    assert not lines, "\n".join(lines) + (f"\nraised: {text}" if text else "") + reason


def test_every_difference_is_a_case():
    known = {item.id for item in CASES}
    assert set(differences.DIFFERENCES) <= known


def test_every_difference_differs(recordings):
    for case_id, different in differences.DIFFERENCES.items():
        family, name = case_id.split("::", 1)
        assert harness.compare(recordings[family][name], different.expected), case_id


def test_every_crash_has_an_expected_result(recordings):
    crashed = {
        f"{family}::{name}"
        for family, results in recordings.items()
        for name, result in results.items()
        if not comparable(result)
    }
    assert crashed <= set(differences.DIFFERENCES)


def test_recordings_have_exactly_the_cases(recordings):
    for family, items in FAMILIES.items():
        assert list(recordings[family]) == [item.name for item in items], f"record {family} again"

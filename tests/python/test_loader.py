"""Which compiled core is imported: by processor, by MXTAPE_ISA, and what is said when none fits."""

import os
import subprocess
import sys

import pytest

from mxtape import _loader
from support import output_of, run_program

RELEASE = ["x86-64-v4", "x86-64-v3", "x86-64-v2"]


def flags_of(name, *without):
    return frozenset(_loader.NEEDED_CPU_FLAGS[name]) - set(without)


def import_under(isa):
    code = "import mxtape; from mxtape import _loader; print(_loader.isa, _loader.core.__name__)"
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "MXTAPE_ISA": isa},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("level", RELEASE)
def test_best_level_that_the_processor_runs(level):
    assert _loader.choose_isa("", RELEASE, flags_of(level)) == level


@pytest.mark.parametrize(
    ("level", "lacks", "expected"),
    [
        ("x86-64-v4", "avx512vl", "x86-64-v3"),
        ("x86-64-v3", "fma", "x86-64-v2"),
        ("x86-64-v3", "movbe", "x86-64-v2"),
    ],
)
def test_one_lacking_flag_takes_the_level_below(level, lacks, expected):
    assert _loader.choose_isa("", RELEASE, flags_of(level, lacks)) == expected


def test_native_goes_first_unless_it_was_compiled_for_another_processor(monkeypatch):
    monkeypatch.setitem(_loader.NEEDED_CPU_FLAGS, "native", ("avx2", "sse4a"))
    installed = ["native", *RELEASE]
    assert _loader.choose_isa("", installed, flags_of("x86-64-v4") | {"sse4a"}) == "native"
    assert _loader.choose_isa("", installed, flags_of("x86-64-v4")) == "x86-64-v4"


def test_unknown_processor_takes_the_least_demanding():
    assert _loader.choose_isa("", RELEASE, None) == "x86-64-v2"


@pytest.mark.parametrize("spelling", ["v3", "V3", "x86-64-v3", "x86_64_v3", " v3 "])
def test_override_spellings(spelling):
    assert _loader.choose_isa(spelling, RELEASE, flags_of("x86-64-v4")) == "x86-64-v3"


def test_override_that_the_processor_cannot_run():
    with pytest.raises(ImportError, match=r"MXTAPE_ISA=v4: .* lacks avx512bw.*x86-64-v3"):
        _loader.choose_isa("v4", RELEASE, flags_of("x86-64-v3"))


@pytest.mark.parametrize("wanted", ["native", "v1", "avx2"])
def test_override_that_is_not_installed(wanted):
    with pytest.raises(ImportError, match=f"MXTAPE_ISA={wanted}: no such core.*x86-64-v4, x86-64"):
        _loader.choose_isa(wanted, RELEASE, flags_of("x86-64-v4"))


def test_no_core_at_all():
    with pytest.raises(ImportError, match=r"no compiled core.*pip install"):
        _loader.choose_isa("", [], flags_of("x86-64-v4"))


def test_processor_below_every_level():
    with pytest.raises(ImportError, match=r"x86-64-v2 lacks ssse3"):
        _loader.choose_isa("", ["x86-64-v2"], flags_of("x86-64-v2", "ssse3"))


def test_loaded_core_fits_and_is_registered_once():
    assert _loader.isa in _loader.installed_isas()
    assert _loader.missing_cpu_flags(_loader.isa, _loader.cpu_flags()) == []
    assert sys.modules["mxtape._core"] is _loader.core


@pytest.mark.parametrize("isa", _loader.installed_isas())
def test_every_installed_core_that_this_processor_runs_imports(isa):
    result = import_under(isa)
    missing = _loader.missing_cpu_flags(isa, _loader.cpu_flags())
    if missing:
        assert result.returncode != 0
        assert f"lacks {missing[0]}" in result.stderr
    else:
        assert result.stdout.split() == [isa, "mxtape._core_" + isa.replace("-", "_")]


def test_environment_override_reaches_the_import():
    result = import_under("v9")
    assert result.returncode != 0
    assert "MXTAPE_ISA=v9: no such core" in result.stderr


def test_import_loads_nothing_that_few_programs_use():
    code = (
        "import sys, numpy; before = set(sys.modules); import mxtape; "
        "print(*sorted(name for name in set(sys.modules) - before if '.' not in name))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    # What NumPy has not imported already must not take inspect's and json's 20 ms.
    assert not {"inspect", "json", "ctypes", "typing"} & set(done.stdout.split()), done.stdout


def test_the_environment_is_as_it_was_after_the_import():
    program = """
        import os
        before = dict(os.environ)
        import mxtape
        print(before == dict(os.environ))
    """
    assert output_of(program) == "True\n"
    assert output_of(program, {"GOMP_SPINCOUNT": "7"}) == "True\n"


def test_threads_sleep_soon_unless_the_user_says_otherwise():
    """libgomp tells what it has read when it is asked to."""
    shown = run_program("import mxtape", {"OMP_DISPLAY_ENV": "VERBOSE"}).stderr
    if "GOMP_SPINCOUNT" not in shown:
        pytest.skip("another OpenMP library than libgomp")
    assert "GOMP_SPINCOUNT = '10000'" in shown
    own = {"OMP_DISPLAY_ENV": "VERBOSE", "GOMP_SPINCOUNT": "7"}
    assert "GOMP_SPINCOUNT = '7'" in run_program("import mxtape", own).stderr
    own = {"OMP_DISPLAY_ENV": "VERBOSE", "OMP_WAIT_POLICY": "passive"}
    assert "GOMP_SPINCOUNT = '10000'" not in run_program("import mxtape", own).stderr

"""Imports the extension module that fits this processor.

The core is compiled once for each instruction set, as ``_core_x86_64_v2``, ``_v3`` and ``_v4`` in
a release wheel and as ``_core_native`` in a developer build. This module imports the best one that
the processor runs and registers it as ``mxtape._core``. The environment variable ``MXTAPE_ISA``
(``native``, ``v2``, ``v3``, ``v4``, or a full name such as ``x86-64-v3``) overrides the choice.
"""

import contextlib
import importlib
import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from types import ModuleType
from typing import Optional

_NOT_BUILT = "install the wheel, or build it with 'pip install .' or 'make build'"

try:
    from ._build import NATIVE_CPU_FLAGS
except ModuleNotFoundError as error:
    raise ImportError(f"mxtape is not built here: {_NOT_BUILT}") from error

# What each level adds to the one before it, as /proc/cpuinfo spells it.
_V2 = ("cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3")
_V3 = (*_V2, "abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe")
_V4 = (*_V3, "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl")

# Best first: a native build exists only where somebody compiled it for this machine.
NEEDED_CPU_FLAGS = {
    "native": NATIVE_CPU_FLAGS,
    "x86-64-v4": _V4,
    "x86-64-v3": _V3,
    "x86-64-v2": _V2,
}


def cpu_flags() -> Optional[frozenset[str]]:
    """The instruction-set flags of the first processor, or None where they cannot be read.

    >>> from mxtape._loader import cpu_flags
    >>> flags = cpu_flags()
    >>> flags is None or isinstance(flags, frozenset)
    True
    """
    try:
        with open("/proc/cpuinfo", "rb", buffering=4096) as file:
            for line in file:
                if line.startswith(b"flags"):
                    return frozenset(line.decode("ascii").partition(":")[2].split())
    except OSError:
        return None
    return None


def installed_isas() -> list[str]:
    """The instruction sets that an extension module is here for, the most demanding first.

    >>> from mxtape._loader import isa
    >>> from mxtape._loader import installed_isas
    >>> isa in installed_isas()
    True
    """
    files = {name for folder in _package_folders() for name in os.listdir(folder)}
    return [
        name
        for name in NEEDED_CPU_FLAGS
        if any(_module_name(name) + suffix in files for suffix in EXTENSION_SUFFIXES)
    ]


def missing_cpu_flags(name: str, flags: Optional[frozenset[str]]) -> list[str]:
    """The flags that the module for `name` needs and a processor with `flags` lacks.

    Unknown flags (None) count as lacking nothing.

    >>> from mxtape._loader import missing_cpu_flags
    >>> from mxtape._loader import NEEDED_CPU_FLAGS
    >>> missing_cpu_flags("x86-64-v4", frozenset(NEEDED_CPU_FLAGS["x86-64-v3"]))[0]
    'avx512bw'
    """
    return [] if flags is None else [flag for flag in NEEDED_CPU_FLAGS[name] if flag not in flags]


def choose_isa(wanted: str, installed: list[str], flags: Optional[frozenset[str]]) -> str:
    """Chooses among the `installed` instruction sets, given most demanding first.

    Args:
        wanted: the value of ``MXTAPE_ISA``; empty for the best that the processor runs.
        installed: instruction sets that there is a module for.
        flags: the processor's flags; None when unknown, which chooses the least demanding module.

    Raises:
        ImportError: when nothing installed fits, saying what is installed and what is lacking.

    >>> from mxtape._loader import choose_isa
    >>> from mxtape._loader import NEEDED_CPU_FLAGS
    >>> choose_isa("", ["x86-64-v3", "x86-64-v2"], frozenset(NEEDED_CPU_FLAGS["x86-64-v2"]))
    'x86-64-v2'
    >>> choose_isa("v3", ["x86-64-v3", "x86-64-v2"], None)
    'x86-64-v3'
    """
    if not installed:
        raise ImportError(
            f"no compiled core of mxtape for this Python in {', '.join(_package_folders())}: "
            + _NOT_BUILT
        )
    here = ", ".join(installed)
    if wanted:
        name = _full_name(wanted)
        if name not in installed:
            raise ImportError(f"MXTAPE_ISA={wanted}: no such core is installed; here are: {here}")
        missing = missing_cpu_flags(name, flags)
        if missing:
            raise ImportError(
                f"MXTAPE_ISA={wanted}: this processor lacks {', '.join(missing)}; "
                f"installed cores: {here}"
            )
        return name
    if flags is None:
        return "native" if "native" in installed else installed[-1]
    for name in installed:
        if not missing_cpu_flags(name, flags):
            return name
    lacking = "; ".join(f"{n} lacks {', '.join(missing_cpu_flags(n, flags))}" for n in installed)
    raise ImportError(f"no installed core of mxtape runs on this processor: {lacking}")


def _full_name(wanted: str) -> str:
    name = wanted.strip().lower().replace("_", "-")
    # "x86_64_v3", the spelling of the module, has become "x86-64-v3" by now.
    return f"x86-64-{name}" if name in ("v2", "v3", "v4") else name


def _module_name(name: str) -> str:
    return "_core_" + name.replace("-", "_")


def _package_folders() -> list[str]:
    return list(sys.modules[__package__].__path__)


# How often a thread of libgomp's looks for work before it sleeps. libgomp's own number, for as many
# threads as processors, makes it look for about a millisecond: on a machine that has other work
# too, threads then wait for each other's time and programs take five times as long and more.
_SPINS = "10000"
_SPIN_VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


@contextlib.contextmanager
def _short_spins():
    """libgomp reads its environment once, when it is loaded, which is in here."""
    if any(name in os.environ for name in _SPIN_VARIABLES):
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = _SPINS
    try:
        yield
    finally:
        del os.environ["GOMP_SPINCOUNT"]


def _load(name: str) -> ModuleType:
    with _short_spins():
        module = importlib.import_module(f"{__package__}.{_module_name(name)}")
    # One name whatever the processor, so that a pickle made on one machine loads on another.
    sys.modules[f"{__package__}._core"] = module
    return module


isa: str = choose_isa(os.environ.get("MXTAPE_ISA", ""), installed_isas(), cpu_flags())
core: ModuleType = _load(isa)

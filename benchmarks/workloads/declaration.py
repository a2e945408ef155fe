"""What a workload is: inputs, a reference in NumPy, one program for each library, and goals.

The files here run under every library's interpreter, also MXNet's, which may be Python 3.8.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, NamedTuple

# The programs' key for mxtape and MXNet 1.9.1, which share one text.
MX = "mx"


class Program(NamedTuple):
    """A workload as one library runs it, ready to be timed."""

    # Does the work once, and returns when all of it is done.
    step: Callable[[], None]
    # {name: array} of the last step, under the reference's names.
    answer: Callable[[], Arrays]


@dataclass(frozen=True)
class OfPeers:
    """The time must be at most `ratio` of the fastest of `peers`."""

    ratio: float
    peers: tuple[str, ...]

    def __str__(self):
        return f"≤ {self.ratio:g} × {' or '.join(self.peers)}"


@dataclass(frozen=True)
class AtMost:
    """A figure of the worker's result must be at most this."""

    figure: str
    limit: float
    unit: str

    def __str__(self):
        return f"≤ {self.limit:g} {self.unit}"


@dataclass(frozen=True)
class OfPeak:
    """The rate must be at least this part of the peak of multiply-adds, of as many threads."""

    part: float

    def __str__(self):
        return f"≥ {self.part:.0%} of the FMA peak"


Sizes = dict  # a size's name -> number
Arrays = dict  # a name -> NumPy array


@dataclass(frozen=True)
class Workload:
    title: str
    # What sizes are called, and their values: as published, and for the tests.
    full: Sizes
    small: Sizes
    # inputs(sizes) -> {name: float32 or integer array}.
    inputs: Callable[[Sizes], Arrays]
    # reference(sizes, inputs) -> the right answers, computed in float64.
    reference: Callable[[Sizes, Arrays], Arrays]
    # {MX or a library: make(module, sizes, inputs) -> Program}.
    programs: dict[str, Callable[[Any, Sizes, Arrays], Program]]
    # {library: why it has no program}.
    absent: dict[str, str] = field(default_factory=dict)
    goals: tuple[OfPeers | AtMost | OfPeak, ...] = ()
    # Of the norm of answer minus reference, relative to the reference's.
    tolerance: float = 1e-4
    # A program that changes what it starts from is made anew and checked after so many steps.
    check_after: int = 0
    # How often a step does what its title says: the time is divided by it.
    repeats: int = 1
    # Names the size that memory is divided by, for the figure bytes_per_<name>.
    memory_per: str = ""
    # flop(sizes) of a step, for the figure gflops.
    flop: Callable[[Sizes], float] | None = None
    unit: str = "ms"

    def program_for(self, library):
        """Return the maker of `library`'s program, or None where it has none."""
        if library in self.absent:
            return None
        return self.programs.get(MX if library in ("mxtape", "mxnet") else library)

    def why_absent(self, library):
        """Return why `library` has no program, or None where it has one."""
        if self.program_for(library):
            return None
        return self.absent.get(library, "takes no part")


@dataclass(frozen=True)
class Measurement:
    """A figure that is not the time of a program: measure(library) -> the worker's result."""

    title: str
    measure: Callable[[str], dict]
    libraries: tuple[str, ...]
    goals: tuple[OfPeers | AtMost | OfPeak, ...]
    unit: str

    def why_absent(self, library):
        return None if library in self.libraries else f"does not apply to {library}"

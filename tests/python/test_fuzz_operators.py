"""Every operator, called with what nobody should call it with: see fuzz_calls.py.

MXTAPE_FUZZ_CALLS says how many calls each operator gets, MXTAPE_FUZZ_SEED which.
"""

import os
import pathlib
import subprocess
import sys

import pytest

from mxtape._loader import core

PROGRAM = pathlib.Path(__file__).parent / "fuzz_calls.py"
CALLS = int(os.environ.get("MXTAPE_FUZZ_CALLS", "50"))
SEED = int(os.environ.get("MXTAPE_FUZZ_SEED", "1"))
PARTS = 8


class Fuzz:
    """Runs the calls of some operators in processes of their own, and collects what they report."""

    def __init__(self, count=CALLS, seed=SEED, options=()):
        self.count, self.seed, self.options = count, seed, options
        self.problems, self.done = [], {}

    def run(self, ops):
        first = 0
        while ops:
            last = self.run_process(ops, first)
            if last is None:
                return self
            # The process ended in a call: go on behind it.
            op, number = last
            ops, first = ops[ops.index(op) :], number + 1
        return self

    def run_process(self, ops, first):
        """Where a process ended before its time; None when it came to its end."""
        command = [sys.executable, str(PROGRAM), "--ops", ",".join(ops), "--first", str(first)]
        command += ["--count", str(self.count), "--seed", str(self.seed), *self.options]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        call = None
        for line in done.stdout.splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "C":
                call = rest
            elif kind == "P":
                self.problems.append(rest)
            elif kind == "D":
                op, _, carried_out = rest.split()
                self.done[op] = self.done.get(op, 0) + int(carried_out)
        if done.returncode == 0:
            return None
        if call is None:
            raise RuntimeError(done.stderr[-3000:])
        op, number, text = call.split(" ", 2)
        self.problems.append(f"{text}: the process ended ({done.returncode}) {done.stderr[-2500:]}")
        return op, int(number)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_call_does_harm(part):
    ops = core.op_names()[part::PARTS]
    fuzz = Fuzz().run(ops)
    assert not fuzz.problems, f"{len(fuzz.problems)} calls:\n" + "\n".join(fuzz.problems[:30])
    # Calls that are all refused would prove little.
    never = [op for op in ops if not fuzz.done[op]]
    assert not never, f"never carried out: {never}"


def test_a_call_that_ends_the_process_is_reported_and_passed_over():
    fuzz = Fuzz(5, 1, ["--abort-at", "dot#3"]).run(["abs", "dot", "exp"])
    (problem,) = fuzz.problems
    assert problem.startswith("dot#3(")
    assert "ended (-6)" in problem
    assert set(fuzz.done) == {"abs", "dot", "exp"}

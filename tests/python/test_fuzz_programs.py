"""Random programs against a reference over NumPy (tests/fuzz), and what the fuzzer is worth.

`make fuzz SECONDS=600` runs other programs than these, for longer.
"""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from mxtape import autograd, nd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "fuzz"))

import reference
from engine import Failure, check
from fuzz import run_all
from generate import Abandoned, Generator, generate
from operators import OPERATORS
from reference import RAW, TAPED
from shrink import CRASH, shrink, signal_of, write_test

PARTS, PROGRAMS = 4, 1000


@pytest.mark.parametrize("part", range(PARTS))
def test_random_programs_agree_with_the_reference(part):
    number, program, failure = failing(range(part * PROGRAMS, (part + 1) * PROGRAMS))
    if failure:
        found = shrink(program, failure.kind)
        pytest.fail(f"program {number}: {failure}\n{write_test(*found) if found else ''}")


# Whose gradients are not derivatives, and those that move by jumps in what is drawn here.
DEFINED_OTHERWISE = {"BlockGrad", "make_loss"}


def arguments(name):
    """Calls of an operator, with arrays that are apt for it: the reference's, and the others."""
    for seed in range(4000):
        g = Generator(seed)
        g.dtype = g.now = "float64"
        for _ in range(3):
            g.add_array((2, 3), "write")
            g.add_array(g.choice([(3,), (2, 4), (2, 1), (2, 2, 3)]), "write")
        try:
            picked = OPERATORS[name].pick(g)
        except Abandoned:
            continue
        if picked is not None:
            g.reference.state.recording = True
            yield [g.reference.slots[slot] for slot in picked[0]], picked[1]


@pytest.mark.parametrize("name", sorted(set(OPERATORS) - DEFINED_OTHERWISE))
def test_the_reference_agrees_with_differences(name):
    formula, numbers = OPERATORS[name].formula, np.random.RandomState(3)
    arrays, others = next(arguments(name))
    step = 1e-6
    ways = {id(x): numbers.uniform(-1, 1, x.shape) * is_variable(x) for x in arrays}

    def total(at):
        made = formula(RAW, *[x.data + at * ways[id(x)] for x in arrays], *others)
        return sum(np.sum(part * w) for part, w in zip(as_list(made), weights))

    heads = as_list(formula(TAPED, *arrays, *others))
    weights = [numbers.uniform(-1, 1, head.shape) for head in heads]
    slope = (total(step) - total(-step)) / (2 * step)
    heads = [(head, w) for head, w in zip(heads, weights) if head.on_tape]
    assert heads
    state = arrays[0].state
    given = [reference.Array(state, w, "float64") for _, w in heads]
    found = reference.sweep(state, [head for head, _ in heads], given, True, False)
    ours = sum(
        np.sum(g * ways[id(x)]) for x in arrays for leaf, g in found.values() if leaf is x.node
    )
    # Comparisons and roundings jump at values that are equal here: nothing flows there.
    if name in ("==", "!=", ">", ">=", "<", "<=", "sign", "floor", "ceil", "trunc", "where"):
        return
    assert abs(ours - slope) <= 1e-6 * (1 + abs(slope)), (ours, slope)


def is_variable(x):
    return x.on_tape and x.node.req != "null"


def as_list(made):
    return made if isinstance(made, list) else [made]


def failing(numbers):
    for number in numbers:
        program = generate(number)
        if program is None:
            continue
        try:
            check(program)
        except Failure as failure:
            return number, program, failure
    return None, None, None


class WrongSine(autograd.Function):
    """The sine with a gradient that is off by one in a million."""

    def forward(self, x):
        self.save_for_backward(x)
        return right_sine(x)

    def backward(self, dy):
        (x,) = self.saved_tensors
        return dy * nd.cos(x) * (1 + 1e-6)


right_sine = nd.sin


def wrong_sine(x, out=None):
    return right_sine(x, out=out) if out is not None else WrongSine()(x)


def test_an_error_of_one_in_a_million_is_found_and_shrunk(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(nd, "sin", wrong_sine)
        _, program, failure = failing(range(3000))
        assert failure.kind == "values"
        shortest, failure = shrink(program, failure.kind)
        text = write_test(shortest, failure)
        kinds = [statement[0] for statement in shortest.statements]
        # A variable, its sine, the sweep, and a look at the gradient.
        assert kinds[0] == "array"
        assert kinds[-1] in ("look", "look_grad")
        assert len(kinds) == 4, text
        assert "nd.sin(" in text
        test = run_text(text)
        with pytest.raises(AssertionError, match="Not equal to tolerance"):
            test()
    test()


def run_text(text):
    names: dict = {}
    exec(text, names)
    return names["test_program"]


@pytest.mark.filterwarnings("ignore::mxtape.base.StaleArrayWarning")
def test_what_the_program_needs_is_in_its_text():
    """Every kind of statement can be written, and runs as text as it does as a program."""
    seen = set()
    for number in range(400):
        program = generate(number)
        if program is None or program.precision == "float16":
            continue
        kinds = {statement[0] for statement in program.statements}
        if kinds <= seen:
            continue
        seen |= kinds
        before = nd.ones((1,))  # something that the text's own names do not touch
        last = Failure(len(program.statements) - 1, "values", "none")
        with np.errstate(all="ignore"):
            try:
                run_text(write_test(program, last))()
            finally:
                restore_threshold()
        assert before.asscalar() == 1
    assert seen >= {"array", "op", "view", "function", "assign", "inplace", "out", "backward"}
    assert seen >= {"grad", "attach", "grad_handle", "drop", "cast", "look", "look_grad"}


def restore_threshold():
    from mxtape._loader import core

    core.set_fusion_threshold(int(os.environ.get("MXTAPE_FUSE_ABOVE", "65536")))


def aborting(x, out=None):
    os.abort()


def test_a_program_that_ends_the_process_is_reported_and_shrunk(monkeypatch, capfd):
    monkeypatch.setattr(nd, "sin", aborting)
    number, program = next(
        (number, program)
        for number, program in ((n, generate(n)) for n in range(1000))
        if program and any(s[0] == "op" and s[3] == "sin" for s in program.statements)
    )
    assert signal_of(program) == 6
    shortest, failure = shrink(program, CRASH)
    assert [statement[0] for statement in shortest.statements] == ["array", "op"]
    assert failure.kind == CRASH
    counts = run_all(range(number, number + 1), float("inf"))
    assert (counts["programs"], counts["failed"]) == (1, 1)
    assert f"# ---- program {number}: {CRASH}: signal 6" in capfd.readouterr().out

"""Makes a failing program shorter, and writes it as a test."""

import faulthandler
import os

import numpy as np

from engine import Failure, check
from functions import FUNCTIONS
from generate import Program
from operators import OPERATORS
from programs import OUTSIDE, PAUSE, RECORD, TABLE, Reference, literal
from reference import Unsuitable

# The kind of failure of a program that ends the process.
CRASH = "the process ended"
# What a program without some of its statements may raise.
NOT_A_PROGRAM = (LookupError, ValueError, ArithmeticError, AttributeError, TypeError)


def failure_of(statements, waiting, kind):
    """(program, Failure) where these statements make a program that fails so, else None."""
    try:
        with np.errstate(all="ignore"):
            expected = Reference().run(statements)
    except (Unsuitable, *NOT_A_PROGRAM):
        return None
    program = Program(None, waiting, statements, expected)
    for values, _ in (e for e in expected if type(e) is tuple):
        if not np.isfinite(values).all():
            return None
    if kind == CRASH:
        number = signal_of(program)
        last = len(statements) - 1
        return None if number is None else (program, Failure(last, CRASH, f"signal {number}"))
    try:
        check(program)
    except Failure as failure:
        return (program, failure) if failure.kind == kind else None
    except NOT_A_PROGRAM:
        return None
    return None


def signal_of(program):
    """The signal that ends a process that runs the program, if one does."""
    child = os.fork()
    if not child:
        try:
            faulthandler.disable()
            check(program)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else None


def made_by(statement):
    kind, _, *rest = statement
    if kind in ("op", "function", "grad"):
        return rest[0]
    return (rest[0],) if kind in ("array", "cast", "view", "grad_handle") else ()


def read_by(statement):
    kind, _, *rest = statement
    if kind in ("op", "function"):
        return list(rest[2])
    if kind in ("cast", "view", "grad_handle"):
        return [rest[1]]
    if kind in ("attach", "drop", "look", "look_grad"):
        return [rest[0]]
    if kind == "backward":
        return rest[0] + [i for i in rest[1] or () if i is not None]
    if kind == "grad":
        return rest[1] + rest[2] + [i for i in rest[3] or () if i is not None]
    if kind in ("assign", "inplace"):
        return [rest[0]] + ([rest[2]] if type(rest[2]) is int else [])
    return [rest[0], *rest[2]] if kind == "out" else []


def without(statements, at):
    """The program without some statements, and without what needs their arrays."""
    gone, kept = set(), []
    for i, statement in enumerate(statements):
        if i in at or any(slot in gone for slot in read_by(statement)):
            gone.update(made_by(statement))
        else:
            kept.append(statement)
    return kept


# Where the numbers of arrays are that a statement reads.
READS = {"op": [2], "function": [2], "cast": [1], "view": [1], "backward": [0, 1]}
READS |= {"grad": [1, 2, 3], "inplace": [0, 2], "out": [0, 2], "assign": [0, 2], "look": [0]}


def replaced(statement, old, new):
    """The statement with one array instead of another."""

    def swap(item):
        if type(item) is int and item == old:
            return new
        return type(item)(map(swap, item)) if type(item) in (tuple, list) else item

    kind, mode, *rest = statement
    for i in READS.get(kind, ()):
        rest[i] = swap(rest[i])
    return (kind, mode, *rest)


def simpler(statement):
    """Statements that could stand in for this one."""
    kind, mode, *rest = statement
    if mode == PAUSE:
        yield (kind, RECORD, *rest)
    if kind == "array":
        out, shape, dtype, offset, sign, req = rest
        for at, n in enumerate(shape):
            if n > 1:
                yield (kind, mode, out, (*shape[:at], 1, *shape[at + 1 :]), *rest[2:])
        if shape:
            yield (kind, mode, out, shape[1:], *rest[2:])
        if req == "add":
            yield (kind, mode, *rest[:5], "write")
        if req is not None:
            yield (kind, mode, *rest[:5], None)
        if dtype != "float64":
            yield (kind, mode, out, shape, "float64", *rest[3:])
        if offset > 20:
            for new in range(3):
                yield (kind, mode, out, shape, dtype, new, sign, req)
    elif kind == "op":
        outs, name, ins, _ = rest
        if name not in ("sin", "x*x", "sum", "*"):
            for other in ("sin", "x*x"):
                yield (kind, mode, outs[:1], other, ins[:1], ())
            if len(ins) == 2:
                yield (kind, mode, outs[:1], "*", ins, ())
    elif kind in ("backward", "grad"):
        heads = rest[0] if kind == "backward" else rest[1]
        at = 0 if kind == "backward" else 1
        given = 1 if kind == "backward" else 3
        if rest[given]:
            yield (kind, mode, *rest[:given], None, *rest[given + 1 :])
        for i in range(len(heads) if len(heads) > 1 else 0):
            changed = list(rest)
            changed[at] = heads[:i] + heads[i + 1 :]
            changed[given] = rest[given] and rest[given][:i] + rest[given][i + 1 :]
            yield (kind, mode, *changed)
        if kind == "grad" and len(rest[2]) > 1:
            for i in range(len(rest[2])):
                yield (kind, mode, (rest[0][i],), rest[1], [rest[2][i]], *rest[3:])


def shrink(program, kind):
    """(program, Failure): the shortest program that was found, or None if it does not fail."""
    found = failure_of(program.statements, program.waiting, kind)
    if found is None:
        return None
    progress = True
    while progress:
        progress = False
        for statements, waiting in candidates(found[0], found[1]):
            better = failure_of(statements, waiting, kind)
            if better is not None:
                found, progress = better, True
                break
    return found


def reshaped(shapes):
    """Functions that make all shapes simpler alike."""
    for extent in sorted({n for shape in shapes for n in shape} - {1}):
        yield lambda shape, extent=extent: tuple(1 if n == extent else n for n in shape)
    longest = max(map(len, shapes), default=0)
    if longest > 0:
        yield lambda shape: shape[1:] if len(shape) == longest else shape
        yield lambda shape: shape[:-1]


def candidates(program, failure):
    """Programs that are a little simpler."""
    statements, waiting = program.statements, program.waiting
    count = len(statements)
    if failure.at + 1 < count:
        yield statements[: failure.at + 1], waiting
    if waiting:
        yield statements, False
    size = count // 2
    while size:
        for start in range(0, count, size):
            kept = without(statements, range(start, min(start + size, count)))
            if kept:
                yield kept, waiting
        size //= 2
    # A call's result is replaced by one of its inputs, or by any other array.
    for i, statement in enumerate(statements):
        made = made_by(statement)
        if len(made) == 1 and statement[0] != "array":
            for slot in dict.fromkeys(read_by(statement)):
                rest = [replaced(s, made[0], slot) for s in statements[i + 1 :]]
                yield statements[:i] + rest, waiting
    for shape in reshaped({s[3] for s in statements if s[0] == "array"}):
        yield [(*s[:3], shape(s[3]), *s[4:]) if s[0] == "array" else s for s in statements], waiting
    arrays = [s[2] for s in statements if s[0] == "array"]
    for slot in arrays[1:]:
        rest = [replaced(s, slot, arrays[0]) for s in statements]
        yield without(rest, [i for i, s in enumerate(rest) if made_by(s) == (slot,)]), waiting
    for i, statement in enumerate(statements):
        for other in simpler(statement):
            yield [*statements[:i], other, *statements[i + 1 :]], waiting


# ---- the program as a test


def write_values(values, dtype):
    text = np.array2string(values, separator=", ", floatmode="unique", threshold=10**6)
    return text.replace("\n", "").replace("  ", " ")


def write_array(shape, dtype, offset, kind):
    values = literal(shape, offset, kind)
    if np.size(values) <= 40:
        return f"nd.array({np.asarray(values).tolist()}, dtype={dtype!r})"
    n = np.size(values)
    text = f"TABLE[{offset}:{offset + n}].reshape({shape})"
    return f"nd.array({f'np.abs({text}) + 0.25' if kind == 'positive' else text}, dtype={dtype!r})"


def names(slots):
    return "[" + ", ".join("None" if i is None else f"v{i}" for i in slots) + "]"


def write_key(key):
    if isinstance(key, tuple):
        return ", ".join(map(write_key, key))
    if isinstance(key, slice):
        return ":".join("" if i is None else str(i) for i in (key.start, key.stop))
    return str(key)


def write_statement(statement):
    kind, _, *rest = statement
    if kind == "array":
        out, shape, dtype, offset, sign, req = rest
        lines = [f"v{out} = {write_array(shape, dtype, offset, sign)}"]
        return lines + ([f"v{out}.attach_grad({req!r})"] if req else [])
    if kind == "attach":
        return [f"v{rest[0]}.attach_grad({rest[1]!r})"]
    if kind == "op":
        outs, name, ins, others = rest
        call = OPERATORS[name].write([f"v{i}" for i in ins], others)
        return [f"{', '.join(f'v{i}' for i in outs)} = {call}"]
    if kind == "function":
        outs, name, ins = rest
        arguments = ", ".join(f"v{i}" for i in ins)
        return [f"{', '.join(f'v{i}' for i in outs)} = {name}()({arguments})"]
    if kind == "cast":
        return [f"v{rest[0]} = v{rest[1]}.astype({rest[2]!r})"]
    if kind == "view":
        out, x, how, argument = rest
        call = {"detach": ".detach()", "all": "[:]", "reshape": f".reshape({argument})"}.get(how)
        return [f"v{out} = v{x}{call or f'[{write_key(argument)}]'}"]
    if kind == "grad_handle":
        return [f"v{rest[0]} = v{rest[1]}.grad"]
    if kind == "drop":
        return [f"del v{rest[0]}"]
    if kind in ("assign", "inplace"):
        target, how, source = rest
        source = source if isinstance(source, float) else f"v{source}"
        if kind == "inplace":
            return [f"v{target} {how}= {source}"]
        key = f"{how[0]}:{how[1]}" if how else ":"
        return [f"v{target}[{key}] = {source}"]
    if kind == "out":
        target, name, ins, _ = rest
        return [f"nd.{name}({', '.join(f'v{i}' for i in ins)}, out=v{target})"]
    if kind == "backward":
        heads, given, retain = rest
        given = "None" if given is None else names(given)
        return [f"autograd.backward({names(heads)}, {given}, retain_graph={retain})"]
    outs, heads, variables, given, retain, create = rest
    given = "None" if given is None else names(given)
    return [
        f"{names(outs)} = autograd.grad({names(heads)}, {names(variables)}, {given}, "
        f"retain_graph={retain}, create_graph={create})"
    ]


def write_test(program, failure):
    """Text that fails as the program does: to be put into a file and run by pytest."""
    statements = program.statements[: failure.at + 1]
    used = [s[3] for s in statements if s[0] == "function"]
    lines = ["import numpy as np", "import pytest", ""]
    lines += ["import mxtape as mx", "from mxtape import autograd, nd"]
    if program.waiting or failure.kind == "false alarm":
        lines += ["from mxtape._loader import core"]
    if any(s[0] == "array" and np.prod(s[3]) > 40 for s in statements):
        lines += ["", "TABLE = np.random.RandomState(0).randint(-128, 129, 300007) / 64"]
        assert len(TABLE) == 300007
    for name in dict.fromkeys(used):
        lines += ["", "", FUNCTIONS[name][0].rstrip()]
    lines += ["", "", "def test_program():", f"    # {failure.what}"]
    if program.waiting:
        lines += ["    core.set_fusion_threshold(1)"]
    if failure.kind == "false alarm":
        lines += ['    core.set_stale_mode("error")']
    mode, allowed = OUTSIDE, "rtol=1e-3" if program.precision != "float64" else "rtol=1e-8"
    scopes = {OUTSIDE: [], RECORD: ["with autograd.record():"]}
    scopes[PAUSE] = [*scopes[RECORD], "with autograd.pause():"]
    for at, (statement, expected) in enumerate(zip(statements, program.expected)):
        text = []
        if type(expected) is tuple:
            grad = ".grad" if statement[0] == "look_grad" else ""
            values, dtype = expected
            shown = f"v{statement[2]}{grad}.asnumpy()"
            if at == failure.at:
                text = [f"right = np.array({np.asarray(values).tolist()}, {dtype!r})"]
                text += [f"np.testing.assert_allclose({shown}, right, {allowed}, atol=1e-12)"]
            else:
                text = [shown]
        elif statement[0] in ("look", "look_grad"):
            text = [f"v{statement[2]}{'.grad' if statement[0] == 'look_grad' else ''}.asnumpy()"]
        elif expected == "error":
            text = ["with pytest.raises(mx.MXNetError):"]
            text += ["    " + line for line in write_statement(statement)]
        else:
            text = write_statement(statement)
        if statement[1] != mode:
            mode = statement[1]
            lines += ["    " * (1 + depth) + line for depth, line in enumerate(scopes[mode])]
        lines += ["    " * (1 + len(scopes[mode])) + line for line in text]
    return "\n".join(lines) + "\n"

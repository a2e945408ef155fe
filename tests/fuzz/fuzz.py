#!/usr/bin/env python3
"""Random programs, run by mxtape and by a reference over NumPy, for some time.

    python tests/fuzz/fuzz.py --seconds 600 --seed 1 --processes 2

Program `i` is the same in every run. What fails is made as short as possible and printed as a
test. The exit status is 1 where something failed.
"""

import argparse
import gc
import json
import os
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from engine import Failure, check
from generate import generate
from shrink import CRASH, shrink, signal_of, write_test

# A seed of the command line has this many programs.
SPAN = 10**9
REPORTED = 20


def in_child(function, *arguments):
    """Starts a function in a process of its own: its number, and a pipe with what it returns."""
    sys.stdout.flush()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(read)
            os.write(write, json.dumps(function(*arguments)).encode())
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    os.close(write)
    return child, os.fdopen(read, "rb")


def run_programs(numbers, end, note):
    """Runs programs until `end`, and keeps note of the one that it is at."""
    counts, kinds = Counter(), Counter()
    # Programs leave no cycles behind that matter: to look for them costs a tenth of the time.
    gc.disable()
    for number in numbers:
        if counts["programs"] % 2000 == 0:
            gc.collect()
        if time.monotonic() > end:
            break
        os.pwrite(note, b"%020d" % number, 0)
        program = generate(number)
        if program is None:
            counts["abandoned"] += 1
            continue
        counts["programs"] += 1
        counts["statements"] += len(program.statements)
        try:
            counts["judged"] += check(program)
        except Failure as failure:
            counts["failed"] += 1
            report(number, program, failure, kinds)
    return counts


def report(number, program, failure, kinds):
    statement = program.statements[min(failure.at, len(program.statements) - 1)]
    kinds[failure.kind, statement[0]] += 1
    if sum(kinds.values()) > REPORTED:
        return
    found = shrink(program, failure.kind)
    text = write_test(*found) if found else f"# does not fail again: {failure}\n"
    print(f"# ---- program {number}: {failure.what}\n{text}", flush=True)


def run_all(numbers, end):
    """As `run_programs`, in a child, which is at a program's mercy and is followed by another."""
    note, total = os.memfd_create("program"), Counter()
    while True:
        child, pipe = in_child(run_programs, numbers, end, note)
        text = pipe.read()
        _, status = os.waitpid(child, 0)
        if text:
            return total + Counter(json.loads(text))
        number = int(os.pread(note, 20, 0))
        total["failed"] += 1
        total["programs"] += 1 + numbers.index(number)
        program = generate(number)
        signal = signal_of(program)
        failure = Failure(len(program.statements) - 1, CRASH, f"signal {signal}, status {status}")
        report(number, program, failure, Counter())
        numbers = numbers[numbers.index(number) + 1 :]
        if total["failed"] > REPORTED:
            return total


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--count", type=int, default=10**8, help="programs of a process")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first program")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    if "OMP_NUM_THREADS" not in os.environ:
        # Small programs: the processes are the parallelism.
        os.environ["OMP_NUM_THREADS"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.argv])
    start, first = time.monotonic(), options.seed * SPAN + options.first
    children = []
    for i in range(options.processes):
        numbers = range(first + i, first + options.count * options.processes, options.processes)
        children.append(in_child(run_all, numbers, start + options.seconds))
    total, lost = Counter(), False
    for child, pipe in children:
        text = pipe.read()
        lost = os.waitpid(child, 0)[1] != 0 or lost
        total += Counter(json.loads(text or "{}"))
    print(
        f"{total['programs']} programs of {total['statements']} statements in "
        f"{time.monotonic() - start:.0f} s; {total['abandoned']} abandoned, {total['judged']} "
        f"judged for rounding, {total['failed']} failed"
    )
    return 1 if lost or total["failed"] or not total["programs"] else 0


if __name__ == "__main__":
    sys.exit(main())

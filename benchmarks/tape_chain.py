"""What a long tape costs: a chain of N recorded multiplications of one-element arrays.

    python benchmarks/tape_chain.py --torch-python /path/to/python

For each N it measures the nanoseconds per node to record, to run backward and to free the tape,
and the memory that a node takes. Each measurement has a process of its own, so that a peer which
overflows its stack takes nothing else down.

Two chains:
  scalar  y = y * 0.999...    backward needs only the number, so no array has to be kept
  array   y = y * w           backward needs both inputs, so the tape keeps every intermediate y

Memory is the growth of the resident set from before recording to after it, divided by N. What
the arrays take by themselves is measured the same way, by holding N unrecorded results of the same
multiplication, and subtracted for `array`. That share includes each result's Python object, so what
is left for the node is a lower bound there; for `scalar` nothing is subtracted.
"""

import argparse
import gc
import json
import os
import sys
import time

from peers import (
    LIBRARIES,
    Worker,
    WorkerFailed,
    add_peer_arguments,
    chosen,
    machine,
    print_table,
    serve,
)

FACTOR = 1 - 2.0**-20  # a product of a million of these is still far from 0


def resident_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Chain:
    """Records, differentiates and frees chains with one library."""

    def __init__(self, name, kind):
        self.library = LIBRARIES[name]()
        self.x = self.library.variable([2.0])
        self.factor = FACTOR if kind == "scalar" else self.library.variable([FACTOR])
        # Threads start and caches fill before anything is measured; a variable of its own, because
        # PyTorch would add this gradient to the measured one.
        warm_up = self.library.variable([2.0])
        with self.library.record():
            y = warm_up * self.factor
        y.backward()
        self.library.sync()

    def record(self, length):
        with self.library.record():
            y, factor = self.x, self.factor
            for _ in range(length):
                y = y * factor
        self.library.sync()
        return y

    def hold_arrays(self, length):
        """Return the bytes per array of `length` unrecorded results held at once."""
        held = [None] * length  # the slots exist before the first reading
        before = resident_bytes()
        with self.library.no_record():
            for i in range(length):
                held[i] = self.x * self.factor
        self.library.sync()
        return (resident_bytes() - before) / length

    def measure(self, length):
        gc.collect()
        gc.disable()
        before = resident_bytes()

        began = time.perf_counter()
        y = self.record(length)
        recorded = time.perf_counter()
        tape_bytes = resident_bytes() - before
        y.backward()
        self.library.sync()
        del y
        swept = time.perf_counter()

        y = self.record(length)  # again, to free a tape that backward has not already taken apart
        drop_began = time.perf_counter()
        del y
        dropped = time.perf_counter()

        gradient, must_be = float(self.library.gradient(self.x)[0]), FACTOR**length
        if abs(gradient - must_be) > 1e-2 * must_be:
            raise ArithmeticError(f"the gradient is {gradient}, not {must_be}")
        return {
            "version": self.library.version,
            "forward_ns": 1e9 * (recorded - began) / length,
            "backward_ns": 1e9 * (swept - recorded) / length,
            "free_ns": 1e9 * (dropped - drop_began) / length,
            "tape_bytes": tape_bytes / length,
        }


def make_answer(name):
    def answer(kind, length, what):
        chain = Chain(name, kind)
        if what == "arrays":
            return {"array_bytes": chain.hold_arrays(length)}
        return chain.measure(length)

    return answer


def ask_once(name, python, limit, **request):
    worker = Worker(__file__, name, python)
    try:
        return worker.ask(limit=limit, **request)
    finally:
        worker.stop()


def measure_library(name, python, kind, lengths, limit):
    """Return a result per length, each with an "error" where there is none."""
    results = []
    for length in lengths:
        result = {"library": name, "kind": kind, "length": length}
        try:
            result.update(ask_once(name, python, limit, kind=kind, length=length, what="tape"))
            if kind == "array":
                result.update(
                    ask_once(name, python, limit, kind=kind, length=length, what="arrays")
                )
            else:
                result["array_bytes"] = 0.0
        except WorkerFailed as failure:
            result["error"] = str(failure)
        results.append(result)
    return results


def report(results):
    rows = []
    for r in results:
        start = [f"{r['library']} {r['kind']}", f"{r['length']:,}"]
        if "error" in r:
            rows.append([*start, "-", "-", "-", "-", "-", "-", r["error"]])
            continue
        total = sum(r[k] for k in ("forward_ns", "backward_ns", "free_ns"))
        rows.append(
            [
                *start,
                *(f"{r[k]:.0f}" for k in ("forward_ns", "backward_ns", "free_ns")),
                *(
                    f"{b:.0f}"
                    for b in (r["tape_bytes"], r["array_bytes"], r["tape_bytes"] - r["array_bytes"])
                ),
                f"{total / first_total(results, r):.2f}",
            ]
        )
    print_table(
        [
            "per node",
            "N",
            "record ns",
            "backward ns",
            "free ns",
            "bytes",
            "arrays' share",
            "node's own",
            "time per node / at first N",
        ],
        rows,
    )


def first_total(results, like):
    """Return the time per node of the shortest chain that worked, in the same series as `like`."""
    for r in results:
        if (r["library"], r["kind"]) == (like["library"], like["kind"]) and "error" not in r:
            return sum(r[k] for k in ("forward_ns", "backward_ns", "free_ns"))
    raise AssertionError("`like` itself is such a chain")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--lengths",
        type=int,
        nargs="+",
        default=[10**4, 10**5, 10**6],
        help="nodes in the chain (10000 100000 1000000)",
    )
    parser.add_argument(
        "--kinds",
        nargs="+",
        choices=["scalar", "array"],
        default=["scalar", "array"],
        help="chains to measure (both)",
    )
    parser.add_argument("--limit", type=int, default=300, help="seconds for each chain (300)")
    add_peer_arguments(parser)
    arguments = parser.parse_args()
    if arguments.worker:
        serve(make_answer(arguments.worker))
        return 0
    if min(arguments.lengths) < 1:
        parser.error(f"--lengths must be at least 1, not {min(arguments.lengths)}")
    if not os.path.exists("/proc/self/statm"):
        parser.error("the resident set is read from /proc, which this system does not have")

    pythons = chosen(arguments)
    print(machine())
    results = []
    for kind in arguments.kinds:
        for name, python in pythons.items():
            results += measure_library(name, python, kind, arguments.lengths, arguments.limit)
    report(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    return 1 if any("error" in r and r["library"] == "mxtape" for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())

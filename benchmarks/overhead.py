"""What one small operation costs: nanoseconds per `a * b` on 4-element float32 arrays.

    python benchmarks/overhead.py --torch-python /path/to/python

The arithmetic itself is a few nanoseconds; everything else is the way from Python into the library
and back, and, when recorded, the tape. The same process also times a call of an empty Python
function, which is what the interpreter itself takes. Libraries take turns, round by round, so that
a slow moment of the machine hits them all; each figure is the median over the rounds.
With --check the exit status is 1 when mxtape is above its budget.
"""

import argparse
import json
import platform
import statistics
import sys
import timeit

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

SERIES = ("empty call", "unrecorded", "recorded")
BUDGET_NS = {"unrecorded": 250, "recorded": 400}
BUDGET_OF_TORCH = 0.5


def nanoseconds(statement, names, sync, target=0.02):
    """Return ns per run of `statement`. timeit turns the garbage collector off meanwhile."""
    timer = timeit.Timer(statement, globals=names)
    runs = 1000
    while True:
        began = timeit.default_timer()
        timer.timeit(runs)
        sync()  # an asynchronous library must not owe the work that it is timed for
        seconds = timeit.default_timer() - began
        if seconds >= target:
            return 1e9 * seconds / runs
        runs = int(runs * max(2, min(100, 1.2 * target / seconds)))


def make_measure(name):
    library = LIBRARIES[name]()

    def empty(x, y):
        pass

    names = {
        "a": library.variable([1.0, 2.0, 3.0, 4.0]),
        "b": library.variable([5.0, 6.0, 7.0, 8.0]),
        "empty": empty,
    }

    def measure(series):
        if series == "empty call":
            return nanoseconds("empty(a, b)", names, library.sync)
        with library.record() if series == "recorded" else library.no_record():
            return nanoseconds("a * b", names, library.sync)

    def answer(what):
        if what == "about":
            return {"version": library.version, "python": platform.python_version()}
        return measure(what)

    return answer


def run(pythons, rounds):
    """Return {library: {"version", "python", series: [ns of each round]}}."""
    workers, results = [], {}
    try:
        for name, python in pythons.items():
            worker = Worker(__file__, name, python)
            try:
                results[name] = {**worker.ask(what="about"), **{s: [] for s in SERIES}}
            except WorkerFailed as failure:
                raise SystemExit(f"{name} under {python}: {failure}") from None
            workers.append(worker)
        for _ in range(rounds):
            for series in SERIES:
                for worker in workers:
                    results[worker.library][series].append(worker.ask(what=series))
    finally:
        for worker in workers:
            worker.stop()
    return results


def report(results):
    medians = {
        name: {s: statistics.median(result[s]) for s in SERIES} for name, result in results.items()
    }
    rows = []
    for name, result in results.items():
        row = [f"{name} {result['version']}", result["python"]]
        row += [f"{medians[name][s]:.0f} ± {spread(result[s]):.0f}" for s in SERIES]
        row += [f"{medians[name][s] / medians[name]['empty call']:.1f}" for s in SERIES[1:]]
        row += [
            f"{medians[name][s] / medians['torch'][s]:.2f}" if "torch" in medians else "-"
            for s in SERIES[1:]
        ]
        rows.append(row)
    print_table(
        [
            "ns per call, median ± half the middle 50 %",
            "Python",
            *SERIES,
            "unrecorded/empty",
            "recorded/empty",
            "unrecorded/torch",
            "recorded/torch",
        ],
        rows,
    )
    return medians


def spread(values):
    """Return half the interquartile range."""
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4)
    return (high - low) / 2


def over_budget(medians):
    """Return a line for each budget that mxtape exceeds."""
    lines = []
    for series, budget in BUDGET_NS.items():
        cost = medians["mxtape"][series]
        if cost > budget:
            lines.append(f"{series} a * b: {cost:.0f} ns, the budget is {budget} ns")
        if "torch" in medians and cost > BUDGET_OF_TORCH * medians["torch"][series]:
            lines.append(
                f"{series} a * b: {cost / medians['torch'][series]:.2f} of PyTorch's "
                f"time, the budget is {BUDGET_OF_TORCH}"
            )
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25, help="turns per library (25)")
    parser.add_argument("--check", action="store_true", help="fail when above the budget")
    add_peer_arguments(parser)
    arguments = parser.parse_args()
    if arguments.worker:
        serve(make_measure(arguments.worker))
        return 0
    if arguments.rounds < 1:
        parser.error(f"--rounds must be at least 1, not {arguments.rounds}")
    if arguments.check and arguments.no_mxtape:
        parser.error("--check needs mxtape")

    pythons = chosen(arguments)
    print(machine())
    results = run(pythons, arguments.rounds)
    medians = report(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    complaints = over_budget(medians) if arguments.check else []
    print("\n".join(complaints), end="\n" if complaints else "")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())

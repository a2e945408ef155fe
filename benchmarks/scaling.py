"""Measure how cost grows: with the elements of an array, with the tape, and with threads.

    python benchmarks/scaling.py                    # all three: benchmarks/SCALING.md and its plots
    python benchmarks/scaling.py --only tape        # some: build/benchmarks/SCALING.md

mxtape is measured, and PyTorch for comparison where it can be had. Times are medians of one
process each, forward and backward. A line that bends upward is cost that grows faster than work.
"""

import argparse
import sys
from pathlib import Path

import charts
import libraries
import report
import runner
from workloads import STANDARD, operators

OPERATORS = tuple(operators.WORKLOADS)
CHAINS = ("chain", "chain_arrays")
# The heaviest of the standard workloads.
HEAVY = ("conv_block", "elementwise", "moments", "dot", "softmax_layernorm")
PARTS = ("elements", "tape", "threads")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--threads", type=int, help="most threads (2; for --only threads: all)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement (0.5)")
    parser.add_argument("--largest", type=int, help="elements or nodes (10^8, 10^6)")
    parser.add_argument("--small", action="store_true", help="the sizes of the tests for threads")
    parser.add_argument("--no-torch", action="store_true", help="measure mxtape alone")
    parser.add_argument("--output", type=Path, help="folder for the page and the plots")
    arguments = parser.parse_args()
    whole = set(arguments.only) == set(PARTS) and not arguments.small and not arguments.largest
    arguments.output = arguments.output or (runner.HERE if whole else runner.BUILD)
    return arguments


def powers(first, last):
    """Return the powers of ten from first to last."""
    sizes = [first]
    while sizes[-1] * 10 <= last:
        sizes.append(sizes[-1] * 10)
    return sizes


class Measurements:
    """Runs workers and keeps the reasons of those that failed."""

    def __init__(self, pythons, arguments):
        self.pythons, self.arguments = pythons, arguments
        self.failures = []

    def ask(self, name, library, threads, *options):
        """Return the worker's result, or None."""
        options = ("--seconds", self.arguments.seconds, *options)
        result = runner.run_worker(self.pythons[library], name, library, threads, options=options)
        what = " ".join(map(str, (name, library, f"{threads} threads", *options[2:])))
        if "value" not in result:
            self.failures.append(f"{what}: {result.get('error', result)}")
            print(self.failures[-1], flush=True)
            return None
        print(f"{what}: {result['value']:.4g} {result['unit']}", flush=True)
        return result

    def grow(self, names, size, sizes, threads):
        """Return {"library workload": [(size, ms)]}."""
        series = {}
        for library in self.pythons:
            for name in names:
                points = []
                for value in sizes:
                    setting = f"{size}={value}"
                    result = self.ask(name, library, threads, "--no-check", "--set", setting)
                    if result is None:
                        break  # what is larger would fail as well
                    points.append((value, result["value"]))
                if points:
                    series[f"{library} {name.replace('operator_', '')}"] = points
        return series

    def by_threads(self, names, counts):
        """Return {workload: {threads: ms}}."""
        small = ("--small",) if self.arguments.small else ()
        series = {name: {} for name in names}
        for name in names:
            for count in counts:
                result = self.ask(name, "mxtape", count, *small)
                if result:
                    series[name][count] = result["value"]
        return series


def thread_counts(most):
    """Return 1, 2, 4 and so on, and `most` itself."""
    counts = [1]
    while counts[-1] * 2 < most:
        counts.append(counts[-1] * 2)
    return counts if most == 1 else [*counts, most]


def per_unit_table(series, unit):
    """Return the nanoseconds per element or node of each measurement."""
    sizes = sorted({size for points in series.values() for size, _ in points})
    rows = []
    for name, points in series.items():
        found = dict(points)
        rows.append(
            [name, *(report.number(1e6 * found[s] / s) if s in found else "–" for s in sizes)]
        )
    return report.table([f"ns per {unit}", *(f"{size:,}" for size in sizes)], rows)


def thread_table(series, counts):
    rows = []
    for name, times in series.items():
        row = [STANDARD[name].title]
        for count in counts:
            if count not in times or 1 not in times:
                row.append("–")
                continue
            efficiency = times[1] / (count * times[count])
            row.append(f"{report.number(times[count])} ({efficiency:.0%})")
        rows.append(row)
    return report.table(["ms (efficiency), threads:", *map(str, counts)], rows)


def main():
    arguments = parse()
    wanted = ["mxtape"] if arguments.no_torch else ["mxtape", "torch"]
    pythons, missing = runner.interpreters(wanted)
    threads = arguments.threads or min(2, libraries.processors())
    measurements = Measurements(pythons, arguments)
    arguments.output.mkdir(parents=True, exist_ok=True)
    where = f"{runner.processor()}, {libraries.processors()} processors"
    page = [
        "# How cost grows",
        f"Made by `make bench-scaling`: {where}; commit {runner.commit()}. Forward and backward, "
        f"float32; {threads} threads where nothing else is said. Every figure is the median of one "
        "process.",
    ]

    if "elements" in arguments.only:
        sizes = powers(10, arguments.largest or 10**8)
        series = measurements.grow(OPERATORS, "elements", sizes, threads)
        picture = charts.log_chart(
            "Time against elements", f"{where}, {threads} threads", "elements", "ms", series
        )
        (arguments.output / "scaling_elements.svg").write_text(picture, encoding="utf-8")
        page += [
            "## Elements",
            "![Time against elements](scaling_elements.svg)",
            per_unit_table(series, "element"),
        ]
    if "tape" in arguments.only:
        lengths = powers(100, arguments.largest or 10**6)
        series = measurements.grow(CHAINS, "length", lengths, threads)
        picture = charts.log_chart(
            "Time against the tape's length", where, "recorded operators", "ms", series
        )
        (arguments.output / "scaling_tape.svg").write_text(picture, encoding="utf-8")
        page += [
            "## Length of the tape",
            "![Time against the tape's length](scaling_tape.svg)",
            per_unit_table(series, "node"),
        ]
    if "threads" in arguments.only:
        counts = thread_counts(arguments.threads or libraries.processors())
        table = thread_table(measurements.by_threads(HEAVY, counts), counts)
        print(table)
        page += ["## Threads", "Efficiency: the time of one thread over n times that of n.", table]

    left_out = [f"{library}: {reason}" for library, reason in missing.items()]
    left_out += measurements.failures
    if left_out:
        page += ["## Left out", "\n".join(f"- {line}" for line in left_out)]
    (arguments.output / "SCALING.md").write_text("\n\n".join(page) + "\n", encoding="utf-8")
    print(f"written: {arguments.output / 'SCALING.md'}")
    return 1 if any(" mxtape " in line for line in measurements.failures) else 0


if __name__ == "__main__":
    sys.exit(main())

"""Measure the workloads in mxtape and in its peers, and write a table and a chart of them.

    python benchmarks/run.py                              # all of them: benchmarks/RESULTS.md
    python benchmarks/run.py --workloads mlp 'layer_*'    # some: build/benchmarks/RESULTS.md

Libraries take turns, round by round, each time in a process of its own and under the same number
of threads, so that a slow moment of the machine hits them all. Peers run both with the system's
usual memory allocation and with one that keeps what is freed: the better one counts. On a machine
with other work, rounds of several runs together (--add) say more than those of one.
"""

import argparse
import datetime
import fnmatch
import json
import os
import sys
import time
from pathlib import Path

import libraries
import report
import runner
from workloads import STANDARD, WORKLOADS
from workloads.declaration import Measurement

# Where a worker takes longer, one round is enough.
LONG_WORKER_SECONDS = 45


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", nargs="+", default=[], help="names, or patterns such as *")
    parser.add_argument("--libraries", nargs="+", choices=libraries.LIBRARIES)
    parser.add_argument("--threads", type=int, help="of each library (2, if there are so many)")
    parser.add_argument("--rounds", type=int, default=3, help="turns per library (3)")
    parser.add_argument("--seconds", type=float, default=1.5, help="of a turn (1.5)")
    parser.add_argument("--small", action="store_true", help="the sizes of the tests")
    parser.add_argument("--output", type=Path, help="folder for the table and the chart")
    parser.add_argument("--check", action="store_true", help="fail when a goal is missed")
    parser.add_argument(
        "--add",
        type=Path,
        nargs="+",
        default=[],
        metavar="RESULTS.JSON",
        help="earlier runs (build/benchmarks/results.json), whose rounds count too",
    )
    arguments = parser.parse_args()
    if arguments.rounds < (0 if arguments.add else 1):
        parser.error(f"--rounds must be at least 1, not {arguments.rounds}")
    arguments.threads = arguments.threads or min(2, libraries.processors())
    arguments.names = chosen(arguments.workloads, parser) if arguments.rounds else []
    whole = not arguments.workloads and not arguments.libraries and not arguments.small
    arguments.output = arguments.output or (runner.HERE if whole else runner.BUILD)
    arguments.libraries = (arguments.libraries or libraries.LIBRARIES) if arguments.rounds else []
    return arguments


def chosen(patterns, parser):
    """Return the names of workloads that the patterns mean."""
    names = [] if patterns else list(STANDARD)
    for pattern in patterns:
        found = fnmatch.filter(WORKLOADS, pattern)
        if not found:
            parser.error(f"no workload {pattern!r}; there are: {', '.join(WORKLOADS)}")
        names += [name for name in found if name not in names]
    return names


def variants(workload, pythons):
    """Return the (library, way to allocate) that a workload is run with."""
    pythons = [
        library
        for library in pythons
        if library not in libraries.GUESTS or not workload.why_absent(library)
    ]
    if isinstance(workload, Measurement):
        return [(library, runner.PLAIN) for library in pythons]
    return [
        (library, malloc)
        for library in pythons
        for malloc in ((runner.PLAIN,) if library == "mxtape" else runner.MALLOC)
        if library != "numpy"
    ]


def measure(name, pythons, arguments):
    """Return {(library, malloc): [a worker's result for each round]}."""
    options = ["--seconds", arguments.seconds, *(["--small"] if arguments.small else [])]
    workload = WORKLOADS[name]
    results = {variant: [] for variant in variants(workload, pythons)}
    if not isinstance(workload, Measurement):
        # Once and not by the first worker: its time is nobody's.
        case = runner.run_worker(
            sys.executable, name, "reference", arguments.threads, options=options
        )
        if "error" in case:
            raise SystemExit(f"{name}: the reference failed: {case['error']}")
    finished = set()
    for library, malloc in results:
        reason = workload.why_absent(library)
        if reason:
            results[library, malloc].append({"absent": reason})
            finished.add((library, malloc))
    for _ in range(1 if name == "installed_size" else arguments.rounds):
        for (library, malloc), results_so_far in results.items():
            if (library, malloc) in finished:
                continue
            began = time.monotonic()
            result = runner.run_worker(
                pythons[library], name, library, arguments.threads, malloc, options
            )
            results_so_far.append(result)
            seconds = time.monotonic() - began
            if "value" not in result or seconds > LONG_WORKER_SECONDS:
                finished.add((library, malloc))
            figure = f"{result['value']:.4g} {result['unit']}" if "value" in result else result
            beside = result.get("others", 0)
            note = f" (others had {beside:.0%})" if beside > report.DISTURBED else ""
            print(f"{name:18} {library:8} {malloc:8} {figure}{note}", flush=True)
    return results


def add_rounds(earlier, about, limits, results):
    """Put the rounds of an earlier run, as read from its results.json, before those of this one."""
    then = earlier["about"]
    for name in ("machine", "threads", "small"):
        if then[name] != about[name]:
            raise SystemExit(
                f"the earlier run was made with {name} {then[name]}: {about[name]} now"
            )
    about["rounds"] += then["rounds"]
    for name in ("commit", "when"):
        about[name] = ", ".join(dict.fromkeys([then[name], *([about[name]] if results else [])]))
    limits[:0] = earlier["limits"]
    for of_variant in earlier["results"]:
        variant = of_variant["library"], of_variant["malloc"]
        results.setdefault(of_variant["workload"], {}).setdefault(variant, [])[:0] = of_variant[
            "rounds"
        ]


def main():
    arguments = parse()
    pythons, missing = runner.interpreters(arguments.libraries)
    if "import_time" in arguments.names:
        pythons["numpy"] = runner.environments.interpreter("numpy")
    about = {
        "machine": f"{runner.processor()}, {libraries.processors()} processors",
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "commit": runner.commit(),
        "when": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "load": os.getloadavg()[0],
        "small": arguments.small,
    }
    print(f"{about['machine']}, load {about['load']:.2f}, {about['threads']} threads", flush=True)
    turns = 3 if arguments.names and not arguments.small else 0
    limits = [runner.machine_limits(arguments.threads) for _ in range(turns)]
    results = {}
    for name in arguments.names:
        results[name] = measure(name, pythons, arguments)
    limits += [runner.machine_limits(arguments.threads) for _ in range(turns)]

    for path in reversed(arguments.add):
        earlier = json.loads(path.read_text())
        add_rounds(earlier, about, limits, results)
        missing = {**earlier["missing"], **missing}

    figures = report.Figures(results, limits, missing)
    arguments.output.mkdir(parents=True, exist_ok=True)
    runner.BUILD.mkdir(parents=True, exist_ok=True)
    raw = [
        {"workload": name, "library": library, "malloc": malloc, "rounds": rounds}
        for name, by_variant in results.items()
        for (library, malloc), rounds in by_variant.items()
    ]
    everything = {"about": about, "limits": limits, "missing": missing, "results": raw}
    (runner.BUILD / "results.json").write_text(json.dumps(everything, indent=1) + "\n")
    report.write(arguments.output, figures, about)
    print(f"\n{report.goals_tables(figures)}\n\nwritten: {arguments.output / 'RESULTS.md'}")
    print(report.quiet(figures))

    complaints = figures.failures()
    if arguments.check:
        complaints += figures.missed()
    for line in complaints:
        print(line)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())

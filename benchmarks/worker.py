"""Run one workload with one library, in this process, and print what it took as a line of JSON.

    python benchmarks/worker.py mlp mxtape
    python benchmarks/worker.py chain torch --set length=10000
    python benchmarks/worker.py --list

Any interpreter that has the library will do. The library "reference" is the workload's NumPy
program: it writes inputs and right answers into build/benchmarks, where the other workers, which
must not hold its memory, find them. A time counts only when the answer is right.
"""

import argparse
import gc
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import libraries

HERE = Path(__file__).resolve().parent
CASES = HERE.parent / "build" / "benchmarks"
# A step that takes longer is not run again only to be warm.
LONG_STEP_SECONDS = 20
UNITS_PER_SECOND = {"ms": 1e3, "ns": 1e9}


class WrongAnswer(ArithmeticError):
    """The program's answer is not the reference's."""


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workload", nargs="?", help="its name")
    choices = (*libraries.LIBRARIES, "numpy", "reference")
    parser.add_argument("library", nargs="?", default="mxtape", choices=choices)
    parser.add_argument("--small", action="store_true", help="the sizes of the tests")
    parser.add_argument("--set", nargs="+", default=[], metavar="SIZE=N", help="other sizes")
    parser.add_argument("--seconds", type=float, default=1.5, help="how long to repeat (1.5)")
    parser.add_argument("--threads", type=int, default=libraries.processors())
    parser.add_argument("--no-check", action="store_true", help="do not compare the answer")
    parser.add_argument("--list", action="store_true", help="print the workloads' names")
    return parser, parser.parse_args(arguments)


def sizes_of(workload, arguments):
    """Return the sizes that the command line asks for."""
    sizes = dict(workload.small if arguments.small else workload.full)
    for setting in arguments.set:
        name, _, value = setting.partition("=")
        if name not in sizes:
            raise SystemExit(f"no size {name!r}; there are: {', '.join(sizes)}")
        sizes[name] = int(value) if value.lstrip("-").isdigit() else value
    return sizes


def case_path(name, sizes):
    """Return where inputs and answers of a workload lie; another after a change of its sources."""
    digest = hashlib.sha256(repr((name, sorted(sizes.items()))).encode())
    for source in sorted((HERE / "workloads").glob("*.py")):
        digest.update(source.read_bytes())
    return CASES / f"{name}-{digest.hexdigest()[:16]}.npz"


def write_case(path, workload, sizes):
    import numpy as np

    given = workload.inputs(sizes)
    answer = workload.reference(sizes, given)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}")
    with unfinished.open("wb") as file:
        np.savez(
            file,
            **{f"given_{k}": a for k, a in given.items()},
            **{f"right_{k}": np.asarray(a, "float32") for k, a in answer.items()},
        )
    unfinished.replace(path)


def read_case(path, kind):
    """Return the "given" or the "right" arrays of a case."""
    import numpy as np

    with np.load(path) as case:
        names = [name for name in case.files if name.startswith(kind)]
        return {name[len(kind) + 1 :]: case[name] for name in names}


def difference(answer, right):
    """Return the largest difference of the arrays by name, relative to the right one's norm."""
    import numpy as np

    if set(answer) != set(right):
        raise WrongAnswer(f"the answer has {sorted(answer)}, not {sorted(right)}")
    worst = 0.0
    for name, expected in right.items():
        given = np.asarray(answer[name], "float64")
        if given.size != expected.size:
            raise WrongAnswer(f"{name} has the shape {given.shape}, not {expected.shape}")
        off = np.linalg.norm(given.ravel() - expected.ravel().astype("float64"))
        norm = np.linalg.norm(expected.ravel().astype("float64"))
        if not off <= np.inf:  # NaN
            return np.inf
        worst = max(worst, off / norm if norm else off)
    return worst


def check(workload, make, path, last):
    """Raise WrongAnswer unless the program computes what the reference does. Return how near."""
    program = last
    if workload.check_after:
        program = make()
        for _ in range(workload.check_after):
            program.step()
    off = difference(program.answer(), read_case(path, "right"))
    if off > workload.tolerance:
        raise WrongAnswer(f"off by {off:.2g} of the right answer, {workload.tolerance:g} allowed")
    return float(off)


def repeat(step, seconds):
    """Return the seconds of each step, and whether the first is among them."""
    gc.collect()
    began = time.perf_counter()
    step()
    first = time.perf_counter() - began
    if first > LONG_STEP_SECONDS:
        return [first], True
    while time.perf_counter() - began < 0.2 * seconds:
        step()
    times, total = [], 0.0
    # A slow step is run three times; a very slow one twice.
    while total < seconds or len(times) < (3 if total < 3 * seconds else 1):
        before = time.perf_counter()
        step()
        times.append(time.perf_counter() - before)
        total += times[-1]
    return times, False


def processor_seconds():
    """Return the seconds that all processors have worked for anybody, and for this process."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    ticks = user + nice + system + irq + softirq + steal
    mine = os.times()
    return ticks / os.sysconf("SC_CLK_TCK"), mine.user + mine.system


def others_share(before, after, seconds):
    """Return how much of the machine other processes had between two readings."""
    all_of_it, mine = (late - early for early, late in zip(before, after))
    return max(0.0, all_of_it - mine) / (seconds * os.cpu_count())


def memory(field):
    """Return a line of /proc/self/status in bytes: VmRSS now, VmHWM its peak."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(field + ":"):
                return 1024 * int(line.split()[1])
    raise LookupError(field)


def forget_peak():
    """Let the peak of the resident set start again from now."""
    with open("/proc/self/clear_refs", "w") as clear:
        clear.write("5")


def measure(name, workload, arguments):
    """Return the figures of a program."""
    if arguments.library == "reference":
        sizes = sizes_of(workload, arguments)
        path = case_path(name, sizes)
        if not path.exists():
            write_case(path, workload, sizes)
        return {"case": str(path)}
    reason = workload.why_absent(arguments.library)
    if reason:
        return {"absent": reason}
    module, version = libraries.load(arguments.library, arguments.threads)
    imported = memory("VmRSS")

    sizes = sizes_of(workload, arguments)
    path = case_path(name, sizes)
    if arguments.no_check:
        given = workload.inputs(sizes)
    else:
        if not path.exists():
            command = [sys.executable, __file__, *sys.argv[1:]]
            command[command.index(arguments.library, 2)] = "reference"
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        given = read_case(path, "given")

    def make():
        return workload.program_for(arguments.library)(module, sizes, given)

    program = make()
    ready = memory("VmRSS")
    forget_peak()
    before, began = processor_seconds(), time.perf_counter()
    times, cold = repeat(program.step, arguments.seconds)
    others = others_share(before, processor_seconds(), time.perf_counter() - began)
    peak = memory("VmHWM")
    off = None if arguments.no_check else check(workload, make, path, program)

    median = statistics.median(times) / workload.repeats
    result = {
        "version": version,
        "python": platform.python_version(),
        "value": UNITS_PER_SECOND[workload.unit] * median,
        "unit": workload.unit,
        "least": UNITS_PER_SECOND[workload.unit] * min(times) / workload.repeats,
        "steps": len(times),
        "cold": cold,
        "off": off,
        "others": others,
        "rss_imported": imported,
        "rss_ready": ready,
        "rss_peak": peak,
    }
    result[workload.unit] = result["value"]
    if workload.memory_per:
        result[f"bytes_per_{workload.memory_per}"] = (peak - ready) / sizes[workload.memory_per]
    if workload.flop:
        result["gflops"] = workload.flop(sizes) / median / 1e9
    return result


def main():
    parser, arguments = parse(sys.argv[1:])
    # Before anything is loaded that reads them. What the caller has set stays.
    for name, value in libraries.thread_environment(arguments.threads).items():
        os.environ.setdefault(name, value)
    libraries.set_affinity(arguments.threads)
    from workloads import WORKLOADS
    from workloads.declaration import Measurement

    if arguments.list:
        print("\n".join(f"{name:20} {w.title}" for name, w in WORKLOADS.items()))
        return 0
    if arguments.workload not in WORKLOADS:
        parser.error(f"no workload {arguments.workload!r}; --list names them")
    workload = WORKLOADS[arguments.workload]
    try:
        if isinstance(workload, Measurement):
            reason = workload.why_absent(arguments.library)
            if reason:
                result = {"absent": reason}
            else:
                result = {"unit": workload.unit, **workload.measure(arguments.library)}
                if "seconds" in result:
                    result["value"] = 1e3 * statistics.median(result.pop("seconds"))
        else:
            result = measure(arguments.workload, workload, arguments)
    except WrongAnswer as wrong:
        result = {"error": f"wrong answer: {wrong}"}
    print(json.dumps(result))
    return 1 if "error" in result else 0


if __name__ == "__main__":
    sys.exit(main())

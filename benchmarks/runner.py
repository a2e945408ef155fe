"""Runs workers: one workload with one library, in a process of its own, under fixed threads."""

import json
import os
import platform
import signal
import subprocess
from pathlib import Path

import environments
import libraries

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "build" / "benchmarks"
MACHINE_PROGRAM = ROOT / "build" / "dev" / "benchmarks" / "micro" / "mxtape_machine"

# How memory is got. With the second glibc keeps what is freed, which spares a library that frees
# and allocates large arrays the system's fresh pages. mxtape has a pool and is run plain.
PLAIN, KEEPING = "plain", "keeping"
MALLOC = {
    PLAIN: {},
    KEEPING: {
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": "100000000000",
        "MALLOC_TOP_PAD_": "500000000",
    },
}
LIMIT_SECONDS = 900


def environment(threads, malloc=PLAIN):
    """Return this process's environment with all that decides on threads and memory replaced."""
    ours = {**libraries.thread_environment(threads), **MALLOC[malloc]}
    dropped = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "MALLOC_", "XLA_", "MXTAPE_", "MXNET_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    return {**kept, **ours}


def run_worker(python, workload, library, threads, malloc=PLAIN, options=()):
    """Return what the worker printed, or {"error": why there is nothing}."""
    worker = HERE / "worker.py"
    command = [python, "-W", "ignore", worker, workload, library, "--threads", threads, *options]
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment(threads, malloc),
    )
    try:
        printed, errors = process.communicate(timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return {"error": f"no answer within {LIMIT_SECONDS} s"}
    if process.returncode < 0:
        return {"error": f"killed by {signal.Signals(-process.returncode).name}"}
    try:
        return json.loads(environments.last_line(printed))
    except json.JSONDecodeError:
        return {"error": environments.last_line(errors)}


def interpreters(wanted):
    """Return ({library: its Python}, {library: why it has none})."""
    pythons, missing = {}, {}
    for library in wanted:
        try:
            pythons[library] = environments.interpreter(library)
        except environments.NoEnvironment as failure:
            missing[library] = f"could not be installed: {failure}"
            print(f"{library} is left out: {missing[library]}", flush=True)
    return pythons, missing


def machine_limits(threads):
    """Return {"gflops", "copy_gbs"}: the processor's peaks, or {} where they are not built."""
    if not MACHINE_PROGRAM.exists():
        return {}
    done = subprocess.run(
        [MACHINE_PROGRAM], stdout=subprocess.PIPE, check=True, env=environment(threads)
    )
    return json.loads(done.stdout)


def processor():
    """Return the processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit():
    """Return the commit that is measured, marked where files differ from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return "unknown"
    return done.stdout.decode().strip() or "unknown"

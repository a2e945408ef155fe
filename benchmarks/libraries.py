"""The libraries that the benchmarks compare: how to start one inside a worker's process."""

import importlib
import os
from pathlib import Path

# In the order of the report; mxtape's is the time that others are compared with.
LIBRARIES = ("mxtape", "mxnet", "torch", "jax", "autograd", "scipy")
# Those that take part only where a workload has a program for them.
GUESTS = ("scipy",)

# Read by OpenMP (MXNet, PyTorch, mxtape), MKL and OpenBLAS (NumPy, MXNet).
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def thread_environment(threads):
    """Return the environment variables that make any of the libraries use so many threads."""
    variables = {name: str(threads) for name in THREAD_VARIABLES}
    # XLA takes as many threads as it sees processors (set_affinity), and is told here as well.
    one = "false" if threads == 1 else "true"
    variables["NPROC"] = str(threads)
    variables["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={one}"
    return variables


def rank_on_core(processor):
    """Return 0 for the first processor of its core, 1 for the second."""
    topology = Path(f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list")
    try:
        siblings = topology.read_text().strip().replace("-", ",").split(",")
    except OSError:
        return 0
    return siblings.index(str(processor)) if str(processor) in siblings else 0


def set_affinity(threads):
    """Keep this process to `threads` of its processors, for libraries that go by their number."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0), key=lambda cpu: (rank_on_core(cpu), cpu))
        os.sched_setaffinity(0, allowed[:threads])


def processors():
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def load(library, threads):
    """Import `library` and return its module and version."""
    module = importlib.import_module(library)
    if library == "torch":
        module.set_num_threads(threads)
    if library == "autograd":
        importlib.import_module("autograd.numpy")
        return module, importlib.import_module("importlib.metadata").version(library)
    if library == "scipy":
        importlib.import_module("scipy.sparse")
    return module, module.__version__

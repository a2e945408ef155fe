"""What this build of mxtape was compiled with, and for which processor; its memory and threads.

The names of the features are those of MXNet 1.9.1's ``mx.runtime``, in its order; ``CPU_FMA``,
``CPU_AVX512`` and ``EIGEN`` are mxtape's own and come last.

>>> import mxtape as mx
>>> mx.runtime.Features().is_enabled("EIGEN")
True
"""

from __future__ import annotations

import operator
from collections import OrderedDict

from . import _loader
from ._build import BUILD_TYPE, ONEDNN_VERSION

# As in MXNet; memory and threads, which are mxtape's own, by name: mx.runtime.memory_stats().
__all__ = ["Feature", "Features", "feature_list"]

# A feature of the processor is in when the loaded core was compiled to use it.
_CPU_FEATURES = {
    "CPU_SSE3": "pni",
    "CPU_SSE4_1": "sse4_1",
    "CPU_SSE4_2": "sse4_2",
    "CPU_SSE4A": "sse4a",
    "CPU_AVX": "avx",
    "CPU_AVX2": "avx2",
    "F16C": "f16c",
    "CPU_FMA": "fma",
    "CPU_AVX512": "avx512f",
}

_ALWAYS_IN = frozenset(["OPENMP", "PROFILER", "CXX14", "INT64_TENSOR_SIZE", "EIGEN"])

# x86-64 itself has these.
_BASELINE = frozenset(["CPU_SSE", "CPU_SSE2", "SSE"])

_NAMES = (
    "CUDA",
    "CUDNN",
    "NCCL",
    "CUDA_RTC",
    "TENSORRT",
    "CPU_SSE",
    "CPU_SSE2",
    "CPU_SSE3",
    "CPU_SSE4_1",
    "CPU_SSE4_2",
    "CPU_SSE4A",
    "CPU_AVX",
    "CPU_AVX2",
    "OPENMP",
    "SSE",
    "F16C",
    "JEMALLOC",
    "BLAS_OPEN",
    "BLAS_ATLAS",
    "BLAS_MKL",
    "BLAS_APPLE",
    "LAPACK",
    "MKLDNN",
    "OPENCV",
    "CAFFE",
    "PROFILER",
    "DIST_KVSTORE",
    "CXX14",
    "INT64_TENSOR_SIZE",
    "SIGNAL_HANDLER",
    "DEBUG",
    "TVM_OP",
    "CPU_FMA",
    "CPU_AVX512",
    "EIGEN",
)


class Feature:
    """One named feature and whether it is in. Prints as a tick or a cross and the name.

    >>> import mxtape as mx
    >>> mx.runtime.Feature("OPENMP", True).enabled
    True
    """

    __slots__ = ("_enabled", "_name")

    def __init__(self, name: str, enabled: bool) -> None:
        self._name = name
        self._enabled = enabled

    @property
    def name(self) -> str:
        """The feature's name, in capitals."""
        return self._name

    @property
    def enabled(self) -> bool:
        """True when the loaded core has the feature."""
        return self._enabled

    def __repr__(self) -> str:
        return f"{'✔' if self.enabled else '✖'} {self.name}"


def _is_in(name: str) -> bool:
    needed = _loader.NEEDED_CPU_FLAGS[_loader.isa]
    if name in _CPU_FEATURES:
        return _CPU_FEATURES[name] in needed
    if name in _BASELINE:
        return "pni" in needed
    if name == "MKLDNN":  # what oneDNN was called when MXNet got its features
        return bool(ONEDNN_VERSION)
    if name == "DIST_KVSTORE":
        import importlib.util  # import mxtape does not wait for it

        return importlib.util.find_spec("mpi4py") is not None
    if name == "DEBUG":
        return BUILD_TYPE == "Debug"
    return name in _ALWAYS_IN


def feature_list() -> list[Feature]:
    """Lists every known feature, in or not.

    Returns:
        A list of `Feature`, in a fixed order.

    >>> import mxtape as mx
    >>> [f.name for f in mx.runtime.feature_list() if f.name.startswith("BLAS")]
    ['BLAS_OPEN', 'BLAS_ATLAS', 'BLAS_MKL', 'BLAS_APPLE']
    """
    return [Feature(name, _is_in(name)) for name in _NAMES]


class Features(OrderedDict[str, Feature]):
    """Every known feature by name: one dictionary for the whole process.

    >>> import mxtape as mx
    >>> mx.runtime.Features() is mx.runtime.Features()
    True
    >>> mx.runtime.Features()["CUDA"].enabled
    False
    """

    instance: Features | None = None

    def __new__(cls) -> Features:
        if cls.instance is None:
            cls.instance = super().__new__(cls)
            for feature in feature_list():
                OrderedDict.__setitem__(cls.instance, feature.name, feature)
        return cls.instance

    def __init__(self) -> None:
        # Filled where it is made: a second Features() must change nothing.
        super().__init__()

    def __repr__(self) -> str:
        return str(list(self.values()))

    def is_enabled(self, feature_name: str) -> bool:
        """Tells whether a feature is in. The name may be in lower case.

        Raises:
            RuntimeError: for a name that is not known, listing those that are.

        >>> import mxtape as mx
        >>> mx.runtime.Features().is_enabled("cuda")
        False
        """
        feature_name = feature_name.upper()
        if feature_name not in self:
            raise RuntimeError(
                f"Features.is_enabled: unknown feature {feature_name!r}; known are: {list(self)}"
            )
        return self[feature_name].enabled


def memory_stats() -> dict[str, int]:
    """Tells how much memory the arrays of the process hold, in bytes.

    Returns:
        A dictionary of

        - ``bytes_in_use``: what arrays hold, and what other threads keep for new small arrays;
        - ``bytes_cached``: what is kept for new arrays, up to 2 GiB; `empty_cache` gives it back;
        - ``bytes_reserved``: both together, what mxtape has from the system;
        - ``peak_bytes_reserved``: the most that ``bytes_reserved`` has been.

    An array takes its elements, 64 bytes, and up to a quarter more. The result of a large pointwise
    call counts from when it is computed. Memory that is shared with NumPy or through DLPack does
    not count.

    >>> import mxtape as mx
    >>> before = mx.runtime.memory_stats()["bytes_in_use"]
    >>> x = mx.nd.zeros((1000, 1000))
    >>> 4_000_000 <= mx.runtime.memory_stats()["bytes_in_use"] - before <= 5_000_000
    True
    """
    in_use, cached, peak = _loader.core.pool_stats()
    return {
        "bytes_in_use": in_use,
        "bytes_cached": cached,
        "bytes_reserved": in_use + cached,
        "peak_bytes_reserved": peak,
    }


def empty_cache() -> None:
    """Gives the memory that is kept for new arrays back to the system.

    mxtape does so by itself when the system has none left. What other threads keep for small
    arrays, up to 8 MiB each, stays.

    >>> import mxtape as mx
    >>> del_me = mx.nd.zeros((1000, 1000))
    >>> del del_me
    >>> mx.runtime.empty_cache()
    >>> mx.runtime.memory_stats()["bytes_cached"]
    0
    """
    _loader.core.pool_trim()


def set_num_threads(n: int) -> int:
    """Sets how many threads a large operator computes with, in the whole process.

    The default is ``OMP_NUM_THREADS``, else the processors that the process may run on. Results are
    the same for any number. More threads than processors are slower.

    Args:
        n: the number, 1 or more.

    Returns:
        The number before.

    Raises:
        TypeError: for what is not an integer.
        ValueError: for less than 1, or more than 1024.
        MXNetError: for more than 1 in a process made by ``fork()``: threads do not survive it.

    >>> import mxtape as mx
    >>> before = mx.runtime.set_num_threads(1)
    >>> mx.runtime.set_num_threads(before)
    1
    """
    if isinstance(n, bool):
        raise TypeError("set_num_threads: expected an integer, got a bool")
    number = operator.index(n)
    if not 1 <= number <= 1024:
        raise ValueError(f"set_num_threads: the number must be from 1 to 1024, got {number}")
    before: int = _loader.core.thread_count()
    _loader.core.set_thread_count(number)
    return before

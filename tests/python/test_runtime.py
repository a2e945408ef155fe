"""mx.runtime: names, order and printing as MXNet 1.9.1's; values as this build has them."""

import subprocess
import sys
from pathlib import Path

import pytest

import mxtape as mx
from mxtape import _build, _loader

# What mx.runtime.Features().keys() gave under MXNet 1.9.1.
MXNET_NAMES = [
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
]


def test_names_and_order():
    names = [feature.name for feature in mx.runtime.feature_list()]
    assert names[: len(MXNET_NAMES)] == MXNET_NAMES
    assert names[len(MXNET_NAMES) :] == ["CPU_FMA", "CPU_AVX512", "EIGEN"]
    assert list(mx.runtime.Features()) == names


def test_printing():
    features = mx.runtime.Features()
    assert repr(features["CUDA"]) == "✖ CUDA"
    assert str(features["OPENMP"]) == "✔ OPENMP"
    assert repr(features).startswith("[✖ CUDA, ✖ CUDNN, ")
    assert repr(features).endswith("✔ EIGEN]")


def test_is_enabled():
    features = mx.runtime.Features()
    assert features.is_enabled("openmp") is True
    assert features.is_enabled("CUDA") is False
    with pytest.raises(RuntimeError, match=r"'NOPE'; .*'CUDA', 'CUDNN'"):
        features.is_enabled("nope")


def test_one_dictionary_for_the_process():
    features = mx.runtime.Features()
    assert mx.runtime.Features() is features
    assert mx.runtime.Features.instance is features
    assert len(features) == len(mx.runtime.feature_list())


@pytest.mark.parametrize(
    ("isa", "enabled", "disabled"),
    [
        ("x86-64-v2", ["CPU_SSE", "CPU_SSE4_2"], ["CPU_AVX", "F16C", "CPU_AVX512", "CPU_SSE4A"]),
        ("x86-64-v3", ["CPU_SSE4_2", "CPU_AVX2", "F16C", "CPU_FMA"], ["CPU_AVX512"]),
        ("x86-64-v4", ["CPU_SSE", "CPU_AVX2", "F16C", "CPU_AVX512"], ["CPU_SSE4A"]),
    ],
)
def test_processor_features_are_those_of_the_loaded_core(monkeypatch, isa, enabled, disabled):
    monkeypatch.setattr(_loader, "isa", isa)
    features = {feature.name: feature.enabled for feature in mx.runtime.feature_list()}
    assert [features[name] for name in enabled] == [True] * len(enabled)
    assert [features[name] for name in disabled] == [False] * len(disabled)


def test_mkldnn_is_whether_onednn_is_built_in():
    assert mx.runtime.Features().is_enabled("MKLDNN") == bool(_build.ONEDNN_VERSION)
    assert bool(_build.ONEDNN_VERSION) == any(
        "libdnnl" in path for path in libraries_after_import()
    )


def test_stores_of_several_processes_need_mpi4py(monkeypatch):
    for found in (None, object()):
        monkeypatch.setattr("importlib.util.find_spec", lambda name, found=found: found)
        features = {feature.name: feature.enabled for feature in mx.runtime.feature_list()}
        assert features["DIST_KVSTORE"] == (found is not None)


def test_libraries_come_from_the_package_and_openmp_is_loaded_once():
    paths = libraries_after_import()
    assert len([path for path in paths if "libgomp" in path or "omp5" in path]) == 1
    carried = list(Path(mx.__file__).parent.glob("libdnnl*"))
    if carried:  # an installed package; a developer build uses the environment's
        assert [path for path in paths if "libdnnl" in path] == [str(carried[0].resolve())]


def libraries_after_import():
    """The files mapped by a process that has imported mxtape and nothing else."""
    code = "import mxtape; print(open('/proc/self/maps').read())"
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    lines = (line.split() for line in result.stdout.splitlines())
    return sorted({fields[5] for fields in lines if len(fields) == 6 and ".so" in fields[5]})

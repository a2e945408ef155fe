"""mx.runtime: names, order and printing as MXNet 1.9.1's; values as this build has them."""

import pytest

import mxtape as mx
from mxtape import _loader

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

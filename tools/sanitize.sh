#!/usr/bin/env bash
# Runs the tests under sanitizers. `make sanitize` makes .venv first.
#
#   tools/sanitize.sh [PYTEST_ARGS]    address and undefined behaviour: C++ and Python tests
#   tools/sanitize.sh thread [PYTEST_ARGS]    threads: C++ tests, and Python tests of threads
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${JOBS:-2}

[[ -x .venv/bin/python ]] || tools/dev_setup.sh build test lint
export PATH=$PWD/.venv/bin:$PATH

build_and_ctest() {
  cmake --preset "$1"
  cmake --build --preset "$1" -j "$jobs"
  ctest --preset "$1"
}

# The package with the module of preset $1, beside the developer build.
install_site() {
  site=$PWD/build/$1/site
  rm -rf "$site"
  cmake --install "build/$1" --prefix "$site" --component mxtape >/dev/null
  cmake --install "build/$1" --prefix "$site" --component python_sources >/dev/null
}

# The interpreter is not instrumented, so the run-time library must come first; libstdc++ must be
# there when it starts, or it cannot catch the throwing of exceptions.
cxx=${CXX:-c++}
preload_of() {
  echo "$("$cxx" -print-file-name="$1") $("$cxx" -print-file-name=libstdc++.so)"
}

# Python, NumPy and oneDNN are not instrumented: what they do with memory is left alone, their locks
# count.
if [[ ${1:-} == thread ]]; then
  shift
  build_and_ctest tsan
  install_site tsan
  echo "sanitize: pytest"
  options=halt_on_error=1:allocator_may_return_null=1:atexit_sleep_ms=100
  LD_PRELOAD=$(preload_of libtsan.so) PYTHONPATH=$site MXTAPE_SANITIZED=1 OMP_NUM_THREADS=3 \
    TSAN_OPTIONS=$options:ignore_noninstrumented_modules=1:suppressions=$PWD/tests/thread_sanitizer.supp \
    .venv/bin/python -m pytest tests/python/test_{thread_safety,threads,exit,interrupts,cached_op,compiled_graphs}.py \
    -p no:cacheprovider -k "not same_bits" "$@"
  exit
fi
build_and_ctest asan
install_site asan
preload=$(preload_of libasan.so)
targets=()
for folder in tests/python tests/conformance; do [[ ! -d $folder ]] || targets+=("$folder"); done

# Python keeps memory until it ends: leaks are looked for in the C++ tests only. MXTAPE_SANITIZED
# tells tests that measure memory or time that neither means anything here.
echo "sanitize: pytest"
LD_PRELOAD=$preload PYTHONMALLOC=malloc PYTHONPATH=$site MXTAPE_SANITIZED=1 \
  ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=4096 \
  UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
  .venv/bin/python -m pytest "${targets[@]}" --pyargs mxtape --doctest-modules \
  -p no:cacheprovider "$@"

#!/usr/bin/env bash
# Runs the tests under sanitizers. `make sanitize` makes .venv first.
#
#   tools/sanitize.sh [PYTEST_ARGS]    address and undefined behaviour: C++ and Python tests
#   tools/sanitize.sh thread           threads: C++ tests
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${JOBS:-2}
site=$PWD/build/asan/site

[[ -x .venv/bin/python ]] || tools/dev_setup.sh build test lint
export PATH=$PWD/.venv/bin:$PATH

build_and_ctest() {
  [[ -f build/$1/build.ninja && -f build/$1/CMakeCache.txt ]] || cmake --preset "$1"
  cmake --build --preset "$1" -j "$jobs"
  ctest --preset "$1"
}

if [[ ${1:-} == thread ]]; then
  build_and_ctest tsan
  exit
fi
build_and_ctest asan

rm -rf "$site"
cmake --install build/asan --prefix "$site" --component mxtape >/dev/null
cmake --install build/asan --prefix "$site" --component python_sources >/dev/null

# The interpreter is not instrumented, so the run-time library must come first; libstdc++ must be
# there when it starts, or it cannot catch the throwing of exceptions.
cxx=${CXX:-c++}
preload="$("$cxx" -print-file-name=libasan.so) $("$cxx" -print-file-name=libstdc++.so)"
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

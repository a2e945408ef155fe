#!/usr/bin/env bash
# Runs the C++ and the Python tests under the address and undefined-behaviour sanitizers.
# Arguments go to pytest. Called by `make sanitize`, which makes .venv first.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${JOBS:-2}
site=$PWD/build/asan/site

[[ -f build/asan/build.ninja ]] || cmake --preset asan
cmake --build --preset asan -j "$jobs"
ctest --preset asan

rm -rf "$site"
cmake --install build/asan --prefix "$site" --component mxtape >/dev/null
cmake --install build/asan --prefix "$site" --component python_sources >/dev/null

# The interpreter is not instrumented, so the run-time library must come first; libstdc++ must be
# there when it starts, or it cannot catch the throwing of exceptions.
cxx=${CXX:-c++}
preload="$("$cxx" -print-file-name=libasan.so) $("$cxx" -print-file-name=libstdc++.so)"
targets=()
for folder in tests/python tests/conformance; do [[ ! -d $folder ]] || targets+=("$folder"); done

# Python keeps memory until it ends: leaks are looked for in the C++ tests only.
echo "sanitize: pytest"
LD_PRELOAD=$preload PYTHONMALLOC=malloc PYTHONPATH=$site MXTAPE_SANITIZED=1 \
  ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
  UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
  .venv/bin/python -m pytest "${targets[@]}" --pyargs mxtape --doctest-modules \
  -p no:cacheprovider "$@"

#!/usr/bin/env bash
# Builds the fuzzers of the readers of bytes and runs each of them for SECONDS_EACH seconds. What
# they find stays in build/fuzz/corpus/READER, input that ends the process in build/fuzz/found.
set -euo pipefail
cd "$(dirname "$0")/../../.."
tree=build/fuzz
[[ -f $tree/build.ninja ]] || cmake --preset fuzz
cmake --build --preset fuzz -j "${JOBS:-$(nproc)}"
mkdir -p $tree/found
.venv/bin/python tests/fuzz/bytes/seeds.py $tree/corpus
export ASAN_OPTIONS=allocator_may_return_null=1:max_allocation_size_mb=1024
export UBSAN_OPTIONS=print_stacktrace=1
for reader in ${READERS:-params json dlpack}; do
  echo "fuzz-bytes: $reader"
  $tree/tests/fuzz/bytes/fuzz_$reader -max_total_time="${SECONDS_EACH:-60}" -timeout=20 \
    -print_final_stats=1 -artifact_prefix=$tree/found/$reader- -max_len=16384 \
    $tree/corpus/$reader 2>&1 | grep -v -E '^#[0-9]+.*(REDUCE|NEW|RELOAD|pulse)'
done

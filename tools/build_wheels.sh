#!/usr/bin/env bash
# Builds release wheels, makes them manylinux and tests each one from an environment of its own.
#
#   tools/build_wheels.sh            for every CPython 3.9 to 3.15 of this machine
#   PYTHONS="a b" tools/build_wheels.sh      for these interpreters
#
# The repaired wheels end in wheelhouse/. All Pythons share one build tree: the core's objects do
# not depend on Python, so they are compiled once, and only the extension modules anew.
set -euo pipefail
cd "$(dirname "$0")/.."
export MXTAPE_BUILD_ISA=${MXTAPE_BUILD_ISA:-"x86-64-v2;x86-64-v3;x86-64-v4"}
export CMAKE_BUILD_PARALLEL_LEVEL=${JOBS:-$(nproc)}
root=$PWD
work=$root/build/wheels
export PIP_DISABLE_PIP_VERSION_CHECK=1

python_version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

# One interpreter for each version, the first found: pyenv's, then the PATH's.
find_pythons() {
  local candidate version seen=" "
  for candidate in "$HOME"/.pyenv/versions/*/bin/python python3.9 python3.10 python3.11 \
    python3.12 python3.13 python3.14 python3.15 python3; do
    version=$(python_version "$candidate") || continue
    case $version in 3.9 | 3.10 | 3.11 | 3.12 | 3.13 | 3.14 | 3.15) ;; *) continue ;; esac
    [[ $seen == *" $version "* ]] && continue
    seen+="$version "
    echo "$candidate"
  done
}

mapfile -t pythons < <(
  if [[ -n ${PYTHONS:-} ]]; then tr ' ' '\n' <<<"$PYTHONS"; else find_pythons; fi |
    while read -r python; do echo "$(python_version "$python") $python"; done | sort -V | cut -d' ' -f2)
[[ ${#pythons[@]} -gt 0 ]] || { echo "build_wheels: no CPython 3.9 to 3.15 here" >&2; exit 1; }

# Eigen, oneDNN, CMake and ninja from one place for all of them, so that the command lines stay the same;
# the newest Python's, since auditwheel wants one of the newer.
tools_venv=$work/tools
[[ -x $tools_venv/bin/python ]] || "${pythons[-1]}" -m venv "$tools_venv"
"$tools_venv/bin/python" tools/requirements.py wheel build >"$work/tools.txt"
"$tools_venv/bin/python" -m pip install -q -r "$work/tools.txt" cmake ninja
eigen=$("$tools_venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/cmeel.prefix
export CMAKE_PREFIX_PATH=$eigen:$tools_venv${CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}
export PATH=$tools_venv/bin:$PATH

mkdir -p dist wheelhouse
rm -f dist/mxtape-*.whl wheelhouse/mxtape-*.whl
summary=()
for python in "${pythons[@]}"; do
  version=$(python_version "$python")
  tag=cp${version/./}
  echo "== CPython $version ($python): build"
  build_venv=$work/$tag/build-env
  [[ -x $build_venv/bin/python ]] || "$python" -m venv "$build_venv"
  "$build_venv/bin/python" tools/requirements.py build >"$work/$tag/build.txt"
  "$build_venv/bin/python" -m pip install -q -r "$work/$tag/build.txt"
  "$build_venv/bin/python" -m pip wheel -q --no-deps --no-build-isolation -w dist \
    --config-settings=build-dir="$work/cmake" .

  echo "== CPython $version: repair"
  auditwheel repair --zip-compression-level 9 --wheel-dir wheelhouse dist/mxtape-*-"$tag"-*.whl
  wheel=$(ls wheelhouse/mxtape-*-"$tag"-*.whl)

  echo "== CPython $version: test $(basename "$wheel")"
  test_venv=$work/$tag/test-env
  rm -rf "$test_venv"
  "$python" -m venv "$test_venv"
  "$test_venv/bin/python" -m pip install -q "$wheel[test]"
  # From another folder, so that only the installed package can be found.
  log=$work/$tag/pytest.log
  (cd "$work/$tag" && test_wheel() {
    "$test_venv/bin/python" -m pytest "$root/tests/python" "$root/tests/conformance" \
      --pyargs mxtape --doctest-modules -c "$root/pyproject.toml" --rootdir "$root" \
      -p no:cacheprovider ${PYTEST_ARGS:-}
  } && test_wheel) 2>&1 | tee "$log"
  summary+=("CPython $version: $(basename "$wheel") $(du -h "$wheel" | cut -f1), $(tail -1 "$log")")
done
printf '\n%s\n' "build_wheels: all passed"
printf '  %s\n' "${summary[@]}"

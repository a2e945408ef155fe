#!/usr/bin/env bash
# Makes the developer environment .venv from nothing, or brings it up to date.
#
#   tools/dev_setup.sh GROUP...     groups of pyproject.toml: build, test, lint, examples
#
# Needs Python 3.9 or newer (PYTHON, default python3), a C++20 compiler and PyPI. CMake and ninja
# come from PyPI where the system has none that is new enough. GoogleTest is looked for on the
# system and in conda; where it is absent and this is root on Debian, apt-get installs it; else
# CMake fetches its sources (third_party/googletest.cmake).
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
venv=.venv

say() { echo "dev_setup: $*"; }
die() { echo "dev_setup: $*" >&2; exit 1; }

as_root_on_debian() { [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; }

apt_install() {
  say "apt-get install $*"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null 2>&1 && return
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
}

command -v "$python" >/dev/null || die "no $python here: set PYTHON"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' ||
  die "$("$python" --version) is too old: mxtape needs Python 3.9 or newer (set PYTHON)"
command -v "${CXX:-c++}" >/dev/null || {
  as_root_on_debian || die "no C++ compiler (${CXX:-c++}): install GCC 11 or Clang 14, or newer"
  apt_install g++
}

# Debian splits venv off from python3.
if [[ ! -x $venv/bin/python ]] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  rm -rf "$venv"
  if ! "$python" -m venv "$venv" >/dev/null 2>&1; then
    rm -rf "$venv"
    as_root_on_debian || die "'$python -m venv' failed: install your system's python3-venv package"
    apt_install python3-venv
    "$python" -m venv "$venv"
  fi
  "$venv/bin/python" -m pip install -q --disable-pip-version-check --upgrade pip
  # A build tree remembers the interpreter that it was configured for.
  rm -f build/*/CMakeCache.txt
fi

# Debian splits the headers off too.
headers=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
if [[ ! -f $headers/Python.h ]]; then
  as_root_on_debian || die "no Python.h in $headers: install your system's python3-dev package"
  apt_install python3-dev
  [[ -f $headers/Python.h ]] || die "no Python.h in $headers: install this Python's headers"
fi

wanted=("$@")
tools=()
# Presets need CMake 3.21.
cmake_version=$(cmake --version 2>/dev/null | sed -n 's/^cmake version //p' || true)
if [[ $(printf '%s\n' 3.21 "${cmake_version:-0}" | sort -V | head -1) != 3.21 ]]; then
  tools+=('cmake>=3.21')
fi
command -v ninja >/dev/null || tools+=('ninja>=1.10')

list=$(mktemp)
trap 'rm -f "$list"' EXIT
"$venv/bin/python" tools/requirements.py "${wanted[@]}" >"$list"
[[ ${#tools[@]} == 0 ]] || printf '%s\n' "${tools[@]}" >>"$list"
say "$("$venv/bin/python" --version): $(tr '\n' ' ' <"$list")"
"$venv/bin/python" -m pip install -q --disable-pip-version-check -r "$list"

# The package is imported from its sources, where a developer build puts the module too.
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$PWD/python" >"$site/mxtape_dev.pth"

has_googletest() {
  local prefix
  for prefix in /usr /usr/local ${CONDA_PREFIX:+"$CONDA_PREFIX"}; do
    compgen -G "$prefix/lib*/cmake/GTest/GTestConfig.cmake" >/dev/null && return
    compgen -G "$prefix/lib/*/cmake/GTest/GTestConfig.cmake" >/dev/null && return
  done
  return 1
}
case " ${wanted[*]} " in *" test "*)
  if ! has_googletest; then
    if as_root_on_debian; then
      apt_install libgtest-dev || say "no libgtest-dev: CMake will fetch GoogleTest"
    elif [[ -n ${CONDA_PREFIX:-} ]] && command -v conda >/dev/null; then
      conda install -y -q -c conda-forge gtest || say "no gtest in conda: CMake will fetch it"
    else
      say "no GoogleTest on the system: CMake will fetch it"
    fi
  fi ;;
esac

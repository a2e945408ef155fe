#!/usr/bin/env bash
# Prints a Python interpreter that has MXNet 1.9.1, the reference for values, names and dtypes.
# The first call makes its environment, .venvs/mxnet-1.9.1: MXNet's last wheel needs NumPy < 1.24,
# which there is for Python 3.8 to 3.11 only.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$PWD/.venvs/mxnet-1.9.1

if ! "$venv/bin/python" -c 'import mxnet' >/dev/null 2>&1; then
  base=
  for candidate in ${MXNET_PYTHON:-} python3 python3.11 python3.10 python3.9 python3.8 \
    "$HOME"/.pyenv/versions/3.{11,10,9,8}.*/bin/python; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 8) <= sys.version_info[:2] <= (3, 11))' \
      >/dev/null 2>&1; then
      base=$candidate
      break
    fi
  done
  [[ -n $base ]] || { echo "mxnet_reference: needs Python 3.8 to 3.11: set MXNET_PYTHON" >&2; exit 1; }
  rm -rf "$venv"
  "$base" -m venv "$venv" >&2
  "$venv/bin/python" -m pip install -q --disable-pip-version-check \
    'numpy==1.23.5' 'mxnet==1.9.1' 'scipy<1.12' graphviz >&2
fi
echo "$venv/bin/python"

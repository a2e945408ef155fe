#!/usr/bin/env bash
# Makes the MXNet 1.9.1 environment (a minute, once) and records every conformance case again.
set -euo pipefail
exec python3 "$(dirname "$0")/../tests/conformance/record.py" --make-environment "$@"

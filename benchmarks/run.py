"""Run every benchmark beside PyTorch, in an environment made for it under .venvs/torch.

    python benchmarks/run.py            # mxtape has to be installed in this interpreter
    python benchmarks/run.py --quick    # less precise, and chains up to 100,000 nodes

Without a network, or with --no-torch, mxtape is measured alone.
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TORCH_HOME = HERE.parent / ".venvs" / "torch"
TORCH = "torch==2.13.0"


def has_torch(python):
    """Return whether `python` exists and imports torch."""
    return (
        python.exists()
        and subprocess.run([python, "-c", "import torch"], stderr=subprocess.DEVNULL).returncode
        == 0
    )


def torch_python():
    """Return an interpreter with PyTorch, installing it if need be, or None with a note why."""
    python = TORCH_HOME / "bin" / "python"
    if has_torch(python):
        return python
    print(f"installing {TORCH} into {TORCH_HOME}", flush=True)
    for command in (
        [sys.executable, "-m", "venv", "--clear", TORCH_HOME],
        [python, "-m", "pip", "install", "--quiet", TORCH, "numpy"],
    ):
        status = subprocess.run(command).returncode
        if status:
            print(f"PyTorch could not be installed (status {status}): it is left out")
            return None
    return python


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, shorter chains")
    parser.add_argument("--no-torch", action="store_true", help="measure mxtape alone")
    parser.add_argument("--torch-python", type=Path, help="an interpreter that has PyTorch already")
    parser.add_argument("--mxnet-python", type=Path, help="an interpreter that has MXNet")
    parser.add_argument(
        "--check", action="store_true", help="fail when the call overhead is above its budget"
    )
    arguments = parser.parse_args()

    peers = []
    torch = None if arguments.no_torch else arguments.torch_python or torch_python()
    if torch:
        peers += ["--torch-python", str(torch)]
    if arguments.mxnet_python:
        peers += ["--mxnet-python", str(arguments.mxnet_python)]

    overhead = ["overhead.py", *peers]
    chain = ["tape_chain.py", *peers]
    convolution = ["convolution.py", *peers]
    if arguments.quick:
        overhead += ["--rounds", "5"]
        chain += ["--lengths", "10000", "100000"]
        convolution += ["--rounds", "3"]
    if arguments.check:
        overhead += ["--check"]

    failed = 0
    for title, (script, *options) in (
        ("The cost of one small operation", overhead),
        ("The cost of a long tape", chain),
        ("The cost of a convolution layer", convolution),
    ):
        print(f"\n{title} ({script})", flush=True)
        failed |= subprocess.run([sys.executable, HERE / script, *options]).returncode
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""The peers' virtual environments, .venvs/NAME: made when one is asked for and does not work."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TORCH = "torch==2.13.0"
# What pip is asked for, the first that succeeds. PyTorch's own index has it without CUDA's 3 GB.
INSTALL = {
    "torch": (
        [f"{TORCH}+cpu", "numpy", "pillow"],
        [
            f"{TORCH}+cpu",
            "numpy",
            "pillow",
            "--extra-index-url",
            "https://download.pytorch.org/whl/cpu",
        ],
        [TORCH, "numpy", "pillow"],
    ),
    "jax": (["jax", "numpy"],),
    "autograd": (["autograd", "numpy"],),
    "scipy": (["scipy", "numpy"],),
}


class NoEnvironment(RuntimeError):
    """A peer could not be installed; the message says why."""


def last_line(text):
    """Return the last line, of the errors where pip goes on with warnings."""
    lines = text.strip().splitlines()
    lines = [line for line in lines if line.startswith("ERROR")] or lines
    return lines[-1].strip() if lines else "no message"


def run(*command):
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        encoding="utf-8",
    )
    if done.returncode:
        raise NoEnvironment(last_line(done.stderr))
    return done.stdout


def imports(python, library):
    """Return whether `python` exists and imports `library`."""
    try:
        run(python, "-W", "ignore", "-c", f"import {library}")
    except (NoEnvironment, OSError):
        return False
    return True


def install(library):
    home = ROOT / ".venvs" / library
    python = home / "bin" / "python"
    if imports(python, library):
        return python
    print(f"installing {library} into {home}", flush=True)
    run(sys.executable, "-m", "venv", "--clear", home)
    for requirements in INSTALL[library]:
        try:
            run(python, "-m", "pip", "install", "--quiet", "--retries", "1", *requirements)
        except NoEnvironment as failure:
            reason = failure
        else:
            return python
    raise reason


def interpreter(library):
    """Return a Python that has `library`, making its environment where there is none.

    Raises:
        NoEnvironment: saying why there is none.
    """
    # NumPy's import is compared with mxtape's: it must be the one beside it.
    if library in ("mxtape", "numpy"):
        return Path(sys.executable)
    if library == "mxnet":
        return Path(run(ROOT / "tools" / "mxnet_reference.sh").strip())
    return install(library)

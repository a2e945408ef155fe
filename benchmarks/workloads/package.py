"""What a library costs before it computes anything: the time to import it, and its size on disk."""

import importlib.metadata
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from .declaration import AtMost, Measurement, OfPeers

ROOT = Path(__file__).resolve().parents[2]
IMPORTS = 9
# The distributions that a library cannot do without and brings itself (not NumPy).
DISTRIBUTIONS = {
    "mxnet": ["mxnet"],
    "torch": ["torch"],
    "jax": ["jax", "jaxlib"],
    "autograd": ["autograd"],
    "numpy": ["numpy"],
}
TIMED_IMPORT = """
import time
began = time.perf_counter()
import {}
print(time.perf_counter() - began)
"""


def import_time(library):
    """Time the import, NumPy's included, in fresh processes."""
    command = [sys.executable, "-W", "ignore", "-c", TIMED_IMPORT.format(library)]
    # As after an installation, which compiles Python files. Without this a checkout may be compiled
    # again at every import, beside peers that are not.
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    seconds = [
        float(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=kept).stdout)
        for _ in range(IMPORTS + 1)
    ]
    return {"seconds": seconds[1:]}  # the first compiles, and brings the files into memory


def newest_wheel():
    wheels = [w for folder in ("wheelhouse", "dist") for w in (ROOT / folder).glob("mxtape-*.whl")]
    return max(wheels, key=lambda wheel: wheel.stat().st_mtime, default=None)


def installed_size(library):
    """Return megabytes on disk, compiled Python files left out; for mxtape from its wheel."""
    if library == "mxtape":
        wheel = newest_wheel()
        if wheel is None:
            return {"error": "no wheel built: make wheel"}
        with zipfile.ZipFile(wheel) as contents:
            files = contents.infolist()
        carries_onednn = any("libdnnl" in file.filename for file in files)
        megabytes = wheel.stat().st_size / 1e6
        return {
            "value": sum(file.file_size for file in files) / 1e6,
            "wheel_with_onednn" if carries_onednn else "wheel_without_onednn": megabytes,
            "about": f"{wheel.name}: {megabytes:.1f} MB",
        }
    size = 0
    for name in DISTRIBUTIONS[library]:
        for file in importlib.metadata.files(name):
            if file.suffix != ".pyc" and file.locate().exists():
                size += file.locate().stat().st_size
    return {"value": size / 1e6}


WORKLOADS = {
    "import_time": Measurement(
        title="import, in a fresh process",
        measure=import_time,
        libraries=("mxtape", "mxnet", "torch", "jax", "autograd", "numpy"),
        goals=(OfPeers(1.6, ("numpy",)),),
        unit="ms",
    ),
    "installed_size": Measurement(
        title="installed size",
        measure=installed_size,
        libraries=("mxtape", *DISTRIBUTIONS),
        goals=(
            AtMost("wheel_with_onednn", 25, "MB wheel with oneDNN"),
            AtMost("wheel_without_onednn", 8, "MB wheel without oneDNN"),
        ),
        unit="MB",
    ),
}

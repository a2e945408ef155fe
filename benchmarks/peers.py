"""The libraries that the benchmarks compare, behind one small interface, and their processes.

A benchmark runs one worker process per library, so that each can live in its own interpreter and
none shares memory or threads with another. The parent talks to a worker in lines of JSON.
"""

import argparse
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path


class MxnetLike:
    """mxtape and MXNet 1.9.1: one API."""

    def __init__(self, name):
        self.module = importlib.import_module(name)
        self.version = self.module.__version__
        self.record = self.module.autograd.record
        self.no_record = self.module.autograd.pause

    def variable(self, values):
        """Return a float32 array that backward gives a gradient."""
        array = self.module.nd.array(values)
        array.attach_grad()
        return array

    def gradient(self, variable):
        return variable.grad.asnumpy()

    def sync(self):
        """Wait until everything asked for so far has been computed."""
        self.module.nd.waitall()


class Torch:
    """PyTorch on one CPU thread: the arrays here are too small for more."""

    def __init__(self):
        self.module = importlib.import_module("torch")
        self.module.set_num_threads(1)
        self.version = self.module.__version__
        self.record = self.module.enable_grad
        self.no_record = self.module.no_grad

    def variable(self, values):
        return self.module.tensor(values, dtype=self.module.float32, requires_grad=True)

    def gradient(self, variable):
        return variable.grad.numpy()

    def sync(self):
        """Do nothing: PyTorch computes on the CPU before it returns."""


LIBRARIES = {
    "mxtape": lambda: MxnetLike("mxtape"),
    "mxnet": lambda: MxnetLike("mxnet"),
    "torch": Torch,
}


class WorkerFailed(RuntimeError):
    """A worker ended without an answer."""


class Worker:
    """A process that runs `script --worker library` under `python` and answers JSON with JSON."""

    def __init__(self, script, library, python):
        self.library = library
        # A file: a pipe that nobody reads would fill and block. It is open as long as the worker.
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [python, "-W", "ignore", str(script), "--worker", library],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def ask(self, limit=600, **request):
        """Send `request` and return the answer; kill the worker after `limit` seconds."""
        killer = threading.Timer(limit, self.process.kill)
        killer.start()
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        finally:
            timed_out = not killer.is_alive()
            killer.cancel()
        if not answer:
            if timed_out:
                self.process.wait()
                raise WorkerFailed(f"no answer within {limit} s")
            raise WorkerFailed(self.why_it_ended())
        return json.loads(answer)

    def why_it_ended(self):
        self.process.communicate()
        if self.process.returncode < 0:
            return f"killed by {signal.Signals(-self.process.returncode).name}"
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines()
        return lines[-1] if lines else f"ended with status {self.process.returncode}"

    def stop(self):
        if self.process.poll() is None:
            self.process.communicate()  # closes its input, which ends its loop


def serve(measure):
    """Answer requests on standard input with `measure(**request)` until it is closed."""
    for line in sys.stdin:
        print(json.dumps(measure(**json.loads(line))), flush=True)


def add_peer_arguments(parser):
    parser.add_argument("--torch-python", help="interpreter that has PyTorch, to compare with it")
    parser.add_argument("--mxnet-python", help="interpreter that has MXNet, to compare with it")
    parser.add_argument("--no-mxtape", action="store_true", help="measure the peers alone")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    parser.add_argument("--worker", choices=LIBRARIES, help=argparse.SUPPRESS)


def chosen(arguments):
    """Return {library: interpreter} and say which peers are left out."""
    pythons = {} if arguments.no_mxtape else {"mxtape": sys.executable}
    for library, python in (("torch", arguments.torch_python), ("mxnet", arguments.mxnet_python)):
        if python:
            pythons[library] = python
        else:
            print(f"{library} is left out: give --{library}-python PATH to compare with it")
    if not pythons:
        raise SystemExit("nothing to measure")
    return pythons


def machine():
    """Return a line that says what the measurement ran on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    load = f", load {os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else ""
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}{load}"


def print_table(header, rows):
    """Print columns: the first to the left, the others to the right."""
    cells = [header, *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    for n, row in enumerate(cells):
        print(
            "  ".join(
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths))
            )
        )
        if n == 0:
            print("  ".join("-" * width for width in widths))

"""``python -m mxtape run program.py``: runs a program that imports mxnet."""

import argparse
import os
import runpy
import sys

from . import __version__, install_as_mxnet


def main():
    """Runs the program that the command line names, with the arguments that follow it."""
    parser = argparse.ArgumentParser(prog="python -m mxtape", description=__doc__)
    parser.add_argument("--version", action="version", version=f"mxtape {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser(
        "run",
        help="run a program in which 'import mxnet' gives mxtape",
        usage="python -m mxtape run [-m] program [argument ...]",
    )
    run.add_argument("-m", dest="module", action="store_true", help="program is a module's name")
    run.add_argument("program", help="path of the program, as for python itself")
    run.add_argument("arguments", nargs=argparse.REMAINDER, help="what sys.argv holds")
    options = parser.parse_args()

    install_as_mxnet()
    sys.argv = [options.program, *options.arguments]
    if options.module:
        sys.path[0] = os.getcwd()
        runpy.run_module(options.program, run_name="__main__", alter_sys=True)
        return
    if not os.path.exists(options.program):
        parser.error(f"there is no file {options.program!r}")
    sys.path[0] = os.path.dirname(os.path.abspath(options.program))
    runpy.run_path(options.program, run_name="__main__")


if __name__ == "__main__":
    main()

"""``python -m mxtape``: runs and checks programs that import mxnet, and tells what is different."""

import argparse
import os
import runpy
import sys

from . import __version__, install_as_mxnet

# Whose frames stand before the program's own in a traceback.
_LAUNCHERS = (__file__, runpy.__file__, "<frozen runpy>")


def _hide_launchers():
    """Lets the traceback of an error begin with the program, as under python itself."""
    shown = sys.excepthook

    def hook(kind, error, trace):
        own = trace
        while own is not None and own.tb_frame.f_code.co_filename in _LAUNCHERS:
            own = own.tb_next
        if own is not None or isinstance(error, (SyntaxError, ImportError)):
            error.__traceback__ = trace = own
        shown(kind, error, trace)

    sys.excepthook = hook


def _run(options):
    if options.gpu_as_cpu:
        from . import context

        context.treat_gpu_as_cpu()
    install_as_mxnet()
    sys.argv = [options.program, *options.arguments]
    if options.module:
        sys.path[0] = os.getcwd()
        _hide_launchers()
        runpy.run_module(options.program, run_name="__main__", alter_sys=True)
        return
    if not os.path.exists(options.program):
        raise SystemExit(f"python -m mxtape run: there is no file {options.program!r}")
    if options.program.endswith(".ipynb"):
        raise SystemExit(
            "python -m mxtape run: a notebook is run by Jupyter, with mxtape.install_as_mxnet() in "
            "its first cell"
        )
    sys.path[0] = os.path.dirname(os.path.abspath(options.program))
    _hide_launchers()
    runpy.run_path(options.program, run_name="__main__")


def _check(options):
    from . import _check as check

    raise SystemExit(check.main(options.paths, options.json))


def _differences(options):
    from . import _differences as differences

    if not differences.tell(options.words):
        raise SystemExit(1)


def _parser():
    parser = argparse.ArgumentParser(prog="python -m mxtape", description=__doc__)
    parser.add_argument("--version", action="version", version=f"mxtape {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser(
        "run",
        help="run a program in which 'import mxnet' gives mxtape",
        usage="python -m mxtape run [--gpu-as-cpu] [-m] program [argument ...]",
    )
    run.add_argument(
        "--gpu-as-cpu", action="store_true", help="mx.gpu(i) is mx.cpu(i), and there is one GPU"
    )
    run.add_argument("-m", dest="module", action="store_true", help="program is a module's name")
    run.add_argument("program", help="path of the program, as for python itself")
    run.add_argument("arguments", nargs=argparse.REMAINDER, help="what sys.argv holds")
    run.set_defaults(command=_run)
    check = commands.add_parser(
        "check",
        help="list what programs use that mxtape does not have, or does otherwise than MXNet",
        description="Reads programs without running them. The exit status is 1 where something is "
        "missing. What depends on values, such as np.exp(array), is not found.",
    )
    check.add_argument(
        "paths", nargs="+", metavar="path", help="a program or notebook, or a folder of them"
    )
    check.add_argument("--json", action="store_true", help="a JSON list of findings")
    check.set_defaults(command=_check)
    differences = commands.add_parser(
        "differences",
        help="print what mxtape does otherwise than MXNet",
        usage="python -m mxtape differences [word ...]",
    )
    differences.add_argument("words", nargs="*", help="only what has all these words")
    differences.set_defaults(command=_differences)
    return parser


def main():
    """Does what the command line says."""
    options = _parser().parse_args()
    try:
        options.command(options)
    except BrokenPipeError:
        if options.command is _run:
            raise
        # Somebody read as much as they wanted to: `| head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()

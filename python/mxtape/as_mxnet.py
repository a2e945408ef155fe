"""Lets programs that import ``mxnet`` run on mxtape."""

import importlib
import importlib.machinery
import sys

__all__ = ["install_as_mxnet"]

_OWN, _OTHER = __name__.split(".", 1)[0], "mxnet"


def _found(own):
    """The module called `own`; mx.nd is ndarray under a shorter name, and no file."""
    try:
        return importlib.import_module(own)
    except ModuleNotFoundError as error:
        if not f"{own}.".startswith(f"{error.name}."):
            raise  # the module is there, and imports something that is not
        parent, _, name = own.rpartition(".")
        module = vars(_found(parent)).get(name) if parent else None
        if isinstance(module, type(sys)):
            return module
        raise ModuleNotFoundError(
            f"{own} is not in mxtape yet; see docs/differences.md", name=_OTHER + own[len(_OWN) :]
        ) from error


class _Finder:
    """Finds and loads ``mxnet.x.y`` as ``mxtape.x.y``: one module under two names.

    It derives from nothing: importlib.abc takes longer to import than the rest of mxtape's Python.
    """

    def find_spec(self, fullname, path=None, target=None):
        if fullname != _OTHER and not fullname.startswith(_OTHER + "."):
            return None
        return importlib.machinery.ModuleSpec(fullname, self)  # type: ignore[arg-type]

    def create_module(self, spec):
        module = _found(_OWN + spec.name[len(_OTHER) :])
        # The import system is about to write its own spec over the module's.
        spec.loader_state = (module.__spec__, module.__loader__)
        return module

    def exec_module(self, module):
        spec = module.__spec__
        module.__spec__, module.__loader__ = spec.loader_state


def install_as_mxnet():
    """Makes ``import mxnet`` and ``from mxnet import nd, autograd`` give mxtape, from here on.

    ``mxnet`` and ``mxtape`` are then the same module, so that both names may be mixed. An installed
    MXNet is not imported any more. ``python -m mxtape run program.py`` does the same for a program
    that is not to be changed.

    Raises
    ------
    RuntimeError
        When the real MXNet has been imported already.

    Examples
    --------
    >>> import mxtape
    >>> mxtape.install_as_mxnet()
    >>> from mxnet import nd
    >>> nd is mxtape.nd
    True
    """
    present = sys.modules.get(_OTHER)
    if present is not None and present is not sys.modules[_OWN]:
        raise RuntimeError(
            f"install_as_mxnet: {_OTHER} has been imported already, from "
            f"{getattr(present, '__file__', 'an unknown place')}; call this before"
        )
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())

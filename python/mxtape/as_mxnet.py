"""Lets programs that import ``mxnet`` run on mxtape."""

import importlib
import importlib.machinery
import os
import sys
from types import ModuleType

__all__ = ["install_as_mxnet"]

_OWN_ATTRIBUTES = ("__loader__", "__name__", "__spec__")
_OWN, _OTHER = __name__.split(".", 1)[0], "mxnet"


def _face():
    """The module ``mxnet``: what mxtape has, with the version of the interface."""
    own = sys.modules[_OWN]
    face = ModuleType(_OTHER)
    version = own.libinfo.__version__
    keep = {key: value for key, value in vars(own).items() if key not in _OWN_ATTRIBUTES}
    vars(face).update(keep, __version__=version)
    # What mxtape imports later; an attribute that is set on one of them is not on the other.
    face.__getattr__ = lambda name: getattr(own, name)  # type: ignore[method-assign]
    return face


def module():
    """``mxnet`` where a program has imported that, else ``mxtape``."""
    present = sys.modules.get(_OTHER)
    return present if _is_ours(present) else sys.modules[_OWN]


def _is_ours(module):
    return isinstance(getattr(module, "__loader__", None), _Finder)


class _Finder:
    """Finds and loads ``mxnet.x.y`` as ``mxtape.x.y``: one module under two names.

    ``mxnet`` itself is a module of its own, with all that is in mxtape.

    It derives from nothing: importlib.abc takes longer to import than the rest of mxtape's Python.
    """

    def find_spec(self, fullname, path=None, target=None):
        if fullname != _OTHER and not fullname.startswith(_OTHER + "."):
            return None
        return importlib.machinery.ModuleSpec(fullname, self)  # type: ignore[arg-type]

    def create_module(self, spec):
        if spec.name == _OTHER:
            return _face()
        module = importlib.import_module(_OWN + spec.name[len(_OTHER) :])
        # The import system is about to write its own spec over the module's.
        spec.loader_state = (module.__spec__, module.__loader__)
        return module

    def exec_module(self, module):
        spec = module.__spec__
        if spec.name != _OTHER:
            module.__spec__, module.__loader__ = spec.loader_state
            return
        # Programs look in sys.modules for mxnet.ndarray once they have found mxnet there.
        for name, part in list(sys.modules.items()):
            if name.startswith(_OWN + ".") and "._" not in name:
                sys.modules.setdefault(_OTHER + name[len(_OWN) :], part)


# Where a process that multiprocessing starts finds mxnet: it is given sys.path.
_FOR_CHILDREN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_as_mxnet")


def install_as_mxnet():
    """Makes ``import mxnet`` and ``from mxnet import nd, autograd`` give mxtape, from here on.

    ``mxnet`` then has all that ``mxtape`` has, and ``mxnet.nd`` is ``mxtape.nd``: both names may
    be mixed. Only ``mxnet.__version__`` is '1.9.1', the version whose interface this is. An
    installed MXNet is not imported any more. Processes that :mod:`multiprocessing` starts find
    ``mxnet`` too: a folder is put into ``sys.path`` for them. ``python -m mxtape run program.py``
    does the same for a program that is not to be changed.

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
    if present is not None and not _is_ours(present):
        raise RuntimeError(
            f"install_as_mxnet: {_OTHER} has been imported already, from "
            f"{getattr(present, '__file__', 'an unknown place')}; call this before"
        )
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    if _FOR_CHILDREN not in sys.path:
        sys.path.insert(1, _FOR_CHILDREN)  # the first is the program's own folder

"""Lets the tests of mxtape run on MXNet 1.9.1: here `import mxtape` gives MXNet itself.

    PYTHONPATH=tests/oracle PYTHON-OF-THE-ORACLE -m pytest tests/python

Tests marked `differs` state where mxtape departs from MXNet on purpose; there they must fail.
"""

import importlib
import importlib.abc
import importlib.util
import sys

import mxnet


class _AliasFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `mxtape.a.b` as the module object of `mxnet.a.b`."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname.startswith("mxtape."):
            return importlib.util.spec_from_loader(fullname, self)
        return None

    def create_module(self, spec):
        return importlib.import_module("mxnet" + spec.name[len("mxtape") :])

    def exec_module(self, module):
        """The module has run already, as part of mxnet."""


sys.meta_path.insert(0, _AliasFinder())
for _name in [name for name in sys.modules if name.startswith("mxnet.")]:
    sys.modules["mxtape" + _name[len("mxnet") :]] = sys.modules[_name]
sys.modules["mxtape"] = mxnet

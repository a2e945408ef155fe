"""Names that MXNet's modules have because they import them.

``from mxnet.test_utils import *`` gives ``mx``, ``np``, ``os`` and many more, and programs count on
it. A module here lists such names with where they come from. They are imported when somebody asks,
so that ``import mxtape`` does not wait for them.
"""

import importlib
import sys
from types import ModuleType

from . import _missing


class _Later(ModuleType):
    """A module that is imported when it is used: importing it is slow, or it may be absent."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(self.__name__), name)


def borrow(module, modules="", parts=None, later="", explain=None):
    """Adds names to a module's ``__all__`` and ``dir()``, and gives the module's ``__getattr__``.

    Parameters
    ----------
    module : str
        The module's name; its ``__all__`` is a list.
    modules : str
        Modules, as words: ``'os'``, or ``'np=numpy'`` where it has another name. A name that begins
        with a dot is in mxtape.
    parts : dict of str to str
        By module, the names in it that are given.
    later : str
        Modules, as words, that are imported on the first use of what is in them.
    explain : callable, optional
        What gives any other name, or says by an AttributeError why it is missing.
    """
    namespace = vars(sys.modules[module])
    sources = {}
    for word in modules.split():
        name, _, source = word.rpartition("=")
        sources[name or source] = (source, None)
    for source, names in (parts or {}).items():
        sources.update((name, (source, name)) for name in names.split())
    proxies = dict(word.split("=") for word in later.split())
    exported = namespace["__all__"]
    exported += [name for name in (*sources, *proxies) if name not in exported]
    # Completion of names in an interactive session lists what is there to import, too.
    namespace.setdefault("__dir__", lambda: sorted({*namespace, *exported}))

    def find(name):
        if name in sources:
            source, part = sources[name]
            found = importlib.import_module(source, __package__)
            value = found if part is None else getattr(found, part)
        elif name in proxies:
            value = _Later(proxies[name])
        else:
            return explain(name) if explain else _missing.refuse(module, name)
        namespace[name] = value
        return value

    return find

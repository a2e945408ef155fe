"""Modules of MXNet that mxtape does not support, and the message for whoever asks for one."""

import sys

# Names under mxtape, by what they would need; "" for those that stand for themselves.
_NEEDS = {
    "": "api contrib.svrg_optimization error ndarray.numpy "
    "ndarray.numpy_extension ndarray.sparse "
    "ndarray_doc notebook np np_symbol npx numpy numpy_dispatch_protocol numpy_extension "
    "numpy_op_fallback numpy_op_signature onnx rtc symbol_doc th "
    "torch tvmop",
    "quantized arrays": "contrib.quant contrib.quantization",
    "protobuf files of other frameworks": "contrib.onnx",
}
_MODULES = {name: needs for needs, names in _NEEDS.items() for name in names.split()}


def why(name):
    """Why there is no ``mxtape.<name>``, as a text; None for names that MXNet does not have.

    >>> why("np")
    'mxtape.np is not in mxtape yet; see docs/differences.md'
    """
    if name not in _MODULES:
        return None
    needs = _MODULES[name]
    needs = f": it needs {needs}" if needs else ""
    return f"mxtape.{name} is not in mxtape yet{needs}; see docs/differences.md"


def refuse(module, name):
    """Raises the AttributeError for ``module.name``."""
    whole = f"{module}.{name}".partition(".")[2]
    raise AttributeError(why(whole) or f"module {module!r} has no attribute {name!r}")


class _Finder:
    """Makes ``from mxtape import gluon`` say why it fails, where Python would say that it cannot.

    An error that names the module is taken for an attribute that is missing; this one does not.
    """

    @staticmethod
    def find_spec(fullname, path=None, target=None):
        own, _, name = fullname.partition(".")
        reason = why(name) if own == __package__ else None
        if reason is not None:
            raise ModuleNotFoundError(reason)
        return


def install():
    """Lets failing imports say why; last, so that no other import waits for it."""
    if not any(finder is _Finder for finder in sys.meta_path):
        sys.meta_path.append(_Finder)

"""The functions by name: ``mx.sym.op``. Filled by :mod:`mxtape.symbol.register`."""

"""The operators by name: ``mx.nd.op``. Filled by :mod:`mxtape.ndarray.register`."""

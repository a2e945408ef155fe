"""What ``import mxnet`` finds in a process that a program using ``install_as_mxnet`` starts.

``multiprocessing`` gives such a process the program's ``sys.path``, and none of its imports.
"""

import importlib
import sys

import mxtape

del sys.modules["mxnet"]  # this file
mxtape.install_as_mxnet()
importlib.import_module("mxnet")

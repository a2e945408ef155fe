"""The conformance programs, one module per family; none of them imports mxnet or mxtape."""

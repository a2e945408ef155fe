#pragma once

#include <pybind11/pybind11.h>

#include <span>

#include "autograd/node.h"

namespace mxtape::python {

// What the node of an autograd.Function holds: the bound method that runs its backward, and the
// outputs. Empty for other nodes.
struct FunctionParts {
  PyObject* backward = nullptr;
  std::span<const autograd::Saved> outputs;
};
FunctionParts function_parts(autograd::Node& node);

void init_tape(pybind11::module_& m);

}  // namespace mxtape::python

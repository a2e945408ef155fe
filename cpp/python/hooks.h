#pragma once

// Before the standard headers.
#include <pybind11/pybind11.h>

namespace mxtape::python {

// Called by init_autograd.
void init_hooks(pybind11::module_& m);

}  // namespace mxtape::python

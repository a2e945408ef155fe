#pragma once

#include <pybind11/pybind11.h>

namespace mxtape::python {

// What mxtape.autograd.transforms is made of: graphs of functions, and sweeps over them.
void init_transforms(pybind11::module_& m);

}  // namespace mxtape::python

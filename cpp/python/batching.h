#pragma once

#include <pybind11/pybind11.h>

namespace mxtape::python {

void init_batching(pybind11::module_& m);

}  // namespace mxtape::python

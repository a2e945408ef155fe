#pragma once

#include <string>

#include "runtime/tile.h"

namespace mxtape::fusion {

// How to find the name of the operator that a kernel belongs to, for the profiler.
void set_kernel_names(const std::string& (*name)(TileKernel kernel));

}  // namespace mxtape::fusion

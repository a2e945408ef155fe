#pragma once

#include "op/schema.h"

namespace mxtape {

// The kernel of every operator that copies its input, or changes the shape only.
void copy_kernel(const KernelCall& call);

}  // namespace mxtape

#pragma once

#include <span>

#include "op/schema.h"

namespace mxtape {

// What the number of elements of a result tells of the inputs: some operators keep it, and the
// parts of a vector of recurrent layers' parameters add up to it.
void learn_from_sizes(const OpSchema& op, std::span<ArraySpec> inputs,
                      std::span<const ArraySpec> outputs);

}  // namespace mxtape

#pragma once

#include <span>

#include "op/schema.h"

namespace mxtape {

// What the number of elements of a result tells of the inputs: some operators keep it, and the
// parts of a vector of recurrent layers' parameters add up to it. Several unknown parts are of one
// size, the weights of a layer's two directions: only if `share`, as others may become known.
void learn_from_sizes(const OpSchema& op, std::span<ArraySpec> inputs,
                      std::span<const ArraySpec> outputs, bool share);

// Whether the operator joins the parameters of recurrent layers.
bool joins_parameters(const OpSchema& op);

}  // namespace mxtape

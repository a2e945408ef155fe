#pragma once

#include <span>

#include "op/schema.h"

namespace mxtape {

// What follows of a call where inference stopped at something unknown. It is found by inference of
// calls whose unknown extents, or dtypes, have made-up values: what is the same for all of them
// does not depend on the values, and what changes as an unknown extent does is that extent. So
// operators need no rules of their own for partial shapes, and a batch's size flows through all of
// them, back as well.

// Of shapes; an Error where what follows contradicts what is known.
void probe_shapes(const OpSchema& op, const Params* params, Mode mode, std::span<ArraySpec> inputs,
                  std::span<ArraySpec> outputs);
// Of dtypes, where shapes are not known.
void probe_dtypes(const OpSchema& op, const Params* params, Mode mode, std::span<ArraySpec> inputs,
                  std::span<ArraySpec> outputs);

}  // namespace mxtape

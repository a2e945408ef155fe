#pragma once

#include "core/shape.h"
#include "op/common_params.h"

namespace mxtape {

// The shape that reshaping `in` by MXNet's special codes gives; an Error that names `op` when it cannot.
Shape reshaped(const Shape& in, const ReshapeParams& params, std::string_view op);

}  // namespace mxtape

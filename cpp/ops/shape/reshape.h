#pragma once

#include "core/shape.h"
#include "op/common_params.h"
#include "op/schema.h"

namespace mxtape {

// The shape that reshaping `in` by MXNet's special codes gives; an Error that names `op` when it
// cannot, of kind `too_small` when the shape has too few elements.
Shape reshaped(const Shape& in, const ReshapeParams& params, std::string_view op,
               ErrorKind too_small = ErrorKind::kMXNet);

// The gradient of every operator that changes the shape only; its kernel is copy_kernel.
void reshape_vjp(Vjp& v);

}  // namespace mxtape

#pragma once

#include "op/common_params.h"
#include "ops/shared/axis_view.h"

namespace mxtape {

// y = softmax(scale * x), or its logarithm, along the axis, for floating x and y. Where `lengths`
// is given (one of int32 or int64 for each run), only so many leading elements of each run take
// part, and the others are 0.
void softmax_forward(const AxisView& view, const NDArray& x, const NDArray* lengths,
                     const NDArray& y, double scale, bool log);

// The gradient of y = softmax(scale * x), or of its logarithm, from the head gradient and y.
void softmax_backward(const AxisView& view, const NDArray& head, const NDArray& y,
                      const NDArray& out, double scale, bool log);

}  // namespace mxtape

#pragma once

#include "op/common_params.h"

namespace mxtape {

// How softmax walks an array: `n` elements along the axis, `outer` blocks before it, `inner`
// columns after.
struct AxisView {
  int64_t outer = 1, n = 1, inner = 1;
  AxisView(const Shape& shape, int axis)
      : outer(shape.product(0, axis)),
        n(shape[axis]),
        inner(shape.product(axis + 1, shape.ndim())) {}
  AxisView(int64_t outer, int64_t n, int64_t inner) : outer(outer), n(n), inner(inner) {}
};

// y = softmax(scale * x), or its logarithm, along the axis, for floating x and y. Where `lengths`
// is given (outer * inner of int32 or int64), only so many leading elements of each run take part,
// and the others are 0.
void softmax_forward(const AxisView& view, const NDArray& x, const NDArray* lengths,
                     const NDArray& y, double scale, bool log);

// The gradient of y = softmax(scale * x), or of its logarithm, from the head gradient and y.
void softmax_backward(const AxisView& view, const NDArray& head, const NDArray& y,
                      const NDArray& out, double scale, bool log);

}  // namespace mxtape

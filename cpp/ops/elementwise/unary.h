#pragma once

#include "op/declare.h"

// What the pointwise functions of one array share.
namespace mxtape {

// Gradients that take one pass: of (head, output) for relu, of (head, output, data) for the others.
inline const fn::Op<> relu_grad{"_backward_relu"}, backward_sigmoid{"_backward_sigmoid"},
    backward_tanh{"_backward_tanh"};

// An output in float16 or bfloat16 is too coarse for 1 - y; it is computed again in float32.
inline NDArray sigmoid_grad(const NDArray& head, const NDArray& y, const NDArray& x) {
  if (!is_narrow(x.dtype())) return backward_sigmoid(head, y, x);
  const NDArray wide = in_compute_type(x);
  return cast(backward_sigmoid(in_compute_type(head), fn::sigmoid(wide), wide), x.dtype());
}
inline NDArray tanh_grad(const NDArray& head, const NDArray& y, const NDArray& x) {
  if (!is_narrow(x.dtype())) return backward_tanh(head, y, x);
  const NDArray wide = in_compute_type(x);
  return cast(backward_tanh(in_compute_type(head), fn::tanh(wide), wide), x.dtype());
}

// The gradient of x / (1 + |x|).
inline NDArray softsign_grad(const NDArray& g, const NDArray& x) {
  // No square of what is large: its reciprocal's may be a number where it is infinite.
  const NDArray r = fn::reciprocal(fn::abs(x) + 1.0);
  return masked_product(masked_product(g, r), r);
}

}  // namespace mxtape

#pragma once

#include "op/declare.h"

// What the pointwise functions of one array share.
namespace mxtape {

// Gradients that take one pass: of (head, output) for relu, of (head, output, data) for the others.
inline const fn::Op<> relu_grad{"_backward_relu"}, sigmoid_grad{"_backward_sigmoid"},
    tanh_grad{"_backward_tanh"};

// The gradient of x / (1 + |x|).
inline NDArray softsign_grad(const NDArray& g, const NDArray& x) {
  // No square of what is large: its reciprocal's may be a number where it is infinite.
  const NDArray r = fn::reciprocal(fn::abs(x) + 1.0);
  return masked_product(masked_product(g, r), r);
}

}  // namespace mxtape

#pragma once

#include "op/declare.h"

// What the pointwise functions of one array share.
namespace mxtape {

// Gradients of (head, output) that take one pass.
inline const fn::Op<> relu_grad{"_backward_relu"}, sigmoid_grad{"_backward_sigmoid"},
    tanh_grad{"_backward_tanh"};

}  // namespace mxtape

#pragma once

#include "op/declare.h"

// What the pointwise functions of one array share. A gradient is one line: `x` and `y` are the
// saved input and output, `g` is the head gradient.
#define OP_UNARY(name) OP(name).inputs("data").infer(infer_unary).method()
// An element function for what Eigen has no packet of.
#define ELEMENTS(expression)                                                 \
  [](auto a) {                                                               \
    using T = typename decltype(a)::Scalar;                                  \
    return a.unaryExpr([](T x) -> T { return static_cast<T>(expression); }); \
  }
#define GRAD_X(expression)                      \
  keep_input().vjp([](Vjp& v) {                 \
    const NDArray x = v.input(0), g = v.head(); \
    v.grad(0, expression);                      \
  })
#define GRAD_Y(expression)                       \
  keep_output().vjp([](Vjp& v) {                 \
    const NDArray y = v.output(0), g = v.head(); \
    v.grad(0, expression);                       \
  })
namespace mxtape {

// Gradients of (head, output) that take one pass.
inline const fn::Op relu_grad{"_backward_relu"}, sigmoid_grad{"_backward_sigmoid"},
    tanh_grad{"_backward_tanh"};

}  // namespace mxtape

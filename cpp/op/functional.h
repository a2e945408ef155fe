#pragma once

#include <atomic>

#include "core/ndarray.h"
#include "op/invoke.h"
#include "op/params.h"
#include "op/registry.h"

// The operators as C++ functions, for gradients. They are called through the registry like
// everybody's, so that a gradient is recorded when it runs under create_graph.
namespace mxtape {

struct ScalarParams {
  double scalar = 1;
  bool is_int = true;
  template <class V>
  void visit(V& v) {
    v("scalar", scalar, "The number on the other side.");
    v("is_int", is_int, "Whether the number was an integer; accepted for compatibility.");
  }
};

namespace fn {

// An operator that is looked up by name on its first use.
class Op {
 public:
  constexpr explicit Op(const char* name) : name_(name) {}
  const OpSchema& schema() const {
    const OpSchema* op = op_.load(std::memory_order_acquire);
    if (!op) op_.store(op = &find_op(name_), std::memory_order_release);
    return *op;
  }
  template <class... Array>
    requires(std::is_same_v<Array, NDArray> && ...)
  NDArray operator()(const Array&... inputs) const {
    const NDArray* pointers[] = {&inputs...};
    return invoke(schema(), Inputs(pointers, sizeof...(inputs)));
  }
  template <class P>
  NDArray operator()(std::initializer_list<NDArray> inputs, P params) const {
    return invoke(schema(), inputs, make_params(std::move(params)));
  }

 private:
  const char* name_;
  mutable std::atomic<const OpSchema*> op_{nullptr};
};

// A binary operator over arrays and numbers.
class BinaryOp {
 public:
  constexpr BinaryOp(const char* arrays, const char* scalar, const char* reversed)
      : arrays_(arrays), scalar_(scalar), reversed_(reversed) {}
  // Of two arrays.
  const OpSchema& schema() const { return arrays_.schema(); }
  NDArray operator()(const NDArray& a, const NDArray& b) const { return arrays_(a, b); }
  NDArray operator()(const NDArray& a, double b) const {
    return scalar_({a}, ScalarParams{b, false});
  }
  NDArray operator()(double a, const NDArray& b) const {
    return reversed_({b}, ScalarParams{a, false});
  }

 private:
  Op arrays_, scalar_, reversed_;
};

inline const BinaryOp add{"broadcast_add", "_plus_scalar", "_plus_scalar"};
inline const BinaryOp subtract{"broadcast_sub", "_minus_scalar", "_rminus_scalar"};
inline const BinaryOp multiply{"broadcast_mul", "_mul_scalar", "_mul_scalar"};
inline const BinaryOp divide{"broadcast_div", "_div_scalar", "_rdiv_scalar"};
inline const BinaryOp power{"broadcast_power", "_power_scalar", "_rpower_scalar"};
inline const BinaryOp maximum{"broadcast_maximum", "_maximum_scalar", "_maximum_scalar"};
inline const BinaryOp minimum{"broadcast_minimum", "_minimum_scalar", "_minimum_scalar"};
inline const BinaryOp equal{"broadcast_equal", "_equal_scalar", "_equal_scalar"};
inline const BinaryOp not_equal{"broadcast_not_equal", "_not_equal_scalar", "_not_equal_scalar"};
inline const BinaryOp greater{"broadcast_greater", "_greater_scalar", "_lesser_scalar"};
inline const BinaryOp greater_equal{"broadcast_greater_equal", "_greater_equal_scalar",
                                    "_lesser_equal_scalar"};
inline const BinaryOp lesser{"broadcast_lesser", "_lesser_scalar", "_greater_scalar"};
inline const BinaryOp lesser_equal{"broadcast_lesser_equal", "_lesser_equal_scalar",
                                   "_greater_equal_scalar"};

inline const Op negative{"negative"}, abs{"abs"}, sign{"sign"}, floor{"floor"}, trunc{"trunc"};
inline const Op exp{"exp"}, log{"log"}, sqrt{"sqrt"}, rsqrt{"rsqrt"}, cbrt{"cbrt"}, rcbrt{"rcbrt"};
inline const Op square{"square"}, reciprocal{"reciprocal"};
inline const Op sin{"sin"}, cos{"cos"}, tan{"tan"}, sinh{"sinh"}, cosh{"cosh"}, tanh{"tanh"};
inline const Op sigmoid{"sigmoid"}, gamma{"gamma"};
inline const Op zeros_like{"zeros_like"}, ones_like{"ones_like"};
inline const Op where{"where"};

}  // namespace fn

inline NDArray operator+(const NDArray& a, const NDArray& b) { return fn::add(a, b); }
inline NDArray operator+(const NDArray& a, double b) { return fn::add(a, b); }
inline NDArray operator+(double a, const NDArray& b) { return fn::add(a, b); }
inline NDArray operator-(const NDArray& a, const NDArray& b) { return fn::subtract(a, b); }
inline NDArray operator-(const NDArray& a, double b) { return fn::subtract(a, b); }
inline NDArray operator-(double a, const NDArray& b) { return fn::subtract(a, b); }
inline NDArray operator*(const NDArray& a, const NDArray& b) { return fn::multiply(a, b); }
inline NDArray operator*(const NDArray& a, double b) { return fn::multiply(a, b); }
inline NDArray operator*(double a, const NDArray& b) { return fn::multiply(a, b); }
inline NDArray operator/(const NDArray& a, const NDArray& b) { return fn::divide(a, b); }
inline NDArray operator/(const NDArray& a, double b) { return fn::divide(a, b); }
inline NDArray operator/(double a, const NDArray& b) { return fn::divide(a, b); }
inline NDArray operator-(const NDArray& a) { return fn::negative(a); }

// A new array with every element `value`; off the tape.
NDArray full(const Shape& shape, DType dtype, double value);
// `x` summed over the axes along which `shape` broadcasts to x's shape: the gradient of
// broadcasting.
NDArray sum_to(const NDArray& x, const Shape& shape);
// `x` in another shape of the same size; shares memory, recorded as Reshape.
NDArray reshape(const NDArray& x, const Shape& shape);
NDArray broadcast_to(const NDArray& x, const Shape& shape);
// `x` in another dtype, recorded as Cast; x itself when it has it.
NDArray cast(const NDArray& x, DType dtype);
NDArray sum(const NDArray& x, const Ints& axes, bool keepdims);
NDArray expand_dims(const NDArray& x, int axis);

}  // namespace mxtape

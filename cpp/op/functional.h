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

// A binary function of arrays and numbers, that is looked up by name on its first use.
class BinaryOp {
 public:
  constexpr explicit BinaryOp(const char* name) : name_(name) {}
  const BinaryForms& forms() const {
    const BinaryForms* forms = forms_.load(std::memory_order_acquire);
    if (!forms) forms_.store(forms = &find_binary(name_), std::memory_order_release);
    return *forms;
  }
  // Of two arrays.
  const OpSchema& schema() const { return *forms().arrays; }
  NDArray operator()(const NDArray& a, const NDArray& b) const {
    const NDArray* inputs[] = {&a, &b};
    return invoke(schema(), Inputs(inputs, 2));
  }
  NDArray operator()(const NDArray& a, double b) const {
    return invoke(*forms().scalar, {a}, make_params(ScalarParams{b, false}));
  }
  NDArray operator()(double a, const NDArray& b) const {
    return invoke(*forms().reversed, {b}, make_params(ScalarParams{a, false}));
  }

 private:
  const char* name_;
  mutable std::atomic<const BinaryForms*> forms_{nullptr};
};

inline const BinaryOp add{"add"}, subtract{"subtract"}, multiply{"multiply"}, divide{"divide"};
inline const BinaryOp modulo{"modulo"}, power{"power"}, maximum{"maximum"}, minimum{"minimum"};
inline const BinaryOp equal{"equal"}, not_equal{"not_equal"};
inline const BinaryOp greater{"greater"}, greater_equal{"greater_equal"};
inline const BinaryOp lesser{"lesser"}, lesser_equal{"lesser_equal"};

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

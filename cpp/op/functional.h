#pragma once

#include <atomic>
#include <concepts>
#include <initializer_list>

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

// An operator that is looked up by name on its first use. Handles are static objects: a list holds
// them all, so that a test can look every one of them up.
class AnyOp {
 public:
  AnyOp(const AnyOp&) = delete;
  AnyOp& operator=(const AnyOp&) = delete;

  const char* name() const { return name_; }
  // An Error when there is no such operator, or its parameters are of another type.
  const OpSchema& schema() const {
    const OpSchema* op = op_.load(std::memory_order_acquire);
    return op ? *op : look_up();
  }
  static const AnyOp* first() { return first_; }
  const AnyOp* next() const { return next_; }

 protected:
  AnyOp(const char* name, const ParamsInfo* (*params)());
  // One visible output of a call with the defaults of the parameters.
  NDArray call(std::initializer_list<const NDArray*> inputs) const;

 private:
  const OpSchema& look_up() const;

  const char* name_;
  const ParamsInfo* (*params_)();  // nullptr: the operator has no parameters
  mutable std::atomic<const OpSchema*> op_{nullptr};
  const AnyOp* next_;
  static inline constinit const AnyOp* first_ = nullptr;
};

// An operator without parameters.
template <class P = void>
class Op : public AnyOp {
 public:
  explicit Op(const char* name) : AnyOp(name, nullptr) {}
  template <std::same_as<NDArray>... Array>
  NDArray operator()(const Array&... inputs) const {
    const NDArray* pointers[] = {&inputs...};
    return invoke(schema(), Inputs(pointers, sizeof...(inputs)));
  }
};

// An operator with the parameters P. Without them a call has their defaults.
template <class P>
  requires std::is_class_v<P>
class Op<P> : public AnyOp {
 public:
  explicit Op(const char* name) : AnyOp(name, &params_info<P>) {}
  template <std::same_as<NDArray>... Array>
  NDArray operator()(const Array&... inputs) const {
    return call({&inputs...});
  }
  NDArray operator()(const NDArray& a, P params) const { return with(std::move(params), {&a}); }
  NDArray operator()(const NDArray& a, const NDArray& b, P params) const {
    return with(std::move(params), {&a, &b});
  }
  NDArray operator()(const NDArray& a, const NDArray& b, const NDArray& c, P params) const {
    return with(std::move(params), {&a, &b, &c});
  }
  NDArray operator()(const NDArray& a, const NDArray& b, const NDArray& c, const NDArray& d,
                     P params) const {
    return with(std::move(params), {&a, &b, &c, &d});
  }

 private:
  NDArray with(P params, std::initializer_list<const NDArray*> inputs) const {
    return invoke(schema(), Inputs(inputs.begin(), inputs.size()), make_params(std::move(params)));
  }
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
  NDArray operator()(const NDArray& a, double b) const { return with(*forms().scalar, a, b); }
  NDArray operator()(double a, const NDArray& b) const { return with(*forms().reversed, b, a); }

 private:
  static NDArray with(const OpSchema& op, const NDArray& x, double number) {
    const NDArray* input = &x;
    return invoke(op, Inputs(&input, 1), make_params(ScalarParams{number, false}));
  }

  const char* name_;
  mutable std::atomic<const BinaryForms*> forms_{nullptr};
};

inline const BinaryOp add{"add"}, subtract{"subtract"}, multiply{"multiply"}, divide{"divide"};
inline const BinaryOp modulo{"modulo"}, power{"power"}, maximum{"maximum"}, minimum{"minimum"};
inline const BinaryOp equal{"equal"}, not_equal{"not_equal"};
inline const BinaryOp greater{"greater"}, greater_equal{"greater_equal"};
inline const BinaryOp lesser{"lesser"}, lesser_equal{"lesser_equal"};

// Defined in functional.cpp: all files of operators see these, and an initializer in each would be
// much code.
extern const Op<> negative, abs, sign, floor, trunc, exp, log, sqrt, rsqrt, cbrt, rcbrt, square,
    reciprocal, sin, cos, tan, sinh, cosh, tanh, sigmoid, gamma, zeros_like, ones_like, where, relu,
    softsign, expm1;

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

#pragma once

#include <string>
#include <vector>

#include "op/declare.h"

// The binary pointwise operators. One declaration makes an operator of equal shapes, one that
// broadcasts, and the two with a number on either side:
//
//   BINARY(hypot).pointwise_each([](auto a, auto b) { ... }).grad(left, right).doc("...");
namespace mxtape {

// A saved operand; an empty handle where only its shape was kept.
inline NDArray operand(Vjp& v, size_t i) {
  return v.op().keep_input(i, v.raw_params()) == Keep::kData ? v.input(i) : NDArray();
}

// A gradient is two functions of (a, b, g), for the left operand and the right: each of a and b is
// an array or a number, g is the head gradient, a Head. `kWide`: float16 is computed in float32.
template <bool kWide>
NDArray operand_of(NDArray x) {
  if constexpr (kWide) return in_compute_type(x);
  return x;
}
// Handles are moved where they can be: a step of a long chain takes little more time than to copy
// a few of them.
inline NDArray in_dtype(NDArray x, DType dtype) { return x.dtype() == dtype ? x : cast(x, dtype); }
inline NDArray summed_to(NDArray x, const Shape& shape) {
  return x.shape() == shape ? x : sum_to(x, shape);
}
template <class Left, class Right, bool kWide>
void arrays_vjp(Vjp& v) {
  NDArray head = v.last_head();
  const DType dtype = head.dtype();
  const NDArray a = operand_of<kWide>(operand(v, 0)), b = operand_of<kWide>(operand(v, 1));
  const Head g(operand_of<kWide>(std::move(head)));
  if (v.needs(0)) v.grad(0, in_dtype(summed_to(Left{}(a, b, g), v.input_shape(0)), dtype));
  if (v.needs(1)) v.grad(1, in_dtype(summed_to(Right{}(a, b, g), v.input_shape(1)), dtype));
}
template <class Left, class Right, bool kWide>
void scalar_vjp(Vjp& v) {
  NDArray head = v.last_head();
  const DType dtype = head.dtype();
  const NDArray a = operand_of<kWide>(operand(v, 0));
  const double b = v.params<ScalarParams>().scalar;
  v.grad(0, in_dtype(Left{}(a, b, Head(operand_of<kWide>(std::move(head)))), dtype));
}
template <class Left, class Right, bool kWide>
void reversed_vjp(Vjp& v) {
  NDArray head = v.last_head();
  const DType dtype = head.dtype();
  const NDArray b = operand_of<kWide>(operand(v, 0));
  const double a = v.params<ScalarParams>().scalar;
  v.grad(0, in_dtype(Right{}(a, b, Head(operand_of<kWide>(std::move(head)))), dtype));
}

inline void refuse_bool(InferCall& call) {
  call.expect(call.dtype(0) != DType::kBool, "boolean arrays have no arithmetic; use astype()");
}
inline void infer_same(InferCall& call) {
  infer_pointwise(call);
  refuse_bool(call);
}
inline void infer_broadcast(InferCall& call) {
  infer_pointwise_broadcast(call);
  refuse_bool(call);
}
// A boolean array and a number give int64, as in MXNet.
inline void infer_scalar(InferCall& call) {
  call.output(0, call.shape(0), call.dtype(0) == DType::kBool ? DType::kInt64 : call.dtype(0));
}

class BinaryDeclaration {
 public:
  // The function's name: fn::BinaryOp{"hypot"}, mx.nd.hypot. The operators are called _hypot,
  // broadcast_hypot, _hypot_scalar and _rhypot_scalar.
  explicit BinaryDeclaration(const std::string& name);

  // Names of the operators where they are others, and their aliases.
  template <class... Aliases>
  BinaryDeclaration& same_shape(const char* name, Aliases... aliases) {
    same_shape_ = {name, {aliases...}};
    return *this;
  }
  template <class... Aliases>
  BinaryDeclaration& broadcast(const char* name, Aliases... aliases) {
    broadcast_ = {name, {aliases...}};
    return *this;
  }
  template <class... Aliases>
  BinaryDeclaration& scalar(const char* name, Aliases... aliases) {
    scalar_ = {name, {aliases...}};
    return *this;
  }
  template <class... Aliases>
  BinaryDeclaration& reversed(const char* name, Aliases... aliases) {
    reversed_ = {name, {aliases...}};
    return *this;
  }
  // MXNet's older names as aliases: of "Not_Equal" _Not_Equal, _NotEqualScalar, _RNotEqualScalar.
  BinaryDeclaration& old_names(const std::string& title);
  // A number on the left is the same as on the right.
  BinaryDeclaration& commutative() {
    commutative_ = true;
    return *this;
  }
  // A number on the left is the operator `op` with the number on the right: 2 < x is x > 2.
  BinaryDeclaration& reversed_is(const std::string& op) {
    mirror_ = op;
    return *this;
  }

  BinaryDeclaration& pointwise(TileFunction f, int cost = 1) {
    tile_ = f;
    tile_.cost = cost;
    return *this;
  }
  template <class F>
  BinaryDeclaration& pointwise_each(F f, int cost = 1) {
    return pointwise(floating_each<2>(f), cost);
  }
  template <class F>
  BinaryDeclaration& pointwise_each_numeric(F f, int cost = 1) {
    return pointwise(numeric_each<2>(f), cost);
  }
  // Also of boolean arrays.
  BinaryDeclaration& logical() {
    logical_ = true;
    return *this;
  }

  template <class Left, class Right>
  BinaryDeclaration& grad(Left, Right) {
    return set_grad<Left, Right, false>();
  }
  // The same for formulas of several steps: those of float16 and bfloat16 arrays are computed in
  // float32 throughout.
  template <class Left, class Right>
  BinaryDeclaration& wide_grad(Left, Right) {
    return set_grad<Left, Right, true>();
  }
  // What the operators of two arrays save of each, and those of one array of it; all data where
  // nothing is said.
  BinaryDeclaration& keep(Keep arrays, Keep scalar, Keep reversed) {
    keep_arrays_ = arrays;
    keep_scalar_ = scalar;
    keep_reversed_ = reversed;
    return *this;
  }

  BinaryDeclaration& sample(double low, double high) {
    low_ = low;
    high_ = high;
    return *this;
  }
  BinaryDeclaration& doc(std::string_view text) {
    doc_ = text;
    return *this;
  }
  // Of the operator that broadcasts.
  BinaryDeclaration& example(std::string_view text) {
    example_ = text;
    return *this;
  }
  // Of the operator of equal shapes, where that is public.
  BinaryDeclaration& same_shape_example(std::string_view text) {
    same_shape_example_ = text;
    return *this;
  }

  // Makes the operators.
  void declare() const;

 private:
  struct Names {
    std::string name;
    std::vector<std::string> aliases;
  };
  OpDeclaration form(const Names& names) const;
  template <class Left, class Right, bool kWide>
  BinaryDeclaration& set_grad() {
    static_assert(std::is_empty_v<Left> && std::is_empty_v<Right>, "a gradient captures nothing");
    arrays_vjp_ = arrays_vjp<Left, Right, kWide>;
    scalar_vjp_ = scalar_vjp<Left, Right, kWide>;
    reversed_vjp_ = reversed_vjp<Left, Right, kWide>;
    return *this;
  }

  std::string name_, mirror_;  // the operator with a number on the left, where it is another's
  Names same_shape_, broadcast_, scalar_, reversed_;
  TileFunction tile_;
  bool commutative_ = false, logical_ = false;
  VjpFn arrays_vjp_ = nullptr, scalar_vjp_ = nullptr, reversed_vjp_ = nullptr;
  Keep keep_arrays_ = Keep::kData, keep_scalar_ = Keep::kData, keep_reversed_ = Keep::kData;
  double low_ = -2, high_ = 2;
  std::string_view doc_, example_, same_shape_example_;
};

struct BinaryFamily {
  BinaryFamily(const BinaryDeclaration& declaration) { declaration.declare(); }
};

// Declares a family while the program loads.
#define BINARY(name)                                                  \
  [[maybe_unused]] static const ::mxtape::BinaryFamily MXTAPE_CONCAT( \
      binary_family_, __COUNTER__) = ::mxtape::BinaryDeclaration(#name)

// The gradients of a sum, and of what is constant almost everywhere.
inline constexpr auto pass = [](const auto&, const auto&, auto g) { return g; };
inline constexpr auto zero = [](const auto&, const auto&, const auto& g) {
  return fn::zeros_like(g.array());
};

}  // namespace mxtape

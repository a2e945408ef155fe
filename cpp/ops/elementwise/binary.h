#pragma once

#include "op/declare.h"

// The binary pointwise operators. One declaration makes an operator of equal shapes, one that
// broadcasts, and the two with a number on either side.
namespace mxtape {

struct BinaryNames {
  const char* same_shape;  // elemwise_add, or nullptr
  std::vector<const char*> same_alias;
  const char* broadcast;  // broadcast_add
  std::vector<const char*> broadcast_alias;
  const char* scalar;  // x + s
  std::vector<const char*> scalar_alias;
  const char* reversed;  // s - x, or nullptr where the order does not matter
  std::vector<const char*> reversed_alias;
};

// What each form of a binary operator saves for its gradient.
struct BinaryKeeps {
  Keep arrays = Keep::kData;
  Keep scalar = Keep::kData;
  Keep reversed = Keep::kData;
  bool output = false;
};

// A saved operand; an empty handle where only its shape was kept.
inline NDArray operand(Vjp& v, size_t i) {
  return v.op().keep_input(i) == Keep::kData ? v.input(i) : NDArray();
}

// A gradient is two functions of (a, b, g), for the left operand and the right: each of a and b is
// an array or a number, g is the head gradient.
template <class Left, class Right>
void arrays_vjp(Vjp& v) {
  const NDArray a = operand(v, 0), b = operand(v, 1), g = v.head();
  if (v.needs(0)) v.grad(0, sum_to(Left{}(a, b, g), v.input_shape(0)));
  if (v.needs(1)) v.grad(1, sum_to(Right{}(a, b, g), v.input_shape(1)));
}
template <class Left, class Right>
void scalar_vjp(Vjp& v) {
  v.grad(0, Left{}(operand(v, 0), v.params<ScalarParams>().scalar, v.head()));
}
template <class Left, class Right>
void reversed_vjp(Vjp& v) {
  v.grad(0, Right{}(v.params<ScalarParams>().scalar, operand(v, 0), v.head()));
}

inline void refuse_bool(InferCall& call) {
  call.expect(call.dtype(0) != DType::kBool, "boolean arrays have no arithmetic; use astype()");
}
inline void infer_same(InferCall& call) {
  refuse_bool(call);
  infer_pointwise(call);
}
inline void infer_broadcast(InferCall& call) {
  refuse_bool(call);
  infer_pointwise_broadcast(call);
}
// A boolean array and a number give int64, as in MXNet.
inline void infer_scalar(InferCall& call) {
  call.output(0, call.shape(0), call.dtype(0) == DType::kBool ? DType::kInt64 : call.dtype(0));
}

struct BinaryFamily {
  BinaryNames names;
  TileFunction tile;
  int cost = 1;
  BinaryKeeps keeps;
  bool logical = false;  // also of boolean arrays
  double low = -2, high = 2;
  const char* doc;
  std::string_view example = {};             // of the operator that broadcasts
  std::string_view same_shape_example = {};  // of the one of equal shapes, where it is public
};

template <class Left, class Right>
void declare_form(const char* name, const std::vector<const char*>& aliases,
                  const BinaryFamily& family, int form) {
  if (!name) return;
  OpDeclaration op(name);
  for (const char* alias : aliases) op.alias(alias);
  op.pointwise(family.tile, family.cost, form < 2 ? array_operands : scalar_operands)
      .doc(family.doc)
      .sample(family.low, family.high);
  const BinaryKeeps& keeps = family.keeps;
  if (form < 2) {
    op.inputs("lhs", "rhs").vjp(arrays_vjp<Left, Right>).sample(family.low, family.high);
    op.keep_inputs({keeps.arrays, keeps.arrays});
    op.example(form == 0 ? family.same_shape_example : family.example);
    if (form == 0) {
      op.infer(family.logical ? infer_pointwise : infer_same);
    } else {
      op.infer(family.logical ? infer_pointwise_broadcast : infer_broadcast);
    }
  } else {
    op.inputs("data").params<ScalarParams>().infer(infer_scalar);
    op.vjp(form == 2 ? scalar_vjp<Left, Right> : reversed_vjp<Left, Right>);
    op.keep_inputs({form == 2 ? keeps.scalar : keeps.reversed});
    op.schema().reversed_scalar = form == 3;
  }
  if (keeps.output) op.keep_output();
}

template <class Left, class Right>
int declare_binary(const BinaryFamily& family, Left, Right) {
  const BinaryNames& n = family.names;
  declare_form<Left, Right>(n.same_shape, n.same_alias, family, 0);
  declare_form<Left, Right>(n.broadcast, n.broadcast_alias, family, 1);
  declare_form<Left, Right>(n.scalar, n.scalar_alias, family, 2);
  declare_form<Left, Right>(n.reversed, n.reversed_alias, family, 3);
  return 0;
}

// The gradients of a sum, and of what is constant almost everywhere.
inline constexpr auto pass = [](auto, auto, auto g) { return g; };
inline constexpr auto zero = [](auto, auto, auto g) { return fn::zeros_like(g); };

}  // namespace mxtape

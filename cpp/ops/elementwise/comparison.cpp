#include "ops/elementwise/binary.h"

namespace mxtape {
namespace {

// Comparisons return 0 and 1 in the inputs' dtype.
#define MXTAPE_COMPARISON(NAME, ALIAS, SCALAR_ALIAS, EXPRESSION, DOC, EXAMPLE) \
  const int NAME##_family =                                                    \
      declare_binary({.names = {"_" #NAME,                                     \
                                {ALIAS},                                       \
                                "broadcast_" #NAME,                            \
                                {},                                            \
                                "_" #NAME "_scalar",                           \
                                {SCALAR_ALIAS},                                \
                                nullptr,                                       \
                                {}},                                           \
                      .tile = numeric_tile<2>([](auto a, auto b) {             \
                        using T = typename decltype(a)::Scalar;                \
                        return (EXPRESSION).template cast<T>();                \
                      }),                                                      \
                      .keeps = {Keep::kShape, Keep::kNothing, Keep::kNothing}, \
                      .logical = true,                                         \
                      .doc = DOC,                                              \
                      .example = EXAMPLE},                                     \
                     zero, zero);

MXTAPE_COMPARISON(equal, "_Equal", "_EqualScalar", a == b,
                  "1 where lhs equals rhs, else 0, in the inputs' dtype.",
                  R"(
>>> x = mx.nd.array([[1, 2], [3, 1]])
>>> mx.nd.broadcast_equal(x, mx.nd.array([[1, 2]])).asnumpy().tolist()
[[1.0, 1.0], [0.0, 0.0]]
)")
MXTAPE_COMPARISON(not_equal, "_Not_Equal", "_NotEqualScalar", a != b,
                  "1 where lhs differs from rhs, else 0, in the inputs' dtype.",
                  R"(
>>> x = mx.nd.array([[1, 2], [3, 1]])
>>> mx.nd.broadcast_not_equal(x, mx.nd.array([[1, 2]])).asnumpy().tolist()
[[0.0, 0.0], [1.0, 1.0]]
)")
MXTAPE_COMPARISON(greater, "_Greater", "_GreaterScalar", a > b,
                  "1 where lhs > rhs, else 0, in the inputs' dtype.",
                  R"(
>>> x = mx.nd.array([[1, 2], [3, 4]])
>>> mx.nd.broadcast_greater(x, mx.nd.array([[2], [3]])).asnumpy().tolist()
[[0.0, 0.0], [0.0, 1.0]]
)")
MXTAPE_COMPARISON(greater_equal, "_Greater_Equal", "_GreaterEqualScalar", a >= b,
                  "1 where lhs >= rhs, else 0, in the inputs' dtype.",
                  R"(
>>> x = mx.nd.array([[1, 2], [3, 4]])
>>> mx.nd.broadcast_greater_equal(x, mx.nd.array([[2], [3]])).asnumpy().tolist()
[[0.0, 1.0], [1.0, 1.0]]
)")
MXTAPE_COMPARISON(lesser, "_Lesser", "_LesserScalar", a < b,
                  "1 where lhs < rhs, else 0, in the inputs' dtype.",
                  R"(
>>> x = mx.nd.array([[1, 2], [3, 4]])
>>> mx.nd.broadcast_lesser(x, mx.nd.array([[2], [4]])).asnumpy().tolist()
[[1.0, 0.0], [1.0, 0.0]]
)")
MXTAPE_COMPARISON(lesser_equal, "_Lesser_Equal", "_LesserEqualScalar", a <= b,
                  "1 where lhs <= rhs, else 0, in the inputs' dtype.",
                  R"(
>>> x = mx.nd.array([[1, 2], [3, 4]])
>>> mx.nd.broadcast_lesser_equal(x, mx.nd.array([[1], [4]])).asnumpy().tolist()
[[1.0, 0.0], [1.0, 1.0]]
)")
MXTAPE_COMPARISON(logical_and, "_Logical_And", "_LogicalAndScalar", a != T(0) && b != T(0),
                  "1 where both are not 0, else 0, in the inputs' dtype.",
                  R"(
>>> x = mx.nd.array([[0, 2]])  # every number but 0 is true
>>> mx.nd.broadcast_logical_and(x, mx.nd.array([[0], [-1]])).asnumpy().tolist()
[[0.0, 0.0], [0.0, 1.0]]
)")
MXTAPE_COMPARISON(logical_or, "_Logical_Or", "_LogicalOrScalar", a != T(0) || b != T(0),
                  "1 where at least one is not 0, else 0, in the inputs' dtype.",
                  R"(
>>> x = mx.nd.array([[0, 2]])  # every number but 0 is true
>>> mx.nd.broadcast_logical_or(x, mx.nd.array([[0], [-1]])).asnumpy().tolist()
[[0.0, 1.0], [1.0, 1.0]]
)")
MXTAPE_COMPARISON(logical_xor, "_Logical_Xor", "_LogicalXorScalar", (a != T(0)) != (b != T(0)),
                  "1 where exactly one is not 0, else 0, in the inputs' dtype.",
                  R"(
>>> x = mx.nd.array([[0, 2]])  # every number but 0 is true
>>> mx.nd.broadcast_logical_xor(x, mx.nd.array([[0], [-1]])).asnumpy().tolist()
[[0.0, 1.0], [1.0, 0.0]]
)")

}  // namespace
}  // namespace mxtape

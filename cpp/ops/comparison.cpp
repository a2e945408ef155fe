#include "ops/binary.h"

namespace mxtape {
namespace {

// Comparisons return 0 and 1 in the inputs' dtype.
#define MXTAPE_COMPARISON(NAME, ALIAS, SCALAR_ALIAS, EXPRESSION, DOC)          \
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
                      .doc = DOC},                                             \
                     zero, zero);

MXTAPE_COMPARISON(equal, "_Equal", "_EqualScalar", a == b,
                  "1 where lhs equals rhs, else 0, in the inputs' dtype.")
MXTAPE_COMPARISON(not_equal, "_Not_Equal", "_NotEqualScalar", a != b,
                  "1 where lhs differs from rhs, else 0, in the inputs' dtype.")
MXTAPE_COMPARISON(greater, "_Greater", "_GreaterScalar", a > b,
                  "1 where lhs > rhs, else 0, in the inputs' dtype.")
MXTAPE_COMPARISON(greater_equal, "_Greater_Equal", "_GreaterEqualScalar", a >= b,
                  "1 where lhs >= rhs, else 0, in the inputs' dtype.")
MXTAPE_COMPARISON(lesser, "_Lesser", "_LesserScalar", a < b,
                  "1 where lhs < rhs, else 0, in the inputs' dtype.")
MXTAPE_COMPARISON(lesser_equal, "_Lesser_Equal", "_LesserEqualScalar", a <= b,
                  "1 where lhs <= rhs, else 0, in the inputs' dtype.")
MXTAPE_COMPARISON(logical_and, "_Logical_And", "_LogicalAndScalar", a != T(0) && b != T(0),
                  "1 where both are not 0, else 0, in the inputs' dtype.")
MXTAPE_COMPARISON(logical_or, "_Logical_Or", "_LogicalOrScalar", a != T(0) || b != T(0),
                  "1 where at least one is not 0, else 0, in the inputs' dtype.")
MXTAPE_COMPARISON(logical_xor, "_Logical_Xor", "_LogicalXorScalar", (a != T(0)) != (b != T(0)),
                  "1 where exactly one is not 0, else 0, in the inputs' dtype.")

}  // namespace
}  // namespace mxtape

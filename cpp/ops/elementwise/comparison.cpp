#include "ops/elementwise/binary.h"

namespace mxtape {
namespace {

// Comparisons return 0 and 1 in the inputs' dtype.
BINARY(equal)
    .old_names("Equal")
    .commutative()
    .pointwise_each_numeric([](auto a, auto b) { return a == b; })
    .logical()
    .keep(Keep::kShape, Keep::kNothing, Keep::kNothing)
    .grad(zero, zero)
    .doc("1 where lhs equals rhs, else 0, in the inputs' dtype.")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [3, 1]])
>>> mx.nd.broadcast_equal(x, mx.nd.array([[1, 2]])).asnumpy().tolist()
[[1.0, 1.0], [0.0, 0.0]]
)");
BINARY(not_equal)
    .old_names("Not_Equal")
    .commutative()
    .pointwise_each_numeric([](auto a, auto b) { return a != b; })
    .logical()
    .keep(Keep::kShape, Keep::kNothing, Keep::kNothing)
    .grad(zero, zero)
    .doc("1 where lhs differs from rhs, else 0, in the inputs' dtype.")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [3, 1]])
>>> mx.nd.broadcast_not_equal(x, mx.nd.array([[1, 2]])).asnumpy().tolist()
[[0.0, 0.0], [1.0, 1.0]]
)");
BINARY(greater)
    .old_names("Greater")
    .reversed_is("_lesser_scalar")
    .pointwise_each_numeric([](auto a, auto b) { return a > b; })
    .logical()
    .keep(Keep::kShape, Keep::kNothing, Keep::kNothing)
    .grad(zero, zero)
    .doc("1 where lhs > rhs, else 0, in the inputs' dtype.")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [3, 4]])
>>> mx.nd.broadcast_greater(x, mx.nd.array([[2], [3]])).asnumpy().tolist()
[[0.0, 0.0], [0.0, 1.0]]
)");
BINARY(greater_equal)
    .old_names("Greater_Equal")
    .reversed_is("_lesser_equal_scalar")
    .pointwise_each_numeric([](auto a, auto b) { return a >= b; })
    .logical()
    .keep(Keep::kShape, Keep::kNothing, Keep::kNothing)
    .grad(zero, zero)
    .doc("1 where lhs >= rhs, else 0, in the inputs' dtype.")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [3, 4]])
>>> mx.nd.broadcast_greater_equal(x, mx.nd.array([[2], [3]])).asnumpy().tolist()
[[0.0, 1.0], [1.0, 1.0]]
)");
BINARY(lesser)
    .old_names("Lesser")
    .reversed_is("_greater_scalar")
    .pointwise_each_numeric([](auto a, auto b) { return a < b; })
    .logical()
    .keep(Keep::kShape, Keep::kNothing, Keep::kNothing)
    .grad(zero, zero)
    .doc("1 where lhs < rhs, else 0, in the inputs' dtype.")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [3, 4]])
>>> mx.nd.broadcast_lesser(x, mx.nd.array([[2], [4]])).asnumpy().tolist()
[[1.0, 0.0], [1.0, 0.0]]
)");
BINARY(lesser_equal)
    .old_names("Lesser_Equal")
    .reversed_is("_greater_equal_scalar")
    .pointwise_each_numeric([](auto a, auto b) { return a <= b; })
    .logical()
    .keep(Keep::kShape, Keep::kNothing, Keep::kNothing)
    .grad(zero, zero)
    .doc("1 where lhs <= rhs, else 0, in the inputs' dtype.")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [3, 4]])
>>> mx.nd.broadcast_lesser_equal(x, mx.nd.array([[1], [4]])).asnumpy().tolist()
[[1.0, 0.0], [1.0, 1.0]]
)");
BINARY(logical_and)
    .old_names("Logical_And")
    .commutative()
    .pointwise_each_numeric([](auto a, auto b) { return a != 0 && b != 0; })
    .logical()
    .keep(Keep::kShape, Keep::kNothing, Keep::kNothing)
    .grad(zero, zero)
    .doc("1 where both are not 0, else 0, in the inputs' dtype.")
    .example(R"(
>>> x = mx.nd.array([[0, 2]])  # every number but 0 is true
>>> mx.nd.broadcast_logical_and(x, mx.nd.array([[0], [-1]])).asnumpy().tolist()
[[0.0, 0.0], [0.0, 1.0]]
)");
BINARY(logical_or)
    .old_names("Logical_Or")
    .commutative()
    .pointwise_each_numeric([](auto a, auto b) { return a != 0 || b != 0; })
    .logical()
    .keep(Keep::kShape, Keep::kNothing, Keep::kNothing)
    .grad(zero, zero)
    .doc("1 where at least one is not 0, else 0, in the inputs' dtype.")
    .example(R"(
>>> x = mx.nd.array([[0, 2]])  # every number but 0 is true
>>> mx.nd.broadcast_logical_or(x, mx.nd.array([[0], [-1]])).asnumpy().tolist()
[[0.0, 1.0], [1.0, 1.0]]
)");
BINARY(logical_xor)
    .old_names("Logical_Xor")
    .commutative()
    .pointwise_each_numeric([](auto a, auto b) { return (a != 0) != (b != 0); })
    .logical()
    .keep(Keep::kShape, Keep::kNothing, Keep::kNothing)
    .grad(zero, zero)
    .doc("1 where exactly one is not 0, else 0, in the inputs' dtype.")
    .example(R"(
>>> x = mx.nd.array([[0, 2]])  # every number but 0 is true
>>> mx.nd.broadcast_logical_xor(x, mx.nd.array([[0], [-1]])).asnumpy().tolist()
[[0.0, 1.0], [1.0, 0.0]]
)");

}  // namespace
}  // namespace mxtape

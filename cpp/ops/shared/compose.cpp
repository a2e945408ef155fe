#include "ops/shared/compose.h"

#include "op/common_params.h"

namespace mxtape::compose {
namespace {

const fn::Op dot_op{"dot"}, slice_op{"slice"}, stack_op{"stack"}, concat_op{"Concat"};

}  // namespace

NDArray call(const fn::Op& op, std::span<const NDArray> inputs) {
  Outputs outputs;
  invoke(op.schema(), inputs, op.schema().params->make(), outputs);
  return std::move(outputs[0]);
}

NDArray dot(const NDArray& a, const NDArray& b, bool transpose_a, bool transpose_b) {
  return dot_op({a, b}, DotParams{transpose_a, transpose_b});
}

NDArray rows(const NDArray& x, int64_t begin, int64_t end) {
  return slice_op({x}, SliceParams{{begin}, {end}, {}});
}

NDArray columns(const NDArray& x, int64_t begin, int64_t end) {
  return slice_op({x}, SliceParams{{std::nullopt, begin}, {std::nullopt, end}, {}});
}

NDArray stack(std::span<const NDArray> arrays) { return call(stack_op, arrays); }

NDArray join_columns(std::span<const NDArray> arrays) {
  return arrays.size() == 1 ? arrays[0] : call(concat_op, arrays);
}

}  // namespace mxtape::compose

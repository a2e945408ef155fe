#include "ops/shared/compose.h"

#include "op/common_params.h"

namespace mxtape::compose {
namespace {}  // namespace

NDArray call(const fn::AnyOp& op, std::span<const NDArray> inputs) {
  Outputs outputs;
  invoke(op.schema(), inputs, op.schema().params->make(), outputs);
  return std::move(outputs[0]);
}

NDArray dot(const NDArray& a, const NDArray& b, bool transpose_a, bool transpose_b) {
  return fn::dot(a, b, DotParams{transpose_a, transpose_b});
}

NDArray rows(const NDArray& x, int64_t begin, int64_t end) {
  return fn::slice(x, SliceParams{{begin}, {end}, {}});
}

NDArray columns(const NDArray& x, int64_t begin, int64_t end) {
  return fn::slice(x, SliceParams{{std::nullopt, begin}, {std::nullopt, end}, {}});
}

NDArray stack(std::span<const NDArray> arrays) { return call(fn::stack, arrays); }

NDArray join_columns(std::span<const NDArray> arrays) {
  return arrays.size() == 1 ? arrays[0] : call(fn::concat, arrays);
}

}  // namespace mxtape::compose

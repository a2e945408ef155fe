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

void GradSums::add(size_t i, const NDArray& term) {
  while (sums_.size() <= i) sums_.push_back(NDArray());
  sums_[i] = sums_[i].defined() ? sums_[i] + term : term;
}

void GradSums::give(Vjp& v) const {
  for (size_t i = 0; i < v.input_count(); ++i) {
    if (!v.needs(i)) continue;
    const bool came = i < sums_.size() && sums_[i].defined();
    v.grad(i, came ? sums_[i] : full(v.input_shape(i), v.input_dtype(i), 0));
  }
}

}  // namespace mxtape::compose

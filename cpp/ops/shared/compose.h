#pragma once

#include <span>
#include <vector>

#include "core/small_vector.h"
#include "op/functional.h"

// Operators that gradients composed of many steps are written with.
namespace mxtape::compose {

// An operator with the defaults of its parameters.
NDArray call(const fn::AnyOp& op, std::span<const NDArray> inputs);
NDArray dot(const NDArray& a, const NDArray& b, bool transpose_a = false, bool transpose_b = false);
// x[begin:end] and x[:, begin:end].
NDArray rows(const NDArray& x, int64_t begin, int64_t end);
NDArray columns(const NDArray& x, int64_t begin, int64_t end);
// Arrays of one shape along a new leading axis.
NDArray stack(std::span<const NDArray> arrays);
// Matrices side by side.
NDArray join_columns(std::span<const NDArray> arrays);
inline NDArray join_columns(std::initializer_list<NDArray> arrays) {
  return join_columns(std::span<const NDArray>(arrays.begin(), arrays.size()));
}

// Gradients that are sums of terms: zeros where no term came.
class GradSums {
 public:
  void add(size_t i, const NDArray& term);
  // The gradients of the inputs that want one.
  void give(Vjp& v) const;

 private:
  SmallVector<NDArray, 4> sums_;
};

}  // namespace mxtape::compose

#pragma once

#include "op/common_params.h"
#include "ops/shared/strided.h"

namespace mxtape {

// What begin, end and step select of an array.
struct SliceRange {
  Shape shape;
  Strided walk;
};

// The selection of `p` in an array of shape `in`, by Python's slicing rules; an Error that names
// `op` when the parameters do not fit.
SliceRange slice_range(const Shape& in, const SliceParams& p, std::string_view op);

// Elements [begin, end) along `axis`, recorded as slice_axis.
NDArray slice_axis(const NDArray& x, int axis, int64_t begin, int64_t end);

}  // namespace mxtape

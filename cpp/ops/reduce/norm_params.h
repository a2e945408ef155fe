#pragma once

#include <optional>

#include "op/params.h"

namespace mxtape {

struct NormParams {
  int64_t ord = 2;
  OptInts axis;
  std::optional<DType> out_dtype;
  bool keepdims = false;
  template <class V>
  void visit(V& v) {
    v("ord", ord, "1: sum of sizes; 2: square root of the sum of squares.");
    v("axis", axis, "Axis or axes to reduce over; None or () for all of them.");
    v("out_dtype", out_dtype, "The result's dtype; None for the input's.");
    v("keepdims", keepdims, "Whether reduced axes stay, with extent 1.");
  }
};

}  // namespace mxtape

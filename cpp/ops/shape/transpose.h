#pragma once

#include "op/functional.h"

namespace mxtape {

// The parameters of SwapAxis, for gradients that transpose.
struct SwapAxisParams {
  int64_t dim1 = 0;
  int64_t dim2 = 0;
  template <class V>
  void visit(V& v) {
    v("dim1", dim1, "The first axis.");
    v("dim2", dim2, "The second axis.");
  }
};
namespace fn {
extern const Op<SwapAxisParams> swap_axis;
}

}  // namespace mxtape

#pragma once

#include "op/functional.h"
#include "ops/shared/index.h"

namespace mxtape {

inline const Choices kTakeModes = {"clip", "raise", "wrap"};

struct TakeParams {
  int64_t axis = 0;
  IndexMode mode = IndexMode::kClip;
  template <class V>
  void visit(V& v) {
    v("axis", axis, "The axis to look up along.");
    v("mode", mode,
      "What an index out of range does: clip to the nearest end, wrap around, or raise an error. "
      "NaN counts as 0, or raises one.",
      kTakeModes);
  }
};

// The gradient of a lookup along `axis`: an array of `shape` with the heads added to the rows they
// were taken from.
struct TakeGradParams {
  Ints shape;
  int64_t axis = 0;
  IndexMode mode = IndexMode::kClip;
  template <class V>
  void visit(V& v) {
    v.required("shape", shape, "Shape of the array that was looked up in.");
    v("axis", axis, "As in take.");
    v("mode", mode, "As in take.", kTakeModes);
  }
};

namespace fn {
extern const Op<TakeParams> take;
// The second is a row_sparse array, of lookups along axis 0.
extern const Op<TakeGradParams> take_grad, take_grad_rows;
}  // namespace fn

// The shape of what is taken along `axis`.
Shape taken_shape(const Shape& a, const Shape& indices, int axis);
void infer_take_grad(InferCall& call);

}  // namespace mxtape

#pragma once

#include <optional>

#include "op/functional.h"
#include "ops/shared/axis_view.h"

namespace mxtape {

struct SoftmaxParams {
  int64_t axis = -1;
  std::optional<double> temperature;
  std::optional<DType> dtype;
  std::optional<bool> use_length = false;
  template <class V>
  void visit(V& v) {
    v("axis", axis, "The axis along which the results sum to 1.");
    v("temperature", temperature, "What the data is divided by; None for 1.");
    v("dtype", dtype, "Floating dtype of the result; None for the input's.");
    v("use_length", use_length,
      "Whether softmax takes a second input: how many leading elements of each run take part.");
  }
};

inline const fn::Op softmax{"softmax"};

// y = softmax(scale * x), or its logarithm, along the axis, for floating x and y. Where `lengths`
// is given (one of int32 or int64 for each run), only so many leading elements of each run take
// part, and the others are 0.
void softmax_forward(const AxisView& view, const NDArray& x, const NDArray* lengths,
                     const NDArray& y, double scale, bool log);

// The gradient of y = softmax(scale * x), or of its logarithm, from the head gradient and y.
void softmax_backward(const AxisView& view, const NDArray& head, const NDArray& y,
                      const NDArray& out, double scale, bool log);

}  // namespace mxtape

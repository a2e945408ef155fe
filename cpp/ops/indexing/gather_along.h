#pragma once

#include <optional>

#include "op/functional.h"
#include "ops/shared/index.h"

// Operators that take elements from, and bring them to, the places that an array of indices names
// along an axis: one index for each element. They are each other's gradient, and those of sort,
// topk and pick.
namespace mxtape {

using OptAxis = std::optional<int64_t>;

// What an index out of range does. Those of IndexMode but for kRaise.
enum class AlongMode : int32_t { kClip, kWrap };
inline const Choices kAlongModes = {"clip", "wrap"};
IndexMode index_mode(AlongMode mode);

struct GatherAlongParams {
  OptAxis axis;
  AlongMode mode = AlongMode::kClip;
  template <class V>
  void visit(V& v) {
    v("axis", axis, "The axis that indices count along; None for the flattened array.");
    v("mode", mode, "What an index out of range does: clip to the nearest end, or wrap around.",
      kAlongModes);
  }
};

struct ScatterAlongParams : GatherAlongParams {
  Ints shape;
  template <class V>
  void visit(V& v) {
    v.required("shape", shape, "Shape of the array that elements were taken from.");
    GatherAlongParams::visit(v);
  }
};

// The gradient of taking the elements that `index` names from an array of `shape`.
NDArray gather_gradient(const NDArray& head, const NDArray& index, const Shape& shape,
                        const GatherAlongParams& params);

// `shape` with k elements along the axis; without an axis, k elements.
Shape shape_along(const Shape& shape, OptAxis axis, int64_t k, std::string_view op);

}  // namespace mxtape

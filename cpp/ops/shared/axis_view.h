#pragma once

#include <optional>
#include <string_view>

#include "core/ndarray.h"

// How operators that work along one axis see an array, whatever its other axes are.
namespace mxtape {

// `outer` blocks, each of `n` rows of `inner` neighbouring elements. The elements along the axis,
// `inner` apart, are a run.
struct AxisView {
  int64_t outer = 1, n = 1, inner = 1;

  AxisView(int64_t outer, int64_t n, int64_t inner) : outer(outer), n(n), inner(inner) {}
  AxisView(const Shape& shape, int axis)
      : outer(shape.product(0, axis)),
        n(shape[axis]),
        inner(shape.product(axis + 1, shape.ndim())) {}
  // Counted from the end when negative; without an axis, all elements are one run.
  AxisView(const Shape& shape, std::optional<int64_t> axis, std::string_view op);

  // Runs are numbered block by block.
  int64_t runs() const { return outer * inner; }
  // Where a run starts.
  int64_t start(int64_t run) const { return run / inner * n * inner + run % inner; }
  Shape shape() const { return {outer, n, inner}; }
  // The same along another number of elements.
  AxisView of(int64_t elements) const { return {outer, elements, inner}; }
};

// The array with its runs contiguous, one after the other: itself where they are, else a copy.
NDArray contiguous_runs(const AxisView& view, const NDArray& array);
// Memory to make the runs of `target` in; store_runs() brings them there.
NDArray run_buffer(const AxisView& view, const NDArray& target);
void store_runs(const AxisView& view, const NDArray& runs, const NDArray& target);

}  // namespace mxtape

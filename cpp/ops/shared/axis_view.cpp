#include "ops/shared/axis_view.h"

#include "ops/shared/strided.h"

namespace mxtape {
namespace {

// Blocks of `rows` times `columns` elements in the order of their transposes.
Strided transposes(int64_t blocks, int64_t rows, int64_t columns) {
  Strided walk;
  walk.axis(blocks, rows * columns);
  walk.axis(columns, 1);
  walk.axis(rows, columns);
  return walk;
}

NDArray empty_runs(const AxisView& view, DType dtype) {
  return NDArray::empty({view.outer, view.inner, view.n}, dtype);
}

AxisView view_of(const Shape& shape, std::optional<int64_t> axis, std::string_view op) {
  if (!axis) return {1, shape.size(), 1};
  return {shape, normalize_axis(*axis, shape.ndim(), op)};
}

}  // namespace

AxisView::AxisView(const Shape& shape, std::optional<int64_t> axis, std::string_view op)
    : AxisView(view_of(shape, axis, op)) {}

NDArray contiguous_runs(const AxisView& view, const NDArray& array) {
  if (view.inner == 1) return array;
  NDArray moved = empty_runs(view, array.dtype());
  gather_strided(array, transposes(view.outer, view.n, view.inner), moved);
  return moved;
}

NDArray run_buffer(const AxisView& view, const NDArray& target) {
  return view.inner == 1 ? target : empty_runs(view, target.dtype());
}

void store_runs(const AxisView& view, const NDArray& runs, const NDArray& target) {
  if (view.inner == 1) return;
  gather_strided(runs, transposes(view.outer, view.inner, view.n), target);
}

}  // namespace mxtape

#include "python/view.h"

#include "autograd/recorder.h"
#include "op/common_params.h"
#include "op/functional.h"
#include "op/sparse.h"

namespace mxtape::python {
namespace {

// Of one that is not, the view is on no tape for the same reason.
bool recorded(const NDArray& x, NDArray& view) {
  if (!x.edge_node()) view.set_edge({}, x.edge_index());
  return autograd::is_recording() && autograd::on_tape(x);
}

}  // namespace

bool& np_shape() {
  static thread_local bool on = false;
  return on;
}

NDArray shape_view(const NDArray& x, const Shape& shape) {
  if (is_sparse(x)) return reshape(x, shape);
  NDArray view = x.viewed(shape);
  if (recorded(x, view)) {
    const Ints extents(shape.begin(), shape.end());
    record_view(fn::reshape.schema(), x, make_params(ReshapeParams{extents}), view);
  }
  return view;
}

NDArray rows_view(const NDArray& x, int64_t begin, int64_t end) {
  if (is_sparse(x)) return fn::slice(x, SliceParams{{begin}, {end}, {}});
  NDArray view = x.rows(begin, end);
  if (recorded(x, view)) {
    record_view(fn::slice.schema(), x, make_params(SliceParams{{begin}, {end}, {}}), view);
  }
  return view;
}

NDArray row_view(const NDArray& x, int64_t index) {
  const int64_t extent = x.shape()[0];
  if (index < -extent || index >= extent) {
    fail_as(ErrorKind::kIndex, "index ", index, " is out of bounds for axis 0 with size ", extent);
  }
  if (index < 0) index += extent;
  NDArray rows = rows_view(x, index, index + 1);
  // An element of a vector keeps one axis: MXNet's arrays have at least one, if not told otherwise.
  if (x.ndim() == 1 && !np_shape()) return rows;
  return shape_view(rows, Shape(x.shape().dims().subspan(1)));
}

}  // namespace mxtape::python

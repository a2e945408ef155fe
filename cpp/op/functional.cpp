#include "op/functional.h"

#include <algorithm>

#include "op/common_params.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

namespace mxtape {
namespace {

const fn::Op sum_op{"sum"}, cast_op{"Cast"}, broadcast_op{"broadcast_to"},
    broadcast_axis_op{"broadcast_axis"}, reshape_op{"Reshape"};

}  // namespace

NDArray full(const Shape& shape, DType dtype, double value) {
  NDArray out = NDArray::empty(shape, dtype);
  parallel_for(out.size(), 1 << 18, [&](int64_t begin, int64_t end) {
    fill(dtype, value, out.bytes() + static_cast<size_t>(begin) * item_size(dtype), end - begin);
  });
  return out;
}

NDArray sum(const NDArray& x, const Ints& axes, bool keepdims) {
  return sum_op({x}, ReduceParams{axes, keepdims, false});
}

NDArray sum_to(const NDArray& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const int lead = x.ndim() - shape.ndim();
  Ints axes;
  for (int d = 0; d < x.ndim(); ++d) {
    if (d < lead || (shape[d - lead] == 1 && x.shape()[d] != 1)) axes.push_back(d);
  }
  NDArray result = axes.empty() ? x : sum(x, axes, true);
  return reshape(result, shape);
}

NDArray reshape(const NDArray& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  NDArray view = x.viewed(shape);
  record_view(reshape_op.schema(), x, make_params(ReshapeParams{Ints(shape.begin(), shape.end())}),
              view);
  return view;
}

NDArray broadcast_to(const NDArray& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  Shape lead(shape.ndim(), 1);
  for (int d = 0; d < x.ndim(); ++d) lead[shape.ndim() - x.ndim() + d] = x.shape()[d];
  // To broadcast_to an extent of 0 means the input's own.
  if (shape.size() == 0) {
    BroadcastAxisParams p;
    for (int d = 0; d < shape.ndim(); ++d) {
      if (lead[d] == shape[d]) continue;
      p.axis.push_back(d);
      p.size.push_back(shape[d]);
    }
    return p.axis.empty() ? reshape(x, lead) : broadcast_axis_op({reshape(x, lead)}, p);
  }
  return broadcast_op({reshape(x, lead)}, BroadcastToParams{Ints(shape.begin(), shape.end())});
}

NDArray cast(const NDArray& x, DType dtype) {
  return x.dtype() == dtype ? x : cast_op({x}, CastParams{dtype});
}

NDArray expand_dims(const NDArray& x, int axis) {
  Ints dims(x.shape().begin(), x.shape().end());
  dims.insert(dims.begin() + axis, 1);
  return reshape(x, Shape(dims));
}

}  // namespace mxtape

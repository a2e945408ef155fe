#include "core/ndarray.h"

#include "core/error.h"
#include "core/sparse.h"

namespace mxtape {

NDArray NDArray::empty(Shape shape, DType dtype) {
  const size_t nbytes = static_cast<size_t>(shape.size()) * item_size(dtype);
  return NDArray(Storage::allocate(nbytes), 0, std::move(shape), dtype);
}

namespace {

// Parts cannot be looked at in another shape.
[[noreturn, gnu::cold]] void fail_view(const NDArray& array, const Shape& shape) {
  fail("a sparse array of shape ", array.shape(), " has no view of shape ", shape,
       "; convert it with tostype('default')");
}

}  // namespace

NDArray NDArray::viewed(Shape shape) const {
  if (storage_ && is_sparse(*this) && shape != shape_) fail_view(*this, shape);
  return NDArray(storage_, byte_offset_, std::move(shape), dtype_);
}

NDArray NDArray::rows(int64_t begin, int64_t end) const {
  const int64_t row = shape_.product(1, shape_.ndim()) * static_cast<int64_t>(item_size(dtype_));
  Shape shape = shape_;
  shape[0] = end - begin;
  if (is_sparse(*this) && shape != shape_) fail_view(*this, shape);
  return NDArray(storage_, byte_offset_ + begin * row, std::move(shape), dtype_);
}

}  // namespace mxtape

#include "core/ndarray.h"

namespace mxtape {

NDArray NDArray::empty(Shape shape, DType dtype) {
  const size_t nbytes = static_cast<size_t>(shape.size()) * item_size(dtype);
  return NDArray(Storage::allocate(nbytes), 0, std::move(shape), dtype);
}

NDArray NDArray::viewed(Shape shape) const {
  return NDArray(storage_, byte_offset_, std::move(shape), dtype_);
}

NDArray NDArray::rows(int64_t begin, int64_t end) const {
  const int64_t row = shape_.product(1, shape_.ndim()) * static_cast<int64_t>(item_size(dtype_));
  Shape shape = shape_;
  shape[0] = end - begin;
  return NDArray(storage_, byte_offset_ + begin * row, std::move(shape), dtype_);
}

}  // namespace mxtape

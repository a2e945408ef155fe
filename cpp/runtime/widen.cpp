#include "runtime/widen.h"

namespace mxtape {
namespace {

NDArray borrowed(DType dtype, const void* memory, int64_t n) {
  const size_t nbytes = static_cast<size_t>(n) * item_size(dtype);
  return NDArray(Storage::borrow(
                     const_cast<void*>(memory), nbytes, [](void*) {}, nullptr),
                 0, Shape{n}, dtype);
}

}  // namespace

void convert_in_parallel(DType from_dtype, const void* from, DType to_dtype, void* to, int64_t n) {
  const auto from_step = static_cast<int64_t>(item_size(from_dtype)),
             to_step = static_cast<int64_t>(item_size(to_dtype));
  parallel_for(n, 1 << 16, [&](int64_t begin, int64_t end) {
    convert(from_dtype, static_cast<const char*>(from) + begin * from_step, to_dtype,
            static_cast<char*>(to) + begin * to_step, end - begin);
  });
}

NDArray widened(const NDArray& array) {
  if (!is_narrow(array.dtype())) return array;
  NDArray wide = NDArray::empty(array.shape(), traits_of(array.dtype()).compute);
  convert_in_parallel(array.dtype(), array.bytes(), wide.dtype(), wide.bytes(), array.size());
  return wide;
}

NDArray widened(DType dtype, const void* from, int64_t n) {
  return from ? widened(borrowed(dtype, from, n)) : NDArray();
}

WideOutput::WideOutput(const NDArray& target)
    : target_(target),
      wide_(is_narrow(target.dtype())
                ? NDArray::empty(target.shape(), traits_of(target.dtype()).compute)
                : target) {}

WideOutput::WideOutput(DType dtype, void* to, int64_t n) : WideOutput(borrowed(dtype, to, n)) {}

void WideOutput::finish() const {
  if (!wide_.defined() || wide_.dtype() == target_.dtype()) return;
  convert_in_parallel(wide_.dtype(), wide_.bytes(), target_.dtype(), target_.bytes(),
                      target_.size());
}

}  // namespace mxtape

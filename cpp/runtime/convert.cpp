#include "runtime/convert.h"

#include <cstring>

namespace mxtape {

void convert(DType from_dtype, const void* from, DType to_dtype, void* to, int64_t n) {
  if (from_dtype == to_dtype) {
    std::memcpy(to, from, static_cast<size_t>(n) * item_size(to_dtype));
    return;
  }
  dispatch(from_dtype, [&](auto from_tag) {
    dispatch(to_dtype, [&](auto to_tag) {
      using From = typename decltype(from_tag)::type;
      using To = typename decltype(to_tag)::type;
      const From* source = static_cast<const From*>(from);
      To* target = static_cast<To*>(to);
      for (int64_t i = 0; i < n; ++i) target[i] = convert_value<To>(source[i]);
    });
  });
}

void fill(DType dtype, double value, void* to, int64_t n) {
  dispatch(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::fill_n(static_cast<T*>(to), n, convert_value<T>(value));
  });
}

}  // namespace mxtape

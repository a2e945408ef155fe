#include "runtime/convert.h"

#include <algorithm>
#include <cstring>

namespace mxtape {

namespace {

constexpr int64_t kBlock = 1024;

// By way of float32, a block at a time: there are no loops for each other dtype.
void from_bfloat16(const bfloat16* from, DType to_dtype, void* to, int64_t n) {
  if (to_dtype == DType::kFloat32) {
    float* target = static_cast<float*>(to);
    for (int64_t i = 0; i < n; ++i) target[i] = static_cast<float>(from[i]);
    return;
  }
  float wide[kBlock];
  const auto step = static_cast<int64_t>(item_size(to_dtype));
  for (int64_t at = 0; at < n; at += kBlock) {
    const int64_t count = std::min(kBlock, n - at);
    from_bfloat16(from + at, DType::kFloat32, wide, count);
    convert(DType::kFloat32, wide, to_dtype, static_cast<char*>(to) + at * step, count);
  }
}

void to_bfloat16(DType from_dtype, const void* from, bfloat16* to, int64_t n) {
  if (from_dtype == DType::kFloat32) {
    const float* source = static_cast<const float*>(from);
    for (int64_t i = 0; i < n; ++i) to[i] = bfloat16(source[i]);
    return;
  }
  dispatch(from_dtype, [&](auto tag) {
    using From = typename decltype(tag)::type;
    const From* source = static_cast<const From*>(from);
    for (int64_t i = 0; i < n; ++i) to[i] = convert_value<bfloat16>(source[i]);
  });
}

}  // namespace

void convert(DType from_dtype, const void* from, DType to_dtype, void* to, int64_t n) {
  if (from_dtype == to_dtype) {
    std::memcpy(to, from, static_cast<size_t>(n) * item_size(to_dtype));
    return;
  }
  if (from_dtype == DType::kBfloat16) {
    return from_bfloat16(static_cast<const bfloat16*>(from), to_dtype, to, n);
  }
  if (to_dtype == DType::kBfloat16) {
    return to_bfloat16(from_dtype, from, static_cast<bfloat16*>(to), n);
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
  uint64_t bits = 0;
  convert(DType::kFloat64, &value, dtype, &bits, 1);
  dispatch<ElementTypes>(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T element;
    std::memcpy(&element, &bits, sizeof(T));
    std::fill_n(static_cast<T*>(to), n, element);
  });
}

}  // namespace mxtape

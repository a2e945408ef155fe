#include "runtime/convert.h"

#include <algorithm>
#include <cstring>
#ifdef __F16C__
#include <immintrin.h>
#endif

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

// Between float32 and float16, with the instructions that the compiler takes for one number only.
void convert_run(const float* from, float16* to, int64_t n) {
  int64_t i = 0;
#ifdef __F16C__
  for (; i + 8 <= n; i += 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
  }
#endif
  for (; i < n; ++i) to[i] = float16(from[i]);
}

void convert_run(const float16* from, float* to, int64_t n) {
  int64_t i = 0;
#ifdef __F16C__
  for (; i + 8 <= n; i += 8) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(halves));
  }
#endif
  for (; i < n; ++i) to[i] = static_cast<float>(from[i]);
}

template <class From, class To>
void convert_run(const From* from, To* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = convert_value<To>(from[i]);
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
      convert_run(static_cast<const From*>(from), static_cast<To*>(to), n);
    });
  });
}

void fill(DType dtype, double value, void* to, int64_t n) {
  // Every call of a number with a small array comes here.
  if (dtype == DType::kFloat32) {
    std::fill_n(static_cast<float*>(to), n, convert_value<float>(value));
    return;
  }
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

#pragma once

#include <cstdint>
#include <cstring>

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "op/declare.h"

// Gradients of functions that approach a limit: of (head, output, data). From the output, as
// y * (1 - y), they are quick, and wrong where it has been rounded to the limit. There they are
// computed from the data. The gradient of such a gradient goes to the data, not to the output.
namespace mxtape {

// S::from_output(y) and S::from_data(x) are the derivative; S::saturates(y) is where the first
// will not do.
template <class S>
struct SaturatingSlope {
  template <class T>
  static bool any(SimdMask<T> mask) {
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
    return _mm512_test_epi32_mask((__m512i)mask.v, (__m512i)mask.v) != 0;
#elif defined(__AVX2__)
    return !_mm256_testz_si256((__m256i)mask.v, (__m256i)mask.v);
#else
    uint64_t words[kSimdBytes / sizeof(uint64_t)], all = 0;
    std::memcpy(words, &mask.v, sizeof(words));
    for (uint64_t word : words) all |= word;
    return all != 0;
#endif
  }

  // The data is read where an element of the vector saturates, which for most numbers none does.
  template <class T>
  static void run(const void* const* in, void* out, int64_t n, const void*) {
    const T *g = static_cast<const T*>(in[0]), *y = static_cast<const T*>(in[1]);
    const T* x = static_cast<const T*>(in[2]);
    T* to = static_cast<T*>(out);
    for (int64_t i = 0; i < n; i += Simd<T>::kSize) {
      const int64_t count = n - i;
      const bool whole = count >= Simd<T>::kSize;
      const auto load = [&](const T* from) {
        return whole ? Simd<T>::load(from + i) : detail::load_part(from + i, count);
      };
      const Simd<T> head = load(g), output = load(y);
      const auto saturated = S::saturates(output);
      Simd<T> slope = S::from_output(output);
      if (any(saturated)) slope = select(saturated, S::from_data(load(x)), slope);
      const Simd<T> result = select(head == 0, head, head * slope);
      if (whole) {
        result.store(to + i);
      } else {
        std::memcpy(to + i, &result, static_cast<size_t>(count) * sizeof(T));
      }
    }
  }

  static TileFunction function() {
    TileFunction f;
    f.kernels[static_cast<int>(DType::kFloat32)] = run<float>;
    f.kernels[static_cast<int>(DType::kFloat64)] = run<double>;
    return f;
  }
};

}  // namespace mxtape

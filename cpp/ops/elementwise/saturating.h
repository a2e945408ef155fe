#pragma once

#include <algorithm>
#include <bit>
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

  template <class T>
  static Simd<T> product(Simd<T> head, Simd<T> slope) {
    return select(head == 0, head, head * slope);
  }

  // Up to kVectors vectors of operands, of which some saturate.
  static constexpr int kVectors = 64;
  template <class T>
  struct Block {
    const T *head, *output, *data;
    int16_t places[kVectors];   // where those begin
    Simd<T> results[kVectors];  // what they give
  };

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
  // The elements that saturate are computed side by side: mostly they are few in each vector.
  template <class T>
  static void compute(Block<T>& block, int count) {
    using V = Simd<T>;
    T elements[(kVectors + 1) * V::kSize];
    uint16_t which[kVectors];
    int size = 0;
    for (int k = 0; k < count; ++k) {
      const int at = block.places[k];
      which[k] = lanes(S::saturates(V::load(block.output + at)));
      compress(which[k], V::load(block.data + at)).store(elements + size);
      size += std::popcount(which[k]);
    }
    V(0).store(elements + size);
    for (int i = 0; i < size; i += V::kSize)
      S::from_data(V::load(elements + i)).store(elements + i);
    const T* next = elements;
    for (int k = 0; k < count; ++k) {
      const int at = block.places[k];
      const V slope = S::from_output(V::load(block.output + at));
      block.results[k] = product(V::load(block.head + at), expand(slope, which[k], V::load(next)));
      next += std::popcount(which[k]);
    }
  }
  static uint16_t lanes(SimdMask<float> mask) { return _mm512_movepi32_mask((__m512i)mask.v); }
  static uint16_t lanes(SimdMask<double> mask) { return _mm512_movepi64_mask((__m512i)mask.v); }
  static Simd<float> compress(uint16_t lanes, Simd<float> x) {
    return {(Simd<float>::Vector)_mm512_maskz_compress_ps(lanes, (__m512)x.v)};
  }
  static Simd<double> compress(uint16_t lanes, Simd<double> x) {
    return {
        (Simd<double>::Vector)_mm512_maskz_compress_pd(static_cast<__mmask8>(lanes), (__m512d)x.v)};
  }
  // `rest` but for these lanes, which are the first elements of x.
  static Simd<float> expand(Simd<float> rest, uint16_t lanes, Simd<float> x) {
    return {(Simd<float>::Vector)_mm512_mask_expand_ps((__m512)rest.v, lanes, (__m512)x.v)};
  }
  static Simd<double> expand(Simd<double> rest, uint16_t lanes, Simd<double> x) {
    return {(Simd<double>::Vector)_mm512_mask_expand_pd(
        (__m512d)rest.v, static_cast<__mmask8>(lanes), (__m512d)x.v)};
  }
#else
  template <class T>
  static void compute(Block<T>& block, int count) {
    using V = Simd<T>;
    for (int k = 0; k < count; ++k) {
      const int at = block.places[k];
      const V output = V::load(block.output + at);
      const V slope = S::from_data(V::load(block.data + at));
      block.results[k] = product(V::load(block.head + at),
                                 select(S::saturates(output), slope, S::from_output(output)));
    }
  }
#endif

  // The data is read where an element of the vector saturates, which for most numbers none does.
  // Which vectors these are is noted first and without a branch: one that cannot be predicted costs
  // more than their slopes. What they give is stored last: `out` may be one of the inputs.
  template <class T>
  static void run(const void* const* in, void* out, int64_t n, const void*) {
    using V = Simd<T>;
    const T *g = static_cast<const T*>(in[0]), *y = static_cast<const T*>(in[1]);
    const T* x = static_cast<const T*>(in[2]);
    T* to = static_cast<T*>(out);
    while (n >= V::kSize) {
      const int size = static_cast<int>(std::min<int64_t>(n / V::kSize, kVectors)) * V::kSize;
      Block<T> block;
      int count = 0;
      for (int i = 0; i < size; i += V::kSize) {
        block.places[count] = static_cast<int16_t>(i);
        count += any(S::saturates(V::load(y + i)));
      }
      if (count > 0) {
        block.head = g, block.output = y, block.data = x;
        compute(block, count);
      }
      for (int i = 0; i < size; i += V::kSize) {
        product(V::load(g + i), S::from_output(V::load(y + i))).store(to + i);
      }
      for (int k = 0; k < count; ++k) block.results[k].store(to + block.places[k]);
      g += size, y += size, x += size, to += size, n -= size;
    }
    if (n == 0) return;
    const V output = detail::load_part(y, n);
    const auto saturated = S::saturates(output);
    V slope = S::from_output(output);
    if (any(saturated)) {
      slope = select(saturated, S::from_data(detail::load_part(x, n)), slope);
    }
    const V result = product(detail::load_part(g, n), slope);
    std::memcpy(to, &result, static_cast<size_t>(n) * sizeof(T));
  }

  static TileFunction function() {
    TileFunction f;
    f.kernels[static_cast<int>(DType::kFloat32)] = run<float>;
    f.kernels[static_cast<int>(DType::kFloat64)] = run<double>;
    return f;
  }
};

}  // namespace mxtape

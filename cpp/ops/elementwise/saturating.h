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

// S::from_output(y) and S::from_data(x) are the derivative. The first will not do where S::size(y)
// is above S::kEnd, or NaN.
template <class S>
struct SaturatingSlope {
  template <class T>
  static Simd<T> product(Simd<T> head, Simd<T> slope) {
    return select(head == 0, head, head * slope);
  }

  // Up to a vector of elements.
  template <class T>
  static void run_one(const T* g, const T* y, const T* x, T* to, int64_t n) {
    using V = Simd<T>;
    const auto load = [n](const T* from) {
      return n < V::kSize ? detail::load_part(from, n) : V::load(from);
    };
    const V output = load(y);
    const auto saturated = !(S::size(output) <= T(S::kEnd));
    V slope = S::from_output(output);
    if (any(saturated)) slope = select(saturated, S::from_data(load(x)), slope);
    const V result = product(load(g), slope);
    if (n < V::kSize) {
      std::memcpy(to, &result, static_cast<size_t>(n) * sizeof(T));
    } else {
      result.store(to);
    }
  }
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

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
  static constexpr int kVectors = 64;

  // Vectors of which some have elements that saturate: often one in five, in which it is one
  // element. A branch that cannot be predicted costs more than their slopes, and so does a slope
  // for all elements of these vectors: the elements are put side by side. What is stored last is
  // read before anything is stored: `to` may be one of the inputs.
  template <class T>
  static void run_block(const T* g, const T* y, const T* x, T* to, int vectors) {
    using V = Simd<T>;
    alignas(kSimdBytes) uint16_t lanes[kVectors] = {};
#pragma GCC unroll 4
    for (int i = 0; i < vectors; ++i) lanes[i] = saturated_lanes(V::load(y + i * V::kSize));

    T elements[(kVectors + 1) * V::kSize];
    V heads[kVectors], slopes[kVectors];
    int count = 0, size = 0;
    const uint64_t some = nonzero(lanes) | static_cast<uint64_t>(nonzero(lanes + 32)) << 32;
    for (uint64_t left = some; left; left &= left - 1, ++count) {
      const int i = std::countr_zero(left), at = i * V::kSize;
      compress(lanes[i], V::load(x + at)).store(elements + size);
      size += std::popcount(lanes[i]);
      heads[count] = V::load(g + at);
      slopes[count] = S::from_output(V::load(y + at));
    }
    // In between, so that what was put side by side has arrived when it is read. A slope that is
    // not NaN needs no product().
    for (int i = 0; i < vectors * V::kSize; i += V::kSize) {
      (V::load(g + i) * S::from_output(V::load(y + i))).store(to + i);
    }

    V(0).store(elements + size);
    for (int i = 0; i < size; i += V::kSize) {
      S::from_data(V::load(elements + i)).store(elements + i);
    }
    count = 0;
    const T* next = elements;
    for (uint64_t left = some; left; left &= left - 1, ++count) {
      const int i = std::countr_zero(left);
      const V slope = expand(slopes[count], lanes[i], V::load(next));
      product(heads[count], slope).store(to + i * V::kSize);
      next += std::popcount(lanes[i]);
    }
  }
  static uint16_t saturated_lanes(Simd<float> y) {
    return _mm512_cmp_ps_mask((__m512)S::size(y).v, _mm512_set1_ps(S::kEnd), _CMP_NLE_UQ);
  }
  static uint16_t saturated_lanes(Simd<double> y) {
    return _mm512_cmp_pd_mask((__m512d)S::size(y).v, _mm512_set1_pd(S::kEnd), _CMP_NLE_UQ);
  }
  static uint32_t nonzero(const uint16_t* lanes) {
    const __m512i all = _mm512_load_si512(lanes);
    return _mm512_test_epi16_mask(all, all);
  }
  static Simd<float> compress(uint16_t lanes, Simd<float> x) {
    return {(Simd<float>::Vector)_mm512_maskz_compress_ps(lanes, (__m512)x.v)};
  }
  static Simd<double> compress(uint16_t lanes, Simd<double> x) {
    const auto mask = static_cast<__mmask8>(lanes);
    return {(Simd<double>::Vector)_mm512_maskz_compress_pd(mask, (__m512d)x.v)};
  }
  // `rest` but for these lanes, which are the first elements of x.
  static Simd<float> expand(Simd<float> rest, uint16_t lanes, Simd<float> x) {
    return {(Simd<float>::Vector)_mm512_mask_expand_ps((__m512)rest.v, lanes, (__m512)x.v)};
  }
  static Simd<double> expand(Simd<double> rest, uint16_t lanes, Simd<double> x) {
    const auto mask = static_cast<__mmask8>(lanes);
    return {(Simd<double>::Vector)_mm512_mask_expand_pd((__m512d)rest.v, mask, (__m512d)x.v)};
  }
#else
  static constexpr int kVectors = 1;
  template <class T>
  static void run_block(const T* g, const T* y, const T* x, T* to, int) {
    run_one(g, y, x, to, Simd<T>::kSize);
  }
#endif

  template <class T>
  static void run(const void* const* in, void* out, int64_t n, const void*) {
    const T *g = static_cast<const T*>(in[0]), *y = static_cast<const T*>(in[1]);
    const T* x = static_cast<const T*>(in[2]);
    T* to = static_cast<T*>(out);
    for (int64_t i = 0; i < n;) {
      const int64_t vectors = std::min<int64_t>((n - i) / Simd<T>::kSize, kVectors);
      if (vectors > 0) {
        run_block(g + i, y + i, x + i, to + i, static_cast<int>(vectors));
        i += vectors * Simd<T>::kSize;
      } else {
        run_one(g + i, y + i, x + i, to + i, n - i);
        i = n;
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

#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "runtime/simd.h"

// float32 summed in float64.
namespace mxtape {

// As many doubles as fill a vector register, from memory in one instruction: the compiler's own
// loops load a whole register of floats and take it apart, which costs three times as much.
using Doubles = Simd<double>;
MXTAPE_INLINE Doubles widen(const float* from) {
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
  return {(Doubles::Vector)_mm512_cvtps_pd(_mm256_loadu_ps(from))};
#elif defined(__AVX2__)
  return {(Doubles::Vector)_mm256_cvtps_pd(_mm_loadu_ps(from))};
#else
  typedef float Floats __attribute__((vector_size(kSimdBytes / 2)));
  Floats x;
  std::memcpy(&x, from, sizeof(x));
  return {__builtin_convertvector(x, Doubles::Vector)};
#endif
}

// total[i] += x[i].
template <class A>
void add_row(const A* x, int64_t n, double* total) {
  int64_t i = 0;
  if constexpr (std::is_same_v<A, float>) {
    for (; i + Doubles::kSize <= n; i += Doubles::kSize) {
      (Doubles::load(total + i) + widen(x + i)).store(total + i);
    }
  }
  for (; i < n; ++i) total[i] += static_cast<double>(x[i]);
}

}  // namespace mxtape

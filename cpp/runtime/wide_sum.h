#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "runtime/simd.h"

// float32 summed in float64, for vector instructions.
namespace mxtape {

// Four doubles, or two. Not a whole register of AVX-512: sums are not faster in it, and the loops
// around them slower. From memory in one instruction: the compiler's own loops load a register of
// floats and take it apart, which costs three times as much.
struct Doubles {
  static constexpr int kBytes = kSimdBytes > 32 ? 32 : kSimdBytes;
  static constexpr int kSize = kBytes / 8;
  typedef double Vector __attribute__((vector_size(kBytes)));
  Vector v;

  MXTAPE_INLINE static Doubles load(const double* from) {
    Doubles x;
    std::memcpy(&x.v, from, sizeof(x.v));
    return x;
  }
  MXTAPE_INLINE static Doubles load(const float* from) {
#if defined(__AVX2__)
    return {(Vector)_mm256_cvtps_pd(_mm_loadu_ps(from))};
#else
    typedef float Floats __attribute__((vector_size(kBytes / 2)));
    Floats x;
    std::memcpy(&x, from, sizeof(x));
    return {__builtin_convertvector(x, Vector)};
#endif
  }
  MXTAPE_INLINE void store(double* to) const { std::memcpy(to, &v, sizeof(v)); }

  MXTAPE_INLINE friend Doubles operator+(Doubles a, Doubles b) { return {a.v + b.v}; }
  MXTAPE_INLINE friend Doubles operator*(Doubles a, Doubles b) { return {a.v * b.v}; }
  MXTAPE_INLINE friend Doubles abs(Doubles x) { return {x.v < 0 ? -x.v : x.v}; }
  MXTAPE_INLINE friend Doubles zero_for_nan(Doubles x) { return {x.v == x.v ? x.v : Vector{}}; }
};

// total[i] += x[i].
template <class A>
void add_row(const A* x, int64_t n, double* total) {
  int64_t i = 0;
  if constexpr (std::is_same_v<A, float>) {
    for (; i + Doubles::kSize <= n; i += Doubles::kSize) {
      (Doubles::load(total + i) + Doubles::load(x + i)).store(total + i);
    }
  }
  for (; i < n; ++i) total[i] += static_cast<double>(x[i]);
}

}  // namespace mxtape

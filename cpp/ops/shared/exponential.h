#pragma once

#include <bit>
#include <cstdint>

#include "runtime/simd.h"

// e^x and 1 / (1 + e^-x) for float32 and float64 as straight-line code that compilers vectorise,
// for every x: to 0 and to infinity through what is subnormal, NaN to NaN. e^x is off by at
// most 1.1 units in the last place, sigmoid by 2.5 where it is a normal number.
namespace mxtape {

namespace detail {

// With n = round(x / ln 2) and r = x - n ln 2: e^x = 2^n e^r.
template <class T>
struct ExpConstants;

template <>
struct ExpConstants<float> {
  using Bits = uint32_t;
  static constexpr int kMantissa = 23, kBias = 127;
  static constexpr float kLow = -104, kHigh = 89;  // e^x is 0 and infinity from there on
  static constexpr float kHalfHigh = 89.5;         // e^x / 2 too
  static constexpr float kRound = 12582912;        // 1.5 * 2^23: to add it rounds
  static constexpr float kLn2 = 0.693359375F, kLn2Rest = -2.12194440e-4F;
};

template <>
struct ExpConstants<double> {
  using Bits = uint64_t;
  static constexpr int kMantissa = 52, kBias = 1023;
  static constexpr double kLow = -746, kHigh = 710, kHalfHigh = 710.5;
  static constexpr double kRound = 6755399441055744;  // 1.5 * 2^52
  static constexpr double kLn2 = 0.693145751953125, kLn2Rest = 1.42860682030941723212e-6;
};

// (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2, in Estrin's order: short chains of what waits for each
// other. The coefficients of float32 are those of Cephes' expf, of float64 Taylor's.
template <class V>
MXTAPE_INLINE V exp_tail(V r) {
  const V s = r * r;
  if constexpr (std::is_same_v<scalar_of<V>, float>) {
    const V a = 5.0000001201e-1F + 1.6666665459e-1F * r;
    const V b = 4.1665795894e-2F + 8.3334519073e-3F * r;
    const V c = 1.3981999507e-3F + 1.9875691500e-4F * r;
    return a + (b + c * s) * s;
  } else {
    const V q = s * s;
    const V a = 1.0 / 2 + 1.0 / 6 * r, b = 1.0 / 24 + 1.0 / 120 * r;
    const V c = 1.0 / 720 + 1.0 / 5040 * r, d = 1.0 / 40320 + 1.0 / 362880 * r;
    const V e = 1.0 / 3628800 + 1.0 / 39916800 * r;
    const V f = 1.0 / 479001600 + 1.0 / 6227020800 * r;
    return (a + b * s) + q * ((c + d * s) + q * (e + f * s));
  }
}

// NaN is between the two.
template <class V>
MXTAPE_INLINE V between(scalar_of<V> low, scalar_of<V> high, V x) {
  const V below = select(high < x, high, x);
  return select(low > below, low, below);
}

// The integers whose bits are those of V.
template <class V>
struct BitsOf {
  using type = typename ExpConstants<V>::Bits;
};
template <class T>
struct BitsOf<Simd<T>> {
  using type = typename Simd<T>::Bits;
};

// e^r, and bits of which the last are those of n.
template <class V>
MXTAPE_INLINE V exp_rest(V x, typename BitsOf<V>::type& bits) {
  using T = scalar_of<V>;
  using C = ExpConstants<T>;
  const V t = x * T(1.44269504088896340736) + C::kRound, n = t - C::kRound;
  const V r = (x - n * C::kLn2) - n * C::kLn2Rest;
  bits = std::bit_cast<typename BitsOf<V>::type>(t);
  return (exp_tail(r) * (r * r) + r) + T(1);
}

}  // namespace detail

// Of one number, or of a Simd.
template <class V>
MXTAPE_INLINE V exp_of(V x) {
  using C = detail::ExpConstants<scalar_of<V>>;
  using Number = typename C::Bits;
  using Bits = typename detail::BitsOf<V>::type;
  Bits bits;
  const V e = detail::exp_rest(detail::between(C::kLow, C::kHigh, x), bits);
  // 2^n in two factors, as n reaches beyond the exponents of T.
  constexpr Number kZero = std::bit_cast<Number>(C::kRound), kShift = 2 * C::kBias + 2;
  const Bits k = bits - kZero + kShift, half = k >> 1;
  const V first = std::bit_cast<V>((half - 1) << C::kMantissa);
  const V second = std::bit_cast<V>((k - half - 1) << C::kMantissa);
  return e * first * second;
}

template <class V>
MXTAPE_INLINE V sigmoid_of(V x) {
  using T = scalar_of<V>;
  using C = detail::ExpConstants<T>;
  using Number = typename C::Bits;
  using Bits = typename detail::BitsOf<V>::type;
  Bits bits;
  // 1 + e^-40 is 1. Both terms are halved: so one factor, 2^(n - 1), is enough.
  const V e = detail::exp_rest(detail::between(T(-40), C::kHalfHigh, -x), bits);
  constexpr Number kHalf = std::bit_cast<Number>(T(0.5));
  return T(0.5) / (T(0.5) + e * std::bit_cast<V>((bits << C::kMantissa) + kHalf));
}

// For Eigen's expressions: x.unaryExpr(Exp()).
struct Exp {
  template <class T>
  T operator()(T x) const {
    return exp_of(x);
  }
};
struct Sigmoid {
  template <class T>
  T operator()(T x) const {
    return sigmoid_of(x);
  }
};

}  // namespace mxtape

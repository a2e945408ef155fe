#pragma once

#include <bit>
#include <cstdint>

#include <Eigen/Core>

#include "core/dtype.h"

namespace mxtape {

// to[i] = from[i] for n contiguous elements. Floating to integer truncates toward zero; anything to
// bool asks whether it is not zero.
void convert(DType from_dtype, const void* from, DType to_dtype, void* to, int64_t n);
// to[i] = value for n contiguous elements.
void fill(DType dtype, double value, void* to, int64_t n);

// A float64 or an integer on its way to 16 bits: where float32 does not hold it, the neighbour
// whose last bit is 1. So the second rounding is that of the number itself, and not of one that the
// first has brought half way between two.
template <class From>
float on_the_way(From value) {
  const float nearest = static_cast<float>(value);
  if constexpr (sizeof(From) < 4 || std::is_same_v<From, float>) {
    return nearest;
  } else {
    constexpr float kLimit = 9.2e18F;  // beyond it, an integer's conversion back would overflow
    if (std::is_integral_v<From> && sizeof(From) == 4) {
      return on_the_way(static_cast<double>(value));
    }
    if (std::is_integral_v<From> && !(nearest < kLimit && nearest > -kLimit)) return nearest;
    const From back = static_cast<From>(nearest);
    if (back == value || value != value) return nearest;
    auto bits = std::bit_cast<uint32_t>(nearest);
    if ((back > value) == (value > 0)) --bits;  // it went away from 0
    return std::bit_cast<float>(bits | 1);
  }
}

template <class To, class From>
To convert_value(From value) {
  if constexpr (std::is_same_v<To, bool>) {
    return static_cast<compute_type<From>>(value) != 0;
  } else if constexpr (!std::is_same_v<To, compute_type<To>>) {
    return To(on_the_way(static_cast<compute_type<From>>(value)));
  } else if constexpr (!std::is_same_v<From, compute_type<From>>) {
    return convert_value<To>(static_cast<float>(value));
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To> &&
                       sizeof(To) == 1) {
    return static_cast<To>(static_cast<int32_t>(value));
  } else {
    return static_cast<To>(value);
  }
}

}  // namespace mxtape

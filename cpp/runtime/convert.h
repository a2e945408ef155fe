#pragma once

#include <cstdint>

#include <Eigen/Core>

#include "core/dtype.h"

namespace mxtape {

// to[i] = from[i] for n contiguous elements. Floating to integer truncates toward zero; anything to
// bool asks whether it is not zero.
void convert(DType from_dtype, const void* from, DType to_dtype, void* to, int64_t n);
// to[i] = value for n contiguous elements.
void fill(DType dtype, double value, void* to, int64_t n);

template <class To, class From>
To convert_value(From value) {
  if constexpr (std::is_same_v<To, bool>) {
    return static_cast<compute_type<From>>(value) != 0;
  } else if constexpr (!std::is_same_v<To, compute_type<To>>) {
    return To(static_cast<float>(value));
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

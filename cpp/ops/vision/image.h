#pragma once

#include <limits>
#include <type_traits>

#include "op/schema.h"
#include "runtime/convert.h"

// What operators on images share. An image is height by width by channels.
namespace mxtape {

// One image of 1 or 3 channels, of numbers.
inline void expect_image(const InferCall& call) {
  const Shape& in = call.shape(0);
  call.expect(in.ndim() == 3 && (in[2] == 1 || in[2] == 3),
              "data must be an image (height, width, channels) of 1 or 3 channels");
  call.expect(call.dtype(0) != DType::kBool, "data must be numbers");
}

// An image or a batch of images, of any number of channels; the place of the height's axis.
inline int expect_images(const InferCall& call) {
  const Shape& in = call.shape(0);
  call.expect(in.ndim() == 3 || in.ndim() == 4,
              "data must be an image (height, width, channels) or a batch (N, height, width, "
              "channels)");
  call.expect(call.dtype(0) != DType::kBool, "data must be numbers");
  return in.ndim() - 3;
}

// A colour value as T: integers are cut to T's range, and lose their fraction.
template <class T>
T to_color(double value) {
  if constexpr (std::is_integral_v<T>) {
    constexpr auto kLow = static_cast<double>(std::numeric_limits<T>::min());
    constexpr auto kHigh = static_cast<double>(std::numeric_limits<T>::max());
    if (!(value > kLow)) return std::numeric_limits<T>::min();
    return value < kHigh ? static_cast<T>(value) : std::numeric_limits<T>::max();
  } else {
    return convert_value<T>(value);
  }
}

}  // namespace mxtape

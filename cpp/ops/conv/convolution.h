#pragma once

#include <array>
#include <cstdint>

#include "core/dtype.h"
#include "runtime/parallel.h"

namespace mxtape {

// One convolution, told apart from its parameters' spelling. Along each of three spatial axes, of
// which the first are of extent 1 where the arrays have fewer, output o reads input
// o * stride - pad + k * dilate for every k of the kernel; what lies outside counts as zero.
// Channels are those of all groups: group q of `groups` takes an equal share of both kinds.
//   data [images, in_channels, in]   head [images, out_channels, out]
//   weight [out_channels, in_channels / groups, kernel]
struct ConvGeometry {
  using Axes = std::array<int64_t, 3>;
  int axes = 2;  // spatial axes that the arrays have
  int64_t images = 0, groups = 1, in_channels = 0, out_channels = 0;
  Axes in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilate{1, 1, 1}, pad{0, 0, 0};

  static int64_t product(const Axes& a) { return a[0] * a[1] * a[2]; }
  int64_t in_size() const { return product(in); }
  int64_t out_size() const { return product(out); }
  int64_t taps() const { return product(kernel); }
  int64_t group_in() const { return in_channels / groups; }
  int64_t group_out() const { return out_channels / groups; }
  int64_t data_size() const { return images * in_channels * in_size(); }
  int64_t head_size() const { return images * out_channels * out_size(); }
  int64_t weight_size() const { return out_channels * group_in() * taps(); }
  // Multiplications and additions for one image.
  int64_t image_work() const { return 2 * weight_size() * out_size(); }
};

// The three maps of a convolution, each linear in both arrays and the gradient of the others.
// Arrays are dense, of `dtype` (floating point); results overlap nothing. `bias` has one number for
// each channel of the result and may be null. The bits do not depend on the number of threads.
void convolve(const ConvGeometry& g, DType dtype, const void* data, const void* weight,
              const void* bias, void* head);
void convolve_to_data(const ConvGeometry& g, DType dtype, const void* head, const void* weight,
                      const void* bias, void* data);
void convolve_to_weight(const ConvGeometry& g, DType dtype, const void* head, const void* data,
                        void* weight);

// Whether the environment allows an algorithm: its variable is not 0.
bool is_switched_on(const char* variable);

// out = the sum of `count` arrays of n elements, one behind the other, in their order.
template <class T>
void sum_parts(const T* parts, int64_t count, int64_t n, T* out) {
  parallel_for(n, 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t e = begin; e < end; ++e) out[e] = parts[e];
    for (int64_t part = 1; part < count; ++part) {
      const T* from = parts + part * n;
      for (int64_t e = begin; e < end; ++e) out[e] += from[e];
    }
  });
}

// Adds bias[c] to each of the `size` elements of channel c.
template <class T>
void add_bias(T* out, const T* bias, int64_t channels, int64_t size) {
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t e = 0; e < size; ++e) out[c * size + e] += bias[c];
  }
}

}  // namespace mxtape

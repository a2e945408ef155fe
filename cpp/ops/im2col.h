#pragma once

#include <algorithm>

#include "ops/convolution.h"

// An image as the matrix that its convolution multiplies: row (channel, tap), column output
// position, both row-major.
namespace mxtape {

namespace detail {

// Calls segment(at, from, n) for the columns [first, last) of one row of the matrix: columns
// at .. at + n, counted from `first`, lie at image elements `from`, from + stride, ... of the row's
// channel; from = -1 for columns outside the image.
template <class Segment>
void for_row(const ConvGeometry& g, int64_t tap, int64_t first, int64_t last, Segment&& segment) {
  const auto& [depth, height, width] = g.in;
  const int64_t kw = tap % g.kernel[2], kh = tap / g.kernel[2] % g.kernel[1],
                kd = tap / (g.kernel[2] * g.kernel[1]);
  // Columns of a line that are inside the image: lo <= w < hi.
  const int64_t shift = kw * g.dilate[2] - g.pad[2], stride = g.stride[2];
  const int64_t lo =
      std::clamp<int64_t>(shift < 0 ? (-shift + stride - 1) / stride : 0, 0, g.out[2]);
  const int64_t hi =
      std::clamp<int64_t>(width - shift <= 0 ? 0 : (width - 1 - shift) / stride + 1, lo, g.out[2]);
  for (int64_t p = first; p < last;) {
    const int64_t line = p / g.out[2], begin = p % g.out[2];
    const int64_t end = std::min(g.out[2], begin + last - p);
    const int64_t d = line / g.out[1] * g.stride[0] - g.pad[0] + kd * g.dilate[0];
    const int64_t h = line % g.out[1] * g.stride[1] - g.pad[1] + kh * g.dilate[1];
    const int64_t at = p - first;
    if (d < 0 || d >= depth || h < 0 || h >= height) {
      segment(at, int64_t{-1}, end - begin);
    } else {
      const int64_t from = std::clamp(lo, begin, end), to = std::clamp(hi, from, end);
      if (from > begin) segment(at, int64_t{-1}, from - begin);
      if (to > from) {
        segment(at + from - begin, (d * height + h) * width + from * stride + shift, to - from);
      }
      if (end > to) segment(at + to - begin, int64_t{-1}, end - to);
    }
    p += end - begin;
  }
}

}  // namespace detail

// Columns [first, last) of the matrix of `channels` channels: columns[channels * taps, last -
// first].
template <class T>
void unfold(const ConvGeometry& g, int64_t channels, const T* image, int64_t first, int64_t last,
            T* columns) {
  const int64_t taps = g.taps(), n = last - first, stride = g.stride[2];
  for (int64_t row = 0; row < channels * taps; ++row) {
    const T* channel = image + row / taps * g.in_size();
    T* out = columns + row * n;
    detail::for_row(g, row % taps, first, last, [&](int64_t at, int64_t from, int64_t count) {
      if (from < 0) {
        std::fill_n(out + at, count, T(0));
      } else if (stride == 1) {
        std::copy_n(channel + from, count, out + at);
      } else {
        for (int64_t i = 0; i < count; ++i) out[at + i] = channel[from + i * stride];
      }
    });
  }
}

// The adjoint of unfold: adds the columns to the image elements that they came from.
template <class T, class Sum>
void fold(const ConvGeometry& g, int64_t channels, const T* columns, int64_t first, int64_t last,
          Sum* image) {
  const int64_t taps = g.taps(), n = last - first, stride = g.stride[2];
  for (int64_t row = 0; row < channels * taps; ++row) {
    Sum* channel = image + row / taps * g.in_size();
    const T* in = columns + row * n;
    detail::for_row(g, row % taps, first, last, [&](int64_t at, int64_t from, int64_t count) {
      if (from < 0) return;
      if (stride == 1) {
        for (int64_t i = 0; i < count; ++i) channel[from + i] += static_cast<Sum>(in[at + i]);
      } else {
        for (int64_t i = 0; i < count; ++i)
          channel[from + i * stride] += static_cast<Sum>(in[at + i]);
      }
    });
  }
}

}  // namespace mxtape

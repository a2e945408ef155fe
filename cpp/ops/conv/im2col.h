#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "core/storage.h"
#include "ops/conv/convolution.h"

// An image as the matrix that its convolution multiplies: row (channel, tap), column output
// position, both row-major.
namespace mxtape {

namespace detail {

// Some columns [first, last) of the matrix, and the part of a channel that they are taken from,
// with the zeros around it: some planes, in each some lines, without those that a long stride
// leaves out. A line begins with its elements 0, s, 2s, ... of a stride s, then come 1, s + 1, ...:
// what a tap meets is contiguous.
class Unfolding {
 public:
  Unfolding(const ConvGeometry& g, int64_t first, int64_t last) : g_(g) {
    const int64_t line = g.out[2], plane = g.out[1] * line;
    for (int64_t p = first; p < last;) {
      const int64_t d = p / plane, h = p % plane / line, begin = p % line;
      const int64_t left = std::min(last, (d + 1) * plane) - p;
      const int64_t count = begin == 0 ? std::max<int64_t>(left / line, 1) : 1;
      const int64_t end = std::min(line, begin + left);
      runs_.push_back({d, h, count, begin, end - begin});
      p += count * (end - begin);
    }
    if (runs_.empty()) return;
    is_channel_ = g.stride[2] == 1;
    for (int axis = 0; axis < 3; ++axis) {
      reach_[axis] = (g.kernel[axis] - 1) * g.dilate[axis] + 1;
      step_[axis] = std::min(g.stride[axis], reach_[axis]);
      is_channel_ &=
          g.pad[axis] == 0 && (g.out[axis] - 1) * g.stride[axis] + reach_[axis] <= g.in[axis];
    }
    if (is_channel_) {
      extent_ = g.in;
      step_ = g.stride;
      return;
    }
    const Run &from = runs_.front(), &to = runs_.back();
    const bool one_plane = from.d == to.d;
    d_ = from.d;
    h_ = one_plane ? from.h : 0;
    phase_ = g.out[2] - 1 + (reach_[2] + g.stride[2] - 1) / g.stride[2];
    extent_ = {(to.d - d_) * step_[0] + reach_[0],
               ((one_plane ? to.h + to.lines : g.out[1]) - 1 - h_) * step_[1] + reach_[1],
               step_[2] * phase_};
  }

  // Whether the part is the channel as it is; otherwise it has part_size() elements elsewhere.
  bool is_channel() const { return is_channel_; }
  int64_t part_size() const {
    constexpr int64_t kTooLarge = int64_t{1} << 56;  // of which Storage says so
    int64_t lines, size;
    if (is_channel_) return 0;
    if (__builtin_mul_overflow(extent_[0], extent_[1], &lines) ||
        __builtin_mul_overflow(lines, extent_[2], &size))
      return kTooLarge;
    return std::min(size, kTooLarge);
  }

  // Calls f(at, from, n) for the elements of the part that lie in the channel: at .. at + n of the
  // part are from, from + stride, ... of the channel.
  template <class F>
  void for_lines(F&& f) const {
    const int64_t stride = g_.stride[2], pad = g_.pad[2];
    for (int64_t d = 0; d < extent_[0]; ++d) {
      const int64_t in_d = place(0, d_, d);
      if (in_d < 0 || in_d >= g_.in[0]) continue;
      for (int64_t h = 0; h < extent_[1]; ++h) {
        const int64_t in_h = place(1, h_, h);
        if (in_h < 0 || in_h >= g_.in[1]) continue;
        const int64_t line = (d * extent_[1] + h) * extent_[2],
                      in_line = (in_d * g_.in[1] + in_h) * g_.in[2];
        for (int64_t w = 0; w < step_[2]; ++w) {
          const int64_t outside = w < pad ? (pad - w + stride - 1) / stride : 0,
                        from = w + outside * stride - pad;
          const int64_t n = std::min(phase_ - outside, (g_.in[2] - from + stride - 1) / stride);
          if (n > 0) f(line + w * phase_ + outside, in_line + from, n);
        }
      }
    }
  }

  // Calls f(at, from, lines, n) for the rows of a channel, in their order: the columns from `at`
  // on, counted from the first of the channel, are `lines` times n elements of the part, at `from`
  // and each time line_step() further.
  template <class F>
  void for_runs(F&& f) const {
    int64_t at = 0;
    for (int64_t kd = 0; kd < g_.kernel[0]; ++kd) {
      for (int64_t kh = 0; kh < g_.kernel[1]; ++kh) {
        for (int64_t kw = 0; kw < g_.kernel[2]; ++kw) {
          const int64_t w = kw * g_.dilate[2], first = w % g_.stride[2] * phase_ + w / g_.stride[2];
          for (const Run& run : runs_) {
            const int64_t d = (run.d - d_) * step_[0] + kd * g_.dilate[0],
                          h = (run.h - h_) * step_[1] + kh * g_.dilate[1];
            f(at, (d * extent_[1] + h) * extent_[2] + first + run.begin, run.lines, run.n);
            at += run.lines * run.n;
          }
        }
      }
    }
  }
  int64_t line_step() const { return step_[1] * extent_[2]; }

 private:
  // Output positions begin .. begin + n of some lines below each other: h, h + 1, ... of plane d.
  struct Run {
    int64_t d, h, lines, begin, n;
  };

  // Where plane or line i of the part is in the channel, if the first belongs to output `first`.
  int64_t place(int axis, int64_t first, int64_t i) const {
    const int64_t outputs = std::min(i / step_[axis], (extent_[axis] - reach_[axis]) / step_[axis]);
    return (first + outputs) * g_.stride[axis] + i - outputs * step_[axis] - g_.pad[axis];
  }

  const ConvGeometry& g_;
  std::vector<Run> runs_;
  bool is_channel_ = true;
  // Of the part: its first plane and line, counted in those of the output; elements of a line that
  // a tap may meet; how far apart are what two neighbours of the output meet; what one meets.
  int64_t d_ = 0, h_ = 0, phase_ = 0;
  ConvGeometry::Axes extent_{0, 0, 0}, step_{1, 1, 1}, reach_{1, 1, 1};
};

// Lines of n elements, each `to_step` and `from_step` after the one before, copied a few elements
// at a time: they are too short for calls of memcpy.
template <class T>
void copy_lines(const T* from, int64_t from_step, int64_t lines, int64_t n, T* to,
                int64_t to_step) {
  const auto copy = [&](int64_t i, auto width) {
    for (int64_t l = 0; l < lines; ++l)
      std::memcpy(to + l * to_step + i, from + l * from_step + i, width * sizeof(T));
  };
  // The last of them copies some elements again.
  const auto in_chunks = [&](auto width) {
    int64_t i = 0;
    for (; i + width <= n; i += width) copy(i, width);
    if (i < n) copy(n - width, width);
  };
  if (n >= 8) {
    in_chunks(std::integral_constant<int, 8>());
  } else if (n >= 4) {
    in_chunks(std::integral_constant<int, 4>());
  } else {
    in_chunks(std::integral_constant<int, 1>());
  }
}

// The same, added to what is there.
template <class T, class Sum>
void add_lines(const T* from, int64_t from_step, int64_t lines, int64_t n, Sum* to,
               int64_t to_step) {
  const auto add = [&](int64_t i, auto width) {
    for (int64_t l = 0; l < lines; ++l) {
      Sum sums[width];
      Sum* const at = to + l * to_step + i;
      for (int k = 0; k < width; ++k)
        sums[k] = at[k] + static_cast<Sum>(from[l * from_step + i + k]);
      std::memcpy(at, sums, sizeof(sums));
    }
  };
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) add(i, std::integral_constant<int, 8>());
  if (i + 4 <= n) add(i, std::integral_constant<int, 4>()), i += 4;
  if (i + 2 <= n) add(i, std::integral_constant<int, 2>()), i += 2;
  if (i < n) add(i, std::integral_constant<int, 1>());
}

}  // namespace detail

// Columns [first, last) of the matrix of `channels` channels: columns[channels * taps, last -
// first].
template <class T>
void unfold(const ConvGeometry& g, int64_t channels, const T* image, int64_t first, int64_t last,
            T* columns) {
  const detail::Unfolding u(g, first, last);
  const int64_t stride = g.stride[2], size = g.taps() * (last - first);
  const Ref<Storage> memory = Storage::allocate(size_t(u.part_size()) * sizeof(T));
  T* const copy = reinterpret_cast<T*>(memory->data());
  // The zeros around the channel are never written over.
  std::fill_n(copy, u.part_size(), T(0));
  for (int64_t c = 0; c < channels; ++c, image += g.in_size(), columns += size) {
    if (!u.is_channel()) {
      u.for_lines([&](int64_t at, int64_t from, int64_t n) {
        for (int64_t i = 0; i < n; ++i) copy[at + i] = image[from + i * stride];
      });
    }
    const T* part = u.is_channel() ? image : copy;
    u.for_runs([&](int64_t at, int64_t from, int64_t lines, int64_t n) {
      detail::copy_lines(part + from, u.line_step(), lines, n, columns + at, g.out[2]);
    });
  }
}

// The adjoint of unfold: adds the columns to the image elements that they came from.
template <class T, class Sum>
void fold(const ConvGeometry& g, int64_t channels, const T* columns, int64_t first, int64_t last,
          Sum* image) {
  const detail::Unfolding u(g, first, last);
  const int64_t stride = g.stride[2], size = g.taps() * (last - first);
  const Ref<Storage> memory = Storage::allocate(size_t(u.part_size()) * sizeof(Sum));
  Sum* const copy = reinterpret_cast<Sum*>(memory->data());
  for (int64_t c = 0; c < channels; ++c, image += g.in_size(), columns += size) {
    Sum* const part = u.is_channel() ? image : copy;
    std::fill_n(copy, u.part_size(), Sum(0));
    u.for_runs([&](int64_t at, int64_t from, int64_t lines, int64_t n) {
      detail::add_lines(columns + at, g.out[2], lines, n, part + from, u.line_step());
    });
    if (!u.is_channel()) {
      u.for_lines([&](int64_t at, int64_t from, int64_t n) {
        for (int64_t i = 0; i < n; ++i) image[from + i * stride] += copy[at + i];
      });
    }
  }
}

}  // namespace mxtape

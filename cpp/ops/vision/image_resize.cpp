#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "op/declare.h"
#include "ops/vision/image.h"
#include "runtime/parallel.h"

// Images in another size: rows and columns are interpolated one after the other.
namespace mxtape {
namespace {

enum class Interpolation : int64_t { kNearest, kLinear, kCubic, kArea, kLanczos };

struct ResizeParams {
  Ints size;
  bool keep_ratio = false;
  int64_t interp = 1;
  template <class V>
  void visit(V& v) {
    v("size", size, "Width and height of the result; or one number for both.");
    v("keep_ratio", keep_ratio,
      "Whether one number is that of the shorter side, and the other "
      "follows.");
    v("interp", interp,
      "0: the nearest pixel. 1: linear. 2: cubic. 3: the mean of an area. 4: "
      "Lanczos, over 8 pixels.");
  }
};

// The height and width of the result for an image of H by W.
std::pair<int64_t, int64_t> target_size(const ResizeParams& p, int64_t H, int64_t W) {
  if (p.size.size() == 2) return {p.size[1], p.size[0]};
  const int64_t size = p.size[0];
  if (!p.keep_ratio || H == 0 || W == 0) return {size, size};
  if (H < W) return {size, W * size / H};
  return {H * size / W, size};
}

// The pixels along one side that an element of the result is made of, and their weights.
struct Filter {
  std::vector<int64_t> at;
  std::vector<double> weight;
  int64_t taps = 1;
};

double lanczos(double x) {
  if (std::abs(x) < 1e-7) return 1;
  const double t = std::numbers::pi * x;
  return std::sin(t) * std::sin(t / 4) * 4 / (t * t);
}

// Filter of element `k` from `extent` pixels to `size`, into `at` and `weight`.
void add_element(Filter& f, int64_t k, int64_t extent, int64_t size, Interpolation how,
                 bool shrinks) {
  const double scale = static_cast<double>(extent) / static_cast<double>(size);
  const auto start = f.at.size();
  const auto add = [&](int64_t pixel, double weight) {
    f.at.push_back(std::clamp<int64_t>(pixel, 0, extent - 1));
    f.weight.push_back(weight);
  };
  const double middle = (static_cast<double>(k) + 0.5) * scale - 0.5;
  const auto first = static_cast<int64_t>(std::floor(middle));
  const double part = middle - static_cast<double>(first);
  switch (how) {
    case Interpolation::kNearest:
      add(static_cast<int64_t>(std::floor(static_cast<double>(k) * scale)), 1);
      break;
    case Interpolation::kLinear:
      add(first, 1 - part);
      add(first + 1, part);
      break;
    case Interpolation::kCubic: {
      // Keys' kernel with a slope of -3/4 at distance 1.
      constexpr double kSlope = -0.75;
      for (int64_t t = -1; t <= 2; ++t) {
        const double x = std::abs(part - static_cast<double>(t));
        add(first + t, x <= 1 ? ((kSlope + 2) * x - (kSlope + 3)) * x * x + 1
                              : ((x - 5) * x + 8) * x * kSlope - 4 * kSlope);
      }
      break;
    }
    case Interpolation::kArea:
      if (shrinks) {
        const double begin = static_cast<double>(k) * scale, end = begin + scale;
        for (auto pixel = static_cast<int64_t>(std::floor(begin));
             static_cast<double>(pixel) < end - 1e-9; ++pixel) {
          const auto left = static_cast<double>(pixel);
          add(pixel, (std::min(end, left + 1) - std::max(begin, left)) / scale);
        }
      } else {
        // Between pixels only where an element of the result covers two.
        const auto pixel = static_cast<int64_t>(std::floor(static_cast<double>(k) * scale + 1e-9));
        const double over = static_cast<double>(k + 1) - static_cast<double>(pixel + 1) / scale;
        const double share = over <= 0 ? 0 : over - std::floor(over);
        add(pixel, 1 - share);
        add(pixel + 1, share);
      }
      break;
    case Interpolation::kLanczos: {
      double total = 0;
      for (int64_t t = -3; t <= 4; ++t) {
        add(first + t, lanczos(part - static_cast<double>(t)));
        total += f.weight.back();
      }
      for (size_t i = start; i < f.weight.size(); ++i) f.weight[i] /= total;
      break;
    }
  }
  while (static_cast<int64_t>(f.at.size() - start) < f.taps) add(0, 0);
}

Filter make_filter(int64_t extent, int64_t size, Interpolation how, bool shrinks) {
  Filter f;
  const int64_t wide = (extent + size - 1) / size + 1;
  const int64_t taps[] = {1, 2, 4, shrinks ? wide + 1 : 2, 8};
  f.taps = taps[static_cast<size_t>(how)];
  for (int64_t k = 0; k < size; ++k) add_element(f, k, extent, size, how, shrinks);
  return f;
}

// The geometry of a call: batches of images, with the channels innermost.
struct Sizes {
  int64_t images, H, W, height, width, channels;
  Sizes(const Shape& in, const Shape& out)
      : images(in.ndim() == 4 ? in[0] : 1),
        H(in[in.ndim() - 3]),
        W(in[in.ndim() - 2]),
        height(out[in.ndim() - 3]),
        width(out[in.ndim() - 2]),
        channels(in[in.ndim() - 1]) {}
  bool shrinks() const { return height <= H && width <= W; }
};

template <class T>
void resize_images(const NDArray& in, const NDArray& out, Interpolation how) {
  using C = std::conditional_t<sizeof(T) == 2 || std::is_same_v<T, float>, float, double>;
  const Sizes s(in.shape(), out.shape());
  const Filter rows = make_filter(s.H, s.height, how, s.shrinks());
  const Filter columns = make_filter(s.W, s.width, how, s.shrinks());
  // Means of four pixels are rounded up from the middle, others to even: as OpenCV does.
  const bool quarters = how == Interpolation::kArea && s.H == 2 * s.height && s.W == 2 * s.width;
  const T* from = in.data<T>();
  T* to = out.data<T>();
  parallel_for(s.images * s.height, 4, [&](int64_t begin, int64_t end) {
    std::vector<C> line(static_cast<size_t>(s.W * s.channels));
    for (int64_t k = begin; k < end; ++k) {
      std::fill(line.begin(), line.end(), C(0));
      const T* image = from + k / s.height * s.H * s.W * s.channels;
      for (int64_t t = k % s.height * rows.taps; t < (k % s.height + 1) * rows.taps; ++t) {
        const C weight = static_cast<C>(rows.weight[static_cast<size_t>(t)]);
        const T* source = image + rows.at[static_cast<size_t>(t)] * s.W * s.channels;
        if (weight == 0) continue;
        for (size_t i = 0; i < line.size(); ++i) {
          line[i] += weight * static_cast<C>(source[i]);
        }
      }
      T* target = to + k * s.width * s.channels;
      for (int64_t j = 0; j < s.width; ++j) {
        for (int64_t c = 0; c < s.channels; ++c) {
          C sum = 0;
          for (int64_t t = j * columns.taps; t < (j + 1) * columns.taps; ++t) {
            const auto i = static_cast<size_t>(t);
            if (columns.weight[i] == 0) continue;
            sum += static_cast<C>(columns.weight[i]) *
                   line[static_cast<size_t>(columns.at[i] * s.channels + c)];
          }
          auto value = static_cast<double>(sum);
          if constexpr (std::is_integral_v<T>) {
            // A mean that lies in the middle of two bytes is there on every processor: rounding in
            // the sum, which differs between instruction sets, is taken off first.
            constexpr double kGrid = 1 << 20;
            value = std::rint(value * kGrid) / kGrid;
            value = quarters ? std::floor(value + 0.5) : std::rint(value);
          }
          target[j * s.channels + c] = to_color<T>(value);
        }
      }
    }
  });
}

// Bytes are interpolated in fixed point with weights of 11 bits, as in OpenCV, which MXNet uses: so
// pictures have the same bytes.
constexpr int kWeightBits = 11;

std::vector<int32_t> fixed_weights(const Filter& f) {
  std::vector<int32_t> fixed;
  for (const double w : f.weight) {
    fixed.push_back(static_cast<int32_t>(std::rint(static_cast<float>(w) * (1 << kWeightBits))));
  }
  return fixed;
}

// Rows of images, interpolated along the columns when they are first asked for. Of the last `taps`
// rows, row r is kept in line r % taps.
class ByteLines {
 public:
  ByteLines(const uint8_t* from, const Sizes& s, const Filter& columns, int64_t taps)
      : from_(from),
        s_(s),
        columns_(columns),
        weights_(fixed_weights(columns)),
        taps_(taps),
        lines_(static_cast<size_t>(taps * s.width * s.channels)),
        in_line_(static_cast<size_t>(taps), -1) {}

  const int32_t* operator()(int64_t row) {
    int32_t* line = lines_.data() + row % taps_ * s_.width * s_.channels;
    int64_t& which = in_line_[static_cast<size_t>(row % taps_)];
    if (which == row) return line;
    which = row;
    const uint8_t* source = from_ + row * s_.W * s_.channels;
    if (columns_.taps != 2) {
      interpolate(source, line);
    } else if (s_.channels == 3) {
      interpolate_two<3>(source, line);
    } else {
      interpolate_two<0>(source, line);
    }
    return line;
  }

 private:
  // With the number of channels known, or with 0, that of the call.
  template <int64_t kChannels>
  void interpolate_two(const uint8_t* __restrict source, int32_t* __restrict line) const {
    const int64_t channels = kChannels ? kChannels : s_.channels;
    const int64_t* __restrict at = columns_.at.data();
    const int32_t* __restrict weight = weights_.data();
    for (int64_t j = 0; j < s_.width; ++j) {
      const uint8_t* left = source + at[2 * j] * channels;
      const uint8_t* right = source + at[2 * j + 1] * channels;
      const int32_t a = weight[2 * j], b = weight[2 * j + 1];
      int32_t* pixel = line + j * channels;
      for (int64_t c = 0; c < channels; ++c) pixel[c] = a * left[c] + b * right[c];
    }
  }
  void interpolate(const uint8_t* source, int32_t* line) const {
    for (int64_t j = 0; j < s_.width; ++j) {
      for (int64_t c = 0; c < s_.channels; ++c) {
        int32_t sum = 0;
        for (int64_t t = j * columns_.taps; t < (j + 1) * columns_.taps; ++t) {
          const auto i = static_cast<size_t>(t);
          sum += weights_[i] * source[columns_.at[i] * s_.channels + c];
        }
        line[j * s_.channels + c] = sum;
      }
    }
  }

  const uint8_t* from_;
  const Sizes& s_;
  const Filter& columns_;
  const std::vector<int32_t> weights_;
  int64_t taps_;
  std::vector<int32_t> lines_;
  std::vector<int64_t> in_line_;
};

// Two rows of ByteLines, with the weights `a` and `b`, as bytes.
void blend_rows(const int32_t* __restrict above, const int32_t* __restrict below, int32_t a,
                int32_t b, uint8_t* __restrict target, int64_t length) {
  for (int64_t i = 0; i < length; ++i) {
    const int32_t sum = ((a * (above[i] >> 4)) >> 16) + ((b * (below[i] >> 4)) >> 16);
    target[i] = static_cast<uint8_t>(std::clamp((sum + 2) >> 2, 0, 255));
  }
}

void resize_bytes(const NDArray& in, const NDArray& out, Interpolation how) {
  const Sizes s(in.shape(), out.shape());
  const Filter rows = make_filter(s.H, s.height, how, false);
  const Filter columns = make_filter(s.W, s.width, how, false);
  const std::vector<int32_t> down = fixed_weights(rows);
  uint8_t* to = out.data<uint8_t>();
  const int64_t length = s.width * s.channels;
  parallel_for(s.images * s.height, 16, [&](int64_t begin, int64_t end) {
    ByteLines interpolated(in.data<uint8_t>(), s, columns, rows.taps);
    for (int64_t k = begin; k < end; ++k) {
      const int64_t first = k / s.height * s.H;
      const auto tap = static_cast<size_t>(k % s.height * rows.taps);
      uint8_t* target = to + k * length;
      if (rows.taps == 2) {
        const int32_t* above = interpolated(first + rows.at[tap]);
        const int32_t* below = interpolated(first + rows.at[tap + 1]);
        blend_rows(above, below, down[tap], down[tap + 1], target, length);
        continue;
      }
      std::vector<int64_t> sums(static_cast<size_t>(length), int64_t{1} << (2 * kWeightBits - 1));
      for (size_t t = tap; t < tap + static_cast<size_t>(rows.taps); ++t) {
        const int32_t* line = interpolated(first + rows.at[t]);
        for (int64_t i = 0; i < length; ++i) {
          sums[static_cast<size_t>(i)] += int64_t{down[t]} * line[i];
        }
      }
      for (int64_t i = 0; i < length; ++i) {
        const int64_t value = sums[static_cast<size_t>(i)] >> (2 * kWeightBits);
        target[i] = static_cast<uint8_t>(std::clamp<int64_t>(value, 0, 255));
      }
    }
  });
}

bool in_fixed_point(const NDArray& in, const NDArray& out, Interpolation how) {
  if (in.dtype() != DType::kUint8 || how == Interpolation::kNearest) return false;
  return how != Interpolation::kArea || !Sizes(in.shape(), out.shape()).shrinks();
}

OP(_image_resize)
    .inputs("data")
    .params<ResizeParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<ResizeParams>();
      const int at = expect_images(call);
      Shape out = call.shape(0);
      call.expect(p.size.size() == 1 || p.size.size() == 2,
                  "size must be a width and a height, or one number");
      for (const int64_t n : p.size) {
        call.expect(n > 0 && n < 1 << 24, "size must be positive, and below 2**24");
      }
      call.expect(p.interp >= 0 && p.interp <= 4, "interp must be 0, 1, 2, 3 or 4");
      call.expect(out.size() > 0, "data has no pixels");
      const auto [height, width] = target_size(p, out[at], out[at + 1]);
      call.expect(height > 0 && width > 0, "the result would have no pixels");
      out[at] = height;
      out[at + 1] = width;
      checked_size(out, call.name());
      call.output(0, out, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const auto how = static_cast<Interpolation>(call.params<ResizeParams>().interp);
      if (in_fixed_point(call.in(0), call.out(), how)) {
        resize_bytes(call.in(0), call.out(), how);
        return;
      }
      dispatch(call.in(0).dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        if constexpr (!std::is_same_v<T, bool>) resize_images<T>(call.in(0), call.out(), how);
      });
    })
    .no_grad("it makes training data of pictures; _contrib_BilinearResize2D has a gradient")
    .doc("An image, (height, width, channels), or a batch of them, in another size.")
    .example(R"(
>>> image = mx.nd.array([[[0], [60]], [[120], [180]]])  # (2, 2, 1)
>>> mx.nd.image.resize(image, size=(4, 2), interp=0)[:, :, 0].asnumpy().tolist()
[[0.0, 0.0, 60.0, 60.0], [120.0, 120.0, 180.0, 180.0]]
>>> mx.nd.image.resize(mx.nd.zeros((4, 8, 3)), size=2, keep_ratio=True).shape
(2, 4, 3)
)");

}  // namespace
}  // namespace mxtape

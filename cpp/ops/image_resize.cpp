#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "op/declare.h"
#include "ops/image.h"
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
    v("keep_ratio", keep_ratio, "Whether one number is that of the shorter side, and the other "
                                "follows.");
    v("interp", interp, "0: the nearest pixel. 1: linear. 2: cubic. 3: the mean of an area. 4: "
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
        const double over =
            static_cast<double>(k + 1) - static_cast<double>(pixel + 1) / scale;
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

template <class T>
void resize_images(const NDArray& in, const NDArray& out, Interpolation how) {
  using C = std::conditional_t<sizeof(T) <= 2 || std::is_same_v<T, float>, float, double>;
  const int at = in.ndim() - 3;
  const int64_t H = in.shape()[at], W = in.shape()[at + 1], channels = in.shape()[at + 2];
  const int64_t height = out.shape()[at], width = out.shape()[at + 1];
  const bool shrinks = height <= H && width <= W;
  const Filter rows = make_filter(H, height, how, shrinks);
  const Filter columns = make_filter(W, width, how, shrinks);
  const T* from = in.data<T>();
  T* to = out.data<T>();
  const int64_t images = in.shape().product(0, at);
  parallel_for(images * height, 4, [&](int64_t begin, int64_t end) {
    std::vector<C> line(static_cast<size_t>(W * channels));
    for (int64_t k = begin; k < end; ++k) {
      std::fill(line.begin(), line.end(), C(0));
      const T* image = from + k / height * H * W * channels;
      for (int64_t t = k % height * rows.taps; t < (k % height + 1) * rows.taps; ++t) {
        const C weight = static_cast<C>(rows.weight[static_cast<size_t>(t)]);
        const T* source = image + rows.at[static_cast<size_t>(t)] * W * channels;
        if (weight == 0) continue;
        for (size_t i = 0; i < line.size(); ++i) {
          line[i] += weight * static_cast<C>(source[i]);
        }
      }
      T* target = to + k * width * channels;
      for (int64_t j = 0; j < width; ++j) {
        for (int64_t c = 0; c < channels; ++c) {
          C sum = 0;
          for (int64_t t = j * columns.taps; t < (j + 1) * columns.taps; ++t) {
            const auto i = static_cast<size_t>(t);
            if (columns.weight[i] == 0) continue;
            sum += static_cast<C>(columns.weight[i]) *
                   line[static_cast<size_t>(columns.at[i] * channels + c)];
          }
          const auto value = static_cast<double>(sum);
          target[j * channels + c] =
              to_color<T>(std::is_integral_v<T> ? std::floor(value + 0.5) : value);
        }
      }
    }
  });
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
      dispatch(call.in(0).dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        if constexpr (!std::is_same_v<T, bool>) resize_images<T>(call.in(0), call.out(), how);
      });
    })
    .no_grad("it makes training data of pictures; _contrib_BilinearResize2D has a gradient")
    .doc("An image, (height, width, channels), or a batch of them, in another size.");

}  // namespace
}  // namespace mxtape

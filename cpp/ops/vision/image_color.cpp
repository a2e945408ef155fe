#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "op/declare.h"
#include "ops/vision/image.h"
#include "runtime/parallel.h"
#include "runtime/random.h"

// Colours of images, changed at random for training. What a call drew is its second output, so that
// its gradient is of that very call.
namespace mxtape {
namespace {

struct FactorParams {
  double min_factor = 0, max_factor = 0;
  template <class V>
  void visit(V& v) {
    v.required("min_factor", min_factor, "Smallest factor, not negative.");
    v.required("max_factor", max_factor, "Largest factor.");
  }
};

struct JitterParams {
  double brightness = 0, contrast = 0, saturation = 0, hue = 0;
  template <class V>
  void visit(V& v) {
    v.required("brightness", brightness, "Brightness is changed by a factor within this of 1.");
    v.required("contrast", contrast, "The same for contrast.");
    v.required("saturation", saturation, "The same for saturation.");
    v.required("hue", hue, "Hues are turned by at most this part of the circle.");
  }
};

struct AdjustLightingParams {
  Floats alpha;
  template <class V>
  void visit(V& v) {
    v.required("alpha", alpha, "Three numbers: how much of each principal component is added.");
  }
};

struct RandomLightingParams {
  double alpha_std = 0.05f;
  template <class V>
  void visit(V& v) {
    v("alpha_std", alpha_std, "Standard deviation of how much of each component is added.");
  }
};

template <class T>
using color_type = std::conditional_t<std::is_same_v<T, double> || std::is_same_v<T, int64_t> ||
                                          std::is_same_v<T, int32_t>,
                                      double, float>;

template <class C>
using Color = std::array<C, 3>;

// What the eye makes of red, green and blue: ITU-R BT.601.
constexpr double kGray[] = {0.299, 0.587, 0.114};

template <class C>
C gray(const Color<C>& color) {
  return static_cast<C>(kGray[0]) * color[0] + static_cast<C>(kGray[1]) * color[1] +
         static_cast<C>(kGray[2]) * color[2];
}

// A colour value as T, as to_color does it; numbers of a byte without branches.
template <class T, class C>
T stored(C value) {
  if constexpr (std::is_integral_v<T> && sizeof(T) == 1) {
    constexpr auto kLow = static_cast<C>(std::numeric_limits<T>::min());
    constexpr auto kHigh = static_cast<C>(std::numeric_limits<T>::max());
    return static_cast<T>(static_cast<int32_t>(std::min(std::max(value, kLow), kHigh)));
  } else {
    return to_color<T>(static_cast<double>(value));
  }
}

template <class C, class T, class F>
void map_run(const T* __restrict from, T* __restrict to, int64_t count, const F f) {
  for (int64_t k = 0; k < count; ++k) to[k] = stored<T>(f(static_cast<C>(from[k])));
}

// Every element through `f`.
template <class F>
void map_values(const NDArray& in, const NDArray& out, F f) {
  dispatch<NumberTypes>(in.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = color_type<T>;
    const T* from = in.data<T>();
    T* to = out.data<T>();
    parallel_for(in.size(), 1 << 14, [=](int64_t begin, int64_t end) {
      map_run<C>(from + begin, to + begin, end - begin, f);
    });
  });
}

// Every pixel of an image of 3 channels through `f`, which changes a Color. With kRound integers
// are rounded to the nearest; else they lose their fraction. Pixels go in blocks with the channels
// apart, so that a processor takes several at once.
template <bool kRound = false, class F>
void map_colors(const NDArray& in, const NDArray& out, F f) {
  dispatch<NumberTypes>(in.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = color_type<T>;
    constexpr int64_t kBlock = 128;
    const T* from = in.data<T>();
    T* to = out.data<T>();
    parallel_for(in.size() / 3, 1 << 13, [&](int64_t begin, int64_t end) {
      C planes[3][kBlock];
      for (int64_t at = begin; at < end; at += kBlock) {
        const int64_t count = std::min(kBlock, end - at);
        const T* source = from + 3 * at;
        T* target = to + 3 * at;
        for (int64_t k = 0; k < count; ++k) {
          for (int64_t c = 0; c < 3; ++c) planes[c][k] = static_cast<C>(source[3 * k + c]);
        }
        for (int64_t k = 0; k < count; ++k) {
          Color<C> color = {planes[0][k], planes[1][k], planes[2][k]};
          f(color);
          for (size_t c = 0; c < 3; ++c) planes[c][k] = color[c];
        }
        for (int64_t k = 0; k < count; ++k) {
          for (int64_t c = 0; c < 3; ++c) {
            if constexpr (kRound && std::is_integral_v<T>) {
              target[3 * k + c] = stored<T>(std::floor(static_cast<double>(planes[c][k]) + 0.5));
            } else {
              target[3 * k + c] = stored<T>(planes[c][k]);
            }
          }
        }
      }
    });
  });
}

void copy_image(const NDArray& in, const NDArray& out) {
  std::memcpy(out.bytes(), in.bytes(), in.nbytes());
}

bool is_gray(const NDArray& image) { return image.shape()[2] == 1; }

// ---- the changes

void change_brightness(const NDArray& in, const NDArray& out, double factor) {
  map_values(in, out, [factor](auto x) { return x * static_cast<decltype(x)>(factor); });
}

// The sum of the grays of pixels of three bytes. Sums of bytes are exact.
template <class T>
double gray_sum(const T* from, int64_t count) {
  constexpr int64_t kLanes = 48;
  int64_t sums[3] = {};
  int32_t lanes[kLanes] = {};
  int64_t k = 0;
  for (int64_t blocks = 1; k + kLanes <= count; k += kLanes, ++blocks) {
    for (int64_t j = 0; j < kLanes; ++j) lanes[j] += from[k + j];
    if (blocks % (1 << 20) != 0) continue;
    for (int64_t j = 0; j < kLanes; ++j) sums[j % 3] += std::exchange(lanes[j], 0);
  }
  for (int64_t j = 0; j < kLanes; ++j) sums[j % 3] += lanes[j];
  for (; k < count; ++k) sums[k % 3] += from[k];
  double total = 0;
  for (int c = 0; c < 3; ++c) total += kGray[c] * static_cast<double>(sums[c]);
  return total;
}

// The mean gray of an image: float64 sums of rows, so that the order is that of the rows.
double mean_gray(const NDArray& in) {
  const int64_t channels = in.shape()[2];
  double total = 0;
  dispatch<NumberTypes>(in.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = color_type<T>;
    const T* from = in.data<T>();
    if constexpr (std::is_integral_v<T> && sizeof(T) == 1) {
      if (channels == 3) {
        total = gray_sum(from, in.size());
        return;
      }
    }
    for (int64_t k = 0; k < in.size(); k += channels) {
      if (channels == 1) {
        total += static_cast<double>(static_cast<C>(from[k]));
        continue;
      }
      for (int64_t c = 0; c < 3; ++c) {
        total += kGray[c] * static_cast<double>(static_cast<C>(from[k + c]));
      }
    }
  });
  return in.size() ? total * static_cast<double>(channels) / static_cast<double>(in.size()) : 0;
}

void change_contrast(const NDArray& in, const NDArray& out, double factor) {
  const double shift = (1 - factor) * mean_gray(in);
  map_values(in, out, [factor, shift](auto x) {
    using C = decltype(x);
    return x * static_cast<C>(factor) + static_cast<C>(shift);
  });
}

void change_saturation(const NDArray& in, const NDArray& out, double factor) {
  if (is_gray(in)) return copy_image(in, out);
  map_colors(in, out, [factor](auto& color) {
    using C = typename std::remove_reference_t<decltype(color)>::value_type;
    const C shift = gray(color) * static_cast<C>(1 - factor);
    for (C& x : color) x = x * static_cast<C>(factor) + shift;
  });
}

// Turns the hue of `color` by `turns` of the circle; lightness and saturation stay. Of a colour's
// three values the largest and the smallest stay too, and the hue says which is where.
// Inlined, so that the loop over pixels is vectorized.
template <class C>
[[gnu::always_inline]] inline void turn_hue(Color<C>& color, C turns) {
  const C red = color[0], green = color[1], blue = color[2];
  const C high = std::max(std::max(red, green), blue), low = std::min(std::min(red, green), blue);
  const C range = high - low;
  // In sixths of the circle: red at 0, green at 2, blue at 4. A gray has no hue, and no range.
  const C scale = 1 / std::max(range, std::numeric_limits<C>::min());
  const C of_red = (green - blue) * scale, of_green = 2 + (blue - red) * scale,
          of_blue = 4 + (red - green) * scale;
  C hue = high == red ? of_red : high == green ? of_green : of_blue;
  hue += 6 * turns;
  hue -= 6 * std::floor(hue / 6);
  for (size_t c = 0; c < 3; ++c) {
    // How far the hue is from this channel's own, up to 3: within 1 it is the largest, from 2 on
    // the smallest.
    C away = std::abs(hue - static_cast<C>(2 * c));
    away = std::min(away, 6 - away);
    color[c] = low + range * std::min(std::max(2 - away, C(0)), C(1));
  }
}

void change_hue(const NDArray& in, const NDArray& out, double factor) {
  if (is_gray(in)) return copy_image(in, out);
  map_colors<true>(in, out, [factor](auto& color) {
    using C = typename std::remove_reference_t<decltype(color)>::value_type;
    turn_hue(color, static_cast<C>(factor));
  });
}

// Adds principal components of the colours of ImageNet (Krizhevsky, Sutskever, Hinton: "ImageNet
// classification with deep convolutional neural networks", 2012), of values up to 255.
void change_lighting(const NDArray& in, const NDArray& out, const double* alpha) {
  if (is_gray(in)) return copy_image(in, out);
  constexpr double kScale[] = {55.46, 4.794, 1.148};
  constexpr double kComponent[][3] = {
      {-0.5675, 0.7192, 0.4009}, {-0.5808, -0.0045, -0.8140}, {-0.5836, -0.6948, 0.4203}};
  double shift[3] = {};
  for (int c = 0; c < 3; ++c) {
    for (int k = 0; k < 3; ++k) shift[c] += kComponent[c][k] * kScale[k] * alpha[k];
  }
  map_colors(in, out, [&shift](auto& color) {
    using C = typename std::remove_reference_t<decltype(color)>::value_type;
    for (size_t c = 0; c < 3; ++c) color[c] += static_cast<C>(shift[c]);
  });
}

// ---- operators

void infer_color(InferCall& call) {
  expect_image(call);
  call.output(0, call.shape(0), call.dtype(0));
}

// The second output is the factor that was drawn.
void infer_factor(InferCall& call) {
  const auto& p = call.params<FactorParams>();
  infer_color(call);
  call.expect(p.min_factor >= 0 && p.max_factor >= 0 && p.min_factor < 1e30 && p.max_factor < 1e30,
              "min_factor and max_factor must not be negative");
  call.output(1, Shape{1}, is_floating(call.dtype(0)) ? call.dtype(0) : DType::kFloat32);
}

double between(double low, double high, double part) { return low + (high - low) * part; }

template <void (*change)(const NDArray&, const NDArray&, double)>
void run_factor(const KernelCall& call) {
  const auto& p = call.params<FactorParams>();
  double factor = between(p.min_factor, p.max_factor, next_random_stream().uniform(0));
  dispatch(call.out(1).dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    *call.out(1).data<T>() = convert_value<T>(factor);
    factor = convert_value<double>(*call.out(1).data<T>());
  });
  change(call.in(0), call.out(), factor);
}

#define OP_FACTOR(name, change)    \
  OP(name)                         \
      .inputs("data")              \
      .params<FactorParams>()      \
      .outputs(2, 1)               \
      .infer(infer_factor)         \
      .kernel(run_factor<change>)  \
      .random()                    \
      .keep_input(0, Keep::kShape) \
      .keep_output(1)

// The weights of the channels in a pixel's gray, of shape (channels,), divided by `count`.
NDArray gray_weights(int64_t channels, DType dtype, int64_t count) {
  std::vector<double> values;
  for (int64_t c = 0; c < channels; ++c) {
    values.push_back((channels == 1 ? 1 : kGray[c]) / static_cast<double>(count));
  }
  const NDArray weights = NDArray::empty(Shape{channels}, dtype);
  convert(DType::kFloat64, values.data(), dtype, weights.bytes(), channels);
  return weights;
}

OP_FACTOR(_image_random_brightness, change_brightness)
    .vjp([](Vjp& v) { v.grad(0, v.head() * v.output(1)); })
    .doc("An image times a random factor.")
    .example(R"(
>>> image = mx.nd.array([[[10, 20, 30]]])
>>> y = mx.nd.image.random_brightness(image, min_factor=0.5, max_factor=0.5)
>>> print(y.asnumpy().round(2))
[[[ 5. 10. 15.]]]
)");

OP_FACTOR(_image_random_contrast, change_contrast)
    .vjp([](Vjp& v) {
      const Shape in = v.input_shape(0);
      const NDArray factor = v.output(1);
      const NDArray weights = gray_weights(in[2], v.input_dtype(0), in[0] * in[1]);
      v.grad(0, v.head() * factor + sum(v.head(), {}, true) * (1 - factor) * weights);
    })
    .doc("An image's distance from its mean gray times a random factor.")
    .example(R"(
>>> image = mx.nd.array([[[10, 10, 10], [30, 30, 30]]])  # two grays, around 20
>>> y = mx.nd.image.random_contrast(image, min_factor=0.5, max_factor=0.5)
>>> print(y.asnumpy().round(2))
[[[15. 15. 15.]
  [25. 25. 25.]]]
)");

OP_FACTOR(_image_random_saturation, change_saturation)
    .vjp([](Vjp& v) {
      const Shape in = v.input_shape(0);
      if (in[2] == 1) {
        v.grad(0, v.head());
        return;
      }
      const NDArray factor = v.output(1), weights = gray_weights(3, v.input_dtype(0), 1);
      v.grad(0, v.head() * factor + sum(v.head(), {2}, true) * (1 - factor) * weights);
    })
    .doc("Every pixel's distance from its gray times a random factor.")
    .example(R"(
>>> image = mx.nd.array([[[10, 20, 30]]])
>>> y = mx.nd.image.random_saturation(image, min_factor=0, max_factor=0)  # gray
>>> print(y.asnumpy().round(2))
[[[18.15 18.15 18.15]]]
)");

OP_FACTOR(_image_random_hue, change_hue)
    .no_grad("hues are not differentiated")
    .doc("An image with its hues turned by a random part of the circle; 1 is all around.")
    .example(R"(
>>> red = mx.nd.array([[[200, 100, 100]]])
>>> y = mx.nd.image.random_hue(red, min_factor=1 / 3, max_factor=1 / 3)
>>> print(y.asnumpy().round(2))
[[[100. 200. 100.]]]
)");

OP(_image_random_color_jitter)
    .inputs("data")
    .params<JitterParams>()
    .infer(infer_color)
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<JitterParams>();
      using Change = void (*)(const NDArray&, const NDArray&, double);
      const std::pair<Change, double> all[] = {{change_brightness, p.brightness},
                                               {change_contrast, p.contrast},
                                               {change_saturation, p.saturation},
                                               {change_hue, p.hue}};
      const RandomStream stream = next_random_stream();
      std::array<std::pair<double, int>, 4> order;
      for (int k = 0; k < 4; ++k) {
        order[static_cast<size_t>(k)] = {stream.uniform(static_cast<uint64_t>(k)), k};
      }
      std::sort(order.begin(), order.end());
      NDArray from = call.in(0).detached();
      for (const auto& [unused, k] : order) {
        const auto& [change, width] = all[k];
        if (!(width > 0)) continue;
        const double part = stream.uniform(static_cast<uint64_t>(4 + k));
        // Hues may turn both ways; other factors have no sign.
        const double low = change == change_hue ? -width : std::max(0.0, 1 - width);
        const double high = change == change_hue ? width : 1 + width;
        const NDArray to = NDArray::empty(from.shape(), from.dtype());
        change(from, to, between(low, high, part));
        from = to;
      }
      copy_image(from, call.out());
    })
    .random()
    .no_grad("hues are not differentiated")
    .doc("An image with brightness, contrast, saturation and hue changed at random, in any order.")
    .example(R"(
>>> image = mx.nd.array([[[10, 20, 30]]])
>>> options = dict(brightness=0.5, contrast=0.5, saturation=0.5, hue=0.5)
>>> mx.nd.image.random_color_jitter(image, **options).shape
(1, 1, 3)
)");

OP(_image_adjust_lighting)
    .inputs("data")
    .params<AdjustLightingParams>()
    .infer([](InferCall& call) {
      infer_color(call);
      call.expect(call.params<AdjustLightingParams>().alpha.size() == 3,
                  "alpha must be three numbers");
    })
    .kernel([](const KernelCall& call) {
      change_lighting(call.in(0), call.out(), call.params<AdjustLightingParams>().alpha.data());
    })
    .vjp([](Vjp& v) { v.grad(0, v.head()); })
    .doc("An image plus alpha times the principal components of the colours of photographs.")
    .example(R"(
>>> image = mx.nd.zeros((1, 1, 3))  # height, width, channels
>>> print(mx.nd.image.adjust_lighting(image, alpha=(1, 0, 0)).asnumpy().round(2))
[[[-31.47 -32.21 -32.37]]]
)");

OP(_image_random_lighting)
    .inputs("data")
    .params<RandomLightingParams>()
    .infer(infer_color)
    .kernel([](const KernelCall& call) {
      const double scale = call.params<RandomLightingParams>().alpha_std;
      const RandomStream stream = next_random_stream();
      double alpha[3];
      for (uint64_t k = 0; k < 3; ++k) alpha[k] = scale * stream.normal(k);
      change_lighting(call.in(0), call.out(), alpha);
    })
    .random()
    .vjp([](Vjp& v) { v.grad(0, v.head()); })
    .doc("adjust_lighting with alpha from a normal distribution.")
    .example(R"(
>>> image = mx.nd.array([[[10, 20, 30]]])
>>> mx.nd.image.random_lighting(image, alpha_std=0).asnumpy().tolist()
[[[10.0, 20.0, 30.0]]]
)");

}  // namespace
}  // namespace mxtape

#include "ops/convolution.h"

#include <cmath>
#include <string>
#include <vector>

#include <Eigen/Core>
#include <gtest/gtest.h>

#include "ops/onednn.h"
#include "ops/onednn_convolution.h"
#include "support.h"

namespace mxtape {
namespace {

using Axes = ConvGeometry::Axes;

struct Case {
  const char* name;
  ConvGeometry g;
};

ConvGeometry geometry(int axes, int64_t images, int64_t in_channels, int64_t out_channels, Axes in,
                      Axes kernel, Axes stride = {1, 1, 1}, Axes pad = {0, 0, 0},
                      Axes dilate = {1, 1, 1}, int64_t groups = 1) {
  ConvGeometry g{axes, images, groups, in_channels, out_channels, in,
                 {},   kernel, stride, dilate,      pad};
  for (size_t i = 0; i < 3; ++i)
    g.out[i] = (in[i] + 2 * pad[i] - (kernel[i] - 1) * dilate[i] - 1) / stride[i] + 1;
  return g;
}

// Small ones of every kind, and some that are cut: over images, channels, groups and columns.
std::vector<Case> cases() {
  return {
      {"1-d", geometry(1, 2, 3, 4, {1, 1, 9}, {1, 1, 3})},
      {"1-d dilated",
       geometry(1, 3, 8, 16, {1, 1, 20}, {1, 1, 3}, {1, 1, 2}, {0, 0, 2}, {1, 1, 2})},
      {"2-d", geometry(2, 2, 3, 5, {1, 6, 7}, {1, 3, 2})},
      {"2-d strided", geometry(2, 3, 4, 6, {1, 9, 8}, {1, 3, 3}, {1, 2, 3}, {0, 1, 2})},
      {"wide pads", geometry(2, 1, 2, 3, {1, 3, 2}, {1, 2, 3}, {1, 1, 1}, {0, 4, 5})},
      {"one tap", geometry(2, 3, 16, 8, {1, 5, 5}, {1, 1, 1})},
      {"one tap strided", geometry(2, 2, 8, 8, {1, 5, 5}, {1, 1, 1}, {1, 2, 2})},
      {"groups", geometry(2, 2, 8, 12, {1, 7, 7}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}, 4)},
      {"depthwise",
       geometry(2, 2, 24, 24, {1, 9, 9}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}, 24)},
      {"3-d", geometry(3, 2, 3, 4, {4, 5, 6}, {2, 3, 2}, {1, 2, 1}, {1, 0, 1})},
      {"no images", geometry(2, 0, 3, 5, {1, 6, 7}, {1, 3, 2})},
      {"cut over images", geometry(2, 37, 16, 16, {1, 14, 14}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1})},
      {"cut over channels", geometry(2, 1, 96, 80, {1, 28, 28}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1})},
      {"cut over both", geometry(2, 5, 64, 72, {1, 20, 20}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1})},
      {"cut over groups",
       geometry(2, 1, 80, 160, {1, 40, 40}, {1, 5, 5}, {1, 1, 1}, {0, 2, 2}, {1, 1, 1}, 40)},
      {"cut over columns", geometry(2, 1, 16, 8, {1, 70, 90}, {1, 5, 5}, {1, 1, 1}, {0, 2, 2})},
  };
}

template <class T>
std::vector<T> numbers(int64_t n, uint32_t seed) {
  std::vector<T> values(static_cast<size_t>(n));
  for (T& v : values) {
    seed = seed * 1664525u + 1013904223u;
    v = static_cast<T>(static_cast<float>(seed >> 8) / 16777216.0f - 0.5f);
  }
  return values;
}

// The inputs, and what the three maps make of them.
template <class T>
struct Arrays {
  std::vector<T> data, weight, head, bias, head_bias;
};

template <class T>
Arrays<T> inputs(const ConvGeometry& g) {
  return {numbers<T>(g.data_size(), 1), numbers<T>(g.weight_size(), 2),
          numbers<T>(g.head_size(), 3), numbers<T>(g.out_channels, 4),
          numbers<T>(g.in_channels, 5)};
}

template <class T>
struct Results {
  std::vector<T> forward, data, weight;
  bool operator==(const Results&) const = default;
};

template <class T>
Results<T> rubbish(const ConvGeometry& g) {
  const T nan = static_cast<T>(NAN);
  return {std::vector<T>(static_cast<size_t>(g.head_size()), nan),
          std::vector<T>(static_cast<size_t>(g.data_size()), nan),
          std::vector<T>(static_cast<size_t>(g.weight_size()), nan)};
}

template <class T>
Results<T> run(const ConvGeometry& g) {
  const Arrays<T> a = inputs<T>(g);
  Results<T> r = rubbish<T>(g);
  convolve(g, dtype_of<T>, a.data.data(), a.weight.data(), a.bias.data(), r.forward.data());
  convolve_to_data(g, dtype_of<T>, a.head.data(), a.weight.data(), a.head_bias.data(),
                   r.data.data());
  convolve_to_weight(g, dtype_of<T>, a.head.data(), a.data.data(), r.weight.data());
  return r;
}

// Straight from the definition.
Results<double> definition(const ConvGeometry& g) {
  const Arrays<double> a = inputs<double>(g);
  Results<double> r = rubbish<double>(g);
  const auto at = [](const Axes& extents, const Axes& i) {
    return (i[0] * extents[1] + i[1]) * extents[2] + i[2];
  };
  for (int64_t i = 0; i < g.head_size(); ++i)
    r.forward[i] = a.bias[static_cast<size_t>(i / g.out_size() % g.out_channels)];
  for (int64_t i = 0; i < g.data_size(); ++i)
    r.data[i] = a.head_bias[static_cast<size_t>(i / g.in_size() % g.in_channels)];
  std::fill(r.weight.begin(), r.weight.end(), 0);
  for (int64_t p = 0; p < g.out_size(); ++p) {
    for (int64_t k = 0; k < g.taps(); ++k) {
      const Axes place{p / (g.out[1] * g.out[2]), p / g.out[2] % g.out[1], p % g.out[2]};
      const Axes tap{k / (g.kernel[1] * g.kernel[2]), k / g.kernel[2] % g.kernel[1],
                     k % g.kernel[2]};
      Axes from{};
      bool inside = true;
      for (size_t i = 0; i < 3; ++i) {
        from[i] = place[i] * g.stride[i] - g.pad[i] + tap[i] * g.dilate[i];
        inside = inside && from[i] >= 0 && from[i] < g.in[i];
      }
      if (!inside) continue;
      for (int64_t i = 0; i < g.images * g.out_channels; ++i) {
        const int64_t o = i % g.out_channels, first = o / g.group_out() * g.group_in();
        double &head = r.forward[i * g.out_size() + p], by = a.head[i * g.out_size() + p];
        int64_t x = (i / g.out_channels * g.in_channels + first) * g.in_size() + at(g.in, from),
                w = o * g.group_in() * g.taps() + k;
        for (int64_t c = 0; c < g.group_in(); ++c, x += g.in_size(), w += g.taps()) {
          head += a.data[x] * a.weight[w];
          r.data[x] += by * a.weight[w];
          r.weight[w] += by * a.data[x];
        }
      }
    }
  }
  return r;
}

template <class T>
void expect_close(const std::vector<T>& got, const std::vector<double>& want, double tolerance,
                  const std::string& what) {
  ASSERT_EQ(got.size(), want.size());
  double worst = 0, size = 1;
  for (size_t i = 0; i < want.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(got[i]) - want[i]));
    size = std::max(size, std::abs(want[i]));
    // max() lets NaN through.
    ASSERT_FALSE(std::isnan(static_cast<double>(got[i]))) << what << " element " << i;
  }
  EXPECT_LE(worst / size, tolerance) << what;
}

template <class T>
void expect_close(const Results<T>& got, const Results<double>& want, double tolerance,
                  const char* name) {
  SCOPED_TRACE(name);
  expect_close(got.forward, want.forward, tolerance, "forward");
  expect_close(got.data, want.data, tolerance, "to data");
  expect_close(got.weight, want.weight, tolerance, "to weight");
}

TEST(Convolution, IsItsDefinition) {
  for (const Case& c : cases()) {
    const Results<double> want = definition(c.g);
    expect_close(run<double>(c.g), want, 1e-12, c.name);
    expect_close(run<float>(c.g), want, 1e-5, c.name);
  }
}

TEST(Convolution, Float16RoundsOnce) {
  const ConvGeometry g = geometry(2, 2, 3, 5, {1, 6, 7}, {1, 3, 2});
  // The inputs themselves are rounded to float16.
  expect_close(run<float16>(g), definition(g), 2e-3, "float16");
}

TEST(Convolution, SameBitsForAnyNumberOfThreads) {
  for (const Case& c : cases()) {
    const auto results = [&](int threads) {
      const test::ThreadCountScope scope(threads);
      return std::pair(run<float>(c.g), run<double>(c.g));
    };
    const auto one = results(1);
    EXPECT_TRUE(one == results(2)) << c.name;
    EXPECT_TRUE(one == results(5)) << c.name;
  }
}

TEST(Convolution, OneDnnTakesTheUsualLayers) {
  if (!onednn::enabled()) GTEST_SKIP() << "built without oneDNN";
  for (const Case& c : cases()) {
    if (c.g.images == 0) continue;
    if (std::string(c.name) == "wide pads") continue;  // may go either way
    const Arrays<float> a = inputs<float>(c.g);
    Results<float> r = rubbish<float>(c.g);
    EXPECT_TRUE(onednn::convolve(c.g, a.data.data(), a.weight.data(), nullptr, r.forward.data()))
        << c.name;
    EXPECT_TRUE(
        onednn::convolve_to_data(c.g, a.head.data(), a.weight.data(), nullptr, r.data.data()))
        << c.name;
    EXPECT_TRUE(onednn::convolve_to_weight(c.g, a.head.data(), a.data.data(), r.weight.data()))
        << c.name;
  }
}

}  // namespace
}  // namespace mxtape

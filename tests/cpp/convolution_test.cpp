#include "ops/conv/convolution.h"

#include <cmath>
#include <string>
#include <vector>

#include <Eigen/Core>
#include <gtest/gtest.h>

#include "ops/conv/onednn.h"
#include "ops/conv/onednn_convolution.h"
#include "ops/conv/winograd.h"
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

// Layers for Winograd's algorithm: tiles that reach past an edge on either side, sums in pieces,
// the head's channels in groups, results that end before or after the usual place.
std::vector<Case> tiled_cases() {
  const auto tiled = [](int64_t images, int64_t in_channels, int64_t out_channels, Axes in,
                        Axes pad, Axes longer = {0, 0, 0}) {
    ConvGeometry g = geometry(2, images, in_channels, out_channels, in, {1, 3, 3}, {1, 1, 1}, pad);
    for (size_t i = 0; i < 3; ++i) g.out[i] += longer[i];
    return g;
  };
  return {
      {"whole tiles", tiled(3, 16, 24, {1, 16, 48}, {0, 1, 1})},
      {"odd extents", tiled(2, 20, 17, {1, 33, 17}, {0, 0, 2})},
      {"wide pads", tiled(2, 17, 16, {1, 13, 14}, {0, 4, 3})},
      {"narrow", tiled(1, 16, 19, {1, 200, 3}, {0, 1, 0})},
      {"low", tiled(5, 16, 16, {1, 2, 40}, {0, 1, 1})},
      {"small images", tiled(20, 33, 26, {1, 3, 4}, {0, 1, 1})},
      {"sums in pieces", tiled(3, 350, 22, {1, 9, 11}, {0, 1, 0})},
      {"groups of channels", tiled(2, 18, 290, {1, 14, 15}, {0, 1, 1})},
      {"result cut short", tiled(2, 16, 16, {1, 14, 16}, {0, 1, 1}, {0, -1, -2})},
      {"result prolonged", tiled(2, 16, 16, {1, 14, 16}, {0, 1, 1}, {0, 1, 2})},
  };
}

std::vector<Case> all_cases() {
  std::vector<Case> all = cases();
  for (const Case& c : tiled_cases()) all.push_back(c);
  // Whose gradients are not oneDNN's, but for the weight's of three.
  for (const int64_t channels : {1, 3})
    all.push_back({"few channels", geometry(2, 3, channels, 20, {1, 12, 11}, {1, 5, 5})});
  return all;
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
struct LayerInputs {
  std::vector<T> data, weight, head, bias, head_bias;
};

template <class T>
LayerInputs<T> inputs(const ConvGeometry& g) {
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
  const LayerInputs<T> a = inputs<T>(g);
  Results<T> r = rubbish<T>(g);
  convolve(g, dtype_of<T>, a.data.data(), a.weight.data(), a.bias.data(), r.forward.data());
  convolve_to_data(g, dtype_of<T>, a.head.data(), a.weight.data(), a.head_bias.data(),
                   r.data.data());
  convolve_to_weight(g, dtype_of<T>, a.head.data(), a.data.data(), r.weight.data());
  return r;
}

// Straight from the definition.
Results<double> definition(const ConvGeometry& g) {
  const LayerInputs<double> a = inputs<double>(g);
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
  for (const Case& c : all_cases()) {
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
  for (const Case& c : all_cases()) {
    const auto results = [&](int threads) {
      const test::ThreadCountScope scope(threads);
      return std::pair(run<float>(c.g), run<double>(c.g));
    };
    const auto one = results(1);
    EXPECT_TRUE(one == results(2)) << c.name;
    EXPECT_TRUE(one == results(5)) << c.name;
  }
}

// One of the algorithms alone.
struct Maps {
  bool (*convolve)(const ConvGeometry&, const float*, const float*, const float*, float*);
  bool (*to_data)(const ConvGeometry&, const float*, const float*, const float*, float*);
  bool (*to_weight)(const ConvGeometry&, const float*, const float*, float*);
};

void expect_definition(const Maps& maps, const Case& c, double tolerance) {
  SCOPED_TRACE(c.name);
  const LayerInputs<float> a = inputs<float>(c.g);
  Results<float> r = rubbish<float>(c.g);
  EXPECT_TRUE(maps.convolve(c.g, a.data.data(), a.weight.data(), a.bias.data(), r.forward.data()));
  EXPECT_TRUE(maps.to_data(c.g, a.head.data(), a.weight.data(), a.head_bias.data(), r.data.data()));
  EXPECT_TRUE(maps.to_weight(c.g, a.head.data(), a.data.data(), r.weight.data()));
  expect_close(r, definition(c.g), tolerance, c.name);
}

TEST(Convolution, OneDnnTakesTheUsualLayers) {
  if (!onednn::enabled()) GTEST_SKIP() << "built without oneDNN";
  for (const Case& c : cases()) {
    if (c.g.images == 0) continue;
    if (std::string(c.name) == "wide pads") continue;  // may go either way
    expect_definition({onednn::convolve, onednn::convolve_to_data, onednn::convolve_to_weight}, c,
                      1e-5);
  }
}

constexpr Maps kWinograd{winograd::convolve, winograd::convolve_to_data,
                         winograd::convolve_to_weight};

TEST(Winograd, IsTheDefinition) {
  for (const Case& c : tiled_cases()) expect_definition(kWinograd, c, 2e-6);
}

TEST(Winograd, LeavesOtherLayersAlone) {
  const auto in = [](int64_t height, int64_t width) { return Axes{1, height, width}; };
  const Axes one{1, 1, 1}, none{0, 0, 0};
  for (const ConvGeometry& g : {
           geometry(2, 2, 16, 16, in(20, 20), {1, 5, 5}),
           geometry(2, 2, 16, 16, in(20, 20), {1, 3, 3}, {1, 2, 1}),
           geometry(2, 2, 16, 16, in(20, 20), {1, 3, 3}, one, none, {1, 1, 2}),
           geometry(2, 2, 64, 64, in(20, 20), {1, 3, 3}, one, none, one, 2),
           geometry(2, 2, 3, 64, in(20, 20), {1, 3, 3}),
           geometry(2, 1, 64, 64, in(8, 8), {1, 3, 3}),
           geometry(2, 0, 16, 16, in(20, 20), {1, 3, 3}),
           geometry(3, 2, 16, 16, {3, 20, 20}, {1, 3, 3}),
       }) {
    const LayerInputs<float> a = inputs<float>(g);
    Results<float> r = rubbish<float>(g);
    EXPECT_FALSE(kWinograd.convolve(g, a.data.data(), a.weight.data(), nullptr, r.forward.data()));
    EXPECT_FALSE(kWinograd.to_data(g, a.head.data(), a.weight.data(), nullptr, r.data.data()));
    EXPECT_FALSE(kWinograd.to_weight(g, a.head.data(), a.data.data(), r.weight.data()));
  }
}

// What is not finite is left to others: it reaches the results that are made of it, and no others.
TEST(Winograd, LeavesInfinitiesToOthers) {
  const ConvGeometry g = geometry(2, 2, 16, 16, {1, 17, 19}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1});
  constexpr int64_t kImage = 1, kRow = 8, kColumn = 5;
  // Whether element i of the head or the data has the place in its window.
  const auto touched = [&](int64_t i) {
    const int64_t image = i / (16 * 17 * 19), row = i / 19 % 17, column = i % 19;
    return image == kImage && std::abs(row - kRow) <= 1 && std::abs(column - kColumn) <= 1;
  };
  const int64_t at = ((kImage * 16 + 3) * 17 + kRow) * 19 + kColumn;
  for (const float rubbish_value : {INFINITY, -INFINITY, NAN}) {
    LayerInputs<float> a = inputs<float>(g);
    a.data[at] = a.head[at] = rubbish_value;
    Results<float> r = rubbish<float>(g);
    EXPECT_FALSE(kWinograd.convolve(g, a.data.data(), a.weight.data(), nullptr, r.forward.data()));
    EXPECT_FALSE(kWinograd.to_data(g, a.head.data(), a.weight.data(), nullptr, r.data.data()));
    EXPECT_FALSE(kWinograd.to_weight(g, a.head.data(), a.data.data(), r.weight.data()));

    convolve(g, DType::kFloat32, a.data.data(), a.weight.data(), nullptr, r.forward.data());
    convolve_to_data(g, DType::kFloat32, a.head.data(), a.weight.data(), nullptr, r.data.data());
    convolve_to_weight(g, DType::kFloat32, inputs<float>(g).head.data(), a.data.data(),
                       r.weight.data());
    for (int64_t i = 0; i < g.head_size(); ++i) {
      EXPECT_EQ(std::isfinite(r.forward[i]), !touched(i)) << "head " << i;
      EXPECT_EQ(std::isfinite(r.data[i]), !touched(i)) << "data " << i;
    }
    for (int64_t i = 0; i < g.weight_size(); ++i)
      EXPECT_EQ(std::isfinite(r.weight[i]), i / 9 % 16 != 3) << "weight " << i;
  }
}

}  // namespace
}  // namespace mxtape

#include "ops/conv/im2col.h"

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace mxtape {
namespace {

// Layers of all kinds: strides beyond the kernel, pads beyond its reach, images smaller than it,
// edges that no kernel meets, in one to three dimensions.
ConvGeometry random_geometry(std::mt19937& random) {
  const auto draw = [&](int64_t least, int64_t most) {
    return std::uniform_int_distribution<int64_t>(least, most)(random);
  };
  ConvGeometry g;
  g.axes = static_cast<int>(draw(1, 3));
  for (int axis = 3 - g.axes; axis < 3;) {
    g.in[axis] = draw(1, axis == 2 ? 30 : 7);
    g.kernel[axis] = draw(1, 4);
    g.stride[axis] = draw(1, 5);
    g.dilate[axis] = draw(1, 3);
    g.pad[axis] = draw(0, 1) ? 0 : draw(0, 6);
    const int64_t room = g.in[axis] + 2 * g.pad[axis] - (g.kernel[axis] - 1) * g.dilate[axis] - 1;
    if (room < 0) continue;
    g.out[axis] = room / g.stride[axis] + 1;
    ++axis;
  }
  return g;
}

std::string text(const ConvGeometry& g) {
  std::string s;
  for (const auto* axes : {&g.in, &g.out, &g.kernel, &g.stride, &g.dilate, &g.pad}) {
    for (const int64_t n : *axes) s += std::to_string(n) + ' ';
    s += "| ";
  }
  return s;
}

// Where in a channel element (tap, position) of the matrix comes from; -1 outside.
int64_t source(const ConvGeometry& g, int64_t tap, int64_t position) {
  int64_t at = 0, size = 1;
  for (int axis = 2; axis >= 0; --axis) {
    const int64_t i = position % g.out[axis] * g.stride[axis] - g.pad[axis] +
                      tap % g.kernel[axis] * g.dilate[axis];
    if (i < 0 || i >= g.in[axis]) return -1;
    at += i * size;
    size *= g.in[axis];
    position /= g.out[axis];
    tap /= g.kernel[axis];
  }
  return at;
}

TEST(Im2col, IsItsDefinitionForAnyColumns) {
  std::mt19937 random(5);
  for (int round = 0; round < 2000; ++round) {
    const ConvGeometry g = random_geometry(random);
    const int64_t channels = 2, positions = g.out_size();
    int64_t first = 0, last = positions;
    if (round % 3) {
      first = std::uniform_int_distribution<int64_t>(0, positions)(random);
      last = std::uniform_int_distribution<int64_t>(first, positions)(random);
    }
    std::vector<float> image(static_cast<size_t>(channels * g.in_size()));
    for (size_t i = 0; i < image.size(); ++i) image[i] = static_cast<float>(i + 1);
    const int64_t n = last - first;
    const auto size = static_cast<size_t>(channels * g.taps() * n);
    std::vector<float> columns(size, -1), weights(size);
    unfold(g, channels, image.data(), first, last, columns.data());

    std::vector<double> sums(image.size(), 3), want_sums = sums;
    for (size_t i = 0; i < size; ++i) weights[i] = static_cast<float>(i % 97);
    fold(g, channels, weights.data(), first, last, sums.data());

    for (size_t i = 0; i < size; ++i) {
      const int64_t row = static_cast<int64_t>(i) / n,
                    from = source(g, row % g.taps(), first + static_cast<int64_t>(i) % n);
      const auto at = static_cast<size_t>(row / g.taps() * g.in_size() + from);
      ASSERT_EQ(columns[i], from < 0 ? 0 : image[at])
          << text(g) << first << ' ' << last << " at " << i;
      if (from >= 0) want_sums[at] += weights[i];
    }
    ASSERT_EQ(sums, want_sums) << text(g) << first << ' ' << last;
  }
}

// Only what a kernel meets is copied: such a stride and pad would else ask for all memory.
TEST(Im2col, TakesAnyStride) {
  constexpr int64_t kFar = int64_t{1} << 30;
  ConvGeometry g;
  g.axes = 3;
  g.in = {2, 2, 2};
  g.out = {3, 3, 3};
  g.stride = g.pad = {kFar, kFar, kFar};
  const std::vector<float> image{1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<float> columns(27, -1), want(27, 0);
  want[13] = 1;
  unfold(g, 1, image.data(), 0, 27, columns.data());
  EXPECT_EQ(columns, want);
}

}  // namespace
}  // namespace mxtape

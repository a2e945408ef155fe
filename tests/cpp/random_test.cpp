#include "runtime/random.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include <Eigen/Core>
#include <gtest/gtest.h>

#include "ops/random/distributions.h"
#include "runtime/parallel.h"

namespace mxtape {
namespace {

using Words = std::array<uint32_t, 4>;

// Known answers of the Random123 library for philox4x32-10.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox(0, 0, 0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox(~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, LanesAreTheSameFunction) {
  const uint64_t key = 0x0123456789abcdef, stream = 77, first = 0xfffffffa;
  uint32_t word[4 * 16];
  philox_lanes<16>(key, stream, first, word);
  for (size_t lane = 0; lane < 16; ++lane) {
    const Words expected = philox(key, stream, first + lane);
    for (size_t j = 0; j < 4; ++j) EXPECT_EQ(word[j * 16 + lane], expected[j]);
  }
}

NDArray drawn(Standard distribution, DType dtype, int64_t n, const Affine& affine = {},
              uint64_t stream = 0) {
  NDArray out = NDArray::empty(Shape{n}, dtype);
  fill_random(out, distribution, affine, RandomStream(42, stream));
  return out;
}

std::vector<double> values(const NDArray& x) {
  return dispatch(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* data = x.data<T>();
    std::vector<double> list;
    for (int64_t i = 0; i < x.size(); ++i) list.push_back(static_cast<double>(data[i]));
    return list;
  });
}

// Mean of x^power about `center`.
double moment(const std::vector<double>& x, double center, int power) {
  double sum = 0;
  for (double v : x) sum += std::pow(v - center, power);
  return sum / static_cast<double>(x.size());
}

// The distance of the empirical distribution function from f, times the root of n: above 1.95 for
// one sample in a thousand.
template <class F>
double kolmogorov(std::vector<double> x, F f) {
  std::sort(x.begin(), x.end());
  double worst = 0;
  const double n = static_cast<double>(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double at = f(x[i]);
    worst = std::max({worst, at - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - at});
  }
  return worst * std::sqrt(n);
}

constexpr int64_t kMany = 400000;

TEST(Distributions, Uniform) {
  for (DType dtype : {DType::kFloat32, DType::kFloat64}) {
    const auto x = values(drawn(Standard::kUniform, dtype, kMany));
    EXPECT_GE(*std::min_element(x.begin(), x.end()), 0);
    EXPECT_LT(*std::max_element(x.begin(), x.end()), 1);
    EXPECT_LT(kolmogorov(x, [](double v) { return v; }), 1.95);
    // Neighbours are not correlated: their products' mean has deviation 1/12 over the root of n.
    double lag = 0;
    for (size_t i = 1; i < x.size(); ++i) lag += (x[i] - 0.5) * (x[i - 1] - 0.5);
    EXPECT_LT(std::abs(lag / static_cast<double>(kMany)), 4.0 / 12 / std::sqrt(double{kMany}));
  }
}

TEST(Distributions, Normal) {
  for (DType dtype : {DType::kFloat32, DType::kFloat64}) {
    const auto x = values(drawn(Standard::kNormal, dtype, kMany));
    EXPECT_LT(kolmogorov(x, [](double v) { return 0.5 * std::erfc(-v / std::sqrt(2.0)); }), 1.95);
    const double root = std::sqrt(double{kMany});
    EXPECT_LT(std::abs(moment(x, 0, 1)), 4 / root);
    EXPECT_LT(std::abs(moment(x, 0, 2) - 1), 4 * std::sqrt(2.0) / root);
    EXPECT_LT(std::abs(moment(x, 0, 3)), 4 * std::sqrt(15.0) / root);
    EXPECT_LT(std::abs(moment(x, 0, 4) - 3), 4 * std::sqrt(96.0) / root);
  }
}

TEST(Distributions, ExponentialAndAffine) {
  const auto x =
      values(drawn(Standard::kExponential, DType::kFloat32, kMany, {.scale = 0.25, .shift = 2}));
  EXPECT_LT(kolmogorov(x, [](double v) { return 1 - std::exp(-4 * (v - 2)); }), 1.95);
}

TEST(Distributions, UpperBoundIsNeverReached) {
  for (DType dtype : {DType::kFloat16, DType::kFloat32, DType::kFloat64}) {
    for (auto [low, high] : {std::pair{0.0, 1.0}, {-3.0, -1.0}, {1000.0, 1000.5}, {-1.0, 0.0}}) {
      const Affine affine{high - low, low, largest_below(high, low, dtype)};
      const auto x = values(drawn(Standard::kUniform, dtype, 100000, affine));
      EXPECT_LT(*std::max_element(x.begin(), x.end()), high) << dtype_name(dtype);
      EXPECT_GE(*std::min_element(x.begin(), x.end()), low) << dtype_name(dtype);
    }
    EXPECT_EQ(largest_below(3, 3, dtype), 3);
  }
  EXPECT_EQ(largest_below(1, 0, DType::kFloat32), 1 - 0x1p-24);
  EXPECT_EQ(largest_below(1, 0, DType::kFloat16), 1 - 0x1p-11);
}

TEST(Distributions, Integers) {
  const RandomStream stream(5, 0);
  const NDArray small = NDArray::empty(Shape{70000}, DType::kInt32);
  fill_integers(small, -3, 7, stream);
  std::vector<double> counts(7);
  for (double v : values(small)) {
    ASSERT_TRUE(v >= -3 && v < 4);
    ++counts[static_cast<size_t>(v + 3)];
  }
  double chi = 0;
  for (double c : counts) chi += (c - 10000) * (c - 10000) / 10000;
  EXPECT_LT(chi, 22.5);  // one in a thousand with six degrees of freedom

  const NDArray wide = NDArray::empty(Shape{20000}, DType::kInt64);
  const int64_t low = std::numeric_limits<int64_t>::min();
  fill_integers(wide, low, ~uint64_t{0}, stream);
  EXPECT_LT(kolmogorov(values(wide), [](double v) { return v * 0x1p-64 + 0.5; }), 1.95);
  // Small spans of 64-bit words agree with the wide arithmetic.
  const NDArray a = NDArray::empty(Shape{1000}, DType::kInt64),
                b = NDArray::empty(Shape{1000}, DType::kInt64);
  fill_integers(a, 0, 0xffffffff, stream);
  fill_integers(b, 0, 0x100000000, stream);
  for (int64_t i = 0; i < 1000; ++i)
    EXPECT_NEAR(double(a.data<int64_t>()[i]), double(b.data<int64_t>()[i]), 1);
}

TEST(Distributions, GammaAndPoisson) {
  constexpr int64_t kDraws = 100000;
  const double root = std::sqrt(double{kDraws});
  const RandomStream stream(9, 1);
  std::vector<double> x(kDraws);
  for (double alpha : {0.3, 1.0, 7.5}) {
    for (int64_t i = 0; i < kDraws; ++i) x[static_cast<size_t>(i)] = draw_gamma(alpha, stream, i);
    EXPECT_LT(std::abs(moment(x, 0, 1) - alpha), 4 * std::sqrt(alpha) / root) << alpha;
    // The variance of the square about the mean: 2 alpha^2 + 6 alpha.
    EXPECT_LT(std::abs(moment(x, alpha, 2) - alpha),
              4 * std::sqrt(2 * alpha * alpha + 6 * alpha) / root);
  }
  for (double mean : {0.0, 0.7, 9.5, 11.0, 300.0}) {
    for (int64_t i = 0; i < kDraws; ++i) x[static_cast<size_t>(i)] = draw_poisson(mean, stream, i);
    EXPECT_LE(std::abs(moment(x, 0, 1) - mean), 4 * std::sqrt(mean) / root) << mean;
    EXPECT_LE(std::abs(moment(x, mean, 2) - mean), 4 * std::sqrt(2 * mean * mean + mean) / root)
        << mean;
  }
}

TEST(Distributions, BitsDoNotDependOnThreadsOrLength) {
  const int before = thread_count();
  for (Standard distribution : {Standard::kUniform, Standard::kNormal, Standard::kExponential}) {
    set_thread_count(1);
    const NDArray one = drawn(distribution, DType::kFloat32, 100003);
    set_thread_count(4);
    const NDArray four = drawn(distribution, DType::kFloat32, 100003);
    const NDArray few = drawn(distribution, DType::kFloat32, 37);
    const NDArray other = drawn(distribution, DType::kFloat32, 37, {}, 1);
    EXPECT_EQ(0, std::memcmp(one.bytes(), four.bytes(), one.nbytes()));
    EXPECT_EQ(0, std::memcmp(one.bytes(), few.bytes(), few.nbytes()));
    EXPECT_NE(0, std::memcmp(few.bytes(), other.bytes(), few.nbytes()));
  }
  set_thread_count(before);
}

TEST(RandomSequence, SeedStartsItAgain) {
  seed_random(3);
  const Words first = next_random_stream().words(0), second = next_random_stream().words(0);
  EXPECT_NE(first, second);
  seed_random(3);
  EXPECT_EQ(next_random_stream().words(0), first);
  seed_random(4);
  EXPECT_NE(next_random_stream().words(0), first);
}

}  // namespace
}  // namespace mxtape

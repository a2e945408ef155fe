#include "ops/shared/elementary.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "op/declare.h"

// Functions of elements: how far they are off, at every kind of number, and the loops around them.
namespace mxtape {
namespace {

template <class T>
void run(const TileFunction& f, const std::vector<const T*>& in, T* out, int64_t n,
         const void* params = nullptr) {
  const TileKernel kernel = f.kernels[static_cast<int>(dtype_of<T>)];
  kernel(reinterpret_cast<const void* const*>(in.data()), out, n, params);
}

// The distance in units in the last place of what is right; infinite where the kind is wrong.
template <class T>
double ulps(T got, long double right) {
  using Limits = std::numeric_limits<T>;
  const T rounded = static_cast<T>(right);
  if (std::isnan(right)) return std::isnan(got) ? 0 : Limits::infinity();
  if (std::isinf(rounded) || !std::isfinite(got)) return got == rounded ? 0 : Limits::infinity();
  if (rounded == 0 && got == 0) {
    return std::signbit(got) == std::signbit(rounded) ? 0 : Limits::infinity();
  }
  int exponent = Limits::min_exponent;
  if (rounded != 0) std::frexp(rounded, &exponent);
  const int last = std::max(exponent, Limits::min_exponent) - Limits::digits;
  return static_cast<double>(std::abs(static_cast<long double>(got) - right) /
                             std::ldexp(1.0L, last));
}

// Numbers of all exponents, NaN and infinities among them, numbers near 0, and the borders.
template <class T>
std::vector<T> all_kinds() {
  using Limits = std::numeric_limits<T>;
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  std::vector<T> x = {0,
                      -T(0),
                      Limits::infinity(),
                      -Limits::infinity(),
                      Limits::quiet_NaN(),
                      Limits::denorm_min(),
                      -Limits::denorm_min(),
                      Limits::min(),
                      -Limits::min(),
                      std::nextafter(Limits::min(), T(0)),
                      Limits::max(),
                      Limits::lowest(),
                      Limits::epsilon(),
                      -Limits::epsilon()};
  for (T border :
       {-1., 1.,     -104.,  -88.,    -87.3,  88.7, 89., -746., -708., 709.7, 710., 4.,  6.,
        0.5, 0.7071, 1.4142, -0.2929, 0.4142, 9.,   10., 18.,   20.,   -18.,  -40., -60.}) {
    for (T v : {std::nextafter(border, Limits::lowest()), border,
                std::nextafter(border, Limits::max())}) {
      x.push_back(v);
    }
  }
  uint64_t state = 88172645463325252;
  for (int i = 0; i < 200000; ++i) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    const T unit = static_cast<T>(static_cast<double>(state >> 11) / 4503599627370496.0 - 1);
    x.push_back(std::bit_cast<T>(static_cast<Bits>(state >> (64 - 8 * sizeof(T)))));
    x.push_back(unit);
    x.push_back(unit * T(12));
    x.push_back(unit * T(sizeof(T) == 4 ? 110 : 760));
  }
  return x;
}

using Reference = long double (*)(long double);

template <class T>
void expect_close(const TileFunction& f, Reference right, double bound) {
  const std::vector<T> x = all_kinds<T>();
  std::vector<T> y(x.size());
  run<T>(f, {x.data()}, y.data(), static_cast<int64_t>(x.size()));
  double worst = 0;
  T at = 0, there = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double off = ulps(y[i], right(x[i]));
    if (off > worst) worst = off, at = x[i], there = y[i];
  }
  EXPECT_LE(worst, bound) << sizeof(T) * 8 << " bits, at " << at << " which gives " << there;
}

void expect_close(const TileFunction& f, Reference right, double bound) {
  expect_close<float>(f, right, bound);
  expect_close<double>(f, right, bound);
}

TEST(Elementary, Exp) {
  expect_close(floating_each<1>([](auto x) { return exp(x); }), std::exp, 1.1);
}
TEST(Elementary, Expm1) {
  expect_close(floating_each<1>([](auto x) { return expm1(x); }), std::expm1, 1.5);
}
TEST(Elementary, Log) {
  expect_close(floating_each<1>([](auto x) { return log(x); }), std::log, 1);
}
TEST(Elementary, Log1p) {
  expect_close(floating_each<1>([](auto x) { return log1p(x); }), std::log1p, 1);
}
TEST(Elementary, Tanh) {
  expect_close(floating_each<1>([](auto x) { return tanh(x); }), std::tanh, 2.5);
}
TEST(Elementary, Erf) {
  expect_close(floating_each<1>([](auto x) { return erf(x); }), std::erf, 1.5);
}
TEST(Elementary, Sigmoid) {
  // Where the result is subnormal, it has fewer digits: it is not looked at.
  const TileFunction f = floating_each<1>([](auto x) {
    using T = scalar_of<decltype(x)>;
    return sigmoid(max(x, T(sizeof(T) == 4 ? -86 : -707)));
  });
  expect_close<float>(
      f, [](long double x) { return 1 / (1 + std::exp(-std::max(x, -86.0L))); }, 2.5);
  expect_close<double>(
      f, [](long double x) { return 1 / (1 + std::exp(-std::max(x, -707.0L))); }, 2.5);
}

TEST(Elementary, ExactFunctions) {
  expect_close(floating_each<1>([](auto x) { return sqrt(x); }), std::sqrt, 0.5);
  expect_close(floating_each<1>([](auto x) { return abs(x); }), std::abs, 0);
  expect_close(floating_each<1>([](auto x) { return floor(x); }), std::floor, 0);
  expect_close(floating_each<1>([](auto x) { return ceil(x); }), std::ceil, 0);
  expect_close(floating_each<1>([](auto x) { return trunc(x); }), std::trunc, 0);
  expect_close(floating_each<1>([](auto x) { return -x; }), [](long double x) { return -x; }, 0);
  expect_close(
      floating_each<1>([](auto x) { return sign(x); }),
      [](long double x) { return static_cast<long double>((x > 0) - (x < 0)); }, 0);
  expect_close(
      floating_each<1>([](auto x) { return copysign(decltype(x)(-2), x); }),
      [](long double x) { return std::copysign(2.0L, x); }, 0);
  expect_close(
      floating_each<1>([](auto x) { return max(x, 1); }),
      [](long double x) { return x < 1 ? 1 : x; }, 0);
  expect_close(
      floating_each<1>([](auto x) { return min(1, x); }),
      [](long double x) { return x > 1 ? 1 : x; }, 0);
  expect_close(
      floating_each<1>([](auto x) { return select(!(x > 1) && (x < 0 || x == 0.5), x, 7); }),
      [](long double x) { return x < 0 || x == 0.5 ? x : 7; }, 0);
  expect_close(
      floating_each<1>([](auto x) { return (x != 0) != (x >= 1); }),
      [](long double x) { return static_cast<long double>((x != 0) != (x >= 1)); }, 0);
}

struct LineParams {
  double slope = 2, start = 1;
};

TEST(Elements, EveryLengthAndInPlace) {
  const TileFunction f = numeric_each<2, LineParams>([](const LineParams& p, auto a, auto b) {
    return select(a > b, a - b, b * p.slope + p.start);
  });
  const LineParams p;
  const auto check = [&](auto zero) {
    using T = decltype(zero);
    for (int64_t n = 0; n < 70; ++n) {
      std::vector<T> a, b, right;
      for (int64_t i = 0; i < n; ++i) {
        a.push_back(static_cast<T>(i * 7 % 30));
        b.push_back(static_cast<T>(i * 11 % 23));
        right.push_back(static_cast<T>(a.back() > b.back() ? a.back() - b.back()
                                                           : b.back() * p.slope + p.start));
      }
      std::vector<T> y(static_cast<size_t>(n) + 1, T(77));
      run<T>(f, {a.data(), b.data()}, y.data(), n, &p);
      EXPECT_EQ(y.back(), T(77)) << "written beyond the end";
      y.pop_back();
      EXPECT_EQ(y, right) << n;
      run<T>(f, {a.data(), b.data()}, b.data(), n, &p);
      EXPECT_EQ(b, right) << n << " in place";
    }
  };
  check(float()), check(double()), check(uint8_t()), check(int8_t()), check(int32_t());
  check(int64_t());
}

// The bits of an element do not depend on where in the array it stands.
TEST(Elements, SameBitsInEveryPlace) {
  const TileFunction f = floating_each<1>([](auto x) { return log1p(exp(x)) * tanh(x); });
  for (float number : {0.1f, 1.7f, -3.3f}) {
    float first = 0;
    run<float>(f, {&number}, &first, 1);
    const std::vector<float> x(37, number);
    std::vector<float> y(37);
    run<float>(f, {x.data()}, y.data(), 37);
    for (float value : y) EXPECT_EQ(std::bit_cast<uint32_t>(value), std::bit_cast<uint32_t>(first));
  }
}

TEST(Elements, IntegersWrapAround) {
  const TileFunction f = numeric_each<1>([](auto x) { return abs(x) + sign(x) + max(x, 3); });
  const std::vector<int8_t> x = {-128, -5, 0, 3, 127};
  std::vector<int8_t> y(x.size());
  run<int8_t>(f, {x.data()}, y.data(), 5);
  EXPECT_EQ(y, (std::vector<int8_t>{-126, 7, 3, 7, -1}));
}

}  // namespace
}  // namespace mxtape

#include "ops/linalg/gemm.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include <Eigen/Core>
#include <gtest/gtest.h>

#include "runtime/parallel.h"

namespace mxtape {
namespace {

template <class T>
std::vector<T> gemm_numbers(int64_t n, uint32_t seed) {
  std::vector<T> values(static_cast<size_t>(n));
  for (T& v : values) {
    seed = seed * 1664525u + 1013904223u;
    v = static_cast<T>((static_cast<float>(seed >> 8) / 16777216.0f - 0.5f));
  }
  return values;
}

struct GemmCase {
  int64_t m, n, k;
  bool transpose_a, transpose_b;
  int64_t batch = 1;
  bool bias = false;
};

template <class T>
std::vector<T> product(const GemmCase& c, const std::vector<T>& a, const std::vector<T>& b,
                       const std::vector<T>& bias) {
  // Rubbish in the output must not come through.
  std::vector<T> out(static_cast<size_t>(c.batch * c.m * c.n), static_cast<T>(NAN));
  gemm({.dtype = dtype_of<T>,
        .m = c.m,
        .n = c.n,
        .k = c.k,
        .transpose_a = c.transpose_a,
        .transpose_b = c.transpose_b,
        .batch = c.batch,
        .a = a.data(),
        .b = b.data(),
        .bias = c.bias ? bias.data() : nullptr,
        .out = out.data()});
  return out;
}

template <class T>
void check(const GemmCase& c, double tolerance) {
  SCOPED_TRACE(testing::Message() << c.m << "x" << c.n << "x" << c.k << " transposed "
                                  << c.transpose_a << c.transpose_b << " batch " << c.batch
                                  << " bias " << c.bias << " dtype " << dtype_name(dtype_of<T>));
  const auto a = gemm_numbers<T>(c.batch * c.m * c.k, 1),
             b = gemm_numbers<T>(c.batch * c.k * c.n, 2);
  const auto bias = gemm_numbers<T>(c.n, 3);
  const auto out = product(c, a, b, bias);
  double worst = 0;
  for (int64_t item = 0; item < c.batch; ++item) {
    for (int64_t i = 0; i < c.m; ++i) {
      for (int64_t j = 0; j < c.n; ++j) {
        double sum = c.bias ? static_cast<double>(bias[static_cast<size_t>(j)]) : 0;
        for (int64_t p = 0; p < c.k; ++p) {
          const int64_t at_a = item * c.m * c.k + (c.transpose_a ? p * c.m + i : i * c.k + p);
          const int64_t at_b = item * c.k * c.n + (c.transpose_b ? j * c.k + p : p * c.n + j);
          sum += static_cast<double>(a[static_cast<size_t>(at_a)]) *
                 static_cast<double>(b[static_cast<size_t>(at_b)]);
        }
        const double got =
            static_cast<double>(out[static_cast<size_t>((item * c.m + i) * c.n + j)]);
        // NaN must not pass for small.
        worst = std::isnan(got) ? INFINITY : std::max(worst, std::abs(got - sum));
      }
    }
  }
  EXPECT_LE(worst, tolerance * std::sqrt(static_cast<double>(c.k) + 1));
}

TEST(Gemm, EveryTransposeAndSize) {
  const int64_t sizes[] = {1, 2, 7, 33, 130};
  for (int64_t m : sizes) {
    for (int64_t n : sizes) {
      for (int64_t k : sizes) {
        for (int t = 0; t < 4; ++t) {
          const bool ta = t & 1, tb = t & 2;
          check<double>({m, n, k, ta, tb, 1, (m + n + k) % 2 == 0}, 1e-14);
          check<float>({m, n, k, ta, tb, 1, (m + n + k) % 2 == 1}, 1e-6);
        }
      }
    }
  }
}

TEST(Gemm, CutIntoBlocks) {
  for (int t = 0; t < 4; ++t) {
    const bool ta = t & 1, tb = t & 2;
    check<float>({301, 517, 129, ta, tb, 1, true}, 1e-6);
    check<double>({70, 2100, 65, ta, tb}, 1e-14);
  }
}

TEST(Gemm, LargeProducts) {
  for (int t = 0; t < 4; ++t) {
    const bool ta = t & 1, tb = t & 2;
    check<float>({401, 523, 300, ta, tb, 1, true}, 2e-6);
    check<double>({351, 333, 300, ta, tb, 1, t > 1}, 1e-14);
    check<float>({49, 1500, 700, ta, tb}, 5e-6);
    check<double>({1500, 48, 513, ta, tb}, 1e-14);
    check<float>({131, 517, 784, ta, tb, 1, t > 1}, 5e-6);
    check<double>({256, 77, 641, ta, tb, 1, true}, 1e-14);
  }
}

TEST(Gemm, LongSumsAreCut) {
  for (int t = 0; t < 4; ++t) {
    const bool ta = t & 1, tb = t & 2;
    check<double>({10, 30, 20011, ta, tb, 1, true}, 1e-14);
    check<double>({1, 1, 300007, ta, tb}, 1e-14);
    check<double>({1, 5, 100003, ta, tb, 1, true}, 1e-14);
  }
}

TEST(Gemm, Batches) {
  for (int t = 0; t < 4; ++t) {
    const bool ta = t & 1, tb = t & 2;
    check<double>({3, 4, 5, ta, tb, 1000}, 1e-14);
    check<float>({65, 130, 140, ta, tb, 5}, 1e-6);
    check<float>({128, 70, 130, ta, tb, 40, true}, 1e-6);
    check<double>({61, 130, 330, ta, tb, 3, t > 1}, 1e-14);
    check<double>({1, 9, 4000, ta, tb, 7}, 1e-14);
  }
}

TEST(Gemm, HalfIsRoundedOnce) {
  for (int t = 0; t < 4; ++t)
    check<float16>({9, 17, 65, (t & 1) != 0, (t & 2) != 0, 2, true}, 5e-4);
}

TEST(Gemm, EmptySumGivesTheBias) {
  const std::vector<float> none, bias = {1, 2, 3};
  EXPECT_EQ(product<float>({2, 3, 0, false, false, 1, true}, none, none, bias),
            (std::vector<float>{1, 2, 3, 1, 2, 3}));
  EXPECT_EQ(product<float>({2, 3, 0, true, true, 1, false}, none, none, bias),
            std::vector<float>(6, 0.0f));
  EXPECT_EQ(product<float>({1, 1, 0, false, false}, none, none, bias), std::vector<float>(1, 0.0f));
  EXPECT_TRUE(
      product<float>({0, 3, 4, false, false}, none, gemm_numbers<float>(12, 1), bias).empty());
  EXPECT_TRUE(product<float>({2, 3, 4, false, false, 0}, none, none, bias).empty());
}

// Rows are computed by different instructions, in tiles of different heights.
template <class T>
void check_equal_rows(int64_t m, int64_t n, bool transpose_a) {
  const GemmCase c{m, n, 1001, transpose_a, false};  // GemmKernel does it
  const auto row = gemm_numbers<T>(c.k, 1), b = gemm_numbers<T>(c.k * c.n, 2);
  std::vector<T> a(static_cast<size_t>(c.m * c.k));
  for (int64_t i = 0; i < c.m; ++i) {
    for (int64_t p = 0; p < c.k; ++p) {
      a[static_cast<size_t>(transpose_a ? p * c.m + i : i * c.k + p)] = row[static_cast<size_t>(p)];
    }
  }
  const auto out = product(c, a, b, {});
  for (int64_t i = 1; i < c.m; ++i) {
    ASSERT_EQ(0, std::memcmp(out.data(), out.data() + i * c.n, c.n * sizeof(T)))
        << "row " << i << " of " << m;
  }
}

TEST(Gemm, BitsDoNotDependOnTheRow) {
  for (int64_t m : {48, 49, 53, 55, 57, 59, 70, 300}) {
    // a in rows, where there are few and b is wide; else laid out.
    for (int64_t n : {90, 300}) {
      for (bool transpose_a : {false, true}) {
        check_equal_rows<float>(m, n, transpose_a);
        check_equal_rows<double>(m, n, transpose_a);
      }
    }
  }
}

TEST(Gemm, BitsDoNotDependOnThreads) {
  const int before = thread_count();
  const GemmCase cases[] = {{301, 517, 129, false, true, 1, true}, {10, 30, 20011, true, false},
                            {401, 523, 300, true, true, 1, true},  {601, 300, 500, false, false},
                            {1, 1, 300007, false, false},          {700, 1, 900, false, false},
                            {1, 900, 700, false, false},           {65, 130, 140, false, false, 5},
                            {131, 517, 784, false, true, 1, true}, {200, 90, 600, false, false},
                            {128, 70, 130, false, true, 12, true}, {97, 300, 400, true, false, 3},
                            {300, 2600, 700, false, false},        {500, 650, 1300, true, true}};
  for (const GemmCase& c : cases) {
    const auto a = gemm_numbers<float>(c.batch * c.m * c.k, 1),
               b = gemm_numbers<float>(c.batch * c.k * c.n, 2);
    const auto bias = gemm_numbers<float>(c.n, 3);
    set_thread_count(1);
    const auto one = product(c, a, b, bias);
    for (int threads : {2, 3, 8}) {
      set_thread_count(threads);
      const auto many = product(c, a, b, bias);
      EXPECT_EQ(0, std::memcmp(one.data(), many.data(), one.size() * sizeof(float)));
    }
  }
  set_thread_count(before);
}

}  // namespace
}  // namespace mxtape

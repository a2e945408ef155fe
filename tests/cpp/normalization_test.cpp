#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "ops/nn/norm_loops.h"
#include "support.h"

// A normalization of one's own, written with the loops of ops/nn/norm_loops.h as its comment says.
namespace mxtape {
namespace {

using test::array;
using test::elements;
using test::ThreadCountScope;

constexpr double kEps = 1e-5;

template <class A>
A scale_of(const A* x, int64_t n) {
  const double squares = reduce::quick_sum<A>(n, [=](int64_t i) { return x[i] * x[i]; });
  return static_cast<A>(1 / std::sqrt(squares / static_cast<double>(n) + kEps));
}

// y = x * gamma / sqrt(mean(x^2) + eps) of each run.
void rms_norm(const AxisView& view, const NDArray& x, const NDArray& gamma, const NDArray& y) {
  dispatch_norm(x.dtype(), [&]<class A>(TypeTag<A>) {
    const std::vector<A> gammas = norm_numbers<A>(&gamma, view.n, 1);
    for_each_run<A>(view, {&x}, y, [&, n = view.n](int64_t, const A* from, A* to) {
      const A scale = scale_of(from, n);
      const A* g = gammas.data();
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) to[i] = from[i] * scale * g[i];
    });
  });
}

void rms_norm_backward(const AxisView& view, const NDArray& head, const NDArray& x,
                       const NDArray& gamma, const NDArray& dx, const NDArray& dgamma) {
  dispatch_norm(x.dtype(), [&]<class A>(TypeTag<A>) {
    const std::vector<A> gammas = norm_numbers<A>(&gamma, view.n, 1);
    ColumnSums columns(view, 1);
    for_each_run<A>(view, {&head, &x}, dx,
                    [&, n = view.n](int64_t run, const A* h, const A* from, A* to) {
                      const A scale = scale_of(from, n);
                      const A *g = gammas.data(), s3 = scale * scale * scale / static_cast<A>(n);
                      double* dg = columns.of(run);
                      const auto dot =
                          reduce::quick_sum<A>(n, [=](int64_t i) { return h[i] * g[i] * from[i]; });
                      const A along = static_cast<A>(dot) * s3;
#pragma omp simd
                      for (int64_t i = 0; i < n; ++i)
                        dg[i] += static_cast<double>(h[i] * from[i] * scale);
#pragma omp simd
                      for (int64_t i = 0; i < n; ++i) to[i] = h[i] * g[i] * scale - from[i] * along;
                    });
    const std::vector<double> total = columns.total();
    for (int64_t i = 0; i < view.n; ++i) {
      set_number(&dgamma, i, static_cast<A>(total[static_cast<size_t>(i)]));
    }
  });
}

std::vector<double> waves(int64_t n, double step) {
  std::vector<double> values(static_cast<size_t>(n));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = std::sin(step * static_cast<double>(i)) + 0.3;
  }
  return values;
}

// The same, element by element.
std::vector<double> expected(const AxisView& view, const std::vector<double>& x,
                             const std::vector<double>& gamma) {
  std::vector<double> y(x.size());
  for (int64_t run = 0; run < view.runs(); ++run) {
    const auto at = [&](int64_t i) {
      return static_cast<size_t>(view.start(run) + i * view.inner);
    };
    double squares = 0;
    for (int64_t i = 0; i < view.n; ++i) squares += x[at(i)] * x[at(i)];
    const double scale = 1 / std::sqrt(squares / static_cast<double>(view.n) + kEps);
    for (int64_t i = 0; i < view.n; ++i)
      y[at(i)] = x[at(i)] * scale * gamma[static_cast<size_t>(i)];
  }
  return y;
}

double loss(const AxisView& view, const std::vector<double>& x, const std::vector<double>& gamma,
            const std::vector<double>& head) {
  const std::vector<double> y = expected(view, x, gamma);
  return std::inner_product(y.begin(), y.end(), head.begin(), 0.0);
}

class RmsNorm : public testing::TestWithParam<int> {
 protected:
  const Shape shape{5, 67, 3};
  const AxisView view{shape, GetParam()};
};

TEST_P(RmsNorm, IsWhatItsFormulaSays) {
  const std::vector<double> x = waves(shape.size(), 0.7), gamma = waves(view.n, 1.3);
  for (const auto& [dtype, tolerance] :
       {std::pair{DType::kFloat64, 1e-14}, {DType::kFloat32, 1e-6}, {DType::kFloat16, 4e-3}}) {
    const NDArray y = NDArray::empty(shape, dtype);
    rms_norm(view, array(shape, x, dtype), array(gamma, dtype), y);
    const std::vector<double> got = elements(y), wanted = expected(view, x, gamma);
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_NEAR(got[i], wanted[i], tolerance * (1 + std::abs(wanted[i]))) << dtype << ' ' << i;
    }
  }
}

TEST_P(RmsNorm, HasTheGradientOfItsFormula) {
  std::vector<double> x = waves(shape.size(), 0.7), gamma = waves(view.n, 1.3);
  const std::vector<double> head = waves(shape.size(), 2.1);
  const NDArray dx = NDArray::empty(shape, DType::kFloat64);
  const NDArray dgamma = NDArray::empty({view.n}, DType::kFloat64);
  rms_norm_backward(view, array(shape, head), array(shape, x), array(gamma), dx, dgamma);
  const auto check = [&](const NDArray& gradient, std::vector<double>& numbers) {
    const std::vector<double> got = elements(gradient);
    for (size_t i = 0; i < got.size(); i += 7) {
      const double at = numbers[i], h = 1e-6;
      numbers[i] = at + h;
      const double above = loss(view, x, gamma, head);
      numbers[i] = at - h;
      const double below = loss(view, x, gamma, head);
      numbers[i] = at;
      ASSERT_NEAR(got[i], (above - below) / (2 * h), 1e-7) << i;
    }
  };
  check(dx, x);
  check(dgamma, gamma);
}

INSTANTIATE_TEST_SUITE_P(Axes, RmsNorm, testing::Values(0, 1, 2));

TEST(NormLoops, HaveOneResultForAnyNumberOfThreads) {
  const Shape shape{3000, 33};
  const AxisView view(shape, 1);
  const NDArray x = array(shape, waves(shape.size(), 0.7), DType::kFloat32);
  const NDArray gamma = array(waves(view.n, 1.3), DType::kFloat32);
  const auto run = [&](int threads) {
    const ThreadCountScope scope(threads);
    const NDArray dx = NDArray::empty(shape, DType::kFloat32);
    const NDArray dgamma = NDArray::empty({view.n}, DType::kFloat32);
    rms_norm_backward(view, x, x, gamma, dx, dgamma);
    std::vector<double> all = elements(dx);
    for (double value : elements(dgamma)) all.push_back(value);
    return all;
  };
  const std::vector<double> one = run(1);
  EXPECT_EQ(one, run(2));
  EXPECT_EQ(one, run(5));
}

TEST(NormLoops, TakeNothing) {
  const AxisView view(Shape{0, 4}, 1);
  const NDArray x = NDArray::empty({0, 4}, DType::kFloat32), gamma = array({1, 1, 1, 1});
  rms_norm(view, x, gamma, NDArray::empty({0, 4}, DType::kFloat32));
  const NDArray dgamma = NDArray::empty({4}, DType::kFloat32);
  rms_norm_backward(view, x, x, gamma, NDArray::empty({0, 4}, DType::kFloat32), dgamma);
  EXPECT_EQ(elements(dgamma), std::vector<double>(4, 0));
}

}  // namespace
}  // namespace mxtape

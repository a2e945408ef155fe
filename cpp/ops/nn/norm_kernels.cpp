#include <algorithm>
#include <cmath>

#include "ops/nn/norm.h"
#include "ops/nn/norm_loops.h"
#include "ops/shared/strided.h"

namespace mxtape {
namespace {

// x^ = (x - mean) * scale - off, where scale = 1 / s. `mean` is rounded to A: off is what was lost.
template <class A>
struct Moments {
  A mean = 0, off = 0, s = 1, scale = 1;
};

template <class A>
Moments<A> moments_of(const Normalization& norm, const A* x, int64_t n) {
  Moments<A> m;
  double squares, off = 0;
  if (norm.center) {
    const auto count = static_cast<double>(n);
    const A first = reduce::finite_first(x);
    const double rest = reduce::quick_sum<A>(n, [=](int64_t i) { return x[i] - first; });
    const double exact = static_cast<double>(first) + rest / count;
    const A mean = m.mean = static_cast<A>(exact);
    off = exact - static_cast<double>(mean);
    squares = reduce::quick_sum<A>(
        n, [=](int64_t i) { return (x[i] - mean) * (x[i] - mean); }, reduce::Ahead<A>(x + n));
    squares = squares / count - off * off;
    if (squares < 0) squares = 0;
  } else {
    squares = reduce::quick_sum<A>(n, [=](int64_t i) { return x[i] * x[i]; });
  }
  const double s = std::sqrt(squares + norm.eps);
  m.s = static_cast<A>(s);
  m.scale = static_cast<A>(1 / s);
  if (off != 0) m.off = static_cast<A>(off) * m.scale;
  return m;
}

int64_t affine_count(const Normalization& norm) { return norm.groups ? norm.groups : norm.view.n; }

template <class A>
void forward(const Normalization& norm, const NDArray& x, const NDArray* gamma, const NDArray* beta,
             const NDArray& y, const NDArray* mean, const NDArray* s) {
  const std::vector<A> gammas = norm_numbers<A>(gamma, affine_count(norm), 1);
  const std::vector<A> betas = norm_numbers<A>(beta, affine_count(norm), 0);
  for_each_run<A>(norm.view, {&x}, y, [&, n = norm.view.n](int64_t run, const A* from, A* to) {
    const Moments<A> m = moments_of(norm, from, n);
    if (norm.groups) {
      const auto group = static_cast<size_t>(run % norm.groups);
      const A factor = gammas[group] * m.scale, shift = betas[group] - gammas[group] * m.off;
      for (int64_t i = 0; i < n; ++i) to[i] = (from[i] - m.mean) * factor + shift;
    } else {
      const A *g = gammas.data(), *b = betas.data();
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) {
        to[i] = ((from[i] - m.mean) * m.scale - m.off) * g[i] + b[i];
      }
    }
    set_number(mean, run, m.mean);
    set_number(s, run, m.s);
  });
}

// Adds a run's terms of the gradients of gamma and beta.
template <class A, class Normal>
void add_columns(const A* h, int64_t n, Normal normal, double* columns) {
  reduce::for_blocks(n, [&](int64_t at, int64_t count) {
    alignas(64) A product[reduce::kRun];
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) product[i] = h[at + i] * normal(at + i);
    add_row(product, count, columns + at);
    add_row(h + at, count, columns + n + at);
  });
}

// The gradient of one run. `h` is the head's, `g` gamma where it runs along; else gamma is `gain`.
// Returns the sums of w and of w * x^, where w is the head times gamma; into `columns`, if it is
// given, go the run's terms of the gradients of gamma and beta.
template <class A>
std::array<double, 2> run_backward(const Normalization& norm, const A* h, const A* x, const A* g,
                                   A gain, double* columns, A* to) {
  const int64_t n = norm.view.n;
  const Moments<A> m = moments_of(norm, x, n);
  const A mean = m.mean, scale = m.scale, off = m.off;
  // A gradient that was cut off stays 0, though x^ has no derivative where s is 0.
  if (std::isinf(scale) && std::all_of(h, h + n, [](A value) { return value == 0; })) {
    std::fill_n(to, n, A(0));
    return {0, 0};
  }
  const auto normal = [=](int64_t i) { return (x[i] - mean) * scale - off; };
  // Before dx is written: it may take the head's place.
  std::array<double, 2> s{};
  if (g) {
    s[0] = reduce::quick_sum<A>(n, [=](int64_t i) { return h[i] * g[i]; }, reduce::Ahead<A>(h + n));
    s[1] = reduce::quick_sum<A>(n, [=](int64_t i) { return h[i] * g[i] * normal(i); });
    if (columns) add_columns<A>(h, n, normal, columns);
  } else {
    // The gradients of gamma and beta are sums of these.
    s[0] = reduce::fold_run<reduce::Sum<A>>(h, n);
    reduce::for_blocks(n, [&](int64_t at, int64_t count) {
      alignas(64) A product[reduce::kRun];
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) product[i] = h[at + i] * normal(at + i);
      s[1] += reduce::block_sum(product, count);
    });
  }
  const double divisor = norm.center ? static_cast<double>(n) : 1;
  const A s1 = norm.center ? static_cast<A>(s[0] / divisor) : A(0);
  const A s2 = static_cast<A>(s[1] / divisor);
  if (g) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) to[i] = (h[i] * g[i] - s1 - normal(i) * s2) * scale;
  } else {
    const A factor = gain * scale;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) to[i] = (h[i] - s1 - normal(i) * s2) * factor;
  }
  return s;
}

template <class A>
void backward(const Normalization& norm, const NDArray& head, const NDArray& x,
              const NDArray* gamma, const NDArray& dx, const NDArray* dgamma,
              const NDArray* dbeta) {
  const int64_t count = affine_count(norm), runs = norm.view.runs();
  const std::vector<A> gammas = norm_numbers<A>(gamma, count, 1);
  const bool columns = dgamma && !norm.groups;
  ColumnSums column_sums(norm.view, columns ? 2 : 0);
  std::vector<std::array<double, 2>> run_sums(static_cast<size_t>(norm.groups ? runs : 0));
  for_each_run<A>(norm.view, {&head, &x}, dx, [&](int64_t run, const A* h, const A* from, A* to) {
    if (norm.groups) {
      const A gain = gammas[static_cast<size_t>(run % norm.groups)];
      run_sums[static_cast<size_t>(run)] =
          run_backward<A>(norm, h, from, nullptr, gain, nullptr, to);
    } else {
      double* sums = columns ? column_sums.of(run) : nullptr;
      run_backward<A>(norm, h, from, gammas.data(), 1, sums, to);
    }
  });
  if (!dgamma) return;
  std::vector<double> total = column_sums.total();
  total.resize(static_cast<size_t>(2 * count));
  for (size_t run = 0; run < run_sums.size(); ++run) {
    const size_t group = run % static_cast<size_t>(count);
    total[group] += run_sums[run][1];
    total[static_cast<size_t>(count) + group] += run_sums[run][0];
  }
  for (int64_t i = 0; i < count; ++i) {
    set_number(dgamma, i, static_cast<A>(total[static_cast<size_t>(i)]));
    set_number(dbeta, i, static_cast<A>(total[static_cast<size_t>(count + i)]));
  }
}

}  // namespace

void normalize(const Normalization& norm, const NDArray& x, const NDArray* gamma,
               const NDArray* beta, const NDArray& y, const NDArray* mean, const NDArray* s) {
  if (x.size() == 0) {
    for (const NDArray* of_nothing : {mean, s}) {
      if (of_nothing) fill_zero(*of_nothing);
    }
    return;
  }
  dispatch_norm(x.dtype(),
                [&]<class A>(TypeTag<A>) { forward<A>(norm, x, gamma, beta, y, mean, s); });
}

void normalize_backward(const Normalization& norm, const NDArray& head, const NDArray& x,
                        const NDArray* gamma, const NDArray& dx, const NDArray* dgamma,
                        const NDArray* dbeta) {
  if (x.size() == 0) {
    if (dgamma) fill_zero(*dgamma);
    if (dbeta) fill_zero(*dbeta);
    return;
  }
  dispatch_norm(x.dtype(),
                [&]<class A>(TypeTag<A>) { backward<A>(norm, head, x, gamma, dx, dgamma, dbeta); });
}

}  // namespace mxtape

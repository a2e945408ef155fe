#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include <Eigen/Core>

#include "ops/nn/norm.h"
#include "ops/reduce/reduce.h"
#include "ops/shared/strided.h"
#include "runtime/widen.h"

// The loops of the normalizing layers. A run is read from memory once: what else is done with it
// finds it in the cache. Arithmetic is done in float32, or float64 for float64.
namespace mxtape {
namespace {

constexpr int64_t kLanes = reduce::kLanes, kRun = reduce::kRun;

// Sums of functions of i over [0, n). Lanes within blocks, blocks in double.
template <class A, class... F>
std::array<double, sizeof...(F)> sums(int64_t n, F... f) {
  std::array<double, sizeof...(F)> total{};
  for (int64_t begin = 0; begin < n; begin += kRun) {
    const int64_t end = std::min(begin + kRun, n);
    A lane[sizeof...(F)][kLanes] = {};
    const auto add = [](A* to, auto value, int64_t at, int64_t count) {
#pragma omp simd
      for (int64_t l = 0; l < count; ++l) to[l] += value(at + l);
    };
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) {
      size_t k = 0;
      (add(lane[k++], f, i, kLanes), ...);
    }
    size_t k = 0;
    (add(lane[k++], f, i, end - i), ...);
    for (k = 0; k < sizeof...(F); ++k) {
      for (int64_t half = kLanes / 2; half > 0; half /= 2) {
        for (int64_t l = 0; l < half; ++l) lane[k][l] += lane[k][l + half];
      }
      total[k] += static_cast<double>(lane[k][0]);
    }
  }
  return total;
}

template <class A>
struct Moments {
  A mean = 0, s = 1, scale = 1;  // scale = 1 / s
};

template <class A>
Moments<A> moments_of(const Normalization& norm, const A* x, int64_t n) {
  Moments<A> m;
  double squares;
  if (norm.center) {
    const auto count = static_cast<double>(n);
    m.mean = static_cast<A>(sums<A>(n, [x](int64_t i) { return x[i]; })[0] / count);
    const A mean = m.mean;
    squares = sums<A>(n, [x, mean](int64_t i) { return (x[i] - mean) * (x[i] - mean); })[0];
    squares /= count;
  } else {
    squares = sums<A>(n, [x](int64_t i) { return x[i] * x[i]; })[0];
  }
  const double s = std::sqrt(squares + norm.eps);
  m.s = static_cast<A>(s);
  m.scale = static_cast<A>(1 / s);
  return m;
}

// gamma or beta as numbers of type A, copied: they are small and read over and over.
template <class A>
std::vector<A> numbers(const NDArray* array, int64_t count, A missing) {
  std::vector<A> values(static_cast<size_t>(count), missing);
  if (!array) return values;
  dispatch<FloatingTypes>(array->dtype(), [&](auto tag) {
    const auto* from = array->data<typename decltype(tag)::type>();
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<A>(from[i]);
  });
  return values;
}

template <class A>
void set(const NDArray* array, int64_t i, A value) {
  if (!array) return;
  dispatch<FloatingTypes>(array->dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    array->data<T>()[i] = static_cast<T>(value);
  });
}

int64_t affine_count(const Normalization& norm) { return norm.groups ? norm.groups : norm.view.n; }

template <class A>
void forward(const Normalization& norm, const NDArray& x, const NDArray* gamma, const NDArray* beta,
             const NDArray& y, const NDArray* mean, const NDArray* s) {
  const int64_t n = norm.view.n, runs = norm.view.outer * norm.view.inner;
  const std::vector<A> gammas = numbers<A>(gamma, affine_count(norm), 1);
  const std::vector<A> betas = numbers<A>(beta, affine_count(norm), 0);
  const int64_t grain = std::max<int64_t>(1, reduce::kGrain / 2 / n);
  parallel_for(runs, grain, [&](int64_t first, int64_t last) {
    ArrayRun<A> in(x), out(y);
    for (int64_t run = first; run < last; ++run) {
      const A* from = in.read(run * n, n);
      A* to = out.place(run * n, n);
      const Moments<A> m = moments_of(norm, from, n);
      if (norm.groups) {
        const auto group = static_cast<size_t>(run % norm.groups);
        const A factor = gammas[group] * m.scale, shift = betas[group];
        for (int64_t i = 0; i < n; ++i) to[i] = (from[i] - m.mean) * factor + shift;
      } else {
        const A *g = gammas.data(), *b = betas.data();
#pragma omp simd
        for (int64_t i = 0; i < n; ++i) to[i] = (from[i] - m.mean) * m.scale * g[i] + b[i];
      }
      out.store(run * n, n);
      set(mean, run, m.mean);
      set(s, run, m.s);
    }
  });
}

template <class A>
void backward(const Normalization& norm, const NDArray& head, const NDArray& x,
              const NDArray* gamma, const NDArray& dx, const NDArray* dgamma,
              const NDArray* dbeta) {
  const int64_t n = norm.view.n, runs = norm.view.outer * norm.view.inner;
  const int64_t count = affine_count(norm);
  const std::vector<A> gammas = numbers<A>(gamma, count, 1);
  const bool columns = dgamma && !norm.groups, groups = dgamma && norm.groups;
  // Each piece of runs has sums of its own for gamma and beta; pieces depend on the shape alone.
  const int64_t piece = std::max({int64_t{1}, reduce::kGrain / 2 / n, (runs + 63) / 64});
  const int64_t pieces = (runs + piece - 1) / piece;
  std::vector<A> column_sums(static_cast<size_t>(columns ? pieces * 2 * n : 0));
  std::vector<double> run_sums(static_cast<size_t>(groups ? 2 * runs : 0));
  const double divisor = norm.center ? static_cast<double>(n) : 1;
  parallel_for(pieces, 1, [&](int64_t first_piece, int64_t last_piece) {
    ArrayRun<A> heads(head), in(x), out(dx);
    for (int64_t p = first_piece; p < last_piece; ++p) {
      A* dg = column_sums.data() + (columns ? p * 2 * n : 0);
      A* db = columns ? dg + n : dg;
      for (int64_t run = p * piece; run < std::min(runs, (p + 1) * piece); ++run) {
        const A *h = heads.read(run * n, n), *from = in.read(run * n, n);
        A* to = out.place(run * n, n);
        const Moments<A> m = moments_of(norm, from, n);
        const A mean = m.mean, scale = m.scale;
        const A* g = norm.groups ? nullptr : gammas.data();
        const A gain = norm.groups ? gammas[static_cast<size_t>(run % norm.groups)] : A(1);
        // The sums of w and of w * x^, where w is the head times gamma.
        const auto normal = [=](int64_t i) { return (from[i] - mean) * scale; };
        const auto s = g ? sums<A>(
                               n, [=](int64_t i) { return h[i] * g[i]; },
                               [=](int64_t i) { return h[i] * g[i] * normal(i); })
                         : sums<A>(
                               n, [=](int64_t i) { return h[i]; },
                               [=](int64_t i) { return h[i] * normal(i); });
        const A s1 = norm.center ? static_cast<A>(s[0] / divisor) : A(0);
        const A s2 = static_cast<A>(s[1] / divisor);
        // Before dx is written: it may take the head's place.
        if (columns) {
#pragma omp simd
          for (int64_t i = 0; i < n; ++i) {
            dg[i] += h[i] * ((from[i] - mean) * scale);
            db[i] += h[i];
          }
        }
        if (g) {
#pragma omp simd
          for (int64_t i = 0; i < n; ++i) {
            to[i] = (h[i] * g[i] - s1 - (from[i] - mean) * scale * s2) * scale;
          }
        } else {
          const A factor = gain * scale;
#pragma omp simd
          for (int64_t i = 0; i < n; ++i) {
            to[i] = (h[i] - s1 - (from[i] - mean) * scale * s2) * factor;
          }
        }
        if (groups) {
          run_sums[static_cast<size_t>(2 * run)] = s[1];
          run_sums[static_cast<size_t>(2 * run + 1)] = s[0];
        }
        out.store(run * n, n);
      }
    }
  });
  if (!dgamma) return;
  std::vector<double> total(static_cast<size_t>(2 * count));
  double* sum = total.data();
  if (columns) {
    for (int64_t p = 0; p < pieces; ++p) {
      const A* part = column_sums.data() + p * 2 * n;
      for (int64_t i = 0; i < 2 * n; ++i) sum[i] += static_cast<double>(part[i]);
    }
  } else {
    for (int64_t run = 0; run < runs; ++run) {
      sum[run % count] += run_sums[static_cast<size_t>(2 * run)];
      sum[count + run % count] += run_sums[static_cast<size_t>(2 * run + 1)];
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    set(dgamma, i, static_cast<A>(sum[i]));
    set(dbeta, i, static_cast<A>(sum[count + i]));
  }
}

// A walk over the runs one by one, each along its axis, of an array that holds them inside out.
Strided along_axis(const AxisView& view) {
  Strided walk;
  walk.axis(view.outer, view.n * view.inner);
  walk.axis(view.inner, 1);
  walk.axis(view.n, view.inner);
  return walk;
}

// The array with its runs made contiguous.
NDArray contiguous_runs(const AxisView& view, const NDArray& array) {
  if (view.inner == 1) return array;
  NDArray moved = NDArray::empty(Shape{view.outer, view.inner, view.n}, array.dtype());
  gather_strided(array, along_axis(view), moved);
  return moved;
}

// Where contiguous runs are to be made, for restore().
NDArray run_buffer(const AxisView& view, const NDArray& target) {
  if (view.inner == 1) return target;
  return NDArray::empty(Shape{view.outer, view.inner, view.n}, target.dtype());
}
void restore(const AxisView& view, const NDArray& runs, const NDArray& target) {
  if (view.inner == 1) return;
  copy_strided(runs, dense(runs), target, along_axis(view));
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
  const NDArray in = contiguous_runs(norm.view, x), out = run_buffer(norm.view, y);
  if (x.dtype() == DType::kFloat64) {
    forward<double>(norm, in, gamma, beta, out, mean, s);
  } else {
    forward<float>(norm, in, gamma, beta, out, mean, s);
  }
  restore(norm.view, out, y);
}

void normalize_backward(const Normalization& norm, const NDArray& head, const NDArray& x,
                        const NDArray* gamma, const NDArray& dx, const NDArray* dgamma,
                        const NDArray* dbeta) {
  if (x.size() == 0) {
    if (dgamma) fill_zero(*dgamma);
    if (dbeta) fill_zero(*dbeta);
    return;
  }
  const NDArray heads = contiguous_runs(norm.view, head), in = contiguous_runs(norm.view, x);
  const NDArray out = run_buffer(norm.view, dx);
  if (x.dtype() == DType::kFloat64) {
    backward<double>(norm, heads, in, gamma, out, dgamma, dbeta);
  } else {
    backward<float>(norm, heads, in, gamma, out, dgamma, dbeta);
  }
  restore(norm.view, out, dx);
}

}  // namespace mxtape

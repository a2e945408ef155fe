#include <algorithm>
#include <cmath>
#include <limits>

#include <Eigen/Core>

#include "ops/nn/softmax.h"
#include "ops/reduce/reduce.h"
#include "ops/shared/exponential.h"
#include "runtime/widen.h"

// The loops of softmax and of its gradients. Arithmetic is done in float32, or float64 for float64.
namespace mxtape {
namespace {

using reduce::kRun;

template <class A>
using Map = Eigen::Map<Eigen::Array<A, Eigen::Dynamic, 1>>;
template <class A>
using ConstMap = Eigen::Map<const Eigen::Array<A, Eigen::Dynamic, 1>>;

// y[0, n) = exp((x - top) * scale); the sum of it.
template <class A>
double exp_sum(const A* x, A* y, int64_t n, A top, A scale) {
  double total = 0;
  for (int64_t i = 0; i < n; i += kRun) {
    const int64_t m = std::min(kRun, n - i);
    Map<A>(y + i, m) = ((ConstMap<A>(x + i, m) - top) * scale).unaryExpr(Exp());
    total += static_cast<double>(reduce::fold_block<reduce::Sum<A>>(y + i, m));
  }
  return total;
}

template <class A>
void softmax_run(const A* x, A* y, int64_t n, int64_t length, A scale, bool log) {
  length = std::clamp<int64_t>(length, 0, n);
  std::fill(y + length, y + n, A(0));
  if (length == 0) return;
  // The largest exponent is 0: nothing overflows and the sum is at least 1.
  const A top = scale >= 0 ? reduce::fold_run<reduce::Max<A>>(x, length)
                           : reduce::fold_run<reduce::Min<A>>(x, length);
  if (!log) {
    const double total = exp_sum(x, y, length, top, scale);
    Map<A>(y, length) *= static_cast<A>(1 / total);
    return;
  }
  double total = 0;
  alignas(64) A block[kRun];
  for (int64_t i = 0; i < length; i += kRun) {
    total += exp_sum(x + i, block, std::min(kRun, length - i), top, scale);
  }
  const A shift = static_cast<A>(std::log(total));
  Map<A>(y, length) = (ConstMap<A>(x, length) - top) * scale - shift;
}

constexpr int64_t kTile = 256;

// The same for `width` columns at once, in rows that lie `x_row` and `y_row` elements apart.
template <class A>
void softmax_columns(const A* x, int64_t x_row, A* y, int64_t y_row, int64_t n, int64_t width,
                     A scale, bool log) {
  Eigen::Array<A, Eigen::Dynamic, 1, 0, kTile, 1> top(width);
  Eigen::Array<double, Eigen::Dynamic, 1, 0, kTile, 1> total(width);
  Eigen::Array<A, Eigen::Dynamic, 1, 0, kTile, 1> e(width);
  std::copy_n(x, width, top.data());
  for (int64_t i = 1; i < n; ++i) {
    const A* row = x + i * x_row;
    A* best = top.data();
    if (scale >= 0) {
      for (int64_t j = 0; j < width; ++j) best[j] = reduce::Max<A>::combine(best[j], row[j]);
    } else {
      for (int64_t j = 0; j < width; ++j) best[j] = reduce::Min<A>::combine(best[j], row[j]);
    }
  }
  total.setZero();
  for (int64_t i = 0; i < n; ++i) {
    e = ((ConstMap<A>(x + i * x_row, width) - top) * scale).unaryExpr(Exp());
    if (!log) Map<A>(y + i * y_row, width) = e;
    total += e.template cast<double>();
  }
  if (log) {
    e = total.log().template cast<A>();
  } else {
    e = total.inverse().template cast<A>();
  }
  for (int64_t i = 0; i < n; ++i) {
    Map<A> to(y + i * y_row, width);
    if (log) {
      to = (ConstMap<A>(x + i * x_row, width) - top) * scale - e;
    } else {
      to *= e;
    }
  }
}

int64_t length_at(const NDArray* lengths, int64_t i, int64_t n) {
  if (!lengths) return n;
  return lengths->dtype() == DType::kInt32 ? lengths->data<int32_t>()[i]
                                           : lengths->data<int64_t>()[i];
}

template <class A>
void forward(const AxisView& view, const NDArray& x, const NDArray* lengths, const NDArray& y,
             A scale, bool log) {
  const int64_t n = view.n, inner = view.inner;
  if (inner >= 16 && !lengths && x.dtype() == dtype_of<A> && y.dtype() == dtype_of<A>) {
    const int64_t tiles = (inner + kTile - 1) / kTile;
    const int64_t grain = std::max<int64_t>(1, reduce::kGrain / 4 / (n * std::min(inner, kTile)));
    parallel_for(view.outer * tiles, grain, [&](int64_t first, int64_t last) {
      for (int64_t task = first; task < last; ++task) {
        const int64_t column = task % tiles * kTile;
        const int64_t at = task / tiles * n * inner + column;
        softmax_columns<A>(x.data<A>() + at, inner, y.data<A>() + at, inner, n,
                           std::min(inner - column, kTile), scale, log);
      }
    });
    return;
  }
  const int64_t grain = std::max<int64_t>(1, reduce::kGrain / 4 / n);
  parallel_for(view.outer * inner, grain, [&](int64_t first, int64_t last) {
    ArrayRun<A> from(x), to(y);
    for (int64_t run = first; run < last; ++run) {
      const int64_t at = run / inner * n * inner + run % inner;
      const A* in = from.read(at, n, inner);
      softmax_run<A>(in, to.place(at, n, inner), n, length_at(lengths, run, n), scale, log);
      to.store(at, n, inner);
    }
  });
}

// sum(a * b) of a run, folded as sums are.
template <class A>
double dot(const A* a, const A* b, int64_t n) {
  double total = 0;
  alignas(64) A block[kRun];
  for (int64_t i = 0; i < n; i += kRun) {
    const int64_t m = std::min(kRun, n - i);
    Map<A>(block, m) = ConstMap<A>(a + i, m) * ConstMap<A>(b + i, m);
    total += static_cast<double>(reduce::fold_block<reduce::Sum<A>>(block, m));
  }
  return total;
}

template <class A>
void backward(const AxisView& view, const NDArray& head, const NDArray& y, const NDArray& out,
              A scale, bool log) {
  const int64_t n = view.n, inner = view.inner;
  const int64_t grain = std::max<int64_t>(1, reduce::kGrain / 2 / n);
  if (inner >= 16 && y.dtype() == dtype_of<A>) {
    const int64_t tiles = (inner + kTile - 1) / kTile;
    const int64_t tile_grain = std::max<int64_t>(1, grain / std::min(inner, kTile));
    parallel_for(view.outer * tiles, tile_grain, [&](int64_t first, int64_t last) {
      for (int64_t task = first; task < last; ++task) {
        const int64_t column = task % tiles * kTile, width = std::min(inner - column, kTile);
        const int64_t at = task / tiles * n * inner + column;
        Eigen::Array<double, Eigen::Dynamic, 1, 0, kTile, 1> total(width);
        total.setZero();
        auto row = [&](const NDArray& array, int64_t i) {
          return Map<A>(array.data<A>() + at + i * inner, width);
        };
        for (int64_t i = 0; i < n; ++i) {
          if (log) {
            total += row(head, i).template cast<double>();
          } else {
            total += (row(head, i) * row(y, i)).template cast<double>();
          }
        }
        const Eigen::Array<A, Eigen::Dynamic, 1, 0, kTile, 1> mean = total.template cast<A>();
        for (int64_t i = 0; i < n; ++i) {
          if (log) {
            row(out, i) = scale * (row(head, i) - row(y, i).unaryExpr(Exp()) * mean);
          } else {
            row(out, i) = scale * row(y, i) * (row(head, i) - mean);
          }
        }
      }
    });
    return;
  }
  parallel_for(view.outer * inner, grain, [&](int64_t first, int64_t last) {
    ArrayRun<A> heads(head), ys(y), to(out);
    for (int64_t run = first; run < last; ++run) {
      const int64_t at = run / inner * n * inner + run % inner;
      const A *h = heads.read(at, n, inner), *p = ys.read(at, n, inner);
      const A total = static_cast<A>(log ? reduce::fold_run<reduce::Sum<A>>(h, n) : dot(h, p, n));
      Map<A> result(to.place(at, n, inner), n);
      const ConstMap<A> hs(h, n), ps(p, n);
      if (log) {
        result = scale * (hs - ps.unaryExpr(Exp()) * total);
      } else {
        result = scale * ps * (hs - total);
      }
      to.store(at, n, inner);
    }
  });
}

}  // namespace

void softmax_forward(const AxisView& view, const NDArray& x, const NDArray* lengths,
                     const NDArray& y, double scale, bool log) {
  if (view.outer * view.n * view.inner == 0) return;
  dispatch<SingleOrDouble>(traits_of(x.dtype()).compute, [&](auto tag) {
    using A = typename decltype(tag)::type;
    forward<A>(view, x, lengths, y, static_cast<A>(scale), log);
  });
}

void softmax_backward(const AxisView& view, const NDArray& head, const NDArray& y,
                      const NDArray& out, double scale, bool log) {
  if (view.outer * view.n * view.inner == 0) return;
  dispatch<SingleOrDouble>(traits_of(y.dtype()).compute, [&](auto tag) {
    using A = typename decltype(tag)::type;
    backward<A>(view, head, y, out, static_cast<A>(scale), log);
  });
}

}  // namespace mxtape

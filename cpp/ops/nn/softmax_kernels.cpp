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
double exp_sum(const A* x, A* y, int64_t n, A top, A scale, reduce::Ahead<A> next) {
  constexpr int64_t kPart = 4 * reduce::kLanes;
  double total = 0;
  for (int64_t i = 0; i < n; i += kRun) {
    const int64_t m = std::min(kRun, n - i);
    for (int64_t part = i; part < i + m; part += kPart) {
      const int64_t count = std::min(kPart, i + m - part);
      for (int64_t l = 0; l < count; l += reduce::kLanes) next.ask(part + l);
      Map<A>(y + part, count) = ((ConstMap<A>(x + part, count) - top) * scale).unaryExpr(Exp());
    }
    total += static_cast<double>(reduce::fold_block<reduce::QuickSum<A>>(y + i, m));
  }
  return total;
}

// The largest element's exponential is 1. Where the sum of the others is small beside it, it must
// not be rounded to 1's places: the logarithm is log(1 + others).
constexpr double kOthersCount = 1.25;

// The sum of all exponentials but that of the first largest element, the sum of all being less than
// kOthersCount. `block` has those of the run, if it is no longer than a block.
template <class A>
double sum_of_others(const A* x, A* block, int64_t n, A top, A scale) {
  const int64_t at = std::find(x, x + n, top) - x;
  double others = 0;
  reduce::for_blocks(n, [&](int64_t begin, int64_t m) {
    if (n > kRun) {
      Map<A>(block, m) = ((ConstMap<A>(x + begin, m) - top) * scale).unaryExpr(Exp());
    }
    if (at >= begin && at < begin + m) block[at - begin] = 0;
    others += static_cast<double>(reduce::fold_block<reduce::QuickSum<A>>(block, m));
  });
  return others;
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
    const double total = exp_sum(x, y, length, top, scale, reduce::Ahead<A>(x + n));
    Map<A>(y, length) *= static_cast<A>(1 / total);
    return;
  }
  double total = 0;
  alignas(64) A block[kRun];
  for (int64_t i = 0; i < length; i += kRun) {
    const int64_t m = std::min(kRun, length - i);
    total += exp_sum(x + i, block, m, top, scale, reduce::Ahead<A>(x + n + i));
  }
  const A shift =
      static_cast<A>(total < kOthersCount ? std::log1p(sum_of_others(x, block, length, top, scale))
                                          : std::log(total));
  Map<A>(y, length) = (ConstMap<A>(x, length) - top) * scale - shift;
}

constexpr int64_t kTile = 256;

// The same for `width` columns at once, in rows that lie `x_row` and `y_row` elements apart.
template <class A>
void softmax_columns(const A* x, int64_t x_row, A* y, int64_t y_row, int64_t n, int64_t width,
                     A scale, bool log) {
  Eigen::Array<A, Eigen::Dynamic, 1, 0, kTile, 1> top(width);
  Eigen::Array<double, Eigen::Dynamic, 1, 0, kTile, 1> total(width);
  Eigen::Array<A, Eigen::Dynamic, 1, 0, kTile, 1> e(width), tops(width);
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
  tops.setZero();
  for (int64_t i = 0; i < n; ++i) {
    const A* row = x + i * x_row;
    e = ((ConstMap<A>(row, width) - top) * scale).unaryExpr(Exp());
    if (log) {
      for (int64_t j = 0; j < width; ++j) {
        const bool equal = row[j] == top[j];
        tops[j] += equal ? A(1) : A(0);
        e[j] = equal ? A(0) : e[j];
      }
    } else {
      Map<A>(y + i * y_row, width) = e;
    }
    add_row(e.data(), width, total.data());
  }
  if (log) {
    for (int64_t j = 0; j < width; ++j) {
      // NaN where the top is infinite.
      const auto tops_but_one = static_cast<double>(tops[j]) - 1;
      e[j] = static_cast<A>(std::log1p(total[j] + tops_but_one)) + (top[j] - top[j]);
    }
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
  parallel_for(view.runs(), grain, [&](int64_t first, int64_t last) {
    ArrayRun<A> from(x), to(y);
    for (int64_t run = first; run < last; ++run) {
      const int64_t at = view.start(run);
      const A* in = from.read(at, n, inner);
      softmax_run<A>(in, to.place(at, n, inner), n, length_at(lengths, run, n), scale, log);
      to.store(at, n, inner);
    }
  });
}

// The gradient of softmax is scale * y * (h - m), where m = sum(h * y); since sum(y) is 1, also
// scale * y * ((h - c) - sum((h - c) * y)) for any c. With c close to m this loses nothing where an
// element of y is almost 1, and was rounded.
template <class A>
A finite_or_zero(double c) {
  return std::isfinite(c) ? static_cast<A>(c) : A(0);
}

// That of log_softmax is scale * (h - exp(y) * sum(h)). Where exp(y) is almost 1, the difference is
// taken without it: (h - sum(h)) - (exp(y) - 1) * sum(h).
constexpr double kAlmostCertain = -1.0 / 16;

template <class A>
bool any_certain(const A* y, int64_t n) {
  int32_t any = 0;
#pragma omp simd reduction(| : any)
  for (int64_t i = 0; i < n; ++i) any |= y[i] > static_cast<A>(kAlmostCertain) ? 1 : 0;
  return any != 0;
}
template <class A>
A certain_gradient(A h, A y, double total, A scale) {
  const double g = (static_cast<double>(h) - total) - std::expm1(static_cast<double>(y)) * total;
  return static_cast<A>(static_cast<double>(scale) * g);
}

template <class A>
void softmax_backward_run(const A* h, const A* p, A* to, int64_t n, A scale) {
  const reduce::Ahead<A> next_h(h + n), next_p(p + n);
  const A c =
      finite_or_zero<A>(reduce::quick_sum<A>(n, [=](int64_t i) { return h[i] * p[i]; }, next_h));
  const A rest =
      static_cast<A>(reduce::quick_sum<A>(n, [=](int64_t i) { return (h[i] - c) * p[i]; }, next_p));
  Map<A>(to, n) = scale * ConstMap<A>(p, n) * ((ConstMap<A>(h, n) - c) - rest);
}

template <class A>
void log_softmax_backward_run(const A* h, const A* p, A* to, int64_t n, A scale) {
  const double total = reduce::fold_run<reduce::Sum<A>>(h, n);
  // At most one element of a distribution is almost certain.
  int64_t certain = n;
  for (int64_t i = 0; i < n && certain == n; i += kRun) {
    const int64_t m = std::min(kRun, n - i);
    if (!any_certain(p + i, m)) continue;
    certain = std::find_if(p + i, p + i + m, [](A y) { return y > A(kAlmostCertain); }) - p;
  }
  const A exact = certain < n ? certain_gradient(h[certain], p[certain], total, scale) : A(0);
  Map<A>(to, n) =
      scale * (ConstMap<A>(h, n) - ConstMap<A>(p, n).unaryExpr(Exp()) * static_cast<A>(total));
  if (certain < n) to[certain] = exact;
}

// The same for `width` columns at once, in rows that lie `step` elements apart.
template <class A>
void backward_columns(const A* h, const A* y, A* to, int64_t n, int64_t step, int64_t width,
                      A scale, bool log) {
  Eigen::Array<double, Eigen::Dynamic, 1, 0, kTile, 1> total(width), rest(width);
  Eigen::Array<A, Eigen::Dynamic, 1, 0, kTile, 1> c(width), e(width);
  total.setZero();
  rest.setZero();
  const auto head = [&](int64_t i) { return ConstMap<A>(h + i * step, width); };
  const auto row = [&](int64_t i) { return ConstMap<A>(y + i * step, width); };
  for (int64_t i = 0; i < n; ++i) {
    if (log) {
      add_row(h + i * step, width, total.data());
    } else {
      e = head(i) * row(i);
      add_row(e.data(), width, total.data());
    }
  }
  if (log) {
    c = total.template cast<A>();
    for (int64_t i = 0; i < n; ++i) {
      const A* p = y + i * step;
      const bool certain = any_certain(p, width);
      if (certain) e = head(i);
      Map<A>(to + i * step, width) = scale * (head(i) - row(i).unaryExpr(Exp()) * c);
      for (int64_t j = 0; certain && j < width; ++j) {
        if (p[j] > A(kAlmostCertain)) {
          to[i * step + j] = certain_gradient(e[j], p[j], total[j], scale);
        }
      }
    }
    return;
  }
  for (int64_t j = 0; j < width; ++j) c[j] = finite_or_zero<A>(total[j]);
  for (int64_t i = 0; i < n; ++i) {
    e = (head(i) - c) * row(i);
    add_row(e.data(), width, rest.data());
  }
  e = rest.template cast<A>();
  for (int64_t i = 0; i < n; ++i) {
    Map<A>(to + i * step, width) = scale * row(i) * ((head(i) - c) - e);
  }
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
        backward_columns<A>(head.data<A>() + at, y.data<A>() + at, out.data<A>() + at, n, inner,
                            width, scale, log);
      }
    });
    return;
  }
  parallel_for(view.runs(), grain, [&](int64_t first, int64_t last) {
    ArrayRun<A> heads(head), ys(y), to(out);
    for (int64_t run = first; run < last; ++run) {
      const int64_t at = view.start(run);
      const A *h = heads.read(at, n, inner), *p = ys.read(at, n, inner);
      A* result = to.place(at, n, inner);
      if (log) {
        log_softmax_backward_run(h, p, result, n, scale);
      } else {
        softmax_backward_run(h, p, result, n, scale);
      }
      to.store(at, n, inner);
    }
  });
}

}  // namespace

void softmax_forward(const AxisView& view, const NDArray& x, const NDArray* lengths,
                     const NDArray& y, double scale, bool log) {
  if (view.runs() * view.n == 0) return;
  dispatch<SingleOrDouble>(traits_of(x.dtype()).compute, [&](auto tag) {
    using A = typename decltype(tag)::type;
    forward<A>(view, x, lengths, y, static_cast<A>(scale), log);
  });
}

void softmax_backward(const AxisView& view, const NDArray& head, const NDArray& y,
                      const NDArray& out, double scale, bool log) {
  if (view.runs() * view.n == 0) return;
  dispatch<SingleOrDouble>(traits_of(y.dtype()).compute, [&](auto tag) {
    using A = typename decltype(tag)::type;
    backward<A>(view, head, y, out, static_cast<A>(scale), log);
  });
}

}  // namespace mxtape

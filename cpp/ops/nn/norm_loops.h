#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "ops/reduce/reduce.h"
#include "ops/shared/axis_view.h"
#include "runtime/widen.h"

// The loops of layers that normalize runs of elements along an axis. A new one is a function of one
// run: reduce::quick_sum() over it and a loop that writes it.
// For y = x * gamma / sqrt(mean(x^2) + eps):
//
//   dispatch_norm(x.dtype(), [&]<class A>(TypeTag<A>) {
//     const std::vector<A> gammas = norm_numbers<A>(&gamma, view.n, 1);
//     for_each_run<A>(view, {&x}, y, [&, n = view.n](int64_t, const A* from, A* to) {
//       const auto squares = reduce::quick_sum<A>(n, [=](int64_t i) { return from[i] * from[i]; });
//       const A scale = static_cast<A>(1 / std::sqrt(squares / static_cast<double>(n) + eps));
//       const A* g = gammas.data();
//   #pragma omp simd
//       for (int64_t i = 0; i < n; ++i) to[i] = from[i] * scale * g[i];
//     });
//   });
//
// Its gradient takes {&head, &x}, and ColumnSums for that of gamma. A run is read from memory once:
// what else is done with it finds it in the cache. The second order is composed of operators, with
// Normalized (norm.h).
namespace mxtape {

// Calls f(TypeTag<A>{}) with the type that a normalization of `dtype` computes in.
template <class F>
void dispatch_norm(DType dtype, F&& f) {
  dispatch<SingleOrDouble>(traits_of(dtype).compute, f);
}

// Runs that are worth a thread: it depends on the shape alone.
inline int64_t runs_in_piece(const AxisView& view) {
  return std::max(
      {int64_t{1}, reduce::kGrain / 2 / std::max<int64_t>(view.n, 1), (view.runs() + 63) / 64});
}

// Calls body(run, from..., to) for each run of the view, with the run of each input and that of
// `out`, n contiguous numbers of type A; `out` may have the memory of an input.
template <class A, size_t N, class Body>
void for_each_run(const AxisView& view, const NDArray* const (&inputs)[N], const NDArray& out,
                  Body&& body) {
  if (view.runs() * view.n == 0) return;
  [&]<size_t... I>(std::index_sequence<I...>) {
    const std::array<NDArray, N> from{contiguous_runs(view, *inputs[I])...};
    const NDArray to = run_buffer(view, out);
    parallel_for(view.runs(), runs_in_piece(view), [&](int64_t first, int64_t last) {
      ArrayRun<A> in[N] = {ArrayRun<A>(from[I])...}, made(to);
      for (int64_t run = first; run < last; ++run) {
        const int64_t at = run * view.n;
        body(run, in[I].read(at, view.n)..., made.place(at, view.n));
        made.store(at, view.n);
      }
    });
    store_runs(view, to, out);
  }(std::make_index_sequence<N>{});
}

// Sums of the runs' columns, as the gradients of gamma and beta are: `kinds` sums for each of the n
// places in a run. The runs that for_each_run() gives one thread have sums of their own.
class ColumnSums {
 public:
  ColumnSums(const AxisView& view, int64_t kinds)
      : width_(kinds * view.n),
        piece_(runs_in_piece(view)),
        sums_(static_cast<size_t>((view.runs() + piece_ - 1) / piece_ * width_)) {}

  // Where a run adds to: n sums of the first kind, then n of the second, ...
  double* of(int64_t run) { return sums_.data() + run / piece_ * width_; }

  std::vector<double> total() const {
    std::vector<double> total(static_cast<size_t>(width_));
    for (auto part = sums_.begin(); part != sums_.end(); part += width_) {
      for (size_t i = 0; i < total.size(); ++i) total[i] += part[i];
    }
    return total;
  }

 private:
  int64_t width_, piece_;
  std::vector<double> sums_;
};

// `count` numbers of an array, gamma or beta, or else of `missing`: a copy, since they are few and
// read over and over.
template <class A>
std::vector<A> norm_numbers(const NDArray* array, int64_t count, A missing) {
  std::vector<A> values(static_cast<size_t>(count), missing);
  if (!array) return values;
  dispatch<FloatingTypes>(array->dtype(), [&](auto tag) {
    const auto* from = array->data<typename decltype(tag)::type>();
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<A>(from[i]);
  });
  return values;
}

// Sets element i of an array that is wanted, of a gradient or a statistic.
template <class A>
void set_number(const NDArray* array, int64_t i, A value) {
  if (!array) return;
  dispatch<FloatingTypes>(array->dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    array->data<T>()[i] = static_cast<T>(value);
  });
}

}  // namespace mxtape

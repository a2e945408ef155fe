#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "ops/nn/batch_norm.h"
#include "ops/reduce/reduce.h"
#include "runtime/widen.h"

// Sums over channels, and what is computed from them element by element. An array is cut into parts
// by its shape alone; parts are summed in float64, and combined in one order. So the bits do not
// depend on threads, nor on which of the schedules below runs. oneDNN 3.2 does not serve here: with
// AVX2 it takes 4 to 6 times as long for NCHW data, and as long for a matrix.
namespace mxtape {
namespace {

constexpr int64_t kChunk = 4096;               // elements of a part of a plane
constexpr int64_t kRows = 64, kColumns = 256;  // of a part of a matrix
constexpr int64_t kPiece = 1 << 15;            // elements that are worth a thread
// Planes shorter than this are columns of a matrix.
constexpr int64_t kShortPlane = 16;

template <class T>
using Run = WideRun<T, kChunk>;

template <class C>
std::vector<C> repeated(const std::vector<double>& channels, int64_t inner) {
  std::vector<C> columns(channels.size() * static_cast<size_t>(inner));
  for (size_t j = 0; j < columns.size(); ++j) {
    columns[j] = static_cast<C>(channels[j / static_cast<size_t>(inner)]);
  }
  return columns;
}

// Two sums of each part. Forward: of x, and of its squared deviations from the part's mean.
// Backward: of the head gradient, and of its product with x - mean.
struct Sums {
  double first, second;
};

// ---- what is computed: each has sums and the element's formula, for planes and for matrices

template <class T>
struct Forward {
  using C = compute_type<T>;
  const AxisView& view;
  const NormForward& norm;
  const T* x;
  T* y;
  std::vector<double> scale, shift;
  std::vector<C> mean_columns, scale_columns, shift_columns;

  Forward(const NDArray& x, const NDArray& y, const AxisView& view, const NormForward& norm)
      : view(view),
        norm(norm),
        x(x.data<T>()),
        y(y.data<T>()),
        scale(static_cast<size_t>(view.n)),
        shift(static_cast<size_t>(view.n)) {}

  bool wants_sums() const { return norm.batch; }

  Sums sums(int64_t, int64_t at, int64_t n) const {
    Run<T> wide;
    const C* v = wide.read(x + at, n);
    const C first = reduce::finite_first(v);
    const double rest = reduce::quick_sum<C>(n, [=](int64_t i) { return v[i] - first; });
    const double exact = static_cast<double>(first) + rest / static_cast<double>(n);
    const double total = exact * static_cast<double>(n);
    const C mean = static_cast<C>(exact);
    const double off = exact - static_cast<double>(mean);
    const double squares =
        reduce::quick_sum<C>(n, [=](int64_t i) { return (v[i] - mean) * (v[i] - mean); });
    return {total, squares - static_cast<double>(n) * off * off};
  }

  // The sums of `count` elements in parts of part_size(k).
  template <class PartSize>
  void combine(int64_t c, const Sums* parts, int64_t count, int64_t step, PartSize part_size) {
    const double m = static_cast<double>(view.runs());
    double total = 0, squares = 0;
    for (int64_t k = 0; k < count; ++k) total += parts[k * step].first;
    const double mean = total / m;
    for (int64_t k = 0; k < count; ++k) {
      const double n = part_size(k), off = parts[k * step].first / n - mean;
      squares += parts[k * step].second + n * off * off;
    }
    norm.mean[c] = mean;
    norm.var[c] = squares > 0 || squares != squares ? squares / m : 0;
  }
  // y = (x - mean) * scale + shift, with the mean rounded to C; the shift has what it lost.
  void prepare(int64_t c) {
    const auto k = static_cast<size_t>(c);
    scale[k] = norm.gamma[c] / std::sqrt(norm.var[c] + norm.eps);
    const double off = norm.mean[c] - static_cast<double>(static_cast<C>(norm.mean[c]));
    shift[k] = off == 0 || off != off ? norm.beta[c] : norm.beta[c] - off * scale[k];
  }

  void apply(int64_t c, int64_t at, int64_t n) const {
    Run<T> in, out;
    const C mean = static_cast<C>(norm.mean[c]), a = static_cast<C>(scale[static_cast<size_t>(c)]);
    const C b = static_cast<C>(shift[static_cast<size_t>(c)]);
    const C* from = in.read(x + at, n);
    C* to = out.place(y + at, n);
    if (norm.relu) {
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) {
        const C v = (from[i] - mean) * a + b;
        to[i] = v < C(0) ? C(0) : v;
      }
    } else {
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) to[i] = (from[i] - mean) * a + b;
    }
    out.written(y + at, n);
  }

  // Rows [begin, end) of columns [left, left + n), into n sums of each kind.
  void matrix_sums(int64_t begin, int64_t end, int64_t stride, int64_t left, int64_t n,
                   Sums* to) const {
    Run<T> wide;
    const auto rows = static_cast<double>(end - begin);
    C first[kColumns], total[kColumns] = {}, squares[kColumns] = {}, mean[kColumns];
    double exact[kColumns];
    const C* top = wide.read(x + begin * stride + left, n);
    for (int64_t j = 0; j < n; ++j) first[j] = reduce::finite_first(top + j);
    for (int64_t r = begin + 1; r < end; ++r) {
      const C* v = wide.read(x + r * stride + left, n);
      for (int64_t j = 0; j < n; ++j) total[j] += v[j] - first[j];
    }
    for (int64_t j = 0; j < n; ++j) {
      exact[j] = static_cast<double>(first[j]) + static_cast<double>(total[j]) / rows;
      mean[j] = static_cast<C>(exact[j]);
    }
    for (int64_t r = begin; r < end; ++r) {
      const C* v = wide.read(x + r * stride + left, n);
      for (int64_t j = 0; j < n; ++j) squares[j] += (v[j] - mean[j]) * (v[j] - mean[j]);
    }
    for (int64_t j = 0; j < n; ++j) {
      const double off = exact[j] - static_cast<double>(mean[j]);
      to[j] = {exact[j] * rows, static_cast<double>(squares[j]) - rows * off * off};
    }
  }
  void before_matrix_sums() {}
  void before_matrix_apply() {
    const auto size = static_cast<size_t>(view.n);
    mean_columns = repeated<C>({norm.mean, norm.mean + size}, view.inner);
    scale_columns = repeated<C>(scale, view.inner);
    shift_columns = repeated<C>(shift, view.inner);
  }
  void matrix_apply(int64_t at, int64_t left, int64_t n) const {
    Run<T> in, out;
    const C *mean = mean_columns.data() + left, *a = scale_columns.data() + left;
    const C* b = shift_columns.data() + left;
    const C* from = in.read(x + at, n);
    C* to = out.place(y + at, n);
    const C low = norm.relu ? C(0) : -std::numeric_limits<C>::infinity();
#pragma GCC ivdep
    for (int64_t j = 0; j < n; ++j) {
      const C v = (from[j] - mean[j]) * a[j] + b[j];
      to[j] = v < low ? low : v;
    }
    out.written(y + at, n);
  }
};

// dx = a * head + b * (x - mean) + c, of which b and c are what flows through the statistics.
template <class T>
struct Backward {
  using C = compute_type<T>;
  const AxisView& view;
  const NormBackward& norm;
  const T *head, *x;
  T* dx;
  std::vector<double> a, b, c;
  std::vector<C> mean_columns, a_columns, b_columns, c_columns;

  Backward(const NDArray& head, const NDArray& x, const NDArray& dx, const AxisView& view,
           const NormBackward& norm)
      : view(view), norm(norm), head(head.data<T>()), x(x.data<T>()), dx(dx.data<T>()) {
    for (auto* v : {&a, &b, &c}) v->resize(static_cast<size_t>(view.n));
  }

  bool wants_sums() const { return true; }

  bool heads_are_zero(int64_t channel) const {
    for (int64_t i = 0; i < view.outer; ++i) {
      const T* g = head + (i * view.n + channel) * view.inner;
      if (std::any_of(g, g + view.inner, [](T value) { return static_cast<C>(value) != 0; })) {
        return false;
      }
    }
    return true;
  }

  Sums sums(int64_t channel, int64_t at, int64_t n) const {
    Run<T> wide_head, wide_x;
    const C *g = wide_head.read(head + at, n), *v = wide_x.read(x + at, n);
    const C mean = static_cast<C>(norm.mean[channel]);
    Sums total{0, 0};
    reduce::for_blocks(n, [&](int64_t begin, int64_t m) {
      alignas(64) C product[reduce::kRun];
#pragma omp simd
      for (int64_t i = 0; i < m; ++i) product[i] = g[begin + i] * (v[begin + i] - mean);
      total.first += reduce::block_sum(g + begin, m);
      total.second += reduce::block_sum(product, m);
    });
    return total;
  }

  template <class PartSize>
  void combine(int64_t channel, const Sums* parts, int64_t count, int64_t step, PartSize) {
    double first = 0, second = 0;
    for (int64_t k = 0; k < count; ++k) {
      first += parts[k * step].first;
      second += parts[k * step].second;
    }
    norm.dbeta[channel] = first;
    norm.dgamma[channel] = second * norm.istd[channel];
  }
  void prepare(int64_t channel) {
    const auto k = static_cast<size_t>(channel);
    const double istd = norm.istd[k], m = static_cast<double>(view.runs());
    if (std::isinf(istd) && heads_are_zero(channel)) {
      // A gradient that was cut off stays 0, though there is no derivative without a deviation.
      a[k] = b[k] = c[k] = norm.dgamma[k] = 0;
      return;
    }
    a[k] = norm.gamma[k] * istd;
    b[k] = norm.batch ? -a[k] * istd * norm.dgamma[k] / m : 0;
    c[k] = norm.batch ? -a[k] * norm.dbeta[k] / m : 0;
  }

  void apply(int64_t channel, int64_t at, int64_t n) const {
    Run<T> wide_head, wide_x, out;
    const auto k = static_cast<size_t>(channel);
    const C mean = static_cast<C>(norm.mean[k]);
    const C ka = static_cast<C>(a[k]), kb = static_cast<C>(b[k]), kc = static_cast<C>(c[k]);
    const C* g = wide_head.read(head + at, n);
    C* to = out.place(dx + at, n);
    if (norm.batch) {
      const C* v = wide_x.read(x + at, n);
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) to[i] = ka * g[i] + (kb * (v[i] - mean) + kc);
    } else {
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) to[i] = ka * g[i];
    }
    out.written(dx + at, n);
  }

  void matrix_sums(int64_t begin, int64_t end, int64_t stride, int64_t left, int64_t n,
                   Sums* to) const {
    Run<T> wide_head, wide_x;
    double first[kColumns] = {}, second[kColumns] = {};
    alignas(64) C product[kColumns];
    const C* mean = mean_columns.data() + left;
    for (int64_t r = begin; r < end; ++r) {
      const C *g = wide_head.read(head + r * stride + left, n),
              *v = wide_x.read(x + r * stride + left, n);
      for (int64_t j = 0; j < n; ++j) product[j] = g[j] * (v[j] - mean[j]);
      add_row(g, n, first);
      add_row(product, n, second);
    }
    for (int64_t j = 0; j < n; ++j) to[j] = {first[j], second[j]};
  }
  void before_matrix_sums() {
    mean_columns = repeated<C>({norm.mean, norm.mean + view.n}, view.inner);
  }
  void before_matrix_apply() {
    a_columns = repeated<C>(a, view.inner);
    b_columns = repeated<C>(b, view.inner);
    c_columns = repeated<C>(c, view.inner);
  }
  void matrix_apply(int64_t at, int64_t left, int64_t n) const {
    Run<T> wide_head, wide_x, out;
    const C *mean = mean_columns.data() + left, *ka = a_columns.data() + left;
    const C *kb = b_columns.data() + left, *kc = c_columns.data() + left;
    const C* g = wide_head.read(head + at, n);
    C* to = out.place(dx + at, n);
    if (norm.batch) {
      const C* v = wide_x.read(x + at, n);
#pragma GCC ivdep
      for (int64_t j = 0; j < n; ++j) to[j] = ka[j] * g[j] + (kb[j] * (v[j] - mean[j]) + kc[j]);
    } else {
#pragma GCC ivdep
      for (int64_t j = 0; j < n; ++j) to[j] = ka[j] * g[j];
    }
    out.written(dx + at, n);
  }
};

// ---- schedules

// The view's axis counts channels. Each channel is `outer` planes of `inner` elements.
template <class Work>
void run_planes(Work& work, const AxisView& view) {
  const int64_t chunks = (view.inner + kChunk - 1) / kChunk, parts = view.outer * chunks;
  const int64_t last = view.inner - (chunks - 1) * kChunk;
  const auto length = [&](int64_t part) { return (part + 1) % chunks ? kChunk : last; };
  const auto at = [&](int64_t c, int64_t part) {
    return (part / chunks * view.n + c) * view.inner + part % chunks * kChunk;
  };
  const auto combine = [&](int64_t c, const Sums* sums) {
    work.combine(c, sums, parts, 1, [&](int64_t k) { return static_cast<double>(length(k)); });
  };
  if (view.n >= 16 || parts == 1) {
    // A channel at a time: it is still in the cache when its sums are known.
    const int64_t grain = std::max<int64_t>(1, kPiece / view.runs());
    parallel_for(view.n, grain, [&](int64_t begin, int64_t end) {
      std::vector<Sums> sums(static_cast<size_t>(parts));
      for (int64_t c = begin; c < end; ++c) {
        if (work.wants_sums()) {
          for (int64_t k = 0; k < parts; ++k) {
            sums[static_cast<size_t>(k)] = work.sums(c, at(c, k), length(k));
          }
          combine(c, sums.data());
        }
        work.prepare(c);
        for (int64_t k = 0; k < parts; ++k) work.apply(c, at(c, k), length(k));
      }
    });
    return;
  }
  const int64_t grain = std::max<int64_t>(1, kPiece / std::min(view.inner, kChunk));
  std::vector<Sums> sums(static_cast<size_t>(view.n * parts));
  if (work.wants_sums()) {
    parallel_for(view.n * parts, grain, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        sums[static_cast<size_t>(t)] =
            work.sums(t / parts, at(t / parts, t % parts), length(t % parts));
      }
    });
    for (int64_t c = 0; c < view.n; ++c) combine(c, sums.data() + c * parts);
  }
  for (int64_t c = 0; c < view.n; ++c) work.prepare(c);
  parallel_for(view.n * parts, grain, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      work.apply(t / parts, at(t / parts, t % parts), length(t % parts));
    }
  });
}

// Each channel is `inner` neighbouring columns of a matrix with `outer` rows.
template <class Work>
void run_matrix(Work& work, const AxisView& view) {
  const int64_t columns = view.n * view.inner, tiles = (columns + kColumns - 1) / kColumns;
  const int64_t blocks = (view.outer + kRows - 1) / kRows;
  const auto rows_of = [&](int64_t block) { return std::min(kRows, view.outer - block * kRows); };
  const int64_t grain =
      std::max<int64_t>(1, kPiece / (std::min(columns, kColumns) * std::min(view.outer, kRows)));
  const auto for_tiles = [&](auto body) {
    parallel_for(blocks * tiles, grain, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t block = t / tiles, left = t % tiles * kColumns;
        body(block, left, std::min(kColumns, columns - left));
      }
    });
  };
  work.before_matrix_sums();
  if (work.wants_sums()) {
    std::vector<Sums> sums(static_cast<size_t>(blocks * columns));
    for_tiles([&](int64_t block, int64_t left, int64_t n) {
      work.matrix_sums(block * kRows, block * kRows + rows_of(block), columns, left, n,
                       sums.data() + block * columns + left);
    });
    parallel_for(view.n, 64, [&](int64_t begin, int64_t end) {
      std::vector<Sums> parts(static_cast<size_t>(blocks * view.inner));
      for (int64_t c = begin; c < end; ++c) {
        for (int64_t block = 0; block < blocks; ++block) {
          std::copy_n(sums.data() + block * columns + c * view.inner, view.inner,
                      parts.data() + block * view.inner);
        }
        work.combine(c, parts.data(), blocks * view.inner, 1,
                     [&](int64_t k) { return static_cast<double>(rows_of(k / view.inner)); });
      }
    });
  }
  for (int64_t c = 0; c < view.n; ++c) work.prepare(c);
  work.before_matrix_apply();
  for_tiles([&](int64_t block, int64_t left, int64_t n) {
    for (int64_t r = block * kRows; r < block * kRows + rows_of(block); ++r) {
      work.matrix_apply(r * columns + left, left, n);
    }
  });
}

template <class Work>
void run(Work&& work, AxisView view) {
  // The blocks of a single channel are one.
  if (view.n == 1) view = {1, 1, view.runs()};
  if (view.inner < kShortPlane && view.outer > 1) {
    run_matrix(work, view);
  } else {
    run_planes(work, view);
  }
}

}  // namespace

void normalize_channels(const NDArray& x, const NDArray& y, const AxisView& view,
                        const NormForward& norm) {
  if (view.runs() == 0 && norm.batch) {
    std::fill_n(norm.mean, view.n, 0);
    std::fill_n(norm.var, view.n, 0);
  }
  if (x.size() == 0) return;
  if (is_storage_only(x.dtype())) {
    const WideOutput wide(y);
    normalize_channels(widened(x), wide.array(), view, norm);
    return wide.finish();
  }
  dispatch<FloatingTypes>(x.dtype(), [&](auto tag) {
    run(Forward<typename decltype(tag)::type>(x, y, view, norm), view);
  });
}

void normalize_channels_backward(const NDArray& head, const NDArray& x, const NDArray& dx,
                                 const AxisView& view, const NormBackward& norm) {
  std::fill_n(norm.dgamma, view.n, 0);
  std::fill_n(norm.dbeta, view.n, 0);
  if (x.size() == 0) return;
  if (is_storage_only(x.dtype())) {
    const WideOutput wide(dx);
    normalize_channels_backward(widened(head), widened(x), wide.array(), view, norm);
    return wide.finish();
  }
  dispatch<FloatingTypes>(x.dtype(), [&](auto tag) {
    run(Backward<typename decltype(tag)::type>(head, x, dx, view, norm), view);
  });
}

}  // namespace mxtape

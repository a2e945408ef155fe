#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <Eigen/Core>

#include "core/ndarray.h"
#include "ops/nn/pooling.h"
#include "ops/reduce/reduce.h"
#include "ops/shared/strided.h"
#include "runtime/widen.h"

// A window is reduced along depth and height first, which is elementwise over rows, and then along
// the row. With channels last every step is elementwise over channels. oneDNN 3.2 does not serve
// here: with AVX2 its pooling of NCHW data takes 3 to 14 times as long.
namespace mxtape {
namespace {

constexpr int64_t kPiece = 1 << 15;  // elements that are worth a thread
constexpr int64_t kTile = 256;       // channels that are reduced together

// The windows along one axis: [begin, end) of the data, and what the result is multiplied with.
struct Windows {
  std::vector<int64_t> begin, end;
  std::vector<double> share;
  int64_t stride = 1;
  // Outputs [first, last) have whole windows of `width` elements, at multiples of the stride.
  int64_t first = 0, last = 0, width = 0;
};

struct Plan {
  int64_t outer = 1, inner = 1, in[3] = {1, 1, 1}, out[3] = {1, 1, 1};
  Windows axis[3];

  explicit Plan(const PoolGeometry& g) {
    const size_t spatial = g.data_shape.size() - 2, lead = g.channels_last ? 1 : 2;
    outer = g.data_shape[0] * (g.channels_last ? 1 : g.data_shape[1]);
    inner = g.channels_last ? g.data_shape.back() : 1;
    for (size_t k = 0; k < 3; ++k) {
      Windows& w = axis[k];
      if (k + spatial < 3) {
        w.begin = {0};
        w.end = {1};
        w.share = {1};
        continue;
      }
      const size_t d = k + spatial - 3;
      const int64_t size = in[k] = g.data_shape[lead + d];
      const int64_t n = out[k] = g.out_shape[lead + d];
      for (int64_t i = 0; i < n; ++i) {
        if (g.kernel.empty()) {
          w.begin.push_back(i * size / n);
          w.end.push_back(((i + 1) * size + n - 1) / n);
          w.share.push_back(1 / static_cast<double>(std::max<int64_t>(w.end[i] - w.begin[i], 1)));
          continue;
        }
        const int64_t start = i * g.stride[d] - g.pad[d], stop = start + g.kernel[d];
        w.begin.push_back(std::clamp<int64_t>(start, 0, size));
        w.end.push_back(std::clamp<int64_t>(stop, w.begin.back(), size));
        int64_t divisor = 1;
        if (g.divisor == PoolDivisor::kKernel) divisor = g.kernel[d];
        if (g.divisor == PoolDivisor::kPadded) divisor = std::min(stop, size + g.pad[d]) - start;
        if (g.divisor == PoolDivisor::kInside) divisor = w.end.back() - w.begin.back();
        w.share.push_back(1 / static_cast<double>(std::max<int64_t>(divisor, 1)));
        if (start >= 0 && stop <= size) {
          if (w.last == 0) w.first = i;
          w.last = i + 1;
        }
      }
      if (!g.kernel.empty()) {
        w.width = g.kernel[d];
        w.stride = g.stride[d];
      }
    }
  }
  int64_t in_plane() const { return in[0] * in[1] * in[2]; }
  int64_t out_plane() const { return out[0] * out[1] * out[2]; }
  // Elements that are read for a row of the result.
  int64_t row_cost() const {
    int64_t cost = std::max(in[2], out[2]) * inner;
    for (int d = 0; d < 2; ++d) {
      if (out[d] > 0)
        cost *= std::max<int64_t>(1, axis[d].end[out[d] / 2] - axis[d].begin[out[d] / 2]);
    }
    return std::max<int64_t>(cost, 1);
  }
  double share(int64_t od, int64_t oh) const { return axis[0].share[od] * axis[1].share[oh]; }
  // The position of the first row of a plane that row `oh` of slice `od` of the result reads.
  int64_t first_row(int64_t od, int64_t oh) const {
    return (axis[0].begin[od] * in[1] + axis[1].begin[oh]) * in[2];
  }
};

// ---- what a window's elements are folded with

template <class C>
struct Largest {
  static constexpr C start = -std::numeric_limits<C>::infinity();
  C operator()(C a, C b) const { return b > a ? b : a; }  // NaN is passed over
};
template <class C>
struct Total {
  static constexpr C start = 0;
  C operator()(C a, C b) const { return a + b; }
};
template <class C>
struct Plain {
  C operator()(C x) const { return x; }
};
template <class C>
struct Squared {
  C operator()(C x) const { return x * x; }
};
template <class C>
struct Cubed {
  C operator()(C x) const { return x * x * x; }
};

// to[i] = f(to[i], from[i * stride]) for the strides that compile to vector code, and others.
template <class C, class F>
void fold_strided(C* to, const C* from, int64_t n, int64_t stride, F f) {
  if (stride == 1) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) to[i] = f(to[i], from[i]);
  } else if (stride == 2) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) to[i] = f(to[i], from[2 * i]);
  } else {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) to[i] = f(to[i], from[i * stride]);
  }
}

// One row's windows: to[i] = the fold of from[begin, end).
template <class C, class F>
void fold_row(const Windows& w, int64_t outs, const C* from, C* to, F f) {
  std::fill_n(to, outs, F::start);
  const int64_t whole = w.last - w.first;
  const bool strided = whole > 4 && w.width <= 16;
  if (strided) {
    const C* at = from + w.begin[static_cast<size_t>(w.first)];
    for (int64_t j = 0; j < w.width; ++j) {
      fold_strided(to + w.first, at + j, whole, w.stride, f);
    }
  }
  for (int64_t i = 0; i < outs; ++i) {
    if (strided && i == w.first) i = w.last;
    if (i >= outs) break;
    C value = F::start;
    for (int64_t j = w.begin[i]; j < w.end[i]; ++j) value = f(value, from[j]);
    to[i] = value;
  }
}

// Calls body(plane, od, oh) for every row of the result.
template <class Body>
void for_rows(const Plan& plan, Body body) {
  const int64_t rows = plan.outer * plan.out[0] * plan.out[1];
  parallel_for(rows, std::max<int64_t>(1, kPiece / plan.row_cost()),
               [&](int64_t begin, int64_t end) {
                 for (int64_t r = begin; r < end; ++r) {
                   const int64_t oh = r % plan.out[1], rest = r / plan.out[1];
                   body(rest / plan.out[0], rest % plan.out[0], oh);
                 }
               });
}

// Calls body(position) for the rows of a plane that a row of the result reads.
template <class Body>
void for_window_rows(const Plan& plan, int64_t od, int64_t oh, Body body) {
  for (int64_t d = plan.axis[0].begin[od]; d < plan.axis[0].end[od]; ++d) {
    for (int64_t h = plan.axis[1].begin[oh]; h < plan.axis[1].end[oh]; ++h) {
      body((d * plan.in[1] + h) * plan.in[2]);
    }
  }
}

bool has_rows(const Plan& plan, int64_t od, int64_t oh) {
  return plan.axis[0].begin[od] < plan.axis[0].end[od] &&
         plan.axis[1].begin[oh] < plan.axis[1].end[oh];
}

// out = finish(fold of map(data), share of the window's axes) for every window.
template <class T, class Fold, class Map, class Finish>
void fold_windows(const Plan& plan, const T* data, T* out, Fold fold, Map map, Finish finish) {
  using C = compute_type<T>;
  const Windows& row = plan.axis[2];
  const int64_t width = plan.in[2], outs = plan.out[2], inner = plan.inner;
  for_rows(plan, [&](int64_t plane, int64_t od, int64_t oh) {
    thread_local WideRun<T> wide;
    thread_local std::vector<C> column, line;
    const T* from = data + plane * plan.in_plane() * inner;
    T* to = out + ((plane * plan.out[0] + od) * plan.out[1] + oh) * outs * inner;
    const double share = plan.share(od, oh);
    if (inner == 1) {
      column.assign(static_cast<size_t>(width), Fold::start);
      for_window_rows(plan, od, oh, [&](int64_t at) {
        const C* v = wide.read(from + at, width);
        C* acc = column.data();
#pragma GCC ivdep
        for (int64_t i = 0; i < width; ++i) acc[i] = fold(acc[i], map(v[i]));
      });
      line.resize(static_cast<size_t>(outs));
      fold_row(row, outs, column.data(), line.data(), fold);
      const bool rows = has_rows(plan, od, oh);
      for (int64_t i = 0; i < outs; ++i) {
        line[i] = finish(line[i], share * row.share[i], rows && row.begin[i] < row.end[i]);
      }
      narrow(line.data(), to, outs);
      return;
    }
    for (int64_t ow = 0; ow < outs; ++ow) {
      const double scale = share * row.share[ow];
      const bool some = has_rows(plan, od, oh) && row.begin[ow] < row.end[ow];
      for (int64_t left = 0; left < inner; left += kTile) {
        const int64_t n = std::min(kTile, inner - left);
        C acc[kTile];
        std::fill_n(acc, n, Fold::start);
        for_window_rows(plan, od, oh, [&](int64_t at) {
          for (int64_t w = row.begin[ow]; w < row.end[ow]; ++w) {
            const C* v = wide.read(from + (at + w) * inner + left, n);
#pragma GCC ivdep
            for (int64_t c = 0; c < n; ++c) acc[c] = fold(acc[c], map(v[c]));
          }
        });
        for (int64_t c = 0; c < n; ++c) acc[c] = finish(acc[c], scale, some);
        narrow(acc, to + ow * inner + left, n);
      }
    }
  });
}

// best[i], at[i] = the larger of that and value[i * stride], place[i * stride]; of equal ones the
// first in row-major order.
template <class C>
void better_strided(C* best, int32_t* at, const C* value, const int32_t* place, int64_t n,
                    int64_t stride) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const C v = value[i * stride];
    const int32_t p = place[i * stride];
    const bool better = (v > best[i]) | ((v == best[i]) & (p < at[i]));
    best[i] = better ? v : best[i];
    at[i] = better ? p : at[i];
  }
}

// The largest elements of one row's windows and their places; of an empty one, neither.
template <class C>
void best_of_rows(const Windows& w, int64_t outs, const C* value, const int32_t* place,
                  std::vector<C>& best, std::vector<int32_t>& at) {
  best.assign(static_cast<size_t>(outs), -std::numeric_limits<C>::infinity());
  at.assign(static_cast<size_t>(outs), std::numeric_limits<int32_t>::max());
  for (int64_t i = 0; i < outs; ++i) {
    if (i == w.first && w.last > w.first) {
      const int64_t whole = w.last - w.first, start = w.begin[static_cast<size_t>(w.first)];
      for (int64_t j = start; j < start + w.width; ++j) {
        if (w.stride == 1) {
          better_strided(&best[i], &at[i], value + j, place + j, whole, 1);
        } else if (w.stride == 2) {
          better_strided(&best[i], &at[i], value + j, place + j, whole, 2);
        } else {
          better_strided(&best[i], &at[i], value + j, place + j, whole, w.stride);
        }
      }
      i = w.last - 1;
      continue;
    }
    for (int64_t j = w.begin[i]; j < w.end[i]; ++j) {
      better_strided(&best[i], &at[i], value + j, place + j, 1, 1);
    }
  }
}

// best[i], at[i] = the larger of that and value[i] at place(i).
template <class C, class Place>
void better(C* best, int32_t* at, const C* value, int64_t n, Place place) {
#pragma GCC ivdep
  for (int32_t i = 0; i < static_cast<int32_t>(n); ++i) {
    at[i] = value[i] > best[i] ? place(i) : at[i];
    best[i] = value[i] > best[i] ? value[i] : best[i];
  }
}

// The largest elements of a row of windows that have rows, and their places; of data without inner
// elements.
template <class T>
void max_of_row(const Plan& plan, int64_t od, int64_t oh, const T* from, T* to,
                int32_t* to_position, WideRun<T>& wide) {
  using C = compute_type<T>;
  thread_local std::vector<C> column, line;
  thread_local std::vector<int32_t> where, place;
  const Windows& row = plan.axis[2];
  const int64_t width = plan.in[2], outs = plan.out[2];
  column.assign(static_cast<size_t>(width), -std::numeric_limits<C>::infinity());
  where.resize(static_cast<size_t>(width));
  const int64_t top = plan.first_row(od, oh);
  for (int64_t i = 0; i < width; ++i) where[i] = static_cast<int32_t>(top + i);
  for_window_rows(plan, od, oh, [&](int64_t at) {
    const auto start = static_cast<int32_t>(at);
    better(column.data(), where.data(), wide.read(from + at, width), width,
           [start](int32_t i) { return start + i; });
  });
  best_of_rows(row, outs, column.data(), where.data(), line, place);
  for (int64_t i = 0; i < outs; ++i) {
    const bool some = row.begin[i] < row.end[i];
    to[i] = some ? static_cast<T>(line[i]) : std::numeric_limits<T>::lowest();
    to_position[i] = some ? place[i] : -1;
  }
}

// The same of window `ow` of the row, for each of its inner elements.
template <class T>
void max_of_window(const Plan& plan, int64_t od, int64_t oh, int64_t ow, const T* from, T* to,
                   int32_t* to_position, WideRun<T>& wide) {
  using C = compute_type<T>;
  const Windows& row = plan.axis[2];
  const bool some = row.begin[ow] < row.end[ow];
  const C lowest =
      some ? -std::numeric_limits<C>::infinity() : static_cast<C>(std::numeric_limits<T>::lowest());
  const auto first = static_cast<int32_t>(plan.first_row(od, oh) + row.begin[ow]);
  for (int64_t left = 0; left < plan.inner; left += kTile) {
    const int64_t n = std::min(kTile, plan.inner - left);
    C best[kTile];
    int32_t best_at[kTile];
    std::fill_n(best, n, lowest);
    std::fill_n(best_at, n, some ? first : -1);
    for_window_rows(plan, od, oh, [&](int64_t at) {
      for (int64_t w = row.begin[ow]; w < row.end[ow]; ++w) {
        const auto here = static_cast<int32_t>(at + w);
        better(best, best_at, wide.read(from + (at + w) * plan.inner + left, n), n,
               [here](int32_t) { return here; });
      }
    });
    narrow(best, to + left, n);
    std::copy_n(best_at, n, to_position + left);
  }
}

template <class T>
void max_with_positions(const Plan& plan, const T* data, T* out, int32_t* positions) {
  const int64_t outs = plan.out[2], inner = plan.inner;
  for_rows(plan, [&](int64_t plane, int64_t od, int64_t oh) {
    thread_local WideRun<T> wide;
    const T* from = data + plane * plan.in_plane() * inner;
    const int64_t at_out = ((plane * plan.out[0] + od) * plan.out[1] + oh) * outs * inner;
    T* to = out + at_out;
    int32_t* to_position = positions + at_out;
    if (!has_rows(plan, od, oh)) {
      std::fill_n(to, outs * inner, std::numeric_limits<T>::lowest());
      std::fill_n(to_position, outs * inner, -1);
    } else if (inner == 1) {
      max_of_row(plan, od, oh, from, to, to_position, wide);
    } else {
      for (int64_t ow = 0; ow < outs; ++ow) {
        max_of_window(plan, od, oh, ow, from, to + ow * inner, to_position + ow * inner, wide);
      }
    }
  });
}

// dx of a plane, or of a tile of channels of one: `acc` is zero and has the data's layout.
template <class C>
void spread_plane(const Plan& plan, const C* head, C* acc, std::vector<C>& line) {
  const Windows& row = plan.axis[2];
  const int64_t width = plan.in[2], outs = plan.out[2];
  line.resize(static_cast<size_t>(width + outs));
  C *spread = line.data(), *values = spread + width;
  for (int64_t od = 0; od < plan.out[0]; ++od) {
    for (int64_t oh = 0; oh < plan.out[1]; ++oh, head += outs) {
      const C share = static_cast<C>(plan.share(od, oh));
      std::fill_n(spread, width, C(0));
      for (int64_t i = 0; i < outs; ++i) values[i] = head[i] * share * static_cast<C>(row.share[i]);
      for (int64_t i = 0; i < outs; ++i) {
        if (row.stride == 1 && i == row.first && row.last > row.first) {
          const int64_t whole = row.last - row.first;
          for (int64_t j = 0; j < row.width; ++j) {
            C* to = spread + row.begin[i] + j;
#pragma GCC ivdep
            for (int64_t k = 0; k < whole; ++k) to[k] += values[i + k];
          }
          i = row.last - 1;
          continue;
        }
        for (int64_t j = row.begin[i]; j < row.end[i]; ++j) spread[j] += values[i];
      }
      for_window_rows(plan, od, oh, [&](int64_t at) {
        C* to = acc + at;
#pragma GCC ivdep
        for (int64_t j = 0; j < width; ++j) to[j] += spread[j];
      });
    }
  }
}

template <class T>
void spread_windows(const Plan& plan, const T* head, T* out) {
  using C = compute_type<T>;
  const int64_t in_plane = plan.in_plane(), out_plane = plan.out_plane(), inner = plan.inner;
  const Windows& row = plan.axis[2];
  if (inner == 1) {
    const int64_t cost = std::max(in_plane, out_plane);
    parallel_for(plan.outer, std::max<int64_t>(1, kPiece / std::max<int64_t>(1, cost)),
                 [&](int64_t begin, int64_t end) {
                   WideRun<T> wide;
                   std::vector<C> line, plane;
                   for (int64_t p = begin; p < end; ++p) {
                     const C* g = wide.read(head + p * out_plane, out_plane);
                     if constexpr (std::is_same_v<T, C>) {
                       std::fill_n(out + p * in_plane, in_plane, C(0));
                       spread_plane(plan, g, out + p * in_plane, line);
                     } else {
                       plane.assign(static_cast<size_t>(in_plane), C(0));
                       spread_plane(plan, g, plane.data(), line);
                       narrow(plane.data(), out + p * in_plane, in_plane);
                     }
                   }
                 });
    return;
  }
  const int64_t tile = 32, tiles = (inner + tile - 1) / tile;
  parallel_for(plan.outer * tiles, 1, [&](int64_t begin, int64_t end) {
    WideRun<T> wide;
    std::vector<C> plane;
    for (int64_t t = begin; t < end; ++t) {
      const int64_t left = t % tiles * tile, n = std::min(tile, inner - left);
      const T* g = head + t / tiles * out_plane * inner + left;
      T* to = out + t / tiles * in_plane * inner + left;
      plane.assign(static_cast<size_t>(in_plane * n), C(0));
      for (int64_t od = 0; od < plan.out[0]; ++od) {
        for (int64_t oh = 0; oh < plan.out[1]; ++oh) {
          for (int64_t ow = 0; ow < plan.out[2]; ++ow, g += inner) {
            const C* v = wide.read(g, n);
            const C share = static_cast<C>(plan.share(od, oh) * row.share[ow]);
            for_window_rows(plan, od, oh, [&](int64_t at) {
              for (int64_t w = row.begin[ow]; w < row.end[ow]; ++w) {
                C* acc = plane.data() + (at + w) * n;
#pragma GCC ivdep
                for (int64_t c = 0; c < n; ++c) acc[c] += share * v[c];
              }
            });
          }
        }
      }
      for (int64_t i = 0; i < in_plane; ++i) narrow(plane.data() + i * n, to + i * inner, n);
    }
  });
}

// Calls body(begin of the plane's data, begin of its outputs, outputs) over planes, or, with
// channels last, over whole samples.
template <class Body>
void for_planes(const Plan& plan, Body body) {
  const int64_t in = plan.in_plane() * plan.inner, out = plan.out_plane() * plan.inner;
  parallel_for(plan.outer, std::max<int64_t>(1, kPiece / std::max<int64_t>(1, std::max(in, out))),
               [&](int64_t begin, int64_t end) {
                 for (int64_t p = begin; p < end; ++p) body(p * in, p * out);
               });
}

}  // namespace

void pool_max(const PoolGeometry& geometry, const NDArray& data, const NDArray& out,
              const NDArray* positions) {
  if (out.size() == 0) return;
  const Plan plan(geometry);
  dispatch<FloatingTypes>(data.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = compute_type<T>;
    if (positions) {
      max_with_positions(plan, data.data<T>(), out.data<T>(), positions->data<int32_t>());
      return;
    }
    const C empty = static_cast<C>(std::numeric_limits<T>::lowest());
    fold_windows(plan, data.data<T>(), out.data<T>(), Largest<C>{}, Plain<C>{},
                 [empty](C value, double, bool some) { return some ? value : empty; });
  });
}

namespace {

// Whether there is one window, over all of the data.
bool is_global(const Plan& plan) {
  for (int d = 0; d < 3; ++d) {
    const Windows& w = plan.axis[d];
    if (plan.out[d] != 1 || w.begin[0] != 0 || w.end[0] != plan.in[d]) return false;
  }
  return true;
}

}  // namespace

void pool_sum(const PoolGeometry& geometry, const NDArray& data, const NDArray& out) {
  if (out.size() == 0) return;
  const Plan plan(geometry);
  dispatch<FloatingTypes>(data.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = compute_type<T>;
    if (is_global(plan)) {
      // A plain sum over the spatial axes, as exact as others.
      const int lead = geometry.channels_last ? 1 : 2, spatial = data.ndim() - 2;
      const AxisSet axes = ((AxisSet{1} << spatial) - 1) << lead;
      const double share = plan.share(0, 0) * plan.axis[2].share[0];
      reduce::run<reduce::Sum<T>>(reduce::Layout(data.shape(), axes), data.data<T>(), out.data<T>(),
                                  [share](double sum) { return reduce::CastTo<T>{}(sum * share); });
      return;
    }
    fold_windows(plan, data.data<T>(), out.data<T>(), Total<C>{}, Plain<C>{},
                 [](C value, double share, bool) { return value * static_cast<C>(share); });
  });
}

void pool_lp(const PoolGeometry& geometry, const NDArray& data, const NDArray& out, int64_t p) {
  if (out.size() == 0) return;
  const Plan plan(geometry);
  dispatch<FloatingTypes>(data.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = compute_type<T>;
    if (p == 2) {
      fold_windows(plan, data.data<T>(), out.data<T>(), Total<C>{}, Squared<C>{},
                   [](C value, double, bool) { return std::sqrt(value); });
    } else {
      fold_windows(plan, data.data<T>(), out.data<T>(), Total<C>{}, Cubed<C>{},
                   [](C value, double, bool) { return std::cbrt(value); });
    }
  });
}

void pool_sum_adjoint(const PoolGeometry& geometry, const NDArray& head, const NDArray& out) {
  if (out.size() == 0) return;
  if (head.size() == 0) return fill_zero(out);
  const Plan plan(geometry);
  dispatch<FloatingTypes>(out.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    spread_windows(plan, head.data<T>(), out.data<T>());
  });
}

void pool_max_scatter(const PoolGeometry& geometry, const NDArray& head, const NDArray& positions,
                      const NDArray& out) {
  if (out.size() == 0) return;
  if (head.size() == 0) return fill_zero(out);
  const Plan plan(geometry);
  const int32_t* at = positions.data<int32_t>();
  dispatch<FloatingTypes>(out.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = compute_type<T>;
    for_planes(plan, [&](int64_t in, int64_t first) {
      T* to = out.data<T>() + in;
      const T* from = head.data<T>() + first;
      const int64_t planes = plan.in_plane(), inner = plan.inner;
      std::fill_n(to, planes * inner, T(0));
      for (int64_t i = 0; i < plan.out_plane(); ++i) {
        for (int64_t c = 0; c < inner; ++c) {
          const int64_t k = at[first + i * inner + c];
          if (k < 0 || k >= planes) continue;
          T& value = to[k * inner + c];
          value = static_cast<T>(static_cast<C>(value) + static_cast<C>(from[i * inner + c]));
        }
      }
    });
  });
}

void pool_max_gather(const PoolGeometry& geometry, const NDArray& head, const NDArray& positions,
                     const NDArray& out) {
  if (out.size() == 0) return;
  const Plan plan(geometry);
  const int32_t* at = positions.data<int32_t>();
  dispatch<FloatingTypes>(out.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for_planes(plan, [&](int64_t in, int64_t first) {
      const T* from = head.data<T>() + in;
      T* to = out.data<T>() + first;
      const int64_t planes = plan.in_plane(), inner = plan.inner;
      for (int64_t i = 0; i < plan.out_plane(); ++i) {
        for (int64_t c = 0; c < inner; ++c) {
          const int64_t k = at[first + i * inner + c];
          to[i * inner + c] = k >= 0 && k < planes ? from[k * inner + c] : T(0);
        }
      }
    });
  });
}

}  // namespace mxtape

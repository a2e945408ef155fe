#include "ops/shared/index.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include <Eigen/Core>

#include "ops/shared/strided.h"
#include "runtime/parallel.h"
#include "runtime/wide_sum.h"
#include "runtime/widen.h"

namespace mxtape {

namespace fn {
const Op<ScatterParams> scatter_add{"_backward_gather_nd"}, scatter_set{"_scatter_set_nd"};
const Op<> gather_nd{"gather_nd"};
}  // namespace fn

namespace {

constexpr int64_t kGrain = 1 << 15;

// An index of any dtype as an integer: the part before the decimal point, kept in range.
template <class T>
int64_t to_index(T value) {
  if constexpr (std::is_same_v<T, float16>) {
    return to_index(static_cast<float>(value));
  } else if constexpr (std::is_floating_point_v<T>) {
    constexpr T kLimit = static_cast<T>(int64_t{1} << 62);
    return std::isnan(value) ? kNoIndex : static_cast<int64_t>(std::clamp(value, -kLimit, kLimit));
  } else {
    return static_cast<int64_t>(value);
  }
}

int64_t row_grain(int64_t inner) {
  return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, inner));
}

// Adds up the rows of `from` that the entries name into one row.
template <class T>
void add_rows(const T* from, std::span<const Keyed<uint32_t>> entries, int64_t inner, T* to) {
  const auto row_of = [=](const Keyed<uint32_t>& entry) {
    return from + int64_t{entry.payload} * inner;
  };
  constexpr int64_t kWidth = 256;
  if constexpr (std::is_same_v<T, float16>) {
    float sum[kWidth];
    for (int64_t column = 0; column < inner; column += kWidth) {
      const int64_t width = std::min(kWidth, inner - column);
      std::fill(sum, sum + width, 0.0f);
      for (const auto& entry : entries) {
        const T* row = row_of(entry) + column;
        for (int64_t i = 0; i < width; ++i) sum[i] += static_cast<float>(row[i]);
      }
      for (int64_t i = 0; i < width; ++i) to[column + i] = static_cast<T>(sum[i]);
    }
    return;
  }
  if constexpr (std::is_same_v<T, float>) {
    // Of two, the sum is rounded once anyhow.
    if (entries.size() > 2) {
      double sum[kWidth];
      for (int64_t column = 0; column < inner; column += kWidth) {
        const int64_t width = std::min(kWidth, inner - column);
        std::fill(sum, sum + width, 0.0);
        for (const auto& entry : entries) add_row(row_of(entry) + column, width, sum);
        for (int64_t i = 0; i < width; ++i) to[column + i] = static_cast<float>(sum[i]);
      }
      return;
    }
  }
  std::copy_n(row_of(entries[0]), inner, to);
  for (const auto& entry : entries.subspan(1)) {
    const T* row = row_of(entry);
    for (int64_t i = 0; i < inner; ++i) {
      if constexpr (std::is_same_v<T, bool>) {
        to[i] = to[i] || row[i];
      } else {
        to[i] = static_cast<T>(to[i] + row[i]);
      }
    }
  }
}

// Calls f(i, offset) for each of the positions, with the offset of the element that position i
// names. One thread does all of a run.
template <class F>
void for_each_along(const AxisView& view, const NDArray& positions, F&& f) {
  if (positions.size() == 0) return;
  const int64_t k = positions.size() / view.runs(), *at = positions.data<int64_t>();
  if (view.inner == 1) {
    parallel_for(view.outer, row_grain(k), [&](int64_t begin, int64_t end) {
      if (k == 1) {
        for (int64_t run = begin; run < end; ++run) f(run, run * view.n + at[run]);
        return;
      }
      for (int64_t run = begin; run < end; ++run) {
        for (int64_t i = run * k; i < (run + 1) * k; ++i) f(i, run * view.n + at[i]);
      }
    });
    return;
  }
  constexpr int64_t kWidth = 512;
  const int64_t tiles = (view.inner + kWidth - 1) / kWidth, width = std::min(view.inner, kWidth);
  parallel_for(view.outer * tiles, row_grain(k * width), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t block = task / tiles, first = task % tiles * kWidth;
      const int64_t last = std::min(first + kWidth, view.inner);
      for (int64_t j = 0; j < k; ++j) {
        const int64_t row = (block * k + j) * view.inner;
        for (int64_t a = first; a < last; ++a) {
          f(row + a, (block * view.n + at[row + a]) * view.inner + a);
        }
      }
    }
  });
}

}  // namespace

std::string index_text(int64_t index) { return index == kNoIndex ? "nan" : std::to_string(index); }

NDArray index_numbers(const NDArray& indices) {
  if (is_storage_only(indices.dtype())) return index_numbers(widened(indices));
  NDArray numbers = NDArray::empty({indices.size()}, DType::kInt64);
  int64_t* out = numbers.data<int64_t>();
  dispatch(indices.dtype(), [&](auto tag) {
    const auto* in = indices.data<typename decltype(tag)::type>();
    std::transform(in, in + indices.size(), out, [](auto value) { return to_index(value); });
  });
  return numbers;
}

NDArray index_positions(const NDArray& indices, int64_t extent, IndexMode mode,
                        std::string_view op) {
  if (is_storage_only(indices.dtype())) {
    return index_positions(widened(indices), extent, mode, op);
  }
  NDArray positions = NDArray::empty({indices.size()}, DType::kInt64);
  int64_t* out = positions.data<int64_t>();
  const int64_t n = indices.size();
  dispatch(indices.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto* in = indices.data<T>();
    if (mode == IndexMode::kRaise) {
      for (int64_t k = 0; k < n; ++k) {
        out[k] = to_index(in[k]);
        if (out[k] < 0 || out[k] >= extent) {
          fail(op, ": index ", index_text(out[k]), " is out of range for an axis of extent ",
               extent, " (mode='raise')");
        }
      }
      return;
    }
    parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        int64_t at = to_index(in[k]);
        if (mode == IndexMode::kClip) {
          at = std::clamp<int64_t>(at, 0, extent - 1);
        } else if (at < 0 || at >= extent) {
          if (std::is_floating_point_v<compute_type<T>> && at == kNoIndex) at = 0;
          at %= extent;
          if (at < 0) at += extent;
        }
        out[k] = at;
      }
    });
  });
  return positions;
}

NDArray nd_positions(const NDArray& indices, const Shape& shape, std::string_view op) {
  if (is_storage_only(indices.dtype())) return nd_positions(widened(indices), shape, op);
  const int64_t axes = indices.shape()[0], n = indices.shape().product(1, indices.ndim());
  NDArray positions = NDArray::empty({n}, DType::kInt64);
  int64_t* out = positions.data<int64_t>();
  std::fill(out, out + n, 0);
  dispatch(indices.dtype(), [&](auto tag) {
    const auto* in = indices.data<typename decltype(tag)::type>();
    for (int axis = 0; axis < axes; ++axis) {
      const int64_t extent = shape[axis];
      for (int64_t k = 0; k < n; ++k) {
        const int64_t given = to_index(in[axis * n + k]);
        const int64_t at = given < 0 ? given + extent : given;
        if (at < 0 || at >= extent) {
          fail_as(ErrorKind::kIndex, op, ": index ", index_text(given),
                  " is out of bounds for axis ", axis, " with size ", extent);
        }
        out[k] = out[k] * extent + at;
      }
    }
  });
  return positions;
}

void gather_rows(const NDArray& from, const AxisView& view, const NDArray& positions,
                 const NDArray& to) {
  const int64_t count = positions.size(), inner = view.inner;
  if (to.size() == 0) return;
  const int64_t* at = positions.data<int64_t>();
  dispatch<ElementTypes>(from.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* source = from.data<T>();
    T* target = to.data<T>();
    parallel_for(view.outer * count, row_grain(inner), [&](int64_t begin, int64_t end) {
      int64_t k = begin % count;
      const T* table = source + begin / count * view.n * inner;
      for (int64_t row = begin; row < end; ++row) {
        const T* read = table + at[k] * inner;
        T* write = target + row * inner;
        if (inner == 1) {
          *write = *read;
        } else {
          std::memcpy(write, read, static_cast<size_t>(inner) * sizeof(T));
        }
        if (++k == count) {
          k = 0;
          table += view.n * inner;
        }
      }
    });
  });
}

Groups<uint32_t> group_positions(const NDArray& positions, int64_t extent) {
  const int64_t* at = positions.data<int64_t>();
  return group_by_key<uint32_t>(positions.size(), extent,
                                [=](int64_t begin, int64_t end, auto put) {
                                  for (int64_t k = begin; k < end; ++k) {
                                    put(at[k], static_cast<uint32_t>(k));
                                  }
                                });
}

void add_grouped_rows(const NDArray& from, const Groups<uint32_t>& groups, const NDArray& to) {
  const int64_t inner = to.shape().product(1, to.ndim()), *starts = groups.start();
  dispatch(from.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    groups.for_each_piece(row_grain(inner), [&](int64_t begin, int64_t end) {
      for (int64_t g = begin; g < end; ++g) {
        add_rows(from.data<T>(), {groups.entries() + starts[g], groups.entries() + starts[g + 1]},
                 inner, to.data<T>() + g * inner);
      }
    });
  });
}

void scatter_add_rows(const NDArray& from, const NDArray& positions, const NDArray& to,
                      const AxisView& view) {
  const int64_t count = positions.size(), inner = view.inner;
  fill_zero(to);
  if (from.size() == 0 || to.size() == 0) return;
  const Groups<uint32_t> groups = group_positions(positions, view.n);
  const int64_t runs = groups.count(), *starts = groups.start(), *keys = groups.key();
  dispatch(from.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    parallel_for(view.outer * runs, row_grain(inner), [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        const int64_t table = task / runs, run = task % runs;
        add_rows(from.data<T>() + table * count * inner,
                 {groups.entries() + starts[run], groups.entries() + starts[run + 1]}, inner,
                 to.data<T>() + (table * view.n + keys[run]) * inner);
      }
    });
  });
}

void scatter_rows(const NDArray& from, const NDArray& positions, const NDArray& to,
                  const AxisView& view) {
  const int64_t count = positions.size(), inner = view.inner;
  const int64_t* at = positions.data<int64_t>();
  dispatch<ElementTypes>(from.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    // Cut along the rows: each thread writes all of them in order, so the last one wins.
    parallel_for(inner, std::max<int64_t>(64, kGrain / std::max<int64_t>(1, count)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t k = 0; k < count; ++k) {
                     std::memcpy(to.data<T>() + at[k] * inner + begin,
                                 from.data<T>() + k * inner + begin,
                                 static_cast<size_t>(end - begin) * sizeof(T));
                   }
                 });
  });
}

void gather_along(const NDArray& from, const AxisView& view, const NDArray& positions,
                  const NDArray& to) {
  dispatch<ElementTypes>(from.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* read = from.data<T>();
    T* write = to.data<T>();
    for_each_along(view, positions, [=](int64_t i, int64_t offset) { write[i] = read[offset]; });
  });
}

void scatter_along(const NDArray& from, const NDArray& positions, const NDArray& to,
                   const AxisView& view) {
  fill_zero(to);
  dispatch<ElementTypes>(from.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* read = from.data<T>();
    T* write = to.data<T>();
    for_each_along(view, positions, [=](int64_t i, int64_t offset) { write[offset] = read[i]; });
  });
}

}  // namespace mxtape

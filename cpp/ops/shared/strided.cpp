#include "ops/shared/strided.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include <Eigen/Core>

#include "runtime/parallel.h"
#include "runtime/past_cache.h"

namespace mxtape {
namespace {

// Elements that one piece of parallel work moves, at least.
constexpr int64_t kPiece = 1 << 15;
// A transpose goes by square blocks whose rows are cache lines: each line is read and written once,
// so lines of a power-of-two distance, which the cache keeps in few places, do not throw each other
// out.
template <class T>
constexpr int64_t kSide = 64 / static_cast<int64_t>(sizeof(T));
// Blocks side by side in the source before the next lines are read: fewer pages at a time.
constexpr int64_t kBand = 4;

struct Axis {
  int64_t extent, from, to;
};

// The axes of a copy, without those of extent 1 and with neighbours that are one walk merged.
std::vector<Axis> merged_axes(const Strided& source, const Strided& target) {
  std::vector<Axis> axes;
  for (size_t i = 0; i < source.extents.size(); ++i) {
    const Axis axis{source.extents[i], source.strides[i], target.strides[i]};
    if (axis.extent == 1) continue;
    if (!axes.empty() && axes.back().from == axis.from * axis.extent &&
        axes.back().to == axis.to * axis.extent) {
      axes.back() = {axes.back().extent * axis.extent, axis.from, axis.to};
    } else {
      axes.push_back(axis);
    }
  }
  if (axes.empty()) axes.push_back({1, 1, 1});
  return axes;
}

template <class T>
void copy_row(const T* from, int64_t from_stride, T* to, int64_t to_stride, int64_t n) {
  if (to_stride == 1 && from_stride == 1) {
    if (n >= 16) {
      std::memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
    } else {
      for (int64_t i = 0; i < n; ++i) to[i] = from[i];
    }
  } else if (to_stride == 1 && from_stride == 0) {
    std::fill(to, to + n, *from);
  } else if (to_stride == 1 && from_stride == -1) {
    for (int64_t i = 0; i < n; ++i) to[i] = from[-i];
  } else if (to_stride == 1) {
    for (int64_t i = 0; i < n; ++i) to[i] = from[i * from_stride];
  } else {
    for (int64_t i = 0; i < n; ++i) to[i * to_stride] = from[i * from_stride];
  }
}

// `lines` rows, one for each index of the axis above them.
template <class T>
void copy_lines(const T* from, T* to, int64_t lines, const Axis& above, const Axis& row) {
  if (row.extent <= 8 && row.from == 0 && row.to == 1) {
    for (int64_t k = 0; k < lines; ++k) {
      const T value = from[k * above.from];
      T* line = to + k * above.to;
      for (int64_t i = 0; i < row.extent; ++i) line[i] = value;
    }
    return;
  }
  for (int64_t k = 0; k < lines; ++k) {
    copy_row(from + k * above.from, row.from, to + k * above.to, row.to, row.extent);
  }
}

// Walks `axes`, calling f with the source and target offsets of every index in [begin, end).
template <class F>
void walk(std::span<const Axis> axes, int64_t begin, int64_t end, F&& f) {
  constexpr size_t kInline = 8;
  int64_t local[kInline] = {};
  std::vector<int64_t> heap(axes.size() > kInline ? axes.size() : 0);
  int64_t* index = heap.empty() ? local : heap.data();
  int64_t from = 0, to = 0, rest = begin;
  for (size_t d = axes.size(); d-- > 0;) {
    index[d] = rest % axes[d].extent;
    rest /= axes[d].extent;
    from += index[d] * axes[d].from;
    to += index[d] * axes[d].to;
  }
  for (int64_t k = begin; k < end; ++k) {
    f(from, to);
    for (size_t d = axes.size(); d-- > 0;) {
      from += axes[d].from;
      to += axes[d].to;
      if (++index[d] < axes[d].extent) break;
      from -= axes[d].extent * axes[d].from;
      to -= axes[d].extent * axes[d].to;
      index[d] = 0;
    }
  }
}

int64_t count(std::span<const Axis> axes) {
  int64_t n = 1;
  for (const Axis& axis : axes) n *= axis.extent;
  return n;
}

template <class T>
void copy_rows(const T* from, T* to, std::span<const Axis> axes) {
  const Axis row = axes.back();
  const std::span<const Axis> outer = axes.first(axes.size() - 1);
  const int64_t rows = count(outer);
  if (rows == 1) {
    parallel_for(row.extent, kPiece, [&](int64_t begin, int64_t end) {
      copy_row(from + begin * row.from, row.from, to + begin * row.to, row.to, end - begin);
    });
    return;
  }
  // Long rows are cut too, so that few of them still occupy all threads.
  const int64_t parts = std::max<int64_t>(1, row.extent / kPiece);
  const int64_t length = (row.extent + parts - 1) / parts;
  std::vector<Axis> cut(outer.begin(), outer.end());
  if (parts > 1) {
    cut.push_back({parts, length * row.from, length * row.to});
    parallel_for(rows * parts, 1, [&](int64_t begin, int64_t end) {
      int64_t part = begin % parts;
      walk(cut, begin, end, [&](int64_t source, int64_t target) {
        const int64_t n = std::clamp<int64_t>(row.extent - part * length, 0, length);
        copy_row(from + source, row.from, to + target, row.to, n);
        part = part + 1 == parts ? 0 : part + 1;
      });
    });
    return;
  }
  // The axis above the rows is a plain loop: short rows are not slowed down by the walk.
  const Axis above = cut.back();
  cut.pop_back();
  const int64_t lines = std::max<int64_t>(1, kPiece / row.extent);
  const int64_t chunks = (above.extent + lines - 1) / lines;
  const int64_t tasks = count(cut) * chunks;
  cut.push_back({chunks, lines * above.from, lines * above.to});
  const int64_t grain = std::max<int64_t>(1, lines / above.extent);
  parallel_for(tasks, grain, [&](int64_t begin, int64_t end) {
    int64_t chunk = begin % chunks;
    walk(cut, begin, end, [&](int64_t source, int64_t target) {
      copy_lines(from + source, to + target, std::min(lines, above.extent - chunk * lines), above,
                 row);
      chunk = chunk + 1 == chunks ? 0 : chunk + 1;
    });
  });
}

// Eigen's packets as template arguments: their alignment attribute does not matter here.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"

// to[i][j] = block[j][i].
template <class T>
void transpose_block(const T (&block)[kSide<T>][kSide<T>], T* to, int64_t to_stride) {
  constexpr int64_t n = kSide<T>;
  // Packets of numbers serve to move any elements of their size.
  using Scalar = std::conditional_t<sizeof(T) == 8, double, float>;
  using Packet = typename Eigen::internal::packet_traits<Scalar>::type;
  constexpr int64_t width = Eigen::internal::unpacket_traits<Packet>::size;
  if constexpr (sizeof(T) == sizeof(Scalar) && width > 1) {
    for (int64_t i = 0; i < n; i += width) {
      for (int64_t j = 0; j < n; j += width) {
        Eigen::internal::PacketBlock<Packet, width> square;
        for (int64_t k = 0; k < width; ++k) {
          square.packet[k] =
              Eigen::internal::ploadu<Packet>(reinterpret_cast<const Scalar*>(&block[j + k][i]));
        }
        Eigen::internal::ptranspose(square);
        for (int64_t k = 0; k < width; ++k) {
          Eigen::internal::pstoreu(reinterpret_cast<Scalar*>(to + (i + k) * to_stride + j),
                                   square.packet[k]);
        }
      }
    }
  } else {
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) to[i * to_stride + j] = block[j][i];
    }
  }
}

#pragma GCC diagnostic pop

// Transposes the block of `rows` times `columns` elements whose columns lie next to each other in
// `to` and whose rows lie next to each other in `from`.
template <class T>
void copy_block(const T* from, int64_t from_stride, T* to, int64_t to_stride, int64_t rows,
                int64_t columns) {
  constexpr int64_t n = kSide<T>;
  if (rows != n || columns != n) {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) to[i * to_stride + j] = from[j * from_stride + i];
    }
    return;
  }
  alignas(64) T block[n][n];
  for (int64_t j = 0; j < n; ++j) std::memcpy(block[j], from + j * from_stride, sizeof block[j]);
  transpose_block<T>(block, to, to_stride);
}

// The last axis is contiguous in `to`, axis `near` in `from`.
template <class T>
void copy_transposed(const T* from, T* to, std::span<const Axis> axes, size_t near) {
  constexpr int64_t side = kSide<T>, band = kBand * side;
  const Axis column = axes.back(), row = axes[near];
  std::vector<Axis> outer;
  for (size_t d = 0; d + 1 < axes.size(); ++d) {
    if (d != near) outer.push_back(axes[d]);
  }
  const int64_t bands = (row.extent + band - 1) / band;
  outer.push_back({bands, band * row.from, band * row.to});
  const int64_t grain = std::max<int64_t>(1, kPiece / (std::min(band, row.extent) * column.extent));
  parallel_for(count(outer), grain, [&](int64_t begin, int64_t end) {
    int64_t at = begin % bands;
    walk(outer, begin, end, [&](int64_t source, int64_t target) {
      const int64_t rows = std::min(band, row.extent - at * band);
      at = at + 1 == bands ? 0 : at + 1;
      for (int64_t j = 0; j < column.extent; j += side) {
        const int64_t columns = std::min(side, column.extent - j);
        for (int64_t i = 0; i < rows; i += side) {
          copy_block(from + source + j * column.from + i, column.from, to + target + i * row.to + j,
                     row.to, std::min(side, rows - i), columns);
        }
      }
    });
  });
}

}  // namespace

Ints dense_strides(const Shape& shape) {
  Ints strides(static_cast<size_t>(shape.ndim()));
  int64_t step = 1;
  for (int d = shape.ndim(); d-- > 0;) {
    strides[static_cast<size_t>(d)] = step;
    step *= shape[d];
  }
  return strides;
}

Strided dense(const NDArray& array) {
  return {Ints(array.shape().begin(), array.shape().end()), dense_strides(array.shape()), 0};
}

void copy_strided(const NDArray& from, const Strided& source, const NDArray& to,
                  const Strided& target) {
  for (int64_t extent : source.extents) {
    if (extent == 0) return;
  }
  const std::vector<Axis> axes = merged_axes(source, target);
  size_t near = axes.size();
  if (axes.back().to == 1 && axes.back().from != 1 && axes.back().from != 0) {
    for (size_t d = 0; d + 1 < axes.size(); ++d) {
      if (axes[d].from == 1 && axes[d].extent >= 4) near = d;
    }
  }
  dispatch<ElementTypes>(from.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* read = from.data<T>() + source.offset;
    T* write = to.data<T>() + target.offset;
    if (near < axes.size() && axes.back().extent >= 4) {
      copy_transposed(read, write, axes, near);
    } else {
      copy_rows(read, write, axes);
    }
  });
}

void gather_strided(const NDArray& from, const Strided& source, const NDArray& to) {
  // The target is dense in the source's extents, which may split the array's own axes.
  Strided target{source.extents, dense_strides(Shape(source.extents)), 0};
  copy_strided(from, source, to, target);
}

void fill_zero(const NDArray& array) {
  char* data = array.bytes();
  const bool past_cache = goes_past_cache(data, array.nbytes());
  parallel_for(static_cast<int64_t>(array.nbytes()), int64_t{1} << 20,
               [&](int64_t begin, int64_t end) {
                 const auto n = static_cast<size_t>(end - begin);
                 if (!past_cache) {
                   std::memset(data + begin, 0, n);
                   return;
                 }
                 write_past_cache(data + begin, nullptr, n);
                 end_past_cache();
               });
}

}  // namespace mxtape

#include "ops/sparse/products.h"

#include <algorithm>
#include <numeric>

#include "ops/shared/grouping.h"
#include "ops/shared/strided.h"
#include "ops/sparse/weighted_sum.h"
#include "runtime/widen.h"

namespace mxtape {
namespace {

// Multiply-adds of a piece of work.
constexpr int64_t kGrain = 1 << 16;
// A matrix that the second cache does not hold is read ahead, so many rows before their turn. Of a
// row, the first bytes: the processor goes on by itself.
constexpr size_t kInCache = size_t{1} << 20;
constexpr int64_t kAhead = 12, kRowBytesAhead = 512;

int64_t rows_of(const SparseParts& a) { return a.indptr.size() - 1; }

// How many bytes of each row of `b` to read ahead.
template <class T>
int64_t bytes_ahead(const NDArray& b) {
  const auto row = static_cast<int64_t>(static_cast<size_t>(b.shape()[1]) * sizeof(T));
  return b.nbytes() > kInCache ? std::min(row, kRowBytesAhead) : 0;
}
MXTAPE_INLINE void read_ahead(const void* row, int64_t bytes) {
  for (int64_t byte = 0; byte < bytes; byte += 64) {
    __builtin_prefetch(static_cast<const char*>(row) + byte);
  }
}

// Four sums at a time: they need not wait for each other.
template <class T>
void multiply_by_vector(const SparseParts& a, const T* b, T* out) {
  const int64_t rows = rows_of(a), *starts = a.pointers(), *columns = a.index();
  const T* values = a.data.data<T>();
  const int64_t grain = kGrain * rows / (8 * a.count() + rows + 1);
  parallel_for(rows, std::max<int64_t>(1, grain), [=](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      T sums[4] = {};
      int64_t k = starts[row];
      const int64_t last = starts[row + 1];
      for (; k + 4 <= last; k += 4) {
        for (int64_t i = 0; i < 4; ++i) sums[i] += values[k + i] * b[columns[k + i]];
      }
      for (; k < last; ++k) sums[0] += values[k] * b[columns[k]];
      out[row] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
  });
}

template <class T>
void multiply_rows(const SparseParts& a, const NDArray& right, T* out) {
  const int64_t rows = rows_of(a), *starts = a.pointers(), *columns = a.index();
  const T *values = a.data.data<T>(), *b = right.data<T>();
  const int64_t width = right.shape()[1], last = a.count() - 1, ahead = bytes_ahead<T>(right);
  const auto at = [=](int64_t k) -> Term<T> {
    if (ahead) read_ahead(b + columns[std::min(k + kAhead, last)] * width, ahead);
    return {b + columns[k] * width, values[k]};
  };
  if (width == 1) return multiply_by_vector(a, b, out);
  const int64_t work = (a.count() + rows) * width;
  parallel_for(
      rows, std::max<int64_t>(1, kGrain * rows / (work + 1)), [=](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          weighted_sum<T>(starts[row], starts[row + 1], at, width, false, out + row * width);
        }
      });
}

// An element of a csr matrix with the row that it is in, for groups by column.
template <class T>
struct ColumnEntry {
  uint32_t row;
  T value;
};

template <class T>
Groups<ColumnEntry<T>> by_column(const SparseParts& a, int64_t columns) {
  const int64_t rows = rows_of(a), *starts = a.pointers(), *column = a.index();
  if (rows > UINT32_MAX) fail("a csr matrix with ", rows, " rows is too large to be transposed");
  const T* values = a.data.data<T>();
  return group_by_key<ColumnEntry<T>>(
      a.count(), columns, [=](int64_t begin, int64_t end, auto put) {
        int64_t row = std::upper_bound(starts, starts + rows + 1, begin) - starts - 1;
        for (int64_t k = begin; k < end; ++k) {
          while (starts[row + 1] <= k) ++row;
          put(column[k], ColumnEntry<T>{static_cast<uint32_t>(row), values[k]});
        }
      });
}

// Group g of the elements goes to row g of `to`, or to that of its column.
template <class T>
void multiply_groups(const Groups<ColumnEntry<T>>& groups, const NDArray& right, bool by_number,
                     const NDArray& to) {
  const auto* entries = groups.entries();
  const int64_t *starts = groups.start(), *keys = groups.key();
  const T* b = right.data<T>();
  T* out = to.data<T>();
  const int64_t width = right.shape()[1], ahead = bytes_ahead<T>(right);
  const int64_t last = starts[groups.count()] - 1;
  const bool past_cache = goes_past_cache(out, to.nbytes());
  const auto row_of = [=](int64_t k) { return b + int64_t{entries[k].payload.row} * width; };
  const auto at = [=](int64_t k) -> Term<T> {
    if (ahead) read_ahead(row_of(std::min(k + kAhead, last)), ahead);
    return {row_of(k), entries[k].payload.value};
  };
  groups.for_each_piece(std::max<int64_t>(1, kGrain / std::max<int64_t>(1, width)),
                        [=](int64_t begin, int64_t end) {
                          for (int64_t g = begin; g < end; ++g) {
                            T* row = out + (by_number ? g : keys[g]) * width;
                            weighted_sum<T>(starts[g], starts[g + 1], at, width, past_cache, row);
                          }
                          if (past_cache) end_past_cache();
                        });
}

// Sums by column for few columns of `b`: not sorted, but added up where their places are. Rows go
// in parts, as many as their number says, each with sums of its own, which are then added in order.
template <class T>
class ColumnSums {
 public:
  // Where that takes less than to sort, and no more memory than the matrix has.
  static bool suits(const SparseParts& a, int64_t columns, int64_t width) {
    return width > 0 && width <= 8 && columns * width <= 2 * a.count();
  }

  ColumnSums(const SparseParts& a, int64_t columns, const NDArray& b)
      : columns_(columns), width_(b.shape()[1]) {
    parts_ = std::clamp<int64_t>(a.count() / std::max(kGrain, 4 * columns * width_), 1, 4);
    sums_ = NDArray::empty({parts_, columns, width_}, dtype_of<T>);
    there_ = NDArray::empty({parts_, columns}, DType::kUint8);
    parallel_for(parts_, 1, [&](int64_t part, int64_t) {
      T* sums = sums_.data<T>() + part * columns * width_;
      uint8_t* there = there_.data<uint8_t>() + part * columns;
      std::fill_n(sums, columns * width_, T(0));
      std::fill_n(there, columns, 0);
      const int64_t begin = part * a.count() / parts_, end = (part + 1) * a.count() / parts_;
      add<T>(a, begin, end, b.data<T>(), sums, there);
    });
    if (parts_ > 1) merge();
  }

  // All sums, into `out`.
  void write(T* out) const { std::copy_n(sums_.data<T>(), columns_ * width_, out); }
  // Those of columns in which there is an element, as rows.
  SparseParts rows() const {
    const T* sums = sums_.data<T>();
    const uint8_t* there = there_.data<uint8_t>();
    const int64_t blocks = (columns_ + kBlock - 1) / kBlock;
    std::vector<int64_t> first(static_cast<size_t>(blocks) + 1);
    parallel_for(blocks, 1, [&](int64_t block, int64_t) {
      const uint8_t* end = there + std::min(columns_, (block + 1) * kBlock);
      first[static_cast<size_t>(block) + 1] = std::count(there + block * kBlock, end, 1);
    });
    std::partial_sum(first.begin(), first.end(), first.begin());
    SparseParts rows;
    rows.indices = NDArray::empty({first.back()}, DType::kInt64);
    rows.data = NDArray::empty({first.back(), width_}, dtype_of<T>);
    auto* index = rows.indices.data<int64_t>();
    T* data = rows.data.template data<T>();
    parallel_for(blocks, 1, [&](int64_t block, int64_t) {
      const int64_t end = first[static_cast<size_t>(block) + 1];
      int64_t row = first[static_cast<size_t>(block)];
      // Without a branch: what is not there is written over by the next one.
      for (int64_t c = block * kBlock; row < end; ++c) {
        index[row] = c;
        for (int64_t j = 0; j < width_; ++j) data[row * width_ + j] = sums[c * width_ + j];
        row += there[c];
      }
    });
    return rows;
  }

 private:
  // The elements [begin, end) of `a`.
  template <class U>
  void add(const SparseParts& a, int64_t begin, int64_t end, const U* b, U* sums,
           uint8_t* there) const {
    const int64_t *starts = a.pointers(), *columns = a.index();
    const U* values = a.data.data<U>();
    int64_t row = std::upper_bound(starts, starts + rows_of(a) + 1, begin) - starts - 1;
    for (int64_t k = begin; k < end; ++row) {
      const U* factors = b + row * width_;
      for (const int64_t last = std::min(end, starts[row + 1]); k < last; ++k) {
        const int64_t column = columns[k];
        there[column] = 1;
        U* to = sums + column * width_;
        to[0] += values[k] * factors[0];
        for (int64_t j = 1; j < width_; ++j) to[j] += values[k] * factors[j];
      }
    }
  }
  // The other parts into the first.
  void merge() {
    T* sums = sums_.data<T>();
    uint8_t* there = there_.data<uint8_t>();
    const int64_t size = columns_ * width_;
    parallel_for(columns_, kBlock, [=, this](int64_t begin, int64_t end) {
      for (int64_t part = 1; part < parts_; ++part) {
        const T* more = sums + part * size;
        for (int64_t i = begin * width_; i < end * width_; ++i) sums[i] += more[i];
        const uint8_t* too = there + part * columns_;
        for (int64_t c = begin; c < end; ++c) there[c] = static_cast<uint8_t>(there[c] | too[c]);
      }
    });
  }

  static constexpr int64_t kBlock = 1 << 13;  // columns
  int64_t columns_, width_, parts_;
  NDArray sums_, there_;
};

SparseParts widened(const SparseParts& a) {
  SparseParts wide = a;
  wide.data = mxtape::widened(a.data);
  return wide;
}

NDArray narrowed(const NDArray& wide, DType dtype) {
  const NDArray narrow = NDArray::empty(wide.shape(), dtype);
  convert_in_parallel(wide.dtype(), wide.bytes(), dtype, narrow.bytes(), wide.size());
  return narrow;
}

}  // namespace

void multiply_rows(const SparseParts& a, const NDArray& b, const NDArray& out) {
  const SparseParts left = widened(a);
  const NDArray right = mxtape::widened(b);
  const WideOutput result(out);
  dispatch<SingleOrDouble>(right.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    multiply_rows<T>(left, right, result.template data<T>());
  });
  result.finish();
}

SparseParts multiply_columns(const SparseParts& a, int64_t columns, const NDArray& b) {
  const SparseParts left = widened(a);
  const NDArray right = mxtape::widened(b);
  SparseParts product;
  dispatch<SingleOrDouble>(right.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (ColumnSums<T>::suits(a, columns, b.shape()[1])) {
      product = ColumnSums<T>(left, columns, right).rows();
      if (b.dtype() != right.dtype()) product.data = narrowed(product.data, b.dtype());
      return;
    }
    const Groups<ColumnEntry<T>> groups = by_column<T>(left, columns);
    product.indices = groups.keys;
    product.data = NDArray::empty({groups.count(), b.shape()[1]}, b.dtype());
    const WideOutput result(product.data);
    multiply_groups<T>(groups, right, true, result.array());
    result.finish();
  });
  return product;
}

void multiply_columns(const SparseParts& a, const NDArray& b, const NDArray& out) {
  const SparseParts left = widened(a);
  const NDArray right = mxtape::widened(b);
  const WideOutput result(out);
  dispatch<SingleOrDouble>(right.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (ColumnSums<T>::suits(a, out.shape()[0], b.shape()[1])) {
      return ColumnSums<T>(left, out.shape()[0], right).write(result.template data<T>());
    }
    fill_zero(result.array());
    multiply_groups<T>(by_column<T>(left, out.shape()[0]), right, false, result.array());
  });
  result.finish();
}

SparseParts take_csr_rows(const SparseParts& a, const int64_t* rows, int64_t count) {
  SparseParts taken;
  taken.canonical = a.canonical;
  taken.indptr = NDArray::empty({count + 1}, DType::kInt64);
  const int64_t* from = a.pointers();
  int64_t* to = taken.indptr.data<int64_t>();
  to[0] = 0;
  for (int64_t k = 0; k < count; ++k) to[k + 1] = to[k] + from[rows[k] + 1] - from[rows[k]];
  taken.indices = NDArray::empty({to[count]}, DType::kInt64);
  taken.data = NDArray::empty({to[count]}, a.data.dtype());
  const size_t item = item_size(a.data.dtype());
  const int64_t *columns = a.index(),
                grain = std::max<int64_t>(1, (1 << 15) * (count + 1) / (to[count] + count + 1));
  const char* values = a.data.bytes();
  int64_t* new_columns = taken.indices.data<int64_t>();
  char* new_values = taken.data.bytes();
  parallel_for(count, grain, [=](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const int64_t first = from[rows[k]], size = to[k + 1] - to[k];
      std::copy_n(columns + first, size, new_columns + to[k]);
      std::copy_n(values + static_cast<size_t>(first) * item, static_cast<size_t>(size) * item,
                  new_values + static_cast<size_t>(to[k]) * item);
    }
  });
  return taken;
}

SparseParts keep_columns(const SparseParts& a, const RowPlaces& kept) {
  const int64_t rows = rows_of(a), *from = a.pointers(), *columns = a.index();
  SparseParts left;
  left.canonical = a.canonical;
  left.indptr = NDArray::empty({rows + 1}, DType::kInt64);
  int64_t* to = left.indptr.data<int64_t>();
  to[0] = 0;
  const int64_t grain = std::max<int64_t>(1, (1 << 14) * (rows + 1) / (a.count() + rows + 1));
  parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      to[row + 1] = std::count_if(columns + from[row], columns + from[row + 1],
                                  [&](int64_t column) { return kept(column) >= 0; });
    }
  });
  std::partial_sum(to, to + rows + 1, to);
  left.indices = NDArray::empty({to[rows]}, DType::kInt64);
  left.data = NDArray::empty({to[rows]}, a.data.dtype());
  int64_t* new_columns = left.indices.data<int64_t>();
  dispatch<ElementTypes>(a.data.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* values = a.data.data<T>();
    T* new_values = left.data.data<T>();
    parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
      int64_t next = to[begin];
      for (int64_t k = from[begin]; k < from[end]; ++k) {
        const int64_t place = kept(columns[k]);
        if (place < 0) continue;
        new_columns[next] = place;
        new_values[next++] = values[k];
      }
    });
  });
  return left;
}

}  // namespace mxtape

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

template <class T>
void multiply_rows(const SparseParts& a, const NDArray& right, T* out) {
  const int64_t rows = rows_of(a), *starts = a.pointers(), *columns = a.index();
  const T *values = a.data.data<T>(), *b = right.data<T>();
  const int64_t width = right.shape()[1], last = a.count() - 1, ahead = bytes_ahead<T>(right);
  const auto at = [=](int64_t k) -> Term<T> {
    if (ahead) read_ahead(b + columns[std::min(k + kAhead, last)] * width, ahead);
    return {b + columns[k] * width, values[k]};
  };
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

SparseParts widened(const SparseParts& a) {
  SparseParts wide = a;
  wide.data = mxtape::widened(a.data);
  return wide;
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
  fill_zero(result.array());
  dispatch<SingleOrDouble>(right.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
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

#pragma once

#include <algorithm>
#include <cstring>

#include "core/ndarray.h"
#include "core/sparse.h"
#include "runtime/parallel.h"

namespace mxtape {

// Where the rows of a matrix are among those that a row_sparse array has. By a table, or by
// bisection where few rows are asked for.
class RowPlaces {
 public:
  // Of an array with `extent` rows, for about so many questions.
  RowPlaces(const SparseParts& parts, int64_t extent, int64_t questions)
      : rows_(parts.indices), count_(parts.count()), all_(count_ == extent) {
    if (all_ || extent / 16 > count_ + questions) return;
    table_ = NDArray::empty({extent}, DType::kInt64);
    auto* table = table_.data<int64_t>();
    std::fill_n(table, extent, -1);
    for (int64_t k = 0; k < count_; ++k) table[rows_.data<int64_t>()[k]] = k;
  }

  // The place of `row`, which is in range, or -1.
  int64_t operator()(int64_t row) const {
    if (all_) return row;
    if (table_.defined()) return table_.data<int64_t>()[row];
    const int64_t *first = rows_.data<int64_t>(), *last = first + count_;
    const int64_t* found = std::lower_bound(first, last, row);
    return found != last && *found == row ? found - first : -1;
  }

 private:
  NDArray rows_, table_;
  int64_t count_;
  bool all_;
};

// Row k of `count` in `out` is row place(k) of `from`; zeros where that is -1.
template <class Place>
void copy_rows(const NDArray& from, const NDArray& out, int64_t count, const Place& place) {
  if (out.size() == 0) return;
  const size_t bytes = out.nbytes() / static_cast<size_t>(count);
  const char* in = from.bytes();
  char* to = out.bytes();
  const auto grain = std::max<int64_t>(1, (int64_t{1} << 16) / static_cast<int64_t>(bytes));
  parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const int64_t at = place(k);
      char* row = to + static_cast<size_t>(k) * bytes;
      if (at < 0) {
        std::memset(row, 0, bytes);
      } else {
        std::memcpy(row, in + static_cast<size_t>(at) * bytes, bytes);
      }
    }
  });
}

// The rows `positions` of a row_sparse array with `rows` rows; zeros for those that are not there.
void gather_sparse_rows(const SparseParts& parts, int64_t rows, const NDArray& positions,
                        const NDArray& out);

}  // namespace mxtape

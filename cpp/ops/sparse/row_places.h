#pragma once

#include <algorithm>

#include "core/ndarray.h"
#include "core/sparse.h"

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

// The rows `positions` of a row_sparse array with `rows` rows; zeros for those that are not there.
void gather_sparse_rows(const SparseParts& parts, int64_t rows, const NDArray& positions,
                        const NDArray& out);

}  // namespace mxtape

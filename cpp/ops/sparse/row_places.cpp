#include "ops/sparse/row_places.h"

namespace mxtape {

void gather_sparse_rows(const SparseParts& parts, int64_t rows, const NDArray& positions,
                        const NDArray& out) {
  const int64_t count = positions.size(), *row = positions.data<int64_t>();
  const RowPlaces places(parts, rows, count);
  copy_rows(parts.data, out, count, [&](int64_t k) { return places(row[k]); });
}

}  // namespace mxtape

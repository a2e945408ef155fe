#include "ops/sparse/row_places.h"

#include <algorithm>
#include <cstring>

#include "runtime/parallel.h"

namespace mxtape {

void gather_sparse_rows(const SparseParts& parts, int64_t rows, const NDArray& positions,
                        const NDArray& out) {
  if (out.size() == 0) return;
  const int64_t count = positions.size(), *at = positions.data<int64_t>();
  const auto bytes = out.nbytes() / static_cast<size_t>(count);
  const RowPlaces places(parts, rows, count);
  const char* from = parts.data.bytes();
  char* to = out.bytes();
  const auto grain = std::max<int64_t>(1, (int64_t{1} << 16) / static_cast<int64_t>(bytes));
  parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const int64_t place = places(at[k]);
      char* row = to + static_cast<size_t>(k) * bytes;
      if (place < 0) {
        std::memset(row, 0, bytes);
      } else {
        std::memcpy(row, from + static_cast<size_t>(place) * bytes, bytes);
      }
    }
  });
}

}  // namespace mxtape

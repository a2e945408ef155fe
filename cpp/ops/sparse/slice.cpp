#include "ops/shape/slice.h"

#include <algorithm>
#include <numeric>

#include "op/declare.h"
#include "op/sparse.h"
#include "runtime/parallel.h"

namespace mxtape {
namespace {

using enum StorageType;

// Whether no axis is walked in steps: such a part of a csr array is one.
bool is_block(const SparseMatch& match) {
  const auto& step = match.params<SliceParams>().step;
  return std::all_of(step.begin(), step.end(), [](auto s) { return s.value_or(1) == 1; });
}

struct Block {
  int64_t row, column, rows, columns;
};

Block block_of(const SparseCall& call) {
  const Shape& in = call.in(0).shape();
  const SliceRange range = slice_range(in, call.params<SliceParams>(), call.op().name);
  const int64_t offset = range.walk.offset, width = std::max<int64_t>(1, in[1]);
  return {offset / width, offset % width, range.shape[0], range.shape[1]};
}

// All columns of some rows: their elements lie in one place.
SparseParts slice_rows(const SparseParts& parts, int64_t begin, int64_t count) {
  const int64_t* from = parts.pointers() + begin;
  const int64_t first = from[0], size = from[count] - first;
  SparseParts block;
  block.canonical = parts.canonical;
  block.indptr = NDArray::empty({count + 1}, DType::kInt64);
  auto* to = block.indptr.data<int64_t>();
  for (int64_t row = 0; row <= count; ++row) to[row] = from[row] - first;
  // The elements are shared.
  block.indices = parts.indices.rows(first, first + size);
  block.data = parts.data.rows(first, first + size);
  return block;
}

SparseParts slice_columns(const SparseParts& parts, const Block& b) {
  const int64_t *from = parts.pointers(), *columns = parts.index();
  const int64_t begin = b.column, end = b.column + b.columns;
  SparseParts block;
  block.canonical = parts.canonical;
  block.indptr = NDArray::empty({b.rows + 1}, DType::kInt64);
  auto* to = block.indptr.data<int64_t>();
  to[0] = 0;
  const auto inside = [=](int64_t column) { return column >= begin && column < end; };
  for (int64_t row = 0; row < b.rows; ++row) {
    to[row + 1] = to[row] + std::count_if(columns + from[row], columns + from[row + 1], inside);
  }
  block.indices = NDArray::empty({to[b.rows]}, DType::kInt64);
  block.data = NDArray::empty({to[b.rows]}, parts.data.dtype());
  auto* new_columns = block.indices.data<int64_t>();
  dispatch<ElementTypes>(parts.data.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* values = parts.data.data<T>();
    T* new_values = block.data.data<T>();
    int64_t next = 0;
    for (int64_t k = from[0]; k < from[b.rows]; ++k) {
      if (!inside(columns[k])) continue;
      new_columns[next] = columns[k] - begin;
      new_values[next++] = values[k];
    }
  });
  return block;
}

void slice_csr(SparseCall& call) {
  const Block block = block_of(call);
  const SparseParts rows = slice_rows(call.parts(0), block.row, block.rows);
  const bool whole = block.columns == call.in(0).shape()[1];
  call.result(0, whole ? rows : slice_columns(rows, block));
}

const SparseRows slice_rows_of_csr({"slice"}, {{{kCsr}, kCsr, slice_csr, is_block}});

}  // namespace
}  // namespace mxtape

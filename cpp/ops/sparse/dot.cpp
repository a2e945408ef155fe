#include <algorithm>

#include "op/common_params.h"
#include "op/declare.h"
#include "op/sparse.h"
#include "ops/shared/strided.h"
#include "ops/sparse/products.h"

// dot() of matrices of which one is sparse.
namespace mxtape {
namespace {

using enum StorageType;
using Wanted = ResultStorage;

void transpose(const NDArray& matrix, const NDArray& out) {
  const int64_t rows = matrix.shape()[0], columns = matrix.shape()[1];
  if (out.size() == 0) return;
  Strided walk;
  walk.axis(columns, 1);
  walk.axis(rows, columns);
  gather_strided(matrix, walk, out);
}
NDArray transposed(const NDArray& matrix) {
  const NDArray out = NDArray::empty({matrix.shape()[1], matrix.shape()[0]}, matrix.dtype());
  transpose(matrix, out);
  return out;
}
NDArray transposed_if(bool condition, const NDArray& matrix) {
  return condition ? transposed(matrix) : matrix;
}

// An array as a matrix: its first axis and the others, or the others and its last.
NDArray as_matrix(const NDArray& array, bool first = true) {
  const Shape& shape = array.shape();
  const int split = first ? 1 : shape.ndim() - 1;
  return array.viewed({shape.product(0, split), shape.product(split, shape.ndim())});
}

// ---- csr on the left

// The right side's rows: of a dense matrix, or those that a row_sparse one has. Then `left` has
// only what meets them.
NDArray right_side(const SparseCall& call, SparseParts& left) {
  const auto& p = call.params<DotParams>();
  if (call.storage(1) == kDense) {
    return transposed_if(p.transpose_b, as_matrix(call.in(1), !p.transpose_b));
  }
  const SparseParts& right = call.parts(1);
  const int64_t rows = call.in(1).shape()[0];
  if (right.count() < rows) {
    left = p.transpose_a ? take_csr_rows(left, right.index(), right.count())
                         : keep_columns(left, RowPlaces(right, rows, left.count()));
  }
  return as_matrix(right.data);
}

void csr_to_dense(SparseCall& call) {
  SparseParts left = call.parts(0);
  const NDArray right = right_side(call, left);
  const NDArray out = as_matrix(call.dense_out());
  if (call.params<DotParams>().transpose_a) {
    multiply_columns(left, right, out);
  } else {
    multiply_rows(left, right, out);
  }
}

void csr_to_row_sparse(SparseCall& call) {
  SparseParts left = call.parts(0);
  const NDArray right = right_side(call, left);
  SparseParts product = multiply_columns(left, call.in(0).shape()[1], right);
  Shape shape = call.output().shape;
  shape[0] = product.count();
  product.data = product.data.viewed(shape);
  call.result(0, std::move(product));
}

// ---- csr on the right: (a b)^T is b^T a^T

NDArray left_columns(const SparseCall& call) {
  return transposed_if(!call.params<DotParams>().transpose_a, call.in(0));
}

void dense_by_csr(SparseCall& call) {
  const NDArray columns = left_columns(call);
  const Shape& shape = call.output().shape;
  const NDArray product = NDArray::empty({shape[1], shape[0]}, call.output().dtype);
  if (call.params<DotParams>().transpose_b) {
    multiply_rows(call.parts(1), columns, product);
  } else {
    multiply_columns(call.parts(1), columns, product);
  }
  transpose(product, call.dense_out());
}

// Each row of the product has the columns that are somewhere in the right side.
void dense_by_csr_to_csr(SparseCall& call) {
  const int64_t rows = call.output().shape[0];
  const SparseParts columns =
      multiply_columns(call.parts(1), call.output().shape[1], left_columns(call));
  const int64_t count = columns.count();
  SparseParts product;
  product.data = transposed(columns.data).viewed({rows * count});
  product.indices = NDArray::empty({rows * count}, DType::kInt64);
  product.indptr = NDArray::empty({rows + 1}, DType::kInt64);
  auto *index = product.indices.data<int64_t>(), *pointers = product.indptr.data<int64_t>();
  for (int64_t row = 0; row < rows; ++row) std::copy_n(columns.index(), count, index + row * count);
  for (int64_t row = 0; row <= rows; ++row) pointers[row] = row * count;
  call.result(0, std::move(product));
}

// ---- csr on both sides: the smaller matrix as a dense one

void csr_by_csr(SparseCall& call) {
  DotParams p = call.params<DotParams>();
  p.forward_stype = Wanted::kDefault;
  const NDArray &left = call.in(0), &right = call.in(1);
  call.result(0, left.size() < right.size() ? fn::dot(in_dense(left), right, p)
                                            : fn::dot(left, in_dense(right), p));
}

bool gives_dense(const SparseMatch& match) {
  const auto& p = match.params<DotParams>();
  return p.forward_stype == Wanted::kDefault || p.forward_stype == Wanted::kNone;
}

// ---- results of other types

template <StorageType type>
void through_dense(SparseCall& call) {
  DotParams p = call.params<DotParams>();
  p.forward_stype = Wanted::kDefault;
  call.result(0, cast_storage(fn::dot(call.in(0), call.in(1), p), type));
}

template <Wanted wanted>
bool asks_for(const SparseMatch& match) {
  return match.params<DotParams>().forward_stype == wanted && !match.all({kDense});
}

// What MXNet's kernels give where nothing is asked for: row_sparse for csr^T times rows, csr for a
// dense matrix times csr.
bool left_gives_dense(const SparseMatch& match) {
  const auto& p = match.params<DotParams>();
  if (match.storage(1) == kRowSparse && p.transpose_b) return false;
  return p.forward_stype == Wanted::kDefault ||
         (p.forward_stype == Wanted::kNone && (!p.transpose_a || p.transpose_b));
}
bool left_gives_row_sparse(const SparseMatch& match) {
  const auto& p = match.params<DotParams>();
  if (match.storage(1) == kRowSparse && p.transpose_b) return false;
  return p.transpose_a && (p.forward_stype == Wanted::kRowSparse ||
                           (p.forward_stype == Wanted::kNone && !p.transpose_b));
}
bool right_gives_dense(const SparseMatch& match) {
  const auto& p = match.params<DotParams>();
  return p.forward_stype == Wanted::kDefault || (p.forward_stype == Wanted::kNone && p.transpose_a);
}
bool right_gives_csr(const SparseMatch& match) {
  const auto& p = match.params<DotParams>();
  return !p.transpose_a && !p.transpose_b &&
         (p.forward_stype == Wanted::kCsr || p.forward_stype == Wanted::kNone);
}
bool right_is_cast(const SparseMatch& match) {
  const auto& p = match.params<DotParams>();
  return !p.transpose_a && p.transpose_b && p.forward_stype == Wanted::kNone;
}

const SparseRows dot_rows(
    {"dot"}, {{{kCsr, kDense}, kDense, csr_to_dense, left_gives_dense},
              {{kCsr, kDense}, kRowSparse, csr_to_row_sparse, left_gives_row_sparse},
              {{kCsr, kRowSparse}, kDense, csr_to_dense, left_gives_dense},
              {{kCsr, kRowSparse}, kRowSparse, csr_to_row_sparse, left_gives_row_sparse},
              {{kCsr, kCsr}, kDense, csr_by_csr, gives_dense, true},
              {{kDense, kCsr}, kDense, dense_by_csr, right_gives_dense},
              {{kDense, kCsr}, kCsr, dense_by_csr_to_csr, right_gives_csr},
              {{kDense, kCsr}, kCsr, through_dense<kCsr>, right_is_cast, true},
              {{}, kCsr, through_dense<kCsr>, asks_for<Wanted::kCsr>, true},
              {{}, kRowSparse, through_dense<kRowSparse>, asks_for<Wanted::kRowSparse>, true}});

}  // namespace
}  // namespace mxtape

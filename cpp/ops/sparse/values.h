#pragma once

#include <initializer_list>

#include "op/sparse.h"

// What kernels for sparse arrays share: the dense operator, run over the elements that are there.
namespace mxtape {

// The kernel of `op` over arrays in memory, to a new array of `shape`.
NDArray run_values(const OpSchema& op, const Params* params,
                   std::initializer_list<const NDArray*> inputs, const Shape& shape, DType dtype);
inline NDArray run_values(const SparseCall& call, std::initializer_list<const NDArray*> inputs,
                          const Shape& shape) {
  return run_values(call.op(), call.raw_params().get(), inputs, shape, call.output().dtype);
}

// The parts of input i, each element of a csr array there once.
SparseParts canonical(const SparseCall& call, size_t i);

// The whole call over dense arrays, for what a kernel leaves aside.
void run_through_dense(SparseCall& call);

// a + b for the parts of row_sparse arrays, b after a in what is computed.
SparseParts add_rows(const SparseParts& a, const SparseParts& b);
// Adds a sparse array to a dense one of its shape.
void add_to_dense(const SparseParts& parts, StorageType type, const NDArray& dense);

// How many rows of `size` elements are worth a thread.
inline int64_t rows_per_thread(int64_t size) {
  constexpr int64_t kElements = int64_t{1} << 14;
  return size < kElements ? kElements / (size < 1 ? 1 : size) : 1;
}

}  // namespace mxtape

#pragma once

#include <string_view>

#include "core/ndarray.h"

// Sparse arrays: an NDArray whose storage has parts in the place of memory. Who asks for its memory
// gets an Error.
namespace mxtape {

// How an array is stored. The numbers are MXNet's.
enum class StorageType : int8_t { kUndefined = -1, kDense = 0, kRowSparse = 1, kCsr = 2 };

// "default", "row_sparse" or "csr".
std::string_view storage_name(StorageType type);

inline bool is_sparse(Form form) { return form == Form::kRowSparse || form == Form::kCsr; }
inline bool is_sparse(const NDArray& array) { return is_sparse(array.storage()->form()); }
// What holds examples of a batch or is packed counts as dense.
inline StorageType storage_type(const NDArray& array) {
  switch (array.storage()->form()) {
    case Form::kRowSparse:
      return StorageType::kRowSparse;
    case Form::kCsr:
      return StorageType::kCsr;
    default:
      return StorageType::kDense;
  }
}

// What a sparse array is made of. The parts are dense and row-major, off the tape, and no one but
// the engine sees their memory, so what was checked when they came in stays true:
//
// They are shared: the copy of a sparse array has the same parts. So only writable_data gives
// memory that may be changed.
//
// row_sparse, of shape (rows, ...): `data` has shape (n, ...), `indices` the n rows that are there,
// ascending, none twice. The elements of all other rows are 0.
// csr, of shape (rows, columns): row i has the elements data[k] in the columns indices[k], for k
// from indptr[i] to indptr[i + 1]. Columns are in range; if `canonical`, they ascend within each
// row and none is there twice. Else equal ones count as their sum.
//
// `indices` and `indptr` are int64. `data` has the array's dtype.
struct SparseParts {
  NDArray data, indices, indptr;
  bool canonical = true;

  int64_t count() const { return indices.size(); }  // of rows, or of elements
  const int64_t* index() const { return indices.data<int64_t>(); }
  const int64_t* pointers() const { return indptr.data<int64_t>(); }
  size_t nbytes() const {
    return data.nbytes() + indices.nbytes() + (indptr.defined() ? indptr.nbytes() : 0);
  }
};

// The parts of a sparse array, by handle: they stay as they are when others take their place.
SparseParts parts_of(const NDArray& sparse);

// An array of `shape` that is made of `parts`, which are right: see check_parts.
NDArray make_sparse(StorageType type, const Shape& shape, SparseParts parts);
// One without elements.
NDArray empty_sparse(StorageType type, const Shape& shape, DType dtype);
SparseParts no_parts(StorageType type, const Shape& shape, DType dtype);

// Raises an Error, which begins with `what`, where an array of this type cannot have this shape.
void check_shape(std::string_view what, StorageType type, const Shape& shape);
// Raises an Error, which begins with `what`, where parts from outside are not those of an array of
// `shape`: shapes, dtypes, what is out of range, rows that do not ascend. Sets parts.canonical.
void check_parts(std::string_view what, StorageType type, const Shape& shape, SparseParts& parts);

// Puts `parts` in the place of what `sparse` was made of. Counts as a write.
void replace_parts(const NDArray& sparse, SparseParts parts);

// The `data` of a sparse array, to be written to in place: parts are shared between arrays, and
// what others hold is copied first. Who writes marks the array written.
NDArray writable_data(const NDArray& sparse);

}  // namespace mxtape

#pragma once

#include "core/ndarray.h"
#include "core/sparse.h"
#include "ops/sparse/row_places.h"

// Products of matrices in sparse storage. Elements of float16 and bfloat16 are computed in float32.
// Sums go through a row in the order in which it is stored, through a column from the top: their
// bits do not depend on how many threads there are.
namespace mxtape {

// A csr matrix times a dense one with its columns as rows: out = a b.
void multiply_rows(const SparseParts& a, const NDArray& b, const NDArray& out);

// The transpose of a csr matrix of `columns` columns times a dense one: the rows that may not be
// zero, by the columns that are in `a`.
SparseParts multiply_columns(const SparseParts& a, int64_t columns, const NDArray& b);
// The same with all rows.
void multiply_columns(const SparseParts& a, const NDArray& b, const NDArray& out);

// Some rows of a csr matrix, in this order, as the parts of another.
SparseParts take_csr_rows(const SparseParts& a, const int64_t* rows, int64_t count);
// A csr matrix without the columns that are not kept; the places of the others take their place.
SparseParts keep_columns(const SparseParts& a, const RowPlaces& kept);

}  // namespace mxtape

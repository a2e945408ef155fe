#pragma once

#include "core/ndarray.h"

namespace mxtape::python {

// Whether NumPy's shapes are on in this thread: an element has no dimensions then, not one.
bool& np_shape();

// Each call makes a new handle: one that was not recorded is a constant, also where it shows all of
// the array.

// x.reshape(shape): a view, recorded as a reshape.
NDArray shape_view(const NDArray& x, const Shape& shape);
// x[index] of the leading axis: a view, recorded as a slice and a reshape. IndexError when it is
// outside.
NDArray row_view(const NDArray& x, int64_t index);
// x[begin:end] of the leading axis: a view, recorded as a slice.
NDArray rows_view(const NDArray& x, int64_t begin, int64_t end);

}  // namespace mxtape::python

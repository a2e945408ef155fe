#pragma once

#include <span>

#include "core/ndarray.h"

namespace mxtape {

// A walk over the elements of a block of memory: the extents and, for each axis, the distance in
// elements between neighbours. A distance is 0 along a repeated axis and negative along a reversed
// one.
struct Strided {
  Ints extents;
  Ints strides;
  int64_t offset = 0;  // in elements, of the walk's first element

  void axis(int64_t extent, int64_t stride) {
    extents.push_back(extent);
    strides.push_back(stride);
  }
};

// The distances between neighbours of a dense row-major array.
Ints dense_strides(const Shape& shape);

// All of `array`, in order.
Strided dense(const NDArray& array);

// Element k of the walk over `from` goes to element k of the walk over `to`; both walks have the
// same extents, and `to` visits no element twice. Moves bits, of any dtype, in parallel.
void copy_strided(const NDArray& from, const Strided& source, const NDArray& to,
                  const Strided& target);

// The elements of `from` that `source` visits, in order, as the dense array `to`.
void gather_strided(const NDArray& from, const Strided& source, const NDArray& to);

// Every byte of the array zero.
void fill_zero(const NDArray& array);

}  // namespace mxtape

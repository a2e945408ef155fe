#pragma once

#include <vector>

#include "op/functional.h"

namespace mxtape {

class NDArray;

// What the elements of a window are divided by. kPadded: by the window's size where it overlaps the
// padded data; kInside: the data itself.
enum class PoolDivisor : int32_t { kOne, kKernel, kPadded, kInside };

// Windows over the spatial axes of an array, described in full: the parameters of the internal
// operators that are each other's gradients.
struct PoolGeometry {
  Ints data_shape, out_shape;
  // One for each spatial axis. Without a kernel window i of n over size elements covers
  // [i * size / n, (i + 1) * size / n), rounded outward.
  Ints kernel, stride, pad;
  PoolDivisor divisor = PoolDivisor::kOne;
  bool channels_last = false;
  template <class V>
  void visit(V& v) {
    v("data_shape", data_shape, "Shape of what is pooled.");
    v("out_shape", out_shape, "Shape of the result of pooling.");
    v("kernel", kernel, "Window along each spatial axis; empty for windows that divide the data.");
    v("stride", stride, "Distance of windows.");
    v("pad", pad, "Padding on both sides.");
    v("divisor", divisor, "What sums are divided by.", {"one", "kernel", "padded", "inside"});
    v("channels_last", channels_last, "Whether channels are the last axis, not the second.");
  }
};
namespace fn {
extern const Op<PoolGeometry> pool_sum, pool_sum_adjoint, pool_max_scatter, pool_max_gather;
}

// max(data), with the positions of the maxima in their planes when `positions` is not null: the
// first ones in row-major order, -1 for a window that lies outside.
void pool_max(const PoolGeometry& geometry, const NDArray& data, const NDArray& out,
              const NDArray* positions);
// out[positions] += head, and its adjoint out = head[positions].
void pool_max_scatter(const PoolGeometry& geometry, const NDArray& head, const NDArray& positions,
                      const NDArray& out);
void pool_max_gather(const PoolGeometry& geometry, const NDArray& head, const NDArray& positions,
                     const NDArray& out);
// Sums over windows, divided as the geometry says, and the adjoint.
void pool_sum(const PoolGeometry& geometry, const NDArray& data, const NDArray& out);
void pool_sum_adjoint(const PoolGeometry& geometry, const NDArray& head, const NDArray& out);
// (sum of data^p)^(1/p) for p 2 or 3.
void pool_lp(const PoolGeometry& geometry, const NDArray& data, const NDArray& out, int64_t p);

}  // namespace mxtape

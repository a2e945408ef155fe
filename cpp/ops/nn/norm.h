#pragma once

#include "core/ndarray.h"
#include "ops/nn/softmax.h"

// What LayerNorm, GroupNorm, InstanceNorm and L2Normalization share. Each works on runs of `n`
// elements: x^ = (x - mean) / s, where s = sqrt(mean((x - mean)^2) + eps); where `center` is off,
// x^ = x / s with s = sqrt(sum(x^2) + eps).
namespace mxtape {

struct Normalization {
  AxisView view;  // the runs; their order is (outer, inner)
  double eps = 0;
  bool center = true;
  // How many elements gamma and beta have: one for each element of a run (0), or one for each of
  // `groups` runs in turn.
  int64_t groups = 0;
};

// y = x^ * gamma + beta; gamma, beta, mean and s may be null.
void normalize(const Normalization& norm, const NDArray& x, const NDArray* gamma,
               const NDArray* beta, const NDArray& y, const NDArray* mean, const NDArray* s);

// The gradients of normalize() from the head gradient of y; those of gamma and beta may be null,
// with gamma.
void normalize_backward(const Normalization& norm, const NDArray& head, const NDArray& x,
                        const NDArray* gamma, const NDArray& dx, const NDArray* dgamma,
                        const NDArray* dbeta);

}  // namespace mxtape

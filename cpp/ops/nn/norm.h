#pragma once

#include "core/ndarray.h"
#include "ops/shared/axis_view.h"

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

// x^ and s as functions of x, composed of public operators and so differentiable again: what the
// gradients of these layers are differentiated to. `axes` are those of a run.
struct Normalized {
  NDArray hat, s;
  Ints axes;
  bool center;

  Normalized(const NDArray& x, Ints axes, double eps, bool center);
  // The mean of each run; its sum where nothing is centered.
  NDArray fold(const NDArray& v) const;
  // The derivative of x^ applied to v; the matrix is symmetric.
  NDArray project(const NDArray& v) const;
  // The gradient with respect to x of sum(a * project(w)).
  NDArray curvature(const NDArray& a, const NDArray& w) const;
};

}  // namespace mxtape

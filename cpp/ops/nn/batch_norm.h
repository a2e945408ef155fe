#pragma once

#include "core/ndarray.h"
#include "ops/shared/axis_view.h"

namespace mxtape {

// Here a view's axis counts channels: each has statistics of its own, over `outer` blocks of
// `inner` contiguous elements.

// y = gamma * (x - mean) / sqrt(var + eps) + beta, clamped at 0 with `relu`. With `batch`, mean and
// var are first computed from x: var is the mean of squared deviations.
struct NormForward {
  const double *gamma, *beta;
  double eps;
  bool batch, relu;
  double *mean, *var;
};
void normalize_channels(const NDArray& x, const NDArray& y, const AxisView& view,
                        const NormForward& norm);

// The gradients of that. With `batch`, mean and istd = 1 / sqrt(var + eps) depend on x.
struct NormBackward {
  const double *gamma, *mean, *istd;
  bool batch;
  double *dgamma, *dbeta;
};
void normalize_channels_backward(const NDArray& head, const NDArray& x, const NDArray& dx,
                                 const AxisView& view, const NormBackward& norm);

}  // namespace mxtape

#pragma once

#include "core/ndarray.h"

namespace mxtape {

// How normalisation walks an array: `channels` statistics, each of `outer` blocks of `inner`
// contiguous elements.
struct ChannelView {
  int64_t outer = 1, channels = 1, inner = 1;
  ChannelView(const Shape& shape, int axis)
      : outer(shape.product(0, axis)),
        channels(shape[axis]),
        inner(shape.product(axis + 1, shape.ndim())) {
    if (channels == 1) {
      inner *= outer;
      outer = 1;
    }
  }
  // Elements of one channel.
  int64_t count() const { return outer * inner; }
};

// y = gamma * (x - mean) / sqrt(var + eps) + beta, clamped at 0 with `relu`. With `batch`, mean and
// var are first computed from x: var is the mean of squared deviations.
struct NormForward {
  const double *gamma, *beta;
  double eps;
  bool batch, relu;
  double *mean, *var;
};
void normalize_channels(const NDArray& x, const NDArray& y, const ChannelView& view,
                        const NormForward& norm);

// The gradients of that. With `batch`, mean and istd = 1 / sqrt(var + eps) depend on x.
struct NormBackward {
  const double *gamma, *mean, *istd;
  bool batch;
  double *dgamma, *dbeta;
};
void normalize_channels_backward(const NDArray& head, const NDArray& x, const NDArray& dx,
                                 const ChannelView& view, const NormBackward& norm);

}  // namespace mxtape

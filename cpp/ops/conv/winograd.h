#pragma once

#include "ops/conv/convolution.h"

// Convolutions in float32 by kernels of 3 x 3 that move by one, with fewer multiplications than the
// definition has. False where the geometry is another, or too small to gain, and where a result is
// not finite: infinities come out as NaN, and what was written so far is of no use.
namespace mxtape::winograd {

bool convolve(const ConvGeometry& g, const float* data, const float* weight, const float* bias,
              float* head);
bool convolve_to_data(const ConvGeometry& g, const float* head, const float* weight,
                      const float* bias, float* data);
bool convolve_to_weight(const ConvGeometry& g, const float* head, const float* data, float* weight);

}  // namespace mxtape::winograd

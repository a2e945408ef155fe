#pragma once

#include "ops/conv/convolution.h"

namespace mxtape::onednn {

// The maps of ops/conv/convolution.h in float32. They return false, and have done nothing, where
// oneDNN is off or has no fast kernel for the geometry.
bool convolve(const ConvGeometry& g, const float* data, const float* weight, const float* bias,
              float* head);
bool convolve_to_data(const ConvGeometry& g, const float* head, const float* weight,
                      const float* bias, float* data);
bool convolve_to_weight(const ConvGeometry& g, const float* head, const float* data, float* weight);

}  // namespace mxtape::onednn

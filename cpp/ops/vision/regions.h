#pragma once

#include "op/schema.h"

namespace mxtape {

// Checks the values of regions, the rows of input `rois`: the first number of each names one of
// `images` images. A negative one, which pools to 0, is allowed for some operators.
void check_regions(const CheckCall& call, size_t rois, int64_t images,
                   bool negative_allowed = false);

}  // namespace mxtape

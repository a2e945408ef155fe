#include "op/batch.h"

// How operators on images run over a batch: most see a batch of images already.
namespace mxtape {
namespace {

// One image, or a batch of them.
void one_or_more(BatchCall& call) {
  if (call.ndim(0) == 3) return batch::in_front(call);
  batch::merge_leading(call);
}

const BatchRules rules{
    {"BilinearSampler", batch::merge_leading},
    {"_bilinear_sample", batch::merge_leading},
    {"_backward_bilinear_data", batch::merge_leading},
    {"_backward_bilinear_grid", batch::merge_leading},
    {"GridGenerator", batch::merge_leading},
    {"SpatialTransformer", batch::merge_leading},
    {"_resize_bilinear", batch::merge_leading},
    {"_backward_resize_bilinear", batch::merge_leading},
    {"Correlation", batch::merge_leading},
    {"_correlation_signs", batch::merge_leading},
    {"_backward_Correlation", batch::merge_leading},
    {"_image_normalize", one_or_more},
    {"_image_crop", one_or_more},
    {"_image_resize", one_or_more},
    {"_image_to_tensor", one_or_more},
};

}  // namespace
}  // namespace mxtape

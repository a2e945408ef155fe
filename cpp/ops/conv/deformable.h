#pragma once

#include "core/ndarray.h"
#include "ops/conv/window.h"

// The matrices that deformable convolutions multiply: as im2col's, but sampled between the pixels,
// each element of the kernel displaced by an offset of its own.
namespace mxtape {

// The offsets, (images, deformable groups * taps * 2, places), hold the vertical displacement of a
// tap, then the horizontal one. Channels are cut into deformable groups, whose offsets they share.
struct DeformableParams : WindowParams {
  int64_t num_deformable_group = 1;
  // What lies less than a pixel outside: `extend` takes the image's last row and column on to the
  // right and below, and nothing elsewhere; otherwise pixels of zero lie around the image.
  bool extend = false;
  // Which derivative by the place of a sample.
  bool dy = false, dx = false;
  template <class V>
  void visit(V& v) {
    WindowParams::visit(v);
    v("num_deformable_group", num_deformable_group, "Groups of channels that share offsets.");
    v("extend", extend, "Whether the last row and column go on for a pixel.");
    v("dy", dy, "Whether to differentiate by the vertical place.");
    v("dx", dx, "Whether to differentiate by the horizontal place.");
  }
};
namespace fn {
extern const Op<DeformableParams> deformable_columns, deformable_offset;
}

struct DeformableDataParams : DeformableParams {
  Ints shape;
  template <class V>
  void visit(V& v) {
    v.required("shape", shape, "Shape of the images that were sampled.");
    DeformableParams::visit(v);
  }
};
namespace fn {
extern const Op<DeformableDataParams> deformable_data;
}

// Fails where the window, images of shape `data` and the offsets, input `offset`, do not fit
// together; their geometry.
ConvGeometry deformable_geometry(const InferCall& call, const WindowParams& window, int64_t groups,
                                 const Shape& data, size_t offset);

// One image of data or more as matrices (images, channels * taps, places): [first, last) of those
// there are. `mask`, (images, groups * taps, places), multiplies the elements; it may be undefined.
void run_deformable_columns(const ConvGeometry& g, const DeformableParams& p, const NDArray& data,
                            const NDArray& offset, const NDArray& mask, int64_t first, int64_t last,
                            void* columns);

}  // namespace mxtape

#pragma once

#include "op/functional.h"
#include "op/schema.h"
#include "ops/conv/convolution.h"

// The parameters that say how a kernel moves over an image: those of convolutions and im2col.
namespace mxtape {

struct WindowParams {
  Ints kernel, stride, dilate, pad;
  template <class V>
  void visit(V& v) {
    v.required("kernel", kernel, "Extents of the kernel: one to three, for as many spatial axes.");
    v("stride", stride, "Step of the kernel along each axis; () for 1.");
    v("dilate", dilate, "Distance between neighbouring elements of the kernel; () for 1.");
    v("pad", pad, "Zeros put before and after each spatial axis; () for 0.");
  }
  int axes() const { return static_cast<int>(kernel.size()); }
};

// Of _backward_Convolution_data and _backward_Convolution_weight.
struct ConvolutionGradParams : WindowParams {
  int64_t num_group = 1;
  Ints shape;
  template <class V>
  void visit(V& v) {
    WindowParams::visit(v);
    v("num_group", num_group, "Groups of channels.");
    v.required("shape", shape, "Shape of the result.");
  }
};
namespace fn {
extern const Op<ConvolutionGradParams> convolution_data, convolution_weight;
}

// Fails where the window does not fit itself: numbers of axes, ranges.
void check_window(const InferCall& call, const WindowParams& window);

// The geometry of a checked window, as yet without images and channels; and with those of `data`,
// where inference has found that it fits.
ConvGeometry window_geometry(const WindowParams& window);
ConvGeometry window_geometry(const WindowParams& window, const Shape& data);

// The last `axes` extents of a shape.
ConvGeometry::Axes spatial_extents(const Shape& shape, int axes);
// `images` and `channels`, followed by the extents along the axes that arrays of `g` have.
Shape with_extents(const ConvGeometry& g, int64_t images, int64_t channels,
                   const ConvGeometry::Axes& extents);

// Distance from the first element of the dilated kernel along an axis to past its last.
inline int64_t kernel_reach(const ConvGeometry& g, size_t axis) {
  return (g.kernel[axis] - 1) * g.dilate[axis] + 1;
}
// Sets g.in, and g.out to the number of places of the kernel; fails where the kernel does not fit.
void place_window(const InferCall& call, ConvGeometry& g, const ConvGeometry::Axes& in);
// The same, where inference has found that it fits.
void place_window(ConvGeometry& g, const ConvGeometry::Axes& in);

}  // namespace mxtape

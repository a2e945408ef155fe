#include "ops/conv/window.h"

#include <algorithm>

namespace mxtape {

namespace fn {
const Op<ConvolutionGradParams> convolution_data{"_backward_Convolution_data"},
    convolution_weight{"_backward_Convolution_weight"};
}  // namespace fn

void check_window(const InferCall& call, const WindowParams& window) {
  const size_t axes = window.kernel.size();
  call.expect(axes >= 1 && axes <= 3, "kernel must have one to three extents");
  const auto check = [&](const char* name, const Ints& values, int64_t least) {
    call.expect(values.empty() || values.size() == axes, name, " must have ", axes,
                " numbers, as kernel has");
    for (const int64_t value : values)
      call.expect(value >= least && value < (int64_t{1} << 31), name, " must be at least ", least);
  };
  check("kernel", window.kernel, 1);
  check("stride", window.stride, 1);
  check("dilate", window.dilate, 1);
  check("pad", window.pad, 0);
}

ConvGeometry window_geometry(const WindowParams& window) {
  ConvGeometry g;
  g.axes = window.axes();
  const auto set = [&](ConvGeometry::Axes& axes, const Ints& values) {
    std::copy(values.begin(), values.end(), axes.end() - static_cast<ptrdiff_t>(values.size()));
  };
  set(g.kernel, window.kernel);
  set(g.stride, window.stride);
  set(g.dilate, window.dilate);
  set(g.pad, window.pad);
  return g;
}

ConvGeometry::Axes spatial_extents(const Shape& shape, int axes) {
  ConvGeometry::Axes extents{1, 1, 1};
  std::copy(shape.end() - axes, shape.end(), extents.end() - axes);
  return extents;
}

Shape with_extents(const ConvGeometry& g, int64_t images, int64_t channels,
                   const ConvGeometry::Axes& extents) {
  Ints dims{images, channels};
  dims.insert(dims.end(), extents.end() - g.axes, extents.end());
  return Shape(dims);
}

void place_window(const InferCall& call, ConvGeometry& g, const ConvGeometry::Axes& in) {
  for (size_t axis = 0; axis < in.size(); ++axis) {
    call.expect(kernel_reach(g, axis) <= in[axis] + 2 * g.pad[axis], "the kernel reaches over ",
                kernel_reach(g, axis), " elements, but there are ", in[axis] + 2 * g.pad[axis],
                " with padding");
  }
  place_window(g, in);
}

void place_window(ConvGeometry& g, const ConvGeometry::Axes& in) {
  g.in = in;
  for (size_t axis = 0; axis < in.size(); ++axis)
    g.out[axis] = (in[axis] + 2 * g.pad[axis] - kernel_reach(g, axis)) / g.stride[axis] + 1;
}

ConvGeometry window_geometry(const WindowParams& window, const Shape& data) {
  ConvGeometry g = window_geometry(window);
  g.images = data[0];
  g.in_channels = data[1];
  place_window(g, spatial_extents(data, g.axes));
  return g;
}

}  // namespace mxtape

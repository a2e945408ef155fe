#include "ops/conv/im2col.h"

#include <type_traits>

#include <Eigen/Core>

#include "op/declare.h"
#include "ops/conv/window.h"

// Images as matrices of the elements under a moving kernel, and back.
namespace mxtape {
namespace {

struct Col2ImParams : WindowParams {
  Ints output_size;
  template <class V>
  void visit(V& v) {
    v.required("output_size", output_size, "Spatial extents of the result.");
    WindowParams::visit(v);
  }
};
const fn::Op<Col2ImParams> col2im{"col2im"};

// Work on a channel that earns a piece of its own, in elements of the matrix.
int64_t channels_to_a_piece(const ConvGeometry& g) {
  return std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, g.taps() * g.out_size()));
}

void infer_im2col(InferCall& call) {
  const auto& p = call.params<WindowParams>();
  check_window(call, p);
  call.expect_floating();
  const Shape& data = call.shape(0);
  call.expect(data.ndim() == p.axes() + 2, "data must have ", p.axes() + 2,
              " axes, (batch, channels, ", p.axes(), " spatial ones), for the kernel given");
  ConvGeometry g = window_geometry(p);
  place_window(call, g, spatial_extents(data, g.axes));
  checked_size(with_extents(g, data[0], data[1] * g.taps(), g.out), call.name());
  call.output(0, Shape{data[0], data[1] * g.taps(), g.out_size()}, call.dtype(0));
}

void run_im2col(const KernelCall& call) {
  const ConvGeometry g = window_geometry(call.params<WindowParams>(), call.in(0).shape());
  dispatch<ElementTypes>(call.out().dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* data = call.in(0).data<T>();
    T* out = call.out().data<T>();
    const int64_t matrix = g.taps() * g.out_size();
    parallel_for(g.images * g.in_channels, channels_to_a_piece(g), [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c)
        unfold(g, 1, data + c * g.in_size(), 0, g.out_size(), out + c * matrix);
    });
  });
}

Shape image_shape(const Shape& matrix, const Col2ImParams& p) {
  Ints dims{matrix[0], matrix[1] / window_geometry(p).taps()};
  dims.insert(dims.end(), p.output_size.begin(), p.output_size.end());
  return Shape(dims);
}

void infer_col2im(InferCall& call) {
  const auto& p = call.params<Col2ImParams>();
  check_window(call, p);
  call.expect_floating();
  call.expect(p.output_size.size() == p.kernel.size(), "output_size must have ", p.kernel.size(),
              " extents, as kernel has");
  for (const int64_t extent : p.output_size)
    call.expect(extent >= 0 && extent < (int64_t{1} << 31), "output_size must not be negative");
  const Shape& data = call.shape(0);
  call.expect(data.ndim() == 3, "data must have 3 axes, (batch, channels * kernel, positions)");
  ConvGeometry g = window_geometry(p);
  place_window(call, g, spatial_extents(Shape(p.output_size), g.axes));
  call.expect(data[1] % g.taps() == 0, "axis 1 of data must be a multiple of the ", g.taps(),
              " elements of the kernel");
  call.expect(data[2] == g.out_size(), "axis 2 of data must be the ", g.out_size(),
              " positions of the kernel");
  call.output(0, image_shape(data, p), call.dtype(0));
}

void run_col2im(const KernelCall& call) {
  const ConvGeometry g = window_geometry(call.params<Col2ImParams>(), call.out().shape());
  dispatch(call.out().dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (dtype_of<T> == DType::kFloat32 || dtype_of<T> == DType::kFloat64 ||
                  dtype_of<T> == DType::kFloat16) {
      const T* data = call.in(0).data<T>();
      T* out = call.out().data<T>();
      const int64_t matrix = g.taps() * g.out_size(), size = g.in_size();
      parallel_for(g.images * g.in_channels, channels_to_a_piece(g),
                   [&](int64_t begin, int64_t end) {
                     std::vector<compute_type<T>> sums(static_cast<size_t>(size));
                     for (int64_t c = begin; c < end; ++c) {
                       std::fill(sums.begin(), sums.end(), 0);
                       fold(g, 1, data + c * matrix, 0, g.out_size(), sums.data());
                       for (int64_t e = 0; e < size; ++e)
                         out[c * size + e] = static_cast<T>(sums[static_cast<size_t>(e)]);
                     }
                   });
    }
  });
}

const fn::Op<WindowParams> im2col{"im2col"};

void im2col_vjp(Vjp& v) {
  const auto& p = v.params<WindowParams>();
  const Shape data = v.input_shape(0);
  v.grad(0, col2im(v.head(), Col2ImParams{p, Ints(data.begin() + 2, data.end())}));
}

void col2im_vjp(Vjp& v) {
  v.grad(0, im2col(v.head(), static_cast<WindowParams>(v.params<Col2ImParams>())));
}

OP(im2col)
    .inputs("data")
    .params<WindowParams>()
    .infer(infer_im2col)
    .kernel(run_im2col)
    .keep_input(0, Keep::kShape)
    .vjp(im2col_vjp)
    .doc(
        "The elements of each image that lie under a moving kernel: (batch, channels * kernel, "
        "positions), from data (batch, channels, spatial axes).")
    .example(R"(
>>> image = mx.nd.array([[[[1, 2, 3]]]])
>>> mx.nd.im2col(image, kernel=(1, 2)).asnumpy().tolist()  # a column for each place
[[[1.0, 2.0], [2.0, 3.0]]]
)");

OP(col2im)
    .inputs("data")
    .params<Col2ImParams>()
    .infer(infer_col2im)
    .kernel(run_col2im)
    .vjp(col2im_vjp)
    .doc(
        "The adjoint of im2col: an image in which every element is the sum of those that im2col "
        "would have taken from it.")
    .example(R"(
>>> x = mx.nd.array([[[1, 2], [10, 20]]])  # columns (1, 10) and (2, 20)
>>> mx.nd.col2im(x, output_size=(1, 3), kernel=(1, 2)).asnumpy().tolist()
[[[[1.0, 12.0, 20.0]]]]
)");

}  // namespace
}  // namespace mxtape

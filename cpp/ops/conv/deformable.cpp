#include "ops/conv/deformable.h"

#include <algorithm>

#include "op/declare.h"
#include "ops/shared/strided.h"

// Deformable convolutions: a matrix of sampled pixels times the weight. That product is a
// convolution whose kernel has one element, over the places as its one spatial axis.
namespace mxtape {

namespace fn {
const Op<DeformableParams> deformable_columns{"_deformable_columns"},
    deformable_offset{"_backward_deformable_offset"};
const Op<DeformableDataParams> deformable_data{"_backward_deformable_data"};
}  // namespace fn

namespace {

const Choices kLayouts{"None", "NCDHW", "NCHW", "NCW"};
enum class Layout : int32_t { kNone };
constexpr char kCompatible[] = "Accepted for compatibility.";

struct LayerParams : WindowParams {
  int64_t num_filter = 0, num_group = 1, num_deformable_group = 1, workspace = 1024;
  bool no_bias = false;
  Layout layout = Layout::kNone;
  template <class V>
  void visit_common(V& v) {
    WindowParams::visit(v);
    v.required("num_filter", num_filter, "Channels of the result.");
    v("num_group", num_group,
      "Groups into which the channels of data and result are cut; each group's result depends on "
      "its own data alone.");
    v("num_deformable_group", num_deformable_group,
      "Groups of channels of data, each with offsets of its own.");
    v("workspace", workspace, kCompatible);
    v("no_bias", no_bias, "Whether to leave out the bias.");
  }
  template <class V>
  void visit_layout(V& v) {
    v("layout", layout, "Order of the axes: NCHW, or None for the same.", kLayouts);
  }
};

struct PlainParams : LayerParams {
  static constexpr bool kMasked = false;
  template <class V>
  void visit(V& v) {
    visit_common(v);
    visit_layout(v);
  }
};

struct ModulatedParams : LayerParams {
  static constexpr bool kMasked = true;
  int64_t im2col_step = 64;
  template <class V>
  void visit(V& v) {
    visit_common(v);
    v("im2col_step", im2col_step, kCompatible);
    visit_layout(v);
  }
};

// The product of columns and weight, for all images.
ConvGeometry product_geometry(const ConvGeometry& g, const LayerParams& p) {
  ConvGeometry product;
  product.axes = 1;
  product.images = g.images;
  product.groups = p.num_group;
  product.in_channels = g.in_channels * g.taps();
  product.out_channels = p.num_filter;
  product.in[2] = product.out[2] = g.out_size();
  return product;
}

template <class P>
void infer_layer(InferCall& call) {
  const auto& p = call.params<P>();
  constexpr size_t kWeight = P::kMasked ? 3 : 2;
  const Shape& data = call.shape(0);
  const ConvGeometry g = deformable_geometry(call, p, p.num_deformable_group, data, 1);
  if constexpr (P::kMasked) {
    call.expect(p.im2col_step >= 1, "im2col_step must be positive");
    const Shape mask = {data[0], p.num_deformable_group * g.taps(), g.out[1], g.out[2]};
    call.require(2, mask);
  }
  call.expect(p.workspace >= 0, "workspace must not be negative");
  const std::string_view layout = kLayouts.begin()[static_cast<size_t>(p.layout)];
  call.expect(layout == "None" || layout == "NCHW", "layout must be NCHW");
  call.expect(p.num_group >= 1, "num_group must be positive");
  call.expect(data[1] % p.num_group == 0, "the number of channels, ", data[1],
              ", must be a multiple of num_group");
  call.expect(p.num_filter >= 1 && p.num_filter < (int64_t{1} << 31),
              "num_filter must be positive");
  call.expect(p.num_filter % p.num_group == 0, "num_filter, ", p.num_filter,
              ", must be a multiple of num_group");
  const Shape weight = {p.num_filter, data[1] / p.num_group, g.kernel[1], g.kernel[2]};
  call.require(kWeight, weight);
  if (!p.no_bias) call.require(kWeight + 1, Shape{p.num_filter});
  const Shape out = {data[0], p.num_filter, g.out[1], g.out[2]};
  checked_size(out, call.name());
  call.output(0, out, call.dtype(0));
}

template <class P>
DeformableParams columns_params(const P& p) {
  DeformableParams columns;
  static_cast<WindowParams&>(columns) = p;
  columns.num_deformable_group = p.num_deformable_group;
  columns.extend = !P::kMasked;
  return columns;
}

template <class P>
void run_layer(const KernelCall& call) {
  const auto& p = call.params<P>();
  constexpr size_t kWeight = P::kMasked ? 3 : 2;
  const NDArray &data = call.in(0), &out = call.out();
  const ConvGeometry g = window_geometry(p, data.shape());
  ConvGeometry product = product_geometry(g, p);
  // As many images at a time as make a few million elements of columns.
  const int64_t matrix = product.in_channels * g.out_size();
  const int64_t block = std::clamp<int64_t>((1 << 22) / matrix, 1, std::max<int64_t>(1, g.images));
  const NDArray columns = NDArray::empty(Shape{block, matrix}, out.dtype());
  const auto out_bytes = static_cast<int64_t>(item_size(out.dtype())) * p.num_filter * g.out_size();
  for (int64_t first = 0; first < g.images; first += block) {
    const int64_t last = std::min(g.images, first + block);
    run_deformable_columns(g, columns_params(p), data, call.in(1),
                           P::kMasked ? call.in(2) : NDArray(), first, last, columns.bytes());
    product.images = last - first;
    convolve(product, out.dtype(), columns.bytes(), call.in(kWeight).bytes(),
             p.no_bias ? nullptr : call.in(kWeight + 1).bytes(),
             static_cast<char*>(out.bytes()) + first * out_bytes);
  }
}

ConvolutionGradParams product_grad(const LayerParams& p, const Shape& shape) {
  ConvolutionGradParams params;
  params.kernel = {1};
  params.num_group = p.num_group;
  params.shape.assign(shape.begin(), shape.end());
  return params;
}

template <class P>
void layer_vjp(Vjp& v) {
  const auto& p = v.params<P>();
  constexpr size_t kWeight = P::kMasked ? 3 : 2;
  const NDArray head = v.head(), data = v.input(0), offset = v.input(1), weight = v.input(kWeight);
  const ConvGeometry g = window_geometry(p, data.shape());
  const int64_t inner = g.in_channels / p.num_group * g.taps();
  const Shape matrix = {g.images, g.in_channels * g.taps(), g.out_size()};
  const Shape shared = {g.images, p.num_deformable_group, g.in_channels / p.num_deformable_group,
                        g.taps(), g.out_size()};
  const NDArray heads = reshape(head, {g.images, p.num_filter, g.out_size()});
  NDArray sampled, mask;
  const bool needs_mask = P::kMasked && v.needs(2);
  if (v.needs(kWeight) || needs_mask)
    sampled = fn::deformable_columns(data, offset, columns_params(p));
  if constexpr (P::kMasked) {
    mask = reshape(v.input(2), {g.images, p.num_deformable_group, 1, g.taps(), g.out_size()});
  }
  const auto masked = [&](const NDArray& x) {
    return P::kMasked ? reshape(reshape(x, shared) * mask, matrix) : x;
  };
  if (v.needs(kWeight)) {
    const NDArray grad =
        fn::convolution_weight(heads, masked(sampled), product_grad(p, {p.num_filter, inner, 1}));
    v.grad(kWeight, reshape(grad, weight.shape()));
  }
  if (!p.no_bias && v.needs(kWeight + 1)) v.grad(kWeight + 1, sum(head, {0, 2, 3}, false));
  if (!v.needs(0) && !v.needs(1) && !needs_mask) return;
  const NDArray columns = fn::convolution_data(heads, reshape(weight, {p.num_filter, inner, 1}),
                                               product_grad(p, matrix));
  if (needs_mask) {
    const NDArray grad = sum(reshape(columns, shared) * reshape(sampled, shared), {2}, false);
    v.grad(2, reshape(grad, v.input_shape(2)));
  }
  if (!v.needs(0) && !v.needs(1)) return;
  const NDArray heads_of_samples = masked(columns);
  if (v.needs(0)) {
    const Shape shape = data.shape();
    v.grad(0, fn::deformable_data(
                  heads_of_samples, offset,
                  DeformableDataParams{columns_params(p), Ints(shape.begin(), shape.end())}));
  }
  if (v.needs(1)) {
    v.grad(1, fn::deformable_offset(heads_of_samples, data, offset, columns_params(p)));
  }
}

template <class P>
OpDeclaration& declare_layer(OpDeclaration&& op) {
  constexpr size_t kBias = P::kMasked ? 4 : 3;
  if constexpr (P::kMasked) {
    op.inputs("data", "offset", "mask", "weight", "bias");
  } else {
    op.inputs("data", "offset", "weight", "bias");
  }
  for (size_t i = 0; i < kBias; ++i) op.keep_input(i);
  return op.template params<P>()
      .optional_inputs(
          kBias,
          [](const Params* p) -> uint32_t { return ((p->as<P>().no_bias ? 1u : 2u) << kBias) - 1; })
      .infer(infer_layer<P>)
      .kernel(run_layer<P>)
      .vjp(layer_vjp<P>);
}
#define OP_DEFORMABLE(name, params)                                                        \
  [[maybe_unused]] static const OpDeclaration MXTAPE_CONCAT(op_deformable_, __COUNTER__) = \
      declare_layer<params>(OpDeclaration(#name))

OP_DEFORMABLE(_contrib_DeformableConvolution, PlainParams)
    .doc(
        "Convolution of images whose kernel reads between the pixels: every element of it at every "
        "place is displaced by offset, (N, groups * kernel * 2, height, width), vertically and "
        "then "
        "horizontally. Zero outside.")
    .example(R"(
>>> image, weight = mx.nd.array([[[[1, 2, 3]]]]), mx.nd.ones((1, 1, 1, 1))
>>> offset = mx.nd.array([[[[0, 0, 0]], [[1, 0.5, -2]]]])  # down, then to the right
>>> y = mx.nd.contrib.DeformableConvolution(
...     image, offset, weight, kernel=(1, 1), num_filter=1, no_bias=True)
>>> y.asnumpy().tolist()
[[[[2.0, 2.5, 1.0]]]]
)");

OP_DEFORMABLE(_contrib_ModulatedDeformableConvolution, ModulatedParams)
    .doc(
        "DeformableConvolution, with what the kernel reads multiplied by mask, (N, groups * "
        "kernel, "
        "height, width).")
    .example(R"(
>>> image, weight = mx.nd.array([[[[1, 2, 3]]]]), mx.nd.ones((1, 1, 1, 1))
>>> offset, mask = mx.nd.zeros((1, 2, 1, 3)), mx.nd.array([[[[1, 0.5, 0]]]])
>>> y = mx.nd.contrib.ModulatedDeformableConvolution(
...     image, offset, mask, weight, kernel=(1, 1), num_filter=1, no_bias=True)
>>> y.asnumpy().tolist()
[[[[1.0, 1.0, 0.0]]]]
)");

}  // namespace
}  // namespace mxtape

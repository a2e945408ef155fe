#include "ops/conv/convolution.h"

#include <algorithm>

#include "op/declare.h"
#include "op/tangent.h"
#include "ops/conv/window.h"

// Convolution layers. A convolution is linear in its data and in its weight, so three operators are
// each other's gradients: Convolution, and its gradients with respect to data and to weight.
namespace mxtape {
namespace {

enum class CudnnTune : int32_t { kNone, kFastest, kLimitedWorkspace, kOff };

const Choices kTuneChoices{"None", "fastest", "limited_workspace", "off"};
const Choices kLayouts{"None", "NCDHW", "NCHW", "NCW", "NDHWC", "NHWC"};
const Choices kLayoutsV1{"None", "NCDHW", "NCHW", "NDHWC", "NHWC"};
enum class Layout : int32_t { kNone };
enum class LayoutV1 : int32_t { kNone };

const Choices& layout_choices(Layout) { return kLayouts; }
const Choices& layout_choices(LayoutV1) { return kLayoutsV1; }

// What all convolution layers take after what describes the window.
template <class LayoutType>
struct LayerParams {
  int64_t num_filter = 0, num_group = 1, workspace = 1024;
  bool no_bias = false;
  CudnnTune cudnn_tune = CudnnTune::kNone;
  bool cudnn_off = false;
  LayoutType layout = LayoutType::kNone;
  template <class V>
  void visit(V& v) {
    v.required("num_filter", num_filter, "Channels of the result.");
    v("num_group", num_group,
      "Groups into which the channels of data and result are cut; each group's result depends "
      "only on its own data.");
    v("workspace", workspace, "Accepted for compatibility.");
    v("no_bias", no_bias, "Whether to leave out the bias.");
    v("cudnn_tune", cudnn_tune, "Accepted for compatibility.", kTuneChoices);
    v("cudnn_off", cudnn_off, "Accepted for compatibility.");
    v("layout", layout,
      "Order of the axes; None for the channels first, the only order that is supported.",
      layout_choices(layout));
  }
};

template <class LayoutType>
struct ConvolutionParamsOf : WindowParams, LayerParams<LayoutType> {
  template <class V>
  void visit(V& v) {
    WindowParams::visit(v);
    LayerParams<LayoutType>::visit(v);
  }
};
using ConvolutionParams = ConvolutionParamsOf<Layout>;
using ConvolutionV1Params = ConvolutionParamsOf<LayoutV1>;

struct DeconvolutionParams : WindowParams, LayerParams<Layout> {
  Ints adj, target_shape;
  DeconvolutionParams() {
    workspace = 512;
    no_bias = true;
  }
  template <class V>
  void visit(V& v) {
    WindowParams::visit(v);
    v("adj", adj, "Elements added at the end of each spatial axis of the result; () for 0.");
    v("target_shape", target_shape,
      "Spatial extents of the result; pad and adj are then chosen to give them.");
    LayerParams<Layout>::visit(v);
  }
};

const fn::Op<ConvolutionParams> convolution{"Convolution"};

Shape weight_shape(const ConvGeometry& g) {
  return with_extents(g, g.out_channels, g.group_in(), g.kernel);
}
Shape data_shape(const ConvGeometry& g) { return with_extents(g, g.images, g.in_channels, g.in); }
Shape head_shape(const ConvGeometry& g) { return with_extents(g, g.images, g.out_channels, g.out); }

void expect_channels(const InferCall& call, int64_t count, int64_t groups, const char* what) {
  call.expect(count >= 1 && count < (int64_t{1} << 31), what, " must be positive");
  call.expect(count % groups == 0, what, ", ", count, ", must be a multiple of num_group");
}

void expect_groups(const InferCall& call, int64_t groups) {
  call.expect(groups >= 1, "num_group must be positive");
}

template <class LayoutType>
void check_layer(const InferCall& call, const WindowParams& window,
                 const LayerParams<LayoutType>& layer) {
  check_window(call, window);
  call.expect_floating();
  call.expect_same_dtype();
  expect_groups(call, layer.num_group);
  call.expect(layer.workspace >= 0, "workspace must not be negative");
  if (layer.layout != LayoutType::kNone) {
    const std::string_view given =
        layout_choices(layer.layout).begin()[static_cast<size_t>(layer.layout)];
    const char* const fitting[] = {"NCW", "NCHW", "NCDHW"};
    call.expect(given == fitting[window.axes() - 1], "with ", window.axes(),
                " spatial axes the layout is ", fitting[window.axes() - 1]);
  }
  const Shape& data = call.shape(0);
  call.expect(data.ndim() == window.axes() + 2, "data must have ", window.axes() + 2,
              " axes, (batch, channels, ", window.axes(), " spatial ones), for the kernel given");
}

void expect_weight_and_bias(const InferCall& call, const ConvGeometry& g, int64_t num_filter,
                            bool no_bias) {
  call.require(1, weight_shape(g));
  if (!no_bias) call.require(2, Shape{num_filter});
}

template <class P>
void infer_convolution(InferCall& call) {
  const auto& p = call.params<P>();
  check_layer(call, p, p);
  ConvGeometry g = window_geometry(p);
  if constexpr (std::is_same_v<P, ConvolutionV1Params>) {
    call.expect(g.axes == 2, "there must be two spatial axes; Convolution accepts other numbers");
  }
  const Shape& data = call.shape(0);
  g.images = data[0];
  g.in_channels = data[1];
  g.out_channels = p.num_filter;
  g.groups = p.num_group;
  expect_channels(call, g.in_channels, g.groups, "the number of channels of data");
  expect_channels(call, g.out_channels, g.groups, "num_filter");
  place_window(call, g, spatial_extents(data, g.axes));
  expect_weight_and_bias(call, g, p.num_filter, p.no_bias);
  call.output(0, head_shape(g), call.dtype(0));
}

// The geometry of arrays that inference has checked.
ConvGeometry checked_geometry(const WindowParams& window, int64_t groups, const Shape& data,
                              int64_t out_channels) {
  ConvGeometry g = window_geometry(window);
  g.images = data[0];
  g.in_channels = data[1];
  g.out_channels = out_channels;
  g.groups = groups;
  place_window(g, spatial_extents(data, g.axes));
  return g;
}

template <class P>
void run_convolution(const KernelCall& call) {
  const auto& p = call.params<P>();
  convolve(checked_geometry(p, p.num_group, call.in(0).shape(), p.num_filter), call.out().dtype(),
           call.in(0).bytes(), call.in(1).bytes(), p.no_bias ? nullptr : call.in(2).bytes(),
           call.out().bytes());
}

ConvolutionGradParams grad_params(const WindowParams& window, int64_t groups, const Shape& shape) {
  ConvolutionGradParams p;
  static_cast<WindowParams&>(p) = window;
  p.num_group = groups;
  p.shape.assign(shape.begin(), shape.end());
  return p;
}

ConvolutionParams plain_convolution(const WindowParams& window, int64_t groups,
                                    int64_t num_filter) {
  ConvolutionParams p;
  static_cast<WindowParams&>(p) = window;
  p.num_group = groups;
  p.num_filter = num_filter;
  p.no_bias = true;
  return p;
}

NDArray bias_grad(const NDArray& head) {
  Ints axes{0};
  for (int axis = 2; axis < head.ndim(); ++axis) axes.push_back(axis);
  return sum(head, axes, false);
}

template <class P>
void convolution_vjp(Vjp& v) {
  const auto& p = v.params<P>();
  const NDArray head = v.head();
  if (v.needs(0))
    v.grad(0,
           fn::convolution_data(head, v.input(1), grad_params(p, p.num_group, v.input_shape(0))));
  if (v.needs(1))
    v.grad(1,
           fn::convolution_weight(head, v.input(0), grad_params(p, p.num_group, v.input_shape(1))));
  if (!p.no_bias && v.needs(2)) v.grad(2, bias_grad(head));
}

template <class P>
uint32_t used_inputs(const Params* p) {
  return p->as<P>().no_bias ? 0b011 : 0b111;
}

// The window with the pads that give the target shape, where there is one, and what is then added
// at the end of each axis.
struct DeconvolutionWindow {
  WindowParams window;
  ConvGeometry::Axes adj{0, 0, 0};
};

bool has_target(const DeconvolutionParams& p) {
  return std::any_of(p.target_shape.begin(), p.target_shape.end(),
                     [](int64_t extent) { return extent != 0; });
}

// What the result would be without padding and adj.
int64_t full_extent(const ConvGeometry& g, size_t axis, int64_t in) {
  return (in - 1) * g.stride[axis] + kernel_reach(g, axis);
}

DeconvolutionWindow deconvolution_window(const DeconvolutionParams& p, const Shape& data) {
  DeconvolutionWindow result{p, {}};
  const ConvGeometry g = window_geometry(p);
  const ConvGeometry::Axes in = spatial_extents(data, g.axes);
  const size_t skipped = in.size() - static_cast<size_t>(g.axes);
  if (!has_target(p)) {
    std::copy(p.adj.begin(), p.adj.end(), result.adj.end() - static_cast<ptrdiff_t>(p.adj.size()));
    return result;
  }
  result.window.pad.clear();
  for (size_t axis = skipped; axis < in.size(); ++axis) {
    const int64_t excess = full_extent(g, axis, in[axis]) - p.target_shape[axis - skipped];
    result.window.pad.push_back((excess + 1) / 2);
    result.adj[axis] = excess % 2;
  }
  return result;
}

ConvGeometry deconvolution_geometry(const DeconvolutionParams& p, const Shape& data) {
  const DeconvolutionWindow chosen = deconvolution_window(p, data);
  ConvGeometry g = window_geometry(chosen.window);
  g.images = data[0];
  g.in_channels = p.num_filter;
  g.out_channels = data[1];
  g.groups = p.num_group;
  g.out = spatial_extents(data, g.axes);
  for (size_t axis = 0; axis < g.in.size(); ++axis)
    g.in[axis] = full_extent(g, axis, g.out[axis]) - 2 * g.pad[axis] + chosen.adj[axis];
  return g;
}

void infer_deconvolution(InferCall& call) {
  const auto& p = call.params<DeconvolutionParams>();
  check_layer(call, p, p);
  const Shape& data = call.shape(0);
  const auto check_count = [&](const char* name, const Ints& values) {
    call.expect(values.empty() || values.size() == p.kernel.size(), name, " must have ",
                p.kernel.size(), " numbers, as kernel has");
    for (const int64_t value : values)
      call.expect(value >= 0 && value < (int64_t{1} << 31), name, " must not be negative");
  };
  check_count("adj", p.adj);
  check_count("target_shape", p.target_shape);
  const ConvGeometry plain = window_geometry(p);
  const ConvGeometry::Axes in = spatial_extents(data, plain.axes);
  const size_t skipped = in.size() - static_cast<size_t>(plain.axes);
  for (size_t axis = skipped; axis < in.size(); ++axis) {
    call.expect(in[axis] >= 1, "data must not be empty along a spatial axis");
    if (!has_target(p)) continue;
    const int64_t target = p.target_shape[axis - skipped],
                  full = full_extent(plain, axis, in[axis]);
    call.expect(target >= 1 && target <= full, "target_shape must be 1 to ", full, " along axis ",
                axis - skipped + 2, ", the extent without padding");
  }
  const DeconvolutionWindow chosen = deconvolution_window(p, data);
  for (size_t axis = 0; axis < in.size(); ++axis) {
    call.expect(chosen.adj[axis] < plain.stride[axis],
                has_target(p) ? "target_shape needs adj" : "adj must be", " less than stride");
  }
  const ConvGeometry g = deconvolution_geometry(p, data);
  expect_channels(call, g.in_channels, g.groups, "num_filter");
  expect_channels(call, g.out_channels, g.groups, "the number of channels of data");
  for (size_t axis = 0; axis < in.size(); ++axis)
    call.expect(g.in[axis] >= 1, "pad leaves nothing of the result");
  expect_weight_and_bias(call, g, p.num_filter, p.no_bias);
  call.output(0, data_shape(g), call.dtype(0));
}

void run_deconvolution(const KernelCall& call) {
  const auto& p = call.params<DeconvolutionParams>();
  convolve_to_data(deconvolution_geometry(p, call.in(0).shape()), call.out().dtype(),
                   call.in(0).bytes(), call.in(1).bytes(), p.no_bias ? nullptr : call.in(2).bytes(),
                   call.out().bytes());
}

void deconvolution_vjp(Vjp& v) {
  const auto& p = v.params<DeconvolutionParams>();
  const Shape data = v.input_shape(0);
  const WindowParams window = deconvolution_window(p, data).window;
  const NDArray head = v.head();
  if (v.needs(0))
    v.grad(0, convolution(head, v.input(1), plain_convolution(window, p.num_group, data[1])));
  if (v.needs(1))
    v.grad(1, fn::convolution_weight(v.input(0), head,
                                     grad_params(window, p.num_group, v.input_shape(1))));
  if (!p.no_bias && v.needs(2)) v.grad(2, bias_grad(head));
}

// The geometry of an internal gradient, after a check that its arrays fit together.
ConvGeometry grad_geometry(const InferCall& call, const Shape& head, const Shape& data,
                           int64_t out_channels) {
  const auto& p = call.params<ConvolutionGradParams>();
  check_window(call, p);
  call.expect_floating();
  call.expect_same_dtype();
  expect_groups(call, p.num_group);
  call.expect(head.ndim() == p.axes() + 2 && data.ndim() == p.axes() + 2, "the arrays must have ",
              p.axes() + 2, " axes for the kernel given");
  for (const int64_t extent : data)
    call.expect(extent >= 0 && extent < (int64_t{1} << 31), "shape must not be negative");
  expect_channels(call, data[1], p.num_group, "the number of channels of the data");
  expect_channels(call, out_channels, p.num_group, "the number of filters");
  ConvGeometry g = window_geometry(p);
  place_window(call, g, spatial_extents(data, g.axes));
  g = checked_geometry(p, p.num_group, data, out_channels);
  call.expect(head == head_shape(g), "head must have shape ", head_shape(g));
  return g;
}

void infer_to_data(InferCall& call) {
  const auto& p = call.params<ConvolutionGradParams>();
  const Shape& head = call.shape(0);
  call.expect(head.ndim() >= 2, "head must have channels");
  const ConvGeometry g = grad_geometry(call, head, Shape(p.shape), head[1]);
  call.require(1, weight_shape(g));
  call.output(0, Shape(p.shape), call.dtype(0));
}

void infer_to_weight(InferCall& call) {
  const auto& p = call.params<ConvolutionGradParams>();
  const Shape& head = call.shape(0);
  call.expect(head.ndim() >= 2, "head must have channels");
  const ConvGeometry g = grad_geometry(call, head, call.shape(1), head[1]);
  call.expect(Shape(p.shape) == weight_shape(g), "shape must be ", weight_shape(g));
  call.output(0, Shape(p.shape), call.dtype(0));
}

void run_to_data(const KernelCall& call) {
  const auto& p = call.params<ConvolutionGradParams>();
  convolve_to_data(checked_geometry(p, p.num_group, call.out().shape(), call.in(0).shape()[1]),
                   call.out().dtype(), call.in(0).bytes(), call.in(1).bytes(), nullptr,
                   call.out().bytes());
}

void run_to_weight(const KernelCall& call) {
  const auto& p = call.params<ConvolutionGradParams>();
  convolve_to_weight(checked_geometry(p, p.num_group, call.in(1).shape(), call.in(0).shape()[1]),
                     call.out().dtype(), call.in(0).bytes(), call.in(1).bytes(),
                     call.out().bytes());
}

// Of (head, weight) -> data.
void to_data_vjp(Vjp& v) {
  const auto& p = v.params<ConvolutionGradParams>();
  const NDArray head = v.head();
  const int64_t filters = v.input_shape(0)[1];
  if (v.needs(0))
    v.grad(0, convolution(head, v.input(1), plain_convolution(p, p.num_group, filters)));
  if (v.needs(1))
    v.grad(1,
           fn::convolution_weight(v.input(0), head, grad_params(p, p.num_group, v.input_shape(1))));
}

// Of (head, data) -> weight.
void to_weight_vjp(Vjp& v) {
  const auto& p = v.params<ConvolutionGradParams>();
  const NDArray head = v.head();
  const int64_t filters = v.input_shape(0)[1];
  if (v.needs(0))
    v.grad(0, convolution(v.input(1), head, plain_convolution(p, p.num_group, filters)));
  if (v.needs(1))
    v.grad(1,
           fn::convolution_data(v.input(0), head, grad_params(p, p.num_group, v.input_shape(1))));
}

OP(Convolution)
    .inputs("data", "weight", "bias")
    .params<ConvolutionParams>()
    .optional_inputs(2, used_inputs<ConvolutionParams>)
    .infer(infer_convolution<ConvolutionParams>)
    .kernel(run_convolution<ConvolutionParams>)
    .keep_inputs({Keep::kData, Keep::kData, Keep::kShape})
    .vjp(convolution_vjp<ConvolutionParams>)
    .tangent(layer_tangent<ConvolutionParams>)
    .doc(
        "A convolution layer over one to three spatial axes. data has shape (batch, channels, "
        "spatial axes), weight (num_filter, channels / num_group, kernel), bias (num_filter,). "
        "Each output is the sum of the products of the weight and the data under the kernel, plus "
        "the filter's bias.")
    .example(R"(
>>> x = mx.nd.array([[[1, 2, 4, 8]]])  # one sample of one channel
>>> weight, bias = mx.nd.array([[[-1, 1]]]), mx.nd.array([100])
>>> y = mx.nd.Convolution(x, weight, bias, kernel=(2,), num_filter=1)
>>> y.asnumpy().tolist()  # each element less the one before it: the kernel is not flipped
[[[101.0, 102.0, 104.0]]]
>>> mx.nd.Convolution(
...     x, weight, kernel=(2,), stride=(2,), pad=(1,), num_filter=1, no_bias=True
... ).asnumpy().tolist()
[[[1.0, 2.0, -8.0]]]
)");

OP(Convolution_v1)
    .inputs("data", "weight", "bias")
    .params<ConvolutionV1Params>()
    .optional_inputs(2, used_inputs<ConvolutionV1Params>)
    .infer(infer_convolution<ConvolutionV1Params>)
    .kernel(run_convolution<ConvolutionV1Params>)
    .keep_inputs({Keep::kData, Keep::kData, Keep::kShape})
    .vjp(convolution_vjp<ConvolutionV1Params>)
    .tangent(layer_tangent<ConvolutionV1Params>)
    .doc("Convolution over two spatial axes, under its old name.")
    .example(R"(
>>> image = mx.nd.array([[[[1, 2, 3], [4, 5, 6]]]])
>>> weight = mx.nd.ones((1, 1, 2, 2))
>>> y = mx.nd.Convolution_v1(image, weight, kernel=(2, 2), num_filter=1, no_bias=True)
>>> y.asnumpy().tolist()
[[[[12.0, 16.0]]]]
)");

OP(Deconvolution)
    .inputs("data", "weight", "bias")
    .params<DeconvolutionParams>()
    .optional_inputs(2, used_inputs<DeconvolutionParams>)
    .infer(infer_deconvolution)
    .kernel(run_deconvolution)
    .keep_inputs({Keep::kData, Keep::kData, Keep::kShape})
    .vjp(deconvolution_vjp)
    .tangent(layer_tangent<DeconvolutionParams>)
    .doc(
        "A transposed convolution: the gradient of Convolution with respect to its data, as a "
        "layer. data has shape (batch, channels, spatial axes), weight (channels, num_filter / "
        "num_group, kernel), bias (num_filter,). The result's extents are (in - 1) * stride + "
        "dilate * (kernel - 1) + 1 - 2 * pad + adj.")
    .example(R"(
>>> x = mx.nd.array([[[1, 2]]])
>>> weight = mx.nd.array([[[1, 10, 100]]])  # added to the result, times each element of x
>>> mx.nd.Deconvolution(x, weight, kernel=(3,), num_filter=1).asnumpy().tolist()
[[[1.0, 12.0, 120.0, 200.0]]]
>>> y = mx.nd.Deconvolution(x, weight, kernel=(3,), stride=(2,), num_filter=1)
>>> y.asnumpy().tolist()
[[[1.0, 10.0, 102.0, 20.0, 200.0]]]
)");

OP(_backward_Convolution_data)
    .inputs("head", "weight")
    .params<ConvolutionGradParams>()
    .infer(infer_to_data)
    .kernel(run_to_data)
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp(to_data_vjp)
    .linear(0, 1)
    .doc("The gradient of Convolution with respect to data, of the given shape.");

OP(_backward_Convolution_weight)
    .inputs("head", "data")
    .params<ConvolutionGradParams>()
    .infer(infer_to_weight)
    .kernel(run_to_weight)
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp(to_weight_vjp)
    .linear(0, 1)
    .doc("The gradient of Convolution with respect to weight, of the given shape.");

}  // namespace
}  // namespace mxtape

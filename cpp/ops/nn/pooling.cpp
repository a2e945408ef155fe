#include "ops/nn/pooling.h"

#include <algorithm>
#include <limits>

#include "op/declare.h"

// Pooling with windows of one size.
namespace mxtape {

namespace fn {
const Op<PoolGeometry> pool_sum{"_pool_sum"}, pool_sum_adjoint{"_backward_pool_sum"},
    pool_max_scatter{"_backward_pool_max"}, pool_max_gather{"_pool_max_gather"};
}  // namespace fn

namespace {

enum class PoolType : int32_t { kAvg, kLp, kMax, kSum };
enum class Convention : int32_t { kFull, kSame, kValid };
enum class PoolLayout : int32_t { kNone, kNCDHW, kNCHW, kNCW, kNDHWC, kNHWC, kNWC };

struct PoolingParams {
  Ints kernel, stride, pad;
  PoolType pool_type = PoolType::kMax;
  bool global_pool = false, cudnn_off = false;
  Convention pooling_convention = Convention::kValid;
  std::optional<int64_t> p_value;
  std::optional<bool> count_include_pad;
  PoolLayout layout = PoolLayout::kNone;
  template <class V>
  void visit(V& v) {
    v("kernel", kernel, "Size of the window along each spatial axis; not for global_pool.");
    v("pool_type", pool_type,
      "What a window is reduced to: its largest element, mean, sum, or (sum of x^p)^(1/p).",
      {"avg", "lp", "max", "sum"});
    v("global_pool", global_pool, "Whether there is one window, of all the data.");
    v("cudnn_off", cudnn_off, "Accepted for compatibility.");
    v("pooling_convention", pooling_convention,
      "How many windows there are: valid, those that fit; full, also one that overlaps the end; "
      "same, one for each stride begun (1-d max alone).",
      {"full", "same", "valid"});
    v("stride", stride, "Distance of windows; 1 by default.");
    v("pad", pad, "Padding on both sides of each spatial axis; 0 by default.");
    v("p_value", p_value, "p of pool_type lp: 1, 2 or 3.");
    v("count_include_pad", count_include_pad,
      "Whether a mean counts elements of the padding; by default it does.");
    v("layout", layout, "Order of the axes; None for channels second.",
      {"None", "NCDHW", "NCHW", "NCW", "NDHWC", "NHWC", "NWC"});
  }
};

struct PoolingV1Params {
  Ints kernel, stride, pad;
  PoolType pool_type = PoolType::kMax;
  bool global_pool = false;
  Convention pooling_convention = Convention::kValid;
  template <class V>
  void visit(V& v) {
    v("kernel", kernel, "Size of the window along each spatial axis; not for global_pool.");
    v("pool_type", pool_type, "What a window is reduced to.", {"avg", "lp", "max", "sum"});
    v("global_pool", global_pool, "Whether there is one window, of all the data.");
    v("pooling_convention", pooling_convention,
      "valid: windows that fit; full: also one that overlaps the end.", {"full", "same", "valid"});
    v("stride", stride, "Distance of windows; 1 by default.");
    v("pad", pad, "Padding on both sides of each spatial axis; 0 by default.");
  }
};

PoolingParams general(const PoolingParams& p) { return p; }
PoolingParams general(const PoolingV1Params& p) {
  PoolingParams q;
  q.kernel = p.kernel;
  q.stride = p.stride;
  q.pad = p.pad;
  q.pool_type = p.pool_type;
  q.global_pool = p.global_pool;
  q.pooling_convention = p.pooling_convention;
  return q;
}
template <class P>
constexpr bool kIsV1 = std::is_same_v<P, PoolingV1Params>;

bool has_channels_last(PoolLayout layout) {
  return layout == PoolLayout::kNWC || layout == PoolLayout::kNHWC || layout == PoolLayout::kNDHWC;
}

int spatial_axes(PoolLayout layout) {
  switch (layout) {
    case PoolLayout::kNone:
      return 0;
    case PoolLayout::kNCW:
    case PoolLayout::kNWC:
      return 1;
    case PoolLayout::kNCHW:
    case PoolLayout::kNHWC:
      return 2;
    default:
      return 3;
  }
}

int64_t window_count(Convention convention, int64_t size, int64_t kernel, int64_t stride,
                     int64_t pad) {
  if (convention == Convention::kSame) return (size + stride - 1) / stride;
  const int64_t span = size + 2 * pad - kernel;
  return 1 + (convention == Convention::kFull ? (span + stride - 1) / stride : span / stride);
}

// For parameters that fit the data.
PoolGeometry geometry_of(const PoolingParams& p, const Shape& data, bool v1) {
  PoolGeometry g;
  g.channels_last = has_channels_last(p.layout);
  g.data_shape.assign(data.begin(), data.end());
  g.out_shape = g.data_shape;
  const size_t spatial = g.data_shape.size() - 2, lead = g.channels_last ? 1 : 2;
  if (p.global_pool) {
    g.kernel.assign(data.begin() + lead, data.begin() + lead + spatial);
    g.stride.assign(spatial, 1);
    g.pad.assign(spatial, 0);
    std::fill_n(g.out_shape.begin() + static_cast<int64_t>(lead), spatial, 1);
  } else {
    g.kernel = p.kernel;
    g.stride = p.stride.empty() ? Ints(spatial, 1) : p.stride;
    g.pad = p.pad.empty() ? Ints(spatial, 0) : p.pad;
    for (size_t d = 0; d < spatial; ++d) {
      g.out_shape[lead + d] = window_count(p.pooling_convention, g.data_shape[lead + d],
                                           g.kernel[d], g.stride[d], g.pad[d]);
    }
  }
  if (p.pool_type == PoolType::kAvg) {
    g.divisor = v1                                   ? PoolDivisor::kKernel
                : p.count_include_pad.value_or(true) ? PoolDivisor::kPadded
                                                     : PoolDivisor::kInside;
  }
  return g;
}

template <class P>
PoolGeometry geometry_of(const Params* params, const Shape& data) {
  return geometry_of(general(params->as<P>()), data, kIsV1<P>);
}

// So that places of windows, and what lies between them, do not overflow.
constexpr int64_t kLargest = std::numeric_limits<int32_t>::max();

// Checks the window; `given` names the parameter.
void expect_axes(InferCall& call, const char* given, const Ints& values, size_t spatial,
                 int64_t low) {
  call.expect(values.size() == spatial, given, " must have ", spatial, " number",
              spatial == 1 ? "" : "s", ", one for each spatial axis of data");
  for (const int64_t value : values) {
    call.expect(value >= low && value <= kLargest, given, " must be at least ", low,
                " and below 2^31");
  }
}

template <class P>
void infer_pooling(InferCall& call) {
  const PoolingParams p = general(call.params<P>());
  const Shape& data = call.shape(0);
  call.expect_floating();
  call.expect(data.ndim() >= (kIsV1<P> ? 4 : 3) && data.ndim() <= 5, "data must have ",
              kIsV1<P> ? "2 or 3" : "1 to 3", " spatial axes besides batch and channels");
  const auto spatial = static_cast<size_t>(data.ndim() - 2);
  const int of_layout = spatial_axes(p.layout);
  call.expect(of_layout == 0 || of_layout == static_cast<int>(spatial), "layout is for ", of_layout,
              "-d pooling, data has ", spatial, " spatial axes");
  const bool same = p.pooling_convention == Convention::kSame;
  call.expect(p.pool_type != PoolType::kLp || !kIsV1<P>, "pool_type must be avg, max or sum");
  if (p.pool_type == PoolType::kLp) {
    call.expect(p.p_value.has_value() && *p.p_value >= 1 && *p.p_value <= 3,
                "pool_type lp needs p_value 1, 2 or 3");
  }
  const int lead = has_channels_last(p.layout) ? 1 : 2;
  if (!p.global_pool) {
    expect_axes(call, "kernel", p.kernel, spatial, 1);
    // Under "same" MXNet works only when it is given three numbers.
    const bool three = same && p.stride.size() == 3;
    if (!p.stride.empty()) expect_axes(call, "stride", p.stride, three ? 3 : spatial, 1);
    if (same) {
      call.expect(!kIsV1<P> && spatial == 1 && p.pool_type == PoolType::kMax,
                  "pooling_convention same is for max pooling along one axis");
      call.expect(std::all_of(p.pad.begin(), p.pad.end(), [](int64_t n) { return n == 0; }),
                  "pooling_convention same takes no pad");
    } else {
      if (!p.pad.empty()) expect_axes(call, "pad", p.pad, spatial, 0);
      for (size_t d = 0; d < spatial; ++d) {
        const int64_t size = data[lead + static_cast<int>(d)], pad = p.pad.empty() ? 0 : p.pad[d];
        call.expect(pad < p.kernel[d], "pad must be less than kernel");
        call.expect(p.kernel[d] <= size + 2 * pad, "kernel ", p.kernel[d],
                    " is larger than data with its padding, ", size + 2 * pad);
      }
    }
  }
  call.expect(data.product(lead, lead + static_cast<int>(spatial)) <= kLargest,
              "a channel has too many elements");
  const Shape out(geometry_of(p, data, kIsV1<P>).out_shape);
  call.output(0, out, call.dtype(0));
  if (p.pool_type == PoolType::kMax) call.output(1, out, DType::kInt32);
}

template <class P>
void run_pooling(const KernelCall& call) {
  const PoolingParams p = general(call.params<P>());
  const NDArray& data = call.in(0);
  const PoolGeometry g = geometry_of(p, data.shape(), kIsV1<P>);
  if (p.pool_type == PoolType::kMax) {
    // Only a gradient reads the positions.
    pool_max(g, data, call.out(), call.recording() ? &call.out(1) : nullptr);
  } else if (p.pool_type == PoolType::kLp && *p.p_value > 1) {
    pool_lp(g, data, call.out(), *p.p_value);
  } else {
    pool_sum(g, data, call.out());
  }
}

template <class P>
void pooling_vjp(Vjp& v) {
  const PoolingParams p = general(v.params<P>());
  const PoolGeometry g = geometry_of(p, v.input_shape(0), kIsV1<P>);
  const NDArray head = v.head();
  if (p.pool_type == PoolType::kMax) {
    v.grad(0, fn::pool_max_scatter(head, v.output(1), g));
  } else if (p.pool_type == PoolType::kLp && *p.p_value > 1) {
    // A window of zeros has no gradient.
    const NDArray x = v.input(0), y = v.output(0);
    const NDArray zero = fn::equal(y, 0), root = y + zero;
    const bool cube = *p.p_value == 3;
    const NDArray share = head * (1 - zero) / (cube ? root * root : root);
    v.grad(0, fn::pool_sum_adjoint(share, g) * (cube ? x * x : x));
  } else {
    v.grad(0, fn::pool_sum_adjoint(head, g));
  }
}

template <class P>
size_t pooling_outputs(const Params* p) {
  return p->as<P>().pool_type == PoolType::kMax ? 2 : 1;
}
size_t one_output(const Params*) { return 1; }

template <class P>
OpDeclaration& declare_pooling(OpDeclaration&& op) {
  return op.inputs("data")
      .template params<P>()
      .outputs(pooling_outputs<P>, one_output)
      .infer(infer_pooling<P>)
      .kernel(run_pooling<P>)
      .keep_input(0)
      .keep_output(0)
      .keep_output(1)
      .vjp(pooling_vjp<P>);
}

[[maybe_unused]] const OpDeclaration pooling =
    declare_pooling<PoolingParams>(OpDeclaration("Pooling"))
        .doc(
            "Slides a window over the spatial axes of data and reduces what is under it. Data has "
            "axes for the batch, the channels and 1 to 3 spatial axes.")
        .example(R"(
>>> x = mx.nd.array([[[1, 5, 2, 4, 9]]])
>>> mx.nd.Pooling(x, kernel=(2,), stride=(2,)).asnumpy().tolist()
[[[5.0, 4.0]]]
>>> mx.nd.Pooling(x, kernel=(2,), stride=(2,), pool_type="avg").asnumpy().tolist()
[[[3.0, 3.0]]]
>>> y = mx.nd.Pooling(x, kernel=(2,), stride=(2,), pooling_convention="full")
>>> y.asnumpy().tolist()  # also the window that sticks out
[[[5.0, 4.0, 9.0]]]
)");

[[maybe_unused]] const OpDeclaration pooling_v1 =
    declare_pooling<PoolingV1Params>(OpDeclaration("Pooling_v1"))
        .doc("Pooling as it was: a mean always divides by the size of the window.")
        .example(R"(
>>> image = mx.nd.array([[[[4, 8], [12, 16]]]])
>>> options = dict(kernel=(2, 2), stride=(2, 2), pad=(1, 1), pool_type="avg")
>>> mx.nd.Pooling_v1(image, **options).asnumpy().tolist()  # every window has one pixel
[[[[1.0, 2.0], [3.0, 4.0]]]]
)");

// ---- the parts of gradients

const PoolGeometry& checked_geometry(InferCall& call) {
  const auto& g = call.params<PoolGeometry>();
  call.expect_floating();
  const size_t ndim = g.data_shape.size(), lead = g.channels_last ? 1 : 2;
  call.expect(ndim >= 3 && ndim <= 5 && g.out_shape.size() == ndim,
              "data_shape and out_shape must have 3 to 5 axes");
  for (size_t d = 0; d < ndim; ++d) {
    const bool spatial = d >= lead && d < lead + ndim - 2;
    const int64_t data = g.data_shape[d], out = g.out_shape[d];
    call.expect(data >= 0 && data <= kLargest && out >= 0 && out <= kLargest,
                "data_shape and out_shape must not be negative, nor too large");
    call.expect(spatial || data == out, "data_shape and out_shape may differ in spatial axes only");
  }
  if (!g.kernel.empty()) {
    // A window of all of an axis that is empty has no elements.
    expect_axes(call, "kernel", g.kernel, ndim - 2, 0);
    expect_axes(call, "stride", g.stride, ndim - 2, 1);
    expect_axes(call, "pad", g.pad, ndim - 2, 0);
  }
  return g;
}

void infer_out(InferCall& call) {
  const PoolGeometry& g = checked_geometry(call);
  call.expect(call.shape(0) == Shape(g.data_shape), "data must have shape ", Shape(g.data_shape));
  call.output(0, Shape(g.out_shape), call.dtype(0));
}
void infer_data(InferCall& call) {
  const PoolGeometry& g = checked_geometry(call);
  call.expect(call.shape(0) == Shape(g.out_shape), "head must have shape ", Shape(g.out_shape));
  call.output(0, Shape(g.data_shape), call.dtype(0));
}
void expect_positions(InferCall& call) {
  call.expect(call.dtype(1) == DType::kInt32 &&
                  call.shape(1) == Shape(call.params<PoolGeometry>().out_shape),
              "positions must be int32, of the shape of the pooled result");
}

template <const fn::Op<PoolGeometry>& kAdjoint>
void linear_vjp(Vjp& v) {
  v.grad(0, kAdjoint(v.head(), v.params<PoolGeometry>()));
}
template <const fn::Op<PoolGeometry>& kAdjoint>
void indexed_vjp(Vjp& v) {
  v.grad(0, kAdjoint(v.head(), v.input(1), v.params<PoolGeometry>()));
}

OP(_pool_sum)
    .inputs("data")
    .params<PoolGeometry>()
    .infer(infer_out)
    .kernel([](const KernelCall& call) {
      pool_sum(call.params<PoolGeometry>(), call.in(0), call.out());
    })
    .keep_output(0, Keep::kShape)
    .vjp(linear_vjp<fn::pool_sum_adjoint>)
    .doc("Sums over windows, divided as the parameters say.");

OP(_backward_pool_sum)
    .inputs("head")
    .params<PoolGeometry>()
    .infer(infer_data)
    .kernel([](const KernelCall& call) {
      pool_sum_adjoint(call.params<PoolGeometry>(), call.in(0), call.out());
    })
    .keep_output(0, Keep::kShape)
    .vjp(linear_vjp<fn::pool_sum>)
    .doc("The gradient of _pool_sum, whose gradient is _pool_sum.");

OP(_backward_pool_max)
    .inputs("head", "positions")
    .params<PoolGeometry>()
    .no_grad_inputs(1)
    .infer([](InferCall& call) {
      expect_positions(call);
      infer_data(call);
    })
    .kernel([](const KernelCall& call) {
      pool_max_scatter(call.params<PoolGeometry>(), call.in(0), call.in(1), call.out());
    })
    .keep_input(1)
    .keep_output(0, Keep::kShape)
    .vjp(indexed_vjp<fn::pool_max_gather>)
    .doc("Adds the head gradients of max pooling at the positions of the maxima.");

OP(_pool_max_gather)
    .inputs("data", "positions")
    .params<PoolGeometry>()
    .no_grad_inputs(1)
    .infer([](InferCall& call) {
      expect_positions(call);
      infer_out(call);
    })
    .kernel([](const KernelCall& call) {
      pool_max_gather(call.params<PoolGeometry>(), call.in(0), call.in(1), call.out());
    })
    .keep_input(1)
    .keep_output(0, Keep::kShape)
    .vjp(indexed_vjp<fn::pool_max_scatter>)
    .doc("The elements of data at the positions that max pooling found.");

}  // namespace
}  // namespace mxtape

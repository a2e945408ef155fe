#include "ops/nn/norm.h"

#include "op/common_params.h"
#include "op/declare.h"

// Layers that bring each run of elements to mean 0 and deviation 1, or to length 1.
namespace mxtape {
namespace {

// ---- the gradient of the gradient, composed of public operators

// An array of a vector's numbers along `axis` of `ndim` axes.
NDArray along(const NDArray& vector, int axis, int ndim) {
  Shape shape(ndim, 1);
  shape[axis] = vector.size();
  return reshape(vector, shape);
}

// What a backward operator (head, data, gamma) -> (d data, d gamma, d beta) is differentiated to.
// All arrays are seen as `shape`; gamma runs along `gamma_axis`.
void affine_second_order(Vjp& v, const Shape& shape, const Ints& axes, int gamma_axis, double eps) {
  const NDArray h = reshape(v.input(0), shape), x = reshape(v.input(1), shape);
  const NDArray gamma = along(v.input(2), gamma_axis, shape.ndim());
  const Normalized norm(x, axes, eps, true);
  NDArray dh, dx, dgamma;
  const auto add_to = [](NDArray& to, NDArray value) {
    to = to.defined() ? to + value : std::move(value);
  };
  if (v.has_head(0)) {
    const NDArray a = reshape(v.head(0), shape), pa = norm.project(a);
    if (v.needs(0)) add_to(dh, gamma * pa);
    if (v.needs(1)) add_to(dx, norm.curvature(a, gamma * h));
    if (v.needs(2)) add_to(dgamma, sum_to(h * pa, gamma.shape()));
  }
  if (v.has_head(1)) {
    const NDArray b = along(v.head(1), gamma_axis, shape.ndim());
    if (v.needs(0)) add_to(dh, norm.hat * b);
    if (v.needs(1)) add_to(dx, norm.project(h * b));
  }
  if (v.has_head(2) && v.needs(0)) {
    add_to(dh, broadcast_to(along(v.head(2), gamma_axis, shape.ndim()), shape));
  }
  if (v.needs(0) && dh.defined()) v.grad(0, reshape(dh, v.input_shape(0)));
  if (v.needs(1) && dx.defined()) v.grad(1, reshape(dx, v.input_shape(1)));
  if (v.needs(2) && dgamma.defined()) v.grad(2, reshape(dgamma, v.input_shape(2)));
}

// The gradients of data, gamma and beta by `backward`, and what flows into the mean and s that the
// call returned. `shape` and `axes` as above; `stats` is the shape of the mean with 1 along `axes`.
template <class P>
void affine_vjp(Vjp& v, const fn::Op<P>& backward, const P& p, const Shape& shape, const Ints& axes,
                const Shape& stats, double eps) {
  NDArray dx;
  if (v.has_head(0)) {
    Outputs grads;
    invoke_over(backward.schema(), v.last_head(), {v.input(0), v.input(1)}, make_params(p), grads);
    dx = grads[0];
    if (v.needs(1)) v.grad(1, grads[1]);
    if (v.needs(2)) v.grad(2, grads[2]);
  }
  if (!v.needs(0)) return;
  const bool returns_stats = v.op().count_outputs(v.raw_params()) > 1;
  if (returns_stats && (v.has_head(1) || v.has_head(2))) {
    const Normalized norm(reshape(v.input(0), shape), axes, eps, true);
    NDArray into = reshape(v.head(1), stats);
    if (v.has_head(2)) into = into + norm.hat * reshape(v.head(2), stats);
    const auto n = static_cast<double>(shape.size() / std::max<int64_t>(stats.size(), 1));
    const NDArray more = reshape(broadcast_to(into, shape) / n, v.input_shape(0));
    dx = dx.defined() ? dx + more : more;
  }
  if (dx.defined()) v.grad(0, dx);
}

void infer_affine_backward(InferCall& call) {
  call.expect_floating();
  call.expect_same_dtype();
  call.expect(call.shape(0) == call.shape(1), "head must have data's shape");
  call.output(0, call.shape(1), call.dtype(0));
  call.output(1, call.shape(2), call.dtype(0));
  call.output(2, call.shape(2), call.dtype(0));
}

// ---- LayerNorm

struct LayerNormParams {
  int64_t axis = -1;
  double eps = 1e-5;
  bool output_mean_var = false;
  template <class V>
  void visit(V& v) {
    v("axis", axis, "The axis along which the elements are normalized.");
    v("eps", eps, "What is added to the variance.");
    v("output_mean_var", output_mean_var, "Whether the mean and the deviation are returned too.");
  }
};
const fn::Op<LayerNormParams> layer_norm_grad{"_backward_LayerNorm"};

Normalization layer_norm(const Shape& shape, const LayerNormParams& p, std::string_view op) {
  return {AxisView(shape, p.axis, op), p.eps, true, 0};
}

OP(LayerNorm)
    .inputs("data", "gamma", "beta")
    .params<LayerNormParams>()
    .outputs([](const Params*) -> size_t { return 3; },
             [](const Params* p) -> size_t {
               return p->as<LayerNormParams>().output_mean_var ? 3 : 1;
             })
    .infer([](InferCall& call) {
      const int axis = call.axis(call.params<LayerNormParams>().axis);
      call.expect_floating();
      call.expect_same_dtype();
      Shape stats = call.partial_shape(0);
      for (size_t i : {1, 2}) call.require(i, Shape{stats[axis]}, ", data's extent along the axis");
      stats[axis] = 1;
      infer_same_shape(call);
      call.output(1, stats, call.dtype(0));
      call.output(2, stats, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const NDArray& x = call.in(0);
      normalize(layer_norm(x.shape(), call.params<LayerNormParams>(), call.name()), x, &call.in(1),
                &call.in(2), call.out(0), &call.out(1), &call.out(2));
    })
    .keep_inputs({Keep::kData, Keep::kData, Keep::kShape})
    .keep_output(0, Keep::kShape)
    .vjp([](Vjp& v) {
      const auto& p = v.params<LayerNormParams>();
      const AxisView view = layer_norm(v.input_shape(0), p, "LayerNorm").view;
      affine_vjp(v, layer_norm_grad, p, view.shape(), {1}, view.of(1).shape(), p.eps);
    })
    .doc(
        "(data - mean) / deviation * gamma + beta, with mean and deviation = sqrt(variance + eps) "
        "taken along one axis; gamma and beta are vectors along it.")
    .example(R"(
>>> x = mx.nd.array([[1, 3], [10, 30]])
>>> y = mx.nd.LayerNorm(x, mx.nd.array([1, 1]), mx.nd.array([0, 100]))
>>> print(y.asnumpy().round(2))
[[ -1. 101.]
 [ -1. 101.]]
)");

OP(_backward_LayerNorm)
    .inputs("head", "data", "gamma")
    .params<LayerNormParams>()
    .outputs(3)
    .infer([](InferCall& call) {
      const int axis = call.axis(call.params<LayerNormParams>().axis);
      call.expect(call.shape(2) == Shape{call.shape(0)[axis]}, "gamma must run along the axis");
      infer_affine_backward(call);
    })
    .kernel([](const KernelCall& call) {
      const NDArray& x = call.in(1);
      normalize_backward(layer_norm(x.shape(), call.params<LayerNormParams>(), call.name()),
                         call.in(0), x, &call.in(2), call.out(0), &call.out(1), &call.out(2));
    })
    .in_place()
    .keep_inputs({Keep::kData, Keep::kData, Keep::kData})
    .keep_output(0, Keep::kShape)
    .vjp([](Vjp& v) {
      const auto& p = v.params<LayerNormParams>();
      const AxisView view = layer_norm(v.input_shape(1), p, "LayerNorm").view;
      affine_second_order(v, view.shape(), {1}, 1, p.eps);
    })
    .doc("The gradients of LayerNorm with respect to data, gamma and beta.");

// ---- GroupNorm and InstanceNorm

struct GroupNormParams {
  int64_t num_groups = 1;
  double eps = 1e-5;
  bool output_mean_var = false;
  template <class V>
  void visit(V& v) {
    v("num_groups", num_groups, "Into how many groups the channels are divided.");
    v("eps", eps, "What is added to the variance.");
    v("output_mean_var", output_mean_var, "Whether the mean and the deviation are returned too.");
  }
};
const fn::Op<GroupNormParams> group_norm_grad{"_backward_GroupNorm"};

// The runs are the groups of each sample.
Normalization group_norm(const Shape& shape, int64_t groups, double eps) {
  const int64_t runs = shape[0] * groups;
  return {AxisView(runs, runs ? shape.size() / runs : 0, 1), eps, true, groups};
}
Shape group_shape(const Shape& shape, int64_t groups) {
  return {shape[0], groups, shape.product(1, shape.ndim()) / std::max<int64_t>(groups, 1)};
}

void group_vjp(Vjp& v, int64_t groups, double eps) {
  const Shape shape = group_shape(v.input_shape(0), groups);
  affine_vjp(v, group_norm_grad, GroupNormParams{groups, eps}, shape, {2}, {shape[0], groups, 1},
             eps);
}

OP(GroupNorm)
    .inputs("data", "gamma", "beta")
    .params<GroupNormParams>()
    .outputs([](const Params*) -> size_t { return 3; },
             [](const Params* p) -> size_t {
               return p->as<GroupNormParams>().output_mean_var ? 3 : 1;
             })
    .infer([](InferCall& call) {
      const int64_t groups = call.params<GroupNormParams>().num_groups;
      const Shape& data = call.shape(0);
      call.expect_floating();
      call.expect_same_dtype();
      call.expect(data.ndim() >= 3, "data must have at least 3 axes: (batch, channels, ...)");
      call.expect(groups >= 1 && data[1] % groups == 0,
                  "num_groups must be a divisor of the number of channels, ", data[1]);
      for (size_t i : {1, 2}) call.require(i, Shape{groups}, ": a number for each group");
      call.output(0, data, call.dtype(0));
      call.output(1, {data[0], groups}, call.dtype(0));
      call.output(2, {data[0], groups}, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<GroupNormParams>();
      normalize(group_norm(call.in(0).shape(), p.num_groups, p.eps), call.in(0), &call.in(1),
                &call.in(2), call.out(0), &call.out(1), &call.out(2));
    })
    .keep_inputs({Keep::kData, Keep::kData, Keep::kShape})
    .keep_output(0, Keep::kShape)
    .vjp([](Vjp& v) {
      const auto& p = v.params<GroupNormParams>();
      group_vjp(v, p.num_groups, p.eps);
    })
    .doc(
        "The channels of each sample in groups, each normalized to mean 0 and deviation 1, times "
        "the group's gamma, plus its beta.")
    .example(R"(
>>> x = mx.nd.array([[[1], [3], [10], [30]]])  # one sample of four channels
>>> y = mx.nd.GroupNorm(x, mx.nd.ones(2), mx.nd.zeros(2), num_groups=2)
>>> print(y.asnumpy().round(2).ravel())
[-1.  1. -1.  1.]
)");

OP(_backward_GroupNorm)
    .inputs("head", "data", "gamma")
    .params<GroupNormParams>()
    .outputs(3)
    .infer([](InferCall& call) {
      const int64_t groups = call.params<GroupNormParams>().num_groups;
      call.expect(call.shape(1).ndim() >= 2 && groups >= 1 && call.shape(1)[1] % groups == 0 &&
                      call.shape(2) == Shape{groups},
                  "gamma must have a number for each group of channels");
      infer_affine_backward(call);
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<GroupNormParams>();
      normalize_backward(group_norm(call.in(1).shape(), p.num_groups, p.eps), call.in(0),
                         call.in(1), &call.in(2), call.out(0), &call.out(1), &call.out(2));
    })
    .in_place()
    .keep_inputs({Keep::kData, Keep::kData, Keep::kData})
    .keep_output(0, Keep::kShape)
    .vjp([](Vjp& v) {
      const auto& p = v.params<GroupNormParams>();
      affine_second_order(v, group_shape(v.input_shape(1), p.num_groups), {2}, 1, p.eps);
    })
    .doc("The gradients of GroupNorm with respect to data, gamma and beta.");

struct InstanceNormParams {
  double eps = 1e-3;
  template <class V>
  void visit(V& v) {
    v("eps", eps, "What is added to the variance.");
  }
};

OP(InstanceNorm)
    .inputs("data", "gamma", "beta")
    .params<InstanceNormParams>()
    .infer([](InferCall& call) {
      const Shape& data = call.shape(0);
      call.expect_floating();
      call.expect_same_dtype();
      call.expect(data.ndim() >= 3, "data must have at least 3 axes: (batch, channels, ...)");
      for (size_t i : {1, 2}) call.require(i, Shape{data[1]}, ": a number for each channel");
      call.output(0, data, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const NDArray& x = call.in(0);
      normalize(group_norm(x.shape(), x.shape()[1], call.params<InstanceNormParams>().eps), x,
                &call.in(1), &call.in(2), call.out(), nullptr, nullptr);
    })
    .keep_inputs({Keep::kData, Keep::kData, Keep::kShape})
    .keep_output(0, Keep::kShape)
    .vjp([](Vjp& v) {
      const int64_t channels = v.input_shape(0)[1];
      if (channels == 0) return zero_gradient(v);
      group_vjp(v, channels, v.params<InstanceNormParams>().eps);
    })
    .doc(
        "Each channel of each sample normalized to mean 0 and deviation 1, times the channel's "
        "gamma, plus its beta.")
    .example(R"(
>>> x = mx.nd.array([[[1, 3], [10, 30]]])  # one sample of two channels
>>> y = mx.nd.InstanceNorm(x, mx.nd.array([1, 2]), mx.nd.array([0, 5]))
>>> print(y.asnumpy().round(2))
[[[-1.  1.]
  [ 3.  7.]]]
)");

// ---- L2Normalization

enum class NormMode : int32_t { kChannel, kInstance, kSpatial };

struct L2NormalizationParams {
  double eps = 1e-10;
  NormMode mode = NormMode::kInstance;
  template <class V>
  void visit(V& v) {
    v("eps", eps, "What is added to the sum of squares.");
    v("mode", mode,
      "What has length 1: instance, each sample; channel, the channels at each place; spatial, "
      "each channel of each sample.",
      {"channel", "instance", "spatial"});
  }
};
const fn::Op<L2NormalizationParams> l2_grad{"_backward_L2Normalization"};

Normalization l2_norm(const Shape& shape, const L2NormalizationParams& p) {
  const int ndim = shape.ndim();
  switch (p.mode) {
    case NormMode::kChannel:
      return {AxisView(shape, 1), p.eps, false, 0};
    case NormMode::kSpatial:
      return {AxisView(shape.product(0, 2), shape.product(2, ndim), 1), p.eps, false, 0};
    case NormMode::kInstance:
      return {AxisView(shape[0], shape.product(1, ndim), 1), p.eps, false, 0};
  }
  fail("L2Normalization: unknown mode ", static_cast<int>(p.mode));
}

void infer_l2(InferCall& call) {
  const bool instance = call.params<L2NormalizationParams>().mode == NormMode::kInstance;
  call.expect(call.shape(0).ndim() >= (instance ? 1 : 3), "data must have at least ",
              instance ? 1 : 3, " axes in this mode");
  infer_same_floating(call);
}

OP(L2Normalization)
    .inputs("data")
    .params<L2NormalizationParams>()
    .infer(infer_l2)
    .kernel([](const KernelCall& call) {
      normalize(l2_norm(call.in(0).shape(), call.params<L2NormalizationParams>()), call.in(0),
                nullptr, nullptr, call.out(), nullptr, nullptr);
    })
    .keep_input()
    .vjp([](Vjp& v) {
      v.grad(0, l2_grad(v.head(), v.input(0), v.params<L2NormalizationParams>()));
    })
    .doc("data divided by sqrt(the sum of its squares + eps), the sum over what `mode` says.")
    .example(R"(
>>> x = mx.nd.array([[[3, 0], [4, 1]]])
>>> print(mx.nd.L2Normalization(x, mode="channel").asnumpy().round(4))
[[[0.6 0. ]
  [0.8 1. ]]]
>>> print(mx.nd.L2Normalization(x, mode="spatial").asnumpy().round(4))
[[[1.     0.    ]
  [0.9701 0.2425]]]
)");

OP(_backward_L2Normalization)
    .inputs("head", "data")
    .params<L2NormalizationParams>()
    .infer([](InferCall& call) {
      infer_pointwise(call);
      infer_l2(call);
    })
    .kernel([](const KernelCall& call) {
      normalize_backward(l2_norm(call.in(1).shape(), call.params<L2NormalizationParams>()),
                         call.in(0), call.in(1), nullptr, call.out(), nullptr, nullptr);
    })
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      const auto& p = v.params<L2NormalizationParams>();
      const Shape original = v.input_shape(1), shape = l2_norm(original, p).view.shape();
      // The matrix is symmetric.
      if (v.needs(0)) v.grad(0, l2_grad(v.head(), v.input(1), p));
      if (v.needs(1)) {
        const Normalized norm(reshape(v.input(1), shape), {1}, p.eps, false);
        v.grad(1, reshape(norm.curvature(reshape(v.head(), shape), reshape(v.input(0), shape)),
                          original));
      }
    })
    .doc("The gradient of L2Normalization: (head - y * sum(head * y)) / length.");

}  // namespace

Normalized::Normalized(const NDArray& x, Ints over, double eps, bool center)
    : axes(std::move(over)), center(center) {
  const NDArray d = center ? x - fold(x) : x;
  s = fn::sqrt(fold(fn::square(d)) + eps);
  // A run without deviation, eps = 0: gradients that are cut off there stay 0.
  hat = masked_quotient(d, s);
}

NDArray Normalized::fold(const NDArray& v) const {
  return center ? fn::mean(v, ReduceParams{axes, true, false}) : sum(v, axes, true);
}

NDArray Normalized::project(const NDArray& v) const {
  const NDArray along = v - hat * fold(v * hat);
  return masked_quotient(center ? along - fold(v) : along, s);
}

NDArray Normalized::curvature(const NDArray& a, const NDArray& w) const {
  const NDArray pa = project(a), pw = project(w);
  return -masked_quotient(hat * fold(a * pw) + pa * fold(w * hat) + pw * fold(a * hat), s);
}

}  // namespace mxtape

#include "ops/nn/softmax.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "op/common_params.h"
#include "op/declare.h"
#include "op/tangent.h"
#include "runtime/parallel.h"

// Softmax, its logarithm and their gradients.
namespace mxtape {
namespace {

bool has_length(const SoftmaxParams& p) { return p.use_length.value_or(false); }

template <int Sign>
double scale_of(const SoftmaxParams& p) {
  return Sign / p.temperature.value_or(1);
}

void infer_softmax(InferCall& call) {
  const auto& p = call.params<SoftmaxParams>();
  call.expect_floating();
  const int axis = call.axis(p.axis);
  const DType dtype = p.dtype.value_or(call.dtype(0));
  call.expect(is_floating(dtype), "dtype must be floating, got ", dtype);
  if (call.op().inputs.size() == 1) {
    call.expect(!has_length(p), "use_length is only for softmax");
  } else if (has_length(p)) {
    const Shape wanted = [&] {
      Ints dims(call.shape(0).begin(), call.shape(0).end());
      dims.erase(dims.begin() + axis);
      return Shape(dims);
    }();
    call.expect(call.shape(1) == wanted, "length must have shape ", wanted,
                ", that of data without the axis");
    call.expect(call.dtype(1) == DType::kInt32 || call.dtype(1) == DType::kInt64,
                "length must be int32 or int64");
  }
  call.output(0, call.shape(0), dtype);
}

template <int Sign, bool Log>
void softmax_kernel(const KernelCall& call) {
  const auto& p = call.params<SoftmaxParams>();
  const NDArray& x = call.in(0);
  const AxisView view(x.shape(), p.axis, call.name());
  const NDArray* lengths = call.input_count() > 1 ? &call.in(1) : nullptr;
  softmax_forward(view, x, lengths, call.out(), scale_of<Sign>(p), Log);
}

// ---- gradients

struct SoftmaxGradParams {
  int64_t axis = -1;
  double scale = 1;
  template <class V>
  void visit(V& v) {
    v("axis", axis, "The axis along which softmax ran.");
    v("scale", scale, "What softmax multiplied its data with.");
  }
};
const fn::Op<SoftmaxGradParams> softmax_grad{"_backward_softmax"},
    log_softmax_grad{"_backward_log_softmax"};

template <bool Log>
void softmax_grad_kernel(const KernelCall& call) {
  const auto& p = call.params<SoftmaxGradParams>();
  const NDArray& y = call.in(1);
  const AxisView view(y.shape(), p.axis, call.name());
  softmax_backward(view, call.in(0), y, call.out(), p.scale, Log);
}

void infer_softmax_grad(InferCall& call) {
  call.expect_floating();
  call.axis(call.params<SoftmaxGradParams>().axis);
  infer_pointwise(call);
}

OP(_backward_softmax)
    .inputs("head", "output")
    .params<SoftmaxGradParams>()
    .infer(infer_softmax_grad)
    .kernel(softmax_grad_kernel<false>)
    .in_place()
    .keep_input(0)
    .keep_input(1)
    .vjp([](Vjp& v) {
      const auto& p = v.params<SoftmaxGradParams>();
      const NDArray h = v.input(0), y = v.input(1), g = v.head();
      // Its matrix is symmetric.
      if (v.needs(0)) v.grad(0, softmax_grad(g, y, p));
      if (v.needs(1)) {
        const NDArray hy = sum(h * y, {p.axis}, true), gy = sum(g * y, {p.axis}, true);
        v.grad(1, p.scale * (g * (h - hy) - h * gy));
      }
    })
    .doc(
        "The gradient of y = softmax(scale * x): scale * y * (head - sum(head * y)), where y sums "
        "to "
        "1.");

OP(_backward_log_softmax)
    .inputs("head", "output")
    .params<SoftmaxGradParams>()
    .infer(infer_softmax_grad)
    .kernel(softmax_grad_kernel<true>)
    .in_place()
    .keep_input(0)
    .keep_input(1)
    .vjp([](Vjp& v) {
      const auto& p = v.params<SoftmaxGradParams>();
      const NDArray h = v.input(0), g = v.head(), gp = g * fn::exp(v.input(1));
      if (v.needs(0)) v.grad(0, p.scale * (g - sum(gp, {p.axis}, true)));
      if (v.needs(1)) v.grad(1, -p.scale * gp * sum(h, {p.axis}, true));
    })
    .doc("The gradient of y = log_softmax(scale * x): scale * (head - exp(y) * sum(head)).");

template <int Sign, bool Log>
void softmax_vjp(Vjp& v) {
  const auto& p = v.params<SoftmaxParams>();
  const auto& op = Log ? log_softmax_grad : softmax_grad;
  Outputs dx;
  invoke_over(op.schema(), v.last_head(), {v.output(0)},
              make_params(SoftmaxGradParams{p.axis, scale_of<Sign>(p)}), dx);
  v.grad(0, cast(dx[0], v.input_dtype(0)));
}

OP(softmax)
    .inputs("data", "length")
    .params<SoftmaxParams>()
    .optional_inputs(1,
                     [](const Params* p) -> uint32_t {
                       return has_length(p->as<SoftmaxParams>()) ? 0b11 : 0b01;
                     })
    .infer(infer_softmax)
    .kernel(softmax_kernel<1, false>)
    .no_grad_inputs(1)
    .keep_input(0, Keep::kShape)
    .keep_output()
    .vjp(softmax_vjp<1, false>)
    .tangent(symmetric_tangent)
    .method()
    .doc("exp(data / temperature) divided by its sum along the axis.")
    .example(R"(
>>> x = mx.nd.array([[0, 0], [1, 3]])
>>> print(mx.nd.softmax(x).asnumpy().round(4))
[[0.5    0.5   ]
 [0.1192 0.8808]]
>>> print(mx.nd.softmax(x, axis=0).asnumpy().round(4))
[[0.2689 0.0474]
 [0.7311 0.9526]]
>>> length = mx.nd.array([1, 2], dtype="int32")  # how much of each row counts
>>> print(mx.nd.softmax(x, length, use_length=True).asnumpy().round(4))
[[1.     0.    ]
 [0.1192 0.8808]]
)");

OP(softmin)
    .inputs("data")
    .params<SoftmaxParams>()
    .infer(infer_softmax)
    .kernel(softmax_kernel<-1, false>)
    .keep_input(0, Keep::kShape)
    .keep_output()
    .vjp(softmax_vjp<-1, false>)
    .tangent(symmetric_tangent)
    .method()
    .doc("exp(-data / temperature) divided by its sum along the axis.")
    .example(R"(
>>> print(mx.nd.softmin(mx.nd.array([[0, 0], [1, 3]])).asnumpy().round(4))
[[0.5    0.5   ]
 [0.8808 0.1192]]
)");

OP(log_softmax)
    .inputs("data")
    .params<SoftmaxParams>()
    .infer(infer_softmax)
    .kernel(softmax_kernel<1, true>)
    .keep_input(0, Keep::kShape)
    .keep_output()
    .vjp(softmax_vjp<1, true>)
    .method()
    .doc("The logarithm of softmax, computed without the logarithm of 0.")
    .example(R"(
>>> x = mx.nd.array([[0, 0], [1, 3]])
>>> print(mx.nd.log_softmax(x).asnumpy().round(4))
[[-0.6931 -0.6931]
 [-2.1269 -0.1269]]
>>> x = mx.nd.array([0, 1000])  # softmax gives 0 and 1
>>> mx.nd.log_softmax(x).asnumpy()[0].tolist()
-1000.0
)");

// ---- SoftmaxActivation

enum class ActivationMode : int32_t { kChannel, kInstance };

struct SoftmaxActivationParams {
  ActivationMode mode = ActivationMode::kInstance;
  template <class V>
  void visit(V& v) {
    v("mode", mode, "channel: over axis 1; instance: over the last axis.", {"channel", "instance"});
  }
};

AxisView activation_view(const Shape& shape, ActivationMode mode) {
  return AxisView(shape, mode == ActivationMode::kChannel ? 1 : shape.ndim() - 1);
}

OP(SoftmaxActivation)
    .inputs("data")
    .params<SoftmaxActivationParams>()
    .infer([](InferCall& call) {
      const bool channel = call.params<SoftmaxActivationParams>().mode == ActivationMode::kChannel;
      call.expect(call.shape(0).ndim() >= (channel ? 3 : 1), "data must have at least ",
                  channel ? 3 : 1, " axes");
      infer_same_floating(call);
    })
    .kernel([](const KernelCall& call) {
      const AxisView view =
          activation_view(call.in(0).shape(), call.params<SoftmaxActivationParams>().mode);
      softmax_forward(view, call.in(0), nullptr, call.out(), 1, false);
    })
    .keep_output()
    .vjp([](Vjp& v) {
      const NDArray y = v.output(0);
      const Shape runs =
          activation_view(y.shape(), v.params<SoftmaxActivationParams>().mode).shape();
      v.grad(0, reshape(softmax_grad(reshape(v.head(), runs), reshape(y, runs),
                                     SoftmaxGradParams{1, 1}),
                        y.shape()));
    })
    .doc("Softmax over the channels, or over the last axis.")
    .example(R"(
>>> x = mx.nd.array([[[0, 1], [0, 0]]])  # one sample of two channels
>>> print(mx.nd.SoftmaxActivation(x, mode="channel").asnumpy().round(4))
[[[0.5    0.7311]
  [0.5    0.2689]]]
)");
}  // namespace
}  // namespace mxtape

#include "ops/nn/batch_norm.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "op/declare.h"
#include "runtime/convert.h"
#include "runtime/fusion.h"

// Batch normalisation. Its outputs are the result, the mean, and istd = 1 / sqrt(var + eps).
namespace mxtape {
namespace {

struct NormParams {
  double eps = 1e-3, momentum = 0.9;
  bool fix_gamma = true, use_global_stats = false, output_mean_var = false;
  int64_t axis = 1;

 protected:
  template <class V>
  void visit_common(V& v) {
    v("eps", eps, "Added to the variance, against division by zero.");
    v("momentum", momentum, "How much of the running statistics a call in training mode keeps.");
    v("fix_gamma", fix_gamma, "Whether gamma counts as 1; the array is then set to 1.");
    v("use_global_stats", use_global_stats,
      "Whether to use the running statistics in training mode too.");
    v("output_mean_var", output_mean_var,
      "Whether to return the mean and 1 / sqrt(var + eps) as well.");
  }
};

struct BatchNormParams : NormParams {
  using Base = NormParams;
  bool cudnn_off = false;
  std::optional<double> min_calib_range, max_calib_range;
  template <class V>
  void visit(V& v) {
    visit_common(v);
    v("axis", axis, "The axis of the channels.");
    v("cudnn_off", cudnn_off, "Accepted for compatibility.");
    v("min_calib_range", min_calib_range, "Accepted for compatibility: of quantised networks.");
    v("max_calib_range", max_calib_range, "Accepted for compatibility: of quantised networks.");
  }
};

struct BatchNormV1Params : NormParams {
  using Base = NormParams;
  template <class V>
  void visit(V& v) {
    visit_common(v);
  }
};

struct SyncBatchNormParams : NormParams {
  using Base = NormParams;
  int64_t ndev = 1;
  std::string key;
  template <class V>
  void visit(V& v) {
    visit_common(v);
    v("ndev", ndev, "Number of devices that share statistics; there is one.");
    v.required("key", key, "Name of the layer, to tell synchronised layers apart.");
  }
};

struct BackwardParams {
  int64_t axis = 1;
  bool batch = true;
  template <class V>
  void visit(V& v) {
    v("axis", axis, "The axis of the channels.");
    v("batch", batch, "Whether mean and istd were computed from data.");
  }
};
const fn::Op<BackwardParams> backward_op{"_backward_BatchNorm"};

bool uses_batch(const Params* params, bool training) {
  return training && !params->as<NormParams>().use_global_stats;
}

std::vector<double> to_doubles(const NDArray& x) {
  std::vector<double> values(static_cast<size_t>(x.size()));
  convert(x.dtype(), x.bytes(), DType::kFloat64, values.data(), x.size());
  return values;
}
void from_doubles(const std::vector<double>& values, const NDArray& x) {
  convert(DType::kFloat64, values.data(), x.dtype(), x.bytes(), x.size());
}

// Inputs 1 to `last` hold one number for each channel, in data's dtype or, beside a narrow dtype,
// float32.
void expect_channels(InferCall& call, int axis, size_t last) {
  const int64_t channels = call.partial_shape(0)[axis];
  call.fill(1, traits_of(call.dtype(0)).compute);
  for (size_t i = 1; i <= last; ++i) {
    call.fill(i, call.dtype(1));
    call.expect(call.fill(i, Shape{channels}) || call.shape(i).size() == channels,
                call.input_name(i), " must have shape ", Shape{channels},
                ": one number for each channel of axis ", axis);
    call.expect(call.dtype(i) == call.dtype(1),
                "gamma, beta and the statistics must have one dtype");
  }
  call.expect(call.dtype(1) == call.dtype(0) || call.dtype(1) == traits_of(call.dtype(0)).compute,
              "gamma, beta and the statistics must have data's dtype, or float32 for float16 and "
              "bfloat16 data");
}

void infer_batch_norm(InferCall& call) {
  call.expect_floating();
  const int axis = call.axis(call.params<NormParams>().axis);
  expect_channels(call, axis, 4);
  const Shape channels{call.partial_shape(0)[axis]};
  infer_same_shape(call);
  call.output(1, channels, call.dtype(1));
  call.output(2, channels, call.dtype(1));
}

// As MXNet does. Not declared as a change: gamma may be a variable that is being recorded, and
// nothing reads its old values. Other calls that saved them find out by the version.
void set_to_one(const NDArray& gamma, std::vector<double>& values) {
  if (std::all_of(values.begin(), values.end(), [](double v) { return v == 1; })) return;
  std::fill(values.begin(), values.end(), 1);
  fusion::before_write(gamma);
  from_doubles(values, gamma);
  gamma.mark_written();
}

void update_running(const NDArray& running, const std::vector<double>& batch, double momentum) {
  std::vector<double> values = to_doubles(running);
  for (size_t c = 0; c < values.size(); ++c) {
    values[c] = momentum * values[c] + (1 - momentum) * batch[c];
  }
  from_doubles(values, running);
}

template <bool kRelu>
void run_batch_norm(const KernelCall& call) {
  const auto& p = call.params<NormParams>();
  const NDArray& x = call.in(0);
  const AxisView view(x.shape(), p.axis, call.name());
  std::vector<double> gamma = to_doubles(call.in(1)), mean = to_doubles(call.in(3)),
                      var = to_doubles(call.in(4));
  const std::vector<double> beta = to_doubles(call.in(2));
  if (p.fix_gamma) set_to_one(call.in(1), gamma);
  const bool batch = uses_batch(call.raw_params(), call.training());
  normalize_channels(x, call.out(), view,
                     {gamma.data(), beta.data(), p.eps, batch, kRelu, mean.data(), var.data()});
  if (batch && view.runs() > 0) {
    update_running(call.in(3), mean, p.momentum);
    update_running(call.in(4), var, p.momentum);
  }
  from_doubles(mean, call.out(1));
  for (double& v : var) v = 1 / std::sqrt(v + p.eps);
  from_doubles(var, call.out(2));
}

// ---- gradients. What is one number for each channel has an underscore here; it is laid along the
// channels' axis.

struct Channels {
  Shape along;   // 1 but for the channels
  Ints others;   // the other axes
  DType dtype;   // the one to compute in
  double count;  // elements of a channel

  Channels(const Shape& data, int axis, DType dtype)
      : along(data.ndim(), 1),
        dtype(dtype),
        count(static_cast<double>(AxisView(data, axis).runs())) {
    along[axis] = data[axis];
    for (int d = 0; d < data.ndim(); ++d) {
      if (d != axis) others.push_back(d);
    }
  }
  NDArray wide(const NDArray& x) const { return cast(x, dtype); }
  NDArray spread(const NDArray& channels) const { return reshape(wide(channels), along); }
  NDArray total(const NDArray& x) const { return others.empty() ? x : sum(x, others, true); }
};

void batch_norm_gradient(Vjp& v, NDArray head) {
  const auto& p = v.params<NormParams>();
  const NDArray x = v.input(0), mean = v.output(1), istd = v.output(2);
  const int axis = normalize_axis(p.axis, x.ndim(), v.op().name);
  const bool batch = uses_batch(v.raw_params(), v.training());
  const NDArray gamma =
      p.fix_gamma ? full(mean.shape(), mean.dtype(), 1) : reshape(v.input(1), mean.shape());
  const Channels ch(x.shape(), axis, mean.dtype());
  const bool needs_gamma = v.needs(1) && !p.fix_gamma;
  NDArray dx;
  if (!batch && !needs_gamma && !v.needs(2)) {
    dx = cast(masked_product(ch.wide(head), ch.spread(gamma * istd)), x.dtype());
  } else {
    Outputs grads;
    invoke_over(backward_op.schema(), std::move(head), {x, gamma, mean, istd},
                make_params(BackwardParams{axis, batch}), grads);
    dx = grads[0];
    if (needs_gamma) v.grad(1, reshape(grads[1], v.input_shape(1)));
    if (v.needs(2)) v.grad(2, reshape(grads[2], v.input_shape(2)));
  }
  if (p.fix_gamma && v.needs(1)) v.grad(1, full(v.input_shape(1), v.input_dtype(1), 0));
  if (!v.needs(0)) return;
  // What flows into the statistics that are outputs.
  if (batch && v.has_head(1)) {
    dx = dx + cast(broadcast_to(ch.spread(v.head(1)) * (1 / ch.count), x.shape()), x.dtype());
  }
  if (batch && v.has_head(2)) {
    const NDArray s_ = ch.spread(istd),
                  k_ = masked_product(ch.spread(v.head(2)), s_ * s_ * s_) * (-1 / ch.count);
    dx = dx + cast(k_ * (ch.wide(x) - ch.spread(mean)), x.dtype());
  }
  v.grad(0, dx);
}

void batch_norm_vjp(Vjp& v) { batch_norm_gradient(v, v.last_head()); }

void batch_norm_relu_vjp(Vjp& v) { batch_norm_gradient(v, v.head() * fn::greater(v.output(0), 0)); }

size_t visible_outputs(const Params* p) { return p->as<NormParams>().output_mean_var ? 3 : 1; }
size_t all_outputs(const Params*) { return 3; }
bool changes(size_t i, size_t, const Params* p, Mode mode) {
  return i >= 3 && uses_batch(p, mode.training);
}

#define BATCH_NORM(name, Parameters, relu)                          \
  OP(name)                                                          \
      .inputs("data", "gamma", "beta", "moving_mean", "moving_var") \
      .params<Parameters>()                                         \
      .outputs(all_outputs, visible_outputs)                        \
      .mutates(changes)                                             \
      .auxiliary(3, 4)                                              \
      .infer(infer_batch_norm)                                      \
      .any_dtype()                                                  \
      .kernel(run_batch_norm<relu>)                                 \
      .keep_inputs({Keep::kData, Keep::kData, Keep::kShape})        \
      .keep_output(0, relu ? Keep::kData : Keep::kShape)            \
      .keep_output(1)                                               \
      .keep_output(2)                                               \
      .vjp(relu ? batch_norm_relu_vjp : batch_norm_vjp)

BATCH_NORM(BatchNorm, BatchNormParams, false)
    .doc(
        "Normalises each channel to mean 0 and variance 1, then multiplies by gamma and adds beta. "
        "In training mode the statistics are those of the batch, and moving_mean and moving_var "
        "move toward them in place; otherwise the latter are used.")
    .example(R"(
>>> x = mx.nd.array([[1, 10], [3, 30]])  # two samples of two channels
>>> gamma, beta, mean, var = mx.nd.ones(2), mx.nd.zeros(2), mx.nd.zeros(2), mx.nd.ones(2)
>>> with mx.autograd.train_mode():
...     y = mx.nd.BatchNorm(x, gamma, beta, mean, var, momentum=0.5)
>>> print(y.asnumpy().round(2))
[[-1. -1.]
 [ 1.  1.]]
>>> mean.asnumpy().tolist()  # half way to the batch's
[1.0, 10.0]
)");

BATCH_NORM(BatchNorm_v1, BatchNormV1Params, false).doc("BatchNorm over axis 1.").example(R"(
>>> x = mx.nd.array([[[[1, 3]], [[10, 30]]]])  # one image of two channels
>>> gamma, beta, mean, var = mx.nd.ones(2), mx.nd.zeros(2), mx.nd.zeros(2), mx.nd.ones(2)
>>> with mx.autograd.train_mode():
...     y = mx.nd.BatchNorm_v1(x, gamma, beta, mean, var)
>>> print(y.asnumpy().round(2)[0, :, 0])
[[-1.  1.]
 [-1.  1.]]
)");

BATCH_NORM(_contrib_SyncBatchNorm, SyncBatchNormParams, false)
    .doc("BatchNorm over axis 1 for several devices; with one it is BatchNorm.")
    .example(R"(
>>> x = mx.nd.array([[1, 10], [3, 30]])  # two samples of two channels
>>> gamma, beta, mean, var = mx.nd.ones(2), mx.nd.zeros(2), mx.nd.zeros(2), mx.nd.ones(2)
>>> with mx.autograd.train_mode():
...     y = mx.nd.contrib.SyncBatchNorm(x, gamma, beta, mean, var, key="first")
>>> print(y.asnumpy().round(2))
[[-1. -1.]
 [ 1.  1.]]
)");

BATCH_NORM(_contrib_BatchNormWithReLU, BatchNormParams, true)
    .doc("relu(BatchNorm(...)).")
    .example(R"(
>>> x = mx.nd.array([[1, 10], [3, 30]])  # two samples of two channels
>>> gamma, beta, mean, var = mx.nd.ones(2), mx.nd.zeros(2), mx.nd.zeros(2), mx.nd.ones(2)
>>> with mx.autograd.train_mode():
...     y = mx.nd.contrib.BatchNormWithReLU(x, gamma, beta, mean, var)
>>> print(y.asnumpy().round(2))
[[0. 0.]
 [1. 1.]]
)");

void infer_backward(InferCall& call) {
  call.expect_floating();
  call.expect_floating(2);
  const int axis = call.axis(call.params<BackwardParams>().axis, 1);
  call.expect(call.shape(0) == call.shape(1) && call.dtype(0) == call.dtype(1),
              "head and data must have one shape and dtype");
  const int64_t channels = call.shape(1)[axis];
  for (size_t i = 2; i < 5; ++i) {
    call.expect(call.shape(i) == Shape{channels} && call.dtype(i) == call.dtype(2),
                "gamma, mean and istd must have shape ", Shape{channels}, " and one dtype");
  }
  call.output(0, call.shape(1), call.dtype(1));
  call.output(1, call.shape(2), call.dtype(2));
  call.output(2, call.shape(2), call.dtype(2));
}

void run_backward(const KernelCall& call) {
  const auto& p = call.params<BackwardParams>();
  const NDArray& x = call.in(1);
  const std::vector<double> gamma = to_doubles(call.in(2)), mean = to_doubles(call.in(3)),
                            istd = to_doubles(call.in(4));
  std::vector<double> dgamma(gamma.size()), dbeta(gamma.size());
  normalize_channels_backward(
      call.in(0), x, call.out(), AxisView(x.shape(), p.axis, call.name()),
      {gamma.data(), mean.data(), istd.data(), p.batch, dgamma.data(), dbeta.data()});
  from_doubles(dgamma, call.out(1));
  from_doubles(dbeta, call.out(2));
}

// With h = head, z = (x - mean) * istd and k = gamma * istd, the outputs are
//   dx = k * (h - sum(h) / m - z * sum(h * z) / m), sum(h * z) and sum(h),
// where the terms with m are there for batch statistics alone. f, b_, c_ are what flows into them.
// istd may be infinite: what is 0 stays 0.
void backward_vjp(Vjp& v) {
  const auto& p = v.params<BackwardParams>();
  const NDArray gamma = v.input(2);
  const Shape data = v.input_shape(1);
  const DType dtype = v.input_dtype(1);
  const int axis = normalize_axis(p.axis, data.ndim(), v.op().name);
  const Channels ch(data, axis, gamma.dtype());
  const double share = p.batch && ch.count > 0 ? 1 / ch.count : 0;
  const NDArray f = ch.wide(v.head(0)), h = ch.wide(v.input(0)), x = ch.wide(v.input(1));
  const NDArray b_ = ch.spread(v.head(1)), c_ = ch.spread(v.head(2)), gamma_ = ch.spread(gamma);
  const NDArray istd_ = ch.spread(v.input(4)), away = x - ch.spread(v.input(3));
  const NDArray z = masked_product(away, istd_), k_ = gamma_ * istd_;
  const NDArray fh_ = ch.total(f * h);
  if (!p.batch) {
    if (v.needs(0)) v.grad(0, cast(masked_product(f, k_) + b_ * z + c_, dtype));
    if (v.needs(1)) v.grad(1, cast(broadcast_to(masked_product(b_ * h, istd_), data), dtype));
    if (v.needs(2)) v.grad(2, reshape(masked_product(fh_, istd_), gamma.shape()));
    if (v.needs(3)) v.grad(3, reshape(-masked_product(b_ * ch.total(h), istd_), gamma.shape()));
    if (v.needs(4)) v.grad(4, reshape(gamma_ * fh_ + b_ * ch.total(h * away), gamma.shape()));
    return;
  }
  const NDArray f_ = ch.total(f), fz_ = ch.total(f * z), h_ = ch.total(h), hz_ = ch.total(h * z);
  if (v.needs(0)) {
    const NDArray df = masked_product(f - share * f_ - z * (share * fz_), k_);
    v.grad(0, cast(df + b_ * z + c_, dtype));
  }
  const NDArray dz =
      (b_ - share * masked_product(fz_, k_)) * h - share * masked_product(hz_, k_) * f;
  const NDArray dk_ = fh_ - share * (h_ * f_) - share * (hz_ * fz_);
  if (v.needs(1)) v.grad(1, cast(masked_product(dz, istd_), dtype));
  if (v.needs(2)) v.grad(2, reshape(masked_product(dk_, istd_), gamma.shape()));
  if (v.needs(3)) v.grad(3, reshape(-masked_product(ch.total(dz), istd_), gamma.shape()));
  if (v.needs(4)) v.grad(4, reshape(gamma_ * dk_ + ch.total(dz * away), gamma.shape()));
}

OP(_backward_BatchNorm)
    .inputs("head", "data", "gamma", "mean", "istd")
    .params<BackwardParams>()
    .outputs(3)
    .infer(infer_backward)
    .any_dtype()
    .kernel(run_backward)
    .in_place()
    .keep_inputs({Keep::kData, Keep::kData, Keep::kData, Keep::kData, Keep::kData})
    .keep_output(0, Keep::kShape)
    .vjp(backward_vjp)
    .doc("The gradients of BatchNorm with respect to data, gamma and beta.");

}  // namespace
}  // namespace mxtape

#include <algorithm>
#include <cmath>
#include <vector>

#include "op/declare.h"
#include "ops/nn/softmax.h"
#include "runtime/parallel.h"

// Softmax with the cross entropy of labels: layers whose gradient is that of the loss.
namespace mxtape {
namespace {

// ---- SoftmaxOutput

enum class Normalization : int32_t { kBatch, kNull, kValid };

struct SoftmaxOutputParams {
  double grad_scale = 1, ignore_label = -1;
  bool multi_output = false, use_ignore = false, preserve_shape = false;
  Normalization normalization = Normalization::kNull;
  bool out_grad = false;
  double smooth_alpha = 0;
  template <class V>
  void visit(V& v) {
    v("grad_scale", grad_scale, "What the gradient is multiplied by.");
    v("ignore_label", ignore_label, "The label whose gradient is 0, with use_ignore.");
    v("multi_output", multi_output, "Whether softmax runs over axis 1, at each place after it.");
    v("use_ignore", use_ignore, "Whether ignore_label is used.");
    v("preserve_shape", preserve_shape, "Whether softmax runs over the last axis.");
    v("normalization", normalization,
      "What the gradient is divided by: null, 1, or the places of multi_output; batch, the number "
      "of "
      "labels; valid, the number of labels that are not ignore_label.",
      {"batch", "null", "valid"});
    v("out_grad", out_grad, "Whether the gradient is multiplied with the head gradient.");
    v("smooth_alpha", smooth_alpha, "Probability taken from the label and spread over the others.");
  }
};

struct SoftmaxOutputGradParams : SoftmaxOutputParams {
  bool target = true;
  template <class V>
  void visit(V& v) {
    SoftmaxOutputParams::visit(v);
    v("target", target, "Whether the labels' probabilities are subtracted.");
  }
};
const fn::Op<SoftmaxOutputGradParams> output_grad{"_backward_SoftmaxOutput"};

AxisView output_view(const Shape& shape, const SoftmaxOutputParams& p) {
  if (p.multi_output) return AxisView(shape, 1);
  if (p.preserve_shape) return AxisView(shape, shape.ndim() - 1);
  return AxisView(shape[0], shape.product(1, shape.ndim()), 1);
}

// A label is a class number in a floating type; what is no number is no class.
int64_t class_of(double label) { return std::abs(label) < 1e15 ? static_cast<int64_t>(label) : -1; }

void infer_softmax_output(InferCall& call, const SoftmaxOutputParams& p) {
  call.expect_floating();
  call.expect_same_dtype();
  const Shape& data = call.shape(0);
  call.expect(data.ndim() >= 2, "data must have at least 2 axes");
  call.expect(p.smooth_alpha >= 0 && p.smooth_alpha <= 1, "smooth_alpha must be in [0, 1]");
  const Shape flat{data[0], data.product(2, data.ndim())};
  Ints wanted(data.begin(), data.end()), kept = wanted;
  wanted.erase(p.multi_output ? wanted.begin() + 1 : wanted.end() - 1);
  // What MXNet infers for a label of which nothing is known.
  call.fill(1, p.multi_output ? flat : Shape(wanted));
  const Shape& label = call.shape(1);
  bool fits = label == data;
  if (p.multi_output) {
    kept[1] = 1;
    fits = fits || label == flat || label == Shape(kept);
  }
  call.expect(fits || label == Shape(wanted), "label must have shape ", Shape(wanted),
              " (class numbers) or that of data (probabilities)");
  call.output(0, data, call.dtype(0));
}

// y - 1 of an element of a run, from what the others have: y itself is rounded beside 1. Where y is
// not close to 1, the difference is right as it stands.
constexpr double kAlmostCertain = 15.0 / 16;
template <class T>
double missing(const T* y, int64_t n, int64_t step, int64_t k) {
  double others = 0;
  for (int64_t j = 0; j < n; ++j) {
    if (j != k) others += static_cast<double>(static_cast<compute_type<T>>(y[j * step]));
  }
  return -others;
}

// Where the target is 1 and the output almost, the gradient is the sum of the other outputs.
// target(run) is that class, or -1.
template <class T, class Target>
void correct_certain(const AxisView& view, const T* y, T* to, double scale, Target target) {
  const int64_t grain = std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(view.n, 1));
  parallel_for(view.runs(), grain, [&](int64_t first, int64_t last) {
    for (int64_t run = first; run < last; ++run) {
      const int64_t start = view.start(run), k = target(run);
      if (k < 0 || k >= view.n) continue;
      const int64_t e = start + k * view.inner;
      const auto p = static_cast<double>(static_cast<compute_type<T>>(y[e]));
      if (!(p > kAlmostCertain)) continue;
      const double error = missing(y + start, view.n, view.inner, k);
      to[e] = static_cast<T>(static_cast<compute_type<T>>(scale * error));
    }
  });
}

template <class T>
void output_gradient(const NDArray& y, const NDArray& label, const NDArray& out,
                     const SoftmaxOutputGradParams& p) {
  using A = compute_type<T>;
  const T *from = y.data<T>(), *labels = label.data<T>();
  T* to = out.data<T>();
  const double target = p.target ? 1 : 0;
  const AxisView view = output_view(y.shape(), p);
  if (label.shape() == y.shape()) {
    const A scale = static_cast<A>(p.grad_scale), part = static_cast<A>(target);
    parallel_for(y.size(), 1 << 15, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        to[i] =
            static_cast<T>(scale * (static_cast<A>(from[i]) - part * static_cast<A>(labels[i])));
      }
    });
    if (!p.target) return;
    correct_certain(view, from, to, p.grad_scale, [&](int64_t run) {
      for (int64_t k = 0; k < view.n; ++k) {
        if (labels[view.start(run) + k * view.inner] == T(1)) return k;
      }
      return int64_t{-1};
    });
    return;
  }
  const int64_t runs = view.outer * view.inner, ignored = class_of(p.ignore_label);
  std::vector<int64_t> classes(static_cast<size_t>(runs));
  int64_t valid = 0;
  for (int64_t r = 0; r < runs; ++r) {
    classes[static_cast<size_t>(r)] = class_of(static_cast<double>(static_cast<A>(labels[r])));
    valid += classes[static_cast<size_t>(r)] != ignored;
  }
  int64_t divisor = p.multi_output ? view.inner : 1;
  if (p.normalization == Normalization::kBatch) divisor = runs;
  if (p.normalization == Normalization::kValid) divisor = std::max<int64_t>(valid, 1);
  const A scale = static_cast<A>(p.grad_scale / static_cast<double>(std::max<int64_t>(divisor, 1)));
  // Smoothing is not for multi_output, as in MXNet.
  const double alpha = p.multi_output ? 0 : p.smooth_alpha;
  const A hit = static_cast<A>(target * (1 - alpha));
  const A miss =
      static_cast<A>(target * alpha / static_cast<double>(std::max<int64_t>(view.n - 1, 1)));
  const int64_t rows = view.outer * view.n;
  const int64_t grain = std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(view.inner, 1));
  parallel_for(rows, grain, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      const int64_t *at = classes.data() + row / view.n * view.inner, k = row % view.n;
      for (int64_t i = 0; i < view.inner; ++i) {
        const int64_t e = row * view.inner + i;
        const A error = static_cast<A>(from[e]) - (at[i] == k ? hit : miss);
        to[e] = p.use_ignore && at[i] == ignored ? T(0) : static_cast<T>(scale * error);
      }
    }
  });
  if (hit != 1) return;
  correct_certain(view, from, to, static_cast<double>(scale), [&](int64_t run) {
    const int64_t k = classes[static_cast<size_t>(run)];
    return p.use_ignore && k == ignored ? -1 : k;
  });
}

// The output for a gradient that is itself differentiated. The saved one would not do: a gradient
// that flows into it is ignored.
NDArray differentiable_output(const NDArray& x, const SoftmaxOutputParams& p) {
  const AxisView view = output_view(x.shape(), p);
  const NDArray runs = reshape(x, Shape{view.outer, view.n, view.inner});
  return reshape(fn::softmax(runs, SoftmaxParams{1}), x.shape());
}

OP(_backward_SoftmaxOutput)
    .inputs("output", "label")
    .params<SoftmaxOutputGradParams>()
    .infer([](InferCall& call) {
      infer_softmax_output(call, call.params<SoftmaxOutputGradParams>());
    })
    .kernel([](const KernelCall& call) {
      const NDArray& y = call.in(0);
      dispatch<FloatingTypes>(y.dtype(), [&](auto tag) {
        output_gradient<typename decltype(tag)::type>(y, call.in(1), call.out(),
                                                      call.params<SoftmaxOutputGradParams>());
      });
    })
    .no_grad_inputs(1)
    .keep_input(0, Keep::kShape)
    .keep_input(1)
    .vjp([](Vjp& v) {
      SoftmaxOutputGradParams p = v.params<SoftmaxOutputGradParams>();
      p.target = false;
      v.grad(0, output_grad(v.head(), v.input(1), p));
    })
    .doc(
        "The gradient of cross entropy from softmax's output, which sums to 1: output minus the "
        "labels' probabilities, scaled.");

OP(SoftmaxOutput)
    .alias("Softmax")
    .inputs("data", "label")
    .params<SoftmaxOutputParams>()
    .loss([](const Params* p) { return !p->as<SoftmaxOutputParams>().out_grad; })
    .infer([](InferCall& call) { infer_softmax_output(call, call.params<SoftmaxOutputParams>()); })
    .kernel([](const KernelCall& call) {
      const NDArray& x = call.in(0);
      softmax_forward(output_view(x.shape(), call.params<SoftmaxOutputParams>()), x, nullptr,
                      call.out(), 1, false);
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kData, Keep::kData})
    .keep_output()
    .vjp([](Vjp& v) {
      const auto& p = v.params<SoftmaxOutputParams>();
      const NDArray y = v.recording() ? differentiable_output(v.input(0), p) : v.output(0);
      const NDArray error = output_grad(y, v.input(1), SoftmaxOutputGradParams{p});
      v.grad(0, p.out_grad ? error * v.head() : error);
    })
    .doc(
        "Softmax whose gradient is that of the cross entropy with `label`, whatever flows into "
        "it.")
    .example(R"(
>>> x, label = mx.nd.zeros((1, 4)), mx.nd.array([2])
>>> x.attach_grad()
>>> with mx.autograd.record():
...     y = mx.nd.SoftmaxOutput(x, label)
>>> y.backward()
>>> y.asnumpy().tolist(), x.grad.asnumpy().tolist()
([[0.25, 0.25, 0.25, 0.25]], [[0.25, 0.25, -0.75, 0.25]])
)");

// ---- softmax_cross_entropy

template <class T>
void check_classes(const CheckCall& call) {
  const int64_t rows = call.shape(0)[0], n = call.shape(0)[1];
  const T* labels = call.input(1).data<T>();
  for (int64_t r = 0; r < rows; ++r) {
    const auto given = static_cast<double>(static_cast<compute_type<T>>(labels[r]));
    const int64_t k = class_of(given);
    call.expect(k >= 0 && k < n && given == given, "label[", r, "] is ", given, ", data has ", n,
                " classes");
  }
}

template <class T>
void cross_entropy(const KernelCall& call) {
  const NDArray &x = call.in(0), &label = call.in(1);
  const int64_t rows = x.shape()[0], n = x.shape()[1];
  const T* labels = label.data<T>();
  const NDArray logs = NDArray::empty(x.shape(), x.dtype());
  softmax_forward(AxisView(rows, n, 1), x, nullptr, logs, 1, true);
  double total = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const auto k = class_of(static_cast<double>(static_cast<compute_type<T>>(labels[r])));
    total -= static_cast<double>(static_cast<compute_type<T>>(logs.data<T>()[r * n + k]));
  }
  *call.out().data<T>() = static_cast<T>(static_cast<compute_type<T>>(total));
}

OP(softmax_cross_entropy)
    .inputs("data", "label")
    .infer([](InferCall& call) {
      call.expect_floating();
      call.expect_same_dtype();
      call.expect(call.shape(0).ndim() == 2, "data must have 2 axes: rows and classes");
      call.require(1, Shape{call.shape(0)[0]}, ": a class number for each row");
      call.output(0, Shape{1}, call.dtype(0));
    })
    .check([](const CheckCall& call) {
      dispatch<FloatingTypes>(call.dtype(0),
                              [&](auto tag) { check_classes<typename decltype(tag)::type>(call); });
    })
    .kernel([](const KernelCall& call) {
      dispatch<FloatingTypes>(call.in(0).dtype(),
                              [&](auto tag) { cross_entropy<typename decltype(tag)::type>(call); });
    })
    .no_grad_inputs(1)
    .keep_input(0)
    .keep_input(1)
    .vjp([](Vjp& v) {
      const NDArray y = fn::softmax(v.input(0));
      v.grad(0, output_grad(y, v.input(1), SoftmaxOutputGradParams{}) * v.head());
    })
    .doc("The sum over rows of -log softmax(data)[label], of shape (1,).")
    .example(R"(
>>> x, label = mx.nd.array([[0, 0], [0, 0]]), mx.nd.array([1, 0])
>>> print(mx.nd.softmax_cross_entropy(x, label).asnumpy().round(4))  # 2 log(2)
[1.3863]
)");
}  // namespace
}  // namespace mxtape

#include <algorithm>
#include <cmath>

#include "op/common_params.h"
#include "op/declare.h"
#include "ops/reduce/reduce.h"
#include "ops/shape/identity.h"
#include "ops/shared/index.h"
#include "runtime/widen.h"

// Output layers that carry a loss: their gradient is that of the loss, whatever flows into them.
namespace mxtape {
namespace {

// ---- regression

struct RegressionParams {
  double grad_scale = 1;
  template <class V>
  void visit(V& v) {
    v("grad_scale", grad_scale, "What the gradient is multiplied by.");
  }
};

void infer_regression(InferCall& call) {
  call.expect_floating();
  call.expect_same_dtype();
  const Shape& data = call.shape(0);
  // What MXNet infers for a label of which nothing is known.
  call.fill(1, data.ndim() == 2 && data[1] == 1 ? Shape{data[0]} : data);
  const Shape& label = call.shape(1);
  call.expect(
      data.ndim() >= 1 && label.ndim() >= 1 && data[0] == label[0] && data.size() == label.size(),
      "label must have as many rows and elements as data");
  call.output(0, data, call.dtype(0));
}

// The gradient of one sample's loss is divided by the number of its elements.
double regression_scale(const Shape& data, double grad_scale) {
  const int64_t outputs = data.product(1, data.ndim());
  return grad_scale / static_cast<double>(std::max<int64_t>(outputs, 1));
}

template <class Error>
void regression_vjp(Vjp& v, Error error) {
  const NDArray x = v.input(0), label = reshape(v.input(1), x.shape());
  v.grad(0, error(x, label) * regression_scale(x.shape(), v.params<RegressionParams>().grad_scale));
}

OpDeclaration regression(const char* name, KernelFn kernel, VjpFn vjp, const char* doc) {
  OpDeclaration op(name);
  op.inputs("data", "label").params<RegressionParams>().infer(infer_regression).kernel(kernel);
  op.no_grad_inputs(1).keep_inputs({Keep::kData, Keep::kData}).loss().vjp(vjp).doc(doc);
  return op;
}

[[maybe_unused]] const OpDeclaration regressions[] = {
    regression(
        "LinearRegressionOutput", copy_kernel,
        [](Vjp& v) { regression_vjp(v, [](auto x, auto label) { return x - label; }); },
        "data; its gradient is that of half the squared distance from `label`.")
        .example(R"(
>>> x, label = mx.nd.array([[1], [4]]), mx.nd.array([[0], [2]])
>>> x.attach_grad()
>>> with mx.autograd.record():
...     y = mx.nd.LinearRegressionOutput(x, label)
>>> y.backward()
>>> y.asnumpy().tolist(), x.grad.asnumpy().tolist()  # the gradient is x - label
([[1.0], [4.0]], [[1.0], [2.0]])
)"),
    regression(
        "MAERegressionOutput", copy_kernel,
        [](Vjp& v) {
          regression_vjp(v, [](auto x, auto label) { return 2.0 * fn::greater(x, label) - 1.0; });
        },
        "data; its gradient is that of the distance from `label`.")
        .example(R"(
>>> x, label = mx.nd.array([[1], [4]]), mx.nd.array([[2], [2]])
>>> x.attach_grad()
>>> with mx.autograd.record():
...     y = mx.nd.MAERegressionOutput(x, label)
>>> y.backward()
>>> y.asnumpy().tolist(), x.grad.asnumpy().tolist()  # the gradient is sign(x - label)
([[1.0], [4.0]], [[-1.0], [1.0]])
)"),
    regression(
        "LogisticRegressionOutput",
        [](const KernelCall& call) {
          run_tiles(fn::sigmoid.schema().tile, {call.in(0)}, call.out());
        },
        [](Vjp& v) {
          regression_vjp(v, [](auto x, auto label) { return fn::sigmoid(x) - label; });
        },
        "sigmoid(data); its gradient is that of the cross entropy with `label`.")
        .example(R"(
>>> x, label = mx.nd.array([[0], [0]]), mx.nd.array([[0], [1]])
>>> x.attach_grad()
>>> with mx.autograd.record():
...     y = mx.nd.LogisticRegressionOutput(x, label)
>>> y.backward()
>>> y.asnumpy().tolist(), x.grad.asnumpy().tolist()  # the gradient is y - label
([[0.5], [0.5]], [[0.5], [-0.5]])
)")};

// ---- SVMOutput

struct SVMOutputParams {
  double margin = 1, regularization_coefficient = 1;
  bool use_linear = false;
  template <class V>
  void visit(V& v) {
    v("margin", margin, "How far a score must be on its side to cost nothing.");
    v("regularization_coefficient", regularization_coefficient,
      "What the gradient is multiplied by.");
    v("use_linear", use_linear,
      "Whether the loss is the distance from the margin; else its square.");
  }
};

// 1 at each label's class and -1 at the others; a label that is no class has none.
NDArray signs_of(const NDArray& labels, const Shape& shape) {
  const NDArray classes = index_numbers(labels);
  const int64_t n = shape[shape.ndim() - 1];
  const NDArray signs = full(shape, traits_of(labels.dtype()).compute, -1);
  dispatch<SingleOrDouble>(signs.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (int64_t i = 0; i < classes.size(); ++i) {
      const int64_t k = classes.data<int64_t>()[i];
      if (k >= 0 && k < n) signs.data<T>()[i * n + k] = T(1);
    }
  });
  return cast(signs, labels.dtype());
}

OP(SVMOutput)
    .inputs("data", "label")
    .loss()
    .params<SVMOutputParams>()
    .infer([](InferCall& call) {
      call.expect_floating();
      call.expect_same_dtype();
      const Shape& data = call.shape(0);
      call.expect(data.ndim() >= 2, "data must have at least 2 axes, the last for the classes");
      const Shape wanted(data.dims().first(static_cast<size_t>(data.ndim() - 1)));
      call.require(1, wanted, ": a class number each");
      call.output(0, data, call.dtype(0));
    })
    .kernel(copy_kernel)
    .no_grad_inputs(1)
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      const auto& p = v.params<SVMOutputParams>();
      const NDArray x = v.input(0), signs = signs_of(v.input(1), x.shape());
      const NDArray short_of = p.margin - signs * x;  // positive where it costs
      const double factor = -p.regularization_coefficient;
      if (p.use_linear) {
        v.grad(0, fn::greater(short_of, 0.0) * signs * factor);
      } else {
        v.grad(0, fn::maximum(short_of, 0.0) * signs * (2 * factor));
      }
    })
    .doc("data; its gradient is that of the hinge loss of scores, or of its square, with `label`.")
    .example(R"(
>>> x, label = mx.nd.array([[0.5, 0.25, -2]]), mx.nd.array([0])
>>> x.attach_grad()
>>> with mx.autograd.record():
...     y = mx.nd.SVMOutput(x, label, use_linear=True)
>>> y.backward()
>>> x.grad.asnumpy().tolist()  # of the scores that are on the wrong side of the margin
[[-1.0, 1.0, 0.0]]
)");

// ---- MakeLoss

enum class LossNormalization : int32_t { kBatch, kNull, kValid };

struct MakeLossParams {
  double grad_scale = 1, valid_thresh = 0;
  LossNormalization normalization = LossNormalization::kNull;
  template <class V>
  void visit(V& v) {
    v("grad_scale", grad_scale, "What the gradient is multiplied by.");
    v("valid_thresh", valid_thresh, "Elements above it count as valid.");
    v("normalization", normalization,
      "What the gradient is divided by: null, 1; batch, the number of rows; valid, the number of "
      "valid elements.",
      {"batch", "null", "valid"});
  }
};

double count_above(const NDArray& x, double threshold) {
  int64_t count = 0;
  const NDArray wide = widened(x);
  dispatch<SingleOrDouble>(wide.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T limit = static_cast<T>(threshold), *data = wide.data<T>();
    for (int64_t i = 0; i < x.size(); ++i) count += data[i] > limit;
  });
  return static_cast<double>(std::max<int64_t>(count, 1));
}

OP(MakeLoss)
    .inputs("data")
    .loss()
    .params<MakeLossParams>()
    .infer(infer_same_floating)
    .kernel(copy_kernel)
    .keep_input()
    .vjp([](Vjp& v) {
      const auto& p = v.params<MakeLossParams>();
      const NDArray x = v.input(0);
      double scale = p.grad_scale;
      if (p.normalization == LossNormalization::kBatch && x.ndim() > 0) {
        scale /= static_cast<double>(std::max<int64_t>(x.shape()[0], 1));
      } else if (p.normalization == LossNormalization::kValid) {
        scale /= count_above(x, p.valid_thresh);
      }
      v.grad(0, full(x.shape(), x.dtype(), scale));
    })
    .doc("data, as a loss: its gradient is grad_scale, whatever flows into it.")
    .example(R"(
>>> x = mx.nd.array([3, 5])
>>> x.attach_grad()
>>> with mx.autograd.record():
...     loss = mx.nd.MakeLoss(x * x, grad_scale=0.5)
>>> loss.backward()
>>> loss.asnumpy().tolist(), x.grad.asnumpy().tolist()  # 0.5 * 2 * x
([9.0, 25.0], [3.0, 5.0])
)");

// ---- IdentityAttachKLSparseReg

struct SparseRegParams {
  double sparseness_target = 0.1, penalty = 0.001, momentum = 0.9;
  template <class V>
  void visit(V& v) {
    v("sparseness_target", sparseness_target, "The mean activation that is aimed at.");
    v("penalty", penalty, "Weight of the penalty.");
    v("momentum", momentum, "How much of the moving average stays.");
  }
};

Ints all_but_channels(int ndim) {
  Ints axes;
  for (int d = 0; d < ndim; ++d) {
    if (d != 1) axes.push_back(d);
  }
  return axes;
}

OP(IdentityAttachKLSparseReg)
    .inputs("data", "moving_avg")
    .params<SparseRegParams>()
    .outputs(2, 1)
    .mutates<1>()
    .auxiliary(1)
    .infer([](InferCall& call) {
      call.expect_floating();
      call.expect_same_dtype();
      const Shape& data = call.shape(0);
      call.expect(data.ndim() >= 2, "data must have at least 2 axes: (batch, units, ...)");
      call.require(1, Shape{data[1]});
      call.output(0, data, call.dtype(0));
      call.output(1, call.shape(1), call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<SparseRegParams>();
      const NDArray &x = call.in(0), &moving = call.in(1), &average = call.out(1);
      convert(x.dtype(), x.bytes(), x.dtype(), call.out(0).bytes(), x.size());
      dispatch<FloatingTypes>(x.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        T* old = moving.data<T>();
        if (call.training() && x.size() > 0) {
          const reduce::Layout layout(
              x.shape(), reduced_axes(all_but_channels(x.ndim()), false, x.ndim(), call.name()));
          const double share = (1 - p.momentum) / static_cast<double>(layout.count);
          reduce::run<reduce::Sum<T>>(layout, x.data<T>(), average.data<T>(), [&](double sum) {
            return static_cast<T>(static_cast<compute_type<T>>(sum * share));
          });
          for (int64_t i = 0; i < moving.size(); ++i) {
            old[i] = static_cast<T>(static_cast<compute_type<T>>(
                p.momentum * static_cast<double>(static_cast<compute_type<T>>(old[i])) +
                static_cast<double>(static_cast<compute_type<T>>(average.data<T>()[i]))));
          }
        }
        std::copy_n(old, moving.size(), average.data<T>());
      });
    })
    .keep_inputs({Keep::kShape, Keep::kNothing})
    .keep_output(0, Keep::kShape)
    .keep_output(1)
    .vjp([](Vjp& v) {
      const auto& p = v.params<SparseRegParams>();
      const Shape shape = v.input_shape(0);
      Shape units(shape.ndim(), 1);
      units[1] = shape[1];
      const NDArray average = v.output(1);
      NDArray pull =
          ((1 - p.sparseness_target) / (1.0 - average) - p.sparseness_target / average) * p.penalty;
      pull = reshape(pull, units);
      NDArray grad;
      if (v.has_head(0)) grad = v.head(0) + pull;
      // The average itself depends on data: the gradient of the gradient comes this way.
      if (v.has_head(1) && v.training()) {
        const auto count = static_cast<double>(shape.size() / std::max<int64_t>(shape[1], 1));
        const NDArray share = reshape(v.head(1), units) * ((1 - p.momentum) / count);
        grad = grad.defined() ? grad + share : broadcast_to(share, shape);
      }
      if (grad.defined()) v.grad(0, grad);
    })
    .doc(
        "data; its gradient gains that of the divergence of each unit's mean activation, a moving "
        "average that train mode updates in place, from a target.")
    .example(R"(
>>> x, average = mx.nd.array([[0.25], [0.75]]), mx.nd.zeros(1)
>>> x.attach_grad()
>>> options = dict(sparseness_target=0.25, penalty=1, momentum=0)
>>> with mx.autograd.record():
...     y = mx.nd.IdentityAttachKLSparseReg(x, average, **options)
>>> y.backward()
>>> x.grad.asnumpy().tolist()  # 1, and 1 more because the mean, 0.5, is above 0.25
[[2.0], [2.0]]
)");

}  // namespace
}  // namespace mxtape

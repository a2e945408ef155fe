#include <algorithm>
#include <cmath>
#include <cstring>

#include "ops/optimizer/steps.h"
#include "runtime/parallel.h"

// Steps whose rate adapts to each weight: Adam, AdamW, RMSProp, FTRL, FTML, AdaGrad by rows.
namespace mxtape {
namespace {

// ---- Adam

OP_STEP(adam_update, Adam, AdamParams)
    .inputs("weight", "grad", "mean", "var")
    .doc(
        "A step of Adam without bias correction, of the gradient clip(rescale_grad * grad + wd * "
        "weight). mean and var change in place.")
    .example(R"(
>>> weight, grad, mean, var = (mx.nd.array([x]) for x in (1, 4, 0, 0))
>>> options = dict(lr=0.125, beta1=0.5, beta2=0.75, out=weight)
>>> y = mx.nd.adam_update(weight, grad, mean, var, **options)
>>> print(weight.asnumpy().round(4), mean.asnumpy(), var.asnumpy())
[0.875] [2.] [4.]
)");

// ---- AdamW: the decay is apart from the gradient, which an array rescales

constexpr char kEtaDoc[] = "Factor of the step and of the decay: the schedule's multiplier.";

struct AdamwRates {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, clip_gradient = -1;
};
struct AdamwStep : AdamwRates {
  double lr = 0, wd = 0, eta = 1, rescale_grad = 1;
};

template <class C>
struct Adamw {
  static constexpr int kStates = 2;
  explicit Adamw(const AdamwStep& p)
      : lr(static_cast<C>(p.lr)),
        wd(static_cast<C>(p.wd)),
        eta(static_cast<C>(p.eta)),
        beta1(static_cast<C>(p.beta1)),
        beta2(static_cast<C>(p.beta2)),
        epsilon(static_cast<C>(p.epsilon)),
        rule(p) {}
  C operator()(C w, C grad, C* state) const {
    const C g = rule(grad);
    state[0] = beta1 * state[0] + (C(1) - beta1) * g;
    state[1] = beta2 * state[1] + (C(1) - beta2) * g * g;
    return w - eta * (lr * state[0] / (std::sqrt(state[1]) + epsilon) + wd * w);
  }
  C lr, wd, eta, beta1, beta2, epsilon;
  GradientRule<C> rule;
};

struct AdamwParams : AdamwRates {
  double lr = 0, wd = 0, eta = 0;
  int64_t weights() const { return 1; }
  AdamwStep at(size_t, double rescale) const { return {*this, lr, wd, eta, rescale}; }
  void check(const InferCall&) const {}
  template <class V>
  void visit(V& v) {
    v.required("lr", lr, kLrDoc);
    v("beta1", beta1, kBeta1Doc);
    v("beta2", beta2, kBeta2Doc);
    v("epsilon", epsilon, kEpsilonDoc);
    v("wd", wd, "Weight decay: eta * wd * weight is subtracted from the weight.");
    v.required("eta", eta, kEtaDoc);
    v("clip_gradient", clip_gradient, kClipDoc);
  }
};

struct MultiAdamwParams : AdamwRates {
  Floats lrs, wds, etas;
  int64_t num_weights = 1;
  int64_t weights() const { return num_weights; }
  AdamwStep at(size_t i, double rescale) const { return {*this, lrs[i], wds[i], etas[i], rescale}; }
  void check(const InferCall& call) const {
    expect_one_each(call, "lrs", lrs.size(), num_weights);
    expect_one_each(call, "wds", wds.size(), num_weights);
    expect_one_each(call, "etas", etas.size(), num_weights);
  }
  template <class V>
  void visit(V& v) {
    v.required("lrs", lrs, "Learning rate of each weight.");
    v("beta1", beta1, kBeta1Doc);
    v("beta2", beta2, kBeta2Doc);
    v("epsilon", epsilon, kEpsilonDoc);
    v.required("wds", wds, "Weight decay of each weight.");
    v.required("etas", etas, kEtaDoc);
    v("clip_gradient", clip_gradient, kClipDoc);
    v("num_weights", num_weights, kNumWeightsDoc);
  }
};

template <class P, bool kMaster>
struct AdamwGroups : Groups<P, 2, kMaster, 1> {
  static void infer(InferCall& call) {
    Groups<P, 2, kMaster, 1>::infer(call);
    const size_t last = call.input_count() - 1;
    call.expect_floating(last);
    call.expect(call.shape(last).size() == 1, "rescale_grad, the last input, must hold one number");
  }
  // A gradient that overflowed is skipped: rescale_grad is 0 or not finite then.
  static void run(const KernelCall& call) {
    constexpr size_t kStride = AdamwGroups::kStride;
    const auto& p = call.params<P>();
    const double rescale = number_at(call.in(call.input_count() - 1), 0);
    const bool skip = rescale == 0 || !std::isfinite(rescale);
    for (size_t i = 0; i < call.output_count(); ++i) {
      const NDArray &weight = call.in(i * kStride), &out = call.out(i);
      if (!skip) {
        run_step_of<Adamw, kMaster>(p.at(i, rescale), call.inputs(), i * kStride, out);
      } else if (out.bytes() != weight.bytes() && out.nbytes()) {
        std::memcpy(out.bytes(), weight.bytes(), out.nbytes());
      }
    }
  }
};

OP_GROUPS(_adamw_update, AdamwGroups<AdamwParams, false>)
    .inputs("weight", "grad", "mean", "var", "rescale_grad")
    .doc(
        "A step of AdamW: the gradient is clip(rescale_grad * grad), and eta * wd * weight is "
        "subtracted apart from it. rescale_grad is an array of one number; when that is 0 or not "
        "finite, the step is skipped. mean and var change in place.");

OP_GROUPS(_mp_adamw_update, AdamwGroups<AdamwParams, true>)
    .inputs("weight", "grad", "mean", "var", "weight32", "rescale_grad")
    .doc("_adamw_update computed on weight32, a float32 copy that changes in place.");

OP_MULTI(_multi_adamw_update, AdamwGroups<MultiAdamwParams, false>)
    .doc(
        "_adamw_update of many arrays, given as weight, grad, mean, var for each, then "
        "rescale_grad.");

OP_MULTI(_multi_mp_adamw_update, AdamwGroups<MultiAdamwParams, true>)
    .doc(
        "_mp_adamw_update of many arrays, given as weight, grad, mean, var, weight32 for each, "
        "then rescale_grad.");

// ---- RMSProp

struct RmspropParams : ClippedParams {
  double gamma1 = 0.95, epsilon = 1e-8, clip_weights = -1;
  template <class V>
  void visit(V& v) {
    v.required("lr", lr, kLrDoc);
    v("gamma1", gamma1, kBeta2Doc);
    visit_tail(v);
  }

 protected:
  template <class V>
  void visit_tail(V& v) {
    v("epsilon", epsilon, kEpsilonDoc);
    visit_rest(v);
    v("clip_weights", clip_weights,
      "The new weight is limited to [-clip_weights, clip_weights]; negative for no limit.");
  }
};

struct RmspropAlexParams : RmspropParams {
  double gamma2 = 0.9;
  template <class V>
  void visit(V& v) {
    v.required("lr", lr, kLrDoc);
    v("gamma1", gamma1, "Decay of the means of gradients and of squared gradients.");
    v("gamma2", gamma2, kMomentumDoc);
    visit_tail(v);
  }
};

template <class C>
struct Rmsprop {
  static constexpr int kStates = 1;
  explicit Rmsprop(const RmspropParams& p)
      : lr(static_cast<C>(p.lr)),
        wd(static_cast<C>(p.wd)),
        gamma1(static_cast<C>(p.gamma1)),
        epsilon(static_cast<C>(p.epsilon)),
        rule(p),
        clip_weight(p.clip_weights) {}
  C operator()(C w, C grad, C* state) const {
    const C g = rule(grad, wd * w);
    state[0] = gamma1 * state[0] + (C(1) - gamma1) * g * g;
    return clip_weight(w - lr * g / std::sqrt(state[0] + epsilon));
  }
  C lr, wd, gamma1, epsilon;
  GradientRule<C> rule;
  Clip<C> clip_weight;
};

template <class C>
struct RmspropAlex {
  static constexpr int kStates = 3;
  explicit RmspropAlex(const RmspropAlexParams& p)
      : lr(static_cast<C>(p.lr)),
        wd(static_cast<C>(p.wd)),
        gamma1(static_cast<C>(p.gamma1)),
        gamma2(static_cast<C>(p.gamma2)),
        epsilon(static_cast<C>(p.epsilon)),
        rule(p),
        clip_weight(p.clip_weights) {}
  C operator()(C w, C grad, C* state) const {
    const C g = rule(grad, wd * w);
    const C square = gamma1 * state[0] + (C(1) - gamma1) * g * g;
    const C mean = gamma1 * state[1] + (C(1) - gamma1) * g;
    state[0] = square;
    state[1] = mean;
    state[2] = gamma2 * state[2] - lr * g / std::sqrt(square - mean * mean + epsilon);
    return clip_weight(w + state[2]);
  }
  C lr, wd, gamma1, gamma2, epsilon;
  GradientRule<C> rule;
  Clip<C> clip_weight;
};

OP_STEP(rmsprop_update, Rmsprop, RmspropParams)
    .inputs("weight", "grad", "n")
    .doc(
        "A step of RMSProp: weight - lr * g / sqrt(n + epsilon), where g = clip(rescale_grad * "
        "grad + wd * weight) and n, the running mean of its squares, changes in place.")
    .example(R"(
>>> weight, grad, n = mx.nd.array([1]), mx.nd.array([4]), mx.nd.array([0])
>>> y = mx.nd.rmsprop_update(weight, grad, n, lr=0.25, gamma1=0.75)
>>> print(y.asnumpy().round(4), n.asnumpy())
[0.5] [4.]
)");

OP_STEP(rmspropalex_update, RmspropAlex, RmspropAlexParams)
    .inputs("weight", "grad", "n", "g", "delta")
    .doc(
        "A step of centred RMSProp with momentum: n and g, the running means of squared gradients "
        "and of gradients, and delta = gamma2 * delta - lr * gradient / sqrt(n - g * g + epsilon) "
        "change in place; the result is weight + delta.")
    .example(R"(
>>> weight, grad, n, g, delta = (mx.nd.array([x]) for x in (1, 4, 0, 0, 0))
>>> y = mx.nd.rmspropalex_update(weight, grad, n, g, delta, lr=0.25, gamma1=0.5)
>>> print(y.asnumpy().round(4), n.asnumpy(), g.asnumpy(), delta.asnumpy().round(4))
[0.5] [8.] [2.] [-0.5]
)");

// ---- FTRL

OP_STEP(ftrl_update, Ftrl, FtrlParams)
    .inputs("weight", "grad", "z", "n")
    .doc(
        "A step of FTRL-proximal: with g = clip(rescale_grad * grad), z grows by g - (sqrt(n + g * "
        "g) - sqrt(n)) * weight / lr and n by g * g, in place; the weight is 0 where |z| is at "
        "most lamda1, and (sign(z) * lamda1 - z) / ((beta + sqrt(n)) / lr + wd) elsewhere.")
    .example(R"(
>>> weight, grad, z, n = (mx.nd.array([x]) for x in (0.5, 4, 0, 0))
>>> y = mx.nd.ftrl_update(weight, grad, z, n, lr=1, lamda1=1, beta=1)
>>> print(y.asnumpy().round(4), z.asnumpy(), n.asnumpy())
[-0.2] [2.] [16.]
)");

// ---- FTML

struct FtmlParams : ClippedParams {
  double beta1 = 0.6, beta2 = 0.999, epsilon = 1e-8;
  int64_t t = 1;
  template <class V>
  void visit(V& v) {
    v.required("lr", lr, kLrDoc);
    v("beta1", beta1, kBeta1Doc);
    v("beta2", beta2, kBeta2Doc);
    v("epsilon", epsilon, kEpsilonDoc);
    v.required("t", t, "Number of the step, from 1.");
    v("wd", wd, kWdDoc);
    v("rescale_grad", rescale_grad, kRescaleDoc);
    v("clip_grad", clip_gradient, kClipDoc);
  }
};

template <class C>
struct Ftml {
  static constexpr int kStates = 3;
  explicit Ftml(const FtmlParams& p)
      : wd(static_cast<C>(p.wd)),
        beta1(static_cast<C>(p.beta1)),
        beta2(static_cast<C>(p.beta2)),
        epsilon(static_cast<C>(p.epsilon)),
        scale(static_cast<C>((1 - std::pow(p.beta1, static_cast<double>(p.t))) / p.lr)),
        correction(static_cast<C>(1 / (1 - std::pow(p.beta2, static_cast<double>(p.t))))),
        rule(p) {}
  C operator()(C w, C grad, C* state) const {
    const C g = rule(grad, wd * w);
    const C v = beta2 * state[1] + (C(1) - beta2) * g * g;
    const C d = scale * (std::sqrt(v * correction) + epsilon);
    const C z = beta1 * state[2] + (C(1) - beta1) * g - (d - beta1 * state[0]) * w;
    state[0] = d;
    state[1] = v;
    state[2] = z;
    return -z / d;
  }
  C wd, beta1, beta2, epsilon, scale, correction;
  GradientRule<C> rule;
};

OP_STEP(ftml_update, Ftml, FtmlParams)
    .inputs("weight", "grad", "d", "v", "z")
    .infer([](InferCall& call) {
      call.expect(call.params<FtmlParams>().t > 0, "t, the number of the step, starts at 1");
      infer_step<3, false>(call);
    })
    .doc(
        "A step of FTML (follow the moving leader), of the gradient clip(rescale_grad * grad + wd "
        "* weight). d, v and z change in place.")
    .example(R"(
>>> weight, grad, d, v, z = (mx.nd.array([x]) for x in (1, 2, 0, 0, 0))
>>> y = mx.nd.ftml_update(weight, grad, d, v, z, lr=0.5, t=1, out=weight)
>>> print(weight.asnumpy().round(4), d.asnumpy().round(4), v.asnumpy().round(4))
[0.5] [1.6] [0.004]
)");

// ---- AdaGrad

OP_STEP(_sparse_adagrad_update, Adagrad, AdagradParams)
    .inputs("weight", "grad", "history")
    .doc(
        "A step of AdaGrad: with g = clip(rescale_grad * grad), history grows by g * g, in place, "
        "and "
        "the result is weight - lr * (g / sqrt(history + epsilon) + wd * weight). Only the rows of "
        "a "
        "row_sparse gradient are read and written where wd is 0.")
    .example(R"(
>>> weight, grad, history = mx.nd.array([1]), mx.nd.array([4]), mx.nd.array([9])
>>> y = mx.nd.sparse.adagrad_update(weight, grad, history, lr=0.5, epsilon=0)
>>> print(y.asnumpy().round(4), history.asnumpy())
[0.6] [25.]
)");

// ---- AdaGrad with one rate for each row

OP(_contrib_group_adagrad_update)
    .inputs("weight", "grad", "history")
    .params<GroupAdagradParams>()
    .infer([](InferCall& call) {
      expect_group(call, 0, 2, 2);
      call.expect(call.shape(0).ndim() > 0, "an array without axes has no rows");
      call.expect(call.dtype(2) == call.dtype(0), "history must have the weight's dtype");
      call.expect(call.shape(2).size() == call.shape(0)[0] && call.shape(2).ndim() > 0 &&
                      call.shape(2)[0] == call.shape(0)[0],
                  "history must have one number for each row of the weight");
      call.output(0, call.shape(0), call.dtype(0));
    })
    .in_place()
    .mutates<2>()
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<GroupAdagradParams>();
      const NDArray& out = call.out();
      if (out.size() == 0) return;
      const int64_t rows = out.shape()[0], row = out.size() / rows;
      dispatch<FloatingTypes>(out.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        using C = compute_type<T>;
        const T *weight = call.in(0).template data<T>(), *grad = call.in(1).template data<T>();
        T *history = call.in(2).template data<T>(), *result = out.template data<T>();
        const GroupAdagrad<C> step(p);
        const int64_t grain = std::max<int64_t>(1, kStepPiece / row);
        parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
          for (int64_t r = begin; r < end; ++r) {
            step(row, weight + r * row, grad + r * row, history[r], result + r * row);
          }
        });
      });
    })
    .no_grad(kStepNotDifferentiable)
    .doc(
        "A step of AdaGrad with one history for each row: history grows by the mean of the row's "
        "squared gradients, in place, and the result is weight - lr * grad / sqrt(history + "
        "epsilon).")
    .example(R"(
>>> weight, grad = mx.nd.array([[1, 1], [1, 1]]), mx.nd.array([[2, 2], [0, 8]])
>>> history = mx.nd.zeros((2, 1))
>>> y = mx.nd.contrib.group_adagrad_update(weight, grad, history, lr=0.5, epsilon=0)
>>> print(history.asnumpy().ravel(), y.asnumpy().round(4).ravel())
[ 4. 32.] [0.5    0.5    1.     0.2929]
)");

}  // namespace
}  // namespace mxtape

#include "ops/optimizer/steps.h"

// Steps of gradient descent, with and without momentum, by the sign, for one array and for many.
namespace mxtape {
namespace {

// Of the operators that have no lazy_update.
struct SignSgdParams : SgdParams {
  template <class V>
  void visit(V& v) {
    v.required("lr", lr, kLrDoc);
    visit_rest(v);
  }
};

struct SignumParams : NagParams {
  double wd_lh = 0;
  template <class V>
  void visit(V& v) {
    NagParams::visit(v);
    v("wd_lh", wd_lh, "Weight decay that is not part of the gradient.");
  }
};

// ---- steps

// As in MXNet, where the weight changes in place the momentum decays by its new value.
struct NagStepParams : NagParams {
  bool in_place = false;
};
template <class C>
struct Nag {
  static constexpr int kStates = 1;
  explicit Nag(const NagStepParams& p)
      : lr(static_cast<C>(p.lr)),
        decay(lr * static_cast<C>(p.wd)),
        late_decay(p.in_place ? decay : C(0)),
        momentum(static_cast<C>(p.momentum)),
        rule(p) {}
  C operator()(C w, C g, C* mom) const {
    const C step = decay * w + lr * rule(g);
    mom[0] = momentum * mom[0] - step;
    const C result = w + (momentum * mom[0] - step);
    mom[0] -= late_decay * (result - w);
    return result;
  }
  C lr, decay, late_decay, momentum;
  GradientRule<C> rule;
};

template <bool kMaster>
void run_nag(const KernelCall& call) {
  NagStepParams p{call.params<NagParams>()};
  p.in_place = kMaster || call.out().bytes() == call.in(0).bytes();
  run_step_of<Nag, kMaster>(p, call.inputs(), 0, call.out());
}

// -1, 0 or 1; 0 for NaN.
template <class C>
C sign_of(C x) {
  return static_cast<C>(x > 0) - static_cast<C>(x < 0);
}

// Neither the scale nor the limit of a gradient changes its sign, except a limit of zero, which
// MXNet leaves out too.
template <class C>
struct SignSgd {
  static constexpr int kStates = 0;
  explicit SignSgd(const SgdParams& p)
      : lr(static_cast<C>(p.lr)), keep(C(1) - lr * static_cast<C>(p.wd)) {}
  C operator()(C w, C g, C*) const { return keep * w - lr * sign_of(g); }
  C lr, keep;
};

template <class C>
struct Signum {
  static constexpr int kStates = 1;
  explicit Signum(const SignumParams& p)
      : lr(static_cast<C>(p.lr)),
        keep(C(1) - lr * static_cast<C>(p.wd_lh)),
        wd(static_cast<C>(p.wd)),
        momentum(static_cast<C>(p.momentum)),
        rule(p) {}
  C operator()(C w, C g, C* mom) const {
    mom[0] = momentum * mom[0] - (C(1) - momentum) * (wd * w + rule(g));
    return keep * w + lr * sign_of(mom[0]);
  }
  C lr, keep, wd, momentum;
  GradientRule<C> rule;
};

// ---- one array

OP_STEP(sgd_update, Sgd, SgdParams)
    .inputs("weight", "grad")
    .doc(
        "A step of stochastic gradient descent: weight - lr * (clip(rescale_grad * grad) + wd * "
        "weight). Give out=weight to change the weight itself.")
    .example(R"(
>>> weight, grad = mx.nd.array([1, 2]), mx.nd.array([0.5, -10])
>>> mx.nd.sgd_update(weight, grad, lr=0.5, clip_gradient=2).asnumpy().tolist()
[0.75, 3.0]
>>> y = mx.nd.sgd_update(weight, grad, lr=0.5, wd=0.5, out=weight)
>>> weight.asnumpy().tolist()
[0.5, 6.5]
)");

OP_STEP(mp_sgd_update, Sgd, SgdParams, true)
    .inputs("weight", "grad", "weight32")
    .doc(
        "sgd_update computed on weight32, a float32 copy of the weight that changes in place; the "
        "result is that copy in the weight's dtype.")
    .example(R"(
>>> weight, grad = mx.nd.array([1], dtype="float16"), mx.nd.array([1], dtype="float16")
>>> weight32 = mx.nd.array([1])
>>> y = mx.nd.mp_sgd_update(weight, grad, weight32, lr=2.0**-13, out=weight)
>>> weight.asnumpy().tolist(), weight32.asnumpy().tolist()  # too small a step for float16
([1.0], [0.9998779296875])
)");

OP_STEP(sgd_mom_update, Momentum, MomentumParams)
    .inputs("weight", "grad", "mom")
    .doc(
        "A step of gradient descent with momentum: mom = momentum * mom - lr * (clip(rescale_grad "
        "* grad) + wd * weight), which changes in place, and the result is weight + mom.")
    .example(R"(
>>> weight, grad, mom = mx.nd.array([1]), mx.nd.array([2]), mx.nd.array([1])
>>> y = mx.nd.sgd_mom_update(weight, grad, mom, lr=0.5, momentum=0.5, out=weight)
>>> weight.asnumpy().tolist(), mom.asnumpy().tolist()
([0.5], [-0.5])
)");

OP_STEP(mp_sgd_mom_update, Momentum, MomentumParams, true)
    .inputs("weight", "grad", "mom", "weight32")
    .doc("sgd_mom_update computed on weight32, a float32 copy that changes in place.")
    .example(R"(
>>> weight, grad = mx.nd.array([1], dtype="float16"), mx.nd.array([2], dtype="float16")
>>> mom, weight32 = mx.nd.array([1]), mx.nd.array([1])
>>> options = dict(lr=0.5, momentum=0.5, out=weight)
>>> y = mx.nd.mp_sgd_mom_update(weight, grad, mom, weight32, **options)
>>> weight.asnumpy().tolist(), weight32.asnumpy().tolist(), mom.asnumpy().tolist()
([0.5], [0.5], [-0.5])
)");

OP_STEP(nag_mom_update, Nag, NagParams, false, run_nag<false>)
    .inputs("weight", "grad", "mom")
    .doc(
        "A step with Nesterov's momentum: with step = lr * (clip(rescale_grad * grad) + wd * "
        "weight), mom = momentum * mom - step changes in place, and the result is weight + "
        "momentum * mom - step. With out=weight, mom is then decayed by the new weight instead of "
        "the old one.")
    .example(R"(
>>> weight, grad, mom = mx.nd.array([1]), mx.nd.array([2]), mx.nd.array([1])
>>> y = mx.nd.nag_mom_update(weight, grad, mom, lr=0.5, momentum=0.5, out=weight)
>>> weight.asnumpy().tolist(), mom.asnumpy().tolist()
([-0.25], [-0.5])
)");

OP_STEP(mp_nag_mom_update, Nag, NagParams, true, run_nag<true>)
    .inputs("weight", "grad", "mom", "weight32")
    .doc("nag_mom_update computed on weight32, a float32 copy that changes in place.")
    .example(R"(
>>> weight, grad = mx.nd.array([1], dtype="float16"), mx.nd.array([2], dtype="float16")
>>> mom, weight32 = mx.nd.array([1]), mx.nd.array([1])
>>> options = dict(lr=0.5, momentum=0.5, out=weight)
>>> y = mx.nd.mp_nag_mom_update(weight, grad, mom, weight32, **options)
>>> weight.asnumpy().tolist(), weight32.asnumpy().tolist(), mom.asnumpy().tolist()
([-0.25], [-0.25], [-0.5])
)");

OP_STEP(signsgd_update, SignSgd, SignSgdParams)
    .inputs("weight", "grad")
    .doc("A step by the gradient's sign: (1 - lr * wd) * weight - lr * sign(grad).")
    .example(R"(
>>> weight, grad = mx.nd.array([1, 1, 1]), mx.nd.array([-100, 0, 0.01])
>>> mx.nd.signsgd_update(weight, grad, lr=0.5).asnumpy().tolist()
[1.5, 1.0, 0.5]
)");

OP_STEP(signum_update, Signum, SignumParams)
    .inputs("weight", "grad", "mom")
    .doc(
        "A step by the sign of the momentum: mom = momentum * mom - (1 - momentum) * "
        "(clip(rescale_grad * grad) + wd * weight) changes in place, and the result is (1 - lr * "
        "wd_lh) * weight + lr * sign(mom).")
    .example(R"(
>>> weight, grad, mom = mx.nd.array([1, 1]), mx.nd.array([4, -8]), mx.nd.zeros(2)
>>> mx.nd.signum_update(weight, grad, mom, lr=0.5, momentum=0.75).asnumpy().tolist()
[0.5, 1.5]
>>> mom.asnumpy().tolist()
[-1.0, 2.0]
)");

// ---- many arrays

struct MultiParams {
  double momentum = 0, rescale_grad = 1, clip_gradient = -1;
  int64_t num_weights = 1;
  int64_t weights() const { return num_weights; }

 protected:
  NagParams with_rates(double lr, double wd) const {
    NagParams p;
    p.lr = lr;
    p.wd = wd;
    p.momentum = momentum;
    p.rescale_grad = rescale_grad;
    p.clip_gradient = clip_gradient;
    return p;
  }
  template <class V>
  void visit_rest(V& v) {
    v("rescale_grad", rescale_grad, kRescaleDoc);
    v("clip_gradient", clip_gradient, kClipDoc);
    v("num_weights", num_weights, kNumWeightsDoc);
  }
};

// Rates given as parameters.
template <bool kMomentum>
struct MultiSgdParams : MultiParams {
  Floats lrs, wds;
  static constexpr size_t kExtra = 0;
  NagParams at(size_t i, Inputs) const { return with_rates(lrs[i], wds[i]); }
  void check(const InferCall& call) const {
    expect_one_each(call, "lrs", lrs.size(), num_weights);
    expect_one_each(call, "wds", wds.size(), num_weights);
  }
  template <class V>
  void visit(V& v) {
    v.required("lrs", lrs, "Learning rate of each weight.");
    v.required("wds", wds, "Weight decay of each weight.");
    if constexpr (kMomentum) v("momentum", momentum, kMomentumDoc);
    visit_rest(v);
  }
};

// Rates given as arrays, the last two inputs.
template <bool kMomentum>
struct PreloadedParams : MultiParams {
  static constexpr size_t kExtra = 2;
  NagParams at(size_t i, Inputs in) const {
    return with_rates(number_at(in[in.size() - 2], i), number_at(in[in.size() - 1], i));
  }
  void check(const InferCall& call) const {
    for (size_t i = call.input_count() - 2; i < call.input_count(); ++i) {
      call.expect_floating(i);
      call.expect(call.shape(i) == Shape{num_weights},
                  "the last two inputs, the learning rates and the decays, must have one number "
                  "for each weight");
    }
  }
  template <class V>
  void visit(V& v) {
    if constexpr (kMomentum) v("momentum", momentum, kMomentumDoc);
    visit_rest(v);
  }
};

template <template <class> class Step, bool kMaster, class P>
struct Steps : Groups<P, Step<float>::kStates, kMaster, P::kExtra> {
  static void run(const KernelCall& call) {
    const auto& p = call.params<P>();
    for (size_t i = 0; i < call.output_count(); ++i) {
      run_step_of<Step, kMaster>(p.at(i, call.inputs()), call.inputs(), i * Steps::kStride,
                                 call.out(i));
    }
  }
};

OP_MULTI(multi_sgd_update, Steps<Sgd, false, MultiSgdParams<false>>)
    .doc("sgd_update of many arrays, given as weight, grad for each; returns the new weights.")
    .example(R"(
>>> v, v_grad = mx.nd.array([1]), mx.nd.array([1])
>>> w, w_grad = mx.nd.array([2, 2]), mx.nd.array([2, 4])
>>> options = dict(lrs=(1, 0.5), wds=(0, 0), num_weights=2)
>>> y = mx.nd.multi_sgd_update(v, v_grad, w, w_grad, **options, out=[v, w])
>>> v.asnumpy().tolist(), w.asnumpy().tolist()
([0.0], [1.0, 0.0])
)");
OP_MULTI(multi_sgd_mom_update, Steps<Momentum, false, MultiSgdParams<true>>)
    .doc("sgd_mom_update of many arrays, given as weight, grad, mom for each.")
    .example(R"(
>>> v, v_grad, v_mom = mx.nd.array([1]), mx.nd.array([1]), mx.nd.array([1])
>>> w, w_grad, w_mom = mx.nd.array([2, 2]), mx.nd.array([2, 4]), mx.nd.array([0, 0])
>>> options = dict(lrs=(1, 0.5), wds=(0, 0), momentum=0.5, num_weights=2, out=[v, w])
>>> y = mx.nd.multi_sgd_mom_update(v, v_grad, v_mom, w, w_grad, w_mom, **options)
>>> v.asnumpy().tolist(), w.asnumpy().tolist(), w_mom.asnumpy().tolist()
([0.5], [1.0, 0.0], [-1.0, -2.0])
)");
OP_MULTI(multi_mp_sgd_update, Steps<Sgd, true, MultiSgdParams<false>>)
    .doc("mp_sgd_update of many arrays, given as weight, grad, weight32 for each.")
    .example(R"(
>>> weight, grad = mx.nd.array([1], dtype="float16"), mx.nd.array([1], dtype="float16")
>>> weight32 = mx.nd.array([1])
>>> options = dict(lrs=(2.0**-13,), wds=(0,), num_weights=1, out=weight)
>>> y = mx.nd.multi_mp_sgd_update(weight, grad, weight32, **options)
>>> weight.asnumpy().tolist(), weight32.asnumpy().tolist()  # too small a step for float16
([1.0], [0.9998779296875])
)");
OP_MULTI(multi_mp_sgd_mom_update, Steps<Momentum, true, MultiSgdParams<true>>)
    .doc("mp_sgd_mom_update of many arrays, given as weight, grad, mom, weight32 for each.")
    .example(R"(
>>> weight, grad = mx.nd.array([1], dtype="float16"), mx.nd.array([2], dtype="float16")
>>> mom, weight32 = mx.nd.array([1]), mx.nd.array([1])
>>> options = dict(lrs=(0.5,), wds=(0,), momentum=0.5, num_weights=1, out=weight)
>>> y = mx.nd.multi_mp_sgd_mom_update(weight, grad, mom, weight32, **options)
>>> weight.asnumpy().tolist(), weight32.asnumpy().tolist(), mom.asnumpy().tolist()
([0.5], [0.5], [-0.5])
)");
OP_MULTI(preloaded_multi_sgd_update, Steps<Sgd, false, PreloadedParams<false>>)
    .doc(
        "multi_sgd_update whose learning rates and weight decays are the last two inputs, vectors "
        "with a number for each weight.")
    .example(R"(
>>> v, v_grad, w, w_grad = (mx.nd.array([x]) for x in (1, 1, 2, 4))
>>> lrs, wds = mx.nd.array([1, 0.5]), mx.nd.array([0, 1])
>>> step = mx.nd.preloaded_multi_sgd_update
>>> y = step(v, v_grad, w, w_grad, lrs, wds, num_weights=2, out=[v, w])
>>> v.asnumpy().tolist(), w.asnumpy().tolist()
([0.0], [-1.0])
)");
OP_MULTI(preloaded_multi_sgd_mom_update, Steps<Momentum, false, PreloadedParams<true>>)
    .doc("multi_sgd_mom_update with learning rates and weight decays as the last two inputs.")
    .example(R"(
>>> weight, grad, mom = mx.nd.array([1]), mx.nd.array([2]), mx.nd.array([1])
>>> lrs, wds = mx.nd.array([0.5]), mx.nd.zeros(1)
>>> step = mx.nd.preloaded_multi_sgd_mom_update
>>> y = step(weight, grad, mom, lrs, wds, momentum=0.5, out=weight)
>>> weight.asnumpy().tolist(), mom.asnumpy().tolist()
([0.5], [-0.5])
)");
OP_MULTI(preloaded_multi_mp_sgd_update, Steps<Sgd, true, PreloadedParams<false>>)
    .doc("multi_mp_sgd_update with learning rates and weight decays as the last two inputs.")
    .example(R"(
>>> weight, grad = mx.nd.array([1], dtype="float16"), mx.nd.array([1], dtype="float16")
>>> weight32, lrs, wds = mx.nd.array([1]), mx.nd.array([2.0**-13]), mx.nd.zeros(1)
>>> step = mx.nd.preloaded_multi_mp_sgd_update
>>> y = step(weight, grad, weight32, lrs, wds, num_weights=1, out=weight)
>>> weight.asnumpy().tolist(), weight32.asnumpy().tolist()  # too small a step for float16
([1.0], [0.9998779296875])
)");
OP_MULTI(preloaded_multi_mp_sgd_mom_update, Steps<Momentum, true, PreloadedParams<true>>)
    .doc("multi_mp_sgd_mom_update with learning rates and weight decays as the last two inputs.")
    .example(R"(
>>> weight, grad = mx.nd.array([1], dtype="float16"), mx.nd.array([2], dtype="float16")
>>> mom, weight32 = mx.nd.array([1]), mx.nd.array([1])
>>> lrs, wds = mx.nd.array([0.5]), mx.nd.zeros(1)
>>> step = mx.nd.preloaded_multi_mp_sgd_mom_update
>>> y = step(weight, grad, mom, weight32, lrs, wds, momentum=0.5, out=weight)
>>> weight.asnumpy().tolist(), weight32.asnumpy().tolist(), mom.asnumpy().tolist()
([0.5], [0.5], [-0.5])
)");

}  // namespace
}  // namespace mxtape

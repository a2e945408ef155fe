#include <algorithm>
#include <cmath>

#include "ops/optimizer/optimizer.h"
#include "runtime/parallel.h"

// Steps whose rate adapts to each array by its norm: LAMB in two phases and in one, and LARS'
// rates.
namespace mxtape {
namespace {

// ---- LAMB: Adam's direction, scaled by the ratio of the norms of the weight and of the direction

struct LambRates {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-6;
  double wd = 0, rescale_grad = 1, clip_gradient = -1;
  int64_t t = 1;
  bool bias_correction = true;
};

constexpr char kStepNumberDoc[] = "Number of the step, from 1.";
constexpr char kCorrectionDoc[] = "Whether the means are corrected for having started from 0.";
constexpr char kLambDecayDoc[] = "Weight decay: wd * weight is added to the direction.";
constexpr char kLowerDoc[] = "Lower limit of the weight's norm; negative for none.";
constexpr char kUpperDoc[] = "Upper limit of the weight's norm; negative for none.";

// The direction.
template <class C>
struct LambDirection {
  static constexpr int kStates = 2;
  explicit LambDirection(const LambRates& p)
      : beta1(static_cast<C>(p.beta1)),
        beta2(static_cast<C>(p.beta2)),
        epsilon(static_cast<C>(p.epsilon)),
        wd(static_cast<C>(p.wd)),
        mean_scale(C(1) / correction(p, p.beta1)),
        var_scale(C(1) / correction(p, p.beta2)),
        rule(p) {}
  C operator()(C w, C grad, C* state) const {
    const C g = rule(grad);
    state[0] = beta1 * state[0] + (C(1) - beta1) * g;
    state[1] = beta2 * state[1] + (C(1) - beta2) * g * g;
    return state[0] * mean_scale / (std::sqrt(state[1] * var_scale) + epsilon) + wd * w;
  }
  static C correction(const LambRates& p, double beta) {
    return p.bias_correction ? static_cast<C>(1 - std::pow(beta, static_cast<double>(p.t))) : C(1);
  }
  C beta1, beta2, epsilon, wd, mean_scale, var_scale;
  GradientRule<C> rule;
};

struct LambPhase1Params : LambRates {
  template <class V>
  void visit(V& v) {
    v("beta1", beta1, kBeta1Doc);
    v("beta2", beta2, kBeta2Doc);
    v("epsilon", epsilon, kEpsilonDoc);
    v.required("t", t, kStepNumberDoc);
    v("bias_correction", bias_correction, kCorrectionDoc);
    v.required("wd", wd, kLambDecayDoc);
    v("rescale_grad", rescale_grad, kRescaleDoc);
    v("clip_gradient", clip_gradient, kClipDoc);
  }
};

struct LambBounds {
  double lower_bound = -1, upper_bound = -1;
  // What the learning rate is multiplied by.
  double ratio(double weight_norm, double direction_norm) const {
    if (lower_bound >= 0 && weight_norm < lower_bound) weight_norm = lower_bound;
    if (upper_bound >= 0 && weight_norm > upper_bound) weight_norm = upper_bound;
    return weight_norm == 0 || direction_norm == 0 ? 1 : weight_norm / direction_norm;
  }
};

struct LambPhase2Params : LambBounds {
  double lr = 0;
  template <class V>
  void visit(V& v) {
    v.required("lr", lr, kLrDoc);
    v("lower_bound", lower_bound, kLowerDoc);
    v("upper_bound", upper_bound, kUpperDoc);
  }
};

// weight - rate * direction.
struct LambRate {
  double rate;
};
template <class C>
struct LambMove {
  static constexpr int kStates = 0;
  explicit LambMove(const LambRate& p) : rate(static_cast<C>(p.rate)) {}
  C operator()(C w, C g, C*) const { return w - rate * g; }
  C rate;
};

void expect_step_number(const InferCall& call, int64_t t) {
  call.expect(t > 0, "the number of the step starts at 1, got ", t);
}

OP_STEP(lamb_update_phase1, LambDirection, LambPhase1Params)
    .inputs("weight", "grad", "mean", "var")
    .infer([](InferCall& call) {
      expect_step_number(call, call.params<LambPhase1Params>().t);
      infer_step<2, false>(call);
    })
    .doc(
        "The direction of a step of LAMB: Adam's of the gradient clip(rescale_grad * grad), plus "
        "wd * weight. mean and var change in place.")
    .example(R"(
>>> weight, grad, mean, var = (mx.nd.array([x]) for x in (1, 4, 0, 0))
>>> g = mx.nd.lamb_update_phase1(weight, grad, mean, var, t=1, wd=0.5)
>>> print(g.asnumpy().round(4))  # on the first step Adam's part is the sign of grad
[1.5]
)");

OP(mp_lamb_update_phase1)
    .inputs("weight", "grad", "mean", "var", "weight32")
    .params<LambPhase1Params>()
    .infer([](InferCall& call) {
      expect_step_number(call, call.params<LambPhase1Params>().t);
      expect_group(call, 0, 5, 2);
      call.output(0, call.shape(0), DType::kFloat32);
    })
    .mutates<2, 3>()
    .kernel([](const KernelCall& call) {
      const LambDirection<float> step(call.params<LambPhase1Params>());
      dispatch<FloatingTypes>(call.in(1).dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        const std::array<float*, 2> states = {call.in(2).data<float>(), call.in(3).data<float>()};
        run_step_loop<LambDirection<float>, float, T, float>(
            step, call.out().size(), call.in(4).data<float>(), call.in(1).template data<T>(),
            states, nullptr, call.out().data<float>());
      });
    })
    .no_grad(kStepNotDifferentiable)
    .doc("lamb_update_phase1 computed on weight32, a float32 copy of the weight, in float32.")
    .example(R"(
>>> weight, grad = mx.nd.array([1], dtype="float16"), mx.nd.array([4], dtype="float16")
>>> mean, var, weight32 = mx.nd.zeros(1), mx.nd.zeros(1), mx.nd.array([1])
>>> g = mx.nd.mp_lamb_update_phase1(weight, grad, mean, var, weight32, t=1, wd=0.5)
>>> print(g.dtype.__name__, g.asnumpy().round(4))
float32 [1.5]
)");

void expect_norms(const InferCall& call) {
  for (size_t i : {size_t{2}, size_t{3}}) {
    call.expect_floating(i);
    call.expect(call.shape(i).size() == 1, "r1 and r2 must hold one number each");
  }
}
double lamb_rate(const KernelCall& call) {
  const auto& p = call.params<LambPhase2Params>();
  return p.lr * p.ratio(number_at(call.in(2), 0), number_at(call.in(3), 0));
}

OP(lamb_update_phase2)
    .inputs("weight", "g", "r1", "r2")
    .params<LambPhase2Params>()
    .infer([](InferCall& call) {
      expect_group(call, 0, 2, 2);
      expect_norms(call);
      call.output(0, call.shape(0), call.dtype(0));
    })
    .in_place()
    .kernel([](const KernelCall& call) {
      run_step_of<LambMove, false>(LambRate{lamb_rate(call)}, call.inputs(), 0, call.out());
    })
    .no_grad(kStepNotDifferentiable)
    .doc(
        "The second phase of a step of LAMB: weight - lr * r1 / r2 * g, where r1 is the norm of "
        "the weight, within bounds, and r2 that of the direction g; without the ratio where one "
        "of them is 0.")
    .example(R"(
>>> weight, g = mx.nd.array([3, 4]), mx.nd.array([0, 2])
>>> y = mx.nd.lamb_update_phase2(weight, g, weight.norm(), g.norm(), lr=0.5)
>>> y.asnumpy().tolist()  # the step is half as long as the weight
[3.0, 1.5]
)");

OP(mp_lamb_update_phase2)
    .inputs("weight", "g", "r1", "r2", "weight32")
    .params<LambPhase2Params>()
    .infer([](InferCall& call) {
      call.expect_floating();
      for (size_t i : {size_t{1}, size_t{4}}) {
        call.expect(call.shape(i) == call.shape(0) && call.dtype(i) == DType::kFloat32,
                    "g and weight32 must be float32 arrays of the weight's shape");
      }
      expect_norms(call);
      call.output(0, call.shape(0), call.dtype(0));
    })
    .in_place()
    .mutates<4>()
    .kernel([](const KernelCall& call) {
      const LambMove<float> step(LambRate{lamb_rate(call)});
      float* copy = call.in(4).data<float>();
      dispatch<FloatingTypes>(call.out().dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        run_step_loop(step, call.out().size(), static_cast<const float*>(copy),
                      static_cast<const float*>(call.in(1).data<float>()), {}, copy,
                      call.out().template data<T>());
      });
    })
    .no_grad(kStepNotDifferentiable)
    .doc("lamb_update_phase2 computed on weight32, a float32 copy that changes in place.")
    .example(R"(
>>> weight, weight32 = mx.nd.array([1], dtype="float16"), mx.nd.array([1])
>>> g, norm, norm_g = mx.nd.array([0.25]), mx.nd.array([1]), mx.nd.array([0.25])
>>> step = mx.nd.mp_lamb_update_phase2
>>> y = step(weight, g, norm, norm_g, weight32, lr=2.0**-13, out=weight)
>>> weight.asnumpy().tolist(), weight32.asnumpy().tolist()  # too small a step for float16
([1.0], [0.9998779296875])
)");

// ---- both phases, of many arrays

struct MultiLambParams : LambBounds {
  Floats learning_rates, wds;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-6, rescale_grad = 1, clip_gradient = -1;
  bool bias_correction = true;
  Ints step_count;
  int64_t num_tensors = 1;
  int64_t weights() const { return num_tensors; }
  LambRates at(size_t i) const {
    return {beta1,        beta2,         epsilon,       wds[i],
            rescale_grad, clip_gradient, step_count[i], bias_correction};
  }
  void check(const InferCall& call) const {
    expect_one_each(call, "learning_rates", learning_rates.size(), num_tensors);
    expect_one_each(call, "wds", wds.size(), num_tensors);
    expect_one_each(call, "step_count", step_count.size(), num_tensors);
    for (const int64_t t : step_count) expect_step_number(call, t);
  }
  template <class V>
  void visit(V& v) {
    v.required("learning_rates", learning_rates, "Learning rate of each weight.");
    v("beta1", beta1, kBeta1Doc);
    v("beta2", beta2, kBeta2Doc);
    v("epsilon", epsilon, kEpsilonDoc);
    v.required("wds", wds, "Weight decay of each weight.");
    v("rescale_grad", rescale_grad, kRescaleDoc);
    v("lower_bound", lower_bound, kLowerDoc);
    v("upper_bound", upper_bound, kUpperDoc);
    v("clip_gradient", clip_gradient, kClipDoc);
    v("bias_correction", bias_correction, kCorrectionDoc);
    v.required("step_count", step_count, "Number of the step of each weight, from 1.");
    v("num_tensors", num_tensors, kNumWeightsDoc);
  }
};

// The norm of an array. Pieces are summed each by one thread, and then in order.
template <class S>
double norm_of(const S* x, int64_t n) {
  const int64_t pieces = (n + kStepPiece - 1) / kStepPiece;
  const NDArray partial = NDArray::empty(Shape{pieces}, DType::kFloat64);
  double* sums = partial.data<double>();
  parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const S* first = x + piece * kStepPiece;
      sums[piece] = sum_of<double>(std::min(kStepPiece, n - piece * kStepPiece), [&](int64_t i) {
        const double value = static_cast<double>(static_cast<compute_type<S>>(first[i]));
        return value * value;
      });
    }
  });
  double total = 0;
  for (int64_t piece = 0; piece < pieces; ++piece) total += sums[piece];
  return std::sqrt(total);
}

template <bool kMaster>
struct LambGroups : Groups<MultiLambParams, 2, kMaster> {
  static void run(const KernelCall& call) {
    const auto& p = call.params<MultiLambParams>();
    for (size_t i = 0; i < call.output_count(); ++i) {
      const size_t first = i * LambGroups::kStride;
      const NDArray& out = call.out(i);
      const int64_t n = out.size();
      dispatch<FloatingTypes>(out.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        using S = std::conditional_t<kMaster, float, T>;
        using C = compute_type<S>;
        const std::array<S*, 2> states = {call.in(first + 2).template data<S>(),
                                          call.in(first + 3).template data<S>()};
        S* master = kMaster ? call.in(first + 4).template data<S>() : nullptr;
        const S* weight = kMaster ? master : call.in(first).template data<S>();
        const NDArray direction = NDArray::empty(Shape{n}, dtype_of<C>);
        C* g = direction.template data<C>();
        const LambDirection<C> find(p.at(i));
        run_step_loop<LambDirection<C>, S, T, C>(
            find, n, weight, call.in(first + 1).template data<T>(), states, nullptr, g);
        const double ratio = p.ratio(norm_of(weight, n), norm_of(static_cast<const C*>(g), n));
        const LambMove<C> move(LambRate{p.learning_rates[i] * ratio});
        run_step_loop<LambMove<C>, S, C, T>(move, n, weight, g, {}, master, out.template data<T>());
      });
    }
  }
};

OP_MULTI(_multi_lamb_update, LambGroups<false>)
    .doc(
        "A step of LAMB, both phases, of many arrays, given as weight, grad, mean, var for each; "
        "mean and var change in place.");

OP_MULTI(_multi_mp_lamb_update, LambGroups<true>)
    .doc(
        "A step of LAMB of many arrays, given as weight, grad, mean, var, weight32 for each, "
        "computed on the float32 copies weight32, which change in place like mean and var.");

// ---- LARS

struct LarsParams {
  double eta = 0, eps = 0, rescale_grad = 1;
  template <class V>
  void visit(V& v) {
    v.required("eta", eta, "Factor of the ratio of norms.");
    v.required("eps", eps, kEpsilonDoc);
    v("rescale_grad", rescale_grad, "What the gradients will be multiplied by.");
  }
};

OP(multi_lars)
    .inputs("lrs", "weights_sum_sq", "grads_sum_sq", "wds")
    .params<LarsParams>()
    .infer([](InferCall& call) {
      call.expect_floating();
      infer_pointwise(call);
    })
    .in_place()
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<LarsParams>();
      dispatch<FloatingTypes>(call.out().dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        using C = compute_type<T>;
        const T* in[4];
        for (size_t k = 0; k < 4; ++k) in[k] = call.in(k).template data<T>();
        T* out = call.out().template data<T>();
        const C eta = static_cast<C>(p.eta), eps = static_cast<C>(p.eps);
        const C rescale = static_cast<C>(p.rescale_grad);
        for (int64_t i = 0; i < call.out().size(); ++i) {
          const C lr = static_cast<C>(in[0][i]), wd = static_cast<C>(in[3][i]);
          const C weight = std::sqrt(static_cast<C>(in[1][i]));
          const C grad = std::sqrt(static_cast<C>(in[2][i])) * rescale;
          const bool scaled = weight > 0 && grad > 0;
          out[i] = static_cast<T>(scaled ? lr * eta * weight / (grad + wd * weight + eps) : lr);
        }
      });
    })
    .no_grad(kStepNotDifferentiable)
    .doc(
        "Learning rates by LARS from the squared norms of weights and gradients: lr * eta * |w| / "
        "(|g| * rescale_grad + wd * |w| + eps), or lr where a norm is 0.")
    .example(R"(
>>> lrs, wds = mx.nd.array([1, 1]), mx.nd.zeros(2)
>>> weights, grads = mx.nd.array([16, 16]), mx.nd.array([4, 0])  # squared norms
>>> mx.nd.multi_lars(lrs, weights, grads, wds, eta=0.25, eps=0).asnumpy().tolist()
[0.5, 1.0]
)");

}  // namespace
}  // namespace mxtape

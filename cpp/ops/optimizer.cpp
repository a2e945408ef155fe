#include <cmath>
#include <limits>

#include "op/declare.h"
#include "runtime/parallel.h"

// Optimizer steps: one pass over the weight, its gradient and the states, which change in place.
namespace mxtape {
namespace {

constexpr char kNoGradient[] = "an optimizer's step is not differentiable";
constexpr int64_t kPiece = 1 << 14;
// The loops are marked ivdep: `out` is the weight itself or overlaps nothing, and without the mark
// the compiler keeps a scalar loop for the former.

// Parameters that all steps have. A negative clip_gradient is off.
struct StepParams {
  double lr = 0, wd = 0, rescale_grad = 1, clip_gradient = -1;
  bool lazy_update = true;

 protected:
  template <class V>
  void visit_lr(V& v) {
    v.required("lr", lr, "Learning rate.");
  }
  template <class V>
  void visit_rest(V& v) {
    v("wd", wd, "Weight decay: wd * weight is added to the gradient.");
    v("rescale_grad", rescale_grad, "The gradient is multiplied by this first.");
    v("clip_gradient", clip_gradient,
      "The rescaled gradient is limited to [-clip_gradient, clip_gradient]; negative for no "
      "limit.");
    v("lazy_update", lazy_update,
      "Accepted for compatibility: matters for sparse gradients alone.");
  }
};

struct SgdParams : StepParams {
  template <class V>
  void visit(V& v) {
    visit_lr(v);
    visit_rest(v);
  }
};

struct MomentumParams : StepParams {
  double momentum = 0;
  template <class V>
  void visit(V& v) {
    visit_lr(v);
    v("momentum", momentum, "How much of the last step is kept.");
    visit_rest(v);
  }
};

struct AdamParams : StepParams {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  template <class V>
  void visit(V& v) {
    visit_lr(v);
    v("beta1", beta1, "Decay of the mean of gradients.");
    v("beta2", beta2, "Decay of the mean of squared gradients.");
    v("epsilon", epsilon, "Added to the denominator.");
    visit_rest(v);
  }
};

void infer_step(InferCall& call) {
  call.expect_floating();
  infer_pointwise(call);
}

// Calls body(compute type's tag, begin, end, element type's tag) over pieces of the weight.
template <class Body>
void for_pieces(const NDArray& out, Body body) {
  const auto run = [&](auto tag) {
    parallel_for(out.size(), kPiece, [&](int64_t begin, int64_t end) { body(tag, begin, end); });
  };
  switch (out.dtype()) {
    case DType::kFloat64:
      return run(TypeTag<double>{});
    case DType::kFloat16:
      return run(TypeTag<float16>{});
    default:
      return run(TypeTag<float>{});
  }
}

// The limit as a number that an unconditional clamp can use.
template <class C>
C clip_limit(const StepParams& p) {
  return p.clip_gradient >= 0 ? static_cast<C>(p.clip_gradient)
                              : std::numeric_limits<C>::infinity();
}
// NaN stays NaN.
template <class C>
C clipped(C g, C limit) {
  g = g > limit ? limit : g;
  return g < -limit ? -limit : g;
}

OP(sgd_update)
    .inputs("weight", "grad")
    .params<SgdParams>()
    .infer(infer_step)
    .in_place()
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<SgdParams>();
      for_pieces(call.out(), [&](auto tag, int64_t begin, int64_t end) {
        using T = typename decltype(tag)::type;
        using C = compute_type<T>;
        const T *weight = call.in(0).data<T>(), *grad = call.in(1).data<T>();
        T* out = call.out().data<T>();
        const C lr = static_cast<C>(p.lr), keep = C(1) - lr * static_cast<C>(p.wd);
        const C rescale = static_cast<C>(p.rescale_grad), limit = clip_limit<C>(p);
#pragma GCC ivdep
        for (int64_t i = begin; i < end; ++i) {
          const C g = clipped(rescale * static_cast<C>(grad[i]), limit);
          out[i] = static_cast<T>(keep * static_cast<C>(weight[i]) - lr * g);
        }
      });
    })
    .no_grad(kNoGradient)
    .doc(
        "A step of stochastic gradient descent: weight - lr * (clip(rescale_grad * grad) + wd * "
        "weight). Give out=weight to change the weight itself.");

OP(sgd_mom_update)
    .inputs("weight", "grad", "mom")
    .params<MomentumParams>()
    .infer(infer_step)
    .in_place()
    .mutates<2>()
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<MomentumParams>();
      for_pieces(call.out(), [&](auto tag, int64_t begin, int64_t end) {
        using T = typename decltype(tag)::type;
        using C = compute_type<T>;
        const T *weight = call.in(0).data<T>(), *grad = call.in(1).data<T>();
        T *mom = call.in(2).data<T>(), *out = call.out().data<T>();
        const C lr = static_cast<C>(p.lr), decay = lr * static_cast<C>(p.wd);
        const C momentum = static_cast<C>(p.momentum);
        const C rescale = static_cast<C>(p.rescale_grad), limit = clip_limit<C>(p);
#pragma GCC ivdep
        for (int64_t i = begin; i < end; ++i) {
          const C w = static_cast<C>(weight[i]);
          const C g = clipped(rescale * static_cast<C>(grad[i]), limit);
          const C step = momentum * static_cast<C>(mom[i]) - decay * w - lr * g;
          mom[i] = static_cast<T>(step);
          out[i] = static_cast<T>(w + step);
        }
      });
    })
    .no_grad(kNoGradient)
    .doc(
        "A step of gradient descent with momentum: mom = momentum * mom - lr * (clip(rescale_grad "
        "* "
        "grad) + wd * weight), which changes in place, and the result is weight + mom.");

OP(adam_update)
    .inputs("weight", "grad", "mean", "var")
    .params<AdamParams>()
    .infer(infer_step)
    .in_place()
    .mutates<2, 3>()
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<AdamParams>();
      for_pieces(call.out(), [&](auto tag, int64_t begin, int64_t end) {
        using T = typename decltype(tag)::type;
        using C = compute_type<T>;
        const T *weight = call.in(0).data<T>(), *grad = call.in(1).data<T>();
        T *mean = call.in(2).data<T>(), *var = call.in(3).data<T>(), *out = call.out().data<T>();
        const C lr = static_cast<C>(p.lr), wd = static_cast<C>(p.wd);
        const C beta1 = static_cast<C>(p.beta1), beta2 = static_cast<C>(p.beta2);
        const C epsilon = static_cast<C>(p.epsilon);
        const C rescale = static_cast<C>(p.rescale_grad), limit = clip_limit<C>(p);
#pragma GCC ivdep
        for (int64_t i = begin; i < end; ++i) {
          const C w = static_cast<C>(weight[i]);
          // Unlike in sgd_update, the decay is clipped too.
          const C g = clipped(rescale * static_cast<C>(grad[i]) + wd * w, limit);
          const C m = beta1 * static_cast<C>(mean[i]) + (C(1) - beta1) * g;
          const C v = beta2 * static_cast<C>(var[i]) + (C(1) - beta2) * g * g;
          mean[i] = static_cast<T>(m);
          var[i] = static_cast<T>(v);
          out[i] = static_cast<T>(w - lr * m / (std::sqrt(v) + epsilon));
        }
      });
    })
    .no_grad(kNoGradient)
    .doc(
        "A step of Adam without bias correction, of the gradient clip(rescale_grad * grad + wd * "
        "weight). mean and var change in place.");

}  // namespace
}  // namespace mxtape

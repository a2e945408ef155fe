#pragma once

#include <cmath>

#include "ops/optimizer/optimizer.h"

// The steps that also update rows: their parameters and what they compute. Whoever declares the
// operators for dense arrays (ops/optimizer) and for sparse ones (ops/sparse) includes them.
namespace mxtape {

inline constexpr char kLazyDoc[] =
    "With a row_sparse gradient: update only the rows that it has. False, and in the mp_ "
    "operators: its other rows count as 0, so that all rows decay.";

// ---- gradient descent

struct SgdParams {
  double lr = 0, wd = 0, rescale_grad = 1, clip_gradient = -1;
  bool lazy_update = true;

  template <class V>
  void visit(V& v) {
    v.required("lr", lr, kLrDoc);
    visit_rest(v);
    visit_lazy(v);
  }

 protected:
  template <class V>
  void visit_rest(V& v) {
    v("wd", wd, kWdDoc);
    v("rescale_grad", rescale_grad, kRescaleDoc);
    v("clip_gradient", clip_gradient, kClipDoc);
  }
  template <class V>
  void visit_lazy(V& v) {
    v("lazy_update", lazy_update, kLazyDoc);
  }
};

struct NagParams : SgdParams {
  double momentum = 0;
  template <class V>
  void visit(V& v) {
    v.required("lr", lr, kLrDoc);
    v("momentum", momentum, kMomentumDoc);
    visit_rest(v);
  }
};

struct MomentumParams : NagParams {
  template <class V>
  void visit(V& v) {
    NagParams::visit(v);
    visit_lazy(v);
  }
};

template <class C>
struct Sgd {
  static constexpr int kStates = 0;
  explicit Sgd(const SgdParams& p)
      : lr(static_cast<C>(p.lr)), keep(C(1) - lr * static_cast<C>(p.wd)), rule(p) {}
  C operator()(C w, C g, C*) const { return keep * w - lr * rule(g); }
  C lr, keep;
  GradientRule<C> rule;
};

template <class C>
struct Momentum {
  static constexpr int kStates = 1;
  explicit Momentum(const NagParams& p)
      : lr(static_cast<C>(p.lr)),
        decay(lr * static_cast<C>(p.wd)),
        momentum(static_cast<C>(p.momentum)),
        rule(p) {}
  C operator()(C w, C g, C* mom) const {
    mom[0] = momentum * mom[0] - decay * w - lr * rule(g);
    return w + mom[0];
  }
  C lr, decay, momentum;
  GradientRule<C> rule;
};

struct ClippedParams {
  double lr = 0, wd = 0, rescale_grad = 1, clip_gradient = -1;

 protected:
  template <class V>
  void visit_rest(V& v) {
    v("wd", wd, kWdDoc);
    visit_gradient(v);
  }
  template <class V>
  void visit_gradient(V& v) {
    v("rescale_grad", rescale_grad, kRescaleDoc);
    v("clip_gradient", clip_gradient, kClipDoc);
  }
};

// ---- Adam

struct AdamParams : ClippedParams {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  bool lazy_update = true;
  template <class V>
  void visit(V& v) {
    v.required("lr", lr, kLrDoc);
    v("beta1", beta1, kBeta1Doc);
    v("beta2", beta2, kBeta2Doc);
    v("epsilon", epsilon, kEpsilonDoc);
    visit_rest(v);
    v("lazy_update", lazy_update, kLazyDoc);
  }
};

template <class C>
struct Adam {
  static constexpr int kStates = 2;
  explicit Adam(const AdamParams& p)
      : lr(static_cast<C>(p.lr)),
        wd(static_cast<C>(p.wd)),
        beta1(static_cast<C>(p.beta1)),
        beta2(static_cast<C>(p.beta2)),
        epsilon(static_cast<C>(p.epsilon)),
        rule(p) {}
  C operator()(C w, C grad, C* state) const {
    // Unlike in sgd_update, the decay is clipped too.
    const C g = rule(grad, wd * w);
    state[0] = beta1 * state[0] + (C(1) - beta1) * g;
    state[1] = beta2 * state[1] + (C(1) - beta2) * g * g;
    return w - lr * state[0] / (std::sqrt(state[1]) + epsilon);
  }
  C lr, wd, beta1, beta2, epsilon;
  GradientRule<C> rule;
};

// ---- FTRL

struct FtrlParams : ClippedParams {
  double lamda1 = 0.01, beta = 1;
  template <class V>
  void visit(V& v) {
    v.required("lr", lr, kLrDoc);
    v("lamda1", lamda1, "Strength of the penalty on absolute values.");
    v("beta", beta, "Added to the denominator of the learning rate.");
    visit_rest(v);
  }
};

template <class C>
struct Ftrl {
  static constexpr int kStates = 2;
  explicit Ftrl(const FtrlParams& p)
      : inverse_lr(static_cast<C>(1 / p.lr)),
        wd(static_cast<C>(p.wd)),
        lamda1(static_cast<C>(p.lamda1)),
        beta(static_cast<C>(p.beta)),
        rule(p) {}
  C operator()(C w, C grad, C* state) const {
    const C g = rule(grad);
    const C n = state[1] + g * g;
    const C root = std::sqrt(n);
    const C z = state[0] + g - (root - std::sqrt(state[1])) * w * inverse_lr;
    state[0] = z;
    state[1] = n;
    // z moved towards zero by lamda1.
    const C low = z < -lamda1 ? -lamda1 : z;
    const C beyond = z - (low > lamda1 ? lamda1 : low);
    return -beyond / ((beta + root) * inverse_lr + wd);
  }
  C inverse_lr, wd, lamda1, beta;
  GradientRule<C> rule;
};

// ---- AdaGrad

struct AdagradParams : ClippedParams {
  double epsilon = 1e-7;
  template <class V>
  void visit(V& v) {
    v.required("lr", lr, kLrDoc);
    v("epsilon", epsilon, "Added under the root.");
    v("wd", wd, "Weight decay: lr * wd * weight is subtracted too.");
    visit_gradient(v);
  }
};

template <class C>
struct Adagrad {
  static constexpr int kStates = 1;
  explicit Adagrad(const AdagradParams& p)
      : lr(static_cast<C>(p.lr)),
        wd(static_cast<C>(p.wd)),
        epsilon(static_cast<C>(p.epsilon)),
        rule(p) {}
  C operator()(C w, C grad, C* state) const {
    const C g = rule(grad);
    state[0] += g * g;
    return w - lr * (g / std::sqrt(state[0] + epsilon) + wd * w);
  }
  C lr, wd, epsilon;
  GradientRule<C> rule;
};

// ---- AdaGrad with one rate for each row

struct GroupAdagradParams : ClippedParams {
  double epsilon = 1e-5;
  template <class V>
  void visit(V& v) {
    v.required("lr", lr, kLrDoc);
    visit_gradient(v);
    v("epsilon", epsilon, kEpsilonDoc);
  }
};

// The step of one row of n elements.
template <class C>
struct GroupAdagrad {
  explicit GroupAdagrad(const GroupAdagradParams& p)
      : lr(static_cast<C>(p.lr)), epsilon(static_cast<C>(p.epsilon)), rule(p) {}
  template <class T>
  void operator()(int64_t n, const T* w, const T* g, T& history, T* out) const {
    const C squares = sum_of<C>(n, [&](int64_t i) {
      const C x = rule(static_cast<C>(g[i]));
      return x * x;
    });
    const C mean = static_cast<C>(history) + squares / static_cast<C>(n);
    history = static_cast<T>(mean);
    const C rate = lr / std::sqrt(mean + epsilon);
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) {
      out[i] = static_cast<T>(static_cast<C>(w[i]) - rate * rule(static_cast<C>(g[i])));
    }
  }
  C lr, epsilon;
  GradientRule<C> rule;
};

}  // namespace mxtape

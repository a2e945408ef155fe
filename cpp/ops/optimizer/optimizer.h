#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "op/declare.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// What optimizer steps share. A step is a class template over the type that it computes in:
//
//   template <class C> struct Step {
//     static constexpr int kStates = 1;
//     explicit Step(const StepParameters&);
//     C operator()(C weight, C grad, C* state) const;  // the new weight; state changes in place
//   };
//
// From it follow the operator for one array, the one with a float32 copy of the weight beside a
// narrower weight ("mp"), and those for many arrays in one call ("multi").
namespace mxtape {

inline constexpr char kStepNotDifferentiable[] = "an optimizer's step is not differentiable";

// Documentation of parameters that many steps have.
inline constexpr char kLrDoc[] = "Learning rate.";
inline constexpr char kWdDoc[] = "Weight decay: wd * weight is added to the gradient.";
inline constexpr char kRescaleDoc[] = "The gradient is multiplied by this first.";
inline constexpr char kClipDoc[] =
    "The gradient is limited to [-clip_gradient, clip_gradient]; negative for no limit.";
inline constexpr char kEpsilonDoc[] = "Added to the denominator.";
inline constexpr char kBeta1Doc[] = "Decay of the mean of gradients.";
inline constexpr char kBeta2Doc[] = "Decay of the mean of squared gradients.";
inline constexpr char kMomentumDoc[] = "How much of the last step is kept.";
inline constexpr char kNumWeightsDoc[] = "Number of weights.";

// Limits to [-limit, limit]; a negative limit is none. NaN stays NaN.
template <class C>
struct Clip {
  explicit Clip(double given)
      : limit(given >= 0 ? static_cast<C>(given) : std::numeric_limits<C>::infinity()) {}
  C operator()(C x) const {
    x = x > limit ? limit : x;
    return x < -limit ? -limit : x;
  }
  C limit;
};

// clip(rescale_grad * grad + wd * weight); steps that do not clip the decay give no wd.
template <class C>
struct GradientRule {
  template <class P>
  explicit GradientRule(const P& p)
      : rescale(static_cast<C>(p.rescale_grad)), clip(p.clip_gradient) {}
  C operator()(C grad) const { return clip(rescale * grad); }
  C operator()(C grad, C decay) const { return clip(rescale * grad + decay); }
  C rescale;
  Clip<C> clip;
};

inline constexpr int64_t kStepPiece = 1 << 14;

// out[i] = step(weight[i], grad[i], states[i]) for i from `begin` to `end`; `master` gets it too
// with kMaster. The loop is marked ivdep: `out` is the weight itself or overlaps nothing.
template <bool kMaster, class Step, class S, class G, class O>
void step_span(const Step& step, int64_t begin, int64_t end, const S* weight, const G* grad,
               const std::array<S*, Step::kStates>& states, [[maybe_unused]] S* master, O* out) {
  using C = compute_type<S>;
  constexpr int kStates = Step::kStates;
  // Copies, that writes through the pointers cannot change.
  const Step local = step;
  const std::array<S*, kStates> state = states;
#pragma GCC ivdep
  for (int64_t i = begin; i < end; ++i) {
    C values[kStates + 1];
    for (int k = 0; k < kStates; ++k) values[k] = static_cast<C>(state[k][i]);
    const C result = local(static_cast<C>(weight[i]), static_cast<C>(grad[i]), values);
    for (int k = 0; k < kStates; ++k) state[k][i] = static_cast<S>(values[k]);
    if constexpr (kMaster) master[i] = static_cast<S>(result);
    out[i] = static_cast<O>(result);
  }
}

// All of an array's elements.
template <class Step, class S, class G, class O>
void run_step_loop(const Step& step, int64_t n, const S* weight, const G* grad,
                   const std::array<S*, Step::kStates>& states, S* master, O* out) {
  parallel_for(n, kStepPiece, [&](int64_t begin, int64_t end) {
    if (master) {
      step_span<true>(step, begin, end, weight, grad, states, master, out);
    } else {
      step_span<false>(step, begin, end, weight, grad, states, master, out);
    }
  });
}

// One array's step. Inputs from `first` on: weight, grad, states..., and with kMaster the float32
// copy of the weight.
template <template <class> class Step, bool kMaster, class P>
void run_step_of(const P& p, Inputs in, size_t first, const NDArray& out) {
  constexpr int kStates = Step<float>::kStates;
  dispatch<FloatingTypes>(out.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using S = std::conditional_t<kMaster, float, T>;
    std::array<S*, kStates> states;
    for (int k = 0; k < kStates; ++k) states[k] = in[first + 2 + k].template data<S>();
    S* master = kMaster ? in[first + 2 + kStates].template data<S>() : nullptr;
    const S* weight = kMaster ? master : in[first].template data<S>();
    run_step_loop(Step<compute_type<S>>(p), out.size(), weight, in[first + 1].template data<T>(),
                  states, master, out.data<T>());
  });
}

template <template <class> class Step, class P, bool kMaster = false>
void run_step(const KernelCall& call) {
  run_step_of<Step, kMaster>(call.params<P>(), call.inputs(), 0, call.out());
}

// Of `count` inputs from `first` on, a weight and what belongs to it: they have the weight's shape.
// The first `narrow` have its dtype, the others are float32.
inline void expect_group(const InferCall& call, size_t first, size_t count, size_t narrow) {
  call.expect_floating(first);
  for (size_t i = first + 1; i < first + count; ++i) {
    call.expect(call.shape(i) == call.shape(first), "input ", i, " must have the shape of input ",
                first, ", the weight");
    const bool wide = i >= first + narrow;
    call.expect(call.dtype(i) == (wide ? DType::kFloat32 : call.dtype(first)), "input ", i,
                " must have dtype ", wide ? "float32" : "of its weight");
  }
}

// Inputs weight, grad, `kStates` states; with kMaster the states are float32, and so is one more
// input, the wide copy of the weight.
template <int kStates, bool kMaster>
void infer_step(InferCall& call) {
  constexpr size_t kCount = 2 + kStates + (kMaster ? 1 : 0);
  expect_group(call, 0, kCount, kMaster ? 2 : kCount);
  call.output(0, call.shape(0), call.dtype(0));
}

// The operator of one step, without its inputs: weight, grad, the states and with kMaster the wide
// copy of the weight. All but the first two change in place.
template <template <class> class Step, class P, bool kMaster = false,
          KernelFn kKernel = run_step<Step, P, kMaster>>
OpDeclaration& declare_step(OpDeclaration&& op) {
  constexpr int kStates = Step<float>::kStates;
  if constexpr (kStates > 0 || kMaster) {
    op.mutates([](size_t i, size_t, const Params*, Mode) { return i >= 2; });
  }
  return op.template params<P>()
      .infer(infer_step<kStates, kMaster>)
      .in_place()
      .kernel(kKernel)
      .no_grad(kStepNotDifferentiable);
}
#define OP_STEP(name, ...)                                                           \
  [[maybe_unused]] static const OpDeclaration MXTAPE_CONCAT(op_step_, __COUNTER__) = \
      declare_step<__VA_ARGS__>(OpDeclaration(#name))

// ---- many weights in one call

// A parameter struct of a multi operator has weights(), at(i), the parameters of a single step, and
// check(call).

// Groups of `stride` inputs, one for each weight, then `extra` that are common.
template <class P, int kStates, bool kMaster, size_t kExtra = 0>
struct Groups {
  using ParamsOf = P;
  static constexpr size_t kStride = 2 + kStates + (kMaster ? 1 : 0);

  static size_t outputs(const Params* p) {
    return static_cast<size_t>(std::max<int64_t>(p->as<P>().weights(), 1));
  }
  static bool mutates(size_t i, size_t count, const Params*, Mode) {
    return i + kExtra < count && i % kStride >= 2;
  }
  static void infer(InferCall& call) {
    const int64_t weights = call.params<P>().weights();
    call.expect(weights > 0, "the number of weights must be positive");
    const size_t n = static_cast<size_t>(weights);
    call.expect(call.input_count() == n * kStride + kExtra, "takes ", kStride,
                " arrays for each of ", n, " weights",
                kExtra ? str_cat(" and ", kExtra, " more") : std::string(), ", got ",
                call.input_count());
    for (size_t i = 0; i < n; ++i) {
      expect_group(call, i * kStride, kStride, kMaster ? 2 : kStride);
      call.output(i, call.shape(i * kStride), call.dtype(i * kStride));
    }
    call.params<P>().check(call);
  }
};

// The operator over such groups, which have run(call) too, without its inputs.
template <class G>
OpDeclaration& declare_groups(OpDeclaration&& op) {
  return op.template params<typename G::ParamsOf>()
      .infer(G::infer)
      .in_place()
      .mutates(G::mutates)
      .kernel(G::run)
      .no_grad(kStepNotDifferentiable);
}
// Of any number of them.
template <class G>
OpDeclaration& declare_multi(OpDeclaration&& op) {
  return declare_groups<G>(std::move(op)).variadic("data", "").outputs(G::outputs);
}
#define OP_GROUPS(name, ...)                                                           \
  [[maybe_unused]] static const OpDeclaration MXTAPE_CONCAT(op_groups_, __COUNTER__) = \
      declare_groups<__VA_ARGS__>(OpDeclaration(#name))
#define OP_MULTI(name, ...)                                                           \
  [[maybe_unused]] static const OpDeclaration MXTAPE_CONCAT(op_multi_, __COUNTER__) = \
      declare_multi<__VA_ARGS__>(OpDeclaration(#name))

// Tuples with a number for each weight.
inline void expect_one_each(const InferCall& call, const char* name, size_t given, int64_t n) {
  call.expect(static_cast<int64_t>(given) == n, name, " must have one number for each of ", n,
              " weights, got ", given);
}

// The number at place i of a floating-point array.
inline double number_at(const NDArray& x, size_t i) {
  double value = 0;
  convert(x.dtype(), x.bytes() + i * item_size(x.dtype()), DType::kFloat64, &value, 1);
  return value;
}

// The sum of element(0) ... element(n - 1), in lanes, which the compiler keeps in a vector
// register. The order depends on n alone.
template <class C, class F>
C sum_of(int64_t n, F element) {
  constexpr int kLanes = 16;
  C total = 0;
  if (n < kLanes) {
    for (int64_t i = 0; i < n; ++i) total += element(i);
    return total;
  }
  C lane[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) lane[l] += element(i + l);
  }
  for (; i < n; ++i) lane[i % kLanes] += element(i);
  for (const C x : lane) total += x;
  return total;
}

}  // namespace mxtape

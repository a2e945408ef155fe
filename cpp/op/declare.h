#pragma once

#include <cstring>
#include <initializer_list>
#include <string_view>
#include <tuple>

#include <Eigen/Core>

#include "op/functional.h"
#include "op/head.h"
#include "op/registry.h"
#include "op/schema.h"
#include "runtime/simd.h"

// The language in which operators are declared: see docs/adding-an-operator.md.
//
//   OP(sigmoid).inputs("data").pointwise([](auto x) { ... }).keep_output().vjp(...).doc("...");
namespace mxtape {

namespace detail {

template <class F, class P, class T, size_t... I>
void tile_entry(const void* const* in, void* out, int64_t n, const void* params,
                std::index_sequence<I...>) {
  using Array = Eigen::Array<T, Eigen::Dynamic, 1>;
  Eigen::Map<Array> result(static_cast<T*>(out), n);
  if constexpr (std::is_void_v<P>) {
    (void)params;
    result = F{}(Eigen::Map<const Array>(static_cast<const T*>(in[I]), n)...);
  } else {
    result = F{}(*static_cast<const P*>(params),
                 Eigen::Map<const Array>(static_cast<const T*>(in[I]), n)...);
  }
}

template <size_t Arity, class P, class F, class... T>
TileFunction tile_function(F) {
  TileFunction f;
  ((f.kernels[static_cast<int>(dtype_of<T>)] =
        [](const void* const* in, void* out, int64_t n, const void* params) {
          tile_entry<F, P, T>(in, out, n, params, std::make_index_sequence<Arity>());
        }),
   ...);
  return f;
}

template <class F, class P, class... X>
MXTAPE_INLINE auto apply_element(const P* params, X... x) {
  if constexpr (std::is_void_v<P>) {
    return F{}(x...);
  } else {
    return F{}(*params, x...);
  }
}

// The last numbers of an array, fewer than a vector has; zeros in the other places.
template <class T>
[[gnu::noinline]] Simd<T> load_part(const T* from, int64_t count) {
  Simd<T> x = 0;
  std::memcpy(&x, from, static_cast<size_t>(count) * sizeof(T));
  return x;
}

// Floating-point numbers come by the vector, all in the same code; integers one by one.
template <class F, class P, class T, size_t... I>
void element_entry(const void* const* in, void* out, int64_t n, const void* params,
                   std::index_sequence<I...>) {
  const T* const x[] = {static_cast<const T*>(in[I])...};
  T* y = static_cast<T*>(out);
  const P* p = static_cast<const P*>(params);
  if constexpr (std::is_floating_point_v<T>) {
    constexpr int64_t kSize = Simd<T>::kSize;
    for (int64_t i = 0; i < n; i += kSize) {
      const int64_t count = n - i;
      if (count >= kSize) [[likely]] {
        const Simd<T> result = apply_element<F>(p, Simd<T>::load(x[I] + i)...);
        result.store(y + i);
      } else {
        const Simd<T> result = apply_element<F>(p, load_part(x[I] + i, count)...);
        std::memcpy(y + i, &result, static_cast<size_t>(count) * sizeof(T));
      }
    }
  } else {
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<T>(apply_element<F>(p, x[I][i]...));
  }
}

template <size_t Arity, class P, class F, class... T>
TileFunction element_function(F) {
  static_assert(std::is_empty_v<F>, "a function of elements captures nothing");
  TileFunction f;
  ((f.kernels[static_cast<int>(dtype_of<T>)] =
        [](const void* const* in, void* out, int64_t n, const void* params) {
          element_entry<F, P, T>(in, out, n, params, std::make_index_sequence<Arity>());
        }),
   ...);
  return f;
}

template <class F, class T>
void scalar_entry(const void* const* in, void* out, int64_t n, const void*) {
  const T* x = static_cast<const T*>(in[0]);
  T* y = static_cast<T*>(out);
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<T>(F{}(x[i]));
}

template <class F>
TileFunction scalar_function(F) {
  static_assert(std::is_empty_v<F>, "a function of elements captures nothing");
  TileFunction f;
  f.kernels[static_cast<int>(DType::kFloat32)] = scalar_entry<F, float>;
  f.kernels[static_cast<int>(DType::kFloat64)] = scalar_entry<F, double>;
  return f;
}

}  // namespace detail

// Floating-point arithmetic: integers are computed in float64 and converted back.
template <size_t Arity, class P = void, class F>
TileFunction floating_tile(F f) {
  return detail::tile_function<Arity, P, F, float, double>(f);
}
// Arithmetic that integers have of their own.
template <size_t Arity, class P = void, class F>
TileFunction numeric_tile(F f) {
  return detail::tile_function<Arity, P, F, float, double, uint8_t, int8_t, int32_t, int64_t>(f);
}

// The same of functions of elements: of Simd<float> and Simd<double>, and of plain integers. Always
// vector instructions, whatever the function is made of; ops/shared/elementary.h has exp() and its
// like for them.
template <size_t Arity, class P = void, class F>
TileFunction floating_each(F f) {
  return detail::element_function<Arity, P, F, float, double>(f);
}
template <size_t Arity, class P = void, class F>
TileFunction numeric_each(F f) {
  return detail::element_function<Arity, P, F, float, double, uint8_t, int8_t, int32_t, int64_t>(f);
}

// Inference that pointwise operators share.
void infer_pointwise(InferCall& call);            // inputs of one shape and dtype
void infer_pointwise_broadcast(InferCall& call);  // inputs of one dtype that broadcast
void infer_unary(InferCall& call);                // one input, that is not boolean
void infer_same_shape(InferCall& call);           // output like input 0
void infer_same_floating(InferCall& call);        // the same, floating point only
// Kernels that pointwise operators share.
void run_pointwise(const KernelCall& call);
size_t array_operands(const OpSchema& op, Inputs inputs, const Params* params, DType dtype,
                      TileOperand* operands);
size_t scalar_operands(const OpSchema& op, Inputs inputs, const Params* params, DType dtype,
                       TileOperand* operands);
// A gradient of zeros for every input that wants one.
void zero_gradient(Vjp& v);

class OpDeclaration {
 public:
  explicit OpDeclaration(std::string_view name);

  template <class... Names>
  OpDeclaration& inputs(Names... names) {
    return set_inputs({names...});
  }
  // The parameters say which inputs a call takes (bit i for input i). The first `always` of them
  // are in every call.
  OpDeclaration& optional_inputs(size_t always, InputsFn used);
  OpDeclaration& variadic(const char* name, const char* count_param);
  template <class... Names>
  OpDeclaration& alias(Names... names) {
    return add_aliases({names...});
  }
  template <class P>
  OpDeclaration& params() {
    op_->params = params_info<P>();
    return *this;
  }
  OpDeclaration& outputs(size_t count, size_t visible = 0) {
    op_->outputs = count;
    op_->visible_outputs = visible;
    return *this;
  }
  OpDeclaration& outputs(CountFn count, CountFn visible = nullptr) {
    op_->output_count = count;
    op_->visible_count = visible;
    return *this;
  }
  OpDeclaration& infer(InferFn f) {
    op_->infer = f;
    return *this;
  }
  // Checks that read the inputs' values, after inference and before anything changes. They resolve
  // what inference left open: an output's extent of -1 that depends on values.
  OpDeclaration& check(CheckFn f) {
    op_->check = f;
    return *this;
  }
  OpDeclaration& kernel(KernelFn f) {
    op_->kernel = f;
    return *this;
  }
  // A pointwise operator of arrays, or of what `operands` makes of them and the parameters.
  OpDeclaration& pointwise(TileFunction f, int cost = 1, TileOperandsFn operands = array_operands) {
    op_->tile = f;
    op_->tile.cost = cost;
    if (!op_->infer) op_->infer = infer_pointwise;
    op_->kernel = run_pointwise;
    op_->any_dtype = true;
    op_->tile_operands = operands;
    return *this;
  }
  template <class F>
  OpDeclaration& pointwise(F f, int cost = 1) {
    return pointwise(floating_tile<1>(f), cost);
  }
  template <class F>
  OpDeclaration& pointwise_numeric(F f, int cost = 1) {
    return pointwise(numeric_tile<1>(f), cost);
  }
  // A function of elements, f(x...) or f(const P&, x...).
  template <size_t Arity = 1, class P = void, class F>
  OpDeclaration& pointwise_each(F f, int cost = 1) {
    return pointwise(floating_each<Arity, P>(f), cost);
  }
  template <size_t Arity = 1, class P = void, class F>
  OpDeclaration& pointwise_each_numeric(F f, int cost = 1) {
    return pointwise(numeric_each<Arity, P>(f), cost);
  }
  // A function of one number that only a library has, as std::tan: one element after the other.
  template <class F>
  OpDeclaration& pointwise_scalar(F f, int cost = 1) {
    return pointwise(detail::scalar_function(f), cost);
  }
  // One array of numbers, also a method of NDArray.
  OpDeclaration& unary() { return inputs("data").infer(infer_unary).method(); }

  OpDeclaration& vjp(VjpFn f) {
    op_->vjp = f;
    return *this;
  }
  // The gradient of a function of one array: the head gradient `g` and the saved input `x`, or the
  // saved output `y`, make that of the input: [](auto& g, auto& x) { return g * fn::cos(x); }. `g`
  // is a Head: products with it are 0 where it is.
  template <class F>
  OpDeclaration& grad_x(F) {
    static_assert(std::is_empty_v<F>, "a gradient captures nothing");
    return keep_input().vjp([](Vjp& v) { v.grad(0, gradient<F>(v.last_head(), v.input(0))); });
  }
  template <class F>
  OpDeclaration& grad_y(F) {
    static_assert(std::is_empty_v<F>, "a gradient captures nothing");
    return keep_output().vjp([](Vjp& v) { v.grad(0, gradient<F>(v.last_head(), v.output(0))); });
  }
  // The same for formulas of several steps: those of float16 and bfloat16 arrays are computed in
  // float32 throughout.
  template <class F>
  OpDeclaration& wide_grad_x(F) {
    static_assert(std::is_empty_v<F>, "a gradient captures nothing");
    return keep_input().vjp([](Vjp& v) { v.grad(0, wide_gradient<F>(v.head(), v.input(0))); });
  }
  template <class F>
  OpDeclaration& wide_grad_y(F) {
    static_assert(std::is_empty_v<F>, "a gradient captures nothing");
    return keep_output().vjp([](Vjp& v) { v.grad(0, wide_gradient<F>(v.head(), v.output(0))); });
  }
  OpDeclaration& zero_grad() { return vjp(zero_gradient).keep_input(0, Keep::kShape); }
  OpDeclaration& no_grad(const char* reason) {
    op_->no_grad_reason = reason;
    return *this;
  }
  // The operator is linear in each of these inputs, while the others stay as they are.
  template <class... I>
  OpDeclaration& linear(I... i) {
    op_->linear = ((1u << i) | ...);
    return *this;
  }
  OpDeclaration& tangent(TangentFn f) {
    op_->tangent = f;
    return *this;
  }
  // Inputs that are indices or labels.
  template <class... I>
  OpDeclaration& no_grad_inputs(I... i) {
    return set_no_grad_inputs({static_cast<uint8_t>(i)...});
  }
  OpDeclaration& keep_input(size_t i = 0, Keep keep = Keep::kData);
  OpDeclaration& keep_inputs(std::initializer_list<Keep> keep);
  OpDeclaration& keep_output(size_t i = 0, Keep keep = Keep::kData);
  // Of these, those whose data a call with its parameters keeps: bit i for the i-th of each.
  OpDeclaration& kept(InputsFn inputs, InputsFn outputs) {
    op_->kept_inputs = inputs;
    op_->kept_outputs = outputs;
    return *this;
  }

  // Inputs that a call changes in place. One that is in no_grad_inputs too may be a variable of
  // the graph: running statistics.
  OpDeclaration& mutates(MutatesFn f) {
    op_->mutates = f;
    return *this;
  }
  template <size_t... I>
  OpDeclaration& mutates() {
    return mutates([](size_t i, size_t, const Params*, Mode) { return ((i == I) || ...); });
  }
  // Inputs that are states and no variables: a symbol lists them apart, no gradient flows to them.
  template <class... I>
  OpDeclaration& auxiliary(I... i) {
    return set_auxiliary({static_cast<uint8_t>(i)...});
  }
  // The kernel also works when output 0 is the very view that is input 0; a variadic operator's
  // when an output is the very view that is an input.
  OpDeclaration& in_place() {
    op_->in_place = true;
    return *this;
  }
  // The output is a copy of input 0 along broadcast axes.
  OpDeclaration& broadcast() {
    op_->is_broadcast = true;
    return *this;
  }
  // The kernel reads each element of input 0 once, through a fusion::Stream.
  OpDeclaration& streams() {
    op_->streams = true;
    return *this;
  }
  // The kernel is not compiled for the elements' type, or for storage-only dtypes too: it moves
  // elements, or converts them. Others are given bfloat16 arrays in float32.
  OpDeclaration& any_dtype() {
    op_->any_dtype = true;
    return *this;
  }
  // The gradient does not depend on the head gradient.
  OpDeclaration& loss(LossFn is_loss = [](const Params*) { return true; }) {
    op_->is_loss = is_loss;
    return *this;
  }
  OpDeclaration& random() {
    op_->random = true;
    return *this;
  }
  OpDeclaration& method() {
    op_->is_method = true;
    return *this;
  }
  OpDeclaration& sample(double low, double high);
  // A literal, as is the example: the texts are not copied.
  OpDeclaration& doc(std::string_view text) {
    op_->doc = text;
    return *this;
  }
  // How the operator is called and what comes out, as a doctest in which `mx` is the package.
  OpDeclaration& example(std::string_view text) {
    op_->example = text;
    return *this;
  }
  OpSchema& schema() { return *op_; }

 private:
  template <class F>
  static NDArray gradient(NDArray g, const NDArray& x) {
    const Head head(std::move(g));
    return F{}(head, x);
  }
  template <class F>
  static NDArray wide_gradient(const NDArray& g, const NDArray& x) {
    return cast(gradient<F>(in_compute_type(g), in_compute_type(x)), g.dtype());
  }
  OpDeclaration& set_inputs(std::initializer_list<const char*> names);
  OpDeclaration& add_aliases(std::initializer_list<const char*> names);
  OpDeclaration& set_no_grad_inputs(std::initializer_list<uint8_t> inputs);
  OpDeclaration& set_auxiliary(std::initializer_list<uint8_t> inputs);

  OpSchema* op_;
};

#define MXTAPE_CONCAT_(a, b) a##b
#define MXTAPE_CONCAT(a, b) MXTAPE_CONCAT_(a, b)
// Declares an operator while the program loads.
#define OP(name)                                                       \
  [[maybe_unused]] static const ::mxtape::OpDeclaration MXTAPE_CONCAT( \
      op_declaration_, __COUNTER__) = ::mxtape::OpDeclaration(#name)

}  // namespace mxtape

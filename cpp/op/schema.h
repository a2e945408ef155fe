#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/backward.h"
#include "core/ndarray.h"
#include "core/small_vector.h"
#include "op/params.h"
#include "runtime/tile.h"

namespace mxtape {

struct OpSchema;

// The shape and dtype that inference gives an output.
struct OutputSpec {
  Shape shape;
  DType dtype = DType::kFloat32;
};

// A call before it runs: inference reads the inputs and the parameters and describes the outputs.
class InferCall {
 public:
  InferCall(const OpSchema& op, Inputs inputs, const Params* params, std::span<OutputSpec> outputs)
      : op_(op), inputs_(inputs), params_(params), outputs_(outputs) {}

  const OpSchema& op() const { return op_; }
  std::string_view name() const;
  size_t input_count() const { return inputs_.size(); }
  const Shape& shape(size_t i) const { return inputs_[i].shape(); }
  // For the few operators whose result has a shape that depends on values.
  const NDArray& input(size_t i) const { return inputs_[i]; }
  DType dtype(size_t i) const { return inputs_[i].dtype(); }
  template <class P>
  const P& params() const {
    return params_->as<P>();
  }
  const Params* raw_params() const { return params_; }
  bool training() const { return params_->training; }
  void output(size_t i, Shape shape, DType dtype) { outputs_[i] = {std::move(shape), dtype}; }

  // Throws an Error that names the operator and the inputs' shapes and dtypes.
  template <class... Parts>
  [[noreturn, gnu::cold]] void fail(const Parts&... parts) const {
    fail_with({MessagePart(parts)...});
  }
  template <class... Parts>
  void expect(bool condition, const Parts&... parts) const {
    if (!condition) fail(parts...);
  }
  // Axis `axis` of input 0, counted from the end when negative.
  int axis(int64_t axis, size_t input = 0) const {
    return normalize_axis(axis, shape(input).ndim(), name());
  }
  void expect_same_dtype() const;
  void expect_floating(size_t i = 0) const;

 private:
  [[noreturn, gnu::cold]] void fail_with(MessageParts parts) const;

  const OpSchema& op_;
  Inputs inputs_;
  const Params* params_;
  std::span<OutputSpec> outputs_;
};

// A running call: the outputs have memory, of the inferred shapes and dtypes.
class KernelCall {
 public:
  KernelCall(const OpSchema& op, Inputs inputs, Arrays outputs, const Params* params)
      : op_(op), inputs_(inputs), outputs_(outputs), params_(params) {}

  const OpSchema& op() const { return op_; }
  std::string_view name() const;
  size_t input_count() const { return inputs_.size(); }
  size_t output_count() const { return outputs_.size(); }
  const NDArray& in(size_t i) const { return inputs_[i]; }
  const NDArray& out(size_t i = 0) const { return outputs_[i]; }
  Inputs inputs() const { return inputs_; }
  Arrays outputs() const { return outputs_; }
  template <class P>
  const P& params() const {
    return params_->as<P>();
  }
  const Params* raw_params() const { return params_; }
  // Whether the call runs in training mode; for operators declared training_mode().
  bool training() const { return params_->training; }

 private:
  const OpSchema& op_;
  Inputs inputs_;
  Arrays outputs_;
  const Params* params_;
};

class OpNode;

// A gradient's view of the call it belongs to: what was saved, the head gradients, the results.
class Vjp {
 public:
  Vjp(OpNode& node, autograd::VjpCall& call) : node_(node), call_(call) {}

  const OpSchema& op() const;
  template <class P>
  const P& params() const {
    return raw_params()->as<P>();
  }
  const Params* raw_params() const;
  // Whether the forward call ran in training mode; for operators declared training_mode().
  bool training() const { return raw_params()->training; }
  size_t input_count() const;

  // The gradient that flowed into output i; zeros when nothing did.
  NDArray head(size_t i = 0) const;
  // The same for the last time, so that invoke_over may write there: it counts as none afterwards.
  NDArray last_head(size_t i = 0) { return call_.has_head(i) ? call_.take_head(i) : head(i); }
  bool has_head(size_t i = 0) const { return call_.has_head(i); }
  bool needs(size_t i) const { return call_.needs(i); }
  // Saved arrays; an operator must have declared that it saves them.
  NDArray input(size_t i) const;
  NDArray output(size_t i = 0) const;
  // Of a saved array or of one whose shape alone is saved.
  Shape input_shape(size_t i) const;
  DType input_dtype(size_t i) const;

  void grad(size_t i, NDArray value) { call_.grad(i, std::move(value)); }

 private:
  OpNode& node_;
  autograd::VjpCall& call_;
};

using InferFn = void (*)(InferCall&);
using KernelFn = void (*)(const KernelCall&);
using VjpFn = void (*)(Vjp&);
using CountFn = size_t (*)(const Params*);
// Which of the declared inputs a call takes: bit i stands for input i.
using InputsFn = uint32_t (*)(const Params*);
// Whether a call changes input `i` of `count` in place.
using MutatesFn = bool (*)(size_t i, size_t count, const Params*);

// Fills in the operands of a pointwise call of `op` and gives their number.
using TileOperandsFn = size_t (*)(const OpSchema& op, Inputs inputs, const Params* params,
                                  DType dtype, TileOperand* operands);

// What a node keeps of an input or an output.
enum class Keep : uint8_t { kNothing, kShape, kData };

struct InputSpec {
  std::string name;
  // A call may leave it out. Set for a bias under no_bias and its like: see OpSchema::used_inputs.
  bool optional = false;
};

// From what the tests draw the inputs of an operator: uniform in [low, high].
struct SampleDomain {
  double low = -2, high = 2;
};

// All that is known of one operator, declared once.
struct OpSchema {
  std::string name;
  std::vector<std::string> aliases;
  std::string_view doc;
  std::string_view example;  // a doctest; every public operator has one
  std::vector<InputSpec> inputs;
  bool variadic = false;    // any number of inputs, called inputs[0].name
  std::string count_param;  // the variadic operator's parameter for their number: num_args
  const ParamsInfo* params = nullptr;
  size_t outputs = 1;
  size_t visible_outputs = 0;      // how many a caller sees; 0: all
  CountFn output_count = nullptr;  // where it depends on the parameters
  CountFn visible_count = nullptr;
  // Which inputs a call with these parameters takes, where it depends on them. A kernel gets them
  // without gaps.
  InputsFn used_inputs = nullptr;

  InferFn infer = nullptr;
  KernelFn kernel = nullptr;
  // A pointwise operator: one tile function serves every shape; `kernel` and `infer` are derived.
  TileFunction tile;
  bool reversed_scalar = false;
  // The operands of a pointwise call: calls over large arrays wait (runtime/fusion.h), others give
  // them to the kernel.
  TileOperandsFn tile_operands = nullptr;
  bool is_pointwise() const { return tile_operands != nullptr; }
  bool is_broadcast = false;  // the output is a copy of input 0 along broadcast axes
  bool streams = false;       // the kernel reads input 0 through a fusion::Stream

  VjpFn vjp = nullptr;
  std::string no_grad_reason;
  std::vector<Keep> keep_inputs, keep_outputs;
  Keep keep_input(size_t i) const {
    return variadic ? (keep_inputs.empty() ? Keep::kNothing : keep_inputs[0])
                    : (i < keep_inputs.size() ? keep_inputs[i] : Keep::kNothing);
  }
  Keep keep_output(size_t i) const {
    return keep_outputs.empty()
               ? Keep::kNothing
               : keep_outputs[i < keep_outputs.size() ? i : keep_outputs.size() - 1];
  }

  MutatesFn mutates = nullptr;  // inputs that a call changes in place (optimizer states)
  bool in_place = false;        // output 0 may be the same view as input 0; if variadic, as any
  bool training_mode = false;   // Params::training is set
  bool random = false;          // draws random numbers
  bool is_method = false;       // also a method of NDArray
  std::vector<SampleDomain> samples;
  // Inputs whose values are indices or labels: no gradient flows to them.
  std::vector<uint8_t> no_grad_inputs;

  // Of what a call takes: how many inputs, and the name of the i-th.
  size_t count_inputs(size_t given, const Params* p) const;
  std::string input_name(size_t i, const Params* p) const;
  size_t count_outputs(const Params* p) const { return output_count ? output_count(p) : outputs; }
  size_t count_visible(const Params* p) const {
    if (visible_count) return visible_count(p);
    return visible_outputs ? visible_outputs : count_outputs(p);
  }
  bool is_no_grad_input(size_t i) const;
};

}  // namespace mxtape

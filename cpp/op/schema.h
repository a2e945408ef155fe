#pragma once

#include <bit>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/backward.h"
#include "autograd/recorder.h"
#include "core/ndarray.h"
#include "core/small_vector.h"
#include "op/params.h"
#include "op/spec.h"
#include "runtime/tile.h"

namespace mxtape {

using autograd::Mode;
struct OpSchema;

// An input as inference sees it.
struct InputView {
  const Shape* shape;
  DType dtype;
  StorageType storage;
};

// A call before it runs: inference reads what is known of the inputs and the parameters, and says
// what is known of the outputs. Of a call with arrays everything is known. Of a node in a graph
// some may not be; then require() fills it in, and reading it ends the inference of this node for
// now.
class InferCall {
 public:
  InferCall(const OpSchema& op, std::span<InputView> inputs, const Params* params, Mode mode,
            std::span<ArraySpec> outputs, ArraySpec* unknown = nullptr)
      : op_(op),
        inputs_(inputs),
        params_(params),
        outputs_(outputs),
        unknown_(unknown),
        mode_(mode) {}

  const OpSchema& op() const { return op_; }
  std::string_view name() const;
  size_t input_count() const { return inputs_.size(); }
  // The name of input i among those that the call has.
  std::string input_name(size_t i) const;
  const Shape& shape(size_t i) const {
    if (unknown_ && !inputs_[i].shape->known()) incomplete();
    return *inputs_[i].shape;
  }
  // The same with extents of -1 where they are not known.
  const Shape& partial_shape(size_t i) const {
    if (unknown_ && !inputs_[i].shape->has_ndim()) incomplete();
    return *inputs_[i].shape;
  }
  DType dtype(size_t i) const {
    if (unknown_ && inputs_[i].dtype == kUnknownDType) incomplete();
    return inputs_[i].dtype;
  }
  StorageType storage(size_t i) const { return inputs_[i].storage; }
  template <class P>
  const P& params() const {
    return params_->as<P>();
  }
  const Params* raw_params() const { return params_; }
  Mode mode() const { return mode_; }
  bool training() const { return mode_.training; }
  bool recording() const { return mode_.recording; }

  // Input i must have the shape `wanted`; what is not known of it is filled in. `why` ends the
  // message.
  template <class... Parts>
  void require(size_t i, const Shape& wanted, const Parts&... why) const {
    if (*inputs_[i].shape == wanted || fill(i, wanted)) return;
    fail_with({MessagePart(input_name(i)), MessagePart(" must have shape "), MessagePart(wanted),
               MessagePart(why)...});
  }
  // The same for a dtype.
  template <class... Parts>
  void require_dtype(size_t i, DType wanted, const Parts&... why) const {
    if (inputs_[i].dtype == wanted || fill(i, wanted)) return;
    fail_with({MessagePart(input_name(i)), MessagePart(" must be "), MessagePart(wanted),
               MessagePart(why)...});
  }
  // Writes into input i what is not known of it; whether it is then `wanted`. A call with arrays
  // has nothing to fill in.
  bool fill(size_t i, const Shape& wanted) const;
  bool fill(size_t i, DType wanted) const;
  // The first `count` inputs, and output 0, have one shape: what is known of one is known of all.
  void require_same_shape(size_t count) const;
  // All inputs have one dtype.
  void expect_same_dtype() const;
  void expect_floating(size_t i = 0) const;

  void output(size_t i, Shape shape, DType dtype) {
    if (unknown_) return set_output(i, std::move(shape), dtype);
    outputs_[i] = {std::move(shape), dtype};
  }

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
    return normalize_axis(axis, partial_shape(input).ndim(), name());
  }

  // What reading an unknown shape or dtype throws: infer_specs catches it.
  struct Incomplete {};

 protected:
  std::span<ArraySpec> outputs() const { return outputs_; }

 private:
  [[noreturn, gnu::cold]] void fail_with(MessageParts parts) const;
  [[noreturn, gnu::cold]] static void incomplete() { throw Incomplete{}; }
  void set_output(size_t i, Shape shape, DType dtype);

  const OpSchema& op_;
  std::span<InputView> inputs_;
  const Params* params_;
  std::span<ArraySpec> outputs_;
  // The specs behind the inputs where some of them may be unknown; else null.
  ArraySpec* unknown_;
  Mode mode_;
};

// A call after inference: for checks that read values, before anything changes.
class CheckCall : public InferCall {
 public:
  CheckCall(const InferCall& call, Inputs arrays) : InferCall(call), arrays_(arrays) {}

  // Storage-only arrays come in float32, and dtype() says so.
  const NDArray& input(size_t i) const { return arrays_[i]; }
  DType dtype(size_t i) const { return arrays_[i].dtype(); }
  // Gives output i the shape that inference left open.
  void resolve(size_t i, Shape shape) const { outputs()[i].shape = std::move(shape); }

 private:
  Inputs arrays_;
};

// A running call: the outputs have memory, of the inferred shapes and dtypes.
class KernelCall {
 public:
  KernelCall(const OpSchema& op, Inputs inputs, Arrays outputs, const Params* params, Mode mode)
      : op_(op), inputs_(inputs), outputs_(outputs), params_(params), mode_(mode) {}

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
  Mode mode() const { return mode_; }
  bool training() const { return mode_.training; }
  bool recording() const { return mode_.recording; }
  // The same call over other arrays.
  KernelCall over(Inputs inputs, Arrays outputs) const {
    KernelCall call = *this;
    call.inputs_ = inputs;
    call.outputs_ = outputs;
    return call;
  }

 private:
  const OpSchema& op_;
  Inputs inputs_;
  Arrays outputs_;
  const Params* params_;
  Mode mode_;
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
  // Whether the forward call ran in training mode.
  bool training() const;
  // Whether the gradient is itself recorded, to be differentiated again.
  bool recording() const { return call_.create_graph(); }
  size_t input_count() const;

  // The gradient that flowed into output i; zeros when nothing did.
  NDArray head(size_t i = 0) const;
  // The same for the last time, so that invoke_over may write there: it counts as none afterwards.
  NDArray last_head(size_t i = 0) {
    return call_.has_head(i) ? readable(call_.take_head(i)) : head(i);
  }
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
  // A sparse head in memory, for the gradients of operators that know dense arrays only.
  NDArray readable(NDArray head) const {
    return is_sparse(head) ? in_memory(std::move(head)) : head;
  }
  [[gnu::cold]] NDArray in_memory(NDArray head) const;

  OpNode& node_;
  autograd::VjpCall& call_;
};

using InferFn = void (*)(InferCall&);
using CheckFn = void (*)(const CheckCall&);
using KernelFn = void (*)(const KernelCall&);
using VjpFn = void (*)(Vjp&);
using CountFn = size_t (*)(const Params*);
// Which of the declared inputs a call takes: bit i stands for input i.
using InputsFn = uint32_t (*)(const Params*);
// Whether the gradient is that of a loss: the same whatever flows into the outputs.
using LossFn = bool (*)(const Params*);
// Whether a call changes input `i` of `count` in place.
using MutatesFn = bool (*)(size_t i, size_t count, const Params*, Mode);

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

// How an operator pushes tangents forward (op/tangent.h) and runs over a batch (op/batch.h).
class TangentCall;
class BatchCall;
using TangentFn = void (*)(TangentCall&);
using BatchFn = void (*)(BatchCall&);
// How it runs with arrays that are not dense (op/sparse.h).
struct SparseRow;

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
  // Checks that read values; run after inference, whose open output shapes they resolve.
  CheckFn check = nullptr;
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
  TangentFn tangent = nullptr;
  BatchFn batch = nullptr;
  std::vector<const SparseRow*> sparse;
  // As what its calls run even if all arrays are dense: of an operator that makes sparse ones.
  Form form = Form::kDense;
  // Inputs in each of which the operator is linear, the others being what they are: bit i for
  // input i.
  uint32_t linear = 0;
  std::vector<Keep> keep_inputs, keep_outputs;
  // Where the parameters decide whose data a call keeps: bit i stands for input or output i. Of
  // another output it keeps the shape, of another input nothing.
  InputsFn kept_inputs = nullptr, kept_outputs = nullptr;
  Keep keep_input(size_t i, const Params* p) const {
    if (kept_inputs && !(kept_inputs(p) >> i & 1)) return Keep::kNothing;
    return variadic ? (keep_inputs.empty() ? Keep::kNothing : keep_inputs[0])
                    : (i < keep_inputs.size() ? keep_inputs[i] : Keep::kNothing);
  }
  Keep keep_output(size_t i, const Params* p) const {
    if (kept_outputs && !(kept_outputs(p) >> i & 1)) return Keep::kShape;
    return keep_outputs.empty()
               ? Keep::kNothing
               : keep_outputs[i < keep_outputs.size() ? i : keep_outputs.size() - 1];
  }

  LossFn is_loss = nullptr;
  MutatesFn mutates = nullptr;  // inputs that a call changes in place (optimizer states)
  bool in_place = false;        // output 0 may be the same view as input 0; if variadic, as any
  bool random = false;          // draws random numbers
  bool is_method = false;       // also a method of NDArray
  bool any_dtype = false;       // the kernel reads storage-only dtypes too (op/widened_call.h)
  std::vector<SampleDomain> samples;
  // Inputs whose values are indices or labels: no gradient flows to them.
  std::vector<uint8_t> no_grad_inputs;
  // Inputs that are states of the layer and no variables: running statistics.
  std::vector<uint8_t> auxiliary;

  // Of what a call takes: how many inputs, and the name of the i-th.
  size_t count_inputs(size_t given, const Params* p) const {
    if (variadic) return given;
    return used_inputs ? static_cast<size_t>(std::popcount(used_inputs(p))) : inputs.size();
  }
  std::string input_name(size_t i, const Params* p) const;
  size_t count_outputs(const Params* p) const { return output_count ? output_count(p) : outputs; }
  size_t count_visible(const Params* p) const {
    if (visible_count) return visible_count(p);
    return visible_outputs ? visible_outputs : count_outputs(p);
  }
  bool is_no_grad_input(size_t i) const;
};

// Inference of a node in a graph: writes what follows for its inputs and outputs into their specs.
// True when all of them are known afterwards. An Error says what contradicts what.
bool infer_specs(const OpSchema& op, const Params* params, Mode mode, std::span<ArraySpec> inputs,
                 std::span<ArraySpec> outputs);
// The inference of a call, with errors that say what it was given. In line: calls of operators on a
// few elements come by here.
[[noreturn, gnu::cold]] void rethrow_with_call(const Error& error, const InferCall& call);
inline void run_inference(const OpSchema& op, InferCall& call) {
  try {
    op.infer(call);
  } catch (const Error& error) {
    rethrow_with_call(error, call);
  }
}

}  // namespace mxtape

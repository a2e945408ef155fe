#include "op/invoke.h"

#include "autograd/recorder.h"
#include "op/functional.h"
#include "op/op_node.h"
#include "op/registry.h"
#include "runtime/blocking.h"
#include "runtime/fusion.h"

namespace mxtape {
namespace {

// More outputs than a call can have: their number may come from a parameter.
constexpr size_t kMaxOutputs = size_t{1} << 20;

std::string input_names(const OpSchema& op, size_t count, const Params* params) {
  std::string names;
  for (size_t i = 0; i < count; ++i) names += (i ? ", " : "") + op.input_name(i, params);
  return names;
}

void check_inputs(const OpSchema& op, Inputs inputs, const Params* params) {
  const size_t expected = op.count_inputs(inputs.size(), params);
  if (inputs.size() != expected || (op.variadic && inputs.empty())) {
    fail_as(ErrorKind::kMXNet, op.name, ": expected ",
            op.variadic ? std::string("at least one") : std::to_string(expected), " input",
            expected == 1 ? "" : "s", " (", input_names(op, op.variadic ? 1 : expected, params),
            "), got ", inputs.size());
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined()) fail(op.name, ": input ", i, " is missing");
  }
}

bool same_view(const NDArray& a, const NDArray& b) {
  return a.byte_offset() == b.byte_offset() && a.shape() == b.shape() && a.dtype() == b.dtype();
}

// Whether writing `out` while reading the inputs would spoil them.
bool must_not_alias(const OpSchema& op, Inputs inputs, const NDArray& out) {
  for (const NDArray& input : inputs) {
    const bool allowed =
        op.is_pointwise() || (op.in_place && (op.variadic || &input == &inputs[0]));
    if (input.storage() == out.storage() && !(allowed && same_view(input, out))) return true;
  }
  return false;
}

void check_output(const OpSchema& op, size_t i, const NDArray& out, const OutputSpec& spec) {
  if (out.shape() != spec.shape || out.dtype() != spec.dtype) {
    fail(op.name, ": out", i ? std::to_string(i) : "", " has shape ", out.shape(), " and dtype ",
         out.dtype(), ", the result has ", spec.shape, " and ", spec.dtype);
  }
  check_writable(out, op.name);
}

// Helpers of inference know an axis or a shape but not the call: what it was given is added here.
void infer_outputs(const OpSchema& op, InferCall& infer) {
  try {
    op.infer(infer);
  } catch (const Error& error) {
    const std::string_view text = error.what();
    const std::string prefix = op.name + ": ";
    const bool says_it = infer.input_count() == 0 || text.find("[given") != text.npos ||
                         text.find(infer.shape(0).str()) != text.npos;
    if (error.kind() != ErrorKind::kMXNet || says_it || !text.starts_with(prefix)) throw;
    infer.fail(text.substr(prefix.size()));
  }
}

bool will_record(const OpSchema& op, Inputs inputs) {
  if (!autograd::is_recording()) return false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (autograd::on_tape(inputs[i]) && !op.is_no_grad_input(i)) return true;
  }
  return false;
}

void record(const OpSchema& op, Inputs inputs, const Ref<Params>& params,
            std::span<NDArray> outputs) {
  if (!will_record(op, inputs)) return;
  Ref<OpNode> node = OpNode::record(op, inputs, outputs, params);
  for (size_t i = 1; i < outputs.size(); ++i) outputs[i].set_edge(node, static_cast<uint32_t>(i));
  outputs[0].set_edge(std::move(node), 0);
}

// What recording would refuse: more inputs than a node can hold, and writing over what its own
// gradient will read.
void check_recordable(const OpSchema& op, Inputs inputs, std::span<const NDArray> outputs) {
  if (!will_record(op, inputs)) return;
  if (inputs.size() > OpNode::kMaxArrays) {
    fail(op.name, ": too many inputs to record: ", inputs.size());
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (const NDArray& out : outputs) {
      if (op.keep_input(i) == Keep::kData && inputs[i].storage() == out.storage()) {
        fail(op.name, ": while recording, out shares memory with input ", i, " of shape ",
             inputs[i].shape(), ", which the gradient needs; write to a new array");
      }
    }
  }
}

// The kernel of a call that waits for its one input.
class LateReduction final : public fusion::Reduction {
 public:
  LateReduction(const OpSchema& op, Ref<Params> params) : op_(op), params_(std::move(params)) {}
  void run(const NDArray& in, const NDArray& out) const override {
    const NDArray* inputs[] = {&in};
    op_.kernel(KernelCall(op_, Inputs(inputs, 1), {&out, 1}, params_.get()));
  }

 private:
  const OpSchema& op_;
  Ref<Params> params_;
};

// A pointwise call over large arrays may wait for others to run with it, and so may a reduction of
// what waits to one number: undefined if the call may not. `size`: of its output.
NDArray deferred_result(const OpSchema& op, Inputs inputs, const Ref<Params>& params,
                        const OutputSpec& spec, int64_t size) {
  if (op.streams && size == 1 && inputs[0].storage()->deferred() &&
      spec.dtype == inputs[0].dtype()) {
    return fusion::defer_reduction(inputs[0], spec.shape, make_ref<LateReduction>(op, params));
  }
  if (!(op.tile_operands || op.is_broadcast) || !fusion::is_large(size)) return NDArray();
  if (op.is_broadcast) return fusion::defer_broadcast(inputs[0], spec.shape);
  TileOperand operands[4];
  const size_t count = op.tile_operands(op, inputs, params.get(), spec.dtype, operands);
  return fusion::defer(op.tile, spec.dtype, {operands, count}, spec.shape,
                       params ? params->data() : nullptr, params.get());
}

}  // namespace

void check_writable(const NDArray& array, std::string_view op) {
  if (!autograd::is_recording() || !autograd::on_tape(array)) return;
  fail(op, ": cannot write in place to an array of shape ", array.shape(),
       " that is in a recorded graph while recording: x[:] = ..., x += ... and out=x would change "
       "values that gradients need. Write to a new array, or outside autograd.record()");
}

void invoke(const OpSchema& op, Inputs inputs, const Ref<Params>& params, Outputs& outputs) {
  check_inputs(op, inputs, params.get());
  if (op.training_mode) params->training = autograd::is_training();
  const size_t count = op.count_outputs(params.get());
  if (count > kMaxOutputs) {
    fail(op.name, ": the parameters ask for ", count, " outputs: ", print_given(*params));
  }
  SmallVector<OutputSpec, 2> specs(count);
  InferCall infer(op, inputs, params.get(), specs);
  infer_outputs(op, infer);

  const size_t given = outputs.size();
  if (given && given != op.count_visible(params.get()) && given != count) {
    fail(op.name, ": ", given, " arrays given as out, the operator has ",
         op.count_visible(params.get()), " outputs");
  }
  for (size_t i = 0; i < given; ++i) {
    if (outputs[i].defined()) check_output(op, i, outputs[i], specs[i]);
  }
  check_recordable(op, inputs, outputs);
  const auto mutated = [&](size_t i) { return op.mutates(i, inputs.size(), params.get()); };
  for (size_t i = 0; op.mutates && i < inputs.size(); ++i) {
    if (mutated(i) && !op.is_no_grad_input(i)) check_writable(inputs[i], op.name);
  }

  Outputs spare;
  SmallVector<size_t, 2> copied;
  size_t bytes = 0;
  bool waits = false;
  const auto device = inputs.empty() ? 0 : inputs[0].storage()->device();
  for (size_t i = 0; i < count; ++i) {
    // What inference made of the parameters may be below zero, or too much.
    const int64_t size = checked_size(specs[i].shape, op.name);
    bytes += static_cast<size_t>(size) * item_size(specs[i].dtype);
    if (i >= given) outputs.push_back(NDArray());
    if (!outputs[i].defined()) {
      if (!given) outputs[i] = deferred_result(op, inputs, params, specs[i], size);
      waits = outputs[i].defined();
      if (!waits) outputs[i] = NDArray::empty(std::move(specs[i].shape), specs[i].dtype);
      if (device) outputs[i].storage()->set_device(device);
    } else if (must_not_alias(op, inputs, outputs[i])) {
      spare.push_back(outputs[i]);
      copied.push_back(i);
      outputs[i] = NDArray::empty(std::move(specs[i].shape), specs[i].dtype);
    }
  }
  for (const NDArray& input : inputs) bytes = std::max(bytes, input.nbytes());
  if (!waits) {
    const BlockingScope scope(bytes);
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (op.mutates && mutated(i)) fusion::before_write(inputs[i]);
      if (!op.tile_operands && !(op.streams && i == 0)) inputs[i].storage()->data();
    }
    for (size_t i = 0; i < given; ++i) fusion::before_write(outputs[i]);
    for (const NDArray& out : spare) fusion::before_write(out);
    const KernelCall call(op, inputs, outputs, params.get());
    op.kernel(call);
    for (size_t k = 0; k < copied.size(); ++k) {
      std::memcpy(spare[k].bytes(), outputs[copied[k]].bytes(), spare[k].nbytes());
    }
  }
  for (size_t k = 0; k < copied.size(); ++k) outputs[copied[k]] = std::move(spare[k]);
  for (size_t i = 0; i < given; ++i) outputs[i].storage()->bump_version();
  for (size_t i = 0; op.mutates && i < inputs.size(); ++i) {
    if (mutated(i)) inputs[i].storage()->bump_version();
  }
  if (autograd::is_recording()) record(op, inputs, params, outputs);
  if (count > op.count_visible(params.get())) outputs.resize(op.count_visible(params.get()));
}

void invoke(const OpSchema& op, Arrays inputs, const Ref<Params>& params, Outputs& outputs) {
  SmallVector<const NDArray*, 8> pointers;
  for (const NDArray& input : inputs) pointers.push_back(&input);
  invoke(op, Inputs(pointers.data(), pointers.size()), params, outputs);
}

void invoke_over(const OpSchema& op, NDArray first, std::initializer_list<NDArray> others,
                 const Ref<Params>& params, Outputs& outputs) {
  if (op.in_place && !autograd::is_recording()) {
    first.storage()->data();
    if (first.owns_memory()) {
      outputs.resize(op.count_outputs(params.get()));
      // Without its place in the graph, should it have one: the new values have another.
      outputs[0] = first.detached();
    }
  }
  SmallVector<const NDArray*, 8> pointers;
  pointers.push_back(&first);
  for (const NDArray& other : others) pointers.push_back(&other);
  invoke(op, Inputs(pointers.data(), pointers.size()), params, outputs);
}

NDArray invoke(const OpSchema& op, Inputs inputs, const Ref<Params>& params) {
  Outputs outputs;
  invoke(op, inputs, params, outputs);
  return std::move(outputs[0]);
}

NDArray invoke(const OpSchema& op, std::initializer_list<NDArray> inputs,
               const Ref<Params>& params) {
  Outputs outputs;
  invoke(op, Arrays{inputs.begin(), inputs.size()}, params, outputs);
  return std::move(outputs[0]);
}

void record_view(const OpSchema& op, const NDArray& input, const Ref<Params>& params,
                 NDArray& view) {
  if (autograd::is_recording()) {
    const NDArray* inputs[] = {&input};
    record(op, Inputs(inputs, 1), params, {&view, 1});
  }
}

void install_gradient_ops() {
  autograd::GradientOps ops;
  ops.add = [](const NDArray& a, const NDArray& b) { return a + b; };
  ops.copy = [](const NDArray& value) {
    static const OpSchema& op = find_op("_copy");
    return invoke(op, {value});
  };
  ops.add_in_place = [](const NDArray& target, NDArray value) {
    static const OpSchema& op = find_op("elemwise_add");
    const autograd::StateScope quiet(false, false);
    const NDArray inputs[] = {target.detached(), value.detached()};
    value = NDArray();
    Outputs outputs;
    outputs.push_back(target.detached());
    invoke(op, inputs, nullptr, outputs);
  };
  ops.copy_into = [](const NDArray& target, NDArray value) {
    static const OpSchema& op = find_op("_copy");
    const autograd::StateScope quiet(false, false);
    const NDArray inputs[] = {value.detached()};
    value = NDArray();
    Outputs outputs;
    outputs.push_back(target.detached());
    invoke(op, inputs, nullptr, outputs);
  };
  ops.fill_like = [](const Shape& shape, DType dtype, double value) {
    return full(shape, dtype, value);
  };
  ops.tie = [](const NDArray& value, const NDArray& variable) {
    static const OpSchema& op = find_op("_identity_with_attr_like_rhs");
    return invoke(op, {value, variable});
  };
  autograd::set_gradient_ops(ops);
}

}  // namespace mxtape

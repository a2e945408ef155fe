#include "op/schema.h"

#include <algorithm>
#include <bit>

#include "core/small_vector.h"

namespace mxtape {

std::string_view InferCall::name() const { return op_.name; }
std::string_view KernelCall::name() const { return op_.name; }

std::string InferCall::input_name(size_t i) const { return op_.input_name(i, params_); }

namespace {

std::string spec_text(const Shape& shape, DType dtype) {
  std::string text = shape.str();
  if (shape.has_ndim() && !shape.known()) {
    for (size_t at = 0; (at = text.find("-1", at)) != text.npos;) text.replace(at, 2, "?");
  }
  return text + " " + (dtype == kUnknownDType ? "unknown" : std::string(dtype_name(dtype)));
}

}  // namespace

void InferCall::fail_with(MessageParts parts) const {
  std::string text = op_.name + ": " + joined(parts) + " [given";
  for (size_t i = 0; i < inputs_.size(); ++i) {
    text +=
        str_cat(i ? ", " : " ", input_name(i), " ", spec_text(*inputs_[i].shape, inputs_[i].dtype));
  }
  if (params_ && params_->given) text += (inputs_.empty() ? " " : "; ") + print_given(*params_);
  throw Error(text + "]").set_names_call();
}

bool InferCall::fill(size_t i, const Shape& wanted) const {
  return unknown_ && merge_shape(unknown_[i].shape, wanted);
}

bool InferCall::fill(size_t i, DType wanted) const {
  if (inputs_[i].dtype != kUnknownDType || wanted == kUnknownDType) return false;
  unknown_[i].dtype = inputs_[i].dtype = wanted;
  return true;
}

void InferCall::require_same_shape(size_t count) const {
  if (!unknown_) {
    for (size_t i = 1; i < count; ++i) {
      expect(*inputs_[i].shape == *inputs_[0].shape, "inputs must have one shape");
    }
    return;
  }
  Shape common = outputs_[0].shape;
  for (size_t i = 0; i < count; ++i) {
    expect(merge_shape(common, *inputs_[i].shape), "inputs must have one shape");
  }
  for (size_t i = 0; i < count; ++i) unknown_[i].shape = common;
}

void InferCall::expect_same_dtype() const {
  DType common = inputs_[0].dtype;
  for (size_t i = 1; unknown_ && common == kUnknownDType && i < inputs_.size(); ++i) {
    common = inputs_[i].dtype;
  }
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i].dtype == common) continue;
    expect(fill(i, common), "inputs must have one dtype; use astype() to convert");
  }
}

void InferCall::expect_floating(size_t i) const {
  expect(is_floating(dtype(i)), "only floating-point arrays are supported");
}

void InferCall::set_output(size_t i, Shape shape, DType dtype) {
  ArraySpec& out = outputs_[i];
  expect(merge_shape(shape, out.shape), "output ", i, " has shape ", shape, ", what uses it needs ",
         out.shape);
  expect(out.dtype == kUnknownDType || out.dtype == dtype, "output ", i, " is ", dtype,
         ", what uses it needs ", out.dtype);
  out.shape = std::move(shape);
  out.dtype = dtype;
}

// Helpers of inference know an axis or a shape but not the call: what it was given is added here.
void run_inference(const OpSchema& op, InferCall& call) {
  try {
    op.infer(call);
  } catch (const Error& error) {
    const std::string_view text = error.what();
    const std::string prefix = op.name + ": ";
    if (error.kind() != ErrorKind::kMXNet || error.names_call() || call.input_count() == 0 ||
        !text.starts_with(prefix)) {
      throw;
    }
    call.fail(text.substr(prefix.size()));
  }
}

bool infer_specs(const OpSchema& op, const Params* params, Mode mode, std::span<ArraySpec> inputs,
                 std::span<ArraySpec> outputs) {
  SmallVector<InputView, 8> views;
  for (const ArraySpec& spec : inputs) views.push_back({&spec.shape, spec.dtype, spec.storage});
  InferCall call(op, views, params, mode, outputs, inputs.data());
  try {
    run_inference(op, call);
  } catch (const InferCall::Incomplete&) {
    return false;
  }
  const auto known = [](const ArraySpec& spec) { return spec.known(); };
  return std::all_of(inputs.begin(), inputs.end(), known) &&
         std::all_of(outputs.begin(), outputs.end(), known);
}

size_t OpSchema::count_inputs(size_t given, const Params* p) const {
  if (variadic) return given;
  return used_inputs ? static_cast<size_t>(std::popcount(used_inputs(p))) : inputs.size();
}

std::string OpSchema::input_name(size_t i, const Params* p) const {
  if (variadic) return inputs[0].name + std::to_string(i);
  if (used_inputs) {
    for (size_t at = 0; at < inputs.size(); ++at) {
      if ((used_inputs(p) >> at & 1) && i-- == 0) return inputs[at].name;
    }
  }
  return inputs[i].name;
}

bool OpSchema::is_no_grad_input(size_t i) const {
  return std::find(no_grad_inputs.begin(), no_grad_inputs.end(), static_cast<uint8_t>(i)) !=
         no_grad_inputs.end();
}

}  // namespace mxtape

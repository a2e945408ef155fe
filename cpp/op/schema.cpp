#include "op/schema.h"

#include <algorithm>
#include <bit>

namespace mxtape {

std::string_view InferCall::name() const { return op_.name; }
std::string_view KernelCall::name() const { return op_.name; }

void InferCall::fail_with(MessageParts parts) const {
  std::string text = op_.name + ": " + joined(parts) + " [given";
  for (size_t i = 0; i < inputs_.size(); ++i) {
    text += str_cat(i ? ", " : " ", op_.input_name(i, params_), " ", inputs_[i].shape(), " ",
                    inputs_[i].dtype());
  }
  if (params_ && params_->given) text += (inputs_.empty() ? " " : "; ") + print_given(*params_);
  throw Error(text + "]");
}

void InferCall::expect_same_dtype() const {
  for (size_t i = 1; i < inputs_.size(); ++i) {
    expect(dtype(i) == dtype(0), "inputs must have one dtype; use astype() to convert");
  }
}

void InferCall::expect_floating(size_t i) const {
  expect(is_floating(dtype(i)), "only floating-point arrays are supported");
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

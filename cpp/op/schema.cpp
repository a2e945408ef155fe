#include "op/schema.h"

#include <algorithm>

namespace mxtape {

std::string_view InferCall::name() const { return op_.name; }
std::string_view KernelCall::name() const { return op_.name; }

std::string InferCall::describe(const std::string& message) const {
  std::string text = op_.name + ": " + message + " [given";
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const std::string& input = op_.inputs[op_.variadic ? 0 : i].name;
    text += str_cat(i ? ", " : " ", input, op_.variadic ? std::to_string(i) : "", " ",
                    inputs_[i].shape(), " ", inputs_[i].dtype());
  }
  if (params_ && params_->given) text += (inputs_.empty() ? " " : "; ") + print_given(*params_);
  return text + "]";
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
  return input_count ? input_count(p) : inputs.size();
}

bool OpSchema::is_no_grad_input(size_t i) const {
  return std::find(no_grad_inputs.begin(), no_grad_inputs.end(), static_cast<uint8_t>(i)) !=
         no_grad_inputs.end();
}

}  // namespace mxtape

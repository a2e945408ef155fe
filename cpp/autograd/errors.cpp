#include "autograd/errors.h"

#include <algorithm>

#include "core/error.h"

namespace mxtape::autograd {
namespace {

void (*error_note)(const std::string&) = nullptr;

const char* reason_of(OffTape why) {
  switch (why) {
    case OffTape::kNotRecorded:
      break;
    case OffTape::kNoVariable:
      return "nothing that it was computed from is a variable. Call attach_grad() on an array "
             "before you record what uses it. A result is a new array: after w = w - lr * w.grad, "
             "w is a variable no more; write w[:] = w - lr * w.grad outside autograd.record()";
    case OffTape::kNoFlow:
      return "it comes from a variable only by way of an input that has no gradient, as indices "
             "and "
             "masks have none";
    case OffTape::kDetached:
      return "it comes from detach(), whose result is a constant. Use the array itself, or call "
             "attach_grad() on the detached one before you record what uses it";
    case OffTape::kGradient:
      return "it comes from a gradient that was not recorded. Compute that with "
             "autograd.grad(..., create_graph=True), inside autograd.record()";
    case OffTape::kFreed:
      return "the graph of what it was computed from had been freed by an earlier backward, so "
             "that it counted as a constant. Pass retain_graph=True to that backward, or record "
             "it all again";
  }
  return "it was not recorded. It was computed outside autograd.record() or inside "
         "autograd.pause(), or made of values. Compute it inside `with autograd.record():`";
}

// "(2, 3) float32, ?", or "" where nothing is known.
std::string inputs_text(Node& node) {
  std::string text;
  bool any = false;
  const auto count = static_cast<uint32_t>(node.edges().size());
  for (uint32_t i = 0; i < count; ++i) {
    Shape shape;
    DType dtype;
    const bool known = node.input_meta(i, shape, dtype);
    any = any || known;
    text += (i ? ", " : "") + (known ? spec_text(shape, dtype) : "?");
  }
  return any ? text : "";
}

}  // namespace

void explain_unrecorded(std::span<const NDArray* const> inputs, std::span<NDArray> outputs) {
  auto why = OffTape::kNoVariable;
  for (const NDArray* input : inputs) {
    // Of the reasons of several inputs, the last in the order of OffTape says most.
    auto own = OffTape{input->edge_index()};
    if (const Node* node = node_of(*input)) {
      own = node->released() ? OffTape::kFreed : OffTape::kNoFlow;
    }
    why = std::max(why, own);
  }
  for (NDArray& output : outputs) set_off_tape(output, why);
}

std::string spec_text(const Shape& shape, DType dtype) { return str_cat(shape, " ", dtype); }

std::string call_text(Node& node) { return call_text(node, inputs_text(node)); }

std::string call_text(const Node& node, std::string_view inputs) {
  const std::string where = node.where();
  if (inputs.empty()) return where;
  return str_cat(" (inputs ", inputs, where.empty() ? ")" : "; " + where.substr(2));
}

void set_error_note(void (*note)(const std::string& text)) { error_note = note; }

void rethrow_in_backward(Node& node) {
  const std::string where = node.where();
  try {
    throw;
  } catch (const Error& error) {
    const std::string_view message = error.what();
    const bool says =
        !where.empty() && message.find(where.substr(2, where.size() - 3)) != std::string::npos;
    if (says || message.starts_with(str_cat("backward of ", node.name()))) throw;
    throw Error(error.kind(), str_cat("backward of ", node.name(), call_text(node), ": ", message))
        .set_names_call();
  } catch (...) {
    if (error_note) {
      error_note(str_cat("raised in the backward of ", node.name(), call_text(node)));
    }
    throw;
  }
}

void fail_freed(std::string_view what, const Node& node) {
  fail("backward: ", what, " has been freed by an earlier backward (at ", node.name(), node.where(),
       "); pass retain_graph=True to that one to keep it");
}

void fail_not_recorded(size_t position, const NDArray& head) {
  fail("backward: head ", position, " of shape ", head.shape(),
       " is not in a computational graph: ", reason_of(OffTape{head.edge_index()}));
}

void fail_not_reached(size_t position, const NDArray& variable) {
  fail("grad: variable ", position, " of shape ", variable.shape(),
       " is not reachable from the heads: none of them depends on it. attach_grad() makes a new "
       "variable: call it before you record, and once; what was computed before depends on the "
       "earlier one");
}

void fail_no_gradient() {
  fail(
      "backward: no variable with a gradient was reached: those that the heads depend on have "
      "grad_req='null', or no gradient flows to them. Call attach_grad() with 'write' or 'add' "
      "before recording");
}

}  // namespace mxtape::autograd

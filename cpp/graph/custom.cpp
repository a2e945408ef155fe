#include "graph/custom.h"

#include "core/error.h"
#include "graph/control_flow.h"

namespace mxtape {
namespace {

// It is in no registry: nd.Custom is a function in Python.
const OpSchema& custom_op() {
  static const OpSchema* op = [] {
    auto* made = new OpSchema;
    made->name = kCustomOp;
    made->inputs = {{"data"}};
    made->variadic = true;
    made->infer = [](InferCall& call) { call.fail("runs only as a node of a graph"); };
    made->no_grad_reason = "the function in Python has the gradient";
    return made;
  }();
  return *op;
}

}  // namespace

Ref<const GraphNode> custom_call(std::vector<GraphEntry> inputs, std::string name,
                                 Attributes attributes) {
  if (!custom_hooks.describe) fail("Custom: there is no Python to call");
  Ref<const CustomNames> names = custom_hooks.describe(attributes);
  const size_t expected = names->arguments.size() + names->states.size();
  if (inputs.size() != expected) {
    fail("Custom: ", inputs.size(), " inputs given, the function has ", expected);
  }
  return GraphNode::custom_call(custom_op(), std::move(names), std::move(inputs), std::move(name),
                                std::move(attributes));
}

bool runs_itself(const GraphNode& node) { return node.custom() || is_control_flow(node.op()); }

void infer_itself(const GraphNode& node, Mode mode, std::span<ArraySpec> inputs,
                  std::span<ArraySpec> outputs) {
  if (node.custom()) return custom_hooks.infer(node, inputs, outputs);
  infer_control_flow(node, mode, inputs, outputs);
}

}  // namespace mxtape

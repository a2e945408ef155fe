#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "op/invoke.h"

// Custom: an operator that the program has written in its own language. A node has the operator's
// name and arguments as attributes; everything else is asked of the program.
namespace mxtape {

// What a program's operator says of itself. Its inputs are the arguments, then the states.
struct CustomParams {
  std::vector<std::string> arguments, states, outputs;
  bool needs_head = true;  // whether its gradient depends on the outputs' gradients
  template <class V>
  void visit(V&) {}
};

// How the program is asked.
struct CustomHooks {
  CustomParams (*describe)(const Attributes& attributes) = nullptr;
  // Writes what follows from what is known; an Error when that cannot be.
  void (*infer)(const GraphNode& node, std::span<ArraySpec> inputs,
                std::span<ArraySpec> outputs) = nullptr;
  // The operator of a step of a program, which keeps what it needs from call to call.
  Ref<RefCounted> (*prepare)(const GraphNode& node) = nullptr;
  void (*run)(RefCounted& prepared, Inputs inputs, Outputs& outputs) = nullptr;
};
void set_custom_hooks(const CustomHooks& hooks);
const CustomHooks& custom_hooks();

const OpSchema& custom_op();
inline bool is_custom(const OpSchema& op) { return &op == &custom_op(); }
// The parameters of a node with these attributes.
ParamsRef custom_params(const Attributes& attributes);
// An Error when the operator has not as many inputs.
void check_custom_inputs(const Params& params, size_t count);

}  // namespace mxtape

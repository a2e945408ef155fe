#pragma once

#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "op/spec.h"

// Operators written in Python: nodes called Custom, whose attributes name the function.
namespace mxtape {

// A node that no registered operator's kernel runs, ready to run.
class Routine : public RefCounted {
 public:
  virtual void run(Inputs inputs, SmallVector<NDArray, 2>& outputs) const = 0;
};

// What knows the functions in Python; set when the module loads.
struct CustomHooks {
  Ref<const CustomNames> (*describe)(const Attributes&) = nullptr;
  // Writes what the function says of shapes and dtypes into the specs.
  void (*infer)(const GraphNode& node, std::span<ArraySpec> inputs,
                std::span<ArraySpec> outputs) = nullptr;
  Ref<const Routine> (*routine)(const GraphNode& node) = nullptr;
};
inline CustomHooks custom_hooks;

inline constexpr std::string_view kCustomOp = "Custom";

// A node of the function that the attributes name, with its arguments and then its states as
// inputs.
Ref<const GraphNode> custom_call(std::vector<GraphEntry> inputs, std::string name,
                                 Attributes attributes);

// Of a node of any kind but those of registered operators: a function in Python, a loop, a branch.
bool runs_itself(const GraphNode& node);
void infer_itself(const GraphNode& node, Mode mode, std::span<ArraySpec> inputs,
                  std::span<ArraySpec> outputs);

}  // namespace mxtape

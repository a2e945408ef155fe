#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "graph/cached_op.h"

// Loops and branches over graphs: _foreach, _while_loop and _cond, whose nodes have the bodies as
// graphs of their own. They are in no registry, for only a graph can call them.
namespace mxtape {

// nullptr where there is none of this name.
const OpSchema* find_control_flow(std::string_view name);
bool is_control_flow(const OpSchema& op);

// An Error where a node's parameters do not fit its graphs and inputs: everything below trusts them.
void check_control_flow(const GraphNode& node);

// Writes into the specs of inputs and outputs what follows for them from one another through the
// bodies, and says what contradicts.
void infer_control_flow(const GraphNode& node, Mode mode, std::span<ArraySpec> inputs,
                        std::span<ArraySpec> outputs);

// A node's bodies, ready to run.
class ControlFlow final : public RefCounted {
 public:
  explicit ControlFlow(const GraphNode& node);

  // In the thread's mode: what is recorded is each step's call of a body, and what takes inputs
  // apart and puts outputs together.
  void run(Inputs inputs, Outputs& outputs) const;

 private:
  void run_foreach(Inputs inputs, Outputs& outputs) const;
  void run_while_loop(Inputs inputs, Outputs& outputs) const;
  void run_cond(Inputs inputs, Outputs& outputs) const;
  // Calls body `body` with those of `arrays` that it reads.
  void call(size_t body, Arrays arrays, Outputs& results) const;
  bool is_true(size_t body, Arrays arrays) const;

  const GraphNode& node_;
  std::vector<Ref<CachedOp>> bodies_;
  // Of each body: which input of the node each of its variables is.
  std::vector<std::vector<size_t>> reads_;
};

}  // namespace mxtape

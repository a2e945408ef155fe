#pragma once

#include <vector>

#include "graph/cached_op.h"
#include "graph/control_flow.h"

namespace mxtape {

// A loop or a branch, ready to run.
class ControlFlow final : public RefCounted {
 public:
  explicit ControlFlow(const GraphNode& node);

  // In the thread's mode: what is recorded is each step's call of a body, and what takes inputs
  // apart and puts outputs together.
  void run(Inputs inputs, Outputs& outputs) const;

 private:
  void run_foreach(const ForeachParams& p, Inputs inputs, Outputs& outputs) const;
  void run_while_loop(const WhileLoopParams& p, Inputs inputs, Outputs& outputs) const;
  // What a loop without a step returns.
  void run_no_step(const WhileLoopParams& p, Inputs inputs, Outputs& outputs) const;
  void run_cond(Inputs inputs, Outputs& outputs) const;
  // Calls body `body` with those of `arrays` that it reads.
  void call(size_t body, Arrays arrays, Outputs& results) const;
  bool is_true(size_t body, Arrays arrays) const;

  const GraphNode& node_;  // the program that this is a step of keeps it
  std::vector<Ref<CachedOp>> bodies_;
  std::vector<std::vector<size_t>> reads_;  // body_reads()
};

}  // namespace mxtape

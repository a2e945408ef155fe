#pragma once

#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "graph/graph.h"
#include "op/invoke.h"

namespace mxtape {

class ControlFlow;

// What looks on while a program runs: an executor's monitor.
class Watch {
 public:
  virtual ~Watch() = default;
  // Before and after a call. Inputs and outputs are those of the node, by number.
  virtual void before(const GraphNode& node, Inputs inputs) = 0;
  virtual void after(const GraphNode& node, std::span<const NDArray> outputs) = 0;
};

// A graph as a straight line of calls, made once and run often. Immutable: threads may share it.
// Each call is what invoke() does, in the mode of the thread: inferred, placed, run, recorded.
class Program final : public RefCounted {
 public:
  // An Error names what cannot be run.
  explicit Program(const Graph& graph);
  ~Program() override;

  const Graph& graph() const { return graph_; }
  // The variables, in the order of list_inputs().
  size_t input_count() const { return inputs_.size(); }
  const std::string& input_name(size_t i) const { return inputs_[i]->name(); }
  // Whether a call changes input i in place: an auxiliary state.
  bool is_state(size_t i) const { return states_[i]; }
  size_t output_count() const { return outputs_.size(); }
  std::string output_name(size_t i) const;
  // Which input output i is; -1 where it is computed.
  int64_t output_input(size_t i) const {
    return outputs_[i].step < 0 ? static_cast<int64_t>(outputs_[i].index) : -1;
  }

  // The results of inference for inputs of certain shapes and dtypes in a certain mode. Whatever
  // inference has to say against them is said while it is made, before anything runs.
  class Plan final : public RefCounted {
   public:
    bool fits(Inputs inputs, Mode mode) const;
    // What is known of output i of the program: not the shape, where it depends on values.
    const ArraySpec& output(size_t i) const { return outputs_[i]; }

   private:
    friend class Program;
    const ParamsRef& params_of(const Program& program, size_t step) const {
      return params_.empty() ? program.steps_[step].node->params() : params_[step];
    }
    std::vector<ArraySpec> inputs_, made_, outputs_;
    std::vector<bool> inferred_;     // of each step
    std::vector<ParamsRef> params_;  // of each step, where a graph has steps of open shape
    Mode mode_;
  };
  Ref<const Plan> plan(Inputs inputs, Mode mode) const;

  // Runs the calls for inputs that fit the plan. A result that no later call reads is dropped at
  // once. `results` has one place for each output.
  void run(const Plan& plan, Inputs inputs, std::span<NDArray> results,
           Watch* watch = nullptr) const;

 private:
  // An output of a step; an input of the program where the step is -1.
  struct Value {
    int32_t step;
    uint32_t index;
  };
  struct Step {
    const GraphNode* node;
    const OpSchema* op;
    uint32_t first_input, input_count;  // among reads_
    uint32_t first_made;                // among the specs of a plan
    uint32_t first_dead, dead_count;    // among dead_: what no later step reads
  };

  // What a step that is a loop or a branch runs; nullptr of others.
  const ControlFlow* flow_at(size_t step) const {
    if (flows_.empty()) return nullptr;
    const auto at = flows_.find(step);
    return at == flows_.end() ? nullptr : at->second.get();
  }
  void close_shapes(Inputs inputs, Mode mode, Plan& plan) const;
  void plan_step(const Step& step, size_t number, Mode mode, Plan& plan) const;
  const ArraySpec& spec_of(const Plan& plan, Value value) const;
  void find_dead();

  Graph graph_;
  std::vector<const GraphNode*> inputs_;
  std::vector<bool> states_;
  std::vector<Step> steps_;
  std::unordered_map<size_t, Ref<const ControlFlow>>
      flows_;  // of the steps that are loops, branches
  std::vector<Value> reads_, dead_, outputs_;
  size_t made_ = 0;
  bool has_sources_ = false;  // steps without inputs, whose shape others may determine
};

}  // namespace mxtape

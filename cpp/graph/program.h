#pragma once

#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/error.h"
#include "graph/graph.h"
#include "graph/latest.h"
#include "op/invoke.h"

namespace mxtape {

// What looks on while a program runs: an executor's monitor.
class Watch {
 public:
  virtual ~Watch() = default;
  // Before and after a call. Inputs and outputs are those of the node, by number.
  virtual void before(const GraphNode& node, Inputs inputs) = 0;
  virtual void after(const GraphNode& node, std::span<const NDArray> outputs) = 0;
  // After the gradient of a call: of its inputs, undefined where none is wanted.
  virtual void gradients(const GraphNode& node, std::span<const NDArray> grads) {
    (void)node, (void)grads;
  }
};

class Compiled;
class ControlFlow;
class Frame;
class Reverse;
struct FusedSteps;

// What an operator says of its call, with the node that it stands at.
[[noreturn, gnu::cold]] void rethrow_at(const GraphNode& node, const Error& error);

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

  // An output of a step; an input of the program where the step is -1.
  struct Value {
    int32_t step;
    uint32_t index;
  };
  struct Step {
    const GraphNode* node;
    const OpSchema* op;
    uint32_t first_input, input_count;  // among the values that are read
    uint32_t first_made;                // among all that steps make
    uint32_t first_dead, dead_count;    // what no later step reads
  };
  std::span<const Step> steps() const { return steps_; }
  Value read(const Step& step, size_t i) const { return reads_[step.first_input + i]; }
  Value output(size_t i) const { return outputs_[i]; }
  // Values by number: the inputs, then what the steps make, seen by a caller or not.
  size_t value_count() const { return inputs_.size() + made_; }
  size_t number(const Step& step, size_t i) const { return inputs_.size() + step.first_made + i; }
  size_t number(Value value) const {
    if (value.step < 0) return value.index;
    return number(steps_[static_cast<size_t>(value.step)], value.index);
  }

  // The results of inference for inputs of certain shapes, dtypes and storage types in a certain
  // mode. Whatever inference has to say against them is said while it is made, before anything
  // runs.
  class Plan final : public RefCounted {
   public:
    bool fits(Inputs inputs, Mode mode) const;
    // What is known of output i of the program: not the shape, where it depends on values.
    const ArraySpec& output(size_t i) const { return outputs_[i]; }
    // The same of any value, by number.
    const ArraySpec& spec(size_t value) const {
      return value < inputs_.size() ? inputs_[value] : made_[value - inputs_.size()];
    }
    // An array without memory of the shape and dtype of a value.
    const NDArray& shell(size_t value) const { return shells_[value]; }
    // Whether all is known of what a step makes.
    bool inferred(size_t step) const { return inferred_[step]; }
    // Whether a value may be sparse. Then calls are recorded as they run: which of them go through
    // dense arrays, and are recorded as such, only they know.
    bool has_sparse() const { return has_sparse_; }
    const ParamsRef& params_of(const Program& program, size_t step) const {
      return params_.empty() ? program.steps_[step].node->params() : params_[step];
    }

    // Which steps run as one, and keep for the gradient what `reverse` says, or nothing.
    Ref<const Compiled> compiled(const Program& program, const Ref<const Reverse>& reverse) const;

    Plan();
    ~Plan() override;

   private:
    friend class Program;
    std::vector<ArraySpec> inputs_, made_, outputs_;
    std::vector<NDArray> shells_;
    std::vector<bool> inferred_;     // of each step
    std::vector<ParamsRef> params_;  // of each step, where a graph has steps of open shape
    Mode mode_;
    bool has_sparse_ = false;
    Latest<Compiled, 8> compiled_;
  };
  Ref<const Plan> plan(Inputs inputs, Mode mode) const;

  // Runs the calls for inputs that fit the plan. A result that no later call reads is dropped at
  // once. `results` has one place for each output. A frame keeps what the gradient reads; without
  // one, the calls are recorded as the thread and the inputs want it.
  void run(const Plan& plan, Inputs inputs, std::span<NDArray> results, Watch* watch = nullptr,
           Frame* frame = nullptr) const;

  // An Error where a call would change an array in a recorded graph while recording.
  void check_states(Inputs inputs, Mode mode) const;

 private:
  // What a step that is a loop or a branch runs; nullptr of others.
  const ControlFlow* flow_at(size_t step) const {
    if (flows_.empty()) return nullptr;
    const auto at = flows_.find(step);
    return at == flows_.end() ? nullptr : at->second.get();
  }
  // The program's own operator that a step calls; nullptr of others.
  RefCounted* custom_at(size_t step) const {
    if (customs_.empty()) return nullptr;
    const auto at = customs_.find(step);
    return at == customs_.end() ? nullptr : at->second.get();
  }
  // Runs such steps; false where they have to run one by one: nothing has changed then.
  bool run_fused(const FusedSteps& fused, Inputs inputs, Outputs* made, Frame* frame) const;
  void close_shapes(Inputs inputs, Mode mode, Plan& plan) const;
  void plan_storage(const Step& step, size_t position, Mode mode, Plan& plan) const;
  void plan_step(const Step& step, size_t number, Mode mode, Plan& plan) const;
  void find_dead();

  Graph graph_;
  std::vector<const GraphNode*> inputs_;
  std::vector<bool> states_;
  std::vector<Step> steps_;
  std::unordered_map<size_t, Ref<const ControlFlow>> flows_;  // by the number of the step
  std::unordered_map<size_t, Ref<RefCounted>> customs_;
  std::vector<Value> reads_, dead_, outputs_;
  size_t made_ = 0;
  bool has_sources_ = false;  // steps without inputs, whose shape others may determine
};

}  // namespace mxtape

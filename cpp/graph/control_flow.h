#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "graph/graph.h"

// Loops and branches over graphs: _foreach, _while_loop and _cond, whose nodes have the bodies as
// graphs of their own. They are in no registry, for only a graph can call them.
namespace mxtape {

// The parameters are as MXNet's files have them: `..._locs` say which variable of a body, counted
// in the order of list_inputs(), is what.

struct ForeachParams {
  int64_t num_args = 0, num_outputs = 0, num_out_data = 0;
  Ints in_state_locs, in_data_locs, remain_locs;
  template <class V>
  void visit(V& v) {
    v("num_args", num_args, "How many inputs and bodies there are.");
    v.required("num_outputs", num_outputs, "How many outputs there are, states among them.");
    v.required("num_out_data", num_out_data, "How many outputs are stacked.");
    v.required("in_state_locs", in_state_locs, "Which variables of the body are states.");
    v.required("in_data_locs", in_data_locs, "Which variables of the body are slices of data.");
    v.required("remain_locs", remain_locs, "Which variables of the body are the other inputs.");
  }
};

struct WhileLoopParams {
  int64_t num_args = 0, num_outputs = 0, num_out_data = 0, max_iterations = 0;
  Ints cond_input_locs, func_input_locs, func_var_locs;
  template <class V>
  void visit(V& v) {
    v("num_args", num_args, "How many inputs and bodies there are.");
    v.required("num_outputs", num_outputs,
               "How many outputs there are, loop variables among them.");
    v.required("num_out_data", num_out_data, "How many outputs are stacked.");
    v.required("max_iterations", max_iterations, "After how many steps the loop ends.");
    v.required("cond_input_locs", cond_input_locs,
               "Which input each variable of the condition is.");
    v.required("func_input_locs", func_input_locs, "Which input each variable of the body is.");
    v.required("func_var_locs", func_var_locs, "Which variables of the body are loop variables.");
  }
};

struct CondParams {
  int64_t num_args = 0, num_outputs = 0;
  Ints cond_input_locs, then_input_locs, else_input_locs;
  template <class V>
  void visit(V& v) {
    v("num_args", num_args, "How many inputs and bodies there are.");
    v.required("num_outputs", num_outputs, "How many outputs there are.");
    v.required("cond_input_locs", cond_input_locs,
               "Which input each variable of the condition is.");
    v.required("then_input_locs", then_input_locs, "Which input each variable of the first is.");
    v.required("else_input_locs", else_input_locs, "Which input each variable of the second is.");
  }
};

// nullptr where there is none of this name.
const OpSchema* find_control_flow(std::string_view name);
bool is_control_flow(const OpSchema& op);

// An Error where a node's parameters do not fit its graphs and inputs: everything below trusts
// them.
void check_control_flow(const GraphNode& node);

// Of each body of a node: which of the node's inputs each of its variables is.
std::vector<std::vector<size_t>> body_reads(const GraphNode& node);
// Which inputs of the node are a loop's variables.
std::vector<size_t> loop_variables(const WhileLoopParams& p);

// Writes into the specs of inputs and outputs what follows for them from one another through the
// bodies, and says what contradicts.
void infer_control_flow(const GraphNode& node, Mode mode, std::span<ArraySpec> inputs,
                        std::span<ArraySpec> outputs);

}  // namespace mxtape

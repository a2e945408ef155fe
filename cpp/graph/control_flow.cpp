#include "graph/control_flow.h"

#include <algorithm>

#include "core/error.h"
#include "graph/infer.h"
#include "op/common_params.h"
#include "op/functional.h"
#include "ops/shared/compose.h"

namespace mxtape {
namespace {

// The parameters are as MXNet's files have them: `..._locs` say which variable of a body, counted in
// the order of list_inputs(), is what.

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
    v.required("num_outputs", num_outputs, "How many outputs there are, loop variables among them.");
    v.required("num_out_data", num_out_data, "How many outputs are stacked.");
    v.required("max_iterations", max_iterations, "After how many steps the loop ends.");
    v.required("cond_input_locs", cond_input_locs, "Which input each variable of the condition is.");
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
    v.required("cond_input_locs", cond_input_locs, "Which input each variable of the condition is.");
    v.required("then_input_locs", then_input_locs, "Which input each variable of the first is.");
    v.required("else_input_locs", else_input_locs, "Which input each variable of the second is.");
  }
};

template <class P>
const OpSchema* make_schema(const char* name) {
  auto* op = new OpSchema;
  op->name = name;
  op->inputs = {{"data"}};
  op->variadic = true;
  op->params = params_info<P>();
  op->output_count = [](const Params* p) {
    return static_cast<size_t>(std::max<int64_t>(0, p->as<P>().num_outputs));
  };
  op->infer = [](InferCall& call) { call.fail("runs only as a node of a graph"); };
  op->no_grad_reason = "what its bodies record has the gradient";
  return op;
}

const OpSchema& foreach_op() {
  static const OpSchema* op = make_schema<ForeachParams>("_foreach");
  return *op;
}
const OpSchema& while_loop_op() {
  static const OpSchema* op = make_schema<WhileLoopParams>("_while_loop");
  return *op;
}
const OpSchema& cond_op() {
  static const OpSchema* op = make_schema<CondParams>("_cond");
  return *op;
}

std::vector<size_t> as_sizes(const Ints& numbers) { return {numbers.begin(), numbers.end()}; }

// Of a loop over data: the node's inputs are data, states, others, in this order.
std::vector<size_t> foreach_reads(const ForeachParams& p) {
  std::vector<size_t> reads(p.in_data_locs.size() + p.in_state_locs.size() + p.remain_locs.size());
  size_t input = 0;
  for (const Ints* locs : {&p.in_data_locs, &p.in_state_locs, &p.remain_locs}) {
    for (const int64_t at : *locs) reads[static_cast<size_t>(at)] = input++;
  }
  return reads;
}

std::vector<std::vector<size_t>> reads_of(const GraphNode& node) {
  if (&node.op() == &foreach_op()) return {foreach_reads(node.params()->as<ForeachParams>())};
  if (&node.op() == &while_loop_op()) {
    const auto& p = node.params()->as<WhileLoopParams>();
    return {as_sizes(p.cond_input_locs), as_sizes(p.func_input_locs)};
  }
  const auto& p = node.params()->as<CondParams>();
  return {as_sizes(p.cond_input_locs), as_sizes(p.then_input_locs), as_sizes(p.else_input_locs)};
}

// Which inputs of the node are a loop's variables.
std::vector<size_t> loop_variables(const WhileLoopParams& p) {
  std::vector<size_t> inputs;
  for (const int64_t at : p.func_var_locs) {
    inputs.push_back(static_cast<size_t>(p.func_input_locs[static_cast<size_t>(at)]));
  }
  return inputs;
}

// ---- checks

[[noreturn, gnu::cold]] void fail_parameters(const GraphNode& node, const char* what) {
  fail(node.op().name, ": the parameters of node ", node.name(), " do not fit its graphs: ", what);
}

void check_bodies(const GraphNode& node, size_t count) {
  if (node.subgraphs().size() != count) fail_parameters(node, "there are more or fewer graphs");
}

// `reads` names an input for every variable of a body.
void check_reads(const GraphNode& node, size_t body, const Ints& reads) {
  if (reads.size() != node.subgraphs()[body].variables().size()) {
    fail_parameters(node, "a graph has more or fewer variables");
  }
  for (const int64_t input : reads) {
    if (input < 0 || input >= static_cast<int64_t>(node.inputs().size())) {
      fail_parameters(node, "an input is not there");
    }
  }
}

void check_outputs(const GraphNode& node, size_t body, size_t expected) {
  if (node.subgraphs()[body].outputs().size() != expected) {
    fail_parameters(node, "a graph has more or fewer outputs");
  }
}

void check_foreach(const GraphNode& node, const ForeachParams& p) {
  check_bodies(node, 1);
  const size_t variables = node.subgraphs()[0].variables().size();
  std::vector<bool> named(variables);
  size_t count = 0;
  for (const Ints* locs : {&p.in_data_locs, &p.in_state_locs, &p.remain_locs}) {
    for (const int64_t at : *locs) {
      if (at < 0 || at >= static_cast<int64_t>(variables) || named[static_cast<size_t>(at)]) {
        fail_parameters(node, "a variable is named twice or is not there");
      }
      named[static_cast<size_t>(at)] = true;
      ++count;
    }
  }
  if (count != variables || count != node.inputs().size()) {
    fail_parameters(node, "there are more or fewer inputs");
  }
  if (p.in_data_locs.empty()) fail_parameters(node, "there is no data");
  if (p.num_out_data < 0 ||
      p.num_outputs - p.num_out_data != static_cast<int64_t>(p.in_state_locs.size())) {
    fail_parameters(node, "there are more or fewer states");
  }
  check_outputs(node, 0, static_cast<size_t>(p.num_outputs));
}

void check_while_loop(const GraphNode& node, const WhileLoopParams& p) {
  check_bodies(node, 2);
  check_reads(node, 0, p.cond_input_locs);
  check_reads(node, 1, p.func_input_locs);
  for (const int64_t at : p.func_var_locs) {
    if (at < 0 || at >= static_cast<int64_t>(p.func_input_locs.size())) {
      fail_parameters(node, "a loop variable is not there");
    }
  }
  if (p.num_out_data < 0 ||
      p.num_outputs - p.num_out_data != static_cast<int64_t>(p.func_var_locs.size())) {
    fail_parameters(node, "there are more or fewer loop variables");
  }
  if (p.max_iterations < 0) fail_parameters(node, "max_iterations is negative");
  check_outputs(node, 0, 1);
  check_outputs(node, 1, static_cast<size_t>(p.num_outputs));
}

void check_cond(const GraphNode& node, const CondParams& p) {
  check_bodies(node, 3);
  const Ints* reads[] = {&p.cond_input_locs, &p.then_input_locs, &p.else_input_locs};
  for (size_t i = 0; i < 3; ++i) {
    check_reads(node, i, *reads[i]);
    check_outputs(node, i, i == 0 ? 1 : static_cast<size_t>(std::max<int64_t>(0, p.num_outputs)));
  }
}

// ---- inference

Shape with_rows(const Shape& row, int64_t rows) {
  if (!row.has_ndim()) return Shape::unknown();
  Shape shape(row.ndim() + 1, rows);
  std::copy(row.begin(), row.end(), shape.data() + 1);
  return shape;
}

// What is known of a slice of an array of this shape.
Shape row_of(const Shape& shape) {
  return shape.has_ndim() && shape.ndim() > 0 ? Shape(shape.dims().subspan(1)) : Shape::unknown();
}

class NodeInference {
 public:
  NodeInference(const GraphNode& node, Mode mode, std::span<ArraySpec> inputs,
                std::span<ArraySpec> outputs)
      : node_(node), mode_(mode), inputs_(inputs), outputs_(outputs), reads_(reads_of(node)) {}

  void run() {
    // What a state's end says of its beginning goes through the body once more.
    do {
      changed_ = false;
      if (&node_.op() == &foreach_op()) {
        foreach (node_.params()->as<ForeachParams>());
      } else if (&node_.op() == &while_loop_op()) {
        while_loop(node_.params()->as<WhileLoopParams>());
      } else {
        for (size_t body = 0; body < 3; ++body) {
          const std::vector<ArraySpec> found = infer(body, 0);
          for (size_t i = 0; body > 0 && i < found.size(); ++i) {
            meet(outputs_[i], found[i], "output ", i);
          }
        }
      }
    } while (changed_);
  }

 private:
  // The specs of a body's outputs. Its first `sliced` inputs are rows of the node's.
  std::vector<ArraySpec> infer(size_t body, size_t sliced) {
    const Graph& graph = node_.subgraphs()[body];
    const Graph::Nodes variables = graph.variables();
    VariableSpecs known;
    for (size_t i = 0; i < variables.size(); ++i) {
      const size_t input = reads_[body][i];
      ArraySpec spec = inputs_[input];
      if (input < sliced) spec.shape = row_of(spec.shape);
      known[variables[i]] = std::move(spec);
    }
    // Not kAll: a dtype that the body does not tell may come from outside.
    const GraphSpecs found = infer_graph(graph, known, Infer::kDTypes, mode_);
    for (size_t i = 0; i < variables.size(); ++i) {
      const size_t input = reads_[body][i];
      ArraySpec spec = found.of(variables[i]);
      if (input < sliced) spec.shape = with_rows(spec.shape, -1);
      meet(inputs_[input], spec, "input ", input);
    }
    std::vector<ArraySpec> results;
    for (const GraphEntry& output : graph.outputs()) results.push_back(found.of(output));
    return results;
  }

  void foreach (const ForeachParams& p) {
    const size_t data = p.in_data_locs.size();
    const auto stacked = static_cast<size_t>(p.num_out_data);
    std::vector<ArraySpec> found = infer(0, data);
    for (size_t i = 0; i < stacked; ++i) {
      found[i].shape = with_rows(found[i].shape, -1);
      meet(outputs_[i], found[i], "output ", i);
    }
    meet_rows(data, stacked);
    for (size_t i = stacked; i < found.size(); ++i) meet_state(data + i - stacked, i, found[i]);
  }

  // Data and stacked outputs have as many rows.
  void meet_rows(size_t data, size_t stacked) {
    int64_t rows = -1;
    const auto look = [&](const ArraySpec& spec, const char* what, size_t i) {
      if (!spec.shape.has_ndim()) return;
      if (spec.shape.ndim() == 0) fail(what, i, " has no axis to loop over");
      if (spec.shape[0] < 0) return;
      if (rows >= 0 && spec.shape[0] != rows) {
        fail(what, i, " has ", spec.shape[0], " rows, others have ", rows);
      }
      rows = spec.shape[0];
    };
    for (size_t i = 0; i < data; ++i) look(inputs_[i], "input ", i);
    for (size_t i = 0; i < stacked; ++i) look(outputs_[i], "output ", i);
    if (rows < 0) return;
    const auto set = [&](ArraySpec& spec) {
      if (!spec.shape.has_ndim() || spec.shape[0] == rows) return;
      spec.shape[0] = rows;
      changed_ = true;
    };
    for (size_t i = 0; i < data; ++i) set(inputs_[i]);
    for (size_t i = 0; i < stacked; ++i) set(outputs_[i]);
  }

  void while_loop(const WhileLoopParams& p) {
    infer(0, 0);
    std::vector<ArraySpec> found = infer(1, 0);
    const auto stacked = static_cast<size_t>(p.num_out_data);
    for (size_t i = 0; i < stacked; ++i) {
      found[i].shape = with_rows(found[i].shape, p.max_iterations);
      meet(outputs_[i], found[i], "output ", i);
    }
    const std::vector<size_t> variables = loop_variables(p);
    for (size_t i = 0; i < variables.size(); ++i) {
      meet_state(variables[i], stacked + i, found[stacked + i]);
    }
  }

  // A state, before and after, and what the body makes of it are alike.
  void meet_state(size_t input, size_t output, const ArraySpec& made) {
    meet(outputs_[output], made, "output ", output);
    meet(inputs_[input], outputs_[output], "input ", input);
    meet(outputs_[output], inputs_[input], "output ", output);
  }

  void meet(ArraySpec& spec, const ArraySpec& other, const char* what, size_t number) {
    const ArraySpec before = spec;
    if (!merge_shape(spec.shape, other.shape)) {
      fail(what, number, " would have shape ", before.shape, " and shape ", other.shape);
    }
    if (other.dtype != kUnknownDType) {
      if (spec.dtype != kUnknownDType && spec.dtype != other.dtype) {
        fail(what, number, " would be ", spec.dtype, " and ", other.dtype);
      }
      spec.dtype = other.dtype;
    }
    changed_ = changed_ || spec.shape != before.shape || spec.dtype != before.dtype;
  }

  const GraphNode& node_;
  const Mode mode_;
  const std::span<ArraySpec> inputs_, outputs_;
  const std::vector<std::vector<size_t>> reads_;
  bool changed_ = false;
};

// ---- running

// The rows of an array, as one call.
void rows_of(const NDArray& array, Outputs& rows) {
  static const OpSchema& split = find_op("SliceChannel");
  Attributes attributes;
  attributes.set("axis", "0");
  attributes.set("num_outputs", std::to_string(array.shape()[0]));
  attributes.set("squeeze_axis", "True");
  invoke(split, Arrays{&array, 1}, params_from_attributes(split, attributes, 1), rows);
}

// The outputs of all steps, by output.
using Collected = std::vector<std::vector<NDArray>>;

// Below one another, with zeros up to `rows`.
NDArray stacked(const std::vector<NDArray>& steps, size_t rows) {
  NDArray whole = compose::stack(steps);
  if (steps.size() == rows) return whole;
  Shape rest = whole.shape();
  rest[0] = static_cast<int64_t>(rows - steps.size());
  return fn::concat(whole, full(rest, whole.dtype(), 0), ConcatParams{2, 0});
}

// Looks for signals now and then, however small the steps are.
class StepPause {
 public:
  void step() {
    if (++steps_ % 32 == 0) pause_.large();
    pause_.node();
  }

 private:
  autograd::Pause pause_;
  size_t steps_ = 0;
};

}  // namespace

const OpSchema* find_control_flow(std::string_view name) {
  for (const OpSchema* op : {&foreach_op(), &while_loop_op(), &cond_op()}) {
    if (op->name == name) return op;
  }
  return nullptr;
}

bool is_control_flow(const OpSchema& op) {
  return &op == &foreach_op() || &op == &while_loop_op() || &op == &cond_op();
}

void check_control_flow(const GraphNode& node) {
  if (&node.op() == &foreach_op()) {
    check_foreach(node, node.params()->as<ForeachParams>());
  } else if (&node.op() == &while_loop_op()) {
    check_while_loop(node, node.params()->as<WhileLoopParams>());
  } else {
    check_cond(node, node.params()->as<CondParams>());
  }
}

void infer_control_flow(const GraphNode& node, Mode mode, std::span<ArraySpec> inputs,
                        std::span<ArraySpec> outputs) {
  NodeInference(node, mode, inputs, outputs).run();
}

ControlFlow::ControlFlow(const GraphNode& node) : node_(node), reads_(reads_of(node)) {
  for (const Graph& graph : node.subgraphs()) bodies_.push_back(make_ref<CachedOp>(graph));
}

void ControlFlow::run(Inputs inputs, Outputs& outputs) const {
  if (&node_.op() == &foreach_op()) return run_foreach(inputs, outputs);
  if (&node_.op() == &while_loop_op()) return run_while_loop(inputs, outputs);
  run_cond(inputs, outputs);
}

void ControlFlow::call(size_t body, Arrays arrays, Outputs& results) const {
  SmallVector<const NDArray*, 16> pointers;
  for (const size_t input : reads_[body]) pointers.push_back(&arrays[input]);
  bodies_[body]->call(Inputs(pointers.data(), pointers.size()), results);
}

bool ControlFlow::is_true(size_t body, Arrays arrays) const {
  const autograd::StateScope quiet(false, autograd::is_training());
  Outputs results;
  call(body, arrays, results);
  if (results[0].shape().size() != 1) {
    fail("the condition must be one number, not an array of shape ", results[0].shape());
  }
  return *cast(results[0], DType::kFloat64).data<double>() != 0;
}

void ControlFlow::run_foreach(Inputs inputs, Outputs& outputs) const {
  const auto& p = node_.params()->as<ForeachParams>();
  const size_t data = p.in_data_locs.size(), states = p.in_state_locs.size();
  const auto out_data = static_cast<size_t>(p.num_out_data);
  const auto extent = [&](size_t i) { return inputs[i].ndim() ? inputs[i].shape()[0] : 0; };
  const int64_t rows = extent(0);
  if (rows == 0) fail("the data must have at least one row, it has shape ", inputs[0].shape());
  std::vector<Outputs> slices(data);
  for (size_t i = 0; i < data; ++i) {
    if (extent(i) != rows) fail("input ", i, " has ", extent(i), " rows, input 0 has ", rows);
    rows_of(inputs[i], slices[i]);
  }
  std::vector<NDArray> arrays(inputs.begin(), inputs.end());
  Collected collected(out_data);
  StepPause pause;
  for (size_t step = 0; step < static_cast<size_t>(rows); ++step) {
    for (size_t i = 0; i < data; ++i) arrays[i] = std::move(slices[i][step]);
    Outputs made;
    call(0, arrays, made);
    for (size_t i = 0; i < out_data; ++i) collected[i].push_back(std::move(made[i]));
    for (size_t i = 0; i < states; ++i) arrays[data + i] = std::move(made[out_data + i]);
    pause.step();
  }
  for (const auto& steps : collected) outputs.push_back(stacked(steps, steps.size()));
  for (size_t i = 0; i < states; ++i) outputs.push_back(arrays[data + i]);
}

void ControlFlow::run_while_loop(Inputs inputs, Outputs& outputs) const {
  const auto& p = node_.params()->as<WhileLoopParams>();
  const auto out_data = static_cast<size_t>(p.num_out_data);
  const auto most = static_cast<size_t>(p.max_iterations);
  const std::vector<size_t> variables = loop_variables(p);
  std::vector<NDArray> arrays(inputs.begin(), inputs.end());
  Collected collected(out_data);
  StepPause pause;
  size_t steps = 0;
  for (; steps < most && is_true(0, arrays); ++steps) {
    Outputs made;
    call(1, arrays, made);
    for (size_t i = 0; i < out_data; ++i) collected[i].push_back(std::move(made[i]));
    for (size_t i = 0; i < variables.size(); ++i) {
      arrays[variables[i]] = std::move(made[out_data + i]);
    }
    pause.step();
  }
  if (steps) {
    for (const auto& of_output : collected) outputs.push_back(stacked(of_output, most));
    for (const size_t input : variables) outputs.push_back(std::move(arrays[input]));
    return;
  }
  // Nobody has computed an output: inference says what it would have been.
  std::vector<ArraySpec> specs(node_.output_count()), known;
  for (const NDArray& input : inputs) known.push_back({input.shape(), input.dtype()});
  infer_control_flow(node_, autograd::thread_mode(), known, specs);
  for (size_t i = 0; i < out_data; ++i) {
    if (!specs[i].known()) fail("without a step, the shape of output ", i, " is not known");
    outputs.push_back(full(specs[i].shape, specs[i].dtype, 0));
  }
  static const OpSchema& copy = find_op("_copy");
  for (const size_t input : variables) outputs.push_back(invoke(copy, {arrays[input]}));
}

void ControlFlow::run_cond(Inputs inputs, Outputs& outputs) const {
  const std::vector<NDArray> arrays(inputs.begin(), inputs.end());
  call(is_true(0, arrays) ? 1 : 2, arrays, outputs);
}

}  // namespace mxtape

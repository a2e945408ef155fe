#include "graph/control_flow.h"

#include <algorithm>

#include "core/error.h"
#include "graph/infer.h"

namespace mxtape {
namespace {

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
      : node_(node), mode_(mode), inputs_(inputs), outputs_(outputs), reads_(body_reads(node)) {}

  void run() {
    // What a state's end says of its beginning goes through the body once more.
    do {
      changed_ = false;
      if (&node_.op() == &foreach_op()) {
        infer_foreach(node_.params()->as<ForeachParams>());
      } else if (&node_.op() == &while_loop_op()) {
        infer_while_loop(node_.params()->as<WhileLoopParams>());
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

  void infer_foreach(const ForeachParams& p) {
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

  void infer_while_loop(const WhileLoopParams& p) {
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

std::vector<std::vector<size_t>> body_reads(const GraphNode& node) {
  if (&node.op() == &foreach_op()) return {foreach_reads(node.params()->as<ForeachParams>())};
  if (&node.op() == &while_loop_op()) {
    const auto& p = node.params()->as<WhileLoopParams>();
    return {as_sizes(p.cond_input_locs), as_sizes(p.func_input_locs)};
  }
  const auto& p = node.params()->as<CondParams>();
  return {as_sizes(p.cond_input_locs), as_sizes(p.then_input_locs), as_sizes(p.else_input_locs)};
}

std::vector<size_t> loop_variables(const WhileLoopParams& p) {
  std::vector<size_t> inputs;
  for (const int64_t at : p.func_var_locs) {
    inputs.push_back(static_cast<size_t>(p.func_input_locs[static_cast<size_t>(at)]));
  }
  return inputs;
}

void infer_control_flow(const GraphNode& node, Mode mode, std::span<ArraySpec> inputs,
                        std::span<ArraySpec> outputs) {
  NodeInference(node, mode, inputs, outputs).run();
}

}  // namespace mxtape

#include "graph/compose.h"

#include <algorithm>
#include <unordered_set>

#include "core/error.h"
#include "graph/file_graph.h"

namespace mxtape {
namespace {

bool spreads_with_weight(const OpSchema& op, const Params* params) {
  if (op.name != "UpSampling" || !params) return false;
  for (const ParamField& field : params->info().fields) {
    if (field.name == "sample_type") return print_field(field, params->data()) == "bilinear";
  }
  return false;
}

// How a variable that the program did not name begins, where the operator says so.
void note_initial_value(const OpSchema& op, const Params* params, size_t input,
                        const GraphNode& variable) {
  Attributes given;
  if (variable.attributes().find("__init__")) return;
  add_initial_value(op, input, given);
  if (op.name == "LeakyReLU" && input == 1 && op.count_inputs(0, params) == 2) {
    given.set("__init__", R"(["Constant", {"value": 0.25}])");
  }
  if (input == 1 && spreads_with_weight(op, params)) {
    given.set("__init__", R"(["bilinear", {}])");
  }
  if (!given.empty()) variable.set_attributes(given);
}

std::string arguments_text(const OpSchema& op, const Params* params, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    text += (i ? ", " : "") + composed_input_name(op, i, params);
  }
  return text;
}

}  // namespace

std::string composed_input_name(const OpSchema& op, size_t i, const Params* params) {
  if (!op.variadic) return op.input_name(i, params);
  if (op.name == "UpSampling") {
    if (spreads_with_weight(op, params)) return i == 0 ? "data" : "weight";
  } else if (op.name == "amp_multicast") {
    return "data_" + std::to_string(i);
  } else if (op.count_param == "num_arrays") {
    return "array_" + std::to_string(i);
  }
  return "arg" + std::to_string(i);
}

size_t count_composed(const OpSchema& op, const Params* params, size_t given) {
  if (spreads_with_weight(op, params)) return std::max<size_t>(given, 2);
  return op.count_inputs(given, params);
}

Graph compose(const OpSchema& op, ParamsRef params, Attributes attributes,
              std::vector<GraphEntry> inputs, std::string name) {
  const size_t count = count_composed(op, params.get(), inputs.size());
  if (inputs.size() > count) {
    fail(op.name, ": ", inputs.size(), " inputs given to '", name, "', expected ", count, " (",
         arguments_text(op, params.get(), count), ")");
  }
  if (op.variadic && count == 0) fail(op.name, ": no inputs are given to '", name, "'");
  inputs.resize(count);
  for (size_t i = 0; i < count; ++i) {
    GraphEntry& input = inputs[i];
    if (!input.node) {
      std::string label = composed_input_name(op, i, params.get());
      if (!name.empty()) label = name + "_" + label;
      input = {GraphNode::variable(std::move(label), attributes)};
    }
    if (!input.node->is_variable()) continue;
    note_initial_value(op, params.get(), i, *input.node);
    input.version = input.node->version();
  }
  for (size_t i = 0; i < count; ++i) {
    if (!changes_input(op, params.get(), count, i)) continue;
    const GraphNode& state = *inputs[i].node;
    if (!state.is_variable()) {
      fail(op.name, ": ", composed_input_name(op, i, params.get()), " of '", name,
           "' is changed by the call and must be a variable, not the result of '", state.name(),
           "'");
    }
    state.set_version(state.version() + 1);
    inputs[i].version = state.version();
  }
  const Ref<const GraphNode> node = GraphNode::call(op, std::move(params), std::move(inputs),
                                                    std::move(name), std::move(attributes));
  std::vector<GraphEntry> outputs(node->visible_count());
  for (uint32_t i = 0; i < outputs.size(); ++i) outputs[i] = {node, i};
  return Graph(std::move(outputs));
}

Graph substituted(const Graph& graph, const std::unordered_map<std::string, GraphEntry>& entries,
                  const std::string& name) {
  std::unordered_set<std::string_view> found;
  for (const GraphNode* node : graph.variables()) {
    if (entries.contains(node->name())) found.insert(node->name());
  }
  for (const auto& [key, entry] : entries) {
    if (found.contains(key)) continue;
    std::string known;
    for (const GraphNode* node : graph.variables()) {
      known += (known.empty() ? "" : ", ") + node->name();
    }
    fail("compose: no argument is called '", key, "'; there are ", known);
  }
  Graph result = graph.replaced(
      [&](GraphEntry entry) {
        if (!entry.node->is_variable()) return entry;
        const auto at = entries.find(entry.node->name());
        return at == entries.end() ? entry : at->second;
      },
      true);
  if (name.empty()) return result;
  const GraphNode* head = result.single_node();
  if (!head) fail("compose: the name '", name, "' is given, but the outputs are of several nodes");
  const Ref<const GraphNode> named = head->with_name(name);
  std::vector<GraphEntry> outputs(result.outputs().begin(), result.outputs().end());
  for (GraphEntry& output : outputs) output.node = named;
  return Graph(std::move(outputs));
}

}  // namespace mxtape

#include "core/error.h"
#include "graph/file_graph.h"
#include "op/registry.h"

namespace mxtape {
namespace {

// "lr_mult" -> "__lr_mult__".
void hide_keys(Attributes& attributes) {
  for (const std::string_view key : hidden_keys()) {
    if (const std::string* value = attributes.find(key)) {
      attributes.set("__" + std::string(key) + "__", *value);
      attributes.erase(key);
    }
  }
}

// "weight_lr_mult" of a call is "__lr_mult__" of the variable that is its weight.
void move_to_inputs(FileNode& node, std::vector<FileNode>& nodes) {
  const OpSchema* op = Registry::get().find(node.op);
  if (!op) return;
  Attributes rest = node.attributes;
  std::vector<std::pair<std::string_view, Attributes::Item>> moved;
  for (const auto& [key, value] : node.attributes) {
    for (const std::string_view hidden : hidden_keys()) {
      if (key.starts_with("__") || !key.ends_with("_" + std::string(hidden))) continue;
      moved.push_back({hidden, {key.substr(0, key.size() - hidden.size() - 1), value}});
      rest.erase(key);
      break;
    }
  }
  if (moved.empty()) return;
  ParamsRef params;
  try {
    params = params_from_attributes(*op, rest, node.inputs.size());
  } catch (const Error&) {
    return;  // said again, and of which node, when the graph is built
  }
  for (const auto& [hidden, item] : moved) {
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (i >= op->count_inputs(node.inputs.size(), params.get())) break;
      if (op->input_name(i, params.get()) != item.first || node.inputs[i].node >= nodes.size()) {
        continue;
      }
      FileNode& input = nodes[node.inputs[i].node];
      if (input.op != "null") break;
      input.attributes.set("__" + std::string(hidden) + "__", item.second);
      node.attributes.erase(item.first + "_" + std::string(hidden));
      break;
    }
  }
}

void add_initial_values(const FileNode& node, std::vector<FileNode>& nodes) {
  const OpSchema* op = Registry::get().find(node.op);
  if (!op) return;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const size_t input = node.inputs[i].node;
    if (input < nodes.size() && nodes[input].op == "null") {
      add_initial_value(*op, i, nodes[input].attributes);
    }
  }
}

}  // namespace

void add_initial_value(const OpSchema& op, size_t input, Attributes& attributes) {
  if (attributes.find("__init__")) return;
  // Normalizations have two states, a mean and a variance.
  const auto& states = op.auxiliary;
  if (!states.empty() && input == states[0]) attributes.set("__init__", R"(["zero", {}])");
  if (states.size() > 1 && input == states[1]) attributes.set("__init__", R"(["one", {}])");
}

void upgrade(FileGraph& graph) {
  if (graph.mxnet_version >= kMxnetVersion) return;
  for (FileNode& node : graph.nodes) {
    hide_keys(node.attributes);
    if (node.op == "null") continue;
    move_to_inputs(node, graph.nodes);
    if (graph.mxnet_version < 900) add_initial_values(node, graph.nodes);
    // -1 meant the whole array once.
    if (graph.mxnet_version < 905 && (node.op == "argmax" || node.op == "argmin")) {
      const std::string* axis = node.attributes.find("axis");
      if (axis && *axis == "-1") node.attributes.erase("axis");
    }
  }
}

}  // namespace mxtape

#include "graph/graph.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "core/error.h"
#include "graph/file_outputs.h"

namespace mxtape {
namespace {

auto position_of(auto& items, std::string_view key) {
  return std::lower_bound(
      items.begin(), items.end(), key,
      [](const Attributes::Item& item, std::string_view k) { return item.first.compare(k) < 0; });
}

std::string names_of_inputs(const OpSchema& op, const Params* params, size_t count) {
  std::string names;
  for (size_t i = 0; i < count; ++i) names += (i ? ", " : "") + op.input_name(i, params);
  return names;
}

bool is_amp_cast(const GraphNode& node) {
  if (node.is_variable()) return false;
  return node.op().name == "amp_cast" || node.op().name == "amp_multicast";
}

}  // namespace

void Attributes::set(std::string_view key, std::string value) {
  const auto at = position_of(items_, key);
  if (at != items_.end() && at->first == key) {
    at->second = std::move(value);
  } else {
    items_.emplace(at, std::string(key), std::move(value));
  }
}

void Attributes::erase(std::string_view key) {
  const auto at = position_of(items_, key);
  if (at != items_.end() && at->first == key) items_.erase(at);
}

const std::string* Attributes::find(std::string_view key) const {
  const auto at = position_of(items_, key);
  return at != items_.end() && at->first == key ? &at->second : nullptr;
}

GraphNode::GraphNode(const GraphNode& other)
    : op_(other.op_),
      params_(other.params_),
      inputs_(other.inputs_),
      name_(other.name_),
      attributes_(other.attributes_),
      subgraphs_(other.subgraphs_),
      outputs_(other.outputs_),
      visible_(other.visible_),
      version_(other.version_) {}

GraphNode::~GraphNode() = default;

// The dead wait in a list that the outermost call empties: deleting one adds its inputs to it.
void GraphNode::dispose() noexcept {
  thread_local std::vector<GraphNode*>* pending = nullptr;
  if (pending) {
    pending->push_back(this);
    return;
  }
  std::vector<GraphNode*> list = {this};
  pending = &list;
  while (!list.empty()) {
    GraphNode* node = list.back();
    list.pop_back();
    delete node;
  }
  pending = nullptr;
}

Ref<const GraphNode> GraphNode::variable(std::string name, Attributes attributes) {
  Ref<GraphNode> node(new GraphNode);
  node->name_ = std::move(name);
  node->attributes_ = std::move(attributes);
  return node;
}

Ref<const GraphNode> GraphNode::call(const OpSchema& op, ParamsRef params,
                                     std::vector<GraphEntry> inputs, std::string name,
                                     Attributes attributes) {
  return call(op, std::move(params), std::move(inputs), std::move(name), std::move(attributes), {});
}

Ref<const GraphNode> GraphNode::call(const OpSchema& op, ParamsRef params,
                                     std::vector<GraphEntry> inputs, std::string name,
                                     Attributes attributes, std::vector<Graph> subgraphs) {
  const size_t expected = op.count_inputs(inputs.size(), params.get());
  if (inputs.size() != expected) {
    fail(op.name, ": ", inputs.size(), " inputs given, expected ", expected, " (",
         names_of_inputs(op, params.get(), expected), ")");
  }
  Ref<GraphNode> node(new GraphNode);
  node->op_ = &op;
  node->outputs_ = static_cast<uint32_t>(op.count_outputs(params.get()));
  node->visible_ = static_cast<uint32_t>(op.count_visible(params.get()));
  node->params_ = std::move(params);
  node->inputs_ = std::move(inputs);
  node->name_ = std::move(name);
  node->attributes_ = std::move(attributes);
  node->subgraphs_ = std::move(subgraphs);
  return node;
}

Ref<const GraphNode> GraphNode::call_with_outputs(const OpSchema& op, uint32_t outputs,
                                                  std::vector<GraphEntry> inputs,
                                                  std::string name) {
  Ref<GraphNode> node(new GraphNode);
  node->op_ = &op;
  node->outputs_ = node->visible_ = outputs;
  node->inputs_ = std::move(inputs);
  node->name_ = std::move(name);
  return node;
}

Ref<const GraphNode> GraphNode::with_inputs(std::vector<GraphEntry> inputs) const {
  Ref<GraphNode> node(new GraphNode(*this));
  node->inputs_ = std::move(inputs);
  return node;
}

Ref<const GraphNode> GraphNode::with_name(std::string name) const {
  Ref<GraphNode> node(new GraphNode(*this));
  node->name_ = std::move(name);
  return node;
}

void GraphNode::set_attributes(const Attributes& added) const {
  Attributes attributes = attributes_;
  for (const auto& [key, value] : added) attributes.set(key, value);
  if (op_ && op_->params) {
    ParamsRef params = params_from_attributes(*op_, attributes, inputs_.size());
    if (op_->count_inputs(inputs_.size(), params.get()) != inputs_.size() ||
        op_->count_outputs(params.get()) != outputs_ ||
        op_->count_visible(params.get()) != visible_) {
      fail(op_->name, ": node ", name_,
           " would have other inputs or outputs with these attributes");
    }
    params_ = std::move(params);
  }
  attributes_ = std::move(attributes);
}

std::string GraphNode::output_name(uint32_t index) const {
  if (is_variable()) return name_;
  return name_ + "_" + output_suffix(*this, index);
}

bool changes_input(const OpSchema& op, const Params* params, size_t count, size_t i) {
  const auto& states = op.auxiliary;
  if (std::find(states.begin(), states.end(), i) != states.end()) return true;
  return op.mutates && op.mutates(i, count, params, {false, true});
}

Graph::Nodes Graph::nodes() const {
  Nodes order;
  std::unordered_set<const GraphNode*> seen;
  std::vector<std::pair<const GraphNode*, size_t>> stack;
  for (const GraphEntry& output : outputs_) {
    if (seen.insert(output.node.get()).second) stack.emplace_back(output.node.get(), 0);
    while (!stack.empty()) {
      auto& [node, next] = stack.back();
      if (next == node->inputs().size()) {
        order.push_back(node);
        stack.pop_back();
        continue;
      }
      const GraphNode* input = node->inputs()[next++].node.get();
      if (seen.insert(input).second) stack.emplace_back(input, 0);
    }
  }
  return order;
}

Graph::Nodes Graph::variables(bool arguments, bool states) const {
  Nodes all = nodes();
  std::unordered_set<const GraphNode*> changed;
  if (arguments != states) {
    for (const GraphNode* node : all) {
      for (size_t i = 0; i < node->inputs().size(); ++i) {
        if (node->changes_input(i)) changed.insert(node->inputs()[i].node.get());
      }
    }
  }
  std::erase_if(all, [&](const GraphNode* node) {
    return !node->is_variable() || (arguments != states && changed.contains(node) != states);
  });
  return all;
}

Graph Graph::internals() const {
  std::vector<GraphEntry> entries;
  for (const GraphNode* node : nodes()) {
    for (uint32_t i = 0; i < node->visible_count(); ++i) {
      entries.push_back({Ref<const GraphNode>(node), i});
    }
  }
  return Graph(std::move(entries));
}

Graph Graph::children() const {
  std::vector<GraphEntry> entries;
  std::unordered_set<const GraphNode*> seen;
  for (const GraphEntry& output : outputs_) {
    if (!seen.insert(output.node.get()).second) continue;
    const auto inputs = output.node->inputs();
    entries.insert(entries.end(), inputs.begin(), inputs.end());
  }
  return Graph(std::move(entries));
}

const GraphNode* Graph::single_node() const {
  if (outputs_.empty()) return nullptr;
  const GraphNode* node = outputs_[0].node.get();
  const bool all = std::all_of(outputs_.begin(), outputs_.end(),
                               [&](const GraphEntry& entry) { return entry.node.get() == node; });
  return all ? node : nullptr;
}

Graph Graph::replaced(const Replace& replace, bool outputs) const {
  std::unordered_map<const GraphNode*, Ref<const GraphNode>> renewed;
  const auto renew = [&](GraphEntry entry) {
    const auto at = renewed.find(entry.node.get());
    if (at != renewed.end()) entry.node = at->second;
    return entry;
  };
  for (const GraphNode* node : nodes()) {
    std::vector<GraphEntry> inputs;
    bool changed = false;
    for (const GraphEntry& input : node->inputs()) {
      inputs.push_back(renew(replace(input)));
      changed |= inputs.back().node != input.node || inputs.back().index != input.index;
    }
    if (changed) renewed[node] = node->with_inputs(std::move(inputs));
  }
  std::vector<GraphEntry> entries;
  for (const GraphEntry& output : outputs_) {
    entries.push_back(renew(outputs ? replace(output) : output));
  }
  return Graph(std::move(entries));
}

Graph Graph::copied() const {
  std::unordered_map<const GraphNode*, Ref<const GraphNode>> copies;
  const auto copy_of = [&](GraphEntry entry) {
    entry.node = copies.at(entry.node.get());
    return entry;
  };
  for (const GraphNode* node : nodes()) {
    std::vector<GraphEntry> inputs;
    for (const GraphEntry& input : node->inputs()) inputs.push_back(copy_of(input));
    copies.emplace(node, node->with_inputs(std::move(inputs)));
  }
  std::vector<GraphEntry> outputs;
  for (const GraphEntry& output : outputs_) outputs.push_back(copy_of(output));
  return Graph(std::move(outputs));
}

Graph Graph::without_amp_casts() const {
  const Nodes all = nodes();
  if (std::none_of(all.begin(), all.end(), [](auto* node) { return is_amp_cast(*node); })) {
    return *this;
  }
  return replaced(
      [](GraphEntry entry) {
        while (is_amp_cast(*entry.node)) {
          // Copied first: the cast may go with the entry.
          GraphEntry input = entry.node->inputs()[entry.index];
          entry = std::move(input);
        }
        return entry;
      },
      false);
}

std::string Graph::description() const {
  const auto entry_name = [](const GraphEntry& entry) {
    return str_cat(entry.node->name(), "(", entry.index, ")");
  };
  if (outputs_.size() == 1 && outputs_[0].node->is_variable()) {
    return "Variable:" + outputs_[0].node->name() + "\n";
  }
  std::string text = "Symbol Outputs:\n";
  for (size_t i = 0; i < outputs_.size(); ++i) {
    text += str_cat("\toutput[", i, "]=", entry_name(outputs_[i]), "\n");
  }
  for (const GraphNode* node : nodes()) {
    if (node->is_variable()) {
      text += "Variable:" + node->name() + "\n";
      continue;
    }
    text += str_cat("--------------------\nOp:", file_op_name(*node), ", Name=", node->name(),
                    "\nInputs:\n");
    for (size_t i = 0; i < node->inputs().size(); ++i) {
      const GraphEntry& input = node->inputs()[i];
      text += str_cat("\targ[", i, "]=", entry_name(input));
      if (input.node->is_variable()) text += str_cat(" version=", input.version);
      text += "\n";
    }
    if (!node->attributes().empty()) text += "Attrs:\n";
    for (const auto& [key, value] : node->attributes()) text += "\t" + key + "=" + value + "\n";
  }
  return text;
}

ParamsRef params_from_attributes(const OpSchema& op, const Attributes& attributes, size_t inputs) {
  if (!op.params) return nullptr;
  const auto& fields = op.params->fields;
  Ref<Params> params = op.params->make();
  size_t known = 0;
  for (size_t i = 0; i < fields.size(); ++i) {
    const std::string* text = attributes.find(fields[i].name);
    const bool counts = op.variadic && fields[i].name == op.count_param;
    if (text) {
      parse_field(fields[i], *text, params->data(), op.name);
      ++known;
      params->given |= 1u << i;
      // MXNet counts the data of UpSampling, whose weight is an input too.
      if (counts && print_field(fields[i], params->data()) != std::to_string(inputs) &&
          op.name != "UpSampling") {
        fail(op.name, ": ", fields[i].name, " is ", *text, ", but there are ", inputs, " inputs");
      }
    } else if (counts) {
      parse_field(fields[i], std::to_string(inputs), params->data(), op.name);
      params->given |= 1u << i;
    } else if (fields[i].required) {
      fail(op.name, ": required parameter ", fields[i].name, " is missing (", fields[i].doc, ")");
    }
  }
  if (known == attributes.size()) return params;
  for (const auto& [key, value] : attributes) {
    const bool field = std::any_of(fields.begin(), fields.end(),
                                   [&key = key](const ParamField& f) { return f.name == key; });
    if (!field && !is_own_key(key)) fail(op.name, ": unknown parameter ", key, "='", value, "'");
  }
  return params;
}

std::span<const std::string_view> hidden_keys() {
  static constexpr std::string_view keys[] = {"ctx_group", "lr_mult", "wd_mult", "force_mirroring",
                                              "mirror_stage"};
  return keys;
}

std::string stored_key(std::string key) {
  const auto keys = hidden_keys();
  return std::find(keys.begin(), keys.end(), key) == keys.end() ? key : "__" + key + "__";
}

bool is_own_key(std::string_view key) {
  return key.size() > 4 && key.starts_with("__") && key.ends_with("__");
}

}  // namespace mxtape

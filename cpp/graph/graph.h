#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/ref.h"
#include "op/schema.h"

namespace mxtape {

class GraphNode;
class Graph;

// An output of a node.
struct GraphEntry {
  Ref<const GraphNode> node;
  uint32_t index = 0;
  // Of a variable: how many calls had changed it when this was composed. Kept for files only.
  uint32_t version = 0;
};

// What is written at a node, as text: an operator's parameters and whatever else, in order of keys.
class Attributes {
 public:
  using Item = std::pair<std::string, std::string>;

  void set(std::string_view key, std::string value);
  void erase(std::string_view key);
  const std::string* find(std::string_view key) const;

  bool empty() const { return items_.empty(); }
  size_t size() const { return items_.size(); }
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }

 private:
  std::vector<Item> items_;
};

// Whether a call of `op` with `count` inputs changes input `i` in place.
bool changes_input(const OpSchema& op, const Params* params, size_t count, size_t i);

// A call of an operator, or a variable. Shared: graphs that have a part in common have its nodes in
// common. A node keeps its inputs alive, and is freed without recursion. What it computes does not
// change, except by set_attributes.
class GraphNode final : public RefCounted {
 public:
  static Ref<const GraphNode> variable(std::string name, Attributes attributes = {});
  // A call; an Error when it has not as many inputs as the operator takes.
  static Ref<const GraphNode> call(const OpSchema& op, ParamsRef params,
                                   std::vector<GraphEntry> inputs, std::string name,
                                   Attributes attributes = {});
  static Ref<const GraphNode> call(const OpSchema& op, ParamsRef params,
                                   std::vector<GraphEntry> inputs, std::string name,
                                   Attributes attributes, std::vector<Graph> subgraphs);
  // A call whose number of outputs its operator does not know: a function written in Python.
  static Ref<const GraphNode> call_with_outputs(const OpSchema& op, uint32_t outputs,
                                                std::vector<GraphEntry> inputs, std::string name);
  Ref<const GraphNode> with_inputs(std::vector<GraphEntry> inputs) const;
  Ref<const GraphNode> with_name(std::string name) const;

  // Gives the node more attributes, and so every graph that has it. A call's parameter among them
  // is read again; an Error, before anything changes, when it does not fit. A caller sees to it
  // that no other thread reads the node meanwhile.
  void set_attributes(const Attributes& added) const;

  bool is_variable() const { return op_ == nullptr; }
  // Of a call.
  const OpSchema& op() const { return *op_; }
  const ParamsRef& params() const { return params_; }
  const std::string& name() const { return name_; }
  const Attributes& attributes() const { return attributes_; }
  std::span<const GraphEntry> inputs() const { return inputs_; }
  // The bodies of a loop or a branch.
  std::span<const Graph> subgraphs() const;

  // How many outputs there are, and how many of them a caller sees.
  uint32_t output_count() const { return outputs_; }
  uint32_t visible_count() const { return visible_; }
  // "fc1_output", "split0_output1"; a variable's is its name.
  std::string output_name(uint32_t index) const;
  // Whether a call changes input `i` in place: a variable that it reads there is a state.
  bool changes_input(size_t i) const {
    return op_ && mxtape::changes_input(*op_, params_.get(), inputs_.size(), i);
  }
  // Of a variable: how many calls that change it have been composed. For files only.
  uint32_t version() const { return version_; }
  void set_version(uint32_t version) const { version_ = version; }

 private:
  GraphNode() = default;
  GraphNode(const GraphNode& other);
  ~GraphNode() override;
  void dispose() noexcept override;

  const OpSchema* op_ = nullptr;
  mutable ParamsRef params_;
  std::vector<GraphEntry> inputs_;
  std::string name_;
  mutable Attributes attributes_;
  std::vector<Graph> subgraphs_;
  uint32_t outputs_ = 1, visible_ = 1;
  mutable uint32_t version_ = 0;
};

// The outputs of some nodes, and with them all that they are computed from. Two words to copy, and
// nothing to prune: what no output needs is not part of it. Nothing here recurses over the graph.
class Graph {
 public:
  using Nodes = std::vector<const GraphNode*>;

  Graph() = default;
  explicit Graph(std::vector<GraphEntry> outputs) : outputs_(std::move(outputs)) {}

  std::span<const GraphEntry> outputs() const { return outputs_; }

  // Every node after its inputs: depth first, in the order of outputs and inputs.
  Nodes nodes() const;
  // Variables, in that order; states are those that a call changes.
  Nodes variables() const { return variables(true, true); }
  Nodes arguments() const { return variables(true, false); }
  Nodes auxiliary_states() const { return variables(false, true); }

  // The visible outputs of every node.
  Graph internals() const;
  // The inputs of the nodes that the outputs are of.
  Graph children() const;
  // The node of all the outputs; nullptr when they are of several, or there are none.
  const GraphNode* single_node() const;

  // The graph in which calls read `replace(entry)` where they read `entry`, and outputs too if
  // `outputs` is set. Nodes that this does not reach are shared.
  using Replace = std::function<GraphEntry(const GraphEntry&)>;
  Graph replaced(const Replace& replace, bool outputs) const;
  // The same graph with nodes of its own.
  Graph copied() const;
  // Without the casts that automatic mixed precision put in.
  Graph without_amp_casts() const;

  // A line for each output, variable, call, input and attribute, in MXNet's words.
  std::string description() const;

 private:
  Nodes variables(bool arguments, bool states) const;

  std::vector<GraphEntry> outputs_;
};

inline std::span<const Graph> GraphNode::subgraphs() const { return subgraphs_; }

// The parameters of a call with `inputs` inputs, read from its attributes. Those whose key has the
// form __key__ are left alone; an Error names another that `op` does not have, if it has any.
ParamsRef params_from_attributes(const OpSchema& op, const Attributes& attributes, size_t inputs);

// Key `name` is also known as __name__: "lr_mult", "wd_mult", "ctx_group" and the like.
std::span<const std::string_view> hidden_keys();
// The key under which a node has an attribute: "__lr_mult__" for "lr_mult", others as they are.
std::string stored_key(std::string key);
// Whether a key has the form __key__, which no parameter has.
bool is_own_key(std::string_view key);

}  // namespace mxtape

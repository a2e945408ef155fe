#include "graph/trace.h"

#include <map>
#include <unordered_map>

#include "autograd/node.h"
#include "op/op_node.h"

namespace mxtape {
namespace {

using autograd::Node;

class Tracer {
 public:
  TracedGraph run(const NDArray& array) {
    Node* head = autograd::node_of(array);
    if (!head || head->released()) {
      fail("get_symbol: the array is not in a recorded graph, or the graph was freed by backward");
    }
    // Depth first, inputs before their node, without recursion.
    std::vector<std::pair<Node*, size_t>> stack = {{head, 0}};
    while (!stack.empty()) {
      auto& [node, next] = stack.back();
      const auto edges = node->edges();
      if (next == edges.size()) {
        if (!index_.count(node)) emit(*node);
        stack.pop_back();
        continue;
      }
      const size_t i = next++;
      if (Node* input = edges[i].node.get()) {
        if (!index_.count(input)) stack.emplace_back(input, 0);
      } else {
        emit_constant(*node, i);
      }
    }
    graph_.head = {index_.at(head), array.edge_index()};
    return std::move(graph_);
  }

 private:
  // Inputs off the tape that were saved are told apart by their memory; the others each stand
  // alone.
  size_t emit_constant(Node& node, size_t i) {
    if (const auto known = constants_.find({&node, i}); known != constants_.end()) {
      return known->second;
    }
    const auto* saved =
        dynamic_cast<OpNode*>(&node) ? static_cast<OpNode&>(node).saved_input(i) : nullptr;
    const void* memory =
        saved && saved->storage ? saved->storage->data() + saved->byte_offset : nullptr;
    if (memory) {
      if (const auto known = memory_.find(memory); known != memory_.end()) {
        return constants_[{&node, i}] = known->second;
      }
    }
    TracedNode variable;
    variable.op = "null";
    variable.name = "null" + std::to_string(variables_++);
    graph_.nodes.push_back(std::move(variable));
    const size_t at = graph_.nodes.size() - 1;
    if (memory) memory_[memory] = at;
    return constants_[{&node, i}] = at;
  }

  void emit(Node& node) {
    TracedNode traced;
    if (node.is_leaf()) {
      traced.op = "null";
      traced.name = "var" + std::to_string(variables_++);
    } else {
      traced.op = node.name();
      traced.name = "node_" + std::to_string(calls_++);
      traced.outputs = node.output_count();
      const auto edges = node.edges();
      for (size_t i = 0; i < edges.size(); ++i) {
        if (edges[i].node) {
          traced.inputs.push_back({index_.at(edges[i].node.get()), edges[i].index});
        } else {
          traced.inputs.push_back({emit_constant(node, i), 0});
        }
      }
      if (auto* call = dynamic_cast<OpNode*>(&node)) add_attrs(*call, traced);
    }
    graph_.nodes.push_back(std::move(traced));
    index_[&node] = graph_.nodes.size() - 1;
  }

  static void add_attrs(const OpNode& call, TracedNode& traced) {
    if (!call.params()) return;
    const auto& fields = call.params()->info().fields;
    std::map<std::string, std::string> sorted;
    // A call from C++ sets every field: what is the default then counts as not given.
    const bool from_cpp = call.params()->given == ~uint32_t{0};
    for (size_t i = 0; i < fields.size(); ++i) {
      if (!(call.params()->given >> i & 1)) continue;
      std::string text = print_field(fields[i], call.params()->data());
      if (from_cpp && !fields[i].required && text == fields[i].default_text) continue;
      sorted[fields[i].name] = std::move(text);
    }
    traced.attrs.assign(sorted.begin(), sorted.end());
  }

  TracedGraph graph_;
  std::unordered_map<Node*, size_t> index_;
  std::map<std::pair<Node*, size_t>, size_t> constants_;
  std::unordered_map<const void*, size_t> memory_;
  size_t variables_ = 0, calls_ = 0;
};

}  // namespace

TracedGraph trace(const NDArray& array) { return Tracer().run(array); }

}  // namespace mxtape

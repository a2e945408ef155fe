#include "graph/trace.h"

#include <map>
#include <unordered_map>

#include "autograd/node.h"
#include "core/error.h"
#include "graph/cached_op.h"
#include "op/op_node.h"

namespace mxtape {
namespace {

using autograd::Node;
using autograd::Saved;

// What stands for an autograd.Function, under MXNet's name. It is in no registry: nothing can run
// it again.
const OpSchema& custom_function() {
  static const OpSchema* op = [] {
    auto* made = new OpSchema;
    made->name = "_CustomFunction";
    made->inputs = {{"data"}};
    made->variadic = true;
    return made;
  }();
  return *op;
}

// The parameters that the caller gave, as text.
Attributes given_attributes(const OpNode& call) {
  Attributes attributes;
  const OpSchema& op = call.op();
  if (!call.params()) {
    if (op.variadic && !op.count_param.empty()) {
      attributes.set(op.count_param, std::to_string(call.input_count()));
    }
    return attributes;
  }
  const Params& params = *call.params();
  const auto& fields = params.info().fields;
  // A call from C++ sets every field: what is the default then counts as not given.
  const bool from_cpp = params.given == ~uint32_t{0};
  for (size_t i = 0; i < fields.size(); ++i) {
    if (!(params.given >> i & 1)) continue;
    std::string text = print_field(fields[i], params.data());
    if (from_cpp && !fields[i].required && text == fields[i].default_text) continue;
    attributes.set(fields[i].name, std::move(text));
  }
  return attributes;
}

using autograd::Edge;

// What an edge leads to, where a call of a graph counts as the calls inside.
Edge inside(Edge edge) {
  for (;;) {
    if (auto* call = dynamic_cast<GraphCallNode*>(edge.node.get())) {
      // Copied first: the node may go with the edge.
      Edge head = call->head(edge.index);
      edge = std::move(head);
    } else if (auto* end = dynamic_cast<autograd::EndNode*>(edge.node.get())) {
      const auto edges = end->edges();
      Edge outside = edges.empty() ? Edge() : edges[0];
      edge = std::move(outside);
    } else {
      return edge;
    }
  }
}

class Tracer {
 public:
  Graph run(const NDArray& array) {
    const Edge top = inside(autograd::edge_of(array));
    Node* head = top.node.get();
    if (!head || head->released()) {
      fail("get_symbol: the array is not in a recorded graph, or the graph was freed by backward");
    }
    // Depth first, inputs before their node, without recursion.
    std::vector<std::pair<Node*, size_t>> stack = {{head, 0}};
    while (!stack.empty()) {
      auto& [node, next] = stack.back();
      const auto edges = node->edges();
      if (next == edges.size()) {
        if (!nodes_.contains(node)) emit(*node);
        stack.pop_back();
        continue;
      }
      const size_t i = next++;
      // What is inside a call lives as long as the call, which the array keeps.
      if (Node* input = inside(edges[i]).node.get()) {
        if (!nodes_.contains(input)) stack.emplace_back(input, 0);
      } else {
        constant(*node, i);
      }
    }
    return Graph({{nodes_.at(head), top.index}});
  }

 private:
  struct Known {
    const Saved* saved;
    Ref<const GraphNode> variable;
  };

  // Input `i` of a node, which is off the tape. Arrays that were saved are told apart by what they
  // show of which memory; the others each stand alone.
  Ref<const GraphNode> constant(Node& node, size_t i) {
    Ref<const GraphNode>& known = constants_[{&node, i}];
    if (known) return known;
    auto* call = dynamic_cast<OpNode*>(&node);
    const Saved* saved = call ? call->saved_input(i) : nullptr;
    if (!saved || !saved->storage) return known = new_variable("null");
    std::vector<Known>& same = memory_[saved->storage.get()];
    for (const auto& [other, variable] : same) {
      if (other->byte_offset == saved->byte_offset && other->shape == saved->shape &&
          other->dtype == saved->dtype) {
        return known = variable;
      }
    }
    known = new_variable("null");
    same.push_back({saved, known});
    return known;
  }

  Ref<const GraphNode> new_variable(std::string_view kind) {
    return GraphNode::variable(str_cat(kind, variables_++));
  }

  void emit(Node& node) {
    if (node.is_leaf()) {
      nodes_[&node] = new_variable("var");
      return;
    }
    std::vector<GraphEntry> inputs;
    const auto edges = node.edges();
    inputs.reserve(edges.size());
    for (size_t i = 0; i < edges.size(); ++i) {
      const Edge edge = inside(edges[i]);
      if (edge.node) {
        inputs.push_back({nodes_.at(edge.node.get()), edge.index});
      } else {
        inputs.push_back({constant(node, i)});
      }
    }
    std::string name = "node_" + std::to_string(calls_++);
    if (auto* call = dynamic_cast<OpNode*>(&node)) {
      nodes_[&node] = GraphNode::call(call->op(), call->params(), std::move(inputs),
                                      std::move(name), given_attributes(*call));
    } else {
      nodes_[&node] = GraphNode::call_with_outputs(custom_function(), node.output_count(),
                                                   std::move(inputs), std::move(name));
    }
  }

  std::unordered_map<Node*, Ref<const GraphNode>> nodes_;
  std::map<std::pair<Node*, size_t>, Ref<const GraphNode>> constants_;
  std::unordered_map<const Storage*, std::vector<Known>> memory_;
  size_t variables_ = 0, calls_ = 0;
};

}  // namespace

Graph trace(const NDArray& array) { return Tracer().run(array); }

}  // namespace mxtape

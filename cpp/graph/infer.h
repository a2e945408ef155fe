#pragma once

#include <span>
#include <unordered_map>
#include <vector>

#include "graph/graph.h"

namespace mxtape {

// What is known of variables before a graph's inference: what is not in it is unknown.
using VariableSpecs = std::unordered_map<const GraphNode*, ArraySpec>;
// How variables are stored. Of others the attribute __storage_type__ says it; without one they are
// dense.
using VariableStorage = std::unordered_map<const GraphNode*, StorageType>;

// What inference found for every entry of a graph.
struct GraphSpecs {
  Graph::Nodes nodes;         // every node after its inputs
  std::vector<size_t> first;  // of each node: where its outputs begin in `specs`; then their number
  std::vector<ArraySpec> specs;
  std::unordered_map<const GraphNode*, size_t> position;  // of a node in `nodes`

  std::span<const ArraySpec> outputs_of(size_t node) const {
    return {specs.data() + first[node], first[node + 1] - first[node]};
  }
  const ArraySpec& of(const GraphNode* node, uint32_t index = 0) const {
    return specs[first[position.at(node)] + index];
  }
  const ArraySpec& of(const GraphEntry& entry) const { return of(entry.node.get(), entry.index); }
  bool shapes_known() const;
  bool dtypes_known() const;
};

// What a program asks for. Shapes do not wait for dtypes that nothing says, nor dtypes for shapes.
enum class Infer {
  kShapes,  // a dtype that nothing determines is assumed where a shape depends on it
  kDTypes,  // shapes need not be known
  kAll,     // to run: variables whose dtype nothing determines are float32
};

// Inference over a graph, forward and backward until nothing more follows. Takes time linear in the
// graph. `variables` go before what the variables' own attributes say (__shape__, __dtype__).
// Storage types come first, and only forward: they follow from those of the variables. An
// Error names the node at which something contradicts what is known. An extent of 0 that a program
// has written is unknown; with `numpy_shapes` it is 0, and one of -1 is unknown.
GraphSpecs infer_graph(const Graph& graph, const VariableSpecs& variables, Infer what,
                       autograd::Mode mode = {}, bool numpy_shapes = false,
                       const VariableStorage& storage = {});

// What a variable's attributes __shape__ and __dtype__ say of it.
ArraySpec spec_of_variable(const GraphNode& variable, bool numpy_shapes = false);

// The parameters with which to run a node whose outputs have been inferred. They are the node's,
// but for an operator without inputs, such as _zeros, whose shape may have been left open in them.
ParamsRef params_to_run(const GraphNode& node, std::span<const ArraySpec> outputs);

}  // namespace mxtape

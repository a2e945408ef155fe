#pragma once

#include <span>

#include "core/sparse.h"
#include "graph/infer.h"

// How the arrays of a graph are stored: what operators say in their rows for sparse arrays.
namespace mxtape {

// What the results of a node's call are stored as, for inputs of these types. Of loops, branches
// and operators in Python it is dense.
StorageType result_storage(const GraphNode& node, std::span<const StorageType> inputs,
                           autograd::Mode mode);

// Sets the storage type of every entry: the part of infer_graph.
void infer_storage(GraphSpecs& specs, const VariableStorage& variables, autograd::Mode mode);

// What the gradients of variables are stored as, for those in `wanted`, if those of the outputs are
// stored as the outputs are. All is known of `specs`. A call that touches a sparse array, or says
// sparse_grad, is differentiated once, with arrays of zeros: an operator's gradient is made of
// other operators, and it is their rows that say how it is stored.
VariableStorage gradient_storage(const Graph& graph, const GraphSpecs& specs,
                                 std::span<const GraphNode* const> wanted);

}  // namespace mxtape

#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "graph/graph.h"

namespace mxtape {

// The visible outputs of a call of `op`. An input without a node, and one that is missing at the
// end, becomes a variable called NAME_weight and the like, with the call's attributes, as in MXNet.
// `attributes` holds the parameters as text. An Error where there are too many inputs, or an input
// that the call changes is no variable.
Graph compose(const OpSchema& op, ParamsRef params, Attributes attributes,
              std::vector<GraphEntry> inputs, std::string name);

// How many inputs a call of a variadic operator has that is given `given`.
size_t count_composed(const OpSchema& op, const Params* params, size_t given);
// What MXNet calls input `i`: where it differs from OpSchema::input_name, of variadic operators.
std::string composed_input_name(const OpSchema& op, size_t i, const Params* params);

// The graph in which variables are replaced by the entries under their names. The node of the
// outputs gets the name `name` unless that is empty. An Error for a name that no variable has.
Graph substituted(const Graph& graph, const std::unordered_map<std::string, GraphEntry>& entries,
                  const std::string& name);

}  // namespace mxtape

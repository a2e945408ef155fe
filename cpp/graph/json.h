#pragma once

#include <string>
#include <string_view>

#include "graph/graph.h"

namespace mxtape {

// Reads a graph in the JSON of MXNet 0.11 to 1.9 (and of earlier versions as 1.9.1 reads them).
// Whatever the text is, the result is a sound graph or an Error that says what is wrong and where,
// and calls the text `source`.
Graph graph_from_json(std::string_view text, const std::string& source);

// The graph in JSON as MXNet 1.9.1 writes it, byte for byte.
std::string graph_to_json(const Graph& graph);

}  // namespace mxtape

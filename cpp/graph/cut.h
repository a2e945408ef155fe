#pragma once

#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace mxtape {

// A graph that is to be the body of a loop or a branch, apart from what is around it.
struct CutGraph {
  Graph body;
  // Of each variable of the body, in the order of variables(): what it stands for outside. That is
  // the variable itself, unless it took the place of a call's output.
  std::vector<GraphEntry> outside;
};

// Calls whose attribute __subgraph_name__ is `scope` are the body. Outputs of other calls that they
// read become variables, named as the outputs.
CutGraph cut_graph(const Graph& graph, std::string_view scope);

}  // namespace mxtape

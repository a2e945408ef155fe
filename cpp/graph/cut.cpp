#include "graph/cut.h"

#include <map>
#include <unordered_map>
#include <unordered_set>

namespace mxtape {

CutGraph cut_graph(const Graph& graph, std::string_view scope) {
  const auto is_outside = [&](const GraphNode& node) {
    const std::string* name = node.attributes().find("__subgraph_name__");
    return !node.is_variable() && (!name || *name != scope);
  };
  using Key = std::pair<const GraphNode*, uint32_t>;
  std::map<Key, Ref<const GraphNode>> cuts;
  std::unordered_map<const GraphNode*, GraphEntry> stands_for;
  std::unordered_set<const GraphNode*> seen;
  std::vector<const GraphNode*> stack;
  const auto visit = [&](const GraphEntry& entry) {
    if (!is_outside(*entry.node)) {
      if (seen.insert(entry.node.get()).second) stack.push_back(entry.node.get());
      return;
    }
    Ref<const GraphNode>& variable = cuts[{entry.node.get(), entry.index}];
    if (variable) return;
    variable = GraphNode::variable(entry.node->output_name(entry.index));
    stands_for[variable.get()] = entry;
  };
  for (const GraphEntry& output : graph.outputs()) visit(output);
  while (!stack.empty()) {
    const GraphNode* node = stack.back();
    stack.pop_back();
    for (const GraphEntry& input : node->inputs()) visit(input);
  }
  CutGraph made;
  made.body = graph.replaced(
      [&](const GraphEntry& entry) -> GraphEntry {
        const auto at = cuts.find({entry.node.get(), entry.index});
        return at == cuts.end() ? entry : GraphEntry{at->second};
      },
      true);
  for (const GraphNode* variable : made.body.variables()) {
    const auto at = stands_for.find(variable);
    made.outside.push_back(at == stands_for.end() ? GraphEntry{Ref<const GraphNode>(variable)}
                                                  : at->second);
  }
  return made;
}

}  // namespace mxtape

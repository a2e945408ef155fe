#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "graph/graph.h"
#include "op/registry.h"

// What unit tests of graphs need.
namespace mxtape::test {

// A call whose parameters are given as in a file.
inline Ref<const GraphNode> call(std::string_view op_name, std::vector<GraphEntry> inputs,
                                 std::string name,
                                 std::vector<std::pair<std::string, std::string>> texts = {}) {
  const OpSchema& op = find_op(op_name);
  Attributes attributes;
  for (auto& [key, value] : texts) attributes.set(key, value);
  ParamsRef params = params_from_attributes(op, attributes, inputs.size());
  return GraphNode::call(op, std::move(params), std::move(inputs), std::move(name),
                         std::move(attributes));
}

}  // namespace mxtape::test

#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/ndarray.h"

namespace mxtape {

// A node of a traced graph: an operator call, or a variable, whose `op` is "null".
struct TracedNode {
  std::string op;
  std::string name;
  std::vector<std::pair<std::string, std::string>> attrs;  // the parameters that the caller gave
  struct Input {
    size_t node;
    uint32_t output;
  };
  std::vector<Input> inputs;
  uint32_t outputs = 1;
};

struct TracedGraph {
  std::vector<TracedNode> nodes;  // every node after its inputs
  TracedNode::Input head;
};

// The recorded graph that leads to `array`. Throws Error when it was not recorded or has been
// freed.
TracedGraph trace(const NDArray& array);

}  // namespace mxtape

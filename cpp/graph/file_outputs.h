#pragma once

#include <string>
#include <string_view>

#include "graph/graph.h"

namespace mxtape {

// What MXNet's files and symbols say of an operator where the operator itself says something else.

// Under which name it is written: "_unravel_index" for unravel_index, "null" for a variable.
std::string_view file_op_name(const GraphNode& node);
// How many outputs a node is counted to have, with those that nobody sees.
size_t file_output_count(const GraphNode& node);
// What is added to a call's name for one of its outputs: "output", "output1", "mean".
std::string output_suffix(const GraphNode& node, uint32_t index);

}  // namespace mxtape

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace mxtape {

// A graph as a file holds it, before it is known whether its operators exist.
struct FileEntry {
  uint32_t node = 0, index = 0, version = 0;
};

struct FileGraph;

struct FileNode {
  std::string op, name;
  Attributes attributes;
  std::vector<FileEntry> inputs;
  std::vector<FileGraph> subgraphs;
};

struct FileGraph {
  std::vector<FileNode> nodes;
  std::vector<FileEntry> heads;
  // 10901 for MXNet 1.9.1. Files of before 0.9 do not say.
  int64_t mxnet_version = 800;
};

constexpr int64_t kMxnetVersion = 10901;

// Brings what an older MXNet wrote into the form of 1.9.1: hidden keys without underscores
// ("lr_mult"), those of an input given at the call ("weight_lr_mult"), and parameters that have
// changed their meaning.
void upgrade(FileGraph& graph);

}  // namespace mxtape

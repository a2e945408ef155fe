#include "graph/json.h"

#include <algorithm>
#include <unordered_map>

#include "graph/control_flow.h"
#include "graph/custom.h"
#include "graph/file_graph.h"
#include "graph/file_outputs.h"
#include "graph/json_text.h"
#include "op/registry.h"

namespace mxtape {
namespace {

// ---- reading the text

// [node, index] or [node, index, version].
FileEntry read_entry(JsonReader& reader) {
  uint32_t numbers[3] = {};
  size_t count = 0;
  reader.array([&] {
    if (count == 3) reader.fail("an entry has two or three numbers, this one more");
    numbers[count++] = reader.number();
  });
  if (count < 2) reader.fail("an entry has two or three numbers, this one ", count);
  return {numbers[0], numbers[1], numbers[2]};
}

std::vector<FileEntry> read_entries(JsonReader& reader) {
  std::vector<FileEntry> entries;
  reader.array([&] { entries.push_back(read_entry(reader)); });
  return entries;
}

void expect_fields(JsonReader& reader, std::string_view of,
                   std::initializer_list<std::pair<const char*, bool>> fields) {
  for (const auto& [name, there] : fields) {
    if (!there) reader.fail("field \"", name, "\" is missing from ", of);
  }
}

FileGraph read_graph(JsonReader& reader, int64_t version);

FileNode read_node(JsonReader& reader) {
  FileNode node;
  bool op = false, name = false, inputs = false;
  reader.object([&](const std::string& key) {
    if (key == "op") {
      node.op = reader.string(), op = true;
    } else if (key == "name") {
      node.name = reader.string(), name = true;
    } else if (key == "inputs") {
      node.inputs = read_entries(reader), inputs = true;
    } else if (key == "attrs" || key == "attr" || key == "param") {
      reader.object([&](const std::string& attribute) {
        std::string value = reader.string();
        // A parameter of this name goes before what was written about the node otherwise.
        if (key == "param" && node.attributes.find(attribute)) return;
        node.attributes.set(attribute, std::move(value));
      });
    } else if (key == "subgraphs") {
      reader.array([&] { node.subgraphs.push_back(read_graph(reader, kMxnetVersion)); });
    } else if (key == "backward_source_id" || key == "control_deps") {
      reader.skip();
    } else {
      reader.fail("unknown field \"", key, "\" in a node");
    }
  });
  expect_fields(reader, "a node", {{"op", op}, {"name", name}, {"inputs", inputs}});
  return node;
}

// "attrs": {"mxnet_version": ["int", 10901]}; others are passed over.
void read_graph_attributes(JsonReader& reader, int64_t& version) {
  reader.object([&](const std::string& key) {
    if (key != "mxnet_version") return reader.skip();
    size_t count = 0;
    reader.array([&] {
      if (count++ == 0) {
        if (reader.string() != "int") reader.fail("mxnet_version must be [\"int\", number]");
      } else {
        version = reader.integer();
      }
    });
    if (count != 2) reader.fail("mxnet_version must be [\"int\", number]");
  });
}

FileGraph read_graph(JsonReader& reader, int64_t version) {
  FileGraph graph;
  graph.mxnet_version = version;
  bool nodes = false, heads = false;
  reader.object([&](const std::string& key) {
    if (key == "nodes") {
      reader.array([&] { graph.nodes.push_back(read_node(reader)); });
      nodes = true;
    } else if (key == "heads") {
      graph.heads = read_entries(reader), heads = true;
    } else if (key == "attrs") {
      read_graph_attributes(reader, graph.mxnet_version);
    } else if (key == "arg_nodes" || key == "node_row_ptr") {
      // Both follow from the nodes.
      reader.array([&] { reader.integer(); });
    } else {
      reader.fail("unknown field \"", key, "\" in a graph");
    }
  });
  expect_fields(reader, "a graph", {{"nodes", nodes}, {"heads", heads}});
  return graph;
}

// ---- building the graph

class Builder {
 public:
  Builder(const FileGraph& file, std::string source) : file_(file), source_(std::move(source)) {}

  Graph run() {
    nodes_.reserve(file_.nodes.size());
    for (const FileNode& node : file_.nodes) {
      try {
        nodes_.push_back(node.op == "null" ? variable(node) : call(node));
      } catch (const Error& error) {
        fail_as(error.kind(), source_, ": node ", nodes_.size(), " ('", node.name,
                "'): ", error.what());
      }
    }
    if (file_.heads.empty()) fail(source_, ": the graph has no heads");
    std::vector<GraphEntry> outputs;
    for (const FileEntry& head : file_.heads) {
      try {
        outputs.push_back(entry(head, "head", outputs.size()));
      } catch (const Error& error) {
        fail_as(error.kind(), source_, ": ", error.what());
      }
    }
    return Graph(std::move(outputs));
  }

 private:
  // Nodes are built in order, so one that is there comes before: nothing is cyclic.
  GraphEntry entry(const FileEntry& at, std::string_view what, size_t number) const {
    if (at.node >= file_.nodes.size()) {
      fail(what, " ", number, " is node ", at.node, ", but there are ", file_.nodes.size());
    }
    if (at.node >= nodes_.size()) {
      fail(what, " ", number, " is node ", at.node, ", which does not come before it");
    }
    const Ref<const GraphNode>& node = nodes_[at.node];
    if (at.index >= node->output_count()) {
      fail(what, " ", number, " is output ", at.index, " of node ", at.node, " ('", node->name(),
           "'), which has ", node->output_count());
    }
    node->set_version(std::max(node->version(), at.version));
    return {node, at.index, at.version};
  }

  Ref<const GraphNode> variable(const FileNode& node) const {
    if (!node.inputs.empty()) fail("a variable has no inputs");
    return GraphNode::variable(node.name, node.attributes);
  }

  Ref<const GraphNode> call(const FileNode& node) const {
    const OpSchema* op = Registry::get().find(node.op);
    if (!op) op = find_control_flow(node.op);
    if (!op && node.op == custom_op().name) op = &custom_op();
    if (!op) fail("there is no operator called ", node.op);
    std::vector<GraphEntry> inputs;
    for (const FileEntry& at : node.inputs) inputs.push_back(entry(at, "input", inputs.size()));
    Attributes attributes = node.attributes;
    ParamsRef params = is_custom(*op) ? custom_params(attributes)
                                      : params_from_attributes(*op, attributes, inputs.size());
    if (is_custom(*op)) check_custom_inputs(*params, inputs.size());
    if (op->variadic && !op->count_param.empty() && !attributes.find(op->count_param)) {
      attributes.set(op->count_param, std::to_string(inputs.size()));
    }
    // Before 0.9 a file left out the states.
    const size_t count = op->count_inputs(inputs.size(), params.get());
    while (file_.mxnet_version < 900 && inputs.size() < count) {
      const std::string name = op->input_name(inputs.size(), params.get());
      Attributes given = attributes;
      add_initial_value(*op, inputs.size(), given);
      inputs.push_back({GraphNode::variable(node.name + "_" + name, std::move(given))});
    }
    std::vector<Graph> subgraphs;
    for (const FileGraph& graph : node.subgraphs) {
      subgraphs.push_back(Builder(graph, str_cat("subgraph ", subgraphs.size())).run());
    }
    auto made = GraphNode::call(*op, std::move(params), std::move(inputs), node.name,
                                std::move(attributes), std::move(subgraphs));
    if (is_control_flow(*op)) check_control_flow(*made);
    return made;
  }

  const FileGraph& file_;
  std::string source_;
  std::vector<Ref<const GraphNode>> nodes_;
};

// ---- writing

// MXNet breaks the line after each item of a longer list of numbers.
bool on_lines(size_t count) { return count > 10; }

using Numbers = std::unordered_map<const GraphNode*, size_t>;

void write_numbers(JsonWriter& writer, const std::vector<size_t>& numbers) {
  writer.begin_array(on_lines(numbers.size()));
  for (const size_t number : numbers) {
    writer.item();
    writer.number(number);
  }
  writer.end();
}

void write_entries(JsonWriter& writer, std::span<const GraphEntry> entries,
                   const Numbers& numbers) {
  writer.begin_array(on_lines(entries.size()));
  for (const GraphEntry& entry : entries) {
    writer.item();
    writer.begin_array(false);
    for (const size_t number :
         {numbers.at(entry.node.get()), size_t{entry.index}, size_t{entry.version}}) {
      writer.item();
      writer.number(number);
    }
    writer.end();
  }
  writer.end();
}

void write_graph(JsonWriter& writer, const Graph& graph, bool whole);

void write_node(JsonWriter& writer, const GraphNode& node, const Numbers& numbers) {
  writer.begin_object(true);
  writer.key("op");
  writer.string(file_op_name(node));
  writer.key("name");
  writer.string(node.name());
  if (!node.attributes().empty()) {
    writer.key("attrs");
    writer.begin_object(node.attributes().size() > 1);
    for (const auto& [key, value] : node.attributes()) {
      writer.key(key);
      writer.string(value);
    }
    writer.end();
  }
  writer.key("inputs");
  write_entries(writer, node.inputs(), numbers);
  if (!node.subgraphs().empty()) {
    writer.key("subgraphs");
    writer.begin_array(true);
    for (const Graph& graph : node.subgraphs()) {
      writer.item();
      write_graph(writer, graph, false);
    }
    writer.end();
  }
  writer.end();
}

void write_graph(JsonWriter& writer, const Graph& graph, bool whole) {
  const Graph::Nodes nodes = graph.nodes();
  Numbers numbers;
  std::vector<size_t> variables, row_pointers = {0};
  for (const GraphNode* node : nodes) {
    if (node->is_variable()) variables.push_back(numbers.size());
    numbers.emplace(node, numbers.size());
    row_pointers.push_back(row_pointers.back() + file_output_count(*node));
  }
  writer.begin_object(true);
  writer.key("nodes");
  writer.begin_array(true);
  for (const GraphNode* node : nodes) {
    writer.item();
    write_node(writer, *node, numbers);
  }
  writer.end();
  writer.key("arg_nodes");
  write_numbers(writer, variables);
  writer.key("node_row_ptr");
  write_numbers(writer, row_pointers);
  writer.key("heads");
  write_entries(writer, graph.outputs(), numbers);
  if (whole) {
    writer.key("attrs");
    writer.begin_object(false);
    writer.key("mxnet_version");
    writer.begin_array(false);
    writer.item();
    writer.string("int");
    writer.item();
    writer.number(kMxnetVersion);
    writer.end();
    writer.end();
  }
  writer.end();
}

}  // namespace

Graph graph_from_json(std::string_view text, const std::string& source) {
  JsonReader reader(text, source);
  FileGraph file = read_graph(reader, FileGraph().mxnet_version);
  reader.end();
  upgrade(file);
  return Builder(file, source).run();
}

std::string graph_to_json(const Graph& graph) {
  JsonWriter writer;
  write_graph(writer, graph, true);
  return writer.take();
}

}  // namespace mxtape

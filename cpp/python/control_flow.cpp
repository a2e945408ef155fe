#include "graph/control_flow.h"

#include <pybind11/stl.h>

#include <map>

#include "core/error.h"
#include "graph/cut.h"
#include "python/symbol_type.h"

namespace py = pybind11;

// What mxtape.symbol.control_flow makes loops and branches from.
namespace mxtape::python {
namespace {

// The body in `graph`; and of each of its variables the number of the placeholder that it is, or
// -1, and the graph of what it stands for outside.
py::tuple cut_body(const Graph& graph, const py::str& scope,
                   const std::vector<const Graph*>& placeholders) {
  CutGraph cut = cut_graph(graph, from_text(scope));
  std::map<const GraphNode*, int> numbers;
  for (size_t i = 0; i < placeholders.size(); ++i) {
    numbers[placeholders[i]->outputs()[0].node.get()] = static_cast<int>(i);
  }
  py::list variables;
  for (const GraphEntry& entry : cut.outside) {
    const auto at = numbers.find(entry.node.get());
    variables.append(py::make_tuple(at == numbers.end() ? -1 : at->second, Graph({entry})));
  }
  return py::make_tuple(std::move(cut.body), variables);
}

void set_all(Attributes& attributes, const py::dict& items) {
  for (const auto& [key, value] : items) attributes.set(from_text(key), from_text(value));
}

// The outputs of a node of a loop or a branch.
Graph compose_control_flow(const std::string& op_name, const py::str& name,
                           const std::vector<const Graph*>& inputs, const py::dict& parameters,
                           const py::dict& attributes, const std::vector<const Graph*>& bodies) {
  const OpSchema* op = find_control_flow(op_name);
  if (!op) fail("there is no loop or branch called ", op_name);
  std::vector<GraphEntry> entries;
  for (const Graph* input : inputs) entries.push_back(input->outputs()[0]);
  Attributes all;
  set_all(all, parameters);
  ParamsRef params = params_from_attributes(*op, all, entries.size());
  set_all(all, attributes);
  std::vector<Graph> graphs;
  for (const Graph* body : bodies) graphs.push_back(*body);
  const auto node = GraphNode::call(*op, std::move(params), std::move(entries), from_text(name),
                                    std::move(all), std::move(graphs));
  check_control_flow(*node);
  std::vector<GraphEntry> outputs;
  for (uint32_t i = 0; i < node->visible_count(); ++i) outputs.push_back({node, i});
  return Graph(std::move(outputs));
}

}  // namespace

void init_control_flow(py::module_& m) {
  m.def("cut_body", cut_body);
  m.def("compose_control_flow", compose_control_flow);
  m.def("output_index", [](const Graph& graph) { return graph.outputs()[0].index; });
}

}  // namespace mxtape::python

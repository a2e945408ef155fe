#include <pybind11/stl.h>

#include <algorithm>

#include "core/error.h"
#include "graph/json.h"
#include "graph/trace.h"
#include "python/gil.h"
#include "python/ndarray_type.h"
#include "python/symbol_type.h"

namespace py = pybind11;

// The type _core.Graph, which mxtape.symbol.Symbol wraps. Names and texts that are not UTF-8 cross
// the border with surrogate escapes.
namespace mxtape::python {
namespace {

py::list node_names(const Graph::Nodes& nodes) {
  py::list names;
  for (const GraphNode* node : nodes) names.append(to_text(node->name()));
  return names;
}

py::list output_names(const Graph& graph) {
  py::list names;
  for (const GraphEntry& output : graph.outputs()) {
    names.append(to_text(output.node->output_name(output.index)));
  }
  return names;
}

py::dict attributes_of(const GraphNode& node) {
  py::dict attributes;
  for (const auto& [key, value] : node.attributes()) attributes[to_text(key)] = to_text(value);
  // The keys that MXNet hides are known under both names.
  for (const std::string_view key : hidden_keys()) {
    const std::string hidden = "__" + std::string(key) + "__";
    if (const std::string* value = node.attributes().find(hidden)) {
      attributes[to_text(key)] = to_text(*value);
    }
  }
  return attributes;
}

py::object attribute(const Graph& graph, const py::str& key) {
  const GraphNode* node = graph.single_node();
  const py::dict attributes = node ? attributes_of(*node) : py::dict();
  if (attributes.contains(key)) return attributes[key];
  const py::str hidden = py::str("__{}__").format(key);
  const bool known = std::ranges::count(hidden_keys(), from_text(key)) > 0;
  return known && attributes.contains(hidden) ? py::object(attributes[hidden]) : py::none();
}

py::dict attribute_dict(const Graph& graph) {
  py::dict all;
  for (const GraphNode* node : graph.nodes()) {
    if (!node->attributes().empty()) all[to_text(node->name())] = attributes_of(*node);
  }
  return all;
}

void set_attributes(const Graph& graph, const py::dict& added) {
  const GraphNode* node = graph.single_node();
  if (!node) fail("attributes cannot be set on a group of symbols");
  Attributes attributes;
  for (const auto& [key, value] : added) {
    attributes.set(stored_key(from_text(key)), from_text(value));
  }
  node->set_attributes(attributes);
}

Graph output_of(const Graph& graph, size_t index) {
  if (index >= graph.outputs().size()) {
    fail_as(ErrorKind::kIndex, "output ", index, " of a symbol with ", graph.outputs().size());
  }
  return Graph({graph.outputs()[index]});
}

Graph grouped(const std::vector<const Graph*>& graphs) {
  std::vector<GraphEntry> outputs;
  for (const Graph* graph : graphs) {
    outputs.insert(outputs.end(), graph->outputs().begin(), graph->outputs().end());
  }
  return Graph(std::move(outputs));
}

Graph load_graph(const py::bytes& text, const std::string& source) {
  const std::string_view bytes = text;
  const WithoutGil release;
  return graph_from_json(bytes, source);
}

py::object to_json(const Graph& graph, bool remove_amp_cast) {
  // Under the interpreter's lock, as attributes may be set.
  return to_text(graph_to_json(remove_amp_cast ? graph.without_amp_casts() : graph));
}

}  // namespace

py::object to_text(std::string_view text) {
  PyObject* object =
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogateescape");
  if (!object) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(object);
}

std::string from_text(py::handle text) {
  Py_ssize_t size;
  if (const char* utf8 = PyUnicode_AsUTF8AndSize(text.ptr(), &size)) {
    return {utf8, static_cast<size_t>(size)};
  }
  if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) throw py::error_already_set();
  PyErr_Clear();
  PyObject* bytes = PyUnicode_AsEncodedString(text.ptr(), "utf-8", "surrogateescape");
  if (!bytes) throw py::error_already_set();
  return py::reinterpret_steal<py::bytes>(bytes);
}

void init_graph(py::module_& m) {
  py::class_<Graph>(m, "Graph")
      .def("__len__", [](const Graph& graph) { return graph.outputs().size(); })
      .def("list_outputs", output_names)
      .def("list_inputs", [](const Graph& graph) { return node_names(graph.variables()); })
      .def("list_arguments", [](const Graph& graph) { return node_names(graph.arguments()); })
      .def("list_auxiliary_states",
           [](const Graph& graph) { return node_names(graph.auxiliary_states()); })
      .def("internals", &Graph::internals)
      .def("children", &Graph::children)
      .def("output", output_of)
      .def("name",
           [](const Graph& graph) -> py::object {
             const GraphNode* node = graph.single_node();
             return node ? to_text(node->name()) : py::none();
           })
      .def("output_nodes",
           [](const Graph& graph) {
             py::list names;
             for (const GraphEntry& output : graph.outputs()) {
               names.append(to_text(output.node->name()));
             }
             return names;
           })
      .def("attr", attribute)
      .def("list_attr",
           [](const Graph& graph) {
             return graph.outputs().empty() ? py::dict() : attributes_of(*graph.outputs()[0].node);
           })
      .def("attr_dict", attribute_dict)
      .def("set_attributes", set_attributes)
      .def("copied", &Graph::copied)
      .def("description", [](const Graph& graph) { return to_text(graph.description()); })
      .def("tojson", to_json);
  m.def("group_graphs", grouped);
  m.def("load_graph", load_graph);
  m.def("trace", [](py::handle x) { return trace(as_array(x)); });
}

}  // namespace mxtape::python

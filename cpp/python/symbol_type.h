#pragma once

#include <pybind11/pybind11.h>

#include "graph/graph.h"

namespace mxtape::python {

// mxtape.symbol.Symbol, a class in Python that holds a _core.Graph; null before it is there.
bool is_symbol(PyObject* object);
const Graph& graph_of_symbol(PyObject* symbol);
pybind11::object make_symbol(Graph graph);

// Text of graphs crosses the border with surrogate escapes where it is no UTF-8.
pybind11::object to_text(std::string_view text);
std::string from_text(pybind11::handle text);

void init_compose(pybind11::module_& m);
void init_custom(pybind11::module_& m);
void init_control_flow(pybind11::module_& m);
void init_graph_inference(pybind11::module_& m);

}  // namespace mxtape::python

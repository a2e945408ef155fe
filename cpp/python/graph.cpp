#include <pybind11/stl.h>

#include "graph/trace.h"
#include "python/ndarray_type.h"

namespace py = pybind11;

namespace mxtape::python {

void init_graph(py::module_& m) {
  // (nodes, head): a node is (op, name, [(key, value)], [(node, output)], number of outputs).
  m.def("trace", [](py::handle x) {
    const TracedGraph graph = trace(as_array(x));
    py::list nodes;
    for (const TracedNode& node : graph.nodes) {
      py::list inputs;
      for (const auto& input : node.inputs) inputs.append(py::make_tuple(input.node, input.output));
      nodes.append(py::make_tuple(node.op, node.name, node.attrs, inputs, node.outputs));
    }
    return py::make_tuple(nodes, py::make_tuple(graph.head.node, graph.head.output));
  });
}

}  // namespace mxtape::python

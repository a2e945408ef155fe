#include "python/transforms.h"

#include <memory>
#include <utility>

#include "autograd/forward.h"
#include "autograd/recorder.h"
#include "op/tangent.h"
#include "python/ndarray_type.h"

namespace py = pybind11;

namespace mxtape::python {
namespace {

using autograd::EndNode;
using autograd::Linearization;

// The arrays as the inputs of a graph of its own: functions of what they hang on while recording,
// constants otherwise.
py::list begin_graph(const py::sequence& arrays) {
  py::list results;
  for (py::handle item : arrays) {
    NDArray array = as_array(item);
    const autograd::Edge outside =
        autograd::is_recording() ? autograd::edge_of(array) : autograd::Edge{};
    array.set_edge(make_ref<EndNode>(array, outside), 0);
    results.append(wrap_object(std::move(array)));
  }
  return results;
}

std::unique_ptr<Linearization> linearize(const py::sequence& heads, const py::sequence& starts) {
  std::vector<NDArray> ends, arrays;
  for (py::handle head : heads) ends.push_back(as_array(head));
  for (py::handle start : starts) arrays.push_back(as_array(start));
  return std::make_unique<Linearization>(ends, arrays);
}

std::vector<NDArray> arrays_or_none(const py::sequence& list) {
  std::vector<NDArray> arrays;
  for (py::handle item : list) arrays.push_back(item.is_none() ? NDArray() : as_array(item));
  return arrays;
}

py::list wrapped(std::vector<NDArray> arrays) {
  py::list results;
  for (NDArray& array : arrays) results.append(wrap_object(std::move(array)));
  return results;
}

}  // namespace

void init_transforms(py::module_& m) {
  install_push_rules();
  m.def("begin_graph", begin_graph);
  // Shapes and dtypes are checked in Python, which has names for the arrays.
  py::class_<Linearization>(m, "Linearization")
      .def(py::init(&linearize))
      .def("push",
           [](Linearization& self, const py::sequence& tangents) {
             return wrapped(self.push(arrays_or_none(tangents)));
           })
      .def("pull", [](const Linearization& self, const py::sequence& head_grads) {
        return wrapped(self.pull(arrays_or_none(head_grads)));
      });
}

}  // namespace mxtape::python

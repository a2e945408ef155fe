#include <pybind11/stl.h>

#include "op/registry.h"
#include "python/bind.h"
#include "python/ndarray_type.h"

namespace py = pybind11;

// Inference as Python sees it, for tests and tools.
namespace mxtape::python {
namespace {

ArraySpec spec_of(const py::tuple& known) {
  ArraySpec spec;
  if (!known[0].is_none()) {
    const auto extents = py::cast<std::vector<std::optional<int64_t>>>(known[0]);
    spec.shape = Shape(static_cast<int>(extents.size()), -1);
    for (size_t i = 0; i < extents.size(); ++i) {
      if (extents[i]) spec.shape[static_cast<int>(i)] = *extents[i];
    }
  }
  if (!known[1].is_none()) spec.dtype = as_dtype(known[1].ptr());
  return spec;
}

py::tuple known_of(const ArraySpec& spec) {
  py::object shape = py::none(), dtype = py::none();
  if (spec.shape.has_ndim()) {
    py::list extents;
    for (int64_t extent : spec.shape) {
      extents.append(extent < 0 ? py::object(py::none()) : py::int_(extent));
    }
    shape = py::tuple(extents);
  }
  if (spec.dtype != kUnknownDType) dtype = py::str(std::string(dtype_name(spec.dtype)));
  return py::make_tuple(shape, dtype);
}

// Inference without arrays. An input is given as (shape, dtype) with None for what is not known.
// Returns whether all is known now, and what is, of the inputs and of the outputs.
py::tuple infer_op(const std::string& name, const std::vector<py::tuple>& inputs,
                   const py::dict& params, bool training, bool recording) {
  const OpSchema& op = find_op(name);
  Ref<Params> bound = op.params ? op.params->make() : Ref<Params>();
  for (const auto& [key, value] : params) {
    const std::string label = py::cast<std::string>(key);
    if (label == op.count_param && !op.params) continue;
    size_t i = 0;
    while (op.params && i < op.params->fields.size() && op.params->fields[i].name != label) ++i;
    if (!op.params || i == op.params->fields.size()) fail(name, ": no parameter ", label);
    set_field(op.params->fields[i], value.ptr(), bound->data(), name);
    bound->given |= uint32_t{1} << i;
  }
  if (op.params && op.variadic) {
    for (const ParamField& field : op.params->fields) {
      if (field.name != op.count_param) continue;
      set_field(field, py::int_(inputs.size()).ptr(), bound->data(), name);
    }
  }
  SmallVector<ArraySpec, 8> in;
  for (const py::tuple& input : inputs) in.push_back(spec_of(input));
  SmallVector<ArraySpec, 8> out(op.count_outputs(bound.get()));
  const bool complete = infer_specs(op, bound.get(), {recording, training}, in, out);
  py::list known_in, known_out;
  for (const ArraySpec& spec : in) known_in.append(known_of(spec));
  for (const ArraySpec& spec : out) known_out.append(known_of(spec));
  return py::make_tuple(complete, known_in, known_out);
}

}  // namespace

void init_inference(py::module_& m) {
  m.def("infer_op", infer_op, py::arg("name"), py::arg("inputs"), py::arg("params"),
        py::arg("training"), py::arg("recording"));
}

}  // namespace mxtape::python

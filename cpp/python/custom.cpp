#include "graph/custom.h"

#include <pybind11/stl.h>

#include "core/error.h"
#include "python/gil.h"
#include "python/ndarray_type.h"
#include "python/symbol_type.h"
#include "python/view.h"

namespace py = pybind11;

// Calls from graphs to operators in Python: what mxtape.operator gives to set_custom_hooks.
namespace mxtape::python {
namespace {

// Kept for as long as the process: graphs may outlive the module.
PyObject *describe_hook = nullptr, *infer_hook = nullptr, *routine_hook = nullptr;

// The interpreter's lock for a scope, from any thread.
class WithGil {
 public:
  WithGil() {
    or_wait_for_exit([&] { state_ = PyGILState_Ensure(); });
  }
  ~WithGil() { PyGILState_Release(state_); }
  WithGil(const WithGil&) = delete;
  WithGil& operator=(const WithGil&) = delete;

 private:
  PyGILState_STATE state_;
};

py::object call(PyObject* function, const py::tuple& arguments) {
  PyObject* result = nullptr;
  or_wait_for_exit([&] { result = PyObject_Call(function, arguments.ptr(), nullptr); });
  if (!result) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(result);
}

// The arguments of the function: all attributes but those of MXNet's own.
py::dict texts_of(const Attributes& attributes) {
  py::dict texts;
  for (const auto& [key, value] : attributes) {
    if (!key.starts_with("__")) texts[to_text(key)] = to_text(value);
  }
  return texts;
}

std::vector<std::string> strings(py::handle list) {
  std::vector<std::string> texts;
  for (const py::handle text : list) texts.push_back(from_text(text));
  return texts;
}

Ref<const CustomNames> describe(const Attributes& attributes) {
  const WithGil lock;
  const py::tuple found = call(describe_hook, py::make_tuple(texts_of(attributes)));
  auto names = make_ref<CustomNames>();
  names->arguments = strings(found[0]);
  names->outputs = strings(found[1]);
  names->states = strings(found[2]);
  return names;
}

// None for a shape of which something is not known.
py::object shape_object(const ArraySpec& spec) {
  if (!spec.shape.known()) return py::none();
  py::tuple shape(static_cast<size_t>(spec.shape.ndim()));
  for (int i = 0; i < spec.shape.ndim(); ++i) shape[static_cast<size_t>(i)] = spec.shape[i];
  return shape;
}

py::object dtype_object(const ArraySpec& spec) {
  if (spec.dtype == kUnknownDType) return py::none();
  return py::reinterpret_borrow<py::object>(numpy_type(spec.dtype));
}

void learn(ArraySpec& spec, py::handle shape, py::handle dtype, const std::string& name) {
  if (!shape.is_none()) {
    Shape found(static_cast<int>(py::len(shape)), 0);
    int i = 0;
    for (const py::handle extent : shape) found[i++] = py::cast<int64_t>(extent);
    if (!merge_shape(spec.shape, found)) {
      fail("Custom: ", name, " has shape ", spec.shape, ", infer_shape expects ", found);
    }
  }
  if (dtype.is_none()) return;
  const DType found = as_dtype(dtype.ptr());
  if (spec.dtype != kUnknownDType && spec.dtype != found) {
    fail("Custom: ", name, " is ", spec.dtype, ", infer_type expects ", found);
  }
  spec.dtype = found;
}

void infer(const GraphNode& node, std::span<ArraySpec> inputs, std::span<ArraySpec> outputs) {
  const WithGil lock;
  py::list shapes, dtypes;
  for (const ArraySpec& spec : inputs) {
    shapes.append(shape_object(spec));
    dtypes.append(dtype_object(spec));
  }
  const py::tuple found =
      call(infer_hook, py::make_tuple(texts_of(node.attributes()), shapes, dtypes));
  const py::list found_shapes = found[0], found_dtypes = found[1];
  const CustomNames& names = *node.custom();
  const size_t arguments = names.arguments.size();
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto& name = i < arguments ? names.arguments[i] : names.states[i - arguments];
    learn(inputs[i], found_shapes[i], found_dtypes[i], name);
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    const size_t at = inputs.size() + i;
    learn(outputs[i], found_shapes[at], found_dtypes[at], names.outputs[i]);
  }
}

// Has an operator of its own, which may keep what it likes from call to call.
class CustomRoutine final : public Routine {
 public:
  explicit CustomRoutine(py::object function) : function_(function.release().ptr()) {}
  ~CustomRoutine() override { drop_object(function_); }

  void run(Inputs inputs, Outputs& outputs) const override {
    const WithGil lock;
    py::list arrays;
    for (const NDArray& input : inputs) arrays.append(wrap_object(input));
    const py::object results = call(function_, py::make_tuple(arrays));
    for (const py::handle result : results) outputs.push_back(as_array(result, "Custom"));
  }

 private:
  PyObject* function_;
};

Ref<const Routine> routine(const GraphNode& node) {
  const WithGil lock;
  return make_ref<CustomRoutine>(call(routine_hook, py::make_tuple(texts_of(node.attributes()))));
}

void set_hooks(const py::object& describe_function, const py::object& infer_function,
               const py::object& routine_function) {
  describe_hook = describe_function.inc_ref().ptr();
  infer_hook = infer_function.inc_ref().ptr();
  routine_hook = routine_function.inc_ref().ptr();
  custom_hooks = {describe, infer, routine};
}

Graph compose_custom(const py::str& name, const std::vector<const Graph*>& inputs,
                     const py::dict& attributes) {
  std::vector<GraphEntry> entries;
  for (const Graph* input : inputs) entries.push_back(input->outputs()[0]);
  Attributes texts;
  for (const auto& [key, value] : attributes) texts.set(from_text(key), from_text(value));
  const auto node = custom_call(std::move(entries), from_text(name), std::move(texts));
  std::vector<GraphEntry> outputs;
  for (uint32_t i = 0; i < node->visible_count(); ++i) outputs.push_back({node, i});
  return Graph(std::move(outputs));
}

}  // namespace

void init_custom(py::module_& m) {
  m.def("set_custom_hooks", set_hooks);
  m.def("compose_custom", compose_custom);
}

}  // namespace mxtape::python

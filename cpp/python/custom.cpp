#include "graph/custom.h"

#include <pybind11/stl.h>

#include "core/error.h"
#include "python/gil.h"
#include "python/ndarray_type.h"
#include "python/symbol_type.h"

namespace py = pybind11;

// Operators in Python as nodes of graphs: what mxtape.operator answers for them.
namespace mxtape::python {
namespace {

// describe(attributes), infer(attributes, shapes, dtypes) and prepare(attributes); never freed.
PyObject *describe_function = nullptr, *infer_function = nullptr, *prepare_function = nullptr;

template <class... Args>
py::object called(PyObject* function, const Args&... args) {
  const auto result = py::reinterpret_steal<py::object>(or_wait_for_exit(
      [&] { return PyObject_CallFunctionObjArgs(function, args.ptr()..., nullptr); }));
  if (!result) throw py::error_already_set();
  return result;
}

py::dict texts_of(const Attributes& attributes) {
  py::dict texts;
  for (const auto& [key, value] : attributes) texts[to_text(key)] = to_text(value);
  return texts;
}

CustomParams describe(const Attributes& attributes) {
  const WithGil lock;  // files are read without it
  const py::tuple found = called(describe_function, texts_of(attributes));
  CustomParams params;
  params.arguments = py::cast<std::vector<std::string>>(found[0]);
  params.states = py::cast<std::vector<std::string>>(found[1]);
  params.outputs = py::cast<std::vector<std::string>>(found[2]);
  params.needs_head = py::cast<bool>(found[3]);
  return params;
}

void learn(const std::string& name, ArraySpec& spec, py::handle shape, py::handle dtype) {
  if (!shape.is_none()) {
    const auto extents = py::cast<std::vector<int64_t>>(shape);
    const Shape given{std::span<const int64_t>(extents)};
    if (!merge_shape(spec.shape, given)) {
      fail("Custom: ", name, " has shape ", spec.shape, ", infer_shape expects ", given);
    }
  }
  if (dtype.is_none()) return;
  const DType given = as_dtype(dtype.ptr());
  if (spec.dtype == kUnknownDType) spec.dtype = given;
  if (spec.dtype != given) {
    fail("Custom: ", name, " is ", spec.dtype, ", infer_type expects ", given);
  }
}

void infer(const GraphNode& node, std::span<ArraySpec> inputs, std::span<ArraySpec> outputs) {
  py::list shapes, dtypes;
  for (const ArraySpec& spec : inputs) {
    py::object shape = py::none(), dtype = py::none();
    if (spec.shape.known()) {
      shape = py::cast(std::vector<int64_t>(spec.shape.begin(), spec.shape.end()));
    }
    if (spec.dtype != kUnknownDType) {
      dtype = py::reinterpret_borrow<py::object>(numpy_type(spec.dtype));
    }
    shapes.append(shape);
    dtypes.append(dtype);
  }
  const py::tuple found = called(infer_function, texts_of(node.attributes()), shapes, dtypes);
  const py::list in_shapes = found[0], out_shapes = found[1];
  const py::list in_dtypes = found[2], out_dtypes = found[3];
  const auto& p = node.params()->as<CustomParams>();
  const size_t arguments = p.arguments.size();
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::string& name = i < arguments ? p.arguments[i] : p.states[i - arguments];
    learn(name, inputs[i], in_shapes[i], in_dtypes[i]);
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    learn(p.outputs[i], outputs[i], out_shapes[i], out_dtypes[i]);
  }
}

class Prepared final : public RefCounted {
 public:
  explicit Prepared(py::object object) : object_(object.release().ptr()) {}
  PyObject* object() const { return object_; }

 private:
  ~Prepared() override { drop_object(object_); }
  PyObject* object_;
};

Ref<RefCounted> prepare(const GraphNode& node) {
  return make_ref<Prepared>(called(prepare_function, texts_of(node.attributes())));
}

void run(RefCounted& prepared, Inputs inputs, Outputs& outputs) {
  const auto function =
      py::reinterpret_borrow<py::object>(static_cast<Prepared&>(prepared).object());
  py::list arrays;
  for (const NDArray& input : inputs) arrays.append(wrap_object(input));
  for (py::handle result : py::list(called(function.ptr(), arrays))) {
    outputs.push_back(as_array(result, "the results of a custom operator"));
  }
}

// The outputs of a node of an operator in Python, with inputs for its arguments and states.
Graph compose_custom(const py::str& name, const std::vector<const Graph*>& inputs,
                     const py::dict& texts) {
  Attributes attributes;
  for (const auto& [key, value] : texts) attributes.set(from_text(key), from_text(value));
  ParamsRef params = custom_params(attributes);
  std::vector<GraphEntry> entries;
  for (const Graph* input : inputs) entries.push_back(input->outputs()[0]);
  check_custom_inputs(*params, entries.size());
  const auto& p = params->as<CustomParams>();
  for (size_t i = 0; i < entries.size(); ++i) {
    const GraphNode& source = *entries[i].node;
    if (i >= p.arguments.size()) {
      if (!source.is_variable()) {
        fail("Custom: ", p.states[i - p.arguments.size()],
             " is an auxiliary state and must be a variable, not the result of '", source.name(),
             "'");
      }
      source.set_version(source.version() + 1);
    }
    if (source.is_variable()) entries[i].version = source.version();
  }
  const auto node = GraphNode::call(custom_op(), std::move(params), std::move(entries),
                                    from_text(name), std::move(attributes));
  std::vector<GraphEntry> outputs;
  for (uint32_t i = 0; i < node->visible_count(); ++i) outputs.push_back({node, i});
  return Graph(std::move(outputs));
}

}  // namespace

void init_custom(py::module_& m) {
  m.def("set_custom_hooks", [](py::object describe_py, py::object infer_py, py::object prepare_py) {
    describe_function = describe_py.release().ptr();
    infer_function = infer_py.release().ptr();
    prepare_function = prepare_py.release().ptr();
    set_custom_hooks({describe, infer, prepare, run});
  });
  m.def("compose_custom", compose_custom);
}

}  // namespace mxtape::python

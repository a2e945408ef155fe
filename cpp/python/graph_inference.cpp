#include "core/error.h"
#include "graph/infer.h"
#include "graph/storage_types.h"
#include "python/ndarray_type.h"
#include "python/symbol_type.h"
#include "python/view.h"

namespace py = pybind11;

// Inference over graphs as Symbol.infer_shape and infer_type have it: 0 stands for an extent that
// is not known, () for a shape, None for a dtype. Under NumPy's shapes they are -1 and None.
namespace mxtape::python {
namespace {

Shape shape_of(py::handle given) {
  const auto tuple = py::cast<py::tuple>(given);
  const bool numpy = np_shape();
  Shape shape(static_cast<int>(tuple.size()), -1);
  for (size_t i = 0; i < tuple.size(); ++i) {
    const auto extent = py::cast<int64_t>(tuple[i]);
    if (extent < -1) fail("infer_shape: negative extent in shape ", from_text(py::repr(given)));
    if (extent > 0 || (numpy && extent == 0)) shape[static_cast<int>(i)] = extent;
  }
  return shape.ndim() == 0 && !numpy ? Shape::unknown() : shape;
}

py::object known_shape(const ArraySpec& spec) {
  if (!spec.shape.has_ndim()) return np_shape() ? py::object(py::none()) : py::tuple();
  py::tuple shape(static_cast<size_t>(spec.shape.ndim()));
  for (int i = 0; i < spec.shape.ndim(); ++i) {
    const int64_t extent = spec.shape[i];
    shape[static_cast<size_t>(i)] = extent < 0 && !np_shape() ? 0 : extent;
  }
  return shape;
}

py::object known_dtype(const ArraySpec& spec) {
  if (spec.dtype == kUnknownDType) return py::none();
  return py::reinterpret_borrow<py::object>(numpy_type(spec.dtype));
}

// Calls `use` with each variable whose name is in `given`, and the value; an Error for a name that
// none has.
template <class Use>
void for_each_given(const Graph& graph, const py::dict& given, const char* what, Use use) {
  if (given.empty()) return;
  const Graph::Nodes variables = graph.variables();
  py::set found;
  for (const GraphNode* variable : variables) {
    const py::object name = to_text(variable->name());
    if (!given.contains(name)) continue;
    found.add(name);
    use(variable, py::object(given[name]));
  }
  for (const auto& [key, value] : given) {
    if (found.contains(key)) continue;
    std::string names;
    for (const GraphNode* node : variables) names += (names.empty() ? "" : ", ") + node->name();
    fail(what, ": no argument is called '", from_text(key), "'; there are ", names);
  }
}

VariableSpecs specs_of(const Graph& graph, const py::dict& given, bool shapes) {
  VariableSpecs specs;
  for_each_given(graph, given, shapes ? "infer_shape" : "infer_type",
                 [&](const GraphNode* variable, const py::object& value) {
                   ArraySpec& spec = specs[variable];
                   if (shapes) {
                     spec.shape = shape_of(value);
                   } else {
                     spec.dtype = as_dtype(value.ptr());
                   }
                 });
  return specs;
}

// (whether all is known, of the arguments, of the outputs, of the auxiliary states).
py::tuple inferred(const Graph& graph, const py::dict& given, bool shapes) {
  const VariableSpecs known = specs_of(graph, given, shapes);
  const Infer what = shapes ? Infer::kShapes : Infer::kDTypes;
  const GraphSpecs specs = infer_graph(graph, known, what, {}, np_shape());
  const auto known_of = [&](const ArraySpec& spec) {
    return shapes ? known_shape(spec) : known_dtype(spec);
  };
  py::list arguments, outputs, states;
  for (const GraphNode* node : graph.arguments()) arguments.append(known_of(specs.of(node)));
  for (const GraphEntry& entry : graph.outputs()) outputs.append(known_of(specs.of(entry)));
  for (const GraphNode* node : graph.auxiliary_states()) states.append(known_of(specs.of(node)));
  const bool complete = shapes ? specs.shapes_known() : specs.dtypes_known();
  return py::make_tuple(complete, arguments, outputs, states);
}

StorageType storage_named(const std::string& name) {
  using enum StorageType;
  for (const StorageType type : {kDense, kRowSparse, kCsr}) {
    if (name == storage_name(type)) return type;
  }
  fail_as(ErrorKind::kValue, "storage type must be 'default', 'row_sparse' or 'csr', got '", name,
          "'");
}

VariableStorage storage_of(const Graph& graph, const py::dict& given) {
  VariableStorage types;
  for_each_given(graph, given, "infer_storage_type",
                 [&](const GraphNode* variable, const py::object& value) {
                   types[variable] = storage_named(from_text(py::str(value)));
                 });
  return types;
}

// The storage types of the arguments, of the outputs, of the auxiliary states.
py::tuple inferred_storage(const Graph& graph, const py::dict& given) {
  const GraphSpecs specs =
      infer_graph(graph, {}, Infer::kDTypes, {}, false, storage_of(graph, given));
  py::list arguments, outputs, states;
  for (const GraphNode* node : graph.arguments()) {
    arguments.append(storage_name(specs.of(node).storage));
  }
  for (const GraphEntry& entry : graph.outputs()) {
    outputs.append(storage_name(specs.of(entry).storage));
  }
  for (const GraphNode* node : graph.auxiliary_states()) {
    states.append(storage_name(specs.of(node).storage));
  }
  return py::make_tuple(arguments, outputs, states);
}

// What is needed to bind a graph: (whether all is known, of the arguments, of the auxiliary
// states). Each is a list of (shape, dtype, storage type, storage type of the gradient); a shape
// that is not known is None, and so is the last where `wanted` is false for an argument, or not all
// is known.
py::tuple inferred_to_bind(const Graph& graph, const py::dict& shapes, const py::dict& dtypes,
                           const py::dict& storage, const std::vector<bool>& wanted) {
  VariableSpecs known = specs_of(graph, shapes, true);
  for (const auto& [variable, spec] : specs_of(graph, dtypes, false)) {
    known[variable].dtype = spec.dtype;
  }
  const GraphSpecs specs =
      infer_graph(graph, known, Infer::kAll, {}, false, storage_of(graph, storage));
  const Graph::Nodes arguments = graph.arguments();
  const bool complete = specs.shapes_known() && specs.dtypes_known();
  VariableStorage gradients;
  if (complete) {
    std::vector<const GraphNode*> differentiated;
    for (size_t i = 0; i < arguments.size() && i < wanted.size(); ++i) {
      if (wanted[i]) differentiated.push_back(arguments[i]);
    }
    gradients = gradient_storage(graph, specs, differentiated);
  }
  const auto all_of = [&](const GraphNode* node) {
    const ArraySpec& spec = specs.of(node);
    const auto gradient = gradients.find(node);
    return py::make_tuple(spec.shape.known() ? known_shape(spec) : py::none(), known_dtype(spec),
                          storage_name(spec.storage),
                          gradient == gradients.end()
                              ? py::object(py::none())
                              : py::object(py::str(std::string(storage_name(gradient->second)))));
  };
  py::list args, states;
  for (const GraphNode* node : arguments) args.append(all_of(node));
  for (const GraphNode* node : graph.auxiliary_states()) states.append(all_of(node));
  return py::make_tuple(complete, args, states);
}

}  // namespace

void init_graph_inference(py::module_& m) {
  m.def("infer_to_bind", inferred_to_bind);
  m.def("infer_storage_types", inferred_storage);
  m.def("infer_shapes",
        [](const Graph& graph, const py::dict& given) { return inferred(graph, given, true); });
  // The number that stands for a dtype in files.
  m.def("dtype_flag",
        [](py::handle dtype) { return static_cast<int>(traits_of(as_dtype(dtype.ptr())).flag); });
  m.def("infer_dtypes",
        [](const Graph& graph, const py::dict& given) { return inferred(graph, given, false); });
}

}  // namespace mxtape::python

#include <pybind11/stl.h>

#include "op/invoke.h"
#include "op/registry.h"
#include "python/bind.h"
#include "python/ndarray_type.h"

// After Python.h, which pybind11 includes.
#include <structmember.h>

namespace py = pybind11;

// The Python type of operators. One object stands for one operator; calling it binds the arguments
// from the schema and invokes.
namespace mxtape::python {

struct PyOp {
  PyObject_HEAD vectorcallfunc vectorcall;
  const OpSchema* op;
  Binder* binder;
  PyObject* dict;
};

namespace {

PyTypeObject* op_type = nullptr;

PyObject* call_op(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* names) {
  const auto* callable = reinterpret_cast<PyOp*>(self);
  const OpSchema& op = *callable->op;
  try {
    BoundCall call;
    callable->binder->bind(args, static_cast<size_t>(PyVectorcall_NARGS(nargsf)), names, call);
    // Bound: nobody changes them from here on.
    const ParamsRef params = std::move(call.params);
    invoke(op, Inputs(call.inputs.data(), call.inputs.size()), params, call.outputs);
    if (call.out) {
      // The caller's own objects take the recorded results.
      for (size_t i = 0; i < call.out_arrays.size(); ++i) {
        adopt_edge(call.out_arrays[i].ptr(), call.outputs[i]);
      }
      Py_INCREF(call.out);
      return call.out;
    }
    if (call.outputs.size() == 1) return wrap(std::move(call.outputs[0]));
    py::list results(call.outputs.size());
    for (size_t i = 0; i < call.outputs.size(); ++i) {
      results[i] = wrap_object(std::move(call.outputs[i]));
    }
    return results.release().ptr();
  } catch (...) {
    return set_python_error();
  }
}

PyObject* bind_to_instance(PyObject* self, PyObject* instance, PyObject*) {
  if (!instance || instance == Py_None) {
    Py_INCREF(self);
    return self;
  }
  return PyMethod_New(self, instance);
}

PyObject* op_repr(PyObject* self) {
  return PyUnicode_FromFormat("<mxtape operator %s>",
                              reinterpret_cast<PyOp*>(self)->op->name.c_str());
}

PyMemberDef op_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(PyOp, vectorcall), READONLY, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(PyOp, dict), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};
// Text is made when somebody asks for it: a program that never looks pays nothing at import.
PyObject* describe_hook = nullptr;

PyObject* get_text(PyObject* self, void* what) {
  const auto* callable = reinterpret_cast<PyOp*>(self);
  return PyObject_CallFunction(describe_hook, "ss", callable->op->name.c_str(),
                               static_cast<const char*>(what));
}
PyObject* get_name(PyObject* self, void*) {
  return PyUnicode_FromString(reinterpret_cast<PyOp*>(self)->op->name.c_str());
}

char doc_text[] = "doc";
char signature_text[] = "signature";

PyGetSetDef op_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {"__doc__", get_text, nullptr, nullptr, doc_text},
    {"__signature__", get_text, nullptr, nullptr, signature_text},
    {"__name__", get_name, nullptr, nullptr, nullptr},
    {"__qualname__", get_name, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

void op_dealloc(PyObject* self) {
  auto* callable = reinterpret_cast<PyOp*>(self);
  PyTypeObject* type = Py_TYPE(self);
  delete callable->binder;
  Py_CLEAR(callable->dict);
  type->tp_free(self);
  Py_DECREF(type);
}

PyType_Slot op_slots[] = {
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_descr_get, reinterpret_cast<void*>(bind_to_instance)},
    {Py_tp_repr, reinterpret_cast<void*>(op_repr)},
    {Py_tp_dealloc, reinterpret_cast<void*>(op_dealloc)},
    {Py_tp_members, op_members},
    {Py_tp_getset, op_getset},
    {0, nullptr},
};
PyType_Spec op_spec = {
    "mxtape._core.Operator", sizeof(PyOp), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR, op_slots};

py::object make_op(const std::string& name) {
  PyObject* self = op_type->tp_alloc(op_type, 0);
  if (!self) throw py::error_already_set();
  auto* callable = reinterpret_cast<PyOp*>(self);
  callable->op = &find_op(name);
  callable->binder = new Binder(*callable->op);
  callable->vectorcall = call_op;
  return py::reinterpret_steal<py::object>(self);
}

// What Python makes signatures, pages and tests from.
py::dict describe_op(const std::string& name) {
  const OpSchema& op = find_op(name);
  py::dict info;
  info["name"] = op.name;
  info["aliases"] = op.aliases;
  info["doc"] = op.doc;
  info["example"] = op.example;
  py::list inputs;
  for (const InputSpec& input : op.inputs)
    inputs.append(py::make_tuple(input.name, input.optional));
  info["inputs"] = inputs;
  info["variadic"] = op.variadic;
  info["count_param"] = op.count_param;
  py::list params;
  if (op.params) {
    for (const ParamField& field : op.params->fields) {
      params.append(py::make_tuple(field.name, static_cast<int>(field.type), field.required,
                                   field.default_text, field.choices, field.doc));
    }
  }
  info["params"] = params;
  info["outputs"] = op.output_count || op.visible_count ? py::object(py::none())
                                                        : py::int_(op.count_visible(nullptr));
  info["has_gradient"] = op.vjp != nullptr;
  info["no_grad_reason"] = op.no_grad_reason;
  info["no_grad_inputs"] = std::vector<int>(op.no_grad_inputs.begin(), op.no_grad_inputs.end());
  info["auxiliary"] = std::vector<int>(op.auxiliary.begin(), op.auxiliary.end());
  info["mutates"] = op.mutates != nullptr;
  info["random"] = op.random;
  info["method"] = op.is_method;
  info["pointwise"] = op.is_pointwise();
  py::list samples;
  for (const SampleDomain& s : op.samples) samples.append(py::make_tuple(s.low, s.high));
  info["samples"] = samples;
  return info;
}

}  // namespace

void init_op_call(py::module_& m) {
  PyObject* type = PyType_FromSpec(&op_spec);
  if (!type) throw py::error_already_set();
  op_type = reinterpret_cast<PyTypeObject*>(type);
  m.attr("Operator") = py::reinterpret_borrow<py::object>(type);
  Registry::get().finish();
  m.def("make_op", make_op);
  m.def("describe_op", describe_op);
  // (label, name, is a method) for every name and alias, in one call: all that an import needs.
  m.def("op_labels", [] {
    std::vector<std::tuple<std::string, std::string, bool>> labels;
    for (const OpSchema* op : Registry::get().all()) {
      labels.emplace_back(op->name, op->name, op->is_method);
      for (const std::string& alias : op->aliases) {
        labels.emplace_back(alias, op->name, op->is_method);
      }
    }
    return labels;
  });
  m.def("op_names", [] {
    std::vector<std::string> names;
    for (const OpSchema* op : Registry::get().all()) names.push_back(op->name);
    return names;
  });
  m.def("binary_names", [] { return Registry::get().binary_names(); });
  // The names of a binary function's operators: of arrays, array and number, number and array.
  m.def("binary_forms", [](const std::string& name) {
    const BinaryForms& forms = find_binary(name);
    return py::make_tuple(forms.arrays->name, forms.scalar->name, forms.reversed->name);
  });
  m.def("set_describe_hook", [](py::object hook) { describe_hook = hook.release().ptr(); });
  m.def("set_null", [](py::object null) { Binder::set_null(null.release().ptr()); });
}

}  // namespace mxtape::python

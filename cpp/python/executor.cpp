#include "graph/executor.h"

#include <pybind11/stl.h>

#include "graph/cached_op.h"
#include "op/registry.h"
#include "python/gil.h"
#include "python/ndarray_type.h"

// After Python.h, which pybind11 includes.
#include <structmember.h>

namespace py = pybind11;

// The types _core.Executor, which mxtape.executor.Executor wraps, and _core.CachedOp.
namespace mxtape::python {
namespace {

using autograd::GradReq;

NDArray array_or_none(py::handle object, const char* what) {
  return object.is_none() ? NDArray() : as_array(object, what);
}

py::object array_object(const NDArray& array) {
  return array.defined() ? wrap_object(array.detached()) : py::none();
}

// Calls a function of Python's with the name and the value of each output, and of each input too
// where `inputs` is set.
class Monitor final : public Watch {
 public:
  Monitor(py::object callback, bool inputs) : callback_(std::move(callback)), inputs_(inputs) {}

  void before(const GraphNode& node, Inputs inputs) override {
    if (!inputs_) return;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const GraphNode& source = *node.inputs()[i].node;
      if (source.is_variable()) show(source.name(), inputs[i]);
      show(node.name() + "_" + node.op().input_name(i, node.params().get()), inputs[i]);
    }
  }
  void after(const GraphNode& node, std::span<const NDArray> outputs) override {
    for (size_t i = 0; i < outputs.size(); ++i) {
      show(node.output_name(static_cast<uint32_t>(i)), outputs[i]);
    }
  }
  // The node of a gradient has MXNet's name: fc_backward_output0.
  void gradients(const GraphNode& node, std::span<const NDArray> grads) override {
    const size_t count = grads.size() - node.op().auxiliary.size();
    for (size_t i = 0; i < grads.size(); ++i) {
      if (!grads[i].defined()) continue;
      show(node.name() + "_backward_output" + (count > 1 ? std::to_string(i) : ""), grads[i]);
    }
  }

 private:
  void show(const std::string& name, const NDArray& array) const {
    const autograd::StateScope quiet(false, autograd::is_training());
    const py::object text = py::str(name), value = array_object(array);
    const auto result = py::reinterpret_steal<py::object>(or_wait_for_exit([&] {
      return PyObject_CallFunctionObjArgs(callback_.ptr(), text.ptr(), value.ptr(), nullptr);
    }));
    if (!result) throw py::error_already_set();
  }

  py::object callback_;
  bool inputs_;
};

// Arguments and auxiliary states are given apart, each in the order of the graph.
std::unique_ptr<Executor> make_executor(const Graph& graph, const py::list& args,
                                        const py::list& grads, const std::vector<int>& reqs,
                                        const py::list& states) {
  auto program = make_ref<Program>(graph);
  std::vector<Executor::Binding> bindings;
  size_t arg = 0, state = 0;
  for (size_t i = 0; i < program->input_count(); ++i) {
    Executor::Binding binding;
    if (program->is_state(i)) {
      if (state < states.size()) binding.array = as_array(states[state], "aux_states");
      ++state;
    } else {
      if (arg < args.size()) binding.array = as_array(args[arg], "args");
      if (arg < grads.size()) binding.grad = array_or_none(grads[arg], "args_grad");
      if (arg < reqs.size()) binding.req = static_cast<GradReq>(reqs[arg]);
      ++arg;
    }
    bindings.push_back(std::move(binding));
  }
  return std::make_unique<Executor>(std::move(program), std::move(bindings));
}

void forward(Executor& executor, bool training, const py::object& callback, bool inputs) {
  if (callback.is_none()) return executor.forward(training);
  Monitor monitor(callback, inputs);
  executor.forward(training, &monitor);
}

void backward(Executor& executor, const py::list& head_grads, const py::object& callback) {
  std::vector<NDArray> heads;
  for (py::handle head : head_grads) heads.push_back(array_or_none(head, "out_grads"));
  if (callback.is_none()) return executor.backward(heads);
  Monitor monitor(callback, false);
  executor.backward(heads, &monitor);
}

py::list outputs_of(const Executor& executor) {
  py::list outputs;
  for (const NDArray& output : executor.outputs()) outputs.append(array_object(output));
  return outputs;
}

// ---- CachedOp: a type of its own, called without pybind11.

struct PyCachedOp {
  PyObject_HEAD vectorcallfunc vectorcall;
  Ref<const CachedOp> op;
  PyObject* hook;  // called with the name, the operator's name and the value of each output
  bool hook_inputs;
  PyObject* dict;
  PyObject* weakrefs;
};

// Shows what a graph computes to a function that register_op_hook was given.
class Hook final : public Watch {
 public:
  Hook(PyObject* callback, bool inputs)
      : callback_(py::reinterpret_borrow<py::object>(callback)), inputs_(inputs) {}

  void before(const GraphNode& node, Inputs inputs) override {
    for (size_t i = 0; inputs_ && i < inputs.size(); ++i) {
      show(node.name() + "_" + node.op().input_name(i, node.params().get()), node, inputs[i]);
    }
  }
  void after(const GraphNode& node, std::span<const NDArray> outputs) override {
    for (size_t i = 0; i < outputs.size(); ++i) {
      show(node.output_name(static_cast<uint32_t>(i)), node, outputs[i]);
    }
  }

 private:
  void show(const std::string& name, const GraphNode& node, const NDArray& array) const {
    const autograd::StateScope quiet(false, autograd::is_training());
    const py::object text = py::str(name), op = py::str(node.op().name);
    const py::object value = array_object(array);
    const auto result = py::reinterpret_steal<py::object>(or_wait_for_exit([&] {
      return PyObject_CallFunctionObjArgs(callback_.ptr(), text.ptr(), op.ptr(), value.ptr(),
                                          nullptr);
    }));
    if (!result) throw py::error_already_set();
  }

  py::object callback_;
  bool inputs_;
};

// The arrays in `out`: one, or a list or tuple of several.
void bind_outputs(PyObject* out, std::vector<py::object>& objects, Outputs& outputs) {
  if (is_ndarray(out)) {
    objects.push_back(py::reinterpret_borrow<py::object>(out));
  } else {
    if (!PyList_Check(out) && !PyTuple_Check(out)) {
      fail_as(ErrorKind::kType, "CachedOp: out must be an array or a list of arrays");
    }
    for (py::handle item : py::reinterpret_borrow<py::sequence>(out)) {
      as_array(item, "CachedOp: out");
      objects.push_back(py::reinterpret_borrow<py::object>(item));
    }
    if (objects.empty()) fail("CachedOp: out is an empty list");
  }
  for (const py::object& object : objects) outputs.push_back(array_of(object.ptr()));
}

PyObject* out_of(PyObject* const* values, PyObject* names) {
  PyObject* out = nullptr;
  for (Py_ssize_t i = 0; names && i < PyTuple_GET_SIZE(names); ++i) {
    PyObject* name = PyTuple_GET_ITEM(names, i);
    if (PyUnicode_CompareWithASCIIString(name, "out") != 0) {
      fail_as(ErrorKind::kType, "CachedOp: unexpected keyword argument ",
              std::string(py::str(py::handle(name))));
    }
    out = values[i];
  }
  return out == Py_None ? nullptr : out;
}

PyObject* call_cached(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* names) {
  const auto* callable = reinterpret_cast<PyCachedOp*>(self);
  try {
    if (!callable->op) fail("CachedOp: the object was not initialised");
    const auto count = static_cast<size_t>(PyVectorcall_NARGS(nargsf));
    SmallVector<const NDArray*, 16> inputs;
    for (size_t i = 0; i < count; ++i) inputs.push_back(&as_array(args[i], "CachedOp: inputs"));
    std::vector<py::object> given;
    Outputs outputs;
    PyObject* out = out_of(args + count, names);
    if (out) bind_outputs(out, given, outputs);
    const Ref<const CachedOp> op = callable->op;
    const Inputs arrays(inputs.data(), inputs.size());
    if (callable->hook) {
      Hook hook(callable->hook, callable->hook_inputs);
      op->call(arrays, outputs, &hook);
    } else {
      op->call(arrays, outputs);
    }
    if (out) {
      for (size_t i = 0; i < given.size(); ++i) adopt_edge(given[i].ptr(), outputs[i]);
      Py_INCREF(out);
      return out;
    }
    if (outputs.size() == 1) return wrap(std::move(outputs[0]));
    py::list results(outputs.size());
    for (size_t i = 0; i < outputs.size(); ++i) results[i] = wrap_object(std::move(outputs[i]));
    return results.release().ptr();
  } catch (...) {
    return set_python_error();
  }
}

PyObject* new_cached(PyTypeObject* type, PyObject* args, PyObject*) {
  try {
    PyObject* graph = nullptr;
    if (!PyArg_UnpackTuple(args, "CachedOp", 1, 1, &graph)) return nullptr;
    auto made = make_ref<CachedOp>(py::cast<const Graph&>(py::handle(graph)));
    PyObject* self = type->tp_alloc(type, 0);
    if (!self) return nullptr;
    auto* callable = reinterpret_cast<PyCachedOp*>(self);
    callable->vectorcall = call_cached;
    new (&callable->op) Ref<const CachedOp>(std::move(made));
    return self;
  } catch (...) {
    return set_python_error();
  }
}

PyObject* set_hook(PyObject* self, PyObject* args) {
  PyObject* callback = nullptr;
  int inputs = 0;
  if (!PyArg_ParseTuple(args, "Op", &callback, &inputs)) return nullptr;
  auto* callable = reinterpret_cast<PyCachedOp*>(self);
  PyObject* old = callable->hook;
  Py_INCREF(callback);
  callable->hook = callback;
  callable->hook_inputs = inputs != 0;
  Py_XDECREF(old);
  Py_RETURN_NONE;
}

int traverse_cached(PyObject* self, visitproc visit, void* arg) {
  auto* callable = reinterpret_cast<PyCachedOp*>(self);
  Py_VISIT(callable->hook);
  Py_VISIT(callable->dict);
  Py_VISIT(Py_TYPE(self));
  return 0;
}

int clear_cached(PyObject* self) {
  auto* callable = reinterpret_cast<PyCachedOp*>(self);
  Py_CLEAR(callable->hook);
  Py_CLEAR(callable->dict);
  return 0;
}

void dealloc_cached(PyObject* self) {
  PyObject_GC_UnTrack(self);
  auto* callable = reinterpret_cast<PyCachedOp*>(self);
  if (callable->weakrefs) PyObject_ClearWeakRefs(self);
  clear_cached(self);
  callable->op.~Ref();
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyMemberDef cached_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(PyCachedOp, vectorcall), READONLY, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(PyCachedOp, dict), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(PyCachedOp, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};
PyMethodDef cached_methods[] = {
    {"_set_hook", set_hook, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyType_Slot cached_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(new_cached)},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc_cached)},
    {Py_tp_traverse, reinterpret_cast<void*>(traverse_cached)},
    {Py_tp_clear, reinterpret_cast<void*>(clear_cached)},
    {Py_tp_members, cached_members},
    {Py_tp_methods, cached_methods},
    {0, nullptr},
};
PyType_Spec cached_spec = {
    "mxtape._core.CachedOp", sizeof(PyCachedOp), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    cached_slots};

}  // namespace

void init_executor(py::module_& m) {
  PyObject* type = PyType_FromSpec(&cached_spec);
  if (!type) throw py::error_already_set();
  m.attr("CachedOp") = py::reinterpret_steal<py::object>(type);
  py::class_<Executor>(m, "Executor")
      .def(py::init(&make_executor))
      .def("forward", forward)
      .def("backward", backward)
      .def("outputs", outputs_of);
}

}  // namespace mxtape::python

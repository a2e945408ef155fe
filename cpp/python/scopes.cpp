#include "autograd/recorder.h"
#include "core/small_vector.h"
#include "python/ndarray_type.h"

// After Python.h, which pybind11 includes.
#include <new>
#include <optional>
#include <utility>

namespace py = pybind11;

// The type _core.StateScope, of what record() and pause() return. Entering and leaving are each one
// call that runs no Python code: a signal, whose handler the interpreter calls between its
// instructions, finds the flags set together with what they go back to, or not set.
namespace mxtape::python {
namespace {

using autograd::Mode;

struct FlagScope {
  // By the address of its thread's mode.
  struct Entry {
    const Mode* thread;
    Mode before;
  };

  std::optional<bool> recording, training;  // empty: stays as it is
  // Entered and not left, in any thread: the same object may be entered again inside itself.
  SmallVector<Entry, 1> entered;

  void enter() {
    Mode& mode = autograd::thread_mode();
    entered.push_back({&mode, mode});
    mode = {recording.value_or(mode.recording), training.value_or(mode.training), false,
            mode.packs};
  }

  bool leave() {
    Mode& mode = autograd::thread_mode();
    size_t at = entered.size();
    while (at > 0 && entered[at - 1].thread != &mode) --at;
    if (at == 0) return false;
    const Mode before = entered[at - 1].before;
    for (; at < entered.size(); ++at) entered[at - 1] = entered[at];
    entered.resize(entered.size() - 1);
    if (recording) mode.recording = before.recording;
    if (training) mode.training = before.training;
    return true;
  }
};

struct PyFlagScope {
  PyObject_HEAD FlagScope scope;
};
FlagScope& scope_of(PyObject* self) { return reinterpret_cast<PyFlagScope*>(self)->scope; }

PyObject* new_scope(PyTypeObject* type, PyObject*, PyObject*) {
  PyObject* self = type->tp_alloc(type, 0);
  if (self) new (&scope_of(self)) FlagScope;
  return self;
}

// StateScope(recording, training): True, False, or None for a flag that stays as it is.
int init_scope(PyObject* self, PyObject* args, PyObject*) {
  PyObject* flags[2];
  if (!PyArg_UnpackTuple(args, "StateScope", 2, 2, &flags[0], &flags[1])) return -1;
  std::optional<bool> values[2];
  for (int i = 0; i < 2; ++i) {
    if (flags[i] == Py_None) continue;
    const int on = PyObject_IsTrue(flags[i]);
    if (on < 0) return -1;
    values[i] = on != 0;
  }
  scope_of(self).recording = values[0];
  scope_of(self).training = values[1];
  return 0;
}

// From Python 3.14 on a signal may end a `with` statement between __enter__ and the block. The
// exception that it raises drops the scope, which goes back to what was before.
void dealloc_scope(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  while (PyErr_Occurred() && scope_of(self).leave()) {
  }
  scope_of(self).~FlagScope();
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* enter_scope(PyObject* self, PyObject*) {
  try {
    scope_of(self).enter();
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  }
  Py_INCREF(self);
  return self;
}

PyObject* leave_scope(PyObject* self, PyObject*) {
  if (scope_of(self).leave()) Py_RETURN_NONE;
  PyErr_SetString(PyExc_RuntimeError, "the scope is left in a thread that has not entered it");
  return nullptr;
}

PyMethodDef scope_methods[] = {
    {"__enter__", enter_scope, METH_NOARGS, "__enter__(self)\n--\n\nSets the flags."},
    {"__exit__", leave_scope, METH_VARARGS,
     "__exit__(self, ptype, value, trace)\n--\n\nSets them to what they were."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot scope_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(new_scope)},
    {Py_tp_init, reinterpret_cast<void*>(init_scope)},
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc_scope)},
    {Py_tp_methods, scope_methods},
    {0, nullptr},
};

PyType_Spec scope_spec = {"mxtape._core.StateScope", sizeof(PyFlagScope), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, scope_slots};

}  // namespace

void init_scopes(py::module_& m) {
  PyObject* type = PyType_FromSpec(&scope_spec);
  if (!type) throw py::error_already_set();
  m.attr("StateScope") = py::reinterpret_steal<py::object>(type);
}

}  // namespace mxtape::python

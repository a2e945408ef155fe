#pragma once

// Before the standard headers.
#include <pybind11/pybind11.h>

#include <cxxabi.h>
#include <unistd.h>

// The interpreter's lock. Python, while it ends, ends every other thread that asks for the lock: up
// to 3.13 by pthread_exit, which unwinds the stack through destructors that may not throw, or that
// touch Python's objects without the lock. From 3.14 on Python has such a thread wait for the end
// of the process. Here a thread does that under every version.
namespace mxtape::python {

[[noreturn, gnu::cold]] inline void wait_for_exit() {
  for (;;) pause();
}

// Calls f(), which runs Python code or takes the lock, where C++ must not be unwound by
// pthread_exit. What f() makes of Python's objects should be made before: its own frame is unwound.
template <class F>
decltype(auto) or_wait_for_exit(F&& f) {
#ifdef __GLIBCXX__
  try {
    return f();
  } catch (abi::__forced_unwind&) {
    wait_for_exit();
  }
#else
  return f();
#endif
}

inline void take_gil(PyThreadState* state) {
  or_wait_for_exit([&] { PyEval_RestoreThread(state); });
}

// Gives the lock up for a scope.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() { take_gil(state_); }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

// Has the lock for a scope, whether the thread has it already or not.
class WithGil {
 public:
  WithGil() : state_(or_wait_for_exit(PyGILState_Ensure)) {}
  ~WithGil() { PyGILState_Release(state_); }
  WithGil(const WithGil&) = delete;
  WithGil& operator=(const WithGil&) = delete;

 private:
  PyGILState_STATE state_;
};

// Drops a reference from any thread, whether it holds the lock or not.
inline void drop_object(PyObject* object) noexcept {
  if (!Py_IsInitialized() && !PyGILState_Check()) wait_for_exit();
  or_wait_for_exit([&] {
    const PyGILState_STATE state = PyGILState_Ensure();
    Py_DECREF(object);
    PyGILState_Release(state);
  });
}

}  // namespace mxtape::python

#include "autograd/node.h"
#include "python/gil.h"
#include "python/ndarray_type.h"

// After Python.h, which pybind11 includes.
#include <frameobject.h>
#include <string>
#include <vector>

namespace py = pybind11;

// Where in the user's program a node was recorded: the code object and the position of the nearest
// frame that is not mxtape's own.
namespace mxtape::python {
namespace {

std::string* package_directory = nullptr;

// The file names of mxtape's code and of the user's, told apart once each: all functions of a file
// share one name object.
struct KnownFile {
  PyObject* name;
  bool is_library;
};
std::vector<KnownFile>* known_files = nullptr;
constexpr size_t kKnownFiles = 64;

bool is_library(PyCodeObject* code) {
  for (const KnownFile& file : *known_files) {
    if (file.name == code->co_filename) return file.is_library;
  }
  Py_ssize_t size;
  const char* text = PyUnicode_AsUTF8AndSize(code->co_filename, &size);
  if (!text) {
    PyErr_Clear();
    return false;
  }
  const bool library =
      std::string_view(text, static_cast<size_t>(size)).starts_with(*package_directory);
  if (known_files->size() == kKnownFiles) {
    Py_DECREF(known_files->back().name);
    known_files->pop_back();
  }
  Py_INCREF(code->co_filename);
  known_files->insert(known_files->begin(), {code->co_filename, library});
  return library;
}

autograd::Site site_of(PyFrameObject* frame, PyCodeObject* code) {
#if PY_VERSION_HEX >= 0x030B0000
  return {code, PyFrame_GetLasti(frame)};
#else
  return {code, PyFrame_GetLineNumber(frame)};
#endif
}

autograd::Site capture() {
  PyFrameObject* frame = PyEval_GetFrame();
  if (!frame) return {};
  Py_INCREF(frame);
  for (;;) {
    PyCodeObject* code = PyFrame_GetCode(frame);
    if (!is_library(code)) {
      const autograd::Site site = site_of(frame, code);
      Py_DECREF(frame);
      return site;
    }
    PyFrameObject* back = PyFrame_GetBack(frame);
    if (!back) {
      const autograd::Site site = site_of(frame, code);
      Py_DECREF(frame);
      return site;
    }
    Py_DECREF(code);
    Py_DECREF(frame);
    frame = back;
  }
}

void release(autograd::Site site) { Py_DECREF(static_cast<PyObject*>(site.code)); }

std::string describe(autograd::Site site) {
  auto* code = static_cast<PyCodeObject*>(site.code);
#if PY_VERSION_HEX >= 0x030B0000
  const int line = PyCode_Addr2Line(code, site.position);
#else
  const int line = site.position;
#endif
  return std::string(py::str(code->co_filename)) + ":" + std::to_string(line);
}

// How many frames there are up to the nearest one that is not mxtape's own, with that.
Py_ssize_t depth_of_user() {
  PyFrameObject* frame = PyEval_GetFrame();
  Py_XINCREF(frame);
  Py_ssize_t depth = 1;
  while (frame) {
    PyCodeObject* code = PyFrame_GetCode(frame);
    const bool ours = is_library(code);
    Py_DECREF(code);
    PyFrameObject* back = ours ? PyFrame_GetBack(frame) : nullptr;
    Py_DECREF(frame);
    depth += back != nullptr;
    frame = back;
  }
  return depth;
}

void warn_stale(const std::string& message) {
  static PyObject* category = nullptr;
  if (!category) {
    category =
        py::object(py::module_::import("mxtape.base").attr("StaleArrayWarning")).release().ptr();
  }
  const Py_ssize_t depth = depth_of_user();
  if (or_wait_for_exit([&] { return PyErr_WarnEx(category, message.c_str(), depth); }) < 0) {
    throw py::error_already_set();
  }
}

}  // namespace

void init_sites(py::module_& m) {
  package_directory = new std::string;
  known_files = new std::vector<KnownFile>;
  m.def("set_package_directory", [](const std::string& directory) {
    *package_directory = directory;
    autograd::set_site_hooks({capture, release, describe});
  });
  m.def("set_stale_mode", [](const std::string& mode) {
    if (mode != "warn" && mode != "error" && mode != "off") {
      fail_as(ErrorKind::kValue, "MXTAPE_STALE must be warn, error or off; it is '", mode, "'");
    }
    autograd::set_stale_mode(mode == "warn"    ? autograd::StaleMode::kWarn
                             : mode == "error" ? autograd::StaleMode::kError
                                               : autograd::StaleMode::kOff,
                             warn_stale);
  });
}

}  // namespace mxtape::python

#include <pybind11/numpy.h>

#include <array>
#include <cstring>
#include <unordered_map>

#include "python/ndarray_type.h"
#include "runtime/fusion.h"

namespace py = pybind11;

// The border to NumPy: dtypes, copies in and out, and memory shared with an array of NumPy's.
namespace mxtape::python {
namespace {

std::array<PyObject*, kDTypeCount> numpy_types;
// Every object seen as a dtype so far: types and names recur, so each is looked at by NumPy once.
std::unordered_map<PyObject*, DType>* known_dtypes = nullptr;

py::dtype numpy_dtype(DType dtype) { return py::dtype(std::string(dtype_name(dtype))); }

void release_object(void* context) {
  const PyGILState_STATE state = PyGILState_Ensure();
  Py_DECREF(static_cast<PyObject*>(context));
  PyGILState_Release(state);
}

Shape shape_of(const py::array& array) {
  Shape shape(static_cast<int>(array.ndim()), 0);
  for (int i = 0; i < shape.ndim(); ++i) shape[i] = array.shape(i);
  return shape;
}

// A copy of `source`, which is C-contiguous and of one of our dtypes.
py::object from_numpy_copy(const py::array& source) {
  const NDArray array = NDArray::empty(shape_of(source), as_dtype(source.dtype().ptr()));
  std::memcpy(array.bytes(), source.data(), array.nbytes());
  return wrap_object(array);
}

// An array that reads and writes the memory of `source` and keeps it alive.
py::object from_numpy_shared(const py::array& source) {
  const DType dtype = as_dtype(source.dtype().ptr());
  const Shape shape = shape_of(source);
  const size_t nbytes = static_cast<size_t>(shape.size()) * item_size(dtype);
  Py_INCREF(source.ptr());
  return wrap_object(NDArray(
      Storage::borrow(const_cast<void*>(source.data()), nbytes, release_object, source.ptr()), 0,
      shape, dtype));
}

py::array as_numpy(py::handle self) {
  const NDArray& array = as_array(self);
  py::array result(numpy_dtype(array.dtype()),
                   std::vector<py::ssize_t>(array.shape().begin(), array.shape().end()));
  if (array.size()) std::memcpy(result.mutable_data(), array.bytes(), array.nbytes());
  return result;
}

// Calls `writer` with a NumPy array that shares the array's memory, for assignment by NumPy's
// rules.
void write(py::handle self, const py::function& writer) {
  const NDArray array = as_array(self);
  fusion::before_write(array);
  Storage* storage = array.storage().get();
  storage->ref();
  const py::capsule owner(storage, [](void* p) { static_cast<Storage*>(p)->unref(); });
  const py::array shared(numpy_dtype(array.dtype()),
                         std::vector<py::ssize_t>(array.shape().begin(), array.shape().end()),
                         array.bytes(), owner);
  storage->bump_version();
  writer(shared);
}

}  // namespace

PyObject* numpy_type(DType dtype) { return numpy_types[static_cast<size_t>(dtype)]; }

DType as_dtype(PyObject* object) {
  if (const auto known = known_dtypes->find(object); known != known_dtypes->end()) {
    return known->second;
  }
  std::string name;
  try {
    name = py::str(py::dtype::from_args(py::reinterpret_borrow<py::object>(object)).attr("name"));
  } catch (py::error_already_set&) {
    fail_as(ErrorKind::kType, "not a data type: ", std::string(py::repr(object)));
  }
  for (const DTypeTraits& traits : kDTypeTraits) {
    if (traits.name == name) {
      if (PyType_Check(object)) {
        Py_INCREF(object);
        known_dtypes->emplace(object, traits.dtype);
      }
      return traits.dtype;
    }
  }
  fail_as(ErrorKind::kType, "data type ", name,
          " is not supported; use float16, float32, float64, uint8, int8, int32, int64 or bool");
}

void init_numpy(py::module_& m) {
  known_dtypes = new std::unordered_map<PyObject*, DType>;
  const py::module_ numpy = py::module_::import("numpy");
  for (const DTypeTraits& traits : kDTypeTraits) {
    // NumPy 1 has bool_ alone, NumPy 2 both.
    const std::string name(traits.dtype == DType::kBool ? "bool_" : traits.name);
    PyObject* type = py::object(numpy.attr(name.c_str())).release().ptr();
    numpy_types[static_cast<size_t>(traits.dtype)] = type;
    known_dtypes->emplace(type, traits.dtype);
  }
  m.def("from_numpy_copy", from_numpy_copy);
  m.def("from_numpy_shared", from_numpy_shared);
  m.def("as_numpy", as_numpy);
  m.def("write", write);
}

}  // namespace mxtape::python

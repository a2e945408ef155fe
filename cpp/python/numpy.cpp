#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <cstring>
#include <unordered_map>

#include "autograd/recorder.h"
#include "op/sparse.h"
#include "python/gil.h"
#include "python/ndarray_type.h"
#include "runtime/fusion.h"
#include "runtime/widen.h"

namespace py = pybind11;

// The border to NumPy: dtypes, copies in and out, and memory shared with an array of NumPy's.
namespace mxtape::python {
namespace {

std::array<PyObject*, kDTypeCount> numpy_types;
// Every object seen as a dtype so far: types and names recur, so each is looked at by NumPy once.
std::unordered_map<PyObject*, DType>* known_dtypes = nullptr;

// NumPy has bfloat16 where ml_dtypes is installed. Else it is what MXNet 1.9.1 calls it by, a
// structure that holds the bits.
py::object bfloat16_type() {
  try {
    return py::module_::import("ml_dtypes").attr("bfloat16");
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_ImportError)) throw;
  }
  py::list fields;
  fields.append(py::make_tuple("bfloat16", "uint16"));
  return py::dtype::from_args(fields);
}

py::dtype numpy_dtype(DType dtype) {
  if (dtype != DType::kBfloat16) return py::dtype(std::string(dtype_name(dtype)));
  PyObject* type = numpy_type(dtype);
  if (!PyType_Check(type)) {
    fail("NumPy has no bfloat16: install ml_dtypes, or go by way of astype('float32')");
  }
  return py::dtype::from_args(py::reinterpret_borrow<py::object>(type));
}

bool is_bfloat16_structure(const py::dtype& dtype) {
  const py::object names = dtype.attr("names");
  return !names.is_none() && py::len(names) == 1 && dtype.itemsize() == 2 &&
         std::string(py::str(names[py::int_(0)])) == "bfloat16";
}

void release_object(void* context) { drop_object(static_cast<PyObject*>(context)); }

Shape shape_of(const py::array& array) {
  Shape shape(static_cast<int>(array.ndim()), 0);
  for (int i = 0; i < shape.ndim(); ++i) shape[i] = array.shape(i);
  return shape;
}

// `source` with its elements in row-major order and the processor's byte order, where they can be
// copied as bytes.
py::array plain_array(const py::array& source) {
  constexpr int kPlain = int{py::array::c_style} | int{py::detail::npy_api::NPY_ARRAY_ALIGNED_};
  const py::dtype dtype = source.dtype();
  if ((source.flags() & kPlain) == kPlain && py::cast<bool>(dtype.attr("isnative"))) return source;
  return source.attr("astype")(dtype.attr("newbyteorder")("="), "C");
}

// A copy of `given`, whose dtype is one of ours.
py::object from_numpy_copy(const py::array& given) {
  const py::array source = plain_array(given);
  const NDArray array = NDArray::empty(shape_of(source), as_dtype(source.dtype().ptr()));
  std::memcpy(array.bytes(), source.data(), array.nbytes());
  return wrap_object(array);
}

// An array that reads and writes the memory of `source`, which is plain, and keeps it alive.
py::object from_numpy_shared(const py::array& source) {
  const DType dtype = as_dtype(source.dtype().ptr());
  const Shape shape = shape_of(source);
  const size_t nbytes = static_cast<size_t>(shape.size()) * item_size(dtype);
  Py_INCREF(source.ptr());
  return wrap_object(NDArray(
      Storage::borrow(const_cast<void*>(source.data()), nbytes, release_object, source.ptr()), 0,
      shape, dtype));
}

NDArray in_memory(const NDArray& array) {
  if (!is_sparse(array)) return array;
  const autograd::StateScope quiet(false, autograd::is_training());
  return in_dense(array.detached());
}

// With `plain`, bfloat16 comes as float32, which NumPy computes with and prints.
py::array as_numpy(py::handle self, bool plain) {
  const NDArray given = in_memory(as_array(self));
  const NDArray array = plain && is_storage_only(given.dtype()) ? widened(given) : given;
  py::array result(numpy_dtype(array.dtype()),
                   std::vector<py::ssize_t>(array.shape().begin(), array.shape().end()));
  if (array.size()) std::memcpy(result.mutable_data(), array.bytes(), array.nbytes());
  return result;
}

// Notes what `written` gives, a list of (begin, end, step, width) in elements of `array`.
void mark_written(const NDArray& array, const py::function& written) {
  if (!array.storage()->saved()) return array.storage()->bump_version();
  std::vector<WrittenBytes> parts;
  const size_t size = item_size(array.dtype());
  for (const py::handle item : written()) {
    const auto [begin, end, step, width] = py::cast<std::array<size_t, 4>>(item);
    const auto offset = static_cast<size_t>(array.byte_offset());
    parts.push_back({offset + begin * size, offset + end * size, step * size, width * size});
  }
  array.storage()->bump_version(parts);
}

// Calls `writer` with a NumPy array that shares the array's memory, for assignment by NumPy's
// rules.
void write(py::handle self, const py::function& writer, const py::function& written) {
  const NDArray array = as_array(self);
  fusion::before_write(array);
  Storage* storage = array.storage().get();
  storage->ref();
  const py::capsule owner(storage, [](void* p) { static_cast<Storage*>(p)->unref(); });
  const py::array shared(numpy_dtype(array.dtype()),
                         std::vector<py::ssize_t>(array.shape().begin(), array.shape().end()),
                         array.bytes(), owner);
  const py::object done = py::reinterpret_steal<py::object>(or_wait_for_exit(
      [&] { return PyObject_CallFunctionObjArgs(writer.ptr(), shared.ptr(), nullptr); }));
  if (!done) throw py::error_already_set();
  mark_written(array, written);
}

}  // namespace

PyObject* numpy_type(DType dtype) {
  PyObject*& type = numpy_types[static_cast<size_t>(dtype)];
  if (!type) type = bfloat16_type().release().ptr();  // ml_dtypes is imported when it is needed
  return type;
}

namespace {

std::string name_of_numpy_dtype(PyObject* object) {
  try {
    const py::dtype dtype = py::dtype::from_args(py::reinterpret_borrow<py::object>(object));
    if (is_bfloat16_structure(dtype)) return "bfloat16";
    return py::str(dtype.attr("name"));
  } catch (py::error_already_set&) {
    fail_as(ErrorKind::kType, "not a data type: ", std::string(py::repr(object)));
  }
}

std::string dtype_names() {
  std::string names;
  for (const DTypeTraits& traits : kDTypeTraits) {
    if (!names.empty()) names += &traits == &kDTypeTraits.back() ? " or " : ", ";
    names += traits.name;
  }
  return names;
}

}  // namespace

DType as_dtype(PyObject* object) {
  if (const auto known = known_dtypes->find(object); known != known_dtypes->end()) {
    return known->second;
  }
  std::string name;
  if (PyUnicode_Check(object)) name = py::reinterpret_borrow<py::str>(object);
  // Names first: NumPy does not know bfloat16.
  for (int pass = 0; pass < 2; ++pass) {
    for (const DTypeTraits& traits : kDTypeTraits) {
      if (traits.name != name) continue;
      if (PyType_Check(object)) {
        Py_INCREF(object);
        known_dtypes->emplace(object, traits.dtype);
      }
      return traits.dtype;
    }
    if (pass == 0) name = name_of_numpy_dtype(object);
  }
  fail_as(ErrorKind::kType, "data type ", name, " is not supported; use ", dtype_names());
}

void init_numpy(py::module_& m) {
  known_dtypes = new std::unordered_map<PyObject*, DType>;
  const py::module_ numpy = py::module_::import("numpy");
  for (const DTypeTraits& traits : kDTypeTraits) {
    if (traits.dtype == DType::kBfloat16) continue;
    // NumPy 1 has bool_ alone, NumPy 2 both.
    const std::string name(traits.dtype == DType::kBool ? "bool_" : traits.name);
    PyObject* type = py::object(numpy.attr(name.c_str())).release().ptr();
    numpy_types[static_cast<size_t>(traits.dtype)] = type;
    known_dtypes->emplace(type, traits.dtype);
  }
  m.def("from_numpy_copy", from_numpy_copy);
  m.def("from_numpy_shared", from_numpy_shared);
  m.def("as_numpy", as_numpy, py::arg("array"), py::arg("plain") = false);
  m.def("dtype_name",
        [](py::handle object) { return std::string(dtype_name(as_dtype(object.ptr()))); });
  m.def("write", write);
}

}  // namespace mxtape::python

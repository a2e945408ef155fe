#include <pybind11/stl.h>

#include "io/dlpack.h"
#include "io/params_file.h"
#include "python/gil.h"
#include "python/ndarray_type.h"
#include "runtime/fusion.h"

namespace py = pybind11;

// Files of arrays, and DLPack capsules.
namespace mxtape::python {
namespace {

py::tuple wrap_loaded(io::NamedArrays loaded) {
  py::list arrays, names;
  for (NDArray& array : loaded.arrays) arrays.append(wrap_object(std::move(array)));
  for (const std::string& name : loaded.names) {
    PyObject* text =
        PyUnicode_DecodeUTF8(name.data(), static_cast<Py_ssize_t>(name.size()), "surrogateescape");
    if (!text) throw py::error_already_set();
    names.append(py::reinterpret_steal<py::object>(text));
  }
  return py::make_tuple(arrays, names);
}

py::tuple load_file(const std::string& path) {
  io::NamedArrays loaded;
  {
    const WithoutGil release;
    loaded = io::load_arrays(path);
  }
  return wrap_loaded(std::move(loaded));
}

py::tuple load_bytes(const py::bytes& buffer) {
  const std::string_view bytes = buffer;
  return wrap_loaded(io::load_arrays(bytes.data(), bytes.size(), "the buffer"));
}

void save_file(const std::string& path, const py::list& list,
               const std::vector<std::string>& names) {
  std::vector<NDArray> arrays;
  for (const py::handle item : list) arrays.push_back(as_array(item).detached());
  const WithoutGil release;
  io::save_arrays(path, arrays, names);
}

template <class Managed>
constexpr const char* kCapsuleName = "dltensor";
template <>
constexpr const char* kCapsuleName<io::DLManagedTensorVersioned> = "dltensor_versioned";

template <class Managed>
constexpr const char* kUsedName = "used_dltensor";
template <>
constexpr const char* kUsedName<io::DLManagedTensorVersioned> = "used_dltensor_versioned";

template <class Managed>
void drop_capsule(PyObject* capsule) {
  // One that was consumed has another name, and its consumer deletes the tensor.
  if (!PyCapsule_IsValid(capsule, kCapsuleName<Managed>)) return;
  auto* tensor = static_cast<Managed*>(PyCapsule_GetPointer(capsule, kCapsuleName<Managed>));
  tensor->deleter(tensor);
}

template <class Managed>
py::object make_capsule(Managed* tensor) {
  PyObject* capsule = PyCapsule_New(tensor, kCapsuleName<Managed>, drop_capsule<Managed>);
  if (!capsule) {
    tensor->deleter(tensor);
    throw py::error_already_set();
  }
  return py::reinterpret_steal<py::object>(capsule);
}

// A capsule for one consumer, who may write when `write` is set.
py::object to_capsule(py::handle x, bool write, bool versioned) {
  const NDArray& array = as_array(x);
  // Who gets the memory may write to it, now or later.
  fusion::before_write(array);
  array.storage()->set_lent();
  if (write) array.mark_written();
  return versioned ? make_capsule(io::to_dlpack_versioned(array))
                   : make_capsule(io::to_dlpack(array));
}

template <class Managed>
py::object consume(PyObject* capsule) {
  auto* tensor = static_cast<Managed*>(PyCapsule_GetPointer(capsule, kCapsuleName<Managed>));
  NDArray array = io::from_dlpack(tensor);
  if (PyCapsule_SetName(capsule, kUsedName<Managed>) != 0) throw py::error_already_set();
  return wrap_object(std::move(array));
}

py::object from_capsule(py::handle capsule) {
  PyObject* object = capsule.ptr();
  if (PyCapsule_IsValid(object, kCapsuleName<io::DLManagedTensor>)) {
    return consume<io::DLManagedTensor>(object);
  }
  if (PyCapsule_IsValid(object, kCapsuleName<io::DLManagedTensorVersioned>)) {
    return consume<io::DLManagedTensorVersioned>(object);
  }
  fail_as(ErrorKind::kAssertion,
          "from_dlpack: expected an object with __dlpack__ or a DLPack capsule that nobody has "
          "consumed, got ",
          std::string(py::repr(capsule)));
}

}  // namespace

void init_io(py::module_& m) {
  m.def("load_file", load_file);
  m.def("load_bytes", load_bytes);
  m.def("save_file", save_file);
  m.def("to_dlpack", to_capsule);
  m.def("from_dlpack", from_capsule);
}

}  // namespace mxtape::python

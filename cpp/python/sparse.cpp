#include "core/sparse.h"

#include <pybind11/stl.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "op/sparse.h"
#include "python/ndarray_type.h"

namespace py = pybind11;

// The border of sparse arrays: what mxtape/ndarray/sparse.py is made of.
namespace mxtape::python {
namespace {

PyTypeObject *row_sparse_class = nullptr, *csr_class = nullptr;

StorageType as_storage_type(const std::string& name) {
  for (const StorageType type : {StorageType::kRowSparse, StorageType::kCsr}) {
    if (name == storage_name(type)) return type;
  }
  fail_as(ErrorKind::kValue, "storage type must be 'row_sparse' or 'csr', got '", name, "'");
}

Shape as_shape(const std::vector<int64_t>& dims) {
  for (const int64_t extent : dims) {
    if (extent < 0) fail_as(ErrorKind::kValue, "a sparse array: negative extent ", extent);
  }
  return Shape{std::span<const int64_t>(dims)};
}

// An array of parts that nobody else may write to. `indptr` is None where there is none.
py::object make(const std::string& what, const std::string& stype, const std::vector<int64_t>& dims,
                py::handle data, py::handle indices, py::handle indptr) {
  const StorageType type = as_storage_type(stype);
  const Shape shape = as_shape(dims);
  SparseParts parts{as_array(data, "data").detached(), as_array(indices, "indices").detached(), {}};
  if (!indptr.is_none()) parts.indptr = as_array(indptr, "indptr").detached();
  check_parts(what, type, shape, parts);
  return wrap_object(make_sparse(type, shape, std::move(parts)));
}

py::object from_coordinates(const std::string& what, const std::vector<int64_t>& dims,
                            py::handle data, py::handle row, py::handle column) {
  const Shape shape = as_shape(dims);
  check_shape(what, StorageType::kCsr, shape);
  SparseParts parts = csr_from_coordinates(what, shape, as_array(data).detached(),
                                           as_array(row).detached(), as_array(column).detached());
  return wrap_object(make_sparse(StorageType::kCsr, shape, std::move(parts)));
}

const NDArray& as_sparse(py::handle object, const char* what) {
  const NDArray& array = as_array(object, what);
  if (!is_sparse(array)) fail_as(ErrorKind::kType, what, ": expected a sparse array");
  return array;
}

// The parts themselves, for reading: (data, indices), and indptr of csr.
py::tuple parts(py::handle x) {
  SparseParts made = parts_of(as_sparse(x, "a sparse array"));
  const bool csr = made.indptr.defined();
  py::list list;
  list.append(wrap_object(std::move(made.data)));
  list.append(wrap_object(std::move(made.indices)));
  if (csr) list.append(wrap_object(std::move(made.indptr)));
  return py::tuple(list);
}

// Has `x` made of the parts of `like`, a sparse array of its shape, dtype and storage type.
void set_parts(py::handle x, py::handle like) {
  const NDArray &target = as_sparse(x, "a sparse array"), &source = as_sparse(like, "its parts");
  if (target.shape() != source.shape() || target.dtype() != source.dtype() ||
      storage_type(target) != storage_type(source)) {
    fail("a sparse array of shape ", target.shape(), " and dtype ", target.dtype(),
         " cannot be made of the parts of one of shape ", source.shape(), " and dtype ",
         source.dtype());
  }
  replace_parts(target, parts_of(source));
}

bool any_sparse(const py::args& lists) {
  for (const py::handle list : lists) {
    const py::object items =
        py::reinterpret_steal<py::object>(PySequence_Fast(list.ptr(), "expected lists of arrays"));
    if (!items) throw py::error_already_set();
    PyObject* const* item = PySequence_Fast_ITEMS(items.ptr());
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items.ptr()); ++i) {
      if (is_sparse(as_array(item[i]))) return true;
    }
  }
  return false;
}

void warn_of_fallback(const std::string& message) {
  if (PyErr_WarnEx(PyExc_RuntimeWarning, message.c_str(), 1) < 0) throw py::error_already_set();
}

}  // namespace

PyTypeObject* sparse_type(const NDArray& array) {
  if (!csr_class) {
    PyObject* module = PyImport_ImportModule("mxtape.ndarray.sparse");
    if (!module) return nullptr;
    Py_DECREF(module);
  }
  return storage_type(array) == StorageType::kCsr ? csr_class : row_sparse_class;
}

void init_sparse(py::module_& m) {
  set_fallback_hook(warn_of_fallback);
  m.def("set_sparse_types", [](py::object row_sparse, py::object csr) {
    row_sparse_class = reinterpret_cast<PyTypeObject*>(row_sparse.release().ptr());
    csr_class = reinterpret_cast<PyTypeObject*>(csr.release().ptr());
  });
  m.def("storage_type",
        [](py::handle x) { return std::string(storage_name(storage_type(as_array(x)))); });
  m.def("is_sparse", [](py::handle x) { return is_sparse(as_array(x)); });
  // Whether an array in one of some lists is sparse.
  m.def("any_sparse", any_sparse);
  m.def("make_sparse", make);
  m.def("empty_sparse",
        [](const std::string& stype, const std::vector<int64_t>& dims, py::handle dtype) {
          const StorageType type = as_storage_type(stype);
          const Shape shape = as_shape(dims);
          check_shape("zeros", type, shape);
          return wrap_object(empty_sparse(type, shape, as_dtype(dtype.ptr())));
        });
  m.def("csr_from_coordinates", from_coordinates);
  m.def("sparse_parts", parts);
  m.def("set_sparse_parts", set_parts);
  // Whether the columns of a csr array's rows ascend, and none is there twice.
  m.def("is_canonical", [](py::handle x) { return parts_of(as_sparse(x, "csr")).canonical; });
  // The values of `value` into `target`, of its shape and dtype, each of any storage type.
  m.def("assign", [](py::handle target, py::handle value) {
    const NDArray &to = as_array(target), &from = as_array(value);
    if (to.shape() != from.shape() || to.dtype() != from.dtype()) {
      fail("cannot write an array of shape ", from.shape(), " and dtype ", from.dtype(),
           " into one of shape ", to.shape(), " and dtype ", to.dtype());
    }
    check_writable(to, "assign");
    assign(to, from.detached());
  });
}

}  // namespace mxtape::python

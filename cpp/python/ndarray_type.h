#pragma once

#include <pybind11/pybind11.h>

#include "core/ndarray.h"

namespace mxtape::python {

// The Python object: an array handle and nothing else. It takes no part in garbage collection,
// since the tape that it may own is free of cycles.
struct PyNDArray {
  PyObject_HEAD NDArray array;
  PyObject* weakrefs;
};

// Set by init_ndarray_type.
extern PyTypeObject* ndarray_type;

inline bool is_ndarray(PyObject* object) { return PyObject_TypeCheck(object, ndarray_type); }
inline NDArray& array_of(PyObject* object) { return reinterpret_cast<PyNDArray*>(object)->array; }

// The array in a Python object; throws Error (kType), naming `what`, for anything else.
NDArray& as_array(pybind11::handle object, const char* what = "arguments");

// The Python classes of sparse arrays, once one has been made; borrowed. nullptr with an error set
// where they cannot be imported.
PyTypeObject* sparse_type(const NDArray& array);

// A new Python object for `array`; nullptr with a Python error set when there is no memory.
PyObject* wrap(NDArray array);
inline pybind11::object wrap_object(NDArray array) {
  return pybind11::reinterpret_steal<pybind11::object>(wrap(std::move(array)));
}

// Hangs a Python object's array where `result`, the same memory, hangs. The rest of the handle
// stays untouched: another thread's kernel may be reading it.
inline void adopt_edge(PyObject* object, const NDArray& result) {
  array_of(object).set_edge(Ref<RefCounted>(result.edge_node()), result.edge_index());
}

// Sets the Python error that stands for the C++ exception in flight; returns nullptr.
PyObject* set_python_error() noexcept;

// The number in a Python object: int, float, bool or a NumPy scalar. False when it is none.
bool as_number(PyObject* object, double& value);

// NumPy's scalar types and dtypes by DType.
PyObject* numpy_type(DType dtype);
// The DType that a NumPy dtype, type or name stands for; throws Error (kType) when there is none.
DType as_dtype(PyObject* object);

void init_ndarray_type(pybind11::module_& m);
void init_sparse(pybind11::module_& m);
void init_numpy(pybind11::module_& m);
void init_op_call(pybind11::module_& m);
void init_inference(pybind11::module_& m);
void init_autograd(pybind11::module_& m);
void init_scopes(pybind11::module_& m);
void init_sites(pybind11::module_& m);
void init_graph(pybind11::module_& m);
void init_executor(pybind11::module_& m);
void init_io(pybind11::module_& m);

extern PyObject* mxnet_error;

}  // namespace mxtape::python

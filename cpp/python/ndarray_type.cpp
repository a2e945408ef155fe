#include "python/ndarray_type.h"

#include <cmath>
#include <structmember.h>

#include <Eigen/Core>

#include "autograd/errors.h"
#include "autograd/hooks.h"
#include "autograd/node.h"
#include "autograd/recorder.h"
#include "core/sparse.h"
#include "op/functional.h"
#include "python/gil.h"
#include "python/view.h"
#include "runtime/convert.h"

// The NDArray type: operators and the commonest indexing go straight from the interpreter's slots
// to the operator; the rest of the class is Python (python/mxtape/ndarray/methods.py).
namespace mxtape::python {

PyTypeObject* ndarray_type = nullptr;
PyObject* mxnet_error = nullptr;
PyObject* out_of_memory_error = nullptr;

namespace {

PyObject* getitem_hook = nullptr;
PyObject* setitem_hook = nullptr;
PyObject* numpy_generic = nullptr;
PyObject* numpy_array = nullptr;

// NDArray(None) is how MXNet's pickles begin an array, whose __setstate__ they call then.
PyObject* new_ndarray(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  if (PyTuple_GET_SIZE(args) == 1 && PyTuple_GET_ITEM(args, 0) == Py_None && !keywords) {
    try {
      NDArray array = NDArray::empty(Shape{0}, DType::kFloat32);
      PyObject* self = type->tp_alloc(type, 0);
      if (self) new (&array_of(self)) NDArray(std::move(array));
      return self;
    } catch (...) {
      return set_python_error();
    }
  }
  PyErr_Format(PyExc_TypeError, "cannot create %s directly; use mx.nd.array() or mx.nd.empty()",
               type->tp_name);
  return nullptr;
}

void dealloc(PyObject* self) {
  auto* object = reinterpret_cast<PyNDArray*>(self);
  PyTypeObject* type = Py_TYPE(self);
  if (object->weakrefs) PyObject_ClearWeakRefs(self);
  object->array.~NDArray();
  type->tp_free(self);
  Py_DECREF(type);
}

// ---- operators

// By Python's numbers of the comparisons.
const fn::BinaryOp* const kCompare[] = {&fn::lesser,    &fn::lesser_equal, &fn::equal,
                                        &fn::not_equal, &fn::greater,      &fn::greater_equal};
static_assert(Py_LT == 0 && Py_LE == 1 && Py_EQ == 2 && Py_NE == 3 && Py_GT == 4 && Py_GE == 5);

ParamsRef scalar_params(double value, bool is_int) {
  Ref<Params> params = params_info<ScalarParams>()->make();
  auto& p = *static_cast<ScalarParams*>(params->data());
  p.scalar = value;
  p.is_int = is_int;
  params->given = 1;
  return params;
}

// NumPy would else compute with a copy of the array, which no tape sees.
[[noreturn]] void fail_numpy_operand() {
  fail_as(ErrorKind::kType,
          "an operator accepts two NDArrays or an NDArray and a number, got a numpy.ndarray; "
          "convert it "
          "with mx.nd.array() or the NDArray with asnumpy()");
}

// x += y where y alone is in a graph: x would become part of it behind the caller's back.
void check_operand_of_update(const OpSchema& op, const NDArray& target, const NDArray& operand) {
  // A target that is in a graph itself is refused by invoke.
  if (!autograd::is_recording() || autograd::on_tape(target) || !autograd::on_tape(operand)) return;
  fail(op.name, ": cannot update an array of shape ", target.shape(),
       " in place with one that is in a recorded graph while recording; write x = x + y instead of "
       "x += y");
}

// An int64 array's other operand, where it is a whole number that the double of an operator's
// parameter may not hold; else an empty handle.
NDArray whole_operand(const NDArray& array, PyObject* number, double value) {
  constexpr double kExact = 9007199254740992;  // 2^53
  if (array.dtype() != DType::kInt64 || std::abs(value) < kExact || !PyIndex_Check(number))
    return {};
  const auto index = pybind11::reinterpret_steal<pybind11::object>(PyNumber_Index(number));
  if (!index) throw pybind11::error_already_set();
  int overflow;
  const int64_t whole = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
  if (overflow) return {};
  NDArray operand = NDArray::empty(Shape{}, DType::kInt64);
  *operand.data<int64_t>() = whole;
  return operand;
}

// What a program writes for an update by a function of arrays.
const char* update_text(const OpSchema& op) {
  if (&op == fn::add.forms().arrays) return "x += y";
  if (&op == fn::subtract.forms().arrays) return "x -= y";
  if (&op == fn::multiply.forms().arrays) return "x *= y";
  if (&op == fn::divide.forms().arrays) return "x /= y";
  return "x %= y";
}

PyObject* run_binary(const BinaryForms& forms, PyObject* a, PyObject* b, PyObject* target) {
  const bool left = is_ndarray(a);
  const OpSchema* op;
  const NDArray* inputs[2];
  size_t count = 1;
  ParamsRef params;
  NDArray whole;
  if (left && is_ndarray(b)) {
    op = forms.arrays;
    inputs[0] = &array_of(a);
    inputs[1] = &array_of(b);
    count = 2;
  } else {
    PyObject* number = left ? b : a;
    double value;
    if (!as_number(number, value)) {
      if (PyErr_Occurred()) return nullptr;
      if (PyObject_TypeCheck(number, reinterpret_cast<PyTypeObject*>(numpy_array))) {
        fail_numpy_operand();
      }
      Py_RETURN_NOTIMPLEMENTED;
    }
    const NDArray& array = array_of(left ? a : b);
    whole = whole_operand(array, number, value);
    if (whole.defined()) {
      op = forms.arrays;
      inputs[0] = left ? &array : &whole;
      inputs[1] = left ? &whole : &array;
      count = 2;
    } else {
      op = left ? forms.scalar : forms.reversed;
      inputs[0] = &array;
      params = scalar_params(value, PyLong_Check(number));
    }
  }
  Outputs outputs;
  if (target) {
    outputs.push_back(array_of(target));
    if (autograd::is_recording()) check_writable(outputs[0], update_text(*forms.arrays));
    if (count == 2) check_operand_of_update(*op, outputs[0], *inputs[1]);
  }
  invoke(*op, Inputs(inputs, count), params, outputs);
  if (target) {
    adopt_edge(target, outputs[0]);
    Py_INCREF(target);
    return target;
  }
  return wrap(std::move(outputs[0]));
}

template <const fn::BinaryOp& function>
PyObject* binary_slot(PyObject* a, PyObject* b) {
  try {
    return run_binary(function.forms(), a, b, nullptr);
  } catch (...) {
    return set_python_error();
  }
}
template <const fn::BinaryOp& function>
PyObject* inplace_slot(PyObject* a, PyObject* b) {
  try {
    return run_binary(function.forms(), a, b, a);
  } catch (...) {
    return set_python_error();
  }
}

PyObject* power_slot(PyObject* a, PyObject* b, PyObject* modulus) {
  if (modulus != Py_None) {
    PyErr_SetString(PyExc_TypeError, "pow() of an NDArray does not support a modulus");
    return nullptr;
  }
  return binary_slot<fn::power>(a, b);
}

PyObject* compare_slot(PyObject* a, PyObject* b, int operation) {
  PyObject* result;
  try {
    result = run_binary(kCompare[operation]->forms(), a, b, nullptr);
  } catch (...) {
    return set_python_error();
  }
  if (result == Py_NotImplemented) {
    Py_DECREF(result);
    PyErr_Format(PyExc_TypeError, "an NDArray cannot be compared with %R",
                 reinterpret_cast<PyObject*>(Py_TYPE(b)));
    return nullptr;
  }
  return result;
}

// -x is x * -1, as in MXNet: a bool array becomes int64.
PyObject* negative_slot(PyObject* self) {
  try {
    const NDArray* input = &array_of(self);
    return wrap(invoke(*fn::multiply.forms().scalar, Inputs(&input, 1), scalar_params(-1, false)));
  } catch (...) {
    return set_python_error();
  }
}

PyObject* absolute_slot(PyObject* self) {
  try {
    return wrap(fn::abs(array_of(self)));
  } catch (...) {
    return set_python_error();
  }
}

Py_hash_t hash_slot(PyObject* self) {
  return static_cast<Py_hash_t>(reinterpret_cast<uintptr_t>(self) >> 4);
}

int bool_slot(PyObject* self) {
  const NDArray& array = array_of(self);
  const int64_t size = array.size();
  if (size > 1) {
    PyErr_Format(PyExc_ValueError,
                 "the truth value of an NDArray of %lld elements is ambiguous; reduce it first",
                 static_cast<long long>(size));
    return -1;
  }
  if (size == 0) return 0;
  try {
    bool value = false;
    convert(array.dtype(), array.bytes(), DType::kBool, &value, 1);
    return value;
  } catch (...) {  // there are no values inside vmap
    set_python_error();
    return -1;
  }
}

// ---- indexing

Py_ssize_t length_slot(PyObject* self) {
  const NDArray& array = array_of(self);
  if (array.ndim() == 0) {
    PyErr_SetString(PyExc_IndexError, "len() of an array of no dimensions");
    return -1;
  }
  return array.shape()[0];
}

PyObject* item_at(PyObject* self, Py_ssize_t index) {
  try {
    return wrap(row_view(array_of(self), index));
  } catch (...) {
    return set_python_error();
  }
}

// sq_item adds the length to negative indices before it calls; whatever is still negative is
// outside.
PyObject* sequence_item(PyObject* self, Py_ssize_t index) {
  const NDArray& array = array_of(self);
  if (array.ndim() == 0 || index < 0 || index >= array.shape()[0]) {
    PyErr_SetString(PyExc_IndexError, "index is out of bounds");
    return nullptr;
  }
  return item_at(self, index);
}

// x[:] is x itself, as in MXNet.
bool is_full_slice(PyObject* key) {
  const auto* slice = reinterpret_cast<PySliceObject*>(key);
  return slice->start == Py_None && slice->stop == Py_None;
}

PyObject* subscript_slot(PyObject* self, PyObject* key) {
  const NDArray& array = array_of(self);
  if (PyLong_CheckExact(key) && array.ndim() > 0) {
    const Py_ssize_t index = PyLong_AsSsize_t(key);
    if (index == -1 && PyErr_Occurred()) return nullptr;
    return item_at(self, index);
  }
  if (PySlice_Check(key) && array.ndim() > 0) {
    Py_ssize_t start, stop, step;
    if (PySlice_Unpack(key, &start, &stop, &step) < 0) return nullptr;
    if (step == 1 && is_full_slice(key)) {
      Py_INCREF(self);
      return self;
    }
    if (step == 1) {
      PySlice_AdjustIndices(array.shape()[0], &start, &stop, step);
      try {
        return wrap(rows_view(array, start, std::max(start, stop)));
      } catch (...) {
        return set_python_error();
      }
    }
  }
  return PyObject_CallFunctionObjArgs(getitem_hook, self, key, nullptr);
}

int assign_subscript_slot(PyObject* self, PyObject* key, PyObject* value) {
  if (!value) {
    PyErr_SetString(PyExc_TypeError, "an NDArray's elements cannot be deleted");
    return -1;
  }
  PyObject* result = PyObject_CallFunctionObjArgs(setitem_hook, self, key, value, nullptr);
  if (!result) return -1;
  Py_DECREF(result);
  return 0;
}

// ---- attributes

PyObject* get_shape(PyObject* self, void*) {
  const Shape& shape = array_of(self).shape();
  PyObject* tuple = PyTuple_New(shape.ndim());
  if (!tuple) return nullptr;
  for (int i = 0; i < shape.ndim(); ++i) {
    PyObject* extent = PyLong_FromLongLong(shape[i]);
    if (!extent) {
      Py_DECREF(tuple);
      return nullptr;
    }
    PyTuple_SET_ITEM(tuple, i, extent);
  }
  return tuple;
}
PyObject* get_dtype(PyObject* self, void*) {
  try {
    PyObject* type = numpy_type(array_of(self).dtype());
    Py_INCREF(type);
    return type;
  } catch (...) {  // bfloat16's is imported
    return set_python_error();
  }
}
PyObject* get_size(PyObject* self, void*) { return PyLong_FromLongLong(array_of(self).size()); }
PyObject* get_ndim(PyObject* self, void*) { return PyLong_FromLong(array_of(self).ndim()); }
PyObject* get_grad(PyObject* self, void*) {
  const NDArray& array = array_of(self);
  const autograd::Node* node = autograd::node_of(array);
  if (!node) Py_RETURN_NONE;
  NDArray grad = node->is_leaf()  ? static_cast<const autograd::LeafNode*>(node)->grad()
                 : node->hooked() ? autograd::retained_gradient(*node, array.edge_index())
                                  : NDArray();
  if (!grad.defined()) Py_RETURN_NONE;
  autograd::set_off_tape(grad, autograd::OffTape::kGradient);
  return wrap(std::move(grad));
}

PyGetSetDef getset[] = {
    {"shape", get_shape, nullptr, "Extents of the array, a tuple of int.", nullptr},
    {"dtype", get_dtype, nullptr, "NumPy type of the elements, e.g. numpy.float32.", nullptr},
    {"size", get_size, nullptr, "Number of elements.", nullptr},
    {"ndim", get_ndim, nullptr, "Number of dimensions.", nullptr},
    {"grad", get_grad, nullptr,
     "Gradient buffer of a variable, of its shape and dtype; None for an array without one.",
     nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(PyNDArray, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

template <class F>
PyType_Slot slot(int id, F* function) {
  return {id, reinterpret_cast<void*>(function)};
}

PyType_Slot slots[] = {
    slot(Py_tp_new, new_ndarray),
    slot(Py_tp_dealloc, dealloc),
    slot(Py_tp_hash, hash_slot),
    slot(Py_tp_richcompare, compare_slot),
    {Py_tp_getset, getset},
    {Py_tp_members, members},
    slot(Py_nb_add, binary_slot<fn::add>),
    slot(Py_nb_subtract, binary_slot<fn::subtract>),
    slot(Py_nb_multiply, binary_slot<fn::multiply>),
    slot(Py_nb_true_divide, binary_slot<fn::divide>),
    slot(Py_nb_remainder, binary_slot<fn::modulo>),
    slot(Py_nb_power, power_slot),
    slot(Py_nb_inplace_add, inplace_slot<fn::add>),
    slot(Py_nb_inplace_subtract, inplace_slot<fn::subtract>),
    slot(Py_nb_inplace_multiply, inplace_slot<fn::multiply>),
    slot(Py_nb_inplace_true_divide, inplace_slot<fn::divide>),
    slot(Py_nb_inplace_remainder, inplace_slot<fn::modulo>),
    slot(Py_nb_negative, negative_slot),
    slot(Py_nb_absolute, absolute_slot),
    slot(Py_nb_bool, bool_slot),
    slot(Py_mp_length, length_slot),
    slot(Py_mp_subscript, subscript_slot),
    slot(Py_mp_ass_subscript, assign_subscript_slot),
    slot(Py_sq_item, sequence_item),
    slot(Py_sq_length, length_slot),
    {0, nullptr},
};

PyType_Spec spec = {"mxtape.ndarray.NDArray", sizeof(PyNDArray), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

}  // namespace

PyObject* wrap(NDArray array) {
  PyTypeObject* type = ndarray_type;
  if (array.defined() && is_sparse(array)) [[unlikely]] {
    type = sparse_type(array);
    if (!type) return nullptr;
  }
  PyObject* self = type->tp_alloc(type, 0);
  if (self) new (&array_of(self)) NDArray(std::move(array));
  return self;
}

NDArray& as_array(pybind11::handle object, const char* what) {
  if (!is_ndarray(object.ptr())) {
    fail_as(ErrorKind::kType, what, " must be NDArrays, got an object of type ",
            Py_TYPE(object.ptr())->tp_name);
  }
  return array_of(object.ptr());
}

PyObject* set_python_error() noexcept {
  try {
    throw;
  } catch (const Error& error) {
    PyObject* type = mxnet_error;
    switch (error.kind()) {
      case ErrorKind::kMXNet:
        break;
      case ErrorKind::kType:
        type = PyExc_TypeError;
        break;
      case ErrorKind::kValue:
        type = PyExc_ValueError;
        break;
      case ErrorKind::kIndex:
        type = PyExc_IndexError;
        break;
      case ErrorKind::kAssertion:
        type = PyExc_AssertionError;
        break;
      case ErrorKind::kNotImplemented:
        type = PyExc_NotImplementedError;
        break;
      case ErrorKind::kMemory:
        type = out_of_memory_error;
        break;
    }
    PyErr_SetString(type, error.what());
  } catch (pybind11::error_already_set& error) {
    error.restore();
  } catch (const std::bad_alloc&) {
    PyErr_SetString(out_of_memory_error, "out of memory: the system has no working memory");
  } catch (const std::exception& error) {
    PyErr_SetString(mxnet_error, error.what());
#ifdef __GLIBCXX__
  } catch (abi::__forced_unwind&) {  // see python/gil.h
    wait_for_exit();
#endif
  }
  return nullptr;
}

bool as_number(PyObject* object, double& value) {
  if (PyFloat_Check(object)) {
    value = PyFloat_AS_DOUBLE(object);
    return true;
  }
  if (PyLong_Check(object) ||
      PyObject_TypeCheck(object, reinterpret_cast<PyTypeObject*>(numpy_generic))) {
    value = PyFloat_AsDouble(object);
    return !(value == -1.0 && PyErr_Occurred());
  }
  return false;
}

void init_ndarray_type(pybind11::module_& m) {
  PyObject* type = PyType_FromSpec(&spec);
  if (!type) throw pybind11::error_already_set();
  ndarray_type = reinterpret_cast<PyTypeObject*>(type);
  m.attr("NDArray") = pybind11::reinterpret_borrow<pybind11::object>(type);
  mxnet_error = PyErr_NewExceptionWithDoc("mxtape.base.MXNetError",
                                          "What an operator or the engine refuses to do.",
                                          PyExc_RuntimeError, nullptr);
  m.attr("MXNetError") = pybind11::reinterpret_borrow<pybind11::object>(mxnet_error);
  const pybind11::tuple bases =
      pybind11::make_tuple(pybind11::handle(mxnet_error), pybind11::handle(PyExc_MemoryError));
  out_of_memory_error = PyErr_NewExceptionWithDoc(
      "mxtape.base.OutOfMemoryError", "Memory that the system does not have was asked for.",
      bases.ptr(), nullptr);
  m.attr("OutOfMemoryError") = pybind11::reinterpret_borrow<pybind11::object>(out_of_memory_error);
  pybind11::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const Error&) {
      set_python_error();
    } catch (const std::bad_alloc&) {
      set_python_error();
    }
  });
  const pybind11::module_ numpy = pybind11::module_::import("numpy");
  numpy_generic = pybind11::object(numpy.attr("generic")).release().ptr();
  numpy_array = pybind11::object(numpy.attr("ndarray")).release().ptr();
  m.def("set_index_hooks", [](pybind11::object get, pybind11::object set) {
    getitem_hook = get.release().ptr();
    setitem_hook = set.release().ptr();
  });
}

}  // namespace mxtape::python

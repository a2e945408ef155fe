#include "python/bind.h"

#include <algorithm>
#include <bit>

#include "python/ndarray_type.h"

namespace py = pybind11;

namespace mxtape::python {
namespace {

PyObject* null_argument = nullptr;

template <class T>
T& field_at(void* data, const ParamField& field) {
  return *reinterpret_cast<T*>(static_cast<char*>(data) + field.offset);
}

bool is_index(PyObject* value) { return PyLong_Check(value) || PyIndex_Check(value); }

bool to_int(PyObject* value, int64_t& result) {
  if (PyLong_Check(value)) {
    result = PyLong_AsLongLong(value);
  } else if (PyIndex_Check(value)) {
    PyObject* integer = PyNumber_Index(value);
    if (!integer) {
      PyErr_Clear();
      return false;
    }
    result = PyLong_AsLongLong(integer);
    Py_DECREF(integer);
  } else {
    return false;
  }
  if (result == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    return false;
  }
  return true;
}

// Whether `value` is a sequence, and f(item) true for each of its items.
template <class F>
bool each_item(PyObject* value, F&& f) {
  PyObject* list = PySequence_Fast(value, "");
  if (!list) {
    PyErr_Clear();
    return false;
  }
  bool ok = true;
  for (Py_ssize_t i = 0; ok && i < PySequence_Fast_GET_SIZE(list); ++i) {
    ok = f(PySequence_Fast_GET_ITEM(list, i));
  }
  Py_DECREF(list);
  return ok;
}

bool to_slice_ints(PyObject* value, SliceInts& result) {
  result.clear();
  int64_t number;
  if (value == Py_None) return true;
  if (is_index(value)) {
    if (!to_int(value, number)) return false;
    result.emplace_back(number);
    return true;
  }
  return each_item(value, [&](PyObject* item) {
    if (item == Py_None) {
      result.emplace_back();
      return true;
    }
    if (!to_int(item, number)) return false;
    result.emplace_back(number);
    return true;
  });
}

bool to_ints(PyObject* value, Ints& result) {
  SliceInts list;
  if (value == Py_None || !to_slice_ints(value, list)) return false;
  result.clear();
  for (const auto& item : list) {
    if (!item) return false;
    result.push_back(*item);
  }
  return true;
}

bool to_floats(PyObject* value, Floats& result) {
  result.clear();
  if (value == Py_None) return false;
  double number;
  if (as_number(value, number)) {
    result.push_back(number);
    return true;
  }
  PyErr_Clear();
  return each_item(value, [&](PyObject* item) { return as_number(item, result.emplace_back()); });
}

bool to_bool(PyObject* value, bool& result) {
  int64_t number;
  if (!to_int(value, number) || (number != 0 && number != 1)) {
    const int truth = Py_TYPE(value)->tp_as_number && Py_TYPE(value)->tp_as_number->nb_bool &&
                              std::string_view(Py_TYPE(value)->tp_name).starts_with("numpy.bool")
                          ? PyObject_IsTrue(value)
                          : -1;
    if (truth < 0) return false;
    number = truth;
  }
  result = number != 0;
  return true;
}

bool to_choice(PyObject* value, const std::vector<std::string>& choices, int32_t& result) {
  const auto text = value == Py_None ? std::string("None") : std::string(py::str(value));
  const auto found = std::find(choices.begin(), choices.end(), text);
  if (found == choices.end()) return false;
  result = static_cast<int32_t>(found - choices.begin());
  return true;
}

bool to_string(PyObject* value, std::string& result) {
  if (value == Py_None) return false;
  result = py::str(value);
  return true;
}

bool to_dtype(PyObject* value, DType& result) {
  if (value == Py_None) return false;
  result = as_dtype(value);
  return true;
}

// The same for a field that may be None.
template <class T>
bool to_optional(PyObject* value, std::optional<T>& result, bool (*convert)(PyObject*, T&)) {
  if (value != Py_None) return convert(value, result.emplace());
  result.reset();
  return true;
}

bool set_value(const ParamField& field, PyObject* value, void* data) {
  switch (field.type) {
    case ParamType::kBool:
      return to_bool(value, field_at<bool>(data, field));
    case ParamType::kOptBool:
      return to_optional(value, field_at<std::optional<bool>>(data, field), to_bool);
    case ParamType::kInt:
      return to_int(value, field_at<int64_t>(data, field));
    case ParamType::kOptInt:
      return to_optional(value, field_at<std::optional<int64_t>>(data, field), to_int);
    case ParamType::kFloat:
      return as_number(value, field_at<double>(data, field));
    case ParamType::kOptFloat:
      return to_optional(value, field_at<std::optional<double>>(data, field), as_number);
    case ParamType::kString:
      return to_string(value, field_at<std::string>(data, field));
    case ParamType::kEnum:
      return to_choice(value, field.choices, field_at<int32_t>(data, field));
    case ParamType::kDType:
      return to_dtype(value, field_at<DType>(data, field));
    case ParamType::kOptDType:
      return to_optional(value, field_at<std::optional<DType>>(data, field), to_dtype);
    case ParamType::kInts:
      return to_ints(value, field_at<Ints>(data, field));
    case ParamType::kOptInts:
      return to_optional(value, field_at<OptInts>(data, field), to_ints);
    case ParamType::kSliceInts:
      return to_slice_ints(value, field_at<SliceInts>(data, field));
    case ParamType::kFloats:
      return to_floats(value, field_at<Floats>(data, field));
  }
  return false;
}

const char* expected_of(ParamType type) {
  switch (type) {
    case ParamType::kBool:
      return "True or False";
    case ParamType::kOptBool:
      return "True, False or None";
    case ParamType::kInt:
      return "an integer";
    case ParamType::kOptInt:
      return "an integer or None";
    case ParamType::kFloat:
      return "a number";
    case ParamType::kOptFloat:
      return "a number or None";
    case ParamType::kString:
      return "a string";
    case ParamType::kEnum:
      return "one of its choices";
    case ParamType::kDType:
      return "a data type";
    case ParamType::kOptDType:
      return "a data type or None";
    case ParamType::kInts:
      return "an integer or a tuple of integers";
    case ParamType::kOptInts:
      return "an integer, a tuple of integers or None";
    case ParamType::kSliceInts:
      return "an integer or a tuple of integers and None";
    case ParamType::kFloats:
      return "a number or a tuple of numbers";
  }
  return "";
}

}  // namespace

void set_field(const ParamField& field, PyObject* value, void* data, const std::string& op) {
  // MXNet takes every parameter as text too.
  if (PyUnicode_Check(value) && field.type != ParamType::kEnum) {
    Py_ssize_t size;
    const char* text = PyUnicode_AsUTF8AndSize(value, &size);
    if (!text) throw py::error_already_set();
    parse_field(field, {text, static_cast<size_t>(size)}, data, op);
    return;
  }
  try {
    if (set_value(field, value, data)) return;
  } catch (const Error& error) {
    fail_as(error.kind(), op, ": parameter ", field.name, ": ", error.what());
  }
  if (PyErr_Occurred()) PyErr_Clear();
  std::string choices;
  for (const std::string& choice : field.choices) {
    choices += (choices.empty() ? ": '" : ", '") + choice + "'";
  }
  fail(op, ": parameter ", field.name, " must be ", expected_of(field.type), choices, "; got ",
       std::string(py::repr(value)));
}

// Where a call's binding stands.
struct Binder::State {
  BoundCall& call;
  SmallVector<bool, 4> have;
  void* params = nullptr;
  size_t positional = 0;  // inputs given by position, before any None
};

void Binder::set_null(PyObject* null) { null_argument = null; }
bool Binder::is_null(PyObject* value) { return value == null_argument; }

ArgumentNames::ArgumentNames(const OpSchema& op, std::initializer_list<const char*> extras) {
  for (const InputSpec& input : op.inputs) add(input.name);
  inputs_ = names_.size();
  if (op.params) {
    for (const ParamField& field : op.params->fields) add(field.name);
  }
  params_ = names_.size() - inputs_;
  for (const char* extra : extras) add(extra);
}

size_t ArgumentNames::find_text(PyObject* name) const {
  size_t at = 0;
  while (at < names_.size() && PyUnicode_Compare(names_[at], name) != 0) ++at;
  return at;
}

Binder::Binder(const OpSchema& op)
    : op_(op),
      names_(op, {"out", "name", "attr", "__layout__", "ctx_group", "lr_mult", "wd_mult"}),
      input_names_(names_.inputs()),
      param_names_(names_.params()) {
  // Programs tell every function that makes an array where to and of which dtype; MXNet does not
  // look.
  if (!op.params && !op.variadic) {
    for (const char* ignored : {"ctx", "dtype"}) names_.add(ignored);
  }
  // The count of a variadic operator's inputs is theirs, whatever the caller says.
  if (op.variadic && !op.params && !op.count_param.empty()) names_.add(op.count_param);
}

void Binder::bind(PyObject* const* args, size_t nargs, PyObject* keyword_names,
                  BoundCall& call) const {
  State state{call, {}, nullptr};
  if (op_.params) {
    call.params = op_.params->make();
    state.params = call.params->data();
  }
  if (!op_.variadic) {
    call.inputs.resize(op_.inputs.size());
    state.have.resize(op_.inputs.size());
  }
  try {
    bind_positional(args, nargs, state);
  } catch (const Error& error) {
    fail_as(error.kind(), error.what(), tuple_hint(args, nargs));
  }
  if (keyword_names) {
    const Py_ssize_t count = PyTuple_GET_SIZE(keyword_names);
    for (Py_ssize_t k = 0; k < count; ++k) {
      bind_keyword(PyTuple_GET_ITEM(keyword_names, k), args[nargs + static_cast<size_t>(k)], state);
    }
  }
  if (op_.params) {
    const auto& fields = op_.params->fields;
    for (size_t i = 0; i < fields.size(); ++i) {
      if (fields[i].required && !(call.params->given >> i & 1) &&
          fields[i].name != op_.count_param) {
        fail(op_.name, ": required parameter ", fields[i].name, " is missing (", fields[i].doc,
             ")");
      }
    }
    if (op_.variadic && !op_.count_param.empty()) {
      for (size_t i = 0; i < fields.size(); ++i) {
        if (fields[i].name != op_.count_param) continue;
        field_at<int64_t>(state.params, fields[i]) = static_cast<int64_t>(call.inputs.size());
        call.params->given |= 1u << i;
      }
    }
  }
  if (!op_.variadic) finish_inputs(state);
}

void Binder::bind_positional(PyObject* const* args, size_t nargs, State& state) const {
  for (size_t i = 0; i < nargs; ++i) {
    if (op_.variadic) {
      bind_input(i, args[i], state);
    } else if (i < input_names_) {
      bind_input(i, args[i], state);
      if (state.have[i] && state.positional == i) ++state.positional;
    } else if (i < input_names_ + param_names_) {
      bind_param(i - input_names_, args[i], state);
    } else if (i == input_names_ + param_names_) {
      bind_out(args[i], state.call);
    } else if (i > input_names_ + param_names_ + 1) {
      fail_as(ErrorKind::kType, op_.name, ": accepts at most ", input_names_ + param_names_ + 2,
              " positional arguments, got ", nargs);
    }
  }
}

void Binder::bind_input(size_t i, PyObject* value, State& state) const {
  const std::string& name = op_.inputs[op_.variadic ? 0 : i].name;
  if (is_ndarray(value)) {
    if (op_.variadic) {
      state.call.inputs.push_back(&array_of(value));
    } else {
      state.call.inputs[i] = &array_of(value);
      state.have[i] = true;
    }
    return;
  }
  // concat(*arrays) is also called with one list.
  if (op_.variadic && (PyList_Check(value) || PyTuple_Check(value))) {
    for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(value); ++k) {
      PyObject* item = PySequence_Fast_GET_ITEM(value, k);
      if (!is_ndarray(item)) fail_input(name, item);
      state.call.held.push_back(py::reinterpret_borrow<py::object>(item));
      state.call.inputs.push_back(&array_of(item));
    }
    return;
  }
  if (!op_.variadic && (value == Py_None || value == null_argument)) return;
  fail_input(name, value);
}

void Binder::fail_input(const std::string& name, PyObject* value) const {
  const bool values = PyList_Check(value) || PyTuple_Check(value) || PyLong_Check(value) ||
                      PyFloat_Check(value) ||
                      std::string_view(Py_TYPE(value)->tp_name).starts_with("numpy.");
  fail_as(ErrorKind::kAssertion, op_.name, ": argument ", name, " must be an NDArray, got ",
          std::string(py::repr(reinterpret_cast<PyObject*>(Py_TYPE(value)))),
          values ? "; mx.nd.array(...) makes one" : "");
}

void Binder::fail_missing(size_t input) const {
  std::string inputs;
  for (const InputSpec& each : op_.inputs) inputs += (inputs.empty() ? "" : ", ") + each.name;
  std::string hint = op_.inputs.size() > 1 ? "; its arrays are " + inputs : "";
  if (op_.inputs[input].name == "bias" && op_.params) {
    for (const ParamField& field : op_.params->fields) {
      if (field.name == "no_bias") hint = "; give it, or no_bias=True to have none";
    }
  }
  fail(op_.name, ": argument ", op_.inputs[input].name, " is missing", hint);
}

// Whole numbers by position where a tuple of them is wanted, as in tile(x, 2, 2).
std::string Binder::tuple_hint(PyObject* const* args, size_t nargs) const {
  for (size_t i = input_names_; i < input_names_ + param_names_ && i + 1 < nargs; ++i) {
    const ParamField& field = op_.params->fields[i - input_names_];
    if (field.type != ParamType::kInts && field.type != ParamType::kOptInts) continue;
    std::string numbers;
    int64_t number;
    for (size_t k = i; k < nargs; ++k) {
      if (PyBool_Check(args[k]) || !is_index(args[k]) || !to_int(args[k], number)) return "";
      numbers += (numbers.empty() ? "" : ", ") + std::to_string(number);
    }
    return "; did you mean " + field.name + "=(" + numbers + ")?";
  }
  return "";
}

void Binder::bind_param(size_t i, PyObject* value, State& state) const {
  if (value == null_argument) return;
  const ParamField& field = op_.params->fields[i];
  set_field(field, value, state.params, op_.name);
  state.call.params->given |= 1u << i;
}

void Binder::bind_keyword(PyObject* name, PyObject* value, State& state) const {
  const size_t at = names_.find(name);
  if (at < input_names_) {
    if (!op_.variadic && state.have[at]) {
      fail_as(ErrorKind::kType, op_.name, ": got two values for argument ", op_.inputs[at].name);
    }
    bind_input(at, value, state);
  } else if (at < input_names_ + param_names_) {
    if (state.call.params->given >> (at - input_names_) & 1) {
      fail_as(ErrorKind::kType, op_.name, ": got two values for argument ",
              op_.params->fields[at - input_names_].name);
    }
    bind_param(at - input_names_, value, state);
  } else if (at == names_.size()) {
    fail_unknown(name);
  } else if (at == input_names_ + param_names_) {
    bind_out(value, state.call);
  }
}

void Binder::bind_out(PyObject* value, BoundCall& call) const {
  if (value == Py_None || value == null_argument) return;
  const bool list = PyList_Check(value) || PyTuple_Check(value);
  const Py_ssize_t count = list ? PySequence_Fast_GET_SIZE(value) : 1;
  if (count == 0) fail_as(ErrorKind::kType, op_.name, ": out is an empty list");
  for (Py_ssize_t k = 0; k < count; ++k) {
    PyObject* item = list ? PySequence_Fast_GET_ITEM(value, k) : value;
    if (!is_ndarray(item)) {
      fail_as(ErrorKind::kType, op_.name, ": out must be an NDArray or a list of them, got ",
              std::string(py::repr(item)));
    }
    call.outputs.push_back(array_of(item));
    call.out_arrays.push_back(py::reinterpret_borrow<py::object>(item));
  }
  call.out = value;
}

void Binder::finish_inputs(State& state) const {
  const uint32_t used = op_.used_inputs ? op_.used_inputs(state.call.params.get()) : ~0u;
  auto& inputs = state.call.inputs;
  size_t count = 0;
  // Arrays given by position alone are those that the parameters ask for, whichever they are.
  if (op_.used_inputs && state.positional == static_cast<size_t>(std::popcount(used)) &&
      std::count(state.have.begin(), state.have.end(), true) ==
          static_cast<std::ptrdiff_t>(state.positional)) {
    inputs.resize(state.positional);
    return;
  }
  for (size_t i = 0; i < input_names_; ++i) {
    const bool wanted = used >> i & 1;
    if (wanted && !state.have[i]) fail_missing(i);
    if (!wanted && state.have[i]) {
      fail_as(ErrorKind::kMXNet, op_.name, ": argument ", op_.inputs[i].name,
              " was given, but these parameters leave it out (",
              state.call.params ? print_given(*state.call.params) : "", ")");
    }
    if (wanted) inputs[count++] = inputs[i];
  }
  inputs.resize(count);
}

void Binder::fail_unknown(PyObject* name) const {
  std::string known;
  for (size_t i = 0; i < input_names_ + param_names_; ++i) {
    known += (known.empty() ? "" : ", ") + std::string(py::str(names_[i]));
  }
  const std::string key = py::str(name);
  fail(op_.name, ": unknown argument '", key, "'; it accepts ", known, ", out and name",
       argument_hint(key, known));
}

std::string argument_hint(const std::string& key, const std::string& known) {
  return py::str(py::module_::import("mxtape._missing").attr("argument_hint")(key, known));
}

}  // namespace mxtape::python

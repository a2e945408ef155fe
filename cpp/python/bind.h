#pragma once

#include <pybind11/pybind11.h>

#include <initializer_list>
#include <vector>

#include "op/invoke.h"
#include "op/schema.h"

namespace mxtape::python {

// The arguments of one call, sorted out.
struct BoundCall {
  // The caller keeps its positional and keyword arguments alive; what a list holds is held here, as
  // another thread may change the list while a kernel runs.
  SmallVector<const NDArray*, 4> inputs;
  std::vector<pybind11::object> held;
  Ref<Params> params;
  Outputs outputs;
  PyObject* out = nullptr;                   // borrowed: what the caller gave as out
  std::vector<pybind11::object> out_arrays;  // the arrays in it
};

// The names of an operator's arguments, interned: the inputs, then the parameters, then `extras`.
class ArgumentNames {
 public:
  ArgumentNames(const OpSchema& op, std::initializer_list<const char*> extras);

  // The position of a keyword; `size()` when no argument has this name.
  size_t find(PyObject* name) const {
    size_t at = 0;
    while (at < names_.size() && names_[at] != name) ++at;
    return at < names_.size() ? at : find_text(name);
  }
  size_t size() const { return names_.size(); }
  size_t inputs() const { return inputs_; }
  size_t params() const { return params_; }
  PyObject* operator[](size_t i) const { return names_[i]; }
  void add(const std::string& name) { names_.push_back(PyUnicode_InternFromString(name.c_str())); }

 private:
  size_t find_text(PyObject* name) const;

  std::vector<PyObject*> names_;
  size_t inputs_ = 0, params_ = 0;
};

// Binds Python arguments to one operator's inputs and parameters. Positional arguments are the
// inputs, the parameters in declared order, then out and name, as in MXNet.
class Binder {
 public:
  explicit Binder(const OpSchema& op);

  void bind(PyObject* const* args, size_t nargs, PyObject* keyword_names, BoundCall& call) const;

  // The object that stands for an argument which is not given (mx.base._Null).
  static void set_null(PyObject* null);
  static bool is_null(PyObject* value);

 private:
  enum Extra { kOut, kName, kIgnored };
  struct State;
  void bind_positional(PyObject* const* args, size_t nargs, State& state) const;
  void bind_input(size_t i, PyObject* value, State& state) const;
  void bind_param(size_t i, PyObject* value, State& state) const;
  void bind_keyword(PyObject* name, PyObject* value, State& state) const;
  void bind_out(PyObject* value, BoundCall& call) const;
  void finish_inputs(State& state) const;
  [[noreturn]] void fail_unknown(PyObject* name) const;
  [[noreturn]] void fail_input(const std::string& name, PyObject* value) const;
  [[noreturn]] void fail_missing(size_t input) const;
  std::string tuple_hint(PyObject* const* args, size_t nargs) const;

  const OpSchema& op_;
  ArgumentNames names_;  // then out, name and what is ignored
  size_t input_names_ = 0, param_names_ = 0;
};

// What was probably meant by an argument that an operator does not have, as the end of a message;
// nothing where there is no guess. `known` are the arguments that it has, with commas.
std::string argument_hint(const std::string& key, const std::string& known);

// Writes a Python value into the field of a parameter struct; an Error that names `op` when it does
// not fit.
void set_field(const ParamField& field, PyObject* value, void* data, const std::string& op);

}  // namespace mxtape::python

#include "graph/compose.h"

#include <algorithm>
#include <memory>

#include "op/registry.h"
#include "python/bind.h"
#include "python/ndarray_type.h"
#include "python/symbol_type.h"

// After Python.h, which pybind11 includes.
#include <structmember.h>

namespace py = pybind11;

// The functions of mx.sym: objects that compose a node where those of mx.nd call the operator.
namespace mxtape::python {
namespace {

PyTypeObject* symbol_class = nullptr;
PyTypeObject* symbol_op_type = nullptr;
// What each thread's current NameManager and AttrScope hang on.
PyObject *name_managers = nullptr, *attr_scopes = nullptr, *plain_attr_scope = nullptr;
PyObject *graph_attribute = nullptr, *value_attribute = nullptr, *get_method = nullptr,
         *attr_attribute = nullptr, *describe_symbol = nullptr;

py::object attribute_of(PyObject* object, PyObject* name) {
  PyObject* value = PyObject_GetAttr(object, name);
  if (!value) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(value);
}

// Whether str() of a value reads as MXNet writes it: NumPy's numbers in a tuple do not.
bool prints_plainly(PyObject* value) {
  if (!PyTuple_Check(value) && !PyList_Check(value)) return true;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(value); ++i) {
    PyObject* item = PySequence_Fast_GET_ITEM(value, i);
    const bool plain = PyLong_CheckExact(item) || PyFloat_CheckExact(item) || item == Py_None;
    if (!plain) return false;
  }
  return true;
}

// A parameter as the attribute of a node: as the program wrote it.
std::string attribute_text(const ParamField& field, PyObject* value, const void* data) {
  const bool dtype = field.type == ParamType::kDType || field.type == ParamType::kOptDType;
  if (PyUnicode_Check(value)) return from_text(value);
  if (dtype || !prints_plainly(value)) return print_field(field, data);
  return from_text(py::str(value));
}

// One call of a function of mx.sym, while its arguments are sorted out.
class Composer {
 public:
  Composer(const OpSchema& op, const ArgumentNames& names) : op_(op), names_(names) {
    if (op.params) params_ = op.params->make();
    if (!op.variadic) inputs_.resize(op.inputs.size());
  }

  void positional(PyObject* const* args, size_t count) {
    const size_t inputs = names_.inputs(), params = names_.params();
    for (size_t i = 0; i < count; ++i) {
      if (op_.variadic || i < inputs) {
        input(i, args[i]);
        if (!op_.variadic && inputs_[i].node && positional_ == i) ++positional_;
      } else if (i < inputs + params) {
        param(i - inputs, args[i]);
      } else if (i < names_.size()) {
        extra(i - inputs - params, args[i]);
      } else {
        fail_as(ErrorKind::kType, op_.name, ": accepts at most ", names_.size(),
                " positional arguments, got ", count);
      }
    }
  }

  void keyword(PyObject* name, PyObject* value) {
    const size_t at = names_.find(name), inputs = names_.inputs(), params = names_.params();
    if (at < inputs && !op_.variadic) {
      if (inputs_[at].node) fail_twice(op_.inputs[at].name);
      input(at, value);
    } else if (at >= inputs && at < inputs + params) {
      if (params_->given >> (at - inputs) & 1) fail_twice(op_.params->fields[at - inputs].name);
      param(at - inputs, value);
    } else if (at >= inputs + params && at < names_.size()) {
      extra(at - inputs - params, value);
    } else if (is_symbol(value)) {
      named_.emplace_back(from_text(name), entry_of(value, name));
    } else {
      attribute(from_text(name), value);
    }
  }

  // The scope's attributes and those of `attr`, which count as keywords that come first.
  void scope() {
    const py::object current = attribute_of(attr_scopes, value_attribute);
    const bool plain = reinterpret_cast<PyObject*>(Py_TYPE(current.ptr())) == plain_attr_scope;
    if (plain && !attr_) {
      const py::object own = attribute_of(current.ptr(), attr_attribute);
      if (PyDict_Check(own.ptr()) && PyDict_GET_SIZE(own.ptr()) == 0) return;
    }
    PyObject* given = attr_ ? attr_ : Py_None;
    PyObject* all = PyObject_CallMethodObjArgs(current.ptr(), get_method, given, nullptr);
    if (!all) throw py::error_already_set();
    const auto attributes = py::reinterpret_steal<py::dict>(all);
    for (const auto& [key, value] : attributes) {
      const size_t at = names_.find(key.ptr()), inputs = names_.inputs();
      if (at >= inputs && at < inputs + names_.params()) {
        if (!(params_->given >> (at - inputs) & 1)) param(at - inputs, value.ptr());
      } else {
        attribute(from_text(key), value.ptr());
      }
    }
  }

  Graph compose(PyObject* hint) {
    scope();
    const size_t count = count_inputs();
    finish_params(count);
    arrange(count);
    return mxtape::compose(op_, std::move(params_), std::move(attributes_), std::move(inputs_),
                           made_name(hint));
  }

 private:
  [[noreturn]] void fail_twice(const std::string& name) const {
    fail_as(ErrorKind::kType, op_.name, ": got two values for argument ", name);
  }

  GraphEntry entry_of(PyObject* symbol, PyObject* name) const {
    const Graph& graph = graph_of_symbol(symbol);
    if (graph.outputs().size() != 1) {
      fail(op_.name, ": argument ", from_text(name), " has ", graph.outputs().size(),
           " outputs; select one, as in symbol[0]");
    }
    return graph.outputs()[0];
  }

  void input(size_t i, PyObject* value) {
    PyObject* name = names_[op_.variadic ? 0 : i];
    if (is_symbol(value)) {
      GraphEntry entry = entry_of(value, name);
      if (op_.variadic) {
        inputs_.push_back(std::move(entry));
      } else {
        inputs_[i] = std::move(entry);
      }
      return;
    }
    // concat(*symbols) is also called with one list.
    if (op_.variadic && (PyList_Check(value) || PyTuple_Check(value))) {
      for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(value); ++k) {
        PyObject* item = PySequence_Fast_GET_ITEM(value, k);
        if (!is_symbol(item)) fail_input(name, item);
        inputs_.push_back(entry_of(item, name));
      }
      return;
    }
    if (!op_.variadic && (value == Py_None || Binder::is_null(value))) return;
    fail_input(name, value);
  }

  [[noreturn]] void fail_input(PyObject* name, PyObject* value) const {
    fail_as(ErrorKind::kAssertion, op_.name, ": argument ", from_text(name),
            " must be a Symbol, got ",
            std::string(py::repr(reinterpret_cast<PyObject*>(Py_TYPE(value)))));
  }

  void param(size_t i, PyObject* value) {
    if (Binder::is_null(value)) return;
    const ParamField& field = op_.params->fields[i];
    if (is_symbol(value)) {
      fail_as(ErrorKind::kMXNet, op_.name, ": parameter ", field.name, " must be no symbol, got ",
              std::string(py::repr(value)));
    }
    set_field(field, value, params_->data(), op_.name);
    params_->given |= uint32_t{1} << i;
    attributes_.set(field.name, attribute_text(field, value, params_->data()));
  }

  enum Extra { kName, kAttr, kOut };
  void extra(size_t i, PyObject* value) {
    if (i == kName && value != Py_None && !Binder::is_null(value)) name_ = value;
    if (i == kAttr && value != Py_None && !Binder::is_null(value)) attr_ = value;
    if (i == kOut && value != Py_None && !Binder::is_null(value)) {
      fail_as(ErrorKind::kType, op_.name, ": a symbol is not written into `out`");
    }
  }

  void attribute(std::string key, PyObject* value) {
    if (op_.variadic && !op_.params && key == op_.count_param) {
      count_ = py::cast<size_t>(py::int_(py::reinterpret_borrow<py::object>(value)));
      return;
    }
    key = stored_key(std::move(key));
    if (!is_own_key(key)) fail_unknown(key);
    attributes_.set(key, from_text(py::str(value)));
  }

  [[noreturn]] void fail_unknown(const std::string& key) const {
    for (const std::string_view hidden : hidden_keys()) {
      if (!key.ends_with("_" + std::string(hidden))) continue;
      const std::string input = key.substr(0, key.size() - hidden.size() - 1);
      fail(op_.name, ": ", key, " is the attribute of an input; give it to the variable: ", input,
           "=mx.sym.Variable('...', ", hidden, "=...)");
    }
    std::string known;
    for (size_t i = 0; i < names_.inputs() + names_.params(); ++i) {
      known += (known.empty() ? "" : ", ") + from_text(names_[i]);
    }
    fail(op_.name, ": unknown argument '", key, "'; it accepts ", known,
         ", name, attr and attributes such as __key__ and lr_mult", argument_hint(key, known));
  }

  // Of a variadic operator: what the caller says, or what was given.
  size_t count_inputs() {
    if (!op_.variadic) return inputs_.size();
    if (!named_.empty() && !inputs_.empty()) {
      fail_as(ErrorKind::kType, op_.name,
              ": inputs are given by position or by keyword, not both at once");
    }
    const size_t given = inputs_.size() + named_.size();
    size_t wanted = count_ ? count_ : given;
    if (op_.params) {
      const auto& fields = op_.params->fields;
      for (size_t i = 0; i < fields.size(); ++i) {
        if (fields[i].name != op_.count_param || !(params_->given >> i & 1)) continue;
        const std::string text = print_field(fields[i], params_->data());
        wanted = static_cast<size_t>(std::max(0L, std::strtol(text.c_str(), nullptr, 10)));
      }
    }
    if (given > count_composed(op_, params_.get(), wanted)) {
      fail(op_.name, ": ", op_.count_param, " is ", wanted, ", but ", given, " inputs are given");
    }
    return wanted;
  }

  void finish_params(size_t count) {
    if (op_.variadic && !op_.count_param.empty()) {
      if (!attributes_.find(op_.count_param)) {
        attributes_.set(op_.count_param, std::to_string(count));
      }
    }
    if (!op_.params) return;
    const auto& fields = op_.params->fields;
    for (size_t i = 0; i < fields.size(); ++i) {
      if (op_.variadic && fields[i].name == op_.count_param) {
        const size_t inputs = count_composed(op_, params_.get(), count);
        parse_field(fields[i], std::to_string(inputs), params_->data(), op_.name);
        params_->given |= uint32_t{1} << i;
      } else if (fields[i].required && !(params_->given >> i & 1)) {
        fail(op_.name, ": required parameter ", fields[i].name, " is missing (", fields[i].doc,
             ")");
      }
    }
  }

  // Puts the inputs where the call takes them.
  void arrange(size_t count) {
    if (op_.variadic) return arrange_variadic(count);
    if (!named_.empty()) fail_unknown(named_[0].first);
    if (!op_.used_inputs) return;
    const uint32_t used = op_.used_inputs(params_.get());
    const auto given = static_cast<size_t>(
        std::ranges::count_if(inputs_, [](const GraphEntry& entry) { return bool(entry.node); }));
    const auto wanted = static_cast<size_t>(std::popcount(used));
    // Symbols given by position only are those that the parameters ask for, whichever they are.
    if (positional_ == wanted && given == wanted) {
      inputs_.resize(wanted);
      return;
    }
    size_t at = 0;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (used >> i & 1) {
        if (at != i) inputs_[at] = std::move(inputs_[i]);
        ++at;
      } else if (inputs_[i].node) {
        fail(op_.name, ": argument ", op_.inputs[i].name,
             " was given, but these parameters leave it out (",
             params_ ? print_given(*params_) : "", ")");
      }
    }
    inputs_.resize(at);
  }

  void arrange_variadic(size_t count) {
    count = count_composed(op_, params_.get(), count);
    inputs_.resize(std::max(count, inputs_.size()));
    for (auto& [name, entry] : named_) {
      size_t i = 0;
      while (i < count && composed_input_name(op_, i, params_.get()) != name &&
             op_.input_name(i, params_.get()) != name) {
        ++i;
      }
      if (i == count) fail_unknown(name);
      inputs_[i] = std::move(entry);
    }
  }

  std::string made_name(PyObject* hint) const {
    const py::object manager = attribute_of(name_managers, value_attribute);
    PyObject* name = PyObject_CallMethodObjArgs(manager.ptr(), get_method, name_ ? name_ : Py_None,
                                                hint, nullptr);
    if (!name) throw py::error_already_set();
    const auto made = py::reinterpret_steal<py::object>(name);
    if (!PyUnicode_Check(name)) {
      fail_as(ErrorKind::kType, op_.name, ": name must be a string, got ",
              std::string(py::repr(made)));
    }
    return from_text(made);
  }

  const OpSchema& op_;
  const ArgumentNames& names_;
  Ref<Params> params_;
  Attributes attributes_;
  std::vector<GraphEntry> inputs_;
  std::vector<std::pair<std::string, GraphEntry>> named_;  // by another keyword than an input's
  size_t positional_ = 0;  // inputs given by position, before any None
  size_t count_ = 0;       // inputs, where the caller says so to an operator without parameters
  PyObject *name_ = nullptr, *attr_ = nullptr;
};

// ---- the type

struct PySymbolOp {
  PyObject_HEAD vectorcallfunc vectorcall;
  const OpSchema* op;
  const ArgumentNames* names;  // of the operator, made at the first call
  PyObject* label;             // the operator's name or alias
  PyObject* hint;              // what names begin with: the function's name in lower case
  PyObject* dict;
};

const ArgumentNames& names_of(const OpSchema& op) {
  static auto* all = new std::unordered_map<const OpSchema*, std::unique_ptr<ArgumentNames>>;
  std::unique_ptr<ArgumentNames>& names = (*all)[&op];
  if (!names) {
    names = std::make_unique<ArgumentNames>(
        op, std::initializer_list<const char*>{"name", "attr", "out"});
  }
  return *names;
}

PyObject* call_symbol_op(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* keywords) {
  auto* callable = reinterpret_cast<PySymbolOp*>(self);
  try {
    if (!callable->names) callable->names = &names_of(*callable->op);
    Composer composer(*callable->op, *callable->names);
    const auto count = static_cast<size_t>(PyVectorcall_NARGS(nargsf));
    composer.positional(args, count);
    const Py_ssize_t named = keywords ? PyTuple_GET_SIZE(keywords) : 0;
    for (Py_ssize_t i = 0; i < named; ++i) {
      composer.keyword(PyTuple_GET_ITEM(keywords, i), args[count + static_cast<size_t>(i)]);
    }
    return make_symbol(composer.compose(callable->hint)).release().ptr();
  } catch (...) {
    return set_python_error();
  }
}

PyObject* bind_to_symbol(PyObject* self, PyObject* instance, PyObject*) {
  if (!instance || instance == Py_None) {
    Py_INCREF(self);
    return self;
  }
  return PyMethod_New(self, instance);
}

PyObject* symbol_op_repr(PyObject* self) {
  return PyUnicode_FromFormat("<mxtape symbol operator %U>",
                              reinterpret_cast<PySymbolOp*>(self)->label);
}

PyObject* symbol_op_text(PyObject* self, void* what) {
  return PyObject_CallFunction(describe_symbol, "Os", reinterpret_cast<PySymbolOp*>(self)->label,
                               static_cast<const char*>(what));
}

PyObject* symbol_op_name(PyObject* self, void*) {
  PyObject* label = reinterpret_cast<PySymbolOp*>(self)->label;
  Py_INCREF(label);
  return label;
}

char symbol_doc[] = "doc";
char symbol_signature[] = "signature";

PyMemberDef symbol_op_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(PySymbolOp, vectorcall), READONLY, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(PySymbolOp, dict), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyGetSetDef symbol_op_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {"__doc__", symbol_op_text, nullptr, nullptr, symbol_doc},
    {"__signature__", symbol_op_text, nullptr, nullptr, symbol_signature},
    {"__name__", symbol_op_name, nullptr, nullptr, nullptr},
    {"__qualname__", symbol_op_name, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

void symbol_op_dealloc(PyObject* self) {
  auto* callable = reinterpret_cast<PySymbolOp*>(self);
  PyTypeObject* type = Py_TYPE(self);
  Py_CLEAR(callable->label);
  Py_CLEAR(callable->hint);
  Py_CLEAR(callable->dict);
  type->tp_free(self);
  Py_DECREF(type);
}

PyType_Slot symbol_op_slots[] = {
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_descr_get, reinterpret_cast<void*>(bind_to_symbol)},
    {Py_tp_repr, reinterpret_cast<void*>(symbol_op_repr)},
    {Py_tp_dealloc, reinterpret_cast<void*>(symbol_op_dealloc)},
    {Py_tp_members, symbol_op_members},
    {Py_tp_getset, symbol_op_getset},
    {0, nullptr},
};
PyType_Spec symbol_op_spec = {
    "mxtape._core.SymbolOperator", sizeof(PySymbolOp), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
    symbol_op_slots};

// The function that is called `name` in its namespace, for the operator `label`.
py::object make_symbol_op(const std::string& label, const std::string& name) {
  PyObject* self = symbol_op_type->tp_alloc(symbol_op_type, 0);
  if (!self) throw py::error_already_set();
  auto* callable = reinterpret_cast<PySymbolOp*>(self);
  callable->op = &find_op(label);
  callable->vectorcall = call_symbol_op;
  std::string lower = name;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  callable->label = PyUnicode_InternFromString(label.c_str());
  callable->hint = PyUnicode_InternFromString(lower.c_str());
  return py::reinterpret_steal<py::object>(self);
}

// net(data=other): a graph with variables replaced.
Graph compose_graph(const Graph& graph, const py::dict& symbols, const std::string& name) {
  std::unordered_map<std::string, GraphEntry> entries;
  for (const auto& [key, value] : symbols) {
    const Graph& other = graph_of_symbol(value.ptr());
    if (other.outputs().size() != 1) {
      fail("compose: argument ", from_text(key), " has ", other.outputs().size(),
           " outputs; select one, as in symbol[0]");
    }
    entries.emplace(from_text(key), other.outputs()[0]);
  }
  return substituted(graph, entries, name);
}

Graph variable_graph(const std::string& name, const py::dict& attributes) {
  Attributes given;
  for (const auto& [key, value] : attributes) {
    given.set(stored_key(from_text(key)), from_text(value));
  }
  return Graph({{GraphNode::variable(name, std::move(given))}});
}

}  // namespace

bool is_symbol(PyObject* object) {
  return symbol_class && PyObject_TypeCheck(object, symbol_class);
}

const Graph& graph_of_symbol(PyObject* symbol) {
  // The symbol keeps its graph.
  const py::object graph = attribute_of(symbol, graph_attribute);
  return py::cast<const Graph&>(graph);
}

py::object make_symbol(Graph graph) {
  PyObject* symbol = symbol_class->tp_alloc(symbol_class, 0);
  if (!symbol) throw py::error_already_set();
  auto made = py::reinterpret_steal<py::object>(symbol);
  const py::object held = py::cast(std::move(graph));
  if (PyObject_SetAttr(symbol, graph_attribute, held.ptr()) < 0) throw py::error_already_set();
  return made;
}

void init_compose(py::module_& m) {
  PyObject* type = PyType_FromSpec(&symbol_op_spec);
  if (!type) throw py::error_already_set();
  symbol_op_type = reinterpret_cast<PyTypeObject*>(type);
  m.attr("SymbolOperator") = py::reinterpret_borrow<py::object>(type);
  graph_attribute = PyUnicode_InternFromString("_graph");
  value_attribute = PyUnicode_InternFromString("value");
  get_method = PyUnicode_InternFromString("get");
  attr_attribute = PyUnicode_InternFromString("_attr");
  m.def("make_symbol_op", make_symbol_op);
  m.def("compose_graph", compose_graph);
  m.def("variable_graph", variable_graph);
  // The class Symbol, what the current NameManager and AttrScope hang on, the class AttrScope, and
  // what makes docstrings.
  m.def("set_symbol_types", [](py::object symbol, py::object names, py::object scopes,
                               py::object scope, py::object describe) {
    symbol_class = reinterpret_cast<PyTypeObject*>(symbol.release().ptr());
    name_managers = names.release().ptr();
    attr_scopes = scopes.release().ptr();
    plain_attr_scope = scope.release().ptr();
    describe_symbol = describe.release().ptr();
  });
}

}  // namespace mxtape::python

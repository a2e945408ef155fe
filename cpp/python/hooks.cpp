#include "python/hooks.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "autograd/anomaly.h"
#include "autograd/errors.h"
#include "autograd/hooks.h"
#include "core/error.h"
#include "python/gil.h"
#include "python/ndarray_type.h"
#include "runtime/convert.h"

namespace py = pybind11;

// Hooks that are Python functions, and what detect_anomaly says of an array.
namespace mxtape::python {
namespace {

py::object called(PyObject* function, const py::object& argument) {
  auto result = py::reinterpret_steal<py::object>(or_wait_for_exit(
      [&] { return PyObject_CallFunctionObjArgs(function, argument.ptr(), nullptr); }));
  if (!result) throw py::error_already_set();
  return result;
}

// The name of a function, or what repr() says of another object.
std::string name_of(PyObject* function) {
  const py::handle handle(function);
  if (py::hasattr(handle, "__qualname__")) return py::str(handle.attr("__qualname__"));
  return py::str(py::repr(handle));
}

std::string type_of(const py::object& value) { return Py_TYPE(value.ptr())->tp_name; }

// A Python object that C++ owns, dropped from any thread.
class Held final : public RefCounted {
 public:
  explicit Held(py::object object) : object_(object.release().ptr()) {}
  py::object object() const { return py::reinterpret_borrow<py::object>(object_); }
  // Of an array: what it was when it came here.
  std::optional<autograd::Saved> saved;

 private:
  ~Held() override { drop_object(object_); }
  PyObject* object_;
};

class FunctionHook final : public autograd::GradientHook {
 public:
  explicit FunctionHook(py::object function) : function_(make_ref<Held>(std::move(function))) {}
  NDArray run(const NDArray& grad) override {
    const py::object function = function_->object();
    const py::object made = called(function.ptr(), wrap_object(grad));
    if (made.is_none()) return NDArray();
    if (is_ndarray(made.ptr())) return array_of(made.ptr());
    fail_as(ErrorKind::kType, "the gradient hook ", text(),
            " must return None or an NDArray, got an object of type ", type_of(made));
  }
  std::string text() const override { return name_of(function_->object().ptr()); }

 private:
  Ref<Held> function_;
};

class FunctionSavedHooks final : public autograd::SavedHooks {
 public:
  FunctionSavedHooks(py::object pack, py::object unpack)
      : pack_(make_ref<Held>(std::move(pack))), unpack_(make_ref<Held>(std::move(unpack))) {}

  Ref<RefCounted> pack(const NDArray& array) override {
    py::object made = called(pack_->object().ptr(), wrap_object(array.detached()));
    std::optional<autograd::Saved> saved;
    if (is_ndarray(made.ptr())) {
      const NDArray& kept = array_of(made.ptr());
      // Without its place on the tape: what is saved must not own the graph.
      if (kept.edge_node()) made = wrap_object(kept.detached());
      saved.emplace(autograd::Saved::data(kept));
    }
    auto held = make_ref<Held>(std::move(made));
    if (saved) held->saved.emplace(std::move(*saved));
    return held;
  }
  NDArray unpack(RefCounted& packed) override {
    const py::object made =
        called(unpack_->object().ptr(), static_cast<const Held&>(packed).object());
    if (is_ndarray(made.ptr())) return array_of(made.ptr());
    fail_as(ErrorKind::kType,
            "saved_arrays_hooks: unpack must return an NDArray, got an object of type ",
            type_of(made));
  }
  bool stale(const RefCounted& packed) const override {
    const auto& held = static_cast<const Held&>(packed);
    return held.saved && held.saved->stale();
  }

 private:
  Ref<Held> pack_, unpack_;
};

// Says of an exception that a hook or a Function has raised where that was.
void note_error(const std::string& text) {
  try {
    throw;
  } catch (py::error_already_set& error) {
    // Ctrl-C and the like are nobody's mistake.
    if (!error.matches(PyExc_Exception)) return;
    const WithGil lock;
    const py::object value = error.value();
    if (py::hasattr(value, "add_note")) {
      value.attr("add_note")(text);
    } else {
      py::list notes;
      if (py::hasattr(value, "__notes__")) notes = value.attr("__notes__");
      notes.append(text);
      value.attr("__notes__") = notes;
    }
  } catch (...) {
    return;
  }
}

// Counted in pieces, as double.
struct Counts {
  int64_t nans = 0, infinities = 0;
  double least = INFINITY, most = -INFINITY;

  void add(const double* values, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      const double x = values[i];
      if (std::isnan(x)) {
        ++nans;
      } else if (std::isinf(x)) {
        ++infinities;
      } else {
        least = std::min(least, x);
        most = std::max(most, x);
      }
    }
  }
};

std::string statistics(const NDArray& array) {
  if (array.storage()->form() > Form::kDense || !is_floating(array.dtype())) return "";
  constexpr int64_t kPiece = 1024;
  double values[kPiece];
  Counts counts;
  const auto item = static_cast<int64_t>(item_size(array.dtype()));
  const char* bytes = array.bytes();
  for (int64_t begin = 0; begin < array.size(); begin += kPiece) {
    const int64_t n = std::min(kPiece, array.size() - begin);
    convert(array.dtype(), bytes + begin * item, DType::kFloat64, values, n);
    counts.add(values, n);
  }
  if (!counts.nans && !counts.infinities) return "";
  const std::string found =
      str_cat("shape ", array.shape(), ", ", array.dtype(), ", ", counts.nans, " of ", array.size(),
              " are NaN, ", counts.infinities, " are infinite, ");
  if (counts.least > counts.most) return found + "none is finite";
  return str_cat(found, "the others lie in [", counts.least, ", ", counts.most, "]");
}

autograd::Node& place_of(const NDArray& array, const char* what) {
  autograd::Node* node = autograd::node_of(array);
  if (node && node->released()) {
    autograd::fail_freed(str_cat(what, ": the graph of the array"), *node);
  }
  if (!node) {
    fail(what, ": the array of shape ", array.shape(),
         " is neither a variable nor computed from one while recording: it has no gradient. Call "
         "attach_grad() on it, or register inside autograd.record()");
  }
  return *node;
}

uint64_t add_hook(py::handle x, py::object function, bool complete) {
  const char* what = complete ? "register_complete_hook" : "register_gradient_hook";
  const NDArray& array = as_array(x);
  if (!PyCallable_Check(function.ptr())) {
    fail_as(ErrorKind::kType, what, ": the hook must be callable, got an object of type ",
            type_of(function));
  }
  autograd::Node& node = place_of(array, what);
  if (complete && !node.is_leaf()) {
    fail(what, ": the array of shape ", array.shape(),
         " is not a variable, but computed from one. Use register_gradient_hook()");
  }
  return autograd::add_hook(
      node, array.edge_index(),
      complete ? autograd::HookKind::kComplete : autograd::HookKind::kGradient,
      make_ref<FunctionHook>(std::move(function)));
}

}  // namespace

void init_hooks(py::module_& m) {
  autograd::set_error_note(note_error);
  autograd::set_statistics(statistics);
  m.def("add_hook", add_hook);
  m.def("remove_hook", autograd::remove_hook);
  // Keeps the gradient of what is not a variable in `buffer`. False: it is a variable.
  m.def("retain_grad", [](py::handle x, py::handle buffer, bool add) {
    const NDArray& array = as_array(x);
    autograd::Node& node = place_of(array, "retain_grad");
    if (node.is_leaf()) return false;
    autograd::retain_gradient(node, array.edge_index(), as_array(buffer).detached(),
                              add ? autograd::GradReq::kAdd : autograd::GradReq::kWrite);
    return true;
  });
  m.def("push_saved_hooks", [](py::object pack, py::object unpack) {
    autograd::push_saved_hooks(make_ref<FunctionSavedHooks>(std::move(pack), std::move(unpack)));
  });
  m.def("pop_saved_hooks", autograd::pop_saved_hooks);
  // Returns what was set before.
  m.def("set_anomaly_mode", [](bool backward, bool forward) {
    const autograd::AnomalyMode before = autograd::anomaly_mode();
    autograd::set_anomaly_mode({backward, forward});
    return py::make_tuple(before.backward, before.forward);
  });
}

}  // namespace mxtape::python

#include <pybind11/stl.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "autograd/backward.h"
#include "autograd/errors.h"
#include "autograd/hooks.h"
#include "autograd/recorder.h"
#include "op/batch.h"
#include "op/invoke.h"
#include "op/sparse.h"
#include "python/gil.h"
#include "python/hooks.h"
#include "python/ndarray_type.h"
#include "python/tape.h"
#include "python/view.h"
#include "runtime/convert.h"

namespace py = pybind11;

namespace mxtape::python {
namespace {

using autograd::GradReq;

std::vector<NDArray> as_arrays(const py::sequence& list, const char* what) {
  std::vector<NDArray> arrays;
  for (py::handle item : list) arrays.push_back(as_array(item, what));
  return arrays;
}

// None stands for a head gradient of ones.
std::vector<NDArray> as_head_grads(const py::object& list) {
  std::vector<NDArray> arrays;
  if (list.is_none()) return arrays;
  for (py::handle item : list) {
    arrays.push_back(item.is_none() ? NDArray() : as_array(item, "head_grads"));
  }
  return arrays;
}

// The Function whose backward this thread runs while the gradient is recorded, or null.
thread_local const std::string* recorded_function = nullptr;
struct RecordedFunction {
  explicit RecordedFunction(const std::string* name)
      : outside(std::exchange(recorded_function, name)) {}
  ~RecordedFunction() { recorded_function = outside; }
  const std::string* outside;
};

// A sweep that is not recorded gives constants: a gradient made of them would lose what it depends
// on.
void expect_recorded_sweep(bool create_graph) {
  if (!recorded_function || create_graph) return;
  fail(*recorded_function,
       ": its backward runs a backward of its own, while its gradient is recorded to be "
       "differentiated again; use autograd.grad(..., create_graph=True) there");
}

// What a Function's forward computed and kept, while its gradient is recorded: how it depends on
// the inputs is not known.
class KeptNode final : public autograd::Node {
 public:
  explicit KeptNode(autograd::Node& function)
      : name_(function.name()), edges_(function.edges().begin(), function.edges().end()) {}
  std::string_view name() const override { return name_; }
  std::span<autograd::Edge> edges() override { return edges_; }
  uint32_t output_count() const override { return 1; }
  void vjp(autograd::VjpCall& call) override {
    const NDArray head = in_dense(call.head(0));
    std::vector<double> values(static_cast<size_t>(head.size()));
    convert(head.dtype(), head.bytes(), DType::kFloat64, values.data(), head.size());
    if (std::all_of(values.begin(), values.end(), [](double x) { return x == 0; })) return;
    fail(name_,
         ": the gradient of its gradient needs that of an array which forward computed and kept, "
         "and neither accepted nor returned. Compute it in backward from the inputs and outputs; "
         "where it is a constant, use nd.BlockGrad() of it there",
         where());
  }
  void release() override {
    mark_released();
    edges_.clear();
  }

 private:
  std::string name_;
  std::vector<autograd::Edge> edges_;
};

// An array of no elements that hangs at a place of the tape.
py::object place_of(const autograd::Edge& edge) {
  NDArray place = NDArray::empty(Shape{0}, DType::kFloat32);
  if (edge.node) place.set_edge(edge.node, edge.index);
  return wrap_object(std::move(place));
}

// An autograd.Function on the tape. `backward` is called with the head gradients and, under
// create_graph, the outputs hung on this node, so that a saved output can be differentiated again.
class FunctionNode final : public autograd::Node {
 public:
  FunctionNode(py::object function, std::string name, const std::vector<NDArray>& inputs,
               const std::vector<NDArray>& outputs)
      : function_(function.release().ptr()),
        name_(std::move(name)),
        output_count_(static_cast<uint32_t>(outputs.size())) {
    for (const NDArray& input : inputs) {
      edges_.push_back(autograd::edge_of(input));
      inputs_.push_back(autograd::Saved::meta(input));
    }
    // Without an edge: the node must not own what owns it.
    for (const NDArray& output : outputs) outputs_.push_back(autograd::Saved::data(output));
  }

  std::string_view name() const override { return name_; }
  std::span<autograd::Edge> edges() override { return edges_; }
  uint32_t output_count() const override { return output_count_; }
  bool output_meta(uint32_t index, Shape& shape, DType& dtype) const override {
    if (index >= outputs_.size()) return false;
    shape = outputs_[index].shape;
    dtype = outputs_[index].dtype;
    return true;
  }

  bool input_meta(uint32_t index, Shape& shape, DType& dtype) override {
    shape = inputs_[index].shape;
    dtype = inputs_[index].dtype;
    return true;
  }

  void vjp(autograd::VjpCall& call) override {
    // Copied first: other threads run below, and a sweep of theirs may release this node.
    const auto function = py::reinterpret_borrow<py::object>(function_);
    std::vector<NDArray> saved;
    for (const autograd::Saved& output : outputs_) saved.push_back(output.array());
    py::list heads, outputs, inputs;
    if (call.create_graph()) {
      for (const autograd::Edge& edge : edges_) inputs.append(place_of(edge));
    }
    for (size_t i = 0; i < saved.size(); ++i) {
      heads.append(wrap_object(own_head(call, i, saved[i])));
      if (call.create_graph()) {
        saved[i].set_edge(Ref<RefCounted>(this), static_cast<uint32_t>(i));
      }
      outputs.append(wrap_object(saved[i]));
    }
    const RecordedFunction scope(call.create_graph() ? &name_ : nullptr);
    const auto result = py::reinterpret_steal<py::object>(or_wait_for_exit([&] {
      return PyObject_CallFunctionObjArgs(function.ptr(), heads.ptr(), outputs.ptr(), inputs.ptr(),
                                          nullptr);
    }));
    if (!result) throw py::error_already_set();
    const py::list grads(result);
    if (grads.size() != inputs_.size()) {
      fail(name_, ": backward returned ", grads.size(), " gradients for ", inputs_.size(),
           " inputs", autograd::call_text(*this));
    }
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (!call.needs(i) || grads[i].is_none()) continue;
      NDArray grad = as_array(grads[i], "the results of Function.backward");
      if (grad.shape() != inputs_[i].shape || grad.dtype() != inputs_[i].dtype) {
        fail(name_, ": backward returned for input ", i, " a gradient of shape ", grad.shape(),
             " and dtype ", grad.dtype(), ", the input has ", inputs_[i].shape, " and ",
             inputs_[i].dtype, where());
      }
      call.grad(i, std::move(grad));
    }
  }

  void release() override {
    if (released()) return;
    mark_released();
    // What is dropped may run Python code, which finds the node empty.
    const auto edges = std::exchange(edges_, {});
    const auto outputs = std::exchange(outputs_, {});
    drop_function();
  }
  FunctionParts parts() const { return {function_, outputs_}; }

 private:
  // The user's code may write into its head gradient: it gets memory that no other gradient shares.
  static NDArray own_head(const autograd::VjpCall& call, size_t i, const NDArray& output) {
    const autograd::GradientOps& ops = autograd::gradient_ops();
    if (!call.has_head(i)) return ops.fill_like(output.shape(), output.dtype(), 0);
    return call.head(i).storage()->unique() ? call.head(i) : ops.copy(call.head(i));
  }

  ~FunctionNode() override { drop_function(); }
  void drop_function() {
    if (PyObject* function = std::exchange(function_, nullptr)) drop_object(function);
  }

  PyObject* function_;
  std::string name_;
  uint32_t output_count_;  // of a released node too: another sweep may have gradients for it
  std::vector<autograd::Edge> edges_;
  std::vector<autograd::Saved> inputs_, outputs_;
};

py::list record_function(py::object function, const std::string& name, const py::sequence& inputs,
                         const py::sequence& outputs) {
  const std::vector<NDArray> in = as_arrays(inputs, "the inputs of a Function");
  std::vector<NDArray> out = as_arrays(outputs, "the outputs of Function.forward");
  bool tracked = false;
  for (const NDArray& array : in) tracked = tracked || autograd::on_tape(array);
  py::list results;
  if (!tracked) {
    for (const py::handle& output : outputs) results.append(output);
    return results;
  }
  auto node = make_ref<FunctionNode>(std::move(function), name, in, out);
  for (size_t i = 0; i < out.size(); ++i) {
    // A fresh handle: the object that forward returned may be saved by the Function itself.
    NDArray hung = out[i].detached();
    hung.set_edge(node, static_cast<uint32_t>(i));
    results.append(wrap_object(std::move(hung)));
  }
  return results;
}

// A long sweep calls it: Ctrl-C ends it, and other threads that wait for the interpreter run.
void look_up_from_sweep() {
  if (or_wait_for_exit(PyErr_CheckSignals) < 0) throw py::error_already_set();
  // A thread that waits asks for the lock when it has not changed hands for 5 ms. Given up before,
  // it is mostly back here before the other thread has woken up, which then starts to wait anew.
  constexpr auto kTurn = std::chrono::milliseconds(10);
  static thread_local std::chrono::steady_clock::time_point turn_ends;
  const auto now = std::chrono::steady_clock::now();
  if (now < turn_ends) return;
  turn_ends = now + kTurn;
  const WithoutGil others;
}

GradReq as_grad_req(const std::string& name) {
  if (name == "write") return GradReq::kWrite;
  if (name == "add") return GradReq::kAdd;
  if (name == "null") return GradReq::kNull;
  throw py::key_error("grad_req must be 'write', 'add' or 'null'; got '" + name + "'");
}

void mark_variables(const py::sequence& variables, const py::sequence& gradients,
                    const std::vector<std::string>& reqs) {
  const std::vector<NDArray> grads = as_arrays(gradients, "gradients");
  std::vector<NDArray> marked = as_arrays(variables, "variables");
  if (grads.size() != marked.size() || reqs.size() != marked.size()) {
    fail_as(ErrorKind::kAssertion, "mark_variables: ", marked.size(), " variables, ", grads.size(),
            " gradients and ", reqs.size(), " grad_reqs");
  }
  // A variable that is marked anew keeps its hooks.
  std::vector<std::pair<Ref<autograd::Node>, Ref<autograd::Node>>> renewed;
  for (size_t i = 0; i < marked.size(); ++i) {
    const Ref<autograd::Node> before(autograd::leaf_of(marked[i]));
    autograd::mark_variable(marked[i], grads[i].detached(), as_grad_req(reqs[i]));
    if (before && before->hooked()) {
      renewed.emplace_back(before, Ref<autograd::Node>(autograd::node_of(marked[i])));
    }
  }
  for (size_t i = 0; i < marked.size(); ++i) {
    array_of(py::object(variables[i]).ptr())
        .set_edge(Ref<RefCounted>(marked[i].edge_node()), marked[i].edge_index());
  }
  for (const auto& [before, now] : renewed) autograd::move_hooks(*before, *now);
}

}  // namespace

FunctionParts function_parts(autograd::Node& node) {
  const auto* function = dynamic_cast<FunctionNode*>(&node);
  return function ? function->parts() : FunctionParts{};
}

void init_autograd(py::module_& m) {
  autograd::set_interruption(look_up_from_sweep);
  init_hooks(m);
  m.def("is_recording", &autograd::is_recording);
  m.def("is_training", &autograd::is_training);
  m.def("set_recording",
        [](bool on) { return std::exchange(autograd::thread_mode().recording, on); });
  m.def("set_training",
        [](bool on) { return std::exchange(autograd::thread_mode().training, on); });
  m.def("mark_variables", mark_variables);
  m.def("detach", [](py::handle x) {
    NDArray off_tape = detached(as_array(x));
    autograd::set_off_tape(off_tape, autograd::OffTape::kDetached);
    return wrap_object(std::move(off_tape));
  });
  m.def("on_tape", [](py::handle x) { return autograd::on_tape(as_array(x, "arguments")); });
  // Hangs `x` where `like` hangs, or takes it off the tape.
  m.def("set_edge", [](py::handle x, py::handle like) {
    as_array(x);
    adopt_edge(x.ptr(), like.is_none() ? NDArray() : as_array(like));
  });
  // Where `x` hangs.
  m.def("place_of", [](py::handle x) { return place_of(autograd::edge_of(as_array(x))); });
  // Hangs `x`, which the Function that made `output` kept, on a node that cannot be differentiated.
  m.def("set_kept", [](py::handle x, py::handle output) {
    NDArray like = as_array(x).detached();
    like.set_edge(make_ref<KeptNode>(*autograd::node_of(as_array(output))), 0);
    adopt_edge(x.ptr(), like);
  });
  m.def("fresh_grad", [](py::handle x) {
    const autograd::LeafNode* leaf = autograd::leaf_of(as_array(x));
    return leaf && leaf->fresh();
  });
  m.def("set_fresh_grad", [](py::handle x, bool fresh) {
    autograd::LeafNode* leaf = autograd::leaf_of(as_array(x));
    if (!leaf) fail("_fresh_grad: the array is not a variable; call attach_grad() first");
    leaf->set_fresh(fresh);
  });
  m.def("record_function", record_function);
  m.def("backward", [](const py::sequence& heads, const py::object& head_grads, bool retain_graph,
                       bool train_mode) {
    expect_recorded_sweep(false);
    autograd::backward(as_arrays(heads, "heads"), as_head_grads(head_grads),
                       {retain_graph, false, train_mode});
  });
  // The same; the gradients that were written, in the order in which their variables were marked.
  m.def("compute_gradient", [](const py::sequence& heads) {
    expect_recorded_sweep(false);
    std::vector<NDArray> written;
    autograd::backward(as_arrays(heads, "heads"), {}, {false, false, true}, &written);
    py::list grads;
    for (NDArray& grad : written) grads.append(wrap_object(std::move(grad)));
    return grads;
  });
  m.def("grad", [](const py::sequence& heads, const py::sequence& variables,
                   const py::object& head_grads, bool retain_graph, bool create_graph,
                   bool train_mode) {
    expect_recorded_sweep(create_graph);
    py::list results;
    for (NDArray& result : autograd::grad(as_arrays(heads, "heads"), as_head_grads(head_grads),
                                          as_arrays(variables, "variables"),
                                          {retain_graph, create_graph, train_mode})) {
      results.append(wrap_object(std::move(result)));
    }
    return results;
  });
  m.def("check_writable",
        [](py::handle x, const std::string& what) { check_writable(as_array(x), what); });
}

}  // namespace mxtape::python

#include "python/checkpoint.h"

#include <algorithm>
#include <unordered_set>

#include "autograd/anomaly.h"
#include "autograd/recorder.h"
#include "core/error.h"
#include "graph/cached_op.h"
#include "op/effects.h"
#include "op/op_node.h"
#include "python/gil.h"
#include "python/ndarray_type.h"

namespace py = pybind11;

namespace mxtape::python {

using autograd::Edge;
using autograd::EndNode;
using autograd::Node;
using autograd::Saved;

namespace {

// Recording, in a mode of training. What is saved stays in memory: it does not live long. Values
// are still watched for those that are not finite.
class RecordedPart {
 public:
  explicit RecordedPart(bool training) : state_(true, training) {
    autograd::thread_mode().packs = autograd::anomaly_mode().forward;
  }

 private:
  autograd::StateScope state_;
};

py::list call_part(PyObject* part, const py::list& inputs) {
  const auto held = py::reinterpret_borrow<py::object>(part);
  auto result = py::reinterpret_steal<py::object>(or_wait_for_exit(
      [&] { return PyObject_CallFunctionObjArgs(held.ptr(), inputs.ptr(), nullptr); }));
  if (!result) throw py::error_already_set();
  return py::list(std::move(result));
}

// Whether a place was there before what is newer than node number `last`. So counts a variable,
// also one that was made meanwhile: a parameter that is initialized at first use.
bool is_outside(const Edge& edge, uint64_t last) {
  return edge.node && (edge.node->number() <= last || edge.node->is_leaf());
}

// Calls visit(node) for what was recorded after node number `last` and leads to `heads`.
template <class Visit>
void visit_newer(std::span<const Edge> heads, uint64_t last, Visit&& visit) {
  std::unordered_set<Node*> seen;
  std::vector<Node*> stack;
  const auto push = [&](const Edge& edge) {
    if (!edge.node || is_outside(edge, last)) return;
    if (seen.insert(edge.node.get()).second) stack.push_back(edge.node.get());
  };
  for (const Edge& head : heads) push(head);
  while (!stack.empty()) {
    Node* node = stack.back();
    stack.pop_back();
    for (const Edge& edge : node->edges()) push(edge);
    visit(*node);
  }
}

std::vector<Edge> heads_of(const std::vector<NDArray>& results) {
  std::vector<Edge> heads;
  for (const NDArray& result : results) heads.push_back(autograd::edge_of(result));
  return heads;
}

// Of what was recorded after node number `last`: the places before, on which it depends.
CheckpointNode::Outside find_outside(std::span<const Edge> heads, uint64_t last) {
  CheckpointNode::Outside outside;
  const auto note = [&](const Edge& edge) {
    if (!is_outside(edge, last)) return;
    const CheckpointNode::Place place{edge.node.get(), edge.index};
    if (outside.known.emplace(place, outside.edges.size()).second) outside.edges.push_back(edge);
  };
  for (const Edge& head : heads) note(head);
  visit_newer(heads, last, [&](Node& node) {
    const std::span<Edge> edges = node.edges();
    const auto read = [&](size_t i, const Saved* saved) {
      if (!saved || !saved->storage || !is_outside(edges[i], last)) return;
      outside.reads[{edges[i].node.get(), edges[i].index}] = {saved->storage.get(), saved->version};
    };
    for (const Edge& edge : edges) note(edge);
    if (auto* op = dynamic_cast<OpNode*>(&node)) {
      for (size_t i = 0; i < edges.size(); ++i) read(i, op->saved_input(i));
    } else if (auto* call = dynamic_cast<GraphCallNode*>(&node); call && call->frame()) {
      const Frame& frame = *call->frame();
      const std::vector<bool>& tracked = frame.reverse()->tracked();
      for (size_t i = 0; i < tracked.size(); ++i) {
        if (tracked[i]) read(frame.end_of(i), frame.kept_value(i));
      }
    }
  });
  return outside;
}

std::vector<NDArray> arrays_of(const py::list& list) {
  std::vector<NDArray> arrays;
  for (py::handle item : list) arrays.push_back(as_array(item, "the results of a checkpoint"));
  return arrays;
}

}  // namespace

py::list CheckpointNode::run(py::object part, std::string name, const py::list& inputs) {
  const bool training = autograd::is_training();
  // Numbers grow: what is recorded below has larger ones.
  const uint64_t last = make_ref<EndNode>(Edge{})->number();
  std::vector<Saved> saved;
  std::vector<Edge> input_edges;
  for (py::handle item : inputs) {
    const NDArray& input = as_array(item, "inputs");
    saved.push_back(Saved::data(input));
    input_edges.push_back(autograd::edge_of(input));
  }
  DrawnStreams drawn(draws_aside);
  py::list results;
  {
    const RecordedPart recorded(training);
    const DrawnStreams::Noting noting(drawn);
    results = call_part(part.ptr(), inputs);
  }
  const std::vector<NDArray> arrays = arrays_of(results);
  const std::vector<Edge> heads = heads_of(arrays);
  Outside outside = find_outside(heads, last);
  std::vector<int> places;
  for (const Edge& edge : input_edges) {
    const auto found = outside.known.find({edge.node.get(), edge.index});
    places.push_back(found == outside.known.end() ? -1 : static_cast<int>(found->second));
  }
  auto node = make_ref<CheckpointNode>(std::move(part), std::move(name), std::move(saved),
                                       std::move(places), training);
  node->edges_ = outside.edges;
  node->outside_ = std::move(outside);
  node->drawn_ = std::move(drawn);
  py::list hung;
  for (size_t i = 0; i < arrays.size(); ++i) {
    node->outputs_.push_back(Saved::meta(arrays[i]));
    if (!heads[i].node) {
      hung.append(results[i]);
      continue;
    }
    NDArray own = arrays[i].detached();
    own.set_edge(node, static_cast<uint32_t>(i));
    hung.append(wrap_object(std::move(own)));
  }
  return hung;
}

bool CheckpointNode::output_meta(uint32_t index, Shape& shape, DType& dtype) const {
  if (index >= outputs_.size()) return false;
  shape = outputs_[index].shape;
  dtype = outputs_[index].dtype;
  return true;
}

// The part once more, on the same inputs, with the same random numbers.
std::vector<NDArray> CheckpointNode::again() const {
  py::list inputs;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i].stale()) autograd::report_stale(*this, str_cat("array ", i, " of its inputs"));
    NDArray input = inputs_[i].array();
    if (places_[i] >= 0) {
      const Edge& edge = outside_.edges[static_cast<size_t>(places_[i])];
      input.set_edge(edge.node, edge.index);
    }
    inputs.append(wrap_object(std::move(input)));
  }
  const RecordedPart recorded(training_);
  DrawnStreams::Again same_numbers(drawn_);
  const UndoneEffects once;
  try {
    std::vector<NDArray> results = arrays_of(call_part(part_, inputs));
    same_numbers.finish();
    return results;
  } catch (py::error_already_set& error) {
    raise_again(error);
  } catch (const Error& error) {
    throw Error(error.kind(), str_cat(name_, ", computed again", where(), ": ", error.what()));
  }
}

// Initial values are drawn where nothing is recorded.
bool CheckpointNode::draws_aside() { return !autograd::is_recording(); }

// Says of an exception in the part where that is. Ctrl-C and lack of memory stay what they are.
void CheckpointNode::raise_again(py::error_already_set& error) const {
  if (!error.matches(PyExc_Exception) || error.matches(PyExc_MemoryError)) throw error;
  const std::string type = py::str(error.type().attr("__name__"));
  const std::string text = py::str(error.value());
  const std::string message = str_cat(name_, ", computed again", where(), ": ", type, ": ", text);
  py::raise_from(error, mxnet_error, message.c_str());
  throw py::error_already_set();
}

void CheckpointNode::check_repeated(const std::vector<NDArray>& results) const {
  bool same = results.size() == outputs_.size();
  for (size_t i = 0; same && i < results.size(); ++i) {
    same = results[i].shape() == outputs_[i].shape && results[i].dtype() == outputs_[i].dtype;
  }
  if (same) return;
  const auto list = [](const auto& arrays, auto&& shape, auto&& dtype) {
    std::string text;
    for (const auto& array : arrays)
      text += str_cat(text.empty() ? "" : ", ", shape(array), " ", dtype(array));
    return text;
  };
  fail(name_, ": computed again, it returned ",
       list(
           results, [](const auto& a) { return a.shape(); },
           [](const auto& a) { return a.dtype(); }),
       "; the first time ",
       list(
           outputs_, [](const auto& a) { return a.shape; }, [](const auto& a) { return a.dtype; }),
       where());
}

// Lets what was recorded after node number `last`, and leads to `heads`, end at `ends`.
void CheckpointNode::end_at(std::span<Edge> heads, uint64_t last,
                            std::span<const Ref<EndNode>> ends) const {
  const auto cut = [&](Edge& edge) {
    if (!is_outside(edge, last)) return;
    const auto found = outside_.known.find({edge.node.get(), edge.index});
    if (found == outside_.known.end()) {
      fail(name_, ": computed again, it depends on ", edge.node->name(), edge.node->where(),
           ", on which it did not depend the first time", where());
    }
    edge = {ends[found->second], 0};
  };
  const Outside now = find_outside(heads, last);
  const bool stale = std::any_of(now.reads.begin(), now.reads.end(), [&](const auto& read) {
    const auto before = outside_.reads.find(read.first);
    return before != outside_.reads.end() && before->second != read.second;
  });
  const bool reported =
      std::any_of(inputs_.begin(), inputs_.end(), [](const Saved& input) { return input.stale(); });
  if (stale && !reported) autograd::report_stale(*this, "an array that it uses");
  visit_newer(heads, ends.back()->number(), [&](Node& node) {
    for (Edge& edge : node.edges()) cut(edge);
  });
  for (Edge& head : heads) cut(head);
}

void CheckpointNode::vjp(autograd::VjpCall& call) {
  // Python code runs below, and a sweep of its own may release this node.
  const Ref<Node> self(this);
  const std::vector<Edge> edges = edges_;
  for (const Edge& edge : outside_.edges) {
    if (!edge.node->released()) continue;
    fail(name_, ": it depends on a graph that an earlier backward has freed (at ",
         edge.node->name(), edge.node->where(), "); pass retain_graph=True to that one", where());
  }
  std::vector<Ref<EndNode>> ends;
  for (const Edge& edge : edges) ends.push_back(make_ref<EndNode>(edge));
  const uint64_t last = ends.front()->number() - 1;
  std::vector<NDArray> results = again();
  if (released()) fail(name_, ": another backward freed it while it was computed again", where());
  check_repeated(results);
  std::vector<Edge> heads = heads_of(results);
  results.clear();
  end_at(heads, last, ends);
  std::vector<NDArray> head_grads(outputs_.size());
  for (size_t i = 0; i < outputs_.size(); ++i) {
    if (call.has_head(i)) head_grads[i] = call.take_head(i);
  }
  SmallVector<bool, 8> wanted(edges.size());
  for (size_t i = 0; i < edges.size(); ++i) wanted[i] = call.needs(i);
  std::vector<NDArray> found =
      autograd::inner_gradients(heads, head_grads, ends, wanted, call.create_graph());
  for (size_t i = 0; i < edges.size(); ++i) {
    if (wanted[i]) call.grad(i, std::move(found[i]));
  }
}

void CheckpointNode::release() {
  if (released()) return;
  mark_released();
  // What is dropped may run Python code, which finds the node empty.
  const auto edges = std::exchange(edges_, {});
  const auto inputs = std::exchange(inputs_, {});
  outside_ = {};
  if (PyObject* part = std::exchange(part_, nullptr)) drop_object(part);
}

CheckpointNode::~CheckpointNode() {
  if (PyObject* part = std::exchange(part_, nullptr)) drop_object(part);
}

void init_checkpoint(py::module_& m) { m.def("checkpoint", &CheckpointNode::run); }

}  // namespace mxtape::python

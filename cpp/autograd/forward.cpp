#include "autograd/forward.h"

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <utility>

#include "autograd/recorder.h"
#include "core/error.h"

namespace mxtape::autograd {
namespace {

PushRules push_rules;

void expect_whole(const Node& node) {
  if (!node.released()) return;
  fail("jvp: the graph has been freed meanwhile (at ", node.name(), node.where(), ")");
}

// Where output `index` of the node is to have a head gradient, any at all.
NDArray placeholder(const PushCall& call, uint32_t index) {
  Shape shape;
  DType dtype;
  if (!call.node().output_meta(index, shape, dtype) &&
      !(push_rules.output_meta && push_rules.output_meta(call, index, shape, dtype))) {
    fail("the shape of output ", index, " was not saved");
  }
  return gradient_ops().fill_like(shape, dtype, 1);
}

// A node's gradient is a linear function of the head gradient u, the transposed of what pushes
// tangents t forward: this is the gradient of <vjp(u), t> with respect to u.
void push_by_transposition(PushCall& call) {
  Node& node = call.node();
  const size_t outputs = node.output_count();
  std::vector<Ref<EndNode>> ends;
  std::vector<NDArray> heads, tangents;
  std::vector<Edge> edges;
  {
    const StateScope state(true, is_training());
    // The last end is not wanted: the sweep below then visits nothing but what leads to the others.
    for (size_t i = 0; i < outputs; ++i) {
      NDArray head = placeholder(call, static_cast<uint32_t>(i));
      ends.push_back(make_ref<EndNode>(head, Edge{}));
      head.set_edge(ends.back(), 0);
      heads.push_back(std::move(head));
    }
    ends.push_back(make_ref<EndNode>(Shape{}, DType::kFloat32, Edge{}));
    VjpCall vjp(node, heads, true);
    for (size_t i = 0; i < call.tangents().size(); ++i) {
      vjp.set_needs(i, call.tangents()[i].defined());
    }
    node.vjp(vjp);
    expect_whole(node);
    for (size_t i = 0; i < call.tangents().size(); ++i) {
      if (!vjp.needs(i) || !vjp.result(i).defined() || !on_tape(vjp.result(i))) continue;
      edges.push_back(edge_of(vjp.result(i)));
      tangents.push_back(call.tangents()[i]);
    }
  }
  if (edges.empty()) return;
  const auto wanted = std::make_unique<bool[]>(outputs + 1);
  std::fill_n(wanted.get(), outputs, true);
  std::vector<NDArray> found =
      inner_gradients(edges, tangents, ends, {wanted.get(), outputs + 1}, call.create_graph());
  for (size_t i = 0; i < outputs; ++i) call.results()[i] = std::move(found[i]);
}

// A result like `like`, in memory of its own. A constant can be differentiated too: it is recorded
// as a function of `like`.
NDArray finished(NDArray value, const NDArray& like) {
  const GradientOps& ops = gradient_ops();
  if (!value.defined()) {
    value = ops.fill_like(like.shape(), like.dtype(), 0);
  } else if (!value.storage()->unique()) {
    value = ops.copy(value);
  }
  return is_recording() && !on_tape(value) && on_tape(like) ? ops.tie(value, like) : value;
}

}  // namespace

void set_push_rules(const PushRules& rules) { push_rules = rules; }

Linearization::Linearization(std::span<const NDArray> heads, std::span<const NDArray> starts)
    : heads_(heads.begin(), heads.end()), start_arrays_(starts.begin(), starts.end()) {
  for (const NDArray& start : starts) {
    auto* end = dynamic_cast<EndNode*>(node_of(start));
    if (!end) {
      fail("an argument of the function was made a variable in it: attach_grad() and "
           "mark_variables() cut it off from the tape");
    }
    starts_.emplace_back(end);
  }
}

std::vector<Ref<Node>> Linearization::nodes_in_order() const {
  uint64_t last_start = 0;
  for (const auto& start : starts_) last_start = std::max(last_start, start->number());
  std::unordered_map<const Node*, bool> seen;
  std::vector<Ref<Node>> nodes;
  Pause pause;
  const auto visit = [&](const Ref<Node>& node) {
    // What is older than the starts does not depend on them.
    if (node && node->number() > last_start && seen.emplace(node.get(), true).second) {
      nodes.push_back(node);
    }
  };
  for (const NDArray& head : heads_) visit(edge_of(head).node);
  for (size_t i = 0; i < nodes.size(); ++i) {
    pause.node();
    const Ref<Node> node = nodes[i];
    expect_whole(*node);
    for (const Edge& edge : node->edges()) visit(edge.node);
  }
  std::sort(nodes.begin(), nodes.end(),
            [](const auto& a, const auto& b) { return a->number() < b->number(); });
  return nodes;
}

// Edges point to smaller numbers: in their order, a node comes after what it is made of.
void Linearization::plan() {
  if (std::exchange(planned_, true)) return;
  std::unordered_map<const Node*, uint32_t> first;  // the number of a node's first tangent
  const auto tangent_of = [&](const Edge& edge) {
    const auto found = first.find(edge.node.get());
    return found == first.end() ? kNone : found->second + edge.index;
  };
  for (const auto& start : starts_) {
    first.emplace(start.get(), static_cast<uint32_t>(last_reader_.size()));
    last_reader_.push_back(kNone);
  }
  for (const Ref<Node>& node : nodes_in_order()) {
    const auto inputs = static_cast<uint32_t>(inputs_.size());
    bool leads = false;
    for (const Edge& edge : node->edges()) {
      inputs_.push_back(tangent_of(edge));
      leads = leads || inputs_.back() != kNone;
    }
    if (!leads) {
      inputs_.resize(inputs);
      continue;
    }
    for (size_t i = inputs; i < inputs_.size(); ++i) {
      if (inputs_[i] != kNone) last_reader_[inputs_[i]] = static_cast<uint32_t>(steps_.size());
    }
    first.emplace(node.get(), static_cast<uint32_t>(last_reader_.size()));
    steps_.push_back({node, static_cast<uint32_t>(last_reader_.size()), inputs});
    last_reader_.resize(last_reader_.size() + node->output_count(), kNone);
  }
  for (const NDArray& head : heads_) {
    head_tangents_.push_back(tangent_of(edge_of(head)));
    if (head_tangents_.back() != kNone) last_reader_[head_tangents_.back()] = kNone;
  }
}

void Linearization::step(size_t i, std::vector<NDArray>& tangents, bool create_graph) const {
  const Step& step = steps_[i];
  Node& node = *step.node;
  expect_whole(node);
  const size_t count = node.edges().size(), outputs = node.output_count();
  SmallVector<NDArray, 4> given;
  given.resize(count);
  bool any = false;
  for (size_t k = 0; k < count; ++k) {
    const uint32_t from = inputs_[step.inputs + k];
    if (from != kNone) given[k] = tangents[from];
    any = any || given[k].defined();
  }
  if (any) {
    PushCall call(node, {given.begin(), count}, {&tangents[step.first], outputs}, create_graph);
    try {
      if (!push_rules.push || !push_rules.push(call)) push_by_transposition(call);
    } catch (const Error& error) {
      throw Error(error.kind(), str_cat("jvp of ", node.name(), node.where(), ": ", error.what()));
    }
  }
  for (size_t k = 0; k < count; ++k) {
    const uint32_t from = inputs_[step.inputs + k];
    if (from != kNone && last_reader_[from] == i) tangents[from] = NDArray();
  }
}

std::vector<NDArray> Linearization::push(std::span<const NDArray> tangents) {
  plan();
  const bool create_graph = is_recording();
  std::vector<NDArray> found(last_reader_.size());
  for (size_t i = 0; i < starts_.size(); ++i) found[i] = tangents[i];
  Pause pause;
  for (size_t i = 0; i < steps_.size(); ++i) {
    pause.node();
    step(i, found, create_graph);
  }
  std::unordered_map<uint32_t, size_t> uses;
  for (const uint32_t from : head_tangents_) ++uses[from];
  std::vector<NDArray> results;
  for (size_t i = 0; i < heads_.size(); ++i) {
    const uint32_t from = head_tangents_[i];
    NDArray result = from == kNone ? NDArray() : found[from];
    if (from != kNone && --uses[from] == 0) found[from] = NDArray();
    results.push_back(finished(std::move(result), heads_[i]));
  }
  return results;
}

std::vector<NDArray> Linearization::pull(std::span<const NDArray> head_grads) const {
  const bool create_graph = is_recording();
  std::vector<Edge> edges;
  for (const NDArray& head : heads_) edges.push_back(edge_of(head));
  std::vector<NDArray> grads(head_grads.begin(), head_grads.end());
  const auto wanted = std::make_unique<bool[]>(starts_.size());
  std::fill_n(wanted.get(), starts_.size(), true);
  std::vector<NDArray> results = inner_gradients(
      edges, grads, starts_, std::span<const bool>(wanted.get(), starts_.size()), create_graph);
  for (size_t i = 0; i < starts_.size(); ++i) {
    results[i] = finished(std::move(results[i]), start_arrays_[i]);
  }
  return results;
}

}  // namespace mxtape::autograd

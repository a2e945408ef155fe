#include "autograd/backward.h"

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "autograd/errors.h"
#include "autograd/hooks.h"
#include "autograd/inner.h"
#include "autograd/profiled_vjp.h"
#include "autograd/recorder.h"
#include "core/error.h"

namespace mxtape::autograd {
namespace {

GradientOps installed_ops;
void (*interruption)() = nullptr;

// An array of one value, on the device of another array.
NDArray filled_like(const NDArray& array, double value) {
  NDArray made = installed_ops.fill_like(array.shape(), array.dtype(), value);
  made.storage()->set_device(array.storage()->device());
  return made;
}

thread_local constinit bool retaining = false;

// Sets a flag for a C++ scope.
class Restored {
 public:
  Restored(bool& flag, bool value) : flag_(flag), before_(std::exchange(flag, value)) {}
  ~Restored() { flag_ = before_; }
  Restored(const Restored&) = delete;
  Restored& operator=(const Restored&) = delete;

 private:
  bool& flag_;
  bool before_;
};

// Gradients that wait for a node: one slot for each of its outputs.
struct Pending {
  Ref<Node> node;
  SmallVector<NDArray, 1> heads;
};

// The nodes that have received a gradient, by number. The largest is always next: whatever could
// still add to it has a larger number and is done.
class PendingNodes {
 public:
  ~PendingNodes() {
    for (auto& entry : heap_) delete entry.pending;
  }

  Pending& at(const Ref<Node>& node) {
    size_t slot = find(node.get());
    if (table_[slot].node == node.get()) return *table_[slot].pending;
    if ((used_ + 1) * 2 > table_.size()) {
      rehash(table_.size() * 2);
      slot = find(node.get());
    }
    Pending* pending = take();
    pending->node = node;
    pending->heads.resize(node->output_count());
    table_[slot] = {node.get(), pending};
    ++used_;
    heap_.push_back({node->number(), pending});
    std::push_heap(heap_.begin(), heap_.end());
    return *pending;
  }

  bool empty() const { return heap_.empty(); }

  // Null where nothing has arrived.
  Pending* find_waiting(const Node& node) const { return table_[find(&node)].pending; }

  // The caller gives the result back through `recycle`.
  Pending* pop() {
    std::pop_heap(heap_.begin(), heap_.end());
    Pending* pending = heap_.back().pending;
    heap_.pop_back();
    erase(pending->node.get());
    return pending;
  }

  // The nodes that wait; they wait no longer.
  std::vector<Ref<Node>> take_nodes() {
    std::vector<Ref<Node>> nodes;
    for (HeapEntry& entry : heap_) nodes.push_back(std::move(entry.pending->node));
    return nodes;
  }

  void recycle(Pending* pending) {
    pending->node = nullptr;
    pending->heads.clear();
    free_.emplace_back(pending);
  }

 private:
  struct HeapEntry {
    uint64_t number;
    Pending* pending;
    bool operator<(const HeapEntry& other) const { return number < other.number; }
  };
  struct TableEntry {
    Node* node = nullptr;
    Pending* pending = nullptr;
  };

  size_t home(const Node* node) const {
    return (node->number() * 0x9E3779B97F4A7C15ull >> 20) & (table_.size() - 1);
  }
  size_t find(const Node* node) const {
    size_t slot = home(node);
    while (table_[slot].node && table_[slot].node != node) slot = (slot + 1) & (table_.size() - 1);
    return slot;
  }
  // Linear probing with backward shifts: the table stays as small as the set of waiting nodes.
  void erase(const Node* node) {
    const size_t mask = table_.size() - 1;
    size_t hole = find(node);
    for (size_t next = (hole + 1) & mask; table_[next].node; next = (next + 1) & mask) {
      const size_t want = home(table_[next].node);
      if (((next - want) & mask) >= ((next - hole) & mask)) {
        table_[hole] = table_[next];
        hole = next;
      }
    }
    table_[hole] = {};
    --used_;
  }
  void rehash(size_t size) {
    std::vector<TableEntry> old(size);
    old.swap(table_);
    for (const TableEntry& entry : old) {
      if (entry.node) table_[find(entry.node)] = entry;
    }
  }
  Pending* take() {
    if (free_.empty()) return new Pending;
    Pending* pending = free_.back().release();
    free_.pop_back();
    return pending;
  }

  std::vector<HeapEntry> heap_;
  std::vector<TableEntry> table_ = std::vector<TableEntry>(32);
  size_t used_ = 0;
  std::vector<std::unique_ptr<Pending>> free_;
};

// A set of nodes that need not live any more. One block of memory: a set of millions is gone at
// once.
class NodeSet {
 public:
  // Whether it was not there before.
  bool insert(const Node* node) {
    if ((used_ + 1) * 2 > table_.size()) {
      std::vector<const Node*> old(table_.size() * 2);
      old.swap(table_);
      for (const Node* each : old) {
        if (each) table_[find(each)] = each;
      }
    }
    const size_t slot = find(node);
    if (table_[slot]) return false;
    table_[slot] = node;
    ++used_;
    return true;
  }
  bool contains(const Node* node) const { return table_[find(node)] != nullptr; }

 private:
  size_t find(const Node* node) const {
    const size_t mask = table_.size() - 1;
    size_t slot = (reinterpret_cast<uintptr_t>(node) >> 4) * 0x9E3779B97F4A7C15ull >> 20 & mask;
    while (table_[slot] && table_[slot] != node) slot = (slot + 1) & mask;
    return slot;
  }

  std::vector<const Node*> table_ = std::vector<const Node*>(32);
  size_t used_ = 0;
};

// One run of the reverse sweep.
class Run {
 public:
  Run(std::span<const NDArray> heads, std::span<const NDArray> head_grads,
      const BackwardOptions& options)
      : heads_(heads), head_grads_(head_grads), options_(options) {
    check_heads();
  }

  // Restricts the sweep to what leads to `variables` and keeps their gradients.
  void want(std::span<const NDArray> variables) {
    restricted_ = true;
    for (size_t i = 0; i < variables.size(); ++i) {
      Node* node = node_of(variables[i]);
      if (!node) {
        fail("grad: variable ", i, " of shape ", variables[i].shape(),
             " is not a variable, and not computed from one while recording; call attach_grad() "
             "on it before recording");
      }
      if (node->released()) fail_freed(str_cat("the graph of variable ", i), *node);
      const LeafNode* leaf = leaf_of(variables[i]);
      if (leaf && leaf->req() == GradReq::kNull) {
        fail("grad: variable ", i, " of shape ", variables[i].shape(),
             " was attached with grad_req='null': it has no gradient");
      }
      needed_.insert(node);
      wants_results_ = wants_results_ || !leaf;
    }
    for (const NDArray& head : heads_) mark_needed(node_of(head));
    for (size_t i = 0; i < variables.size(); ++i) {
      if (!reached_.contains(node_of(variables[i]))) fail_not_reached(i, variables[i]);
    }
  }

  // A run over a graph inside another, that ends at `ends` and visits only what leads to those that
  // are wanted.
  Run(std::span<const Edge> heads, std::span<NDArray> head_grads,
      std::span<const Ref<EndNode>> ends, std::span<const bool> wanted,
      const BackwardOptions& options)
      : options_(options) {
    for (size_t i = 0; i < ends.size(); ++i) {
      last_end_ = std::max(last_end_, ends[i]->number());
      if (wanted[i]) needed_.insert(ends[i].get());
      restricted_ = restricted_ || !wanted[i];
    }
    for (size_t i = 0; restricted_ && i < heads.size(); ++i) {
      if (heads[i].node && head_grads[i].defined()) mark_needed(heads[i].node.get());
    }
    const StateScope state(options_.create_graph, options_.train_mode);
    for (size_t i = 0; i < heads.size(); ++i) {
      Node* node = heads[i].node.get();
      if (!node || !head_grads[i].defined() || (restricted_ && !reached_.contains(node))) continue;
      accumulate(heads[i], std::move(head_grads[i]));
    }
  }

  // Has the hooks on variables run as soon as their gradients are complete: counts the edges from
  // which one may still come.
  void await_variables() {
    completes_ = true;
    std::vector<Ref<Node>> stack;
    const auto visit = [&](const Ref<Node>& node) {
      if (node && seen_.insert(node.get())) stack.push_back(node);
    };
    for (const NDArray& head : heads_) visit(edge_of(head).node);
    while (!stack.empty()) {
      pause_.node();
      const Ref<Node> node = std::move(stack.back());
      stack.pop_back();
      for (const Edge& edge : node->edges()) {
        if (edge.node && edge.node->is_leaf() && edge.node->hooked()) ++due_[edge.node.get()];
        visit(edge.node);
      }
    }
  }

  void sweep() {
    StateScope state(options_.create_graph, options_.train_mode);
    const Restored retains(retaining, options_.retain_graph);
    seed();
    while (!pending_.empty()) {
      pause();
      Pending* current = pending_.pop();
      try {
        step(*current);
      } catch (...) {
        pending_.recycle(current);
        throw;
      }
      pending_.recycle(current);
    }
  }

  // Writes what the sweep found into the variables' buffers.
  void commit() {
    check_buffers();
    bool any = false;
    for (Found& found : found_) {
      auto* leaf = static_cast<LeafNode*>(found.node.get());
      if (leaf->req() == GradReq::kNull) continue;
      any = true;
      leaf->set_fresh(true);
      NDArray buffer = written_gradient(leaf->grad(), leaf->req(), std::move(found.value));
      if (buffer.defined()) leaf->replace_grad(std::move(buffer));
    }
    for (Found& found : retained_) {
      any = true;
      write_retained(*found.node, found.index, std::move(found.value));
    }
    if (!any) fail_no_gradient();
  }

  // The gradients of the variables that have been reached, in the order in which these were made.
  std::vector<NDArray> written() {
    std::vector<const LeafNode*> leaves;
    for (const Found& found : found_) {
      const auto* leaf = static_cast<const LeafNode*>(found.node.get());
      if (leaf->req() != GradReq::kNull) leaves.push_back(leaf);
    }
    std::sort(leaves.begin(), leaves.end(),
              [](const Node* a, const Node* b) { return a->number() < b->number(); });
    std::vector<NDArray> grads;
    for (const LeafNode* leaf : leaves) grads.push_back(leaf->grad());
    return grads;
  }

  // What the sweep found at an end; undefined when nothing arrived there.
  NDArray found_at(const EndNode& end) {
    for (Found& found : found_) {
      if (found.node.get() == &end) return std::move(found.value);
    }
    return NDArray();
  }

  // A gradient may be the head gradient itself, or serve two variables: the caller gets a copy
  // then.
  NDArray take(const NDArray& variable) {
    NDArray found;
    for (const auto& [node, index, value] : found_) {
      if (node.get() != node_of(variable) || index != variable.edge_index()) continue;
      const StateScope state(options_.create_graph, options_.train_mode);
      found = value.storage()->unique() ? value : installed_ops.copy(value);
    }
    if (!found.defined()) {
      found = filled_like(variable, 0);
    }
    if (!options_.create_graph) set_off_tape(found, OffTape::kGradient);
    if (!options_.create_graph || on_tape(found)) return found;
    // A constant gradient can be differentiated too: its derivative is 0.
    StateScope state(true, options_.train_mode);
    return installed_ops.tie(found, variable);
  }

 private:
  void check_heads() {
    if (heads_.empty()) fail("backward: no heads were given");
    if (!head_grads_.empty() && head_grads_.size() != heads_.size()) {
      fail_as(ErrorKind::kAssertion, "backward: ", heads_.size(), " heads but ", head_grads_.size(),
              " head gradients");
    }
    for (size_t i = 0; i < heads_.size(); ++i) {
      const Node* node = node_of(heads_[i]);
      if (!node) fail_not_recorded(i, heads_[i]);
      if (node->released()) fail_freed(str_cat("the graph of head ", i), *node);
      if (head_grads_.empty() || !head_grads_[i].defined()) continue;
      const NDArray& grad = head_grads_[i];
      if (grad.shape() != heads_[i].shape() || grad.dtype() != heads_[i].dtype()) {
        fail("backward: head ", i, " has shape ", heads_[i].shape(), " and dtype ",
             heads_[i].dtype(), ", its head gradient ", grad.shape(), " and ", grad.dtype());
      }
    }
  }

  // Inside vmap: a buffer that is the same for all examples has no room for a gradient of each.
  void check_buffers() const {
    for (const auto& [node, index, value] : found_) {
      if (!node->is_leaf()) continue;
      const auto* leaf = static_cast<const LeafNode*>(node.get());
      if (leaf->req() == GradReq::kNull || value.storage()->form() != Form::kBatched ||
          leaf->grad().storage()->form() == Form::kBatched) {
        continue;
      }
      fail("backward: inside vmap the gradient of a variable of shape ", value.shape(),
           " differs from example to example, and its buffer was made outside. Use "
           "autograd.grad(y, x), which returns the gradients, or call attach_grad() inside the "
           "mapped function on one of its arguments");
    }
  }

  void pause() {
    try {
      pause_.node();
    } catch (...) {
      // Nothing else may hold what is left of the graph.
      if (!options_.retain_graph) drop_later(pending_.take_nodes());
      throw;
    }
  }

  void seed() {
    for (size_t i = 0; i < heads_.size(); ++i) {
      const bool given = !head_grads_.empty() && head_grads_[i].defined();
      const Edge edge = edge_of(heads_[i]);
      // Other threads run while the gradients of large heads are filled in and added.
      if (!edge.node) fail_freed(str_cat("the graph of head ", i), *node_of(heads_[i]));
      if (restricted_ && !reached_.contains(edge.node.get())) continue;
      accumulate(edge, given ? NDArray(head_grads_[i]) : filled_like(heads_[i], 1));
    }
  }

  // Which nodes lead to a wanted variable: depth first, a node after all that it points to.
  void mark_needed(Node* head) {
    // Counted: another thread may release the nodes that point to these.
    std::vector<std::pair<Ref<Node>, size_t>> stack;
    const auto visit = [&](Node* node) {
      if (seen_.insert(node)) stack.emplace_back(Ref<Node>(node), 0);
    };
    visit(head);
    while (!stack.empty()) {
      pause_.node();
      auto& [node, next] = stack.back();
      if (node->released()) fail_freed("a part of the graph", *node);
      const std::span<Edge> edges = is_end(*node) ? std::span<Edge>() : node->edges();
      if (next < edges.size()) {
        if (Node* input = edges[next++].node.get()) visit(input);
        continue;
      }
      bool leads = needed_.contains(node.get());
      for (const Edge& edge : edges) {
        leads = leads || (edge.node && reached_.contains(edge.node.get()));
      }
      if (leads) reached_.insert(node.get());
      stack.pop_back();
    }
  }

  bool is_end(const Node& node) const { return node.number() <= last_end_; }

  bool needs(const Edge& edge) const {
    if (!edge.node) return false;
    if (restricted_) return reached_.contains(edge.node.get());
    return !edge.node->is_leaf() ||
           static_cast<LeafNode*>(edge.node.get())->req() != GradReq::kNull;
  }

  // Long tapes are larger than the cache. The start of a node is asked for in the step before its
  // turn, where the edge to it is at hand, and the rest, of a small node, when its turn is near.
  static void ask_for_rest(const Node& node) {
    constexpr int kLine = 64, kSmallNode = 3 * kLine;
    const auto* memory = reinterpret_cast<const char*>(&node);
    for (int i = kLine; i < kSmallNode; i += kLine) __builtin_prefetch(memory + i);
  }
  static void ask_for_first_input(Node& node) {
    const std::span<Edge> edges = node.edges();
    if (!edges.empty()) __builtin_prefetch(edges[0].node.get());
  }

  void step(Pending& current) {
    Node& node = *current.node;
    if (node.hooked()) run_hooks(current);
    if (node.is_leaf() || is_end(node)) {
      found_.push_back({current.node, 0, std::move(current.heads[0])});
      return;
    }
    if (wants_results_ && needed_.contains(&node)) {
      for (uint32_t i = 0; i < current.heads.size(); ++i) {
        if (current.heads[i].defined()) found_.push_back({current.node, i, current.heads[i]});
      }
    }
    if (node.released()) {
      fail("backward: the graph has been freed by an earlier backward (at ", node.name(),
           node.where(), "); pass retain_graph=True to that one to keep it");
    }
    VjpCall call(node, current.heads, options_.create_graph);
    std::span<Edge> edges = node.edges();
    bool any = false;
    for (size_t i = 0; i < edges.size(); ++i) {
      call.set_needs(i, needs(edges[i]));
      if (edges[i].node) ask_for_rest(*edges[i].node);
      any = any || call.needs(i);
    }
    const size_t count = edges.size();
    if (any) {
      try {
        profiled_vjp(node, call);
      } catch (...) {
        rethrow_in_backward(node);
      }
    }
    for (size_t i = 0; i < count; ++i) {
      // Python code and other threads run in a vjp, and while large gradients are added.
      if (node.released()) {
        fail("backward: another backward freed the graph at ", node.name(), node.where(),
             " meanwhile");
      }
      NDArray& value = call.result(i);
      if (!call.needs(i) || !value.defined()) continue;
      pause_.wrote(value.nbytes());
      const Edge& edge = node.edges()[i];
      ask_for_first_input(*edge.node);
      check(node, i, value);
      accumulate(edge, std::move(value));
    }
    if (!due_.empty()) settle(node);
    // What only leads to results that are wanted has not been used.
    if (options_.retain_graph || (restricted_ && !any)) return;
    node.release();
    if (node.hooked()) drop_hooks(node);
  }

  // All that flows into its gradients has arrived.
  void run_hooks(Pending& current) {
    Node& node = *current.node;
    if (done_.contains(&node)) return;
    try {
      for (uint32_t i = 0; i < current.heads.size(); ++i) {
        NDArray& head = current.heads[i];
        if (!head.defined()) continue;
        autograd::run_hooks(node, i, HookKind::kGradient, head);
        if (restricted_ || last_end_) continue;
        if (retains_gradient(node, i)) retained_.push_back({current.node, i, head});
        if (completes_ && node.is_leaf()) {
          autograd::run_hooks(node, i, HookKind::kComplete, head);
        }
      }
    } catch (...) {
      rethrow_in_backward(node);
    }
  }

  // Nothing comes from this node's edges any more.
  void settle(Node& node) {
    for (const Edge& edge : node.edges()) {
      const auto due = edge.node ? due_.find(edge.node.get()) : due_.end();
      if (due == due_.end() || --due->second > 0) continue;
      const Ref<Node> leaf = edge.node;
      due_.erase(due);
      Pending* pending = pending_.find_waiting(*leaf);
      if (!pending) continue;
      run_hooks(*pending);
      done_.insert(leaf.get());
      if (node.released()) return;
    }
  }

  void check(Node& node, size_t i, const NDArray& value) {
    Shape shape;
    DType dtype;
    if (!node.input_meta(static_cast<uint32_t>(i), shape, dtype)) return;
    if (value.shape() != shape || value.dtype() != dtype) {
      fail(node.name(), ": its gradient for input ", i, " has shape ", value.shape(), " and dtype ",
           value.dtype(), ", the input ", shape, " and ", dtype, node.where());
    }
  }

  void accumulate(const Edge& edge, NDArray&& value) {
    NDArray& sum = pending_.at(edge.node).heads[edge.index];
    if (!sum.defined()) {
      sum = std::move(value);
    } else {
      autograd::accumulate(sum, std::move(value), options_.create_graph);
    }
  }

  std::span<const NDArray> heads_, head_grads_;
  BackwardOptions options_;
  bool restricted_ = false;
  uint64_t last_end_ = 0;  // the number of the newest end
  struct Found {
    Ref<Node> node;
    uint32_t index;
    NDArray value;
  };

  bool wants_results_ = false;  // gradients of what is not a variable
  bool completes_ = false;
  NodeSet needed_, reached_, seen_;
  std::unordered_set<const Node*> done_;  // variables whose hooks have run before their turn
  std::unordered_map<const Node*, size_t> due_;
  PendingNodes pending_;
  Pause pause_;
  std::vector<Found> found_, retained_;
};

}  // namespace

void set_gradient_ops(const GradientOps& ops) { installed_ops = ops; }
const GradientOps& gradient_ops() { return installed_ops; }
void set_interruption(void (*poll)()) { interruption = poll; }

bool sweep_retains() { return retaining; }

void accumulate(NDArray& sum, NDArray value, bool recorded) {
  if (!sum.defined()) {
    sum = std::move(value);
  } else if (!recorded && !sum.storage()->deferred() && sum.owns_memory() &&
             value.storage()->form() < Form::kPacked) {
    installed_ops.add_in_place(sum, std::move(value));
  } else {
    sum = installed_ops.add(sum, value);
  }
}

void Pause::look() {
  left_ = kNodes;
  if (interruption) interruption();
}

VjpCall::VjpCall(Node& node, std::span<NDArray> heads, bool create_graph)
    : node_(node), heads_(heads), create_graph_(create_graph) {
  needs_.resize(node.edges().size());
  grads_.resize(node.edges().size());
}

void backward(std::span<const NDArray> heads, std::span<const NDArray> head_grads,
              const BackwardOptions& options, std::vector<NDArray>* written) {
  Run run(heads, head_grads, options);
  if (complete_hooks()) run.await_variables();
  run.sweep();
  run.commit();
  if (written) *written = run.written();
}

std::vector<NDArray> grad(std::span<const NDArray> heads, std::span<const NDArray> head_grads,
                          std::span<const NDArray> variables, const BackwardOptions& options) {
  Run run(heads, head_grads, options);
  run.want(variables);
  run.sweep();
  std::vector<NDArray> results;
  for (const NDArray& variable : variables) results.push_back(run.take(variable));
  return results;
}

std::vector<NDArray> inner_gradients(std::span<const Edge> heads, std::span<NDArray> head_grads,
                                     std::span<const Ref<EndNode>> ends,
                                     std::span<const bool> wanted, bool create_graph) {
  Run run(heads, head_grads, ends, wanted, {true, create_graph, is_training()});
  run.sweep();
  std::vector<NDArray> results;
  for (const Ref<EndNode>& end : ends) results.push_back(run.found_at(*end));
  return results;
}

}  // namespace mxtape::autograd

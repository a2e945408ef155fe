#include "op/op_node.h"

#include <new>
#include <utility>

#include "autograd/errors.h"
#include "autograd/hooks.h"
#include "op/sparse.h"

namespace mxtape {

using autograd::Edge;
using autograd::Saved;

namespace {

// A node is reported once, however often its gradient reads what changed: x * x saves one array
// twice. Gradients of operators nest only in what a report runs: it is set again after that.
thread_local bool stale_reported = false;

void report_once(const OpNode& node, const char* what, size_t i) {
  if (std::exchange(stale_reported, true)) return;
  autograd::report_stale(node, str_cat(what, i));
  stale_reported = true;
}

// Where a kernel or a report lets other code run, that may finish a sweep over the same node.
[[noreturn]] void fail_not_saved(const OpNode& node, const char* what, size_t i) {
  if (node.released()) fail("the graph was freed by another backward meanwhile");
  fail(what, i, " was not saved");
}

[[gnu::cold, gnu::noinline]] NDArray got_back(const OpNode& node, const Saved& saved,
                                              const char* what, size_t i) {
  return autograd::unpack(saved, str_cat(what, i, " of ", node.name(), node.where()));
}

}  // namespace

Ref<OpNode> OpNode::record(const OpSchema& op, Inputs inputs, Arrays outputs,
                           const ParamsRef& params, Mode mode) {
  if (std::max(inputs.size(), outputs.size()) > kMaxArrays) {
    fail(op.name, ": too many inputs or outputs to record: ", inputs.size(), " and ",
         outputs.size());
  }
  size_t saved = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    saved += op.keep_input(i, params.get()) != Keep::kNothing;
  }
  for (size_t i = 0; i < outputs.size(); ++i)
    saved += op.keep_output(i, params.get()) != Keep::kNothing;
  const size_t bytes = sizeof(OpNode) + inputs.size() * sizeof(Edge) + saved * sizeof(Saved);
  Ref<OpNode> node(new (::operator new(bytes))
                       OpNode(op, inputs.size(), outputs.size(), saved, params, mode));
  Edge* edges = node->edge_data();
  for (size_t i = 0; i < inputs.size(); ++i) {
    new (edges + i) Edge(op.is_no_grad_input(i) ? Edge{} : autograd::edge_of(inputs[i]));
  }
  Saved* next = node->saved_data();
  auto save = [&next](Keep keep, const NDArray& array) {
    if (keep == Keep::kNothing) return;
    new (next++) Saved(keep == Keep::kData ? Saved::data(array) : Saved::meta(array));
  };
  for (size_t i = 0; i < inputs.size(); ++i) save(op.keep_input(i, params.get()), inputs[i]);
  for (size_t i = 0; i < outputs.size(); ++i) save(op.keep_output(i, params.get()), outputs[i]);
  return node;
}

namespace {

size_t node_bytes(size_t inputs, size_t saved) {
  return sizeof(OpNode) + inputs * sizeof(Edge) + saved * sizeof(Saved);
}

}  // namespace

void OpNode::save(std::span<const Kept> kept) {
  Saved* next = saved_data();
  for (const Kept& each : kept) {
    auto* saved = new (next++) Saved(Saved::meta(*each.shape));
    if (!each.data) continue;
    saved->storage = each.data->storage;
    saved->byte_offset = each.data->byte_offset;
    saved->version = each.data->version;
    saved->deferred = saved->storage->deferred();
    if (saved->deferred) saved->storage->saves().fetch_add(1, std::memory_order_relaxed);
  }
}

Ref<OpNode> OpNode::rebuild(const OpSchema& op, std::span<const Edge> inputs, size_t outputs,
                            std::span<const Kept> kept, const ParamsRef& params, Mode mode) {
  Ref<OpNode> node(new (::operator new(node_bytes(inputs.size(), kept.size())))
                       OpNode(op, inputs.size(), outputs, kept.size(), params, mode));
  for (size_t i = 0; i < inputs.size(); ++i) new (node->edge_data() + i) Edge(inputs[i]);
  node->save(kept);
  return node;
}

OpNode& PassingNode::make(const OpSchema& op, size_t inputs, size_t outputs,
                          std::span<const OpNode::Kept> kept, const ParamsRef& params, Mode mode) {
  clear();
  const size_t bytes = node_bytes(inputs, kept.size());
  if (bytes > capacity_) {
    memory_.reset(new std::byte[bytes]);
    capacity_ = bytes;
  }
  auto* node = new (memory_.get())
      OpNode(op, inputs, outputs, kept.size(), params, mode, /*single_sweep=*/true);
  for (size_t i = 0; i < inputs; ++i) new (node->edge_data() + i) Edge();
  node->save(kept);
  node_ = node;
  return *node;
}

void OpNode::destroy() noexcept {
  this->~OpNode();
  ::operator delete(this);
}

void OpNode::release() {
  if (released()) return;
  mark_released();
  for (size_t i = 0; i < saved_count_; ++i) saved_data()[i].~Saved();
  for (size_t i = 0; i < input_count_; ++i) edge_data()[i].~Edge();
}

Saved* OpNode::saved_input(size_t i) {
  if (released() || op_->keep_input(i, params().get()) == Keep::kNothing) return nullptr;
  Saved* at = saved_data();
  for (size_t k = 0; k < i; ++k) at += op_->keep_input(k, params().get()) != Keep::kNothing;
  return at;
}

Saved* OpNode::saved_output(size_t i) {
  if (released() || op_->keep_output(i, params().get()) == Keep::kNothing) return nullptr;
  Saved* at = saved_data();
  for (size_t k = 0; k < input_count_; ++k)
    at += op_->keep_input(k, params().get()) != Keep::kNothing;
  for (size_t k = 0; k < i; ++k) at += op_->keep_output(k, params().get()) != Keep::kNothing;
  return at;
}

bool OpNode::output_meta(uint32_t index, Shape& shape, DType& dtype) const {
  const Saved* saved = const_cast<OpNode*>(this)->saved_output(index);
  if (!saved) return false;
  shape = saved->shape;
  dtype = saved->dtype;
  return true;
}

void OpNode::pack() {
  for (size_t i = 0; i < saved_count_; ++i) autograd::pack(saved_data()[i]);
}

bool OpNode::input_meta(uint32_t index, Shape& shape, DType& dtype) {
  const Saved* saved = saved_input(index);
  if (!saved) return Node::input_meta(index, shape, dtype);
  shape = saved->shape;
  dtype = saved->dtype;
  return true;
}

void OpNode::vjp(autograd::VjpCall& call) {
  if (!mode_.packs) [[likely]] {
    return run_vjp(call);
  }
  const autograd::UnpackScope scope;
  run_vjp(call);
}

void OpNode::run_vjp(autograd::VjpCall& call) {
  if (!op_->vjp) {
    fail("backward: ", op_->name, " has no gradient: ", op_->no_grad_reason,
         autograd::call_text(*this));
  }
  stale_reported = false;
  // The node may be released by another thread while a kernel runs; the caller checks for that.
  Vjp view(*this, call);
  try {
    op_->vjp(view);
  } catch (const Error& error) {
    throw Error(error.kind(),
                str_cat("backward of ", op_->name, autograd::call_text(*this), ": ", error.what()))
        .set_names_call();
  }
}

const OpSchema& Vjp::op() const { return node_.op(); }
const Params* Vjp::raw_params() const { return node_.params().get(); }
bool Vjp::training() const { return node_.mode().training; }
size_t Vjp::input_count() const { return node_.input_count(); }

NDArray Vjp::head(size_t i) const {
  if (call_.has_head(i)) return readable(call_.head(i));
  Shape shape;
  DType dtype;
  if (!node_.output_meta(static_cast<uint32_t>(i), shape, dtype)) {
    fail_not_saved(node_, "the shape of output ", i);
  }
  return autograd::gradient_ops().fill_like(shape, dtype, 0);
}

NDArray Vjp::in_memory(NDArray head) const { return op().sparse.empty() ? in_dense(head) : head; }

NDArray Vjp::input(size_t i) const {
  const Saved* saved = node_.saved_input(i);
  if (!saved || !saved->storage) fail_not_saved(node_, "input ", i);
  const bool packed = node_.mode().packs && autograd::is_packed(*saved);
  const bool stale = packed ? autograd::is_stale_packed(*saved) : saved->stale();
  Edge edge;
  if (call_.create_graph()) edge = node_.edges()[i];
  // Last: what a hook or a warning runs may release the node.
  NDArray array = packed ? got_back(node_, *saved, "input ", i) : saved->array();
  if (edge.node) array.set_edge(edge.node, edge.index);
  if (stale) report_once(node_, "input ", i);
  return array;
}

NDArray Vjp::output(size_t i) const {
  const Saved* saved = node_.saved_output(i);
  if (!saved || !saved->storage) fail_not_saved(node_, "output ", i);
  const bool packed = node_.mode().packs && autograd::is_packed(*saved);
  const bool stale = packed ? autograd::is_stale_packed(*saved) : saved->stale();
  NDArray array = packed ? got_back(node_, *saved, "output ", i) : saved->array();
  if (call_.create_graph()) array.set_edge(Ref<RefCounted>(&node_), static_cast<uint32_t>(i));
  if (stale) report_once(node_, "output ", i);
  return array;
}

Shape Vjp::input_shape(size_t i) const {
  const Saved* saved = node_.saved_input(i);
  if (!saved) fail_not_saved(node_, "the shape of input ", i);
  return saved->shape;
}

DType Vjp::input_dtype(size_t i) const {
  const Saved* saved = node_.saved_input(i);
  if (!saved) fail_not_saved(node_, "the dtype of input ", i);
  return saved->dtype;
}

}  // namespace mxtape

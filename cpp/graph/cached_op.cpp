#include "graph/cached_op.h"

#include <algorithm>

#include "autograd/recorder.h"
#include "core/error.h"
#include "op/registry.h"

namespace mxtape {

using autograd::Edge;
using autograd::EndNode;
using autograd::Saved;

namespace {

// The arrays given as outputs, against what is known of the results.
void check_given(const Program& program, const Program::Plan& plan, Arrays given) {
  if (given.size() != program.output_count()) {
    fail("CachedOp: ", given.size(), " arrays given as out, the graph has ", program.output_count(),
         " outputs");
  }
  for (size_t i = 0; i < given.size(); ++i) {
    const ArraySpec& spec = plan.output(i);
    if (spec.known() && (given[i].shape() != spec.shape || given[i].dtype() != spec.dtype)) {
      fail("CachedOp: out", i ? std::to_string(i) : "", " has shape ", given[i].shape(),
           " and dtype ", given[i].dtype(), ", the result has ", spec.shape, " and ", spec.dtype);
    }
    check_writable(given[i], "CachedOp");
  }
}

}  // namespace

InnerInputs::InnerInputs(Inputs outside) {
  inside_.resize(outside.size());
  for (size_t i = 0; i < outside.size(); ++i) {
    const NDArray& array = outside[i];
    if (!autograd::on_tape(array)) {
      pointers_.push_back(&array);
      continue;
    }
    Edge edge = autograd::edge_of(array);
    // One array given twice is one variable to the calls inside.
    const auto same = std::find_if(edges_.begin(), edges_.end(), [&](const Edge& known) {
      return known.node == edge.node && known.index == edge.index;
    });
    const auto at = static_cast<size_t>(same - edges_.begin());
    if (same == edges_.end()) {
      ends_.push_back(make_ref<EndNode>(array, edge));
      edges_.push_back(std::move(edge));
    }
    inside_[i] = array.detached();
    inside_[i].set_edge(ends_[at], 0);
    pointers_.push_back(&inside_[i]);
  }
}

GraphCallNode::GraphCallNode(InnerInputs& inputs, std::span<const NDArray> inner_outputs)
    : edges_(inputs.take_edges()),
      ends_(inputs.take_ends()),
      output_count_(static_cast<uint32_t>(inner_outputs.size())) {
  for (const NDArray& output : inner_outputs) {
    heads_.push_back(autograd::edge_of(output));
    outputs_.push_back(Saved::meta(output));
  }
}

bool GraphCallNode::output_meta(uint32_t index, Shape& shape, DType& dtype) const {
  if (index >= outputs_.size()) return false;
  shape = outputs_[index].shape;
  dtype = outputs_[index].dtype;
  return true;
}

void GraphCallNode::vjp(autograd::VjpCall& call) {
  // Copied: other threads run below, and a sweep of theirs may release this node.
  const std::vector<Edge> heads = heads_;
  const std::vector<Ref<EndNode>> ends = ends_;
  SmallVector<NDArray, 4> head_grads(heads.size());
  for (size_t i = 0; i < heads.size(); ++i) {
    if (call.has_head(i)) head_grads[i] = call.take_head(i);
  }
  SmallVector<bool, 8> wanted(ends.size());
  for (size_t i = 0; i < ends.size(); ++i) wanted[i] = call.needs(i);
  std::vector<NDArray> found =
      autograd::inner_gradients(heads, head_grads, ends, wanted, call.create_graph());
  for (size_t i = 0; i < ends.size(); ++i) {
    if (found[i].defined()) call.grad(i, std::move(found[i]));
  }
}

void GraphCallNode::release() {
  if (released()) return;
  mark_released();
  // What is dropped may run Python code, which finds the node empty.
  const auto edges = std::exchange(edges_, {});
  const auto heads = std::exchange(heads_, {});
  const auto ends = std::exchange(ends_, {});
}

Ref<const Program::Plan> CachedOp::plan_for(Inputs inputs, Mode mode) const {
  {
    const std::lock_guard lock(mutex_);
    for (auto& plan : plans_) {
      if (!plan->fits(inputs, mode)) continue;
      if (&plan != &plans_.front()) std::swap(plan, plans_.front());
      return plans_.front();
    }
  }
  Ref<const Program::Plan> made = program_->plan(inputs, mode);
  // Dropped without the lock.
  Ref<const Program::Plan> oldest;
  const std::lock_guard lock(mutex_);
  plans_.push_front(made);
  if (plans_.size() > kPlans) {
    oldest = std::move(plans_.back());
    plans_.pop_back();
  }
  return made;
}

void CachedOp::call(Inputs inputs, Outputs& outputs, Watch* watch) const {
  if (inputs.size() != program_->input_count()) {
    std::string names;
    for (size_t i = 0; i < program_->input_count(); ++i) {
      names += (i ? ", " : "") + program_->input_name(i);
    }
    fail("CachedOp: the graph has ", program_->input_count(), " inputs (", names, "), ",
         inputs.size(), " arrays are given");
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined()) fail("CachedOp: input ", i, " is missing");
  }
  const Mode mode = autograd::thread_mode();
  const Ref<const Program::Plan> plan = plan_for(inputs, mode);
  const size_t count = program_->output_count();
  if (!outputs.empty()) check_given(*program_, *plan, outputs);
  Outputs results(count);
  bool tracked = false;
  for (size_t i = 0; mode.recording && i < inputs.size(); ++i) {
    tracked = tracked || autograd::on_tape(inputs[i]);
  }
  if (!tracked) {
    program_->run(*plan, inputs, results, watch);
  } else {
    InnerInputs inner(inputs);
    program_->run(*plan, inner.get(), results, watch);
    const auto node = make_ref<GraphCallNode>(inner, results);
    for (size_t i = 0; i < count; ++i) {
      const bool hangs = static_cast<bool>(node->head(static_cast<uint32_t>(i)).node);
      results[i].set_edge(hangs ? Ref<RefCounted>(node) : Ref<RefCounted>(),
                          static_cast<uint32_t>(i));
    }
  }
  if (outputs.empty()) {
    for (NDArray& result : results) outputs.push_back(std::move(result));
    return;
  }
  static const OpSchema& copy = find_op("_copy");
  for (size_t i = 0; i < count; ++i) {
    Outputs target;
    target.push_back(outputs[i]);
    invoke(copy, Arrays{&results[i], 1}, nullptr, target);
    outputs[i] = std::move(target[0]);
  }
}

}  // namespace mxtape

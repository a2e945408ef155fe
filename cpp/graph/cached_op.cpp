#include "graph/cached_op.h"

#include <algorithm>

#include "autograd/recorder.h"
#include "core/error.h"
#include "op/functional.h"
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

// As in MXNet, what the heads do not depend on gets a gradient: otherwise one of a call before
// would be left there, and look like that of this call.
NDArray zeros_of(size_t end, const Frame* frame, std::span<const Ref<EndNode>> ends) {
  if (frame) {
    const ArraySpec& spec = frame->end_spec(end);
    return full(spec.shape, spec.dtype, 0);
  }
  Shape shape;
  DType dtype = kUnknownDType;
  ends[end]->output_meta(0, shape, dtype);
  return full(shape, dtype, 0);
}

}  // namespace

TrackedInputs::TrackedInputs(Inputs outside) : tracked(outside.size()), ends(outside.size()) {
  edges.reserve(outside.size());
  for (size_t i = 0; i < outside.size(); ++i) {
    if (!autograd::on_tape(outside[i])) continue;
    tracked[i] = any = true;
    Edge edge = autograd::edge_of(outside[i]);
    // One array given twice is one variable to the calls inside.
    const auto same = std::find_if(edges.begin(), edges.end(), [&](const Edge& known) {
      return known.node == edge.node && known.index == edge.index;
    });
    ends[i] = static_cast<uint32_t>(same - edges.begin());
    if (same == edges.end()) edges.push_back(std::move(edge));
  }
}

InsideInputs::InsideInputs(Inputs outside, const TrackedInputs& tracked,
                           std::span<const Ref<EndNode>> ends)
    : inside_(outside.size()) {
  for (size_t i = 0; i < outside.size(); ++i) {
    pointers_.push_back(&outside[i]);
    if (!tracked.tracked[i]) continue;
    inside_[i] = outside[i].detached();
    if (!ends.empty()) inside_[i].set_edge(ends[tracked.ends[i]], 0);
    pointers_[i] = &inside_[i];
  }
}

GraphCallNode::GraphCallNode(std::vector<Edge> edges, std::span<const NDArray> outputs,
                             Ref<Frame> frame)
    : edges_(std::move(edges)), frame_(std::move(frame)) {
  outputs_.reserve(outputs.size());
  for (const NDArray& output : outputs) outputs_.push_back(Saved::meta(output));
}

GraphCallNode::GraphCallNode(std::vector<Edge> edges, std::span<const NDArray> outputs,
                             std::vector<Ref<EndNode>> ends, std::vector<Edge> heads)
    : edges_(std::move(edges)), heads_(std::move(heads)), ends_(std::move(ends)) {
  for (const NDArray& output : outputs) outputs_.push_back(Saved::meta(output));
}

bool GraphCallNode::output_meta(uint32_t index, Shape& shape, DType& dtype) const {
  if (index >= outputs_.size()) return false;
  shape = outputs_[index].shape;
  dtype = outputs_[index].dtype;
  return true;
}

// Gradients that are recorded need the calls on the tape.
void GraphCallNode::record_inside() {
  if (!heads_.empty() || !frame_) return;
  for (size_t i = 0; i < edges_.size(); ++i) {
    const ArraySpec& spec = frame_->end_spec(i);
    ends_.push_back(make_ref<EndNode>(spec.shape, spec.dtype, edges_[i]));
  }
  heads_ = frame_->record(ends_);
}

Edge GraphCallNode::head(uint32_t index) {
  if (released()) return {};
  record_inside();
  return heads_[index];
}

void GraphCallNode::vjp(autograd::VjpCall& call) {
  if (call.create_graph()) record_inside();
  // Copied: other threads run below, and a sweep of theirs may release this node.
  const Ref<Frame> frame = call.create_graph() ? Ref<Frame>() : frame_;
  const std::vector<Edge> heads = heads_;
  const std::vector<Ref<EndNode>> ends = ends_;
  const size_t count = edges_.size();
  SmallVector<NDArray, 4> head_grads(outputs_.size());
  for (size_t i = 0; i < outputs_.size(); ++i) {
    if (call.has_head(i)) head_grads[i] = call.take_head(i);
  }
  SmallVector<bool, 8> wanted(count);
  for (size_t i = 0; i < count; ++i) wanted[i] = call.needs(i);
  std::vector<NDArray> found;
  if (frame) {
    try {
      found = frame->sweep(head_grads, wanted, autograd::sweep_retains());
    } catch (const Error& error) {
      throw Error(error.kind(), str_cat(error.what(), where())).set_names_call();
    }
  } else {
    found = autograd::inner_gradients(heads, head_grads, ends, wanted, call.create_graph());
  }
  for (size_t i = 0; i < count; ++i) {
    if (!wanted[i]) continue;
    if (!found[i].defined()) found[i] = zeros_of(i, frame.get(), ends);
    call.grad(i, std::move(found[i]));
  }
}

void GraphCallNode::release() {
  if (released()) return;
  mark_released();
  // What is dropped may run Python code, which finds the node empty.
  const auto edges = std::exchange(edges_, {});
  const auto heads = std::exchange(heads_, {});
  const auto ends = std::exchange(ends_, {});
  const auto frame = std::exchange(frame_, {});
}

Ref<const Program::Plan> CachedOp::plan_for(Inputs inputs, Mode mode) const {
  auto plan = plans_.find([&](const auto& known) { return known.fits(inputs, mode); });
  if (!plan) plans_.add(plan = program_->plan(inputs, mode));
  return plan;
}

Ref<const Reverse> CachedOp::reverse_for(const std::vector<bool>& tracked) const {
  auto reverse = reverses_.find([&](const auto& known) { return known.tracked() == tracked; });
  if (!reverse) reverses_.add(reverse = make_ref<Reverse>(*program_, tracked));
  return reverse;
}

namespace {

void hang(NDArray& result, size_t index, Ref<RefCounted> node) {
  result.set_edge(std::move(node), static_cast<uint32_t>(index));
}

}  // namespace

// Runs the calls and hangs what depends on a tracked input on one node.
void CachedOp::run_tracked(Inputs inputs, TrackedInputs tracked,
                           const Ref<const Program::Plan>& plan, std::span<NDArray> results,
                           Watch* watch) const {
  const Mode mode = autograd::thread_mode();
  const Ref<const Reverse> reverse = reverse_for(tracked.tracked);
  program_->check_states(inputs, mode);
  Ref<GraphCallNode> node;
  // Saved arrays go through hooks, and values are looked at, where calls are recorded.
  if (reverse->repeatable() && !mode.packs && !plan->has_sparse()) {
    const InsideInputs inside(inputs, tracked, {});
    const auto frame = make_ref<Frame>(program_, plan, reverse, mode, std::move(tracked.ends),
                                       tracked.edges.size());
    program_->run(*plan, inside.get(), results, watch, frame.get());
    node = make_ref<GraphCallNode>(std::move(tracked.edges), results, frame);
    for (size_t i = 0; i < results.size(); ++i) {
      hang(results[i], i, reverse->reaches(program_->output(i)) ? node : Ref<GraphCallNode>());
    }
  } else {
    std::vector<Ref<EndNode>> ends(tracked.edges.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!tracked.tracked[i] || ends[tracked.ends[i]]) continue;
      ends[tracked.ends[i]] = make_ref<EndNode>(inputs[i], tracked.edges[tracked.ends[i]]);
    }
    const InsideInputs inside(inputs, tracked, ends);
    program_->run(*plan, inside.get(), results, watch);
    std::vector<Edge> heads;
    for (const NDArray& result : results) heads.push_back(autograd::edge_of(result));
    node = make_ref<GraphCallNode>(std::move(tracked.edges), results, std::move(ends), heads);
    for (size_t i = 0; i < results.size(); ++i) {
      hang(results[i], i, heads[i].node ? node : Ref<GraphCallNode>());
    }
  }
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
  if (mode.recording) {
    TrackedInputs tracked(inputs);
    if (tracked.any) {
      run_tracked(inputs, std::move(tracked), plan, results, watch);
    } else {
      program_->run(*plan, inputs, results, watch);
    }
  } else {
    program_->run(*plan, inputs, results, watch);
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

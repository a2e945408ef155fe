#include "graph/reverse.h"

#include <algorithm>

#include "autograd/profiled_vjp.h"
#include "autograd/recorder.h"
#include "core/error.h"
#include "graph/compiled.h"
#include "graph/control_flow.h"
#include "graph/custom.h"

namespace mxtape {

using autograd::Edge;
using autograd::EndNode;
using autograd::Saved;

Reverse::Reverse(const Program& program, std::vector<bool> tracked)
    : tracked_(std::move(tracked)), records_(program.steps().size()) {
  for (size_t k = 0; k < program.steps().size(); ++k) {
    const Program::Step& step = program.steps()[k];
    for (uint32_t i = 0; i < step.input_count; ++i) {
      flows_.push_back(reaches(program.read(step, i)) && !step.op->is_no_grad_input(i));
      records_[k] |= flows_.back();
    }
  }
  find_slots(program);
}

void Reverse::find_slots(const Program& program) {
  slots_.assign(program.value_count(), -1);
  const auto keep = [&](size_t value, Keep keep) {
    if (keep == Keep::kNothing) return;
    kept_.push_back({static_cast<uint32_t>(value), keep == Keep::kData});
    if (keep == Keep::kData && slots_[value] < 0) {
      slots_[value] = static_cast<int32_t>(slot_count_++);
    }
  };
  std::vector<bool> changed(program.value_count());
  for (size_t k = 0; k < program.steps().size(); ++k) {
    const Program::Step& step = program.steps()[k];
    const Params* params = step.node->params().get();
    first_kept_.push_back(kept_.size());
    // Only what runs says which steps a loop took; the program's own operators record as they run.
    if (records_[k] && (is_control_flow(*step.op) || is_custom(*step.op))) repeatable_ = false;
    for (uint32_t i = 0; i < step.input_count; ++i) {
      const size_t value = program.number(program.read(step, i));
      if (records_[k]) keep(value, step.op->keep_input(i, params));
      if (!step.node->changes_input(i)) continue;
      changed[value] = true;
      if (program.read(step, i).step >= 0) repeatable_ = false;
    }
    for (uint32_t i = 0; records_[k] && i < step.node->output_count(); ++i) {
      keep(program.number(step, i), step.op->keep_output(i, params));
    }
  }
  first_kept_.push_back(kept_.size());
  for (size_t value = 0; value < changed.size(); ++value) {
    if (changed[value] && slots_[value] >= 0) repeatable_ = false;
  }
}

Frame::Frame(Ref<const Program> program, Ref<const Program::Plan> plan, Ref<const Reverse> reverse,
             Mode mode, std::vector<uint32_t> ends, size_t end_count)
    : program_(std::move(program)),
      plan_(std::move(plan)),
      reverse_(std::move(reverse)),
      mode_(mode),
      ends_(std::move(ends)),
      end_count_(end_count),
      saved_(reverse_->slot_count()) {}

void Frame::save(size_t value, const NDArray& array) {
  const int32_t slot = reverse_->slot(value);
  if (slot >= 0) saved_[static_cast<size_t>(slot)].emplace(Saved::data(array));
}

void Frame::keep_inputs(Inputs inputs) {
  for (size_t i = 0; i < inputs.size(); ++i) save(i, inputs[i]);
}

void Frame::keep(size_t step, std::span<const NDArray> made) {
  const Program::Step& call = program_->steps()[step];
  for (uint32_t i = 0; i < made.size(); ++i) {
    const size_t value = program_->number(call, i);
    save(value, made[i]);
    if (plan_->inferred(step)) continue;
    late_[value] = NDArray(Ref<Storage>(), 0, made[i].shape(), made[i].dtype());
  }
}

const ArraySpec& Frame::end_spec(size_t end) const {
  size_t input = 0;
  while (!reverse_->tracked()[input] || ends_[input] != end) ++input;
  return plan_->spec(input);
}

const NDArray& Frame::shell_of(size_t value) const {
  if (!late_.empty()) {
    const auto late = late_.find(value);
    if (late != late_.end()) return late->second;
  }
  return plan_->shell(value);
}

// What the tape would have saved at a step.
void Frame::gather(size_t step, Gathered& kept) const {
  const auto saves = reverse_->kept(step);
  kept.resize(saves.size());
  for (size_t i = 0; i < saves.size(); ++i) {
    kept[i] = {&shell_of(saves[i].value), nullptr};
    if (!saves[i].data) continue;
    const auto& saved = saved_[static_cast<size_t>(reverse_->slot(saves[i].value))];
    if (!saved) fail("the graph was freed by another backward meanwhile");
    kept[i].data = &*saved;
  }
}

// What was kept of what a step has made.
void Frame::drop(size_t step) {
  const Program::Step& call = program_->steps()[step];
  for (uint32_t i = 0; i < call.node->output_count(); ++i) {
    const int32_t slot = reverse_->slot(program_->number(call, i));
    if (slot >= 0) saved_[static_cast<size_t>(slot)].reset();
  }
}

// Goes through steps that run as one; false where they have to run one by one: nothing has changed
// then.
bool Frame::sweep_fused(const FusedSweep& fused, std::span<NDArray> grads, bool retain) {
  const Region& region = fused.region;
  if (!runs_now(region)) return false;
  for (uint32_t place : fused.empty) {
    if (grads[place].defined()) return false;
  }
  SmallVector<const char*, 16> loads;
  for (const FusedSweep::Load& load : fused.loads) {
    if (load.saved) {
      const auto& saved = saved_[load.index];
      if (!saved || saved->stale() || saved->storage->form() != Form::kDense) return false;
      loads.push_back(saved->storage->data() + saved->byte_offset);
    } else {
      const NDArray& grad = grads[load.index];
      if (!grad.defined() || grad.storage()->form() != Form::kDense) return false;
      loads.push_back(grad.bytes());
    }
  }
  SmallVector<NDArray, 4> stored;
  SmallVector<char*, 4> stores;
  for (size_t i = 0; i < fused.store_count; ++i) {
    stored.emplace_back(Storage::allocate(region.nbytes()), 0, region.shape(), region.dtype());
    stores.push_back(stored.back().bytes());
  }
  region.run(loads, stores);
  SmallVector<NDArray, 4> results;
  for (const FusedSweep::Store& store : fused.stores) {
    results.push_back(store.load < 0 ? stored[static_cast<size_t>(store.store)]
                                     : grads[fused.loads[static_cast<size_t>(store.load)].index]);
  }
  for (uint32_t place : fused.used) grads[place] = NDArray();
  for (size_t i = 0; i < results.size(); ++i) grads[fused.stores[i].place] = std::move(results[i]);
  for (size_t k = fused.first; !retain && k <= fused.last; ++k) drop(k);
  return true;
}

SweepKind Frame::kind_of(std::span<const NDArray> head_grads, std::span<const bool> wanted) const {
  SweepKind kind{{}, {wanted.begin(), wanted.end()}, ends_};
  for (const NDArray& head : head_grads) kind.heads.push_back(head.defined());
  return kind;
}

// `flows` says of each input of the step whether its gradient is wanted.
void Frame::sweep_step(size_t k, std::span<const uint8_t> flows, std::span<NDArray> grads,
                       PassingNode& passing, autograd::Pause& pause, Watch* watch) {
  const Program::Step& step = program_->steps()[k];
  const std::span<NDArray> heads = grads.subspan(step.first_made, step.node->output_count());
  const auto is_there = [](const NDArray& head) { return head.defined(); };
  if (std::none_of(heads.begin(), heads.end(), is_there)) return;
  if (std::any_of(flows.begin(), flows.end(), [](uint8_t each) { return each != 0; })) {
    pause.node();
    Gathered kept;
    gather(k, kept);
    OpNode& node = passing.make(*step.op, step.input_count, heads.size(), kept,
                                plan_->params_of(*program_, k), mode_);
    autograd::VjpCall call(node, heads, false);
    for (uint32_t i = 0; i < step.input_count; ++i) call.set_needs(i, flows[i]);
    try {
      autograd::profiled_vjp(node, call);
    } catch (const Error& error) {
      rethrow_at(*step.node, error);
    }
    if (watch) watch->gradients(*step.node, {&call.result(0), step.input_count});
    for (uint32_t i = 0; i < step.input_count; ++i) {
      NDArray& value = call.result(i);
      if (!call.needs(i) || !value.defined()) continue;
      pause.wrote(value.nbytes());
      const NDArray& input = shell_of(program_->number(program_->read(step, i)));
      if (value.shape() != input.shape() || value.dtype() != input.dtype()) {
        fail(step.op->name, ": its gradient for input ", i, " has shape ", value.shape(),
             " and dtype ", value.dtype(), ", the input ", input.shape(), " and ", input.dtype());
      }
      autograd::accumulate(grads[place(program_->read(step, i))], std::move(value), false);
    }
    passing.clear();
  }
  for (NDArray& head : heads) {
    if (head.defined()) head = NDArray();
  }
}

std::vector<NDArray> Frame::sweep(std::span<NDArray> head_grads, std::span<const bool> wanted,
                                  bool retain, Watch* watch) {
  const auto steps = program_->steps();
  const Ref<const Compiled> compiled = plan_->compiled(*program_, reverse_);
  Ref<const Compiled::Sweep> sweep;
  if (!watch && compiled->fuses() && !profile::records(autograd::kWatchGradients)) {
    sweep = compiled->sweep(*program_, *plan_, mode_, kind_of(head_grads, wanted));
  }
  const bool all = std::all_of(wanted.begin(), wanted.end(), [](bool each) { return each; });
  const std::vector<uint8_t> some =
      all ? std::vector<uint8_t>() : wanted_flows(*program_, *reverse_, ends_, wanted);
  const std::span<const uint8_t> flows = all ? reverse_->flows() : some;
  const size_t made = program_->value_count() - program_->input_count();
  std::vector<NDArray> grads(made + end_count_);
  for (size_t i = 0; i < head_grads.size(); ++i) {
    const Value value = program_->output(i);
    if (head_grads[i].defined() && reverse_->reaches(value)) {
      autograd::accumulate(grads[place(value)], std::move(head_grads[i]), false);
    }
  }
  std::span<const FusedSweep> fused;
  if (sweep) fused = sweep->fused;
  size_t next = 0;
  autograd::Pause pause;
  PassingNode passing;
  for (size_t k = steps.size(); k-- > 0;) {
    if (next < fused.size() && fused[next].last == k && sweep_fused(fused[next++], grads, retain)) {
      const FusedSweep& done = fused[next - 1];
      pause.wrote(done.region.nbytes() * done.region.call_count());
      pause.node();
      k = done.first;
      continue;
    }
    sweep_step(k, flows.subspan(steps[k].first_input, steps[k].input_count), grads, passing, pause,
               watch);
    if (!retain) drop(k);
  }
  std::vector<NDArray> found;
  for (size_t i = 0; i < end_count_; ++i) found.push_back(std::move(grads[made + i]));
  return found;
}

std::vector<Edge> Frame::record(std::span<const Ref<EndNode>> ends) const {
  const auto steps = program_->steps();
  std::vector<Ref<OpNode>> nodes(steps.size());
  const auto edge_of = [&](Value value) -> Edge {
    if (!reverse_->reaches(value)) return {};
    if (value.step < 0) return {ends[ends_[value.index]], 0};
    return {nodes[static_cast<size_t>(value.step)], value.index};
  };
  Gathered kept;
  for (size_t k = 0; k < steps.size(); ++k) {
    const Program::Step& step = steps[k];
    if (!reverse_->records(k)) continue;
    std::vector<Edge> edges;
    for (uint32_t i = 0; i < step.input_count; ++i) {
      edges.push_back(reverse_->flows(step, i) ? edge_of(program_->read(step, i)) : Edge());
    }
    gather(k, kept);
    nodes[k] = OpNode::rebuild(*step.op, edges, step.node->output_count(), kept,
                               plan_->params_of(*program_, k), mode_);
  }
  std::vector<Edge> heads;
  for (size_t i = 0; i < program_->output_count(); ++i) {
    heads.push_back(edge_of(program_->output(i)));
  }
  return heads;
}

}  // namespace mxtape

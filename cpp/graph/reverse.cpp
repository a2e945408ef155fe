#include "graph/reverse.h"

#include <algorithm>

#include "autograd/profiled_vjp.h"
#include "autograd/recorder.h"
#include "core/error.h"
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

// Into which inputs of the steps a gradient flows that reaches a wanted end.
std::vector<uint8_t> Frame::wanted_flows(std::span<const bool> wanted) const {
  std::vector<uint8_t> flows, leads;
  for (const Program::Step& step : program_->steps()) {
    bool any = false;
    for (uint32_t i = 0; i < step.input_count; ++i) {
      const Value value = program_->read(step, i);
      const bool to_wanted =
          value.step < 0 ? wanted[ends_[value.index]] : leads[static_cast<size_t>(value.step)] != 0;
      flows.push_back(reverse_->flows(step, i) && to_wanted);
      any = any || flows.back();
    }
    leads.push_back(any);
  }
  return flows;
}

std::vector<NDArray> Frame::sweep(std::span<NDArray> head_grads, std::span<const bool> wanted,
                                  bool retain) {
  const auto steps = program_->steps();
  const bool all = std::all_of(wanted.begin(), wanted.end(), [](bool each) { return each; });
  const std::vector<uint8_t> some = all ? std::vector<uint8_t>() : wanted_flows(wanted);
  // Gradients that have arrived at what the steps made, and at the ends.
  const size_t inputs = program_->input_count();
  std::vector<NDArray> pending(program_->value_count() - inputs), found(end_count_);
  const auto place = [&](Value value) -> NDArray& {
    if (value.step < 0) return found[ends_[value.index]];
    return pending[program_->number(value) - inputs];
  };
  for (size_t i = 0; i < head_grads.size(); ++i) {
    const Value value = program_->output(i);
    if (head_grads[i].defined() && reverse_->reaches(value)) {
      autograd::accumulate(place(value), std::move(head_grads[i]), false);
    }
  }
  autograd::Pause pause;
  PassingNode passing;
  Gathered kept;
  for (size_t k = steps.size(); k-- > 0;) {
    const Program::Step& step = steps[k];
    const uint32_t made = step.node->output_count();
    const std::span<NDArray> heads(pending.data() + step.first_made, made);
    bool arrived = false;
    for (const NDArray& head : heads) arrived = arrived || head.defined();
    if (!arrived) continue;
    const auto flows = [&](uint32_t i) {
      return all ? reverse_->flows(step, i) : some[step.first_input + i] != 0;
    };
    bool any = false;
    for (uint32_t i = 0; i < step.input_count; ++i) any = any || flows(i);
    if (any) {
      pause.node();
      gather(k, kept);
      OpNode& node = passing.make(*step.op, step.input_count, made, kept,
                                  plan_->params_of(*program_, k), mode_);
      autograd::VjpCall call(node, heads, false);
      for (uint32_t i = 0; i < step.input_count; ++i) call.set_needs(i, flows(i));
      try {
        autograd::profiled_vjp(node, call);
      } catch (const Error& error) {
        rethrow_at(*step.node, error);
      }
      for (uint32_t i = 0; i < step.input_count; ++i) {
        NDArray& value = call.result(i);
        if (!call.needs(i) || !value.defined()) continue;
        pause.wrote(value.nbytes());
        const NDArray& input = shell_of(program_->number(program_->read(step, i)));
        if (value.shape() != input.shape() || value.dtype() != input.dtype()) {
          fail(step.op->name, ": its gradient for input ", i, " has shape ", value.shape(),
               " and dtype ", value.dtype(), ", the input ", input.shape(), " and ", input.dtype());
        }
        autograd::accumulate(place(program_->read(step, i)), std::move(value), false);
      }
      passing.clear();
    }
    for (NDArray& head : heads) {
      if (head.defined()) head = NDArray();
    }
    for (uint32_t i = 0; !retain && i < made; ++i) {
      const int32_t slot = reverse_->slot(program_->number(step, i));
      if (slot >= 0) saved_[static_cast<size_t>(slot)].reset();
    }
  }
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

#include "graph/program.h"

#include <algorithm>
#include <unordered_map>

#include "autograd/inner.h"
#include "autograd/recorder.h"
#include "core/error.h"
#include "graph/compiled.h"
#include "graph/control_flow_run.h"
#include "graph/custom.h"
#include "graph/infer.h"
#include "graph/reverse.h"
#include "op/call.h"
#include "op/sparse.h"

namespace mxtape {
namespace {

void check_runnable(const GraphNode& node) {
  if (!node.op().kernel && !is_control_flow(node.op()) && !is_custom(node.op())) {
    fail("node ", node.name(), ": ", node.op().name,
         " stands for a function in Python that was recorded; it cannot be run from a graph");
  }
  for (const GraphEntry& input : node.inputs()) {
    if (input.index >= input.node->visible_count()) {
      fail("node ", node.name(), " reads output ", input.index, " of ", input.node->name(),
           ", which has ", input.node->visible_count());
    }
  }
}

}  // namespace

void rethrow_at(const GraphNode& node, const Error& error) {
  Error named(error.kind(), str_cat(error.what(), " (at node ", node.name(), ")"));
  if (error.names_call()) named.set_names_call();
  throw named;
}

Program::Program(const Graph& graph) : graph_(graph) {
  std::unordered_map<const GraphNode*, int32_t> steps;
  std::unordered_map<const GraphNode*, uint32_t> inputs;
  const auto value_of = [&](const GraphEntry& entry) -> Value {
    if (entry.node->is_variable()) return {-1, inputs.at(entry.node.get())};
    return {steps.at(entry.node.get()), entry.index};
  };
  for (const GraphNode* node : graph_.nodes()) {
    if (node->is_variable()) {
      inputs[node] = static_cast<uint32_t>(inputs_.size());
      inputs_.push_back(node);
      states_.push_back(false);
      continue;
    }
    check_runnable(*node);
    if (is_control_flow(node->op())) flows_[steps_.size()] = make_ref<ControlFlow>(*node);
    if (is_custom(node->op())) customs_[steps_.size()] = custom_hooks().prepare(*node);
    steps[node] = static_cast<int32_t>(steps_.size());
    steps_.push_back({node, &node->op(), static_cast<uint32_t>(reads_.size()),
                      static_cast<uint32_t>(node->inputs().size()), static_cast<uint32_t>(made_), 0,
                      0});
    for (size_t i = 0; i < node->inputs().size(); ++i) {
      const Value value = value_of(node->inputs()[i]);
      if (value.step < 0 && node->changes_input(i)) states_[value.index] = true;
      reads_.push_back(value);
    }
    made_ += node->output_count();
    has_sources_ = has_sources_ || node->inputs().empty();
  }
  for (const GraphEntry& output : graph_.outputs()) {
    if (output.index >= output.node->visible_count()) {
      fail("output ", output.index, " of node ", output.node->name(), ", which has ",
           output.node->visible_count());
    }
    outputs_.push_back(value_of(output));
  }
  find_dead();
}

Program::~Program() = default;

// From the last step to the first: the first reader that is met is the last one.
void Program::find_dead() {
  std::vector<bool> live(made_);
  const auto at = [&](Value value) { return steps_[value.step].first_made + value.index; };
  for (const Value& output : outputs_) {
    if (output.step >= 0) live[at(output)] = true;
  }
  for (size_t k = steps_.size(); k-- > 0;) {
    Step& step = steps_[k];
    step.first_dead = static_cast<uint32_t>(dead_.size());
    const auto note = [&](Value value) {
      if (value.step < 0 || live[at(value)]) return;
      live[at(value)] = true;
      dead_.push_back(value);
    };
    for (uint32_t i = 0; i < step.node->visible_count(); ++i) note({static_cast<int32_t>(k), i});
    for (uint32_t i = 0; i < step.input_count; ++i) note(reads_[step.first_input + i]);
    step.dead_count = static_cast<uint32_t>(dead_.size()) - step.first_dead;
  }
}

std::string Program::output_name(size_t i) const {
  const GraphEntry& entry = graph_.outputs()[i];
  return entry.node->output_name(entry.index);
}

bool Program::Plan::fits(Inputs inputs, Mode mode) const {
  if (mode.recording != mode_.recording || mode.training != mode_.training) return false;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const ArraySpec& spec = inputs_[i];
    if (inputs[i].dtype() != spec.dtype || inputs[i].shape() != spec.shape ||
        storage_type(inputs[i]) != spec.storage) {
      return false;
    }
  }
  return true;
}

Program::Plan::Plan() = default;
Program::Plan::~Plan() = default;

Ref<const Compiled> Program::Plan::compiled(const Program& program,
                                            const Ref<const Reverse>& reverse) const {
  auto compiled =
      compiled_.find([&](const auto& known) { return known.reverse() == reverse.get(); });
  if (!compiled) compiled_.add(compiled = make_ref<const Compiled>(program, *this, reverse));
  return compiled;
}

// The parameters of steps without inputs, such as _zeros, whose shape was left open: what reads
// them says which it is.
void Program::close_shapes(Inputs inputs, Mode mode, Plan& plan) const {
  const auto is_open = [](const Step& step) {
    if (step.input_count || !step.node->params() || is_control_flow(*step.op) ||
        is_custom(*step.op)) {
      return false;
    }
    std::vector<ArraySpec> made(step.node->output_count());
    return !infer_specs(*step.op, step.node->params().get(), {}, {}, made) ||
           made[0].shape.size() == 0;
  };
  if (std::none_of(steps_.begin(), steps_.end(), is_open)) return;
  VariableSpecs known;
  VariableStorage storage;
  for (size_t i = 0; i < inputs.size(); ++i) {
    known[inputs_[i]] = plan.inputs_[i];
    storage[inputs_[i]] = plan.inputs_[i].storage;
  }
  const GraphSpecs found = infer_graph(graph_, known, Infer::kAll, mode, false, storage);
  for (const Step& step : steps_) {
    const auto outputs = found.outputs_of(found.position.at(step.node));
    const bool closed = is_open(step) && !outputs.empty() && outputs[0].known();
    plan.params_.push_back(closed ? params_to_run(*step.node, outputs) : step.node->params());
  }
}

// The storage types of what a step makes. They do not depend on shapes.
void Program::plan_storage(const Step& step, size_t position, Mode mode, Plan& plan) const {
  const OpSchema& op = *step.op;
  if (op.sparse.empty() || flow_at(position) || custom_at(position)) return;
  SmallVector<StorageType, 8> types;
  for (uint32_t i = 0; i < step.input_count; ++i) {
    types.push_back(plan.spec(number(read(step, i))).storage);
  }
  const SparseRow* row = find_sparse_row(
      SparseMatch(op, {types.data(), types.size()}, plan.params_of(*this, position).get(), mode));
  if (!row || row->output == StorageType::kDense) return;
  plan.has_sparse_ = true;
  for (uint32_t i = 0; i < step.node->output_count(); ++i) {
    plan.made_[step.first_made + i].storage = row->output;
  }
}

// Leaves unknown what follows from values. Where nothing is unknown, it is what Call::infer does.
void Program::plan_step(const Step& step, size_t position, Mode mode, Plan& plan) const {
  const OpSchema& op = *step.op;
  std::vector<InputView> views;
  for (uint32_t i = 0; i < step.input_count; ++i) {
    const ArraySpec& spec = plan.spec(number(read(step, i)));
    if (!spec.known()) return;
    views.push_back({&spec.shape, spec.dtype, spec.storage});
  }
  const std::span<ArraySpec> made(plan.made_.data() + step.first_made, step.node->output_count());
  if (flow_at(position) || custom_at(position)) {
    std::vector<ArraySpec> inputs;
    for (const InputView& view : views) inputs.push_back({*view.shape, view.dtype});
    if (custom_at(position)) return custom_hooks().infer(*step.node, inputs, made);
    return infer_control_flow(*step.node, mode, inputs, made);
  }
  InferCall call(op, views, plan.params_of(*this, position).get(), mode, made);
  run_inference(op, call);
  plan.inferred_[position] = !op.check;
}

Ref<const Program::Plan> Program::plan(Inputs inputs, Mode mode) const {
  if (inputs.size() != input_count()) {
    fail("the graph has ", input_count(), " inputs, ", inputs.size(), " arrays are given");
  }
  auto plan = make_ref<Plan>();
  plan->mode_ = mode;
  plan->made_.resize(made_);
  plan->inferred_.resize(steps_.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined()) fail("input ", i, " (", input_name(i), ") is missing");
    ArraySpec spec;
    spec.shape = inputs[i].shape();
    spec.dtype = inputs[i].dtype();
    spec.storage = storage_type(inputs[i]);
    plan->has_sparse_ = plan->has_sparse_ || spec.storage != StorageType::kDense;
    plan->inputs_.push_back(std::move(spec));
  }
  if (has_sources_) close_shapes(inputs, mode, *plan);
  for (size_t k = 0; k < steps_.size(); ++k) {
    try {
      plan_step(steps_[k], k, mode, *plan);
      plan_storage(steps_[k], k, mode, *plan);
    } catch (const Error& error) {
      rethrow_at(*steps_[k].node, error);
    }
  }
  for (const Value& output : outputs_) plan->outputs_.push_back(plan->spec(number(output)));
  for (size_t value = 0; value < value_count(); ++value) {
    const ArraySpec& spec = plan->spec(value);
    plan->shells_.emplace_back(Ref<Storage>(), 0, spec.shape, spec.dtype);
  }
  return plan;
}

void Program::check_states(Inputs inputs, Mode mode) const {
  for (const Step& step : steps_) {
    for (uint32_t i = 0; step.op->mutates && i < step.input_count; ++i) {
      const Value value = read(step, i);
      if (value.step < 0 && !step.op->is_no_grad_input(i) &&
          step.op->mutates(i, step.input_count, step.node->params().get(), mode)) {
        check_writable(inputs[value.index], step.op->name);
      }
    }
  }
}

namespace {

// Where a graph runs: where its first input is.
uint16_t device_of(Inputs inputs) { return inputs.empty() ? 0 : inputs[0].storage()->device(); }

}  // namespace

bool Program::run_fused(const FusedSteps& fused, Inputs inputs, Outputs* made, Frame* frame) const {
  const Region& region = fused.region;
  if (!runs_now(region)) return false;
  SmallVector<const char*, 16> loads(fused.loads.size());
  uint16_t device = loads.size() ? 0 : device_of(inputs);
  for (size_t i = 0; i < loads.size(); ++i) {
    const Value value = fused.loads[i];
    const NDArray& array =
        value.step < 0 ? inputs[value.index] : made[static_cast<size_t>(value.step)][value.index];
    const uint16_t here = array.storage()->device();
    if ((i && here != device) || array.storage()->form() != Form::kDense) return false;
    device = here;
    loads[i] = array.bytes();
  }
  // What only the gradient reads lies side by side.
  const size_t bytes = Region::padded(region.nbytes());
  Ref<Storage> shared;
  if (fused.kept_only) shared = Storage::allocate(bytes * fused.kept_only);
  SmallVector<NDArray, 16> stored;
  SmallVector<char*, 16> stores;
  size_t offset = 0;
  for (const FusedSteps::Store& store : fused.stores) {
    if (store.read) {
      stored.emplace_back(Storage::allocate(region.nbytes()), 0, region.shape(), region.dtype());
    } else {
      stored.emplace_back(shared, static_cast<int64_t>(offset), region.shape(), region.dtype());
      offset += bytes;
    }
    if (device) stored.back().storage()->set_device(device);
    stores.push_back(stored.back().bytes());
  }
  region.run(loads, stores);
  for (size_t i = 0; i < stored.size(); ++i) {
    const FusedSteps::Store& store = fused.stores[i];
    if (store.kept && frame) frame->keep(store.value, stored[i]);
    if (store.read) made[static_cast<size_t>(store.value.step)].push_back(std::move(stored[i]));
  }
  return true;
}

void Program::run(const Plan& plan, Inputs inputs, std::span<NDArray> results, Watch* watch,
                  Frame* frame) const {
  const Mode mode = autograd::thread_mode();
  const std::unique_ptr<Outputs[]> made(new Outputs[steps_.size()]);
  const auto at = [&](Value value) -> NDArray& {
    return made[static_cast<size_t>(value.step)][value.index];
  };
  const uint16_t device = device_of(inputs);
  SmallVector<const NDArray*, 16> pointers;
  autograd::Pause pause;
  if (frame) frame->keep_inputs(inputs);
  // A monitor sees every call, and the tape records every call.
  Ref<const Compiled> compiled;
  if (steps_.size() > 1 && !watch && !plan.has_sparse() && (frame || !mode.recording)) {
    compiled = plan.compiled(*this, frame ? frame->reverse() : Ref<const Reverse>());
  }
  const auto drop_dead = [&](const Step& step) {
    for (uint32_t i = 0; i < step.dead_count; ++i) {
      const Value value = dead_[step.first_dead + i];
      Outputs& outputs = made[static_cast<size_t>(value.step)];
      if (value.index < outputs.size()) outputs[value.index] = NDArray();
    }
  };
  for (size_t k = 0; k < steps_.size(); ++k) {
    const Step& step = steps_[k];
    const FusedSteps* fused = compiled ? compiled->at(k) : nullptr;
    if (fused && run_fused(*fused, inputs, made.get(), frame)) {
      pause.wrote(fused->region.nbytes() * fused->count);
      pause.node();
      for (size_t i = 0; i < fused->count; ++i) drop_dead(steps_[k + i]);
      k += fused->count - 1;
      continue;
    }
    pointers.resize(step.input_count);
    for (uint32_t i = 0; i < step.input_count; ++i) {
      const Value value = read(step, i);
      pointers[i] = value.step < 0 ? &inputs[value.index] : &at(value);
    }
    const Inputs given(pointers.data(), pointers.size());
    if (watch) watch->before(*step.node, given);
    try {
      if (const ControlFlow* flow = flow_at(k)) {
        flow->run(given, made[k]);
      } else if (RefCounted* custom = custom_at(k)) {
        custom_hooks().run(*custom, given, made[k]);
      } else {
        std::span<const ArraySpec> specs;
        if (plan.inferred_[k]) {
          specs = {plan.made_.data() + step.first_made, step.node->output_count()};
        }
        const bool whole = frame && frame->records(k);
        invoke_step(*step.op, given, plan.params_of(*this, k), mode, specs, whole, made[k]);
        if (given.empty() && device) {
          for (NDArray& array : made[k]) array.storage()->set_device(device);
        }
      }
    } catch (const Error& error) {
      rethrow_at(*step.node, error);
    }
    if (frame) {
      frame->keep(k, made[k]);
      made[k].resize(step.node->visible_count());
    }
    if (watch) watch->after(*step.node, made[k]);
    if (!made[k].empty()) pause.wrote(made[k][0].nbytes());
    pause.node();
    drop_dead(step);
  }
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const Value value = outputs_[i];
    results[i] = value.step < 0 ? inputs[value.index] : at(value);
  }
}

}  // namespace mxtape

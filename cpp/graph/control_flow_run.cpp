#include "graph/control_flow_run.h"

#include "core/error.h"
#include "op/common_params.h"
#include "op/functional.h"
#include "ops/shared/compose.h"

namespace mxtape {
namespace {

std::vector<NDArray> copied(Inputs inputs) {
  std::vector<NDArray> arrays;
  for (const NDArray& input : inputs) arrays.push_back(input);
  return arrays;
}

// The rows of an array, as one call.
void rows_of(const NDArray& array, Outputs& rows) {
  static const OpSchema& split = find_op("SliceChannel");
  Attributes attributes;
  attributes.set("axis", "0");
  attributes.set("num_outputs", std::to_string(array.shape()[0]));
  attributes.set("squeeze_axis", "True");
  invoke(split, Arrays{&array, 1}, params_from_attributes(split, attributes, 1), rows);
}

// The outputs of all steps, by output.
using Collected = std::vector<std::vector<NDArray>>;

// Below one another, with zeros up to `rows`.
NDArray stacked(const std::vector<NDArray>& steps, size_t rows) {
  NDArray whole = compose::stack(steps);
  if (steps.size() == rows) return whole;
  Shape rest = whole.shape();
  rest[0] = static_cast<int64_t>(rows - steps.size());
  return fn::concat(whole, full(rest, whole.dtype(), 0), ConcatParams{2, 0});
}

// Looks for signals now and then, however small the steps are.
class StepPause {
 public:
  void step() {
    if (++steps_ % 32 == 0) pause_.large();
    pause_.node();
  }

 private:
  autograd::Pause pause_;
  size_t steps_ = 0;
};

}  // namespace

ControlFlow::ControlFlow(const GraphNode& node) : node_(node), reads_(body_reads(node)) {
  for (const Graph& graph : node.subgraphs()) bodies_.push_back(make_ref<CachedOp>(graph));
}

void ControlFlow::run(Inputs inputs, Outputs& outputs) const {
  const Params& params = *node_.params();
  if (params.info().type == params_info<ForeachParams>()->type) {
    run_foreach(params.as<ForeachParams>(), inputs, outputs);
  } else if (params.info().type == params_info<WhileLoopParams>()->type) {
    run_while_loop(params.as<WhileLoopParams>(), inputs, outputs);
  } else {
    run_cond(inputs, outputs);
  }
}

void ControlFlow::call(size_t body, Arrays arrays, Outputs& results) const {
  SmallVector<const NDArray*, 16> pointers;
  for (const size_t input : reads_[body]) pointers.push_back(&arrays[input]);
  bodies_[body]->call(Inputs(pointers.data(), pointers.size()), results);
}

bool ControlFlow::is_true(size_t body, Arrays arrays) const {
  const autograd::StateScope quiet(false, autograd::is_training());
  Outputs results;
  call(body, arrays, results);
  if (results[0].shape().size() != 1) {
    fail("the condition must be one number, not an array of shape ", results[0].shape());
  }
  return *cast(results[0], DType::kFloat64).data<double>() != 0;
}

void ControlFlow::run_foreach(const ForeachParams& p, Inputs inputs, Outputs& outputs) const {
  const size_t data = p.in_data_locs.size(), states = p.in_state_locs.size();
  const auto out_data = static_cast<size_t>(p.num_out_data);
  const auto extent = [&](size_t i) { return inputs[i].ndim() ? inputs[i].shape()[0] : 0; };
  const int64_t rows = extent(0);
  if (rows == 0) fail("the data must have at least one row, it has shape ", inputs[0].shape());
  std::vector<Outputs> slices(data);
  for (size_t i = 0; i < data; ++i) {
    if (extent(i) != rows) fail("input ", i, " has ", extent(i), " rows, input 0 has ", rows);
    rows_of(inputs[i], slices[i]);
  }
  std::vector<NDArray> arrays = copied(inputs);
  Collected collected(out_data);
  StepPause pause;
  for (size_t step = 0; step < static_cast<size_t>(rows); ++step) {
    for (size_t i = 0; i < data; ++i) arrays[i] = std::move(slices[i][step]);
    Outputs made;
    call(0, arrays, made);
    for (size_t i = 0; i < out_data; ++i) collected[i].push_back(std::move(made[i]));
    for (size_t i = 0; i < states; ++i) arrays[data + i] = std::move(made[out_data + i]);
    pause.step();
  }
  for (const auto& steps : collected) outputs.push_back(stacked(steps, steps.size()));
  for (size_t i = 0; i < states; ++i) outputs.push_back(arrays[data + i]);
}

void ControlFlow::run_while_loop(const WhileLoopParams& p, Inputs inputs, Outputs& outputs) const {
  const auto out_data = static_cast<size_t>(p.num_out_data);
  const auto most = static_cast<size_t>(p.max_iterations);
  const std::vector<size_t> variables = loop_variables(p);
  std::vector<NDArray> arrays = copied(inputs);
  Collected collected(out_data);
  StepPause pause;
  size_t steps = 0;
  for (; steps < most && is_true(0, arrays); ++steps) {
    Outputs made;
    call(1, arrays, made);
    for (size_t i = 0; i < out_data; ++i) collected[i].push_back(std::move(made[i]));
    for (size_t i = 0; i < variables.size(); ++i) {
      arrays[variables[i]] = std::move(made[out_data + i]);
    }
    pause.step();
  }
  if (!steps) return run_no_step(p, inputs, outputs);
  for (const auto& of_output : collected) outputs.push_back(stacked(of_output, most));
  for (const size_t input : variables) outputs.push_back(std::move(arrays[input]));
}

// Nobody has computed an output: inference says what it would have been.
void ControlFlow::run_no_step(const WhileLoopParams& p, Inputs inputs, Outputs& outputs) const {
  std::vector<ArraySpec> specs(node_.output_count()), known;
  for (const NDArray& input : inputs) known.push_back({input.shape(), input.dtype()});
  infer_control_flow(node_, autograd::thread_mode(), known, specs);
  for (size_t i = 0; i < static_cast<size_t>(p.num_out_data); ++i) {
    if (!specs[i].known()) fail("without a step, the shape of output ", i, " is not known");
    outputs.push_back(full(specs[i].shape, specs[i].dtype, 0));
  }
  static const OpSchema& copy = find_op("_copy");
  for (const size_t input : loop_variables(p)) outputs.push_back(invoke(copy, {inputs[input]}));
}

void ControlFlow::run_cond(Inputs inputs, Outputs& outputs) const {
  const std::vector<NDArray> arrays = copied(inputs);
  call(is_true(0, arrays) ? 1 : 2, arrays, outputs);
}

}  // namespace mxtape

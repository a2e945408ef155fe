#include "graph/custom.h"

#include "core/error.h"

namespace mxtape {
namespace {

CustomHooks installed;

const OpSchema* make_schema() {
  auto* op = new OpSchema;
  op->name = "Custom";
  op->inputs = {{"data"}};
  op->variadic = true;
  op->params = params_info<CustomParams>();
  op->output_count = [](const Params* p) { return p->as<CustomParams>().outputs.size(); };
  // States are the last inputs.
  op->mutates = [](size_t i, size_t count, const Params* p, Mode) {
    return i + p->as<CustomParams>().states.size() >= count;
  };
  op->infer = [](InferCall& call) { call.fail("runs only as a node of a graph"); };
  op->no_grad_reason = "what it records has the gradient";
  return op;
}

}  // namespace

void set_custom_hooks(const CustomHooks& hooks) { installed = hooks; }
const CustomHooks& custom_hooks() { return installed; }

const OpSchema& custom_op() {
  static const OpSchema* op = make_schema();
  return *op;
}

ParamsRef custom_params(const Attributes& attributes) {
  if (!installed.describe) fail("Custom: operators of the program's own are not supported here");
  return make_params(installed.describe(attributes));
}

void check_custom_inputs(const Params& params, size_t count) {
  const auto& p = params.as<CustomParams>();
  if (count == p.arguments.size() + p.states.size()) return;
  fail("Custom: ", count, " inputs are given, the operator has ", p.arguments.size(),
       " arguments and ", p.states.size(), " states");
}

}  // namespace mxtape

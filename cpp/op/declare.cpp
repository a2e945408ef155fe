#include "op/declare.h"

#include <cmath>

namespace mxtape {

void infer_pointwise(InferCall& call) {
  call.expect_same_dtype();
  call.require_same_shape(call.input_count());
  call.output(0, call.partial_shape(0), call.dtype(0));
}

void infer_pointwise_broadcast(InferCall& call) {
  call.expect_same_dtype();
  Shape shape = call.shape(0);
  for (size_t i = 1; i < call.input_count(); ++i) {
    shape = broadcast_shape(shape, call.shape(i), call.name());
  }
  call.output(0, std::move(shape), call.dtype(0));
}

void infer_unary(InferCall& call) {
  call.expect(call.dtype(0) != DType::kBool, "boolean arrays have no arithmetic; use astype()");
  infer_same_shape(call);
}

void infer_same_shape(InferCall& call) {
  call.require_same_shape(1);
  call.output(0, call.partial_shape(0), call.dtype(0));
}

void infer_same_floating(InferCall& call) {
  call.expect_floating();
  infer_same_shape(call);
}

size_t array_operands(const OpSchema&, Inputs inputs, const Params*, DType, TileOperand* operands) {
  for (size_t i = 0; i < inputs.size(); ++i) operands[i].array = &inputs[i];
  return inputs.size();
}

size_t scalar_operands(const OpSchema& op, Inputs inputs, const Params* params, DType dtype,
                       TileOperand* operands) {
  double scalar = params->as<ScalarParams>().scalar;
  // An integer array takes the integer part of the number, as in MXNet.
  if (!is_floating(dtype)) scalar = std::trunc(scalar);
  operands[op.reversed_scalar ? 1 : 0].array = &inputs[0];
  operands[op.reversed_scalar ? 0 : 1].scalar = scalar;
  return 2;
}

void run_pointwise(const KernelCall& call) {
  TileOperand operands[4];
  const OpSchema& op = call.op();
  const Params* params = call.raw_params();
  // A boolean array and a number are computed in the type of the result.
  const bool scalar = op.tile_operands == scalar_operands;
  const DType dtype = scalar ? call.out().dtype() : call.in(call.input_count() - 1).dtype();
  const size_t count = op.tile_operands(op, call.inputs(), params, call.out().dtype(), operands);
  run_tiles(op.tile, op.tile.compute_dtype(dtype), {operands, count}, call.out(),
            params ? params->data() : nullptr);
}

void zero_gradient(Vjp& v) {
  for (size_t i = 0; i < v.input_count(); ++i) {
    if (v.needs(i)) v.grad(i, full(v.input_shape(i), v.input_dtype(i), 0));
  }
}

namespace {

// `others`: what is kept of those before i that nothing was said of.
void set_keep(std::vector<Keep>& kept, size_t i, Keep keep, Keep others) {
  if (kept.size() <= i) kept.resize(i + 1, others);
  kept[i] = keep;
}

}  // namespace

OpDeclaration::OpDeclaration(std::string_view name) : op_(&Registry::get().add(name)) {}

OpDeclaration& OpDeclaration::set_inputs(std::initializer_list<const char*> names) {
  op_->inputs.clear();
  for (const char* name : names) op_->inputs.push_back(InputSpec{name, false});
  return *this;
}

OpDeclaration& OpDeclaration::optional_inputs(size_t always, InputsFn used) {
  for (size_t i = always; i < op_->inputs.size(); ++i) op_->inputs[i].optional = true;
  op_->used_inputs = used;
  return *this;
}

OpDeclaration& OpDeclaration::variadic(const char* name, const char* count_param) {
  op_->variadic = true;
  op_->count_param = count_param;
  return set_inputs({name});
}

OpDeclaration& OpDeclaration::add_aliases(std::initializer_list<const char*> names) {
  op_->aliases.insert(op_->aliases.end(), names.begin(), names.end());
  return *this;
}

OpDeclaration& OpDeclaration::set_no_grad_inputs(std::initializer_list<uint8_t> inputs) {
  op_->no_grad_inputs = inputs;
  return *this;
}

OpDeclaration& OpDeclaration::set_auxiliary(std::initializer_list<uint8_t> inputs) {
  op_->auxiliary = inputs;
  return set_no_grad_inputs(inputs);
}

OpDeclaration& OpDeclaration::keep_input(size_t i, Keep keep) {
  set_keep(op_->keep_inputs, i, keep, Keep::kNothing);
  return *this;
}

OpDeclaration& OpDeclaration::keep_inputs(std::initializer_list<Keep> keep) {
  op_->keep_inputs = keep;
  return *this;
}

OpDeclaration& OpDeclaration::keep_output(size_t i, Keep keep) {
  set_keep(op_->keep_outputs, i, keep, Keep::kShape);
  return *this;
}

OpDeclaration& OpDeclaration::sample(double low, double high) {
  op_->samples.push_back({low, high});
  return *this;
}

}  // namespace mxtape

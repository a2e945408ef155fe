#include "op/declare.h"

#include <cmath>

namespace mxtape {

void infer_pointwise(InferCall& call) {
  call.expect_same_dtype();
  for (size_t i = 1; i < call.input_count(); ++i) {
    call.expect(call.shape(i) == call.shape(0), "inputs must have one shape");
  }
  call.output(0, call.shape(0), call.dtype(0));
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

void infer_same_shape(InferCall& call) { call.output(0, call.shape(0), call.dtype(0)); }

void infer_same_floating(InferCall& call) {
  call.expect_floating();
  infer_same_shape(call);
}

void run_pointwise(const KernelCall& call) {
  TileOperand operands[4];
  for (size_t i = 0; i < call.input_count(); ++i) operands[i].array = &call.in(i);
  const TileFunction& tile = call.op().tile;
  const Params* params = call.raw_params();
  run_tiles(tile, tile.compute_dtype(call.in(call.input_count() - 1).dtype()),
            {operands, call.input_count()}, call.out(), params ? params->data() : nullptr);
}

void run_pointwise_scalar(const KernelCall& call) {
  const TileFunction& tile = call.op().tile;
  double scalar = call.params<ScalarParams>().scalar;
  // An integer array takes the integer part of the number, as in MXNet.
  if (!is_floating(call.out().dtype())) scalar = std::trunc(scalar);
  TileOperand operands[2];
  const bool reversed = call.op().reversed_scalar;
  operands[reversed ? 1 : 0].array = &call.in(0);
  operands[reversed ? 0 : 1].scalar = scalar;
  run_tiles(tile, tile.compute_dtype(call.out().dtype()), operands, call.out(), nullptr);
}

void zero_gradient(Vjp& v) {
  for (size_t i = 0; i < v.input_count(); ++i) {
    if (v.needs(i)) v.grad(i, full(v.input_shape(i), v.input_dtype(i), 0));
  }
}

}  // namespace mxtape

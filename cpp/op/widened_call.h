#pragma once

#include "op/schema.h"

// Operators over storage-only dtypes: kernels that do not read any (OpSchema::any_dtype), and
// checks of values, are given such arrays in float32.
namespace mxtape {

template <class Arrays>
bool any_storage_only(const Arrays& arrays) {
  for (const NDArray& array : arrays) {
    if (is_storage_only(array.dtype())) return true;
  }
  return false;
}

void run_widened(const KernelCall& call);
void check_widened(const OpSchema& op, InferCall& call, Inputs inputs);

// Runs the operator's kernel; what a widened one writes is rounded back.
inline void run_kernel(const KernelCall& call) {
  const OpSchema& op = call.op();
  if (!op.any_dtype && (any_storage_only(call.inputs()) || any_storage_only(call.outputs()))) {
    return run_widened(call);
  }
  op.kernel(call);
}

// Runs the operator's check of values, if it has one.
inline void run_check(const OpSchema& op, InferCall& call, Inputs inputs) {
  if (!op.check) return;
  if (any_storage_only(inputs)) return check_widened(op, call, inputs);
  op.check(CheckCall(call, inputs));
}

}  // namespace mxtape

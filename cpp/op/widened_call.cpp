#include "op/widened_call.h"

#include "runtime/widen.h"

namespace mxtape {
namespace {

// Inputs with those of storage-only dtypes as float32 copies; sparse ones as they are.
class WidenedInputs {
 public:
  explicit WidenedInputs(Inputs inputs) {
    for (const NDArray& input : inputs) {
      const bool widens = is_storage_only(input.dtype()) && !is_sparse(input);
      arrays_.push_back(widens ? widened(input) : input);
    }
    for (const NDArray& array : arrays_) pointers_.push_back(&array);
  }
  Inputs get() const { return Inputs(pointers_.data(), pointers_.size()); }

 private:
  SmallVector<NDArray, 8> arrays_;
  SmallVector<const NDArray*, 8> pointers_;
};

void round_into(const NDArray& from, const NDArray& to) {
  if (from.dtype() == to.dtype()) return;
  convert_in_parallel(from.dtype(), from.bytes(), to.dtype(), to.bytes(), to.size());
}

}  // namespace

void run_widened(const KernelCall& call) {
  const OpSchema& op = call.op();
  const WidenedInputs inputs(call.inputs());
  SmallVector<NDArray, 2> outputs;
  for (const NDArray& output : call.outputs()) {
    outputs.push_back(is_storage_only(output.dtype())
                          ? NDArray::empty(output.shape(), traits_of(output.dtype()).compute)
                          : output);
  }
  op.kernel(call.over(inputs.get(), outputs));
  // The outputs last: one may be an input that the operator writes nowhere else.
  const size_t count = call.input_count();
  for (size_t i = 0; op.mutates && i < count; ++i) {
    if (op.mutates(i, count, call.raw_params(), call.mode()))
      round_into(inputs.get()[i], call.in(i));
  }
  for (size_t i = 0; i < outputs.size(); ++i) round_into(outputs[i], call.out(i));
}

void check_widened(const OpSchema& op, InferCall& call, Inputs inputs) {
  const WidenedInputs wide(inputs);
  op.check(CheckCall(call, wide.get()));
}

}  // namespace mxtape

#include "op/batch.h"
#include "op/call.h"

// How operators over sequences run over a batch: it joins the axis of the sequences.
namespace mxtape {
namespace {

using batch::field;
using batch::inside_axis;

// The axis of the sequences in each input, and in each output.
using Axes = std::initializer_list<int>;
void joined(BatchCall& call, Axes axes, Axes out_axes) {
  SmallVector<NDArray, 4> inputs;
  SmallVector<const NDArray*, 8> pointers;
  for (size_t i = 0; i < call.input_count(); ++i) {
    inputs.push_back(inside_axis(call.repeated(i), axes.begin()[i]));
  }
  for (const NDArray& input : inputs) pointers.push_back(&input);
  Outputs outputs;
  invoke_step(call.op(), Inputs(pointers.data(), pointers.size()), call.params(),
              autograd::thread_mode(), {}, true, outputs);
  for (size_t i = 0; i < outputs.size(); ++i) {
    call.result(i, batch::out_of_axis(outputs[i], out_axes.begin()[i], call.batch()));
  }
}

int sequence_axis(const BatchCall& call) {
  return 1 - static_cast<int>(*field<int64_t>(const_cast<Params&>(*call.params()), "axis"));
}

// Steps in, steps out.
void all_steps(BatchCall& call) {
  const int axis = sequence_axis(call);
  joined(call, {axis, 0}, {axis});
}

const BatchRules rules{
    {"SequenceMask", all_steps},
    {"SequenceReverse", all_steps},
    {"SequenceLast", [](BatchCall& call) { joined(call, {sequence_axis(call), 0}, {0}); }},
    {"_backward_SequenceLast",
     [](BatchCall& call) { joined(call, {0, 0}, {sequence_axis(call)}); }},
    {"CTCLoss", [](BatchCall& call) { joined(call, {1, 0, 0, 0}, {0, 1}); }},
    {"_attention_part", [](BatchCall& call) { joined(call, {1}, {0}); }},
    {"_attention_join", [](BatchCall& call) { joined(call, {0, 0}, {1}); }},
    {"_contrib_interleaved_matmul_selfatt_qk", [](BatchCall& call) { joined(call, {1}, {0}); }},
    {"_contrib_interleaved_matmul_selfatt_valatt",
     [](BatchCall& call) { joined(call, {1, 0}, {1}); }},
    {"_contrib_interleaved_matmul_encdec_qk", [](BatchCall& call) { joined(call, {1, 1}, {0}); }},
    {"_contrib_interleaved_matmul_encdec_valatt",
     [](BatchCall& call) { joined(call, {1, 0}, {1}); }},
};

}  // namespace
}  // namespace mxtape

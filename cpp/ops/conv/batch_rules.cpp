#include "op/batch.h"

// How convolutions run over a batch. Where the weights are the same in all examples, their images
// are one batch; else each example has groups of channels of its own.
namespace mxtape {
namespace {

using batch::field;
using batch::merged;

NDArray call_op(const BatchCall& call, std::initializer_list<NDArray> inputs, Ref<Params> params) {
  params->given = ~uint32_t{0};
  return invoke(call.op(), inputs, std::move(params));
}

// Convolution and Deconvolution. A bias is added afterwards.
void layer(BatchCall& call) {
  Ref<Params> params = call.copied_params();
  *field<bool>(*params, "no_bias") = true;
  NDArray out;
  if (!call.mapped(1)) {
    const NDArray data = call.mapped(0) ? merged(call.input(0)) : call.input(0);
    out = call_op(call, {data, call.input(1)}, std::move(params));
    const int64_t batch = call.mapped(0) ? call.batch() : 1;
    out = batch::parted(out, batch);
  } else {
    *field<int64_t>(*params, "num_filter") *= call.batch();
    *field<int64_t>(*params, "num_group") *= call.batch();
    out = call_op(call, {batch::inside_axis(call.repeated(0), 1), merged(call.input(1))},
                  std::move(params));
    out = batch::out_of_axis(out, 1, call.batch());
  }
  if (call.input_count() > 2) {
    Shape shape(out.ndim(), 1);
    if (call.mapped(2)) shape[0] = call.batch();
    shape[2] = call.shape(2).size();
    out = out + reshape(call.input(2), shape);
  }
  if (out.shape()[0] != call.batch()) out = broadcast_to(out, call.batched_output());
  call.result(0, out);
}

// The gradient of the data, of (head, weight).
void data_gradient(BatchCall& call) {
  Ref<Params> params = call.copied_params();
  Ints& shape = *field<Ints>(*params, "shape");
  if (!call.mapped(1)) {
    shape[0] *= call.batch();
    return call.result(0, call_op(call, {merged(call.input(0)), call.input(1)}, std::move(params)));
  }
  shape[1] *= call.batch();
  *field<int64_t>(*params, "num_group") *= call.batch();
  const NDArray out = call_op(
      call, {batch::inside_axis(call.repeated(0), 1), merged(call.input(1))}, std::move(params));
  call.result(0, batch::out_of_axis(out, 1, call.batch()));
}

// That of the weight, of (head, data): one for each example.
void weight_gradient(BatchCall& call) {
  Ref<Params> params = call.copied_params();
  (*field<Ints>(*params, "shape"))[0] *= call.batch();
  *field<int64_t>(*params, "num_group") *= call.batch();
  call.result(
      0, call_op(call,
                 {batch::inside_axis(call.repeated(0), 1), batch::inside_axis(call.repeated(1), 1)},
                 std::move(params)));
}

const BatchRules rules{
    {"Convolution", layer},
    {"Convolution_v1", layer},
    {"Deconvolution", layer},
    {"_backward_Convolution_data", data_gradient},
    {"_backward_Convolution_weight", weight_gradient},
    {"im2col", batch::merge_leading},
    {"col2im", batch::merge_leading},
};

}  // namespace
}  // namespace mxtape

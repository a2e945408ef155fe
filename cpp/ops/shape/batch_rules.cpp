#include "op/batch.h"
#include "op/common_params.h"
#include "op/sparse.h"

// How operators that move elements run over a batch.
namespace mxtape {
namespace {

using batch::field;
using batch::shifted;

// Where only the shape changes.
void reshaped(BatchCall& call) {
  if (!call.mapped(0)) return call.constant(0, reshape(call.input(0), call.output().shape));
  call.result(0, call.input(0));
}

void broadcast(BatchCall& call) {
  const Shape& to = call.output().shape;
  if (!call.mapped(0)) return call.constant(0, broadcast_to(call.input(0), to));
  call.result(0, broadcast_to(call.aligned(0, to.ndim()), call.batched_output()));
}

void slice_like(BatchCall& call) {
  const Shape& shape = call.output().shape;
  SliceParams p;
  if (call.mapped(0)) p.begin.push_back(std::nullopt), p.end.push_back(std::nullopt);
  for (int64_t extent : shape) p.begin.push_back(0), p.end.push_back(extent);
  NDArray part = fn::slice(call.input(0), std::move(p));
  if (!call.mapped(0)) return call.constant(0, std::move(part));
  call.result(0, std::move(part));
}

void transpose(BatchCall& call) {
  Ref<Params> params = call.copied_params();
  params->given = ~uint32_t{0};
  Ints& axes = *field<Ints>(*params, "axes");
  const int ndim = call.ndim(0);
  if (axes.empty()) {
    for (int d = ndim; d-- > 0;) axes.push_back(d);
  }
  for (int64_t& axis : axes) axis = batch::physical_axis(axis, ndim);
  axes.insert(axes.begin(), 0);
  call.apply({call.input(0)}, std::move(params));
}

// The slice begins with all of the batch; `shape`, where there is one, with its extent.
void sliced(BatchCall& call) {
  Ref<Params> params = call.copied_params();
  params->given = ~uint32_t{0};
  for (const char* name : {"begin", "end", "step"}) {
    auto& entries = *field<SliceInts>(*params, name);
    if (name[0] != 's' || !entries.empty()) entries.insert(entries.begin(), std::nullopt);
  }
  if (Ints* shape = field<Ints>(*params, "shape")) shape->insert(shape->begin(), call.batch());
  SmallVector<NDArray, 4> inputs;
  for (size_t i = 0; i < call.input_count(); ++i) inputs.push_back(call.repeated(i));
  call.apply(inputs, std::move(params));
}

void tile(BatchCall& call) {
  Ref<Params> params = call.copied_params();
  Ints& reps = *field<Ints>(*params, "reps");
  const int ndim = std::max(call.ndim(0), static_cast<int>(reps.size()));
  reps.insert(reps.begin(), static_cast<size_t>(ndim) + 1 - reps.size(), 1);
  call.apply({call.aligned(0, ndim)}, std::move(params));
}

// A vector becomes the diagonal of a matrix, anything else gives its diagonal.
void diag(BatchCall& call) {
  if (call.ndim(0) != 1) return batch::shift_axis(call);
  static const OpSchema& op = find_op("_linalg_makediag");
  Ref<Params> params = op.params->make();
  params->given = ~uint32_t{0};
  *field<int64_t>(*params, "offset") = *field<int64_t>(const_cast<Params&>(*call.params()), "k");
  call.result(0, invoke(op, {call.input(0)}, std::move(params)));
}

void diag_gradient(BatchCall& call) {
  Ref<Params> params = call.copied_params();
  Ints& shape = *field<Ints>(*params, "shape");
  if (shape.size() == 1) call.refuse("of a vector made a matrix it has no rule");
  shape.insert(shape.begin(), call.batch());
  for (const char* name : {"axis1", "axis2"}) {
    int64_t& axis = *field<int64_t>(*params, name);
    axis = shifted(axis);
  }
  call.apply({call.input(0)}, std::move(params));
}

// Images in a batch of their own: `shape`, where there is one, counts those of all examples.
void images(BatchCall& call) {
  Ref<Params> params = call.copied_params();
  if (Ints* shape = field<Ints>(*params, "shape")) (*shape)[0] *= call.batch();
  call.apply({batch::merged(call.input(0))}, std::move(params));
}

void like_first(BatchCall& call) {
  if (!call.mapped(0)) return batch::shape_only(call);
  call.apply({call.input(0)}, call.params());
}

const BatchRules rules{
    {"Reshape", reshaped},
    {"Flatten", reshaped},
    {"expand_dims", reshaped},
    {"squeeze", reshaped},
    {"reshape_like", reshaped},
    {"broadcast_to", broadcast},
    {"broadcast_axis", broadcast},
    {"broadcast_like", broadcast},
    {"slice_like", slice_like},
    {"transpose", transpose},
    {"SwapAxis", batch::shift_axis},
    {"slice", sliced},
    {"_backward_slice", sliced},
    {"_slice_assign", sliced},
    {"_slice_assign_scalar", sliced},
    {"slice_axis", batch::shift_axis},
    {"Concat", batch::shift_axis},
    {"_rnn_param_concat", batch::shift_axis},
    {"stack", batch::shift_axis},
    {"SliceChannel", batch::shift_axis},
    {"_split_v2", batch::shift_axis},
    {"tile", tile},
    {"repeat", batch::shift_axis_or_flatten},
    {"reverse", batch::shift_axis},
    {"diag", diag},
    {"_backward_diag", diag_gradient},
    {"Pad", images},
    {"_backward_Pad", images},
    {"depth_to_space", batch::merge_leading},
    {"space_to_depth", batch::merge_leading},
    {"zeros_like", like_first},
    {"ones_like", like_first},
    {"shape_array", batch::shape_only},
    {"size_array", batch::shape_only},
    {"_contrib_arange_like", batch::shape_only},
    {"_contrib_index_array", batch::shape_only},
    {"BlockGrad", batch::in_front},
    {"Cast", batch::in_front},
    {"amp_cast", batch::in_front},
    {"amp_multicast", batch::in_front},
    {"make_loss", batch::in_front},
    {"cast_storage",
     [](BatchCall& call) {
       if (call.params<CastStorageParams>().stype != CastStorageParams::Type::kDefault) {
         call.refuse("there are no batches of sparse arrays");
       }
       batch::in_front(call);
     }},
    {"_contrib_gradientmultiplier", batch::in_front},
    {"_contrib_round_ste", batch::in_front},
    {"_contrib_sign_ste", batch::in_front},
    {"_copy", batch::in_front},
    {"_identity_with_attr_like_rhs",
     [](BatchCall& call) {
       if (!call.mapped(0)) return call.constant(0, call.input(0));
       call.result(0, call.input(0));
     }},
};

}  // namespace
}  // namespace mxtape

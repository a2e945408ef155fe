#include "op/batch.h"
#include "op/call.h"
#include "op/common_params.h"

// How layers run over a batch. Most see their leading axis as a batch already.
namespace mxtape {
namespace {

using batch::field;
using batch::merged;

void fully_connected(BatchCall& call) {
  const Params& p = *call.params();
  const bool flatten = *field<bool>(const_cast<Params&>(p), "flatten");
  const Shape& data = call.shape(0);
  const int split = flatten ? 1 : data.ndim() - 1;
  const int64_t rows = data.product(0, split), features = data.product(split, data.ndim());
  const int64_t batch = call.batch(),
                hidden = *field<int64_t>(const_cast<Params&>(p), "num_hidden");
  const bool bias = call.input_count() > 2, mapped_bias = bias && call.mapped(2);
  NDArray product;
  if (!call.mapped(1)) {
    const NDArray x = call.mapped(0) ? reshape(call.input(0), Shape{batch * rows, features})
                                     : reshape(call.input(0), Shape{rows, features});
    product = fn::dot(x, call.input(1), DotParams{false, true});
    if (!call.mapped(0)) product = reshape(product, Shape{1, rows, hidden});
  } else if (call.mapped(0)) {
    product = fn::batch_dot(reshape(call.input(0), Shape{batch, rows, features}), call.input(1),
                            DotParams{false, true});
  } else {
    const NDArray x = reshape(call.input(0), Shape{rows, features});
    const NDArray weights = reshape(call.input(1), Shape{batch * hidden, features});
    product = batch::transposed(
        reshape(fn::dot(weights, x, DotParams{false, true}), Shape{batch, hidden, rows}),
        {0, 2, 1});
  }
  const int64_t leading = product.size() / (rows * hidden);
  product = reshape(product, Shape{leading, rows, hidden});
  if (bias) {
    product = product +
              reshape(call.input(2), mapped_bias ? Shape{batch, 1, hidden} : Shape{1, 1, hidden});
  }
  call.result(0, product);
}

// The slope of each channel is the same in all examples, and its axis the second of the data.
void leaky_relu(BatchCall& call) {
  if (call.input_count() == 1) return batch::in_front(call);
  if (call.mapped(1)) call.refuse("a slope that differs from example to example is not supported");
  if (call.ndim(0) < 2) call.refuse("with a slope for each channel it expects two axes or more");
  call.apply({merged(call.input(0)), call.input(1)}, call.params());
}

// The data with other arrays that are the same in all examples.
void layer_norm(BatchCall& call) {
  const int64_t axis = *field<int64_t>(const_cast<Params&>(*call.params()), "axis");
  const int ndim = call.ndim(0), at = batch::physical_axis(axis, ndim);
  Ref<Params> params = call.copied_params();
  *field<int64_t>(*params, "axis") = at;
  params->given = ~uint32_t{0};
  const NDArray data = call.repeated(0);
  if (!call.mapped(1) && !call.mapped(2)) {
    return call.apply({data, call.input(1), call.input(2)}, std::move(params));
  }
  const Shape& size = call.shape(1);
  const DType dtype = call.input(1).dtype();
  call.apply({data, full(size, dtype, 1), full(size, dtype, 0)}, std::move(params));
  const auto spread = [&](size_t i) {
    Shape shape(ndim + 1, 1);
    if (call.mapped(i)) shape[0] = call.batch();
    shape[at] = size[0];
    return reshape(call.input(i), shape);
  };
  call.result(0, call.made(0) * spread(1) + spread(2));
}

// The sums over all but `axis` are those of each example.
void layer_norm_gradient(BatchCall& call) {
  const int64_t axis = *field<int64_t>(const_cast<Params&>(*call.params()), "axis");
  const int ndim = call.ndim(0), at = batch::physical_axis(axis, ndim);
  const NDArray head = call.repeated(0), data = call.repeated(1);
  const DType dtype = data.dtype();
  const NDArray ones = full(call.shape(2), dtype, 1), zeros = full(call.shape(2), dtype, 0);
  Shape spread(ndim + 1, 1);
  if (call.mapped(2)) spread[0] = call.batch();
  spread[at] = call.shape(2).size();
  Ref<Params> params = call.copied_params();
  *field<int64_t>(*params, "axis") = at;
  params->given = ~uint32_t{0};
  const ParamsRef same = std::move(params);
  call.apply({head * reshape(call.input(2), spread), data, ones}, same);
  static const OpSchema& forward = find_op("LayerNorm");
  Ints axes;
  for (int d = 1; d <= ndim; ++d) {
    if (d != at) axes.push_back(d);
  }
  const auto over_others = [&](const NDArray& x) { return axes.empty() ? x : sum(x, axes, false); };
  call.result(1, over_others(head * invoke(forward, {data, ones, zeros}, same)));
  call.result(2, over_others(head));
}

// The channels, or groups of them, of all examples side by side: those of one do not meet others.
void channels(BatchCall& call) {
  Ref<Params> params = call.copied_params();
  params->given = ~uint32_t{0};
  const bool gradient = call.op().name.starts_with("_backward_");
  const size_t images = gradient ? 2 : 1;  // how many of the inputs are
  const Shape& data = call.shape(images - 1);
  int axis = 1;
  if (auto* given = field<int64_t>(*params, "axis")) {
    *given = axis = normalize_axis(*given, data.ndim(), call.op().name);
  }
  if (auto* groups = field<int64_t>(*params, "num_groups")) *groups *= call.batch();
  SmallVector<NDArray, 8> inputs;
  SmallVector<const NDArray*, 8> pointers;
  for (size_t i = 0; i < call.input_count(); ++i) {
    const NDArray x = call.repeated(i);
    inputs.push_back(i < images ? batch::inside_axis(x, axis) : merged(x));
  }
  for (const NDArray& input : inputs) pointers.push_back(&input);
  Outputs outputs;
  invoke_step(call.op(), Inputs(pointers.data(), pointers.size()), std::move(params),
              autograd::thread_mode(), {}, true, outputs);
  for (size_t i = 0; i < outputs.size(); ++i) {
    const int ndim = call.output(i).shape.ndim();
    // Means of groups have the images in front, those of channels nothing.
    const int at = ndim == data.ndim() ? axis : ndim - 1;
    call.result(i, batch::out_of_axis(outputs[i], at, call.batch()));
  }
}

void dropout(BatchCall& call) {
  Ref<Params> params = call.copied_params();
  for (int64_t& axis : *field<Ints>(*params, "axes")) axis = batch::shifted(axis);
  call.apply({call.input(0)}, std::move(params));
}

// Windows over images: `data_shape` and `out_shape`, where there are such, count all of them.
void pooling(BatchCall& call) {
  Ref<Params> params = call.copied_params();
  for (const char* name : {"data_shape", "out_shape"}) {
    if (Ints* shape = field<Ints>(*params, name)) (*shape)[0] *= call.batch();
  }
  SmallVector<NDArray, 4> inputs;
  for (size_t i = 0; i < call.input_count(); ++i) inputs.push_back(merged(call.repeated(i)));
  call.apply(inputs, std::move(params));
}

const BatchRules rules{
    {"Dropout", dropout},
    {"Pooling", pooling},
    {"Pooling_v1", pooling},
    {"_pool_sum", pooling},
    {"_backward_pool_sum", pooling},
    {"_backward_pool_max", pooling},
    {"_pool_max_gather", pooling},
    {"_contrib_AdaptiveAvgPooling2D", pooling},
    {"BatchNorm", channels},
    {"_backward_BatchNorm", channels},
    {"InstanceNorm", channels},
    {"GroupNorm", channels},
    {"_backward_GroupNorm", channels},
    {"FullyConnected", fully_connected},
    {"Activation", batch::in_front},
    {"LeakyReLU", leaky_relu},
    {"_backward_LeakyReLU", batch::in_front},
    {"softmax", batch::shift_axis},
    {"log_softmax", batch::shift_axis},
    {"softmin", batch::shift_axis},
    {"_backward_softmax", batch::shift_axis},
    {"_backward_log_softmax", batch::shift_axis},
    {"SoftmaxActivation", batch::merge_leading},
    {"LayerNorm", layer_norm},
    {"_backward_LayerNorm", layer_norm_gradient},
    {"L2Normalization", batch::merge_leading},
    {"_backward_L2Normalization", batch::merge_leading},
    {"LRN", batch::merge_leading},
    {"_channel_window_sum", batch::merge_leading},
    {"LinearRegressionOutput", batch::in_front},
    {"LogisticRegressionOutput", batch::in_front},
    {"MAERegressionOutput", batch::in_front},
};

}  // namespace
}  // namespace mxtape

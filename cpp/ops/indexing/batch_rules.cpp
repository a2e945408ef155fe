#include "op/batch.h"
#include "op/common_params.h"
#include "ops/indexing/gather_along.h"
#include "ops/indexing/take.h"
#include "ops/shared/index.h"

// How lookups run over a batch. Where both the table and the indices differ from example to
// example, the tables lie one after the other and the indices count on.
namespace mxtape {
namespace {

using batch::field;
using batch::moved_axis;

template <class T>
const T& given(const BatchCall& call, const char* name) {
  return *field<T>(const_cast<Params&>(*call.params()), name);
}

NDArray call_op(const OpSchema& op, std::initializer_list<NDArray> inputs, Ref<Params> params) {
  params->given = ~uint32_t{0};
  return invoke(op, inputs, std::move(params));
}

// Indices into tables of n rows, one for each example: in the order of the tables they count on.
NDArray counting_on(const BatchCall& call, const NDArray& index, int64_t n, IndexMode mode) {
  NDArray at = cast(index, DType::kInt64);
  if (mode == IndexMode::kRaise) {
    call.refuse(
        "mode='raise' with a table for each example is not supported; use 'clip' or 'wrap'");
  }
  if (mode == IndexMode::kClip) {
    at = fn::minimum(fn::maximum(at, 0.0), static_cast<double>(n - 1));
  } else {
    at = fn::modulo(at, static_cast<double>(n));
  }
  return at + batch::counted(call.batch(), index.ndim(), 0) * static_cast<double>(n);
}

// The tables of all examples as one: axis `axis` of an example's first.
NDArray rows_of_all(const NDArray& tables, int axis) {
  return batch::merged(moved_axis(tables, axis + 1, 1));
}

// `x` of [batch, *index, ...rest of the table] with the axes of the index at `axis`.
NDArray index_axes_to(NDArray x, int index_axes, int axis) {
  for (int i = 0; i < index_axes; ++i) x = moved_axis(x, 1, index_axes + axis);
  return x;
}
NDArray index_axes_first(NDArray x, int index_axes, int axis) {
  for (int i = 0; i < index_axes; ++i) x = moved_axis(x, axis + index_axes, 1);
  return x;
}

IndexMode mode_of(const BatchCall& call) {
  return static_cast<IndexMode>(given<int32_t>(call, "mode"));
}

void take(BatchCall& call) {
  const int ndim = call.ndim(0);
  const int axis = normalize_axis(given<int64_t>(call, "axis"), ndim, "take");
  Ref<Params> params = call.copied_params();
  if (!call.mapped(1)) {
    *field<int64_t>(*params, "axis") = axis + 1;
    return call.apply({call.input(0), call.input(1)}, std::move(params));
  }
  if (!call.mapped(0)) {
    *field<int64_t>(*params, "axis") = axis;
    const NDArray taken = call_op(call.op(), {call.input(0), call.input(1)}, std::move(params));
    return call.result(0, moved_axis(taken, axis, 0));
  }
  const NDArray index = counting_on(call, call.input(1), call.shape(0)[axis], mode_of(call));
  *field<int64_t>(*params, "axis") = 0;
  const NDArray taken =
      call_op(call.op(), {rows_of_all(call.input(0), axis), index}, std::move(params));
  call.result(0, index_axes_to(taken, call.ndim(1), axis));
}

// A dense one also of those that are row_sparse.
void take_gradient(BatchCall& call) {
  const OpSchema& op = fn::take_grad.schema();
  Ref<Params> params = call.copied_params();
  Ints& shape = *field<Ints>(*params, "shape");
  const int axis =
      normalize_axis(given<int64_t>(call, "axis"), static_cast<int>(shape.size()), "take");
  const int64_t n = shape[static_cast<size_t>(axis)];
  const NDArray head = call.repeated(0);
  if (!call.mapped(1)) {
    shape.insert(shape.begin(), call.batch());
    *field<int64_t>(*params, "axis") = axis + 1;
    return call.result(0, call_op(op, {head, call.input(1)}, std::move(params)));
  }
  const NDArray index = counting_on(call, call.input(1), n, mode_of(call));
  shape.erase(shape.begin() + axis);
  shape.insert(shape.begin(), n * call.batch());
  *field<int64_t>(*params, "axis") = 0;
  const NDArray rows =
      call_op(op, {index_axes_first(head, call.ndim(1), axis), index}, std::move(params));
  call.result(0, moved_axis(batch::parted(rows, call.batch()), 1, axis + 1));
}

void embedding(BatchCall& call) {
  if (!call.mapped(1)) return call.apply({call.input(0), call.input(1)}, call.params());
  const NDArray index = counting_on(call, call.repeated(0), call.shape(1)[0], IndexMode::kClip);
  Ref<Params> params = call.copied_params();
  *field<int64_t>(*params, "input_dim") *= call.batch();
  call.result(0, call_op(call.op(), {index, batch::merged(call.input(1))}, std::move(params)));
}

void pick(BatchCall& call) {
  const auto& axis = given<std::optional<int64_t>>(call, "axis");
  if (!axis) call.refuse("axis=None is not supported inside vmap");
  batch::shift_axis(call);
}

// [count, *places] indices for each example as [count, batch, *places].
NDArray counts_first(const BatchCall& call, size_t i) { return moved_axis(call.repeated(i), 0, 1); }
// The same with the number of the example in front of the others.
NDArray with_example(const BatchCall& call, size_t i) {
  const NDArray index = cast(counts_first(call, i), DType::kInt64);
  Shape shape = index.shape();
  shape[0] = 1;
  const NDArray example = broadcast_to(batch::counted(call.batch(), index.ndim(), 1), shape);
  static const OpSchema& concat = fn::concat.schema();
  return invoke(concat, {example, index}, make_params(ConcatParams{2, 0}));
}

void gather_nd(BatchCall& call) {
  if (!call.mapped(0)) return call.apply({call.input(0), counts_first(call, 1)}, call.params());
  call.apply({call.input(0), with_example(call, 1)}, call.params());
}

// The indices are the last input.
void scatter_nd(BatchCall& call) {
  Ref<Params> params = call.copied_params();
  Ints& shape = *field<Ints>(*params, "shape");
  shape.insert(shape.begin(), call.batch());
  SmallVector<NDArray, 4> inputs;
  const size_t last = call.input_count() - 1;
  for (size_t i = 0; i < last; ++i) inputs.push_back(call.repeated(i));
  inputs.push_back(with_example(call, last));
  call.apply(inputs, std::move(params));
}

void scatter_along(BatchCall& call) {
  Ref<Params> params = call.copied_params();
  params->given = ~uint32_t{0};
  auto& axis = *field<std::optional<int64_t>>(*params, "axis");
  Ints& shape = *field<Ints>(*params, "shape");
  NDArray data = call.repeated(0), index = call.repeated(1);
  if (axis) {
    axis = batch::shifted(*axis);
    shape.insert(shape.begin(), call.batch());
  } else {
    axis = 1;
    shape = {call.batch(), Shape(shape).size()};
    data = reshape(data, Shape{call.batch(), call.shape(0).size()});
    index = reshape(index, Shape{call.batch(), call.shape(1).size()});
  }
  call.apply({data, index}, std::move(params));
}

void where(BatchCall& call) {
  const NDArray x = call.repeated(1), y = call.repeated(2);
  NDArray condition = call.input(0);
  Shape one(x.ndim(), 1);
  const int lead = call.mapped(0) ? 1 : 0;
  if (lead) one[0] = call.batch();
  for (int d = 0; d < call.ndim(0); ++d) one[d + 1] = call.shape(0)[d];
  condition = broadcast_to(reshape(condition, one), x.shape());
  call.result(0, fn::where(condition, x, y));
}

void ravel(BatchCall& call) {
  const NDArray index = counts_first(call, 0);
  const int64_t axes = index.shape()[0];
  call.result(0, call_op(call.op(), {reshape(index, Shape{axes, index.size() / axes})},
                         call.copied_params()));
}
void unravel(BatchCall& call) {
  call.result(0, moved_axis(call_op(call.op(), {call.input(0)}, call.copied_params()), 1, 0));
}

const BatchRules rules{
    {"take", take},
    {"_backward_take", take_gradient},
    {"_backward_take_rows", take_gradient},
    {"Embedding", embedding},
    {"_contrib_SparseEmbedding", embedding},
    {"pick", pick},
    {"batch_take", batch::merge_leading},
    {"gather_nd", gather_nd},
    {"scatter_nd", scatter_nd},
    {"_backward_gather_nd", scatter_nd},
    {"_scatter_set_nd", scatter_nd},
    {"_gather_along", batch::shift_axis_or_flatten},
    {"_scatter_along", scatter_along},
    {"one_hot", batch::in_front},
    {"where", where},
    {"add_n", batch::in_front},
    {"sort", batch::shift_axis_or_flatten},
    {"argsort", batch::shift_axis_or_flatten},
    {"topk", batch::shift_axis_or_flatten},
    {"ravel_multi_index", ravel},
    {"unravel_index", unravel},
};

}  // namespace
}  // namespace mxtape

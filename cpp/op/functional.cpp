#include "op/functional.h"

#include <algorithm>
#include <cmath>

#include "core/zeros.h"
#include "op/common_params.h"
#include "op/sparse.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

namespace mxtape {

namespace fn {
const Op<ReduceParams> sum{"sum"}, mean{"mean"}, max{"max"};
const Op<ReshapeParams> reshape{"Reshape"};
const Op<BroadcastToParams> broadcast_to{"broadcast_to"};
const Op<BroadcastAxisParams> broadcast_axis{"broadcast_axis"};
const Op<CastParams> cast{"Cast"};
const Op<SliceParams> slice{"slice"}, slice_assign{"_slice_assign"};
const Op<DotParams> dot{"dot"}, batch_dot{"batch_dot"};
const Op<ConcatParams> concat{"Concat"};
const Op<StackParams> stack{"stack"};
const Op<SoftmaxParams> softmax{"softmax"}, log_softmax{"log_softmax"};
}  // namespace fn

namespace fn {
namespace {

// The names of parameters, which tell one struct of them from another.
std::string describe(const ParamsInfo* params) {
  if (!params) return "none";
  std::string names;
  for (const ParamField& field : params->fields) names += (names.empty() ? "" : ", ") + field.name;
  return "(" + names + ")";
}

}  // namespace

AnyOp::AnyOp(const char* name, const ParamsInfo* (*params)())
    : name_(name), params_(params), next_(first_) {
  first_ = this;
}

const OpSchema& AnyOp::look_up() const {
  const OpSchema& op = find_op(name_);
  const ParamsInfo* params = params_ ? params_() : nullptr;
  if (op.params != params) {
    fail("operator ", name_, " has the parameters ", describe(op.params),
         ", it is called with those of another type: ", describe(params));
  }
  op_.store(&op, std::memory_order_release);
  return op;
}

NDArray AnyOp::call(std::initializer_list<const NDArray*> inputs) const {
  const OpSchema& op = schema();
  return invoke(op, Inputs(inputs.begin(), inputs.size()), op.params->make());
}

const Op<> negative{"negative"}, abs{"abs"}, sign{"sign"}, floor{"floor"}, trunc{"trunc"},
    exp{"exp"}, log{"log"}, sqrt{"sqrt"}, rsqrt{"rsqrt"}, cbrt{"cbrt"}, rcbrt{"rcbrt"},
    square{"square"}, reciprocal{"reciprocal"}, sin{"sin"}, cos{"cos"}, tan{"tan"}, sinh{"sinh"},
    cosh{"cosh"}, tanh{"tanh"}, sigmoid{"sigmoid"}, gamma{"gamma"}, zeros_like{"zeros_like"},
    ones_like{"ones_like"}, where{"where"}, relu{"relu"}, softsign{"softsign"}, expm1{"expm1"};

}  // namespace fn

NDArray full(const Shape& shape, DType dtype, double value) {
  bool zeroed = false;
  NDArray out;
  if (value == 0 && !std::signbit(value)) {
    const auto bytes = static_cast<size_t>(shape.size()) * item_size(dtype);
    out = NDArray(allocate_zeros(bytes, zeroed), 0, shape, dtype);
  } else {
    out = NDArray::empty(shape, dtype);
  }
  if (zeroed) return out;
  parallel_for(out.size(), 1 << 18, [&](int64_t begin, int64_t end) {
    fill(dtype, value, out.bytes() + static_cast<size_t>(begin) * item_size(dtype), end - begin);
  });
  return out;
}

NDArray sum(const NDArray& x, const Ints& axes, bool keepdims) {
  return fn::sum(x, {axes, keepdims});
}

NDArray sum_to(const NDArray& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const int lead = x.ndim() - shape.ndim();
  Ints axes;
  for (int d = 0; d < x.ndim(); ++d) {
    if (d < lead || (shape[d - lead] == 1 && x.shape()[d] != 1)) axes.push_back(d);
  }
  NDArray result = axes.empty() ? x : sum(x, axes, true);
  return reshape(result, shape);
}

NDArray reshape(const NDArray& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  // There is no view of what has parts: the result is another array.
  if (is_sparse(x)) return reshape(in_dense(x), shape);
  NDArray view = x.viewed(shape);
  record_view(fn::reshape.schema(), x, make_params(ReshapeParams{Ints(shape.begin(), shape.end())}),
              view);
  return view;
}

NDArray broadcast_to(const NDArray& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  Shape lead(shape.ndim(), 1);
  for (int d = 0; d < x.ndim(); ++d) lead[shape.ndim() - x.ndim() + d] = x.shape()[d];
  // To broadcast_to an extent of 0 means the input's own.
  if (shape.size() == 0) {
    BroadcastAxisParams p;
    for (int d = 0; d < shape.ndim(); ++d) {
      if (lead[d] == shape[d]) continue;
      p.axis.push_back(d);
      p.size.push_back(shape[d]);
    }
    return p.axis.empty() ? reshape(x, lead) : fn::broadcast_axis(reshape(x, lead), p);
  }
  return fn::broadcast_to(reshape(x, lead), {Ints(shape.begin(), shape.end())});
}

NDArray cast(const NDArray& x, DType dtype) {
  return x.dtype() == dtype ? x : fn::cast(x, {dtype});
}

NDArray expand_dims(const NDArray& x, int axis) {
  Ints dims(x.shape().begin(), x.shape().end());
  dims.insert(dims.begin() + axis, 1);
  return reshape(x, Shape(dims));
}

}  // namespace mxtape

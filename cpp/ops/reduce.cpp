#include "ops/reduce.h"

#include <cmath>

// Sums, means and norms.
namespace mxtape {

AxisSet reduced_axes(const OptInts& axes, bool exclude, int ndim, std::string_view op) {
  if (ndim > 64) fail(op, ": at most 64 axes are supported, the array has ", ndim);
  const AxisSet all = ndim == 64 ? ~AxisSet{0} : (AxisSet{1} << ndim) - 1;
  if (!axes || axes->empty()) return all;
  AxisSet set = 0;
  for (int64_t axis : *axes) {
    const AxisSet bit = AxisSet{1} << normalize_axis(axis, ndim, op);
    if (set & bit) fail(op, ": axis ", axis, " is given twice");
    set |= bit;
  }
  return exclude ? all & ~set : set;
}

Shape reduced_shape(const Shape& in, AxisSet axes, bool keepdims) {
  Ints dims;
  for (int d = 0; d < in.ndim(); ++d) {
    if (!(axes >> d & 1)) {
      dims.push_back(in[d]);
    } else if (keepdims) {
      dims.push_back(1);
    }
  }
  if (dims.empty() && !keepdims) dims.push_back(1);
  return Shape(dims);
}

int64_t reduced_count(const Shape& in, AxisSet axes) {
  int64_t count = 1;
  for (int d = 0; d < in.ndim(); ++d) count *= axes >> d & 1 ? in[d] : 1;
  return count;
}

NDArray spread(const NDArray& reduced, const Shape& in, AxisSet axes) {
  return broadcast_to(reshape(reduced, reduced_shape(in, axes, true)), in);
}

void infer_reduce(InferCall& call) {
  const auto& p = call.params<ReduceParams>();
  const AxisSet axes = reduced_axes(p.axis, p.exclude, call.shape(0).ndim(), call.name());
  call.output(0, reduced_shape(call.shape(0), axes, p.keepdims), call.dtype(0));
}

void infer_reduce_nonempty(InferCall& call) {
  infer_reduce(call);
  const auto& p = call.params<ReduceParams>();
  const Shape& shape = call.shape(0);
  const AxisSet axes = reduced_axes(p.axis, p.exclude, shape.ndim(), call.name());
  call.expect(reduced_count(shape, axes) > 0 || reduced_shape(shape, axes, true).size() == 0,
              "nothing has no ", call.name(), ": a reduced axis has extent 0");
}

namespace reduce {

void run_any(const Layout& layout, const NDArray& in, const NDArray& out) {
  run<Max<uint8_t>>(layout, in.data<uint8_t>(), out.data<uint8_t>(), CastTo<uint8_t>{});
}
void run_all(const Layout& layout, const NDArray& in, const NDArray& out) {
  // Nothing at all is all true: the identity 255 becomes 1.
  run<Min<uint8_t>>(layout, in.data<uint8_t>(), out.data<uint8_t>(),
                    [](uint8_t x) { return static_cast<uint8_t>(x != 0); });
}

}  // namespace reduce

namespace {

AxisSet axes_of(Vjp& v) {
  const auto& p = v.params<ReduceParams>();
  return reduced_axes(p.axis, p.exclude, v.input_shape(0).ndim(), v.op().name);
}

reduce::Layout layout_of(const KernelCall& call) {
  const auto& p = call.params<ReduceParams>();
  const Shape& shape = call.in(0).shape();
  return reduce::Layout(shape, reduced_axes(p.axis, p.exclude, shape.ndim(), call.name()));
}

OP(sum).alias("sum_axis").inputs("data").params<ReduceParams>().infer(infer_reduce)
    .kernel([](const KernelCall& call) {
      const reduce::Layout layout = layout_of(call);
      const NDArray &in = call.in(0), &out = call.out();
      if (in.dtype() == DType::kBool) return reduce::run_any(layout, in, out);
      reduce::dispatch_wrapping(in.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        reduce::run<reduce::Sum<T>>(layout, in.data<T>(), out.data<T>(), reduce::CastTo<T>{});
      });
    })
    .keep_input(0, Keep::kShape)
    .vjp([](Vjp& v) { v.grad(0, spread(v.head(), v.input_shape(0), axes_of(v))); })
    .method()
    .doc("Sum over the given axes, in the input's dtype; a result over all axes has shape (1,).");

}  // namespace
}  // namespace mxtape

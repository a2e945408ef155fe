#include "ops/reduce/reduce.h"

#include <cmath>

#include "op/common_params.h"
#include "ops/reduce/norm_params.h"
#include "runtime/convert.h"

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

AxisSet axes_of(const KernelCall& call) {
  const auto& p = call.params<ReduceParams>();
  return reduced_axes(p.axis, p.exclude, call.in(0).ndim(), call.name());
}
AxisSet axes_of(const Vjp& v) {
  const auto& p = v.params<ReduceParams>();
  return reduced_axes(p.axis, p.exclude, v.input_shape(0).ndim(), v.op().name);
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

using reduce::CastTo;
using reduce::Layout;
using reduce::SumOf;

template <class T>
struct NanSum : SumOf<reduce::NarrowOf<T>, double> {
  MXTAPE_INLINE static Doubles of(Doubles x) { return zero_for_nan(x); }
  static reduce::NarrowOf<T> load(T x) {
    return reduce::is_nan(x) ? reduce::NarrowOf<T>(0)
                             : static_cast<reduce::NarrowOf<T>>(static_cast<compute_type<T>>(x));
  }
};

void sum_kernel(const KernelCall& call) {
  const Layout layout(call.in(0).shape(), axes_of(call));
  const NDArray &in = call.in(0), &out = call.out();
  if (in.dtype() == DType::kBool) return reduce::run_any(layout, in, out);
  dispatch<WrappingTypes>(in.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    reduce::run_streamed<reduce::Sum<T>>(layout, in, out.data<T>(), CastTo<T>{});
  });
}

OP(sum)
    .alias("sum_axis")
    .inputs("data")
    .params<ReduceParams>()
    .infer(infer_reduce)
    .kernel(sum_kernel)
    .streams()
    .keep_input(0, Keep::kShape)
    .vjp([](Vjp& v) { v.grad(0, spread(v.head(), v.input_shape(0), axes_of(v))); })
    .linear(0)
    .method()
    .doc("Sum over the given axes, in the input's dtype; a result over all axes has shape (1,).")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [3, 4]])
>>> mx.nd.sum(x).asnumpy().tolist(), mx.nd.sum(x, axis=1).asnumpy().tolist()
([10.0], [3.0, 7.0])
>>> mx.nd.sum(x, axis=1, exclude=True).asnumpy().tolist()  # over all axes but 1
[4.0, 6.0]
)");

OP(nansum)
    .inputs("data")
    .params<ReduceParams>()
    .infer(infer_reduce)
    .kernel([](const KernelCall& call) {
      const NDArray &in = call.in(0), &out = call.out();
      if (!is_floating(in.dtype())) return sum_kernel(call);
      const Layout layout(in.shape(), axes_of(call));
      dispatch<FloatingTypes>(in.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        reduce::run<NanSum<T>>(layout, in.data<T>(), out.data<T>(), CastTo<T>{});
      });
    })
    .keep_input()
    .vjp([](Vjp& v) {
      const NDArray x = v.input(0);
      v.grad(0, spread(v.head(), x.shape(), axes_of(v)) * fn::equal(x, x));
    })
    .method()
    .doc("Sum over the given axes without the elements that are NaN.")
    .example(R"(
>>> x = mx.nd.array([[2, float("nan")], [3, 4]])
>>> mx.nd.nansum(x).asnumpy().tolist(), mx.nd.nansum(x, axis=1).asnumpy().tolist()
([9.0], [2.0, 7.0])
)");

// Integers are summed without wrapping around, then divided.
template <class T>
struct WholeSum : SumOf<int64_t, int64_t> {
  static int64_t load(T x) { return static_cast<int64_t>(x); }
  template <class V>
  static V combine(V a, V b) {
    return static_cast<V>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  }
};

OP(mean)
    .inputs("data")
    .params<ReduceParams>()
    .infer(infer_reduce)
    .streams()
    .kernel([](const KernelCall& call) {
      const Layout layout(call.in(0).shape(), axes_of(call));
      const NDArray &in = call.in(0), &out = call.out();
      if (in.dtype() == DType::kBool) return reduce::run_any(layout, in, out);
      const int64_t count = layout.count;
      dispatch(in.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        if constexpr (std::is_same_v<T, bool>) {
          return;
        } else if constexpr (std::is_integral_v<T>) {
          reduce::run<WholeSum<T>>(layout, in.data<T>(), out.data<T>(), [count](int64_t total) {
            return static_cast<T>(count ? total / count : 0);
          });
        } else {
          reduce::run_streamed<reduce::Sum<T>>(layout, in, out.data<T>(), [count](double total) {
            return CastTo<T>{}(total / static_cast<double>(count));
          });
        }
      });
    })
    .keep_input(0, Keep::kShape)
    .vjp([](Vjp& v) {
      const AxisSet axes = axes_of(v);
      const Shape shape = v.input_shape(0);
      const auto count = static_cast<double>(reduced_count(shape, axes));
      v.grad(0, spread(v.head() / count, shape, axes));
    })
    .linear(0)
    .method()
    .doc("Mean over the given axes, in the input's dtype: integers truncate toward zero.")
    .example(R"(
>>> x = mx.nd.array([[1, 5], [3, 2]])
>>> mx.nd.mean(x).asnumpy().tolist(), mx.nd.mean(x, axis=0).asnumpy().tolist()
([2.75], [2.0, 3.5])
>>> mx.nd.mean(x.astype("int32")).asnumpy().tolist()  # of 2.75
[2]
)");

// ---- norm

// Squares and sizes are summed in float64, where those of narrower types cannot overflow.
template <class T>
struct SquareSum : SumOf<double, double> {
  template <class V>
  MXTAPE_INLINE static V of(V x) {
    return x * x;
  }
  static double load(T x) { return of(static_cast<double>(static_cast<compute_type<T>>(x))); }
};
template <class T>
struct SizeSum : SumOf<double, double> {
  MXTAPE_INLINE static Doubles of(Doubles x) { return abs(x); }
  static double load(T x) { return std::abs(static_cast<double>(static_cast<compute_type<T>>(x))); }
};

// The norm of output `o` in units of its largest element: for float64 squares that leave the range.
double scaled_norm(const Layout& layout, const double* x, int64_t o) {
  Loops<> kept = layout.kept, reduced = layout.reduced;
  (layout.inner_reduced ? reduced : kept).add(layout.inner, 1);
  x += Odometer(kept, o).offset();
  double unit = 0;
  Odometer at(reduced, 0);
  for (int64_t i = 0; i < layout.count; ++i, at.next()) {
    const double size = std::abs(x[at.offset()]);
    if (size > unit || size != size) unit = size;
    if (unit != unit) return unit;
  }
  if (unit == 0 || std::isinf(unit)) return unit;
  double total = 0;
  for (int64_t i = 0; i < layout.count; ++i, at.next()) {
    const double scaled = x[at.offset()] / unit;
    total += scaled * scaled;
  }
  return std::sqrt(total) * unit;
}

void norms(const Layout& layout, const NDArray& in, const NDArray& out, int64_t ord) {
  dispatch<FloatingTypes>(in.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* x = in.data<T>();
    if (ord == 1) {
      reduce::run<SizeSum<T>>(layout, x, out.data<T>(),
                              [](double total) { return convert_value<T>(total); });
      return;
    }
    reduce::run<SquareSum<T>>(layout, x, out.data<T>(),
                              [](double total) { return convert_value<T>(std::sqrt(total)); });
    if constexpr (std::is_same_v<T, double>) {
      double* y = out.data<double>();
      for (int64_t o = 0; layout.count > 0 && o < layout.outputs; ++o) {
        if (!(y[o] < 1e150 && y[o] > 1e-140)) y[o] = scaled_norm(layout, x, o);
      }
    }
  });
}

void norm_kernel(const KernelCall& call) {
  const auto& p = call.params<NormParams>();
  const NDArray &in = call.in(0), &out = call.out();
  const Layout layout(in.shape(), reduced_axes(p.axis, false, in.ndim(), call.name()));
  if (in.dtype() == DType::kBool) return reduce::run_any(layout, in, out);
  if (out.dtype() == in.dtype() && is_floating(in.dtype())) return norms(layout, in, out, p.ord);
  // Integers, or another type of result: through the widest one.
  const NDArray wide = NDArray::empty(in.shape(), DType::kFloat64);
  const NDArray result = NDArray::empty(out.shape(), DType::kFloat64);
  convert(in.dtype(), in.bytes(), wide.dtype(), wide.bytes(), in.size());
  norms(layout, wide, result, p.ord);
  convert(result.dtype(), result.bytes(), out.dtype(), out.bytes(), out.size());
}

OP(norm)
    .inputs("data")
    .params<NormParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<NormParams>();
      call.expect(p.ord == 1 || p.ord == 2, "ord must be 1 or 2, got ", p.ord);
      const DType dtype = p.out_dtype.value_or(call.dtype(0));
      call.expect((dtype == DType::kBool) == (call.dtype(0) == DType::kBool),
                  "only a boolean array has a boolean norm; use astype() to convert");
      const AxisSet axes = reduced_axes(p.axis, false, call.shape(0).ndim(), call.name());
      call.output(0, reduced_shape(call.shape(0), axes, p.keepdims), dtype);
    })
    .kernel(norm_kernel)
    .keep_input()
    .keep_output()
    .vjp([](Vjp& v) {
      const auto& p = v.params<NormParams>();
      const NDArray x = v.input(0), g = cast(v.head(), x.dtype());
      const AxisSet axes = reduced_axes(p.axis, false, x.ndim(), v.op().name);
      if (p.ord == 1) return v.grad(0, spread(g, x.shape(), axes) * fn::sign(x));
      // At the origin, where there is no gradient, it is 0.
      const NDArray y = cast(v.output(0), x.dtype()), at_origin = fn::equal(y, 0.0);
      v.grad(0, spread(g * (1.0 - at_origin) / (y + at_origin), x.shape(), axes) * x);
    })
    .method()
    .doc(
        "Norm of order 1 or 2 over the given axes, in the input's dtype or out_dtype; its gradient "
        "at 0 is 0.")
    .example(R"(
>>> x = mx.nd.array([[3, 4], [0, -2]])
>>> mx.nd.norm(x, axis=1).asnumpy().tolist()
[5.0, 2.0]
>>> mx.nd.norm(x, ord=1).asnumpy().tolist()
[9.0]
)");

}  // namespace
}  // namespace mxtape

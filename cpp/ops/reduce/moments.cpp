#include <algorithm>
#include <vector>

#include <Eigen/Core>

#include "op/declare.h"
#include "ops/reduce/reduce.h"
#include "runtime/convert.h"

// Mean and variance together.
namespace mxtape {
namespace {

struct MomentsParams {
  OptInts axes;
  bool keepdims = false;
  template <class V>
  void visit(V& v) {
    v("axes", axes, "The axes to compute the moments over; at least one.");
    v("keepdims", keepdims, "Whether those axes stay, with extent 1.");
  }
};

// Squares of what is already centered.
template <class A>
struct SquareSum : reduce::Sum<A> {
  template <class V>
  MXTAPE_INLINE static V of(V x) {
    return x * x;
  }
  static double load(A x) { return of(static_cast<double>(x)); }
};

template <class A>
NDArray as(const NDArray& x) {
  const NDArray copy = NDArray::empty(x.shape(), dtype_of<A>);
  convert(x.dtype(), x.bytes(), copy.dtype(), copy.bytes(), x.size());
  return copy;
}

template <class A>
void moments(const NDArray& x, AxisSet axes, const NDArray& mean, const NDArray& variance) {
  const reduce::Layout layout(x.shape(), axes);
  const auto count = static_cast<double>(layout.count);
  const auto outputs = static_cast<size_t>(layout.outputs);
  const auto average = [count](double sum) { return sum / count; };
  std::vector<double> means(outputs), squares(outputs);
  reduce::run<reduce::Sum<A>>(layout, x.data<A>(), means.data(), average);
  std::copy(means.begin(), means.end(), mean.data<A>());
  const NDArray centered = NDArray::empty(x.shape(), dtype_of<A>);
  Shape kept = x.shape();
  for (int d = 0; d < x.ndim(); ++d) {
    if (axes >> d & 1) kept[d] = 1;
  }
  const NDArray wide = mean.viewed(kept);
  run_tiles(fn::subtract.schema().tile, {x, wide}, centered);
  reduce::run<SquareSum<A>>(layout, centered.data<A>(), squares.data(), average);
  for (size_t o = 0; o < outputs; ++o) {
    // The elements were centered at the rounded mean.
    const double off = means[o] - static_cast<double>(mean.data<A>()[o]);
    const double v = squares[o] - off * off;
    variance.data<A>()[o] = static_cast<A>(v < 0 ? 0 : v);
  }
}

template <class A>
void run_moments(const KernelCall& call) {
  const NDArray &x = call.in(0), &mean = call.out(0), &variance = call.out(1);
  const AxisSet axes =
      reduced_axes(call.params<MomentsParams>().axes, false, x.ndim(), call.name());
  if (x.dtype() == dtype_of<A>) return moments<A>(x, axes, mean, variance);
  const NDArray m = NDArray::empty(mean.shape(), dtype_of<A>);
  const NDArray s = NDArray::empty(mean.shape(), dtype_of<A>);
  moments<A>(as<A>(x), axes, m, s);
  convert(m.dtype(), m.bytes(), mean.dtype(), mean.bytes(), m.size());
  convert(s.dtype(), s.bytes(), variance.dtype(), variance.bytes(), s.size());
}

OP(moments)
    .inputs("data")
    .params<MomentsParams>()
    .outputs(2)
    .infer([](InferCall& call) {
      const auto& p = call.params<MomentsParams>();
      call.expect_floating();
      call.expect(p.axes && !p.axes->empty(), "axes must name at least one axis");
      const AxisSet axes = reduced_axes(p.axes, false, call.shape(0).ndim(), call.name());
      call.expect(reduced_count(call.shape(0), axes) > 0, "no elements have no mean");
      const Shape shape = reduced_shape(call.shape(0), axes, p.keepdims);
      call.output(0, shape, call.dtype(0));
      call.output(1, shape, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      if (call.in(0).size() == 0) return;
      if (call.in(0).dtype() == DType::kFloat64) return run_moments<double>(call);
      run_moments<float>(call);
    })
    .keep_input()
    .keep_output(0)
    .vjp([](Vjp& v) {
      const NDArray x = v.input(0);
      const Shape shape = x.shape();
      const AxisSet axes = reduced_axes(v.params<MomentsParams>().axes, false, x.ndim(), "moments");
      const auto count = static_cast<double>(reduced_count(shape, axes));
      NDArray grad;
      if (v.has_head(0)) grad = spread(v.head(0), shape, axes);
      if (v.has_head(1)) {
        const NDArray pull =
            2.0 * spread(v.head(1), shape, axes) * (x - spread(v.output(0), shape, axes));
        grad = grad.defined() ? grad + pull : pull;
      }
      if (grad.defined()) v.grad(0, grad / count);
    })
    .doc("The mean and the variance of the elements along the axes.")
    .example(R"(
>>> mean, variance = mx.nd.moments(mx.nd.array([[1, 3], [10, 30]]), axes=(1,))
>>> mean.asnumpy().tolist(), variance.asnumpy().tolist()
([2.0, 20.0], [1.0, 100.0])
)");

}  // namespace
}  // namespace mxtape

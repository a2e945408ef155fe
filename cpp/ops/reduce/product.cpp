#include <algorithm>

#include "op/common_params.h"
#include "ops/reduce/reduce.h"
#include "runtime/parallel.h"

// Products, and the scans that their gradients are made of.
namespace mxtape {
namespace {

using reduce::CastTo;
using reduce::Layout;

// Products of narrow floating types are kept in float64: no order of the factors overflows on the
// way.
template <class T>
struct Product : reduce::ProductOf<reduce::WideOf<T>> {
  static reduce::WideOf<T> load(T x) {
    return static_cast<reduce::WideOf<T>>(static_cast<compute_type<T>>(x));
  }
};
template <class T>
struct NanProduct : reduce::ProductOf<double> {
  static double load(T x) {
    return reduce::is_nan(x) ? 1.0 : static_cast<double>(static_cast<compute_type<T>>(x));
  }
};

void product_kernel(const KernelCall& call) {
  const NDArray &in = call.in(0), &out = call.out();
  const Layout layout(in.shape(), axes_of(call));
  if (in.dtype() == DType::kBool) return reduce::run_all(layout, in, out);
  dispatch<WrappingTypes>(in.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    reduce::run<Product<T>>(layout, in.data<T>(), out.data<T>(), CastTo<T>{});
  });
}

// The reduced axes of a scan, and from which end it runs.
struct ScanParams {
  Ints axis;
  bool reverse = false;
  template <class V>
  void visit(V& v) {
    v("axis", axis, "Axes that the scan runs along, taken together in row-major order.");
    v("reverse", reverse, "Whether it runs from the last element to the first.");
  }
};
const fn::Op<ScanParams> cumprod{"_backward_prod_cumulate"}, scan{"_backward_prod_scan"};

// y at the start is `start`; after each element x, y is increment + x * y. What is stored beside x
// is y before it.
template <class T>
void scan_kernel(const NDArray& x, const NDArray* increment, const NDArray& y, AxisSet axes,
                 bool reverse, double start) {
  using C = reduce::WideOf<T>;
  const Layout layout(x.shape(), axes);
  if (layout.outputs == 0 || layout.count == 0) return;
  reduce::Walk kept = layout.kept, reduced = layout.reduced;
  const int64_t width = layout.inner_reduced ? 1 : std::min(layout.inner, reduce::kColumns);
  const int64_t columns = layout.inner_reduced ? 1 : layout.inner;
  if (layout.inner_reduced) reduced.add(layout.inner, 1);
  const int64_t tiles = (columns + width - 1) / width;
  Ints offsets(static_cast<size_t>(layout.count));
  reduce::Walk::Cursor at(reduced, 0);
  for (int64_t& offset : offsets) {
    offset = at.offset();
    at.next();
  }
  if (reverse) std::reverse(offsets.begin(), offsets.end());
  const int64_t grain = std::max<int64_t>(1, reduce::kGrain / (layout.count * width));
  parallel_for(kept.size() * tiles, grain, [&](int64_t first, int64_t last) {
    C value[reduce::kColumns];
    for (int64_t task = first; task < last; ++task) {
      const int64_t column = task % tiles * width, n = std::min(columns - column, width);
      const int64_t base = reduce::Walk::Cursor(kept, task / tiles).offset() + column;
      std::fill_n(value, n, static_cast<C>(start));
      for (int64_t offset : offsets) {
        const T* from = x.data<T>() + base + offset;
        const T* more = increment ? increment->data<T>() + base + offset : nullptr;
        T* to = y.data<T>() + base + offset;
        for (int64_t j = 0; j < n; ++j) {
          to[j] = CastTo<T>{}(value[j]);
          const C next = static_cast<C>(static_cast<compute_type<T>>(from[j])) * value[j];
          value[j] =
              more ? static_cast<C>(next + static_cast<C>(static_cast<compute_type<T>>(more[j])))
                   : next;
        }
      }
    }
  });
}

void run_scan(const KernelCall& call, const NDArray* increment, double start) {
  const auto& p = call.params<ScanParams>();
  const NDArray &x = call.in(0), &y = call.out();
  const AxisSet axes = reduced_axes(p.axis, false, x.ndim(), call.name());
  dispatch<WrappingTypes>(x.dtype(), [&](auto tag) {
    scan_kernel<typename decltype(tag)::type>(x, increment, y, axes, p.reverse, start);
  });
}

ScanParams turned(const ScanParams& p) { return {p.axis, !p.reverse}; }

OP(_backward_prod_cumulate)
    .inputs("data")
    .params<ScanParams>()
    .infer(infer_same_shape)
    .kernel([](const KernelCall& call) { run_scan(call, nullptr, 1); })
    .keep_input()
    .keep_output()
    .vjp([](Vjp& v) {
      v.grad(0, scan(v.input(0), v.head(), turned(v.params<ScanParams>())) * v.output(0));
    })
    .doc("The product of all elements before each one.");

// Its adjoint is itself, run from the other end: gradients of any order stay within these two
// scans.
OP(_backward_prod_scan)
    .inputs("data", "increment")
    .params<ScanParams>()
    .infer(infer_pointwise)
    .kernel([](const KernelCall& call) { run_scan(call, &call.in(1), 0); })
    .keep_input(0)
    .keep_output()
    .vjp([](Vjp& v) {
      const NDArray adjoint = scan(v.input(0), v.head(), turned(v.params<ScanParams>()));
      if (v.needs(0)) v.grad(0, adjoint * v.output(0));
      if (v.needs(1)) v.grad(1, adjoint);
    })
    .doc("y[i] = increment[i - 1] + data[i - 1] * y[i - 1] with y[0] = 0.");

// The gradient of a product is the product of the other factors, which division by an element that
// is 0 cannot give.
NDArray product_gradient(Vjp& v, const NDArray& x) {
  const AxisSet axes = axes_of(v);
  Ints list;
  for (int d = 0; d < x.ndim(); ++d) {
    if (axes >> d & 1) list.push_back(d);
  }
  const NDArray g = spread(v.head(), x.shape(), axes);
  if (list.empty()) return g;
  // In float64: what stands before an element may overflow where the product of all others does
  // not.
  const NDArray wide = is_floating(x.dtype()) ? cast(x, DType::kFloat64) : x;
  const NDArray others =
      cumprod(wide, ScanParams{list, false}) * cumprod(wide, ScanParams{list, true});
  return g * cast(others, x.dtype());
}

OP(prod)
    .inputs("data")
    .params<ReduceParams>()
    .infer(infer_reduce)
    .kernel(product_kernel)
    .keep_input()
    .vjp([](Vjp& v) { v.grad(0, product_gradient(v, v.input(0))); })
    .method()
    .doc("Product over the given axes, in the input's dtype.")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [3, 4]])
>>> mx.nd.prod(x).asnumpy().tolist(), mx.nd.prod(x, axis=0).asnumpy().tolist()
([24.0], [3.0, 8.0])
)");

OP(nanprod)
    .inputs("data")
    .params<ReduceParams>()
    .infer(infer_reduce)
    .kernel([](const KernelCall& call) {
      const NDArray &in = call.in(0), &out = call.out();
      if (!is_floating(in.dtype())) return product_kernel(call);
      const Layout layout(in.shape(), axes_of(call));
      dispatch<FloatingTypes>(in.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        reduce::run<NanProduct<T>>(layout, in.data<T>(), out.data<T>(), CastTo<T>{});
      });
    })
    .keep_input()
    .vjp([](Vjp& v) {
      const NDArray x = v.input(0), there = fn::equal(x, x);
      v.grad(0, product_gradient(v, fn::where(there, x, fn::ones_like(x))) * there);
    })
    .method()
    .doc("Product over the given axes without the elements that are NaN.")
    .example(R"(
>>> x = mx.nd.array([[2, float("nan")], [3, 4]])
>>> mx.nd.nanprod(x).asnumpy().tolist(), mx.nd.nanprod(x, axis=1).asnumpy().tolist()
([24.0], [2.0, 12.0])
)");

}  // namespace
}  // namespace mxtape

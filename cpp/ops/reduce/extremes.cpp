#include "ops/reduce/reduce.h"
#include "ops/shared/axis_view.h"
#include "runtime/convert.h"
#include "runtime/widen.h"

// Largest and smallest elements, and where they are.
namespace mxtape {
namespace {

using reduce::Layout;

template <template <class> class Op>
void extreme_kernel(const KernelCall& call) {
  const NDArray &in = call.in(0), &out = call.out();
  const Layout layout(in.shape(), axes_of(call));
  dispatch(in.dtype() == DType::kBool ? DType::kUint8 : in.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!std::is_same_v<T, bool>) {
      reduce::run<Op<T>>(layout, in.data<T>(), out.data<T>(), reduce::CastTo<T>{});
    }
  });
}

void extreme_vjp(Vjp& v) {
  const NDArray x = v.input(0);
  const AxisSet axes = axes_of(v);
  v.grad(0, spread(v.head(), x.shape(), axes) * fn::equal(x, spread(v.output(0), x.shape(), axes)));
}

OP(max)
    .alias("max_axis")
    .inputs("data")
    .params<ReduceParams>()
    .infer(infer_reduce_nonempty)
    .kernel(extreme_kernel<reduce::Max>)
    .keep_input()
    .keep_output()
    .vjp(extreme_vjp)
    .method()
    .doc(
        "Largest element over the given axes; NaN if one is. Every tied element gets the "
        "gradient.")
    .example(R"(
>>> x = mx.nd.array([[1, 5], [3, 2]])
>>> mx.nd.max(x).asnumpy().tolist(), mx.nd.max(x, axis=1).asnumpy().tolist()
([5.0], [5.0, 3.0])
>>> mx.nd.max(x, axis=1, exclude=True).asnumpy().tolist()  # over all axes but 1
[3.0, 5.0]
)");

OP(min)
    .alias("min_axis")
    .inputs("data")
    .params<ReduceParams>()
    .infer(infer_reduce_nonempty)
    .kernel(extreme_kernel<reduce::Min>)
    .keep_input()
    .keep_output()
    .vjp(extreme_vjp)
    .method()
    .doc(
        "Smallest element over the given axes; NaN if one is. Every tied element gets the "
        "gradient.")
    .example(R"(
>>> x = mx.nd.array([[1, 5], [3, 2]])
>>> mx.nd.min(x).asnumpy().tolist(), mx.nd.min(x, axis=1).asnumpy().tolist()
([1.0], [1.0, 2.0])
>>> mx.nd.min(x, axis=1, keepdims=True).shape
(2, 1)
)");

// ---- where

struct ArgParams {
  std::optional<int64_t> axis;
  bool keepdims = false;
  template <class V>
  void visit(V& v) {
    v("axis", axis, "The axis to search along; None for the flattened array.");
    v("keepdims", keepdims, "Whether reduced axes stay, with extent 1.");
  }
};

// The first NaN, else the first element that equals the extreme of x[0, n), which starts at `from`.
template <class T>
int64_t first_equal(const T* x, int64_t n, T extreme) {
  if (reduce::is_nan(extreme)) {
    return std::find_if(x, x + n, [](T a) { return reduce::is_nan(a); }) - x;
  }
  return std::find(x, x + n, extreme) - x;
}

// The extreme of a run and where it is first: blocks are folded with vector instructions, and only
// the winning block is searched.
template <class Op, class T>
std::pair<T, int64_t> locate(const T* x, int64_t begin, int64_t end) {
  using N = typename Op::Narrow;
  N best = reduce::fold_block<Op>(x + begin, std::min(reduce::kRun, end - begin));
  int64_t block = begin;
  for (int64_t i = begin + reduce::kRun; i < end && !reduce::is_nan(best); i += reduce::kRun) {
    const N value = reduce::fold_block<Op>(x + i, std::min(reduce::kRun, end - i));
    const N both = Op::combine(best, value);
    // Another bit pattern, not an equal value: a NaN wins over everything.
    if (both != best) {
      best = both;
      block = i;
    }
  }
  const T extreme = static_cast<T>(best);
  return {extreme, block + first_equal(x + block, std::min(reduce::kRun, end - block), extreme)};
}

template <class Op, class T, class Out>
void search_runs(const T* x, int64_t rows, int64_t n, Out* out) {
  if (rows < reduce::kFewOutputs && n > 2 * reduce::kPiece) {
    const int64_t pieces = (n + reduce::kPiece - 1) / reduce::kPiece;
    std::vector<std::pair<T, int64_t>> part(static_cast<size_t>(rows * pieces));
    parallel_for(rows * pieces, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const int64_t begin = i % pieces * reduce::kPiece;
        part[static_cast<size_t>(i)] =
            locate<Op>(x + i / pieces * n, begin, std::min(begin + reduce::kPiece, n));
      }
    });
    for (int64_t r = 0; r < rows; ++r) {
      auto best = part[static_cast<size_t>(r * pieces)];
      for (int64_t i = 1; i < pieces && !reduce::is_nan(best.first); ++i) {
        const auto& next = part[static_cast<size_t>(r * pieces + i)];
        const auto a = static_cast<typename Op::Narrow>(best.first);
        if (Op::combine(a, static_cast<typename Op::Narrow>(next.first)) != a) best = next;
      }
      out[r] = convert_value<Out>(best.second);
    }
    return;
  }
  parallel_for(rows, std::max<int64_t>(1, reduce::kGrain / n), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      out[r] = convert_value<Out>(locate<Op>(x + r * n, 0, n).second);
    }
  });
}

// Along an axis that is not the innermost: rows are compared with a tile of the best so far.
template <class Op, class T, class Out>
void search_columns(const T* x, const AxisView& view, Out* out) {
  using N = typename Op::Narrow;
  const int64_t n = view.n, inner = view.inner;
  constexpr int64_t kTile = 256;
  const int64_t tiles = (inner + kTile - 1) / kTile;
  const int64_t grain = std::max<int64_t>(1, reduce::kGrain / (n * std::min(inner, kTile)));
  parallel_for(view.outer * tiles, grain, [&](int64_t first, int64_t last) {
    N best[kTile];
    int64_t where[kTile];
    for (int64_t task = first; task < last; ++task) {
      const int64_t column = task % tiles * kTile, width = std::min(inner - column, kTile);
      const T* from = x + task / tiles * n * inner + column;
      for (int64_t j = 0; j < width; ++j) {
        best[j] = Op::load(from[j]);
        where[j] = 0;
      }
      for (int64_t i = 1; i < n; ++i) {
        const T* row = from + i * inner;
        for (int64_t j = 0; j < width; ++j) {
          const N value = Op::combine(best[j], Op::load(row[j]));
          const bool better = (value != best[j]) & (best[j] == best[j]);
          best[j] = value;
          where[j] = better ? i : where[j];
        }
      }
      Out* to = out + task / tiles * inner + column;
      for (int64_t j = 0; j < width; ++j) to[j] = convert_value<Out>(where[j]);
    }
  });
}

template <class Op, class T, class Out>
void search_view(const NDArray& in, const NDArray& out, const AxisView& view) {
  if (view.inner == 1) {
    search_runs<Op>(in.data<T>(), view.outer, view.n, out.data<Out>());
  } else {
    search_columns<Op>(in.data<T>(), view, out.data<Out>());
  }
}

// Positions that may not fit the dtype of `out`: an Error before anything is written if one does
// not.
void store_positions(const NDArray& positions, const NDArray& out, std::string_view op) {
  const int64_t n = out.size(), *at = positions.data<int64_t>();
  const NDArray kept = NDArray::empty(out.shape(), out.dtype());
  const NDArray back = NDArray::empty(out.shape(), DType::kInt64);
  convert(DType::kInt64, at, out.dtype(), kept.bytes(), n);
  convert(out.dtype(), kept.bytes(), DType::kInt64, back.bytes(), n);
  const auto [found, lost] = std::mismatch(at, at + n, back.data<int64_t>());
  if (found != at + n) {
    fail(op, ": index ", *found, " does not fit the data's dtype ", out.dtype(),
         "; use astype() first");
  }
  convert(out.dtype(), kept.bytes(), out.dtype(), out.bytes(), n);
}

template <template <class> class Op>
void search(const NDArray& given, const NDArray& out, const AxisView& view, std::string_view op) {
  if (view.runs() == 0) return;
  const NDArray in = widened(given);
  const bool fits = in.dtype() == out.dtype() && view.n <= exact_integers(out.dtype());
  const NDArray positions = fits ? NDArray() : NDArray::empty(out.shape(), DType::kInt64);
  dispatch(in.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!std::is_same_v<T, bool>) {
      if (fits) return search_view<Op<T>, T, T>(in, out, view);
      if constexpr (exact_integers(dtype_of<T>) < (int64_t{1} << 53)) {
        search_view<Op<T>, T, int64_t>(in, positions, view);
      }
    }
  });
  if (!fits) store_positions(positions, out, op);
}

void expect_searchable(InferCall& call, const Shape& shape, int64_t extent) {
  call.expect(call.dtype(0) != DType::kBool, "bool arrays are not supported; use astype()");
  call.expect(extent > 0 || shape.size() == 0, "nothing has no ", call.name(),
              ": the axis has extent 0");
}

void infer_search(InferCall& call) {
  const auto& p = call.params<ArgParams>();
  const Shape& in = call.shape(0);
  Ints axes;
  if (p.axis) axes.push_back(call.axis(*p.axis));
  const AxisSet set = reduced_axes(axes, false, in.ndim(), call.name());
  const Shape shape = reduced_shape(in, set, p.keepdims);
  expect_searchable(call, shape, reduced_count(in, set));
  call.output(0, shape, call.dtype(0));
}

template <template <class> class Op>
void search_kernel(const KernelCall& call) {
  const NDArray& in = call.in(0);
  search<Op>(in, call.out(), AxisView(in.shape(), call.params<ArgParams>().axis, call.name()),
             call.name());
}

OP(argmax)
    .inputs("data")
    .params<ArgParams>()
    .infer(infer_search)
    .any_dtype()
    .kernel(search_kernel<reduce::Max>)
    .zero_grad()
    .method()
    .doc(
        "Index of the first largest element along an axis, in the input's dtype; a NaN is "
        "largest. An index that the dtype cannot hold is an error.")
    .example(R"(
>>> x = mx.nd.array([[1, 9, 9], [7, 3, 5]])
>>> mx.nd.argmax(x, axis=1).asnumpy().tolist()  # the first of equals; as floats
[1.0, 0.0]
>>> mx.nd.argmax(x, axis=0).asnumpy().tolist()
[1.0, 0.0, 0.0]
>>> mx.nd.argmax(x).asnumpy().tolist()  # of all elements in order
[1.0]
)");

OP(argmin)
    .inputs("data")
    .params<ArgParams>()
    .infer(infer_search)
    .any_dtype()
    .kernel(search_kernel<reduce::Min>)
    .zero_grad()
    .method()
    .doc(
        "Index of the first smallest element along an axis, in the input's dtype; a NaN is "
        "smallest. An index that the dtype cannot hold is an error.")
    .example(R"(
>>> x = mx.nd.array([[1, 9, 1], [7, 3, 5]])
>>> mx.nd.argmin(x, axis=1).asnumpy().tolist()  # the first of equals; as floats
[0.0, 1.0]
>>> mx.nd.argmin(x, axis=1, keepdims=True).shape
(2, 1)
)");

OP(argmax_channel)
    .inputs("data")
    .infer([](InferCall& call) {
      const Shape& in = call.shape(0);
      call.expect(in.ndim() >= 2, "data must have at least 2 axes");
      const Shape shape = reduced_shape(in, 2, false);
      expect_searchable(call, shape, in[1]);
      call.output(0, shape, call.dtype(0));
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      search<reduce::Max>(call.in(0), call.out(), AxisView(call.in(0).shape(), 1), call.name());
    })
    .zero_grad()
    .method()
    .doc(
        "Index of the first largest element along axis 1, in the input's dtype; one that it cannot "
        "hold is an error.")
    .example(R"(
>>> x = mx.nd.array([[1, 9, 9], [7, 3, 5]])
>>> mx.nd.argmax_channel(x).asnumpy().tolist()
[1.0, 0.0]
)");

}  // namespace
}  // namespace mxtape

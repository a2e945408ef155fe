#include "ops/indexing/take.h"

#include <algorithm>

#include "op/declare.h"
#include "ops/indexing/gather_along.h"
#include "ops/shared/strided.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// Operators that look elements up along one axis.
namespace mxtape {

namespace fn {
const Op<TakeParams> take{"take"};
const Op<TakeGradParams> take_grad{"_backward_take"}, take_grad_rows{"_backward_take_rows"};
}  // namespace fn

Shape taken_shape(const Shape& a, const Shape& indices, int axis) {
  Ints shape(a.begin(), a.begin() + axis);
  shape.insert(shape.end(), indices.begin(), indices.end());
  shape.insert(shape.end(), a.begin() + axis + 1, a.end());
  return Shape(shape);
}

namespace {

void expect_not_empty(const InferCall& call, const Shape& shape, int axis, const Shape& indices) {
  call.expect(shape[axis] > 0 || indices.size() == 0, "axis ", axis, " has no elements to look up");
}

}  // namespace

void infer_take_grad(InferCall& call) {
  const auto& p = call.params<TakeGradParams>();
  const Shape shape(p.shape);
  const int axis = normalize_axis(p.axis, shape.ndim(), call.name());
  expect_not_empty(call, shape, axis, call.shape(1));
  call.expect(call.shape(0) == taken_shape(shape, call.shape(1), axis),
              "data must have the shape of what was taken");
  call.output(0, shape, call.dtype(0));
}

namespace {

struct PickParams {
  std::optional<int64_t> axis = -1;
  bool keepdims = false;
  AlongMode mode = AlongMode::kClip;
  template <class V>
  void visit(V& v) {
    v("axis", axis, "The axis to pick along.");
    v("keepdims", keepdims, "Whether that axis stays, with extent 1.");
    v("mode", mode,
      "What an index out of range does: clip to the nearest end, or wrap around. NaN counts as 0.",
      kAlongModes);
  }
};
struct EmbeddingParams {
  int64_t input_dim = 0;
  int64_t output_dim = 0;
  DType dtype = DType::kFloat32;
  bool sparse_grad = false;
  template <class V>
  void visit(V& v) {
    v.required("input_dim", input_dim, "Number of rows of weight.");
    v.required("output_dim", output_dim, "Number of its columns.");
    v("dtype", dtype, "Accepted for compatibility: the result has the dtype of weight.");
    v("sparse_grad", sparse_grad, "Whether the gradient of weight is row_sparse.");
  }
};

struct OneHotParams {
  int64_t depth = 0;
  double on_value = 1;
  double off_value = 0;
  DType dtype = DType::kFloat32;
  template <class V>
  void visit(V& v) {
    v.required("depth", depth, "Extent of the new last axis.");
    v("on_value", on_value, "The value at the index.");
    v("off_value", off_value, "The value everywhere else.");
    v("dtype", dtype, "Data type of the result.");
  }
};

OP(take)
    .inputs("a", "indices")
    .params<TakeParams>()
    .infer([](InferCall& call) {
      const int axis = call.axis(call.params<TakeParams>().axis);
      expect_not_empty(call, call.shape(0), axis, call.shape(1));
      call.output(0, taken_shape(call.shape(0), call.shape(1), axis), call.dtype(0));
    })
    .check([](const CheckCall& call) {
      const auto& p = call.params<TakeParams>();
      if (p.mode != IndexMode::kRaise) return;
      index_positions(call.input(1), call.shape(0)[call.axis(p.axis)], p.mode, call.name());
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<TakeParams>();
      const NDArray& a = call.in(0);
      const int axis = normalize_axis(p.axis, a.ndim(), call.name());
      const NDArray positions = index_positions(call.in(1), a.shape()[axis], p.mode, call.name());
      gather_rows(a, AxisView(a.shape(), axis), positions, call.out());
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kShape, Keep::kData})
    .vjp([](Vjp& v) {
      const auto& p = v.params<TakeParams>();
      const Shape a = v.input_shape(0);
      v.grad(0, fn::take_grad(v.head(), v.input(1),
                              TakeGradParams{Ints(a.begin(), a.end()), p.axis, p.mode}));
    })
    .linear(0)
    .method()
    .doc(
        "The slices of `a` along an axis that the indices name; the indices' shape replaces the "
        "axis.")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [3, 4], [5, 6]])
>>> mx.nd.take(x, mx.nd.array([2, 0])).asnumpy().tolist()
[[5.0, 6.0], [1.0, 2.0]]
>>> mx.nd.take(x, mx.nd.array([-1, 9])).asnumpy().tolist()  # clipped to the rows
[[1.0, 2.0], [5.0, 6.0]]
>>> mx.nd.take(x, mx.nd.array([-1]), axis=1, mode="wrap").asnumpy().tolist()
[[2.0], [4.0], [6.0]]
)");

OP(_backward_take)
    .inputs("data", "indices")
    .params<TakeGradParams>()
    .infer(infer_take_grad)
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<TakeGradParams>();
      const Shape& shape = call.out().shape();
      const int axis = normalize_axis(p.axis, shape.ndim(), call.name());
      const NDArray positions = index_positions(call.in(1), shape[axis], p.mode, call.name());
      scatter_add_rows(call.in(0), positions, call.out(), AxisView(shape, axis));
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kNothing, Keep::kData})
    .vjp([](Vjp& v) {
      const auto& p = v.params<TakeGradParams>();
      v.grad(0, fn::take(v.head(), v.input(1), TakeParams{p.axis, p.mode}));
    })
    .doc("Zeros of the given shape, with slices of data added at the indices along an axis.");

// The rows of a weight that may be sparse (ops/sparse/lookup.cpp).
void infer_embedding(InferCall& call) {
  const auto& p = call.params<EmbeddingParams>();
  call.expect(p.input_dim > 0 && p.output_dim > 0, "input_dim and output_dim must be positive");
  call.require(1, Shape{p.input_dim, p.output_dim}, ", (input_dim, output_dim)");
  call.fill(1, p.dtype);
  const Shape& data = call.partial_shape(0);
  Ints shape(data.begin(), data.end());
  shape.push_back(p.output_dim);
  call.output(0, Shape(shape), call.dtype(1));
}

void run_embedding(const KernelCall& call) {
  const NDArray& weight = call.in(1);
  const NDArray positions =
      index_positions(call.in(0), weight.shape()[0], IndexMode::kClip, call.name());
  gather_rows(weight, AxisView(weight.shape(), 0), positions, call.out());
}

void embedding_gradient(Vjp& v, const fn::Op<TakeGradParams>& gradient) {
  const Shape weight = v.input_shape(1);
  v.grad(1, gradient(v.head(), v.input(0),
                     TakeGradParams{Ints(weight.begin(), weight.end()), 0, IndexMode::kClip}));
}

OP(Embedding)
    .inputs("data", "weight")
    .params<EmbeddingParams>()
    .infer(infer_embedding)
    .any_dtype()
    .kernel(run_embedding)
    .no_grad_inputs(0)
    .keep_inputs({Keep::kData, Keep::kShape})
    .vjp([](Vjp& v) {
      const bool sparse = v.params<EmbeddingParams>().sparse_grad;
      embedding_gradient(v, sparse ? fn::take_grad_rows : fn::take_grad);
    })
    .doc(
        "The rows of weight that the indices in data name, clipped to its rows; NaN counts as 0. "
        "With sparse_grad the gradient of weight is row_sparse: the rows that were named. Of a "
        "row_sparse weight an index out of range is an error.")
    .example(R"(
>>> weight = mx.nd.array([[0, 1], [10, 11], [20, 21]])
>>> indices = mx.nd.array([2, 0])
>>> mx.nd.Embedding(indices, weight, input_dim=3, output_dim=2).asnumpy().tolist()
[[20.0, 21.0], [0.0, 1.0]]
)");

OP(_contrib_SparseEmbedding)
    .inputs("data", "weight")
    .params<EmbeddingParams>()
    .infer(infer_embedding)
    .any_dtype()
    .kernel(run_embedding)
    .no_grad_inputs(0)
    .keep_inputs({Keep::kData, Keep::kShape})
    .vjp([](Vjp& v) { embedding_gradient(v, fn::take_grad_rows); })
    .doc("Embedding with a row_sparse gradient, whatever sparse_grad says.")
    .example(R"(
>>> words, weight = mx.nd.array([2, 2]), mx.nd.array([[0, 1], [10, 11], [20, 21]])
>>> weight.attach_grad(stype="row_sparse")
>>> with mx.autograd.record():
...     y = mx.nd.contrib.SparseEmbedding(words, weight, input_dim=3, output_dim=2)
>>> y.backward()
>>> weight.grad.indices.asnumpy().tolist(), weight.grad.data.asnumpy().tolist()
([2], [[2.0, 2.0]])
)");

// The shape of one element for each row along `axis`.
Shape picked_shape(const Shape& in, int axis, bool keepdims) {
  Ints shape(in.begin(), in.end());
  shape[static_cast<size_t>(axis)] = 1;
  if (!keepdims && in.ndim() > 1) shape.erase(shape.begin() + axis);
  return Shape(shape);
}

void infer_pick(InferCall& call, const Shape& in, int axis) {
  const Shape& index = call.shape(1);
  call.expect(index == picked_shape(in, axis, false) || index == picked_shape(in, axis, true) ||
                  (in.ndim() == 1 && index.ndim() == 0),
              "index must have shape ", picked_shape(in, axis, false), " or ",
              picked_shape(in, axis, true));
  expect_not_empty(call, in, axis, index);
}

void pick_elements(const KernelCall& call, int64_t axis, AlongMode mode) {
  const AxisView view(call.in(0).shape(), axis, call.name());
  const NDArray positions = index_positions(call.in(1), view.n, index_mode(mode), call.name());
  gather_along(call.in(0), view, positions, call.out());
}

OP(pick)
    .alias("choose_element_0index")
    .inputs("data", "index")
    .params<PickParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<PickParams>();
      call.expect(p.axis.has_value(), "axis must be given");
      const int axis = call.axis(*p.axis);
      infer_pick(call, call.shape(0), axis);
      call.output(0, picked_shape(call.shape(0), axis, p.keepdims), call.dtype(0));
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<PickParams>();
      pick_elements(call, *p.axis, p.mode);
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kShape, Keep::kData})
    .vjp([](Vjp& v) {
      const auto& p = v.params<PickParams>();
      const Shape in = v.input_shape(0), kept = shape_along(in, p.axis, 1, "pick");
      v.grad(0, gather_gradient(reshape(v.head(), kept), v.input(1).viewed(kept), in,
                                {p.axis, p.mode}));
    })
    .linear(0)
    .method()
    .doc("From each row along an axis, the element that the index array names.")
    .example(R"(
>>> x = mx.nd.array([[1, 2, 3], [4, 5, 6]])
>>> mx.nd.pick(x, mx.nd.array([0, 2])).asnumpy().tolist()
[1.0, 6.0]
>>> mx.nd.pick(x, mx.nd.array([9, -1])).asnumpy().tolist()  # clipped to the row
[3.0, 4.0]
>>> mx.nd.pick(x, mx.nd.array([0, 1, 0]), axis=0).asnumpy().tolist()
[1.0, 5.0, 3.0]
)");

// `a` as a table with the extent of its last axis.
Shape batch_table(const Shape& a) {
  const int64_t width = a[a.ndim() - 1];
  return {a.product(0, a.ndim() - 1), width};
}

OP(batch_take)
    .inputs("a", "indices")
    .infer([](InferCall& call) {
      const Shape& a = call.shape(0);
      call.expect(a.ndim() > 0, "a must have at least one axis");
      const Shape table = batch_table(a);
      call.expect(call.dtype(1) == DType::kInt32, "indices must be int32");
      call.expect(call.shape(1).size() == table[0], "there must be one index for each of the ",
                  table[0], " rows along the last axis");
      expect_not_empty(call, table, 1, call.shape(1));
      call.output(0, call.shape(1), call.dtype(0));
    })
    .kernel([](const KernelCall& call) { pick_elements(call, -1, AlongMode::kClip); })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kShape, Keep::kData})
    .vjp([](Vjp& v) {
      const Shape in = v.input_shape(0), table = batch_table(in);
      const Shape kept{table[0], 1};
      v.grad(0, reshape(gather_gradient(reshape(v.head(), kept), v.input(1).viewed(kept), table,
                                        {.axis = 1}),
                        in));
    })
    .doc("From each row along the last axis, the element that its index names, clipped to the row.")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [3, 4], [5, 6]])
>>> mx.nd.batch_take(x, mx.nd.array([0, 1, 0], dtype="int32")).asnumpy().tolist()
[1.0, 4.0, 5.0]
)");

OP(one_hot)
    .inputs("indices")
    .params<OneHotParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<OneHotParams>();
      call.expect(p.depth >= 0, "depth must not be negative");
      call.expect(p.dtype != DType::kBool, "dtype must be a number's");
      Ints shape(call.shape(0).begin(), call.shape(0).end());
      shape.push_back(p.depth);
      checked_size(Shape(shape), call.name());
      call.output(0, Shape(shape), p.dtype);
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<OneHotParams>();
      const NDArray& out = call.out();
      const NDArray positions = index_numbers(call.in(0));
      const int64_t* at = positions.data<int64_t>();
      dispatch(out.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        const T on = convert_value<T>(p.on_value), off = convert_value<T>(p.off_value);
        T* to = out.data<T>();
        const int64_t grain = std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, p.depth));
        parallel_for(positions.size(), grain, [&](int64_t begin, int64_t end) {
          std::fill(to + begin * p.depth, to + end * p.depth, off);
          for (int64_t k = begin; k < end; ++k) {
            if (at[k] >= 0 && at[k] < p.depth) to[k * p.depth + at[k]] = on;
          }
        });
      });
    })
    .zero_grad()
    .method()
    .doc(
        "Each index as a row of off_value with on_value at the index; rows of off_value out of "
        "range, and for NaN.")
    .example(R"(
>>> mx.nd.one_hot(mx.nd.array([2, 0, 3]), depth=3).asnumpy().tolist()
[[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
)");

OP(fill_element_0index)
    .inputs("lhs", "mhs", "rhs")
    .infer([](InferCall& call) {
      const Shape &lhs = call.shape(0), rows{lhs.ndim() == 2 ? lhs[0] : -1};
      call.expect(call.shape(1) == rows && call.shape(2) == rows,
                  "lhs must be a matrix, and mhs and rhs vectors with an element for each row");
      call.expect(call.dtype(0) == call.dtype(1), "lhs and mhs must have one dtype");
      infer_same_shape(call);
    })
    .kernel([](const KernelCall& call) {
      const NDArray &lhs = call.in(0), &out = call.out();
      const NDArray positions = index_numbers(call.in(2));
      const int64_t n = positions.size(), width = lhs.shape()[1], *at = positions.data<int64_t>();
      if (lhs.bytes() != out.bytes()) copy_strided(lhs, dense(lhs), out, dense(out));
      dispatch<ElementTypes>(out.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        const T* from = call.in(1).data<T>();
        T* to = out.data<T>();
        for (int64_t k = 0; k < n; ++k) {
          if (at[k] >= 0 && at[k] < width) to[k * width + at[k]] = from[k];
        }
      });
    })
    .in_place()
    .no_grad("MXNet has none; one_hot() and where() give a result that has one")
    .doc(
        "The matrix lhs with one element of each row replaced: the one that rhs names, by that of "
        "mhs. Rows whose index is outside stay as they are.")
    .example(R"(
>>> x, values, columns = mx.nd.zeros((2, 3)), mx.nd.array([7, 8]), mx.nd.array([2, 0])
>>> mx.nd.fill_element_0index(x, values, columns).asnumpy().tolist()
[[0.0, 0.0, 7.0], [8.0, 0.0, 0.0]]
)");

}  // namespace
}  // namespace mxtape

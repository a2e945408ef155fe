#include "op/declare.h"
#include "ops/shared/index.h"
#include "ops/shared/strided.h"

// Operators that read or write the places which tuples of indices name.
namespace mxtape {
namespace {

// `shape` as rows: each tuple of `indices`, of shape (M, ...), names one in its leading M axes.
AxisView nd_rows(const Shape& shape, const Shape& indices) {
  const int axes = static_cast<int>(indices[0]);
  return {1, shape.product(0, axes), shape.product(axes, shape.ndim())};
}

// The shape of what `indices` name in an array of `shape`; refuses indices that do not fit.
Shape gathered_shape(const InferCall& call, const Shape& shape, const Shape& indices) {
  call.expect(indices.ndim() > 1, "indices must have at least two axes: (M, ...)");
  call.expect(indices[0] > 0 && indices[0] <= shape.ndim(), "indices name ", indices[0],
              " axes of an array that has ", shape.ndim());
  Ints result(indices.begin() + 1, indices.end());
  result.insert(result.end(), shape.begin() + indices[0], shape.end());
  return Shape(result);
}

// Shared by the operators that write data at indices in an array of a given shape.
void infer_scatter(InferCall& call, size_t data, size_t indices) {
  const Shape shape(call.params<ScatterParams>().shape);
  checked_size(shape, call.name());
  const Shape expected = gathered_shape(call, shape, call.shape(indices));
  call.expect(call.shape(data) == expected, "data must have shape ", expected);
  call.output(0, shape, call.dtype(data));
}

ScatterParams scatter_params(const Shape& shape) { return {Ints(shape.begin(), shape.end())}; }

OP(gather_nd)
    .inputs("data", "indices")
    .infer([](InferCall& call) {
      call.output(0, gathered_shape(call, call.shape(0), call.shape(1)), call.dtype(0));
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const NDArray &data = call.in(0), &indices = call.in(1);
      const NDArray positions = nd_positions(indices, data.shape(), call.name());
      gather_rows(data, nd_rows(data.shape(), indices.shape()), positions, call.out());
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kShape, Keep::kData})
    .vjp([](Vjp& v) {
      v.grad(0, fn::scatter_add(v.head(), v.input(1), scatter_params(v.input_shape(0))));
    })
    .doc("The elements or slices of data that the columns of indices, of shape (M, ...), name.")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [3, 4], [5, 6]])
>>> indices = mx.nd.array([[0, 2], [1, 0]])  # x[0, 1] and x[2, 0]
>>> mx.nd.gather_nd(x, indices).asnumpy().tolist()
[2.0, 5.0]
>>> mx.nd.gather_nd(x, mx.nd.array([[2, 0]])).asnumpy().tolist()  # x[2] and x[0]
[[5.0, 6.0], [1.0, 2.0]]
)");

OP(_backward_gather_nd)
    .alias("_scatter_add_nd")
    .inputs("data", "indices")
    .params<ScatterParams>()
    .infer([](InferCall& call) { infer_scatter(call, 0, 1); })
    .kernel([](const KernelCall& call) {
      const Shape &shape = call.out().shape(), &indices = call.in(1).shape();
      const NDArray positions = nd_positions(call.in(1), shape, call.name());
      scatter_add_rows(call.in(0), positions, call.out(), nd_rows(shape, indices));
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kNothing, Keep::kData})
    .vjp([](Vjp& v) { v.grad(0, fn::gather_nd(v.head(), v.input(1))); })
    .doc("Zeros of the given shape with data added at the indices; repeated ones add up.");

OP(scatter_nd)
    .inputs("data", "indices")
    .params<ScatterParams>()
    .infer([](InferCall& call) { infer_scatter(call, 0, 1); })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const Shape &shape = call.out().shape(), &indices = call.in(1).shape();
      const NDArray positions = nd_positions(call.in(1), shape, call.name());
      fill_zero(call.out());
      scatter_rows(call.in(0), positions, call.out(), nd_rows(shape, indices));
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kNothing, Keep::kData})
    .vjp([](Vjp& v) { v.grad(0, fn::gather_nd(v.head(), v.input(1))); })
    .doc(
        "Zeros of the given shape with data written at the indices; of repeated ones the last "
        "stays.")
    .example(R"(
>>> values, indices = mx.nd.array([7, 8]), mx.nd.array([[0, 1], [2, 0]])
>>> mx.nd.scatter_nd(values, indices, shape=(2, 3)).asnumpy().tolist()
[[0.0, 0.0, 7.0], [8.0, 0.0, 0.0]]
)");

OP(_scatter_set_nd)
    .inputs("lhs", "rhs", "indices")
    .params<ScatterParams>()
    .infer([](InferCall& call) {
      call.expect(call.dtype(0) == call.dtype(1), "lhs and rhs must have one dtype");
      call.expect(call.shape(0) == Shape(call.params<ScatterParams>().shape),
                  "shape must be that of lhs");
      infer_scatter(call, 1, 2);
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const NDArray &lhs = call.in(0), &out = call.out(), &indices = call.in(2);
      const NDArray positions = nd_positions(indices, out.shape(), call.name());
      if (lhs.bytes() != out.bytes()) copy_strided(lhs, dense(lhs), out, dense(out));
      scatter_rows(call.in(1), positions, out, nd_rows(out.shape(), indices.shape()));
    })
    .in_place()
    .no_grad_inputs(2)
    .keep_inputs({Keep::kShape, Keep::kShape, Keep::kData})
    .vjp([](Vjp& v) {
      const NDArray g = v.head(), indices = v.input(2);
      if (v.needs(0)) {
        const NDArray zeros = full(v.input_shape(1), v.input_dtype(1), 0);
        v.grad(0, fn::scatter_set(g, zeros, indices, scatter_params(g.shape())));
      }
      if (v.needs(1)) v.grad(1, fn::gather_nd(g, indices));
    })
    .doc("lhs with rhs written at the indices; in place with out=lhs.");

}  // namespace
}  // namespace mxtape

#include "op/common_params.h"
#include "op/declare.h"
#include "ops/linalg/gemm.h"
#include "ops/shared/axis_view.h"

namespace mxtape {
namespace {

void check_call(const InferCall& call) {
  call.expect_floating(0);
  call.expect_same_dtype();
}

// Other products have kernels of their own (ops/sparse/dot.cpp).
void expect_dense_result(const KernelCall& call, const DotParams& p) {
  if (p.forward_stype != ResultStorage::kNone && p.forward_stype != ResultStorage::kDefault) {
    fail(call.name(), ": the product of dense arrays is dense; use tostype() to convert it");
  }
}

// The matrices that `dot` multiplies: of lhs the last axis is summed over and the others are rows,
// or under transpose_a the first axis; of rhs the first axis, or under transpose_b the last.
struct DotSizes {
  int64_t m, n, k, rhs_k;
};
DotSizes dot_sizes(const Shape& lhs, const Shape& rhs, const DotParams& p) {
  const int a = p.transpose_a ? 0 : lhs.ndim() - 1, b = p.transpose_b ? rhs.ndim() - 1 : 0;
  return {AxisView(lhs, a).runs(), AxisView(rhs, b).runs(), lhs[a], rhs[b]};
}

void infer_dot(InferCall& call) {
  const auto& p = call.params<DotParams>();
  check_call(call);
  const Shape &lhs = call.shape(0), &rhs = call.shape(1);
  call.expect(lhs.ndim() > 0 && rhs.ndim() > 0, "arrays without axes cannot be multiplied");
  call.expect(lhs.ndim() > 1 || rhs.ndim() > 1 || !(p.transpose_a || p.transpose_b),
              "vectors cannot be transposed");
  call.expect(call.storage(1) != StorageType::kCsr || lhs.ndim() == 2,
              "lhs must be a matrix where rhs is csr");
  const DotSizes s = dot_sizes(lhs, rhs, p);
  call.expect(s.k == s.rhs_k, "lhs has ", s.k, " elements along the axis that is summed over, rhs ",
              s.rhs_k);
  Ints dims;
  const int a = p.transpose_a ? 0 : lhs.ndim() - 1, b = p.transpose_b ? rhs.ndim() - 1 : 0;
  for (int d = 0; d < lhs.ndim(); ++d) {
    if (d != a) dims.push_back(lhs[d]);
  }
  for (int d = 0; d < rhs.ndim(); ++d) {
    if (d != b) dims.push_back(rhs[d]);
  }
  if (dims.empty()) dims.push_back(1);
  call.output(0, Shape(dims), call.dtype(0));
}

void run_dot(const KernelCall& call) {
  const auto& p = call.params<DotParams>();
  const DotSizes s = dot_sizes(call.in(0).shape(), call.in(1).shape(), p);
  expect_dense_result(call, p);
  gemm({.dtype = call.out().dtype(),
        .m = s.m,
        .n = s.n,
        .k = s.k,
        .transpose_a = p.transpose_a,
        .transpose_b = p.transpose_b,
        .a = call.in(0).bytes(),
        .b = call.in(1).bytes(),
        .out = call.out().bytes()});
}

// Gradients of c = op(a) op(b) for matrices, or batches of them, in the storage order of a and b.
// `multiply` is dot or batch_dot. What is multiplied by a csr matrix on the right has a dense
// gradient.
NDArray grad_a(const fn::Op<DotParams>& multiply, const NDArray& g, const NDArray& b,
               const DotParams& p) {
  const ResultStorage dense = is_sparse(b) ? ResultStorage::kDefault : ResultStorage::kNone;
  if (p.transpose_a) return multiply(b, g, DotParams{p.transpose_b, true, dense});
  return multiply(g, b, DotParams{false, !p.transpose_b, dense});
}
NDArray grad_b(const fn::Op<DotParams>& multiply, const NDArray& g, const NDArray& a,
               const DotParams& p) {
  if (p.transpose_b) return multiply(g, a, DotParams{true, p.transpose_a});
  return multiply(a, g, DotParams{!p.transpose_a, false});
}

// An operand of dot as the matrix that it stands for.
NDArray as_matrix(const NDArray& x, bool first_axis) {
  const Shape& shape = x.shape();
  const int split = first_axis ? 1 : shape.ndim() - 1;
  return reshape(x, Shape{shape.product(0, split), shape.product(split, shape.ndim())});
}

void dot_vjp(Vjp& v) {
  const auto& p = v.params<DotParams>();
  const DotSizes s = dot_sizes(v.input_shape(0), v.input_shape(1), p);
  const NDArray g = reshape(v.head(), Shape{s.m, s.n});
  if (v.needs(0)) {
    const NDArray b = as_matrix(v.input(1), !p.transpose_b);
    v.grad(0, reshape(grad_a(fn::dot, g, b, p), v.input_shape(0)));
  }
  if (v.needs(1)) {
    const NDArray a = as_matrix(v.input(0), p.transpose_a);
    v.grad(1, reshape(grad_b(fn::dot, g, a, p), v.input_shape(1)));
  }
}

OP(dot)
    .inputs("lhs", "rhs")
    .params<DotParams>()
    .infer(infer_dot)
    .kernel(run_dot)
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp(dot_vjp)
    .linear(0, 1)
    .doc(
        "Product of vectors, matrices or arrays of more axes: sums over the last axis of lhs and "
        "the "
        "first axis of rhs. With transpose_a it is the first axis of lhs, with transpose_b the "
        "last of rhs. "
        "Two "
        "vectors give shape (1,).")
    .example(R"(
>>> a, b = mx.nd.array([[1, 2], [3, 4]]), mx.nd.array([[1, 0], [0, 10]])
>>> mx.nd.dot(a, b).asnumpy().tolist()
[[1.0, 20.0], [3.0, 40.0]]
>>> mx.nd.dot(a, b, transpose_a=True).asnumpy().tolist()
[[1.0, 30.0], [2.0, 40.0]]
>>> mx.nd.dot(mx.nd.ones((2, 3, 4)), mx.nd.ones((4, 5))).shape
(2, 3, 5)
)");

// The last two axes of a batch_dot operand, and the batch before them.
void infer_batch_dot(InferCall& call) {
  const auto& p = call.params<DotParams>();
  check_call(call);
  const Shape &lhs = call.shape(0), &rhs = call.shape(1);
  const int ndim = lhs.ndim();
  call.expect(ndim >= 3 && rhs.ndim() == ndim, "both arrays must have the same three or more axes");
  for (int d = 0; d < ndim - 2; ++d) {
    call.expect(lhs[d] == rhs[d], "the leading axes must have equal extents");
  }
  const int64_t k = lhs[ndim - (p.transpose_a ? 2 : 1)],
                rhs_k = rhs[ndim - (p.transpose_b ? 1 : 2)];
  call.expect(k == rhs_k, "lhs has ", k, " elements along the axis that is summed over, rhs ",
              rhs_k);
  Shape out = lhs;
  out[ndim - 2] = lhs[ndim - (p.transpose_a ? 1 : 2)];
  out[ndim - 1] = rhs[ndim - (p.transpose_b ? 2 : 1)];
  call.output(0, std::move(out), call.dtype(0));
}

void run_batch_dot(const KernelCall& call) {
  const auto& p = call.params<DotParams>();
  expect_dense_result(call, p);
  const Shape &lhs = call.in(0).shape(), &out = call.out().shape();
  const int ndim = lhs.ndim();
  gemm({.dtype = call.out().dtype(),
        .m = out[ndim - 2],
        .n = out[ndim - 1],
        .k = lhs[ndim - (p.transpose_a ? 2 : 1)],
        .transpose_a = p.transpose_a,
        .transpose_b = p.transpose_b,
        .batch = out.product(0, ndim - 2),
        .a = call.in(0).bytes(),
        .b = call.in(1).bytes(),
        .out = call.out().bytes()});
}

OP(batch_dot)
    .inputs("lhs", "rhs")
    .params<DotParams>()
    .infer(infer_batch_dot)
    .kernel(run_batch_dot)
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      const auto& p = v.params<DotParams>();
      if (v.needs(0)) v.grad(0, grad_a(fn::batch_dot, v.head(), v.input(1), p));
      if (v.needs(1)) v.grad(1, grad_b(fn::batch_dot, v.head(), v.input(0), p));
    })
    .linear(0, 1)
    .doc(
        "Matrix products over the last two axes, one for every index of the leading axes: "
        "(..., m, k) by (..., k, n) gives (..., m, n).")
    .example(R"(
>>> a = mx.nd.array([[[1, 2]], [[3, 4]]])  # two matrices of one row
>>> b = mx.nd.array([[[1], [1]], [[10], [1]]])  # two of one column
>>> mx.nd.batch_dot(a, b).asnumpy().tolist()
[[[3.0]], [[34.0]]]
>>> mx.nd.batch_dot(a, a, transpose_b=True).shape
(2, 1, 1)
)");

}  // namespace
}  // namespace mxtape

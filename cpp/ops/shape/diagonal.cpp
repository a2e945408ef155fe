#include <algorithm>

#include "op/declare.h"
#include "ops/shared/strided.h"

// Diagonals of arrays, and arrays with a diagonal.
namespace mxtape {
namespace {

struct DiagParams {
  int64_t k = 0;
  int64_t axis1 = 0;
  int64_t axis2 = 1;
  template <class V>
  void visit(V& v) {
    v("k", k, "Which diagonal: above the main one for positive numbers, below for negative ones.");
    v("axis1", axis1, "The axis of the rows, of an array of two or more.");
    v("axis2", axis2, "The axis of the columns, of an array of two or more.");
  }
};
const fn::Op<DiagParams> diag_op{"diag"};

struct DiagGradParams {
  Ints shape;
  int64_t k = 0;
  int64_t axis1 = 0;
  int64_t axis2 = 1;
  template <class V>
  void visit(V& v) {
    v.required("shape", shape, "Shape of the array that the diagonal was taken from.");
    v("k", k, "As in diag.");
    v("axis1", axis1, "As in diag.");
    v("axis2", axis2, "As in diag.");
  }
};
const fn::Op<DiagGradParams> diag_grad{"_backward_diag"};

// A diagonal of an array of two or more axes: what diag gives, and the walk over it in the array.
struct Diagonal {
  Shape shape;
  Strided walk;
};

Diagonal diagonal(const Shape& in, int64_t k, int64_t axis1, int64_t axis2, std::string_view op) {
  const int row = normalize_axis(axis1, in.ndim(), op);
  const int column = normalize_axis(axis2, in.ndim(), op);
  if (row == column) fail(op, ": axis1 and axis2 both name axis ", row);
  if (k > in[column] || k < -in[row]) {
    fail(op, ": an array of shape ", in, " has no diagonal ", k);
  }
  const int64_t length =
      k >= 0 ? std::min(in[row], in[column] - k) : std::min(in[row] + k, in[column]);
  const Ints strides = dense_strides(in);
  const auto stride = [&](int axis) { return strides[static_cast<size_t>(axis)]; };
  Diagonal result;
  Ints extents;
  for (int d = 0; d < in.ndim(); ++d) {
    if (d == row || d == column) continue;
    extents.push_back(in[d]);
    result.walk.axis(in[d], stride(d));
  }
  extents.push_back(length);
  result.walk.axis(length, stride(row) + stride(column));
  result.walk.offset = k >= 0 ? k * stride(column) : -k * stride(row);
  result.shape = Shape(extents);
  return result;
}

OP(diag)
    .inputs("data")
    .params<DiagParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<DiagParams>();
      const Shape& in = call.shape(0);
      call.expect(in.ndim() > 0, "data must have at least one axis");
      if (in.ndim() > 1) {
        const Diagonal d = diagonal(in, p.k, p.axis1, p.axis2, call.name());
        return call.output(0, d.shape, call.dtype(0));
      }
      constexpr int64_t kLimit = int64_t{1} << 31;
      call.expect(p.k > -kLimit && p.k < kLimit, "k is out of range");
      const int64_t extent = in[0] + std::abs(p.k);
      checked_size({extent, extent}, call.name());
      call.output(0, {extent, extent}, call.dtype(0));
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<DiagParams>();
      const NDArray &in = call.in(0), &out = call.out();
      if (in.ndim() > 1) {
        if (out.size() == 0) return;
        const Diagonal d = diagonal(in.shape(), p.k, p.axis1, p.axis2, call.name());
        return gather_strided(in, d.walk, out);
      }
      fill_zero(out);
      if (in.size() == 0) return;
      copy_strided(in, dense(in), out, diagonal(out.shape(), p.k, 0, 1, call.name()).walk);
    })
    .keep_input(0, Keep::kShape)
    .vjp([](Vjp& v) {
      const auto& p = v.params<DiagParams>();
      const Shape in = v.input_shape(0);
      if (in.ndim() == 1) return v.grad(0, diag_op(v.head(), DiagParams{p.k}));
      const DiagGradParams params{Ints(in.begin(), in.end()), p.k, p.axis1, p.axis2};
      v.grad(0, diag_grad(v.head(), params));
    })
    .method()
    .doc(
        "A diagonal of an array, as its last axis; of a vector, the square matrix that has it on a "
        "diagonal.")
    .example(R"(
>>> x = mx.nd.array([[1, 2, 3], [4, 5, 6]])
>>> mx.nd.diag(x).asnumpy().tolist()
[1.0, 5.0]
>>> mx.nd.diag(x, k=1).asnumpy().tolist()
[2.0, 6.0]
>>> mx.nd.diag(mx.nd.array([1, 2])).asnumpy().tolist()
[[1.0, 0.0], [0.0, 2.0]]
)");

OP(_backward_diag)
    .inputs("data")
    .params<DiagGradParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<DiagGradParams>();
      checked_size(Shape(p.shape), call.name());
      const Diagonal d = diagonal(Shape(p.shape), p.k, p.axis1, p.axis2, call.name());
      call.expect(call.shape(0) == d.shape, "data must have shape ", d.shape);
      call.output(0, Shape(p.shape), call.dtype(0));
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<DiagGradParams>();
      const NDArray &in = call.in(0), &out = call.out();
      fill_zero(out);
      if (in.size() == 0) return;
      const Diagonal d = diagonal(out.shape(), p.k, p.axis1, p.axis2, call.name());
      copy_strided(in, dense(in), out, d.walk);
    })
    .vjp([](Vjp& v) {
      const auto& p = v.params<DiagGradParams>();
      v.grad(0, diag_op(v.head(), DiagParams{p.k, p.axis1, p.axis2}));
    })
    .doc("Zeros of the given shape with data on a diagonal: the gradient of diag.");

}  // namespace
}  // namespace mxtape

#include "ops/linalg/linalg.h"

#include "ops/shape/transpose.h"

namespace mxtape::linalg {

const fn::Op<Gemm2Params> gemm2_op{"_linalg_gemm2"};
const fn::Op<TriangularParams> trmm_op{"_linalg_trmm"}, trsm_op{"_linalg_trsm"};
const fn::Op<TriangleParams> triangle_op{"_backward_linalg_triangle"};
const fn::Op<DiagParams> makediag_op{"_linalg_makediag"}, extractdiag_op{"_linalg_extractdiag"};

namespace {}  // namespace

NDArray multiply(const NDArray& a, const NDArray& b, bool transpose_a, bool transpose_b,
                 double alpha) {
  return gemm2_op(a, b, Gemm2Params{transpose_a, transpose_b, alpha});
}
NDArray trmm(const NDArray& a, const NDArray& b, TriangularParams p) { return trmm_op(a, b, p); }
NDArray trsm(const NDArray& a, const NDArray& b, TriangularParams p) { return trsm_op(a, b, p); }
NDArray triangle(const NDArray& x, TriangleParams p) { return triangle_op(x, p); }
NDArray transposed(const NDArray& x) { return fn::swap_axis(x, SwapAxisParams{-2, -1}); }
NDArray makediag(const NDArray& x) { return makediag_op(x, DiagParams{}); }
NDArray extractdiag(const NDArray& x) { return extractdiag_op(x, DiagParams{}); }

NDArray over_matrices(const NDArray& batch, int ndim) {
  Shape shape(ndim, 1);
  for (int d = 0; d < ndim - 2; ++d) shape[d] = batch.shape()[d];
  return reshape(batch, shape);
}

void expect_matrices(const InferCall& call, size_t i) {
  call.expect(call.shape(i).ndim() >= 2, call.op().inputs[i].name,
              " must have two or more axes: the last two hold matrices");
}

void expect_square(const InferCall& call, size_t i) {
  expect_matrices(call, i);
  const Shape& shape = call.shape(i);
  call.expect(shape[shape.ndim() - 2] == shape[shape.ndim() - 1], "the matrices in ",
              call.op().inputs[i].name, " must be square");
}

void expect_single_or_double(const InferCall& call) {
  call.expect(call.dtype(0) == DType::kFloat32 || call.dtype(0) == DType::kFloat64,
              "only float32 and float64 matrices can be taken");
  call.expect_same_dtype();
}

void expect_same_batch(const InferCall& call) {
  const Shape& first = call.shape(0);
  for (size_t i = 1; i < call.input_count(); ++i) {
    const Shape& shape = call.shape(i);
    call.expect(
        shape.ndim() == first.ndim() && std::equal(shape.begin(), shape.end() - 2, first.begin()),
        "all inputs must have the same axes before those of the matrices");
  }
}

Shape batch_shape(const Shape& matrices) {
  if (matrices.ndim() == 2) return {1};
  return Shape(matrices.dims().first(static_cast<size_t>(matrices.ndim() - 2)));
}

}  // namespace mxtape::linalg

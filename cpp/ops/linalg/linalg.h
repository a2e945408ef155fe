#pragma once

#include <algorithm>

#include "op/declare.h"
#include "runtime/parallel.h"

// What the linear algebra operators share. Each works on the matrices that the last two axes hold,
// one for every index of the axes before them.
namespace mxtape::linalg {

struct GemmParams {
  bool transpose_a = false, transpose_b = false;
  double alpha = 1, beta = 1;
  int64_t axis = -2;
  template <class V>
  void visit(V& v) {
    v("transpose_a", transpose_a, "Whether the matrices in A are transposed first.");
    v("transpose_b", transpose_b, "Whether the matrices in B are transposed first.");
    v("alpha", alpha, "Factor of the product.");
    v("beta", beta, "Factor of C; with 0 the values of C do not matter.");
    v("axis", axis, "The axis of the matrices' rows; their columns are always the last axis.");
  }
};

struct Gemm2Params {
  bool transpose_a = false, transpose_b = false;
  double alpha = 1;
  int64_t axis = -2;
  template <class V>
  void visit(V& v) {
    v("transpose_a", transpose_a, "Whether the matrices in A are transposed first.");
    v("transpose_b", transpose_b, "Whether the matrices in B are transposed first.");
    v("alpha", alpha, "Factor of the product.");
    v("axis", axis, "The axis of the matrices' rows; their columns are always the last axis.");
  }
};
extern const fn::Op<Gemm2Params> gemm2_op;

// Of trmm and trsm.
struct TriangularParams {
  bool transpose = false, rightside = false, lower = true;
  double alpha = 1;
  template <class V>
  void visit(V& v) {
    v("transpose", transpose, "Whether the triangular matrices are transposed.");
    v("rightside", rightside, "Whether the triangular matrices stand to the right of the others.");
    v("lower", lower, "Whether A is lower triangular; its other triangle is not read.");
    v("alpha", alpha, "Factor of B.");
  }
};
extern const fn::Op<TriangularParams> trmm_op, trsm_op;

// Of the operator that keeps one triangle.
struct TriangleParams {
  bool lower = true;
  double diagonal = 1;
  template <class V>
  void visit(V& v) {
    v("lower", lower, "Whether the lower triangle is kept, or the upper one.");
    v("diagonal", diagonal, "Factor of the diagonal.");
  }
};
extern const fn::Op<TriangleParams> triangle_op;

struct DiagParams {
  int64_t offset = 0;
  template <class V>
  void visit(V& v) {
    v("offset", offset, "Which diagonal: 0 the main one, 1 the one above it, -1 the one below.");
  }
};
extern const fn::Op<DiagParams> makediag_op, extractdiag_op;

// ---- Gradients

// op(a) op(b) times alpha, matrix by matrix.
NDArray multiply(const NDArray& a, const NDArray& b, bool transpose_a = false,
                 bool transpose_b = false, double alpha = 1);
NDArray trmm(const NDArray& a, const NDArray& b, TriangularParams p);
NDArray trsm(const NDArray& a, const NDArray& b, TriangularParams p);
// One triangle of the matrices, with zeros elsewhere.
NDArray triangle(const NDArray& x, TriangleParams p);
NDArray transposed(const NDArray& x);
inline NDArray plus_transposed(const NDArray& x) { return x + transposed(x); }
NDArray makediag(const NDArray& x);
NDArray extractdiag(const NDArray& x);
// One number for each matrix, with two axes of extent 1 that broadcast over it. `batch` has shape
// (1,) for a single matrix.
NDArray over_matrices(const NDArray& batch, int ndim);

// ---- Inference

void expect_matrices(const InferCall& call, size_t i = 0);
void expect_square(const InferCall& call, size_t i = 0);
// Decompositions have float32 and float64.
void expect_single_or_double(const InferCall& call);
// The axes before the matrices of all inputs are equal.
void expect_same_batch(const InferCall& call);
// The shape of one number for each matrix: the axes before them, or (1,).
Shape batch_shape(const Shape& matrices);

// ---- Kernels

inline int64_t rows(const NDArray& x) { return x.shape()[x.ndim() - 2]; }
inline int64_t columns(const NDArray& x) { return x.shape()[x.ndim() - 1]; }
inline int64_t matrix_count(const NDArray& x) { return x.shape().product(0, x.ndim() - 2); }

// Calls body(begin, end) over `count` matrices of which each takes about `work` operations.
template <class Body>
void for_matrices(int64_t count, int64_t work, Body&& body) {
  parallel_for(count, std::max<int64_t>(1, (1 << 16) / std::max<int64_t>(1, work)), body);
}

}  // namespace mxtape::linalg

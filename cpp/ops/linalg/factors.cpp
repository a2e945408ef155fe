#include <cmath>
#include <limits>

#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <Eigen/QR>

#include "op/common_params.h"
#include "ops/linalg/linalg.h"

// Factors with orthonormal rows: gelqf and syevd.
namespace mxtape::linalg {
namespace {

// A row-major matrix is the transposed one in Eigen's own, column-major order.
template <class T>
using Columns = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;

// ---- gelqf

template <class T>
void lq(const KernelCall& call) {
  const NDArray &a = call.in(0), &q = call.out(0), &l = call.out(1);
  const int64_t m = rows(a), n = columns(a);
  for_matrices(matrix_count(a), 2 * m * m * n, [&](int64_t begin, int64_t end) {
    Eigen::HouseholderQR<Columns<T>> qr(n, m);
    Columns<T> orthonormal(n, m);
    for (int64_t k = begin; k < end; ++k) {
      // The QR factors of A' are Q' and L'.
      qr.compute(Eigen::Map<const Columns<T>>(a.data<T>() + k * m * n, n, m));
      orthonormal.setIdentity();
      orthonormal.applyOnTheLeft(qr.householderQ());
      Eigen::Map<Columns<T>>(q.data<T>() + k * m * n, n, m) = orthonormal;
      Eigen::Map<Columns<T>> factor(l.data<T>() + k * m * m, m, m);
      factor.setZero();
      factor.template triangularView<Eigen::Upper>() = qr.matrixQR().topRows(m);
    }
  });
}

OP(_linalg_gelqf)
    .alias("linalg_gelqf")
    .inputs("A")
    .outputs(2)
    .infer([](InferCall& call) {
      expect_single_or_double(call);
      expect_matrices(call);
      const Shape& in = call.shape(0);
      const int last = in.ndim() - 1;
      call.expect(in[last - 1] <= in[last], "the matrices must not have more rows than columns");
      Shape l = in;
      l[last] = in[last - 1];
      call.output(0, in, call.dtype(0));
      call.output(1, l, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      if (call.out().size() == 0) return;
      dispatch<SingleOrDouble>(call.out().dtype(),
                               [&](auto tag) { lq<typename decltype(tag)::type>(call); });
    })
    .keep_output(0)
    .keep_output(1)
    .vjp([](Vjp& v) {
      // L'^-1 (G_Q + copyltu(M) Q), M = L' G_L - G_Q Q', where copyltu mirrors the lower triangle:
      // Seeger, Hetzel, Dai, Meissner and Lawrence 2017, Auto-differentiating linear algebra.
      const NDArray q = v.output(0), l = v.output(1), g = v.head(0);
      const NDArray m = trmm(l, v.head(1), {true}) - multiply(g, q, false, true);
      const NDArray mirrored = plus_transposed(triangle(m, {true, 0.5}));
      v.grad(0, trsm(l, g + multiply(mirrored, q), {true}));
    })
    .doc(
        "The factors Q, with orthonormal rows, and L, lower triangular, of A = L Q, for matrices "
        "with at least as many columns as rows. The gradient needs rows that are linearly "
        "independent. Gradient: Seeger et al., Auto-differentiating linear algebra, 2017.")
    .example(R"(
>>> A = mx.nd.array([[3, 4], [4, -3]])
>>> Q, L = mx.nd.linalg.gelqf(A)
>>> print(mx.nd.abs(L).asnumpy().round(4))
[[5. 0.]
 [0. 5.]]
>>> print(mx.nd.linalg.gemm2(L, Q).asnumpy().round(4))
[[ 3.  4.]
 [ 4. -3.]]
)");

// ---- syevd

// The largest component of each eigenvector, the first of equal ones, is positive.
template <class T>
void fix_sign(T* vector, int64_t n) {
  int64_t at = 0;
  for (int64_t i = 1; i < n; ++i) {
    if (std::abs(vector[i]) > std::abs(vector[at])) at = i;
  }
  if (vector[at] >= 0) return;
  for (int64_t i = 0; i < n; ++i) vector[i] = -vector[i];
}

template <class T>
void eigen_system(const KernelCall& call) {
  const NDArray &a = call.in(0), &u = call.out(0), &values = call.out(1);
  const int64_t n = columns(a);
  // Eigenvalues that cannot be found are NaN, as those of matrices that hold NaN.
  for_matrices(matrix_count(a), 9 * n * n * n, [&](int64_t begin, int64_t end) {
    Eigen::SelfAdjointEigenSolver<Columns<T>> solver(n);
    Columns<T> matrix(n, n);
    for (int64_t k = begin; k < end; ++k) {
      T *vectors = u.data<T>() + k * n * n, *lambda = values.data<T>() + k * n;
      matrix = Eigen::Map<const Columns<T>>(a.data<T>() + k * n * n, n, n).transpose();
      // What lies above the diagonal is not looked at, NaN included.
      matrix.template triangularView<Eigen::StrictlyUpper>().setZero();
      const bool finite = matrix.allFinite();
      if (finite) solver.compute(matrix);
      if (!finite || solver.info() != Eigen::Success) {
        constexpr T kNan = std::numeric_limits<T>::quiet_NaN();
        std::fill(vectors, vectors + n * n, kNan);
        std::fill(lambda, lambda + n, kNan);
        continue;
      }
      Eigen::Map<Columns<T>>(vectors, n, n) = solver.eigenvectors();
      std::copy_n(solver.eigenvalues().data(), n, lambda);
      for (int64_t i = 0; i < n; ++i) fix_sign(vectors + i * n, n);
    }
  });
}

// 1 / (lambda_j - lambda_i), and 0 where the two are equal up to rounding: what depends on an
// eigenspace, but not on the choice of vectors in it, needs no more.
NDArray reciprocal_gaps(const NDArray& lambda) {
  const int last = lambda.ndim() - 1;
  const NDArray gaps = expand_dims(lambda, last) - expand_dims(lambda, last + 1);
  const double epsilon = lambda.dtype() == DType::kFloat32 ? std::numeric_limits<float>::epsilon()
                                                           : std::numeric_limits<double>::epsilon();
  const auto n = static_cast<double>(lambda.shape()[last]);
  const NDArray largest = fn::max(fn::abs(lambda.detached()), ReduceParams{Ints{last}, true});
  const NDArray apart =
      fn::greater(fn::abs(gaps.detached()), expand_dims(largest, last) * (n * epsilon));
  return apart / (gaps + (1 - apart));
}

OP(_linalg_syevd)
    .inputs("A")
    .outputs(2)
    .infer([](InferCall& call) {
      expect_single_or_double(call);
      expect_square(call);
      const Shape& in = call.shape(0);
      call.output(0, in, call.dtype(0));
      call.output(1, Shape(in.dims().first(static_cast<size_t>(in.ndim() - 1))), call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      if (call.out().size() == 0) return;
      dispatch<SingleOrDouble>(call.out().dtype(),
                               [&](auto tag) { eigen_system<typename decltype(tag)::type>(call); });
    })
    .keep_output(0)
    .keep_output(1)
    .vjp([](Vjp& v) {
      // U' (diag(g) + sym(G U' * F)) U, F_ij = 1 / (lambda_j - lambda_i): Giles 2008, 3.1, for
      // eigenvectors in rows.
      const NDArray u = v.output(0);
      NDArray inner;
      if (v.has_head(1)) inner = makediag(v.head(1));
      if (v.has_head(0) && u.size()) {
        const NDArray turned = multiply(u, v.head(0), false, true) * reciprocal_gaps(v.output(1));
        const NDArray mixed = plus_transposed(turned) * 0.5;
        inner = inner.defined() ? inner + mixed : mixed;
      }
      if (!inner.defined()) inner = fn::zeros_like(u);
      v.grad(0, multiply(multiply(u, inner, true), u));
    })
    .doc(
        "Eigenvectors, as the rows of U, and eigenvalues L, in ascending order, of symmetric "
        "matrices: A = U' diag(L) U. Only the lower triangle of A is read; the gradient is "
        "symmetric. Eigenvalues that are equal add nothing to it through their vectors. Gradient: "
        "M. Giles, Collected matrix derivative results, 2008.")
    .example(R"(
>>> U, L = mx.nd.linalg.syevd(mx.nd.array([[2, 1], [1, 2]]))
>>> print(L.asnumpy().round(4))
[1. 3.]
>>> A = mx.nd.dot(mx.nd.dot(U.T, mx.nd.diag(L)), U)
>>> print(A.asnumpy().round(4))
[[2. 1.]
 [1. 2.]]
)");

}  // namespace
}  // namespace mxtape::linalg

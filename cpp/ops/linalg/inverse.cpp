#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include <Eigen/Core>
#include <Eigen/LU>
#include <Eigen/SVD>

#include "ops/linalg/linalg.h"

// Inverses and determinants of square matrices.
namespace mxtape::linalg {
namespace {

const fn::Op<> inverse_op{"_linalg_inverse"}, cofactor_op{"_backward_linalg_cofactor"};

// A row-major matrix is the transposed one in Eigen's own order. That has the transposed inverse
// and the same determinant.
template <class T>
using Columns = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;
template <class T>
using Factors = Eigen::PartialPivLU<Columns<T>>;

template <class T>
Eigen::Map<const Columns<T>> matrix_at(const NDArray& x, int64_t k, int64_t n) {
  return {x.data<T>() + k * n * n, n, n};
}

// Calls f(k, lu) with the LU factors of each matrix.
template <class T, class F>
void for_factors(const NDArray& a, F&& f) {
  const int64_t n = columns(a);
  for_matrices(matrix_count(a), n * n * n, [&](int64_t begin, int64_t end) {
    Factors<T> lu(n);
    for (int64_t k = begin; k < end; ++k) {
      lu.compute(matrix_at<T>(a, k, n));
      f(k, lu);
    }
  });
}

// ---- inverse

template <class T>
void invert(const KernelCall& call) {
  const NDArray &a = call.in(0), &out = call.out();
  const int64_t n = columns(a), count = matrix_count(a);
  // The result is put in place when all matrices are known to have one.
  const NDArray inverses = NDArray::empty(out.shape(), out.dtype());
  std::vector<uint8_t> singular(static_cast<size_t>(count));
  for_factors<T>(a, [&](int64_t k, const Factors<T>& lu) {
    singular[static_cast<size_t>(k)] = (lu.matrixLU().diagonal().array() == T(0)).any();
    Eigen::Map<Columns<T>>(inverses.data<T>() + k * n * n, n, n) = lu.inverse();
  });
  for (int64_t k = 0; k < count; ++k) {
    if (!singular[static_cast<size_t>(k)]) continue;
    fail(call.name(), ": ", a.ndim() == 2 ? "the matrix" : str_cat("matrix ", k, " of the batch"),
         " is singular: it has no inverse [given A of shape ", a.shape(), " and dtype ", a.dtype(),
         "]");
  }
  std::memcpy(out.bytes(), inverses.bytes(), out.nbytes());
}

OP(_linalg_inverse)
    .alias("linalg_inverse")
    .inputs("A")
    .infer([](InferCall& call) {
      expect_single_or_double(call);
      expect_square(call);
      call.output(0, call.shape(0), call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      if (call.out().size() == 0) return;
      dispatch<SingleOrDouble>(call.out().dtype(),
                               [&](auto tag) { invert<typename decltype(tag)::type>(call); });
    })
    .keep_output()
    .vjp([](Vjp& v) {
      const NDArray y = v.output();
      v.grad(0, multiply(multiply(y, v.head(), true), y, false, true, -1));
    })
    .doc("The inverses of square matrices. A singular matrix is an error.")
    .example(R"(
>>> A = mx.nd.array([[2, 1], [1, 1]])
>>> print(mx.nd.linalg.inverse(A).asnumpy().round(4))
[[ 1. -1.]
 [-1.  2.]]
)");

// ---- det and slogdet

void infer_determinant(InferCall& call) {
  expect_single_or_double(call);
  expect_square(call);
  call.output(0, batch_shape(call.shape(0)), call.dtype(0));
}

template <class T>
void determinants(const KernelCall& call) {
  T* out = call.out().data<T>();
  for_factors<T>(call.in(0), [&](int64_t k, const Factors<T>& lu) { out[k] = lu.determinant(); });
}

// The sign, 0 for a singular matrix, and the logarithm of the absolute value.
template <class T>
void log_determinants(const KernelCall& call) {
  T *signs = call.out(0).data<T>(), *logs = call.out(1).data<T>();
  for_factors<T>(call.in(0), [&](int64_t k, const Factors<T>& lu) {
    T sign = static_cast<T>(lu.permutationP().determinant()), log = 0;
    const auto diagonal = lu.matrixLU().diagonal();
    for (int64_t i = 0; i < diagonal.size(); ++i) {
      const T pivot = diagonal[i];
      // NaN stays NaN.
      sign *= pivot > 0 ? T(1) : pivot < 0 ? T(-1) : pivot;
      log += std::log(std::abs(pivot));
    }
    signs[k] = sign;
    logs[k] = log;
  });
}

// The cofactors of any matrix from its singular values: with A = U S V', they are
// det(U) det(V) U diag(products of all other singular values) V'.
template <class T>
void cofactors_by_svd(const Eigen::Map<const Columns<T>>& a, Eigen::Map<Columns<T>>& out) {
  const int64_t n = a.rows();
  const Eigen::JacobiSVD<Columns<double>> svd(a.template cast<double>(),
                                              Eigen::ComputeFullU | Eigen::ComputeFullV);
  const auto& s = svd.singularValues();
  Eigen::VectorXd others = Eigen::VectorXd::Ones(n);
  double before = 1, after = 1;
  for (int64_t i = 0; i < n; ++i) {
    others[i] *= before;
    before *= s[i];
    others[n - 1 - i] *= after;
    after *= s[n - 1 - i];
  }
  const double sign = svd.matrixU().determinant() * svd.matrixV().determinant();
  out = (std::copysign(1.0, sign) * svd.matrixU() * others.asDiagonal() * svd.matrixV().transpose())
            .template cast<T>();
}

template <class T>
void cofactors(const KernelCall& call) {
  const NDArray &a = call.in(0), &out = call.out();
  const int64_t n = columns(a);
  const T threshold = std::sqrt(std::numeric_limits<T>::epsilon());
  for_factors<T>(a, [&](int64_t k, const Factors<T>& lu) {
    Eigen::Map<Columns<T>> result(out.data<T>() + k * n * n, n, n);
    const auto pivots = lu.matrixLU().diagonal().array().abs();
    // Near a singular matrix the determinant and the inverse are small and large, and both wrong.
    if (matrix_at<T>(a, k, n).allFinite() && pivots.minCoeff() <= threshold * pivots.maxCoeff()) {
      cofactors_by_svd<T>(matrix_at<T>(a, k, n), result);
    } else {
      result = lu.inverse().transpose() * lu.determinant();
    }
  });
}

OP(_backward_linalg_cofactor)
    .inputs("A")
    .infer([](InferCall& call) {
      expect_single_or_double(call);
      expect_square(call);
      call.output(0, call.shape(0), call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      if (call.out().size() == 0) return;
      dispatch<SingleOrDouble>(call.out().dtype(),
                               [&](auto tag) { cofactors<typename decltype(tag)::type>(call); });
    })
    .keep_input()
    .keep_output()
    .vjp([](Vjp& v) {
      // C = det(A) B', B = A^-1: dC = tr(B dA) C - C dA' B'.
      const NDArray b = inverse_op(v.input(0)), c = v.output(), g = v.head();
      const int ndim = c.ndim();
      const NDArray trace = sum(g * c, {ndim - 2, ndim - 1}, true);
      v.grad(0, trace * transposed(b) - multiply(multiply(c, g, false, true), b, false, true));
    })
    .doc(
        "The matrices of cofactors: the gradients of determinants. Those of singular matrices too; "
        "their own gradient needs an inverse.");

OP(_linalg_det)
    .alias("linalg_det")
    .inputs("A")
    .infer(infer_determinant)
    .kernel([](const KernelCall& call) {
      dispatch<SingleOrDouble>(call.out().dtype(),
                               [&](auto tag) { determinants<typename decltype(tag)::type>(call); });
    })
    .keep_input()
    .vjp([](Vjp& v) {
      const NDArray a = v.input(0);
      v.grad(0, over_matrices(v.head(), a.ndim()) * cofactor_op(a));
    })
    .doc("The determinants of square matrices. A single matrix gives shape (1,).")
    .example(R"(
>>> A = mx.nd.array([[[1, 2], [3, 4]], [[2, 0], [0, 5]]])
>>> print(mx.nd.linalg.det(A).asnumpy().round(4))
[-2. 10.]
)");

OP(_linalg_slogdet)
    .alias("linalg_slogdet")
    .inputs("A")
    .outputs(2)
    .infer([](InferCall& call) {
      infer_determinant(call);
      call.output(1, batch_shape(call.shape(0)), call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      dispatch<SingleOrDouble>(call.out().dtype(), [&](auto tag) {
        log_determinants<typename decltype(tag)::type>(call);
      });
    })
    .keep_input()
    .keep_output(0)
    .vjp([](Vjp& v) {
      // The inverse, transposed. A singular matrix has no gradient; as in MXNet it gets zeros.
      const NDArray a = v.input(0);
      const NDArray regular = fn::abs(over_matrices(v.output(0).detached(), a.ndim()));
      const NDArray ones =
          full(Shape(a.shape().dims().first(static_cast<size_t>(a.ndim() - 1))), a.dtype(), 1);
      const NDArray b = inverse_op(a + (1 - regular) * makediag(ones));
      v.grad(0, over_matrices(v.head(1), a.ndim()) * regular * transposed(b));
    })
    .doc(
        "The signs of the determinants of square matrices, 0 for a singular one, and the "
        "logarithms "
        "of their absolute values.")
    .example(R"(
>>> sign, logarithm = mx.nd.linalg.slogdet(mx.nd.array([[0, 2], [1, 0]]))
>>> print(sign.asnumpy(), logarithm.asnumpy().round(4))  # of -2
[-1.] [0.6931]
)");

}  // namespace
}  // namespace mxtape::linalg

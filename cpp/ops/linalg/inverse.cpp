#include <algorithm>
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

const fn::Op<> inverse_op{"_linalg_inverse"}, cofactor_op{"_backward_linalg_cofactor"},
    cofactor_change_op{"_backward_linalg_cofactor_change"};

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

// A product whose steps may leave the range: of pivots 1e30, 1e30, 1e-30, 1e-30.
struct Product {
  double mantissa = 1;
  int64_t exponent = 0;

  void operator*=(double factor) {
    int shift = 0;
    mantissa = std::frexp(mantissa * factor, &shift);
    exponent += shift;
  }
  static double power(int64_t exponent) {
    return std::ldexp(1.0, static_cast<int>(std::clamp<int64_t>(exponent, -2200, 2200)));
  }
  // x times the product, in two steps: the powers of two may be out of range where x is small.
  double times(double x) const {
    return x * mantissa * power(exponent / 2) * power(exponent - exponent / 2);
  }
};

template <class LU>
Product determinant_of(const LU& lu) {
  Product det;
  det *= static_cast<double>(lu.permutationP().determinant());
  const auto diagonal = lu.matrixLU().diagonal();
  for (int64_t i = 0; i < diagonal.size(); ++i) det *= static_cast<double>(diagonal[i]);
  return det;
}

template <class T>
void determinants(const KernelCall& call) {
  T* out = call.out().data<T>();
  for_factors<T>(call.in(0), [&](int64_t k, const Factors<T>& lu) {
    out[k] = static_cast<T>(determinant_of(lu).times(1));
  });
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

using Square = Columns<double>;

// A matrix brought to entries of size 1 by powers of two, for each row and each column; a cofactor
// of the original is at(i, j) times that of `entries`.
struct Balanced {
  Square entries;
  std::vector<int> row, column;
  int64_t total = 0;

  explicit Balanced(const Square& a)
      : entries(a), row(static_cast<size_t>(a.rows())), column(row.size()) {
    const auto balance = [this](auto&& line, int& power) {
      const double size = line.cwiseAbs().maxCoeff();
      if (!(size > 0) || !std::isfinite(size)) return;
      power = std::ilogb(size);
      line *= Product::power(-power);
      total += power;
    };
    for (int64_t i = 0; i < a.rows(); ++i) balance(entries.row(i), row[static_cast<size_t>(i)]);
    for (int64_t j = 0; j < a.cols(); ++j) balance(entries.col(j), column[static_cast<size_t>(j)]);
  }
  int power_of(int64_t i, int64_t j) const {
    return row[static_cast<size_t>(i)] + column[static_cast<size_t>(j)];
  }
  // A change of the original, as one of `entries`.
  Square scaled(const Square& change) const {
    Square x = change;
    for (int64_t j = 0; j < x.cols(); ++j) {
      for (int64_t i = 0; i < x.rows(); ++i) x(i, j) = std::ldexp(x(i, j), -power_of(i, j));
    }
    return x;
  }
  template <class Out>
  void restore(const Square& cofactors, Out& out) const {
    for (int64_t j = 0; j < cofactors.cols(); ++j) {
      for (int64_t i = 0; i < cofactors.rows(); ++i) {
        const Product factor{1, total - power_of(i, j)};
        out(i, j) = static_cast<typename Out::Scalar>(factor.times(cofactors(i, j)));
      }
    }
  }
};

// Near a singular matrix the determinant and the inverse are small and large, and both wrong.
template <class LU>
bool is_regular(const LU& lu) {
  using T = typename LU::Scalar;
  const auto pivots = lu.matrixLU().diagonal().array().abs().eval();
  return pivots.minCoeff() > std::sqrt(std::numeric_limits<T>::epsilon()) * pivots.maxCoeff();
}

template <class LU, class Out>
void cofactors_by_inverse(const LU& lu, Out&& out) {
  using T = typename LU::Scalar;
  const Product det = determinant_of(lu);
  out = lu.inverse().transpose().unaryExpr(
      [&](T x) { return static_cast<T>(det.times(static_cast<double>(x))); });
}

// A = U S V' of any matrix, and the sign of det(U) det(V).
struct SingularValues {
  // A square matrix needs no QR factors first, and so no code for them.
  Eigen::JacobiSVD<Square, Eigen::NoQRPreconditioner> svd;
  double sign;

  explicit SingularValues(const Square& a)
      : svd(a, Eigen::ComputeFullU | Eigen::ComputeFullV),
        sign(std::copysign(1.0, svd.matrixU().determinant() * svd.matrixV().determinant())) {}

  // The product of all but values i and j.
  double others(int64_t i, int64_t j) const {
    double product = 1;
    for (int64_t k = 0; k < svd.singularValues().size(); ++k) {
      if (k != i && k != j) product *= svd.singularValues()[k];
    }
    return product;
  }
  // U X V', with the sign.
  Square back(const Square& x) const {
    return sign * (svd.matrixU() * x * svd.matrixV().transpose());
  }
};

// The cofactors are sign * U diag(products of all other singular values) V'.
Square cofactors_by_svd(const Square& a) {
  const SingularValues values(a);
  Square x = Square::Zero(a.rows(), a.cols());
  for (int64_t i = 0; i < a.rows(); ++i) x(i, i) = values.others(i, i);
  return values.back(x);
}

template <class T>
void cofactors(const KernelCall& call) {
  const NDArray &a = call.in(0), &out = call.out();
  const int64_t n = columns(a);
  for_factors<T>(a, [&](int64_t k, const Factors<T>& lu) {
    Eigen::Map<Columns<T>> result(out.data<T>() + k * n * n, n, n);
    const auto matrix = matrix_at<T>(a, k, n);
    if (is_regular(lu) || !matrix.allFinite()) return cofactors_by_inverse(lu, result);
    const Balanced balanced(matrix.template cast<double>());
    const Factors<double> better(balanced.entries);
    Square c(n, n);
    if (is_regular(better)) {
      cofactors_by_inverse(better, c);
    } else {
      c = cofactors_by_svd(balanced.entries);
    }
    balanced.restore(c, result);
  });
}

// How the cofactors C of A change with A, in the direction E. With B = A^-1 that is
// tr(B E) C - C E' B'.
Square change_by_inverse(const Factors<double>& lu, const Square& e) {
  const Square b = lu.inverse();
  Square c(e.rows(), e.cols());
  cofactors_by_inverse(lu, c);
  return (b * e).trace() * c - c * e.transpose() * b.transpose();
}

// Of any matrix: with P = U' E V and w_ij the product of all singular values but i and j, it is
// sign * U X V' with x_ii the sum of w_ij p_jj over j != i, and x_ij = -w_ij p_ji.
Square change_by_svd(const Square& a, const Square& e) {
  const SingularValues values(a);
  const Square p = values.svd.matrixU().transpose() * e * values.svd.matrixV();
  Square x = Square::Zero(a.rows(), a.cols());
  for (int64_t i = 0; i < a.rows(); ++i) {
    for (int64_t j = 0; j < a.cols(); ++j) {
      if (i == j) continue;
      const double w = values.others(i, j);
      x(i, i) += w * p(j, j);
      x(i, j) = -w * p(j, i);
    }
  }
  return values.back(x);
}

template <class T>
void cofactor_changes(const KernelCall& call) {
  const NDArray &a = call.in(0), &direction = call.in(1), &out = call.out();
  const int64_t n = columns(a);
  for_matrices(matrix_count(a), 8 * n * n * n, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      Eigen::Map<Columns<T>> result(out.data<T>() + k * n * n, n, n);
      const Balanced balanced(matrix_at<T>(a, k, n).template cast<double>());
      const Square e = balanced.scaled(matrix_at<T>(direction, k, n).template cast<double>());
      const Factors<double> lu(balanced.entries);
      const bool regular = is_regular(lu) || !balanced.entries.allFinite();
      balanced.restore(regular ? change_by_inverse(lu, e) : change_by_svd(balanced.entries, e),
                       result);
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
    .vjp([](Vjp& v) { v.grad(0, cofactor_change_op(v.input(0), v.head())); })
    .doc(
        "The matrices of cofactors: the gradients of determinants. Those of singular matrices "
        "too.");

OP(_backward_linalg_cofactor_change)
    .inputs("A", "E")
    .infer([](InferCall& call) {
      expect_single_or_double(call);
      call.expect_same_dtype();
      expect_square(call);
      call.expect(call.shape(0) == call.shape(1), "E must have A's shape");
      call.output(0, call.shape(0), call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      if (call.out().size() == 0) return;
      dispatch<SingleOrDouble>(call.out().dtype(), [&](auto tag) {
        cofactor_changes<typename decltype(tag)::type>(call);
      });
    })
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      const NDArray a = v.input(0), e = v.input(1), f = v.head();
      // The second derivative of a determinant is symmetric, and so is the third.
      if (v.needs(1)) v.grad(1, cofactor_change_op(a, f));
      if (!v.needs(0)) return;
      const int ndim = a.ndim();
      const auto trace = [&](const NDArray& x, const NDArray& y) {  // of x y
        return sum(x * transposed(y), {ndim - 2, ndim - 1}, true);
      };
      const NDArray b = inverse_op(a), c = cofactor_op(a), df = cofactor_change_op(a, f);
      const NDArray eb = multiply(e, b, true, true), fb = multiply(f, b, true, true);
      v.grad(0, trace(b, e) * df - trace(multiply(b, f), multiply(b, e)) * c - multiply(df, eb) +
                    multiply(multiply(c, eb), fb));
    })
    .doc(
        "How the matrices of cofactors of A change in the directions E. Those of singular matrices "
        "too; its gradient with respect to A needs an inverse.");

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
      const NDArray b = inverse_op(a * regular + (1 - regular) * makediag(ones));
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

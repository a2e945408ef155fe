#include <atomic>
#include <cstring>

#include <Eigen/Cholesky>
#include <Eigen/Core>

#include "ops/linalg/linalg.h"

// Triangular matrices: their products, their equations, and the Cholesky factors.
namespace mxtape::linalg {
namespace {

template <class T, int Order>
using MatrixOf = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Order>;
template <class Matrix>
using Piece = Eigen::Map<Matrix, 0, Eigen::OuterStride<>>;

// ---- trmm and trsm

void infer_triangular(InferCall& call) {
  const auto& p = call.params<TriangularParams>();
  expect_single_or_double(call);
  expect_square(call);
  expect_matrices(call, 1);
  expect_same_batch(call);
  const Shape &a = call.shape(0), &b = call.shape(1);
  call.expect(a[a.ndim() - 1] == b[b.ndim() - (p.rightside ? 1 : 2)],
              "the matrices do not fit: those in A have order ", a[a.ndim() - 1], ", those in B ",
              b[b.ndim() - 2], " rows and ", b[b.ndim() - 1], " columns");
  call.output(0, b, call.dtype(0));
}

// Calls f with op(A) as a triangular view: a transposed matrix is the same memory in column order.
template <class T, class F>
void with_triangle(const T* a, int64_t n, const TriangularParams& p, F&& f) {
  const Eigen::Map<const MatrixOf<T, Eigen::RowMajor>> matrix(a, n, n);
  const Eigen::Map<const MatrixOf<T, Eigen::ColMajor>> turned(a, n, n);
  if (p.transpose) {
    if (p.lower) {
      f(turned.template triangularView<Eigen::Upper>());
    } else {
      f(turned.template triangularView<Eigen::Lower>());
    }
  } else if (p.lower) {
    f(matrix.template triangularView<Eigen::Lower>());
  } else {
    f(matrix.template triangularView<Eigen::Upper>());
  }
}

// Columns of B, or under rightside its rows, are computed apart from each other, in pieces of this
// many.
constexpr int64_t kPiece = 128;

// Calls f(op(A), in, out) for pieces of B and of the result.
template <class T, class F>
void for_pieces(const KernelCall& call, F&& f) {
  const auto& p = call.params<TriangularParams>();
  const NDArray &a = call.in(0), &b = call.in(1), &out = call.out();
  if (out.size() == 0) return;
  const int64_t n = columns(a), height = rows(b), width = columns(b);
  const int64_t free = p.rightside ? height : width, pieces = (free + kPiece - 1) / kPiece;
  for_matrices(
      matrix_count(b) * pieces, n * n * std::min(free, kPiece), [&](int64_t begin, int64_t end) {
        for (int64_t t = begin; t < end; ++t) {
          const int64_t first = t % pieces * kPiece, count = std::min(kPiece, free - first);
          const int64_t at = t / pieces * height * width + first * (p.rightside ? width : 1);
          const int64_t high = p.rightside ? count : height, wide = p.rightside ? width : count;
          const Piece<const MatrixOf<T, Eigen::RowMajor>> in(b.data<T>() + at, high, wide,
                                                             Eigen::OuterStride<>(width));
          Piece<MatrixOf<T, Eigen::RowMajor>> result(out.data<T>() + at, high, wide,
                                                     Eigen::OuterStride<>(width));
          with_triangle(a.data<T>() + t / pieces * n * n, n, p,
                        [&](const auto& triangle) { f(triangle, in, result); });
        }
      });
}

// The gradient of A in op(A) B, or in B op(A), when g flows into the product. For op(A) it is g B',
// or B' g from the right side; for A the same, transposed where A was.
NDArray product_grad(const NDArray& b, const NDArray& g, const TriangularParams& p, double alpha) {
  const bool g_first = p.transpose == p.rightside;
  const NDArray full = multiply(g_first ? g : b, g_first ? b : g, p.rightside, !p.rightside, alpha);
  return triangle(full, {p.lower});
}

OP(_linalg_trmm)
    .alias("linalg_trmm")
    .inputs("A", "B")
    .params<TriangularParams>()
    .infer(infer_triangular)
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<TriangularParams>();
      dispatch<SingleOrDouble>(call.out().dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        const auto alpha = static_cast<T>(p.alpha);
        for_pieces<T>(call, [&](const auto& triangle, const auto& b, auto& out) {
          if (p.rightside) {
            out.noalias() = b * triangle;
          } else {
            out.noalias() = triangle * b;
          }
          if (alpha != T(1)) out *= alpha;
        });
      });
    })
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      const auto& p = v.params<TriangularParams>();
      const NDArray g = v.head();
      if (v.needs(0)) v.grad(0, product_grad(v.input(1), g, p, p.alpha));
      if (v.needs(1)) {
        v.grad(1, trmm(v.input(0), g, {!p.transpose, p.rightside, p.lower, p.alpha}));
      }
    })
    .doc(
        "alpha op(A) B, or alpha B op(A) from the right side, with triangular matrices A: only one "
        "triangle of A is read.")
    .example(R"(
>>> A = mx.nd.array([[1, 99], [1, 2]])  # 99 is not read
>>> B = mx.nd.array([[1, 10], [100, 1000]])
>>> mx.nd.linalg.trmm(A, B).asnumpy().tolist()
[[1.0, 10.0], [201.0, 2010.0]]
>>> mx.nd.linalg.trmm(A, B, rightside=True).asnumpy().tolist()
[[11.0, 20.0], [1100.0, 2000.0]]
)");

OP(_linalg_trsm)
    .alias("linalg_trsm")
    .inputs("A", "B")
    .params<TriangularParams>()
    .infer(infer_triangular)
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<TriangularParams>();
      dispatch<SingleOrDouble>(call.out().dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        const auto alpha = static_cast<T>(p.alpha);
        for_pieces<T>(call, [&](const auto& triangle, const auto& b, auto& out) {
          out = alpha * b;
          if (p.rightside) {
            triangle.template solveInPlace<Eigen::OnTheRight>(out);
          } else {
            triangle.template solveInPlace<Eigen::OnTheLeft>(out);
          }
        });
      });
    })
    .keep_inputs({Keep::kData, Keep::kNothing})
    .keep_output()
    .vjp([](Vjp& v) {
      // With Y = op(A)'^-1 g, of B: alpha Y, and of op(A): -Y X' (Giles 2008, 2.3.1).
      const auto& p = v.params<TriangularParams>();
      const NDArray y = trsm(v.input(0), v.head(), {!p.transpose, p.rightside, p.lower, 1});
      if (v.needs(0)) v.grad(0, product_grad(v.output(), y, p, -1));
      if (v.needs(1)) v.grad(1, p.alpha == 1 ? y : y * p.alpha);
    })
    .doc(
        "The solution X of op(A) X = alpha B, or of X op(A) = alpha B from the right side, with "
        "triangular matrices A: only one triangle of A is read. A zero on the diagonal of A gives "
        "infinities. Gradient: M. Giles, Collected matrix derivative results, 2008.")
    .example(R"(
>>> A = mx.nd.array([[1, 99], [1, 2]])  # 99 is not read
>>> X = mx.nd.linalg.trsm(A, mx.nd.array([[1], [5]]))
>>> X.asnumpy().tolist()
[[1.0], [2.0]]
)");

// ---- potrf and potri

void infer_square(InferCall& call) {
  expect_single_or_double(call);
  expect_square(call);
  call.output(0, call.shape(0), call.dtype(0));
}

// The first matrix that a kernel cannot take. Found before anything is written to the output.
class FirstBad {
 public:
  void report(int64_t matrix) {
    int64_t first = first_.load();
    while (matrix < first && !first_.compare_exchange_weak(first, matrix)) {
    }
  }
  void check(const KernelCall& call, const char* what) const {
    if (first_ == INT64_MAX) return;
    const Shape& shape = call.in(0).shape();
    const std::string which =
        shape.ndim() == 2 ? "the matrix" : str_cat("matrix ", first_.load(), " of the batch");
    fail(call.name(), ": ", which, " ", what, " [given A of shape ", shape, " and dtype ",
         call.in(0).dtype(), "]");
  }

 private:
  std::atomic<int64_t> first_{INT64_MAX};
};

template <class T>
void cholesky(const KernelCall& call) {
  const NDArray &a = call.in(0), &out = call.out();
  const int64_t n = columns(a), count = matrix_count(a);
  const NDArray factors = NDArray::empty(a.shape(), a.dtype());
  FirstBad bad;
  for_matrices(count, n * n * n / 3, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      T* matrix = factors.data<T>() + k * n * n;
      std::memcpy(matrix, a.data<T>() + k * n * n, static_cast<size_t>(n * n) * sizeof(T));
      Eigen::Map<MatrixOf<T, Eigen::RowMajor>> map(matrix, n, n);
      const Eigen::LLT<Eigen::Ref<MatrixOf<T, Eigen::RowMajor>>> factor(map);
      if (factor.info() != Eigen::Success) bad.report(k);
    }
  });
  bad.check(call, "is not positive definite");
  for_matrices(count * n, n, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T* from = factors.data<T>() + row * n;
      T* to = out.data<T>() + row * n;
      const int64_t kept = row % n + 1;
      std::copy(from, from + kept, to);
      std::fill(to + kept, to + n, T(0));
    }
  });
}

OP(_linalg_potrf)
    .alias("linalg_potrf")
    .inputs("A")
    .infer(infer_square)
    .kernel([](const KernelCall& call) {
      dispatch<SingleOrDouble>(call.out().dtype(), [&](auto tag) {
        if (call.out().size()) cholesky<typename decltype(tag)::type>(call);
      });
    })
    .keep_output()
    .vjp([](Vjp& v) {
      // sym(L'^-1 Phi(L' G) L^-1), where Phi keeps the lower triangle and halves its diagonal:
      // Murray 2016, Differentiation of the Cholesky decomposition, section 3.
      const NDArray l = v.output();
      const NDArray phi = triangle(trmm(l, v.head(), {true}), {true, 0.5});
      v.grad(0, plus_transposed(trsm(l, trsm(l, phi, {true}), {false, true})) * 0.5);
    })
    .doc(
        "The Cholesky factors of symmetric positive definite matrices: lower triangular L with "
        "L L' = A. Only the lower triangle of A is read; the gradient is symmetric. A matrix that "
        "is not positive definite is an error. Gradient: I. Murray, Differentiation of the "
        "Cholesky decomposition, 2016.")
    .example(R"(
>>> A = mx.nd.array([[4, 2], [2, 10]])
>>> L = mx.nd.linalg.potrf(A)
>>> print(L.asnumpy().round(4))
[[2. 0.]
 [1. 3.]]
>>> print(mx.nd.linalg.gemm2(L, L, transpose_b=True).asnumpy().round(4))
[[ 4.  2.]
 [ 2. 10.]]
)");

template <class T>
void inverse_from_cholesky(const KernelCall& call) {
  const NDArray &a = call.in(0), &out = call.out();
  const int64_t n = columns(a), count = matrix_count(a);
  FirstBad bad;
  for (int64_t k = 0; k < count; ++k) {
    const T* matrix = a.data<T>() + k * n * n;
    for (int64_t i = 0; i < n; ++i) {
      if (matrix[i * (n + 1)] == T(0)) bad.report(k);
    }
  }
  bad.check(call, "has a zero on its diagonal: it is not a Cholesky factor and has no inverse");
  for_matrices(count, n * n * n, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const Eigen::Map<const MatrixOf<T, Eigen::RowMajor>> factor(a.data<T>() + k * n * n, n, n);
      Eigen::Map<MatrixOf<T, Eigen::RowMajor>> result(out.data<T>() + k * n * n, n, n);
      result.setIdentity();
      factor.template triangularView<Eigen::Lower>().solveInPlace(result);
      factor.transpose().template triangularView<Eigen::Upper>().solveInPlace(result);
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = i + 1; j < n; ++j) result(i, j) = result(j, i);
      }
    }
  });
}

OP(_linalg_potri)
    .alias("linalg_potri")
    .inputs("A")
    .infer(infer_square)
    .kernel([](const KernelCall& call) {
      dispatch<SingleOrDouble>(call.out().dtype(), [&](auto tag) {
        if (call.out().size()) inverse_from_cholesky<typename decltype(tag)::type>(call);
      });
    })
    .keep_input()
    .keep_output()
    .vjp([](Vjp& v) {
      // B = (L L')^-1 has dB = -B (dL L' + L dL') B, and B L = L'^-1.
      const NDArray b = v.output();
      const NDArray product = multiply(b, plus_transposed(v.head()));
      v.grad(0, triangle(trsm(v.input(0), product, {true, true, true, -1}), {}));
    })
    .doc(
        "The inverses of the symmetric matrices whose Cholesky factors are given: (A A')^-1. Only "
        "the lower triangle of A is read. A zero on its diagonal is an error.")
    .example(R"(
>>> L = mx.nd.array([[1, 0], [1, 2]])  # of the matrix [[1, 1], [1, 5]]
>>> print(mx.nd.linalg.potri(L).asnumpy().round(4))
[[ 1.25 -0.25]
 [-0.25  0.25]]
)");

}  // namespace
}  // namespace mxtape::linalg

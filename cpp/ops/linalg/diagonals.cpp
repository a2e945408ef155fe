#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <Eigen/Core>

#include "ops/linalg/linalg.h"
#include "ops/shared/strided.h"

// Diagonals and triangles of matrices, taken out and put in. Each pair is the other's gradient.
namespace mxtape::linalg {
namespace {

struct TrianParams {
  int64_t offset = 0;
  bool lower = true;
  template <class V>
  void visit(V& v) {
    v("offset", offset,
      "The diagonal that bounds the triangle: 0 the main one; a triangle above it for a positive "
      "number, below it for a negative one.");
    v("lower", lower, "With offset 0: whether the lower triangle is meant, or the upper one.");
  }
};
const fn::Op<TrianParams> extracttrian_op{"_linalg_extracttrian"},
    maketrian_op{"_linalg_maketrian"};

// Where the triangle's corner lies in the matrix: `shift` from an edge.
struct Triangle {
  Triangle(const TrianParams& p) : shift(std::abs(p.offset)), lower(is_lower(p)) {}
  static bool is_lower(const TrianParams& p) { return p.offset < 0 || (p.offset == 0 && p.lower); }
  // The place of the c-th element of the triangle's r-th row, in a matrix of n columns. An upper
  // triangle is taken column by column.
  int64_t at(int64_t r, int64_t c, int64_t n) const {
    return lower ? (r + shift) * n + c : c * n + r + shift;
  }
  int64_t shift;
  bool lower;
};

int64_t triangle_size(int64_t n) { return n * (n + 1) / 2; }

// The order of the triangle that `size` elements fill; -1 if none does.
int64_t triangle_order(int64_t size) {
  auto n = static_cast<int64_t>((std::sqrt(8.0 * static_cast<double>(size) + 1) - 1) / 2);
  while (triangle_size(n) < size) ++n;
  return triangle_size(n) == size ? n : -1;
}

int64_t checked_offset(const InferCall& call, int64_t offset, int64_t limit) {
  call.expect(offset == 0 || (offset > -limit && offset < limit), "offset=", offset,
              " names no diagonal of the matrices");
  return std::abs(offset);
}

// A matrix that is put together must have a size that can be counted.
constexpr int64_t kMaxOrder = int64_t{1} << 30;

Shape with_matrices(const Shape& batch, int keep, int64_t n) {
  Shape shape(keep + 2, n);
  std::copy(batch.begin(), batch.begin() + keep, shape.data());
  return shape;
}

// ---- Diagonals

// Copies the diagonals between packed vectors of m elements and matrices of n columns.
template <bool kPack>
void move_diagonals(const NDArray& packed, const NDArray& matrices, int64_t offset) {
  const int64_t n = columns(matrices), m = packed.shape()[packed.ndim() - 1];
  const int64_t first = offset >= 0 ? offset : -offset * n;
  dispatch<ElementTypes>(packed.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for_matrices(matrix_count(matrices), m, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        T* vector = packed.data<T>() + k * m;
        T* matrix = matrices.data<T>() + k * n * n + first;
        for (int64_t i = 0; i < m; ++i) {
          if constexpr (kPack) {
            vector[i] = matrix[i * (n + 1)];
          } else {
            matrix[i * (n + 1)] = vector[i];
          }
        }
      }
    });
  });
}

// The gradient of what put vectors into the matrices that `head` is for. Matrices that were made
// around vectors without elements have no such diagonal.
template <class P>
NDArray taken_out(const fn::Op<P>& op, const NDArray& head, const P& p) {
  const Shape& shape = head.shape();
  const int ndim = shape.ndim();
  if (p.offset == 0 || std::abs(p.offset) < shape[ndim - 1]) return op(head, p);
  Shape empty(shape.dims().first(static_cast<size_t>(ndim - 1)));
  empty[ndim - 2] = 0;
  return full(empty, head.dtype(), 0);
}

OP(_linalg_extractdiag)
    .alias("linalg_extractdiag")
    .inputs("A")
    .params<DiagParams>()
    .infer([](InferCall& call) {
      expect_square(call);
      const Shape& in = call.shape(0);
      const int64_t n = in[in.ndim() - 1];
      const int64_t shift = checked_offset(call, call.params<DiagParams>().offset, n);
      Shape out(in.dims().first(static_cast<size_t>(in.ndim() - 1)));
      out[in.ndim() - 2] = n - shift;
      call.output(0, out, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      move_diagonals<true>(call.out(), call.in(0), call.params<DiagParams>().offset);
    })
    .vjp([](Vjp& v) { v.grad(0, makediag_op(v.head(), v.params<DiagParams>())); })
    .doc("A diagonal of each matrix, as a vector: (..., n, n) gives (..., n - |offset|).")
    .example(R"(
>>> A = mx.nd.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
>>> mx.nd.linalg.extractdiag(A).asnumpy().tolist()
[1.0, 5.0, 9.0]
>>> mx.nd.linalg.extractdiag(A, offset=1).asnumpy().tolist()
[2.0, 6.0]
)");

OP(_linalg_makediag)
    .alias("linalg_makediag")
    .inputs("A")
    .params<DiagParams>()
    .infer([](InferCall& call) {
      const Shape& in = call.shape(0);
      call.expect(in.ndim() >= 1, "A must have an axis that holds the diagonal");
      const int64_t shift = checked_offset(call, call.params<DiagParams>().offset, kMaxOrder);
      call.output(0, with_matrices(in, in.ndim() - 1, in[in.ndim() - 1] + shift), call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      fill_zero(call.out());
      move_diagonals<false>(call.in(0), call.out(), call.params<DiagParams>().offset);
    })
    .vjp([](Vjp& v) { v.grad(0, taken_out(extractdiag_op, v.head(), v.params<DiagParams>())); })
    .doc("Matrices with the vectors in A on a diagonal and zeros elsewhere.")
    .example(R"(
>>> x = mx.nd.array([1, 2])
>>> mx.nd.linalg.makediag(x).asnumpy().tolist()
[[1.0, 0.0], [0.0, 2.0]]
>>> mx.nd.linalg.makediag(x, offset=1).asnumpy().tolist()
[[0.0, 1.0, 0.0], [0.0, 0.0, 2.0], [0.0, 0.0, 0.0]]
)");

// ---- Triangles

template <bool kPack>
void move_triangles(const NDArray& packed, const NDArray& matrices, const Triangle& triangle) {
  const int64_t n = columns(matrices), m = n - triangle.shift, size = triangle_size(m);
  dispatch<ElementTypes>(packed.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for_matrices(matrix_count(matrices), size, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        T* vector = packed.data<T>() + k * size;
        T* matrix = matrices.data<T>() + k * n * n;
        for (int64_t r = 0; r < m; ++r) {
          for (int64_t c = 0; c <= r; ++c, ++vector) {
            T& element = matrix[triangle.at(r, c, n)];
            if constexpr (kPack) {
              *vector = element;
            } else {
              element = *vector;
            }
          }
        }
      }
    });
  });
}

OP(_linalg_extracttrian)
    .alias("linalg_extracttrian")
    .inputs("A")
    .params<TrianParams>()
    .infer([](InferCall& call) {
      expect_square(call);
      const Shape& in = call.shape(0);
      const int64_t n = in[in.ndim() - 1];
      const int64_t shift = checked_offset(call, call.params<TrianParams>().offset, n);
      Shape out(in.dims().first(static_cast<size_t>(in.ndim() - 1)));
      out[in.ndim() - 2] = triangle_size(n - shift);
      call.output(0, out, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      move_triangles<true>(call.out(), call.in(0), call.params<TrianParams>());
    })
    .vjp([](Vjp& v) { v.grad(0, maketrian_op(v.head(), v.params<TrianParams>())); })
    .doc(
        "A triangle of each matrix, as a vector: a lower triangle row by row, an upper one column "
        "by column.")
    .example(R"(
>>> A = mx.nd.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
>>> mx.nd.linalg.extracttrian(A).asnumpy().tolist()
[1.0, 4.0, 5.0, 7.0, 8.0, 9.0]
>>> mx.nd.linalg.extracttrian(A, offset=-1).asnumpy().tolist()
[4.0, 7.0, 8.0]
)");

OP(_linalg_maketrian)
    .alias("linalg_maketrian")
    .inputs("A")
    .params<TrianParams>()
    .infer([](InferCall& call) {
      const Shape& in = call.shape(0);
      call.expect(in.ndim() >= 1, "A must have an axis that holds the triangle");
      const int64_t size = in[in.ndim() - 1], order = triangle_order(size);
      call.expect(order >= 0, size, " elements do not fill a triangle");
      const int64_t shift = checked_offset(call, call.params<TrianParams>().offset, kMaxOrder);
      call.output(0, with_matrices(in, in.ndim() - 1, order + shift), call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      fill_zero(call.out());
      move_triangles<false>(call.in(0), call.out(), call.params<TrianParams>());
    })
    .vjp([](Vjp& v) { v.grad(0, taken_out(extracttrian_op, v.head(), v.params<TrianParams>())); })
    .doc("Matrices with the vectors in A as a triangle, as extracttrian takes it out.")
    .example(R"(
>>> x = mx.nd.array([1, 2, 3])
>>> mx.nd.linalg.maketrian(x).asnumpy().tolist()
[[1.0, 0.0], [2.0, 3.0]]
>>> mx.nd.linalg.maketrian(x, lower=False).asnumpy().tolist()
[[1.0, 2.0], [0.0, 3.0]]
)");

OP(_backward_linalg_triangle)
    .inputs("A")
    .params<TriangleParams>()
    .infer([](InferCall& call) {
      call.expect_floating();
      expect_square(call);
      call.output(0, call.shape(0), call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<TriangleParams>();
      const NDArray &in = call.in(0), &out = call.out();
      const int64_t n = columns(in);
      dispatch<FloatingTypes>(in.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        const auto factor = static_cast<compute_type<T>>(p.diagonal);
        for_matrices(matrix_count(in) * n, n, [&](int64_t begin, int64_t end) {
          for (int64_t row = begin; row < end; ++row) {
            const T* from = in.data<T>() + row * n;
            T* to = out.data<T>() + row * n;
            const int64_t i = row % n;
            std::fill(to, to + n, T(0));
            const int64_t first = p.lower ? 0 : i + 1, last = p.lower ? i : n;
            std::copy(from + first, from + last, to + first);
            to[i] = static_cast<T>(static_cast<compute_type<T>>(from[i]) * factor);
          }
        });
      });
    })
    .vjp([](Vjp& v) { v.grad(0, triangle(v.head(), v.params<TriangleParams>())); })
    .doc("One triangle of square matrices, its diagonal times a factor, and zeros elsewhere.");

// ---- sumlogdiag

OP(_linalg_sumlogdiag)
    .alias("linalg_sumlogdiag")
    .inputs("A")
    .infer([](InferCall& call) {
      call.expect_floating();
      expect_square(call);
      call.output(0, batch_shape(call.shape(0)), call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const NDArray& in = call.in(0);
      const int64_t n = columns(in);
      dispatch<FloatingTypes>(in.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        for_matrices(matrix_count(in), 16 * n, [&](int64_t begin, int64_t end) {
          for (int64_t k = begin; k < end; ++k) {
            const T* matrix = in.data<T>() + k * n * n;
            compute_type<T> sum = 0;
            for (int64_t i = 0; i < n; ++i) {
              sum += std::log(static_cast<compute_type<T>>(matrix[i * (n + 1)]));
            }
            call.out().data<T>()[k] = static_cast<T>(sum);
          }
        });
      });
    })
    .keep_input()
    .vjp([](Vjp& v) {
      const NDArray diagonal = extractdiag(v.input(0));
      Shape one = diagonal.shape();
      one[one.ndim() - 1] = 1;
      v.grad(0, makediag(reshape(v.head(), one) / diagonal));
    })
    .doc(
        "The sum of the logarithms of each matrix's diagonal: half the log-determinant of the "
        "matrix that it is the Cholesky factor of. A single matrix gives shape (1,).")
    .example(R"(
>>> L = mx.nd.array([[2, 0], [7, 4]])
>>> print(mx.nd.linalg.sumlogdiag(L).asnumpy().round(4))  # log(2) + log(4)
[2.0794]
)");

}  // namespace
}  // namespace mxtape::linalg

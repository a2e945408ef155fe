#include <Eigen/Core>

#include "ops/linalg/gemm.h"
#include "ops/linalg/linalg.h"
#include "ops/shared/strided.h"
#include "runtime/parallel.h"

// Products of matrices: gemm, gemm2 and syrk.
namespace mxtape::linalg {
namespace {

struct SyrkParams {
  bool transpose = false;
  double alpha = 1;
  template <class V>
  void visit(V& v) {
    v("transpose", transpose,
      "Whether the transposed matrices are multiplied by A, not A by them.");
    v("alpha", alpha, "Factor of the product.");
  }
};

// Whose rows lie along `axis`, as an axis counted from the front.
int row_axis(const InferCall& call, int64_t given, int ndim) {
  const int64_t axis = given < 0 ? given + ndim : given;
  call.expect(axis >= 0 && axis < ndim - 1, "axis=", given,
              " must be one of the axes before the last");
  return static_cast<int>(axis);
}

// `shape` with its axis `from` moved to place `to`.
Shape moved_axis(const Shape& shape, int from, int to) {
  Ints dims(shape.begin(), shape.end());
  const int64_t extent = dims[static_cast<size_t>(from)];
  dims.erase(dims.begin() + from);
  dims.insert(dims.begin() + to, extent);
  return Shape(dims);
}

// The shape of op(A) op(B).
Shape product_shape(const InferCall& call, const Gemm2Params& p) {
  call.expect_floating();
  call.expect_same_dtype();
  expect_matrices(call);
  const Shape &a = call.shape(0), &b = call.shape(1);
  const int ndim = a.ndim(), last = ndim - 1;
  call.expect(b.ndim() == ndim, "A and B must have the same number of axes");
  const int row = row_axis(call, p.axis, ndim);
  for (int d = 0; d < last; ++d) {
    call.expect(d == row || a[d] == b[d], "A and B must agree in the axes that hold no rows or ",
                "columns: they differ in axis ", d);
  }
  const int64_t k = a[p.transpose_a ? row : last], b_k = b[p.transpose_b ? last : row];
  call.expect(k == b_k, "the matrices do not fit: op(A) has ", k, " columns and op(B) has ", b_k,
              " rows");
  Shape out = a;
  out[row] = a[p.transpose_a ? last : row];
  out[last] = b[p.transpose_b ? row : last];
  return out;
}

// `x` with its row axis before the last, as matrices lie for gemm().
NDArray rows_last(const NDArray& x, int row) {
  const int to = x.ndim() - 2;
  if (row == to) return x;
  const Ints strides = dense_strides(x.shape());
  Strided walk;
  for (int d = 0; d < x.ndim(); ++d) {
    if (d == row) continue;
    if (d == x.ndim() - 1) walk.axis(x.shape()[row], strides[static_cast<size_t>(row)]);
    walk.axis(x.shape()[d], strides[static_cast<size_t>(d)]);
  }
  NDArray moved = NDArray::empty(moved_axis(x.shape(), row, to), x.dtype());
  gather_strided(x, walk, moved);
  return moved;
}

// The way back, into `out`.
void put_rows(const NDArray& moved, int row, const NDArray& out) {
  const Ints strides = dense_strides(moved.shape());
  const int last = out.ndim() - 1;
  Strided walk;
  for (int d = 0; d <= last; ++d) {
    const int from = d == row ? last - 1 : d > row && d < last ? d - 1 : d;
    walk.axis(out.shape()[d], strides[static_cast<size_t>(from)]);
  }
  gather_strided(moved, walk, out);
}

// out = alpha op(a) op(b), matrices over the last two axes.
void multiply_matrices(const NDArray& a, const NDArray& b, const NDArray& out, bool transpose_a,
                       bool transpose_b) {
  gemm({.dtype = out.dtype(),
        .m = rows(out),
        .n = columns(out),
        .k = transpose_a ? rows(a) : columns(a),
        .transpose_a = transpose_a,
        .transpose_b = transpose_b,
        .batch = matrix_count(out),
        .a = a.bytes(),
        .b = b.bytes(),
        .out = out.bytes()});
}

// out = alpha out + beta c. With beta 0, c is not read: it may hold NaN.
void scale_and_add(const NDArray& out, double alpha, double beta, const NDArray* c) {
  if (beta == 0) c = nullptr;
  if (alpha == 1 && !c) return;
  dispatch<FloatingTypes>(out.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = compute_type<T>;
    T* to = out.data<T>();
    const T* add = c ? c->data<T>() : nullptr;
    const auto x = static_cast<C>(alpha), y = static_cast<C>(beta);
    parallel_for(out.size(), 1 << 15, [&](int64_t begin, int64_t end) {
      if (add) {
        for (int64_t i = begin; i < end; ++i) {
          to[i] = static_cast<T>(x * static_cast<C>(to[i]) + y * static_cast<C>(add[i]));
        }
      } else {
        for (int64_t i = begin; i < end; ++i) to[i] = static_cast<T>(x * static_cast<C>(to[i]));
      }
    });
  });
}

void run_product(const KernelCall& call, const Gemm2Params& p, double beta) {
  const NDArray& out = call.out();
  const int last = out.ndim() - 1;
  const int row = static_cast<int>(p.axis < 0 ? p.axis + out.ndim() : p.axis);
  const NDArray a = rows_last(call.in(0), row), b = rows_last(call.in(1), row);
  if (row == last - 1) {
    multiply_matrices(a, b, out, p.transpose_a, p.transpose_b);
  } else {
    const NDArray moved = NDArray::empty(moved_axis(out.shape(), row, last - 1), out.dtype());
    multiply_matrices(a, b, moved, p.transpose_a, p.transpose_b);
    put_rows(moved, row, out);
  }
  scale_and_add(out, p.alpha, beta, call.input_count() > 2 ? &call.in(2) : nullptr);
}

// Gradients of c = alpha op(a) op(b), as a and b are stored.
NDArray grad_a(const NDArray& g, const NDArray& b, const Gemm2Params& p) {
  if (p.transpose_a) return gemm2_op(b, g, Gemm2Params{p.transpose_b, true, p.alpha, p.axis});
  return gemm2_op(g, b, Gemm2Params{false, !p.transpose_b, p.alpha, p.axis});
}
NDArray grad_b(const NDArray& g, const NDArray& a, const Gemm2Params& p) {
  if (p.transpose_b) return gemm2_op(g, a, Gemm2Params{true, p.transpose_a, p.alpha, p.axis});
  return gemm2_op(a, g, Gemm2Params{!p.transpose_a, false, p.alpha, p.axis});
}

void product_vjp(Vjp& v, const Gemm2Params& p) {
  if (v.needs(0)) v.grad(0, grad_a(v.head(), v.input(1), p));
  if (v.needs(1)) v.grad(1, grad_b(v.head(), v.input(0), p));
}

Gemm2Params without_c(const GemmParams& p) {
  return {p.transpose_a, p.transpose_b, p.alpha, p.axis};
}

OP(_linalg_gemm)
    .alias("linalg_gemm")
    .inputs("A", "B", "C")
    .params<GemmParams>()
    .infer([](InferCall& call) {
      const Shape out = product_shape(call, without_c(call.params<GemmParams>()));
      call.expect(call.shape(2) == out, "C must have the shape of the product, ", out);
      call.output(0, out, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<GemmParams>();
      run_product(call, without_c(p), p.beta);
    })
    .keep_inputs({Keep::kData, Keep::kData, Keep::kShape})
    .vjp([](Vjp& v) {
      const auto& p = v.params<GemmParams>();
      product_vjp(v, without_c(p));
      if (v.needs(2)) v.grad(2, p.beta == 1 ? v.head() : v.head() * p.beta);
    })
    .doc("alpha op(A) op(B) + beta C, matrix by matrix; op() transposes where it is asked to.")
    .example(R"(
>>> A, B = mx.nd.array([[1, 2], [3, 4]]), mx.nd.array([[1, 0], [0, 1]])
>>> C = mx.nd.array([[100, 100], [100, 100]])
>>> mx.nd.linalg.gemm(A, B, C, transpose_a=True, alpha=2, beta=0.5).asnumpy().tolist()
[[52.0, 56.0], [54.0, 58.0]]
)");

OP(_linalg_gemm2)
    .alias("linalg_gemm2")
    .inputs("A", "B")
    .params<Gemm2Params>()
    .infer([](InferCall& call) {
      call.output(0, product_shape(call, call.params<Gemm2Params>()), call.dtype(0));
    })
    .kernel([](const KernelCall& call) { run_product(call, call.params<Gemm2Params>(), 0); })
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp([](Vjp& v) { product_vjp(v, v.params<Gemm2Params>()); })
    .doc("alpha op(A) op(B), matrix by matrix; op() transposes where it is asked to.")
    .example(R"(
>>> A, B = mx.nd.array([[1, 2], [3, 4]]), mx.nd.array([[1, 10]])
>>> mx.nd.linalg.gemm2(A, B, transpose_b=True).asnumpy().tolist()
[[21.0], [43.0]]
>>> mx.nd.linalg.gemm2(mx.nd.ones((5, 2, 3)), mx.nd.ones((5, 3, 4))).shape
(5, 2, 4)
)");

OP(_linalg_syrk)
    .alias("linalg_syrk")
    .inputs("A")
    .params<SyrkParams>()
    .infer([](InferCall& call) {
      call.expect_floating();
      expect_matrices(call);
      Shape out = call.shape(0);
      const int ndim = out.ndim();
      const int64_t order = out[ndim - (call.params<SyrkParams>().transpose ? 1 : 2)];
      out[ndim - 2] = out[ndim - 1] = order;
      call.output(0, out, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<SyrkParams>();
      const NDArray& out = call.out();
      multiply_matrices(call.in(0), call.in(0), out, p.transpose, !p.transpose);
      scale_and_add(out, p.alpha, 0, nullptr);
      // Blocks of the product may round differently on the two sides of the diagonal.
      const int64_t n = columns(out);
      dispatch<ElementTypes>(out.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        for_matrices(matrix_count(out) * n, n, [&](int64_t begin, int64_t end) {
          for (int64_t row = begin; row < end; ++row) {
            const int64_t i = row % n;
            T* matrix = out.data<T>() + (row - i) * n;
            for (int64_t j = i + 1; j < n; ++j) matrix[i * n + j] = matrix[j * n + i];
          }
        });
      });
    })
    .keep_input()
    .vjp([](Vjp& v) {
      const auto& p = v.params<SyrkParams>();
      const NDArray g = plus_transposed(v.head()), a = v.input(0);
      v.grad(0, p.transpose ? multiply(a, g, false, false, p.alpha)
                            : multiply(g, a, false, false, p.alpha));
    })
    .doc("alpha A A', matrix by matrix, where A' is A transposed; alpha A' A under transpose.")
    .example(R"(
>>> A = mx.nd.array([[1, 2], [3, 4]])
>>> mx.nd.linalg.syrk(A).asnumpy().tolist()
[[5.0, 11.0], [11.0, 25.0]]
>>> mx.nd.linalg.syrk(A, transpose=True).asnumpy().tolist()
[[10.0, 14.0], [14.0, 20.0]]
)");

}  // namespace
}  // namespace mxtape::linalg

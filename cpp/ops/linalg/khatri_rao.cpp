#include <algorithm>
#include <vector>

#include "op/declare.h"
#include "runtime/parallel.h"

// Products of the columns of matrices, and count sketches.
namespace mxtape {
namespace {

// ---- khatri_rao

struct KhatriRaoParams {
  int64_t num_args = 0;
  template <class V>
  void visit(V& v) {
    v("num_args", num_args, "How many matrices; counted when it is not given.");
  }
};
const fn::Op<KhatriRaoParams> khatri_rao{"khatri_rao"};

void infer_khatri_rao(InferCall& call) {
  call.expect_floating();
  call.expect_same_dtype();
  int64_t rows = 1;
  for (size_t i = 0; i < call.input_count(); ++i) {
    const Shape& shape = call.shape(i);
    call.expect(shape.ndim() == 2, "inputs must be matrices");
    call.expect(shape[1] == call.shape(0)[1], "matrices must have the same number of columns");
    rows *= shape[0];
  }
  call.output(0, Shape{rows, call.shape(0)[1]}, call.dtype(0));
}

template <class T>
void multiply_columns(const KernelCall& call) {
  const int64_t rows = call.out().shape()[0], columns = call.out().shape()[1];
  if (call.out().size() == 0) return;
  const int64_t grain = std::max<int64_t>(1, 8192 / columns);
  parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
    std::vector<compute_type<T>> product(static_cast<size_t>(columns));
    for (int64_t row = begin; row < end; ++row) {
      // The last matrix's row changes fastest.
      int64_t left = row;
      std::fill(product.begin(), product.end(), compute_type<T>(1));
      for (size_t i = call.input_count(); i-- > 0;) {
        const int64_t height = call.in(i).shape()[0];
        const T* x = call.in(i).data<T>() + left % height * columns;
        left /= height;
        for (int64_t c = 0; c < columns; ++c) {
          product[static_cast<size_t>(c)] *= static_cast<compute_type<T>>(x[c]);
        }
      }
      T* to = call.out().data<T>() + row * columns;
      for (int64_t c = 0; c < columns; ++c) to[c] = static_cast<T>(product[static_cast<size_t>(c)]);
    }
  });
}

// The product of inputs [begin, end), with `shape` for what it becomes.
NDArray product_of(Vjp& v, size_t begin, size_t end, bool before) {
  SmallVector<NDArray, 4> inputs;
  for (size_t i = begin; i < end; ++i) inputs.push_back(v.input(i));
  Outputs outputs;
  invoke(khatri_rao.schema(), inputs, khatri_rao.schema().params->make(), outputs);
  const int64_t rows = outputs[0].shape()[0], columns = outputs[0].shape()[1];
  return reshape(outputs[0], before ? Shape{rows, 1, 1, columns} : Shape{1, 1, rows, columns});
}

void khatri_rao_vjp(Vjp& v) {
  const size_t count = v.input_count();
  const int64_t columns = v.input_shape(0)[1];
  for (size_t i = 0; i < count; ++i) {
    if (!v.needs(i)) continue;
    int64_t before = 1, after = 1;
    for (size_t k = 0; k < i; ++k) before *= v.input_shape(k)[0];
    for (size_t k = i + 1; k < count; ++k) after *= v.input_shape(k)[0];
    NDArray grad = reshape(v.head(), Shape{before, v.input_shape(i)[0], after, columns});
    if (i > 0) grad = grad * product_of(v, 0, i, true);
    if (i + 1 < count) grad = grad * product_of(v, i + 1, count, false);
    v.grad(i, sum(grad, {0, 2}, false));
  }
}

OP(khatri_rao)
    .variadic("args", "num_args")
    .params<KhatriRaoParams>()
    .infer(infer_khatri_rao)
    .kernel([](const KernelCall& call) {
      dispatch<FloatingTypes>(call.out().dtype(), [&](auto tag) {
        multiply_columns<typename decltype(tag)::type>(call);
      });
    })
    .keep_input()
    .vjp(khatri_rao_vjp)
    .doc(
        "The Khatri-Rao product of matrices with the same number of columns: each column is the "
        "Kronecker product of theirs.")
    .example(R"(
>>> a, b = mx.nd.array([[1, 2], [3, 4]]), mx.nd.array([[1, 10], [100, 1000]])
>>> mx.nd.khatri_rao(a, b).asnumpy().tolist()
[[1.0, 20.0], [100.0, 2000.0], [3.0, 40.0], [300.0, 4000.0]]
)");

// ---- count_sketch: each column of data, with a sign, is added to the column that its hash names.

struct CountSketchParams {
  int64_t out_dim = 0;
  int64_t processing_batch_size = 32;
  template <class V>
  void visit(V& v) {
    v.required("out_dim", out_dim, "Number of columns of the result.");
    v("processing_batch_size", processing_batch_size, "Accepted for compatibility.");
  }
};
const fn::Op<CountSketchParams> count_sketch{"_contrib_count_sketch"},
    count_sketch_grad{"_backward_contrib_count_sketch"};

// `columns` is data's; input 0 has that many, or out_dim.
void expect_hashes(const InferCall& call, int64_t columns, int64_t out_dim) {
  call.expect(out_dim > 0, "out_dim must be positive, got ", out_dim);
  call.expect_floating();
  call.expect_same_dtype();
  call.expect(call.shape(1).size() == columns && call.shape(2).size() == columns,
              "h and s must have an element for each of the ", columns, " columns of data");
}

void check_hashes(const CheckCall& call) {
  const int64_t columns = call.shape(1).size(), out_dim = call.params<CountSketchParams>().out_dim;
  dispatch(call.dtype(1), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* hashes = call.input(1).template data<T>();
    for (int64_t i = 0; i < columns; ++i) {
      const auto hash = static_cast<double>(hashes[i]);
      call.expect(hash >= 0 && hash < static_cast<double>(out_dim), "h must be in [0, ", out_dim,
                  "), got ", hash);
    }
  });
}

Shape with_columns(const Shape& shape, int64_t columns) {
  Shape result = shape;
  result[shape.ndim() - 1] = columns;
  return result;
}

template <class T, bool kGather>
void sketch(const KernelCall& call) {
  using A = compute_type<T>;
  const NDArray &in = call.in(0), &out = call.out();
  const int64_t from = in.shape()[in.ndim() - 1], to = out.shape()[out.ndim() - 1];
  const int64_t columns = call.in(1).size();
  std::vector<int64_t> hashes(static_cast<size_t>(columns));
  for (int64_t i = 0; i < columns; ++i) {
    hashes[static_cast<size_t>(i)] =
        static_cast<int64_t>(static_cast<double>(call.in(1).data<T>()[i]));
  }
  const T* signs = call.in(2).data<T>();
  const int64_t grain = std::max<int64_t>(1, 8192 / (from + to));
  parallel_for(in.shape().product(0, in.ndim() - 1), grain, [&](int64_t begin, int64_t end) {
    std::vector<A> sums(static_cast<size_t>(to));
    for (int64_t row = begin; row < end; ++row) {
      const T* x = in.data<T>() + row * from;
      T* y = out.data<T>() + row * to;
      if constexpr (kGather) {
        for (int64_t i = 0; i < columns; ++i) {
          y[i] = static_cast<T>(static_cast<A>(x[hashes[static_cast<size_t>(i)]]) *
                                static_cast<A>(signs[i]));
        }
      } else {
        std::fill(sums.begin(), sums.end(), A(0));
        for (int64_t i = 0; i < columns; ++i) {
          sums[static_cast<size_t>(hashes[static_cast<size_t>(i)])] +=
              static_cast<A>(x[i]) * static_cast<A>(signs[i]);
        }
        for (int64_t i = 0; i < to; ++i) y[i] = static_cast<T>(sums[static_cast<size_t>(i)]);
      }
    }
  });
}

template <bool kGather>
void run_sketch(const KernelCall& call) {
  dispatch<FloatingTypes>(call.out().dtype(),
                          [&](auto tag) { sketch<typename decltype(tag)::type, kGather>(call); });
}

template <const fn::Op<CountSketchParams>& op>
void sketch_vjp(Vjp& v) {
  v.grad(0, op(v.head(), v.input(1), v.input(2), v.params<CountSketchParams>()));
}

OP(_contrib_count_sketch)
    .inputs("data", "h", "s")
    .params<CountSketchParams>()
    .infer([](InferCall& call) {
      const Shape& data = call.shape(0);
      call.expect(data.ndim() > 0, "data must have an axis");
      const int64_t out_dim = call.params<CountSketchParams>().out_dim;
      expect_hashes(call, data[data.ndim() - 1], out_dim);
      call.output(0, with_columns(data, out_dim), call.dtype(0));
    })
    .check(check_hashes)
    .kernel(run_sketch<false>)
    .keep_inputs({Keep::kShape, Keep::kData, Keep::kData})
    .no_grad_inputs(1, 2)
    .vjp(sketch_vjp<count_sketch_grad>)
    .doc(
        "The count sketch of data along its last axis: element i, times s[i], is added to element "
        "h[i] of the result, which has out_dim of them.")
    .example(R"(
>>> x = mx.nd.array([[1, 2, 3]])
>>> h, s = mx.nd.array([[0, 1, 0]]), mx.nd.array([[1, -1, 1]])
>>> mx.nd.contrib.count_sketch(x, h, s, out_dim=2).asnumpy().tolist()
[[4.0, -2.0]]
)");

OP(_backward_contrib_count_sketch)
    .inputs("data", "h", "s")
    .params<CountSketchParams>()
    .infer([](InferCall& call) {
      const Shape& data = call.shape(0);
      const int64_t out_dim = call.params<CountSketchParams>().out_dim;
      call.expect(data.ndim() > 0 && data[data.ndim() - 1] == out_dim,
                  "the last axis of data must have extent ", out_dim);
      expect_hashes(call, call.shape(1).size(), out_dim);
      call.output(0, with_columns(data, call.shape(1).size()), call.dtype(0));
    })
    .check(check_hashes)
    .kernel(run_sketch<true>)
    .keep_inputs({Keep::kShape, Keep::kData, Keep::kData})
    .no_grad_inputs(1, 2)
    .vjp(sketch_vjp<count_sketch>)
    .doc("The gradient of count_sketch: element i is s[i] times element h[i] of data.");

}  // namespace
}  // namespace mxtape

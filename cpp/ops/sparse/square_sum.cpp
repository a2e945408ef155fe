#include <algorithm>
#include <iterator>
#include <vector>

#include "op/declare.h"
#include "op/sparse.h"
#include "ops/reduce/reduce.h"
#include "ops/shared/index.h"
#include "ops/shared/strided.h"
#include "ops/sparse/row_places.h"
#include "runtime/widen.h"

// Sums of squares of row_sparse matrices.
namespace mxtape {
namespace {

using enum StorageType;

// Integers are summed in int64, and wrap around as they are converted back.
NDArray converted(const NDArray& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  const NDArray out = NDArray::empty(x.shape(), dtype);
  convert_in_parallel(x.dtype(), x.bytes(), dtype, out.bytes(), x.size());
  return out;
}
NDArray summable(const NDArray& x) {
  return converted(x, is_floating(x.dtype()) ? traits_of(x.dtype()).compute : DType::kInt64);
}
using SummableTypes = Types<float, double, int64_t>;

template <class T>
using Sum = std::conditional_t<std::is_integral_v<T>, int64_t, double>;

template <class T>
Sum<T> squared(T x) {
  const auto wide = static_cast<Sum<T>>(x);
  return wide * wide;
}

constexpr int64_t kGrain = 1 << 15;

bool over_columns(const ReduceParams& p, int ndim, std::string_view op) {
  return reduced_axes(p.axis, p.exclude, ndim, op) == 2;
}

// to[k] = the sum over row k of the rows that are there.
template <class T>
void sum_over_columns(const NDArray& data, T* to) {
  const int64_t rows = data.shape()[0], width = data.shape()[1];
  const T* from = data.data<T>();
  parallel_for(rows, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, width)),
               [=](int64_t begin, int64_t end) {
                 for (int64_t k = begin; k < end; ++k) {
                   Sum<T> sum = 0;
                   for (int64_t j = 0; j < width; ++j) sum += squared(from[k * width + j]);
                   to[k] = convert_value<T>(sum);
                 }
               });
}

// Blocks of rows are summed apart, and then added in their order.
template <class T>
void sum_over_rows(const NDArray& data, T* to) {
  const int64_t rows = data.shape()[0], width = data.shape()[1];
  const T* from = data.data<T>();
  const int64_t block = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, width));
  const int64_t blocks = (rows + block - 1) / block;
  std::vector<Sum<T>> sums(static_cast<size_t>(blocks * width));
  parallel_for(blocks, 1, [&](int64_t b, int64_t) {
    Sum<T>* sum = sums.data() + b * width;
    for (int64_t k = b * block; k < std::min(rows, (b + 1) * block); ++k) {
      for (int64_t j = 0; j < width; ++j) sum[j] += squared(from[k * width + j]);
    }
  });
  for (int64_t j = 0; j < width; ++j) {
    Sum<T> sum = 0;
    for (int64_t b = 0; b < blocks; ++b) sum += sums[static_cast<size_t>(b * width + j)];
    to[j] = convert_value<T>(sum);
  }
}

// Of each row that is there, or of each column.
NDArray square_sums(const NDArray& data, bool over_columns) {
  const NDArray values = summable(data);
  const NDArray sums = NDArray::empty({values.shape()[over_columns ? 0 : 1]}, values.dtype());
  dispatch<SummableTypes>(values.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (over_columns) {
      sum_over_columns(values, sums.data<T>());
    } else {
      sum_over_rows(values, sums.data<T>());
    }
  });
  return converted(sums, data.dtype());
}

void square_sum_dense(SparseCall& call) {
  const SparseParts& parts = call.parts(0);
  const NDArray& out = call.dense_out();
  const bool of_rows = over_columns(call.params<ReduceParams>(), 2, call.op().name);
  const NDArray sums = square_sums(parts.data, of_rows);
  if (of_rows) {
    fill_zero(out);
    scatter_rows(sums, parts.indices, out, AxisView(Shape{out.size()}, 0));
  } else {
    copy_strided(sums, dense(sums), out, dense(sums));
  }
}

void square_sum_rows(SparseCall& call) {
  const SparseParts& parts = call.parts(0);
  SparseParts sums;
  sums.indices = parts.indices;
  sums.data = square_sums(parts.data, true).viewed({parts.count(), 1});
  call.result(0, std::move(sums));
}

bool keeps_rows(const SparseMatch& match) {
  const auto& p = match.params<ReduceParams>();
  return p.keepdims && over_columns(p, 2, match.op().name);
}

struct SquareSumGradParams {
  bool over_columns = false, keepdims = false;
  template <class V>
  void visit(V& v) {
    v("over_columns", over_columns, "Whether the sum was over the columns.");
    v("keepdims", keepdims, "As in _square_sum.");
  }
};
const fn::Op<SquareSumGradParams> square_sum_grad{"_backward_square_sum"};

OP(_square_sum)
    .inputs("data")
    .params<ReduceParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<ReduceParams>();
      call.expect(call.shape(0).ndim() == 2, "data must be a matrix");
      const AxisSet axes = reduced_axes(p.axis, p.exclude, 2, call.name());
      call.expect(axes == 1 || axes == 2, "axis must be 0 or 1");
      call.output(0, reduced_shape(call.shape(0), axes, p.keepdims), call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      fail(call.name(), ": data must be a row_sparse matrix; tostype('row_sparse') makes one");
    })
    .keep_input()
    .vjp([](Vjp& v) {
      const auto& p = v.params<ReduceParams>();
      v.grad(0,
             square_sum_grad(v.head(), v.input(0), {over_columns(p, 2, v.op().name), p.keepdims}));
    })
    .doc(
        "The sum of the squares of a row_sparse matrix over its rows (axis=0) or columns (axis=1).")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [0, 0], [3, 4]]).tostype("row_sparse")
>>> mx.nd._internal._square_sum(x, axis=1).asnumpy().tolist()
[5.0, 0.0, 25.0]
>>> mx.nd._internal._square_sum(x, axis=1, keepdims=True).indices.asnumpy().tolist()
[0, 2]
)");

const SparseRows square_sum_sparse({"_square_sum"},
                                   {{{kRowSparse}, kRowSparse, square_sum_rows, keeps_rows},
                                    {{kRowSparse}, kDense, square_sum_dense}});

// ---- the gradient

// The rows that both have; `a` itself where those are all of it.
NDArray common_rows(const SparseParts& a, const SparseParts& b) {
  std::vector<int64_t> found;
  std::set_intersection(a.index(), a.index() + a.count(), b.index(), b.index() + b.count(),
                        std::back_inserter(found));
  if (static_cast<int64_t>(found.size()) == a.count()) return a.indices;
  const NDArray rows = NDArray::empty({static_cast<int64_t>(found.size())}, DType::kInt64);
  std::copy(found.begin(), found.end(), rows.data<int64_t>());
  return rows;
}

void run_square_sum_grad(SparseCall& call) {
  const auto& p = call.params<SquareSumGradParams>();
  SparseParts x = call.parts(1);
  const int64_t rows = call.in(1).shape()[0], width = call.in(1).shape()[1];
  // Rows without a head have no gradient: optimizers that are lazy leave them alone.
  if (p.over_columns && call.storage(0) == kRowSparse) {
    const NDArray common = common_rows(x, call.parts(0));
    if (common.storage() != x.indices.storage()) {
      const NDArray values = NDArray::empty({common.size(), width}, x.data.dtype());
      gather_sparse_rows(x, rows, common, values);
      x.data = values;
      x.indices = common;
    }
  }
  const int64_t count = x.count();
  // The head of each row, or of each column.
  NDArray head = call.in(0);
  if (p.over_columns) {
    head = NDArray::empty({count, 1}, call.in(0).dtype());
    if (call.storage(0) == kDense) {
      gather_rows(call.in(0), AxisView(Shape{rows, 1}, 0), x.indices, head);
    } else {
      gather_sparse_rows(call.parts(0), rows, x.indices, head);
    }
  } else if (call.storage(0) == kRowSparse) {
    head = NDArray::empty(head.shape(), head.dtype());
    write_dense(call.parts(0), kRowSparse, head);
  }
  SparseParts grad;
  grad.indices = x.indices;
  grad.data = NDArray::empty(x.data.shape(), x.data.dtype());
  dispatch<FloatingTypes>(x.data.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = compute_type<T>;
    const T *value = x.data.data<T>(), *h = head.data<T>();
    T* to = grad.data.template data<T>();
    parallel_for(count, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, width)),
                 [=](int64_t begin, int64_t end) {
                   for (int64_t k = begin; k < end; ++k) {
                     for (int64_t j = 0; j < width; ++j) {
                       const auto factor = static_cast<C>(h[p.over_columns ? k : j]);
                       to[k * width + j] =
                           static_cast<T>(2 * static_cast<C>(value[k * width + j]) * factor);
                     }
                   }
                 });
  });
  call.result(0, std::move(grad));
}

OP(_backward_square_sum)
    .inputs("head", "data")
    .params<SquareSumGradParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<SquareSumGradParams>();
      call.expect(call.shape(1).ndim() == 2, "data must be a matrix");
      const AxisSet axes = p.over_columns ? 2 : 1;
      call.require(0, reduced_shape(call.shape(1), axes, p.keepdims));
      call.expect_floating(1);
      call.require_dtype(0, call.dtype(1));
      call.output(0, call.shape(1), call.dtype(1));
    })
    .kernel([](const KernelCall& call) { fail(call.name(), ": data must be a row_sparse matrix"); })
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      const auto& p = v.params<SquareSumGradParams>();
      const NDArray g = v.head();
      if (v.needs(0)) {
        const ReduceParams over{OptInts(Ints{p.over_columns ? 1 : 0}), p.keepdims};
        v.grad(0, 2.0 * fn::sum(g * v.input(1), over));
      }
      if (v.needs(1)) v.grad(1, square_sum_grad(v.input(0), cast_storage(g, kRowSparse), p));
    })
    .doc("The gradient of _square_sum: 2 * head * data.");

const SparseRows square_sum_grad_rows(
    {"_backward_square_sum"}, {{{kDense, kRowSparse}, kRowSparse, run_square_sum_grad},
                               {{kRowSparse, kRowSparse}, kRowSparse, run_square_sum_grad}});

}  // namespace
}  // namespace mxtape

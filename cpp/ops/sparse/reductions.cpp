#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "op/common_params.h"
#include "op/declare.h"
#include "ops/reduce/norm_params.h"
#include "ops/reduce/reduce.h"
#include "ops/sparse/values.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// Sums, means and norms of sparse arrays: what is not there adds nothing.
namespace mxtape {
namespace {

using enum StorageType;

// ---- row_sparse: the dense operator over the rows that are there

void reduce_rows(SparseCall& call, AxisSet axes) {
  const SparseParts& parts = call.parts(0);
  const NDArray& out = call.dense_out();
  const Params* params = call.raw_params().get();
  if (out.size() == 0) return;
  const bool over_rows = (axes & 1) != 0;
  if (parts.count() == 0) {
    std::memset(out.bytes(), 0, out.nbytes());
  } else if (over_rows) {
    const NDArray* inputs[] = {&parts.data};
    call.op().kernel(KernelCall(call.op(), Inputs(inputs, 1), Arrays(&out, 1), params, {}));
  } else {
    Shape shape = out.shape();
    shape[0] = parts.count();
    const NDArray values = run_values(call.op(), params, {&parts.data}, shape, out.dtype());
    write_dense({values, parts.indices, {}}, kRowSparse, out);
  }
}

void sum_rows(SparseCall& call) {
  const auto& p = call.params<ReduceParams>();
  reduce_rows(call, reduced_axes(p.axis, p.exclude, call.in(0).ndim(), call.op().name));
}

void norm_rows(SparseCall& call) {
  const auto& p = call.params<NormParams>();
  reduce_rows(call, reduced_axes(p.axis, false, call.in(0).ndim(), call.op().name));
}

// The mean of the rows that are there counts those that are not.
void mean_rows(SparseCall& call) {
  const auto& p = call.params<ReduceParams>();
  const Shape& shape = call.in(0).shape();
  const AxisSet axes = reduced_axes(p.axis, p.exclude, shape.ndim(), call.op().name);
  const int64_t rows = call.parts(0).count();
  if (!(axes & 1) || (rows == shape[0] && rows > 0)) return reduce_rows(call, axes);
  if (!is_floating(call.output().dtype) || rows == 0) return run_through_dense(call);
  const NDArray& out = call.dense_out();
  const NDArray& data = call.parts(0).data;
  const NDArray mean =
      run_values(call.op(), call.raw_params().get(), {&data}, out.shape(), out.dtype());
  const ParamsRef share =
      make_params(ScalarParams{static_cast<double>(rows) / static_cast<double>(shape[0]), false});
  const OpSchema& scale = find_op("_mul_scalar");
  const NDArray* inputs[] = {&mean};
  scale.kernel(KernelCall(scale, Inputs(inputs, 1), Arrays(&out, 1), share.get(), {}));
}

// ---- csr

struct Plain {
  template <class W>
  static W of(W x) {
    return x;
  }
};
struct Size {
  template <class W>
  static W of(W x) {
    return std::abs(x);
  }
};
struct Square {
  template <class W>
  static W of(W x) {
    return x * x;
  }
};

// What sums of T are kept in.
template <class T>
using WideSum = std::conditional_t<std::is_integral_v<T>, int64_t, double>;

template <class Term, class T>
WideSum<T> wide(T x) {
  using W = WideSum<T>;
  return Term::of(static_cast<W>(static_cast<compute_type<T>>(x)));
}

template <class Term, class T, class Finish>
void fold_each_row(const SparseParts& parts, T* out, Finish finish) {
  const T* data = parts.data.data<T>();
  const int64_t rows = parts.indptr.size() - 1, *pointers = parts.pointers();
  const int64_t mean = rows > 0 ? parts.count() / rows : 0;
  parallel_for(rows, rows_per_thread(1 + mean), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      WideSum<T> total = 0;
      for (int64_t k = pointers[i]; k < pointers[i + 1]; ++k) total += wide<Term>(data[k]);
      out[i] = finish(total);
    }
  });
}

// The columns of some rows are summed by one thread, and then those of all. How many pieces there
// are depends on the sizes alone.
template <class Term, class T, class Finish>
void fold_each_column(const SparseParts& parts, int64_t columns, T* out, Finish finish) {
  using W = WideSum<T>;
  const T* data = parts.data.data<T>();
  const int64_t rows = parts.indptr.size() - 1, *index = parts.index();
  const int64_t* pointers = parts.pointers();
  const int64_t worth = std::max<int64_t>(4 * columns, 1 << 16);
  const int64_t pieces = std::clamp<int64_t>(parts.count() / worth, 1, 16);
  std::vector<W> sums(static_cast<size_t>(pieces * columns));
  parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      W* mine = sums.data() + piece * columns;
      const int64_t last = pointers[rows * (piece + 1) / pieces];
      for (int64_t k = pointers[rows * piece / pieces]; k < last; ++k) {
        mine[index[k]] += wide<Term>(data[k]);
      }
    }
  });
  parallel_for(columns, 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) {
      W total = sums[static_cast<size_t>(j)];
      for (int64_t piece = 1; piece < pieces; ++piece) {
        total += sums[static_cast<size_t>(piece * columns + j)];
      }
      out[j] = finish(total);
    }
  });
}

template <class T>
WideSum<T> sum_all(const NDArray& values) {
  constexpr int64_t kPiece = int64_t{1} << 16;
  const T* data = values.data<T>();
  const int64_t n = values.size();
  std::vector<WideSum<T>> sums(static_cast<size_t>((n + kPiece - 1) / kPiece));
  parallel_for(n, kPiece, [&](int64_t begin, int64_t end) {
    for (; begin < end; begin += kPiece) {
      WideSum<T> total = 0;
      const int64_t last = std::min(begin + kPiece, end);
      for (int64_t k = begin; k < last; ++k) total += wide<Plain>(data[k]);
      sums[static_cast<size_t>(begin / kPiece)] = total;
    }
  });
  return std::accumulate(sums.begin(), sums.end(), WideSum<T>(0));
}

template <class Term, class T, class Finish>
void fold_one_axis(SparseCall& call, const SparseParts& parts, AxisSet axes, T* out,
                   Finish finish) {
  if (axes == 2) {
    fold_each_row<Term>(parts, out, finish);
  } else {
    fold_each_column<Term>(parts, call.in(0).shape()[1], out, finish);
  }
}

constexpr AxisSet kBoth = 3;

void sum_csr(SparseCall& call) {
  const auto& p = call.params<ReduceParams>();
  const AxisSet axes = reduced_axes(p.axis, p.exclude, 2, call.op().name);
  const DType dtype = call.output().dtype;
  // Neither axis, with exclude; bools, whose sums are no sums.
  if (axes == 0 || dtype == DType::kBool) return run_through_dense(call);
  const SparseParts parts = call.parts(0);
  const bool mean = call.op().name == "mean";
  const int64_t count = reduced_count(call.in(0).shape(), axes);
  const NDArray& out = call.dense_out();
  if (axes == kBoth && !mean) {
    const ParamsRef all = make_params(ReduceParams{});
    const NDArray* inputs[] = {&parts.data};
    return call.op().kernel(
        KernelCall(call.op(), Inputs(inputs, 1), Arrays(&out, 1), all.get(), {}));
  }
  dispatch(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto finish = [=](WideSum<T> total) -> T {
      if constexpr (std::is_integral_v<T>) {
        return static_cast<T>(!mean ? total : count ? total / count : 0);
      } else {
        return convert_value<T>(mean ? total / static_cast<double>(count) : total);
      }
    };
    if constexpr (!std::is_same_v<T, bool>) {
      if (axes != kBoth) return fold_one_axis<Plain>(call, parts, axes, out.data<T>(), finish);
      out.data<T>()[0] = finish(sum_all<T>(parts.data));
    }
  });
}

void norm_csr(SparseCall& call) {
  const auto& p = call.params<NormParams>();
  const AxisSet axes = reduced_axes(p.axis, false, 2, call.op().name);
  const DType dtype = call.output().dtype;
  const SparseParts parts = canonical(call, 0);
  if (axes == kBoth) {
    NormParams all = p;
    all.axis = {};
    const ParamsRef params = make_params(std::move(all));
    const NDArray* inputs[] = {&parts.data};
    const NDArray& out = call.dense_out();
    return call.op().kernel(
        KernelCall(call.op(), Inputs(inputs, 1), Arrays(&out, 1), params.get(), {}));
  }
  // The squares of float64 may leave its range; the dense operator scales them.
  const bool summable =
      dtype == call.in(0).dtype() && is_floating(dtype) && (dtype != DType::kFloat64 || p.ord == 1);
  if (!summable) return run_through_dense(call);
  const NDArray& out = call.dense_out();
  dispatch<FloatingTypes>(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* to = out.data<T>();
    if (p.ord == 1) {
      fold_one_axis<Size>(call, parts, axes, to, [](double x) { return convert_value<T>(x); });
    } else {
      fold_one_axis<Square>(call, parts, axes, to,
                            [](double x) { return convert_value<T>(std::sqrt(x)); });
    }
  });
}

const SparseRows sum_declared({"sum"},
                              {{{kCsr}, kDense, sum_csr}, {{kRowSparse}, kDense, sum_rows}});
const SparseRows mean_declared({"mean"},
                               {{{kCsr}, kDense, sum_csr}, {{kRowSparse}, kDense, mean_rows}});
const SparseRows norm_declared({"norm"},
                               {{{kCsr}, kDense, norm_csr}, {{kRowSparse}, kDense, norm_rows}});

}  // namespace
}  // namespace mxtape

#include <algorithm>
#include <cmath>

#include "op/declare.h"
#include "ops/reduce/reduce.h"
#include "ops/shared/index.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"
#include "runtime/random.h"

// Draws of indices with given probabilities.
namespace mxtape {
namespace {

struct MultinomialParams {
  Ints shape;
  bool get_prob = false;
  DType dtype = DType::kInt32;
  template <class V>
  void visit(V& v) {
    v("shape", shape, "Shape of what is drawn for each row of probabilities.");
    v("get_prob", get_prob,
      "Whether the logarithms of the drawn probabilities are returned too. Gradients flow through "
      "them.");
    v("dtype", dtype, "Data type of the indices: int32, uint8 or a floating-point type.");
  }
};

struct Draws {
  explicit Draws(const Shape& data)
      : kinds(data[data.ndim() - 1]), rows(data.product(0, data.ndim() - 1)) {}
  int64_t kinds, rows;
};

size_t count_results(const Params* p) { return p->as<MultinomialParams>().get_prob ? 2 : 1; }

void infer_multinomial(InferCall& call) {
  const auto& p = call.params<MultinomialParams>();
  call.expect_floating();
  const Shape& data = call.shape(0);
  call.expect(data.ndim() > 0, "an array without axes has no probabilities");
  call.expect(p.dtype == DType::kInt32 || p.dtype == DType::kUint8 || is_floating(p.dtype),
              "dtype must be int32, uint8, float16, bfloat16, float32 or float64");
  Ints dims(data.begin(), data.end() - 1);
  dims.insert(dims.end(), p.shape.begin(), p.shape.end());
  if (dims.empty()) dims.push_back(1);
  const Shape shape{std::span<const int64_t>(dims)};
  const int64_t count = checked_size(shape, call.name());
  const int64_t kinds = data[data.ndim() - 1];
  call.expect(kinds > 0 || count == 0, "there is nothing to draw from: the last axis is empty");
  call.expect(kinds <= exact_integers(p.dtype), "dtype cannot hold every index below ", kinds);
  call.output(0, shape, p.dtype);
  if (p.get_prob) call.output(1, shape, call.dtype(0));
}

// Weights are not negative, and each row has some.
template <class T>
void check_weights(const CheckCall& call) {
  const Draws draws(call.shape(0));
  const T* weights = call.input(0).data<T>();
  for (int64_t r = 0; r < draws.rows && draws.kinds > 0; ++r) {
    const T* row = weights + r * draws.kinds;
    const auto least = reduce::fold_run<reduce::Min<T>>(row, draws.kinds);
    const double total = reduce::fold_run<reduce::Sum<T>>(row, draws.kinds);
    // A NaN and an infinite weight make the sum so.
    call.expect(least >= 0 && total > 0 && std::isfinite(total), "row ", r,
                " of data must have weights that are not negative and not all 0");
  }
}

void run_multinomial(const KernelCall& call) {
  const NDArray &data = call.in(0), &out = call.out();
  const RandomStream stream = next_random_stream();
  if (out.size() == 0) return;
  const Draws draws(data.shape());
  const int64_t kinds = draws.kinds, each = out.size() / draws.rows;
  // Sums up to each index.
  const NDArray sums = NDArray::empty(data.shape(), DType::kFloat64);
  double* sum = sums.data<double>();
  convert(data.dtype(), data.bytes(), DType::kFloat64, sums.bytes(), data.size());
  constexpr int64_t kPiece = 1 << 13;
  parallel_for(draws.rows, std::max<int64_t>(1, kPiece / kinds), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      double total = 0;
      for (int64_t k = 0; k < kinds; ++k) {
        total += sum[r * kinds + k];
        sum[r * kinds + k] = total;
      }
    }
  });
  const NDArray indices = NDArray::empty(Shape{out.size()}, DType::kInt64);
  int64_t* index = indices.data<int64_t>();
  parallel_for(out.size(), kPiece / 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const double *first = sum + i / each * kinds, *last = first + kinds - 1;
      // Not beyond the last index that raises the sum, whatever rounding does.
      const double u = stream.uniform(static_cast<uint64_t>(i)) * *last;
      const double* found = std::upper_bound(first, last, u);
      while (found > first && !(*found > found[-1])) --found;
      index[i] = found - first;
    }
  });
  convert(DType::kInt64, indices.bytes(), out.dtype(), out.bytes(), out.size());
  if (!call.params<MultinomialParams>().get_prob) return;
  const NDArray& logs = call.out(1);
  const auto fill = [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = compute_type<T>;
    const T* probability = data.data<T>();
    T* log = logs.data<T>();
    parallel_for(out.size(), kPiece / 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T drawn = probability[i / each * kinds + index[i]];
        log[i] = static_cast<T>(std::log(static_cast<C>(drawn)));
      }
    });
  };
  dispatch<FloatingTypes>(data.dtype(), fill);
}

// The places in (rows, kinds) that were drawn, as gather_nd takes them: rows, then indices.
NDArray drawn_places(const NDArray& drawn, const Draws& draws) {
  const int64_t n = drawn.size();
  const NDArray places = NDArray::empty(Shape{2, n}, DType::kInt64);
  int64_t* row = places.data<int64_t>();
  for (int64_t i = 0; i < n; ++i) row[i] = i / (n / draws.rows);
  convert(drawn.dtype(), drawn.bytes(), DType::kInt64, row + n, n);
  return places;
}

OP(_sample_multinomial)
    .alias("sample_multinomial")
    .inputs("data")
    .params<MultinomialParams>()
    .outputs(count_results)
    .infer(infer_multinomial)
    .check([](const CheckCall& call) {
      dispatch<FloatingTypes>(call.dtype(0),
                              [&](auto tag) { check_weights<typename decltype(tag)::type>(call); });
    })
    .kernel(run_multinomial)
    .random()
    .keep_input()
    .keep_output()
    .vjp([](Vjp& v) {
      const Shape shape = v.input_shape(0);
      const NDArray drawn = v.output(0);
      if (!v.params<MultinomialParams>().get_prob || !v.has_head(1) || drawn.size() == 0) {
        return v.grad(0, full(shape, v.input_dtype(0), 0));
      }
      const Draws draws(shape);
      const NDArray places = drawn_places(drawn, draws);
      const Ints table = {draws.rows, draws.kinds};
      const NDArray probability = fn::gather_nd(reshape(v.input(0), Shape(table)), places);
      const NDArray head = reshape(v.head(1), Shape{drawn.size()});
      v.grad(0, reshape(fn::scatter_add(head / probability, places, ScatterParams{table}), shape));
    })
    .doc(
        "Indices drawn with the probabilities in the last axis of data, `shape` for each row, and "
        "with get_prob the logarithms of their probabilities.")
    .example(R"(
>>> p = mx.nd.array([[0, 1, 0], [0.5, 0, 0.5]])  # a distribution for each row
>>> x = mx.nd.sample_multinomial(p, shape=100)
>>> x.shape, [sorted(set(row)) for row in x.asnumpy().tolist()]
((2, 100), [[1], [0, 2]])
)");

}  // namespace
}  // namespace mxtape

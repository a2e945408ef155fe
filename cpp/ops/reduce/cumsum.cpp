#include <algorithm>

#include <Eigen/Core>

#include "op/declare.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// Running sums.
namespace mxtape {
namespace {

struct CumsumParams {
  std::optional<int64_t> axis;
  std::optional<DType> dtype;
  template <class V>
  void visit(V& v) {
    v("axis", axis, "Axis to sum along; None for all elements in order.");
    v("dtype", dtype, "Data type of the result; None for the input's, int64 for that of booleans.");
  }
};
const fn::Op<CumsumParams> cumsum{"cumsum"}, cumsum_from_end{"_backward_cumsum"};

// Long sums of narrow floats lose digits; sums of integers wrap around.
template <class T>
using SumType = std::conditional_t<std::is_floating_point_v<compute_type<T>>, double, uint64_t>;

void infer_cumsum(InferCall& call) {
  const auto& p = call.params<CumsumParams>();
  const DType given = call.dtype(0) == DType::kBool ? DType::kInt64 : call.dtype(0);
  call.expect(!p.dtype || (*p.dtype != DType::kBool && *p.dtype != DType::kUint8),
              "dtype must be float16, float32, float64, int8, int32 or int64");
  if (p.axis) call.axis(*p.axis);
  call.output(0, p.axis ? call.shape(0) : Shape{call.shape(0).size()}, p.dtype.value_or(given));
}

// Sums `width` neighbouring lines at a time, row by row, so that memory is read in order.
template <class T>
void sum_lines(T* data, int64_t n, int64_t step, int64_t width, bool from_end) {
  constexpr int64_t kWidth = 256;
  using Sum = SumType<T>;
  Sum sum[kWidth];
  std::fill(sum, sum + width, Sum(0));
  for (int64_t k = 0; k < n; ++k) {
    T* row = data + (from_end ? n - 1 - k : k) * step;
    for (int64_t j = 0; j < width; ++j) {
      sum[j] += static_cast<Sum>(row[j]);
      row[j] = convert_value<T>(sum[j]);
    }
  }
}

template <bool kFromEnd>
void run_cumsum(const KernelCall& call) {
  const NDArray &in = call.in(0), &out = call.out();
  if (out.size() == 0) return;
  convert(in.dtype(), in.bytes(), out.dtype(), out.bytes(), out.size());
  const auto axis = call.params<CumsumParams>().axis;
  const int at = axis ? normalize_axis(*axis, in.ndim(), call.name()) : 0;
  const int64_t n = out.shape()[at], step = out.shape().product(at + 1, out.ndim());
  const int64_t width = std::min<int64_t>(step, 256), tiles = (step + width - 1) / width;
  dispatch(out.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!std::is_same_v<T, bool>) {
      const int64_t grain = std::max<int64_t>(1, 16384 / (n * width));
      parallel_for(out.size() / (n * step) * tiles, grain, [&](int64_t begin, int64_t end) {
        for (int64_t task = begin; task < end; ++task) {
          const int64_t column = task % tiles * width;
          sum_lines(out.data<T>() + task / tiles * n * step + column, n, step,
                    std::min(width, step - column), kFromEnd);
        }
      });
    }
  });
}

// Each is the other's gradient.
template <const fn::Op<CumsumParams>& op>
void cumsum_vjp(Vjp& v) {
  const NDArray grad = op(v.head(), CumsumParams{v.params<CumsumParams>().axis, std::nullopt});
  v.grad(0, cast(reshape(grad, v.input_shape(0)), v.input_dtype(0)));
}

OP(cumsum)
    .alias("_np_cumsum")
    .inputs("a")
    .params<CumsumParams>()
    .infer(infer_cumsum)
    .kernel(run_cumsum<false>)
    .keep_input(0, Keep::kShape)
    .vjp(cumsum_vjp<cumsum_from_end>)
    .doc("Running sums along an axis; without one, a vector of those over all elements.")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [3, 4]])
>>> mx.nd.cumsum(x, axis=0).asnumpy().tolist()
[[1.0, 2.0], [4.0, 6.0]]
>>> mx.nd.cumsum(x).asnumpy().tolist()
[1.0, 3.0, 6.0, 10.0]
)");

OP(_backward_cumsum)
    .inputs("a")
    .params<CumsumParams>()
    .infer(infer_cumsum)
    .kernel(run_cumsum<true>)
    .keep_input(0, Keep::kShape)
    .vjp(cumsum_vjp<cumsum>)
    .doc("Running sums from the end: the gradient of cumsum.");

}  // namespace
}  // namespace mxtape

#include <algorithm>
#include <cstring>

#include "op/declare.h"
#include "op/tangent.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

namespace mxtape {
namespace {

// Elements whose condition is turned into bytes at a time: a tile that stays in the L1 cache.
constexpr int64_t kTile = 2048;

void where_kernel(const KernelCall& call) {
  const NDArray &condition = call.in(0), &x = call.in(1), &y = call.in(2), &out = call.out();
  if (out.size() == 0) return;
  // One decision an element, or one for each row of `after`.
  const int64_t n = condition.size(), after = out.size() / n;
  const size_t step = item_size(condition.dtype());
  dispatch<ElementTypes>(out.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T *if_true = x.data<T>(), *if_false = y.data<T>();
    T* to = out.data<T>();
    parallel_for(n, std::max<int64_t>(1, (1 << 15) / after), [&](int64_t begin, int64_t end) {
      bool chosen[kTile];
      for (int64_t start = begin; start < end; start += kTile) {
        const int64_t count = std::min(kTile, end - start);
        convert(condition.dtype(), condition.bytes() + static_cast<size_t>(start) * step,
                DType::kBool, chosen, count);
        if (after == 1) {
          for (int64_t i = 0; i < count; ++i) {
            const T a = if_true[start + i], b = if_false[start + i];
            to[start + i] = chosen[i] ? a : b;
          }
          continue;
        }
        for (int64_t i = 0; i < count; ++i) {
          const int64_t row = (start + i) * after;
          std::memcpy(to + row, (chosen[i] ? if_true : if_false) + row,
                      static_cast<size_t>(after) * sizeof(T));
        }
      }
    });
  });
}

OP(where)
    .inputs("condition", "x", "y")
    .infer([](InferCall& call) {
      if (call.fill(2, Shape::unknown())) {  // in a graph what is known of one is known of both
        if (call.fill(2, call.partial_shape(1))) call.fill(1, call.partial_shape(2));
      }
      const Shape &condition = call.shape(0), &shape = call.shape(1);
      call.expect(shape == call.shape(2), "x and y must have one shape");
      call.expect(call.dtype(1) == call.dtype(2), "x and y must have one dtype");
      call.expect(condition == shape ||
                      (condition.ndim() == 1 && shape.ndim() > 0 && condition[0] == shape[0]),
                  "condition must have the shape of x, or one element for each of its rows");
      call.output(0, shape, call.dtype(1));
    })
    .any_dtype()
    .kernel(where_kernel)
    .no_grad_inputs(0)
    .keep_input(0)
    .vjp([](Vjp& v) {
      const NDArray condition = v.input(0), g = v.head();
      const NDArray zeros = full(g.shape(), g.dtype(), 0);
      if (v.needs(1)) v.grad(1, fn::where(condition, g, zeros));
      if (v.needs(2)) v.grad(2, fn::where(condition, zeros, g));
    })
    .tangent([](TangentCall& call) {
      const NDArray known = call.has_tangent(1) ? call.tangent(1) : call.tangent(2);
      const NDArray zeros = full(known.shape(), known.dtype(), 0);
      call.result(0, fn::where(call.input(0), call.has_tangent(1) ? call.tangent(1) : zeros,
                               call.has_tangent(2) ? call.tangent(2) : zeros));
    })
    .doc(
        "The element of x where the condition is not zero, of y elsewhere; row by row for a "
        "one-dimensional condition.")
    .example(R"(
>>> x, y = mx.nd.array([[1, 2], [3, 4]]), mx.nd.array([[10, 20], [30, 40]])
>>> mx.nd.where(mx.nd.array([[1, 0], [0, 1]]), x, y).asnumpy().tolist()
[[1.0, 20.0], [30.0, 4.0]]
>>> mx.nd.where(mx.nd.array([0, 1]), x, y).asnumpy().tolist()  # a choice for each row
[[10.0, 20.0], [3.0, 4.0]]
)");

}  // namespace
}  // namespace mxtape

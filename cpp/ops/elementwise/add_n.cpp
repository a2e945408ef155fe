#include <algorithm>

#include <Eigen/Core>

#include "op/declare.h"
#include "op/tangent.h"
#include "runtime/parallel.h"

namespace mxtape {
namespace {

template <class T>
void add_arrays(const KernelCall& call) {
  using A = compute_type<T>;
  constexpr int64_t kBlock = 1024;
  T* out = call.out().data<T>();
  parallel_for(call.out().size(), 1 << 14, [&](int64_t begin, int64_t end) {
    A total[kBlock];
    for (int64_t at = begin; at < end; at += kBlock) {
      const int64_t n = std::min(kBlock, end - at);
      const T* first = call.in(0).data<T>() + at;
      for (int64_t i = 0; i < n; ++i) total[i] = static_cast<A>(first[i]);
      for (size_t k = 1; k < call.input_count(); ++k) {
        const T* x = call.in(k).data<T>() + at;
        for (int64_t i = 0; i < n; ++i) total[i] = static_cast<A>(total[i] + static_cast<A>(x[i]));
      }
      for (int64_t i = 0; i < n; ++i) out[at + i] = static_cast<T>(total[i]);
    }
  });
}

OP(add_n)
    .alias("ElementWiseSum")
    .variadic("args", "num_args")
    .infer([](InferCall& call) {
      call.expect(call.dtype(0) != DType::kBool, "bool arrays are not supported; use astype()");
      infer_pointwise(call);
    })
    .kernel([](const KernelCall& call) {
      dispatch<WrappingTypes>(call.out().dtype(),
                              [&](auto tag) { add_arrays<typename decltype(tag)::type>(call); });
    })
    .vjp([](Vjp& v) {
      const NDArray g = v.head();
      for (size_t i = 0; i < v.input_count(); ++i) {
        if (v.needs(i)) v.grad(i, g);
      }
    })
    .tangent(sum_tangent)
    .doc("Sum of any number of arrays of one shape and dtype.")
    .example(R"(
>>> a, b, c = mx.nd.array([1, 2]), mx.nd.array([10, 20]), mx.nd.array([100, 200])
>>> mx.nd.add_n(a, b, c).asnumpy().tolist()
[111.0, 222.0]
)");
}  // namespace
}  // namespace mxtape

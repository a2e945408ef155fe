#include <cmath>

#include "op/declare.h"

// Whether two arrays are close.
namespace mxtape {
namespace {

struct AllcloseParams {
  double rtol = 1e-5, atol = 1e-8;
  bool equal_nan = true;
  template <class V>
  void visit(V& v) {
    v("rtol", rtol, "Allowed difference, relative to b.");
    v("atol", atol, "Allowed difference, added to that.");
    v("equal_nan", equal_nan, "Whether NaN equals NaN.");
  }
};

template <class T>
bool all_close(const NDArray& a, const NDArray& b, const AllcloseParams& p) {
  const T *x = a.data<T>(), *y = b.data<T>();
  for (int64_t i = 0; i < a.size(); ++i) {
    const auto u = static_cast<double>(static_cast<compute_type<T>>(x[i]));
    const auto w = static_cast<double>(static_cast<compute_type<T>>(y[i]));
    if (u == w) continue;
    if (p.equal_nan && std::isnan(u) && std::isnan(w)) continue;
    // No number is close to an infinite one, nor to NaN.
    if (!(std::isfinite(u) && std::isfinite(w) &&
          std::abs(u - w) <= p.atol + p.rtol * std::abs(w))) {
      return false;
    }
  }
  return true;
}

OP(_contrib_allclose)
    .inputs("a", "b")
    .params<AllcloseParams>()
    .infer([](InferCall& call) {
      call.expect_same_dtype();
      call.expect(call.shape(0) == call.shape(1), "a and b must have one shape");
      call.output(0, Shape{}, DType::kUint8);
    })
    .kernel([](const KernelCall& call) {
      dispatch(call.in(0).dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        *call.out().data<uint8_t>() =
            all_close<T>(call.in(0), call.in(1), call.params<AllcloseParams>()) ? 1 : 0;
      });
    })
    .no_grad("the result is 0 or 1")
    .doc("1 when |a - b| <= atol + rtol * |b| everywhere, else 0, as uint8 of shape ().")
    .example(R"(
>>> a = mx.nd.array([1, 2])
>>> mx.nd.contrib.allclose(a, a + 1e-6).asnumpy().tolist()
1
>>> mx.nd.contrib.allclose(a, a + 1e-3).asnumpy().tolist()
0
)");
}  // namespace
}  // namespace mxtape

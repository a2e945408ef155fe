#include "op/declare.h"

// a * x**2 + b * x + c.
namespace mxtape {
namespace {

struct QuadraticParams {
  double a = 0, b = 0, c = 0;
  template <class V>
  void visit(V& v) {
    v("a", a, "Factor of the square.");
    v("b", b, "Factor of the element.");
    v("c", c, "What is added.");
  }
};
const fn::Op<QuadraticParams> quadratic_grad{"_contrib_backward_quadratic"};

OP(_contrib_quadratic)
    .inputs("data")
    .params<QuadraticParams>()
    .infer(infer_unary)
    .pointwise(floating_tile<1, QuadraticParams>([](const QuadraticParams& p, auto x) {
      using T = typename decltype(x)::Scalar;
      return (x * static_cast<T>(p.a) + static_cast<T>(p.b)) * x + static_cast<T>(p.c);
    }))
    .keep_input()
    .vjp([](Vjp& v) {
      v.grad(0, quadratic_grad(v.head(), v.input(0), v.params<QuadraticParams>()));
    })
    .doc("a * data**2 + b * data + c.")
    .example(R"(
>>> mx.nd.contrib.quadratic(mx.nd.array([0, 1, 2]), a=1, b=10, c=100).asnumpy().tolist()
[100.0, 111.0, 124.0]
)");

OP(_contrib_backward_quadratic)
    .inputs("head", "data")
    .params<QuadraticParams>()
    .pointwise(floating_tile<2, QuadraticParams>([](const QuadraticParams& p, auto g, auto x) {
      using T = typename decltype(x)::Scalar;
      return g * (x * static_cast<T>(2 * p.a) + static_cast<T>(p.b));
    }))
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      const auto& p = v.params<QuadraticParams>();
      if (v.needs(0)) v.grad(0, quadratic_grad(v.head(), v.input(1), p));
      if (v.needs(1)) v.grad(1, v.head() * v.input(0) * (2 * p.a));
    })
    .doc("The gradient of _contrib_quadratic.");
}  // namespace
}  // namespace mxtape

#include <cmath>
#include <numbers>

#include "ops/masked.h"
#include "ops/unary.h"

namespace mxtape {
namespace {

// ---- exponentials and logarithms
OP_UNARY(exp).pointwise([](auto x) { return x.exp(); }, 4).GRAD_Y(g* y).doc("e to the power x.");
OP_UNARY(expm1)
    .pointwise(ELEMENTS(std::expm1(x)), 8)
    .GRAD_X(g* fn::exp(x))
    .doc("exp(x) - 1, exact for small x.");
OP_UNARY(log)
    .pointwise([](auto x) { return x.log(); }, 4)
    .sample(0.3, 4)
    .GRAD_X(masked_quotient(g, x))
    .doc("Natural logarithm.");
OP_UNARY(log2)
    .pointwise(ELEMENTS(std::log2(x)), 8)
    .sample(0.3, 4)
    .GRAD_X(masked_quotient(g, x* std::numbers::ln2))
    .doc("Logarithm to base 2.");
OP_UNARY(log10)
    .pointwise(ELEMENTS(std::log10(x)), 8)
    .sample(0.3, 4)
    .GRAD_X(masked_quotient(g, x* std::numbers::ln10))
    .doc("Logarithm to base 10.");
OP_UNARY(log1p)
    .pointwise(ELEMENTS(std::log1p(x)), 8)
    .sample(-0.5, 3)
    .GRAD_X(masked_quotient(g, x + 1.0))
    .doc("log(1 + x), exact for small x.");

// ---- roots
// Not Eigen's packets, which are wrong at infinity and at -0.
OP_UNARY(sqrt)
    .pointwise(ELEMENTS(std::sqrt(x)), 2)
    .sample(0.3, 4)
    .GRAD_Y(masked_quotient(g, y * 2.0))
    .doc("Square root.");
OP_UNARY(rsqrt)
    .pointwise(ELEMENTS(T(1) / std::sqrt(x)), 3)
    .sample(0.3, 4)
    .GRAD_X(masked_product(g, fn::power(x, -1.5) * -0.5))
    .doc("1 / sqrt(x).");
OP_UNARY(cbrt)
    .pointwise(ELEMENTS(std::cbrt(x)), 8)
    .sample(0.3, 4)
    .GRAD_Y(masked_quotient(g, 3.0 * fn::square(y)))
    .doc("Cube root.");
OP_UNARY(rcbrt)
    .pointwise(ELEMENTS(T(1) / std::cbrt(x)), 8)
    .sample(0.3, 4)
    .GRAD_X(masked_product(g, fn::rcbrt(x) / x * (-1.0 / 3.0)))
    .doc("1 / cbrt(x).");

// ---- activations
OP_UNARY(sigmoid)
    .pointwise(
        [](auto x) {
          using T = typename decltype(x)::Scalar;
          return ((-x).exp() + T(1)).inverse();
        },
        5)
    .GRAD_Y(g * y * (1.0 - y))
    .doc("1 / (1 + exp(-x)).");
OP_UNARY(relu)
    .pointwise_numeric(ELEMENTS(x > T(0) || x != x ? x : T(0)))
    .GRAD_Y(g* fn::greater(y, 0.0))
    .doc("max(x, 0); its gradient at 0 is 0.");
OP_UNARY(softsign)
    .pointwise([](auto x) {
      using T = typename decltype(x)::Scalar;
      return x / (x.abs() + T(1));
    })
    .GRAD_X(g / fn::square(fn::abs(x) + 1.0))
    .doc("x / (1 + |x|).");

struct HardSigmoidParams {
  double alpha = 0.2;
  double beta = 0.5;
  template <class V>
  void visit(V& v) {
    v("alpha", alpha, "Slope of the middle part.");
    v("beta", beta, "Value at 0.");
  }
};
OP_UNARY(hard_sigmoid)
    .params<HardSigmoidParams>()
    .infer(infer_same_floating)
    .pointwise(floating_tile<1, HardSigmoidParams>([](const HardSigmoidParams& p, auto x) {
      using T = typename decltype(x)::Scalar;
      return (x * T(p.alpha) + T(p.beta)).cwiseMax(T(0)).cwiseMin(T(1));
    }))
    .keep_output()
    .vjp([](Vjp& v) {
      const NDArray y = v.output(0);
      v.grad(0, v.head() * (fn::greater(y, 0.0) * fn::lesser(y, 1.0)) *
                    v.params<HardSigmoidParams>().alpha);
    })
    .doc("alpha * x + beta, clipped to [0, 1].");

}  // namespace
}  // namespace mxtape

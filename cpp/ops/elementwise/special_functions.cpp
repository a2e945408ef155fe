#include <cmath>
#include <numbers>

#include "op/head.h"
#include "ops/elementwise/unary.h"
#include "ops/shared/elementary.h"
#include "ops/shared/special.h"

namespace mxtape {
namespace {

OP(_gaussian)
    .inputs("data")
    .params<GaussianParams>()
    .pointwise_each<1, GaussianParams>(
        [](const GaussianParams& p, auto x) { return p.halvings ? gaussian<1>(x) : gaussian(x); },
        6)
    .keep_input()
    .keep_output()
    .vjp([](Vjp& v) {
      const double factor = v.params<GaussianParams>().halvings ? -1 : -2;
      v.grad(0, masked_product(v.head(), v.output(0) * v.input(0)) * factor);
    })
    .doc("exp(-x * x), or exp(-x * x / 2).");

// ---- special functions
OP(erf)
    .unary()
    .pointwise_each([](auto x) { return erf(x); }, 12)
    .wide_grad_x([](auto& g, auto& x) {
      return g * fn::gaussian(x) * (2 / std::sqrt(std::numbers::pi));
    })
    .doc("Error function.")
    .example(R"(
>>> print(mx.nd.erf(mx.nd.array([-1, 0, 1])).asnumpy().round(4))
[-0.8427  0.      0.8427]
)");
OP(erfinv)
    .unary()
    .pointwise_scalar([](auto x) { return erfinv_of(x); }, 24)
    .sample(-0.8, 0.8)
    .wide_grad_y([](auto& g, auto& y) {
      return g * fn::exp(fn::square(y)) * (std::sqrt(std::numbers::pi) / 2);
    })
    .doc("Inverse of erf on (-1, 1).")
    .example(R"(
>>> print(mx.nd.erfinv(mx.nd.array([-0.5, 0, 0.5])).asnumpy().round(4))
[-0.4769  0.      0.4769]
)");

OP(_polygamma)
    .inputs("data")
    .params<PolygammaParams>()
    .sample(0.5, 4)
    .pointwise(floating_tile<1, PolygammaParams>([](const PolygammaParams& p, auto a) {
                 using T = typename decltype(a)::Scalar;
                 const int n = static_cast<int>(p.n);
                 return a.unaryExpr([n](T x) -> T { return static_cast<T>(polygamma_of(n, x)); });
               }),
               40)
    .keep_input()
    .vjp([](Vjp& v) {
      const PolygammaParams next{v.params<PolygammaParams>().n + 1};
      v.grad(0, masked_product(v.head(), fn::polygamma(v.input(0), next)));
    })
    .doc("The n-th derivative of the digamma function.");
OP(gammaln)
    .unary()
    .pointwise_scalar([](auto x) { return lgamma_of(x); }, 24)
    .sample(0.5, 4)
    .grad_x([](auto& g, auto& x) { return g * fn::polygamma(x, PolygammaParams{0}); })
    .doc("Logarithm of |gamma(x)|.")
    .example(R"(
>>> print(mx.nd.gammaln(mx.nd.array([3, 100])).asnumpy().round(3))  # log(2!) and log(99!)
[  0.693 359.134]
)");
OP(gamma)
    .unary()
    .pointwise_scalar([](auto x) { return std::tgamma(x); }, 24)
    .sample(0.5, 4)
    .wide_grad_x([](auto& g, auto& x) {
      return g * fn::gamma(x) * fn::polygamma(x, PolygammaParams{0});
    })
    .doc("The gamma function.")
    .example(R"(
>>> print(mx.nd.gamma(mx.nd.array([1, 0.5, 5])).asnumpy().round(4))  # (n - 1)! of whole n
[ 1.      1.7725 24.    ]
)");

}  // namespace
}  // namespace mxtape

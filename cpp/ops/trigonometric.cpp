#include <cmath>
#include <numbers>

#include "ops/masked.h"
#include "ops/unary.h"

namespace mxtape {
namespace {

// ---- trigonometric functions
OP_UNARY(sin)
    .pointwise([](auto x) { return x.sin(); }, 6)
    .GRAD_X(g* fn::cos(x))
    .doc("Sine of x radians.");
OP_UNARY(cos)
    .pointwise([](auto x) { return x.cos(); }, 6)
    .GRAD_X(-g* fn::sin(x))
    .doc("Cosine of x radians.");
OP_UNARY(tan)
    .pointwise(ELEMENTS(std::tan(x)), 8)
    .sample(-1, 1)
    .GRAD_Y(g*(fn::square(y) + 1.0))
    .doc("Tangent of x radians.");
OP_UNARY(arcsin)
    .pointwise(ELEMENTS(std::asin(x)), 8)
    .sample(-0.8, 0.8)
    .GRAD_X(masked_product(g, fn::rsqrt(1.0 - fn::square(x))))
    .doc("Inverse of sin, in radians.");
OP_UNARY(arccos)
    .pointwise(ELEMENTS(std::acos(x)), 8)
    .sample(-0.8, 0.8)
    .GRAD_X(-masked_product(g, fn::rsqrt(1.0 - fn::square(x))))
    .doc("Inverse of cos, in radians.");
OP_UNARY(arctan)
    .pointwise(ELEMENTS(std::atan(x)), 8)
    .GRAD_X(g / (fn::square(x) + 1.0))
    .doc("Inverse of tan, in radians.");
OP_UNARY(degrees)
    .pointwise([](auto x) {
      using T = typename decltype(x)::Scalar;
      return x * T(180 / std::numbers::pi);
    })
    .vjp([](Vjp& v) { v.grad(0, v.head() * (180 / std::numbers::pi)); })
    .doc("Radians to degrees.");
OP_UNARY(radians)
    .pointwise([](auto x) {
      using T = typename decltype(x)::Scalar;
      return x * T(std::numbers::pi / 180);
    })
    .vjp([](Vjp& v) { v.grad(0, v.head() * (std::numbers::pi / 180)); })
    .doc("Degrees to radians.");

// ---- hyperbolic functions
OP_UNARY(sinh).pointwise(ELEMENTS(std::sinh(x)), 8).GRAD_X(g* fn::cosh(x)).doc("Hyperbolic sine.");
OP_UNARY(cosh)
    .pointwise(ELEMENTS(std::cosh(x)), 8)
    .GRAD_X(g* fn::sinh(x))
    .doc("Hyperbolic cosine.");
OP_UNARY(tanh)
    .pointwise([](auto x) { return x.tanh(); }, 6)
    .GRAD_Y(g * (1.0 - fn::square(y)))
    .doc("Hyperbolic tangent.");
OP_UNARY(arcsinh)
    .pointwise(ELEMENTS(std::asinh(x)), 8)
    .GRAD_X(g* fn::rsqrt(fn::square(x) + 1.0))
    .doc("Inverse of sinh.");
OP_UNARY(arccosh)
    .pointwise(ELEMENTS(std::acosh(x)), 8)
    .sample(1.3, 4)
    .GRAD_X(masked_product(g, fn::rsqrt(fn::square(x) - 1.0)))
    .doc("Inverse of cosh.");
OP_UNARY(arctanh)
    .pointwise(ELEMENTS(std::atanh(x)), 8)
    .sample(-0.8, 0.8)
    .GRAD_X(masked_quotient(g, 1.0 - fn::square(x)))
    .doc("Inverse of tanh.");

}  // namespace
}  // namespace mxtape

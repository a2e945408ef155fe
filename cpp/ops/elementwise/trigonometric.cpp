#include <cmath>
#include <numbers>

#include "ops/elementwise/unary.h"
#include "ops/shared/masked.h"

namespace mxtape {
namespace {

// ---- trigonometric functions
OP_UNARY(sin)
    .pointwise([](auto x) { return x.sin(); }, 6)
    .GRAD_X(g* fn::cos(x))
    .doc("Sine of x radians.")
    .example(R"(
>>> print(mx.nd.sin(mx.nd.array([0, 1, 1.5707964])).asnumpy().round(4))
[0.     0.8415 1.    ]
)");
OP_UNARY(cos)
    .pointwise([](auto x) { return x.cos(); }, 6)
    .GRAD_X(-g* fn::sin(x))
    .doc("Cosine of x radians.")
    .example(R"(
>>> print(mx.nd.cos(mx.nd.array([0, 1, 3.1415927])).asnumpy().round(4))
[ 1.      0.5403 -1.    ]
)");
OP_UNARY(tan)
    .pointwise(ELEMENTS(std::tan(x)), 8)
    .sample(-1, 1)
    .GRAD_Y(g*(fn::square(y) + 1.0))
    .doc("Tangent of x radians.")
    .example(R"(
>>> print(mx.nd.tan(mx.nd.array([-1, 0, 1])).asnumpy().round(4))
[-1.5574  0.      1.5574]
)");
OP_UNARY(arcsin)
    .pointwise(ELEMENTS(std::asin(x)), 8)
    .sample(-0.8, 0.8)
    .GRAD_X(masked_product(g, fn::rsqrt(1.0 - fn::square(x))))
    .doc("Inverse of sin, in radians.")
    .example(R"(
>>> print(mx.nd.arcsin(mx.nd.array([-1, 0, 1])).asnumpy().round(4))
[-1.5708  0.      1.5708]
)");
OP_UNARY(arccos)
    .pointwise(ELEMENTS(std::acos(x)), 8)
    .sample(-0.8, 0.8)
    .GRAD_X(-masked_product(g, fn::rsqrt(1.0 - fn::square(x))))
    .doc("Inverse of cos, in radians.")
    .example(R"(
>>> print(mx.nd.arccos(mx.nd.array([-1, 0, 1])).asnumpy().round(4))
[3.1416 1.5708 0.    ]
)");
OP_UNARY(arctan)
    .pointwise(ELEMENTS(std::atan(x)), 8)
    .GRAD_X(g / (fn::square(x) + 1.0))
    .doc("Inverse of tan, in radians.")
    .example(R"(
>>> print(mx.nd.arctan(mx.nd.array([-1, 0, 1])).asnumpy().round(4))
[-0.7854  0.      0.7854]
)");
OP_UNARY(degrees)
    .pointwise([](auto x) {
      using T = typename decltype(x)::Scalar;
      return x * T(180 / std::numbers::pi);
    })
    .vjp([](Vjp& v) { v.grad(0, v.head() * (180 / std::numbers::pi)); })
    .doc("Radians to degrees.")
    .example(R"(
>>> print(mx.nd.degrees(mx.nd.array([3.1415927, 1])).asnumpy().round(2))
[180.   57.3]
)");
OP_UNARY(radians)
    .pointwise([](auto x) {
      using T = typename decltype(x)::Scalar;
      return x * T(std::numbers::pi / 180);
    })
    .vjp([](Vjp& v) { v.grad(0, v.head() * (std::numbers::pi / 180)); })
    .doc("Degrees to radians.")
    .example(R"(
>>> print(mx.nd.radians(mx.nd.array([180, 90])).asnumpy().round(4))
[3.1416 1.5708]
)");

// ---- hyperbolic functions
OP_UNARY(sinh)
    .pointwise(ELEMENTS(std::sinh(x)), 8)
    .GRAD_X(g* fn::cosh(x))
    .doc("Hyperbolic sine.")
    .example(R"(
>>> print(mx.nd.sinh(mx.nd.array([-1, 0, 1])).asnumpy().round(4))
[-1.1752  0.      1.1752]
)");
OP_UNARY(cosh)
    .pointwise(ELEMENTS(std::cosh(x)), 8)
    .GRAD_X(g* fn::sinh(x))
    .doc("Hyperbolic cosine.")
    .example(R"(
>>> print(mx.nd.cosh(mx.nd.array([0, 1])).asnumpy().round(4))
[1.     1.5431]
)");
OP_UNARY(tanh)
    .pointwise([](auto x) { return x.tanh(); }, 6)
    .GRAD_Y(tanh_grad(g, y))
    .doc("Hyperbolic tangent.")
    .example(R"(
>>> print(mx.nd.tanh(mx.nd.array([-1, 0, 100])).asnumpy().round(4))
[-0.7616  0.      1.    ]
)");
OP(_backward_tanh)
    .inputs("head", "output")
    .pointwise(floating_tile<2>([](auto g, auto y) {
      using T = typename decltype(y)::Scalar;
      return g * (T(1) - y * y);
    }))
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      const NDArray g = v.input(0), y = v.input(1), h = v.head();
      if (v.needs(0)) v.grad(0, tanh_grad(h, y));
      if (v.needs(1)) v.grad(1, g * h * y * -2.0);
    })
    .doc("The gradient of y = tanh(x): head * (1 - y^2).");
OP_UNARY(arcsinh)
    .pointwise(ELEMENTS(std::asinh(x)), 8)
    .GRAD_X(g* fn::rsqrt(fn::square(x) + 1.0))
    .doc("Inverse of sinh.")
    .example(R"(
>>> print(mx.nd.arcsinh(mx.nd.array([0, 1])).asnumpy().round(4))
[0.     0.8814]
)");
OP_UNARY(arccosh)
    .pointwise(ELEMENTS(std::acosh(x)), 8)
    .sample(1.3, 4)
    .GRAD_X(masked_product(g, fn::rsqrt(fn::square(x) - 1.0)))
    .doc("Inverse of cosh.")
    .example(R"(
>>> print(mx.nd.arccosh(mx.nd.array([1, 2])).asnumpy().round(4))
[0.    1.317]
)");
OP_UNARY(arctanh)
    .pointwise(ELEMENTS(std::atanh(x)), 8)
    .sample(-0.8, 0.8)
    .GRAD_X(masked_quotient(g, 1.0 - fn::square(x)))
    .doc("Inverse of tanh.")
    .example(R"(
>>> print(mx.nd.arctanh(mx.nd.array([0, 0.5])).asnumpy().round(4))
[0.     0.5493]
)");

}  // namespace
}  // namespace mxtape

#include <cmath>
#include <numbers>

#include "ops/elementwise/unary.h"
#include "ops/shared/masked.h"

namespace mxtape {
namespace {

// ---- trigonometric functions
OP(sin)
    .unary()
    .pointwise([](auto x) { return x.sin(); }, 6)
    .grad_x([](auto& g, auto& x) { return g * fn::cos(x); })
    .doc("Sine of x radians.")
    .example(R"(
>>> print(mx.nd.sin(mx.nd.array([0, 1, 1.5707964])).asnumpy().round(4))
[0.     0.8415 1.    ]
)");
OP(cos)
    .unary()
    .pointwise([](auto x) { return x.cos(); }, 6)
    .grad_x([](auto& g, auto& x) { return -g * fn::sin(x); })
    .doc("Cosine of x radians.")
    .example(R"(
>>> print(mx.nd.cos(mx.nd.array([0, 1, 3.1415927])).asnumpy().round(4))
[ 1.      0.5403 -1.    ]
)");
OP(tan)
    .unary()
    .pointwise_scalar([](auto x) { return std::tan(x); }, 8)
    .sample(-1, 1)
    .grad_y([](auto& g, auto& y) { return g * (fn::square(y) + 1.0); })
    .doc("Tangent of x radians.")
    .example(R"(
>>> print(mx.nd.tan(mx.nd.array([-1, 0, 1])).asnumpy().round(4))
[-1.5574  0.      1.5574]
)");
OP(arcsin)
    .unary()
    .pointwise_scalar([](auto x) { return std::asin(x); }, 8)
    .sample(-0.8, 0.8)
    .grad_x([](auto& g, auto& x) { return masked_product(g, fn::rsqrt(1.0 - fn::square(x))); })
    .doc("Inverse of sin, in radians.")
    .example(R"(
>>> print(mx.nd.arcsin(mx.nd.array([-1, 0, 1])).asnumpy().round(4))
[-1.5708  0.      1.5708]
)");
OP(arccos)
    .unary()
    .pointwise_scalar([](auto x) { return std::acos(x); }, 8)
    .sample(-0.8, 0.8)
    .grad_x([](auto& g, auto& x) { return -masked_product(g, fn::rsqrt(1.0 - fn::square(x))); })
    .doc("Inverse of cos, in radians.")
    .example(R"(
>>> print(mx.nd.arccos(mx.nd.array([-1, 0, 1])).asnumpy().round(4))
[3.1416 1.5708 0.    ]
)");
OP(arctan)
    .unary()
    .pointwise_scalar([](auto x) { return std::atan(x); }, 8)
    .grad_x([](auto& g, auto& x) { return g / (fn::square(x) + 1.0); })
    .doc("Inverse of tan, in radians.")
    .example(R"(
>>> print(mx.nd.arctan(mx.nd.array([-1, 0, 1])).asnumpy().round(4))
[-0.7854  0.      0.7854]
)");
OP(degrees)
    .unary()
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
OP(radians)
    .unary()
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
OP(sinh)
    .unary()
    .pointwise_scalar([](auto x) { return std::sinh(x); }, 8)
    .grad_x([](auto& g, auto& x) { return g * fn::cosh(x); })
    .doc("Hyperbolic sine.")
    .example(R"(
>>> print(mx.nd.sinh(mx.nd.array([-1, 0, 1])).asnumpy().round(4))
[-1.1752  0.      1.1752]
)");
OP(cosh)
    .unary()
    .pointwise_scalar([](auto x) { return std::cosh(x); }, 8)
    .grad_x([](auto& g, auto& x) { return g * fn::sinh(x); })
    .doc("Hyperbolic cosine.")
    .example(R"(
>>> print(mx.nd.cosh(mx.nd.array([0, 1])).asnumpy().round(4))
[1.     1.5431]
)");
OP(tanh)
    .unary()
    .pointwise([](auto x) { return x.tanh(); }, 6)
    .grad_y([](auto& g, auto& y) { return tanh_grad(g, y); })
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
OP(arcsinh)
    .unary()
    .pointwise_scalar([](auto x) { return std::asinh(x); }, 8)
    .grad_x([](auto& g, auto& x) { return g * fn::rsqrt(fn::square(x) + 1.0); })
    .doc("Inverse of sinh.")
    .example(R"(
>>> print(mx.nd.arcsinh(mx.nd.array([0, 1])).asnumpy().round(4))
[0.     0.8814]
)");
OP(arccosh)
    .unary()
    .pointwise_scalar([](auto x) { return std::acosh(x); }, 8)
    .sample(1.3, 4)
    .grad_x([](auto& g, auto& x) { return masked_product(g, fn::rsqrt(fn::square(x) - 1.0)); })
    .doc("Inverse of cosh.")
    .example(R"(
>>> print(mx.nd.arccosh(mx.nd.array([1, 2])).asnumpy().round(4))
[0.    1.317]
)");
OP(arctanh)
    .unary()
    .pointwise_scalar([](auto x) { return std::atanh(x); }, 8)
    .sample(-0.8, 0.8)
    .grad_x([](auto& g, auto& x) { return masked_quotient(g, 1.0 - fn::square(x)); })
    .doc("Inverse of tanh.")
    .example(R"(
>>> print(mx.nd.arctanh(mx.nd.array([0, 0.5])).asnumpy().round(4))
[0.     0.5493]
)");

}  // namespace
}  // namespace mxtape

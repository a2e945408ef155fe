#include <cmath>
#include <numbers>

#include "ops/elementwise/saturating.h"
#include "ops/elementwise/unary.h"
#include "ops/shared/elementary.h"

namespace mxtape {
namespace {

const fn::BinaryOp hypot{"hypot"};
const fn::Op<> one_minus_square{"_one_minus_square"};

OP(_one_minus_square)
    .inputs("data")
    .pointwise([](auto x) {
      using T = typename decltype(x)::Scalar;
      return (T(1) - x) * (T(1) + x);
    })
    .grad_x([](auto& g, auto& x) { return g * x * -2.0; })
    .doc("1 - x * x, exact where x is near 1 or -1.");

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
    .wide_grad_y([](auto& g, auto& y) { return g * (fn::square(y) + 1.0); })
    .doc("Tangent of x radians.")
    .example(R"(
>>> print(mx.nd.tan(mx.nd.array([-1, 0, 1])).asnumpy().round(4))
[-1.5574  0.      1.5574]
)");
OP(arcsin)
    .unary()
    .pointwise_scalar([](auto x) { return std::asin(x); }, 8)
    .sample(-0.8, 0.8)
    .wide_grad_x([](auto& g, auto& x) { return g * fn::rsqrt(one_minus_square(x)); })
    .doc("Inverse of sin, in radians.")
    .example(R"(
>>> print(mx.nd.arcsin(mx.nd.array([-1, 0, 1])).asnumpy().round(4))
[-1.5708  0.      1.5708]
)");
OP(arccos)
    .unary()
    .pointwise_scalar([](auto x) { return std::acos(x); }, 8)
    .sample(-0.8, 0.8)
    .wide_grad_x([](auto& g, auto& x) { return -(g * fn::rsqrt(one_minus_square(x))); })
    .doc("Inverse of cos, in radians.")
    .example(R"(
>>> print(mx.nd.arccos(mx.nd.array([-1, 0, 1])).asnumpy().round(4))
[3.1416 1.5708 0.    ]
)");
OP(arctan)
    .unary()
    .pointwise_scalar([](auto x) { return std::atan(x); }, 8)
    .wide_grad_x([](auto& g, auto& x) {
      // Not 1 + x * x, which is infinite where the quotient is not 0.
      const NDArray h = hypot(x, 1.0);
      return g / h / h;
    })
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
struct TanhSlope {
  static constexpr float kEnd = 0.9990234375F;
  template <class V>
  static V size(V y) {
    return abs(y);
  }
  template <class V>
  static V from_output(V y) {
    return (1 - y) * (1 + y);
  }
  template <class V>
  static V from_data(V x) {
    return 4 * sigmoid_slope(x + x);
  }
};

OP(tanh)
    .unary()
    .pointwise([](auto x) { return x.tanh(); }, 6)
    .keep_input()
    .keep_output()
    .vjp([](Vjp& v) { v.grad(0, tanh_grad(v.head(), v.output(0), v.input(0))); })
    .doc("Hyperbolic tangent.")
    .example(R"(
>>> print(mx.nd.tanh(mx.nd.array([-1, 0, 100])).asnumpy().round(4))
[-0.7616  0.      1.    ]
)");
OP(_backward_tanh)
    .inputs("head", "output", "data")
    .pointwise(SaturatingSlope<TanhSlope>::function(), 2)
    .keep_inputs({Keep::kData, Keep::kData, Keep::kData})
    .no_grad_inputs(1)
    .vjp([](Vjp& v) {
      const NDArray y = v.input(1), x = v.input(2), h = v.head();
      if (v.needs(0)) v.grad(0, tanh_grad(h, y, x));
      if (v.needs(2)) {
        const NDArray slope = tanh_grad(masked_product(v.input(0), h), y, x);
        v.grad(2, masked_product(slope, fn::tanh(x)) * -2.0);
      }
    })
    .doc("The gradient of tanh: head * (1 - output**2), where output is near 1 or -1 from data.");
OP(arcsinh)
    .unary()
    .pointwise_scalar([](auto x) { return std::asinh(x); }, 8)
    .wide_grad_x([](auto& g, auto& x) { return g / hypot(x, 1.0); })
    .doc("Inverse of sinh.")
    .example(R"(
>>> print(mx.nd.arcsinh(mx.nd.array([0, 1])).asnumpy().round(4))
[0.     0.8814]
)");
OP(arccosh)
    .unary()
    .pointwise_scalar([](auto x) { return std::acosh(x); }, 8)
    .sample(1.3, 4)
    .wide_grad_x([](auto& g, auto& x) { return g * fn::rsqrt(x - 1.0) * fn::rsqrt(x + 1.0); })
    .doc("Inverse of cosh.")
    .example(R"(
>>> print(mx.nd.arccosh(mx.nd.array([1, 2])).asnumpy().round(4))
[0.    1.317]
)");
OP(arctanh)
    .unary()
    .pointwise_scalar([](auto x) { return std::atanh(x); }, 8)
    .sample(-0.8, 0.8)
    .wide_grad_x([](auto& g, auto& x) { return g / one_minus_square(x); })
    .doc("Inverse of tanh.")
    .example(R"(
>>> print(mx.nd.arctanh(mx.nd.array([0, 0.5])).asnumpy().round(4))
[0.     0.5493]
)");

}  // namespace
}  // namespace mxtape

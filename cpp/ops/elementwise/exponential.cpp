#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "ops/elementwise/saturating.h"
#include "ops/elementwise/unary.h"
#include "ops/shared/elementary.h"

namespace mxtape {
namespace {

// Eigen's packets take subnormal numbers for the least normal one.
template <class T>
void log_tile(const void* const* in, void* out, int64_t n, const void*) {
  using Array = Eigen::Array<T, Eigen::Dynamic, 1>;
  const Eigen::Map<const Array> x(static_cast<const T*>(in[0]), n);
  Eigen::Map<Array> y(static_cast<T*>(out), n);
  constexpr T kLeast = std::numeric_limits<T>::min();
  int subnormal = 0;
  for (int64_t i = 0; i < n; ++i) subnormal |= x[i] > T(0) && x[i] < kLeast;
  if (subnormal) {
    y = x.unaryExpr([](T v) { return std::log(v); });
  } else {
    y = x.log();
  }
}

TileFunction log_function() {
  TileFunction f;
  f.kernels[static_cast<int>(DType::kFloat32)] = log_tile<float>;
  f.kernels[static_cast<int>(DType::kFloat64)] = log_tile<double>;
  return f;
}

// ---- exponentials and logarithms
OP(exp)
    .unary()
    .pointwise([](auto x) { return x.unaryExpr(Exp()); }, 4)
    .grad_y([](auto& g, auto& y) { return g * y; })
    .doc("e to the power x.")
    .example(R"(
>>> print(mx.nd.exp(mx.nd.array([0, 1, 2])).asnumpy().round(4))
[1.     2.7183 7.3891]
)");
OP(expm1)
    .unary()
    .pointwise_each([](auto x) { return expm1(x); }, 8)
    .grad_x([](auto& g, auto& x) { return g * fn::exp(x); })
    .doc("exp(x) - 1, exact for small x.")
    .example(R"(
>>> x = mx.nd.array([1, 1e-8])
>>> print(mx.nd.expm1(x).asnumpy()[0].round(4))
1.7183
>>> print((mx.nd.expm1(x) / x).asnumpy()[1].round(4))  # exp(x) - 1 would be 0
1.0
)");
OP(log)
    .unary()
    .pointwise(log_function(), 4)
    .sample(0.3, 4)
    .grad_x([](auto& g, auto& x) { return g / x; })
    .doc("Natural logarithm.")
    .example(R"(
>>> print(mx.nd.log(mx.nd.array([1, 2.7182817, 10])).asnumpy().round(4))
[0.     1.     2.3026]
)");
OP(log2)
    .unary()
    .pointwise_scalar([](auto x) { return std::log2(x); }, 8)
    .sample(0.3, 4)
    .wide_grad_x([](auto& g, auto& x) { return g * std::numbers::log2e / x; })
    .doc("Logarithm to base 2.")
    .example(R"(
>>> print(mx.nd.log2(mx.nd.array([1, 0.5, 1024])).asnumpy().round(4))
[ 0. -1. 10.]
)");
OP(log10)
    .unary()
    .pointwise_scalar([](auto x) { return std::log10(x); }, 8)
    .sample(0.3, 4)
    .wide_grad_x([](auto& g, auto& x) { return g * std::numbers::log10e / x; })
    .doc("Logarithm to base 10.")
    .example(R"(
>>> print(mx.nd.log10(mx.nd.array([1, 0.01, 1000])).asnumpy().round(4))
[ 0. -2.  3.]
)");
OP(log1p)
    .unary()
    .pointwise_each([](auto x) { return log1p(x); }, 8)
    .sample(-0.5, 3)
    .wide_grad_x([](auto& g, auto& x) { return g / (x + 1.0); })
    .doc("log(1 + x), exact for small x.")
    .example(R"(
>>> x = mx.nd.array([1, 1e-8])
>>> print(mx.nd.log1p(x).asnumpy()[0].round(4))
0.6931
>>> print((mx.nd.log1p(x) / x).asnumpy()[1].round(4))  # log(1 + x) would be 0
1.0
)");

// ---- roots
// Not Eigen's packets, which are wrong at infinity and at -0.
OP(sqrt)
    .unary()
    .pointwise_scalar([](auto x) { return std::sqrt(x); }, 2)
    .sample(0.3, 4)
    .wide_grad_y([](auto& g, auto& y) { return g / (y * 2.0); })
    .doc("Square root.")
    .example(R"(
>>> mx.nd.sqrt(mx.nd.array([0, 4, 0.25])).asnumpy().tolist()
[0.0, 2.0, 0.5]
)");
OP(rsqrt)
    .unary()
    .pointwise_scalar(
        [](auto x) {
          using T = decltype(x);
          return T(1) / std::sqrt(x);
        },
        3)
    .sample(0.3, 4)
    .wide_grad_x([](auto& g, auto& x) { return g * (fn::rsqrt(x) / x) * -0.5; })
    .doc("1 / sqrt(x).")
    .example(R"(
>>> print(mx.nd.rsqrt(mx.nd.array([4, 0.25])).asnumpy().round(4))
[0.5 2. ]
)");
OP(cbrt)
    .unary()
    .pointwise_scalar([](auto x) { return std::cbrt(x); }, 8)
    .sample(0.3, 4)
    .wide_grad_y([](auto& g, auto& y) { return g / (3.0 * fn::square(y)); })
    .doc("Cube root.")
    .example(R"(
>>> print(mx.nd.cbrt(mx.nd.array([-8, 27])).asnumpy().round(4))
[-2.  3.]
)");
OP(rcbrt)
    .unary()
    .pointwise_scalar(
        [](auto x) {
          using T = decltype(x);
          return T(1) / std::cbrt(x);
        },
        8)
    .sample(0.3, 4)
    .wide_grad_x([](auto& g, auto& x) { return g * (fn::rcbrt(x) / x) * (-1.0 / 3.0); })
    .doc("1 / cbrt(x).")
    .example(R"(
>>> print(mx.nd.rcbrt(mx.nd.array([8, -0.001])).asnumpy().round(4))
[  0.5 -10. ]
)");

// ---- activations

struct SigmoidSlope {
  static constexpr float kEnd = 0.99609375F;
  template <class V>
  static V size(V y) {
    return y;
  }
  template <class V>
  static V from_output(V y) {
    return y * (1 - y);
  }
  template <class V>
  static V from_data(V x) {
    return sigmoid_slope(x);
  }
};

OP(sigmoid)
    .unary()
    .pointwise([](auto x) { return x.unaryExpr(Sigmoid()); }, 5)
    .keep_input()
    .keep_output()
    .vjp([](Vjp& v) { v.grad(0, sigmoid_grad(v.head(), v.output(0), v.input(0))); })
    .doc("1 / (1 + exp(-x)).")
    .example(R"(
>>> print(mx.nd.sigmoid(mx.nd.array([-2, 0, 2])).asnumpy().round(4))
[0.1192 0.5    0.8808]
)");
OP(relu)
    .unary()
    .pointwise_each_numeric([](auto x) { return select(x > 0 || x != x, x, 0); })
    .grad_y([](auto& g, auto& y) { return relu_grad(g.array(), y); })
    .doc("max(x, 0); its gradient at 0 is 0.")
    .example(R"(
>>> x = mx.nd.array([-1, 0, 2])
>>> x.attach_grad()
>>> with mx.autograd.record():
...     y = mx.nd.relu(x)
>>> y.backward()
>>> y.asnumpy().tolist(), x.grad.asnumpy().tolist()
([0.0, 0.0, 2.0], [0.0, 0.0, 1.0])
)");
OP(_backward_sigmoid)
    .inputs("head", "output", "data")
    .pointwise(SaturatingSlope<SigmoidSlope>::function(), 2)
    .keep_inputs({Keep::kData, Keep::kData, Keep::kData})
    .no_grad_inputs(1)
    .vjp([](Vjp& v) {
      const NDArray y = v.input(1), x = v.input(2), h = v.head();
      if (v.needs(0)) v.grad(0, sigmoid_grad(h, y, x));
      if (v.needs(2)) {
        const NDArray slope = sigmoid_grad(masked_product(v.input(0), h), y, x);
        v.grad(2, -masked_product(slope, fn::tanh(x * 0.5)));
      }
    })
    .doc(
        "The gradient of sigmoid: head * output * (1 - output), where output is near 1 from data.");
OP(_backward_relu)
    .inputs("head", "output")
    // A NaN is handed on.
    .pointwise_each_numeric<2>([](auto g, auto y) {
      return select(y > 0 || g == 0, g, select(y <= 0, decltype(y)(0), y));
    })
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      if (v.needs(0)) v.grad(0, relu_grad(v.head(), v.input(1)));
      if (v.needs(1)) v.grad(1, full(v.input_shape(1), v.input_dtype(1), 0));
    })
    .doc("The gradient of y = relu(x): head where y is above 0, else 0; NaN where y is.");
OP(softsign)
    .unary()
    .pointwise_each([](auto x) {
      using T = scalar_of<decltype(x)>;
      constexpr T kEnd = 1 / std::numeric_limits<T>::epsilon();
      const auto y = x / (abs(x) + 1);
      return select(abs(x) > 4 * kEnd, copysign(decltype(x)(1), x), y);
    })
    .wide_grad_x([](auto& g, auto& x) { return softsign_grad(g.array(), x); })
    .doc("x / (1 + |x|).")
    .example(R"(
>>> mx.nd.softsign(mx.nd.array([-3, 0, 1])).asnumpy().tolist()
[-0.75, 0.0, 0.5]
)");

struct HardSigmoidParams {
  double alpha = 0.2;
  double beta = 0.5;
  template <class V>
  void visit(V& v) {
    v("alpha", alpha, "Slope of the middle part.");
    v("beta", beta, "Value at 0.");
  }
};
OP(hard_sigmoid)
    .unary()
    .params<HardSigmoidParams>()
    .infer(infer_same_floating)
    .pointwise(floating_tile<1, HardSigmoidParams>([](const HardSigmoidParams& p, auto x) {
      using T = typename decltype(x)::Scalar;
      return (x * T(p.alpha) + T(p.beta)).cwiseMax(T(0)).cwiseMin(T(1));
    }))
    .keep_input()
    .vjp([](Vjp& v) {
      const auto& p = v.params<HardSigmoidParams>();
      const NDArray x = v.input(0);
      // Not from the output, which is rounded to 0 and 1 inside.
      const double ends[] = {-p.beta / p.alpha, (1 - p.beta) / p.alpha};
      const NDArray inside =
          fn::greater(x, std::min(ends[0], ends[1])) * fn::lesser(x, std::max(ends[0], ends[1]));
      v.grad(0, masked_product(v.head(), inside * p.alpha));
    })
    .doc("alpha * x + beta, clipped to [0, 1].")
    .example(R"(
>>> print(mx.nd.hard_sigmoid(mx.nd.array([-5, 0, 1, 5])).asnumpy().round(4))
[0.  0.5 0.7 1. ]
)");

}  // namespace
}  // namespace mxtape

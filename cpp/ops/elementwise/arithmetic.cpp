#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/elementwise/binary.h"
#include "ops/shared/elementary.h"

namespace mxtape {
namespace {

// Division as each type has it; an integer divided by zero is 0 where the processor would trap.
template <class T>
T divide_elements(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == 0) return 0;
    if constexpr (std::is_signed_v<T>) {
      if (b == T(-1)) return static_cast<T>(-static_cast<std::make_unsigned_t<T>>(a));
    }
    return static_cast<T>(a / b);
  } else {
    return a / b;
  }
}

// The remainder that has the divisor's sign; 0 for a divisor of 0.
template <class T>
T modulo_elements(T a, T b) {
  if (b == T(0)) return T(0);
  if constexpr (std::is_integral_v<T>) {
    if constexpr (std::is_signed_v<T>) {
      if (b == T(-1)) return 0;
    }
    const T r = static_cast<T>(a % b);
    return r != 0 && ((r < 0) != (b < 0)) ? static_cast<T>(r + b) : r;
  } else {
    const T r = std::fmod(a, b);
    return r != T(0) && ((r < T(0)) != (b < T(0))) ? r + b : r;
  }
}

// Integer powers wrap around as products do; a negative exponent gives the truncated reciprocal.
template <class T>
T power_elements(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<T>;
    if (b < 0) return a == 1 ? 1 : a == T(-1) ? (b % 2 ? T(-1) : T(1)) : T(0);
    uint64_t base = static_cast<uint64_t>(a), result = 1;
    for (auto e = static_cast<U>(b); e; e = static_cast<U>(e >> 1), base *= base) {
      if (e & 1) result *= base;
    }
    return static_cast<T>(result);
  } else {
    return std::pow(a, b);
  }
}

// Powers by exp(b log a) in double, which float cannot tell from the exact ones; `a` is positive.
// Elements that are not, or not finite, take the library's function.
void power_of_floats(Eigen::Map<const Eigen::ArrayXf> a, Eigen::Map<const Eigen::ArrayXf> b,
                     Eigen::Map<Eigen::ArrayXf> out) {
  constexpr Eigen::Index kBlock = 64;
  constexpr float kMax = std::numeric_limits<float>::max();
  for (Eigen::Index i = 0; i < a.size(); i += kBlock) {
    const Eigen::Index n = std::min(kBlock, a.size() - i);
    const auto x = a.segment(i, n), y = b.segment(i, n);
    auto to = out.segment(i, n);
    int special = 0;
    for (Eigen::Index k = 0; k < n; ++k) {
      special |= !(x[k] > 0 && x[k] <= kMax && y[k] >= -kMax && y[k] <= kMax);
    }
    if (!special) {
      to = (y.cast<double>() * x.cast<double>().log()).unaryExpr(Exp()).cast<float>();
    } else {
      to = x.binaryExpr(y, [](float u, float v) {
        return static_cast<float>(std::pow(static_cast<double>(u), static_cast<double>(v)));
      });
    }
  }
}

// Mostly the exponent is one small whole number for all elements.
template <class T>
void power_tile(const void* const* in, void* out, int64_t n, const void*) {
  using Array = Eigen::Array<T, Eigen::Dynamic, 1>;
  const Eigen::Map<const Array> a(static_cast<const T*>(in[0]), n);
  const Eigen::Map<const Array> b(static_cast<const T*>(in[1]), n);
  Eigen::Map<Array> result(static_cast<T*>(out), n);
  const T exponent = n ? b[0] : T(0);
  int others = 0;
  for (int64_t i = 0; i < n; ++i) others |= b[i] != exponent;
  const bool same = !others;
  if (same && exponent == 2) {
    result = a.square();
  } else if (same && exponent == 1) {
    result = a;
  } else if (same && exponent == 3) {
    result = a.cube();
  } else if (same && exponent == -1) {
    result = a.inverse();
  } else if (same && exponent == -2) {
    result = a.inverse().square();  // the square may be infinite
  } else if constexpr (std::is_same_v<T, float>) {
    power_of_floats(a, b, result);
  } else {
    result = a.binaryExpr(b, [](T x, T y) { return std::pow(x, y); });
  }
}

TileFunction power_function() {
  TileFunction f = numeric_tile<2>([](auto a, auto b) {
    using T = typename decltype(a)::Scalar;
    return a.binaryExpr(b, [](T x, T y) { return power_elements(x, y); });
  });
  f.kernels[static_cast<int>(DType::kFloat32)] = power_tile<float>;
  f.kernels[static_cast<int>(DType::kFloat64)] = power_tile<double>;
  return f;
}

double log_of(double x) { return std::log(x); }
NDArray log_of(const NDArray& x) { return fn::log(x); }

// b * a**(b - 1), and 0 where b is 0, whatever a is.
template <class A, class B>
NDArray power_slope(const A& a, const B& b) {
  if constexpr (std::is_same_v<B, double>) {
    return b == 0 ? fn::zeros_like(a) : fn::power(a, b - 1) * b;
  } else {
    return masked_product(b, fn::power(a, b - 1.0));
  }
}

// A number as an operand where an array is needed.
const NDArray& array_like(const NDArray&, const NDArray& x) { return x; }
NDArray array_like(const NDArray& other, double x) { return full(Shape{}, other.dtype(), x); }

BINARY(add)
    .same_shape("elemwise_add", "_add", "_plus", "_Plus", "_grad_add")
    .broadcast("broadcast_add", "broadcast_plus")
    .scalar("_plus_scalar", "_PlusScalar")
    .commutative()
    .pointwise(numeric_tile<2>([](auto a, auto b) { return a + b; }))
    .keep(Keep::kShape, Keep::kNothing, Keep::kNothing)
    .grad(pass, pass)
    .doc("Sum of two arrays, or of an array and a number.")
    .example(R"(
>>> column, row = mx.nd.array([[1], [2]]), mx.nd.array([[10, 20, 30]])
>>> mx.nd.broadcast_add(column, row).asnumpy().tolist()
[[11.0, 21.0, 31.0], [12.0, 22.0, 32.0]]
)")
    .same_shape_example(R"(
>>> mx.nd.elemwise_add(mx.nd.array([1, 2]), mx.nd.array([10, 20])).asnumpy().tolist()
[11.0, 22.0]
)");

BINARY(subtract)
    .same_shape("elemwise_sub", "_sub", "_minus", "_Minus")
    .broadcast("broadcast_sub", "broadcast_minus")
    .scalar("_minus_scalar", "_MinusScalar")
    .reversed("_rminus_scalar", "_RMinusScalar")
    .pointwise(numeric_tile<2>([](auto a, auto b) { return a - b; }))
    .keep(Keep::kShape, Keep::kNothing, Keep::kNothing)
    .grad(pass, [](const auto&, const auto&, const auto& g) { return -g; })
    .doc("Difference of two arrays, or of an array and a number.")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [30, 40]])
>>> mx.nd.broadcast_sub(x, mx.nd.array([[1], [30]])).asnumpy().tolist()
[[0.0, 1.0], [0.0, 10.0]]
)")
    .same_shape_example(R"(
>>> mx.nd.elemwise_sub(mx.nd.array([1, 2]), mx.nd.array([10, 20])).asnumpy().tolist()
[-9.0, -18.0]
)");

TileFunction product_function() {
  TileFunction f = numeric_tile<2>([](auto a, auto b) { return a * b; });
  f.product = true;
  return f;
}

BINARY(multiply)
    .same_shape("elemwise_mul", "_mul", "_Mul")
    .broadcast("broadcast_mul")
    .scalar("_mul_scalar", "_MulScalar", "_contrib_backward_gradientmultiplier")
    .commutative()
    .pointwise(product_function())
    .keep(Keep::kData, Keep::kNothing, Keep::kNothing)
    .grad([](const auto&, const auto& b, const auto& g) { return g * b; },
          [](const auto& a, const auto&, const auto& g) { return g * a; })
    .doc("Product, element by element.")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [3, 4]])
>>> mx.nd.broadcast_mul(x, mx.nd.array([[10], [100]])).asnumpy().tolist()
[[10.0, 20.0], [300.0, 400.0]]
)")
    .same_shape_example(R"(
>>> mx.nd.elemwise_mul(mx.nd.array([1, 2]), mx.nd.array([10, 20])).asnumpy().tolist()
[10.0, 40.0]
)");

const fn::Op<> divisor_grad{"_backward_divide"};

BINARY(divide)
    .same_shape("elemwise_div", "_div", "_Div")
    .broadcast("broadcast_div")
    .scalar("_div_scalar", "_DivScalar")
    .reversed("_rdiv_scalar", "_RDivScalar")
    .pointwise(numeric_tile<2>([](auto a, auto b) {
      using T = typename decltype(a)::Scalar;
      if constexpr (std::is_integral_v<T>) {
        return a.binaryExpr(b, [](T x, T y) { return divide_elements(x, y); });
      } else {
        return a / b;
      }
    }))
    .keep(Keep::kData, Keep::kNothing, Keep::kData)
    .sample(0.5, 2)
    .grad([](const auto&, const auto& b, const auto& g) { return g / b; },
          [](const auto& a, const auto& b, const auto& g) {
            if constexpr (std::is_same_v<decltype(a), const double&>) {
              return g * fn::divide(-a, b) / b;
            } else {
              return divisor_grad(g.array(), a, b);
            }
          })
    .doc("Quotient, element by element; integers truncate toward zero, and divided by 0 give 0.")
    .example(R"(
>>> x = mx.nd.array([[2, 4], [6, 8]])
>>> mx.nd.broadcast_div(x, mx.nd.array([[2, 4]])).asnumpy().tolist()
[[1.0, 1.0], [3.0, 2.0]]
>>> whole = x.astype("int32")
>>> mx.nd.broadcast_div(whole, mx.nd.array([[4], [0]], dtype="int32")).asnumpy().tolist()
[[0, 1], [0, 0]]
)")
    .same_shape_example(R"(
>>> mx.nd.elemwise_div(mx.nd.array([1, 9]), mx.nd.array([2, 3])).asnumpy().tolist()
[0.5, 3.0]
>>> x = mx.nd.array([7, -7, 7], dtype="int32")
>>> mx.nd.elemwise_div(x, mx.nd.array([2, 2, 0], dtype="int32")).asnumpy().tolist()
[3, -3, 0]
)");

BINARY(modulo)
    .same_shape("_mod", "_Mod")
    .broadcast("broadcast_mod")
    .scalar("_mod_scalar", "_ModScalar")
    .reversed("_rmod_scalar", "_RModScalar")
    .pointwise(numeric_tile<2>([](auto a, auto b) {
                 using T = typename decltype(a)::Scalar;
                 return a.binaryExpr(b, [](T x, T y) { return modulo_elements(x, y); });
               }),
               8)
    .sample(0.5, 2)
    .wide_grad(pass,
               [](auto a, auto b, auto g) {
                 // Not of a / b, which may be rounded to the next whole number.
                 return -(g * fn::floor((a - fn::modulo(a, b)) / b + 0.5));
               })
    .doc("Remainder with the sign of the divisor; 0 where the divisor is 0.")
    .example(R"(
>>> x, y = mx.nd.array([[7, -7]]), mx.nd.array([[4], [-4]])
>>> mx.nd.broadcast_mod(x, y).asnumpy().tolist()
[[3.0, 1.0], [-1.0, -3.0]]
)");

BINARY(power)
    .old_names("Power")
    .pointwise(power_function(), 8)
    .sample(0.5, 2)
    .wide_grad(
        [](auto a, auto b, auto g) {
          if constexpr (std::is_same_v<decltype(b), double>) {
            if (b == 2) return g * 2.0 * a;
          }
          return g * power_slope(a, b);
        },
        [](auto a, auto b, auto g) { return g * fn::power(a, b) * log_of(a); })
    .doc("lhs raised to the power rhs.")
    .example(R"(
>>> x = mx.nd.array([[2, 3]])
>>> mx.nd.broadcast_power(x, mx.nd.array([[0], [2]])).asnumpy().tolist()
[[1.0, 1.0], [4.0, 9.0]]
)");

BINARY(maximum)
    .old_names("Maximum")
    .commutative()
    .pointwise(numeric_tile<2>([](auto a, auto b) { return (a >= b || a != a).select(a, b); }))
    .grad([](auto a, auto b, auto g) { return g * fn::greater_equal(a, b); },
          [](auto a, auto b, auto g) { return g * fn::lesser(a, b); })
    .doc("The larger of two elements; at a tie the gradient goes to lhs.")
    .example(R"(
>>> x = mx.nd.array([[1, 5], [3, 7]])
>>> mx.nd.broadcast_maximum(x, mx.nd.array([[2], [6]])).asnumpy().tolist()
[[2.0, 5.0], [6.0, 7.0]]
)");

BINARY(minimum)
    .old_names("Minimum")
    .commutative()
    .pointwise(numeric_tile<2>([](auto a, auto b) { return (a <= b || a != a).select(a, b); }))
    .grad([](auto a, auto b, auto g) { return g * fn::lesser_equal(a, b); },
          [](auto a, auto b, auto g) { return g * fn::greater(a, b); })
    .doc("The smaller of two elements; at a tie the gradient goes to lhs.")
    .example(R"(
>>> x = mx.nd.array([[1, 5], [3, 7]])
>>> mx.nd.broadcast_minimum(x, mx.nd.array([[2], [6]])).asnumpy().tolist()
[[1.0, 2.0], [3.0, 6.0]]
)");

const fn::Op<> hypot_grad{"_backward_hypot"};
const fn::BinaryOp hypot_op{"hypot"};
BINARY(hypot)
    .old_names("Hypot")
    .commutative()
    .pointwise_each([](auto a, auto b) { return hypot(a, b); }, 4)
    .sample(0.5, 2)
    .wide_grad([](auto a, auto b, auto g) { return g * hypot_grad(a, array_like(a, b)); },
               [](auto a, auto b, auto g) { return g * hypot_grad(b, array_like(b, a)); })
    .doc("sqrt(lhs**2 + rhs**2), without overflow on the way.")
    .example(R"(
>>> x = mx.nd.array([[3, 5]])
>>> print(mx.nd.broadcast_hypot(x, mx.nd.array([[4], [12]])).asnumpy().round(4))
[[ 5.      6.4031]
 [12.3693 13.    ]]
)");

OP(_backward_hypot)
    .inputs("lhs", "rhs")
    .pointwise_each<2>([](auto a, auto b) { return cosine(a, b); }, 6)
    .infer(infer_broadcast)
    .keep_inputs({Keep::kData, Keep::kData})
    .sample(0.5, 2)
    .vjp([](Vjp& v) {
      // Not from a * a / hypot**3 and the like, of which the parts overflow or cancel.
      const NDArray a = v.input(0), b = v.input(1), g = v.head();
      const NDArray sine = hypot_grad(b, a), part = masked_quotient(sine, hypot_op(a, b));
      if (v.needs(0)) v.grad(0, sum_to(masked_product(g, masked_product(sine, part)), a.shape()));
      if (!v.needs(1)) return;
      v.grad(1, sum_to(-masked_product(g, masked_product(hypot_grad(a, b), part)), b.shape()));
    })
    .doc("lhs / sqrt(lhs**2 + rhs**2), the derivative of hypot with respect to lhs; 0 at 0, 0.");

OP(_backward_divide)
    .inputs("head", "lhs", "rhs")
    .pointwise_each<3>([](auto g, auto a, auto b) { return select(g == 0, g, -(g * (a / b)) / b); },
                       2)
    .infer(infer_broadcast)
    .keep_inputs({Keep::kData, Keep::kData, Keep::kData})
    .sample(0.5, 2)
    .vjp([](Vjp& v) {
      const NDArray g = v.input(0), a = v.input(1), b = v.input(2), h = v.head();
      const NDArray both = masked_product(g, h);
      if (v.needs(0)) v.grad(0, sum_to(divisor_grad(h, a, b), g.shape()));
      if (v.needs(1)) v.grad(1, sum_to(-masked_quotient(masked_quotient(both, b), b), a.shape()));
      if (v.needs(2)) {
        v.grad(2, sum_to(masked_quotient(divisor_grad(both, a, b), b) * -2.0, b.shape()));
      }
    })
    .doc(
        "The gradient of lhs / rhs with respect to rhs, as -(head * (lhs / rhs)) / rhs: the square "
        "of "
        "rhs may be beyond the numbers where the gradient is not.");

// ---- what gradients are multiplied and divided with: see op/head.h

TileFunction masked_product_function() {
  TileFunction f = numeric_each<2>([](auto a, auto b) { return select(a == 0, a, a * b); });
  f.product = true;
  return f;
}
OP(_masked_product)
    .inputs("lhs", "rhs")
    .pointwise(masked_product_function())
    .infer(infer_broadcast)
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      const NDArray a = v.input(0), b = v.input(1), g = v.head();
      if (v.needs(0)) v.grad(0, sum_to(masked_product(g, b), a.shape()));
      if (v.needs(1)) v.grad(1, sum_to(masked_product(a, g), b.shape()));
    })
    .doc("lhs * rhs, and 0 where lhs is 0, whatever rhs is.");

OP(_masked_quotient)
    .inputs("lhs", "rhs")
    .pointwise(numeric_tile<2>([](auto a, auto b) {
      using T = typename decltype(a)::Scalar;
      return a.binaryExpr(b, [](T x, T y) { return divide_elements(x, x == T(0) ? T(1) : y); });
    }))
    .infer(infer_broadcast)
    .sample(0.5, 2)
    .keep_inputs({Keep::kShape, Keep::kData})
    .keep_output()
    .vjp([](Vjp& v) {
      const NDArray b = v.input(1), g = v.head();
      if (v.needs(0)) v.grad(0, sum_to(masked_quotient(g, b), v.input_shape(0)));
      if (v.needs(1)) {
        v.grad(1, sum_to(-masked_quotient(masked_product(g, v.output(0)), b), b.shape()));
      }
    })
    .doc("lhs / rhs, and 0 where lhs is 0, whatever rhs is.");

// ---- division by the root of an extent

double root_of_depth(const Shape& shape) {
  return std::sqrt(static_cast<double>(shape[shape.ndim() - 1]));
}

const fn::Op<> div_sqrt_dim{"_contrib_div_sqrt_dim"};

OP(_contrib_div_sqrt_dim)
    .inputs("data")
    .infer([](InferCall& call) {
      call.expect(call.shape(0).ndim() >= 1, "data must have at least 1 axis");
      infer_same_floating(call);
    })
    .kernel([](const KernelCall& call) {
      const NDArray& x = call.in(0);
      if (x.size() == 0) return;
      run_tiles(fn::multiply.schema().tile, {x, 1 / root_of_depth(x.shape())}, call.out());
    })
    .vjp([](Vjp& v) { v.grad(0, div_sqrt_dim(v.head())); })
    .doc("data divided by the square root of its last extent.")
    .example(R"(
>>> mx.nd.contrib.div_sqrt_dim(mx.nd.array([[2, 4, 6, 8]])).asnumpy().tolist()
[[1.0, 2.0, 3.0, 4.0]]
)");
}  // namespace
}  // namespace mxtape

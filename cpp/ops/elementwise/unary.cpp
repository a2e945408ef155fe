#include "ops/elementwise/unary.h"

#include <cmath>
#include <cstring>

namespace mxtape {
namespace {

// ---- arithmetic
OP(negative)
    .unary()
    .alias("_np_negative")
    .pointwise_numeric([](auto x) { return -x; })
    .vjp([](Vjp& v) { v.grad(0, -v.head()); })
    .doc("-x.")
    .example(R"(
>>> mx.nd.negative(mx.nd.array([1, -2])).asnumpy().tolist()
[-1.0, 2.0]
)");
OP(abs)
    .unary()
    .pointwise_each_numeric([](auto x) { return abs(x); })
    .grad_x([](auto& g, auto& x) { return g * fn::sign(x); })
    .doc("Absolute value; its gradient at 0 is 0.")
    .example(R"(
>>> mx.nd.abs(mx.nd.array([-2, 0, 3])).asnumpy().tolist()
[2.0, 0.0, 3.0]
)");
OP(sign)
    .unary()
    .pointwise_each_numeric([](auto x) { return sign(x); })
    .zero_grad()
    .doc("-1, 0 or 1 by the sign of x.")
    .example(R"(
>>> mx.nd.sign(mx.nd.array([-3, 0, 0.5])).asnumpy().tolist()
[-1.0, 0.0, 1.0]
)");
OP(square)
    .unary()
    .pointwise_numeric([](auto x) { return x * x; })
    .grad_x([](auto& g, auto& x) { return 2.0 * g * x; })
    .doc("x * x.")
    .example(R"(
>>> mx.nd.square(mx.nd.array([-3, 0.5])).asnumpy().tolist()
[9.0, 0.25]
)");
OP(reciprocal)
    .unary()
    .pointwise([](auto x) { return x.inverse(); })
    .sample(0.5, 3)
    .wide_grad_y([](auto& g, auto& y) { return -(g * y * y); })
    .doc("1 / x.")
    .example(R"(
>>> mx.nd.reciprocal(mx.nd.array([2, -4])).asnumpy().tolist()
[0.5, -0.25]
)");

// ---- rounding: piecewise constant, with gradient 0

template <class T>
void copy_tile(const void* const* in, void* out, int64_t n, const void*) {
  std::memmove(out, in[0], static_cast<size_t>(n) * sizeof(T));
}
// Whole numbers are what they are, those beyond 2^53 too.
TileFunction but_of_integers(TileFunction f) {
  f.kernels[static_cast<int>(DType::kInt8)] = copy_tile<int8_t>;
  f.kernels[static_cast<int>(DType::kUint8)] = copy_tile<int8_t>;
  f.kernels[static_cast<int>(DType::kInt32)] = copy_tile<int32_t>;
  f.kernels[static_cast<int>(DType::kInt64)] = copy_tile<int64_t>;
  return f;
}
// Of one number after the other.
template <class F>
TileFunction rounding(F) {
  return but_of_integers(
      floating_tile<1>([](auto x) { return x.unaryExpr([](auto v) { return F{}(v); }); }));
}

OP(round)
    .unary()
    .pointwise(rounding([](auto x) { return std::round(x); }))
    .zero_grad()
    .doc("The nearest integer; halves go away from zero.")
    .example(R"(
>>> mx.nd.round(mx.nd.array([-1.5, 0.5, 1.4])).asnumpy().tolist()
[-2.0, 1.0, 1.0]
)");
OP(rint)
    .unary()
    .pointwise(rounding([](auto x) {
      return x - std::floor(x) <= std::ceil(x) - x ? std::floor(x) : std::ceil(x);
    }))
    .zero_grad()
    .doc("The nearest integer; halves go down.")
    .example(R"(
>>> mx.nd.rint(mx.nd.array([-1.6, 0.5, 1.5, 1.7])).asnumpy().tolist()
[-2.0, 0.0, 1.0, 2.0]
)");
OP(ceil)
    .unary()
    .pointwise(but_of_integers(floating_tile<1>([](auto x) { return x.ceil(); })))
    .zero_grad()
    .doc("The least integer that is not below x.")
    .example(R"(
>>> mx.nd.ceil(mx.nd.array([-1.5, 1.2, 2])).asnumpy().tolist()
[-1.0, 2.0, 2.0]
)");
OP(floor)
    .unary()
    .pointwise(but_of_integers(floating_tile<1>([](auto x) { return x.floor(); })))
    .zero_grad()
    .doc("The greatest integer that is not above x.")
    .example(R"(
>>> mx.nd.floor(mx.nd.array([-1.5, 1.2, 2])).asnumpy().tolist()
[-2.0, 1.0, 2.0]
)");
OP(trunc)
    .unary()
    .pointwise(rounding([](auto x) { return std::trunc(x); }))
    .zero_grad()
    .doc("x without its fraction.")
    .example(R"(
>>> mx.nd.trunc(mx.nd.array([-1.7, 1.7])).asnumpy().tolist()
[-1.0, 1.0]
)");
OP(fix)
    .unary()
    .pointwise(rounding([](auto x) { return std::trunc(x); }))
    .zero_grad()
    .doc("x rounded toward zero.")
    .example(R"(
>>> mx.nd.fix(mx.nd.array([-1.7, 1.7])).asnumpy().tolist()
[-1.0, 1.0]
)");

// ---- with parameters
OP(logical_not)
    .unary()
    .infer(infer_same_shape)
    .pointwise_each_numeric([](auto x) { return x == 0; })
    .zero_grad()
    .doc("1 where x is 0, else 0, in the input's dtype.")
    .example(R"(
>>> mx.nd.logical_not(mx.nd.array([0, 1, -2])).asnumpy().tolist()
[1.0, 0.0, 0.0]
)");

struct ClipParams {
  double a_min = 0, a_max = 0;
  template <class V>
  void visit(V& v) {
    v.required("a_min", a_min, "Smallest value of the result.");
    v.required("a_max", a_max, "Largest value of the result.");
  }
};
const fn::Op<> round_op{"round"};
OP(clip)
    .unary()
    .params<ClipParams>()
    .pointwise(numeric_tile<1, ClipParams>([](const ClipParams& p, auto a) {
      using T = typename decltype(a)::Scalar;
      const double low = p.a_min, high = p.a_max;
      return a.unaryExpr([low, high](T x) -> T {
        return static_cast<double>(x) > high  ? static_cast<T>(high)
               : static_cast<double>(x) < low ? static_cast<T>(low)
                                              : x;
      });
    }))
    .keep_input()
    .vjp([](Vjp& v) {
      const auto& p = v.params<ClipParams>();
      const NDArray x = v.input(0);
      const NDArray inside = fn::greater_equal(x, p.a_min) * fn::lesser_equal(x, p.a_max);
      v.grad(0, masked_product(v.head(), inside));
    })
    .doc("x limited to [a_min, a_max]; the gradient passes inside and at the borders.")
    .example(R"(
>>> x = mx.nd.array([-1, 1, 2, 3])
>>> x.attach_grad()
>>> with mx.autograd.record():
...     y = mx.nd.clip(x, 0, 2)
>>> y.backward()
>>> y.asnumpy().tolist(), x.grad.asnumpy().tolist()
([0.0, 1.0, 2.0, 2.0], [0.0, 1.0, 1.0, 0.0])
)");

struct SmoothL1Params {
  double scalar = 1;
  template <class V>
  void visit(V& v) {
    v("scalar", scalar, "sigma: the loss is quadratic where |x| < 1 / sigma**2.");
  }
};
OP(smooth_l1)
    .unary()
    .params<SmoothL1Params>()
    .pointwise(floating_tile<1, SmoothL1Params>([](const SmoothL1Params& p, auto a) {
      using T = typename decltype(a)::Scalar;
      const T s2 = static_cast<T>(p.scalar * p.scalar);
      return a.unaryExpr([s2](T x) -> T {
        const T size = std::abs(x);
        return size < T(1) / s2 ? T(0.5) * s2 * x * x : size - T(0.5) / s2;
      });
    }))
    .keep_input()
    .vjp([](Vjp& v) {
      const double sigma = v.params<SmoothL1Params>().scalar, s2 = sigma * sigma;
      const NDArray x = v.input(0);
      const NDArray inside = fn::lesser(fn::abs(x), 1 / s2);
      // x may be infinite where it is outside.
      const NDArray slope = masked_product(inside, x * s2) + (1.0 - inside) * fn::sign(x);
      v.grad(0, masked_product(v.head(), slope));
    })
    .doc("Huber's loss: (sigma x)**2 / 2 near 0 and |x| - 0.5 / sigma**2 beyond.")
    .example(R"(
>>> mx.nd.smooth_l1(mx.nd.array([-3, 0.5, 2])).asnumpy().tolist()
[2.5, 0.125, 1.5]
)");

// ---- constants in the shape of an array
OP(zeros_like)
    .inputs("data")
    .infer(infer_same_shape)
    .zero_grad()
    .method()
    .kernel([](const KernelCall& call) { std::memset(call.out().bytes(), 0, call.out().nbytes()); })
    .doc("Zeros of the input's shape and dtype.")
    .example(R"(
>>> mx.nd.zeros_like(mx.nd.array([[3, 4]])).asnumpy().tolist()
[[0.0, 0.0]]
)");
OP(ones_like)
    .inputs("data")
    .infer(infer_same_shape)
    .zero_grad()
    .method()
    .kernel([](const KernelCall& call) {
      dispatch(call.out().dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        std::fill_n(call.out().data<T>(), call.out().size(), static_cast<T>(1));
      });
    })
    .doc("Ones of the input's shape and dtype.")
    .example(R"(
>>> mx.nd.ones_like(mx.nd.array([[3, 4]])).asnumpy().tolist()
[[1.0, 1.0]]
)");

// Straight-through estimators: the gradient passes as if the function were the identity.
OP(_contrib_round_ste)
    .inputs("data")
    .infer(infer_unary)
    .kernel([](const KernelCall& call) {
      run_tiles(round_op.schema().tile, {call.in(0)}, call.out());
    })
    .vjp([](Vjp& v) { v.grad(0, v.head()); })
    .doc("data rounded, with the gradient of the identity.")
    .example(R"(
>>> x = mx.nd.array([0.4, 1.5])
>>> x.attach_grad()
>>> with mx.autograd.record():
...     y = mx.nd.contrib.round_ste(x)
>>> y.backward()
>>> y.asnumpy().tolist(), x.grad.asnumpy().tolist()
([0.0, 2.0], [1.0, 1.0])
)");

OP(_contrib_sign_ste)
    .inputs("data")
    .infer(infer_unary)
    .kernel([](const KernelCall& call) {
      run_tiles(fn::sign.schema().tile, {call.in(0)}, call.out());
    })
    .vjp([](Vjp& v) { v.grad(0, v.head()); })
    .doc("The sign of data, with the gradient of the identity.")
    .example(R"(
>>> x = mx.nd.array([-0.5, 3])
>>> x.attach_grad()
>>> with mx.autograd.record():
...     y = mx.nd.contrib.sign_ste(x)
>>> y.backward()
>>> y.asnumpy().tolist(), x.grad.asnumpy().tolist()
([-1.0, 1.0], [1.0, 1.0])
)");
}  // namespace
}  // namespace mxtape

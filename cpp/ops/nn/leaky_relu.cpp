#include <algorithm>

#include "op/common_params.h"
#include "op/declare.h"
#include "ops/shared/elementary.h"
#include "ops/shared/special.h"
#include "runtime/parallel.h"
#include "runtime/random.h"

// LeakyReLU: the functions that are x, or nearly, for positive x, and something small elsewhere.
namespace mxtape {
namespace {

enum class LeakyType : int32_t { kElu, kGelu, kLeaky, kPrelu, kRrelu, kSelu };

struct LeakyReLUParams {
  LeakyType act_type = LeakyType::kLeaky;
  double slope = 0.25, lower_bound = 0.125, upper_bound = 0.334;
  template <class V>
  void visit(V& v) {
    v("act_type", act_type,
      "For x <= 0: leaky, slope * x; elu, slope * (exp(x) - 1); selu, the same with fixed "
      "constants; "
      "prelu, gamma * x; rrelu, x times a random slope in train mode, the mean one else. gelu is x "
      "* "
      "P(z < x) for a standard normal z.",
      {"elu", "gelu", "leaky", "prelu", "rrelu", "selu"});
    v("slope", slope, "Slope of leaky, and the negative limit of elu.");
    v("lower_bound", lower_bound, "Smallest slope of rrelu.");
    v("upper_bound", upper_bound, "Largest slope of rrelu.");
  }
};
const fn::Op<LeakyReLUParams> leaky_relu_grad{"_backward_LeakyReLU"};

constexpr double kSeluScale = 1.0507009873554804934193349852946;
constexpr double kSeluAlpha = 1.6732632423543772848170429916717;
constexpr double kNormalDensity = 0.39894228040143267794;  // of the standard normal at 0

LeakyType type_of(const Params* p) { return p->as<LeakyReLUParams>().act_type; }

using Slope = LeakyReLUParams;

// positive * x for x > 0, negative * (exp(x) - 1) else.
template <class X>
MXTAPE_INLINE X exponential_unit(X x, double positive, double negative) {
  return select(x > 0, x * positive, expm1(min(x, X(0))) * negative);
}
// Its derivative.
template <class X>
MXTAPE_INLINE X exponential_slope(X x, double positive, double negative) {
  return select(x > 0, X(positive), exp(min(x, X(0))) * negative);
}

const TileFunction leaky =
    floating_each<1, Slope>([](const Slope& p, auto x) { return select(x > 0, x, x * p.slope); });
const TileFunction elu =
    floating_each<1, Slope>([](const Slope& p, auto x) { return exponential_unit(x, 1, p.slope); });
const TileFunction selu = floating_each<1, Slope>(
    [](const Slope&, auto x) { return exponential_unit(x, kSeluScale, kSeluScale * kSeluAlpha); });
// Infinity times 0 is 0.
const TileFunction gelu = floating_each<1, Slope>([](const Slope&, auto x) {
  const auto below = normal_below(x, gaussian<1>(x));
  return select(below == 0, below, x * below);
});
// x and the slope of its place.
const TileFunction sloped = floating_each<2, Slope>(
    [](const Slope&, auto x, auto slope) { return select(x > 0, x, x * slope); });

// The head gradient times the derivative at x; 0 where the head gradient is, as of every function.
const TileFunction leaky_grad = floating_each<2, Slope>(
    [](const Slope& p, auto g, auto x) { return select(x > 0, g, g * p.slope); });
const TileFunction elu_grad = floating_each<2, Slope>([](const Slope& p, auto g, auto x) {
  return select(g == 0, g, g * exponential_slope(x, 1, p.slope));
});
const TileFunction selu_grad = floating_each<2, Slope>([](const Slope&, auto g, auto x) {
  return select(g == 0, g, g * exponential_slope(x, kSeluScale, kSeluScale * kSeluAlpha));
});
const TileFunction gelu_grad = floating_each<2, Slope>([](const Slope&, auto g, auto x) {
  const auto density = gaussian<1>(x);
  const auto slope = select(density == 0, density, x * (density * kNormalDensity));
  return select(g == 0, g, g * (normal_below(x, density) + slope));
});

const TileFunction& forward_tile(LeakyType type) {
  switch (type) {
    case LeakyType::kElu:
      return elu;
    case LeakyType::kGelu:
      return gelu;
    case LeakyType::kLeaky:
      return leaky;
    case LeakyType::kSelu:
      return selu;
    default:
      return sloped;
  }
}
const TileFunction& gradient_tile(LeakyType type) {
  switch (type) {
    case LeakyType::kElu:
      return elu_grad;
    case LeakyType::kGelu:
      return gelu_grad;
    case LeakyType::kSelu:
      return selu_grad;
    default:
      return leaky_grad;
  }
}

// How gamma broadcasts to data: a vector along axis 1 where it has as many elements, else along the
// leading axes. Empty when it does not.
std::optional<Shape> gamma_shape(const Shape& data, const Shape& gamma) {
  Shape shape(data.ndim(), 1);
  if (gamma.ndim() == 1 && data.ndim() > 1 && gamma[0] == data[1]) {
    shape[1] = gamma[0];
    return shape;
  }
  if (gamma.ndim() > std::min(data.ndim(), 2)) return std::nullopt;
  for (int d = 0; d < gamma.ndim(); ++d) {
    if (gamma[d] != 1 && gamma[d] != data[d]) return std::nullopt;
    shape[d] = gamma[d];
  }
  return shape;
}

template <class T>
void draw_slopes(const NDArray& slopes, const LeakyReLUParams& p) {
  const RandomStream random = next_random_stream();
  T* to = slopes.data<T>();
  const double low = p.lower_bound, width = p.upper_bound - p.lower_bound;
  parallel_for(slopes.size(), 1 << 13, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const double value = low + width * random.uniform(static_cast<uint64_t>(i));
      to[i] = static_cast<T>(static_cast<compute_type<T>>(value));
    }
  });
}

OP(LeakyReLU)
    .inputs("data", "gamma")
    .params<LeakyReLUParams>()
    .optional_inputs(1,
                     [](const Params* p) -> uint32_t {
                       return type_of(p) == LeakyType::kPrelu ? 0b11 : 0b01;
                     })
    .outputs([](const Params* p) -> size_t { return type_of(p) == LeakyType::kRrelu ? 2 : 1; })
    .random()
    .infer([](InferCall& call) {
      const auto& p = call.params<LeakyReLUParams>();
      call.expect_floating();
      if (p.act_type == LeakyType::kPrelu) {
        call.expect_same_dtype();
        const Shape& data = call.shape(0);
        call.fill(1, Shape{data.ndim() > 1 ? data[1] : 1});
        call.expect(
            gamma_shape(call.shape(0), call.shape(1)).has_value(),
            "gamma must be a vector along axis 1 of data, or broadcast along its leading axes");
      }
      infer_same_shape(call);
      if (p.act_type == LeakyType::kRrelu) call.output(1, call.shape(0), call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<LeakyReLUParams>();
      const NDArray& x = call.in(0);
      const TileFunction& tile = forward_tile(p.act_type);
      NDArray slopes;
      if (p.act_type == LeakyType::kPrelu) {
        slopes = call.in(1).viewed(*gamma_shape(x.shape(), call.in(1).shape()));
      } else if (p.act_type == LeakyType::kRrelu) {
        slopes = call.out(1);
        dispatch<FloatingTypes>(x.dtype(), [&](auto tag) {
          using T = typename decltype(tag)::type;
          if (call.training()) return draw_slopes<T>(slopes, p);
          std::fill_n(
              slopes.data<T>(), slopes.size(),
              static_cast<T>(static_cast<compute_type<T>>((p.lower_bound + p.upper_bound) / 2)));
        });
      }
      if (!slopes.defined()) return run_tiles(tile, {x}, call.out(), &p);
      run_tiles(tile, {x, slopes}, call.out(), &p);
    })
    .keep_inputs({Keep::kData, Keep::kData})
    .keep_output(0, Keep::kShape)
    .keep_output(1)
    .vjp([](Vjp& v) {
      const auto& p = v.params<LeakyReLUParams>();
      const NDArray x = v.input(0);
      if (p.act_type == LeakyType::kPrelu) {
        const NDArray g = v.head(), gamma = v.input(1);
        const Shape wide = *gamma_shape(x.shape(), gamma.shape());
        if (v.needs(0)) {
          v.grad(0, fn::where(fn::greater(x, 0.0), g, g * reshape(gamma, wide)));
        }
        if (v.needs(1)) {
          const NDArray negative = masked_product(g, fn::minimum(x, 0.0));
          v.grad(1, reshape(sum_to(negative, wide), gamma.shape()));
        }
      } else if (p.act_type == LeakyType::kRrelu) {
        if (!v.has_head(0)) return;  // the slopes are random: nothing flows through them
        const NDArray g = v.head(0);
        v.grad(0, fn::where(fn::greater(x, 0.0), g, g * v.output(1).detached()));
      } else {
        v.grad(0, leaky_relu_grad(v.head(), x, p));
      }
    })
    .doc(
        "x for positive elements and something small, chosen by act_type, for the others. rrelu "
        "also returns its slopes.")
    .example(R"(
>>> x = mx.nd.array([[-2, 2], [-4, 4]])
>>> mx.nd.LeakyReLU(x, slope=0.25).asnumpy().tolist()
[[-0.5, 2.0], [-1.0, 4.0]]
>>> slopes = mx.nd.array([0.5, 1])  # prelu: one for each channel
>>> mx.nd.LeakyReLU(x, slopes, act_type="prelu").asnumpy().tolist()
[[-1.0, 2.0], [-2.0, 4.0]]
)");

OP(_backward_LeakyReLU)
    .inputs("head", "data")
    .params<LeakyReLUParams>()
    .infer([](InferCall& call) {
      const LeakyType type = type_of(call.raw_params());
      call.expect(type != LeakyType::kPrelu && type != LeakyType::kRrelu,
                  "prelu and rrelu have no gradient of this form");
      call.expect_floating();
      infer_pointwise(call);
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<LeakyReLUParams>();
      run_tiles(gradient_tile(p.act_type), {call.in(0), call.in(1)}, call.out(), &p);
    })
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      const auto& p = v.params<LeakyReLUParams>();
      const NDArray g = v.head(), x = v.input(1);
      if (v.needs(0)) v.grad(0, leaky_relu_grad(g, x, p));
      if (!v.needs(1)) return;
      const NDArray gh = masked_product(g, v.input(0));
      switch (p.act_type) {
        case LeakyType::kGelu: {
          // In float32 where x is float16, of which the square is infinite.
          const NDArray wide = in_compute_type(x);
          const NDArray density = fn::gaussian(wide, GaussianParams{1});
          const NDArray slope = masked_product(density, 2.0 - fn::square(wide)) * kNormalDensity;
          return v.grad(1, cast(masked_product(in_compute_type(gh), slope), x.dtype()));
        }
        case LeakyType::kElu:
        case LeakyType::kSelu: {
          const double factor = p.act_type == LeakyType::kElu ? p.slope : kSeluScale * kSeluAlpha;
          const NDArray slope = fn::exp(fn::minimum(x, 0.0)) * fn::lesser_equal(x, 0.0);
          return v.grad(1, masked_product(gh, slope) * factor);
        }
        default:
          return v.grad(1, fn::zeros_like(gh));
      }
    })
    .doc("The head gradient times LeakyReLU's derivative.");

}  // namespace
}  // namespace mxtape

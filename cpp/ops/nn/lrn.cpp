#include <algorithm>

#include <Eigen/Core>

#include "op/declare.h"
#include "ops/reduce/reduce.h"
#include "ops/shared/exponential.h"
#include "ops/shared/strided.h"
#include "runtime/parallel.h"

// Local response normalization, across neighbouring channels.
namespace mxtape {
namespace {

struct LRNParams {
  double alpha = 1e-4, beta = 0.75, knorm = 2;
  int64_t nsize = 0;
  template <class V>
  void visit(V& v) {
    v("alpha", alpha, "Weight of the sum of squares, which is divided by nsize.");
    v("beta", beta, "Exponent of the norm.");
    v("knorm", knorm, "What is added to the sum of squares.");
    v.required("nsize", nsize, "How many channels are summed: (nsize - 1) / 2 on either side.");
  }
};

struct WindowParams {
  int64_t half = 0;
  template <class V>
  void visit(V& v) {
    v.required("half", half, "How many channels on either side are summed.");
  }
};
const fn::Op<WindowParams> window_sum{"_channel_window_sum"};

int64_t half_of(const LRNParams& p) { return (p.nsize - 1) / 2; }

// Channels of a sample are planes of `inner` elements, taken a few at a time so that the rows of a
// window stay in the cache.
constexpr int64_t kColumns = 512;

template <class A>
using Row = Eigen::Map<Eigen::Array<A, Eigen::Dynamic, 1>>;

// For each place and channel, f(channel's elements, the sum over its window of load(element), out).
template <class T, class Load, class Store>
void window_sums(const NDArray& x, const NDArray& out, int64_t half, Load load, Store store) {
  using A = compute_type<T>;
  const Shape& shape = x.shape();
  const int64_t channels = shape[1], inner = shape.product(2, shape.ndim());
  if (x.size() == 0) return;
  const int64_t tiles = (inner + kColumns - 1) / kColumns;
  const int64_t reach = std::min(half, channels);
  const int64_t grain =
      std::max<int64_t>(1, reduce::kGrain / (channels * std::min(inner, kColumns) * (reach + 1)));
  parallel_for(shape[0] * tiles, grain, [&](int64_t first, int64_t last) {
    alignas(64) A sum[kColumns];
    for (int64_t task = first; task < last; ++task) {
      const int64_t column = task % tiles * kColumns, width = std::min(kColumns, inner - column);
      const int64_t start = task / tiles * channels * inner + column;
      for (int64_t c = 0; c < channels; ++c) {
        std::fill_n(sum, width, A(0));
        const int64_t end = std::min(channels, c + reach + 1);
        for (int64_t k = std::max<int64_t>(0, c - reach); k < end; ++k) {
          const T* row = x.data<T>() + start + k * inner;
          for (int64_t i = 0; i < width; ++i) sum[i] += load(static_cast<A>(row[i]));
        }
        store(x.data<T>() + start + c * inner, sum, out.data<T>() + start + c * inner, width);
      }
    }
  });
}

OP(_channel_window_sum)
    .inputs("data")
    .params<WindowParams>()
    .infer([](InferCall& call) {
      call.expect(call.shape(0).ndim() >= 2, "data must have at least 2 axes");
      call.expect(call.params<WindowParams>().half >= 0, "half must not be negative");
      infer_same_floating(call);
    })
    .kernel([](const KernelCall& call) {
      dispatch<FloatingTypes>(call.out().dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        using A = compute_type<T>;
        window_sums<T>(
            call.in(0), call.out(), call.params<WindowParams>().half, [](A x) { return x; },
            [](const T*, const A* sum, T* to, int64_t n) {
              for (int64_t i = 0; i < n; ++i) to[i] = static_cast<T>(sum[i]);
            });
      });
    })
    // Its own adjoint: a channel is in another's window when that one is in its.
    .vjp([](Vjp& v) { v.grad(0, window_sum(v.head(), v.params<WindowParams>())); })
    .doc("Each channel plus its neighbours on either side.");

OP(LRN)
    .inputs("data")
    .params<LRNParams>()
    .infer([](InferCall& call) {
      call.expect(call.shape(0).ndim() >= 2,
                  "data must have at least 2 axes: (batch, channels, ...)");
      call.expect(call.params<LRNParams>().nsize > 0, "nsize must be positive");
      infer_same_floating(call);
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<LRNParams>();
      dispatch<FloatingTypes>(call.out().dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        using A = compute_type<T>;
        const A weight = static_cast<A>(p.alpha / static_cast<double>(p.nsize));
        const A knorm = static_cast<A>(p.knorm), power = static_cast<A>(-p.beta);
        window_sums<T>(
            call.in(0), call.out(), half_of(p), [](A x) { return x * x; },
            [=](const T* x, A* sum, T* to, int64_t n) {
              Row<A> scale(sum, n);
              // A power, in functions that Eigen has packets of.
              scale = ((scale * weight + knorm).log() * power).unaryExpr(Exp());
              for (int64_t i = 0; i < n; ++i) to[i] = static_cast<T>(static_cast<A>(x[i]) * sum[i]);
            });
      });
    })
    .keep_input()
    .vjp([](Vjp& v) {
      const auto& p = v.params<LRNParams>();
      const double weight = p.alpha / static_cast<double>(p.nsize);
      const WindowParams window{half_of(p)};
      // Squares of 16 bits leave their range.
      const DType dtype = v.input_dtype(0), wide = traits_of(dtype).compute;
      const NDArray x = cast(v.input(0), wide), g = cast(v.head(), wide);
      const NDArray norm = window_sum(fn::square(x), window) * weight + p.knorm;
      const NDArray scaled = masked_product(g, fn::power(norm, -p.beta));
      const NDArray pull = window_sum(masked_quotient(scaled * x, norm), window);
      v.grad(0, cast(scaled - x * pull * (2 * weight * p.beta), dtype));
    })
    .doc(
        "data * (knorm + alpha / nsize * the sum of squares of nsize neighbouring "
        "channels)**(-beta).")
    .example(R"(
>>> x = mx.nd.array([1, 3, 0]).reshape((1, 3, 1, 1))
>>> y = mx.nd.LRN(x, nsize=3, alpha=3, beta=1, knorm=10)  # x / (10 + sum of squares)
>>> print(y.asnumpy().ravel().round(4))
[0.05 0.15 0.  ]
)");

}  // namespace
}  // namespace mxtape

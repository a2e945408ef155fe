#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "op/declare.h"
#include "ops/random/distributions.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// Operators that draw random numbers. Every call takes the next stream of the process's sequence.
namespace mxtape {
namespace {

constexpr char kNoInputs[] = "it has no inputs";
constexpr char kShapeDoc[] = "Shape of the result; (1,) when None.";
constexpr char kContextDoc[] = "Where the array lives: only 'cpu' exists.";
constexpr char kDTypeDoc[] = "Data type of the result; None for float32.";
constexpr int64_t kPiece = 1 << 12;  // elements that are drawn one by one

// A parameter struct is the distribution's own parameters, `Own`, and those of all: shape, ctx,
// dtype.
template <class Own>
struct RandomParams : Own {
  OptInts shape;
  std::string ctx;
  std::optional<DType> dtype;
  template <class V>
  void visit(V& v) {
    Own::visit_own(v);
    v("shape", shape, kShapeDoc);
    v("ctx", ctx, kContextDoc);
    v("dtype", dtype, kDTypeDoc);
  }
};
template <class Own>
struct LikeParams : Own {
  template <class V>
  void visit(V& v) {
    Own::visit_own(v);
  }
};

struct Uniform {
  double low = 0, high = 1;
  template <class V>
  void visit_own(V& v) {
    v("low", low, "Smallest number.");
    v("high", high, "Upper bound, never reached.");
  }
  void check(const InferCall& call) const {
    call.expect(low <= high, "low must not be above high");
  }
  void fill(const NDArray& out) const {
    const Affine affine{high - low, low, largest_below(high, low, out.dtype())};
    fill_random(out, Standard::kUniform, affine, next_random_stream());
  }
};

struct Normal {
  double loc = 0, scale = 1;
  template <class V>
  void visit_own(V& v) {
    v("loc", loc, "Mean.");
    v("scale", scale, "Standard deviation.");
  }
  void check(const InferCall& call) const { call.expect(scale > 0, "scale must be positive"); }
  void fill(const NDArray& out) const {
    fill_random(out, Standard::kNormal, {.scale = scale, .shift = loc}, next_random_stream());
  }
};

struct Exponential {
  double lam = 1;
  template <class V>
  void visit_own(V& v) {
    v("lam", lam, "Rate: one over the mean.");
  }
  void check(const InferCall& call) const { call.expect(lam > 0, "lam must be positive"); }
  void fill(const NDArray& out) const {
    fill_random(out, Standard::kExponential, {.scale = 1 / lam}, next_random_stream());
  }
};

// out[i] = element(i), a double, for floating-point arrays.
template <class F>
void fill_elements(const NDArray& out, F element) {
  dispatch(out.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* data = out.data<T>();
    parallel_for(out.size(), kPiece, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) data[i] = convert_value<T>(element(i));
    });
  });
}

struct Gamma {
  double alpha = 1, beta = 1;
  template <class V>
  void visit_own(V& v) {
    v("alpha", alpha, "Shape of the distribution.");
    v("beta", beta, "Scale of the distribution: the mean is alpha * beta.");
  }
  void check(const InferCall& call) const {
    call.expect(alpha > 0 && beta > 0, "alpha and beta must be positive");
  }
  void fill(const NDArray& out) const {
    const RandomStream stream = next_random_stream();
    fill_elements(out, [&](int64_t i) { return beta * draw_gamma(alpha, stream, i); });
  }
};

struct Poisson {
  double lam = 1;
  template <class V>
  void visit_own(V& v) {
    v("lam", lam, "Mean.");
  }
  void check(const InferCall& call) const {
    call.expect(lam >= 0 && lam < 0x1p52, "lam must be in [0, 2**52)");
  }
  void fill(const NDArray& out) const {
    const RandomStream stream = next_random_stream();
    fill_elements(out, [&](int64_t i) { return draw_poisson(lam, stream, i); });
  }
};

// A Poisson distribution whose mean is drawn from a gamma distribution, by two streams.
struct NegativeBinomialDraws {
  RandomStream means = next_random_stream(), counts = next_random_stream();
  double draw(double shape, double scale, int64_t i) const {
    if (shape == 0 || scale == 0) return 0;
    if (!(scale > 0 && std::isfinite(scale))) return std::numeric_limits<double>::quiet_NaN();
    return draw_poisson(scale * draw_gamma(shape, means, i), counts, i);
  }
  // Failures before k successes of probability p.
  double by_success(double k, double p, int64_t i) const { return draw(k, (1 - p) / p, i); }
  // Of mean mu and variance mu + alpha * mu * mu.
  double by_mean(double mu, double alpha, int64_t i) const {
    return alpha == 0 ? draw_poisson(mu, counts, i) : draw(1 / alpha, alpha * mu, i);
  }
};

struct NegativeBinomial {
  int64_t k = 1;
  double p = 1;
  template <class V>
  void visit_own(V& v) {
    v("k", k, "Number of successes after which counting stops.");
    v("p", p, "Probability of success.");
  }
  void check(const InferCall& call) const {
    call.expect(k >= 0, "k must not be negative");
    call.expect(p > 0 && p <= 1, "p must be in (0, 1]");
  }
  void fill(const NDArray& out) const {
    const NegativeBinomialDraws draws;
    fill_elements(out, [&](int64_t i) { return draws.by_success(static_cast<double>(k), p, i); });
  }
};

struct GeneralizedNegativeBinomial {
  double mu = 1, alpha = 1;
  template <class V>
  void visit_own(V& v) {
    v("mu", mu, "Mean.");
    v("alpha", alpha, "Dispersion: the variance is mu + alpha * mu ** 2.");
  }
  void check(const InferCall& call) const {
    call.expect(mu >= 0 && mu < 0x1p52, "mu must be in [0, 2**52)");
    call.expect(alpha >= 0, "alpha must not be negative");
  }
  void fill(const NDArray& out) const {
    const NegativeBinomialDraws draws;
    fill_elements(out, [&](int64_t i) { return draws.by_mean(mu, alpha, i); });
  }
};

Shape result_shape(const InferCall& call, const OptInts& dims) {
  const Shape shape = dims ? Shape{std::span<const int64_t>(*dims)} : Shape{1};
  checked_size(shape, call.name());
  return shape;
}

template <class Own>
void infer_random(InferCall& call) {
  const auto& p = call.params<RandomParams<Own>>();
  const DType dtype = p.dtype.value_or(DType::kFloat32);
  call.expect(is_floating(dtype), "dtype must be float16, float32 or float64");
  p.check(call);
  call.output(0, result_shape(call, p.shape), dtype);
}
template <class Own>
void run_random(const KernelCall& call) {
  call.params<RandomParams<Own>>().fill(call.out());
}
template <class Own>
void infer_like(InferCall& call) {
  infer_same_floating(call);
  call.params<LikeParams<Own>>().check(call);
}
template <class Own>
void run_like(const KernelCall& call) {
  call.params<LikeParams<Own>>().fill(call.out());
}

#define OP_RANDOM(name, own)       \
  OP(name)                         \
      .params<RandomParams<own>>() \
      .infer(infer_random<own>)    \
      .kernel(run_random<own>)     \
      .random()                    \
      .no_grad(kNoInputs)
// In the shape and dtype of an array, to which no gradient flows.
#define OP_RANDOM_LIKE(name, own) \
  OP(name)                        \
      .inputs("data")             \
      .params<LikeParams<own>>()  \
      .infer(infer_like<own>)     \
      .kernel(run_like<own>)      \
      .random()                   \
      .zero_grad()

OP_RANDOM(_random_uniform, Uniform)
    .alias("uniform", "random_uniform")
    .doc("Random numbers spread evenly over [low, high).")
    .example(R"(
>>> x = mx.nd.random_uniform(low=2, high=3, shape=(10000,))
>>> bool(x.min() >= 2), bool(x.max() < 3), bool(abs(x.mean() - 2.5) < 0.05)
(True, True, True)
)");
OP_RANDOM(_random_normal, Normal)
    .alias("normal", "random_normal")
    .doc("Random numbers from the normal distribution.")
    .example(R"(
>>> x = mx.nd.random_normal(loc=5, scale=2, shape=(100, 100))
>>> x.shape, bool(abs(x.mean() - 5) < 0.3), bool(abs((x - 5).norm() / 100 - 2) < 0.2)
((100, 100), True, True)
)");
OP_RANDOM(_random_exponential, Exponential)
    .alias("random_exponential")
    .doc("Random numbers from the exponential distribution of rate lam.")
    .example(R"(
>>> x = mx.nd.random_exponential(lam=4, shape=(10000,))  # of mean 1 / lam
>>> bool(x.min() >= 0), bool(abs(x.mean() - 0.25) < 0.05)
(True, True)
)");
OP_RANDOM(_random_gamma, Gamma)
    .alias("random_gamma")
    .doc("Random numbers from the gamma distribution of shape alpha and scale beta.")
    .example(R"(
>>> x = mx.nd.random_gamma(alpha=9, beta=0.5, shape=(10000,))  # of mean alpha * beta
>>> bool(x.min() >= 0), bool(abs(x.mean() - 4.5) < 0.2)
(True, True)
)");
OP_RANDOM(_random_poisson, Poisson)
    .alias("random_poisson")
    .doc("Random counts from the Poisson distribution of mean lam, as floating-point numbers.")
    .example(R"(
>>> x = mx.nd.random_poisson(lam=4, shape=(10000,))
>>> bool((x == x.floor()).min()), bool(abs(x.mean() - 4) < 0.3)
(True, True)
)");

OP_RANDOM(_random_negative_binomial, NegativeBinomial)
    .alias("random_negative_binomial")
    .doc(
        "Random counts of failures before k successes of probability p, as floating-point "
        "numbers.")
    .example(R"(
>>> x = mx.nd.random_negative_binomial(k=3, p=0.5, shape=(10000,))  # mean k * (1 - p) / p
>>> bool((x == x.floor()).min()), bool(abs(x.mean() - 3) < 0.3)
(True, True)
)");
OP_RANDOM(_random_generalized_negative_binomial, GeneralizedNegativeBinomial)
    .alias("random_generalized_negative_binomial")
    .doc(
        "Random counts from the negative binomial distribution of mean mu and dispersion alpha, as "
        "floating-point numbers.")
    .example(R"(
>>> x = mx.nd.random_generalized_negative_binomial(mu=4, alpha=0.5, shape=(10000,))
>>> bool((x == x.floor()).min()), bool(abs(x.mean() - 4) < 0.5)
(True, True)
)");

OP_RANDOM_LIKE(_random_uniform_like, Uniform)
    .doc("Random numbers spread evenly over [low, high), in the shape and dtype of data.")
    .example(R"(
>>> x = mx.nd.random.uniform_like(mx.nd.zeros((2, 5)), low=2, high=3)
>>> x.shape, bool(x.min() >= 2), bool(x.max() < 3)
((2, 5), True, True)
)");
OP_RANDOM_LIKE(_random_normal_like, Normal)
    .doc("Random numbers from the normal distribution, in the shape and dtype of data.")
    .example(R"(
>>> like = mx.nd.zeros((100, 100), dtype="float64")
>>> x = mx.nd.random.normal_like(like, loc=5, scale=2)
>>> x.shape, x.dtype.__name__, bool(abs(x.mean() - 5) < 0.3)
((100, 100), 'float64', True)
)");
OP_RANDOM_LIKE(_random_exponential_like, Exponential)
    .doc("Random numbers from the exponential distribution, in the shape and dtype of data.")
    .example(R"(
>>> x = mx.nd.random.exponential_like(mx.nd.zeros((100, 100)), lam=4)  # of mean 1 / lam
>>> x.shape, bool(abs(x.mean() - 0.25) < 0.05)
((100, 100), True)
)");
OP_RANDOM_LIKE(_random_gamma_like, Gamma)
    .doc("Random numbers from the gamma distribution, in the shape and dtype of data.")
    .example(R"(
>>> x = mx.nd.random.gamma_like(mx.nd.zeros((100, 100)), alpha=9, beta=0.5)
>>> x.shape, bool(abs(x.mean() - 4.5) < 0.2)
((100, 100), True)
)");
OP_RANDOM_LIKE(_random_poisson_like, Poisson)
    .doc("Random counts from the Poisson distribution, in the shape and dtype of data.")
    .example(R"(
>>> x = mx.nd.random.poisson_like(mx.nd.zeros((100, 100)), lam=4)
>>> x.shape, bool((x == x.floor()).min()), bool(abs(x.mean() - 4) < 0.3)
((100, 100), True, True)
)");

OP_RANDOM_LIKE(_random_negative_binomial_like, NegativeBinomial)
    .doc(
        "Random counts of failures before k successes of probability p, in the shape and dtype of "
        "data.")
    .example(R"(
>>> x = mx.nd.random.negative_binomial_like(mx.nd.zeros((100, 100)), k=3, p=0.5)
>>> x.shape, bool((x == x.floor()).min()), bool(abs(x.mean() - 3) < 0.3)
((100, 100), True, True)
)");
OP_RANDOM_LIKE(_random_generalized_negative_binomial_like, GeneralizedNegativeBinomial)
    .doc(
        "Random counts from the negative binomial distribution of mean mu and dispersion alpha, in "
        "the shape and dtype of data.")
    .example(R"(
>>> like = mx.nd.zeros((100, 100))
>>> x = mx.nd.random.generalized_negative_binomial_like(like, mu=4, alpha=0.5)
>>> x.shape, bool((x == x.floor()).min()), bool(abs(x.mean() - 4) < 0.5)
((100, 100), True, True)
)");

// ---- integers

struct RandintParams {
  int64_t low = 0, high = 0;
  OptInts shape;
  std::string ctx;
  std::optional<DType> dtype;
  template <class V>
  void visit(V& v) {
    v.required("low", low, "Smallest number.");
    v.required("high", high, "Upper bound, never reached.");
    v("shape", shape, kShapeDoc);
    v("ctx", ctx, kContextDoc);
    v("dtype", dtype, "int32, int64, or None for int32.");
  }
};

OP(_random_randint)
    .alias("random_randint")
    .params<RandintParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<RandintParams>();
      const DType dtype = p.dtype.value_or(DType::kInt32);
      call.expect(dtype == DType::kInt32 || dtype == DType::kInt64, "dtype must be int32 or int64");
      call.expect(p.low < p.high, "low must be below high");
      using Limits = std::numeric_limits<int32_t>;
      call.expect(dtype == DType::kInt64 || (p.low >= Limits::min() && p.high - 1 <= Limits::max()),
                  "low and high are beyond int32: give dtype='int64'");
      call.output(0, result_shape(call, p.shape), dtype);
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<RandintParams>();
      fill_integers(call.out(), p.low, static_cast<uint64_t>(p.high) - static_cast<uint64_t>(p.low),
                    next_random_stream());
    })
    .random()
    .no_grad(kNoInputs)
    .doc("Random integers, all of [low, high) equally likely.")
    .example(R"(
>>> x = mx.nd.random_randint(0, 3, shape=(1000,))
>>> x.dtype.__name__, sorted(set(x.asnumpy().tolist()))
('int32', [0, 1, 2])
)");

// ---- with arrays of parameters: result[i, ...] is drawn with the i-th parameters

struct SampleParams {
  Ints shape;
  std::optional<DType> dtype;
  template <class V>
  void visit(V& v) {
    v("shape", shape,
      "Shape of what is drawn for each parameter; it follows the parameters' axes.");
    v("dtype", dtype, kDTypeDoc);
  }
};

void infer_sample(InferCall& call) {
  const auto& p = call.params<SampleParams>();
  const DType dtype = p.dtype.value_or(DType::kFloat32);
  call.expect(is_floating(dtype), "dtype must be float16, float32 or float64");
  call.expect_same_dtype();
  for (size_t i = 1; i < call.input_count(); ++i) {
    call.expect(call.shape(i) == call.shape(0), "inputs must have one shape");
  }
  Ints dims(call.shape(0).begin(), call.shape(0).end());
  dims.insert(dims.end(), p.shape.begin(), p.shape.end());
  const Shape shape{std::span<const int64_t>(dims)};
  checked_size(shape, call.name());
  call.output(0, shape, dtype);
}

NDArray as_doubles(const NDArray& x) {
  NDArray out = NDArray::empty(x.shape(), DType::kFloat64);
  convert(x.dtype(), x.bytes(), DType::kFloat64, out.bytes(), x.size());
  return out;
}

// out[i] = element(parameters of i, i), where element takes one double for each input.
template <class F>
void fill_sampled(const KernelCall& call, F element) {
  const NDArray first = as_doubles(call.in(0));
  const NDArray second = call.input_count() > 1 ? as_doubles(call.in(1)) : first;
  const double *a = first.data<double>(), *b = second.data<double>();
  const int64_t each = first.size() ? call.out().size() / first.size() : 0;
  fill_elements(call.out(), [&](int64_t i) { return element(a[i / each], b[i / each], i); });
}

// The same from standard numbers that are drawn for the whole result at once.
template <class F>
void transform_standard(const KernelCall& call, Standard distribution, F f) {
  const DType dtype = call.out().dtype() == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32;
  const NDArray standard = NDArray::empty(call.out().shape(), dtype);
  fill_random(standard, distribution, {}, next_random_stream());
  const float* narrow = standard.data<float>();
  const double* wide = standard.data<double>();
  fill_sampled(call, [&](double a, double b, int64_t i) {
    return f(a, b, dtype == DType::kFloat64 ? wide[i] : static_cast<double>(narrow[i]));
  });
}

#define OP_SAMPLE(name, ...) \
  OP(name).inputs(__VA_ARGS__).params<SampleParams>().infer(infer_sample).random().zero_grad()

OP_SAMPLE(_sample_uniform, "low", "high")
    .alias("sample_uniform")
    .keep_input(1, Keep::kShape)
    .kernel([](const KernelCall& call) {
      const DType dtype = call.out().dtype();
      transform_standard(call, Standard::kUniform, [dtype](double low, double high, double u) {
        const double x = low + (high - low) * u;
        return low < high ? std::min(x, largest_below(high, low, dtype)) : x;
      });
    })
    .doc("For every pair of low and high, random numbers spread evenly between them.")
    .example(R"(
>>> x = mx.nd.sample_uniform(mx.nd.array([0, 10]), mx.nd.array([1, 20]), shape=1000)
>>> x.shape, bool(x[0].max() < 1), bool(x[1].min() >= 10)
((2, 1000), True, True)
)");

OP_SAMPLE(_sample_normal, "mu", "sigma")
    .alias("sample_normal")
    .keep_input(1, Keep::kShape)
    .kernel([](const KernelCall& call) {
      transform_standard(call, Standard::kNormal,
                         [](double mu, double sigma, double z) { return mu + sigma * z; });
    })
    .doc(
        "For every pair of mean mu and deviation sigma, random numbers from that normal "
        "distribution.")
    .example(R"(
>>> mu, sigma = mx.nd.array([0, 1000]), mx.nd.array([1, 10])
>>> x = mx.nd.sample_normal(mu, sigma, shape=(100, 100))
>>> x.shape, bool(((x.mean(axis=(1, 2)) - mu) / sigma).abs().max() < 0.1)
((2, 100, 100), True)
)");

OP_SAMPLE(_sample_exponential, "lam")
    .alias("sample_exponential")
    .kernel([](const KernelCall& call) {
      transform_standard(call, Standard::kExponential,
                         [](double lam, double, double x) { return x / lam; });
    })
    .doc("For every rate lam, random numbers from that exponential distribution.")
    .example(R"(
>>> x = mx.nd.sample_exponential(mx.nd.array([1, 100]), shape=10000)
>>> x.shape, bool((x.mean(axis=1) * mx.nd.array([1, 100]) - 1).abs().max() < 0.2)
((2, 10000), True)
)");

OP_SAMPLE(_sample_gamma, "alpha", "beta")
    .alias("sample_gamma")
    .keep_input(1, Keep::kShape)
    .kernel([](const KernelCall& call) {
      const RandomStream stream = next_random_stream();
      fill_sampled(call, [&](double alpha, double beta, int64_t i) {
        return beta * draw_gamma(alpha, stream, i);
      });
    })
    .doc(
        "For every pair of shape alpha and scale beta, random numbers from that gamma "
        "distribution.")
    .example(R"(
>>> alpha, beta = mx.nd.array([4, 9]), mx.nd.array([10, 1])
>>> x = mx.nd.sample_gamma(alpha, beta, shape=10000)
>>> x.shape, bool((x.mean(axis=1) / (alpha * beta) - 1).abs().max() < 0.1)
((2, 10000), True)
)");

OP_SAMPLE(_sample_poisson, "lam")
    .alias("sample_poisson")
    .kernel([](const KernelCall& call) {
      const RandomStream stream = next_random_stream();
      fill_sampled(call,
                   [&](double lam, double, int64_t i) { return draw_poisson(lam, stream, i); });
    })
    .doc("For every mean lam, random counts from that Poisson distribution.")
    .example(R"(
>>> lam = mx.nd.array([[1, 10], [100, 1000]])
>>> x = mx.nd.sample_poisson(lam, shape=10000)
>>> x.shape, bool((x.mean(axis=2) / lam - 1).abs().max() < 0.1)
((2, 2, 10000), True)
)");

OP_SAMPLE(_sample_negative_binomial, "k", "p")
    .alias("sample_negative_binomial")
    .keep_input(1, Keep::kShape)
    .kernel([](const KernelCall& call) {
      const NegativeBinomialDraws draws;
      fill_sampled(call, [&](double k, double p, int64_t i) { return draws.by_success(k, p, i); });
    })
    .doc(
        "For every pair of k and p, random counts of failures before k successes of probability "
        "p.")
    .example(R"(
>>> k, p = mx.nd.array([1, 40]), mx.nd.array([0.5, 0.4])
>>> x = mx.nd.sample_negative_binomial(k, p, shape=10000)
>>> x.shape, bool((x.mean(axis=1) / mx.nd.array([1, 60]) - 1).abs().max() < 0.2)
((2, 10000), True)
)");

OP_SAMPLE(_sample_generalized_negative_binomial, "mu", "alpha")
    .alias("sample_generalized_negative_binomial")
    .keep_input(1, Keep::kShape)
    .kernel([](const KernelCall& call) {
      const NegativeBinomialDraws draws;
      fill_sampled(call,
                   [&](double mu, double alpha, int64_t i) { return draws.by_mean(mu, alpha, i); });
    })
    .doc(
        "For every pair of mean mu and dispersion alpha, random counts from that negative binomial "
        "distribution.")
    .example(R"(
>>> mu, alpha = mx.nd.array([2, 50]), mx.nd.array([0.5, 0.1])
>>> x = mx.nd.sample_generalized_negative_binomial(mu, alpha, shape=10000)
>>> x.shape, bool((x.mean(axis=1) / mu - 1).abs().max() < 0.15)
((2, 10000), True)
)");

// ---- permutation

OP(_shuffle)
    .alias("shuffle")
    .inputs("data")
    .infer([](InferCall& call) {
      call.expect(call.shape(0).ndim() > 0, "an array without axes cannot be shuffled");
      infer_same_shape(call);
    })
    .kernel([](const KernelCall& call) {
      const NDArray &in = call.in(0), &out = call.out();
      const RandomStream stream = next_random_stream();
      const int64_t rows = in.shape()[0];
      if (in.size() == 0) return;
      // Fisher and Yates.
      const NDArray order = NDArray::empty(Shape{rows}, DType::kInt64);
      int64_t* from = order.data<int64_t>();
      std::iota(from, from + rows, int64_t{0});
      for (int64_t i = rows - 1; i > 0; --i) {
        const auto w = stream.words(static_cast<uint64_t>(i));
        const uint64_t bits = (uint64_t{w[0]} << 32) | w[1];
        const auto product = static_cast<unsigned __int128>(bits) * static_cast<uint64_t>(i + 1);
        std::swap(from[i], from[static_cast<int64_t>(product >> 64)]);
      }
      const int64_t row = static_cast<int64_t>(in.nbytes()) / rows;
      const char* source = in.bytes();
      char* target = out.bytes();
      parallel_for(rows, std::max<int64_t>(1, (1 << 18) / row), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          std::memcpy(target + r * row, source + from[r] * row, static_cast<size_t>(row));
        }
      });
    })
    .random()
    .no_grad("the order that was drawn is not kept")
    .doc("The rows of the leading axis in a random order.")
    .example(R"(
>>> x = mx.nd.array([[1, 10], [2, 20], [3, 30]])
>>> sorted(mx.nd.shuffle(x).asnumpy().tolist())  # rows stay whole
[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]
)");

}  // namespace
}  // namespace mxtape

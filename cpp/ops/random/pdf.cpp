#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "op/declare.h"
#include "ops/shared/special.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// Densities of distributions, and their logarithms, at given samples. The axes of the parameters
// are the leading ones of the samples.
namespace mxtape {
namespace {

struct PdfParams {
  bool is_log = false;
  template <class V>
  void visit(V& v) {
    v("is_log", is_log, "Whether the logarithm of the density is returned.");
  }
};

NDArray digamma(const NDArray& x) { return fn::polygamma(x, PolygammaParams{0}); }

// ---- distributions
// Each is made of its parameters, and gives the logarithm of its density; derivative(i, ...) is
// that of the logarithm with respect to input i: the sample, then the parameters. Counts have none.

struct UniformPdf {
  static constexpr int kParams = 2;
  explicit UniformPdf(const double* p) : value(-std::log(p[1] - p[0])) {}
  // As in MXNet: the sample is taken to be in range.
  double operator()(double) const { return value; }
  static NDArray derivative(size_t i, const NDArray& x, const NDArray* p) {
    if (i == 0) return fn::zeros_like(x);
    return (i == 1 ? 1.0 : -1.0) / (p[1] - p[0]);
  }
  double value;
};

struct NormalPdf {
  static constexpr int kParams = 2;
  explicit NormalPdf(const double* p)
      : mean(p[0]),
        precision(1 / p[1]),
        scale(-std::log(p[1]) - 0.5 * std::log(2 * std::numbers::pi)) {}
  double operator()(double x) const {
    const double u = (x - mean) * precision;
    return scale - 0.5 * u * u;
  }
  static NDArray derivative(size_t i, const NDArray& x, const NDArray* p) {
    const NDArray u = (x - p[0]) / p[1];
    if (i == 2) return (fn::square(u) - 1.0) / p[1];
    return i == 1 ? u / p[1] : -(u / p[1]);
  }
  double mean, precision, scale;
};

// As in MXNet, beta is a rate here, though the samplers take it for a scale.
struct GammaPdf {
  static constexpr int kParams = 2;
  explicit GammaPdf(const double* p)
      : power(p[0] - 1), rate(p[1]), scale(p[0] * std::log(p[1]) - lgamma_of(p[0])) {}
  double operator()(double x) const { return scale + power * std::log(x) - rate * x; }
  static NDArray derivative(size_t i, const NDArray& x, const NDArray* p) {
    if (i == 0) return (p[0] - 1.0) / x - p[1];
    if (i == 1) return fn::log(x) + (fn::log(p[1]) - digamma(p[0]));
    return p[0] / p[1] - x;
  }
  double power, rate, scale;
};

struct ExponentialPdf {
  static constexpr int kParams = 1;
  explicit ExponentialPdf(const double* p) : rate(p[0]), scale(std::log(p[0])) {}
  double operator()(double x) const { return scale - rate * x; }
  static NDArray derivative(size_t i, const NDArray& x, const NDArray* p) {
    return i == 0 ? -p[0] : 1.0 / p[0] - x;
  }
  double rate, scale;
};

struct PoissonPdf {
  static constexpr int kParams = 1;
  explicit PoissonPdf(const double* p) : mean(p[0]), log_mean(std::log(p[0])) {}
  double operator()(double x) const { return x * log_mean - mean - lgamma_of(x + 1); }
  static NDArray derivative(size_t i, const NDArray& x, const NDArray* p) {
    return i == 0 ? fn::zeros_like(x) : x / p[0] - 1.0;
  }
  double mean, log_mean;
};

// The number of failures before k successes of probability p.
struct NegativeBinomialPdf {
  static constexpr int kParams = 2;
  explicit NegativeBinomialPdf(const double* p) : NegativeBinomialPdf(p[0], p[1]) {}
  NegativeBinomialPdf(double k, double p)
      : k(k), log_failure(std::log1p(-p)), scale(k * std::log(p) - lgamma_of(k)) {}
  double operator()(double x) const {
    return scale + lgamma_of(x + k) - lgamma_of(x + 1) + x * log_failure;
  }
  static NDArray derivative(size_t i, const NDArray& x, const NDArray* p) {
    if (i == 0) return fn::zeros_like(x);
    if (i == 1) return digamma(x + p[0]) - (digamma(p[0]) - fn::log(p[1]));
    return p[0] / p[1] - x / (1.0 - p[1]);
  }
  double k, log_failure, scale;
};

// The same by its mean mu and alpha = 1 / k: p = 1 / (mu * alpha + 1).
struct GeneralizedNegativeBinomialPdf : NegativeBinomialPdf {
  explicit GeneralizedNegativeBinomialPdf(const double* p)
      : NegativeBinomialPdf(1 / p[1], 1 / (p[0] * p[1] + 1)) {}
  static NDArray derivative(size_t i, const NDArray& x, const NDArray* p) {
    if (i == 0) return fn::zeros_like(x);
    const NDArray k = 1.0 / p[1], one_more = p[0] * p[1] + 1.0;
    if (i == 1) return (x / p[0] - 1.0) / one_more;
    return (x - p[0]) / (p[1] * one_more) -
           fn::square(k) * (digamma(x + k) - (digamma(k) + fn::log(one_more)));
  }
};

// ---- operators

// One density for each sample.
template <class D>
void infer_pdf(InferCall& call) {
  call.expect_floating();
  call.expect_same_dtype();
  const Shape &sample = call.shape(0), &param = call.shape(1);
  for (int i = 1; i <= D::kParams; ++i) {
    call.expect(call.shape(static_cast<size_t>(i)) == param, "the parameters must have one shape");
  }
  call.expect(
      param.ndim() <= sample.ndim() && std::equal(param.begin(), param.end(), sample.begin()),
      "the parameters' axes must be the leading axes of the samples");
  call.output(0, sample, call.dtype(0));
}

constexpr int64_t kPiece = 1 << 10;

template <class T>
double read(const T* data, int64_t i) {
  return static_cast<double>(static_cast<compute_type<T>>(data[i]));
}

template <class D>
void run_pdf(const KernelCall& call) {
  const NDArray& out = call.out();
  if (out.size() == 0) return;
  const bool is_log = call.params<PdfParams>().is_log;
  const int64_t each = out.size() / call.in(1).size();
  const auto run = [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* sample = call.in(0).data<T>();
    std::array<const T*, D::kParams> param;
    for (size_t k = 0; k < D::kParams; ++k) param[k] = call.in(k + 1).template data<T>();
    T* result = out.data<T>();
    parallel_for(out.size(), kPiece, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end;) {
        const int64_t row = i / each, stop = std::min(end, (row + 1) * each);
        double values[D::kParams];
        for (size_t k = 0; k < D::kParams; ++k) values[k] = read(param[k], row);
        const D density(values);
        for (; i < stop; ++i) {
          const double log_density = density(read(sample, i));
          result[i] = convert_value<T>(is_log ? log_density : std::exp(log_density));
        }
      }
    });
  };
  dispatch<FloatingTypes>(out.dtype(), run);
}

// What the derivatives of the logarithm are multiplied by: those of the density have it as factor.
NDArray pdf_head(const Vjp& v) {
  return v.params<PdfParams>().is_log ? v.head() : v.head() * v.output(0);
}

template <class D>
void pdf_vjp(Vjp& v) {
  const NDArray x = v.input(0), head = pdf_head(v);
  const Shape shape = v.input_shape(1);
  // The parameters with axes of extent 1 for those that the samples have beyond theirs.
  Ints dims(shape.begin(), shape.end());
  dims.resize(static_cast<size_t>(x.ndim()), 1);
  const Shape wide{std::span<const int64_t>(dims)};
  NDArray p[D::kParams];
  for (size_t k = 0; k < D::kParams; ++k) p[k] = reshape(v.input(k + 1), wide);
  for (size_t i = 0; i <= D::kParams; ++i) {
    if (!v.needs(i)) continue;
    const NDArray grad = head * D::derivative(i, x, p);
    v.grad(i, i == 0 ? grad : reshape(sum_to(grad, wide), shape));
  }
}

#define OP_PDF(name, density, ...)                                           \
  OP(_random_pdf_##name)                                                     \
      .alias("random_pdf_" #name)                                            \
      .inputs("sample", __VA_ARGS__)                                         \
      .params<PdfParams>()                                                   \
      .infer(infer_pdf<density>)                                             \
      .kernel(run_pdf<density>)                                              \
      .keep_input(0)                                                         \
      .keep_input(1)                                                         \
      .keep_input(std::tuple_size_v<decltype(std::make_tuple(__VA_ARGS__))>) \
      .keep_output()                                                         \
      .vjp(pdf_vjp<density>)

OP_PDF(uniform, UniformPdf, "low", "high")
    .doc("Density of the uniform distribution over [low, high], at samples in that range.")
    .example(R"(
>>> x, low, high = mx.nd.array([[0, 1], [2, 4]]), mx.nd.array([0, 1]), mx.nd.array([2, 5])
>>> print(mx.nd.random_pdf_uniform(x, low, high).asnumpy().round(4))  # one range per row
[[0.5  0.5 ]
 [0.25 0.25]]
)");
OP_PDF(normal, NormalPdf, "mu", "sigma")
    .doc("Density of the normal distribution of mean mu and deviation sigma.")
    .example(R"(
>>> x, mu, sigma = mx.nd.array([[0, 1]]), mx.nd.array([0]), mx.nd.array([1])
>>> print(mx.nd.random_pdf_normal(x, mu, sigma).asnumpy().round(4))
[[0.3989 0.242 ]]
>>> print(mx.nd.random_pdf_normal(x, mu, sigma, is_log=True).asnumpy().round(4))
[[-0.9189 -1.4189]]
)");
OP_PDF(gamma, GammaPdf, "alpha", "beta")
    .doc("Density of the gamma distribution of shape alpha and rate beta.")
    .example(R"(
>>> x = mx.nd.array([[0.5, 1, 2]])
>>> alpha, beta = mx.nd.array([2]), mx.nd.array([3])
>>> print(mx.nd.random_pdf_gamma(x, alpha, beta).asnumpy().round(4))  # 9 x exp(-3 x)
[[1.0041 0.4481 0.0446]]
)");
OP_PDF(exponential, ExponentialPdf, "lam")
    .doc("Density of the exponential distribution of rate lam, at samples that are not negative.")
    .example(R"(
>>> x, rates = mx.nd.array([[0, 1], [0, 1]]), mx.nd.array([1, 2])  # a rate for each row
>>> print(mx.nd.random_pdf_exponential(x, rates).asnumpy().round(4))
[[1.     0.3679]
 [2.     0.2707]]
)");
OP_PDF(poisson, PoissonPdf, "lam")
    .doc("Probability of counts under the Poisson distribution of mean lam.")
    .example(R"(
>>> counts, lam = mx.nd.array([[0, 1, 2]]), mx.nd.array([1])
>>> print(mx.nd.random_pdf_poisson(counts, lam).asnumpy().round(4))
[[0.3679 0.3679 0.1839]]
)");
OP_PDF(negative_binomial, NegativeBinomialPdf, "k", "p")
    .doc("Probability of counts of failures before k successes that have probability p each.")
    .example(R"(
>>> counts, k, p = mx.nd.array([[0, 1, 2]]), mx.nd.array([1]), mx.nd.array([0.25])
>>> print(mx.nd.random_pdf_negative_binomial(counts, k, p).asnumpy().round(4))
[[0.25   0.1875 0.1406]]
)");
OP_PDF(generalized_negative_binomial, GeneralizedNegativeBinomialPdf, "mu", "alpha")
    .doc(
        "Probability of counts under the negative binomial distribution of mean mu and dispersion "
        "alpha: that of k = 1 / alpha and p = 1 / (mu * alpha + 1).")
    .example(R"(
>>> counts, mu, alpha = mx.nd.array([[0, 1, 2]]), mx.nd.array([1]), mx.nd.array([1])
>>> p = mx.nd.random_pdf_generalized_negative_binomial(counts, mu, alpha)
>>> print(p.asnumpy().round(4))
[[0.5   0.25  0.125]]
)");

// ---- Dirichlet: a sample is a vector

OP(_random_pdf_dirichlet)
    .alias("random_pdf_dirichlet")
    .inputs("sample", "alpha")
    .params<PdfParams>()
    .infer([](InferCall& call) {
      call.expect_floating();
      call.expect_same_dtype();
      const Shape &sample = call.shape(0), &alpha = call.shape(1);
      const int axes = alpha.ndim() - 1;
      call.expect(axes >= 0 && alpha.ndim() <= sample.ndim() &&
                      std::equal(alpha.begin(), alpha.begin() + axes, sample.begin()) &&
                      alpha[axes] == sample[sample.ndim() - 1],
                  "samples and alpha must agree in the last axis, and alpha's other axes must be "
                  "the leading axes of the samples");
      const Shape rest{std::span<const int64_t>(sample.begin(), sample.end() - 1)};
      call.output(0, rest.ndim() ? rest : Shape{1}, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const NDArray &out = call.out(), &alpha = call.in(1);
      if (out.size() == 0) return;
      const bool is_log = call.params<PdfParams>().is_log;
      const int64_t n = alpha.shape()[alpha.ndim() - 1];
      const int64_t rows = alpha.shape().product(0, alpha.ndim() - 1), each = out.size() / rows;
      const auto run = [&](auto tag) {
        using T = typename decltype(tag)::type;
        const T *sample = call.in(0).data<T>(), *param = alpha.data<T>();
        T* result = out.data<T>();
        // What does not depend on the sample.
        const NDArray scales = NDArray::empty(Shape{rows}, DType::kFloat64);
        double* scale = scales.data<double>();
        const int64_t grain = std::max<int64_t>(1, kPiece / std::max<int64_t>(n, 1));
        parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
          for (int64_t r = begin; r < end; ++r) {
            double sum = 0, logs = 0;
            for (int64_t k = 0; k < n; ++k) {
              const double a = read(param, r * n + k);
              sum += a;
              logs += lgamma_of(a);
            }
            scale[r] = lgamma_of(sum) - logs;
          }
        });
        parallel_for(out.size(), grain, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            const int64_t row = i / each;
            double value = scale[row];
            for (int64_t k = 0; k < n; ++k) {
              value += (read(param, row * n + k) - 1) * std::log(read(sample, i * n + k));
            }
            result[i] = convert_value<T>(is_log ? value : std::exp(value));
          }
        });
      };
      dispatch<FloatingTypes>(out.dtype(), run);
    })
    .keep_inputs({Keep::kData, Keep::kData})
    .keep_output()
    .vjp([](Vjp& v) {
      const NDArray x = v.input(0);
      const Shape shape = v.input_shape(1);
      const int last = x.ndim() - 1;
      Ints dims(shape.begin(), shape.end() - 1), head_dims(x.shape().begin(), x.shape().end() - 1);
      dims.resize(static_cast<size_t>(last), 1);
      dims.push_back(shape[shape.ndim() - 1]);
      head_dims.push_back(1);
      const Shape wide{std::span<const int64_t>(dims)};
      const NDArray alpha = reshape(v.input(1), wide);
      const NDArray head = reshape(pdf_head(v), Shape{std::span<const int64_t>(head_dims)});
      if (v.needs(0)) v.grad(0, head * ((alpha - 1.0) / x));
      if (v.needs(1)) {
        const NDArray total = digamma(sum(alpha, Ints{last}, true));
        const NDArray grad = head * (fn::log(x) + (total - digamma(alpha)));
        v.grad(1, reshape(sum_to(grad, wide), shape));
      }
    })
    .doc("Density of the Dirichlet distribution of concentrations alpha; samples are vectors.")
    .example(R"(
>>> x = mx.nd.array([[0.5, 0.25, 0.25]])  # a distribution over three classes
>>> alpha = mx.nd.array([1, 1, 1])  # all are equally likely: 2 per unit of area
>>> print(mx.nd.random_pdf_dirichlet(x, alpha).asnumpy().round(4))
[2.]
)");

}  // namespace
}  // namespace mxtape

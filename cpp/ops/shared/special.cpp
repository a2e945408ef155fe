#include "ops/shared/special.h"

#include <iterator>

namespace mxtape {

namespace fn {
const Op<PolygammaParams> polygamma{"_polygamma"};
const Op<GaussianParams> gaussian{"_gaussian"};
}  // namespace fn

namespace {

// Bernoulli numbers B(2k) for k = 1, 2, ...
constexpr double kBernoulli[] = {1.0 / 6,       -1.0 / 30,       1.0 / 42,      -1.0 / 30,
                                 5.0 / 66,      -691.0 / 2730,   7.0 / 6,       -3617.0 / 510,
                                 43867.0 / 798, -174611.0 / 330, 854513.0 / 138};

// The n-th derivative of cot(pi x): a polynomial in the cotangent, differentiated n times through
// d cot / dx = -pi (1 + cot**2).
double cot_derivative(int n, double x) {
  // Of the fraction, which is exact where pi * x is not; exactly 0 in the middle.
  const double part = x - std::round(x), size = std::abs(part);
  const double cotangent = size < 0.25 ? 1 / std::tan(std::numbers::pi * size)
                                       : std::tan(std::numbers::pi * (0.5 - size));
  const double c = std::copysign(cotangent, part);
  constexpr int kMax = 32;
  double poly[kMax + 2] = {0, 1};
  int degree = 1;
  for (int step = 0; step < n; ++step, ++degree) {
    double next[kMax + 2] = {};
    for (int k = 1; k <= degree; ++k) {
      next[k - 1] -= k * poly[k] * std::numbers::pi;
      next[k + 1] -= k * poly[k] * std::numbers::pi;
    }
    for (int k = 0; k <= degree + 1; ++k) poly[k] = next[k];
  }
  double value = poly[degree];
  for (int k = degree - 1; k >= 0; --k) value = value * c + poly[k];
  return value;
}

// digamma near its root, where the sum of its other terms cancels: the Taylor series there, without
// the constant.
constexpr double kRoot = 1.4616321449683622, kRootRest = 9.549995429965697e-17, kNearRoot = 0.4;
constexpr double kDigamma[] = {
    0.96767224544762117043,      -0.44276316898359210609,     0.25849976095565101062,
    -0.1639427054424065275,      0.10782405069126236576,      -0.072199561256454710926,
    0.048804288164143107225,     -0.033161126474847359292,    0.02259764823221810466,
    -0.015424765904948959139,    0.010538791616612175388,     -0.007204534386356868241,
    0.0049267813957298534464,    -0.0033698016554393280828,   0.0023051263267349278369,
    -0.0015769367714301972593,   0.0010788252019162965807,    -0.00073807093899600512957,
    0.00050495326583460203518,   -0.00034546802510630769956,  0.00023635601564027052792,
    -0.00016170622091974803449,  0.00011063372768747410904,   -0.000075691795821950659192,
    0.00005178575795222080869,   -0.000035430070947659606316, 0.000024240066118601317653,
    -0.000016584242271854133375, 0.000011346384584663849807,  -7.7628176684620944253e-6};

double digamma_near_root(double x) {
  const double h = (x - kRoot) - kRootRest;
  double sum = 0;
  for (int k = std::size(kDigamma) - 1; k >= 0; --k) sum = sum * h + kDigamma[k];
  return sum * h;
}

}  // namespace

double polygamma_of(int n, double x) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  if (std::isnan(x) || n > 30) return nan;
  if (x <= 0) {
    if (x == std::floor(x)) return nan;
    // psi_n(1 - x) + (-1)**(n + 1) psi_n(x) = (-1)**n pi d^n cot(pi x) / dx^n
    const double sign = n % 2 ? -1 : 1;
    return sign * polygamma_of(n, 1 - x) - std::numbers::pi * cot_derivative(n, x);
  }
  if (n == 0 && std::abs(x - kRoot) < kNearRoot) return digamma_near_root(x);
  double factorial = 1;
  for (int k = 2; k <= n; ++k) factorial *= k;
  const double sign = n % 2 ? 1 : -1;  // (-1)**(n + 1)
  double sum = 0;
  for (; x < 15 + n; x += 1) sum += sign * factorial / std::pow(x, n + 1);
  double tail;
  if (n == 0) {
    tail = -(std::log(x) - 0.5 / x);
  } else {
    tail = factorial / n * std::pow(1 / x, n) * (1 + n / (2 * x));
  }
  // The series' terms are B(2k) (2k + n - 1)! / ((2k)! x**(2k + n)).
  double ratio = 0;
  for (int k = 1; k <= 11; ++k) {
    if (k == 1) {
      ratio = n == 0 ? 0.5 : factorial * (n + 1) / 2;
    } else {
      const double m = 2.0 * k;
      ratio *= (m + n - 2) * (m + n - 1) / ((m - 1) * m);
    }
    tail += kBernoulli[k - 1] * ratio / std::pow(x, 2 * k + n);
  }
  return sum + sign * tail;
}

}  // namespace mxtape

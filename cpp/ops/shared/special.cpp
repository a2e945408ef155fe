#include "ops/shared/special.h"

namespace mxtape {

namespace fn {
const Op<PolygammaParams> polygamma{"_polygamma"};
}  // namespace fn

namespace {

// Bernoulli numbers B(2k) for k = 1, 2, ...
constexpr double kBernoulli[] = {1.0 / 6,       -1.0 / 30,       1.0 / 42,      -1.0 / 30,
                                 5.0 / 66,      -691.0 / 2730,   7.0 / 6,       -3617.0 / 510,
                                 43867.0 / 798, -174611.0 / 330, 854513.0 / 138};

// The n-th derivative of cot(pi x): a polynomial in the cotangent, differentiated n times through
// d cot / dx = -pi (1 + cot**2).
double cot_derivative(int n, double x) {
  const double c = 1 / std::tan(std::numbers::pi * x);
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
  double value = 0;
  for (int k = degree; k >= 0; --k) value = value * c + poly[k];
  return value;
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
  double factorial = 1;
  for (int k = 2; k <= n; ++k) factorial *= k;
  const double sign = n % 2 ? 1 : -1;  // (-1)**(n + 1)
  double sum = 0;
  for (; x < 15 + n; x += 1) sum += sign * factorial / std::pow(x, n + 1);
  double tail;
  if (n == 0) {
    tail = -(std::log(x) - 0.5 / x);
  } else {
    tail = factorial / n / std::pow(x, n) + factorial / (2 * std::pow(x, n + 1));
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

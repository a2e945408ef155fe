#pragma once

#include <cmath>
#include <initializer_list>
#include <limits>
#include <numbers>

#include "op/functional.h"

// Special functions that the C++ library lacks.
namespace mxtape {

// std::lgamma writes the global signgam; this one may run in several threads.
inline double lgamma_of(double x) {
  int sign;
  return ::lgamma_r(x, &sign);
}
inline float lgamma_of(float x) { return static_cast<float>(lgamma_of(static_cast<double>(x))); }

// Inverse error function: Giles' single-precision approximation ("Approximating the erfinv
// function", GPU Computing Gems, 2011), brought to double precision by two of Newton's steps with
// Halley's correction on erf.
inline double erfinv_of(double y) {
  if (!(std::abs(y) < 1)) {
    return std::abs(y) == 1 ? std::copysign(std::numeric_limits<double>::infinity(), y)
                            : std::numeric_limits<double>::quiet_NaN();
  }
  double w = -std::log((1 - y) * (1 + y)), p;
  if (w < 5) {
    w -= 2.5;
    p = 2.81022636e-08;
    for (double c : {3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503,
                     -0.00417768164, 0.246640727, 1.50140941}) {
      p = c + p * w;
    }
  } else {
    w = std::sqrt(w) - 3;
    p = -0.000200214257;
    for (double c : {0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613,
                     0.00943887047, 1.00167406, 2.83297682}) {
      p = c + p * w;
    }
  }
  double x = p * y;
  const double rest = 1 - std::abs(y);
  if (rest < 1e-6) {
    // Giles' fit ends where float32 does. There rest = exp(-x^2) / (x sqrt(pi)) (1 - 1 / (2 x^2)).
    double square = -std::log(rest);
    for (int step = 0; step < 4; ++step) {
      const double part = std::sqrt(std::numbers::pi * square) / (1 - 0.5 / square);
      square = -std::log(rest * part);
    }
    x = std::copysign(std::sqrt(square), y);
  }
  for (int step = 0; step < 2; ++step) {
    const double error = std::abs(y) < 0.5 ? std::erf(x) - y
                                           : std::copysign(1 - std::abs(y), y) -
                                                 std::copysign(std::erfc(std::abs(x)), y);
    const double slope = error / (2 / std::sqrt(std::numbers::pi) * std::exp(-x * x));
    x -= slope / (1 + x * slope);
  }
  return x;
}
inline float erfinv_of(float y) { return static_cast<float>(erfinv_of(static_cast<double>(y))); }

// Polygamma of order n >= 0 by the reflection formula, upward recurrence to x >= 15 and the
// asymptotic series (Abramowitz and Stegun, 6.4.6, 6.4.7, 6.4.11).
double polygamma_of(int n, double x);

// Of the operator _polygamma.
struct PolygammaParams {
  int64_t n = 0;
  template <class V>
  void visit(V& v) {
    v("n", n, "Order: 0 is digamma, 1 trigamma.");
  }
};
// Of the operator _gaussian.
struct GaussianParams {
  int64_t halvings = 0;
  template <class V>
  void visit(V& v) {
    v("halvings", halvings, "Whether the square is halved: 0 or 1.");
  }
};
namespace fn {
extern const Op<PolygammaParams> polygamma;
extern const Op<GaussianParams> gaussian;
}  // namespace fn

}  // namespace mxtape

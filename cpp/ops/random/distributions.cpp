#include "ops/random/distributions.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include <Eigen/Core>

#include "runtime/convert.h"
#include "runtime/parallel.h"

namespace mxtape {
namespace {

// Words are drawn in groups: 16 counters side by side, so that the rounds run in vector registers.
constexpr int kLanes = 16, kGroup = 4 * kLanes;
constexpr int64_t kPiece = int64_t{kGroup} << 8;

// word[j * kLanes + lane] is word j of counter first + lane.
void draw_group(const RandomStream& stream, uint64_t group, uint32_t* word) {
  philox_lanes<kLanes>(stream.key(), stream.stream(), group * kLanes, word);
}

template <class T>
inline constexpr int kPerGroup = sizeof(T) == 8 ? kGroup / 2 : kGroup;
template <class T>
using Values = Eigen::Array<T, kPerGroup<T>, 1>;

// Uniform in [0, 1): 24 bits for float, 53 for double.
void uniform(const uint32_t* word, Values<float>& value) {
  for (int e = 0; e < kGroup; ++e) {
    value[e] = static_cast<float>(static_cast<int32_t>(word[e] >> 8)) * 0x1p-24f;
  }
}
void uniform(const uint32_t* word, Values<double>& value) {
  for (int e = 0; e < kGroup / 2; ++e) {
    const uint64_t bits = (uint64_t{word[e]} << 21) ^ (uint64_t{word[kGroup / 2 + e]} >> 11);
    value[e] = static_cast<double>(static_cast<int64_t>(bits)) * 0x1p-53;
  }
}

// Uniform in (0, 1], with small numbers fine enough for the tails of a logarithm.
void positive_uniform(const uint32_t* word, Values<float>& value) {
  for (int e = 0; e < kGroup; ++e) {
    value[e] = static_cast<float>(static_cast<int32_t>(word[e] >> 1)) * 0x1p-31f + 0x1p-32f;
  }
}
void positive_uniform(const uint32_t* word, Values<double>& value) {
  uniform(word, value);
  value = 1.0 - value;
}

// Box and Muller: two uniform numbers give two normal ones.
template <class T>
void normal(const uint32_t* word, Values<T>& value) {
  constexpr int kHalf = kPerGroup<T> / 2;
  Values<T> u, v;
  positive_uniform(word, u);
  uniform(word, v);
  const Eigen::Array<T, kHalf, 1> radius = (T(-2) * u.template head<kHalf>().log()).sqrt();
  const Eigen::Array<T, kHalf, 1> angle =
      static_cast<T>(6.283185307179586477) * v.template tail<kHalf>();
  value.template head<kHalf>() = radius * angle.cos();
  value.template tail<kHalf>() = radius * angle.sin();
}

template <class T>
void draw(Standard distribution, const uint32_t* word, Values<T>& value) {
  switch (distribution) {
    case Standard::kUniform:
      return uniform(word, value);
    case Standard::kNormal:
      return normal<T>(word, value);
    case Standard::kExponential:
      positive_uniform(word, value);
      value = -value.log();
      return;
  }
}

template <class T, class C>
void fill(T* out, int64_t n, Standard distribution, const Affine& affine,
          const RandomStream& stream) {
  constexpr int64_t kStep = kPerGroup<C>;
  const C scale = static_cast<C>(affine.scale), shift = static_cast<C>(affine.shift);
  const C limit = static_cast<C>(affine.limit);
  parallel_for(n, kPiece, [&](int64_t begin, int64_t end) {
    uint32_t word[kGroup];
    Values<C> value;
    for (int64_t at = begin; at < end; at += kStep) {
      draw_group(stream, static_cast<uint64_t>(at / kStep), word);
      draw<C>(distribution, word, value);
      value = (value * scale + shift).min(limit);
      const int64_t count = std::min(kStep, end - at);
      for (int64_t e = 0; e < count; ++e) out[at + e] = static_cast<T>(value[e]);
    }
  });
}

template <class T>
void fill_span(T* out, int64_t n, int64_t low, uint64_t span, const RandomStream& stream) {
  constexpr int64_t kStep = kGroup / 2;
  parallel_for(n, kPiece, [&](int64_t begin, int64_t end) {
    uint32_t word[kGroup];
    for (int64_t at = begin; at < end; at += kStep) {
      draw_group(stream, static_cast<uint64_t>(at / kStep), word);
      const int64_t count = std::min(kStep, end - at);
      // The high part of a 64-bit random number times the span; sums wrap as two's complement.
      if (span >> 32) {
        for (int64_t e = 0; e < count; ++e) {
          const uint64_t bits = (uint64_t{word[e]} << 32) | word[kStep + e];
          const auto product = static_cast<unsigned __int128>(bits) * span;
          out[at + e] =
              static_cast<T>(static_cast<uint64_t>(low) + static_cast<uint64_t>(product >> 64));
        }
      } else {
        for (int64_t e = 0; e < count; ++e) {
          const uint64_t carry = (uint64_t{word[kStep + e]} * span) >> 32;
          out[at + e] = static_cast<T>(static_cast<uint64_t>(low) +
                                       ((uint64_t{word[e]} * span + carry) >> 32));
        }
      }
    }
  });
}

// Attempt t of element i has a counter of its own.
uint64_t attempt_counter(int64_t i, uint64_t t) { return static_cast<uint64_t>(i) + (t << 44); }

}  // namespace

namespace {

// The largest T below `high`, for types of 16 bits.
template <class T>
double below(double high) {
  T rounded(static_cast<float>(high));
  if (static_cast<double>(static_cast<float>(rounded)) >= high) {
    // Numbers of the same sign are ordered as their bits are.
    const auto bits = std::bit_cast<uint16_t>(rounded);
    const uint16_t next = bits == 0 || bits == 0x8000 ? 0x8001
                          : bits & 0x8000             ? bits + 1
                                                      : bits - 1;
    rounded = std::bit_cast<T>(next);
  }
  return static_cast<float>(rounded);
}
template <>
double below<double>(double high) {
  return std::nextafter(high, -std::numeric_limits<double>::infinity());
}
template <>
double below<float>(double high) {
  const auto rounded = static_cast<float>(high);
  return rounded < high ? rounded
                        : std::nextafter(rounded, -std::numeric_limits<float>::infinity());
}

}  // namespace

double largest_below(double high, double low, DType dtype) {
  const double limit = dispatch<AnyFloatingTypes>(
      dtype, [&](auto tag) { return below<typename decltype(tag)::type>(high); });
  return std::max(limit, low);
}

void fill_random(const NDArray& out, Standard distribution, const Affine& affine,
                 const RandomStream& stream) {
  const int64_t n = out.size();
  dispatch<AnyFloatingTypes>(out.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    fill<T, compute_type<T>>(out.data<T>(), n, distribution, affine, stream);
  });
}

void fill_integers(const NDArray& out, int64_t low, uint64_t span, const RandomStream& stream) {
  dispatch<Types<int32_t, int64_t>>(out.dtype(), [&](auto tag) {
    fill_span(out.data<typename decltype(tag)::type>(), out.size(), low, span, stream);
  });
}

// Marsaglia and Tsang, "A simple method for generating gamma variables", 2000.
double draw_gamma(double shape, const RandomStream& stream, int64_t i) {
  if (!(shape > 0)) return std::numeric_limits<double>::quiet_NaN();
  const double d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (uint64_t t = 1;; t += 2) {
    const double x = stream.normal(attempt_counter(i, t));
    const double v = std::pow(1 + c * x, 3);
    const double u = 1 - stream.uniform(attempt_counter(i, t + 1));
    if (v <= 0 || std::log(u) >= 0.5 * x * x + d - d * v + d * std::log(v)) continue;
    // Below 1 the shape is raised by one and the result drawn back.
    const double scale =
        shape < 1 ? std::pow(1 - stream.uniform(attempt_counter(i, 0)), 1 / shape) : 1;
    return d * v * scale;
  }
}

double draw_poisson(double mean, const RandomStream& stream, int64_t i) {
  if (!(mean >= 0)) return std::numeric_limits<double>::quiet_NaN();
  if (mean < 10) {
    // Walks up the distribution function until it passes a uniform number.
    const double u = stream.uniform(attempt_counter(i, 0));
    double term = std::exp(-mean), total = term;
    int k = 0;
    while (u >= total && k < 200) {
      term *= mean / ++k;
      total += term;
    }
    return k;
  }
  // Hörmann, "The transformed rejection method for generating Poisson random variables", 1993.
  const double b = 0.931 + 2.53 * std::sqrt(mean), a = -0.059 + 0.02483 * b;
  const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4), accept = 0.9277 - 3.6224 / (b - 2);
  for (uint64_t t = 0;; t += 2) {
    const double u = stream.uniform(attempt_counter(i, t)) - 0.5;
    const double v = 1 - stream.uniform(attempt_counter(i, t + 1));
    const double us = 0.5 - std::abs(u);
    const double k = std::floor((2 * a / us + b) * u + mean + 0.43);
    if (us >= 0.07 && v <= accept) return k;
    if (k < 0 || (us < 0.013 && v > us)) continue;
    if (std::log(v) + std::log(inverse_alpha) - std::log(a / (us * us) + b) <=
        -mean + k * std::log(mean) - std::lgamma(k + 1)) {
      return k;
    }
  }
}

}  // namespace mxtape

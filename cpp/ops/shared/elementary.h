#pragma once

#include <limits>

#include "ops/shared/exponential.h"

// The elementary functions of a Simd: for every number, with infinities, NaN, subnormal numbers
// and -0 as the C++ library has them. tests/cpp/elementary_test.cpp states how far they may be off.
namespace mxtape {

namespace detail {

// Coefficients of polynomials, the constant first; Chebyshev fits, made with mpmath.
template <class T>
struct Coefficients;

template <>
struct Coefficients<float> {
  // (2 artanh(s) - 2 s) / s^3 in s^2, up to s = (sqrt(2) - 1) / (sqrt(2) + 1)
  static constexpr float kLog[] = {0.666666665545F, 0.40000121877F, 0.285508165997F,
                                   0.233305819382F};
  // erf(x) / x - 1 in x^2, up to x = 1
  static constexpr float kErf[] = {0.128379165848F,   -0.376126266667F,  0.112835947152F,
                                   -0.0268542120106F, 0.00518908742343F, -0.000801686428717F,
                                   7.87587506269e-5F};
  // e^(x^2) erfc(x) in (x - 2) / (x + 2), from x = 1 to kErfOne
  static constexpr float kErfc[] = {0.255395676311F,    -0.427185990615F,  0.241658201571F,
                                    -0.0789682656211F,  0.00373236957942F, 0.00681077638092F,
                                    -0.000837955780061F};
  // e^(x^2) erfc(x) (x + kErfcxMiddle) in (x - kErfcxMiddle) / (x + kErfcxMiddle), from x = 0.7 to
  // where e^(-x^2) is 0
  static constexpr float kErfcx[] = {1.02158271023F,    -0.687160682398F,    0.279471473889F,
                                     -0.0364424569391F, -0.0214984523753F,   0.00648082570903F,
                                     0.00300841244066F, -0.000831092748308F, -0.000455101659545F};
  static constexpr float kErfcxMiddle = 2, kErfcxEnd = 10.5F;
  static constexpr float kErfOne = 4;    // erf(x) is 1 from there on
  static constexpr float kTanhOne = 10;  // tanh(x) too
  static constexpr float kRootHalf = 0.70710678118654752440F;
};

template <>
struct Coefficients<double> {
  static constexpr double kLog[] = {0.66666666666666696883, 0.39999999999899443233,
                                    0.28571428626003268742, 0.22222211130259877029,
                                    0.18182889455674946039, 0.15331710618210771568,
                                    0.14616585424888621989};
  static constexpr double kErf[] = {
      0.12837916709551256654,    -0.37612638903183540438,     0.11283791670945006266,
      -0.02686617064323777036,   0.0052239776071164227321,    -0.00085483259753896920806,
      0.00012055294904839707917, -0.000014924736907419660338, 1.644742470331736241e-6,
      -1.6208483801871705902e-7, 1.3720064546777685604e-8,    -7.7958988270021422416e-10};
  static constexpr double kErfc[] = {
      0.2553956763105057157,       -0.42718584741395849391,    0.24165819424248793428,
      -0.078978581015712421294,    0.0037328924016229931688,   0.0069974617391997862874,
      -0.00084714312159599603615,  -0.00098197711225105316009, 0.000043552628498010265632,
      0.00017436479902156038523,   0.000027560580298382838973, -0.000027641055987475192234,
      -0.000014167244764448087148, 1.861028889598806228e-6,    4.1472944086034845277e-6,
      -2.2489303241081485257e-7};
  static constexpr double kErfcx[] = {
      1.0740069070883397005,       -0.88339445316988379171,   0.5902283571041025515,
      -0.31046726190054380625,     0.11952776128723235521,    -0.026827234625466031666,
      -0.0012124166252798926777,   0.0030340620196752156142,  -0.00054830972562172346357,
      -0.00027677803080706342543,  0.00010756183390950104616, 0.000030399218073273515748,
      -0.000017472740589964644019, -4.7526775952356069244e-6, 2.7737907959247735279e-6,
      1.0046517973663383537e-6,    -4.2751254091117948294e-7, -2.354940408333057735e-7,
      7.1328372729791870247e-8,    4.3132270961594380705e-8,  -1.5400473747900458741e-8};
  static constexpr double kErfcxMiddle = 3, kErfcxEnd = 27.6;
  static constexpr double kErfOne = 6;
  static constexpr double kTanhOne = 20;
  static constexpr double kRootHalf = 0.70710678118654752440;
};

template <class T, int kCount>
MXTAPE_INLINE Simd<T> polynomial(const T (&coefficients)[kCount], Simd<T> x) {
  Simd<T> sum = coefficients[kCount - 1];
  for (int i = kCount - 2; i >= 0; --i) sum = sum * x + coefficients[i];
  return sum;
}

// x = 2^k (1 + f) with 1 + f from sqrt(1/2) to sqrt(2), for positive finite x that is normal.
template <class T>
MXTAPE_INLINE void split(Simd<T> x, Simd<T>& k, Simd<T>& f) {
  using C = ExpConstants<T>;
  using Bits = typename C::Bits;
  constexpr Bits kRoot = std::bit_cast<Bits>(Coefficients<T>::kRootHalf);
  constexpr Bits kOne = Bits(1) << C::kMantissa;
  const auto above = bits_of(x) - kRoot;
  // The exponent becomes a number as the last bits of a large one: AVX2 converts no int64.
  const auto exponent = (above + C::kBias * kOne) >> C::kMantissa;
  k = from_bits<T>(exponent + std::bit_cast<Bits>(C::kRound)) - (C::kRound + C::kBias);
  f = from_bits<T>((above & (kOne - 1)) + kRoot) - T(1);
}

// k ln 2 + log(1 + f) + rest
template <class T>
MXTAPE_INLINE Simd<T> log_sum(Simd<T> k, Simd<T> f, Simd<T> rest) {
  using C = ExpConstants<T>;
  const Simd<T> s = f / (T(2) + f), z = s * s, half = T(0.5) * f * f;
  const Simd<T> tail = s * (half + z * polynomial(Coefficients<T>::kLog, z));
  return k * C::kLn2 - ((half - (tail + (k * C::kLn2Rest + rest))) - f);
}

// e^x - 1 for x from -kLow to kHigh; what is below kLow is -1 as kLow is.
template <class T>
MXTAPE_INLINE Simd<T> expm1_inside(Simd<T> x) {
  using C = ExpConstants<T>;
  constexpr auto kHalf = std::bit_cast<typename C::Bits>(T(0.5));
  const Simd<T> t = x * T(1.44269504088896340736) + C::kRound, n = t - C::kRound;
  // r and what its rounding loses: where e^x is near 1, its error is most of the result's.
  const Simd<T> high = x - n * C::kLn2, low = n * C::kLn2Rest;
  const Simd<T> r = high - low, lost = (high - r) - low;
  const Simd<T> tail = exp_tail(r) * (r * r) + lost;
  // 2^(n - 1): 2^n may be beyond the exponents of T.
  const Simd<T> half = from_bits<T>((bits_of(t) << C::kMantissa) + kHalf);
  const Simd<T> y = (half * r + (half - T(0.5))) + half * tail;
  return y + y;
}

}  // namespace detail

template <class T>
MXTAPE_INLINE Simd<T> exp(Simd<T> x) {
  return exp_of(x);
}

// 1 / (1 + e^-x)
template <class T>
MXTAPE_INLINE Simd<T> sigmoid(Simd<T> x) {
  return sigmoid_of(x);
}

// The derivative of sigmoid.
template <class T>
MXTAPE_INLINE Simd<T> sigmoid_slope(Simd<T> x) {
  const Simd<T> e = exp(-abs(x)), part = T(1) / (e + T(1));
  return e * part * part;
}

// e^x - 1, exact for small x
template <class T>
MXTAPE_INLINE Simd<T> expm1(Simd<T> x) {
  using C = detail::ExpConstants<T>;
  const Simd<T> y = detail::expm1_inside(detail::between(T(-60), C::kHigh, x));
  return select(abs(x) < std::numeric_limits<T>::epsilon() / 4, x, y);
}

// Natural logarithm
template <class T>
MXTAPE_INLINE Simd<T> log(Simd<T> x) {
  using C = detail::ExpConstants<T>;
  using Limits = std::numeric_limits<T>;
  const auto subnormal = x < Limits::min();
  Simd<T> k, f;
  constexpr T kScale = typename C::Bits(1) << C::kMantissa;
  detail::split(select(subnormal, x * kScale, x), k, f);
  k = k - select(subnormal, T(C::kMantissa), Simd<T>(0));
  const Simd<T> y = detail::log_sum(k, f, Simd<T>(0));
  const Simd<T> outside = select(x == 0, -Limits::infinity(), Simd<T>(Limits::quiet_NaN()));
  return select(x > 0, select(x > Limits::max(), x, y), outside);
}

// log(1 + x), exact for small x
template <class T>
MXTAPE_INLINE Simd<T> log1p(Simd<T> x) {
  using Limits = std::numeric_limits<T>;
  // 1 + x, and what its rounding loses.
  const Simd<T> u = T(1) + x, added = u - x;
  const Simd<T> lost = (x - (u - added)) + (T(1) - added);
  Simd<T> k, f;
  detail::split(u, k, f);
  const auto near = k == 0;
  const Simd<T> y = detail::log_sum(k, select(near, x, f), select(near, Simd<T>(0), lost / u));
  const Simd<T> outside = select(x == -1, -Limits::infinity(), Simd<T>(Limits::quiet_NaN()));
  // Also 0, which keeps its sign, and infinity.
  const auto itself = x == 0 || x > Limits::max();
  return select(x > -1, select(itself, x, y), outside);
}

// Hyperbolic tangent
template <class T>
MXTAPE_INLINE Simd<T> tanh(Simd<T> x) {
  const Simd<T> a = detail::between(T(0), detail::Coefficients<T>::kTanhOne, abs(x));
  const Simd<T> e = expm1(a + a);
  return copysign(e / (e + T(2)), x);
}

// e^(-x * x / 2^kHalvings), with what the rounding of the square loses: it would be most of the
// error.
template <int kHalvings = 0, class T>
MXTAPE_INLINE Simd<T> gaussian(Simd<T> x) {
  using Bits = typename detail::ExpConstants<T>::Bits;
  constexpr T kFactor = T(1) / (1 << kHalvings);
  constexpr T kEnd = (sizeof(T) == 4 ? 12 : 30) * (1 + kHalvings);  // it is 0 from there on
  constexpr Bits kHigh = ~((Bits(1) << (sizeof(T) == 4 ? 12 : 27)) - 1);
  const Simd<T> a = detail::between(T(0), kEnd, abs(x));
  const Simd<T> high = from_bits<T>(bits_of(a) & kHigh), square = a * a;
  const Simd<T> lost = (high * high - square) + (a - high) * (a + high);
  const Simd<T> y = exp(square * -kFactor);
  return y - y * (lost * kFactor);
}

namespace detail {

// A power of 2 by which a number up to `size` in size is multiplied so that its square is a normal
// number, and one that undoes it.
template <class T>
MXTAPE_INLINE Simd<T> square_scale(Simd<T> size, Simd<T>& back) {
  constexpr bool kSingle = sizeof(T) == 4;
  constexpr T kBig = kSingle ? 0x1p+60F : T(0x1p+500), kTiny = kSingle ? 0x1p-50F : T(0x1p-450);
  constexpr T kDown = kSingle ? 0x1p-68F : T(0x1p-600), kUp = kSingle ? 0x1p+87F : T(0x1p+600);
  const auto big = size > kBig, tiny = size < kTiny;
  back = select(big, Simd<T>(1 / kDown), select(tiny, Simd<T>(1 / kUp), Simd<T>(1)));
  return select(big, Simd<T>(kDown), select(tiny, Simd<T>(kUp), Simd<T>(1)));
}

}  // namespace detail

// sqrt(a * a + b * b), without overflow on the way; infinite where either is.
template <class T>
MXTAPE_INLINE Simd<T> hypot(Simd<T> a, Simd<T> b) {
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  Simd<T> back;
  const Simd<T> scale = detail::square_scale(max(abs(a), abs(b)), back);
  const Simd<T> x = a * scale, y = b * scale;
  const auto infinite = abs(a) == kInfinity || abs(b) == kInfinity;
  return select(infinite, Simd<T>(kInfinity), sqrt(x * x + y * y) * back);
}

// a / hypot(a, b), 0 where both are 0
template <class T>
MXTAPE_INLINE Simd<T> cosine(Simd<T> a, Simd<T> b) {
  constexpr bool kSingle = sizeof(T) == 4;
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  // The root must be neither infinite nor subnormal.
  constexpr T kBig = kSingle ? 0x1p+100F : T(0x1p+1000), kTiny = kSingle ? 0x1p-90F : T(0x1p-900);
  const Simd<T> size = max(abs(a), abs(b));
  const Simd<T> scale =
      select(size > kBig, Simd<T>(T(0.5)),
             select(size < kTiny, Simd<T>(kSingle ? T(0x1p+60F) : T(0x1p+100)), Simd<T>(1)));
  const Simd<T> x = a * scale, root = hypot(x, b * scale);
  const auto end = abs(a) == kInfinity && abs(b) < kInfinity;
  return select(end, copysign(Simd<T>(1), a), x / select(root == 0, Simd<T>(1), root));
}

// Error function
template <class T>
MXTAPE_INLINE Simd<T> erf(Simd<T> x) {
  using C = detail::Coefficients<T>;
  const Simd<T> a = detail::between(T(0), C::kErfOne, abs(x)), square = a * a;
  const Simd<T> inside = a + a * detail::polynomial(C::kErf, square);
  const Simd<T> t = (a - T(2)) / (a + T(2));
  const Simd<T> outside = T(1) - exp(-square) * detail::polynomial(C::kErfc, t);
  return copysign(select(a < 1, inside, outside), x);
}

// The probability that a standard normal variable is below x, of which `density` is e^(-x * x / 2);
// exact for negative x too, where it is small.
template <class T>
MXTAPE_INLINE Simd<T> normal_below(Simd<T> x, Simd<T> density) {
  using C = detail::Coefficients<T>;
  const Simd<T> a = detail::between(T(0), C::kErfcxEnd, abs(x) * C::kRootHalf);
  const Simd<T> inside = T(0.5) * (a + a * detail::polynomial(C::kErf, a * a));
  const Simd<T> part = T(1) / (a + C::kErfcxMiddle), t = (a - C::kErfcxMiddle) * part;
  const Simd<T> tail = T(0.5) * density * (part * detail::polynomial(C::kErfcx, t));
  const auto positive = x > 0;
  return select(a < T(0.75), T(0.5) + select(positive, inside, -inside),
                select(positive, T(1) - tail, tail));
}

}  // namespace mxtape

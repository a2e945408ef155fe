#pragma once

#include <concepts>
#include <cstdint>
#include <cstring>
#include <type_traits>

// Numbers side by side in a vector register, for functions of one element that must be computed as
// such whatever the compiler makes of a loop: comparisons and select() are vector instructions
// too. The functions here are defined for plain integers as well, so that one generic function
// serves all dtypes. Vectors of GCC and Clang: SSE, AVX2, AVX-512 and NEON alike.
namespace mxtape {

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
inline constexpr int kSimdBytes = 64;
#elif defined(__AVX2__)
inline constexpr int kSimdBytes = 32;
#else
inline constexpr int kSimdBytes = 16;
#endif

namespace detail {

// The compiler's vector of T, the integers that its bits are, and what comparisons give. Not a
// template with the attribute on T: compilers drop attributes of types that depend.
template <class T>
struct SimdTraits;
#define MXTAPE_SIMD_TRAITS(T, BITS, MASK)                       \
  template <>                                                   \
  struct SimdTraits<T> {                                        \
    typedef T Vector __attribute__((vector_size(kSimdBytes)));  \
    typedef MASK Mask __attribute__((vector_size(kSimdBytes))); \
    using Bits = BITS;                                          \
  };
MXTAPE_SIMD_TRAITS(float, uint32_t, int32_t)
MXTAPE_SIMD_TRAITS(double, uint64_t, int64_t)
MXTAPE_SIMD_TRAITS(uint32_t, uint32_t, int32_t)
MXTAPE_SIMD_TRAITS(uint64_t, uint64_t, int64_t)
#undef MXTAPE_SIMD_TRAITS

}  // namespace detail

#define MXTAPE_INLINE [[gnu::always_inline]] inline

template <class T>
struct Simd;

// Where a comparison holds. Both sides of && and || are computed.
template <class T>
struct SimdMask {
  using Vector = typename detail::SimdTraits<T>::Mask;
  Vector v;

  MXTAPE_INLINE friend SimdMask operator&&(SimdMask a, SimdMask b) { return {a.v & b.v}; }
  MXTAPE_INLINE friend SimdMask operator||(SimdMask a, SimdMask b) { return {a.v | b.v}; }
  MXTAPE_INLINE friend SimdMask operator!=(SimdMask a, SimdMask b) { return {a.v ^ b.v}; }
  MXTAPE_INLINE friend SimdMask operator!(SimdMask a) { return {~a.v}; }
  // `a` where the mask holds, else `b`.
  MXTAPE_INLINE friend Simd<T> select(SimdMask mask, Simd<T> a, Simd<T> b) {
    return {mask.v ? a.v : b.v};
  }
};

template <class T>
struct Simd {
  using Scalar = T;
  using Vector = typename detail::SimdTraits<T>::Vector;
  using Bits = Simd<typename detail::SimdTraits<T>::Bits>;
  using Mask = SimdMask<T>;
  static constexpr int kSize = kSimdBytes / static_cast<int>(sizeof(T));
  Vector v;

  Simd() = default;
  MXTAPE_INLINE Simd(Vector v) : v(v) {}
  // A number in every place. What is subtracted is 0, and not added: -0 stays -0.
  template <class Number>
    requires std::is_arithmetic_v<Number>
  MXTAPE_INLINE Simd(Number number) : v(static_cast<T>(number) - Vector{}) {}
  // 1 where the comparison holds, else 0.
  MXTAPE_INLINE Simd(Mask mask) : v(mask.v ? Simd(1).v : Simd(0).v) {}

  MXTAPE_INLINE static Simd load(const T* from) {
    Simd x;
    std::memcpy(&x.v, from, sizeof(x.v));
    return x;
  }
  MXTAPE_INLINE void store(T* to) const { std::memcpy(to, &v, sizeof(v)); }

  MXTAPE_INLINE friend Simd operator+(Simd a, Simd b) { return {a.v + b.v}; }
  MXTAPE_INLINE friend Simd operator-(Simd a, Simd b) { return {a.v - b.v}; }
  MXTAPE_INLINE friend Simd operator*(Simd a, Simd b) { return {a.v * b.v}; }
  MXTAPE_INLINE friend Simd operator/(Simd a, Simd b) { return {a.v / b.v}; }
  MXTAPE_INLINE friend Simd operator-(Simd a) { return {-a.v}; }
  MXTAPE_INLINE friend Mask operator<(Simd a, Simd b) { return {a.v < b.v}; }
  MXTAPE_INLINE friend Mask operator<=(Simd a, Simd b) { return {a.v <= b.v}; }
  MXTAPE_INLINE friend Mask operator>(Simd a, Simd b) { return {a.v > b.v}; }
  MXTAPE_INLINE friend Mask operator>=(Simd a, Simd b) { return {a.v >= b.v}; }
  MXTAPE_INLINE friend Mask operator==(Simd a, Simd b) { return {a.v == b.v}; }
  MXTAPE_INLINE friend Mask operator!=(Simd a, Simd b) { return {a.v != b.v}; }
  // Of bits alone.
  MXTAPE_INLINE friend Simd operator&(Simd a, Simd b) { return {a.v & b.v}; }
  MXTAPE_INLINE friend Simd operator|(Simd a, Simd b) { return {a.v | b.v}; }
  MXTAPE_INLINE friend Simd operator<<(Simd a, int n) { return {a.v << n}; }
  MXTAPE_INLINE friend Simd operator>>(Simd a, int n) { return {a.v >> n}; }

  // NaN where either is.
  MXTAPE_INLINE friend Simd min(Simd a, Simd b) { return select(a <= b || a != a, a, b); }
  MXTAPE_INLINE friend Simd max(Simd a, Simd b) { return select(a >= b || a != a, a, b); }
};

// f of each number by itself: for what there is no vector instruction of.
template <class T, class F>
MXTAPE_INLINE Simd<T> map(Simd<T> x, F f) {
  alignas(kSimdBytes) T numbers[Simd<T>::kSize];
  x.store(numbers);
  for (T& number : numbers) number = f(number);
  return Simd<T>::load(numbers);
}

template <class T>
MXTAPE_INLINE typename Simd<T>::Bits bits_of(Simd<T> x) {
  return {(typename Simd<T>::Bits::Vector)x.v};
}
template <class T>
MXTAPE_INLINE Simd<T> from_bits(typename Simd<T>::Bits bits) {
  return {(typename Simd<T>::Vector)bits.v};
}

namespace detail {
template <class T>
inline constexpr auto kSignBit = typename SimdTraits<T>::Bits(1) << (8 * sizeof(T) - 1);
}

template <class T>
MXTAPE_INLINE Simd<T> abs(Simd<T> x) {
  return from_bits<T>(bits_of(x) & ~detail::kSignBit<T>);
}
// |x| with the sign bit of `sign`.
template <class T>
MXTAPE_INLINE Simd<T> copysign(Simd<T> x, Simd<T> sign) {
  return from_bits<T>(bits_of(abs(x)) | (bits_of(sign) & detail::kSignBit<T>));
}
// -1, 0 or 1; 0 for NaN.
template <class T>
MXTAPE_INLINE Simd<T> sign(Simd<T> x) {
  return Simd<T>(x > 0) - Simd<T>(x < 0);
}
template <class T>
MXTAPE_INLINE Simd<T> sqrt(Simd<T> x) {
  return map(x, [](T number) {
    return sizeof(T) == 4 ? __builtin_sqrtf(number) : __builtin_sqrt(number);
  });
}
template <class T>
MXTAPE_INLINE Simd<T> floor(Simd<T> x) {
  return map(x, [](T number) {
    return sizeof(T) == 4 ? __builtin_floorf(number) : __builtin_floor(number);
  });
}
template <class T>
MXTAPE_INLINE Simd<T> ceil(Simd<T> x) {
  return map(x, [](T number) {
    return sizeof(T) == 4 ? __builtin_ceilf(number) : __builtin_ceil(number);
  });
}
template <class T>
MXTAPE_INLINE Simd<T> trunc(Simd<T> x) {
  return map(x, [](T number) {
    return sizeof(T) == 4 ? __builtin_truncf(number) : __builtin_trunc(number);
  });
}

// The same of plain numbers. The operands of select(), min() and max() may differ in type, as an
// int8_t and the int that -x of one is.
template <class A, class B>
  requires std::is_arithmetic_v<A> && std::is_arithmetic_v<B>
MXTAPE_INLINE std::common_type_t<A, B> select(bool condition, A a, B b) {
  using T = std::common_type_t<A, B>;
  return condition ? static_cast<T>(a) : static_cast<T>(b);
}
template <std::integral A, std::integral B>
MXTAPE_INLINE std::common_type_t<A, B> min(A a, B b) {
  return select(a <= b, a, b);
}
template <std::integral A, std::integral B>
MXTAPE_INLINE std::common_type_t<A, B> max(A a, B b) {
  return select(a >= b, a, b);
}
template <std::integral T>
MXTAPE_INLINE T abs(T x) {
  return static_cast<T>(x < 0 ? -x : x);
}
template <std::integral T>
MXTAPE_INLINE T sign(T x) {
  return static_cast<T>((x > 0) - (x < 0));
}

// The type of the numbers that `x` is made of: scalar_of<decltype(x)>.
namespace detail {
template <class V>
struct ScalarOf {
  using type = V;
};
template <class T>
struct ScalarOf<Simd<T>> {
  using type = T;
};
}  // namespace detail
template <class V>
using scalar_of = typename detail::ScalarOf<V>::type;

}  // namespace mxtape

#pragma once

#include <cmath>
#include <utility>

#include "op/functional.h"

// Head gradients in formulas of gradients. Where the head gradient is exactly 0, at the elements
// that where(), a slice or a product with a mask has cut off, the gradient is 0: whatever the
// derivative is there, infinite and NaN too. So formulas multiply and divide a head gradient by
// these, and a Head does so by itself.
namespace mxtape {

namespace detail {
inline const fn::Op<> masked_product_op{"_masked_product"}, masked_quotient_op{"_masked_quotient"};
}

inline NDArray masked_product(const NDArray& g, const NDArray& derivative) {
  return detail::masked_product_op(g, derivative);
}
inline NDArray masked_product(const NDArray& g, double derivative) {
  if (std::isfinite(derivative)) return g * derivative;
  return masked_product(g, full(Shape{}, g.dtype(), derivative));
}
inline NDArray masked_quotient(const NDArray& g, const NDArray& divisor) {
  return detail::masked_quotient_op(g, divisor);
}
inline NDArray masked_quotient(const NDArray& g, double divisor) {
  if (divisor != 0 && !std::isnan(divisor)) return g / divisor;
  return masked_quotient(g, full(Shape{}, g.dtype(), divisor));
}

// A head gradient, or what is left of one on the way through a formula: g * fn::cos(x).
class Head {
 public:
  explicit Head(NDArray g) : g_(std::move(g)) {}
  const NDArray& array() const { return g_; }
  operator const NDArray&() const& { return g_; }
  operator NDArray() && { return std::move(g_); }

  template <class Derivative>
  friend Head operator*(const Head& g, const Derivative& derivative) {
    return Head(masked_product(g.g_, derivative));
  }
  friend Head operator*(double factor, const Head& g) { return g * factor; }
  template <class Derivative>
  friend Head operator/(const Head& g, const Derivative& divisor) {
    return Head(masked_quotient(g.g_, divisor));
  }
  friend Head operator-(const Head& g) { return Head(-g.g_); }

 private:
  NDArray g_;
};

// An operand of a gradient's formula of several steps, in the type in which its dtype is computed:
// float16 has too few exponents for the squares on the way, and would round every step.
inline NDArray in_compute_type(const NDArray& x) {
  return x.defined() ? cast(x, traits_of(x.dtype()).compute) : x;
}

}  // namespace mxtape

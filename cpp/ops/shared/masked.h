#pragma once

#include "op/functional.h"

// Head gradients by derivatives that may be infinite or NaN where the head gradient is 0: at the
// elements that where() or a product with a mask has cut off. The gradient there is 0.
namespace mxtape {

namespace detail {
inline const fn::Op<> masked_product_op{"_masked_product"}, masked_quotient_op{"_masked_quotient"};
}

inline NDArray masked_product(const NDArray& g, const NDArray& derivative) {
  return detail::masked_product_op(g, derivative);
}
inline NDArray masked_product(const NDArray& g, double derivative) { return g * derivative; }
inline NDArray masked_quotient(const NDArray& g, const NDArray& divisor) {
  return detail::masked_quotient_op(g, divisor);
}
inline NDArray masked_quotient(const NDArray& g, double divisor) { return g / divisor; }

}  // namespace mxtape

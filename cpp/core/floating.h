#pragma once

#include "core/dtype.h"

namespace mxtape {

// Calls f(TypeTag<T>{}) with the C++ type of a floating-point dtype: dispatch() for kernels that
// inference gives nothing else to, which then are not compiled for integers.
template <class F>
void dispatch_floating(DType dtype, F&& f) {
  if (dtype == DType::kFloat32) return f(TypeTag<float>{});
  if (dtype == DType::kFloat64) return f(TypeTag<double>{});
  f(TypeTag<float16>{});
}

}  // namespace mxtape

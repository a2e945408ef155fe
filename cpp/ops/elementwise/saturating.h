#pragma once

#include <algorithm>

#include "op/declare.h"

// Gradients of functions that approach a limit: of (head, output, data). From the output, as
// y * (1 - y), they are quick, and wrong where it has been rounded to the limit. There they are
// computed from the data. The gradient of such a gradient goes to the data, not to the output.
namespace mxtape {

// S::from_output(y) and S::from_data(x) are the derivative; S::saturates(y) is where the first
// will not do.
template <class S>
struct SaturatingSlope {
  // Without elements that saturate, and with some.
  template <class V>
  struct Quick {
    V operator()(V g, V y, V) const { return select(g == 0, g, g * S::from_output(y)); }
  };
  template <class V>
  struct Careful {
    V operator()(V g, V y, V x) const {
      const V slope = select(S::saturates(y), S::from_data(x), S::from_output(y));
      return select(g == 0, g, g * slope);
    }
  };

  template <class T>
  static void run(const void* const* in, void* out, int64_t n, const void*) {
    constexpr int64_t kBlock = 64;
    const T* const x[] = {static_cast<const T*>(in[0]), static_cast<const T*>(in[1]),
                          static_cast<const T*>(in[2])};
    for (int64_t i = 0; i < n; i += kBlock) {
      const int64_t count = std::min(kBlock, n - i);
      int saturated = 0;
      for (int64_t k = 0; k < count; ++k) saturated |= S::saturates(x[1][i + k]);
      const void* const block[] = {x[0] + i, x[1] + i, x[2] + i};
      const auto entry = saturated ? detail::element_entry<Careful<Simd<T>>, void, T, 0, 1, 2>
                                   : detail::element_entry<Quick<Simd<T>>, void, T, 0, 1, 2>;
      entry(block, static_cast<T*>(out) + i, count, nullptr, std::index_sequence<0, 1, 2>());
    }
  }

  static TileFunction function() {
    TileFunction f;
    f.kernels[static_cast<int>(DType::kFloat32)] = run<float>;
    f.kernels[static_cast<int>(DType::kFloat64)] = run<double>;
    return f;
  }
};

}  // namespace mxtape

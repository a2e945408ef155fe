#pragma once

#include <algorithm>
#include <cstdint>

#include <Eigen/Core>

namespace mxtape {

// A few neighbouring elements in vector registers. Whole rows as Eigen maps would not do where a
// function is computed: what lies before the first aligned address takes another path, and the bits
// would depend on the address.
template <class T>
inline constexpr int kLanes = 64 / static_cast<int>(sizeof(T));
template <class T>
using Lanes = Eigen::Array<T, kLanes<T>, 1>;

// The first `count` lanes from memory, zeros in the others.
template <class T>
Lanes<T> load_lanes(const T* from, int64_t count) {
  if (count >= kLanes<T>) return Eigen::Map<const Lanes<T>>(from);
  Lanes<T> x = Lanes<T>::Zero();
  std::copy_n(from, count, x.data());
  return x;
}

template <class T>
void store_lanes(const Lanes<T>& x, T* to, int64_t count) {
  if (count >= kLanes<T>) {
    Eigen::Map<Lanes<T>> target(to);
    target = x;
  } else {
    std::copy_n(x.data(), count, to);
  }
}

// Calls f(i, count) for each group of lanes of n elements.
template <class T, class F>
void for_lanes(int64_t n, F&& f) {
  for (int64_t i = 0; i < n; i += kLanes<T>) f(i, std::min<int64_t>(kLanes<T>, n - i));
}

}  // namespace mxtape

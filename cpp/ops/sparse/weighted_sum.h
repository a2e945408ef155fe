#pragma once

#include <algorithm>
#include <cstdint>

#include "runtime/past_cache.h"
#include "runtime/simd.h"

namespace mxtape {

// One term of a sum of rows: value * row.
template <class T>
struct Term {
  const T* row;
  T value;
};

namespace detail {

// to[0..kVectors * Simd::kSize) = the sum of the terms, in registers.
template <int kVectors, class T, class At>
MXTAPE_INLINE void sum_vectors(int64_t begin, int64_t end, At at, int64_t column, bool past_cache,
                               T* to) {
  using V = Simd<T>;
  V sum[kVectors];
  for (V& s : sum) s = V(0);
  for (int64_t k = begin; k < end; ++k) {
    const Term<T> term = at(k);
    const V value(term.value);
    for (int i = 0; i < kVectors; ++i) {
      sum[i] = sum[i] + value * V::load(term.row + column + i * V::kSize);
    }
  }
  if (past_cache) {
    alignas(64) T whole[kVectors * V::kSize];
    for (int i = 0; i < kVectors; ++i) sum[i].store(whole + i * V::kSize);
    write_past_cache(reinterpret_cast<char*>(to + column), reinterpret_cast<const char*>(whole),
                     sizeof(whole));
    return;
  }
  for (int i = 0; i < kVectors; ++i) sum[i].store(to + column + i * V::kSize);
}

template <int kWidth, class T, class At>
MXTAPE_INLINE void sum_few(int64_t begin, int64_t end, At at, int64_t column, T* to) {
  T sum[kWidth] = {};
  for (int64_t k = begin; k < end; ++k) {
    const Term<T> term = at(k);
    for (int i = 0; i < kWidth; ++i) sum[i] += term.value * term.row[column + i];
  }
  for (int i = 0; i < kWidth; ++i) to[column + i] = sum[i];
}

// Columns [column, width) in blocks of kWidth, the last of which may overlap the one before: what
// is there twice is the same.
template <int kWidth, class T, class At>
MXTAPE_INLINE void sum_rest(int64_t begin, int64_t end, At at, int64_t column, int64_t width,
                            T* to) {
  if constexpr (kWidth == 1) {
    if (column < width) sum_few<1>(begin, end, at, column, to);
  } else {
    if (width < kWidth) return sum_rest<kWidth / 2>(begin, end, at, column, width, to);
    for (; column < width; column += kWidth) {
      sum_few<kWidth>(begin, end, at, std::min(column, width - kWidth), to);
    }
  }
}

}  // namespace detail

// to[j] = the sum over k in [begin, end) of value * row[j], for j < width, where at(k) is a Term.
// The terms are added in their order.
template <class T, class At>
MXTAPE_INLINE void weighted_sum(int64_t begin, int64_t end, At at, int64_t width, bool past_cache,
                                T* to) {
  constexpr int kSize = Simd<T>::kSize;
  int64_t column = 0;
  for (; column + 4 * kSize <= width; column += 4 * kSize) {
    detail::sum_vectors<4, T>(begin, end, at, column, past_cache, to);
  }
  for (; column + kSize <= width; column += kSize) {
    detail::sum_vectors<1, T>(begin, end, at, column, false, to);
  }
  if (column == width) return;
  if (width > kSize) {
    detail::sum_vectors<1, T>(begin, end, at, width - kSize, false, to);
  } else {
    detail::sum_rest<kSize / 2>(begin, end, at, 0, width, to);
  }
}

}  // namespace mxtape

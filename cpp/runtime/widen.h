#pragma once

#include <algorithm>
#include <memory>

#include "core/ndarray.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// Narrow types are computed in a wider one (DTypeTraits::compute) and rounded once. A kernel reads
// and writes such arrays through these: whole, or run by run while a run is in the cache.
namespace mxtape {

// ---- whole arrays

// convert() by all threads.
void convert_in_parallel(DType from_dtype, const void* from, DType to_dtype, void* to, int64_t n);

// The array itself, or a copy in its compute type if it is narrow.
NDArray widened(const NDArray& array);
// `n` numbers at `from`: as they are, or as a copy. Undefined for null.
NDArray widened(DType dtype, const void* from, int64_t n);

// Where a result is computed: the array itself, or a stand-in that finish() rounds into it.
class WideOutput {
 public:
  WideOutput() = default;
  explicit WideOutput(const NDArray& target);
  WideOutput(DType dtype, void* to, int64_t n);
  const NDArray& array() const { return wide_; }
  template <class T>
  T* data() const {
    return wide_.defined() ? wide_.data<T>() : nullptr;
  }
  void finish() const;

 private:
  NDArray target_, wide_;
};

// ---- runs of contiguous elements of T, computed as C

// A buffer for runs of narrow elements; those of other types stay where they are. `kMost`: the
// longest run if it is known, for which the buffer needs no allocation.
template <class T, int64_t kMost = 0>
class WideRun {
 public:
  using C = compute_type<T>;
  static constexpr bool kDirect = std::is_same_v<T, C>;

  const C* read(const T* from, int64_t n) {
    if constexpr (kDirect) {
      return from;
    } else {
      C* to = buffer(n);
      convert(dtype_of<T>, from, dtype_of<C>, to, n);
      return to;
    }
  }
  // Where a run for `to` is computed; written() ends it.
  C* place(T* to, int64_t n) {
    if constexpr (kDirect) {
      return to;
    } else {
      return buffer(n);
    }
  }
  void written(T* to, int64_t n) {
    if constexpr (!kDirect) convert(dtype_of<C>, buffer(n), dtype_of<T>, to, n);
  }

 private:
  C* buffer(int64_t n) {
    if constexpr (kMost > 0) {
      return fixed_;
    } else {
      if (n > size_) {
        grown_ = std::make_unique_for_overwrite<C[]>(static_cast<size_t>(n));
        size_ = n;
      }
      return grown_.get();
    }
  }

  C fixed_[kDirect || kMost == 0 ? 1 : kMost];
  std::unique_ptr<C[]> grown_;
  int64_t size_ = 0;
};

// to[i] = from[i], rounded if T is narrow.
template <class T>
void narrow(const compute_type<T>* from, T* to, int64_t n) {
  if constexpr (std::is_same_v<T, compute_type<T>>) {
    if (from != to) std::copy_n(from, n, to);
  } else {
    convert(dtype_of<compute_type<T>>, from, dtype_of<T>, to, n);
  }
}

// ---- runs of a floating-point array, as contiguous numbers of type A

// A run of `array`, `stride` apart, read or made in A: in place where it lies so, else in memory of
// the pool. That is aligned as arrays are: which elements a vector instruction takes, and so their
// last bits, must not depend on where the buffer lies.
template <class A>
class ArrayRun {
 public:
  explicit ArrayRun(const NDArray& array) : array_(array) {}

  // `n` elements, `stride` apart, from element `at`.
  const A* read(int64_t at, int64_t n, int64_t stride = 1) {
    if (is_direct(stride)) return array_.data<A>() + at;
    A* to = buffer(n);
    dispatch<FloatingTypes>(array_.dtype(), [&](auto tag) {
      const auto* from = array_.data<typename decltype(tag)::type>() + at;
      for (int64_t i = 0; i < n; ++i) to[i] = static_cast<A>(from[i * stride]);
    });
    return to;
  }
  // Where a run is to be made; store() with the same arguments ends it.
  A* place(int64_t at, int64_t n, int64_t stride = 1) {
    return is_direct(stride) ? array_.data<A>() + at : buffer(n);
  }
  void store(int64_t at, int64_t n, int64_t stride = 1) {
    if (is_direct(stride)) return;
    const A* from = buffer(n);
    dispatch<FloatingTypes>(array_.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      T* to = array_.data<T>() + at;
      for (int64_t i = 0; i < n; ++i) to[i * stride] = convert_value<T>(from[i]);
    });
  }

 private:
  bool is_direct(int64_t stride) const { return stride == 1 && array_.dtype() == dtype_of<A>; }
  A* buffer(int64_t n) {
    if (!buffer_.defined() || buffer_.size() < n) buffer_ = NDArray::empty(Shape{n}, dtype_of<A>);
    return buffer_.data<A>();
  }

  const NDArray& array_;
  NDArray buffer_;
};

}  // namespace mxtape

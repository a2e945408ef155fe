#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/small_vector.h"

// The walk over the elements of arrays that do not lie in order: one counter for each axis.
namespace mxtape {

// A nest of loops over N arrays at once, outermost first: how often each goes round, and how many
// elements one round moves on in each array. 0 repeats, a negative number goes backwards.
template <size_t N = 1>
class Loops {
 public:
  struct Loop {
    int64_t extent;
    std::array<int64_t, N> strides;
  };

  Loops() = default;
  Loops(const Loops& other) : Loops(other, 0) {}
  Loops& operator=(const Loops&) = delete;

  // A loop inside the others.
  template <class... Stride>
    requires(sizeof...(Stride) == N)
  void add(int64_t extent, Stride... strides) {
    push({extent, {strides...}});
  }
  // The same, one with the loop around it where both are one walk; a loop of one round is none.
  template <class... Stride>
    requires(sizeof...(Stride) == N)
  void merge(int64_t extent, Stride... strides) {
    if (extent == 1) return;
    const Loop inner{extent, {strides...}};
    if (loops_.empty() || !continues(loops_.back(), inner)) return push(inner);
    loops_.back() = {loops_.back().extent * extent, inner.strides};
  }
  // All but the innermost.
  Loops outer() const { return {*this, 1}; }

  size_t depth() const { return loops_.size(); }
  const Loop& operator[](size_t d) const { return loops_[d]; }
  const Loop& innermost() const { return loops_[loops_.size() - 1]; }
  // How many positions there are.
  int64_t size() const {
    int64_t n = 1;
    for (const Loop& loop : loops_) n *= loop.extent;
    return n;
  }

 private:
  Loops(const Loops& other, size_t without)
      : loops_(other.depth() > without ? other.depth() - without : 0) {
    for (size_t d = 0; d < loops_.size(); ++d) loops_[d] = other[d];
  }
  // Out of line: GCC 12 warns of an impossible size where it is inlined.
  [[gnu::noinline]] void push(const Loop& loop) { loops_.push_back(loop); }
  static bool continues(const Loop& outer, const Loop& inner) {
    for (size_t i = 0; i < N; ++i) {
      if (outer.strides[i] != inner.strides[i] * inner.extent) return false;
    }
    return true;
  }

  SmallVector<Loop, 4> loops_;
};

// A position of such a nest, which must outlive it. After the last one comes the first.
template <size_t N = 1>
class Odometer {
 public:
  Odometer(const Loops<N>& loops, int64_t position) : loops_(loops) {
    if (loops.depth() > kInline) more_ = std::make_unique<int64_t[]>(loops.depth());
    int64_t* at = counters();
    for (size_t d = loops.depth(); d-- > 0;) {
      const auto& loop = loops[d];
      at[d] = position % loop.extent;
      position /= loop.extent;
      for (size_t i = 0; i < N; ++i) offsets_[i] += at[d] * loop.strides[i];
    }
  }
  // In elements of array i, from the first position.
  int64_t offset(size_t i = 0) const { return offsets_[i]; }
  void next() {
    int64_t* at = counters();
    for (size_t d = loops_.depth(); d-- > 0;) {
      const auto& loop = loops_[d];
      for (size_t i = 0; i < N; ++i) offsets_[i] += loop.strides[i];
      if (++at[d] < loop.extent) return;
      for (size_t i = 0; i < N; ++i) offsets_[i] -= loop.extent * loop.strides[i];
      at[d] = 0;
    }
  }

 private:
  static constexpr size_t kInline = 8;
  int64_t* counters() { return more_ ? more_.get() : local_; }

  const Loops<N>& loops_;
  std::array<int64_t, N> offsets_{};
  int64_t local_[kInline];
  std::unique_ptr<int64_t[]> more_;
};

}  // namespace mxtape

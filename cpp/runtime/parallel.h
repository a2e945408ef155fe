#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

namespace mxtape {

// Threads that a large kernel uses: OMP_NUM_THREADS, else the processors that the process may run
// on.
int thread_count();
void set_thread_count(int n);

namespace detail {
using RangeBody = void (*)(void* context, int64_t begin, int64_t end);
void parallel_chunks(int64_t n, int64_t grain, RangeBody body, void* context);
}  // namespace detail

// Calls body(begin, end) over [0, n) in pieces whose borders are multiples of `grain`, whatever the
// number of threads: an element is always computed in the same piece, so its bits do not depend on
// who computes it. With one piece, or one thread, it runs in the calling thread.
template <class Body>
void parallel_for(int64_t n, int64_t grain, Body&& body) {
  if (n <= 0) return;
  if (n <= grain) {
    body(int64_t{0}, n);
    return;
  }
  using Plain = std::remove_reference_t<Body>;
  detail::parallel_chunks(
      n, grain,
      [](void* context, int64_t begin, int64_t end) {
        (*static_cast<Plain*>(context))(begin, end);
      },
      const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace mxtape

#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

namespace mxtape {

// Threads that a large kernel uses: OMP_NUM_THREADS, else the processors that the process may run
// on. A process made by fork() uses one, and an Error is what it gets for more.
int thread_count();
void set_thread_count(int n);

namespace detail {
using RangeBody = void (*)(void* context, int64_t begin, int64_t end);
void parallel_chunks(int64_t n, int64_t grain, RangeBody body, void* context);

// Out of line, so that there is one copy of the body.
template <class Body>
[[gnu::noinline]] void run_body(void* context, int64_t begin, int64_t end) {
  (*static_cast<Body*>(context))(begin, end);
}
}  // namespace detail

// Calls body(begin, end) over [0, n) in pieces whose borders are multiples of `grain`, whatever the
// number of threads: an element is always computed in the same piece, so its bits do not depend on
// who computes it. With one piece, or one thread, it runs in the calling thread.
template <class Body>
void parallel_for(int64_t n, int64_t grain, Body&& body) {
  if (n <= 0) return;
  using Plain = std::remove_reference_t<Body>;
  void* const context = const_cast<void*>(static_cast<const void*>(&body));
  if (n <= grain) {
    detail::run_body<Plain>(context, 0, n);
  } else {
    detail::parallel_chunks(n, grain, detail::run_body<Plain>, context);
  }
}

}  // namespace mxtape

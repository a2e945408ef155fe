#include "runtime/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <omp.h>
#include <pthread.h>

namespace mxtape {
namespace {

// libgomp's thread pool does not survive fork(): a child that enters a parallel region would wait
// for threads it does not have.
std::atomic<int>& threads() {
  static std::atomic<int> count = [] {
    pthread_atfork(nullptr, nullptr, [] { threads() = 1; });
    return std::max(1, omp_get_max_threads());
  }();
  return count;
}

}  // namespace

int thread_count() { return threads().load(std::memory_order_relaxed); }
void set_thread_count(int n) { threads() = std::max(1, n); }

namespace detail {

void parallel_chunks(int64_t n, int64_t grain, RangeBody body, void* context) {
  const int64_t chunks = (n + grain - 1) / grain;
  const int team = static_cast<int>(std::min<int64_t>(chunks, thread_count()));
  if (team <= 1 || omp_in_parallel()) {
    for (int64_t begin = 0; begin < n; begin += grain)
      body(context, begin, std::min(n, begin + grain));
    return;
  }
  std::exception_ptr error;
  const auto run = [&](int64_t c) {
    try {
      body(context, c * grain, std::min(n, (c + 1) * grain));
    } catch (...) {
#pragma omp critical(mxtape_parallel_error)
      if (!error) error = std::current_exception();
    }
  };
  // Many pieces are handed out one by one: a thread that is held up delays one of them only. Of few
  // pieces each thread takes its share at once.
  if (chunks >= 8 * team) {
#pragma omp parallel for schedule(dynamic) num_threads(team)
    for (int64_t c = 0; c < chunks; ++c) run(c);
  } else {
#pragma omp parallel for schedule(static) num_threads(team)
    for (int64_t c = 0; c < chunks; ++c) run(c);
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace detail
}  // namespace mxtape

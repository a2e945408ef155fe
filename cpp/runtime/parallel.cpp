#include "runtime/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <omp.h>
#include <thread>
#include <vector>

#include "core/at_fork.h"
#include "core/error.h"

namespace mxtape {
namespace {

// Whether this process is a fork of one that has counted its threads.
std::atomic<bool> forked{false};

std::atomic<int>& threads() {
  static std::atomic<int> count = std::max(1, omp_get_max_threads());
  return count;
}

// libgomp's thread pool does not survive fork(): a child that enters a parallel region would wait
// for threads it does not have.
const ForkRegistration at_fork(AtFork::kTeam, {nullptr, nullptr, [] {
                                                 threads() = 1;
                                                 forked = true;
                                               }});

#ifdef __SANITIZE_THREAD__

// libgomp is not instrumented: what its threads hand to each other would be taken for races.
thread_local bool in_team = false;
bool is_in_team() { return in_team; }

template <class Run>
void run_team(int team, int64_t pieces, const Run& run) {
  std::atomic<int64_t> next{0};
  const auto work = [&] {
    in_team = true;
    for (int64_t piece = next++; piece < pieces; piece = next++) run(piece);
    in_team = false;
  };
  std::vector<std::thread> others;
  for (int t = 1; t < team; ++t) others.emplace_back(work);
  work();
  for (std::thread& thread : others) thread.join();
}

#else

bool is_in_team() { return omp_in_parallel(); }

// Many pieces are handed out one by one: a thread that is held up delays one of them only. Of few
// pieces each thread takes its share at once.
template <class Run>
void run_team(int team, int64_t pieces, const Run& run) {
  if (pieces >= 8 * team) {
#pragma omp parallel for schedule(dynamic) num_threads(team)
    for (int64_t piece = 0; piece < pieces; ++piece) run(piece);
  } else {
#pragma omp parallel for schedule(static) num_threads(team)
    for (int64_t piece = 0; piece < pieces; ++piece) run(piece);
  }
}

#endif

}  // namespace

int thread_count() { return threads().load(std::memory_order_relaxed); }
void set_thread_count(int n) {
  if (n > 1 && forked) fail("a process made by fork() computes with one thread, got ", n);
  threads() = std::max(1, n);
}

namespace detail {

void parallel_chunks(int64_t n, int64_t grain, RangeBody body, void* context) {
  const int64_t chunks = (n + grain - 1) / grain;
  const int team = static_cast<int>(std::min<int64_t>(chunks, thread_count()));
  if (team <= 1 || is_in_team()) {
    for (int64_t begin = 0; begin < n; begin += grain)
      body(context, begin, std::min(n, begin + grain));
    return;
  }
  std::mutex mutex;
  std::exception_ptr error;
  run_team(team, chunks, [&](int64_t c) {
    try {
      body(context, c * grain, std::min(n, (c + 1) * grain));
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  });
  if (error) std::rethrow_exception(error);
}

}  // namespace detail
}  // namespace mxtape

#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <omp.h>
#include <vector>

// What the processor can do at most: copy memory, and multiply and add in registers.
namespace mxtape::micro {

inline double now() {
  using Clock = std::chrono::steady_clock;
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

// Copies n bytes with all threads, a piece each.
inline void copy(void* to, const void* from, size_t n) {
  constexpr size_t kSmall = size_t{1} << 17;
#pragma omp parallel if (n > kSmall)
  {
    const size_t threads = omp_get_num_threads(), thread = omp_get_thread_num();
    const size_t begin = n * thread / threads, end = n * (thread + 1) / threads;
    std::memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin,
                end - begin);
  }
}

// The seconds that copying takes which reads and writes so many bytes in all, the least of a few.
inline double copy_seconds(size_t bytes, int tries) {
  std::vector<char> from(bytes / 2, 1), to(bytes / 2, 2);
  // A short copy is repeated until the clock can tell.
  const int repeats = static_cast<int>(std::max<size_t>(1, (size_t{1} << 24) / bytes));
  double least = 1e9;
  for (int i = 0; i < tries; ++i) {
    const double began = now();
    for (int k = 0; k < repeats; ++k) {
      copy(to.data(), from.data(), bytes / 2);
      asm volatile("" : : "r"(to.data()) : "memory");
    }
    least = std::min(least, (now() - began) / repeats);
  }
  return least;
}

// Floating-point operations per second of float32 multiply-adds with all threads, the most of a
// few.
inline double multiply_add_peak(int tries) {
#if defined(__AVX512F__)
  constexpr int kLanes = 16;
#else
  constexpr int kLanes = 8;
#endif
  using Vector [[gnu::vector_size(4 * kLanes)]] = float;
  constexpr int kChains = 12;  // enough in flight for any latency, and few enough for registers
  constexpr int kSteps = 2'000'000;
  double most = 0;
  for (int i = 0; i < tries; ++i) {
    int threads = 1;
    const double began = now();
#pragma omp parallel
    {
      Vector sums[kChains], factor, term;
      for (int k = 0; k < kLanes; ++k) factor[k] = 0.999f, term[k] = 0.001f;
      for (Vector& sum : sums) sum = term;
      for (int step = 0; step < kSteps; ++step) {
        for (Vector& sum : sums) sum = sum * factor + term;
      }
      for (Vector& sum : sums) asm volatile("" : : "m"(sum));
#pragma omp single
      threads = omp_get_num_threads();
    }
    const double operations = 2.0 * kLanes * kChains * kSteps * threads;
    most = std::max(most, operations / (now() - began));
  }
  return most;
}

}  // namespace mxtape::micro

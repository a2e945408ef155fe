// Prints the processor's limits as JSON, for benchmarks/run.py, under OMP_NUM_THREADS threads.
#include "machine.h"

#include <cstdio>

int main() {
  constexpr size_t kBytes = size_t{1} << 28;
  const double gflops = mxtape::micro::multiply_add_peak(5) / 1e9;
  const double copy_gbs = kBytes / mxtape::micro::copy_seconds(kBytes, 7) / 1e9;
  std::printf("{\"gflops\": %.1f, \"copy_gbs\": %.2f}\n", gflops, copy_gbs);
}

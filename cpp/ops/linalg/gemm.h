#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace mxtape {

// One product of matrices, or a batch of them that lie one behind the other:
//   out[m, n] = op(a)[m, k] * op(b)[k, n] + bias[n]
// All are dense and row-major. op(a) reads a as stored, [m, k], or transposed, from [k, m]; op(b)
// as stored, [k, n], or transposed, from [n, k]. `bias` may be null. `out` overlaps nothing.
struct Gemm {
  DType dtype;  // float16, float32 or float64
  int64_t m, n, k;
  bool transpose_a = false, transpose_b = false;
  int64_t batch = 1;
  const void* a;
  const void* b;
  const void* bias = nullptr;
  void* out;
};

// Runs a product on all threads. The work is cut by the sizes alone, so the result's bits do not
// depend on the number of threads.
void gemm(const Gemm& g);

}  // namespace mxtape

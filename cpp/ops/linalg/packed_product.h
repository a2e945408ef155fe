#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/ndarray.h"
#include "ops/linalg/gemm_kernel.h"
#include "runtime/parallel.h"

namespace mxtape {

// A matrix laid out once for many products of a few rows with it, as a recurrence makes them:
// op(b)[k, m] in panels of kWidth columns, each row of a panel contiguous. gemm() would lay it out
// anew at every step.
template <class T>
class PackedMatrix {
  using Kernel = GemmKernel<T>;
  using Vector = typename Kernel::Vector;
  static constexpr int kLanes = Kernel::kLanes, kVectors = 2;  // GemmKernel's kColumns

 public:
  static constexpr int64_t kWidth = int64_t{kLanes} * kVectors;

  // `b` is row-major: [k, m], or [m, k] when transposed.
  PackedMatrix(const T* b, int64_t k, int64_t m, bool transposed)
      : k_(k),
        panels_((m + kWidth - 1) / kWidth),
        memory_(NDArray::empty(Shape{panels_ * k * kWidth}, dtype_of<T>)) {
    const typename Kernel::Matrix matrix{b, transposed ? 1 : m, transposed ? k : 1};
    T* panels = memory_.data<T>();
    parallel_for(panels_, 4, [&](int64_t begin, int64_t end) {
      Kernel::pack_columns(matrix, 0, k, begin * kWidth, std::min(end * kWidth, m),
                           panels + begin * kWidth * k);
    });
  }

  // Columns of a product: m rounded up to whole panels. The excess is zeros.
  int64_t padded() const { return panels_ * kWidth; }

  // out[rows, padded()] = a[rows, k] * op(b), a's rows `stride` apart. The bits of a row do not
  // depend on the other rows.
  void multiply(const T* a, int64_t rows, int64_t stride, T* out) const {
    // Tiles of GemmKernel read a panel, which is longer than the L1 cache, less often. Up to half
    // of the last one may be for nothing.
    const int64_t rest = rows % Kernel::kRows;
    const int64_t tiled = rest > 0 && rest < Kernel::kRows / 2 ? rows - rest : rows;
    std::vector<T> last(tiled % Kernel::kRows ? size_t(Kernel::kRows * k_) : 0);
    Kernel::pack_rest(a, stride, k_, tiled, last.data());
    constexpr int64_t kPiece = int64_t{1} << 20;  // multiplications worth a thread
    const int64_t grain = std::max<int64_t>(1, kPiece / std::max<int64_t>(1, rows * k_ * kWidth));
    parallel_for(panels_, grain, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        const T* panel = memory_.data<T>() + p * k_ * kWidth;
        T* to = out + p * kWidth;
        Kernel::multiply_panel(a, stride, last.data(), panel, k_, tiled, padded(), to);
        int64_t r = tiled;
        for (; r + 4 <= rows; r += 4) tile<4>(a + r * stride, stride, panel, to + r * padded());
        for (; r < rows; ++r) tile<1>(a + r * stride, stride, panel, to + r * padded());
      }
    });
  }

 private:
  template <int Rows>
  void tile(const T* a, int64_t stride, const T* panel, T* out) const {
    Vector sum[Rows][kVectors] = {};
    for (int64_t i = 0; i < k_; ++i, panel += kWidth) {
      Vector b[kVectors];
      for (int v = 0; v < kVectors; ++v) b[v] = Kernel::load(panel + v * kLanes);
      for (int r = 0; r < Rows; ++r) {
        const Vector factor = a[r * stride + i] - Vector{};
        for (int v = 0; v < kVectors; ++v) Kernel::multiply_add(factor, b[v], sum[r][v]);
      }
    }
    for (int r = 0; r < Rows; ++r) {
      for (int v = 0; v < kVectors; ++v) Kernel::store(out + r * padded() + v * kLanes, sum[r][v]);
    }
  }

  int64_t k_, panels_;
  NDArray memory_;
};

}  // namespace mxtape

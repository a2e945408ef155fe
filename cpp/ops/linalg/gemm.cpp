#include "ops/linalg/gemm.h"

#include <algorithm>

#include <Eigen/Core>

#include "core/ndarray.h"
#include "ops/linalg/gemm_kernel.h"
#include "runtime/widen.h"

namespace mxtape {
namespace {

// How one product is cut: a grid of blocks of the output, each summed over `depth` pieces of k.
struct Plan {
  int64_t rows = 1, columns = 1, depth = 1;
  int64_t blocks() const { return rows * columns; }
};

// Multiplications that make a piece worth handing to a thread. A product with a vector is bound by
// memory and earns one earlier.
constexpr int64_t kMatrixPiece = int64_t{1} << 20, kVectorPiece = int64_t{1} << 16;

// Products from so many multiplications on are GemmKernel's, if the result has so many rows and
// columns; Eigen is as fast below, and with vectors.
constexpr int64_t kOwn = int64_t{1} << 22, kLeast = 48;
// The same of each product of a batch.
constexpr int64_t kOwnItem = int64_t{1} << 20;
// So many outputs are enough for all threads: no need to cut the sums.
constexpr int64_t kManyOutputs = int64_t{1} << 17;
// With so few rows, a is read where it lies.
constexpr int64_t kFewRows = 256;

Plan make_plan(const Gemm& g) {
  const bool vector = g.m == 1 || g.n == 1;
  const int64_t work = g.m * g.n * g.k, piece = vector ? kVectorPiece : kMatrixPiece;
  // Large products gain more from whole tiles than from many pieces.
  const int64_t edge = vector ? 16 : work >= int64_t{1} << 27 ? 256 : 64;
  const int64_t wanted = std::clamp<int64_t>(work / piece, 1, std::max<int64_t>(16, work >> 28));
  Plan plan;
  while (plan.blocks() < wanted) {
    const int64_t height = g.m / plan.rows, width = g.n / plan.columns;
    if (height >= width && height >= 2 * edge) {
      plan.rows *= 2;
    } else if (width >= 2 * edge) {
      plan.columns *= 2;
    } else {
      break;
    }
  }
  // Few outputs and a long sum, such as a weight's gradient over a large batch: cut the sum.
  if (g.batch == 1 && plan.blocks() < 8 && g.m * g.n < kManyOutputs) {
    plan.depth = std::clamp<int64_t>(std::min(wanted / plan.blocks(), g.k / 512), 1, 16);
  }
  return plan;
}

int64_t cut(int64_t size, int64_t pieces, int64_t i) { return size * i / pieces; }

// Eigen sees everything transposed, out' = op(b)' op(a)', because its own order is column-major.
template <class T, int Order>
using Operand = Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Order>, 0,
                           Eigen::OuterStride<>>;
template <class T>
using Result =
    Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>, 0, Eigen::OuterStride<>>;

template <class T, class B, class A>
void multiply_block(const B& b, const A& a, const T* bias, Result<T> out) {
  if (b.cols() == 1) {
    if (bias) {
      const Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, 1>> v(bias, out.rows());
      out.noalias() = b.lazyProduct(a).colwise() + v;
    } else {
      out.noalias() = b.lazyProduct(a);
    }
    return;
  }
  if (bias) {
    out.colwise() = Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, 1>>(bias, out.rows());
    out.noalias() += b * a;
  } else {
    out.noalias() = b * a;
  }
}

// The block of rows [i0, i1) and columns [j0, j1), summed over [k0, k1).
template <class T>
void run_block(const Gemm& g, const T* a, const T* b, const T* bias, T* out, int64_t i0, int64_t i1,
               int64_t j0, int64_t j1, int64_t k0, int64_t k1) {
  const int64_t height = i1 - i0, width = j1 - j0, depth = k1 - k0;
  const Result<T> result(out + i0 * g.n + j0, width, height, Eigen::OuterStride<>(g.n));
  const T* at = bias ? bias + j0 : nullptr;
  const auto with_b = [&](const auto& b_block) {
    if (g.transpose_a) {
      const Operand<T, Eigen::RowMajor> a_block(a + k0 * g.m + i0, depth, height,
                                                Eigen::OuterStride<>(g.m));
      multiply_block<T>(b_block, a_block, at, result);
    } else {
      const Operand<T, Eigen::ColMajor> a_block(a + i0 * g.k + k0, depth, height,
                                                Eigen::OuterStride<>(g.k));
      multiply_block<T>(b_block, a_block, at, result);
    }
  };
  if (g.transpose_b) {
    with_b(Operand<T, Eigen::RowMajor>(b + j0 * g.k + k0, width, depth, Eigen::OuterStride<>(g.k)));
  } else {
    with_b(Operand<T, Eigen::ColMajor>(b + k0 * g.n + j0, width, depth, Eigen::OuterStride<>(g.n)));
  }
}

// out = the sum of `depth` arrays of n elements that lie one behind the other, in their order.
template <class T>
void sum_pieces(const T* pieces, int64_t depth, const T* bias, int64_t columns, T* out, int64_t n) {
  parallel_for(n, 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t e = begin; e < end; ++e) out[e] = bias ? bias[e % columns] : T(0);
    for (int64_t d = 0; d < depth; ++d) {
      const T* piece = pieces + d * n;
      for (int64_t e = begin; e < end; ++e) out[e] += piece[e];
    }
  });
}

template <class T>
using Matrix = typename GemmKernel<T>::Matrix;
template <class T>
Matrix<T> left(const Gemm& g, const T* a) {
  return g.transpose_a ? Matrix<T>{a, 1, g.m} : Matrix<T>{a, g.k, 1};
}
template <class T>
Matrix<T> right(const Gemm& g, const T* b) {
  return g.transpose_b ? Matrix<T>{b, 1, g.k} : Matrix<T>{b, g.n, 1};
}

// Few rows of a: each thread lays out the columns of b that it takes.
template <class T>
void run_columns(const Gemm& g, const Matrix<T>& a, const Matrix<T>& b, const T* bias, T* out) {
  using Kernel = GemmKernel<T>;
  const int64_t panels = (g.n + Kernel::kColumns - 1) / Kernel::kColumns;
  const int64_t each = std::max<int64_t>(1, panels / (4 * thread_count())) * Kernel::kColumns;
  parallel_for((g.n + each - 1) / each, 1, [&](int64_t begin, int64_t end) {
    const NDArray scratch = NDArray::empty(Shape{Kernel::columns_size(each)}, dtype_of<T>);
    for (int64_t t = begin; t < end; ++t) {
      Kernel::multiply_columns(a, b, bias, g.m, g.k, g.n, t * each, std::min((t + 1) * each, g.n),
                               out, scratch.data<T>());
    }
  });
}

// Columns [first, first + n) of a product of many rows: those of b are laid out once for all
// threads.
template <class T>
void run_panels(const Gemm& g, const Matrix<T>& a, const Matrix<T>& b, const T* bias, int64_t first,
                int64_t n, T* panels, T* out) {
  using Kernel = GemmKernel<T>;
  const Matrix<T> part{b.at(0, first), b.row, b.column};
  constexpr int64_t kPacked = 4 * Kernel::kColumns;
  parallel_for((n + kPacked - 1) / kPacked, 1, [&](int64_t begin, int64_t end) {
    Kernel::pack_b(part, g.k, n, begin * kPacked, std::min(end * kPacked, n), panels);
  });
  const int64_t tiles = (g.m + Kernel::kRows - 1) / Kernel::kRows;
  // Blocks of many rows read the panels of b from the L2 cache; with small ones threads end
  // together.
  const int64_t block_rows = std::max(Kernel::kBlockRows, g.m / (4 * thread_count()));
  const int64_t blocks = Kernel::round_up((g.m + block_rows - 1) / block_rows, thread_count());
  // A block lays out its rows of a anew for every chunk of columns: few blocks get more chunks.
  const int64_t wanted = (2 * thread_count() + blocks - 1) / blocks;
  const int64_t chunk_columns = Kernel::round_up((n + wanted - 1) / wanted, Kernel::kColumns);
  const int64_t chunks = (n + chunk_columns - 1) / chunk_columns;
  parallel_for(blocks * chunks, 1, [&](int64_t begin, int64_t end) {
    const NDArray scratch = NDArray::empty(Shape{Kernel::kASize}, dtype_of<T>);
    for (int64_t t = begin; t < end; ++t) {
      const int64_t block = t / chunks, chunk = t % chunks;
      Kernel::multiply(a, panels, bias ? bias + first : nullptr, g.k, n,
                       cut(tiles, blocks, block) * Kernel::kRows,
                       std::min(cut(tiles, blocks, block + 1) * Kernel::kRows, g.m),
                       chunk * chunk_columns, std::min((chunk + 1) * chunk_columns, n), g.n,
                       out + first, scratch.data<T>());
    }
  });
}

// Those of a large b are laid out in passes: they should not take as much memory as b.
constexpr int64_t kPanelBytes = 32 << 20;

template <class T>
void run_panels(const Gemm& g, const Matrix<T>& a, const Matrix<T>& b, const T* bias, T* out) {
  using Kernel = GemmKernel<T>;
  int64_t pass = g.n;
  if (Kernel::b_size(g.k, g.n) * static_cast<int64_t>(sizeof(T)) > kPanelBytes) {
    const int64_t fitting = kPanelBytes / static_cast<int64_t>(sizeof(T)) / g.k;
    pass = std::min(g.n, std::max<int64_t>(8, fitting / Kernel::kColumns) * Kernel::kColumns);
  }
  const NDArray memory = NDArray::empty(Shape{Kernel::b_size(g.k, pass)}, dtype_of<T>);
  for (int64_t first = 0; first < g.n; first += pass) {
    run_panels<T>(g, a, b, bias, first, std::min(pass, g.n - first), memory.data<T>(), out);
  }
}

// A product by GemmKernel. Since an element's bits do not depend on the block that it is computed
// in, the blocks may depend on the number of threads.
template <class T>
void run_own(const Gemm& g) {
  const Matrix<T> a = left<T>(g, static_cast<const T*>(g.a));
  const Matrix<T> b = right<T>(g, static_cast<const T*>(g.b));
  const auto* bias = static_cast<const T*>(g.bias);
  auto* out = static_cast<T*>(g.out);
  // Two panels for each thread at least: otherwise the rows are cut too.
  const bool wide = g.n > (2 * thread_count() - 1) * GemmKernel<T>::kColumns;
  if (!g.transpose_a && g.m <= kFewRows && wide) {
    run_columns<T>(g, a, b, bias, out);
  } else {
    run_panels<T>(g, a, b, bias, out);
  }
}

// Products of a batch: each is one thread's, or all threads', which gives the same bits.
template <class T>
void run_items(const Gemm& g) {
  using Kernel = GemmKernel<T>;
  const auto *a_data = static_cast<const T*>(g.a), *b_data = static_cast<const T*>(g.b);
  auto* out = static_cast<T*>(g.out);
  if (g.batch < 2 * thread_count()) {
    Gemm item = g;
    item.batch = 1;
    for (int64_t i = 0; i < g.batch; ++i) {
      item.a = a_data + i * g.m * g.k;
      item.b = b_data + i * g.k * g.n;
      item.out = out + i * g.m * g.n;
      run_own<T>(item);
    }
    return;
  }
  parallel_for(g.batch, 1, [&](int64_t begin, int64_t end) {
    const int64_t b_size = Kernel::b_size(g.k, g.n);
    const NDArray scratch = NDArray::empty(Shape{b_size + Kernel::kASize}, dtype_of<T>);
    T* panels = scratch.data<T>();
    for (int64_t item = begin; item < end; ++item) {
      const Matrix<T> a = left<T>(g, a_data + item * g.m * g.k);
      const Matrix<T> b = right<T>(g, b_data + item * g.k * g.n);
      Kernel::pack_b(b, g.k, g.n, 0, g.n, panels);
      Kernel::multiply(a, panels, static_cast<const T*>(g.bias), g.k, g.n, 0, g.m, 0, g.n, g.n,
                       out + item * g.m * g.n, panels + b_size);
    }
  });
}

template <class T>
void run(const Gemm& g) {
  const Plan plan = make_plan(g);
  const int64_t least = g.batch > 1 ? kOwnItem : kOwn;
  if (g.m * g.n * g.k >= least && g.m >= kLeast && g.n >= kLeast && plan.depth == 1) {
    return g.batch > 1 ? run_items<T>(g) : run_own<T>(g);
  }
  const T *a = static_cast<const T*>(g.a), *b = static_cast<const T*>(g.b);
  const T* bias = static_cast<const T*>(g.bias);
  T* out = static_cast<T*>(g.out);
  if (plan.depth > 1) {
    const NDArray scratch = NDArray::empty(Shape{plan.depth, g.m, g.n}, dtype_of<T>);
    T* pieces = scratch.data<T>();
    parallel_for(plan.blocks() * plan.depth, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t d = t / plan.blocks(), block = t % plan.blocks();
        const int64_t i = block / plan.columns, j = block % plan.columns;
        run_block<T>(g, a, b, nullptr, pieces + d * g.m * g.n, cut(g.m, plan.rows, i),
                     cut(g.m, plan.rows, i + 1), cut(g.n, plan.columns, j),
                     cut(g.n, plan.columns, j + 1), cut(g.k, plan.depth, d),
                     cut(g.k, plan.depth, d + 1));
      }
    });
    sum_pieces(pieces, plan.depth, bias, g.n, out, g.m * g.n);
    return;
  }
  const int64_t work = g.m * g.n * std::max<int64_t>(g.k, 1);
  const int64_t grain = plan.blocks() > 1 ? 1 : std::max<int64_t>(1, kVectorPiece / work);
  parallel_for(g.batch * plan.blocks(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t item = t / plan.blocks(), block = t % plan.blocks();
      const int64_t i = block / plan.columns, j = block % plan.columns;
      run_block<T>(g, a + item * g.m * g.k, b + item * g.k * g.n, bias, out + item * g.m * g.n,
                   cut(g.m, plan.rows, i), cut(g.m, plan.rows, i + 1), cut(g.n, plan.columns, j),
                   cut(g.n, plan.columns, j + 1), 0, g.k);
    }
  });
}

// Narrow types are multiplied and summed in float32 and rounded once.
void run_widened(const Gemm& g) {
  const NDArray a = widened(g.dtype, g.a, g.batch * g.m * g.k);
  const NDArray b = widened(g.dtype, g.b, g.batch * g.k * g.n);
  const NDArray bias = widened(g.dtype, g.bias, g.n);
  const WideOutput out(g.dtype, g.out, g.batch * g.m * g.n);
  Gemm wide = g;
  wide.dtype = out.array().dtype();
  wide.a = a.bytes();
  wide.b = b.bytes();
  wide.bias = g.bias ? bias.bytes() : nullptr;
  wide.out = out.array().bytes();
  gemm(wide);
  out.finish();
}

}  // namespace

void gemm(const Gemm& g) {
  if (g.batch * g.m * g.n == 0) return;
  if (is_narrow(g.dtype)) return run_widened(g);
  dispatch<SingleOrDouble>(g.dtype, [&](auto tag) { run<typename decltype(tag)::type>(g); });
}

}  // namespace mxtape

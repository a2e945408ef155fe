#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

// A product of matrices on one core, as in Goto and van de Geijn, "Anatomy of high-performance
// matrix multiplication" (ACM TOMS 34, 2008): both operands are laid out in panels, a panel of b
// stays in the L1 cache and a block of a in the L2 cache, and a tile of the result in registers.
//
// An element of the result is summed over k in blocks of depth_of(k), in their order, and within a
// block one by one: its bits do not depend on where in the matrix it stands, or on how the rows and
// columns are shared out.
namespace mxtape {

template <class T>
class GemmKernel {
#if defined(__AVX512F__)
  static constexpr int kBytes = 64;
  static constexpr int kTileRows = 12;
  static constexpr bool kFromMemory = true;
#elif defined(__AVX__)
  static constexpr int kBytes = 32;
  static constexpr int kTileRows = 6;
  static constexpr bool kFromMemory = false;
#else
  static constexpr int kBytes = 16;
  static constexpr int kTileRows = 6;
  static constexpr bool kFromMemory = false;
#endif
  static constexpr int kVectors = 2;
  static constexpr int kGroup = 3;   // rows of a that one pointer and the stride reach
  static constexpr int kUnroll = 4;  // steps of k between two tests for the end
  static constexpr int kQuad = 16 / static_cast<int>(sizeof(T));
  typedef T Quad __attribute__((vector_size(16), aligned(alignof(T)), may_alias));

 public:
  // What the registers hold; it may begin at any element.
  static constexpr int kLanes = kBytes / static_cast<int>(sizeof(T));
  typedef T Vector __attribute__((vector_size(kBytes), aligned(alignof(T)), may_alias));
  static Vector load(const T* at) { return load_as<Vector>(at); }
  static void store(T* at, Vector value) { *reinterpret_cast<Vector*>(at) = value; }
  // sum += factor * b, rounded once also where the compiler does not optimize: which instruction an
  // element gets must not show in its bits.
  [[gnu::always_inline]] static void multiply_add(const Vector& factor, const Vector& b,
                                                  Vector& sum) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) {
      sum = (Vector)_mm512_fmadd_ps((__m512)factor, (__m512)b, (__m512)sum);
    } else {
      sum = (Vector)_mm512_fmadd_pd((__m512d)factor, (__m512d)b, (__m512d)sum);
    }
#else
    sum += factor * b;
#endif
  }

  static constexpr int64_t kRows = kTileRows;                      // of a tile
  static constexpr int64_t kColumns = int64_t{kLanes} * kVectors;  // of a tile
  static constexpr int64_t kDepth = 320;     // at most, elements of k in a panel
  static constexpr int64_t kBlockRows = 24;  // rows of a that are laid out at once
  // Elements of panels of b that stay in the L2 cache.
  static constexpr int64_t kFitting = (int64_t{3} << 19) / static_cast<int64_t>(sizeof(T));

  // A matrix as it is stored: element (i, j) is at data[i * row + j * column]; row or column is 1.
  struct Matrix {
    const T* data;
    int64_t row, column;
    const T* at(int64_t i, int64_t j) const { return data + i * row + j * column; }
  };

  static int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }
  // Blocks of one length: a short last one would load and store the result for little work.
  static int64_t depth_of(int64_t k) {
    const int64_t blocks = std::max<int64_t>(1, (k + kDepth - 1) / kDepth);
    return (k + blocks - 1) / blocks;
  }
  // Elements of scratch memory for the panels of b[k, n], for those of a block of a, and for those
  // of `columns` columns of b in a block of k beside one of a.
  static int64_t b_size(int64_t k, int64_t n) { return k * round_up(n, kColumns); }
  static constexpr int64_t kASize = kDepth * (kBlockRows + kRows);
  static int64_t columns_size(int64_t columns) {
    return kDepth * (kRows + round_up(columns, kColumns));
  }

  // Lays out columns [j0, j1) of b[k, n], j0 a multiple of kColumns, in its panels: blocks of
  // depth_of(k) rows, in each a panel for every kColumns columns, in it row by row.
  static void pack_b(const Matrix& b, int64_t k, int64_t n, int64_t j0, int64_t j1, T* panels) {
    const int64_t padded = round_up(n, kColumns), step = depth_of(k);
    for (int64_t p = 0; p < k; p += step) {
      const int64_t depth = std::min(step, k - p);
      pack_columns(b, p, depth, j0, j1, panels + p * padded + j0 * depth);
    }
  }

  // Panels of columns [j0, j1) of b in rows [p, p + depth).
  static void pack_columns(const Matrix& b, int64_t p, int64_t depth, int64_t j0, int64_t j1,
                           T* panels) {
    for (int64_t j = j0; j < j1; j += kColumns) {
      pack<kColumns>(b.at(p, j), b.row, b.column, depth, std::min(kColumns, j1 - j),
                     panels + (j - j0) * depth);
    }
  }

  // Rows [i0, i1) and columns [j0, j1) of c = a b + bias, j0 a multiple of kColumns. The rows of c
  // are `stride` apart. `scratch` has kASize elements.
  static void multiply(const Matrix& a, const T* b_panels, const T* bias, int64_t k, int64_t n,
                       int64_t i0, int64_t i1, int64_t j0, int64_t j1, int64_t stride, T* c,
                       T* scratch) {
    const int64_t padded = round_up(n, kColumns), step = depth_of(k);
    // As many panels as stay in the L2 cache, for all rows.
    const int64_t fitting = std::max<int64_t>(1, kFitting / (step * kColumns));
    const int64_t chunks = (j1 - j0 + fitting * kColumns - 1) / (fitting * kColumns);
    const int64_t chunk = round_up((j1 - j0 + chunks - 1) / std::max<int64_t>(1, chunks), kColumns);
    for (int64_t p = 0; p < k; p += step) {
      const int64_t depth = std::min(step, k - p);
      for (int64_t first = j0; first < j1; first += chunk) {
        const int64_t last = std::min(first + chunk, j1);
        for (int64_t i = i0; i < i1; i += kBlockRows) {
          const int64_t rows = std::min(kBlockRows, i1 - i);
          for (int64_t r = 0; r < rows; r += kRows) {
            pack<kRows>(a.at(i + r, p), a.column, a.row, depth, std::min(kRows, rows - r),
                        scratch + r * depth);
          }
          for (int64_t j = first; j < last; j += kColumns) {
            const T* panel = b_panels + p * padded + j * depth;
            const auto rows_at = [&](int64_t r) { return Packed{scratch + r * depth}; };
            tiles(rows_at, panel, kColumns, depth, rows, std::min(kColumns, j1 - j), p > 0,
                  bias ? bias + j : nullptr, stride, c + i * stride + j);
          }
        }
      }
    }
  }

  // Columns [j0, j1) of c = a b + bias, or of c += a b, for an a of few rows, contiguous along k:
  // it is read where it lies. `scratch` has columns_size(j1 - j0) elements.
  static void multiply_columns(const Matrix& a, const Matrix& b, const T* bias, int64_t m,
                               int64_t k, int64_t n, int64_t j0, int64_t j1, T* c, T* scratch,
                               bool add = false) {
    const int64_t step = depth_of(k), whole = m / kRows * kRows, rest = m - whole;
    T* const panels = scratch + kDepth * kRows;
    for (int64_t p = 0; p < k; p += step) {
      const int64_t depth = std::min(step, k - p);
      pack_columns(b, p, depth, j0, j1, panels);
      if (rest > 0) pack<kRows>(a.at(whole, p), a.column, a.row, depth, rest, scratch);
      const auto rows_at = [&](int64_t i) { return InRows(a.at(i, p), a.row); };
      const auto rest_at = [&](int64_t) { return Packed{scratch}; };
      for (int64_t j = j0; j < j1; j += kColumns) {
        const T* panel = panels + (j - j0) * depth;
        const T* at = bias ? bias + j : nullptr;
        const int64_t width = std::min(kColumns, j1 - j);
        tiles(rows_at, panel, kColumns, depth, whole, width, add || p > 0, at, n, c + j);
        tiles(rest_at, panel, kColumns, depth, rest, width, add || p > 0, at, n, c + whole * n + j);
      }
    }
  }

  // c = a b, or c += a b: a in panels of kRows rows behind each other, each `depth` long, b where
  // it lies, its rows and those of c `stride` apart. Rows and columns are whole tiles.
  static void multiply_panels(const T* a, const T* b, int64_t depth, int64_t rows, int64_t columns,
                              bool add, int64_t stride, T* c) {
    const auto rows_at = [&](int64_t r) { return Packed{a + r * depth}; };
    for (int64_t j = 0; j < columns; j += kColumns)
      tiles(rows_at, b + j, stride, depth, rows, kColumns, add, nullptr, stride, c + j);
  }

  // Rows [0, m) of c = a b for one panel of b that is `depth` rows long, kColumns wide and whole:
  // rows of a where they lie, `row` apart, but for the last ones that are no tile. Those are in
  // `rest`, laid out by pack_rest().
  static void multiply_panel(const T* a, int64_t row, const T* rest, const T* panel, int64_t depth,
                             int64_t m, int64_t stride, T* c) {
    const int64_t whole = m / kRows * kRows;
    const auto rows_at = [&](int64_t i) { return InRows(a + i * row, row); };
    const auto rest_at = [&](int64_t) { return Packed{rest}; };
    tiles(rows_at, panel, kColumns, depth, whole, kColumns, false, nullptr, stride, c);
    tiles(rest_at, panel, kColumns, depth, m - whole, kColumns, false, nullptr, stride,
          c + whole * stride);
  }
  // The last rows of m, fewer than kRows; `to` has kRows * depth elements.
  static void pack_rest(const T* a, int64_t row, int64_t depth, int64_t m, T* to) {
    const int64_t whole = m / kRows * kRows;
    if (m > whole) pack<kRows>(a + whole * row, 1, row, depth, m - whole, to);
  }

 private:
  // `depth` rows of `Width` elements side by side, of which `width` come from the matrix and the
  // rest are 0. Element (p, w) of the matrix is at from[p * row + w * column].
  template <int64_t Width>
  static void pack(const T* from, int64_t row, int64_t column, int64_t depth, int64_t width,
                   T* to) {
    if (width < Width) std::memset(to, 0, static_cast<size_t>(depth * Width) * sizeof(T));
    if (column == 1) {
      for (int64_t p = 0; p < depth; ++p) {
        if (width == Width) {
          std::memcpy(to + p * Width, from + p * row, Width * sizeof(T));
        } else {
          std::memcpy(to + p * Width, from + p * row, static_cast<size_t>(width) * sizeof(T));
        }
      }
      return;
    }
    // Columns are contiguous: a cache line of a few of them at a time, transposed in registers.
    constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));
    for (int64_t p = 0; p < depth; p += kLine) {
      const int64_t stop = std::min(p + kLine, depth);
      int64_t w = 0;
      while (w < width) {
        const T* line = from + w * column;
        const int64_t count = width - w >= kQuad ? kQuad : width - w >= 2 ? 2 : 1;
        int64_t q = p;
        if (count > 1) {
          for (; q + kQuad <= stop; q += kQuad) {
            if (count == kQuad) {
              transpose<kQuad>(line + q, column, to + q * Width + w, Width);
            } else {
              transpose<2>(line + q, column, to + q * Width + w, Width);
            }
          }
        }
        for (; q < stop; ++q) {
          for (int64_t i = 0; i < count; ++i) to[q * Width + w + i] = line[q + i * column];
        }
        w += count;
      }
    }
  }

  // kQuad elements each of `Lines` lines, to kQuad lines of `Lines` elements.
  template <int Lines>
  static void transpose(const T* from, int64_t stride, T* to, int64_t to_stride) {
    const auto line = [&](int i) { return load_as<Quad>(from + i * stride); };
    const auto put = [&](int i, Quad value) {
      std::memcpy(to + i * to_stride, &value, Lines * sizeof(T));
    };
    const Quad a = line(0), b = line(1);
    if constexpr (kQuad == 2) {
      put(0, __builtin_shufflevector(a, b, 0, 2));
      put(1, __builtin_shufflevector(a, b, 1, 3));
    } else {
      const Quad ab01 = __builtin_shufflevector(a, b, 0, 4, 1, 5);
      const Quad ab23 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
      if constexpr (Lines == 2) {
        put(0, ab01);
        put(1, __builtin_shufflevector(ab01, ab01, 2, 3, 2, 3));
        put(2, ab23);
        put(3, __builtin_shufflevector(ab23, ab23, 2, 3, 2, 3));
      } else {
        const Quad c = line(2), d = line(3);
        const Quad cd01 = __builtin_shufflevector(c, d, 0, 4, 1, 5);
        const Quad cd23 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
        put(0, __builtin_shufflevector(ab01, cd01, 0, 1, 4, 5));
        put(1, __builtin_shufflevector(ab01, cd01, 2, 3, 6, 7));
        put(2, __builtin_shufflevector(ab23, cd23, 0, 1, 4, 5));
        put(3, __builtin_shufflevector(ab23, cd23, 2, 3, 6, 7));
      }
    }
  }

  // Where a tile's kRows elements of a are at step u from here: behind each other in a panel, or
  // each in its row.
  struct Packed {
    const T* a;
    const T* at(int u, int r) const { return a + u * kRows + r; }
    // All but two: each is loaded twice then, and with all of them the loads would be what takes
    // longest.
    static constexpr bool multiplies_from_memory(int r, int rows) {
      return kFromMemory && r < rows - 2;
    }
    void next(int steps) { a += steps * kRows; }
    void hold() {}
  };
  struct InRows {
    const T* a[kTileRows / kGroup];
    int64_t next_row, second_row;
    InRows(const T* first, int64_t row) : next_row(row), second_row(2 * row) {
      for (int g = 0; g < kTileRows / kGroup; ++g) a[g] = first + g * kGroup * row;
    }
    const T* at(int u, int r) const {
      const int64_t rows[kGroup] = {0, next_row, second_row};
      return a[r / kGroup] + rows[r % kGroup] + u;
    }
    // Not where an address is the sum of two registers: the processor takes that apart again.
    static constexpr bool multiplies_from_memory(int r, int) {
      return kFromMemory && r % kGroup == 0;
    }
    void next(int steps) {
      for (const T*& group : a) group += steps;
    }
    // Addresses are these registers and a constant; no register for each of their sums.
    void hold() { asm volatile("" : "+r"(next_row), "+r"(second_row)); }
  };

  // The tiles of one panel of b, whose rows are `step` apart, below each other: `rows` rows of c
  // from `out` on, `stride` apart. They are added to what is there, or begin with the bias.
  // rows_at(r) is where a's are from row r on.
  template <class RowsAt>
  static void tiles(const RowsAt& rows_at, const T* panel, int64_t step, int64_t depth,
                    int64_t rows, int64_t width, bool add, const T* bias, int64_t stride, T* out) {
    for (int64_t r = 0; r < rows; r += kRows) {
      some_rows<kTileRows>(rows_at(r), panel, step, depth, std::min(kRows, rows - r), width, add,
                           bias, stride, out + r * stride);
    }
  }
  // By the smallest tile that has so many rows: two fewer from one to the next.
  template <int Rows, class A, class... Rest>
  static void some_rows(const A& a, const T* b, int64_t step, int64_t depth, int64_t rows,
                        Rest... rest) {
    if constexpr (Rows > 2) {
      if (rows <= Rows - 2) return some_rows<Rows - 2>(a, b, step, depth, rows, rest...);
    }
    tile<Rows>(a, b, step, depth, rows, rest...);
  }

  // f(0), f(1), ... as constants, so that an array they index lives in registers.
  template <int N, class F>
  [[gnu::always_inline]] static void repeat(const F& f) {
    const auto each =
        [&]<int... I>(std::integer_sequence<int, I...>)
            __attribute__((always_inline)) { (f(std::integral_constant<int, I>()), ...); };
    each(std::make_integer_sequence<int, N>());
  }

  // A value that is in a register here, and so is neither spilled nor loaded again and again.
  [[gnu::always_inline]] static void keep(Vector& value) {
#if defined(__x86_64__)
    asm volatile("" : "+v"(value));
#elif defined(__aarch64__)
    asm volatile("" : "+w"(value));
#endif
  }

  // The same in one instruction, where there is one that has its factor from memory.
  [[gnu::always_inline]] static void multiply_add(const T* factor, const Vector& b, Vector& sum) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) {
      asm("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(b), "m"(*factor));
    } else {
      asm("vfmadd231pd %2%{1to8%}, %1, %0" : "+v"(sum) : "v"(b), "m"(*factor));
    }
#else
    sum += *factor * b;
#endif
  }

  template <int Rows>
  using Sums = Vector[Rows][kVectors];

  // One step of k. Its instructions are these and no more: a core that shares its decoders and load
  // units with another thread has none to spare.
  template <int Rows, class A>
  [[gnu::always_inline]] static void add_step(A& a, int u, const T* b, Sums<Rows>& sum) {
    Vector b0 = load(b), b1 = load(b + kLanes);
    keep(b0), keep(b1);
    repeat<Rows>([&](auto r) __attribute__((always_inline)) {
      a.hold();
      if constexpr (A::multiplies_from_memory(r, Rows)) {
        multiply_add(a.at(u, r), b0, sum[r][0]);
        multiply_add(a.at(u, r), b1, sum[r][1]);
        keep(b0), keep(b1);
        return;
      }
      Vector factor = *a.at(u, r) - Vector{};
      multiply_add(factor, b0, sum[r][0]);
      multiply_add(factor, b1, sum[r][1]);
      keep(sum[r][0]), keep(sum[r][1]);
      // Nor may a sum take over a register of theirs, from where it would have to be moved back.
      keep(factor), keep(b0), keep(b1);
    });
  }

  // Not inlined: its registers are its own.
  template <int Rows, class A>
  [[gnu::noinline]] static void tile(A a, const T* b, int64_t step, int64_t depth, int64_t rows,
                                     int64_t width, bool add, const T* bias, int64_t stride,
                                     T* out) {
    // The result's lines come while the sums are made.
    for (int64_t r = 0; r < rows; ++r) __builtin_prefetch(out + r * stride, 1);
    Sums<Rows> sum;
    repeat<Rows>([&](auto r) __attribute__((always_inline)) { sum[r][0] = sum[r][1] = Vector{}; });
    int64_t p = 0;
    for (; p + kUnroll <= depth; p += kUnroll, a.next(kUnroll), b += kUnroll * step)
      repeat<kUnroll>(
          [&](auto u) __attribute__((always_inline)) { add_step<Rows>(a, u, b + u * step, sum); });
    for (; p < depth; ++p, a.next(1), b += step) add_step<Rows>(a, 0, b, sum);
    if (rows == Rows && width == kColumns) {
      repeat<Rows * kVectors>([&](auto i) __attribute__((always_inline)) {
        constexpr int r = i / kVectors, v = i % kVectors;
        T* to = out + r * stride + v * kLanes;
        if (add) sum[r][v] += load(to);
        if (bias && !add) sum[r][v] += load(bias + v * kLanes);
        store(to, sum[r][v]);
      });
      return;
    }
    alignas(64) T edge[Rows * kColumns];
    repeat<Rows * kVectors>([&](auto i) __attribute__((always_inline)) {
      store(edge + i * kLanes, sum[i / kVectors][i % kVectors]);
    });
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t w = 0; w < width; ++w) {
        T value = edge[r * kColumns + w];
        if (add) value += out[r * stride + w];
        if (bias && !add) value += bias[w];
        out[r * stride + w] = value;
      }
    }
  }

  template <class V>
  static V load_as(const T* at) {
    return *reinterpret_cast<const V*>(at);
  }
};

}  // namespace mxtape

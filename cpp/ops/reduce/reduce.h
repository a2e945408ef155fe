#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "op/common_params.h"
#include "op/declare.h"
#include "runtime/fusion.h"
#include "runtime/odometer.h"
#include "runtime/parallel.h"
#include "runtime/wide_sum.h"

// How reductions walk an array, whatever they compute. The order in which elements are combined
// depends on the shape alone, never on the number of threads, so results are bitwise reproducible.
namespace mxtape {

// Bit d: axis d is reduced.
using AxisSet = uint64_t;

// The axes that `axes` names, counted from the end when negative; None or () is all of them, and
// then `exclude` is ignored, as in MXNet. An Error that names `op` for an axis out of range or
// given twice.
AxisSet reduced_axes(const OptInts& axes, bool exclude, int ndim, std::string_view op);
// The result's shape: (1,) where all axes go.
Shape reduced_shape(const Shape& in, AxisSet axes, bool keepdims);
// How many elements are folded into each element of the result.
int64_t reduced_count(const Shape& in, AxisSet axes);
// A reduction's result, or its gradient, copied along the reduced axes of `in`.
NDArray spread(const NDArray& reduced, const Shape& in, AxisSet axes);
// Inference of a reduction that keeps the dtype; the second where nothing has no value (max).
void infer_reduce(InferCall& call);
void infer_reduce_nonempty(InferCall& call);
// The axes of a call's or a gradient's ReduceParams.
AxisSet axes_of(const KernelCall& call);
AxisSet axes_of(const Vjp& v);

namespace reduce {

// An array's axes merged into alternating kept and reduced groups. The innermost group is `inner`
// contiguous elements, kept or reduced; `kept` and `reduced` walk the other groups.
struct Layout {
  Layout(const Shape& shape, AxisSet axes) {
    struct Group {
      int64_t extent = 1;
      bool reduced = false;
    };
    SmallVector<Group, 6> groups;
    for (int d = 0; d < shape.ndim(); ++d) {
      const bool is_reduced = (axes >> d & 1) != 0;
      outputs *= is_reduced ? 1 : shape[d];
      count *= is_reduced ? shape[d] : 1;
      if (shape[d] == 1) continue;
      if (groups.empty() || groups.back().reduced != is_reduced) groups.push_back({1, is_reduced});
      groups.back().extent *= shape[d];
    }
    if (outputs == 0 || count == 0) return;
    int64_t stride = outputs * count;
    for (size_t g = 0; g + 1 < groups.size(); ++g) {
      stride /= groups[g].extent;
      (groups[g].reduced ? reduced : kept).add(groups[g].extent, stride);
    }
    if (!groups.empty()) {
      inner = groups.back().extent;
      inner_reduced = groups.back().reduced;
    }
  }

  int64_t outputs = 1, count = 1, inner = 1;
  bool inner_reduced = true;
  Loops<> kept, reduced;
};

inline constexpr int64_t kLanes = 32;       // independent accumulators of a contiguous run
inline constexpr int64_t kRun = 1024;       // elements that narrow accumulators take in a row
inline constexpr int64_t kRows = 128;       // rows that a narrow accumulator of a column takes
inline constexpr int64_t kColumns = 1024;   // accumulators of a tile of columns
inline constexpr int64_t kPiece = 1 << 16;  // elements of a piece of one huge output
inline constexpr int64_t kFewOutputs = 64;  // with fewer, huge outputs are cut into pieces
inline constexpr int64_t kGrain = 1 << 15;  // elements worth a thread

// Where elements are read from. A reader gives n of them from position `offset` on, n <= kRun; it
// is one thread's, and keeps up to four pieces at once.
template <class T>
struct Memory {
  using Element = T;
  const T* data;
  struct Reader {
    const T* data;
    const T* at(int64_t offset, int64_t, int = 0) const { return data + offset; }
  };
  Reader reader() const { return {data}; }
};
template <class T>
struct Streamed {
  using Element = T;
  const TileProgram& program;
  struct Reader {
    TileProgram::Cursor cursor;
    const T* at(int64_t offset, int64_t n, int slot = 0) {
      return static_cast<const T*>(cursor.at(offset, n, slot));
    }
  };
  Reader reader() const { return {TileProgram::Cursor(program, 4)}; }
};

// An Op says how elements become accumulators and how those combine:
//   using Narrow, Wide          accumulators within a run and across runs
//   load(T) -> Narrow, identity<V>(), combine(V, V)
// A sum of float32 has double for both, and of(V) -> V, what is added for an element: V is a vector
// of doubles.

template <class Op, class T>
inline constexpr bool kWidens =
    std::is_same_v<T, float> && std::is_same_v<typename Op::Narrow, double> &&
    requires(Doubles x) { Op::of(x); };

// fold_block() for float32.
template <class Op>
double fold_widened(const float* x, int64_t n) {
  constexpr int64_t kSize = Doubles::kSize, kVectors = kLanes / kSize;
  Doubles lane[kVectors] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int64_t v = 0; v < kVectors; ++v) {
      lane[v] = lane[v] + Op::of(Doubles::load(x + i + v * kSize));
    }
  }
  for (int64_t v = 0; i + kSize <= n; ++v, i += kSize) {
    lane[v] = lane[v] + Op::of(Doubles::load(x + i));
  }
  for (int64_t half = kVectors / 2; half > 0; half /= 2) {
    for (int64_t v = 0; v < half; ++v) lane[v] = lane[v] + lane[v + half];
  }
  double sum[kSize];
  lane[0].store(sum);
  for (int64_t v = 0; i < n; ++v, ++i) sum[v] += Op::load(x[i]);
  for (int64_t v = 1; v < kSize; ++v) sum[0] += sum[v];
  return sum[0];
}

template <class Op, class T>
typename Op::Narrow fold_block(const T* x, int64_t n) {
  if constexpr (kWidens<Op, T>) {
    if (n >= Doubles::kSize) return fold_widened<Op>(x, n);
  }
  using Narrow = typename Op::Narrow;
  Narrow total = Op::template identity<Narrow>();
  int64_t i = 0;
  if (n >= kLanes) {
    Narrow lane[kLanes];
    for (int64_t l = 0; l < kLanes; ++l) lane[l] = Op::load(x[l]);
    for (i = kLanes; i + kLanes <= n; i += kLanes) {
      for (int64_t l = 0; l < kLanes; ++l) lane[l] = Op::combine(lane[l], Op::load(x[i + l]));
    }
    for (int64_t half = kLanes / 2; half > 0; half /= 2) {
      for (int64_t l = 0; l < half; ++l) lane[l] = Op::combine(lane[l], lane[l + half]);
    }
    total = lane[0];
  }
  for (; i < n; ++i) total = Op::combine(total, Op::load(x[i]));
  return total;
}

template <class Op, class Reader>
typename Op::Wide fold_run(Reader& x, int64_t at, int64_t n) {
  using Wide = typename Op::Wide;
  const auto block = [&](int64_t i) {
    const int64_t m = std::min(n - i, kRun);
    return static_cast<Wide>(fold_block<Op>(x.at(at + i, m), m));
  };
  Wide total = block(0);
  for (int64_t i = kRun; i < n; i += kRun) total = Op::combine(total, block(i));
  return total;
}

template <class Op, class T>
typename Op::Wide fold_run(const T* x, int64_t n) {
  typename Memory<T>::Reader reader{x};
  return fold_run<Op>(reader, 0, n);
}

// The folds are not inlined, which would repeat them at each of their uses.

// Folds reduced elements [begin, end) of the output whose elements start at `first`.
template <class Op, class Reader>
[[gnu::noinline]] typename Op::Wide fold_runs(const Layout& layout, Reader& x, int64_t first,
                                              int64_t begin, int64_t end) {
  using Wide = typename Op::Wide;
  if (layout.reduced.depth() == 0) return fold_run<Op>(x, first + begin, end - begin);
  Wide total = Op::template identity<Wide>();
  Odometer run(layout.reduced, begin / layout.inner);
  int64_t at = begin % layout.inner;
  while (begin < end) {
    const int64_t n = std::min(layout.inner - at, end - begin);
    total = Op::combine(total, fold_run<Op>(x, first + run.offset() + at, n));
    run.next();
    begin += n;
    at = 0;
  }
  return total;
}

template <class Op, class Source, class Out, class Finish>
void reduce_runs(const Layout& layout, const Source& in, Out* out, Finish finish) {
  using Wide = typename Op::Wide;
  if (layout.outputs < kFewOutputs && layout.count > 2 * kPiece) {
    const int64_t pieces = (layout.count + kPiece - 1) / kPiece;
    std::vector<Wide> part(static_cast<size_t>(pieces * layout.outputs));
    parallel_for(pieces * layout.outputs, 1, [&](int64_t first, int64_t last) {
      auto reader = in.reader();
      for (int64_t i = first; i < last; ++i) {
        const int64_t begin = i % pieces * kPiece;
        const int64_t start = Odometer(layout.kept, i / pieces).offset();
        part[static_cast<size_t>(i)] =
            fold_runs<Op>(layout, reader, start, begin, std::min(begin + kPiece, layout.count));
      }
    });
    for (int64_t o = 0; o < layout.outputs; ++o) {
      const Wide* mine = part.data() + o * pieces;
      Wide total = mine[0];
      for (int64_t i = 1; i < pieces; ++i) total = Op::combine(total, mine[i]);
      out[o] = finish(total);
    }
    return;
  }
  const int64_t grain = std::max<int64_t>(1, kGrain / layout.count);
  parallel_for(layout.outputs, grain, [&](int64_t first, int64_t last) {
    auto reader = in.reader();
    Odometer kept(layout.kept, first);
    for (int64_t o = first; o < last; ++o, kept.next()) {
      out[o] = finish(fold_runs<Op>(layout, reader, kept.offset(), 0, layout.count));
    }
  });
}

// Adds `count` rows of float32, from where `row` stands, to total[0, width).
template <class Op, class Reader>
void add_widened_rows(Odometer<>& row, Reader& x, int64_t first, int64_t count, int64_t width,
                      double* total) {
  constexpr int64_t kSize = Doubles::kSize;
  const auto next = [&](int slot) {
    const float* p = x.at(first + row.offset(), width, slot);
    row.next();
    return p;
  };
  for (; count >= 4; count -= 4) {
    const float *p0 = next(0), *p1 = next(1), *p2 = next(2), *p3 = next(3);
    int64_t j = 0;
    for (; j + kSize <= width; j += kSize) {
      const Doubles a = Op::of(Doubles::load(p0 + j)) + Op::of(Doubles::load(p1 + j));
      const Doubles b = Op::of(Doubles::load(p2 + j)) + Op::of(Doubles::load(p3 + j));
      (Doubles::load(total + j) + (a + b)).store(total + j);
    }
    for (; j < width; ++j) {
      total[j] += (Op::load(p0[j]) + Op::load(p1[j])) + (Op::load(p2[j]) + Op::load(p3[j]));
    }
  }
  for (; count > 0; --count) {
    const float* p = next(0);
    int64_t j = 0;
    for (; j + kSize <= width; j += kSize) {
      (Doubles::load(total + j) + Op::of(Doubles::load(p + j))).store(total + j);
    }
    for (; j < width; ++j) total[j] += Op::load(p[j]);
  }
}

// Folds rows [begin, end) of `rows`, each `width` contiguous elements, into total[0, width). The
// rows start at `first`.
template <class Op, class T, class Reader>
[[gnu::noinline]] void fold_rows(const Loops<>& rows, Reader& x, int64_t first, int64_t begin,
                                 int64_t end, int64_t width, typename Op::Wide* total) {
  using Narrow = typename Op::Narrow;
  using Wide = typename Op::Wide;
  std::fill_n(total, width, Op::template identity<Wide>());
  if (begin >= end) return;
  Odometer row(rows, begin);
  if constexpr (kWidens<Op, T>)
    return add_widened_rows<Op>(row, x, first, end - begin, width, total);
  alignas(64) Narrow narrow[kColumns];
  while (begin < end) {
    const int64_t stop = std::min(begin + kRows, end);
    std::fill_n(narrow, width, Op::template identity<Narrow>());
    for (; begin + 4 <= stop; begin += 4) {
      const T* p[4];
      for (int i = 0; i < 4; ++i) {
        p[i] = x.at(first + row.offset(), width, i);
        row.next();
      }
      const T *p0 = p[0], *p1 = p[1], *p2 = p[2], *p3 = p[3];
#pragma omp simd
      for (int64_t j = 0; j < width; ++j) {
        const Narrow a = Op::combine(Op::load(p0[j]), Op::load(p1[j]));
        const Narrow b = Op::combine(Op::load(p2[j]), Op::load(p3[j]));
        narrow[j] = Op::combine(narrow[j], Op::combine(a, b));
      }
    }
    for (; begin < stop; ++begin, row.next()) {
      const T* p = x.at(first + row.offset(), width);
#pragma omp simd
      for (int64_t j = 0; j < width; ++j) narrow[j] = Op::combine(narrow[j], Op::load(p[j]));
    }
#pragma omp simd
    for (int64_t j = 0; j < width; ++j) {
      total[j] = Op::combine(total[j], static_cast<Wide>(narrow[j]));
    }
  }
}

// The same for a few columns in contiguous rows: several rows are taken as one wide row.
template <class Op, class T, class Reader>
[[gnu::noinline]] void fold_narrow_rows(Reader& x, int64_t first, int64_t rows, int64_t width,
                                        typename Op::Wide* total) {
  using Wide = typename Op::Wide;
  const int64_t merged = 64 / width;
  Loops<> wide, rest;
  wide.add(rows / merged, width * merged);
  rest.add(rows % merged, width);
  alignas(64) Wide part[64];
  if (wide.size() > 0) {
    fold_rows<Op, T>(wide, x, first, 0, wide.size(), width * merged, part);
  } else {
    std::fill_n(part, width * merged, Op::template identity<Wide>());
  }
  fold_rows<Op, T>(rest, x, first + wide.size() * width * merged, 0, rest.size(), width, total);
  for (int64_t m = 0; m < merged; ++m) {
    for (int64_t j = 0; j < width; ++j) total[j] = Op::combine(total[j], part[m * width + j]);
  }
}

template <class Op, class Source, class Out, class Finish>
void reduce_columns(const Layout& layout, const Source& in, Out* out, Finish finish) {
  using Wide = typename Op::Wide;
  using T = typename Source::Element;
  const int64_t columns = layout.inner, rows = layout.count;
  const int64_t tiles = (columns + kColumns - 1) / kColumns, tasks = layout.kept.size() * tiles;
  // Merging pays where many rows are merged.
  const bool merge_rows = columns <= 32 && layout.reduced.depth() == 1 && rows * columns >= 256;
  auto fold = [&](auto& reader, int64_t task, int64_t begin, int64_t end, Wide* total) {
    const int64_t first = task % tiles * kColumns, width = std::min(columns - first, kColumns);
    const int64_t start = Odometer(layout.kept, task / tiles).offset() + first;
    if (merge_rows) {
      fold_narrow_rows<Op, T>(reader, start + begin * columns, end - begin, width, total);
    } else {
      fold_rows<Op, T>(layout.reduced, reader, start, begin, end, width, total);
    }
  };
  auto store = [&](int64_t task, const Wide* total) {
    const int64_t first = task % tiles * kColumns, width = std::min(columns - first, kColumns);
    Out* to = out + task / tiles * columns + first;
    for (int64_t j = 0; j < width; ++j) to[j] = finish(total[j]);
  };

  // A piece is larger than that of one output: it leaves a row of accumulators behind.
  const int64_t width = std::min(columns, kColumns);
  const int64_t piece = std::max(kRows, 4 * kPiece / width);
  if (tasks < kFewOutputs && rows > 2 * piece) {
    const int64_t pieces = (rows + piece - 1) / piece;
    std::vector<Wide> part(static_cast<size_t>(tasks * pieces * width));
    parallel_for(tasks * pieces, 1, [&](int64_t first, int64_t last) {
      auto reader = in.reader();
      for (int64_t i = first; i < last; ++i) {
        const int64_t begin = i % pieces * piece;
        fold(reader, i / pieces, begin, std::min(begin + piece, rows), part.data() + i * width);
      }
    });
    for (int64_t task = 0; task < tasks; ++task) {
      Wide* total = part.data() + task * pieces * width;
      for (int64_t i = 1; i < pieces; ++i) {
        for (int64_t j = 0; j < width; ++j) {
          total[j] = Op::combine(total[j], total[i * width + j]);
        }
      }
      store(task, total);
    }
    return;
  }
  const int64_t grain = std::max<int64_t>(1, kGrain / (rows * width));
  parallel_for(tasks, grain, [&](int64_t first, int64_t last) {
    alignas(64) Wide total[kColumns];
    auto reader = in.reader();
    for (int64_t task = first; task < last; ++task) {
      fold(reader, task, 0, rows, total);
      store(task, total);
    }
  });
}

template <class Op, class Source, class Out, class Finish>
void run_from(const Layout& layout, const Source& in, Out* out, Finish finish) {
  if (layout.outputs == 0) return;
  if (layout.count == 0) {
    std::fill_n(out, layout.outputs, finish(Op::template identity<typename Op::Wide>()));
  } else if (layout.inner_reduced) {
    reduce_runs<Op>(layout, in, out, finish);
  } else {
    reduce_columns<Op>(layout, in, out, finish);
  }
}

// Reduces `in` over the axes of the layout; finish(Wide) makes an element of the result.
template <class Op, class T, class Out, class Finish>
void run(const Layout& layout, const T* in, Out* out, Finish finish) {
  run_from<Op>(layout, Memory<T>{in}, out, finish);
}
// The same for the kernel of an operator that streams().
template <class Op, class T, class Finish>
void run_streamed(const Layout& layout, const NDArray& in, T* out, Finish finish) {
  if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
    if (layout.inner >= fusion::kStreamed && in.storage()->deferred()) {
      fusion::Stream stream(in);
      if (stream.program()) {
        run_from<Op>(layout, Streamed<T>{*stream.program()}, out, finish);
        return stream.finish();
      }
    }
  }
  run<Op>(layout, in.data<T>(), out, finish);
}

// ---- what reductions compute

template <class T>
using WideOf = std::conditional_t<std::is_floating_point_v<compute_type<T>>, double, T>;
// float32 is summed in float64 from the first element on: [1e8, 1, -1e8] is 1. Of 16 bits, a run is
// summed in float32.
template <class T>
using NarrowOf = std::conditional_t<std::is_same_v<T, float>, double, compute_type<T>>;

template <class N, class W>
struct SumOf {
  using Narrow = N;
  using Wide = W;
  template <class V>
  static constexpr V identity() {
    return V(0);
  }
  template <class V>
  static V combine(V a, V b) {
    return static_cast<V>(a + b);
  }
  template <class V>
  MXTAPE_INLINE static V of(V x) {
    return x;
  }
};

// T is unsigned for integers, so that sums wrap around.
template <class T>
struct Sum : SumOf<NarrowOf<T>, WideOf<T>> {
  static NarrowOf<T> load(T x) { return static_cast<NarrowOf<T>>(static_cast<compute_type<T>>(x)); }
};

// Larger for both: a NaN stays, whichever side it is on.
template <class T>
struct Max {
  using Narrow = compute_type<T>;
  using Wide = Narrow;
  template <class V>
  static constexpr V identity() {
    using Limits = std::numeric_limits<V>;
    return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
  }
  static Narrow load(T x) { return static_cast<Narrow>(x); }
  template <class V>
  static V combine(V a, V b) {
    if constexpr (std::is_floating_point_v<V>) {
      const V larger = b > a ? b : a;  // in two steps, which the compiler vectorises
      return b != b ? b : larger;
    } else {
      return b > a ? b : a;
    }
  }
};

template <class T>
struct Min : Max<T> {
  template <class V>
  static constexpr V identity() {
    using Limits = std::numeric_limits<V>;
    return Limits::has_infinity ? Limits::infinity() : Limits::max();
  }
  template <class V>
  static V combine(V a, V b) {
    if constexpr (std::is_floating_point_v<V>) {
      const V smaller = b < a ? b : a;
      return b != b ? b : smaller;
    } else {
      return b < a ? b : a;
    }
  }
};

// Where nothing can cancel, as in sums of squares, or the sum need not be exact: a run is summed in
// the type of its elements.
template <class A>
struct QuickSum : SumOf<A, WideOf<A>> {
  static A load(A x) { return x; }
};
// The run that is read next, asked for while this one is computed with: what is read in one go, and
// computed with for long, is no row that the processor would see. It need not exist.
template <class A>
class Ahead {
 public:
  explicit Ahead(const A* run) : run_(run) {}
  // kLanes elements from `i` on.
  MXTAPE_INLINE void ask(int64_t i) const {
    constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(A));
    for (int64_t l = 0; l < kLanes; l += kLine) __builtin_prefetch(run_ + i + l);
  }

 private:
  const A* run_;
};
struct NothingAhead {
  MXTAPE_INLINE void ask(int64_t) const {}
};
// Such a sum of f(i) over [0, n).
template <class A, class F, class Next = NothingAhead>
double quick_sum(int64_t n, F f, Next next = {}) {
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += kRun) {
    const int64_t end = std::min(begin + kRun, n);
    A lane[kLanes] = {};
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) {
      next.ask(i);
      for (int64_t l = 0; l < kLanes; ++l) lane[l] += f(i + l);
    }
    const int64_t rest = end - i;
#pragma omp simd
    for (int64_t l = 0; l < rest; ++l) lane[l] += f(i + l);
    for (int64_t half = kLanes / 2; half > 0; half /= 2) {
      for (int64_t l = 0; l < half; ++l) lane[l] += lane[l + half];
    }
    total += static_cast<double>(lane[0]);
  }
  return total;
}

// What deviations are taken from before a mean is: sums of them are as small as the deviations are.
template <class A>
A finite_first(const A* x) {
  return x[0] - x[0] == 0 ? x[0] : A(0);
}

// Calls f(begin, m) for the parts of [0, n) that buffers of kRun elements serve: values are made
// there, and folded as sums are.
template <class F>
void for_blocks(int64_t n, F f) {
  for (int64_t begin = 0; begin < n; begin += kRun) f(begin, std::min(kRun, n - begin));
}
template <class A>
double block_sum(const A* x, int64_t n) {
  return fold_block<Sum<A>>(x, n);
}

template <class N>
struct ProductOf {
  using Narrow = N;
  using Wide = N;
  template <class V>
  static constexpr V identity() {
    return V(1);
  }
  template <class V>
  static V combine(V a, V b) {
    return static_cast<V>(a * b);
  }
};

template <class T>
bool is_nan(T x) {
  if constexpr (std::is_same_v<T, float16>) return Eigen::numext::isnan(x);
  return x != x;
}

template <class T>
struct CastTo {
  template <class W>
  T operator()(W x) const {
    return static_cast<T>(static_cast<compute_type<T>>(x));
  }
};

// Whether any, or all, of the elements of a bool array are true: what its sums and products are.
void run_any(const Layout& layout, const NDArray& in, const NDArray& out);
void run_all(const Layout& layout, const NDArray& in, const NDArray& out);

}  // namespace reduce
}  // namespace mxtape

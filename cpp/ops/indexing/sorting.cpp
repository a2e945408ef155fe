#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <memory>

#include "op/declare.h"
#include "ops/indexing/gather_along.h"
#include "ops/shared/strided.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// Sorting along an axis. Equal elements stay in their order, 0 and -0 are equal, and a NaN is
// larger than every number. An element becomes an unsigned key with its index below it, so that the
// order is total: whatever algorithm finds it, and on however many threads, it is one.
namespace mxtape {
namespace {

// ---- keys

template <class T, class Bits>
Bits float_key(T x) {
  constexpr Bits kSign = Bits{1} << (sizeof(Bits) * 8 - 1);
  if (x != x) return std::numeric_limits<Bits>::max();
  const Bits bits = std::bit_cast<Bits>(static_cast<T>(x + T(0)));  // -0 becomes 0
  return bits & kSign ? static_cast<Bits>(~bits) : static_cast<Bits>(bits | kSign);
}

// Numbers in an order that is that of the elements.
template <class T>
auto key_of(T x) {
  if constexpr (std::is_same_v<T, float> || std::is_same_v<T, float16>) {
    return float_key<float, uint32_t>(static_cast<float>(x));
  } else if constexpr (std::is_same_v<T, double>) {
    return float_key<double, uint64_t>(x);
  } else if constexpr (std::is_signed_v<T>) {
    using U = std::make_unsigned_t<T>;
    return static_cast<U>(static_cast<U>(x) ^ static_cast<U>(std::numeric_limits<T>::min()));
  } else {
    return x;
  }
}

// A key of up to 32 bits and the index in one word.
struct Narrow {
  uint64_t word;
  static Narrow make(uint32_t key, int64_t index) {
    return {uint64_t{key} << 32 | static_cast<uint64_t>(index)};
  }
  static Narrow largest() { return {~uint64_t{0}}; }
  uint64_t key() const { return word >> 32; }
  int64_t index() const { return static_cast<int64_t>(word & 0xffffffffu); }
  bool operator<(const Narrow& other) const { return word < other.word; }
};

// A longer key, or an index in a line that is longer than 32 bits count.
struct Wide {
  uint64_t bits;
  int64_t at;
  static Wide make(uint64_t key, int64_t index) { return {key, index}; }
  static Wide largest() { return {~uint64_t{0}, std::numeric_limits<int64_t>::max()}; }
  uint64_t key() const { return bits; }
  int64_t index() const { return at; }
  bool operator<(const Wide& other) const {
    return bits != other.bits ? bits < other.bits : at < other.at;
  }
};

// ---- sorting

constexpr int kDigit = 8;
constexpr int64_t kRadixFrom = 256;  // items from which counting digits beats comparing

// Sorts items that are in the order of their indices; returns where they are: `items` or `scratch`.
template <class Item>
Item* sort_items(Item* items, Item* scratch, int64_t n, int key_bits) {
  if (n < kRadixFrom) {
    std::sort(items, items + n);
    return items;
  }
  constexpr int64_t kBuckets = 1 << kDigit;
  const int passes = (key_bits + kDigit - 1) / kDigit;
  std::array<std::array<int64_t, kBuckets>, (64 + kDigit - 1) / kDigit> counts;
  for (int pass = 0; pass < passes; ++pass) counts[static_cast<size_t>(pass)].fill(0);
  for (int64_t i = 0; i < n; ++i) {
    for (int pass = 0; pass < passes; ++pass) {
      ++counts[static_cast<size_t>(pass)][items[i].key() >> pass * kDigit & (kBuckets - 1)];
    }
  }
  for (int pass = 0; pass < passes; ++pass) {
    auto& next = counts[static_cast<size_t>(pass)];
    // All items have this digit in common.
    if (next[items[0].key() >> pass * kDigit & (kBuckets - 1)] == n) continue;
    int64_t before = 0;
    for (int64_t& count : next) before += std::exchange(count, before);
    for (int64_t i = 0; i < n; ++i) {
      scratch[next[items[i].key() >> pass * kDigit & (kBuckets - 1)]++] = items[i];
    }
    std::swap(items, scratch);
  }
  return items;
}

// Items to find the k smallest of n with: all of them, or what passes the limit found so far.
int64_t buffer_size(int64_t n, int64_t k) { return std::min(n, std::max<int64_t>(4 * k, 512)); }

// The k smallest items of a line, in order; the largest elements when `flip` has all bits set.
template <class Item, class T>
Item* smallest(const T* x, int64_t n, int64_t k, bool descending, Item* buffer, Item* scratch) {
  using Key = decltype(key_of(x[0]));
  const Key flip = descending ? static_cast<Key>(~Key{0}) : Key{0};
  const int64_t capacity = buffer_size(n, k);
  const auto item = [&](int64_t i) { return Item::make(static_cast<Key>(key_of(x[i]) ^ flip), i); };
  constexpr int kBits = sizeof(Key) * 8;
  if (capacity == n) {
    for (int64_t i = 0; i < n; ++i) buffer[i] = item(i);
    return sort_items(buffer, scratch, n, kBits);
  }
  Item limit = Item::largest();
  int64_t filled = 0;
  for (int64_t i = 0; i < n; ++i) {
    const Item candidate = item(i);
    if (!(candidate < limit)) continue;
    buffer[filled++] = candidate;
    if (filled == capacity) {
      std::nth_element(buffer, buffer + (k - 1), buffer + filled);
      limit = buffer[k - 1];
      filled = k;
    }
  }
  std::nth_element(buffer, buffer + (k - 1), buffer + filled);
  std::sort(buffer, buffer + k);
  return buffer;
}

// What a call wants of each line: the elements, where they were, or marks at their places.
struct Wanted {
  NDArray values, indices, mask;
};

template <class Item, class T>
void sort_lines_of(const NDArray& in, int64_t n, int64_t k, bool descending, const Wanted& to) {
  const int64_t capacity = buffer_size(n, k);
  const bool count_digits = capacity == n && n >= kRadixFrom;
  const int64_t grain = std::max<int64_t>(1, (1 << 13) / n);
  parallel_for(in.size() / n, grain, [&](int64_t begin, int64_t end) {
    const auto buffer = std::make_unique_for_overwrite<Item[]>(static_cast<size_t>(capacity));
    const auto scratch =
        std::make_unique_for_overwrite<Item[]>(static_cast<size_t>(count_digits ? n : 0));
    const auto places = std::make_unique_for_overwrite<int64_t[]>(static_cast<size_t>(k));
    for (int64_t line = begin; line < end; ++line) {
      const T* x = in.data<T>() + line * n;
      const Item* found = smallest(x, n, k, descending, buffer.get(), scratch.get());
      if (to.values.defined()) {
        T* y = to.values.data<T>() + line * k;
        for (int64_t j = 0; j < k; ++j) y[j] = x[found[j].index()];
      }
      if (to.indices.defined()) {
        for (int64_t j = 0; j < k; ++j) places[static_cast<size_t>(j)] = found[j].index();
        const DType dtype = to.indices.dtype();
        convert(DType::kInt64, places.get(), dtype,
                to.indices.bytes() + static_cast<size_t>(line * k) * item_size(dtype), k);
      }
      if (to.mask.defined()) {
        T* marks = to.mask.data<T>() + line * n;
        for (int64_t j = 0; j < k; ++j) marks[found[j].index()] = static_cast<T>(1);
      }
    }
  });
}

// The first k of each line along an axis, in order, into the arrays that `to` has.
void sort_lines(const NDArray& in, const AxisView& view, int64_t k, bool descending,
                const Wanted& to) {
  if (in.size() == 0) return;
  const AxisView found = view.of(k);
  const auto place = [](const AxisView& made, const NDArray& out) {
    return out.defined() ? run_buffer(made, out) : out;
  };
  const NDArray lines = contiguous_runs(view, in);
  const Wanted made{place(found, to.values), place(found, to.indices), place(view, to.mask)};
  if (made.mask.defined()) fill_zero(made.mask);
  dispatch(in.dtype() == DType::kBool ? DType::kUint8 : in.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (sizeof(T) <= 4 && !std::is_same_v<T, bool>) {
      if (view.n <= int64_t{1} << 32) {
        return sort_lines_of<Narrow, T>(lines, view.n, k, descending, made);
      }
    }
    if constexpr (!std::is_same_v<T, bool>) {
      sort_lines_of<Wide, T>(lines, view.n, k, descending, made);
    }
  });
  if (to.values.defined()) store_runs(found, made.values, to.values);
  if (to.indices.defined()) store_runs(found, made.indices, to.indices);
  if (to.mask.defined()) store_runs(view, made.mask, to.mask);
}

// The type of indices that a gradient keeps.
DType kept_index(int64_t extent) {
  return extent <= std::numeric_limits<int32_t>::max() ? DType::kInt32 : DType::kInt64;
}

// MXNet lets such indices wrap around or lose their last digits.
void expect_holds_indices(const InferCall& call, DType dtype, int64_t extent) {
  call.expect(dtype != DType::kBool && dtype != DType::kInt8,
              "dtype must be float16, bfloat16, float32, float64, uint8, int32 or int64");
  call.expect(extent <= exact_integers(dtype), "indices up to ", extent - 1, " do not fit dtype ",
              dtype, "; give dtype='int32' or 'int64'");
}

// Output 0 was found at the places in output 1.
void found_vjp(Vjp& v, OptAxis axis) {
  v.grad(0, gather_gradient(v.head(0), v.output(1), v.input_shape(0), {axis}));
}

// ---- the operators

struct SortParams {
  OptAxis axis = -1;
  bool is_ascend = true;
  template <class V>
  void visit(V& v) {
    v("axis", axis, "The axis to sort along; None for the flattened array.");
    v("is_ascend", is_ascend, "Whether the smallest come first.");
  }
};

struct ArgsortParams {
  OptAxis axis = -1;
  bool is_ascend = true;
  DType dtype = DType::kFloat32;
  template <class V>
  void visit(V& v) {
    v("axis", axis, "The axis to sort along; None for the flattened array.");
    v("is_ascend", is_ascend, "Whether the smallest come first.");
    v("dtype", dtype, "Data type of the indices.");
  }
};

enum class Return : int32_t { kBoth, kIndices, kMask, kValue };

struct TopkParams {
  OptAxis axis = -1;
  int64_t k = 1;
  Return ret_typ = Return::kIndices;
  bool is_ascend = false;
  DType dtype = DType::kFloat32;
  template <class V>
  void visit(V& v) {
    v("axis", axis, "The axis to search along; None for the flattened array.");
    v("k", k, "How many; less than 1 for all.");
    v("ret_typ", ret_typ,
      "What to return: the elements, their indices, both, or an array like data with 1 at their "
      "places and 0 elsewhere.",
      {"both", "indices", "mask", "value"});
    v("is_ascend", is_ascend, "Whether to find the smallest instead of the largest.");
    v("dtype", dtype, "Data type of the indices.");
  }
};

int64_t count_of(const TopkParams& p, int64_t extent) { return p.k < 1 ? extent : p.k; }
bool has_values(const TopkParams& p) {
  return p.ret_typ == Return::kBoth || p.ret_typ == Return::kValue;
}

OP(sort)
    .inputs("data")
    .params<SortParams>()
    .outputs(2, 1)
    .infer([](InferCall& call) {
      const OptAxis axis = call.params<SortParams>().axis;
      const AxisView view(call.shape(0), axis, call.name());
      const Shape shape = shape_along(call.shape(0), axis, view.n, call.name());
      call.output(0, shape, call.dtype(0));
      call.output(1, shape, kept_index(view.n));
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<SortParams>();
      const AxisView view(call.in(0).shape(), p.axis, call.name());
      sort_lines(call.in(0), view, view.n, !p.is_ascend, {call.out(0), call.out(1), {}});
    })
    .keep_input(0, Keep::kShape)
    .keep_output(1)
    .vjp([](Vjp& v) { found_vjp(v, v.params<SortParams>().axis); })
    .method()
    .doc(
        "The elements in order along an axis; a NaN is larger than every number. Without an axis, "
        "a vector of all of them.")
    .example(R"(
>>> x = mx.nd.array([[3, 1], [2, 4]])
>>> mx.nd.sort(x).asnumpy().tolist()
[[1.0, 3.0], [2.0, 4.0]]
>>> mx.nd.sort(x, axis=0, is_ascend=False).asnumpy().tolist()
[[3.0, 4.0], [2.0, 1.0]]
>>> mx.nd.sort(x, axis=None).asnumpy().tolist()
[1.0, 2.0, 3.0, 4.0]
)");

OP(argsort)
    .inputs("data")
    .params<ArgsortParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<ArgsortParams>();
      const AxisView view(call.shape(0), p.axis, call.name());
      expect_holds_indices(call, p.dtype, view.n);
      call.output(0, shape_along(call.shape(0), p.axis, view.n, call.name()), p.dtype);
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<ArgsortParams>();
      const AxisView view(call.in(0).shape(), p.axis, call.name());
      sort_lines(call.in(0), view, view.n, !p.is_ascend, {{}, call.out(), {}});
    })
    .zero_grad()
    .method()
    .doc("The indices that sort along an axis: sort() gives the elements at them.")
    .example(R"(
>>> x = mx.nd.array([30, 10, 20])
>>> mx.nd.argsort(x).asnumpy().tolist()
[1.0, 2.0, 0.0]
>>> mx.nd.argsort(x, is_ascend=False, dtype="int32").asnumpy().tolist()
[0, 2, 1]
)");

OP(topk)
    .inputs("data")
    .params<TopkParams>()
    .outputs([](const Params* p) -> size_t { return has_values(p->as<TopkParams>()) ? 2 : 1; },
             [](const Params* p) -> size_t {
               return p->as<TopkParams>().ret_typ == Return::kBoth ? 2 : 1;
             })
    .infer([](InferCall& call) {
      const auto& p = call.params<TopkParams>();
      const AxisView view(call.shape(0), p.axis, call.name());
      const int64_t k = count_of(p, view.n);
      call.expect(k <= view.n, "k must be at most ", view.n,
                  ", the number of elements along the axis");
      const Shape found = shape_along(call.shape(0), p.axis, k, call.name());
      if (p.ret_typ == Return::kMask) return call.output(0, call.shape(0), call.dtype(0));
      if (p.ret_typ != Return::kValue) expect_holds_indices(call, p.dtype, view.n);
      if (p.ret_typ == Return::kIndices) return call.output(0, found, p.dtype);
      call.output(0, found, call.dtype(0));
      call.output(1, found, p.ret_typ == Return::kBoth ? p.dtype : kept_index(view.n));
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<TopkParams>();
      const AxisView view(call.in(0).shape(), p.axis, call.name());
      Wanted wanted;
      if (has_values(p)) {
        wanted = {call.out(0), call.out(1), {}};
      } else {
        (p.ret_typ == Return::kMask ? wanted.mask : wanted.indices) = call.out();
      }
      sort_lines(call.in(0), view, count_of(p, view.n), !p.is_ascend, wanted);
    })
    .keep_input(0, Keep::kShape)
    .keep_output(1)
    .vjp([](Vjp& v) {
      const auto& p = v.params<TopkParams>();
      if (has_values(p)) return found_vjp(v, p.axis);
      zero_gradient(v);
    })
    .method()
    .doc(
        "The k largest elements along an axis, largest first, or the smallest; equal ones in their "
        "order, a NaN larger than every number.")
    .example(R"(
>>> x = mx.nd.array([[1, 5, 3], [8, 2, 4]])
>>> mx.nd.topk(x, k=2).asnumpy().tolist()  # indices; see ret_typ
[[1.0, 2.0], [0.0, 2.0]]
>>> mx.nd.topk(x, k=2, ret_typ="value").asnumpy().tolist()
[[5.0, 3.0], [8.0, 4.0]]
>>> mx.nd.topk(x, k=2, ret_typ="mask").asnumpy().tolist()
[[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]]
)");

}  // namespace
}  // namespace mxtape

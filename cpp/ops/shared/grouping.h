#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "core/ndarray.h"
#include "runtime/parallel.h"

// Entries with numbers as keys, put together by key: sums over what has the same row or column.
namespace mxtape {

// An entry, with the part of its key that it needs while it is sorted.
template <class Payload>
struct Keyed {
  uint32_t key;
  Payload payload;
};

// Entries ordered by key, those of one key in the order in which they came: entries [starts[g],
// starts[g + 1]) have the key keys[g]. Keys ascend, and none is there twice.
template <class Payload>
struct Groups {
  NDArray memory;  // of the entries
  NDArray keys, starts;

  int64_t count() const { return keys.size(); }
  const Keyed<Payload>* entries() const {
    return reinterpret_cast<const Keyed<Payload>*>(memory.bytes());
  }
  const int64_t* key() const { return keys.data<int64_t>(); }
  const int64_t* start() const { return starts.data<int64_t>(); }

  // Calls f(begin, end) for the groups [0, count()) in parallel, in pieces of about `entries`
  // entries each.
  template <class F>
  void for_each_piece(int64_t entries, F&& f) const {
    const int64_t n = start()[count()], *first = start(), *last = first + count();
    const auto group_at = [&](int64_t entry) {
      return std::lower_bound(first, last, entry) - first;
    };
    parallel_for((n + entries - 1) / entries, 1, [&](int64_t begin, int64_t end) {
      f(group_at(begin * entries), group_at(end * entries));
    });
  }
};

namespace detail {

// How `n` entries with keys below `extent` are sorted: first into buckets by the leading bits of
// the keys, then each bucket, which fits into the cache, by the other `shift` bits.
struct GroupingPlan {
  GroupingPlan(int64_t n, int64_t extent);
  int shift;
  int64_t buckets, piece, pieces;
};

// Sorts entries by the low `bits` of their keys, one digit after the other. `spare` has room for as
// many.
template <class Payload>
void sort_by_digits(Keyed<Payload>* entries, Keyed<Payload>* spare, int64_t n, int bits) {
  using Entry = Keyed<Payload>;
  if (n < 64) {
    std::stable_sort(entries, entries + n,
                     [](const Entry& a, const Entry& b) { return a.key < b.key; });
    return;
  }
  constexpr int kMostBits = 11;
  const int passes = (bits + kMostBits - 1) / kMostBits;
  const int digit = passes ? (bits + passes - 1) / passes : 0;
  Entry *from = entries, *to = spare;
  for (int pass = 0; pass < passes; ++pass, std::swap(from, to)) {
    uint32_t next[size_t{1} << kMostBits] = {};
    const auto digit_of = [=](uint32_t key) {
      return key >> (pass * digit) & ((uint32_t{1} << digit) - 1);
    };
    for (int64_t k = 0; k < n; ++k) ++next[digit_of(from[k].key)];
    uint32_t sum = 0;
    for (int d = 0; d < 1 << digit; ++d) sum += std::exchange(next[d], sum);
    for (int64_t k = 0; k < n; ++k) to[next[digit_of(from[k].key)]++] = from[k];
  }
  if (from != entries) std::copy_n(from, n, entries);
}

// Turns `counts`, of each piece and bucket, into the places where the pieces write, and returns
// where each bucket begins, and the end.
std::vector<int64_t> bucket_starts(std::vector<int64_t>& counts, const GroupingPlan& plan);

}  // namespace detail

// Groups `n` entries with keys in [0, extent), fewer than 2^32. `emit(begin, end, put)` calls
// put(key, payload) for the entries [begin, end), in their order; it is called twice for each.
template <class Payload, class Emit>
Groups<Payload> group_by_key(int64_t n, int64_t extent, Emit&& emit) {
  using Entry = Keyed<Payload>;
  const detail::GroupingPlan plan(n, extent);
  Groups<Payload> groups;
  groups.memory = NDArray::empty({n * static_cast<int64_t>(sizeof(Entry))}, DType::kUint8);
  auto* entries = reinterpret_cast<Entry*>(groups.memory.bytes());
  const auto piece_end = [&](int64_t piece) { return std::min(n, (piece + 1) * plan.piece); };

  std::vector<int64_t> next(static_cast<size_t>(plan.pieces * plan.buckets));
  parallel_for(plan.pieces, 1, [&](int64_t piece, int64_t) {
    int64_t* count = next.data() + piece * plan.buckets;
    emit(piece * plan.piece, piece_end(piece),
         [=](int64_t key, const Payload&) { ++count[key >> plan.shift]; });
  });
  const std::vector<int64_t> starts = detail::bucket_starts(next, plan);
  parallel_for(plan.pieces, 1, [&](int64_t piece, int64_t) {
    int64_t* place = next.data() + piece * plan.buckets;
    const uint64_t low = (uint64_t{1} << plan.shift) - 1;
    emit(piece * plan.piece, piece_end(piece), [=](int64_t key, const Payload& payload) {
      entries[place[key >> plan.shift]++] = {
          static_cast<uint32_t>(static_cast<uint64_t>(key) & low), payload};
    });
  });

  std::vector<int64_t> distinct(static_cast<size_t>(plan.buckets) + 1);
  parallel_for(plan.buckets, 1, [&](int64_t bucket, int64_t) {
    Entry* first = entries + starts[static_cast<size_t>(bucket)];
    const int64_t size =
        starts[static_cast<size_t>(bucket) + 1] - starts[static_cast<size_t>(bucket)];
    const NDArray spare =
        NDArray::empty({size * static_cast<int64_t>(sizeof(Entry))}, DType::kUint8);
    detail::sort_by_digits(first, reinterpret_cast<Entry*>(spare.bytes()), size, plan.shift);
    int64_t count = size > 0;
    for (int64_t k = 1; k < size; ++k) count += first[k].key != first[k - 1].key;
    distinct[static_cast<size_t>(bucket) + 1] = count;
  });
  for (size_t bucket = 0; bucket < static_cast<size_t>(plan.buckets); ++bucket) {
    distinct[bucket + 1] += distinct[bucket];
  }

  const int64_t count = distinct.back();
  const NDArray keys = NDArray::empty({count}, DType::kInt64);
  const NDArray firsts = NDArray::empty({count + 1}, DType::kInt64);
  parallel_for(plan.buckets, 1, [&](int64_t bucket, int64_t) {
    const auto b = static_cast<size_t>(bucket);
    int64_t *key = keys.data<int64_t>() + distinct[b],
            *first = firsts.data<int64_t>() + distinct[b];
    for (int64_t k = starts[b]; k < starts[b + 1]; ++k) {
      if (k > starts[b] && entries[k].key == entries[k - 1].key) continue;
      *key++ = bucket << plan.shift | entries[k].key;
      *first++ = k;
    }
  });
  firsts.data<int64_t>()[count] = n;
  groups.keys = keys;
  groups.starts = firsts;
  return groups;
}

}  // namespace mxtape

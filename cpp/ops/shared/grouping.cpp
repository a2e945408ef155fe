#include "ops/shared/grouping.h"

#include "core/error.h"

namespace mxtape::detail {

GroupingPlan::GroupingPlan(int64_t n, int64_t extent) {
  constexpr int64_t kBucketEntries = 1 << 13;  // fit into the second cache
  constexpr int kMostBucketBits = 11;          // as many streams can be written at once
  constexpr int64_t kLeastPiece = 1 << 15, kMostPieces = 64;
  if (n > UINT32_MAX) fail("more than ", UINT32_MAX, " entries cannot be grouped, got ", n);
  const int bits = extent > 1 ? std::bit_width(static_cast<uint64_t>(extent - 1)) : 0;
  const int wanted = std::bit_width(static_cast<uint64_t>(n / kBucketEntries));
  const int bucket_bits = std::min(bits, std::max(std::min(wanted, kMostBucketBits), bits - 32));
  if (bucket_bits > 20) fail("an axis of extent ", extent, " is too long to group by");
  shift = bits - bucket_bits;
  buckets = extent > 0 ? ((extent - 1) >> shift) + 1 : 0;
  piece = std::max(kLeastPiece, (n + kMostPieces - 1) / kMostPieces);
  pieces = (n + piece - 1) / piece;
}

std::vector<int64_t> bucket_starts(std::vector<int64_t>& counts, const GroupingPlan& plan) {
  std::vector<int64_t> starts(static_cast<size_t>(plan.buckets) + 1);
  int64_t sum = 0;
  for (int64_t bucket = 0; bucket < plan.buckets; ++bucket) {
    starts[static_cast<size_t>(bucket)] = sum;
    for (int64_t piece = 0; piece < plan.pieces; ++piece) {
      int64_t& count = counts[static_cast<size_t>(piece * plan.buckets + bucket)];
      sum += std::exchange(count, sum);
    }
  }
  starts.back() = sum;
  return starts;
}

}  // namespace mxtape::detail

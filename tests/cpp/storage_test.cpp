#include "core/storage.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "core/zeros.h"
#include "support.h"

namespace mxtape {
namespace {

size_t total_bytes() {
  const PoolStats stats = pool_stats();
  return stats.bytes_in_use + stats.bytes_cached;
}

// What precedes the data: the header, and a zone that the address sanitizer guards.
size_t header_bytes() {
  const Ref<Storage> storage = Storage::allocate(1);
  return static_cast<size_t>(storage->data() - reinterpret_cast<char*>(storage.get()));
}

TEST(Storage, BlocksAreAlignedAndLargeEnough) {
  for (size_t log2 = 0; log2 <= 22; ++log2) {
    for (size_t quarter : {4, 5, 6, 7}) {
      for (int64_t off : {-65, -64, -63, -1, 0, 1, 64}) {
        const int64_t wanted = static_cast<int64_t>((size_t{1} << log2) * quarter / 4) + off;
        if (wanted < 0) continue;
        const auto nbytes = static_cast<size_t>(wanted);
        const size_t before = pool_stats().bytes_in_use;
        const Ref<Storage> storage = Storage::allocate(nbytes);
        const size_t block = pool_stats().bytes_in_use - before;
        EXPECT_EQ(storage->nbytes(), nbytes);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(storage->data()) % 64, 0u);
        // The header precedes the data; a quarter of a power of two is the most that is lost.
        EXPECT_GE(block, nbytes + header_bytes()) << nbytes;
        EXPECT_LE(block, (nbytes + header_bytes()) * 5 / 4 + 64) << nbytes;
        std::memset(storage->data(), 0x5a, nbytes);
      }
    }
  }
}

TEST(Storage, FreedBlocksAreUsedAgain) {
  for (size_t nbytes : {size_t{100}, size_t{5000}, size_t{3} << 20}) {
    pool_trim();
    Ref<Storage> first = Storage::allocate(nbytes);
    const char* address = first->data();
    const PoolStats held = pool_stats();
    first = nullptr;
    const PoolStats freed = pool_stats();
    EXPECT_LT(freed.bytes_in_use, held.bytes_in_use);
    EXPECT_EQ(freed.bytes_in_use + freed.bytes_cached, held.bytes_in_use + held.bytes_cached);
    const Ref<Storage> second = Storage::allocate(nbytes);
    EXPECT_EQ(second->data(), address);
    EXPECT_EQ(pool_stats().bytes_in_use, held.bytes_in_use);
    EXPECT_EQ(pool_stats().bytes_cached, held.bytes_cached);
  }
}

TEST(Storage, AClassServesNeighbouringSizesOnly) {
  constexpr size_t kMega = size_t{1} << 20;
  const size_t header = header_bytes();
  pool_trim();
  Ref<Storage> block = Storage::allocate(kMega / 4 * 5 - header);
  const char* address = block->data();
  block = nullptr;
  block = Storage::allocate(kMega + 1 - header);
  EXPECT_EQ(block->data(), address) << "the least size of the class";
  block = nullptr;
  const Ref<Storage> below = Storage::allocate(kMega - header);
  const Ref<Storage> above = Storage::allocate(kMega / 4 * 5 + 1 - header);
  EXPECT_NE(below->data(), address);
  EXPECT_NE(above->data(), address);
}

TEST(Storage, TrimGivesCachedMemoryBack) {
  Storage::allocate(size_t{1} << 20);
  Storage::allocate(300);
  const PoolStats before = pool_stats();
  EXPECT_GE(before.bytes_cached, size_t{1} << 20);
  pool_trim();
  const PoolStats after = pool_stats();
  EXPECT_LE(after.bytes_cached + (size_t{1} << 20), before.bytes_cached);
  EXPECT_EQ(after.bytes_in_use, before.bytes_in_use);
}

TEST(Storage, TheDeleterRunsOnceWithTheLastReference) {
  int calls = 0;
  std::vector<float> foreign(1000, 2.5f);
  Ref<Storage> storage = Storage::borrow(
      foreign.data(), foreign.size() * sizeof(float),
      [](void* context) { ++*static_cast<int*>(context); }, &calls);
  EXPECT_EQ(storage->data(), reinterpret_cast<char*>(foreign.data()));
  EXPECT_EQ(storage->nbytes(), 4000u);
  EXPECT_FALSE(storage->unique()) << "somebody else may see borrowed memory";
  Ref<Storage> other = storage;
  storage = nullptr;
  EXPECT_EQ(calls, 0);
  other = nullptr;
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(foreign[999], 2.5f);
  // Memory that needs no giving back.
  EXPECT_EQ(Storage::borrow(foreign.data(), 4, nullptr, nullptr)->nbytes(), 4u);
}

TEST(Storage, AReusedBlockForgetsItsPast) {
  Ref<Storage> storage = Storage::allocate(777);
  EXPECT_EQ(storage->version(), 0u);
  storage->bump_version();
  storage->bump_version();
  EXPECT_EQ(storage->version(), 2u);
  storage->set_device(7);
  const char* address = storage->data();
  storage = nullptr;
  storage = Storage::allocate(777);
  ASSERT_EQ(storage->data(), address);
  EXPECT_EQ(storage->version(), 0u);
  EXPECT_EQ(storage->device(), 0);
}

TEST(Storage, AThreadLeavesItsCacheToTheOthers) {
  pool_trim();
  const char* address = nullptr;
  std::thread([&] {
    const Ref<Storage> storage = Storage::allocate(3333);
    address = storage->data();
  }).join();
  const size_t total = total_bytes();
  EXPECT_EQ(Storage::allocate(3333)->data(), address);
  EXPECT_EQ(total_bytes(), total);
}

TEST(Storage, WhatOutlivesAThreadsCacheIsNotLost) {
  pool_trim();
  const size_t before = pool_stats().bytes_in_use;
  const char* address = nullptr;
  std::thread([&] {
    // Made before the first block is freed, so destroyed after the cache was closed.
    thread_local Ref<Storage> late;
    late = Storage::allocate(2222);
    address = late->data();
    Storage::allocate(100);
  }).join();
  EXPECT_EQ(pool_stats().bytes_in_use, before);
  EXPECT_EQ(Storage::allocate(2222)->data(), address);
}

TEST(Storage, BlocksMayBeFreedInAnotherThread) {
  const size_t before = pool_stats().bytes_in_use;
  for (int round = 0; round < 20; ++round) {
    std::vector<Ref<Storage>> blocks;
    for (size_t i = 0; i < 500; ++i) {
      blocks.push_back(Storage::allocate(i * 40));
      std::memset(blocks.back()->data(), static_cast<int>(i), i * 40);
    }
    std::thread([&blocks] {
      for (size_t i = 0; i < blocks.size(); ++i) {
        for (size_t k = 0; k < i * 40; k += 97) {
          ASSERT_EQ(static_cast<unsigned char>(blocks[i]->data()[k]), i % 256);
        }
      }
      blocks.clear();
    }).join();
  }
  EXPECT_EQ(pool_stats().bytes_in_use, before);
}

TEST(Storage, AThreadKeepsOnlySoMuchToItself) {
  constexpr size_t kBytes = 50000, kBlocks = 400;
  std::vector<Ref<Storage>> blocks;
  for (size_t i = 0; i < kBlocks; ++i) blocks.push_back(Storage::allocate(kBytes));
  blocks.clear();
  const size_t total = total_bytes();
  // 20 MB were freed and this thread may keep 8 MB of them.
  std::thread([&] {
    for (size_t i = 0; i < kBlocks / 2; ++i) blocks.push_back(Storage::allocate(kBytes));
    EXPECT_EQ(total_bytes(), total);
    blocks.clear();
  }).join();
}

TEST(Storage, AbsurdSizesAreErrors) {
  constexpr size_t kMax = std::numeric_limits<size_t>::max();
  const size_t before = pool_stats().bytes_in_use;
  for (size_t nbytes :
       {kMax, kMax - 1, kMax - 63, kMax - 64, kMax / 2, size_t{1} << 60, size_t{1} << 47}) {
    EXPECT_TRUE(test::contains(test::error_of([&] { Storage::allocate(nbytes); }),
                               "cannot allocate " + std::to_string(nbytes) + " bytes"))
        << nbytes;
  }
  EXPECT_EQ(pool_stats().bytes_in_use, before);
}

// Which of the 64 bytes a write to `part` reaches, one after the other.
std::vector<bool> reached(const WrittenBytes& part) {
  std::vector<bool> bytes(64);
  for (size_t at = part.begin; at < part.end; at += part.stride ? part.stride : 1) {
    for (size_t i = at; i < std::min(part.end, at + (part.stride ? part.width : 1)); ++i) {
      bytes[i] = true;
    }
  }
  return bytes;
}

TEST(Storage, AWriteToAPartIsOneOfItsBytesOnly) {
  const WrittenBytes parts[] = {{0, 1},         {5, 9},        {60, 64},      {0, 64, 8, 2},
                                {3, 40, 10, 4}, {7, 8, 16, 1}, {1, 64, 9, 8}, {10, 10}};
  for (const WrittenBytes& part : parts) {
    const std::vector<bool> bytes = reached(part);
    for (size_t begin = 0; begin < 64; ++begin) {
      for (size_t end = begin + 1; end <= 64; ++end) {
        const Ref<Storage> storage = Storage::allocate(64);
        storage->set_saved();
        const uint32_t version = storage->version();
        storage->bump_version({&part, 1});
        const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(begin);
        const auto last = bytes.begin() + static_cast<std::ptrdiff_t>(end);
        EXPECT_EQ(storage->written_since(version, begin, end), std::find(first, last, true) != last)
            << part.begin << " " << part.end << " " << part.stride << ": " << begin << " " << end;
      }
    }
  }
}

TEST(Storage, WritesAreToldApartByTheirVersion) {
  const Ref<Storage> storage = Storage::allocate(64);
  const WrittenBytes low{0, 8}, high{8, 16}, all{0, 64};
  storage->bump_version({&low, 1});  // nothing is saved yet: not noted
  storage->set_saved();
  const uint32_t before = storage->version();
  storage->bump_version({&low, 1});
  const uint32_t between = storage->version();
  storage->bump_version({&high, 1});
  EXPECT_TRUE(storage->written_since(before - 1, 32, 40));
  EXPECT_TRUE(storage->written_since(before, 0, 8));
  EXPECT_FALSE(storage->written_since(between, 0, 8));
  EXPECT_TRUE(storage->written_since(between, 8, 16));
  EXPECT_FALSE(storage->written_since(before, 16, 64));
  storage->bump_version();  // nobody says where
  EXPECT_TRUE(storage->written_since(before, 16, 64));
  const uint32_t after = storage->version();
  storage->bump_version({&low, 1});
  EXPECT_TRUE(storage->written_since(before, 16, 64));
  EXPECT_FALSE(storage->written_since(after, 16, 64));
  storage->bump_version({&all, 1});
  EXPECT_TRUE(storage->written_since(after, 16, 64));
}

TEST(Storage, OldNotesBecomeOneWriteToEverything) {
  const Ref<Storage> storage = Storage::allocate(size_t{1} << 20);
  storage->set_saved();
  const uint32_t first = storage->version();
  uint32_t late = 0;
  for (size_t i = 0; i < 10000; ++i) {
    if (i == 9500) late = storage->version();
    const WrittenBytes part{8 * i, 8 * i + 8};
    storage->bump_version({&part, 1});
  }
  EXPECT_TRUE(storage->written_since(first, 800000, 800008));
  EXPECT_FALSE(storage->written_since(late, 0, 76000));
  EXPECT_TRUE(storage->written_since(late, 76000, 76008));
}

TEST(Storage, ThePeakStays) {
  const size_t nbytes = pool_stats().peak_bytes + (size_t{1} << 20);
  {
    const Ref<Storage> storage = Storage::allocate(nbytes);
  }
  pool_trim();
  EXPECT_GE(pool_stats().peak_bytes, nbytes);
}

// New memory of the process may have been another's before: what malloc had freed, for one.
TEST(Storage, NewZerosAreZerosWhateverTheMemoryHeldBefore) {
  bool any = false;
  for (const size_t bytes :
       {size_t{100}, size_t{1} << 20, (size_t{3} << 20) + 72, size_t{9} << 20}) {
    for (int round = 0; round < 3; ++round) {
      bool zeroed = false;
      const Ref<Storage> storage = allocate_zeros(bytes, zeroed);
      EXPECT_FALSE(zeroed && bytes < (size_t{1} << 20));
      if (zeroed) {
        EXPECT_EQ(std::count(storage->data(), storage->data() + bytes, 0), bytes);
        any = true;
      }
      std::memset(storage->data(), 7, bytes);
      if (round == 1) pool_trim();
    }
    pool_trim();
    // Malloc keeps some of what it is given back, with what was in it.
    std::vector<char> dirty(bytes, 7);
    EXPECT_EQ(dirty[bytes - 1], 7);
  }
#ifdef __linux__
  EXPECT_TRUE(any);
#endif
}

}  // namespace
}  // namespace mxtape

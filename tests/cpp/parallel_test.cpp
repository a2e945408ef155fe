#include "runtime/parallel.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>

#include "support.h"

namespace mxtape {
namespace {

using test::ThreadCountScope;

using Pieces = std::vector<std::pair<int64_t, int64_t>>;

Pieces pieces_of(int64_t n, int64_t grain) {
  Pieces pieces;
  std::mutex mutex;
  parallel_for(n, grain, [&](int64_t begin, int64_t end) {
    const std::lock_guard lock(mutex);
    pieces.emplace_back(begin, end);
  });
  std::sort(pieces.begin(), pieces.end());
  return pieces;
}

TEST(Parallel, PiecesCoverTheRangeOnceWhateverTheThreads) {
  for (int64_t n : {1, 2, 7, 63, 64, 65, 127, 128, 129, 1000, 4096}) {
    for (int64_t grain : {1, 2, 7, 64, 100, 4095, 4096, 4097}) {
      Pieces expected;
      for (int64_t begin = 0; begin < n; begin += grain) {
        expected.emplace_back(begin, std::min(n, begin + grain));
      }
      for (int threads : {1, 2, 3, 7}) {
        const ThreadCountScope scope(threads);
        EXPECT_EQ(pieces_of(n, grain), expected) << n << " by " << grain << " on " << threads;
      }
    }
  }
}

TEST(Parallel, AnEmptyRangeHasNoPieces) {
  const ThreadCountScope scope(3);
  EXPECT_TRUE(pieces_of(0, 8).empty());
  EXPECT_TRUE(pieces_of(-5, 8).empty());
}

TEST(Parallel, ThreadsRunAtOnce) {
  const ThreadCountScope scope(2);
  std::atomic<int> arrived{0};
  std::atomic<bool> met{true};
  parallel_for(2, 1, [&](int64_t, int64_t) {
    ++arrived;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (arrived < 2) {
      std::this_thread::yield();
      if (std::chrono::steady_clock::now() > deadline) {
        met = false;
        return;
      }
    }
  });
  EXPECT_TRUE(met) << "each piece waited for the other";
}

TEST(Parallel, ThreadCountIsAtLeastOne) {
  const ThreadCountScope scope(5);
  EXPECT_EQ(thread_count(), 5);
  set_thread_count(0);
  EXPECT_EQ(thread_count(), 1);
  set_thread_count(-3);
  EXPECT_EQ(thread_count(), 1);
}

TEST(Parallel, ExceptionsReachTheCaller) {
  for (int threads : {1, 2, 4}) {
    const ThreadCountScope scope(threads);
    for (int64_t bad : {0, 500, 999}) {
      try {
        parallel_for(1000, 10, [&](int64_t begin, int64_t end) {
          if (begin <= bad && bad < end) throw std::invalid_argument(std::to_string(bad));
        });
        ADD_FAILURE() << "no exception";
      } catch (const std::invalid_argument& error) {
        EXPECT_EQ(error.what(), std::to_string(bad));
      }
      // All pieces may fail, and the next loop is none the worse for it.
      EXPECT_THROW(parallel_for(1000, 10, [](int64_t, int64_t) { fail("every piece"); }), Error);
      EXPECT_EQ(pieces_of(1000, 10).size(), 100u);
    }
  }
}

TEST(Parallel, LoopsNest) {
  const ThreadCountScope scope(3);
  std::vector<std::atomic<int>> hits(30 * 50);
  parallel_for(30, 1, [&](int64_t row, int64_t) {
    parallel_for(50, 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(row * 50 + i)];
    });
  });
  for (const auto& hit : hits) EXPECT_EQ(hit, 1);
}

TEST(Parallel, SeveralThreadsMayCallAtOnce) {
  const ThreadCountScope scope(2);
  std::vector<std::thread> callers;
  std::atomic<int64_t> sum{0};
  for (int t = 0; t < 4; ++t) {
    callers.emplace_back([&sum] {
      for (int round = 0; round < 50; ++round) {
        parallel_for(1000, 16, [&](int64_t begin, int64_t end) { sum += end - begin; });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum, 4 * 50 * 1000);
}

// The pool of threads does not survive fork(): the child must not wait for it.
TEST(Parallel, AForkedChildRuns) {
  const ThreadCountScope scope(3);
  ASSERT_EQ(pieces_of(1000, 1).size(), 1000u) << "the pool is up before the fork";
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(30);
    const bool ran = pieces_of(1000, 1).size() == 1000;
    const NDArray x = full(Shape{300000}, DType::kFloat32, 2);
    const NDArray y = x * x;
    _exit(ran && y.data<float>()[299999] == 4 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "the child hung, signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  // The parent goes on with its threads.
  EXPECT_EQ(thread_count(), 3);
  EXPECT_EQ(pieces_of(1000, 1).size(), 1000u);
}

}  // namespace
}  // namespace mxtape

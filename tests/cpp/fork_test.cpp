// A process that forks while its threads are anywhere in the engine: the child is not stuck.

#include <atomic>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>

#include "autograd/backward.h"
#include "core/ndarray.h"
#include "op/functional.h"
#include "runtime/random.h"

namespace mxtape {
namespace {

// Runs work() in a thread again and again, and once in each child of many forks.
template <class Work>
void fork_while(const Work& work, int forks) {
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) work();
  });
  int failed = 0;
  for (int i = 0; i < forks && !failed; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);  // ends one that is stuck
      work();
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    failed = status;
  }
  stop = true;
  other.join();
  EXPECT_EQ(failed, 0) << "a child was stuck";
}

TEST(Fork, TheSharedCacheOfThePoolIsFree) {
  fork_while([] { Storage::allocate(size_t{1} << 17); }, 300);
}

TEST(Fork, RandomStreamsAreFree) {
  fork_while([] { next_random_stream(); }, 300);
}

TEST(Fork, GradientBuffersAreFree) {
  const NDArray buffer = full(Shape{70000}, DType::kFloat32, 0);
  fork_while(
      [&] {
        autograd::gradient_ops().add_in_place(buffer, full(Shape{70000}, DType::kFloat32, 1));
      },
      100);
}

TEST(Updates, OfSeveralThreadsAreAllThere) {
  const NDArray buffer = full(Shape{100000}, DType::kFloat32, 0);
  const auto add = [&] {
    for (int i = 0; i < 50; ++i) {
      autograd::gradient_ops().add_in_place(buffer, full(Shape{100000}, DType::kFloat32, 1));
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(add);
  for (std::thread& thread : threads) thread.join();
  const auto* values = reinterpret_cast<const float*>(buffer.bytes());
  for (int i = 0; i < 100000; ++i) ASSERT_EQ(values[i], 200) << i;
}

}  // namespace
}  // namespace mxtape

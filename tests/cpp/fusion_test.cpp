#include "runtime/fusion.h"

#include <cmath>
#include <cstring>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>

#include "autograd/node.h"
#include "op/functional.h"
#include "support.h"

namespace mxtape {
namespace {

// Every pointwise call waits, however small.
class Fusion : public testing::Test {
  const test::FuseAbove all_{1};
};

NDArray ramp(Shape shape) {
  NDArray x = NDArray::empty(std::move(shape), DType::kFloat32);
  for (int64_t i = 0; i < x.size(); ++i) x.data<float>()[i] = static_cast<float>(i % 17) / 4;
  return x;
}

bool waits(const NDArray& x) { return x.storage()->deferred(); }

TEST_F(Fusion, AChainRunsWhenItIsRead) {
  const NDArray x = ramp({3000});
  const NDArray y = fn::exp(x * 0.5 + 1.0) * x;
  EXPECT_TRUE(waits(y));
  for (int64_t i = 0; i < x.size(); ++i) {
    const float v = x.data<float>()[i];
    EXPECT_NEAR(y.data<float>()[i], std::exp(v * 0.5f + 1) * v, 1e-3);
  }
  EXPECT_FALSE(waits(y));
}

TEST_F(Fusion, WhatIsHeldIsStoredOnTheWay) {
  const NDArray x = ramp({2000});
  const NDArray held = x + 1.0;
  const NDArray y = fn::square(held) - held;
  y.bytes();
  EXPECT_FALSE(waits(held));
  EXPECT_EQ(held.data<float>()[5], x.data<float>()[5] + 1);
}

TEST_F(Fusion, MemoryIsNotWrittenToBeforeItsReadersHaveRun) {
  NDArray x = ramp({1500});
  const float first = x.data<float>()[3];
  const NDArray y = x * 2.0, z = y + 1.0;
  Outputs out;
  out.push_back(x);
  const NDArray inputs[] = {x, x};
  invoke(find_op("elemwise_add"), inputs, nullptr, out);
  EXPECT_EQ(x.data<float>()[3], first * 2);
  EXPECT_EQ(y.data<float>()[3], first * 2);
  EXPECT_EQ(z.data<float>()[3], first * 2 + 1);
  EXPECT_EQ(x.storage()->readers(), 0u);
}

TEST_F(Fusion, AWaitingArrayCanBeWrittenOntoItself) {
  NDArray x = ramp({1500}) * 3.0;
  Outputs out;
  out.push_back(x);
  const NDArray inputs[] = {x, x};
  invoke(find_op("elemwise_add"), inputs, nullptr, out);
  EXPECT_EQ(x.data<float>()[5], 1.25f * 6);
}

TEST_F(Fusion, ViewsAndBroadcastsOfWhatWaits) {
  const NDArray x = ramp({40, 50});
  const NDArray row = ramp({1, 50}) + 1.0, column = ramp({40, 1}) + 2.0;
  const NDArray y = reshape(x * 2.0, {2000}) + 1.0;
  const NDArray z = (x + row) * column;
  const NDArray part = (x * 4.0).rows(3, 5) + 0.5;
  for (int64_t i = 0; i < 40; ++i) {
    for (int64_t j = 0; j < 50; ++j) {
      const float v = x.data<float>()[i * 50 + j];
      EXPECT_EQ(y.data<float>()[i * 50 + j], v * 2 + 1);
      EXPECT_EQ(z.data<float>()[i * 50 + j], (v + row.data<float>()[j]) * column.data<float>()[i]);
    }
  }
  EXPECT_EQ(part.data<float>()[7], x.data<float>()[157] * 4 + 0.5f);
}

TEST_F(Fusion, LongChainsRunInParts) {
  NDArray x = ramp({1200});
  for (int i = 0; i < 1000; ++i) x = x + 1.0;
  EXPECT_EQ(x.data<float>()[2], 1000.5f);
  // Every level reads the one below twice.
  NDArray y = ramp({1200});
  for (int i = 0; i < 20; ++i) y = (y + y) * 0.5;
  EXPECT_EQ(y.data<float>()[2], 0.5f);
}

TEST_F(Fusion, FewArraysAreHeld) {
  const size_t before = pool_stats().bytes_in_use;
  NDArray total = ramp({1 << 16});
  for (int i = 0; i < 100; ++i) {
    const NDArray next = ramp({1 << 16});
    total = total + next;
    EXPECT_LT(pool_stats().bytes_in_use - before, size_t{12} << 18);
  }
}

TEST_F(Fusion, ASumReadsWhatWaitsWithoutStoringIt) {
  const NDArray x = ramp({64, 1000});
  const NDArray square = fn::square(x);
  const NDArray rows = sum(square, {1}, false), columns = sum(square * 2.0, {0}, false);
  EXPECT_EQ(sum(fn::square(x), {0, 1}, false).size(), 1);
  double row = 0, column = 0;
  for (int64_t j = 0; j < 1000; ++j) row += std::pow(x.data<float>()[7000 + j], 2);
  for (int64_t i = 0; i < 64; ++i) column += 2 * std::pow(x.data<float>()[i * 1000 + 9], 2);
  EXPECT_NEAR(rows.data<float>()[7], row, 1e-2);
  EXPECT_NEAR(columns.data<float>()[9], column, 1e-2);
  EXPECT_EQ(square.data<float>()[9], x.data<float>()[9] * x.data<float>()[9]);
}

TEST_F(Fusion, AReductionToOneNumberRunsWithWhatSharesItsChain) {
  const NDArray x = ramp({3000});
  NDArray total, gradient;
  {
    const NDArray y = fn::tanh(x * 0.5);
    total = sum(fn::square(y), {0}, false);
    gradient = y * 2.0 * fn::cos(x);
  }
  EXPECT_TRUE(waits(total));
  gradient.bytes();
  EXPECT_FALSE(waits(total));
  double expected = 0;
  for (int64_t i = 0; i < x.size(); ++i) {
    const double v = x.data<float>()[i], y = std::tanh(0.5 * v);
    expected += y * y;
    EXPECT_NEAR(gradient.data<float>()[i], 2 * y * std::cos(v), 1e-5);
  }
  EXPECT_NEAR(total.data<float>()[0], expected, 1e-3 * expected);
}

TEST_F(Fusion, AReductionWaitsForNothingThatItDoesNotShare) {
  const NDArray x = ramp({3000}), other = ramp({3000});
  const NDArray total = sum(fn::square(x), {0}, false);
  (other * 2.0).bytes();
  fn::square(x).bytes();  // the same numbers, of another call
  EXPECT_TRUE(waits(total));
  (x * sum(other, {0}, false)).bytes();
  EXPECT_TRUE(waits(total));
}

TEST_F(Fusion, WhatAReductionHasReadIsStoredForTheNext) {
  const NDArray x = ramp({3000}), y = fn::tanh(x);
  sum(y, {0}, false).bytes();
  EXPECT_TRUE(waits(y));
  (y * 2.0).bytes();
  EXPECT_FALSE(waits(y));
  const NDArray z = fn::tanh(x);
  const NDArray total = sum(z, {0}, false), doubled = z * 2.0;
  doubled.bytes();
  EXPECT_FALSE(waits(total));
  (z * 3.0).bytes();
  EXPECT_FALSE(waits(z));
}

TEST_F(Fusion, OneReductionWaitsAtATime) {
  const size_t before = pool_stats().bytes_in_use;
  std::vector<NDArray> totals;
  for (int i = 0; i < 50; ++i) {
    totals.push_back(sum(fn::square(ramp({1 << 14})), {0}, false));
    if (i) {
      EXPECT_FALSE(waits(totals[totals.size() - 2]));
    }
    EXPECT_LT(pool_stats().bytes_in_use - before, size_t{4} << 16);
  }
  EXPECT_TRUE(waits(totals.back()));
}

TEST_F(Fusion, AReductionRunsBeforeWhatItsChainReadsIsWrittenTo) {
  NDArray x = ramp({2000});
  const NDArray total = sum(fn::square(x) * 0.5 + x, {0}, false);
  double expected = 0;
  for (int64_t i = 0; i < x.size(); ++i) {
    const double v = x.data<float>()[i];
    expected += 0.5 * v * v + v;
  }
  Outputs out;
  out.push_back(x);
  const NDArray inputs[] = {x, x};
  invoke(find_op("elemwise_add"), inputs, nullptr, out);
  EXPECT_FALSE(waits(total));
  EXPECT_NEAR(total.data<float>()[0], expected, 1e-3 * expected);
}

TEST_F(Fusion, AFactorOfOneLeavesEveryNumberAsItIs) {
  NDArray x = ramp({1000});
  x.data<float>()[1] = -0.0f;
  x.data<float>()[2] = INFINITY;
  x.data<float>()[3] = NAN;
  const NDArray one = full({1}, DType::kFloat32, 1), ones = broadcast_to(one, {1000});
  const NDArray products[] = {x * 1.0, x * ones, ones * x, (x + 0.0) * ones * 1.0, ones * ones};
  const NDArray total = sum(fn::square(x + 1.0) * 1.0, {0}, false),
                plain = sum(x * 1.0, {0}, false);
  for (const NDArray& product : products) product.bytes();
  for (int64_t i = 0; i < 1000; ++i) {
    for (int p = 0; p < 3; ++p) {
      EXPECT_EQ(std::memcmp(products[p].data<float>() + i, x.data<float>() + i, 4), 0);
    }
    EXPECT_EQ(products[4].data<float>()[i], 1);
  }
  EXPECT_EQ(products[3].data<float>()[5], x.data<float>()[5]);
  EXPECT_TRUE(std::isnan(total.data<float>()[0]));
  EXPECT_TRUE(std::isnan(plain.data<float>()[0]));
}

TEST_F(Fusion, ForeignMemoryIsReadAtOnce) {
  std::vector<float> memory(1000, 1.f);
  const NDArray x(
      Storage::borrow(memory.data(), 4000, [](void*) {}, nullptr), 0, {1000}, DType::kFloat32);
  const NDArray y = x + 1.0;
  EXPECT_FALSE(waits(y));
  const NDArray lent = ramp({1000});
  lent.storage()->set_lent();
  EXPECT_FALSE(waits(lent + 1.0));
}

TEST_F(Fusion, ManyThreadsReadOneThing) {
  for (int round = 0; round < 200; ++round) {
    const NDArray x = ramp({5000});
    const NDArray shared = fn::sqrt(x * 2.0);
    std::vector<std::thread> threads;
    std::vector<float> got(6);
    for (int t = 0; t < 6; ++t) {
      threads.emplace_back([&, t] {
        const NDArray mine = shared + static_cast<double>(t);
        got[static_cast<size_t>(t)] = mine.data<float>()[4] - shared.data<float>()[4];
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (int t = 0; t < 6; ++t) EXPECT_NEAR(got[static_cast<size_t>(t)], t, 1e-5);
  }
}

TEST_F(Fusion, ManyThreadsReadOneReductionAndWhatItSharesItsChainWith) {
  for (int round = 0; round < 200; ++round) {
    const NDArray x = ramp({5000}), shared = fn::sqrt(x * 2.0);
    const NDArray total = sum(shared * 3.0, {0}, false);
    std::vector<std::thread> threads;
    std::vector<float> got(6);
    for (int t = 0; t < 6; ++t) {
      threads.emplace_back([&, t] {
        const NDArray mine = t % 2 ? shared + static_cast<double>(t) : sum(shared, {0}, false);
        got[static_cast<size_t>(t)] =
            (t % 2 ? mine.data<float>()[4] : 3 * mine.data<float>()[0]) - total.data<float>()[0];
      });
    }
    for (std::thread& thread : threads) thread.join();
    const float sum = total.data<float>()[0], element = shared.data<float>()[4];
    for (int t = 0; t < 6; ++t) {
      EXPECT_NEAR(got[static_cast<size_t>(t)], t % 2 ? element + static_cast<float>(t) - sum : 0,
                  0.1);
    }
  }
}

TEST_F(Fusion, AForkedChildComputesWhatWaits) {
  const NDArray y = ramp({70000}) * 2.0;
  ASSERT_TRUE(waits(y)) << "what waits is there before the fork";
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(30);
    const NDArray z = y + 1.0;
    _exit(z.data<float>()[5] == y.data<float>()[5] + 1 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "the child hung, signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

const fn::Op<> erf{"erf"};

// What a node saves is a second holder of a waiting result.
TEST_F(Fusion, WhatTheTapeAloneHoldsIsComputedAgain) {
  const NDArray x = ramp({2000}), z = ramp({2000});
  NDArray cheap = fn::tanh(x * 0.5), mixed = x * z, dear = erf(x);
  std::vector<autograd::Saved> tape;
  for (const NDArray& array : {cheap, mixed, dear}) tape.push_back(autograd::Saved::data(array));
  const NDArray y = cheap + mixed + dear;
  const float expected = std::tanh(x.data<float>()[7] * 0.5f);
  cheap = mixed = dear = NDArray();
  y.bytes();
  EXPECT_TRUE(tape[0].storage->deferred());
  EXPECT_FALSE(tape[1].storage->deferred()) << "it reads two arrays: to keep them takes more";
  EXPECT_FALSE(tape[2].storage->deferred()) << "erf takes longer than to read it from memory";
  EXPECT_NEAR(tape[0].array().data<float>()[7], expected, 1e-6);
  EXPECT_FALSE(tape[0].storage->deferred());
}

TEST_F(Fusion, LongChainsAreKeptInPlaces) {
  NDArray y = ramp({2000});
  std::vector<autograd::Saved> tape;
  for (int i = 0; i < 12; ++i) {
    y = fn::sin(y);
    tape.push_back(autograd::Saved::data(y));
  }
  (y + 1.0).bytes();
  y = NDArray();
  int kept = 0;
  for (const autograd::Saved& saved : tape) kept += !saved.storage->deferred();
  EXPECT_GE(kept, 4) << "to compute the last anew would take all others";
  EXPECT_LE(kept, 8);
}

TEST_F(Fusion, NothingIsLeftBehind) {
  const size_t before = pool_stats().bytes_in_use;
  {
    const NDArray x = ramp({4000});
    const NDArray unread = fn::exp(x) + x;
    const NDArray read = fn::exp(unread) * x;
    read.bytes();
    const NDArray dropped = x * 2.0;
  }
  EXPECT_EQ(pool_stats().bytes_in_use, before);
}

}  // namespace
}  // namespace mxtape

#include <exception>
#include <pthread.h>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/backward.h"
#include "autograd/recorder.h"
#include "core/storage.h"
#include "op/op_node.h"
#include "probe_node.h"
#include "support.h"

namespace mxtape {
namespace {

using autograd::backward;
using autograd::Edge;
using autograd::is_recording;
using autograd::is_training;
using autograd::leaf_of;
using autograd::node_of;
using autograd::on_tape;
using autograd::StateScope;
using test::array;
using test::contains;
using test::elements;
using test::error_of;
using test::grad_of;
using test::ProbeNode;
using test::variable;

OpNode& op_node(const NDArray& x) { return static_cast<OpNode&>(*node_of(x)); }

size_t in_use() { return pool_stats().bytes_in_use; }

NDArray large(double value) { return full(Shape{1 << 17}, DType::kFloat64, value); }
constexpr size_t kLarge = size_t{1} << 20;

TEST(Recorder, FlagsBelongToTheThread) {
  const StateScope outer(true, false);
  std::thread([] {
    EXPECT_FALSE(is_recording());
    EXPECT_FALSE(is_training());
    const StateScope inner(false, true);
    EXPECT_TRUE(is_training());
  }).join();
  EXPECT_TRUE(is_recording());
  EXPECT_FALSE(is_training());
}

TEST(Recorder, ScopesRestoreWhatWas) {
  EXPECT_FALSE(is_recording());
  {
    const StateScope outer(true, true);
    try {
      const StateScope inner(false, false);
      EXPECT_FALSE(is_recording());
      fail("out of the inner scope");
    } catch (const Error&) {
    }
    EXPECT_TRUE(is_recording());
    EXPECT_TRUE(is_training());
  }
  EXPECT_FALSE(is_recording());
  EXPECT_FALSE(is_training());
}

TEST(Tape, OnlyWhatDependsOnAVariableIsRecorded) {
  const NDArray x = variable({1, 2}), constant = array({3, 4});
  EXPECT_FALSE(on_tape(x * 2.0));
  const StateScope recording(true, true);
  EXPECT_TRUE(on_tape(x * 2.0));
  EXPECT_TRUE(on_tape(constant * x));
  EXPECT_FALSE(on_tape(constant * constant));
  EXPECT_FALSE(on_tape(constant * x.detached()));
  EXPECT_FALSE(on_tape((x * 2.0).detached() * 3.0));
}

TEST(Tape, EdgesPointToWhatMadeTheInputs) {
  const NDArray x = variable({1, 2}), constant = array({3, 4});
  const StateScope recording(true, true);
  const NDArray y = x * constant, z = y - x;
  ASSERT_EQ(node_of(z)->edges().size(), 2u);
  EXPECT_EQ(node_of(z)->edges()[0].node.get(), node_of(y));
  EXPECT_EQ(node_of(z)->edges()[1].node.get(), node_of(x));
  EXPECT_EQ(node_of(y)->edges()[0].node.get(), node_of(x));
  EXPECT_FALSE(node_of(y)->edges()[1].node) << "a constant has no edge";
  EXPECT_LT(node_of(x)->number(), node_of(y)->number());
  EXPECT_LT(node_of(y)->number(), node_of(z)->number());
  EXPECT_EQ(node_of(z)->name(), "broadcast_sub");
  EXPECT_EQ(node_of(x)->name(), "variable");
  EXPECT_TRUE(node_of(x)->is_leaf());
  EXPECT_FALSE(node_of(y)->is_leaf());
}

TEST(Tape, OutputsOfOneCallShareANode) {
  const NDArray x = variable({1, 2, 3});
  const StateScope recording(true, true);
  const OpSchema& split = find_op("SliceChannel");
  Outputs parts;
  invoke(split, {&x, 1}, test::params_from(split, {{"num_outputs", "3"}, {"axis", "0"}}), parts);
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(node_of(parts[0])->output_count(), 3u);
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(node_of(parts[i]), node_of(parts[0]));
    EXPECT_EQ(parts[i].edge_index(), i);
    const NDArray next = parts[i] * 2.0;
    EXPECT_EQ(node_of(next)->edges()[0].index, i);
  }
}

TEST(Tape, IndicesHaveNoEdge) {
  const NDArray x = variable({1, 2, 3}), indices = variable({2, 0});
  const OpSchema& take = find_op("take");
  const StateScope recording(true, true);
  const NDArray y = invoke(take, {x, indices}, take.params->make());
  EXPECT_EQ(elements(y), (std::vector<double>{3, 1}));
  EXPECT_EQ(node_of(y)->edges()[0].node.get(), node_of(x));
  EXPECT_FALSE(node_of(y)->edges()[1].node);
  // Indices alone do not make a call worth recording.
  EXPECT_FALSE(on_tape(invoke(take, {x.detached(), indices}, take.params->make())));
}

TEST(Tape, ViewsAreRecorded) {
  const NDArray x = variable({1, 2, 3, 4});
  const StateScope recording(true, true);
  const NDArray y = reshape(x, {2, 2});
  EXPECT_EQ(y.storage(), x.storage());
  ASSERT_TRUE(on_tape(y));
  EXPECT_EQ(node_of(y)->name(), "Reshape");
  backward({{y * array(Shape{2, 2}, {1, 2, 3, 4})}}, {}, {});
  EXPECT_EQ(grad_of(x), (std::vector<double>{1, 2, 3, 4}));
}

TEST(Tape, ANodeSavesWhatItsGradientReads) {
  const NDArray x = variable({1, 2}), y = variable({3, 4});
  const StateScope recording(true, true);
  const NDArray product = x * y, sum = x + y, exp = fn::exp(x), doubled = x * 2.0;
  EXPECT_EQ(op_node(product).saved_input(0)->storage, x.storage());
  EXPECT_EQ(op_node(product).saved_input(1)->storage, y.storage());
  EXPECT_EQ(op_node(product).saved_output(0), nullptr);
  ASSERT_NE(op_node(sum).saved_input(0), nullptr);
  EXPECT_FALSE(op_node(sum).saved_input(0)->storage) << "a sum needs its inputs' shapes alone";
  EXPECT_EQ(op_node(sum).saved_input(0)->shape, x.shape());
  EXPECT_EQ(op_node(exp).saved_input(0), nullptr);
  EXPECT_EQ(op_node(exp).saved_output(0)->storage, exp.storage());
  EXPECT_EQ(op_node(doubled).saved_input(0), nullptr);
}

TEST(Tape, SavedArraysLiveAsLongAsTheyAreNeeded) {
  const test::FuseAbove never(-1);
  const NDArray x = large(2);
  NDArray head;
  NDArray marked = x;
  autograd::mark_variable(marked, large(0), autograd::GradReq::kWrite);
  const size_t before = in_use();
  {
    const StateScope recording(true, true);
    head = fn::square(marked * 3.0) + marked;
  }
  // The head itself and the product that the square reads; the square itself is gone.
  EXPECT_GE(in_use() - before, 2 * kLarge);
  EXPECT_LT(in_use() - before, 3 * kLarge);
  backward({{head}}, {}, {});
  EXPECT_LT(in_use() - before, 2 * kLarge)
      << "backward drops what was saved, though the head lives";
  EXPECT_EQ(elements(leaf_of(marked)->grad())[77], 2 * 9 * 2 + 1);
  head = NDArray();
  EXPECT_EQ(in_use(), before);
}

TEST(Tape, AnOutputThatIsSavedDoesNotKeepItsNode) {
  const test::FuseAbove never(-1);
  const size_t before = in_use();
  {
    NDArray x = large(0.5);
    autograd::mark_variable(x, large(0), autograd::GradReq::kWrite);
    const StateScope recording(true, true);
    const NDArray y = fn::tanh(fn::exp(x));
    EXPECT_GE(in_use() - before, 4 * kLarge);
  }
  EXPECT_EQ(in_use(), before);
}

TEST(Tape, WritesUnderRecordAreRefused) {
  const NDArray x = variable({1, 2});
  const StateScope recording(true, true);
  const NDArray y = x * 1.0;
  for (const NDArray& target : {x, y}) {
    const uint32_t version = target.storage()->version();
    Outputs out;
    out.push_back(target);
    const NDArray inputs[] = {array({5, 6})};
    const std::string error = error_of([&] { invoke(find_op("_copy"), inputs, nullptr, out); });
    EXPECT_TRUE(contains(error, "_copy: cannot write in place")) << error;
    EXPECT_EQ(elements(target), (std::vector<double>{1, 2}));
    EXPECT_EQ(target.storage()->version(), version);
  }
}

class Stale : public testing::Test {
 protected:
  static inline std::vector<std::string> warnings;
  static void warn(const std::string& message) { warnings.push_back(message); }
  void SetUp() override { warnings.clear(); }
  void TearDown() override { autograd::set_stale_mode(autograd::StaleMode::kOff, nullptr); }

  static void overwrite(const NDArray& x, double value) {
    Outputs out;
    out.push_back(x.detached());
    const NDArray inputs[] = {full(x.shape(), x.dtype(), value)};
    invoke(find_op("_copy"), inputs, nullptr, out);
  }
};

TEST_F(Stale, AChangedArrayIsNoticedOnlyWhereItWasSaved) {
  autograd::set_stale_mode(autograd::StaleMode::kWarn, warn);
  const NDArray x = variable({1, 2}), y = variable({3, 4});
  NDArray product, sum;
  {
    const StateScope recording(true, true);
    product = x * y;
    sum = x + y;
  }
  EXPECT_FALSE(op_node(product).saved_input(0)->stale());
  overwrite(x, 7);
  EXPECT_TRUE(op_node(product).saved_input(0)->stale());
  EXPECT_FALSE(op_node(product).saved_input(1)->stale());
  backward({{sum}}, {}, {});
  EXPECT_TRUE(warnings.empty());
  backward({{product}}, {}, {});
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_TRUE(contains(warnings[0], "broadcast_mul: input 0 was saved")) << warnings[0];
  EXPECT_EQ(grad_of(y), (std::vector<double>{7, 7}));
}

TEST_F(Stale, AsAnErrorItLeavesGradientsAlone) {
  autograd::set_stale_mode(autograd::StaleMode::kError, nullptr);
  const NDArray x = variable({1, 2}, autograd::GradReq::kWrite, -5);
  NDArray y;
  {
    const StateScope recording(true, true);
    y = fn::exp(x) * 2.0 + x;
  }
  overwrite(y, 1);
  EXPECT_EQ(error_of([&] { backward({{y}}, {}, {true}); }), "no error") << "y is saved by nobody";
  overwrite(x, 0);
  EXPECT_EQ(error_of([&] { backward({{y}}, {}, {true}); }), "no error") << "exp saved its output";
  NDArray z;
  {
    const StateScope recording(true, true);
    z = fn::square(x);
  }
  overwrite(autograd::leaf_of(x)->grad(), -5);
  overwrite(x, 1);
  const std::string error = error_of([&] { backward({{z}}, {}, {}); });
  EXPECT_TRUE(
      contains(error, "input 0 was saved for the gradient, and its memory was changed in place") &&
      contains(error, "backward of square"))
      << error;
  EXPECT_EQ(grad_of(x), (std::vector<double>{-5, -5}));
}

// Runs `body` on a thread with a stack of 256 KB, where a recursion over a long chain would crash.
template <class Body>
void on_small_stack(Body body) {
  struct Context {
    Body* body;
    std::string error;
  } context{&body, ""};
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, 256 << 10), 0);
  pthread_t thread;
  ASSERT_EQ(pthread_create(
                &thread, &attributes,
                [](void* data) -> void* {
                  auto* c = static_cast<Context*>(data);
                  try {
                    (*c->body)();
                  } catch (const std::exception& error) {
                    c->error = error.what();
                  }
                  return nullptr;
                },
                &context),
            0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  EXPECT_EQ(context.error, "");
}

constexpr int kMillion = 1000000;

TEST(LongChain, IsDestroyedWithoutRecursion) {
  const size_t before = in_use();
  on_small_stack([&] {
    // Any node that is left holds the chain below it, and so the variable's buffer.
    NDArray x = array({1});
    autograd::mark_variable(x, array({0}), autograd::GradReq::kWrite);
    NDArray y = x;
    const StateScope recording(true, true);
    for (int i = 0; i < kMillion; ++i) y = -y;
    EXPECT_EQ(elements(y), (std::vector<double>{1}));
    y = NDArray();
  });
  EXPECT_EQ(in_use(), before);
}

TEST(LongChain, RunsBackwardWithoutRecursion) {
  for (bool retain : {false, true}) {
    const size_t before = in_use();
    on_small_stack([&] {
      const NDArray x = variable({2, 3});
      NDArray y = x;
      {
        const StateScope recording(true, true);
        for (int i = 0; i < kMillion; ++i) y = -y;
        y = y * 5.0;
      }
      backward({{y}}, {}, {retain});
      EXPECT_EQ(grad_of(x), (std::vector<double>{5, 5}));
    });
    EXPECT_EQ(in_use(), before);
  }
}

TEST(LongChain, OfDiamondsIsWalkedOnce) {
  const size_t before = in_use();
  on_small_stack([&] {
    const NDArray x = variable({1, 3});
    NDArray y = x;
    {
      const StateScope recording(true, true);
      // Both inputs are y: the paths double with every step.
      for (int i = 0; i < 100000; ++i) y = (y + y) * 0.5;
    }
    const std::vector<NDArray> g = autograd::grad({{y}}, {}, {{x}}, {});
    EXPECT_EQ(elements(g[0]), (std::vector<double>{1, 1}));
  });
  EXPECT_EQ(in_use(), before);
}

TEST(LongChain, OfForeignNodesIsCountedDown) {
  ASSERT_EQ(ProbeNode::alive, 0);
  on_small_stack([] {
    NDArray y = variable({1});
    for (int i = 0; i < 200000; ++i) y = test::probe({y, y}, y);
    EXPECT_EQ(ProbeNode::alive, 200000);
    std::thread([last = std::move(y)]() mutable { last = NDArray(); }).join();
  });
  EXPECT_EQ(ProbeNode::alive, 0);
}

TEST(Tape, NoNodeIsLeftBehind) {
  const size_t before = in_use();
  for (bool fails : {false, true}) {
    for (bool retain : {false, true}) {
      {
        const NDArray x = variable({1, 2}), w = variable({3, 4});
        NDArray y;
        {
          const StateScope recording(true, true);
          const NDArray h = test::probe({fn::tanh(x * w)}, array({1, 1}), [=](auto& call) {
            if (fails) fail("on purpose");
            call.grad(0, call.head(0));
          });
          y = fn::exp(h) * test::probe({w}, w) + x;
        }
        if (fails) {
          EXPECT_TRUE(contains(error_of([&] { backward({{y}}, {}, {retain}); }), "on purpose"));
        } else {
          backward({{y}}, {}, {retain});
        }
        EXPECT_GE(ProbeNode::alive, retain ? 2 : 0);
      }
      EXPECT_EQ(ProbeNode::alive, 0) << "fails " << fails << " retain " << retain;
      EXPECT_EQ(in_use(), before) << "fails " << fails << " retain " << retain;
    }
  }
}

TEST(Tape, SecondOrderGraphsLeaveNothingBehind) {
  const size_t before = in_use();
  {
    const NDArray x = variable({0.5, 2});
    NDArray y;
    {
      const StateScope recording(true, true);
      y = fn::tanh(x) * fn::exp(x);
    }
    // The gradient's graph reaches through y's nodes, whose outputs it reads.
    const auto first = autograd::grad({{y}}, {}, {{x}}, {true, true});
    const auto second = autograd::grad(first, {}, {{x}}, {true, true});
    backward(second, {}, {});
    EXPECT_NE(grad_of(x)[0], 0);
  }
  EXPECT_EQ(in_use(), before);
}

TEST(Variables, NeedABufferThatFits) {
  NDArray x = array({1, 2});
  EXPECT_TRUE(
      contains(error_of([&] { autograd::mark_variable(x, array({0}), autograd::GradReq::kWrite); }),
               "gradient buffer has shape (1,)"));
  EXPECT_TRUE(contains(error_of([&] {
                         autograd::mark_variable(x, array({0, 0}, DType::kFloat32),
                                                 autograd::GradReq::kAdd);
                       }),
                       "float32"));
  EXPECT_FALSE(on_tape(x));
  autograd::mark_variable(x, NDArray(), autograd::GradReq::kNull);
  EXPECT_TRUE(on_tape(x));
}

}  // namespace
}  // namespace mxtape

#include "graph/compiled.h"

#include <gtest/gtest.h>

#include "graph_support.h"
#include "support.h"

// Of its own: files are compiled together.
namespace mxtape::compiled_test {
namespace {

using test::array;
using test::call;
using test::elements;
using Node = Ref<const GraphNode>;
using Values = std::vector<double>;

// exp(x * y) + x, a sum of it, and a sigmoid of the sum: two steps that do not run with the others.
struct Model {
  Node x = GraphNode::variable("x"), y = GraphNode::variable("y");
  Node product = call("elemwise_mul", {{x}, {y}}, "product");
  Node power = call("exp", {{product}}, "power");
  Node shifted = call("elemwise_add", {{power}, {x}}, "shifted");
  Node total = call("sum", {{shifted}}, "total");
  Node last = call("sigmoid", {{total}}, "last");
  Ref<Program> program = make_ref<Program>(Graph({{last}, {product}}));
  NDArray a = array({0.5, 1}), b = array({2, -1});
  const NDArray* pointers[2] = {&a, &b};
  Inputs inputs{pointers, 2};
  autograd::Mode mode{true, true};
  Ref<const Program::Plan> plan = program->plan(inputs, mode);
};

TEST(Compiled, StepsThatFitTogetherRunAsOne) {
  const Model model;
  const Compiled compiled(*model.program, *model.plan, nullptr);
  const FusedSteps* fused = compiled.at(0);
  ASSERT_TRUE(fused);
  EXPECT_EQ(fused->count, 3);
  EXPECT_EQ(fused->region.call_count(), 3);
  EXPECT_EQ(fused->loads.size(), 2);
  // The product is returned, and what is summed is read.
  ASSERT_EQ(fused->stores.size(), 2);
  EXPECT_EQ(fused->stores[0].value.step, 0);
  EXPECT_EQ(fused->stores[1].value.step, 2);
  EXPECT_EQ(fused->kept_only, 0);
  for (size_t k = 1; k < 5; ++k) EXPECT_FALSE(compiled.at(k));
}

TEST(Compiled, WhatOnlyTheGradientReadsIsKept) {
  const Model model;
  const auto reverse = make_ref<const Reverse>(*model.program, std::vector<bool>{true, false});
  const Compiled compiled(*model.program, *model.plan, reverse);
  const FusedSteps* fused = compiled.at(0);
  ASSERT_TRUE(fused);
  EXPECT_EQ(fused->stores.size(), 3);
  EXPECT_EQ(fused->kept_only, 1);  // that of exp
}

TEST(Compiled, ASweepIsMadeTheSecondTime) {
  const Model model;
  const auto reverse = make_ref<const Reverse>(*model.program, std::vector<bool>{true, false});
  const Compiled compiled(*model.program, *model.plan, reverse);
  const SweepKind kind{{true, false}, {true}, {0, 0}}, other{{true, true}, {true}, {0, 0}};
  const auto sweep = [&](const SweepKind& kind) {
    return compiled.sweep(*model.program, *model.plan, model.mode, kind);
  };
  EXPECT_FALSE(sweep(kind));
  EXPECT_FALSE(sweep(other));
  const auto made = sweep(kind);
  ASSERT_TRUE(made);
  EXPECT_EQ(made.get(), sweep(kind).get());
  ASSERT_EQ(made->fused.size(), 1);
  const FusedSweep& fused = made->fused[0];
  EXPECT_EQ(fused.last, 2);
  EXPECT_EQ(fused.first, 0);
  // From the head gradient, exp's output and y: to x alone.
  EXPECT_EQ(fused.loads.size(), 3);
  EXPECT_EQ(fused.stores.size(), 1);
}

// A signal does not wait for a graph of any length, and a region costs what its calls do.
TEST(Compiled, LongChainsAreParted) {
  Node last = GraphNode::variable("x");
  for (int i = 0; i < 1000; ++i) {
    last = call("_plus_scalar", {{last}}, "n" + std::to_string(i), {{"scalar", std::to_string(i)}});
  }
  const auto program = make_ref<Program>(Graph({{last}}));
  const NDArray x = array({1, 2});
  const NDArray* pointers[] = {&x};
  const auto plan = program->plan({pointers, 1}, {true, true});
  const auto reverse = make_ref<const Reverse>(*program, std::vector<bool>{true});
  const Compiled compiled(*program, *plan, reverse);
  size_t covered = 0;
  while (covered < 1000) {
    const FusedSteps* fused = compiled.at(covered);
    ASSERT_TRUE(fused);
    ASSERT_LE(fused->count, 256);
    covered += fused->count;
  }
  EXPECT_EQ(covered, 1000);
}

TEST(Compiled, GradientsAreTheSameEachTime) {
  const Model model;
  const auto reverse = make_ref<const Reverse>(*model.program, std::vector<bool>{true, false});
  std::vector<Values> found;
  for (int i = 0; i < 4; ++i) {
    Frame frame(model.program, model.plan, reverse, model.mode, {0, 0}, 1);
    std::vector<NDArray> results(2);
    const autograd::StateScope state(true, true);
    model.program->run(*model.plan, model.inputs, results, nullptr, &frame);
    NDArray heads[] = {full(results[0].shape(), results[0].dtype(), 1), array({1, 10})};
    const bool wanted[] = {true};
    found.push_back(elements(frame.sweep(heads, wanted, false)[0]));
  }
  for (const Values& each : found) EXPECT_EQ(each, found[0]);
}

// Parts of a region, the last of them not full, and a number that is stored as it is.
TEST(Region, RunsInParts) {
  for (int64_t size : {1, 511, 512, 513, 100000}) {
    Region region(Shape{size}, DType::kFloat64);
    const OpSchema& multiply = find_op("elemwise_mul");
    const int x = region.load(), two = region.constant(2);
    const int square[] = {x, x};
    const int inputs[] = {region.call(multiply, nullptr, square), two};
    region.store(region.call(multiply, nullptr, inputs));
    region.store(two);
    region.finish();
    std::vector<double> from(static_cast<size_t>(size)), to(from.size()), twos(from.size());
    for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<double>(i);
    const char* loads[] = {reinterpret_cast<const char*>(from.data())};
    char* stores[] = {reinterpret_cast<char*>(to.data()), reinterpret_cast<char*>(twos.data())};
    region.run(loads, stores);
    for (size_t i = 0; i < from.size(); ++i) {
      ASSERT_EQ(to[i], 2 * from[i] * from[i]) << size;
      ASSERT_EQ(twos[i], 2) << size;
    }
  }
}

}  // namespace
}  // namespace mxtape::compiled_test

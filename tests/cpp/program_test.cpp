#include "graph/program.h"

#include <thread>

#include <gtest/gtest.h>

#include "autograd/recorder.h"
#include "graph/cached_op.h"
#include "graph/executor.h"
#include "graph_support.h"
#include "op/registry.h"
#include "support.h"

// Of its own: files are compiled together.
namespace mxtape::program_test {
namespace {

using autograd::GradReq;
using autograd::StateScope;
using test::array;
using test::call;
using test::contains;
using test::elements;
using test::error_of;
using Node = Ref<const GraphNode>;
using Values = std::vector<double>;

// x * y + x
struct Product {
  Node x = GraphNode::variable("x"), y = GraphNode::variable("y");
  Node product = call("elemwise_mul", {{x}, {y}}, "product");
  Node sum = call("elemwise_add", {{product}, {x}}, "sum");
};

std::vector<NDArray> run(const Program& program, const std::vector<NDArray>& arrays) {
  std::vector<const NDArray*> pointers;
  for (const NDArray& each : arrays) pointers.push_back(&each);
  const Inputs inputs(pointers.data(), pointers.size());
  std::vector<NDArray> results(program.output_count());
  program.run(*program.plan(inputs, autograd::thread_mode()), inputs, results);
  return results;
}

std::vector<NDArray> called(const CachedOp& op, const std::vector<NDArray>& arrays) {
  std::vector<const NDArray*> pointers;
  for (const NDArray& each : arrays) pointers.push_back(&each);
  Outputs outputs;
  op.call(Inputs(pointers.data(), pointers.size()), outputs);
  return std::vector<NDArray>(outputs.begin(), outputs.end());
}

TEST(Program, RunsAGraph) {
  const Product graph;
  const Program program(Graph({{graph.sum}, {graph.product}, {graph.y}}));
  EXPECT_EQ(program.input_count(), 2);
  EXPECT_EQ(program.input_name(1), "y");
  EXPECT_EQ(program.output_name(0), "sum_output");
  EXPECT_EQ(program.output_input(2), 1);
  const auto results = run(program, {array({1, 2}), array({3, 5})});
  EXPECT_EQ(elements(results[0]), Values({4, 12}));
  EXPECT_EQ(elements(results[1]), Values({3, 10}));
  EXPECT_EQ(elements(results[2]), Values({3, 5}));
}

// A result that nobody reads any more is gone before the next step asks for memory.
TEST(Program, DropsWhatNoLaterStepReads) {
  Node x = GraphNode::variable("x"), last = x;
  for (int i = 0; i < 100; ++i) last = call("negative", {{last}}, "n" + std::to_string(i));
  const Program program(Graph({{last}}));
  const NDArray input = full(Shape{1024}, DType::kFloat32, 3);
  const size_t before = pool_stats().bytes_in_use;
  class Peak final : public Watch {
   public:
    void before(const GraphNode&, Inputs) override {}
    void after(const GraphNode&, std::span<const NDArray>) override {
      bytes = std::max(bytes, pool_stats().bytes_in_use);
    }
    size_t bytes = 0;
  } peak;
  const NDArray* pointers[] = {&input};
  NDArray result;
  program.run(*program.plan(Inputs(pointers, 1), {}), Inputs(pointers, 1), {&result, 1}, &peak);
  EXPECT_EQ(elements(result)[0], 3);
  EXPECT_LT(peak.bytes - before, size_t{4} * 4096 + 4096);
}

TEST(Program, NamesTheNodeBeforeAnythingRuns) {
  const Product graph;
  const Node bn_mean = GraphNode::variable("mean"), bn_var = GraphNode::variable("var");
  const Node gamma = GraphNode::variable("gamma"), beta = GraphNode::variable("beta");
  const Node bn =
      call("BatchNorm", {{graph.x}, {gamma}, {beta}, {bn_mean, 0, 1}, {bn_var, 0, 1}}, "bn");
  const Node sum = call("elemwise_add", {{bn}, {graph.y}}, "sum");
  const CachedOp op(Graph({{sum}}));
  const NDArray mean = array({0, 0}), var = array({1, 1});
  const StateScope training(false, true);
  const std::string message = error_of([&] {
    called(op, {array(Shape{2, 2}, {1, 2, 3, 4}), array({1, 1}), array({0, 0}), mean, var,
                array({1, 2, 3})});
  });
  EXPECT_TRUE(contains(message, "elemwise_add")) << message;
  EXPECT_TRUE(contains(message, "node sum")) << message;
  EXPECT_EQ(elements(mean), Values({0, 0}));
}

TEST(Program, RunsInManyThreads) {
  const Product graph;
  const CachedOp op(Graph({{graph.sum}}));
  std::vector<std::thread> threads;
  std::vector<Values> results(4);
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        const StateScope recording(true, true);
        const double value = static_cast<double>(t + 1);
        NDArray x = test::variable({value, 2});
        const NDArray y = called(op, {x, array({3, 5})})[0];
        autograd::backward({&y, 1}, {}, {});
        results[t] = test::grad_of(x);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Values& result : results) EXPECT_EQ(result, Values({4, 6}));
}

TEST(CachedOp, IsOneStepOfTheTape) {
  const Product graph;
  const CachedOp op(Graph({{graph.sum}, {graph.product}}));
  const StateScope recording(true, true);
  const NDArray x = test::variable({1, 2}), y = test::variable({3, 5});
  const auto results = called(op, {x, y});
  autograd::Node* node = autograd::node_of(results[0]);
  ASSERT_NE(node, nullptr);
  EXPECT_EQ(node, autograd::node_of(results[1]));
  EXPECT_EQ(node->name(), "CachedOp");
  ASSERT_EQ(node->edges().size(), 2);
  EXPECT_EQ(node->edges()[0].node.get(), autograd::node_of(x));
  autograd::backward(results, {}, {});
  EXPECT_EQ(test::grad_of(x), Values({7, 11}));
  EXPECT_EQ(test::grad_of(y), Values({2, 4}));
}

TEST(CachedOp, HasSecondDerivatives) {
  const Product graph;  // d(x y + x)/dx = y + 1, and by y: 1
  const CachedOp op(Graph({{graph.sum}}));
  const StateScope recording(true, true);
  const NDArray x = test::variable({1, 2}), y = test::variable({3, 5});
  const NDArray z = called(op, {x, y})[0];
  autograd::BackwardOptions options;
  options.retain_graph = options.create_graph = true;
  const NDArray slope = autograd::grad({&z, 1}, {}, {&x, 1}, options)[0];
  EXPECT_EQ(elements(slope), Values({4, 6}));
  // Together with the graph itself, which the first sweep kept.
  const NDArray heads[] = {slope, z};
  autograd::backward(heads, {}, {});
  EXPECT_EQ(test::grad_of(x), Values({4, 6}));
  EXPECT_EQ(test::grad_of(y), Values({2, 3}));
}

TEST(CachedOp, IsFreedByBackward) {
  const Product graph;
  const CachedOp op(Graph({{graph.sum}}));
  const StateScope recording(true, true);
  const NDArray x = test::variable({1, 2}), y = array({3, 5});
  const NDArray z = called(op, {x, y})[0];
  autograd::backward({&z, 1}, {}, {});
  EXPECT_TRUE(contains(error_of([&] { autograd::backward({&z, 1}, {}, {}); }), "freed"));
}

TEST(Executor, WritesAndAddsGradients) {
  const Product graph;
  const NDArray x = array({1, 2}), y = array({3, 5});
  const NDArray gx = array({9, 9}), gy = array({9, 9});
  Executor executor(make_ref<Program>(Graph({{graph.sum}})),
                    {{x, gx, GradReq::kWrite}, {y, gy, GradReq::kAdd}});
  executor.forward(true);
  EXPECT_EQ(elements(executor.outputs()[0]), Values({4, 12}));
  const NDArray head = array({1, 10});
  executor.backward({&head, 1});
  EXPECT_EQ(elements(gx), Values({4, 60}));
  EXPECT_EQ(elements(gy), Values({10, 29}));
  const std::string message = error_of([&] { executor.backward({}); });
  EXPECT_TRUE(contains(message, "sum_output")) << message;
  EXPECT_EQ(elements(gx), Values({4, 60}));
}

}  // namespace
}  // namespace mxtape::program_test

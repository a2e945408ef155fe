#include <atomic>
#include <cmath>
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
using autograd::grad;
using autograd::GradReq;
using autograd::StateScope;
using autograd::VjpCall;
using test::array;
using test::contains;
using test::elements;
using test::error_of;
using test::grad_of;
using test::variable;
using Values = std::vector<double>;

// Runs f under record.
template <class F>
NDArray recorded(F f) {
  const StateScope recording(true, true);
  return f();
}

// Part `which` of `x` cut into `count`.
NDArray part(const NDArray& x, const char* count, size_t which) {
  const OpSchema& op = find_op("SliceChannel");
  Outputs out;
  invoke(op, {&x, 1}, test::params_from(op, {{"num_outputs", count}, {"axis", "0"}}), out);
  return out[which];
}

TEST(Backward, AProductAndASum) {
  const NDArray x = variable({1, 2}), w = variable({3, 4}), b = variable({5, 6});
  backward({{recorded([&] { return x * w + b; })}}, {}, {});
  EXPECT_EQ(grad_of(x), (Values{3, 4}));
  EXPECT_EQ(grad_of(w), (Values{1, 2}));
  EXPECT_EQ(grad_of(b), (Values{1, 1}));
}

TEST(Backward, SumsOverTheArmsOfADiamond) {
  const NDArray x = variable({2, 3});
  const NDArray y = recorded([&] {
    const NDArray h = fn::square(x);  // 2 x
    return (h * 3.0 + h * h) * h;     // 6 h + 3 h^2
  });
  backward({{y}}, {}, {});
  EXPECT_EQ(grad_of(x), (Values{4 * (6 * 4 + 3 * 16), 6 * (6 * 9 + 3 * 81)}));
}

TEST(Backward, AVariableMayBeUsedManyTimes) {
  const NDArray x = variable({2});
  const NDArray y = recorded([&] {
    NDArray sum = x * x * x + x;
    for (int i = 1; i <= 100; ++i) sum = sum + x * static_cast<double>(i);
    return sum;
  });
  backward({{y}}, {}, {});
  EXPECT_EQ(grad_of(x), (Values{12 + 1 + 5050}));
}

TEST(Backward, ArmsOfUnequalLength) {
  // The long arm's nodes are older than the short arm's: neither may run before its heads are
  // whole.
  const NDArray x = variable({1.5});
  const NDArray y = recorded([&] {
    const NDArray early = x * 2.0;
    NDArray late = early;
    for (int i = 0; i < 1000; ++i) late = late + 1.0;
    return early * 3.0 + late;
  });
  backward({{y}}, {}, {});
  EXPECT_EQ(grad_of(x), (Values{8}));
}

TEST(Backward, ManyNodesWaitAtOnce) {
  // A thousand arms that meet: the table of waiting nodes grows and shrinks.
  const NDArray x = variable({1});
  const NDArray y = recorded([&] {
    std::vector<NDArray> arms;
    for (int i = 0; i < 1000; ++i) arms.push_back(fn::square(x * static_cast<double>(i)));
    while (arms.size() > 1) {
      std::vector<NDArray> sums;
      for (size_t i = 0; i + 1 < arms.size(); i += 2) sums.push_back(arms[i] + arms[i + 1]);
      if (arms.size() % 2) sums.push_back(arms.back());
      arms = sums;
    }
    return arms[0];
  });
  backward({{y}}, {}, {});
  EXPECT_EQ(grad_of(x), (Values{2.0 * 999 * 1000 * 1999 / 6}));
}

TEST(Backward, BroadcastInputsGetSums) {
  NDArray column = array(Shape{2, 1}, {1, 2}), row = array({10, 20, 30});
  autograd::mark_variable(column, full({2, 1}, DType::kFloat64, 0), GradReq::kWrite);
  autograd::mark_variable(row, full({3}, DType::kFloat64, 0), GradReq::kWrite);
  backward({{recorded([&] { return column * row; })}}, {}, {});
  EXPECT_EQ(grad_of(column), (Values{60, 60}));
  EXPECT_EQ(grad_of(row), (Values{3, 3, 3}));
}

TEST(Backward, GradReqActsOncePerRun) {
  const NDArray write = variable({1}, GradReq::kWrite, 100),
                add = variable({2}, GradReq::kAdd, 100), null = variable({3}, GradReq::kNull, 100);
  const auto f = [&] { return write * 2.0 + write * 3.0 + add * 5.0 + add * 7.0 + null * write; };
  for (int run = 1; run <= 3; ++run) {
    backward({{recorded(f)}}, {}, {});
    EXPECT_EQ(grad_of(write), (Values{2 + 3 + 3}));
    EXPECT_EQ(grad_of(add), (Values{100.0 + 12 * run}));
    EXPECT_EQ(grad_of(null), (Values{100}));
  }
}

TEST(Backward, ABufferThatSomebodyHoldsStaysTheSame) {
  const NDArray x = variable({1, 2});
  const NDArray held = autograd::leaf_of(x)->grad();
  const uint32_t version = held.storage()->version();
  backward({{recorded([&] { return x + 1.0; })}}, {}, {});
  EXPECT_EQ(autograd::leaf_of(x)->grad().storage(), held.storage());
  EXPECT_GT(held.storage()->version(), version);
  EXPECT_EQ(elements(held), (Values{1, 1}));
}

TEST(Backward, ABufferThatNobodyHoldsIsReplaced) {
  const NDArray x = variable({1, 2});
  const char* address = autograd::leaf_of(x)->grad().bytes();
  backward({{recorded([&] { return x * 3.0; })}}, {}, {});
  EXPECT_NE(autograd::leaf_of(x)->grad().bytes(), address) << "no copy is made";
  EXPECT_EQ(grad_of(x), (Values{3, 3}));
}

TEST(Backward, OnlyNullVariablesAreAnError) {
  const NDArray x = variable({1}, GradReq::kNull, 3);
  const NDArray y = recorded([&] { return x * 2.0; });
  EXPECT_TRUE(contains(error_of([&] { backward({{y}}, {}, {}); }), "no variable with a gradient"));
  EXPECT_EQ(grad_of(x), (Values{3}));
}

TEST(Backward, HeadGradientsWeighTheHeads) {
  const NDArray x = variable({1, 2});
  NDArray y, z;
  recorded([&] {
    y = x * 3.0;
    return z = fn::square(x);
  });
  const NDArray weights = array({10, 100});
  const NDArray heads[] = {y, z}, given[] = {weights, NDArray()};
  backward(heads, given, {true});
  EXPECT_EQ(grad_of(x), (Values{30 + 2, 300 + 4})) << "where none is given it is ones";
  EXPECT_EQ(elements(weights), (Values{10, 100}));
  // One array for both heads, and a head twice: what the caller gave is not summed into.
  const NDArray thrice[] = {y, z, y}, same[] = {weights, weights, weights};
  backward(thrice, same, {});
  EXPECT_EQ(grad_of(x), (Values{60 + 20, 600 + 400}));
  EXPECT_EQ(elements(weights), (Values{10, 100}));
}

TEST(Backward, AHeadMayDependOnAnother) {
  const NDArray x = variable({2});
  NDArray y, z;
  recorded([&] {
    y = fn::square(x);
    return z = fn::square(y);
  });
  const NDArray heads[] = {y, z};
  backward(heads, {}, {});
  EXPECT_EQ(grad_of(x), (Values{4 + 4 * 8}));
}

TEST(Backward, AVariableMayBeAHead) {
  const NDArray x = variable({2, 3});
  backward({{x}}, {{array({5, 6})}}, {});
  EXPECT_EQ(grad_of(x), (Values{5, 6}));
}

TEST(Backward, WrongHeadsChangeNothing) {
  const NDArray x = variable({1, 2}, GradReq::kWrite, 9);
  const NDArray y = recorded([&] { return x * 2.0; });
  const NDArray loose = array({1, 2}), short_grad = array({1}),
                float_grad = array({1, 1}, DType::kFloat32);
  struct Case {
    std::vector<NDArray> heads, grads;
    const char* message;
  };
  const Case cases[] = {
      {{}, {}, "no heads"},
      {{y, loose}, {}, "head 1 of shape (2,) is not in a computational graph"},
      {{y}, {short_grad}, "head 0 has shape (2,) and dtype float64, its head gradient (1,)"},
      {{y}, {float_grad}, "float32"},
      {{y}, {loose, loose}, "1 heads but 2 head gradients"},
  };
  for (const Case& c : cases) {
    const std::string error = error_of([&] { backward(c.heads, c.grads, {}); });
    EXPECT_TRUE(contains(error, c.message)) << error;
    EXPECT_EQ(grad_of(x), (Values{9, 9}));
  }
  backward({{y}}, {}, {});
  EXPECT_EQ(grad_of(x), (Values{2, 2})) << "the graph is still there";
}

TEST(Backward, ARetainedGraphRunsAgain) {
  const NDArray x = variable({3}, GradReq::kAdd);
  const NDArray y = recorded([&] { return fn::square(x) * x; });
  for (int run = 1; run <= 3; ++run) {
    backward({{y}}, {}, {.retain_graph = run < 3});
    EXPECT_EQ(grad_of(x), (Values{27.0 * run}));
  }
  const std::string error = error_of([&] { backward({{y}}, {}, {}); });
  EXPECT_TRUE(contains(error, "has been freed by an earlier backward") &&
              contains(error, "broadcast_mul") && contains(error, "retain_graph=True"))
      << error;
  EXPECT_EQ(grad_of(x), (Values{81}));
}

TEST(Backward, AGraphFreedBelowTheHeadIsAnError) {
  const NDArray x = variable({3}, GradReq::kWrite, -1);
  NDArray y, z;
  recorded([&] {
    const NDArray shared = fn::square(x);
    y = shared * 2.0;
    return z = shared * 5.0;
  });
  backward({{y}}, {}, {});
  EXPECT_EQ(grad_of(x), (Values{12}));
  const std::string error = error_of([&] { backward({{z}}, {}, {}); });
  EXPECT_TRUE(contains(error, "freed by an earlier backward (at square")) << error;
  EXPECT_EQ(grad_of(x), (Values{12}));
}

TEST(Backward, UnusedOutputsCountAsZeros) {
  const NDArray x = variable({1, 2, 3, 4, 5, 6});
  for (size_t used = 0; used < 3; ++used) {
    backward({{recorded([&] { return part(x, "3", used) * 7.0; })}}, {}, {});
    Values expected(6, 0);
    expected[2 * used] = expected[2 * used + 1] = 7;
    EXPECT_EQ(grad_of(x), expected);
  }
}

TEST(Backward, AFailingGradientLeavesAllBuffersAlone) {
  const NDArray x = variable({1, 2}, GradReq::kWrite, 7), w = variable({3, 4}, GradReq::kAdd, 8);
  for (const bool throws : {true, false}) {
    NDArray y;
    recorded([&] {
      // w's gradient is complete long before the probe below it fails.
      const NDArray bad = test::probe({x * 2.0}, array({1, 1}), [throws](VjpCall& call) {
        if (throws) fail_as(ErrorKind::kValue, "on purpose");
        call.grad(0, array({1, 2, 3}));
      });
      return y = bad * w;
    });
    const std::string error = error_of([&] { backward({{y}}, {}, {}); });
    EXPECT_TRUE(contains(error, throws ? "on purpose"
                                       : "its gradient for input 0 has shape "
                                         "(3,)"))
        << error;
    EXPECT_EQ(grad_of(x), (Values{7, 7}));
    EXPECT_EQ(grad_of(w), (Values{8, 8}));
    EXPECT_FALSE(autograd::is_recording());
  }
  // Neither the flags nor the executor are the worse for it.
  backward({{recorded([&] { return x * w; })}}, {}, {});
  EXPECT_EQ(grad_of(x), (Values{3, 4}));
  EXPECT_EQ(grad_of(w), (Values{9, 10}));
}

TEST(Backward, AGradientOfAnotherDTypeIsRefused) {
  const NDArray x = variable({1, 2}, GradReq::kWrite, 7);
  const NDArray y =
      test::probe({x}, x, [](VjpCall& call) { call.grad(0, array({1, 1}, DType::kFloat32)); });
  EXPECT_TRUE(contains(error_of([&] { backward({{y}}, {}, {}); }), "float32"));
  EXPECT_EQ(grad_of(x), (Values{7, 7}));
}

TEST(Backward, TheSweepRunsInTheModeThatWasAskedFor) {
  const NDArray x = variable({1});
  for (const bool train : {false, true}) {
    for (const bool create : {false, true}) {
      bool ran = false;
      const NDArray y = test::probe({x}, x, [&](VjpCall& call) {
        EXPECT_EQ(autograd::is_training(), train);
        EXPECT_EQ(autograd::is_recording(), create);
        EXPECT_EQ(call.create_graph(), create);
        ran = true;
        call.grad(0, call.head(0));
      });
      const StateScope outside(true, !train);
      grad({{y}}, {}, {{x}}, {create, create, train});
      EXPECT_TRUE(ran);
      EXPECT_TRUE(autograd::is_recording());
      EXPECT_EQ(autograd::is_training(), !train);
    }
  }
}

TEST(Backward, ANodeSeesOneSummedHead) {
  const NDArray x = variable({1, 2});
  int calls = 0;
  const NDArray h = test::probe({x}, x, [&](VjpCall& call) {
    ++calls;
    EXPECT_EQ(elements(call.head(0)), (Values{2 + 3 + 5, 2 + 3 + 5}));
    call.grad(0, call.head(0));
  });
  backward({{recorded([&] { return h * 2.0 + h * 3.0 + h * 5.0; })}}, {}, {});
  EXPECT_EQ(calls, 1);
}

TEST(Grad, ReturnsInsteadOfWriting) {
  const NDArray x = variable({1, 2}, GradReq::kWrite, 7), w = variable({3, 4}, GradReq::kAdd, 7);
  const NDArray y = recorded([&] { return x * w; });
  const NDArray wanted[] = {w, x, w};
  const std::vector<NDArray> g = grad({{y}}, {}, wanted, {});
  ASSERT_EQ(g.size(), 3u);
  EXPECT_EQ(elements(g[0]), (Values{1, 2})) << "grad_req does not matter here";
  EXPECT_EQ(elements(g[1]), (Values{3, 4}));
  EXPECT_EQ(elements(g[2]), (Values{1, 2}));
  EXPECT_EQ(grad_of(x), (Values{7, 7}));
  EXPECT_EQ(grad_of(w), (Values{7, 7}));
}

TEST(Grad, RefusesAVariableWithoutAGradient) {
  const NDArray x = variable({1, 2}), w = variable({3, 4}, GradReq::kNull, 7);
  const NDArray y = recorded([&] { return x * w; });
  const NDArray wanted[] = {x, w};
  EXPECT_THROW(grad({{y}}, {}, wanted, {}), Error);
  EXPECT_EQ(grad_of(w), (Values{7, 7}));
}

TEST(Grad, ResultsHaveMemoryOfTheirOwn) {
  const NDArray a = variable({1, 2}), b = variable({3, 4}), weights = array({5, 6});
  for (const bool create : {false, true}) {
    const NDArray sum = recorded([&] { return a + b; });
    const NDArray wanted[] = {a, b, a};
    const std::vector<NDArray> g = grad({{sum}}, {{weights}}, wanted, {create, create});
    for (size_t i = 0; i < g.size(); ++i) {
      EXPECT_EQ(elements(g[i]), (Values{5, 6}));
      EXPECT_NE(g[i].storage(), weights.storage());
      for (size_t k = 0; k < i; ++k) EXPECT_NE(g[i].storage(), g[k].storage());
    }
  }
}

TEST(Grad, CopiedResultsAreDifferentiable) {
  // The gradient is the head gradient itself, which is a variable.
  const NDArray x = variable({1, 2}), head = variable({5, 6});
  const NDArray y = recorded([&] { return x + 0.0; });
  const std::vector<NDArray> g = grad({{y}}, {{head}}, {{x}}, {true, true});
  EXPECT_NE(g[0].storage(), head.storage());
  backward(g, {{array({10, 20})}}, {});
  EXPECT_EQ(grad_of(head), (Values{10, 20}));
}

TEST(Grad, VisitsOnlyWhatLeadsToTheVariables) {
  const NDArray x = variable({1}), w = variable({2});
  int visited = 0, both = 0;
  const auto count = [&](VjpCall& call) {
    ++visited;
    call.grad(0, call.head(0));
  };
  const NDArray y = recorded([&] {
    const NDArray other = test::probe({test::probe({w}, w, count)}, w, count);
    return test::probe({x * 3.0, other}, array({1}), [&](VjpCall& call) {
      ++both;
      EXPECT_TRUE(call.needs(0));
      EXPECT_FALSE(call.needs(1));
      call.grad(0, call.head(0));
      // Not asked for, so not used.
      call.grad(1, call.head(0));
    });
  });
  EXPECT_EQ(elements(grad({{y}}, {}, {{x}}, {true})[0]), (Values{3}));
  EXPECT_EQ(both, 1);
  EXPECT_EQ(visited, 0);
}

TEST(Grad, SkipsHeadsThatDoNotLeadThere) {
  const NDArray x = variable({1}), w = variable({2});
  NDArray y, z;
  recorded([&] {
    y = x * 3.0;
    return z = test::probe({w}, w, [](VjpCall&) { fail("visited"); });
  });
  const NDArray heads[] = {z, y};
  EXPECT_EQ(elements(grad(heads, {}, {{x}}, {})[0]), (Values{3}));
}

TEST(Grad, WantsReachableVariables) {
  const NDArray x = variable({1}), w = variable({2}), constant = array({3});
  const NDArray y = recorded([&] { return x * constant; });
  EXPECT_TRUE(contains(error_of([&] { grad({{y}}, {}, {{constant}}, {}); }),
                       "variable 0 of shape (1,) is not a variable"));
  const NDArray wanted[] = {x, w};
  EXPECT_TRUE(contains(error_of([&] { grad({{y}}, {}, wanted, {}); }),
                       "variable 1 of shape (1,) is not reachable"));
  EXPECT_EQ(elements(grad({{y}}, {}, {{x}}, {})[0]), (Values{3})) << "the graph is still there";
}

TEST(Grad, DifferentiatesItsOwnResult) {
  const NDArray x = variable({0.5, -1.5});
  // x^4 + sin(x): 4 x^3 + cos, 12 x^2 - sin, 24 x - cos, 24 + sin
  NDArray y = recorded([&] { return fn::square(x) * x * x + fn::sin(x); });
  const std::vector<double (*)(double)> derivatives = {
      [](double v) { return 4 * v * v * v + std::cos(v); },
      [](double v) { return 12 * v * v - std::sin(v); },
      [](double v) { return 24 * v - std::cos(v); },
      [](double v) { return 24 + std::sin(v); },
  };
  for (const auto derivative : derivatives) {
    y = grad({{y}}, {}, {{x}}, {true, true})[0];
    EXPECT_NEAR(elements(y)[0], derivative(0.5), 1e-12);
    EXPECT_NEAR(elements(y)[1], derivative(-1.5), 1e-12);
  }
}

TEST(Grad, CrossDerivativesThroughSavedOutputs) {
  const NDArray x = variable({0.3}), w = variable({0.7});
  const NDArray y = recorded([&] { return fn::exp(x * w) * fn::tanh(x); });
  const NDArray gx = grad({{y}}, {}, {{x}}, {true, true})[0];
  backward({{gx}}, {}, {});
  const auto f = [](double a, double b) { return std::exp(a * b) * std::tanh(a); };
  const double e = 1e-4, a = 0.3, b = 0.7;
  const double mixed =
      (f(a + e, b + e) - f(a + e, b - e) - f(a - e, b + e) + f(a - e, b - e)) / (4 * e * e);
  const double twice = (f(a + e, b) - 2 * f(a, b) + f(a - e, b)) / (e * e);
  EXPECT_NEAR(grad_of(w)[0], mixed, 1e-6);
  EXPECT_NEAR(grad_of(x)[0], twice, 1e-6);
}

TEST(Grad, WithoutCreateGraphResultsAreOffTheTape) {
  const NDArray x = variable({2});
  const NDArray y = recorded([&] { return fn::square(x); });
  EXPECT_FALSE(autograd::on_tape(grad({{y}}, {}, {{x}}, {true, false})[0]));
  EXPECT_TRUE(autograd::on_tape(grad({{y}}, {}, {{x}}, {true, true})[0]));
}

TEST(Threads, RunOnTheirOwnGraphsAtOnce) {
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&wrong, t] {
      const double scale = t + 2;
      const NDArray x = variable(Values(50, 0.5));
      for (int round = 0; round < 300; ++round) {
        const NDArray y = recorded([&] {
          NDArray h = x * scale;
          for (int i = 0; i < 20; ++i) h = h + fn::square(x);
          return h;
        });
        backward({{y}}, {}, {});
        if (grad_of(x) != Values(50, scale + 20)) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Threads, RunOnOneRetainedGraphAtOnce) {
  const size_t before = pool_stats().bytes_in_use;
  {
    const NDArray x = variable(Values(50, 0.5));
    const NDArray y = recorded([&] {
      NDArray h = x * 3.0;
      for (int i = 0; i < 20; ++i) h = h + fn::square(x);
      return h;
    });
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&wrong, &x, &y, t] {
        for (int round = 0; round < 300; ++round) {
          // One of them builds a graph over the shared one as it goes.
          const bool create = t == 1;
          const std::vector<NDArray> first = grad({{y}}, {}, {{x}}, {true, create});
          if (elements(first[0]) != Values(50, 23)) ++wrong;
          if (create && elements(grad(first, {}, {{x}}, {true})[0]) != Values(50, 40)) ++wrong;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0);
    backward({{y}}, {}, {});
    EXPECT_EQ(grad_of(x), Values(50, 23));
  }
  EXPECT_EQ(pool_stats().bytes_in_use, before);
}

// The gradient of softmax at (0.25, 0.75), and whether it is where the head was.
struct OverHead {
  Values result;
  bool over;
};
OverHead softmax_grad_over(NDArray head, bool record = false) {
  const OpSchema& op = find_op("_backward_softmax");
  const StateScope recording(record, true);
  const char* at = head.bytes();
  Outputs out;
  invoke_over(op, std::move(head), {array({0.25, 0.75})}, op.params->make(), out);
  return {elements(out[0]), out[0].bytes() == at};
}

TEST(InvokeOver, WritesOverWhatNobodyElseSees) {
  const auto check = [](const OverHead& got, bool over) {
    EXPECT_EQ(got.result, (Values{-0.1875, 0.1875}));  // y * (h - sum(h * y))
    EXPECT_EQ(got.over, over);
  };
  check(softmax_grad_over(array({1, 2})), true);

  const NDArray held = array({1, 2});
  check(softmax_grad_over(held), false);
  EXPECT_EQ(elements(held), (Values{1, 2}));

  // The only handle, but to a part of its buffer.
  check(softmax_grad_over(NDArray(array({0, 1, 2}).storage(), 8, Shape{2}, DType::kFloat64)),
        false);

  const NDArray x = variable({1, 2});
  check(softmax_grad_over(recorded([&] { return x * 1.0; }), true), false);
}

}  // namespace
}  // namespace mxtape

#include "ops/shared/strided.h"

#include <numeric>

#include <gtest/gtest.h>

#include "ops/shared/axis_view.h"
#include "runtime/odometer.h"
#include "support.h"

// Walks over arrays that do not lie in order.
namespace mxtape {
namespace {

using test::elements;

NDArray counted(const Shape& shape, DType dtype) {
  std::vector<double> values(static_cast<size_t>(shape.size()));
  std::iota(values.begin(), values.end(), 0);
  return test::array(shape, values, dtype);
}

TEST(Odometer, CountsEachLoopAndStartsAnywhere) {
  Loops<2> loops;
  loops.add(2, 100, 0);
  loops.add(3, -10, 1);
  loops.add(4, 1, 5);
  std::vector<std::pair<int64_t, int64_t>> offsets;
  for (int64_t i = 0; i < 2; ++i) {
    for (int64_t j = 0; j < 3; ++j) {
      for (int64_t k = 0; k < 4; ++k) offsets.push_back({100 * i - 10 * j + k, j + 5 * k});
    }
  }
  ASSERT_EQ(loops.size(), 24);
  for (int64_t begin = 0; begin < 24; ++begin) {
    Odometer at(loops, begin);
    for (int64_t k = begin; k < begin + 30; ++k, at.next()) {
      const auto& [first, second] = offsets[static_cast<size_t>(k % 24)];
      ASSERT_EQ(at.offset(), first);
      ASSERT_EQ(at.offset(1), second);
    }
  }
}

TEST(Odometer, HasRoomForMoreLoopsThanMostArraysHave) {
  Loops<> loops;
  for (int d = 0; d < 12; ++d) loops.add(2, int64_t{1} << (11 - d));
  Odometer at(loops, 1000);
  for (int64_t k = 1000; k < 4096; ++k, at.next()) ASSERT_EQ(at.offset(), k);
}

TEST(Odometer, TakesNoLoopForNeighboursThatAreOneWalk) {
  Loops<2> loops;
  loops.merge(1, 7, 7);
  loops.merge(2, 12, 0);
  loops.merge(3, 4, 0);
  loops.merge(4, 1, 0);
  EXPECT_EQ(loops.depth(), 1u);
  EXPECT_EQ(loops.innermost().extent, 24);
  loops.merge(5, 0, 1);
  EXPECT_EQ(loops.depth(), 2u);
}

TEST(AxisView, BringsRunsTogetherAndBack) {
  const Shape shape{3, 70, 37};
  for (DType dtype : {DType::kUint8, DType::kFloat16, DType::kInt32, DType::kFloat64}) {
    const NDArray x = counted(shape, dtype);
    const std::vector<double> values = elements(x);
    for (int axis = 0; axis < 3; ++axis) {
      const AxisView view(shape, axis);
      const NDArray runs = contiguous_runs(view, x);
      const std::vector<double> moved = elements(runs);
      for (int64_t run = 0; run < view.runs(); ++run) {
        for (int64_t i = 0; i < view.n; ++i) {
          ASSERT_EQ(moved[static_cast<size_t>(run * view.n + i)],
                    values[static_cast<size_t>(view.start(run) + i * view.inner)]);
        }
      }
      const NDArray back = NDArray::empty(shape, dtype), buffer = run_buffer(view, back);
      copy_strided(runs, dense(runs), buffer, dense(runs));
      store_runs(view, buffer, back);
      ASSERT_EQ(elements(back), values);
    }
  }
}

TEST(AxisView, WithoutAnAxisIsOneRun) {
  const AxisView all(Shape{2, 3}, std::nullopt, "test");
  EXPECT_EQ(all.shape(), (Shape{1, 6, 1}));
  EXPECT_EQ(AxisView(Shape{2, 3}, -1, "test").shape(), (Shape{2, 3, 1}));
  EXPECT_TRUE(test::contains(test::error_of([] { AxisView(Shape{2, 3}, 2, "test"); }), "test"));
}

}  // namespace
}  // namespace mxtape

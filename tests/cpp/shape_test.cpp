#include "core/shape.h"

#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "support.h"

namespace mxtape {
namespace {

using test::contains;
using test::error_of;

// Shapes of every number of dimensions up to 7: in place up to 4, on the heap above.
std::vector<Shape> many_shapes() {
  std::vector<Shape> shapes;
  Ints dims;
  for (int ndim = 0; ndim <= 7; ++ndim) {
    shapes.emplace_back(std::span<const int64_t>(dims));
    dims.push_back(ndim + 2);
  }
  return shapes;
}

TEST(Shape, HoldsItsExtents) {
  const std::vector<Shape> shapes = many_shapes();
  int64_t size = 1;
  for (int ndim = 0; ndim <= 7; ++ndim) {
    const Shape& shape = shapes[static_cast<size_t>(ndim)];
    ASSERT_EQ(shape.ndim(), ndim);
    for (int i = 0; i < ndim; ++i) EXPECT_EQ(shape[i], i + 2);
    EXPECT_EQ(shape.size(), size);
    EXPECT_EQ(shape.end() - shape.begin(), ndim);
    EXPECT_EQ(shape.dims().size(), static_cast<size_t>(ndim));
    size *= ndim + 2;
  }
  EXPECT_EQ(shapes[5].product(1, 3), 3 * 4);
  EXPECT_EQ(shapes[5].product(2, 2), 1);
  EXPECT_EQ((Shape{2, 0, 3}).size(), 0);
}

TEST(Shape, FilledAndListedDiffer) {
  EXPECT_EQ(Shape(3, 1), (Shape{1, 1, 1}));
  EXPECT_EQ((Shape{3, 1}).ndim(), 2);
  EXPECT_EQ(Shape(6, 2), (Shape{2, 2, 2, 2, 2, 2}));
  EXPECT_EQ(Shape(0, 9), Shape());
}

TEST(Shape, EqualOnlyInAllExtents) {
  const std::vector<Shape> shapes = many_shapes();
  for (size_t i = 0; i < shapes.size(); ++i) {
    for (size_t j = 0; j < shapes.size(); ++j) EXPECT_EQ(shapes[i] == shapes[j], i == j);
  }
  Shape changed = shapes[6];
  changed[5] = 99;
  EXPECT_NE(changed, shapes[6]);
  EXPECT_NE((Shape{2, 3}), (Shape{3, 2}));
}

TEST(Shape, CopiesAreIndependent) {
  for (const Shape& from : many_shapes()) {
    for (const Shape& target : many_shapes()) {
      Shape to = target;
      to = from;
      EXPECT_EQ(to, from);
      if (from.ndim()) {
        to[0] = 1000;
        EXPECT_EQ(from[0], 2);
      }
      EXPECT_EQ(Shape(from), from);
    }
  }
}

TEST(Shape, MovesLeaveNothingBehind) {
  for (const Shape& from : many_shapes()) {
    for (const Shape& target : many_shapes()) {
      Shape source = from, to = target;
      to = std::move(source);
      EXPECT_EQ(to, from);
      EXPECT_EQ(source.ndim(), 0);
      Shape made = std::move(to);
      EXPECT_EQ(made, from);
      EXPECT_EQ(to.ndim(), 0);
      // What was moved from may be used again.
      to = from;
      EXPECT_EQ(to, from);
    }
  }
}

TEST(Shape, AssignedToItself) {
  for (const Shape& shape : many_shapes()) {
    Shape same = shape;
    Shape& alias = same;
    same = alias;
    EXPECT_EQ(same, shape);
    same = std::move(alias);
    EXPECT_EQ(same, shape);
  }
}

TEST(Shape, PrintsAsATuple) {
  EXPECT_EQ(Shape().str(), "()");
  EXPECT_EQ((Shape{4}).str(), "(4,)");
  EXPECT_EQ((Shape{2, 3}).str(), "(2, 3)");
  EXPECT_EQ((Shape{1, 2, 3, 4, 5, -1}).str(), "(1, 2, 3, 4, 5, -1)");
  EXPECT_EQ(str_cat(Shape{2, 0}), "(2, 0)");
}

TEST(Shape, Broadcasts) {
  struct Case {
    Shape a, b, out;
  };
  const Case cases[] = {
      {{2, 3}, {2, 3}, {2, 3}},       {{2, 3}, {3}, {2, 3}},
      {{2, 1}, {1, 3}, {2, 3}},       {{}, {4}, {4}},
      {{1}, {2, 2, 2}, {2, 2, 2}},    {{5, 1, 4, 1}, {3, 1, 6}, {5, 3, 4, 6}},
      {{0, 3}, {1, 3}, {0, 3}},       {{1}, {0}, {0}},
      {{2, 1, 0}, {7, 1}, {2, 7, 0}}, {{1, 1, 1, 1, 1, 2}, {3, 1}, {1, 1, 1, 1, 3, 2}},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(broadcast_shape(c.a, c.b, "op"), c.out) << c.a << c.b;
    EXPECT_EQ(broadcast_shape(c.b, c.a, "op"), c.out) << c.b << c.a;
  }
  const std::string error = error_of([] { broadcast_shape({2, 3}, {2, 4}, "some_op"); });
  for (const char* part : {"some_op", "(2, 3)", "(2, 4)", "3 and 4", "axis -1"}) {
    EXPECT_TRUE(contains(error, part)) << error;
  }
  EXPECT_THROW(broadcast_shape({0}, {2}, "op"), Error);
  EXPECT_THROW(broadcast_shape({3, 2}, {2, 2}, "op"), Error);
}

TEST(Shape, AxesCountFromBothEnds) {
  for (int axis = 0; axis < 3; ++axis) {
    EXPECT_EQ(normalize_axis(axis, 3, "op"), axis);
    EXPECT_EQ(normalize_axis(axis - 3, 3, "op"), axis);
  }
  for (int64_t axis : {int64_t{3}, int64_t{-4}, int64_t{1} << 40, -(int64_t{1} << 32)}) {
    const std::string error = error_of([&] { normalize_axis(axis, 3, "some_op"); });
    EXPECT_TRUE(contains(error, "some_op: axis " + std::to_string(axis))) << error;
  }
  EXPECT_THROW(normalize_axis(0, 0, "op"), Error);
}

TEST(Shape, SizesAreChecked) {
  EXPECT_EQ(checked_size({}, "op"), 1);
  EXPECT_EQ(checked_size({2, 3, 4}, "op"), 24);
  EXPECT_EQ(checked_size({2, 0, 4}, "op"), 0);
  EXPECT_EQ(checked_size({int64_t{1} << 58}, "op"), int64_t{1} << 58);
  EXPECT_THROW(checked_size({int64_t{1} << 59}, "op"), Error);
  const std::string error =
      error_of([] { checked_size({int64_t{1} << 32, int64_t{1} << 32}, "some_op"); });
  EXPECT_TRUE(contains(error, "some_op: out of memory: shape (4294967296, 4294967296)")) << error;
  // 2^64 and 3 * 2^63 elements come round to 0 and to a negative number.
  EXPECT_THROW(checked_size({int64_t{1} << 32, int64_t{1} << 32, 1}, "op"), Error);
  EXPECT_THROW(checked_size({3, int64_t{1} << 62, 2}, "op"), Error);
  try {
    checked_size({2, -1}, "op");
    FAIL() << "a negative extent was taken";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kMXNet);
  }
}

}  // namespace
}  // namespace mxtape

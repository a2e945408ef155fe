#include "runtime/tile.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "op/declare.h"
#include "support.h"

namespace mxtape {
namespace {

using test::ThreadCountScope;

// The functions under test and what they mean: small integers, exact in every dtype.
const TileFunction& excess_tile() {
  static const TileFunction f = numeric_tile<2>([](auto a, auto b) {
    using T = typename decltype(a)::Scalar;
    return (a > b).select(a - b, T(0));
  });
  return f;
}
double excess(const double* x) { return x[0] > x[1] ? x[0] - x[1] : 0; }

const TileFunction& three_tile() {
  static const TileFunction f =
      numeric_tile<3>([](auto a, auto b, auto c) { return (a > b).select(a, c); });
  return f;
}
double three(const double* x) { return x[0] > x[1] ? x[0] : x[2]; }

const TileFunction& five_tile() {
  static const TileFunction f = numeric_tile<5>([](auto a, auto b, auto c, auto d, auto e) {
    using T = typename decltype(a)::Scalar;
    return a + b * T(2) + c * T(3) + d * T(4) + e * T(5);
  });
  return f;
}
double five(const double* x) { return x[0] + 2 * x[1] + 3 * x[2] + 4 * x[3] + 5 * x[4]; }

using OfRow = double (*)(const double*);

NDArray numbers(const Shape& shape, DType dtype, uint32_t seed) {
  std::vector<double> values(static_cast<size_t>(shape.size()));
  for (double& v : values) {
    seed = seed * 1664525u + 1013904223u;
    v = dtype == DType::kBool ? seed >> 31 : seed >> 29;
  }
  return test::array(shape, values, dtype);
}

// Where element `i` of an array of shape `out` lies in one of shape `in` that broadcasts to it.
int64_t source_index(int64_t i, const Shape& out, const Shape& in) {
  int64_t index = 0, step = 1;
  for (int d = out.ndim() - 1; d >= 0; --d) {
    const int64_t at = i % out[d];
    i /= out[d];
    const int k = d - (out.ndim() - in.ndim());
    if (k < 0) continue;
    if (in[k] != 1) index += at * step;
    step *= in[k];
  }
  return index;
}

void check(const TileFunction& f, OfRow reference, const std::vector<NDArray>& arrays,
           const Shape& shape, DType out_dtype, DType compute) {
  SCOPED_TRACE(testing::Message() << shape << " " << out_dtype << " computed in " << compute);
  std::vector<TileOperand> operands;
  std::vector<std::vector<double>> values;
  for (const NDArray& x : arrays) {
    SCOPED_TRACE(testing::Message() << "operand " << x.shape() << " " << x.dtype());
    operands.push_back(x);
    values.push_back(test::elements(x));
  }
  // Rubbish around and in the output: it must all be overwritten, and nothing beside it.
  const NDArray frame = NDArray::empty(Shape{shape.size() + 64}, out_dtype);
  std::memset(frame.bytes(), 0x5b, frame.nbytes());
  const auto item = static_cast<int64_t>(item_size(out_dtype));
  const NDArray out(frame.storage(), 32 * item, shape, out_dtype);
  run_tiles(f, compute, operands, out, nullptr);
  for (int64_t i = 0; i < 32 * item; ++i) {
    ASSERT_EQ(frame.bytes()[i], 0x5b);
    ASSERT_EQ(out.bytes()[out.nbytes() + static_cast<size_t>(i)], 0x5b);
  }
  const std::vector<double> got = test::elements(out);
  for (int64_t i = 0; i < out.size(); ++i) {
    double x[8] = {};
    for (size_t k = 0; k < arrays.size(); ++k) {
      x[k] = values[k][static_cast<size_t>(source_index(i, shape, arrays[k].shape()))];
    }
    const double expected = reference(x);
    ASSERT_EQ(got[static_cast<size_t>(i)],
              out_dtype == DType::kBool ? static_cast<double>(expected != 0) : expected)
        << "element " << i << " of operands " << arrays[0].shape() << arrays[1].shape();
  }
}

DType dtype_at(int i) { return static_cast<DType>(i); }

TEST(Tile, EveryPatternOfBroadcasting) {
  const Shape shape{3, 4, 2, 5};
  // Each bit says that an axis of an operand has extent 1; leading ones are left out as well.
  const auto operand = [&](int mask, bool strip, uint32_t seed) {
    Ints dims;
    for (int d = 0; d < 4; ++d) dims.push_back(mask >> d & 1 ? 1 : shape[d]);
    while (strip && !dims.empty() && dims[0] == 1) dims.erase(dims.begin());
    return numbers(Shape(dims), DType::kFloat32, seed);
  };
  for (int left = 0; left < 16; ++left) {
    for (int right = 0; right < 16; ++right) {
      for (bool strip : {false, true}) {
        check(excess_tile(), excess, {operand(left, strip, 1), operand(right, !strip, 2)}, shape,
              DType::kFloat32, DType::kFloat32);
      }
      check(three_tile(), three,
            {operand(left, false, 1), operand(right, false, 2), operand(left ^ right, true, 3)},
            shape, DType::kFloat32, DType::kFloat32);
    }
  }
}

TEST(Tile, EveryPairOfDTypes) {
  const Shape shape{5, 300};
  for (int in = 0; in < kDTypeCount; ++in) {
    for (int out = 0; out < kDTypeCount; ++out) {
      const DType dtype = dtype_at(in);
      const DType compute = excess_tile().compute_dtype(dtype);
      for (const Shape& left : {shape, Shape{300}, Shape{5, 1}, Shape{1}}) {
        check(excess_tile(), excess, {numbers(left, dtype, 1), numbers(shape, dtype, 2)}, shape,
              dtype_at(out), compute);
      }
    }
    // Operands of different dtypes.
    for (int other = 0; other < kDTypeCount; ++other) {
      check(excess_tile(), excess,
            {numbers({5, 1}, dtype_at(in), 1), numbers({300}, dtype_at(other), 2)}, shape,
            DType::kInt32, DType::kFloat64);
    }
  }
}

TEST(Tile, SizesAroundTheBordersOfTilesAndPieces) {
  for (int cost : {1, 16, 1000}) {
    TileFunction f = excess_tile();
    f.cost = cost;
    for (int64_t border : {1, 1024, 2048, 4096, 65536, 131072}) {
      for (int64_t n : {border - 1, border, border + 1}) {
        if (n == 0) continue;
        for (DType dtype : {DType::kFloat32, DType::kFloat16, DType::kInt8}) {
          const DType compute = f.compute_dtype(dtype);
          const NDArray x = numbers({n}, dtype, 1);
          check(f, excess, {x, numbers({n}, dtype, 2)}, {n}, dtype, compute);
          check(f, excess, {x, numbers({1}, dtype, 4)}, {n}, dtype, compute);
        }
      }
    }
  }
}

TEST(Tile, RowsThatCrossTheBorders) {
  TileFunction f = excess_tile();
  f.cost = 64;
  for (int64_t columns : {1, 3, 1000, 1023, 1024, 1025, 3000}) {
    for (int64_t rows : {2, 7}) {
      for (DType dtype : {DType::kFloat64, DType::kFloat16, DType::kBool}) {
        const Shape shape{rows, columns};
        const DType compute = f.compute_dtype(dtype);
        const NDArray x = numbers(shape, dtype, 1), row = numbers({columns}, dtype, 2),
                      column = numbers({rows, 1}, dtype, 3);
        check(f, excess, {x, row}, shape, dtype, compute);
        check(f, excess, {column, x}, shape, dtype, compute);
        check(f, excess, {row, column}, shape, dtype, compute);
      }
    }
  }
}

TEST(Tile, ManyOperandsAndManyAxes) {
  const Ints dims[] = {{2, 3, 1, 2, 3, 2, 1, 3, 2, 5},
                       {2, 1, 1, 2, 1, 2, 1, 1, 2, 1},
                       {3, 1, 1, 1, 1},
                       {1},
                       {1, 3, 1, 1, 3, 1, 1, 3, 1, 5}};
  const Shape shape(dims[0]);
  for (DType dtype : {DType::kFloat32, DType::kFloat16}) {
    std::vector<NDArray> arrays;
    for (uint32_t i = 0; i < 5; ++i) arrays.push_back(numbers(Shape(dims[i]), dtype, i));
    check(five_tile(), five, arrays, shape, dtype, DType::kFloat32);
  }
}

TEST(Tile, NumbersStandForArrays) {
  for (int code = 0; code < kDTypeCount; ++code) {
    const DType dtype = dtype_at(code);
    const DType compute = excess_tile().compute_dtype(dtype);
    const NDArray x = numbers({1500}, dtype, 1);
    const std::vector<double> values = test::elements(x);
    for (bool left : {false, true}) {
      const NDArray out = NDArray::empty({1500}, DType::kFloat32);
      TileOperand operands[2];
      operands[left ? 1 : 0].array = &x;
      operands[left ? 0 : 1].scalar = 3;
      run_tiles(excess_tile(), compute, operands, out, nullptr);
      for (int64_t i = 0; i < 1500; ++i) {
        const double v = values[static_cast<size_t>(i)];
        const double pair[] = {left ? 3 : v, left ? v : 3};
        ASSERT_EQ(out.data<float>()[i], excess(pair)) << dtype;
      }
    }
  }
}

TEST(Tile, OutputMayBeTheInput) {
  for (DType dtype : {DType::kFloat32, DType::kFloat16}) {
    const NDArray x = numbers({70000}, dtype, 1), y = numbers({70000}, dtype, 2);
    const NDArray expected = NDArray::empty({70000}, dtype);
    const TileOperand operands[] = {TileOperand(x), TileOperand(y)};
    run_tiles(excess_tile(), DType::kFloat32, operands, expected, nullptr);
    run_tiles(excess_tile(), DType::kFloat32, operands, y, nullptr);
    EXPECT_EQ(0, std::memcmp(y.bytes(), expected.bytes(), y.nbytes())) << dtype;
  }
}

TEST(Tile, NothingRunsForNoElements) {
  TileFunction f;
  f.kernels[0] = [](const void* const*, void*, int64_t, const void*) { fail("the kernel ran"); };
  const NDArray x = NDArray::empty({0, 3}, DType::kFloat32);
  const NDArray row = full({3}, DType::kFloat32, 1);
  const TileOperand operands[] = {TileOperand(x), TileOperand(row)};
  EXPECT_NO_THROW(run_tiles(f, DType::kFloat32, operands, x, nullptr));
}

TEST(Tile, BitsDoNotDependOnThreads) {
  TileFunction f = floating_tile<2>([](auto a, auto b) { return a.exp() * b.sin() + a / b; });
  const Shape shape{3, 65536 + 17};
  const auto draw = [](const Shape& s, DType dtype, uint32_t seed) {
    std::vector<double> values(static_cast<size_t>(s.size()));
    for (double& v : values) {
      seed = seed * 1664525u + 1013904223u;
      v = static_cast<double>(seed >> 8) / (1 << 24) + 0.1;
    }
    return test::array(s, values, dtype);
  };
  for (int cost : {1, 20, 1000}) {
    f.cost = cost;
    for (DType dtype : {DType::kFloat32, DType::kFloat64, DType::kFloat16}) {
      for (const Shape& right : {shape, Shape{3, 1}, Shape{65536 + 17}}) {
        const NDArray a = draw(shape, dtype, 1), b = draw(right, dtype, 2);
        const TileOperand operands[] = {TileOperand(a), TileOperand(b)};
        const NDArray one = NDArray::empty(shape, dtype);
        {
          const ThreadCountScope scope(1);
          run_tiles(f, f.compute_dtype(dtype), operands, one, nullptr);
        }
        for (int threads : {2, 3, 7}) {
          const ThreadCountScope scope(threads);
          const NDArray many = NDArray::empty(shape, dtype);
          std::memset(many.bytes(), 0xff, many.nbytes());
          run_tiles(f, f.compute_dtype(dtype), operands, many, nullptr);
          EXPECT_EQ(0, std::memcmp(one.bytes(), many.bytes(), one.nbytes()))
              << dtype << " on " << threads << " threads at cost " << cost;
        }
      }
    }
  }
}

}  // namespace
}  // namespace mxtape

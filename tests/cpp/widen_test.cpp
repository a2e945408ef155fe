#include "runtime/widen.h"

#include <vector>

#include <Eigen/Core>
#include <gtest/gtest.h>

#include "support.h"

namespace mxtape {
namespace {

NDArray numbers(DType dtype, int64_t n) {
  NDArray array = NDArray::empty(Shape{n}, dtype);
  for (int64_t i = 0; i < n; ++i) {
    const double value = static_cast<double>(i) / 4 - 3;
    convert(DType::kFloat64, &value, dtype,
            array.bytes() + i * static_cast<int64_t>(item_size(dtype)), 1);
  }
  return array;
}

double value_at(const NDArray& array, int64_t i) {
  double value = 0;
  convert(array.dtype(), array.bytes() + i * static_cast<int64_t>(item_size(array.dtype())),
          DType::kFloat64, &value, 1);
  return value;
}

TEST(Widen, ArraysOfOtherTypesAreTakenAsTheyAre) {
  const NDArray x = numbers(DType::kFloat32, 5);
  EXPECT_EQ(widened(x).bytes(), x.bytes());
  EXPECT_EQ(widened(x.dtype(), x.bytes(), 5).bytes(), x.bytes());
  const WideOutput out(x);
  EXPECT_EQ(out.array().bytes(), x.bytes());
  EXPECT_FALSE(widened(DType::kFloat32, nullptr, 0).defined());
}

TEST(Widen, NarrowArraysAreCopiedAndRoundedBack) {
  for (const DTypeTraits& traits : kDTypeTraits) {
    if (!is_narrow(traits.dtype)) continue;
    SCOPED_TRACE(std::string(traits.name));
    const int64_t n = (1 << 16) + 37;  // more than a piece of one thread
    const NDArray x = NDArray::empty(Shape{n}, traits.dtype);
    fill(traits.dtype, 1.5, x.bytes(), n);
    const NDArray wide = widened(x);
    ASSERT_EQ(wide.dtype(), traits.compute);
    const WideOutput out(x);
    for (int64_t i = 0; i < n; ++i) out.data<float>()[i] = 2 * wide.data<float>()[i] + 1e-4f;
    EXPECT_EQ(value_at(x, n - 1), 1.5);  // not before finish()
    out.finish();
    for (int64_t i : {int64_t{0}, n / 2, n - 1}) EXPECT_EQ(value_at(x, i), 3.0);
  }
}

template <class T>
void check_runs() {
  constexpr int64_t kRun = 10;
  const NDArray x = numbers(dtype_of<T>, kRun), y = numbers(dtype_of<T>, kRun);
  const auto doubled = [&](auto& in, auto& out) {
    const auto* from = in.read(x.data<T>(), kRun);
    auto* to = out.place(y.data<T>(), kRun);
    for (int64_t i = 0; i < kRun; ++i) to[i] = 2 * from[i];
    out.written(y.data<T>(), kRun);
    for (int64_t i = 0; i < kRun; ++i) EXPECT_EQ(value_at(y, i), 2 * value_at(x, i));
  };
  WideRun<T> in, out;
  doubled(in, out);
  WideRun<T, kRun> fixed_in, fixed_out;
  doubled(fixed_in, fixed_out);
}

TEST(Widen, RunsOfATypeKnown) {
  check_runs<float>();
  check_runs<double>();
  check_runs<float16>();
}

TEST(Widen, RunsOfAnArray) {
  for (const DTypeTraits& traits : kDTypeTraits) {
    if (!is_floating(traits.dtype) || is_storage_only(traits.dtype)) continue;
    SCOPED_TRACE(std::string(traits.name));
    const NDArray x = numbers(traits.dtype, 12), y = numbers(traits.dtype, 12);
    ArrayRun<double> in(x), out(y);
    for (int64_t stride : {1, 3}) {
      const double* from = in.read(2, 3, stride);
      double* to = out.place(1, 3, stride);
      for (int64_t i = 0; i < 3; ++i) to[i] = from[i] + 1;
      out.store(1, 3, stride);
      for (int64_t i = 0; i < 3; ++i) {
        EXPECT_EQ(value_at(y, 1 + i * stride), value_at(x, 2 + i * stride) + 1);
      }
    }
  }
}

}  // namespace
}  // namespace mxtape

#include "core/dtype.h"

#include <set>
#include <string>

#include <Eigen/Core>
#include <gtest/gtest.h>

#include "core/error.h"

namespace mxtape {
namespace {

// The type that a set gives for a dtype, as a number that tells types apart.
template <class T>
inline constexpr int kId = static_cast<int>(10 * sizeof(T)) + std::is_signed_v<T>;

template <class Set>
int chosen(DType dtype) {
  return dispatch<Set>(dtype, [](auto tag) { return kId<typename decltype(tag)::type>; });
}

TEST(DType, TableAgreesWithTheTypes) {
  std::set<std::string_view> names;
  std::set<int> flags;
  for (const DTypeTraits& traits : kDTypeTraits) {
    SCOPED_TRACE(std::string(traits.name));
    EXPECT_TRUE(names.insert(traits.name).second);
    EXPECT_TRUE(flags.insert(traits.flag).second);
    EXPECT_EQ(&traits_of(traits.dtype), &traits);
    EXPECT_GE(traits_of(traits.compute).size, traits.size);
    EXPECT_FALSE(is_narrow(traits.compute));
  }
  const auto check = [](const auto& row) {
    using T = typename std::decay_t<decltype(row)>::type;
    EXPECT_EQ(sizeof(T), row.size) << row.name;
    EXPECT_EQ(dtype_of<T>, row.dtype) << row.name;
    EXPECT_EQ(dtype_of<compute_type<T>>, row.compute) << row.name;
  };
  std::apply([&](const auto&... row) { (check(row), ...); }, kDTypes);
}

TEST(DType, WhatFilesAndDLPackSay) {
  EXPECT_EQ(traits_of(DType::kFloat32).flag, 0);
  EXPECT_EQ(traits_of(DType::kFloat16).flag, 2);
  EXPECT_EQ(traits_of(DType::kInt64).flag, 6);
  EXPECT_EQ(traits_of(DType::kBool).flag, 7);
  EXPECT_EQ(traits_of(DType::kBfloat16).flag, 12);
  EXPECT_EQ(static_cast<int>(traits_of(DType::kBfloat16).kind), 4);
  EXPECT_EQ(static_cast<int>(traits_of(DType::kUint8).kind), 1);
  EXPECT_EQ(static_cast<int>(traits_of(DType::kBool).kind), 6);
}

TEST(DType, ExactIntegers) {
  EXPECT_EQ(exact_integers(DType::kFloat32), int64_t{1} << 24);
  EXPECT_EQ(exact_integers(DType::kFloat16), 2048);
  EXPECT_EQ(exact_integers(DType::kUint8), 256);
  EXPECT_EQ(exact_integers(DType::kInt64), INT64_MAX);
}

TEST(DType, DispatchGivesEachDTypeItsType) {
  for (const DTypeTraits& traits : kDTypeTraits) {
    // For a dtype that is only stored, no kernel is compiled.
    if (!is_storage_only(traits.dtype)) {
      EXPECT_EQ(
          dispatch(traits.dtype, [](auto tag) { return dtype_of<typename decltype(tag)::type>; }),
          traits.dtype);
    }
    EXPECT_EQ(dispatch<ElementTypes>(traits.dtype,
                                     [](auto tag) { return sizeof(typename decltype(tag)::type); }),
              traits.size);
  }
}

TEST(DType, SumsWrapAroundInUnsignedTypes) {
  EXPECT_EQ(chosen<WrappingTypes>(DType::kInt8), kId<uint8_t>);
  EXPECT_EQ(chosen<WrappingTypes>(DType::kBool), kId<uint8_t>);
  EXPECT_EQ(chosen<WrappingTypes>(DType::kInt32), kId<uint32_t>);
  EXPECT_EQ(chosen<WrappingTypes>(DType::kInt64), kId<uint64_t>);
  EXPECT_EQ(chosen<WrappingTypes>(DType::kFloat64), kId<double>);
}

TEST(DType, ASetRefusesWhatItLeavesOut) {
  EXPECT_EQ(chosen<SingleOrDouble>(DType::kFloat32), kId<float>);
  EXPECT_THROW(chosen<SingleOrDouble>(DType::kFloat16), Error);
  EXPECT_THROW(chosen<FloatingTypes>(DType::kInt32), Error);
  EXPECT_THROW(chosen<NumberTypes>(DType::kBool), Error);
  EXPECT_THROW(chosen<AllTypes>(DType::kBfloat16), Error);
}

}  // namespace
}  // namespace mxtape

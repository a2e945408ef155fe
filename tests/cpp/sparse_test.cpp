#include "op/sparse.h"

#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "op/registry.h"
#include "support.h"

namespace mxtape {
namespace {

using enum StorageType;
using test::array;
using test::contains;
using test::elements;
using test::error_of;

NDArray integers(const std::vector<double>& values) { return array(values, DType::kInt64); }

SparseParts rows_parts(std::vector<double> indices) {
  const auto n = static_cast<int64_t>(indices.size());
  return {full(Shape{n, 2}, DType::kFloat64, 1), integers(indices), {}};
}

std::string refused(StorageType type, const Shape& shape, SparseParts parts) {
  return error_of([&] { check_parts("made", type, shape, parts); });
}

TEST(Sparse, PartsAreCheckedAsTheyComeIn) {
  EXPECT_EQ(refused(kRowSparse, Shape{4, 2}, rows_parts({0, 3})), "no error");
  EXPECT_TRUE(contains(refused(kRowSparse, Shape{4, 2}, rows_parts({0, 4})), "indices[1] is 4"));
  EXPECT_TRUE(contains(refused(kRowSparse, Shape{4, 2}, rows_parts({-1})), "indices[0] is -1"));
  EXPECT_TRUE(contains(refused(kRowSparse, Shape{4, 2}, rows_parts({2, 2})), "must ascend"));
  EXPECT_TRUE(contains(refused(kRowSparse, Shape{4, 3}, rows_parts({2})), "data must have shape"));
  SparseParts csr{array({1, 2}), integers({1, 0}), integers({0, 2})};
  check_parts("made", kCsr, Shape{1, 2}, csr);
  EXPECT_FALSE(csr.canonical);
  EXPECT_TRUE(contains(refused(kCsr, Shape{2, 2}, csr), "indptr must be a vector of 3"));
  csr.indptr = integers({0, 3, 2});
  EXPECT_TRUE(contains(refused(kCsr, Shape{2, 2}, csr), "indptr must not descend"));
}

TEST(Sparse, MemoryAndViewsAreRefused) {
  const NDArray x = empty_sparse(kCsr, Shape{2, 3}, DType::kFloat32);
  EXPECT_TRUE(is_sparse(x));
  EXPECT_TRUE(contains(error_of([&] { x.bytes(); }), "storage type csr"));
  EXPECT_TRUE(contains(error_of([&] { x.viewed(Shape{6}); }), "no view of shape"));
  EXPECT_TRUE(contains(error_of([&] { x.rows(0, 1); }), "no view of shape"));
  EXPECT_EQ(x.detached().shape(), (Shape{2, 3}));
}

TEST(Sparse, EqualColumnsAreAddedInTheirOrder) {
  const SparseParts parts{array({1, 2, 4, 8}), integers({2, 0, 2, 1}), integers({0, 3, 4}), false};
  const SparseParts sums = canonical_parts(parts);
  EXPECT_EQ(elements(sums.data), (std::vector<double>{2, 5, 8}));
  EXPECT_EQ(elements(sums.indices), (std::vector<double>{0, 2, 1}));
  EXPECT_EQ(elements(sums.indptr), (std::vector<double>{0, 2, 3}));
  const NDArray dense = full(Shape{2, 3}, DType::kFloat64, 7);
  write_dense(parts, kCsr, dense);
  EXPECT_EQ(elements(dense), (std::vector<double>{2, 0, 5, 0, 8, 0}));
}

TEST(Sparse, RowsAreWrittenForAnyNumberOfThreads) {
  const int64_t rows = 20000, row = 7;
  NDArray dense = full(Shape{rows, row}, DType::kFloat64, 0);
  for (int64_t i = 5; i < rows; i += 3) dense.data<double>()[i * row + i % row] = double(i);
  for (const StorageType type : {kRowSparse, kCsr}) {
    for (const int threads : {1, 3}) {
      const test::ThreadCountScope scope(threads);
      const SparseParts parts = parts_from_dense(dense, type);
      const NDArray again = full(dense.shape(), DType::kFloat64, 9);
      write_dense(parts, type, again);
      EXPECT_EQ(elements(again), elements(dense));
    }
  }
}

TEST(Sparse, PartsAreSharedUntilTheyAreWrittenTo) {
  const NDArray x = make_sparse(kRowSparse, Shape{4, 2}, rows_parts({1, 2}));
  const NDArray y = make_sparse(kRowSparse, Shape{4, 2}, parts_of(x));
  EXPECT_EQ(parts_of(x).data.bytes(), parts_of(y).data.bytes());
  writable_data(y).data<double>()[0] = 5;
  EXPECT_EQ(elements(parts_of(x).data), (std::vector<double>{1, 1, 1, 1}));
  EXPECT_EQ(elements(parts_of(y).data), (std::vector<double>{5, 1, 1, 1}));
  const char* own = parts_of(y).data.bytes();
  EXPECT_EQ(writable_data(y).bytes(), own);
}

TEST(Sparse, AssignmentConvertsBetweenAllStorageTypes) {
  const NDArray dense = array(Shape{3, 2}, {0, 1, 0, 0, 2, 3});
  for (const StorageType from : {kDense, kRowSparse, kCsr}) {
    for (const StorageType to : {kDense, kRowSparse, kCsr}) {
      const NDArray target = cast_storage(full(Shape{3, 2}, DType::kFloat64, 8), to);
      const uint32_t version = target.storage()->version();
      assign(target, cast_storage(dense, from));
      EXPECT_EQ(storage_type(target), to);
      EXPECT_EQ(elements(in_dense(target)), elements(dense));
      EXPECT_NE(target.storage()->version(), version);
    }
  }
}

TEST(Sparse, TheFirstRowThatMatchesIsTaken) {
  const OpSchema& cast = find_op("cast_storage");
  const auto found = [&](StorageType from, CastStorageParams::Type to) {
    const StorageType types[] = {from};
    const ParamsRef params = make_params(CastStorageParams{to});
    const SparseRow* row = find_sparse_row(SparseMatch(cast, types, params.get(), {}));
    return row ? row->output : kUndefined;
  };
  EXPECT_EQ(found(kDense, CastStorageParams::Type::kCsr), kCsr);
  EXPECT_EQ(found(kCsr, CastStorageParams::Type::kRowSparse), kRowSparse);
  EXPECT_EQ(found(kCsr, CastStorageParams::Type::kDefault), kDense);
  const StorageType types[] = {kCsr};
  EXPECT_EQ(find_sparse_row(SparseMatch(find_op("softmax"), types, nullptr, {})), nullptr);
}

TEST(Sparse, ARowOfNoOperatorIsRefused) {
  Registry registry;
  static const SparseRow row{{kCsr}, kCsr, nullptr};
  registry.add_sparse_row("nothing", &row);
  EXPECT_TRUE(contains(error_of([&] { registry.finish(); }), "there is no operator nothing"));
}

}  // namespace
}  // namespace mxtape

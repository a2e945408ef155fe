#include <algorithm>
#include <vector>

#include "op/declare.h"
#include "op/sparse.h"
#include "ops/shared/strided.h"

// Conversion between storage types, and copies.
namespace mxtape {
namespace {

using enum StorageType;
using Target = CastStorageParams::Type;

template <Target target>
bool is_wanted(const SparseMatch& match) {
  return match.params<CastStorageParams>().stype == target;
}

void to_dense(SparseCall& call) {
  const NDArray& out = call.dense_out();
  if (call.storage(0) == kDense) {
    if (out.size()) copy_strided(call.in(0), dense(call.in(0)), out, dense(out));
  } else {
    write_dense(call.parts(0), call.storage(0), out);
  }
}

// The rows that have elements, in memory, and from there.
SparseParts rows_of_csr(const SparseParts& csr, const Shape& shape) {
  const int64_t* pointers = csr.pointers();
  std::vector<int64_t> rows, ends{0};
  for (int64_t i = 0; i < shape[0]; ++i) {
    if (pointers[i + 1] == pointers[i]) continue;
    rows.push_back(i);
    ends.push_back(pointers[i + 1]);
  }
  SparseParts there = csr;
  there.indptr = NDArray::empty(Shape{static_cast<int64_t>(ends.size())}, DType::kInt64);
  std::ranges::copy(ends, there.indptr.data<int64_t>());
  const NDArray dense =
      NDArray::empty(Shape{static_cast<int64_t>(rows.size()), shape[1]}, csr.data.dtype());
  write_dense(there, kCsr, dense);
  SparseParts parts = parts_from_dense(dense, kRowSparse);
  auto* index = parts.indices.data<int64_t>();
  for (int64_t k = 0; k < parts.count(); ++k) index[k] = rows[static_cast<size_t>(index[k])];
  return parts;
}

SparseParts csr_of_rows(const SparseParts& rows, const Shape& shape) {
  SparseParts parts = parts_from_dense(rows.data, kCsr);
  const NDArray ends = parts.indptr;
  parts.indptr = NDArray::empty(Shape{shape[0] + 1}, DType::kInt64);
  auto* pointers = parts.indptr.data<int64_t>();
  for (int64_t i = 0, k = 0; i <= shape[0]; ++i) {
    pointers[i] = ends.data<int64_t>()[k];
    if (k < rows.count() && rows.index()[k] == i) ++k;
  }
  return parts;
}

void to_sparse(SparseCall& call) {
  const StorageType target = call.output().storage, source = call.storage(0);
  if (source == target) return call.result(0, call.parts(0));
  if (source == kDense) return call.result(0, parts_from_dense(call.in(0), target));
  const Shape& shape = call.output().shape;
  const SparseParts parts = call.parts(0);
  call.result(0, source == kCsr ? rows_of_csr(parts, shape) : csr_of_rows(parts, shape));
}

void share_parts(SparseCall& call) { call.result(0, call.parts(0)); }

OP(cast_storage)
    .inputs("data")
    .params<CastStorageParams>()
    .infer([](InferCall& call) {
      const Target target = call.params<CastStorageParams>().stype;
      const int ndim = call.partial_shape(0).ndim();
      call.expect(target != Target::kCsr || ndim == 2,
                  "a csr array has 2 dimensions, the array has ", ndim);
      call.expect(target != Target::kRowSparse || ndim > 0,
                  "a row_sparse array has at least 1 dimension");
      infer_same_shape(call);
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const NDArray &in = call.in(0), &out = call.out();
      if (in.size() > 0) copy_strided(in, dense(in), out, dense(out));
    })
    .vjp([](Vjp& v) { v.grad(0, v.head()); })
    .doc("A copy of the array in another storage type.")
    .example(R"(
>>> mx.nd.cast_storage(mx.nd.array([[0, 1], [0, 0]]), stype="csr").asnumpy().tolist()
[[0.0, 1.0], [0.0, 0.0]]
)");

const SparseRows cast_rows({"cast_storage"},
                           {{{kUndefined}, kCsr, to_sparse, is_wanted<Target::kCsr>},
                            {{kUndefined}, kRowSparse, to_sparse, is_wanted<Target::kRowSparse>},
                            {{kUndefined}, kDense, to_dense, is_wanted<Target::kDefault>}});

const SparseRows copy_rows({"_copy"},
                           {{{kCsr}, kCsr, share_parts}, {{kRowSparse}, kRowSparse, share_parts}});

}  // namespace
}  // namespace mxtape

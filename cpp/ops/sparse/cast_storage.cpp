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

void to_sparse(SparseCall& call) {
  const StorageType target = call.output().storage, source = call.storage(0);
  if (source == target) return call.result(0, call.parts(0));
  if (source == kDense) return call.result(0, parts_from_dense(call.in(0), target));
  const NDArray dense = NDArray::empty(call.output().shape, call.output().dtype);
  write_dense(call.parts(0), source, dense);
  call.result(0, parts_from_dense(dense, target));
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

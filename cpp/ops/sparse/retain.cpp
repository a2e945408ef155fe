#include <algorithm>

#include "op/declare.h"
#include "op/sparse.h"
#include "ops/shared/index.h"
#include "ops/sparse/row_places.h"

namespace mxtape {
namespace {

using enum StorageType;

const fn::Op<> sparse_retain{"_sparse_retain"};

// Row numbers in range, ascending and none twice.
NDArray distinct_rows(const SparseCall& call, int64_t rows) {
  NDArray numbers = index_numbers(call.in(1));
  auto *first = numbers.data<int64_t>(), *last = first + numbers.size();
  for (const int64_t* at = first; at != last; ++at) {
    if (*at < 0 || *at >= rows) {
      fail(call.op().name, ": index ", index_text(*at), " is out of range for an array of ", rows,
           " rows");
    }
  }
  if (!std::is_sorted(first, last)) std::sort(first, last);
  return numbers.rows(0, std::unique(first, last) - first);
}

// Rows that are named and not there are zeros, as in MXNet; an array without rows stays one.
void retain(SparseCall& call) {
  const SparseParts& parts = call.parts(0);
  Shape shape = call.output().shape;
  const int64_t rows = shape[0];
  const NDArray wanted = distinct_rows(call, rows);
  if (parts.count() == 0) return call.result(0, parts);
  shape[0] = wanted.size();
  const NDArray data = NDArray::empty(shape, call.output().dtype);
  gather_sparse_rows(parts, rows, wanted, data);
  call.result(0, SparseParts{data, wanted, {}});
}

OP(_sparse_retain)
    .inputs("data", "indices")
    .infer([](InferCall& call) {
      call.expect(call.shape(0).ndim() > 0, "data must have rows");
      call.output(0, call.shape(0), call.dtype(0));
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      fail(call.name(), ": data must be a row_sparse array; tostype('row_sparse') makes one");
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kNothing, Keep::kData})
    .vjp([](Vjp& v) { v.grad(0, sparse_retain(cast_storage(v.head(), kRowSparse), v.input(1))); })
    .doc(
        "The rows of a row_sparse array that the indices name. A row that is named and not there "
        "is "
        "zeros.")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [0, 0], [3, 4]]).tostype("row_sparse")
>>> y = mx.nd.sparse.retain(x, mx.nd.array([2]))
>>> y.indices.asnumpy().tolist(), y.data.asnumpy().tolist()
([2], [[3.0, 4.0]])
)");

const SparseRows retain_rows({"_sparse_retain"}, {{{kRowSparse, kDense}, kRowSparse, retain}});

}  // namespace
}  // namespace mxtape

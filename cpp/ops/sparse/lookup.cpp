#include "op/declare.h"
#include "op/sparse.h"
#include "ops/indexing/take.h"
#include "ops/sparse/products.h"
#include "ops/sparse/row_places.h"
#include "runtime/widen.h"

// Rows of sparse arrays by their numbers, and gradients that have the rows that were looked up.
namespace mxtape {
namespace {

using enum StorageType;

// ---- Embedding

void embed_rows(SparseCall& call) {
  const int64_t rows = call.in(1).shape()[0];
  const NDArray positions = index_numbers(call.in(0));
  for (const int64_t *at = positions.data<int64_t>(), *end = at + positions.size(); at != end;
       ++at) {
    if (*at < 0 || *at >= rows) {
      fail(call.op().name, ": index ", index_text(*at),
           " is out of range for a row_sparse weight of ", rows, " rows");
    }
  }
  gather_sparse_rows(call.parts(1), rows, positions, call.dense_out());
}

const SparseRows embedding_rows({"Embedding", "_contrib_SparseEmbedding"},
                                {{{kDense, kRowSparse}, kDense, embed_rows}});

// ---- take

template <class P>
bool looks_up_rows(const SparseMatch& match) {
  return match.params<P>().axis == 0;
}

NDArray row_positions(const SparseCall& call) {
  const auto& p = call.params<TakeParams>();
  return index_positions(call.in(1), call.in(0).shape()[0], p.mode, call.op().name);
}

// A lookup in a row_sparse array, whose gradient is one too.
const fn::Op<TakeParams> take_rows_op{"_take_rows"};

void take_through_rows(SparseCall& call) {
  call.result(0, take_rows_op(call.in(0), call.in(1), call.params<TakeParams>()));
}

void take_rows(SparseCall& call) {
  gather_sparse_rows(call.parts(0), call.in(0).shape()[0], row_positions(call), call.dense_out());
}

// MXNet's lookups in csr arrays that raise errors give dense arrays.
bool csr_as_csr(const SparseMatch& match) {
  return looks_up_rows<TakeParams>(match) && match.params<TakeParams>().mode != IndexMode::kRaise;
}

SparseParts csr_rows(const SparseCall& call) {
  if (call.in(1).ndim() != 1) {
    fail(call.op().name, " of a csr array: indices must have 1 dimension, they have shape ",
         call.in(1).shape());
  }
  const NDArray positions = row_positions(call);
  return take_csr_rows(call.parts(0), positions.data<int64_t>(), positions.size());
}

void take_csr(SparseCall& call) { call.result(0, csr_rows(call)); }
void take_csr_to_dense(SparseCall& call) { write_dense(csr_rows(call), kCsr, call.dense_out()); }

const SparseRows take_sparse(
    {"take"}, {{{kRowSparse, kDense}, kDense, take_through_rows, looks_up_rows<TakeParams>, true},
               {{kCsr, kDense}, kCsr, take_csr, csr_as_csr},
               {{kCsr, kDense}, kDense, take_csr_to_dense, looks_up_rows<TakeParams>}});

OP(_take_rows)
    .inputs("a", "indices")
    .params<TakeParams>()
    .infer([](InferCall& call) {
      call.expect(call.shape(0).ndim() > 0, "a must have rows");
      call.expect(call.params<TakeParams>().axis == 0, "axis must be 0");
      call.expect(call.shape(0)[0] > 0 || call.shape(1).size() == 0,
                  "there are no rows to look up");
      call.output(0, taken_shape(call.shape(0), call.shape(1), 0), call.dtype(0));
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const NDArray& a = call.in(0);
      const NDArray positions =
          index_positions(call.in(1), a.shape()[0], call.params<TakeParams>().mode, call.name());
      gather_rows(a, AxisView(a.shape(), 0), positions, call.out());
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kShape, Keep::kData})
    .vjp([](Vjp& v) {
      const Shape a = v.input_shape(0);
      v.grad(0, fn::take_grad_rows(
                    v.head(), v.input(1),
                    TakeGradParams{Ints(a.begin(), a.end()), 0, v.params<TakeParams>().mode}));
    })
    .linear(0)
    .doc("take along axis 0, with a row_sparse gradient.");

const SparseRows take_rows_sparse({"_take_rows"}, {{{kRowSparse, kDense}, kDense, take_rows}});

// ---- the gradient

void sum_rows(SparseCall& call) {
  const auto& p = call.params<TakeGradParams>();
  Shape shape = call.output().shape;
  const NDArray positions = index_positions(call.in(1), shape[0], p.mode, call.op().name);
  const Groups<uint32_t> groups = group_positions(positions, shape[0]);
  shape[0] = groups.count();
  SparseParts sums;
  sums.indices = groups.keys;
  sums.data = NDArray::empty(shape, call.output().dtype);
  if (is_storage_only(sums.data.dtype())) {
    const WideOutput wide(sums.data);
    add_grouped_rows(widened(call.in(0)), groups, wide.array());
    wide.finish();
  } else {
    add_grouped_rows(call.in(0), groups, sums.data);
  }
  call.result(0, std::move(sums));
}

OP(_backward_take_rows)
    .inputs("data", "indices")
    .params<TakeGradParams>()
    .infer([](InferCall& call) {
      call.expect(call.params<TakeGradParams>().axis == 0, "axis must be 0");
      infer_take_grad(call);
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<TakeGradParams>();
      const Shape& shape = call.out().shape();
      const NDArray positions = index_positions(call.in(1), shape[0], p.mode, call.name());
      scatter_add_rows(call.in(0), positions, call.out(), AxisView(shape, 0));
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kNothing, Keep::kData})
    .vjp([](Vjp& v) {
      v.grad(0, fn::take(v.head(), v.input(1), TakeParams{0, v.params<TakeGradParams>().mode}));
    })
    .linear(0)
    .doc("A row_sparse array of the given shape: rows of data added at the indices.");

const SparseRows gradient_rows({"_backward_take_rows"}, {{{kDense, kDense}, kRowSparse, sum_rows}});

}  // namespace
}  // namespace mxtape

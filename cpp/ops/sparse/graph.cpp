#include <algorithm>

#include "op/declare.h"
#include "ops/shared/index.h"
#include "ops/sparse/values.h"
#include "runtime/parallel.h"

// csr arrays as graphs: an element is an edge from its row to its column.
namespace mxtape {
namespace {

using enum StorageType;

// Dense arrays come here, and row_sparse ones as dense ones.
[[noreturn]] void refuse_others(const KernelCall& call) {
  fail(call.name(), ": data must be a csr array; x.tostype(\"csr\") makes one");
}

struct CountParams {
  std::optional<int64_t> axis;
  template <class V>
  void visit(V& v) {
    v("axis", axis, "None for all elements, 0 for those of each column, 1 of each row.");
  }
};

void count_elements(SparseCall& call) {
  const SparseParts& parts = call.parts(0);
  const auto& axis = call.params<CountParams>().axis;
  const NDArray& out = call.dense_out();
  auto* to = out.data<int64_t>();
  if (!axis) {
    *to = parts.count();
  } else if (*axis == 1) {
    const int64_t* pointers = parts.pointers();
    for (int64_t i = 0; i < out.size(); ++i) to[i] = pointers[i + 1] - pointers[i];
  } else {
    std::fill_n(to, out.size(), 0);
    for (int64_t k = 0; k < parts.count(); ++k) ++to[parts.index()[k]];
  }
}

OP(_contrib_getnnz)
    .inputs("data")
    .params<CountParams>()
    .infer([](InferCall& call) {
      const auto& axis = call.params<CountParams>().axis;
      const Shape& shape = call.shape(0);
      call.expect(shape.ndim() == 2, "data must be a csr array, which has 2 dimensions");
      call.expect(!axis || *axis == 0 || *axis == 1, "axis must be None, 0 or 1, got ",
                  axis.value_or(0));
      call.output(0, Shape{axis ? shape[1 - static_cast<int>(*axis)] : 1}, DType::kInt64);
    })
    .any_dtype()
    .kernel([](const KernelCall& call) { refuse_others(call); })
    .no_grad("it counts")
    .doc("How many elements a csr array stores, zeros among them: all, or of each row or column.")
    .example(R"(
>>> x = mx.nd.array([[0, 5, 7], [0, 0, 9]]).tostype("csr")
>>> mx.nd.contrib.getnnz(x).asnumpy().tolist()
[3]
>>> mx.nd.contrib.getnnz(x, axis=1).asnumpy().tolist()
[2, 1]
)");

void edges(SparseCall& call) {
  const SparseParts parts = canonical(call, 0);
  const Shape& shape = call.in(0).shape();
  const NDArray from = index_positions(call.in(1), shape[0], IndexMode::kRaise, call.op().name);
  const NDArray to = index_positions(call.in(2), shape[1], IndexMode::kRaise, call.op().name);
  const NDArray& out = call.dense_out();
  const int64_t *u = from.data<int64_t>(), *v = to.data<int64_t>();
  dispatch(out.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* data = parts.data.data<T>();
    T* result = out.data<T>();
    parallel_for(out.size(), 1 << 12, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t* first = parts.index() + parts.pointers()[u[i]];
        const int64_t* last = parts.index() + parts.pointers()[u[i] + 1];
        const int64_t* at = std::lower_bound(first, last, v[i]);
        result[i] = at != last && *at == v[i] ? data[at - parts.index()] : static_cast<T>(-1);
      }
    });
  });
}

OP(_contrib_edge_id)
    .inputs("data", "u", "v")
    .infer([](InferCall& call) {
      const Shape& u = call.shape(1);
      call.expect(call.shape(0).ndim() == 2, "data must be a csr array, which has 2 dimensions");
      call.expect(u.ndim() == 1 && u == call.shape(2),
                  "u and v must have 1 dimension and one shape");
      call.output(0, u, call.dtype(0));
    })
    .kernel([](const KernelCall& call) { refuse_others(call); })
    .no_grad("it looks up the numbers of edges")
    .doc("The elements data[u[i], v[i]] of a csr array, and -1 where it stores none.")
    .example(R"(
>>> edges = mx.nd.array([[0, 7], [9, 0]]).tostype("csr")
>>> u, v = mx.nd.array([0, 0]), mx.nd.array([0, 1])
>>> mx.nd.contrib.edge_id(edges, u, v).asnumpy().tolist()
[-1.0, 7.0]
)");

const SparseRows count_rows({"_contrib_getnnz"}, {{{kCsr}, kDense, count_elements}});
const SparseRows edge_rows({"_contrib_edge_id"}, {{{kCsr, kDense, kDense}, kDense, edges}});

}  // namespace
}  // namespace mxtape

#include <algorithm>
#include <cstring>

#include "op/common_params.h"
#include "op/declare.h"
#include "ops/shared/strided.h"
#include "ops/sparse/values.h"
#include "runtime/parallel.h"

// Concat of csr arrays below each other, where() with a csr condition, and losses whose label is
// sparse.
namespace mxtape {
namespace {

using enum StorageType;

bool below_each_other(const SparseMatch& match) {
  return match.all({kCsr}) && match.params<ConcatParams>().dim == 0;
}

void concat_csr(SparseCall& call) {
  int64_t rows = 0, count = 0;
  SparseParts joined;
  for (size_t i = 0; i < call.input_count(); ++i) {
    rows += call.in(i).shape()[0];
    count += call.parts(i).count();
    joined.canonical = joined.canonical && call.parts(i).canonical;
  }
  joined.data = NDArray::empty(Shape{count}, call.output().dtype);
  joined.indices = NDArray::empty(Shape{count}, DType::kInt64);
  joined.indptr = NDArray::empty(Shape{rows + 1}, DType::kInt64);
  char *data = joined.data.bytes(), *index = joined.indices.bytes();
  auto* ends = joined.indptr.data<int64_t>();
  int64_t at = *ends++ = 0;
  for (size_t i = 0; i < call.input_count(); ++i) {
    const SparseParts& part = call.parts(i);
    if (part.count() > 0) {
      std::memcpy(data, part.data.bytes(), part.data.nbytes());
      std::memcpy(index, part.indices.bytes(), part.indices.nbytes());
      data += part.data.nbytes();
      index += part.indices.nbytes();
    }
    const int64_t* pointers = part.pointers();
    for (int64_t row = 1; row < part.indptr.size(); ++row) *ends++ = at + pointers[row];
    at += part.count();
  }
  call.result(0, std::move(joined));
}

// What y has, and x where the condition has an element that is not 0.
void where_csr(SparseCall& call) {
  if (call.in(0).shape() != call.output().shape) return run_through_dense(call);
  const SparseParts condition = canonical(call, 0);
  const NDArray &x = call.in(1), &y = call.in(2), &out = call.dense_out();
  if (out.size() == 0) return;
  copy_strided(y, dense(y), out, dense(out));
  const int64_t rows = out.shape()[0], columns = out.shape()[1];
  const int64_t *index = condition.index(), *pointers = condition.pointers();
  const NDArray chosen = NDArray::empty(Shape{condition.count()}, DType::kBool);
  const OpSchema& cast_op = fn::cast.schema();
  const ParamsRef to_bool = make_params(CastParams{DType::kBool});
  const NDArray* inputs[] = {&condition.data};
  cast_op.kernel(KernelCall(cast_op, Inputs(inputs, 1), Arrays(&chosen, 1), to_bool.get(), {}));
  const bool* is_chosen = chosen.data<bool>();
  dispatch<ElementTypes>(out.dtype(), [&]<class U>(TypeTag<U>) {
    const U* from = x.data<U>();
    U* to = out.data<U>();
    const int64_t mean = rows > 0 ? condition.count() / rows : 0;
    parallel_for(rows, rows_per_thread(1 + mean), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        for (int64_t k = pointers[i]; k < pointers[i + 1]; ++k) {
          const int64_t at = i * columns + index[k];
          if (is_chosen[k]) to[at] = from[at];
        }
      }
    });
  });
}

// The label counts in the gradient only.
void loss_of_data(SparseCall& call) {
  const NDArray& data = call.in(0);
  const NDArray* inputs[] = {&data, &data};
  const NDArray& out = call.dense_out();
  call.op().kernel(
      KernelCall(call.op(), Inputs(inputs, 2), Arrays(&out, 1), call.raw_params().get(), {}));
}

const SparseRows concat_rows({"Concat"}, {{{}, kCsr, concat_csr, below_each_other}});
const SparseRows where_rows({"where"}, {{{kCsr, kDense, kDense}, kDense, where_csr}});
const SparseRows loss_rows({"LinearRegressionOutput", "LogisticRegressionOutput",
                            "MAERegressionOutput"},
                           {{{kDense, kCsr}, kDense, loss_of_data},
                            {{kDense, kRowSparse}, kDense, loss_of_data}});

}  // namespace
}  // namespace mxtape

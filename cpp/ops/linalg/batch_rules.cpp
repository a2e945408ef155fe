#include "op/batch.h"
#include "op/common_params.h"

// How products of matrices run over a batch. Those of linalg see their leading axes as a batch.
namespace mxtape {
namespace {

using batch::transposed;

// `x` of [batch, *example] as one matrix for each example, the axis that is summed over last or
// first.
NDArray as_matrices(const NDArray& x, bool summed_first) {
  const Shape& shape = x.shape();
  const int split = summed_first ? 2 : shape.ndim() - 1;
  return reshape(x, Shape{shape[0], shape.product(1, split), shape.product(split, shape.ndim())});
}

// One product of matrices does for all examples where one side is the same in all of them.
void dot(BatchCall& call) {
  const auto& p = call.params<DotParams>();
  const int64_t batch = call.batch();
  if (call.mapped(0) && call.mapped(1)) {
    const NDArray a = as_matrices(call.input(0), p.transpose_a);
    const NDArray b = as_matrices(call.input(1), !p.transpose_b);
    return call.result(0, fn::batch_dot(a, b, DotParams{p.transpose_a, p.transpose_b}));
  }
  if (call.mapped(0)) {
    NDArray a = as_matrices(call.input(0), p.transpose_a);
    if (p.transpose_a) a = transposed(a, {0, 2, 1});
    const NDArray rows = reshape(a, Shape{a.shape()[0] * a.shape()[1], a.shape()[2]});
    return call.result(0, fn::dot(rows, call.input(1), DotParams{false, p.transpose_b}));
  }
  // (a b)' = b' a', for the rows of all the b' together.
  NDArray b = as_matrices(call.input(1), !p.transpose_b);
  if (!p.transpose_b) b = transposed(b, {0, 2, 1});
  const int64_t columns = b.shape()[1];
  const NDArray rows = reshape(b, Shape{batch * columns, b.shape()[2]});
  const Shape& lhs = call.shape(0);
  const int64_t k = b.shape()[2], m = lhs.size() / std::max<int64_t>(k, 1);
  const NDArray a = reshape(call.input(0), p.transpose_a ? Shape{k, m} : Shape{m, k});
  const NDArray product = fn::dot(rows, a, DotParams{false, !p.transpose_a});
  call.result(0, transposed(reshape(product, Shape{batch, columns, m}), {0, 2, 1}));
}

void gemm(BatchCall& call) {
  if (*batch::field<int64_t>(const_cast<Params&>(*call.params()), "axis") < 0) {
    return batch::in_front(call);
  }
  batch::shift_axis(call);
}

const BatchRules rules{
    {"dot", dot},
    {"batch_dot", batch::merge_leading},
    {"_linalg_gemm", gemm},
    {"_linalg_gemm2", gemm},
    {"_linalg_det", batch::in_front},
    {"_linalg_extractdiag", batch::in_front},
    {"_linalg_extracttrian", batch::in_front},
    {"_linalg_gelqf", batch::in_front},
    {"_linalg_inverse", batch::in_front},
    {"_linalg_makediag", batch::in_front},
    {"_linalg_maketrian", batch::in_front},
    {"_linalg_potrf", batch::in_front},
    {"_linalg_potri", batch::in_front},
    {"_linalg_slogdet", batch::in_front},
    {"_linalg_sumlogdiag", batch::in_front},
    {"_linalg_syevd", batch::in_front},
    {"_linalg_syrk", batch::in_front},
    {"_linalg_trmm", batch::in_front},
    {"_linalg_trsm", batch::in_front},
    {"_backward_linalg_cofactor", batch::in_front},
    {"_backward_linalg_cofactor_change", batch::in_front},
    {"_backward_linalg_triangle", batch::in_front},
    {"_contrib_fft", batch::in_front},
    {"_contrib_ifft", batch::in_front},
    {"_contrib_div_sqrt_dim", batch::in_front},
};

}  // namespace
}  // namespace mxtape

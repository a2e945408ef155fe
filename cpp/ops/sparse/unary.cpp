#include <algorithm>

#include "op/declare.h"
#include "ops/sparse/values.h"

// Functions of one sparse array that are 0 where it is: the dense operator over its values. These
// are MXNet's; others that are 0 at 0, as erf, give dense arrays there.
namespace mxtape {
namespace {

using enum StorageType;

void on_values(SparseCall& call) {
  SparseParts parts = canonical(call, 0);
  parts.data = run_values(call, {&parts.data}, parts.data.shape());
  call.result(0, std::move(parts));
}

void no_elements(SparseCall& call) {
  const ArraySpec& out = call.output();
  call.result(0, no_parts(out.storage, out.shape, out.dtype));
}

// Results in which the values of the input do not count.
void without_values(SparseCall& call) {
  const NDArray& out = call.dense_out();
  const NDArray* inputs[] = {&out};
  call.op().kernel(KernelCall(call.op(), Inputs(inputs, 1), Arrays(&out, 1), nullptr, {}));
}

// Whether the operator, with these parameters, makes 0 of 0.
bool keeps_zeros(const SparseMatch& match) {
  const NDArray zero = full(Shape{1}, DType::kFloat64, 0);
  const NDArray value =
      run_values(match.op(), match.raw_params(), {&zero}, Shape{1}, DType::kFloat64);
  return value.data<double>()[0] == 0;
}

const SparseRows function_rows({"abs",
                                "arcsin",
                                "arcsinh",
                                "arctan",
                                "arctanh",
                                "BlockGrad",
                                "cbrt",
                                "ceil",
                                "degrees",
                                "expm1",
                                "fix",
                                "floor",
                                "log1p",
                                "make_loss",
                                "negative",
                                "radians",
                                "relu",
                                "rint",
                                "round",
                                "sign",
                                "sin",
                                "sinh",
                                "sqrt",
                                "square",
                                "tan",
                                "tanh",
                                "trunc",
                                "_mul_scalar",
                                "_div_scalar",
                                "_contrib_gradientmultiplier",
                                "_contrib_round_ste",
                                "_contrib_sign_ste",
                                "_scatter_plus_scalar",
                                "_scatter_minus_scalar"},
                               {{{kCsr}, kCsr, on_values}, {{kRowSparse}, kRowSparse, on_values}});

const SparseRows parameter_rows({"_plus_scalar", "_minus_scalar", "_equal_scalar",
                                 "_not_equal_scalar", "_greater_scalar", "_greater_equal_scalar",
                                 "_lesser_scalar", "_lesser_equal_scalar", "clip"},
                                {{{kCsr}, kCsr, on_values, keeps_zeros},
                                 {{kRowSparse}, kRowSparse, on_values, keeps_zeros}});
const SparseRows quadratic_rows({"_contrib_quadratic"}, {{{kCsr}, kCsr, on_values, keeps_zeros}});

const SparseRows zeros_rows({"zeros_like"},
                            {{{kCsr}, kCsr, no_elements}, {{kRowSparse}, kRowSparse, no_elements}});
const SparseRows ones_rows({"ones_like"}, {{{kCsr}, kDense, without_values},
                                           {{kRowSparse}, kDense, without_values}});

}  // namespace
}  // namespace mxtape

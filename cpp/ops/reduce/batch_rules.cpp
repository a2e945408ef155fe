#include "op/batch.h"
#include "ops/reduce/reduce.h"

// How reductions run over a batch: they leave the batch axis alone.
namespace mxtape {
namespace {

using batch::field;

// Sums over the axes of an example that `set` has: behind the batch axis, or all of them as one
// row.
void reduce_over(BatchCall& call, AxisSet set, const char* name) {
  const int ndim = call.ndim(0);
  Ref<Params> params = call.copied_params();
  params->given = ~uint32_t{0};
  auto& axes = field<OptInts>(*params, name)->emplace();
  if (auto* exclude = field<bool>(*params, "exclude")) *exclude = false;
  if (set == (AxisSet{1} << ndim) - 1) {
    axes.push_back(1);
    return call.apply({reshape(call.input(0), Shape{call.batch(), call.shape(0).size()})},
                      std::move(params));
  }
  for (int d = 0; d < ndim; ++d) {
    if (set >> d & 1) axes.push_back(d + 1);
  }
  if (!axes.empty()) return call.apply({call.input(0)}, std::move(params));
  // Nothing is summed over: no list of axes says so, one that has one element does.
  axes.push_back(ndim + 1);
  const NDArray column = expand_dims(call.input(0), ndim + 1);
  call.apply({column}, std::move(params));
}

void reduction(BatchCall& call) {
  const auto& p = call.params<ReduceParams>();
  reduce_over(call, reduced_axes(p.axis, p.exclude, call.ndim(0), call.op().name), "axis");
}

void reduction_of(BatchCall& call, const char* name) {
  const auto& axes = *field<OptInts>(const_cast<Params&>(*call.params()), name);
  reduce_over(call, reduced_axes(axes, false, call.ndim(0), call.op().name), name);
}

const BatchRules rules{
    {"sum", reduction},
    {"mean", reduction},
    {"prod", reduction},
    {"nansum", reduction},
    {"nanprod", reduction},
    {"max", reduction},
    {"min", reduction},
    {"norm", [](BatchCall& call) { reduction_of(call, "axis"); }},
    {"moments", [](BatchCall& call) { reduction_of(call, "axes"); }},
    {"argmax", batch::shift_axis_or_flatten},
    {"argmin", batch::shift_axis_or_flatten},
    {"argmax_channel", batch::merge_leading},
    {"cumsum", batch::shift_axis_or_flatten},
    {"_backward_cumsum", batch::shift_axis_or_flatten},
    {"_backward_prod_cumulate", batch::shift_axis},
    {"_backward_prod_scan", batch::shift_axis},
};

}  // namespace
}  // namespace mxtape

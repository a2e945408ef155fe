#include "ops/indexing/gather_along.h"

#include <algorithm>

#include "op/declare.h"

namespace mxtape {
namespace {

const fn::Op<GatherAlongParams> gather_op{"_gather_along"};
const fn::Op<ScatterAlongParams> scatter_op{"_scatter_along"};

void expect_index(const InferCall& call, const Shape& table, OptAxis axis) {
  const Shape& index = call.shape(1);
  const int at = axis ? normalize_axis(*axis, table.ndim(), call.name()) : 0;
  const int64_t k = axis ? (index.ndim() == table.ndim() ? index[at] : -1) : index.size();
  const Shape expected = shape_along(table, axis, std::max<int64_t>(k, 0), call.name());
  call.expect(index == expected, "index must have shape ", expected);
  const int64_t extent = AxisView(table, axis, call.name()).n;
  call.expect(extent > 0 || index.size() == 0, "there are no elements to count");
}

OP(_gather_along)
    .inputs("data", "index")
    .params<GatherAlongParams>()
    .infer([](InferCall& call) {
      expect_index(call, call.shape(0), call.params<GatherAlongParams>().axis);
      call.output(0, call.shape(1), call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<GatherAlongParams>();
      const AxisView view(call.in(0).shape(), p.axis, call.name());
      const NDArray positions =
          index_positions(call.in(1), view.n, index_mode(p.mode), call.name());
      gather_along(call.in(0), view, positions, call.out());
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kShape, Keep::kData})
    .vjp([](Vjp& v) {
      v.grad(0, gather_gradient(v.head(), v.input(1), v.input_shape(0),
                                v.params<GatherAlongParams>()));
    })
    .doc("The elements that index, of distinct numbers along the axis, names.");

OP(_scatter_along)
    .inputs("data", "index")
    .params<ScatterAlongParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<ScatterAlongParams>();
      checked_size(Shape(p.shape), call.name());
      expect_index(call, Shape(p.shape), p.axis);
      call.expect(call.shape(0) == call.shape(1), "data must have the shape of index");
      call.output(0, Shape(p.shape), call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<ScatterAlongParams>();
      const AxisView view(call.out().shape(), p.axis, call.name());
      const NDArray positions =
          index_positions(call.in(1), view.n, index_mode(p.mode), call.name());
      scatter_along(call.in(0), positions, call.out(), view);
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kNothing, Keep::kData})
    .vjp([](Vjp& v) {
      const GatherAlongParams& p = v.params<ScatterAlongParams>();
      v.grad(0, gather_op(v.head(), v.input(1), p));
    })
    .doc(
        "Zeros of the given shape with data written to the places that index, of distinct numbers "
        "along the axis, names: the gradient of sort, topk and pick.");

}  // namespace

IndexMode index_mode(AlongMode mode) {
  return mode == AlongMode::kClip ? IndexMode::kClip : IndexMode::kWrap;
}

Shape shape_along(const Shape& shape, OptAxis axis, int64_t k, std::string_view op) {
  if (!axis) return {k};
  Shape result = shape;
  result[normalize_axis(*axis, shape.ndim(), op)] = k;
  return result;
}

NDArray gather_gradient(const NDArray& head, const NDArray& index, const Shape& shape,
                        const GatherAlongParams& params) {
  return scatter_op(head, index, ScatterAlongParams{params, Ints(shape.begin(), shape.end())});
}

}  // namespace mxtape

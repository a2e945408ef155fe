#include "ops/shape/transpose.h"

#include <algorithm>
#include <numeric>

#include "op/common_params.h"
#include "op/declare.h"
#include "ops/shared/strided.h"

// Operators that put the elements of an array in another order.
namespace mxtape {

namespace fn {
const Op<SwapAxisParams> swap_axis{"SwapAxis"};
}  // namespace fn

namespace {

struct TransposeParams {
  Ints axes;
  template <class V>
  void visit(V& v) {
    v("axes", axes, "For each axis of the result, the axis of the input; () reverses their order.");
  }
};
const fn::Op<TransposeParams> transpose{"transpose"};

struct ReverseParams {
  Ints axis;
  template <class V>
  void visit(V& v) {
    v.required("axis", axis, "The axis or axes to reverse, counted from the front.");
  }
};
const fn::Op<ReverseParams> reverse{"reverse"};

// For each axis of the result, the axis of the input.
Ints order_of(const Ints& axes, int ndim) {
  if (!axes.empty()) return axes;
  Ints order(static_cast<size_t>(ndim));
  std::iota(order.rbegin(), order.rend(), 0);
  return order;
}

Ints swapped_order(const SwapAxisParams& p, int ndim, std::string_view op) {
  Ints order(static_cast<size_t>(ndim));
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[static_cast<size_t>(normalize_axis(p.dim1, ndim, op))],
            order[static_cast<size_t>(normalize_axis(p.dim2, ndim, op))]);
  return order;
}

Shape permuted(const Shape& in, const Ints& order) {
  Shape shape = in;
  for (int d = 0; d < in.ndim(); ++d) {
    shape[d] = in[static_cast<int>(order[static_cast<size_t>(d)])];
  }
  return shape;
}

void permute(const KernelCall& call, const Ints& order) {
  const NDArray& in = call.in(0);
  const Ints strides = dense_strides(in.shape());
  Strided source;
  for (int64_t axis : order) {
    source.axis(in.shape()[static_cast<int>(axis)], strides[static_cast<size_t>(axis)]);
  }
  gather_strided(in, source, call.out());
}

OP(transpose)
    .inputs("data")
    .params<TransposeParams>()
    .infer([](InferCall& call) {
      const Shape& in = call.shape(0);
      const Ints order = order_of(call.params<TransposeParams>().axes, in.ndim());
      Ints sorted = order;
      std::sort(sorted.begin(), sorted.end());
      bool complete = static_cast<int>(order.size()) == in.ndim();
      for (size_t d = 0; complete && d < sorted.size(); ++d) {
        complete = sorted[d] == static_cast<int64_t>(d);
      }
      call.expect(complete, "axes must name each of the ", in.ndim(), " axes once");
      call.output(0, permuted(in, order), call.dtype(0));
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      permute(call, order_of(call.params<TransposeParams>().axes, call.in(0).ndim()));
    })
    .vjp([](Vjp& v) {
      const Ints& axes = v.params<TransposeParams>().axes;
      Ints inverse(axes.size());
      for (size_t d = 0; d < axes.size(); ++d) {
        inverse[static_cast<size_t>(axes[d])] = static_cast<int64_t>(d);
      }
      v.grad(0, transpose(v.head(), TransposeParams{inverse}));
    })
    .linear(0)
    .method()
    .doc("The array with its axes in another order; without axes, in reverse order.")
    .example(R"(
>>> mx.nd.transpose(mx.nd.array([[1, 2], [3, 4]])).asnumpy().tolist()
[[1.0, 3.0], [2.0, 4.0]]
>>> x = mx.nd.zeros((2, 3, 4))
>>> mx.nd.transpose(x).shape, mx.nd.transpose(x, axes=(0, 2, 1)).shape
((4, 3, 2), (2, 4, 3))
)");

OP(SwapAxis)
    .alias("swapaxes")
    .inputs("data")
    .params<SwapAxisParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<SwapAxisParams>();
      const Shape& in = call.shape(0);
      call.output(0, permuted(in, swapped_order(p, in.ndim(), call.name())), call.dtype(0));
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      permute(call, swapped_order(call.params<SwapAxisParams>(), call.in(0).ndim(), call.name()));
    })
    .vjp([](Vjp& v) { v.grad(0, fn::swap_axis(v.head(), v.params<SwapAxisParams>())); })
    .linear(0)
    .method()
    .doc("The array with two of its axes exchanged.")
    .example(R"(
>>> mx.nd.SwapAxis(mx.nd.zeros((2, 3, 4)), dim1=0, dim2=2).shape
(4, 3, 2)
>>> mx.nd.SwapAxis(mx.nd.array([[1, 2], [3, 4]]), 0, 1).asnumpy().tolist()
[[1.0, 3.0], [2.0, 4.0]]
)");

OP(reverse)
    .alias("flip")
    .inputs("data")
    .params<ReverseParams>()
    .infer([](InferCall& call) {
      for (int64_t axis : call.params<ReverseParams>().axis) {
        call.expect(axis >= 0 && axis < call.shape(0).ndim(), "axis ", axis,
                    " is out of range for an array of ", call.shape(0).ndim(), " axes");
      }
      infer_same_shape(call);
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      Strided source = dense(call.in(0));
      if (call.in(0).size() == 0) return;
      for (int64_t axis : call.params<ReverseParams>().axis) {
        int64_t& stride = source.strides[static_cast<size_t>(axis)];
        // Naming an axis twice reverses it twice.
        source.offset += (source.extents[static_cast<size_t>(axis)] - 1) * stride;
        stride = -stride;
      }
      gather_strided(call.in(0), source, call.out());
    })
    .vjp([](Vjp& v) { v.grad(0, reverse(v.head(), v.params<ReverseParams>())); })
    .linear(0)
    .method()
    .doc("The array with the order of its elements reversed along the given axes.")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [3, 4]])
>>> mx.nd.reverse(x, axis=1).asnumpy().tolist()
[[2.0, 1.0], [4.0, 3.0]]
>>> mx.nd.reverse(x, axis=(0, 1)).asnumpy().tolist()
[[4.0, 3.0], [2.0, 1.0]]
)");

}  // namespace
}  // namespace mxtape

#include "op/common_params.h"
#include "op/declare.h"
#include "op/tangent.h"
#include "ops/linalg/gemm.h"

namespace mxtape {
namespace {

struct FullyConnectedParams {
  int64_t num_hidden = 0;
  bool no_bias = false, flatten = true;
  template <class V>
  void visit(V& v) {
    v.required("num_hidden", num_hidden, "Number of outputs of the layer.");
    v("no_bias", no_bias, "Whether to leave out the bias.");
    v("flatten", flatten,
      "Whether all axes but the first are one; otherwise only the last axis is.");
  }
};

NDArray matrix_product(const NDArray& a, const NDArray& b, bool transpose_a = false) {
  return fn::dot(a, b, DotParams{transpose_a, false});
}

// Axes of data before this one count rows; those from it on are the layer's input.
int split_axis(const Shape& data, bool flatten) { return flatten ? 1 : data.ndim() - 1; }

void infer_fully_connected(InferCall& call) {
  const auto& p = call.params<FullyConnectedParams>();
  call.expect_floating();
  call.expect_same_dtype();
  const Shape& data = call.partial_shape(0);
  call.expect(p.num_hidden > 0, "num_hidden must be positive");
  call.expect(data.ndim() > 0, "data must have an axis");
  const int split = split_axis(data, p.flatten);
  const Shape features(data.dims().subspan(static_cast<size_t>(split)));
  call.require(1, Shape{p.num_hidden, features.known() ? features.size() : -1},
               ": (num_hidden, inputs)");
  if (!p.no_bias && !call.fill(2, Shape{p.num_hidden})) {
    const Shape& bias = call.shape(2);
    call.expect(bias.ndim() > 0 && bias[0] == p.num_hidden && bias.size() == p.num_hidden,
                "bias must have shape ", Shape{p.num_hidden});
  }
  Ints dims(data.begin(), data.begin() + split);
  dims.push_back(p.num_hidden);
  call.output(0, Shape(dims), call.dtype(0));
}

void run_fully_connected(const KernelCall& call) {
  const auto& p = call.params<FullyConnectedParams>();
  const Shape& data = call.in(0).shape();
  const int split = split_axis(data, p.flatten);
  gemm({.dtype = call.out().dtype(),
        .m = data.product(0, split),
        .n = p.num_hidden,
        .k = data.product(split, data.ndim()),
        .transpose_b = true,
        .a = call.in(0).bytes(),
        .b = call.in(1).bytes(),
        .bias = p.no_bias ? nullptr : call.in(2).bytes(),
        .out = call.out().bytes()});
}

void fully_connected_vjp(Vjp& v) {
  const auto& p = v.params<FullyConnectedParams>();
  const Shape data = v.input_shape(0);
  const int split = split_axis(data, p.flatten);
  const int64_t rows = data.product(0, split), features = data.product(split, data.ndim());
  const NDArray g = reshape(v.head(), Shape{rows, p.num_hidden});
  if (v.needs(0)) v.grad(0, reshape(matrix_product(g, v.input(1)), data));
  if (v.needs(1)) {
    v.grad(1, matrix_product(g, reshape(v.input(0), Shape{rows, features}), true));
  }
  if (!p.no_bias && v.needs(2)) v.grad(2, reshape(sum(g, {0}, false), v.input_shape(2)));
}

OP(FullyConnected)
    .inputs("data", "weight", "bias")
    .params<FullyConnectedParams>()
    .optional_inputs(2,
                     [](const Params* p) -> uint32_t {
                       return p->as<FullyConnectedParams>().no_bias ? 0b011 : 0b111;
                     })
    .infer(infer_fully_connected)
    .kernel(run_fully_connected)
    .keep_inputs({Keep::kData, Keep::kData, Keep::kShape})
    .vjp(fully_connected_vjp)
    .tangent(layer_tangent<FullyConnectedParams>)
    .doc(
        "A dense layer: data by the transpose of weight, plus bias. Weight has shape (num_hidden, "
        "inputs); the result has num_hidden in place of data's flattened axes.")
    .example(R"(
>>> x = mx.nd.array([[1, 2]])
>>> weight, bias = mx.nd.array([[1, 0], [0, 1], [1, 1]]), mx.nd.array([0, 0, 10])
>>> mx.nd.FullyConnected(x, weight, bias, num_hidden=3).asnumpy().tolist()
[[1.0, 2.0, 13.0]]
>>> x = mx.nd.ones((4, 5, 2))  # only the last axis is the layer's without flatten
>>> mx.nd.FullyConnected(x, weight, bias, num_hidden=3, flatten=False).shape
(4, 5, 3)
)");

}  // namespace
}  // namespace mxtape

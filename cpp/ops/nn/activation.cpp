#include "ops/elementwise/unary.h"
#include "ops/shared/elementary.h"

// The activation of a layer, by name.
namespace mxtape {
namespace {

enum class ActType : int32_t { kRelu, kSigmoid, kSoftrelu, kSoftsign, kTanh };

struct ActivationParams {
  ActType act_type = ActType::kRelu;
  template <class V>
  void visit(V& v) {
    v.required("act_type", act_type,
               "relu, sigmoid, tanh, softrelu: log(1 + exp(x)), or softsign: x / (1 + |x|).",
               {"relu", "sigmoid", "softrelu", "softsign", "tanh"});
  }
};

// log(1 + exp(x)) without overflow.
const TileFunction softrelu =
    floating_each<1>([](auto x) { return max(x, 0) + log1p(exp(-abs(x))); });

const TileFunction& activation_tile(ActType type) {
  switch (type) {
    case ActType::kRelu:
      return fn::relu.schema().tile;
    case ActType::kSigmoid:
      return fn::sigmoid.schema().tile;
    case ActType::kSoftrelu:
      return softrelu;
    case ActType::kSoftsign:
      return fn::softsign.schema().tile;
    case ActType::kTanh:
      return fn::tanh.schema().tile;
  }
  fail("Activation: unknown act_type ", static_cast<int>(type));
}

// Whether the gradient is computed from the input, and from the output.
bool reads_input(const Params* p) {
  const ActType type = p->as<ActivationParams>().act_type;
  return type != ActType::kRelu && type != ActType::kSoftrelu;
}
bool reads_output(const Params* p) {
  return p->as<ActivationParams>().act_type != ActType::kSoftsign;
}

OP(Activation)
    .inputs("data")
    .params<ActivationParams>()
    .infer(infer_same_floating)
    .kernel([](const KernelCall& call) {
      const ActType type = call.params<ActivationParams>().act_type;
      run_tiles(activation_tile(type), {call.in(0)}, call.out());
    })
    .keep_input()
    .keep_output()
    .kept([](const Params* p) -> uint32_t { return reads_input(p); },
          [](const Params* p) -> uint32_t { return reads_output(p); })
    .vjp([](Vjp& v) {
      const NDArray g = v.head();
      switch (v.params<ActivationParams>().act_type) {
        case ActType::kRelu:
          return v.grad(0, relu_grad(g, v.output(0)));
        case ActType::kSigmoid:
          return v.grad(0, sigmoid_grad(g, v.output(0), v.input(0)));
        case ActType::kSoftrelu:
          return v.grad(0, -masked_product(g, fn::expm1(-v.output(0))));
        case ActType::kSoftsign:
          return v.grad(0, softsign_grad(g, v.input(0)));
        case ActType::kTanh:
          return v.grad(0, tanh_grad(g, v.output(0), v.input(0)));
      }
    })
    .doc("A function of each element, chosen by act_type.")
    .example(R"(
>>> x = mx.nd.array([-1, 0, 2])
>>> mx.nd.Activation(x, act_type="relu").asnumpy().tolist()
[0.0, 0.0, 2.0]
>>> print(mx.nd.Activation(x, act_type="softrelu").asnumpy().round(4))
[0.3133 0.6931 2.1269]
)");

}  // namespace
}  // namespace mxtape

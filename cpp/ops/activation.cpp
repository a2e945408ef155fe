#include <algorithm>
#include <cmath>

#include "core/floating.h"
#include "op/common_params.h"
#include "ops/unary.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"
#include "runtime/random.h"

// Layers of networks that work element by element.
namespace mxtape {
namespace {

// ---- Activation

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
const TileFunction softrelu = floating_tile<1>([](auto a) {
  using T = typename decltype(a)::Scalar;
  return a.unaryExpr(
      [](T x) -> T { return x > T(0) ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); });
});

const TileFunction& activation_tile(ActType type) {
  static const fn::Op relu{"relu"}, softsign{"softsign"};
  switch (type) {
    case ActType::kRelu:
      return relu.schema().tile;
    case ActType::kSigmoid:
      return fn::sigmoid.schema().tile;
    case ActType::kSoftrelu:
      return softrelu;
    case ActType::kSoftsign:
      return softsign.schema().tile;
    case ActType::kTanh:
      return fn::tanh.schema().tile;
  }
  fail("Activation: unknown act_type ", static_cast<int>(type));
}

const fn::Op expm1{"expm1"};

OP(Activation)
    .inputs("data")
    .params<ActivationParams>()
    .infer(infer_same_floating)
    .kernel([](const KernelCall& call) {
      const TileFunction& tile = activation_tile(call.params<ActivationParams>().act_type);
      TileOperand operand;
      operand.array = &call.in(0);
      run_tiles(tile, tile.compute_dtype(call.out().dtype()), {&operand, 1}, call.out(), nullptr);
    })
    .keep_output()
    .vjp([](Vjp& v) {
      const NDArray y = v.output(0), g = v.head();
      switch (v.params<ActivationParams>().act_type) {
        case ActType::kRelu:
          return v.grad(0, relu_grad(g, y));
        case ActType::kSigmoid:
          return v.grad(0, sigmoid_grad(g, y));
        case ActType::kSoftrelu:
          return v.grad(0, -g * expm1(-y));
        case ActType::kSoftsign:
          return v.grad(0, g * fn::square(1.0 - fn::abs(y)));
        case ActType::kTanh:
          return v.grad(0, tanh_grad(g, y));
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

// ---- Dropout

enum class DropoutMode : int32_t { kAlways, kTraining };

struct DropoutParams {
  double p = 0.5;
  DropoutMode mode = DropoutMode::kTraining;
  Ints axes;
  std::optional<bool> cudnn_off = false;
  template <class V>
  void visit(V& v) {
    v("p", p, "Probability with which an element is dropped.");
    v("mode", mode, "training: only in train mode; always: also in predict mode.",
      {"always", "training"});
    v("axes", axes, "Axes along which elements share their fate.");
    v("cudnn_off", cudnn_off, "Accepted for compatibility.");
  }
};

template <class T>
void drop(const NDArray& x, const NDArray& out, const NDArray& mask, double p) {
  const RandomStream random = next_random_stream();
  // A word below the threshold drops its element; p = 1 drops all and scales by nothing.
  const auto threshold = static_cast<uint64_t>(std::ldexp(p, 32));
  const T keep = convert_value<T>(p < 1 ? 1 / (1 - p) : 0.0);
  const bool fused = mask.shape() == out.shape();
  const T* from = x.data<T>();
  T *to = out.data<T>(), *factor = mask.data<T>();
  parallel_for(mask.size(), 1 << 13, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += 4) {
      const auto words = random.words(static_cast<uint64_t>(i / 4));
      const int64_t n = std::min<int64_t>(4, end - i);
      for (int64_t k = 0; k < n; ++k) {
        factor[i + k] = words[static_cast<size_t>(k)] < threshold ? T(0) : keep;
        if (fused) to[i + k] = static_cast<T>(from[i + k] * factor[i + k]);
      }
    }
  });
  if (fused) return;
  const TileFunction& tile = fn::Op("broadcast_mul").schema().tile;
  TileOperand operands[2];
  operands[0].array = &x;
  operands[1].array = &mask;
  run_tiles(tile, tile.compute_dtype(x.dtype()), operands, out, nullptr);
}

// An identity leaves no mask: its second output is empty.
bool is_identity(const NDArray& mask) { return mask.ndim() == 1 && mask.size() == 0; }

OP(Dropout)
    .inputs("data")
    .params<DropoutParams>()
    .outputs(2, 1)
    .random()
    .training_mode()
    .infer([](InferCall& call) {
      const auto& p = call.params<DropoutParams>();
      call.expect_floating();
      call.expect(p.p >= 0 && p.p <= 1, "p must be in [0, 1], got ", p.p);
      Shape mask = call.shape(0);
      for (int64_t axis : p.axes) {
        call.expect(axis >= 0 && axis < mask.ndim(), "axes must be in [0, ", mask.ndim(), "), got ",
                    axis);
        mask[static_cast<int>(axis)] = 1;
      }
      const bool drops = p.p > 0 && (p.mode == DropoutMode::kAlways || call.training());
      call.output(0, call.shape(0), call.dtype(0));
      call.output(1, drops ? mask : Shape{0}, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const NDArray &x = call.in(0), &out = call.out(0), &mask = call.out(1);
      if (out.size() == 0) return;
      if (is_identity(mask))
        return convert(x.dtype(), x.bytes(), out.dtype(), out.bytes(), x.size());
      const double p = call.params<DropoutParams>().p;
      dispatch_floating(x.dtype(),
                        [&](auto tag) { drop<typename decltype(tag)::type>(x, out, mask, p); });
    })
    .keep_output(0, Keep::kShape)
    .keep_output(1)
    .vjp([](Vjp& v) {
      const NDArray mask = v.output(1).detached();
      v.grad(0, is_identity(mask) ? v.head() : v.head() * mask);
    })
    .doc("In train mode sets elements to 0 with probability p and divides the others by 1 - p.")
    .example(R"(
>>> x = mx.nd.ones((100,))
>>> mx.nd.Dropout(x, p=0.5).sum().asnumpy().tolist()  # outside train mode: x
[100.0]
>>> with mx.autograd.train_mode():
...     y = mx.nd.Dropout(x, p=0.5)
>>> sorted(set(y.asnumpy().tolist()))
[0.0, 2.0]
)");

// ---- add_n

template <class T>
void add_arrays(const KernelCall& call) {
  using A = compute_type<T>;
  constexpr int64_t kBlock = 1024;
  T* out = call.out().data<T>();
  parallel_for(call.out().size(), 1 << 14, [&](int64_t begin, int64_t end) {
    A total[kBlock];
    for (int64_t at = begin; at < end; at += kBlock) {
      const int64_t n = std::min(kBlock, end - at);
      const T* first = call.in(0).data<T>() + at;
      for (int64_t i = 0; i < n; ++i) total[i] = static_cast<A>(first[i]);
      for (size_t k = 1; k < call.input_count(); ++k) {
        const T* x = call.in(k).data<T>() + at;
        for (int64_t i = 0; i < n; ++i) total[i] = static_cast<A>(total[i] + static_cast<A>(x[i]));
      }
      for (int64_t i = 0; i < n; ++i) out[at + i] = static_cast<T>(total[i]);
    }
  });
}

OP(add_n)
    .alias("ElementWiseSum")
    .variadic("args", "num_args")
    .infer([](InferCall& call) {
      call.expect(call.dtype(0) != DType::kBool, "bool arrays are not supported; use astype()");
      infer_pointwise(call);
    })
    .kernel([](const KernelCall& call) {
      switch (call.out().dtype()) {
        case DType::kFloat32:
          return add_arrays<float>(call);
        case DType::kFloat64:
          return add_arrays<double>(call);
        case DType::kFloat16:
          return add_arrays<float16>(call);
        case DType::kInt32:
          return add_arrays<uint32_t>(call);
        case DType::kInt64:
          return add_arrays<uint64_t>(call);
        default:
          return add_arrays<uint8_t>(call);
      }
    })
    .vjp([](Vjp& v) {
      const NDArray g = v.head();
      for (size_t i = 0; i < v.input_count(); ++i) {
        if (v.needs(i)) v.grad(i, g);
      }
    })
    .doc("Sum of any number of arrays of one shape and dtype.")
    .example(R"(
>>> a, b, c = mx.nd.array([1, 2]), mx.nd.array([10, 20]), mx.nd.array([100, 200])
>>> mx.nd.add_n(a, b, c).asnumpy().tolist()
[111.0, 222.0]
)");

}  // namespace
}  // namespace mxtape

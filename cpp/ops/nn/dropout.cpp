#include <algorithm>
#include <cmath>

#include "op/declare.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"
#include "runtime/random.h"

namespace mxtape {
namespace {

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
    v("axes", axes, "Axes along which elements are dropped together.");
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
  run_tiles(fn::multiply.schema().tile, {x, mask}, out);
}

// An identity leaves no mask: its second output is empty.
bool is_identity(const NDArray& mask) { return mask.ndim() == 1 && mask.size() == 0; }

OP(Dropout)
    .inputs("data")
    .params<DropoutParams>()
    .outputs(2, 1)
    .random()
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
      dispatch<FloatingTypes>(
          x.dtype(), [&](auto tag) { drop<typename decltype(tag)::type>(x, out, mask, p); });
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
}  // namespace
}  // namespace mxtape

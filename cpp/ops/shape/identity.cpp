#include "ops/shape/identity.h"

#include <cstring>

#include "op/common_params.h"
#include "op/declare.h"
#include "runtime/convert.h"
#include "runtime/fusion.h"
#include "runtime/parallel.h"

// Operators whose result has the elements of their input: copies, other gradients, another dtype.
namespace mxtape {
namespace {

void copy_bytes(const NDArray& from, const NDArray& to) {
  const char* source = from.bytes();
  char* target = to.bytes();
  parallel_for(static_cast<int64_t>(to.nbytes()), int64_t{1} << 20,
               [&](int64_t begin, int64_t end) {
                 std::memcpy(target + begin, source + begin, static_cast<size_t>(end - begin));
               });
}
}  // namespace

void copy_kernel(const KernelCall& call) { copy_bytes(call.in(0), call.out()); }

// What waits is computed where it is copied to.
void streamed_copy_kernel(const KernelCall& call) {
  if (!fusion::waits(call.in(0), call.out().shape())) return copy_kernel(call);
  fusion::copy(call.in(0), call.out());
}

namespace {

OP(_copy)
    .alias("identity")
    .inputs("data")
    .infer(infer_same_shape)
    .any_dtype()
    .kernel(streamed_copy_kernel)
    .streams()
    .vjp([](Vjp& v) { v.grad(0, v.head()); })
    .linear(0)
    .doc("A copy of the array.")
    .example(R"(
>>> x = mx.nd.array([1, 2])
>>> y = mx.nd.identity(x)
>>> x[:] = 0
>>> y.asnumpy().tolist()
[1.0, 2.0]
)");

OP(_identity_with_attr_like_rhs)
    .inputs("lhs", "rhs")
    .infer([](InferCall& call) {
      call.expect(call.shape(0) == call.shape(1), "lhs and rhs must have one shape");
      infer_same_shape(call);
    })
    .any_dtype()
    .kernel(copy_kernel)
    .keep_inputs({Keep::kShape, Keep::kShape})
    .vjp([](Vjp& v) {
      if (v.needs(0)) v.grad(0, v.head());
      if (v.needs(1)) v.grad(1, full(v.input_shape(1), v.input_dtype(1), 0));
    })
    .doc("A copy of lhs that also counts as a function, constant, of rhs.");

OP(BlockGrad)
    .alias("stop_gradient")
    .inputs("data")
    .infer(infer_same_shape)
    .any_dtype()
    .kernel(copy_kernel)
    .zero_grad()
    .doc("A copy of the array through which no gradient flows.")
    .example(R"(
>>> x = mx.nd.array([3])
>>> x.attach_grad()
>>> with mx.autograd.record():
...     y = mx.nd.BlockGrad(x) * x  # the first factor counts as a constant
>>> y.backward()
>>> y.asnumpy().tolist(), x.grad.asnumpy().tolist()
([9.0], [3.0])
)");

OP(make_loss)
    .inputs("data")
    .loss()
    .infer(infer_same_shape)
    .any_dtype()
    .kernel(copy_kernel)
    .keep_input(0, Keep::kShape)
    .vjp([](Vjp& v) { v.grad(0, full(v.input_shape(0), v.input_dtype(0), 1)); })
    .doc("A copy of the array that starts a gradient of ones, whatever flows into it.")
    .example(R"(
>>> x = mx.nd.array([3, 5])
>>> x.attach_grad()
>>> with mx.autograd.record():
...     y = mx.nd.make_loss(x * x) * 1000  # what comes after the loss does not count
>>> y.backward()
>>> x.grad.asnumpy().tolist()
[6.0, 10.0]
)");

OP(Cast)
    .alias("cast")
    .inputs("data")
    .params<CastParams>()
    .infer([](InferCall& call) { call.output(0, call.shape(0), call.params<CastParams>().dtype); })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const NDArray &in = call.in(0), &out = call.out();
      parallel_for(out.size(), 1 << 16, [&](int64_t begin, int64_t end) {
        convert(in.dtype(), in.bytes() + static_cast<size_t>(begin) * item_size(in.dtype()),
                out.dtype(), out.bytes() + static_cast<size_t>(begin) * item_size(out.dtype()),
                end - begin);
      });
    })
    .keep_input(0, Keep::kShape)
    .vjp([](Vjp& v) { v.grad(0, cast(v.head(), v.input_dtype(0))); })
    .linear(0)
    .method()
    .doc("The array in another data type; floating to integer truncates toward zero.")
    .example(R"(
>>> x = mx.nd.Cast(mx.nd.array([1.7, -1.7]), dtype="int32")
>>> x.dtype.__name__, x.asnumpy().tolist()
('int32', [1, -1])
)");

OP(_contrib_gradientmultiplier)
    .inputs("data")
    .params<ScalarParams>()
    .infer(infer_unary)
    .any_dtype()
    .kernel(copy_kernel)
    .vjp([](Vjp& v) { v.grad(0, v.head() * v.params<ScalarParams>().scalar); })
    .doc("data, with its gradient multiplied by `scalar`.")
    .example(R"(
>>> x = mx.nd.array([1, 2])
>>> x.attach_grad()
>>> with mx.autograd.record():
...     y = mx.nd.contrib.gradientmultiplier(x, scalar=-0.5)
>>> y.backward()
>>> y.asnumpy().tolist(), x.grad.asnumpy().tolist()
([1.0, 2.0], [-0.5, -0.5])
)");
}  // namespace
}  // namespace mxtape

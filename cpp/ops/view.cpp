#include <algorithm>
#include <cstring>

#include "op/common_params.h"
#include "op/declare.h"
#include "ops/reshape.h"
#include "runtime/convert.h"
#include "runtime/fusion.h"
#include "runtime/parallel.h"

// Operators that copy or reinterpret an array without computing on it.
namespace mxtape {

Shape reshaped(const Shape& in, const ReshapeParams& p, std::string_view op, ErrorKind too_small) {
  Ints from(in.begin(), in.end());
  Ints code = p.shape;
  if (code.empty() && !p.target_shape.empty()) {
    // The deprecated spelling: a 0 is what is left over.
    code = p.target_shape;
    if (p.keep_highest && !from.empty()) code[0] = from[0];
    std::replace(code.begin(), code.end(), int64_t{0}, int64_t{-1});
  }
  if (p.reverse) {
    std::reverse(from.begin(), from.end());
    std::reverse(code.begin(), code.end());
    // A split's two factors stand after its -4: keep them there, in reversed order.
    for (size_t i = 0; i + 2 < code.size(); ++i) {
      if (code[i + 2] == -4) {
        std::rotate(code.begin() + static_cast<long>(i), code.begin() + static_cast<long>(i) + 2,
                    code.begin() + static_cast<long>(i) + 3);
        i += 2;
      }
    }
  }
  auto refuse_as = [&](ErrorKind kind, const auto&... why) {
    fail_as(kind, op, ": cannot reshape ", in, " to ",
            Shape(p.shape.empty() ? p.target_shape : p.shape), ": ", why...);
  };
  auto refuse = [&](const auto&... why) { refuse_as(ErrorKind::kMXNet, why...); };
  Ints out;
  size_t at = 0;
  int infer = -1;
  auto next = [&]() -> int64_t {
    if (at >= from.size()) refuse("it asks for more axes than the array has");
    return from[at++];
  };
  for (size_t i = 0; i < code.size(); ++i) {
    const int64_t c = code[i];
    if (c > 0) {
      out.push_back(c);
      ++at;
    } else if (c == 0) {
      out.push_back(at < from.size() || !from.empty() ? next() : 0);
    } else if (c == -1) {
      if (infer >= 0) refuse("only one extent can be -1");
      infer = static_cast<int>(out.size());
      out.push_back(1);
      ++at;
    } else if (c == -2) {
      while (at < from.size()) out.push_back(from[at++]);
    } else if (c == -3) {
      const int64_t first = next();
      out.push_back(first * next());
    } else if (c == -4) {
      if (i + 2 >= code.size()) refuse("-4 must be followed by two extents");
      const int64_t whole = next();
      int64_t a = code[++i], b = code[++i];
      if (a == -1 && b == -1) refuse("only one part of a split can be -1");
      if ((a <= 0 && a != -1) || (b <= 0 && b != -1))
        refuse("the parts of a split must be positive or -1");
      if (a == -1) a = whole / b;
      if (b == -1) b = whole / a;
      if (a * b != whole) refuse("extent ", whole, " is not ", a, " times ", b);
      out.push_back(a);
      out.push_back(b);
    } else {
      refuse("extent ", c, " means nothing");
    }
  }
  if (p.reverse) {
    std::reverse(out.begin(), out.end());
    if (infer >= 0) infer = static_cast<int>(out.size()) - 1 - infer;
  }
  Shape result{std::span<const int64_t>(out)};
  const int64_t size = in.size();
  if (infer >= 0) {
    const int64_t rest = checked_size(result, op);
    if (rest == 0 ? size != 0 : size % rest != 0) {
      refuse_as(too_small, size, " elements do not divide by ", rest);
    }
    result[infer] = rest == 0 ? 0 : size / rest;
  }
  if (const int64_t made = checked_size(result, op); made != size) {
    refuse_as(made < size ? too_small : ErrorKind::kMXNet, "the array has ", size,
              " elements, the result would have ", result.size());
  }
  return result;
}

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
void reshape_vjp(Vjp& v) { v.grad(0, reshape(v.head(), v.input_shape(0))); }

namespace {

OP(Reshape)
    .alias("reshape")
    .inputs("data")
    .params<ReshapeParams>()
    .infer([](InferCall& call) {
      call.output(0, reshaped(call.shape(0), call.params<ReshapeParams>(), call.name()),
                  call.dtype(0));
    })
    .kernel(copy_kernel)
    .keep_input(0, Keep::kShape)
    .vjp(reshape_vjp)
    .doc(
        "A copy of the array in another shape of the same size. The method x.reshape() gives a "
        "view.")
    .example(R"(
>>> x = mx.nd.zeros((2, 3, 4))
>>> mx.nd.Reshape(x, shape=(4, -1)).shape  # -1: what remains
(4, 6)
>>> mx.nd.Reshape(x, shape=(0, -1)).shape  # 0: as it was
(2, 12)
>>> mx.nd.Reshape(x, shape=(-3, -2)).shape  # -3: two axes merged; -2: the others
(6, 4)
>>> mx.nd.Reshape(x, shape=(0, 0, -4, 2, -1)).shape  # -4: an axis split in two
(2, 3, 2, 2)
)");

OP(_copy)
    .alias("identity")
    .inputs("data")
    .infer(infer_same_shape)
    .kernel(streamed_copy_kernel)
    .streams()
    .vjp([](Vjp& v) { v.grad(0, v.head()); })
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
    .infer(infer_same_shape)
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
    .method()
    .doc("The array in another data type; floating to integer truncates toward zero.")
    .example(R"(
>>> x = mx.nd.Cast(mx.nd.array([1.7, -1.7]), dtype="int32")
>>> x.dtype.__name__, x.asnumpy().tolist()
('int32', [1, -1])
)");

}  // namespace
}  // namespace mxtape

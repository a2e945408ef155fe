#include "ops/shape/reshape.h"

#include <algorithm>
#include <utility>

#include "op/declare.h"
#include "ops/shape/identity.h"

// Operators that change the shape only. As operators they copy; NDArray's own methods make views.
namespace mxtape {
namespace {

// The codes of a call, in the array's order or, with reverse, back to front.
Ints codes_of(const ReshapeParams& p, const Ints& from) {
  Ints code = p.shape;
  if (code.empty() && !p.target_shape.empty()) {
    // The deprecated spelling: a 0 is what is left over.
    code = p.target_shape;
    if (p.keep_highest && !from.empty()) code[0] = from[0];
    std::replace(code.begin(), code.end(), int64_t{0}, int64_t{-1});
  }
  if (!p.reverse) return code;
  std::reverse(code.begin(), code.end());
  // A split's two factors stand after its -4: keep them there, in reversed order.
  for (auto at = code.begin(); code.end() - at > 2; ++at) {
    if (at[2] != -4) continue;
    std::rotate(at, at + 2, at + 3);
    at += 2;
  }
  return code;
}

// The two parts of a split extent, of which one may be -1; refuse(reason...) throws.
template <class Refuse>
std::pair<int64_t, int64_t> split(int64_t whole, int64_t a, int64_t b, Refuse&& refuse) {
  if (a == -1 && b == -1) refuse("only one part of a split can be -1");
  if ((a <= 0 && a != -1) || (b <= 0 && b != -1)) {
    refuse("the parts of a split must be positive or -1");
  }
  if (a == -1) a = whole / b;
  if (b == -1) b = whole / a;
  if (a * b != whole) refuse("extent ", whole, " is not ", a, " times ", b);
  return {a, b};
}

struct Extents {
  Ints extents;
  int infer = -1;  // the axis, of extent 1 here, that takes what is left over
};

// What a list of codes makes of the extents `from`.
template <class Refuse>
Extents extents_of(const Ints& from, const Ints& code, Refuse&& refuse) {
  Extents result;
  Ints& out = result.extents;
  size_t at = 0;
  const auto next = [&] {
    if (at >= from.size()) refuse("it asks for more axes than the array has");
    return from[at++];
  };
  for (size_t i = 0; i < code.size(); ++i) {
    const int64_t c = code[i];
    if (c > 0) {
      out.push_back(c);
      ++at;
    } else if (c == 0) {
      out.push_back(from.empty() ? 0 : next());
    } else if (c == -1) {
      if (result.infer >= 0) refuse("only one extent can be -1");
      result.infer = static_cast<int>(out.size());
      out.push_back(1);
      ++at;
    } else if (c == -2) {
      while (at < from.size()) out.push_back(from[at++]);
    } else if (c == -3) {
      const int64_t first = next();
      out.push_back(first * next());
    } else if (c == -4) {
      if (i + 2 >= code.size()) refuse("-4 must be followed by two extents");
      const auto [a, b] = split(next(), code[i + 1], code[i + 2], refuse);
      out.push_back(a);
      out.push_back(b);
      i += 2;
    } else {
      refuse("extent ", c, " means nothing");
    }
  }
  return result;
}

}  // namespace

Shape reshaped(const Shape& in, const ReshapeParams& p, std::string_view op, ErrorKind too_small) {
  const auto refuse_as = [&](ErrorKind kind, const auto&... why) {
    fail_as(kind, op, ": cannot reshape ", in, " to ",
            Shape(p.shape.empty() ? p.target_shape : p.shape), ": ", why...);
  };
  Ints from(in.begin(), in.end());
  const Ints code = codes_of(p, from);
  if (p.reverse) std::reverse(from.begin(), from.end());
  auto [out, infer] =
      extents_of(from, code, [&](const auto&... why) { refuse_as(ErrorKind::kMXNet, why...); });
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

void reshape_vjp(Vjp& v) { v.grad(0, reshape(v.head(), v.input_shape(0))); }

namespace {

struct ExpandDimsParams {
  int64_t axis = 0;
  template <class V>
  void visit(V& v) {
    v.required("axis", axis, "The place of the new axis in the result.");
  }
};

struct SqueezeParams {
  OptInts axis;
  template <class V>
  void visit(V& v) {
    v("axis", axis, "The axes to drop, each of extent 1; None for all of them.");
  }
};

struct ReshapeLikeParams {
  std::optional<int64_t> lhs_begin, lhs_end, rhs_begin, rhs_end;
  template <class V>
  void visit(V& v) {
    v("lhs_begin", lhs_begin, "First axis of lhs that is replaced; 0 by default.");
    v("lhs_end", lhs_end, "The axis after the last one; all axes by default.");
    v("rhs_begin", rhs_begin, "First axis of rhs whose extents are used; 0 by default.");
    v("rhs_end", rhs_end, "The axis after the last one; all axes by default.");
  }
};

// In a graph: a shape without codes is the result, and tells the array's only unknown extent.
void infer_from_target(InferCall& call, const Ints& target) {
  const bool plain =
      !target.empty() && std::ranges::all_of(target, [](int64_t extent) { return extent > 0; });
  if (!plain || !call.fill(0, Shape::unknown())) return;
  const Shape result{std::span<const int64_t>(target)};
  call.output(0, result, call.dtype(0));
  Shape in = call.partial_shape(0);
  int64_t known = 1, unknown = -1;
  for (int axis = 0; axis < in.ndim(); ++axis) {
    if (in[axis] >= 0) {
      known *= in[axis];
    } else if (std::exchange(unknown, axis) >= 0) {
      return;
    }
  }
  if (unknown < 0 || known == 0 || result.size() % known != 0) return;
  in[static_cast<int>(unknown)] = result.size() / known;
  call.fill(0, in);
}

OP(Reshape)
    .alias("reshape")
    .inputs("data")
    .params<ReshapeParams>()
    .infer([](InferCall& call) {
      infer_from_target(call, call.params<ReshapeParams>().shape);
      call.output(0, reshaped(call.shape(0), call.params<ReshapeParams>(), call.name()),
                  call.dtype(0));
    })
    .any_dtype()
    .kernel(copy_kernel)
    .keep_input(0, Keep::kShape)
    .vjp(reshape_vjp)
    .linear(0)
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

OP(Flatten)
    .alias("flatten")
    .inputs("data")
    .infer([](InferCall& call) {
      const Shape& in = call.shape(0);
      call.expect(in.ndim() > 0, "the array must have at least one axis");
      call.output(0, {in[0], in.product(1, in.ndim())}, call.dtype(0));
    })
    .any_dtype()
    .kernel(copy_kernel)
    .keep_input(0, Keep::kShape)
    .vjp(reshape_vjp)
    .linear(0)
    .method()
    .doc("A copy with the first axis kept and all others merged into one.")
    .example(R"(
>>> mx.nd.Flatten(mx.nd.zeros((2, 3, 4))).shape
(2, 12)
)");

OP(expand_dims)
    .inputs("data")
    .params<ExpandDimsParams>()
    .infer([](InferCall& call) {
      const Shape& in = call.shape(0);
      const int axis =
          normalize_axis(call.params<ExpandDimsParams>().axis, in.ndim() + 1, call.name());
      Ints shape(in.begin(), in.end());
      shape.insert(shape.begin() + axis, 1);
      call.output(0, Shape(shape), call.dtype(0));
    })
    .any_dtype()
    .kernel(copy_kernel)
    .keep_input(0, Keep::kShape)
    .vjp(reshape_vjp)
    .linear(0)
    .method()
    .doc("A copy with a new axis of extent 1.")
    .example(R"(
>>> x = mx.nd.zeros((2, 3))
>>> mx.nd.expand_dims(x, axis=1).shape, mx.nd.expand_dims(x, axis=-1).shape
((2, 1, 3), (2, 3, 1))
)");

OP(squeeze)
    .inputs("data")
    .params<SqueezeParams>()
    .infer([](InferCall& call) {
      const OptInts& axes = call.params<SqueezeParams>().axis;
      const Shape& in = call.shape(0);
      std::vector<bool> drop(static_cast<size_t>(in.ndim()));
      if (axes) {
        for (int64_t given : *axes) {
          const int axis = call.axis(given);
          call.expect(in[axis] == 1, "axis ", axis, " has extent ", in[axis],
                      ", only an axis of extent 1 can be dropped");
          call.expect(!drop[static_cast<size_t>(axis)], "axis ", axis, " is given twice");
          drop[static_cast<size_t>(axis)] = true;
        }
      } else {
        for (int d = 0; d < in.ndim(); ++d) drop[static_cast<size_t>(d)] = in[d] == 1;
      }
      Ints shape;
      for (int d = 0; d < in.ndim(); ++d) {
        if (!drop[static_cast<size_t>(d)]) shape.push_back(in[d]);
      }
      // MXNet's arrays keep one axis.
      if (shape.empty() && in.ndim() > 0) shape.push_back(1);
      call.output(0, Shape(shape), call.dtype(0));
    })
    .any_dtype()
    .kernel(copy_kernel)
    .keep_input(0, Keep::kShape)
    .vjp(reshape_vjp)
    .linear(0)
    .method()
    .doc("A copy without the given axes of extent 1.")
    .example(R"(
>>> x = mx.nd.zeros((1, 2, 1))
>>> mx.nd.squeeze(x).shape, mx.nd.squeeze(x, axis=0).shape
((2,), (2, 1))
)");

OP(reshape_like)
    .inputs("lhs", "rhs")
    .params<ReshapeLikeParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<ReshapeLikeParams>();
      const Shape &lhs = call.shape(0), &rhs = call.shape(1);
      struct Range {
        int begin, end;
      };
      const auto range = [&](const char* side, std::optional<int64_t> begin,
                             std::optional<int64_t> end, int ndim) {
        int64_t first = begin.value_or(0), last = end.value_or(ndim);
        if (first < 0) first += ndim;
        if (last < 0) last += ndim;
        call.expect(first >= 0 && last <= ndim && (first < last || (!begin && !end)), side,
                    "_begin and ", side, "_end must select axes of ", side);
        return Range{static_cast<int>(first), static_cast<int>(last)};
      };
      const Range replaced = range("lhs", p.lhs_begin, p.lhs_end, lhs.ndim());
      const Range taken = range("rhs", p.rhs_begin, p.rhs_end, rhs.ndim());
      Ints shape(lhs.begin(), lhs.begin() + replaced.begin);
      shape.insert(shape.end(), rhs.begin() + taken.begin, rhs.begin() + taken.end);
      shape.insert(shape.end(), lhs.begin() + replaced.end, lhs.end());
      const Shape result(shape);
      call.expect(result.size() == lhs.size(), "lhs has ", lhs.size(), " elements, the result ",
                  result, " would have ", result.size());
      call.output(0, result, call.dtype(0));
    })
    .any_dtype()
    .kernel(copy_kernel)
    .keep_inputs({Keep::kShape, Keep::kShape})
    .vjp([](Vjp& v) {
      if (v.needs(0)) reshape_vjp(v);
      if (v.needs(1)) v.grad(1, full(v.input_shape(1), v.input_dtype(1), 0));
    })
    .method()
    .doc("A copy of lhs in the shape of rhs, or with some of its axes replaced by some of rhs.")
    .example(R"(
>>> x = mx.nd.array([1, 2, 3, 4])
>>> mx.nd.reshape_like(x, mx.nd.zeros((2, 2))).asnumpy().tolist()
[[1.0, 2.0], [3.0, 4.0]]
>>> options = dict(lhs_begin=0, lhs_end=1, rhs_begin=1, rhs_end=3)
>>> mx.nd.reshape_like(mx.nd.zeros((6, 5)), mx.nd.zeros((9, 2, 3)), **options).shape
(2, 3, 5)
)");

OP(shape_array)
    .inputs("data")
    .infer([](InferCall& call) { call.output(0, {call.shape(0).ndim()}, DType::kInt64); })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const Shape& shape = call.in(0).shape();
      std::copy(shape.begin(), shape.end(), call.out().data<int64_t>());
    })
    .zero_grad()
    .method()
    .doc("The extents of the array as a one-dimensional int64 array.")
    .example(R"(
>>> mx.nd.shape_array(mx.nd.zeros((2, 3))).asnumpy().tolist()
[2, 3]
)");

OP(size_array)
    .inputs("data")
    .infer([](InferCall& call) { call.output(0, {1}, DType::kInt64); })
    .any_dtype()
    .kernel([](const KernelCall& call) { *call.out().data<int64_t>() = call.in(0).size(); })
    .zero_grad()
    .method()
    .doc("The number of elements as an int64 array of shape (1,).")
    .example(R"(
>>> mx.nd.size_array(mx.nd.zeros((2, 3))).asnumpy().tolist()
[6]
)");
}  // namespace
}  // namespace mxtape

#include "ops/shape/slice.h"

#include <algorithm>

#include "op/declare.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// Operators that read or write a regular part of an array.
namespace mxtape {

SliceRange slice_range(const Shape& in, const SliceParams& p, std::string_view op) {
  const auto check = [&](bool condition, const auto&... why) {
    if (!condition) fail(op, ": ", why..., " [given an array of shape ", in, "]");
  };
  check(static_cast<int>(p.begin.size()) <= in.ndim(), "begin has ", p.begin.size(),
        " entries for ", in.ndim(), " axes");
  check(p.begin.size() == p.end.size(), "begin and end must have one length, got ", p.begin.size(),
        " and ", p.end.size());
  check(p.step.empty() || p.step.size() == p.begin.size(), "step must be as long as begin (",
        p.begin.size(), "), got ", p.step.size());
  SliceRange range{in, {Ints(in.begin(), in.end()), dense_strides(in), 0}};
  for (size_t d = 0; d < p.begin.size(); ++d) {
    const int64_t n = in[static_cast<int>(d)];
    const int64_t step = p.step.empty() ? 1 : p.step[d].value_or(1);
    check(step != 0, "step must not be 0 (axis ", d, ")");
    // Where a walk in this direction starts and stops when nothing is said.
    const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
    const auto place = [&](int64_t at) { return std::clamp(at < 0 ? at + n : at, low, high); };
    const int64_t begin = p.begin[d] ? place(*p.begin[d]) : (step > 0 ? low : high);
    const int64_t end = p.end[d] ? place(*p.end[d]) : (step > 0 ? high : low);
    const int64_t span = step > 0 ? end - begin : begin - end;
    // Unsigned, since the most negative step has no positive twin.
    const uint64_t stride =
        step > 0 ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
    const int64_t count =
        span > 0 ? static_cast<int64_t>((static_cast<uint64_t>(span) - 1) / stride) + 1 : 0;
    range.shape[static_cast<int>(d)] = range.walk.extents[d] = count;
    if (count > 0) range.walk.offset += begin * range.walk.strides[d];
    range.walk.strides[d] = count > 1 ? range.walk.strides[d] * step : 0;
  }
  return range;
}

namespace {

struct SliceAxisParams {
  int64_t axis = 0;
  int64_t begin = 0;
  std::optional<int64_t> end;
  template <class V>
  void visit(V& v) {
    v.required("axis", axis, "The axis to slice.");
    v.required("begin", begin, "Index of the first element; counted from the end when negative.");
    v.required("end", end, "Index after the last element; None for the end of the axis.");
  }
};
const fn::Op<SliceAxisParams> slice_axis_op{"slice_axis"};

struct SliceLikeParams {
  Ints axes;
  template <class V>
  void visit(V& v) {
    v("axes", axes, "The axes to slice; () for all of them.");
  }
};

struct SliceAssignScalarParams {
  double scalar = 0;
  SliceInts begin, end, step;
  SliceParams range() const { return {begin, end, step}; }
  template <class V>
  void visit(V& v) {
    v("scalar", scalar, "The number to write.");
    v.required("begin", begin, "Start of the slice along each of the leading axes.");
    v.required("end", end, "Its end along each of them.");
    v("step", step, "Its step along each of them.");
  }
};
const fn::Op<SliceAssignScalarParams> slice_assign_scalar{"_slice_assign_scalar"};

// The gradient of a slice: zeros of `shape`, with the head in the slice.
struct SliceGradParams {
  Ints shape;
  SliceInts begin, end, step;
  SliceParams range() const { return {begin, end, step}; }
  template <class V>
  void visit(V& v) {
    v.required("shape", shape, "Shape of the sliced array.");
    v.required("begin", begin, "As slice was given it.");
    v.required("end", end, "As slice was given it.");
    v("step", step, "As slice was given it.");
  }
};
const fn::Op<SliceGradParams> slice_grad{"_backward_slice"};

// Axis `axis` from `begin` to `end`, all of the others.
SliceParams axis_slice(int axis, int64_t begin, int64_t end) {
  SliceParams p;
  p.begin.resize(static_cast<size_t>(axis) + 1);
  p.end.resize(static_cast<size_t>(axis) + 1);
  p.begin.back() = begin;
  p.end.back() = end;
  return p;
}

SliceParams slice_axis_range(const Shape& in, const SliceAxisParams& p, std::string_view op) {
  const int axis = normalize_axis(p.axis, in.ndim(), op);
  const int64_t n = in[axis];
  const int64_t begin = p.begin < 0 ? p.begin + n : p.begin;
  const int64_t end = !p.end ? n : (*p.end < 0 ? *p.end + n : *p.end);
  if (begin < 0 || end > n || (begin >= end && n > 0)) {
    fail(op, ": begin=", p.begin, ", end=", p.end ? std::to_string(*p.end) : "None",
         " selects nothing or reaches past axis ", axis, " of an array of shape ", in);
  }
  return axis_slice(axis, begin, end);
}

SliceParams slice_like_range(const Shape& in, const Shape& like, const SliceLikeParams& p) {
  SliceParams range;
  range.begin.resize(static_cast<size_t>(in.ndim()));
  range.end.resize(static_cast<size_t>(in.ndim()));
  const auto take = [&](int d) { range.end[static_cast<size_t>(d)] = like[d]; };
  if (p.axes.empty()) {
    for (int d = 0; d < in.ndim(); ++d) take(d);
  }
  for (int64_t axis : p.axes) take(normalize_axis(axis, in.ndim(), "slice_like"));
  return range;
}

void gather_slice(const KernelCall& call, const SliceParams& p) {
  const NDArray& in = call.in(0);
  gather_strided(in, slice_range(in.shape(), p, call.name()).walk, call.out());
}

void slice_vjp(Vjp& v, const Shape& in, const SliceParams& p) {
  v.grad(0,
         slice_grad(v.head(), SliceGradParams{Ints(in.begin(), in.end()), p.begin, p.end, p.step}));
}

OP(slice)
    .alias("crop")
    .inputs("data")
    .params<SliceParams>()
    .infer([](InferCall& call) {
      call.output(0, slice_range(call.shape(0), call.params<SliceParams>(), call.name()).shape,
                  call.dtype(0));
    })
    .any_dtype()
    .kernel([](const KernelCall& call) { gather_slice(call, call.params<SliceParams>()); })
    .keep_input(0, Keep::kShape)
    .vjp([](Vjp& v) { slice_vjp(v, v.input_shape(0), v.params<SliceParams>()); })
    .linear(0)
    .method()
    .doc("A copy of the part of the array that begin, end and step select along its leading axes.")
    .example(R"(
>>> x = mx.nd.array([[1, 2, 3], [4, 5, 6]])
>>> mx.nd.slice(x, begin=(0, 1), end=(1, 3)).asnumpy().tolist()
[[2.0, 3.0]]
>>> mx.nd.slice(x, begin=(None, -1), end=(None, None), step=(1, -2)).asnumpy().tolist()
[[3.0, 1.0], [6.0, 4.0]]
)");

OP(_backward_slice)
    .inputs("data")
    .params<SliceGradParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<SliceGradParams>();
      const Shape shape(p.shape);
      checked_size(shape, call.name());
      call.expect(slice_range(shape, p.range(), call.name()).shape == call.shape(0),
                  "data must have the shape of the slice");
      call.output(0, shape, call.dtype(0));
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<SliceGradParams>();
      if (call.in(0).size() != call.out().size()) fill_zero(call.out());
      copy_strided(call.in(0), dense(call.in(0)), call.out(),
                   slice_range(call.out().shape(), p.range(), call.name()).walk);
    })
    .vjp([](Vjp& v) { v.grad(0, fn::slice(v.head(), v.params<SliceGradParams>().range())); })
    .linear(0)
    .doc("Zeros of the given shape, with the array in the given slice.");

OP(slice_axis)
    .inputs("data")
    .params<SliceAxisParams>()
    .infer([](InferCall& call) {
      const SliceParams p =
          slice_axis_range(call.shape(0), call.params<SliceAxisParams>(), call.name());
      call.output(0, slice_range(call.shape(0), p, call.name()).shape, call.dtype(0));
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      gather_slice(
          call, slice_axis_range(call.in(0).shape(), call.params<SliceAxisParams>(), call.name()));
    })
    .keep_input(0, Keep::kShape)
    .vjp([](Vjp& v) {
      const Shape in = v.input_shape(0);
      slice_vjp(v, in, slice_axis_range(in, v.params<SliceAxisParams>(), "slice_axis"));
    })
    .linear(0)
    .method()
    .doc("A copy of the elements [begin, end) along one axis.")
    .example(R"(
>>> x = mx.nd.array([[1, 2, 3], [4, 5, 6]])
>>> mx.nd.slice_axis(x, axis=1, begin=1, end=None).asnumpy().tolist()
[[2.0, 3.0], [5.0, 6.0]]
>>> mx.nd.slice_axis(x, axis=0, begin=-1, end=2).asnumpy().tolist()
[[4.0, 5.0, 6.0]]
)");

OP(slice_like)
    .inputs("data", "shape_like")
    .params<SliceLikeParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<SliceLikeParams>();
      const Shape &in = call.shape(0), &like = call.shape(1);
      call.expect(!p.axes.empty() || in.ndim() == like.ndim(),
                  "without axes, both arrays must have the same number of axes");
      const auto check = [&](int d) {
        call.expect(d < like.ndim() && like[d] <= in[d], "axis ", d,
                    " of shape_like is missing, or longer than that of data");
      };
      if (p.axes.empty()) {
        for (int d = 0; d < in.ndim(); ++d) check(d);
      }
      for (int64_t axis : p.axes) check(call.axis(axis));
      call.output(0, slice_range(in, slice_like_range(in, like, p), call.name()).shape,
                  call.dtype(0));
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      gather_slice(call, slice_like_range(call.in(0).shape(), call.in(1).shape(),
                                          call.params<SliceLikeParams>()));
    })
    .keep_inputs({Keep::kShape, Keep::kShape})
    .vjp([](Vjp& v) {
      const Shape in = v.input_shape(0), like = v.input_shape(1);
      if (v.needs(0)) slice_vjp(v, in, slice_like_range(in, like, v.params<SliceLikeParams>()));
      if (v.needs(1)) v.grad(1, full(like, v.input_dtype(1), 0));
    })
    .method()
    .doc("A copy of the leading part of data that has the extents of shape_like along `axes`.")
    .example(R"(
>>> x, like = mx.nd.array([[1, 2, 3], [4, 5, 6]]), mx.nd.zeros((1, 2))
>>> mx.nd.slice_like(x, like).asnumpy().tolist()
[[1.0, 2.0]]
>>> mx.nd.slice_like(x, like, axes=(1,)).asnumpy().tolist()
[[1.0, 2.0], [4.0, 5.0]]
)");

// Output 0 starts as input 0: in place when the caller gives them as one array.
void start_from_input(const KernelCall& call) {
  if (call.in(0).bytes() == call.out().bytes()) return;
  copy_strided(call.in(0), dense(call.in(0)), call.out(), dense(call.out()));
}

OP(_slice_assign)
    .alias("_crop_assign")
    .inputs("lhs", "rhs")
    .params<SliceParams>()
    .infer([](InferCall& call) {
      call.expect_same_dtype();
      const Shape part = slice_range(call.shape(0), call.params<SliceParams>(), call.name()).shape;
      call.expect(call.shape(1) == part, "rhs must have the shape of the slice, ", part);
      call.output(0, call.shape(0), call.dtype(0));
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      start_from_input(call);
      const NDArray& part = call.in(1);
      copy_strided(part, dense(part), call.out(),
                   slice_range(call.out().shape(), call.params<SliceParams>(), call.name()).walk);
    })
    .in_place()
    .vjp([](Vjp& v) {
      const auto& p = v.params<SliceParams>();
      if (v.needs(0)) {
        v.grad(0,
               slice_assign_scalar(v.head(), SliceAssignScalarParams{0, p.begin, p.end, p.step}));
      }
      if (v.needs(1)) v.grad(1, fn::slice(v.head(), p));
    })
    .doc("lhs with rhs written to the given slice; in place with out=lhs.");

OP(_slice_assign_scalar)
    .alias("_crop_assign_scalar")
    .inputs("data")
    .params<SliceAssignScalarParams>()
    .infer([](InferCall& call) {
      slice_range(call.shape(0), call.params<SliceAssignScalarParams>().range(), call.name());
      infer_same_shape(call);
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<SliceAssignScalarParams>();
      start_from_input(call);
      const SliceRange range = slice_range(call.out().shape(), p.range(), call.name());
      // One element that the walk over the source never leaves.
      const NDArray value = full({1}, call.out().dtype(), p.scalar);
      copy_strided(value, {range.walk.extents, Ints(range.walk.extents.size(), 0), 0}, call.out(),
                   range.walk);
    })
    .in_place()
    .vjp([](Vjp& v) {
      SliceAssignScalarParams p = v.params<SliceAssignScalarParams>();
      p.scalar = 0;
      v.grad(0, slice_assign_scalar(v.head(), p));
    })
    .doc("The array with a number written to the given slice; in place with out=data.");

}  // namespace

NDArray slice_axis(const NDArray& x, int axis, int64_t begin, int64_t end) {
  // As slice: slice_axis refuses an empty range.
  return fn::slice(x, axis_slice(axis, begin, end));
}

}  // namespace mxtape

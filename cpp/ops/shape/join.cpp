#include <algorithm>

#include "op/common_params.h"
#include "op/declare.h"
#include "op/tangent.h"
#include "ops/shape/slice.h"
#include "ops/shared/axis_view.h"
#include "ops/shared/strided.h"

// Operators that put arrays together along an axis, or take one apart.
namespace mxtape {
namespace {

struct SplitParams {
  int64_t num_outputs = 1;
  int64_t axis = 1;
  bool squeeze_axis = false;
  template <class V>
  void visit(V& v) {
    v.required("num_outputs", num_outputs, "How many equal parts.");
    v("axis", axis, "The axis to split.");
    v("squeeze_axis", squeeze_axis, "Whether to drop the axis from parts of extent 1.");
  }
};

struct SplitV2Params {
  Ints indices;
  int64_t axis = 1;
  bool squeeze_axis = false;
  int64_t sections = 0;
  template <class V>
  void visit(V& v) {
    v.required("indices", indices, "Where each part starts; the first is 0.");
    v("axis", axis, "The axis to split.");
    v("squeeze_axis", squeeze_axis, "Whether to drop the axis from parts of extent 1.");
    v("sections", sections, "Instead of indices: how many parts, as equal as they can be.");
  }
};

NDArray joined(const std::vector<NDArray>& parts, int axis) {
  Outputs outputs;
  invoke(fn::concat.schema(), parts,
         make_params(ConcatParams{static_cast<int64_t>(parts.size()), axis}), outputs);
  return std::move(outputs[0]);
}

// Moves between `whole` and its parts, which lie one behind the other along axis `axis`: a part of
// extent 1 along it may lack the axis.
template <class Parts, class Move>
void for_each_part(const Shape& whole, int axis, Parts parts, Move&& move) {
  const AxisView view(whole, axis);
  int64_t start = 0;
  for (const NDArray& part : parts) {
    const int64_t extent = view.runs() ? part.size() / view.runs() : 0;
    const int64_t block = extent * view.inner;
    Strided in_whole;
    in_whole.axis(view.outer, view.n * view.inner);
    in_whole.axis(block, 1);
    in_whole.offset = start * view.inner;
    Strided in_part;
    in_part.axis(view.outer, block);
    in_part.axis(block, 1);
    move(part, in_part, in_whole);
    start += extent;
  }
}

void join_parts(const KernelCall& call, int axis) {
  for_each_part(call.out().shape(), axis, call.inputs(),
                [&](const NDArray& part, const Strided& in_part, const Strided& in_whole) {
                  copy_strided(part, in_part, call.out(), in_whole);
                });
}

void part_from(const KernelCall& call, int axis) {
  const NDArray& whole = call.in(0);
  for_each_part(whole.shape(), axis, call.outputs(),
                [&](const NDArray& part, const Strided& in_part, const Strided& in_whole) {
                  copy_strided(whole, in_whole, part, in_part);
                });
}

// In a graph: what is known of one array's extents, but for those along `axis`, is known of all.
void share_extents(const InferCall& call, int axis) {
  if (!call.fill(0, Shape::unknown())) return;  // arrays know theirs
  Shape common = call.partial_shape(0);
  for (int pass = 0; pass < 2; ++pass) {
    for (size_t i = 0; i < call.input_count(); ++i) {
      if (axis >= 0) common[axis] = -1;
      if (!call.fill(i, common)) return;  // they contradict each other: said below
      const Shape& part = call.partial_shape(i);
      merge_shape(common, part);
    }
  }
}

void infer_concat(InferCall& call) {
  call.expect_same_dtype();
  const int axis = call.axis(call.params<ConcatParams>().dim);
  share_extents(call, axis);
  Shape shape = call.shape(0);
  for (size_t i = 1; i < call.input_count(); ++i) {
    const Shape& part = call.shape(i);
    bool fits = part.ndim() == shape.ndim();
    for (int d = 0; fits && d < shape.ndim(); ++d) fits = d == axis || part[d] == shape[d];
    call.expect(fits, "the arrays' shapes may differ along axis ", axis, " only");
    shape[axis] += part[axis];
  }
  call.output(0, std::move(shape), call.dtype(0));
}

void run_concat(const KernelCall& call) {
  join_parts(call, normalize_axis(call.params<ConcatParams>().dim, call.out().ndim(), call.name()));
}

void concat_vjp(Vjp& v) {
  const int axis = normalize_axis(v.params<ConcatParams>().dim, v.input_shape(0).ndim(), "Concat");
  const NDArray g = v.head();
  int64_t start = 0;
  for (size_t i = 0; i < v.input_count(); ++i) {
    const int64_t end = start + v.input_shape(i)[axis];
    if (v.needs(i)) v.grad(i, slice_axis(g, axis, start, end));
    start = end;
  }
}

OP(Concat)
    .alias("concat")
    .variadic("data", "num_args")
    .params<ConcatParams>()
    .infer(infer_concat)
    .any_dtype()
    .kernel(run_concat)
    .keep_input(0, Keep::kShape)
    .vjp(concat_vjp)
    .tangent(joint_tangent)
    .doc("The arrays one behind the other along axis `dim`; their other extents are the same.")
    .example(R"(
>>> a, b = mx.nd.array([[1, 2]]), mx.nd.array([[3, 4]])
>>> mx.nd.Concat(a, b).asnumpy().tolist()
[[1.0, 2.0, 3.0, 4.0]]
>>> mx.nd.Concat(a, b, dim=0).asnumpy().tolist()
[[1.0, 2.0], [3.0, 4.0]]
)");

// In a graph, parts of unknown size are of one size: graph/sizes.cpp.
OP(_rnn_param_concat)
    .variadic("data", "num_args")
    .params<ConcatParams>()
    .infer(infer_concat)
    .any_dtype()
    .kernel(run_concat)
    .keep_input(0, Keep::kShape)
    .vjp(concat_vjp)
    .tangent(joint_tangent)
    .doc("The weights and biases of recurrent layers as the vector that RNN reads: see Concat.");

OP(stack)
    .variadic("data", "num_args")
    .params<StackParams>()
    .infer([](InferCall& call) {
      call.expect_same_dtype();
      share_extents(call, -1);
      const Shape& in = call.shape(0);
      for (size_t i = 1; i < call.input_count(); ++i) {
        call.expect(call.shape(i) == in, "the arrays must have one shape");
      }
      const int axis = normalize_axis(call.params<StackParams>().axis, in.ndim() + 1, call.name());
      Ints shape(in.begin(), in.end());
      shape.insert(shape.begin() + axis, static_cast<int64_t>(call.input_count()));
      call.output(0, Shape(shape), call.dtype(0));
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      join_parts(call,
                 normalize_axis(call.params<StackParams>().axis, call.out().ndim(), call.name()));
    })
    .keep_input(0, Keep::kShape)
    .vjp([](Vjp& v) {
      const Shape in = v.input_shape(0);
      const int axis = normalize_axis(v.params<StackParams>().axis, in.ndim() + 1, "stack");
      const NDArray g = v.head();
      for (size_t i = 0; i < v.input_count(); ++i) {
        const auto at = static_cast<int64_t>(i);
        if (v.needs(i)) v.grad(i, reshape(slice_axis(g, axis, at, at + 1), in));
      }
    })
    .tangent(joint_tangent)
    .doc("Arrays of one shape side by side along a new axis.")
    .example(R"(
>>> a, b = mx.nd.array([1, 2]), mx.nd.array([3, 4])
>>> mx.nd.stack(a, b).asnumpy().tolist()
[[1.0, 2.0], [3.0, 4.0]]
>>> mx.nd.stack(a, b, axis=1).asnumpy().tolist()
[[1.0, 3.0], [2.0, 4.0]]
)");

Shape without_axis(const Shape& shape, int axis) {
  Ints rest(shape.begin(), shape.end());
  rest.erase(rest.begin() + axis);
  return Shape(rest);
}

// The gradient of taking apart: the parts' gradients put together again.
void split_vjp(Vjp& v, int axis, size_t count, const Ints& extents) {
  std::vector<NDArray> parts;
  for (size_t i = 0; i < count; ++i) {
    Shape shape = v.input_shape(0);
    shape[axis] = extents[i];
    parts.push_back(reshape(v.head(i), shape));
  }
  v.grad(0, joined(parts, axis));
}

OP(SliceChannel)
    .alias("split")
    .inputs("data")
    .params<SplitParams>()
    .outputs([](const Params* p) {
      return static_cast<size_t>(std::max<int64_t>(1, p->as<SplitParams>().num_outputs));
    })
    .infer([](InferCall& call) {
      const auto& p = call.params<SplitParams>();
      const int axis = call.axis(p.axis);
      call.expect(p.num_outputs > 0, "num_outputs must be positive");
      Shape shape = call.shape(0);
      call.expect(shape[axis] % p.num_outputs == 0, "axis ", axis, " of extent ", shape[axis],
                  " cannot be split into ", p.num_outputs, " equal parts");
      shape[axis] /= p.num_outputs;
      if (p.squeeze_axis) {
        call.expect(shape[axis] == 1, "squeeze_axis needs parts of extent 1, these have ",
                    shape[axis]);
        shape = without_axis(shape, axis);
      }
      for (size_t i = 0; i < static_cast<size_t>(p.num_outputs); ++i) {
        call.output(i, shape, call.dtype(0));
      }
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      part_from(call,
                normalize_axis(call.params<SplitParams>().axis, call.in(0).ndim(), call.name()));
    })
    .keep_input(0, Keep::kShape)
    .vjp([](Vjp& v) {
      const auto& p = v.params<SplitParams>();
      const Shape in = v.input_shape(0);
      const int axis = normalize_axis(p.axis, in.ndim(), "SliceChannel");
      const auto count = static_cast<size_t>(p.num_outputs);
      split_vjp(v, axis, count, Ints(count, in[axis] / p.num_outputs));
    })
    .linear(0)
    .method()
    .doc("The array cut into num_outputs equal parts along an axis, each a copy.")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [3, 4]])
>>> left, right = mx.nd.SliceChannel(x, num_outputs=2)
>>> left.asnumpy().tolist(), right.asnumpy().tolist()
([[1.0], [3.0]], [[2.0], [4.0]])
>>> top, bottom = mx.nd.SliceChannel(x, num_outputs=2, axis=0, squeeze_axis=True)
>>> top.asnumpy().tolist(), bottom.asnumpy().tolist()
([1.0, 2.0], [3.0, 4.0])
)");

// Extents of the parts: of `sections` nearly equal ones, or between the given starts.
Ints split_extents(int64_t extent, const SplitV2Params& p) {
  Ints extents;
  if (p.sections > 0) {
    for (int64_t i = 0; i < p.sections; ++i) {
      extents.push_back(extent / p.sections + (i < extent % p.sections ? 1 : 0));
    }
    return extents;
  }
  for (size_t i = 0; i < p.indices.size(); ++i) {
    extents.push_back((i + 1 < p.indices.size() ? p.indices[i + 1] : extent) - p.indices[i]);
  }
  return extents;
}

size_t split_count(const Params* params) {
  const auto& p = params->as<SplitV2Params>();
  return p.sections > 0 ? static_cast<size_t>(p.sections) : std::max<size_t>(1, p.indices.size());
}

OP(_split_v2)
    .inputs("data")
    .params<SplitV2Params>()
    .outputs(split_count)
    .infer([](InferCall& call) {
      const auto& p = call.params<SplitV2Params>();
      const int axis = call.axis(p.axis);
      const int64_t extent = call.shape(0)[axis];
      call.expect(p.sections > 0 || (p.sections == 0 && !p.indices.empty() && p.indices[0] == 0),
                  "give a positive number of sections, or indices that start with 0");
      const Ints extents = split_extents(extent, p);
      for (size_t i = 0; i < extents.size(); ++i) {
        call.expect(extents[i] >= 0 && (p.sections > 0 || p.indices[i] <= extent),
                    "indices must ascend and stay within axis ", axis, " of extent ", extent);
        Shape shape = call.shape(0);
        shape[axis] = extents[i];
        if (p.squeeze_axis) {
          call.expect(extents[i] == 1, "squeeze_axis needs parts of extent 1, part ", i, " has ",
                      extents[i]);
          shape = without_axis(shape, axis);
        }
        call.output(i, std::move(shape), call.dtype(0));
      }
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      part_from(call,
                normalize_axis(call.params<SplitV2Params>().axis, call.in(0).ndim(), call.name()));
    })
    .keep_input(0, Keep::kShape)
    .vjp([](Vjp& v) {
      const auto& p = v.params<SplitV2Params>();
      const Shape in = v.input_shape(0);
      const int axis = normalize_axis(p.axis, in.ndim(), "_split_v2");
      const Ints extents = split_extents(in[axis], p);
      split_vjp(v, axis, extents.size(), extents);
    })
    .linear(0)
    .doc("The array cut along an axis at the given places, or into nearly equal sections.");

}  // namespace
}  // namespace mxtape

#include <algorithm>

#include "op/common_params.h"
#include "op/declare.h"
#include "ops/shared/axis_view.h"
#include "ops/shared/strided.h"

// Operators that repeat elements: along axes of extent 1, or any axis.
namespace mxtape {
namespace {

struct BroadcastLikeParams {
  OptInts lhs_axes;
  OptInts rhs_axes;
  template <class V>
  void visit(V& v) {
    v("lhs_axes", lhs_axes, "Axes of lhs to broadcast; None for all of them.");
    v("rhs_axes", rhs_axes, "The axes of rhs whose extents they get.");
  }
};

struct TileParams {
  Ints reps;
  template <class V>
  void visit(V& v) {
    v.required("reps", reps, "How often each axis is repeated, aligned with the last axis.");
  }
};

struct RepeatParams {
  int64_t repeats = 1;
  std::optional<int64_t> axis;
  template <class V>
  void visit(V& v) {
    v.required("repeats", repeats, "How often each element is repeated.");
    v("axis", axis, "Axis along which to repeat; None flattens the array first.");
  }
};

// Output axes of extent n over input axes of extent 1 stand still in the input.
void broadcast_kernel(const KernelCall& call) {
  const NDArray& in = call.in(0);
  const Shape& shape = call.out().shape();
  const Ints strides = dense_strides(in.shape());
  Strided source;
  for (int d = 0; d < shape.ndim(); ++d) {
    source.axis(shape[d], in.shape()[d] == 1 ? 0 : strides[static_cast<size_t>(d)]);
  }
  gather_strided(in, source, call.out());
}

void broadcast_vjp(Vjp& v) {
  if (v.needs(0)) v.grad(0, sum_to(v.head(), v.input_shape(0)));
  // broadcast_like reads the shape of its second input only.
  if (v.input_count() > 1 && v.needs(1)) v.grad(1, full(v.input_shape(1), v.input_dtype(1), 0));
}

OP(broadcast_to)
    .inputs("data")
    .params<BroadcastToParams>()
    .infer([](InferCall& call) {
      const Ints& wanted = call.params<BroadcastToParams>().shape;
      const Shape& in = call.shape(0);
      call.expect(static_cast<int>(wanted.size()) == in.ndim(), "shape must have ", in.ndim(),
                  " extents, one for each axis");
      Shape shape = in;
      for (int d = 0; d < in.ndim(); ++d) {
        const int64_t extent = wanted[static_cast<size_t>(d)];
        if (extent == 0 || extent == in[d]) continue;
        call.expect(in[d] == 1 && extent > 0, "axis ", d, " of extent ", in[d],
                    " cannot be broadcast to ", extent);
        shape[d] = extent;
      }
      checked_size(shape, call.name());
      call.output(0, std::move(shape), call.dtype(0));
    })
    .any_dtype()
    .kernel(broadcast_kernel)
    .broadcast()
    .keep_input(0, Keep::kShape)
    .vjp(broadcast_vjp)
    .linear(0)
    .method()
    .doc("The array with its axes of extent 1 repeated to fill `shape`.")
    .example(R"(
>>> x = mx.nd.array([[1], [2]])
>>> mx.nd.broadcast_to(x, shape=(2, 3)).asnumpy().tolist()
[[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]
>>> mx.nd.broadcast_to(x, shape=(0, 4)).shape  # 0: as it is
(2, 4)
)");

OP(broadcast_axis)
    .alias("broadcast_axes")
    .inputs("data")
    .params<BroadcastAxisParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<BroadcastAxisParams>();
      call.expect(p.axis.size() == p.size.size(), "axis and size must have one length");
      Shape shape = call.shape(0);
      for (size_t i = 0; i < p.axis.size(); ++i) {
        call.expect(p.axis[i] >= 0 && p.axis[i] < shape.ndim(), "axis ", p.axis[i],
                    " is out of range for an array of ", shape.ndim(), " axes");
        int64_t& extent = shape[static_cast<int>(p.axis[i])];
        call.expect(extent == 1, "axis ", p.axis[i], " has extent ", extent,
                    ", only an axis of extent 1 can be broadcast");
        call.expect(p.size[i] >= 0, "size must not be negative");
        extent = p.size[i];
      }
      checked_size(shape, call.name());
      call.output(0, std::move(shape), call.dtype(0));
    })
    .any_dtype()
    .kernel(broadcast_kernel)
    .broadcast()
    .keep_input(0, Keep::kShape)
    .vjp(broadcast_vjp)
    .linear(0)
    .method()
    .doc("The array with each of the given axes, of extent 1, repeated to the given size.")
    .example(R"(
>>> x = mx.nd.array([[[1], [2]]])  # shape (1, 2, 1)
>>> mx.nd.broadcast_axis(x, axis=(0, 2), size=(2, 3)).asnumpy().tolist()
[[[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]], [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]]
)");

OP(broadcast_like)
    .inputs("lhs", "rhs")
    .params<BroadcastLikeParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<BroadcastLikeParams>();
      const Shape &lhs = call.shape(0), &rhs = call.shape(1);
      Shape shape = lhs;
      const auto take = [&](int to, int from) {
        if (lhs[to] == rhs[from]) return;
        call.expect(lhs[to] == 1, "axis ", to, " of lhs, of extent ", lhs[to],
                    ", cannot be broadcast to ", rhs[from]);
        shape[to] = rhs[from];
      };
      if (!p.lhs_axes && !p.rhs_axes) {
        call.expect(lhs.ndim() == rhs.ndim(), "lhs and rhs must have the same number of axes");
        for (int d = 0; d < lhs.ndim(); ++d) take(d, d);
      } else {
        call.expect(p.lhs_axes && p.rhs_axes && p.lhs_axes->size() == p.rhs_axes->size() &&
                        !p.lhs_axes->empty(),
                    "lhs_axes and rhs_axes must be given together, with one length");
        for (size_t i = 0; i < p.lhs_axes->size(); ++i) {
          take(call.axis((*p.lhs_axes)[i], 0), call.axis((*p.rhs_axes)[i], 1));
        }
      }
      call.output(0, std::move(shape), call.dtype(0));
    })
    .any_dtype()
    .kernel(broadcast_kernel)
    .broadcast()
    .keep_inputs({Keep::kShape, Keep::kShape})
    .vjp(broadcast_vjp)
    .method()
    .doc("lhs with its axes of extent 1 repeated to the extents of rhs.")
    .example(R"(
>>> x, y = mx.nd.array([[1], [2]]), mx.nd.zeros((2, 3))
>>> mx.nd.broadcast_like(x, y).asnumpy().tolist()
[[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]
)");

// For each axis of the result of tile: how often, and the extent that is repeated.
void tile_axes(const Shape& in, const Ints& reps, Ints& times, Ints& extents) {
  const size_t n = std::max(reps.size(), static_cast<size_t>(in.ndim()));
  times.assign(n, 1);
  extents.assign(n, 1);
  std::copy(reps.begin(), reps.end(), times.end() - static_cast<long>(reps.size()));
  std::copy(in.begin(), in.end(), extents.end() - in.ndim());
}

OP(tile)
    .inputs("data")
    .params<TileParams>()
    .infer([](InferCall& call) {
      Ints times, extents;
      tile_axes(call.shape(0), call.params<TileParams>().reps, times, extents);
      for (size_t d = 0; d < times.size(); ++d) {
        call.expect(times[d] > 0, "reps must be positive");
        checked_size({extents[d], times[d]}, call.name());
        extents[d] *= times[d];
      }
      Shape shape(extents);
      checked_size(shape, call.name());
      call.output(0, std::move(shape), call.dtype(0));
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      Ints times, extents;
      tile_axes(call.in(0).shape(), call.params<TileParams>().reps, times, extents);
      const Ints strides = dense_strides(Shape(extents));
      Strided source;
      for (size_t d = 0; d < times.size(); ++d) {
        source.axis(times[d], 0);
        source.axis(extents[d], strides[d]);
      }
      gather_strided(call.in(0), source, call.out());
    })
    .keep_input(0, Keep::kShape)
    .vjp([](Vjp& v) {
      Ints times, extents, split, axes;
      tile_axes(v.input_shape(0), v.params<TileParams>().reps, times, extents);
      for (size_t d = 0; d < times.size(); ++d) {
        if (times[d] > 1) {
          axes.push_back(static_cast<int64_t>(split.size()));
          split.push_back(times[d]);
        }
        split.push_back(extents[d]);
      }
      NDArray g = reshape(v.head(), Shape(split));
      if (!axes.empty()) g = sum(g, axes, false);
      v.grad(0, reshape(g, v.input_shape(0)));
    })
    .linear(0)
    .method()
    .doc("The whole array repeated `reps` times along each axis.")
    .example(R"(
>>> x = mx.nd.array([[1, 2]])
>>> mx.nd.tile(x, reps=(2, 2)).asnumpy().tolist()
[[1.0, 2.0, 1.0, 2.0], [1.0, 2.0, 1.0, 2.0]]
)");

OP(repeat)
    .inputs("data")
    .params<RepeatParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<RepeatParams>();
      call.expect(p.repeats >= 0, "repeats must not be negative");
      Shape shape = call.shape(0);
      checked_size({p.axis ? shape[call.axis(*p.axis)] : shape.size(), p.repeats}, call.name());
      // As MXNet has it, nothing at all has shape (0,), whatever the axis.
      if (p.repeats == 0) {
        shape = {0};
      } else if (p.axis) {
        shape[call.axis(*p.axis)] *= p.repeats;
      } else {
        shape = {shape.size() * p.repeats};
      }
      checked_size(shape, call.name());
      call.output(0, std::move(shape), call.dtype(0));
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<RepeatParams>();
      const AxisView view(call.in(0).shape(), p.axis, call.name());
      Strided source;
      source.axis(view.outer, view.n * view.inner);
      source.axis(view.n, view.inner);
      source.axis(p.repeats, 0);
      source.axis(view.inner, 1);
      gather_strided(call.in(0), source, call.out());
    })
    .keep_input(0, Keep::kShape)
    .vjp([](Vjp& v) {
      const auto& p = v.params<RepeatParams>();
      const Shape in = v.input_shape(0);
      if (p.repeats == 0) {
        v.grad(0, full(in, v.input_dtype(0), 0));
        return;
      }
      const AxisView view(in, p.axis, "repeat");
      const NDArray g = reshape(v.head(), {view.outer, view.n, p.repeats, view.inner});
      v.grad(0, reshape(sum(g, {2}, false), in));
    })
    .linear(0)
    .method()
    .doc("Every element, or every slice along `axis`, repeated `repeats` times in place.")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [3, 4]])
>>> mx.nd.repeat(x, repeats=2).asnumpy().tolist()
[1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]
>>> mx.nd.repeat(x, repeats=2, axis=1).asnumpy().tolist()
[[1.0, 1.0, 2.0, 2.0], [3.0, 3.0, 4.0, 4.0]]
)");

}  // namespace
}  // namespace mxtape

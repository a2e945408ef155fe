#include <algorithm>
#include <cmath>

#include "op/common_params.h"
#include "op/declare.h"
#include "ops/index.h"
#include "ops/reshape.h"
#include "ops/strided.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// Small operators that MXNet has under contrib.
namespace mxtape {
namespace {

void run_tile(const fn::Op& op, const NDArray& x, const NDArray& out) {
  const TileFunction& tile = op.schema().tile;
  TileOperand operand;
  operand.array = &x;
  run_tiles(tile, tile.compute_dtype(out.dtype()), {&operand, 1}, out, nullptr);
}

// ---- pointwise

struct QuadraticParams {
  double a = 0, b = 0, c = 0;
  template <class V>
  void visit(V& v) {
    v("a", a, "Factor of the square.");
    v("b", b, "Factor of the element.");
    v("c", c, "What is added.");
  }
};

const fn::Op quadratic_grad{"_contrib_backward_quadratic"};

OP(_contrib_quadratic)
    .inputs("data")
    .params<QuadraticParams>()
    .infer(infer_unary)
    .pointwise(floating_tile<1, QuadraticParams>([](const QuadraticParams& p, auto x) {
      using T = typename decltype(x)::Scalar;
      return (x * static_cast<T>(p.a) + static_cast<T>(p.b)) * x + static_cast<T>(p.c);
    }))
    .keep_input()
    .vjp([](Vjp& v) {
      v.grad(0, quadratic_grad({v.head(), v.input(0)}, v.params<QuadraticParams>()));
    })
    .doc("a * data**2 + b * data + c.")
    .example(R"(
>>> mx.nd.contrib.quadratic(mx.nd.array([0, 1, 2]), a=1, b=10, c=100).asnumpy().tolist()
[100.0, 111.0, 124.0]
)");

OP(_contrib_backward_quadratic)
    .inputs("head", "data")
    .params<QuadraticParams>()
    .pointwise(floating_tile<2, QuadraticParams>([](const QuadraticParams& p, auto g, auto x) {
      using T = typename decltype(x)::Scalar;
      return g * (x * static_cast<T>(2 * p.a) + static_cast<T>(p.b));
    }))
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      const auto& p = v.params<QuadraticParams>();
      if (v.needs(0)) v.grad(0, quadratic_grad({v.head(), v.input(1)}, p));
      if (v.needs(1)) v.grad(1, v.head() * v.input(0) * (2 * p.a));
    })
    .doc("The gradient of _contrib_quadratic.");

double root_of_depth(const Shape& shape) {
  return std::sqrt(static_cast<double>(shape[shape.ndim() - 1]));
}

const fn::Op div_sqrt_dim{"_contrib_div_sqrt_dim"}, round_op{"round"};

OP(_contrib_div_sqrt_dim)
    .inputs("data")
    .infer([](InferCall& call) {
      call.expect(call.shape(0).ndim() >= 1, "data must have at least 1 axis");
      infer_same_floating(call);
    })
    .kernel([](const KernelCall& call) {
      const NDArray& x = call.in(0);
      if (x.size() == 0) return;
      const TileFunction& tile = fn::Op("broadcast_mul").schema().tile;
      TileOperand operands[2];
      operands[0].array = &x;
      operands[1].scalar = 1 / root_of_depth(x.shape());
      run_tiles(tile, tile.compute_dtype(x.dtype()), operands, call.out(), nullptr);
    })
    .vjp([](Vjp& v) { v.grad(0, div_sqrt_dim(v.head())); })
    .doc("data divided by the square root of its last extent.")
    .example(R"(
>>> mx.nd.contrib.div_sqrt_dim(mx.nd.array([[2, 4, 6, 8]])).asnumpy().tolist()
[[1.0, 2.0, 3.0, 4.0]]
)");

// Straight-through estimators: the gradient passes as if the function were the identity.
OP(_contrib_round_ste)
    .inputs("data")
    .infer(infer_unary)
    .kernel([](const KernelCall& call) { run_tile(round_op, call.in(0), call.out()); })
    .vjp([](Vjp& v) { v.grad(0, v.head()); })
    .doc("data rounded, with the gradient of the identity.")
    .example(R"(
>>> x = mx.nd.array([0.4, 1.5])
>>> x.attach_grad()
>>> with mx.autograd.record():
...     y = mx.nd.contrib.round_ste(x)
>>> y.backward()
>>> y.asnumpy().tolist(), x.grad.asnumpy().tolist()
([0.0, 2.0], [1.0, 1.0])
)");

OP(_contrib_sign_ste)
    .inputs("data")
    .infer(infer_unary)
    .kernel([](const KernelCall& call) { run_tile(fn::sign, call.in(0), call.out()); })
    .vjp([](Vjp& v) { v.grad(0, v.head()); })
    .doc("The sign of data, with the gradient of the identity.")
    .example(R"(
>>> x = mx.nd.array([-0.5, 3])
>>> x.attach_grad()
>>> with mx.autograd.record():
...     y = mx.nd.contrib.sign_ste(x)
>>> y.backward()
>>> y.asnumpy().tolist(), x.grad.asnumpy().tolist()
([-1.0, 1.0], [1.0, 1.0])
)");

OP(_contrib_gradientmultiplier)
    .inputs("data")
    .params<ScalarParams>()
    .infer(infer_unary)
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

// ---- numbers made after the shape of an array

struct ArangeLikeParams {
  double start = 0, step = 1;
  int64_t repeat = 1;
  std::string ctx;
  std::optional<int64_t> axis;
  template <class V>
  void visit(V& v) {
    v("start", start, "The first number.");
    v("step", step, "The distance between numbers.");
    v("repeat", repeat, "How often each number comes.");
    v("ctx", ctx, "Accepted for compatibility.");
    v("axis", axis, "The axis whose extent is the length of the result; None for data's shape.");
  }
};

OP(_contrib_arange_like)
    .inputs("data")
    .params<ArangeLikeParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<ArangeLikeParams>();
      call.expect(p.repeat >= 1, "repeat must be positive");
      call.expect(call.dtype(0) != DType::kBool, "boolean arrays hold no numbers; use astype()");
      const Shape& data = call.shape(0);
      call.output(0, p.axis ? Shape{data[call.axis(*p.axis)]} : data, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<ArangeLikeParams>();
      dispatch(call.out().dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        T* out = call.out().data<T>();
        for (int64_t i = 0; i < call.out().size(); ++i) {
          out[i] = convert_value<T>(p.start + p.step * static_cast<double>(i / p.repeat));
        }
      });
    })
    .zero_grad()
    .doc("start, start + step, ... in data's shape, or as many as an axis of it has elements.")
    .example(R"(
>>> x = mx.nd.zeros((2, 3))
>>> mx.nd.contrib.arange_like(x, start=10).asnumpy().tolist()
[[10.0, 11.0, 12.0], [13.0, 14.0, 15.0]]
>>> mx.nd.contrib.arange_like(x, axis=1).asnumpy().tolist()
[0.0, 1.0, 2.0]
)");

struct IndexArrayParams {
  OptInts axes;
  template <class V>
  void visit(V& v) {
    v("axes", axes, "The axes whose indices are given; None for all.");
  }
};

Ints index_axes(const OptInts& axes, int ndim, std::string_view op) {
  Ints result;
  if (!axes) {
    for (int d = 0; d < ndim; ++d) result.push_back(d);
  } else {
    for (int64_t axis : *axes) result.push_back(normalize_axis(axis, ndim, op));
  }
  return result;
}

OP(_contrib_index_array)
    .inputs("data")
    .params<IndexArrayParams>()
    .infer([](InferCall& call) {
      const Shape& data = call.shape(0);
      const Ints axes = index_axes(call.params<IndexArrayParams>().axes, data.ndim(), call.name());
      Ints dims(data.begin(), data.end());
      dims.push_back(static_cast<int64_t>(axes.size()));
      call.output(0, Shape(dims), DType::kInt64);
    })
    .kernel([](const KernelCall& call) {
      const Shape& shape = call.in(0).shape();
      const Ints axes = index_axes(call.params<IndexArrayParams>().axes, shape.ndim(), call.name());
      const int64_t count = static_cast<int64_t>(axes.size());
      int64_t* out = call.out().data<int64_t>();
      for (int64_t k = 0; k < count; ++k) {
        const int axis = static_cast<int>(axes[static_cast<size_t>(k)]);
        const int64_t after = shape.product(axis + 1, shape.ndim());
        parallel_for(shape.size(), 1 << 15, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) out[i * count + k] = i / after % shape[axis];
        });
      }
    })
    .zero_grad()
    .doc("The indices of each element of data, along a new last axis.")
    .example(R"(
>>> mx.nd.contrib.index_array(mx.nd.zeros((2, 2))).asnumpy().tolist()
[[[0, 0], [0, 1]], [[1, 0], [1, 1]]]
)");

// ---- allclose

struct AllcloseParams {
  double rtol = 1e-5, atol = 1e-8;
  bool equal_nan = true;
  template <class V>
  void visit(V& v) {
    v("rtol", rtol, "Allowed difference, relative to b.");
    v("atol", atol, "Allowed difference, added to that.");
    v("equal_nan", equal_nan, "Whether NaN equals NaN.");
  }
};

template <class T>
bool all_close(const NDArray& a, const NDArray& b, const AllcloseParams& p) {
  const T *x = a.data<T>(), *y = b.data<T>();
  for (int64_t i = 0; i < a.size(); ++i) {
    const auto u = static_cast<double>(static_cast<compute_type<T>>(x[i]));
    const auto w = static_cast<double>(static_cast<compute_type<T>>(y[i]));
    if (u == w) continue;
    if (p.equal_nan && std::isnan(u) && std::isnan(w)) continue;
    // No number is close to an infinite one, nor to NaN.
    if (!(std::isfinite(u) && std::isfinite(w) &&
          std::abs(u - w) <= p.atol + p.rtol * std::abs(w))) {
      return false;
    }
  }
  return true;
}

OP(_contrib_allclose)
    .inputs("a", "b")
    .params<AllcloseParams>()
    .infer([](InferCall& call) {
      call.expect_same_dtype();
      call.expect(call.shape(0) == call.shape(1), "a and b must have one shape");
      call.output(0, Shape{}, DType::kUint8);
    })
    .kernel([](const KernelCall& call) {
      dispatch(call.in(0).dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        *call.out().data<uint8_t>() =
            all_close<T>(call.in(0), call.in(1), call.params<AllcloseParams>()) ? 1 : 0;
      });
    })
    .no_grad("it answers a question")
    .doc("1 when |a - b| <= atol + rtol * |b| everywhere, else 0, as uint8 of shape ().")
    .example(R"(
>>> a = mx.nd.array([1, 2])
>>> mx.nd.contrib.allclose(a, a + 1e-6).asnumpy().tolist()
1
>>> mx.nd.contrib.allclose(a, a + 1e-3).asnumpy().tolist()
0
)");

// ---- rows that are picked or replaced

struct BooleanMaskParams {
  int64_t axis = 0;
  template <class V>
  void visit(V& v) {
    v("axis", axis, "The axis that index runs along: 0.");
  }
};

// The positions where `mask` is not zero.
NDArray positions_of(const NDArray& mask) {
  const NDArray flags = NDArray::empty(mask.shape(), DType::kBool);
  convert(mask.dtype(), mask.bytes(), DType::kBool, flags.bytes(), mask.size());
  const bool* set = flags.data<bool>();
  const NDArray positions =
      NDArray::empty(Shape{std::count(set, set + mask.size(), true)}, DType::kInt64);
  int64_t* to = positions.data<int64_t>();
  for (int64_t i = 0; i < mask.size(); ++i) {
    if (set[i]) *to++ = i;
  }
  return positions;
}

const fn::Op boolean_mask{"_contrib_boolean_mask"}, mask_grad{"_backward_boolean_mask"};
const fn::Op index_copy{"_contrib_index_copy"}, gather_nd{"gather_nd"};

OP(_contrib_boolean_mask)
    .inputs("data", "index")
    .params<BooleanMaskParams>()
    .infer([](InferCall& call) {
      call.expect(call.params<BooleanMaskParams>().axis == 0, "axis must be 0");
      call.expect(call.shape(0).ndim() >= 1 && call.shape(1) == Shape{call.shape(0)[0]},
                  "index must be a vector with a number for each row of data");
      Shape shape = call.shape(0);
      shape[0] = positions_of(call.input(1)).size();
      call.output(0, shape, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      if (call.out().size() == 0) return;
      const NDArray& x = call.in(0);
      gather_rows(x, rows_of(x.shape(), 0), positions_of(call.in(1)), call.out());
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kNothing, Keep::kData})
    .vjp([](Vjp& v) { v.grad(0, mask_grad(v.head(), v.input(1))); })
    .doc("The rows of data at which index is not zero.")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [3, 4], [5, 6]])
>>> mx.nd.contrib.boolean_mask(x, mx.nd.array([1, 0, 1])).asnumpy().tolist()
[[1.0, 2.0], [5.0, 6.0]]
)");

OP(_backward_boolean_mask)
    .inputs("head", "index")
    .infer([](InferCall& call) {
      call.expect(call.shape(0).ndim() >= 1 && call.shape(1).ndim() == 1 &&
                      call.shape(0)[0] == positions_of(call.input(1)).size(),
                  "head must have a row for each number of index that is not zero");
      Shape shape = call.shape(0);
      shape[0] = call.shape(1)[0];
      call.output(0, shape, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const NDArray &head = call.in(0), &out = call.out();
      fill_zero(out);
      if (head.size() == 0) return;
      scatter_rows(head, positions_of(call.in(1)), out, rows_of(out.shape(), 0));
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kNothing, Keep::kData})
    .vjp([](Vjp& v) { v.grad(0, boolean_mask({v.head(), v.input(1)}, BooleanMaskParams{})); })
    .doc("Zeros, with the rows of the head where index is not zero.");

OP(_contrib_index_copy)
    .inputs("old_tensor", "index_vector", "new_tensor")
    .infer([](InferCall& call) {
      const Shape &old = call.shape(0), &index = call.shape(1), &rows = call.shape(2);
      call.expect(call.dtype(0) == call.dtype(2), "old_tensor and new_tensor must have one dtype");
      call.expect(index.ndim() == 1 && old.ndim() >= 1 && rows.ndim() == old.ndim() &&
                      rows[0] == index[0] &&
                      std::equal(old.begin() + 1, old.end(), rows.begin() + 1),
                  "new_tensor must have a row like those of old_tensor for each number of "
                  "index_vector");
      const NDArray numbers = index_numbers(call.input(1));
      for (int64_t i = 0; i < numbers.size(); ++i) {
        const int64_t k = numbers.data<int64_t>()[i];
        call.expect(k >= 0 && k < old[0], "index_vector[", i, "] is ", k, ", it must be in [0, ",
                    old[0], ")");
      }
      call.output(0, old, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const NDArray &old = call.in(0), &rows = call.in(2), &out = call.out();
      if (out.size() == 0) return;
      convert(old.dtype(), old.bytes(), out.dtype(), out.bytes(), old.size());
      if (rows.size() > 0) {
        scatter_rows(rows, index_numbers(call.in(1)), out, rows_of(out.shape(), 0));
      }
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kNothing, Keep::kData, Keep::kShape})
    .vjp([](Vjp& v) {
      const NDArray g = v.head(), index = v.input(1);
      if (v.needs(0)) {
        v.grad(0, index_copy(g, index, full(v.input_shape(2), v.input_dtype(2), 0)));
      }
      if (v.needs(2)) v.grad(2, gather_nd(g, index.viewed(Shape{1, index.size()})));
    })
    .doc("old_tensor with the rows that index_vector names replaced by those of new_tensor.")
    .example(R"(
>>> x, rows = mx.nd.zeros((3, 2)), mx.nd.array([[1, 2], [3, 4]])
>>> mx.nd.contrib.index_copy(x, mx.nd.array([2, 0]), rows).asnumpy().tolist()
[[3.0, 4.0], [0.0, 0.0], [1.0, 2.0]]
)");

}  // namespace
}  // namespace mxtape

#include <algorithm>
#include <cmath>

#include "op/declare.h"
#include "ops/shared/axis_view.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// Operators without inputs that make arrays.
namespace mxtape {
namespace {

constexpr char kNoInputs[] = "it has no inputs";
constexpr char kContextDoc[] = "Where the array lives: only 'cpu' exists.";
constexpr char kDTypeDoc[] = "Data type of the result.";

struct CreationParams {
  Ints shape;
  std::string ctx;
  DType dtype = DType::kFloat32;
  template <class V>
  void visit(V& v) {
    v("shape", shape, "Shape of the result.");
    v("ctx", ctx, kContextDoc);
    v("dtype", dtype, kDTypeDoc);
  }
};

struct FullParams {
  Ints shape;
  std::string ctx;
  DType dtype = DType::kFloat32;
  double value = 0;
  template <class V>
  void visit(V& v) {
    v("shape", shape, "Shape of the result.");
    v("ctx", ctx, kContextDoc);
    v("dtype", dtype, kDTypeDoc);
    v.required("value", value, "The value of every element, converted to dtype.");
  }
};

template <class P>
void infer_filled(InferCall& call) {
  const auto& p = call.params<P>();
  const Shape shape{std::span<const int64_t>(p.shape)};
  checked_size(shape, call.name());
  call.output(0, shape, p.dtype);
}

void fill(const NDArray& out, double value) {
  dispatch(out.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* data = out.data<T>();
    const T element = convert_value<T>(value);
    parallel_for(out.size(), 1 << 18,
                 [&](int64_t begin, int64_t end) { std::fill(data + begin, data + end, element); });
  });
}

// What _zeros and _ones share.
template <int Value>
void run_constant(const KernelCall& call) {
  fill(call.out(), Value);
}

OP(_zeros)
    .params<CreationParams>()
    .infer(infer_filled<CreationParams>)
    .any_dtype()
    .kernel(run_constant<0>)
    .no_grad(kNoInputs)
    .doc("An array of zeros.");
OP(_ones)
    .params<CreationParams>()
    .infer(infer_filled<CreationParams>)
    .any_dtype()
    .kernel(run_constant<1>)
    .no_grad(kNoInputs)
    .doc("An array of ones.");
OP(_full)
    .params<FullParams>()
    .infer(infer_filled<FullParams>)
    .any_dtype()
    .kernel([](const KernelCall& call) { fill(call.out(), call.params<FullParams>().value); })
    .no_grad(kNoInputs)
    .doc("An array with one value everywhere.");

// out[i] = element(T{}, i), where T is the type to compute in.
template <class F>
void generate(const NDArray& out, F element) {
  dispatch(out.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* data = out.data<T>();
    parallel_for(out.size(), 1 << 15, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) data[i] = convert_value<T>(element(TypeTag<T>{}, i));
    });
  });
}

struct ArangeParams {
  double start = 0;
  std::optional<double> stop;
  double step = 1;
  int64_t repeat = 1;
  bool infer_range = false;
  std::string ctx;
  DType dtype = DType::kFloat32;
  template <class V>
  void visit(V& v) {
    v.required("start", start, "First value; the end of the range, from 0, when stop is None.");
    v("stop", stop, "End of the range, not included.");
    v("step", step, "Difference between neighbours.");
    v("repeat", repeat, "How many times each value is repeated.");
    v("infer_range", infer_range, "To get the length from the surrounding graph; not supported.");
    v("ctx", ctx, kContextDoc);
    v("dtype", dtype, kDTypeDoc);
  }
  double first() const { return stop ? start : 0; }
  double last() const { return stop ? *stop : start; }
};

void infer_arange(InferCall& call) {
  const auto& p = call.params<ArangeParams>();
  call.expect(p.dtype != DType::kBool, "dtype bool is not supported");
  call.expect(!p.infer_range, "infer_range is not supported: give stop");
  call.expect(p.repeat > 0, "repeat must be positive");
  call.expect(
      std::isfinite(p.first()) && std::isfinite(p.last()) && std::isfinite(p.step) && p.step != 0,
      "start, stop and step must be finite and step not 0");
  call.expect(p.step > 0 ? p.first() < p.last() : p.first() > p.last(), "the range is empty: from ",
              p.first(), " to ", p.last(), " by ", p.step);
  const double length = std::ceil((p.last() - p.first()) / p.step) * static_cast<double>(p.repeat);
  call.expect(length < 0x1p53, "the range is too long");
  call.output(0, Shape{static_cast<int64_t>(length)}, p.dtype);
}

OP(_arange)
    .params<ArangeParams>()
    .infer(infer_arange)
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<ArangeParams>();
      const double start = p.first(), step = p.step;
      const int64_t repeat = p.repeat;
      generate(call.out(), [=](auto tag, int64_t i) {
        using T = typename decltype(tag)::type;
        if constexpr (std::is_same_v<T, float16> || std::is_same_v<T, bool>) {
          return start + static_cast<double>(i / repeat) * step;
        } else {
          // Start and step in the result's type first, as in NumPy: integers lose their fractions.
          using Wide = std::conditional_t<std::is_integral_v<T>, int64_t, T>;
          return static_cast<Wide>(start) + static_cast<Wide>(i / repeat) * static_cast<Wide>(step);
        }
      });
    })
    .no_grad(kNoInputs)
    .doc("The values start, start + step, ... below stop, each `repeat` times.");

struct LinspaceParams {
  double start = 0, stop = 0;
  int64_t num = 0;
  bool endpoint = true;
  std::string ctx;
  DType dtype = DType::kFloat32;
  template <class V>
  void visit(V& v) {
    v.required("start", start, "First value.");
    v.required("stop", stop, "Last value, or the end that is not reached when endpoint is False.");
    v.required("num", num, "Number of values.");
    v("endpoint", endpoint, "Whether stop is the last value.");
    v("ctx", ctx, kContextDoc);
    v("dtype", dtype, kDTypeDoc);
  }
};

OP(_linspace)
    .params<LinspaceParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<LinspaceParams>();
      call.expect(p.dtype != DType::kBool, "dtype bool is not supported");
      call.expect(p.num >= 0, "num must not be negative");
      call.output(0, Shape{p.num}, p.dtype);
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<LinspaceParams>();
      const int64_t steps = p.endpoint ? p.num - 1 : p.num;
      const double step = steps > 0 ? (p.stop - p.start) / static_cast<double>(steps) : 0;
      const int64_t last = p.endpoint && steps > 0 ? steps : p.num;
      generate(call.out(), [&](auto, int64_t i) {
        return i == last ? p.stop : p.start + static_cast<double>(i) * step;
      });
    })
    .no_grad(kNoInputs)
    .doc("num evenly spaced values from start to stop.");

struct EyeParams {
  int64_t N = 0, M = 0, k = 0;
  std::string ctx;
  DType dtype = DType::kFloat32;
  template <class V>
  void visit(V& v) {
    v.required("N", N, "Number of rows.");
    v("M", M, "Number of columns; N when it is not positive.");
    v("k", k, "The diagonal that is filled: above the main one when positive.");
    v("ctx", ctx, kContextDoc);
    v("dtype", dtype, kDTypeDoc);
  }
};

OP(_eye)
    .params<EyeParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<EyeParams>();
      call.expect(p.dtype != DType::kBool, "dtype bool is not supported");
      call.expect(p.N >= 0, "N must not be negative");
      const Shape shape{p.N, p.M > 0 ? p.M : p.N};
      checked_size(shape, call.name());
      call.output(0, shape, p.dtype);
    })
    .kernel([](const KernelCall& call) {
      const NDArray& out = call.out();
      fill(out, 0);
      const int64_t k = call.params<EyeParams>().k, rows = out.shape()[0], columns = out.shape()[1];
      if (k >= columns || k <= -rows) return;
      dispatch(out.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        T* data = out.data<T>();
        for (int64_t i = std::max<int64_t>(0, -k); i < std::min(rows, columns - k); ++i) {
          data[i * columns + i + k] = T(1);
        }
      });
    })
    .no_grad(kNoInputs)
    .doc("A matrix of zeros with ones on one diagonal.");

// ---- numbers made after the shape of an array

struct ArangeLikeParams {
  double start = 0, step = 1;
  int64_t repeat = 1;
  std::string ctx;
  std::optional<int64_t> axis;
  template <class V>
  void visit(V& v) {
    v("start", start, "The first number.");
    v("step", step, "Difference between neighbours.");
    v("repeat", repeat, "How many times each number is repeated.");
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
        const AxisView view(shape, static_cast<int>(axes[static_cast<size_t>(k)]));
        parallel_for(shape.size(), 1 << 15, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) out[i * count + k] = i / view.inner % view.n;
        });
      }
    })
    .zero_grad()
    .doc("The indices of each element of data, along a new last axis.")
    .example(R"(
>>> mx.nd.contrib.index_array(mx.nd.zeros((2, 2))).asnumpy().tolist()
[[[0, 0], [0, 1]], [[1, 0], [1, 1]]]
)");
}  // namespace
}  // namespace mxtape

#include <algorithm>

#include "op/declare.h"
#include "ops/shared/index.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// Indices of one number and of one for each axis.
namespace mxtape {
namespace {

struct RavelParams {
  Ints shape;
  template <class V>
  void visit(V& v) {
    v("shape", shape, "Shape of the array that is indexed; the first extent does not matter.");
  }
};

constexpr int64_t kGrain = 1 << 14;

void expect_shape(const InferCall& call) {
  const Ints& shape = call.params<RavelParams>().shape;
  call.expect(!shape.empty(), "shape must be given");
  call.expect(call.dtype(0) != DType::kBool, "boolean arrays are not indices; use astype()");
  for (size_t d = 1; d < shape.size(); ++d) {
    call.expect(shape[d] > 0, "all extents of shape but the first must be positive");
  }
}

// Numbers have a place; NaN has none.
void check_numbers(const CheckCall& call) {
  if (!is_floating(call.dtype(0))) return;
  const NDArray numbers = index_numbers(call.input(0));
  const int64_t* at = numbers.data<int64_t>();
  call.expect(std::find(at, at + numbers.size(), kNoIndex) == at + numbers.size(),
              "data has NaN for an index");
}

// Writes what `f` gives for each element number, as the output's dtype.
template <class F>
void write_indices(const NDArray& out, F&& f) {
  dispatch(out.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* to = out.data<T>();
    parallel_for(out.size(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) to[i] = convert_value<T>(f(i));
    });
  });
}

OP(ravel_multi_index)
    .alias("_ravel_multi_index")
    .inputs("data")
    .params<RavelParams>()
    .infer([](InferCall& call) {
      expect_shape(call);
      const Shape& in = call.shape(0);
      const auto axes = static_cast<int64_t>(call.params<RavelParams>().shape.size());
      call.expect(in.ndim() == 2 && in[0] == axes, "data must have shape (", axes,
                  ", n): a row for each axis of shape");
      call.output(0, {in[1]}, call.dtype(0));
    })
    .check(check_numbers)
    .kernel([](const KernelCall& call) {
      const Ints& shape = call.params<RavelParams>().shape;
      const NDArray& out = call.out();
      const NDArray numbers = index_numbers(call.in(0));
      const int64_t n = out.size(), *at = numbers.data<int64_t>();
      write_indices(out, [&](int64_t i) {
        // Wraps around where the index is far outside.
        uint64_t index = 0;
        for (size_t d = 0; d < shape.size(); ++d) {
          const auto place = static_cast<uint64_t>(at[static_cast<int64_t>(d) * n + i]);
          index = index * static_cast<uint64_t>(shape[d]) + place;
        }
        return static_cast<int64_t>(index);
      });
    })
    .zero_grad()
    .doc(
        "For each column of data, of shape (axes, n), the number of the element that it names in "
        "an array of the given shape. Not checked against the shape; in data's dtype.")
    .example(R"(
>>> indices = mx.nd.array([[0, 2], [1, 0]])  # of [0, 1] and of [2, 0]
>>> mx.nd.ravel_multi_index(indices, shape=(3, 4)).asnumpy().tolist()
[1.0, 8.0]
)");

OP(unravel_index)
    .alias("_unravel_index")
    .inputs("data")
    .params<RavelParams>()
    .infer([](InferCall& call) {
      expect_shape(call);
      Ints shape{static_cast<int64_t>(call.params<RavelParams>().shape.size())};
      shape.insert(shape.end(), call.shape(0).begin(), call.shape(0).end());
      call.output(0, Shape(shape), call.dtype(0));
    })
    .check(check_numbers)
    .kernel([](const KernelCall& call) {
      const Ints& shape = call.params<RavelParams>().shape;
      const NDArray numbers = index_numbers(call.in(0));
      const int64_t n = numbers.size(), *at = numbers.data<int64_t>();
      Ints after(shape.size(), 1);
      for (size_t d = shape.size(); d-- > 1;) {
        // Beyond all indices once it would overflow: all places before are 0.
        if (__builtin_mul_overflow(after[d], shape[d], &after[d - 1])) after[d - 1] = INT64_MAX;
      }
      write_indices(call.out(), [&](int64_t i) {
        const auto d = static_cast<size_t>(i / n);
        const int64_t index = at[i % n] / after[d];
        return d == 0 ? index : index % shape[d];
      });
    })
    .zero_grad()
    .doc(
        "For each number of an element of an array of the given shape, its index along each axis: "
        "axis 0 of the result counts the axes. In data's dtype.")
    .example(R"(
>>> mx.nd.unravel_index(mx.nd.array([1, 8]), shape=(3, 4)).asnumpy().tolist()
[[0.0, 2.0], [1.0, 0.0]]
)");

}  // namespace
}  // namespace mxtape

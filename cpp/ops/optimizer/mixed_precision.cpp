#include <algorithm>
#include <atomic>
#include <optional>
#include <vector>

#include <Eigen/Core>

#include "op/common_params.h"
#include "op/declare.h"
#include "ops/shared/strided.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// What training in mixed precision needs: casts, and checks of many gradients at once.
namespace mxtape {
namespace {

// ---- casts

OP(amp_cast)
    .inputs("data")
    .params<CastParams>()
    .infer([](InferCall& call) {
      const DType dtype = call.params<CastParams>().dtype;
      call.expect(dtype != DType::kBool, "dtype must not be bool");
      call.output(0, call.shape(0), is_floating(call.dtype(0)) ? dtype : call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const NDArray &x = call.in(0), &out = call.out();
      convert(x.dtype(), x.bytes(), out.dtype(), out.bytes(), x.size());
    })
    .keep_input(0, Keep::kShape)
    .vjp([](Vjp& v) { v.grad(0, cast(v.head(), v.input_dtype(0))); })
    .doc("A floating-point array in another dtype; others as they are.")
    .example(R"(
>>> x = mx.nd.array([1, 2])
>>> mx.nd.amp_cast(x, dtype="float16").dtype.__name__
'float16'
>>> mx.nd.amp_cast(x.astype("int32"), dtype="float16").dtype.__name__
'int32'
)");

struct MulticastParams {
  int64_t num_outputs = 1;
  bool cast_narrow = false;
  template <class V>
  void visit(V& v) {
    v.required("num_outputs", num_outputs, "How many arrays are given.");
    v("cast_narrow", cast_narrow, "Whether to use the narrowest dtype instead of the widest.");
  }
};

OP(amp_multicast)
    .variadic("data", "")
    .params<MulticastParams>()
    .outputs([](const Params* p) {
      return static_cast<size_t>(std::max<int64_t>(p->as<MulticastParams>().num_outputs, 0));
    })
    .infer([](InferCall& call) {
      const auto& p = call.params<MulticastParams>();
      const size_t n = call.input_count();
      call.expect(p.num_outputs == static_cast<int64_t>(n),
                  "num_outputs must be the number of arrays");
      std::optional<DType> common;
      for (size_t i = 0; i < n; ++i) {
        const DType dtype = call.dtype(i);
        if (!is_floating(dtype)) continue;
        if (!common || (item_size(dtype) < item_size(*common)) == p.cast_narrow) common = dtype;
      }
      for (size_t i = 0; i < n; ++i) {
        call.output(i, call.shape(i), is_floating(call.dtype(i)) ? *common : call.dtype(i));
      }
    })
    .kernel([](const KernelCall& call) {
      for (size_t i = 0; i < call.input_count(); ++i) {
        const NDArray &x = call.in(i), &out = call.out(i);
        convert(x.dtype(), x.bytes(), out.dtype(), out.bytes(), x.size());
      }
    })
    .keep_input(0, Keep::kShape)
    .keep_output(0, Keep::kShape)
    .vjp([](Vjp& v) {
      for (size_t i = 0; i < v.input_count(); ++i) {
        if (v.needs(i) && v.has_head(i)) v.grad(i, cast(v.head(i), v.input_dtype(i)));
      }
    })
    .doc("The floating-point arrays in the widest, or narrowest, of their dtypes.")
    .example(R"(
>>> a, b = mx.nd.ones((2,), dtype="float16"), mx.nd.ones((2,), dtype="float32")
>>> [x.dtype.__name__ for x in mx.nd.amp_multicast(a, b, num_outputs=2)]
['float32', 'float32']
>>> [x.dtype.__name__ for x in mx.nd.amp_multicast(a, b, num_outputs=2, cast_narrow=True)]
['float16', 'float16']
)");

// ---- checks and sums of many arrays

struct AllFiniteParams {
  bool init_output = true;
  template <class V>
  void visit(V& v) {
    v("init_output", init_output,
      "False: `out` holds the result for other arrays, and stays 0 when it is.");
  }
};
struct MultiAllFiniteParams {
  int64_t num_arrays = 1;
  bool init_output = true;
  template <class V>
  void visit(V& v) {
    v("num_arrays", num_arrays, "How many arrays are given.");
    v("init_output", init_output,
      "False: `out` holds the result for other arrays, and stays 0 when it is.");
  }
};
struct NumArraysParams {
  int64_t num_arrays = 1;
  template <class V>
  void visit(V& v) {
    v.required("num_arrays", num_arrays, "How many arrays are given.");
  }
};

bool all_finite(const NDArray& x) {
  std::atomic<bool> finite{true};
  dispatch<FloatingTypes>(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using A = compute_type<T>;
    const T* data = x.data<T>();
    parallel_for(x.size(), 1 << 16, [&](int64_t begin, int64_t end) {
      // x - x is 0 for finite numbers and NaN for others.
      A sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t i = begin; i < end; ++i) {
        const A value = static_cast<A>(data[i]);
        sum += value - value;
      }
      if (!(sum == 0)) finite.store(false, std::memory_order_relaxed);
    });
  });
  return finite.load();
}

void run_all_finite(const KernelCall& call, bool init_output) {
  float* out = call.out().data<float>();
  bool finite = init_output || *out != 0;
  for (size_t i = 0; finite && i < call.input_count(); ++i) finite = all_finite(call.in(i));
  *out = finite ? 1 : 0;
}

void expect_all_floating(InferCall& call) {
  for (size_t i = 0; i < call.input_count(); ++i) call.expect_floating(i);
}

OP(all_finite)
    .inputs("data")
    .params<AllFiniteParams>()
    .infer([](InferCall& call) {
      expect_all_floating(call);
      call.output(0, Shape{1}, DType::kFloat32);
    })
    .kernel([](const KernelCall& call) {
      run_all_finite(call, call.params<AllFiniteParams>().init_output);
    })
    .no_grad("the result is 0 or 1")
    .doc("1 when no element is infinite or NaN, else 0, of shape (1,).")
    .example(R"(
>>> mx.nd.all_finite(mx.nd.array([1, 2])).asnumpy().tolist()
[1.0]
>>> mx.nd.all_finite(mx.nd.array([1, float("nan")])).asnumpy().tolist()
[0.0]
)");

OP(multi_all_finite)
    .variadic("data", "")
    .params<MultiAllFiniteParams>()
    .infer([](InferCall& call) {
      expect_all_floating(call);
      call.expect(call.params<MultiAllFiniteParams>().num_arrays ==
                      static_cast<int64_t>(call.input_count()),
                  "num_arrays must be the number of arrays");
      call.output(0, Shape{1}, DType::kFloat32);
    })
    .kernel([](const KernelCall& call) {
      run_all_finite(call, call.params<MultiAllFiniteParams>().init_output);
    })
    .no_grad("the result is 0 or 1")
    .doc("1 when no element of any of the arrays is infinite or NaN, else 0, of shape (1,).")
    .example(R"(
>>> a, b = mx.nd.array([1, 2]), mx.nd.array([float("inf")])
>>> mx.nd.multi_all_finite(a, a, num_arrays=2).asnumpy().tolist()
[1.0]
>>> mx.nd.multi_all_finite(a, b, num_arrays=2).asnumpy().tolist()
[0.0]
)");

void expect_num_arrays(InferCall& call) {
  call.expect(call.params<NumArraysParams>().num_arrays == static_cast<int64_t>(call.input_count()),
              "num_arrays must be the number of arrays");
}

OP(reset_arrays)
    .variadic("data", "")
    .params<NumArraysParams>()
    .outputs([](const Params*) -> size_t { return 0; })
    .mutates([](size_t, size_t, const Params*, Mode) { return true; })
    .infer(expect_num_arrays)
    .kernel([](const KernelCall& call) {
      for (const NDArray& array : call.inputs()) fill_zero(array);
    })
    .no_grad("it writes in place")
    .doc("Sets the arrays to zero, in place; returns nothing.")
    .example(R"(
>>> a, b = mx.nd.array([1, 2]), mx.nd.array([3])
>>> y = mx.nd.reset_arrays(a, b, num_arrays=2)
>>> a.asnumpy().tolist(), b.asnumpy().tolist()
([0.0, 0.0], [0.0])
)");

template <class T>
double sum_of_squares(const NDArray& x) {
  // In pieces of the size alone, so that the result does not depend on the number of threads.
  constexpr int64_t kPiece = 1 << 15, kLanes = 16;
  const int64_t pieces = (x.size() + kPiece - 1) / kPiece;
  std::vector<double> part(static_cast<size_t>(pieces));
  const T* data = x.data<T>();
  parallel_for(pieces, 1, [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p) {
      const int64_t end = std::min(x.size(), (p + 1) * kPiece);
      double lane[kLanes] = {};
      int64_t i = p * kPiece;
      for (; i + kLanes <= end; i += kLanes) {
        for (int64_t l = 0; l < kLanes; ++l) {
          const auto value = static_cast<double>(static_cast<compute_type<T>>(data[i + l]));
          lane[l] += value * value;
        }
      }
      for (; i < end; ++i) {
        const auto value = static_cast<double>(static_cast<compute_type<T>>(data[i]));
        lane[0] += value * value;
      }
      double& sum = part[static_cast<size_t>(p)];
      for (const double value : lane) sum += value;
    }
  });
  double total = 0;
  for (const double value : part) total += value;
  return total;
}

OP(multi_sum_sq)
    .variadic("data", "")
    .params<NumArraysParams>()
    .infer([](InferCall& call) {
      expect_num_arrays(call);
      expect_all_floating(call);
      call.expect_same_dtype();
      call.output(0, Shape{static_cast<int64_t>(call.input_count())}, DType::kFloat32);
    })
    .kernel([](const KernelCall& call) {
      float* out = call.out().data<float>();
      for (size_t i = 0; i < call.input_count(); ++i) {
        dispatch<FloatingTypes>(call.in(i).dtype(), [&](auto tag) {
          out[i] = static_cast<float>(sum_of_squares<typename decltype(tag)::type>(call.in(i)));
        });
      }
    })
    .no_grad("sum(square(x)) has one")
    .doc("The sum of squares of each array, as float32, of shape (number of arrays,).")
    .example(R"(
>>> a, b = mx.nd.array([3, 4]), mx.nd.array([[1], [1], [1]])
>>> mx.nd.multi_sum_sq(a, b, num_arrays=2).asnumpy().tolist()
[25.0, 3.0]
)");

}  // namespace
}  // namespace mxtape

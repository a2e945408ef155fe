#include <algorithm>
#include <vector>

#include "op/common_params.h"
#include "op/declare.h"
#include "ops/nn/pooling.h"
#include "runtime/parallel.h"

// Images enlarged a whole number of times.
namespace mxtape {
namespace {

enum class SampleType : int32_t { kBilinear, kNearest };
enum class MultiInput : int32_t { kConcat, kSum };

struct UpSamplingParams {
  int64_t scale = 1, num_filter = 0;
  SampleType sample_type = SampleType::kNearest;
  MultiInput multi_input_mode = MultiInput::kConcat;
  int64_t num_args = 1, workspace = 512;
  template <class V>
  void visit(V& v) {
    v.required("scale", scale, "How many times larger the result is than the first input.");
    v("num_filter", num_filter, "Number of channels, for sample_type bilinear.");
    v.required("sample_type", sample_type,
               "nearest: each element is repeated; bilinear: each element spreads by a weight.",
               {"bilinear", "nearest"});
    v("multi_input_mode", multi_input_mode,
      "Whether several inputs, all enlarged to one size, are joined along channels or added.",
      {"concat", "sum"});
    v.required("num_args", num_args, "Number of inputs.");
    v("workspace", workspace, "Accepted for compatibility.");
  }
};

// A transposed convolution of each channel with its own kernel, and its gradients: the parameters
// of three operators that are bilinear in their inputs and each other's gradients.
struct SpreadParams {
  Ints small, large;  // shapes
  int64_t scale = 1;
  template <class V>
  void visit(V& v) {
    v("small", small, "Shape of the images.");
    v("large", large, "Shape of the enlarged images.");
    v("scale", scale, "How many times larger they are.");
  }
  int64_t kernel() const { return 2 * scale - scale % 2; }
  int64_t pad() const { return scale / 2; }
};
const fn::Op<SpreadParams> enlarge_op{"_spread"}, shrink_op{"_backward_spread_data"},
    weight_op{"_backward_spread_weight"};

// The kernel's elements [begin, end) that fall on the large image, of `size`, where the kernel lies
// for element `at` of the small one: along one axis.
struct Span {
  int64_t begin, end, start;
  Span(const SpreadParams& p, int64_t at, int64_t size)
      : begin(std::max<int64_t>(0, p.pad() - at * p.scale)),
        end(std::min(p.kernel(), size + p.pad() - at * p.scale)),
        start(at * p.scale - p.pad()) {}
};

// Calls body(s, l, k, n) for every row of kernel elements: `n` neighbours of the large image from l
// on meet as many of the kernel from k on, at element s of the small image.
template <class Body>
void for_rows(const SpreadParams& p, Body body) {
  const int64_t h = p.small[2], w = p.small[3], lh = p.large[2], lw = p.large[3], k = p.kernel();
  for (int64_t y = 0; y < h; ++y) {
    const Span rows(p, y, lh);
    for (int64_t x = 0; x < w; ++x) {
      const Span columns(p, x, lw);
      for (int64_t u = rows.begin; u < rows.end; ++u) {
        body(y * w + x, (rows.start + u) * lw + columns.start + columns.begin,
             u * k + columns.begin, columns.end - columns.begin);
      }
    }
  }
}

// large += small * weight; small = sum(large * weight); weight = sum(large * small).
enum class Spread { kLarge, kSmall, kWeight };

template <class T, Spread kResult>
void spread(const SpreadParams& p, const T* a, const T* b, T* out) {
  using C = compute_type<T>;
  const int64_t batch = p.small[0], channels = p.small[1], taps = p.kernel() * p.kernel();
  const int64_t small = p.small[2] * p.small[3], large = p.large[2] * p.large[3];
  const int64_t size = kResult == Spread::kLarge ? large : kResult == Spread::kSmall ? small : taps;
  // A channel's kernel collects from the whole batch.
  const int64_t images = kResult == Spread::kWeight ? channels : batch * channels;
  parallel_for(images, std::max<int64_t>(1, (1 << 14) / std::max<int64_t>(large, 1)),
               [&](int64_t begin, int64_t end) {
                 std::vector<C> acc(static_cast<size_t>(size));
                 for (int64_t t = begin; t < end; ++t) {
                   std::fill(acc.begin(), acc.end(), C(0));
                   if constexpr (kResult == Spread::kLarge) {
                     const T *from = a + t * small, *weight = b + t % channels * taps;
                     for_rows(p, [&](int64_t s, int64_t l, int64_t k, int64_t n) {
                       const C value = static_cast<C>(from[s]);
                       for (int64_t j = 0; j < n; ++j)
                         acc[l + j] += value * static_cast<C>(weight[k + j]);
                     });
                   } else if constexpr (kResult == Spread::kSmall) {
                     const T *from = a + t * large, *weight = b + t % channels * taps;
                     for_rows(p, [&](int64_t s, int64_t l, int64_t k, int64_t n) {
                       for (int64_t j = 0; j < n; ++j) {
                         acc[s] += static_cast<C>(from[l + j]) * static_cast<C>(weight[k + j]);
                       }
                     });
                   } else {
                     for (int64_t image = t; image < batch * channels; image += channels) {
                       const T *from = a + image * large, *with = b + image * small;
                       for_rows(p, [&](int64_t s, int64_t l, int64_t k, int64_t n) {
                         const C value = static_cast<C>(with[s]);
                         for (int64_t j = 0; j < n; ++j)
                           acc[k + j] += value * static_cast<C>(from[l + j]);
                       });
                     }
                   }
                   for (int64_t i = 0; i < size; ++i) out[t * size + i] = static_cast<T>(acc[i]);
                 }
               });
}

template <Spread kResult>
void run_spread(const SpreadParams& p, const NDArray& a, const NDArray& b, const NDArray& out) {
  if (out.size() == 0) return;
  dispatch<FloatingTypes>(out.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    spread<T, kResult>(p, a.data<T>(), b.data<T>(), out.data<T>());
  });
}

Shape weight_shape(const SpreadParams& p) { return Shape{p.small[1], 1, p.kernel(), p.kernel()}; }

template <Spread kResult>
void infer_spread(InferCall& call) {
  const auto& p = call.params<SpreadParams>();
  call.expect_floating();
  call.expect_same_dtype();
  constexpr int64_t kLimit = int64_t{1} << 20;  // so that places do not overflow
  call.expect(p.scale >= 1 && p.scale < kLimit && p.small.size() == 4 && p.large.size() == 4 &&
                  p.small[0] == p.large[0] && p.small[1] == p.large[1],
              "small and large must be images of the same number and channels, scale positive");
  for (const Ints* shape : {&p.small, &p.large}) checked_size(Shape(*shape), call.name());
  const Shape small(p.small), large(p.large), weight = weight_shape(p);
  call.expect(call.shape(0) == (kResult == Spread::kLarge ? small : large) &&
                  call.shape(1) == (kResult == Spread::kWeight ? small : weight),
              "the inputs' shapes do not fit the parameters");
  call.output(0,
              kResult == Spread::kLarge   ? large
              : kResult == Spread::kSmall ? small
                                          : weight,
              call.dtype(0));
}

OP(_spread)
    .inputs("data", "weight")
    .params<SpreadParams>()
    .infer(infer_spread<Spread::kLarge>)
    .kernel([](const KernelCall& call) {
      run_spread<Spread::kLarge>(call.params<SpreadParams>(), call.in(0), call.in(1), call.out());
    })
    .keep_input(0)
    .keep_input(1)
    .vjp([](Vjp& v) {
      const auto& p = v.params<SpreadParams>();
      const NDArray g = v.head();
      if (v.needs(0)) v.grad(0, shrink_op(g, v.input(1), p));
      if (v.needs(1)) v.grad(1, weight_op(g, v.input(0), p));
    })
    .doc("A transposed convolution of each channel with a kernel of its own.");

OP(_backward_spread_data)
    .inputs("head", "weight")
    .params<SpreadParams>()
    .infer(infer_spread<Spread::kSmall>)
    .kernel([](const KernelCall& call) {
      run_spread<Spread::kSmall>(call.params<SpreadParams>(), call.in(0), call.in(1), call.out());
    })
    .keep_input(0)
    .keep_input(1)
    .vjp([](Vjp& v) {
      const auto& p = v.params<SpreadParams>();
      const NDArray g = v.head();
      if (v.needs(0)) v.grad(0, enlarge_op(g, v.input(1), p));
      if (v.needs(1)) v.grad(1, weight_op(v.input(0), g, p));
    })
    .doc("The gradient of _spread with respect to its data.");

OP(_backward_spread_weight)
    .inputs("head", "data")
    .params<SpreadParams>()
    .infer(infer_spread<Spread::kWeight>)
    .kernel([](const KernelCall& call) {
      run_spread<Spread::kWeight>(call.params<SpreadParams>(), call.in(0), call.in(1), call.out());
    })
    .keep_input(0)
    .keep_input(1)
    .vjp([](Vjp& v) {
      const auto& p = v.params<SpreadParams>();
      const NDArray g = v.head();
      if (v.needs(0)) v.grad(0, enlarge_op(v.input(1), g, p));
      if (v.needs(1)) v.grad(1, shrink_op(v.input(0), g, p));
    })
    .doc("The gradient of _spread with respect to its weight.");

// ---- UpSampling

SpreadParams spread_of(const UpSamplingParams& p, const Shape& data) {
  SpreadParams s;
  s.scale = p.scale;
  s.small.assign(data.begin(), data.end());
  s.large = {data[0], data[1], data[2] * p.scale, data[3] * p.scale};
  return s;
}

void infer_upsampling(InferCall& call) {
  const auto& p = call.params<UpSamplingParams>();
  const Shape& data = call.shape(0);
  call.expect_floating();
  call.expect_same_dtype();
  const bool bilinear = p.sample_type == SampleType::kBilinear;
  for (size_t i = 0; i < (bilinear ? 1 : call.input_count()); ++i) {
    call.expect(call.shape(i).ndim() == 4,
                "inputs must have 4 axes: batch, channels, height, width");
  }
  // Room for products of sizes.
  call.expect(p.scale >= 1 && p.scale <= 1000, "scale must be from 1 to 1000");
  Shape out{data[0], data[1], data[2] * p.scale, data[3] * p.scale};
  if (bilinear) {
    call.expect(call.input_count() == 2, "sample_type bilinear needs data and a weight");
    call.expect(p.num_filter == data[1], "num_filter must be the number of channels, ", data[1]);
    call.require(1, weight_shape(spread_of(p, data)));
  } else {
    int64_t channels = 0;
    for (size_t i = 0; i < call.input_count(); ++i) {
      const Shape& s = call.shape(i);
      channels += s[1];
      call.expect(s[0] == data[0], "inputs must have one batch size");
      for (int d = 2; d < 4; ++d) {
        call.expect(s[d] == out[d] || (s[d] > 0 && out[d] % s[d] == 0), "input ", i,
                    " cannot be enlarged to ", out[2], " x ", out[3]);
      }
      call.expect(p.multi_input_mode == MultiInput::kConcat || s[1] == data[1],
                  "inputs that are added must have as many channels");
    }
    if (p.multi_input_mode == MultiInput::kConcat) out[1] = channels;
  }
  call.output(0, out, call.dtype(0));
}

// Repeats the rows and columns of image `from`; assigned, or added.
template <class T, bool kAdd>
void repeat_image(const T* from, T* to, int64_t h, int64_t w, int64_t rows, int64_t columns) {
  using C = compute_type<T>;
  for (int64_t y = 0; y < h * rows; ++y) {
    const T* line = from + y / rows * w;
    if (!kAdd && y % rows) {
      std::copy_n(to - w * columns, w * columns, to);
      to += w * columns;
      continue;
    }
    for (int64_t x = 0; x < w; ++x) {
      for (int64_t j = 0; j < columns; ++j, ++to) {
        *to = kAdd ? static_cast<T>(static_cast<C>(*to) + static_cast<C>(line[x])) : line[x];
      }
    }
  }
}

void run_nearest(const UpSamplingParams& p, const KernelCall& call) {
  const NDArray& out = call.out();
  if (out.size() == 0) return;
  const bool add = p.multi_input_mode == MultiInput::kSum;
  const int64_t oh = out.shape()[2], ow = out.shape()[3], channels = out.shape()[1];
  dispatch<FloatingTypes>(out.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    int64_t first = 0;
    for (size_t i = 0; i < call.input_count(); ++i) {
      const NDArray& in = call.in(i);
      const int64_t c = in.shape()[1], h = in.shape()[2], w = in.shape()[3];
      parallel_for(in.shape()[0] * c, std::max<int64_t>(1, (1 << 15) / (oh * ow)),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t t = begin; t < end; ++t) {
                       const T* from = in.data<T>() + t * h * w;
                       T* to = out.data<T>() + (t / c * channels + first + t % c) * oh * ow;
                       if (add && i > 0) {
                         repeat_image<T, true>(from, to, h, w, oh / h, ow / w);
                       } else {
                         repeat_image<T, false>(from, to, h, w, oh / h, ow / w);
                       }
                     }
                   });
      if (!add) first += c;
    }
  });
}

void upsampling_vjp(Vjp& v) {
  const auto& p = v.params<UpSamplingParams>();
  const NDArray head = v.head();
  if (p.sample_type == SampleType::kBilinear) {
    const SpreadParams s = spread_of(p, v.input_shape(0));
    if (v.needs(0)) v.grad(0, shrink_op(head, v.input(1), s));
    if (v.needs(1)) v.grad(1, weight_op(head, v.input(0), s));
    return;
  }
  int64_t first = 0;
  for (size_t i = 0; i < v.input_count(); ++i) {
    const Shape in = v.input_shape(i);
    const bool part = p.multi_input_mode == MultiInput::kConcat && v.input_count() > 1;
    if (v.needs(i)) {
      NDArray mine = head;
      if (part) {
        const std::optional<int64_t> none;
        mine = fn::slice(head, SliceParams{{none, first}, {none, first + in[1]}, {}});
      }
      PoolGeometry g;
      g.out_shape.assign(in.begin(), in.end());
      g.data_shape = {in[0], in[1], head.shape()[2], head.shape()[3]};
      for (int d = 2; d < 4; ++d) {
        g.kernel.push_back(in[d] ? head.shape()[d] / in[d] : 1);
      }
      g.stride = {std::max<int64_t>(1, g.kernel[0]), std::max<int64_t>(1, g.kernel[1])};
      g.pad = {0, 0};
      v.grad(i, fn::pool_sum(mine, g));
    }
    first += in[1];
  }
}

OP(UpSampling)
    .variadic("data", "num_args")
    .params<UpSamplingParams>()
    .infer(infer_upsampling)
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<UpSamplingParams>();
      if (p.sample_type == SampleType::kNearest) {
        run_nearest(p, call);
      } else {
        run_spread<Spread::kLarge>(spread_of(p, call.in(0).shape()), call.in(0), call.in(1),
                                   call.out());
      }
    })
    .keep_input(0)
    .keep_output(0, Keep::kShape)
    .vjp(upsampling_vjp)
    .doc(
        "Images `scale` times as high and wide: elements repeated, or spread by a weight of shape "
        "(channels, 1, k, k) with k = 2 * scale - scale % 2. Several inputs are enlarged to one "
        "size.")
    .example(R"(
>>> image = mx.nd.array([[[[1, 2]]]])
>>> mx.nd.UpSampling(image, scale=2, sample_type="nearest").asnumpy().tolist()
[[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]]
)");

}  // namespace
}  // namespace mxtape

#include <algorithm>
#include <cmath>
#include <vector>

#include "op/common_params.h"
#include "op/declare.h"
#include "ops/shared/compose.h"
#include "ops/shared/strided.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// Grids of places in an image, and sampling there by bilinear interpolation. Coordinates run from
// -1 at the centre of the first pixel to 1 at that of the last; what lies outside is zero.
//
// With S the sampler, linear in data, and S_x, S_y its derivatives by a place's coordinates, which
// are linear in data too, three operators are closed under differentiation: _bilinear_sample (S or
// a derivative of it), _backward_bilinear_data (its adjoint) and _backward_bilinear_grid.
namespace mxtape {
namespace {

enum class TransformType : int32_t { kAffine, kWarp };
const Choices kTransformTypes = {"affine", "warp"};
enum class OneTransform : int32_t { kAffine };
enum class OneSampler : int32_t { kBilinear };
constexpr char kCudnnDoc[] = "Accepted for compatibility.";

struct GridParams {
  TransformType transform_type = TransformType::kAffine;
  Ints target_shape = {0, 0};
  template <class V>
  void visit(V& v) {
    v.required("transform_type", transform_type,
               "affine: data are matrices. warp: data are displacements in pixels.",
               kTransformTypes);
    v("target_shape", target_shape, "Height and width of the grid; only affine needs them.");
  }
};
const fn::Op<GridParams> grid_generator{"GridGenerator"};

struct SamplerParams {
  std::optional<bool> cudnn_off;
  template <class V>
  void visit(V& v) {
    v("cudnn_off", cudnn_off, kCudnnDoc);
  }
};

struct TransformerParams {
  Ints target_shape = {0, 0};
  OneTransform transform_type = OneTransform::kAffine;
  OneSampler sampler_type = OneSampler::kBilinear;
  std::optional<bool> cudnn_off;
  template <class V>
  void visit(V& v) {
    v("target_shape", target_shape, "Height and width of the result.");
    v.required("transform_type", transform_type, "How loc is read.", {"affine"});
    v.required("sampler_type", sampler_type, "How data are sampled.", {"bilinear"});
    v("cudnn_off", cudnn_off, kCudnnDoc);
  }
};

// Which derivative of the sampler: by the horizontal, by the vertical place, by both.
struct SampleParams {
  bool dx = false, dy = false;
  template <class V>
  void visit(V& v) {
    v("dx", dx, "Whether to differentiate by the horizontal place.");
    v("dy", dy, "Whether to differentiate by the vertical place.");
  }
};
const fn::Op<SampleParams> sample_op{"_bilinear_sample"}, sample_grid{"_backward_bilinear_grid"};

struct SampleDataParams {
  int64_t height = 1, width = 1;
  bool dx = false, dy = false;
  template <class V>
  void visit(V& v) {
    v.required("height", height, "Height of the image that was sampled.");
    v.required("width", width, "Its width.");
    v("dx", dx, "As in _bilinear_sample.");
    v("dy", dy, "As in _bilinear_sample.");
  }
};
const fn::Op<SampleDataParams> sample_data{"_backward_bilinear_data"};

// ---- grids

// The coordinate of pixel i of n; the middle of a single one.
double place(int64_t i, int64_t n) {
  return n > 1 ? -1 + static_cast<double>(i) * 2 / static_cast<double>(n - 1) : 0;
}
double places_per_pixel(int64_t n) { return n > 1 ? 2 / static_cast<double>(n - 1) : 0; }

void expect_target_shape(const InferCall& call, const Ints& shape) {
  call.expect(shape.size() == 2 && shape[0] > 0 && shape[1] > 0,
              "target_shape must be a height and a width, both positive");
}

void run_affine_grid(const NDArray& theta, const NDArray& grid) {
  const int64_t h = grid.shape()[2], w = grid.shape()[3];
  dispatch<FloatingTypes>(grid.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = compute_type<T>;
    const T* from = theta.data<T>();
    T* to = grid.data<T>();
    const int64_t grain = std::max<int64_t>(1, (1 << 14) / w);
    parallel_for(grid.size() / w, grain, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const T* t = from + row / h * 3;
        const C a = static_cast<C>(t[0]);
        const C b = static_cast<C>(t[1]) * static_cast<C>(place(row % h, h)) + static_cast<C>(t[2]);
        for (int64_t j = 0; j < w; ++j) {
          to[row * w + j] = static_cast<T>(a * static_cast<C>(place(j, w)) + b);
        }
      }
    });
  });
}

void run_warp_grid(const NDArray& flow, const NDArray& grid) {
  const int64_t h = grid.shape()[2], w = grid.shape()[3];
  dispatch<FloatingTypes>(grid.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = compute_type<T>;
    const T* from = flow.data<T>();
    T* to = grid.data<T>();
    const int64_t grain = std::max<int64_t>(1, (1 << 14) / std::max<int64_t>(1, w));
    parallel_for(grid.shape().product(0, 3), grain, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const bool vertical = row / h % 2 == 1;
        const C scale = static_cast<C>(places_per_pixel(vertical ? h : w));
        for (int64_t k = row * w; k < (row + 1) * w; ++k) {
          const C at = static_cast<C>(vertical ? place(row % h, h) : place(k - row * w, w));
          to[k] = static_cast<T>(at + static_cast<C>(from[k]) * scale);
        }
      }
    });
  });
}

// The gradient by the matrices, (N, 6), of a grid whose own is `g`, (N, 2, h, w).
NDArray affine_grid_grad(const NDArray& g) {
  const int64_t n = g.shape()[0], h = g.shape()[2], w = g.shape()[3];
  const DType dtype = traits_of(g.dtype()).compute;
  const NDArray base = NDArray::empty(Shape{h * w, 3}, dtype);
  dispatch<SingleOrDouble>(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* to = base.data<T>();
    for (int64_t p = 0; p < h * w; ++p) {
      to[3 * p] = convert_value<T>(place(p % w, w));
      to[3 * p + 1] = convert_value<T>(place(p / w, h));
      to[3 * p + 2] = convert_value<T>(1);
    }
  });
  const NDArray sums = fn::dot(reshape(cast(g, dtype), {2 * n, h * w}), base, DotParams{});
  return cast(reshape(sums, {n, 6}), g.dtype());
}

OP(GridGenerator)
    .inputs("data")
    .params<GridParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<GridParams>();
      const Shape& in = call.shape(0);
      call.expect_floating();
      if (p.transform_type == TransformType::kWarp) {
        call.expect(in.ndim() == 4 && in[1] == 2, "data must have shape (N, 2, height, width)");
        call.output(0, in, call.dtype(0));
        return;
      }
      call.expect(in.ndim() == 2 && in[1] == 6, "data must have shape (N, 6)");
      expect_target_shape(call, p.target_shape);
      const Shape out = {in[0], 2, p.target_shape[0], p.target_shape[1]};
      checked_size(out, call.name());
      call.output(0, out, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const bool warp = call.params<GridParams>().transform_type == TransformType::kWarp;
      (warp ? run_warp_grid : run_affine_grid)(call.in(0), call.out());
    })
    .keep_input(0, Keep::kShape)
    .vjp([](Vjp& v) {
      if (v.params<GridParams>().transform_type == TransformType::kAffine) {
        v.grad(0, affine_grid_grad(v.head()));
        return;
      }
      const Shape in = v.input_shape(0);
      const double values[] = {places_per_pixel(in[3]), places_per_pixel(in[2])};
      const NDArray scale = NDArray::empty(Shape{1, 2, 1, 1}, v.input_dtype(0));
      convert(DType::kFloat64, values, scale.dtype(), scale.bytes(), 2);
      v.grad(0, v.head() * scale);
    })
    .doc(
        "The places to sample an image at, (N, 2, height, width): x and y, from -1 at the first "
        "pixel to 1 at the last. From affine matrices (N, 6), or from displacements in pixels, "
        "(N, 2, height, width).")
    .example(R"(
>>> identity = mx.nd.array([[1, 0, 0, 0, 1, 0]])
>>> grid = mx.nd.GridGenerator(identity, transform_type="affine", target_shape=(2, 3))
>>> grid[0, 0].asnumpy().tolist()  # x
[[-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]]
>>> grid[0, 1].asnumpy().tolist()  # y
[[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]
)");

// ---- sampling

// The four pixels around a place, and their weights. A pixel outside the image is -1.
template <class C>
struct Taps {
  int64_t at[4];
  C weight[4];
};

// The taps of every place of `grid`, (N, 2, h, w), in an image of H by W.
template <class T>
std::vector<Taps<compute_type<T>>> taps_of(const NDArray& grid, int64_t H, int64_t W, bool dx,
                                           bool dy) {
  using C = compute_type<T>;
  const int64_t points = grid.shape().product(2, 4);
  std::vector<Taps<C>> taps(static_cast<size_t>(grid.shape()[0] * points));
  const T* from = grid.data<T>();
  const C sx = static_cast<C>(W - 1) / 2, sy = static_cast<C>(H - 1) / 2;
  parallel_for(static_cast<int64_t>(taps.size()), 1 << 12, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const T* at = from + k / points * 2 * points + k % points;
      const C x = (static_cast<C>(at[0]) + 1) * sx, y = (static_cast<C>(at[points]) + 1) * sy;
      Taps<C>& tap = taps[static_cast<size_t>(k)];
      const bool near = x > -1 && x < static_cast<C>(W) && y > -1 && y < static_cast<C>(H);
      if (!near) {
        // Far outside; a place that is not a number gives one that is not.
        std::fill(tap.at, tap.at + 4, int64_t{-1});
        std::fill(tap.weight, tap.weight + 4, C(0));
        if (std::isnan(x) || std::isnan(y)) {
          tap.at[0] = 0;
          tap.weight[0] = x + y;
        }
        continue;
      }
      const C left = std::floor(x), top = std::floor(y);
      const auto j = static_cast<int64_t>(left), i = static_cast<int64_t>(top);
      const C fx = x - left, fy = y - top;
      const C wx[2] = {dx ? -sx : 1 - fx, dx ? sx : fx};
      const C wy[2] = {dy ? -sy : 1 - fy, dy ? sy : fy};
      for (int c = 0; c < 4; ++c) {
        const int64_t row = i + c / 2, column = j + c % 2;
        const bool inside = row >= 0 && row < H && column >= 0 && column < W;
        tap.at[c] = inside ? row * W + column : -1;
        tap.weight[c] = wx[c % 2] * wy[c / 2];
      }
    }
  });
  return taps;
}

template <class T, class C>
C sample_at(const T* plane, const Taps<C>& tap) {
  C sum = 0;
  for (int c = 0; c < 4; ++c) {
    if (tap.at[c] >= 0) sum += tap.weight[c] * static_cast<C>(plane[tap.at[c]]);
  }
  return sum;
}

void run_sample(const NDArray& data, const NDArray& grid, const NDArray& out, bool dx, bool dy) {
  if (out.size() == 0) return;
  const int64_t channels = out.shape()[1], points = out.shape().product(2, 4);
  const int64_t H = data.shape()[2], W = data.shape()[3];
  dispatch<FloatingTypes>(out.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto taps = taps_of<T>(grid, H, W, dx, dy);
    const T* from = data.data<T>();
    T* to = out.data<T>();
    parallel_for(out.size(), 1 << 13, [&](int64_t begin, int64_t end) {
      while (begin < end) {
        const int64_t plane = begin / points, stop = std::min(end, (plane + 1) * points);
        const auto* tap = taps.data() + plane / channels * points - plane * points;
        for (; begin < stop; ++begin) {
          to[begin] = static_cast<T>(sample_at(from + plane * H * W, tap[begin]));
        }
      }
    });
  });
}

// The adjoint: what was sampled is added back to the pixels that it came from.
void run_sample_data(const NDArray& head, const NDArray& grid, const NDArray& out, bool dx,
                     bool dy) {
  fill_zero(out);
  if (head.size() == 0 || out.size() == 0) return;
  const int64_t channels = out.shape()[1], points = head.shape().product(2, 4);
  const int64_t H = out.shape()[2], W = out.shape()[3];
  dispatch<FloatingTypes>(out.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = compute_type<T>;
    const auto taps = taps_of<T>(grid, H, W, dx, dy);
    const T* from = head.data<T>();
    const int64_t grain = std::max<int64_t>(1, (1 << 13) / points);
    parallel_for(out.shape().product(0, 2), grain, [&](int64_t begin, int64_t end) {
      std::vector<C> sums(static_cast<size_t>(H * W));
      for (int64_t plane = begin; plane < end; ++plane) {
        std::fill(sums.begin(), sums.end(), C(0));
        const auto* tap = taps.data() + plane / channels * points;
        for (int64_t p = 0; p < points; ++p) {
          const C g = static_cast<C>(from[plane * points + p]);
          for (int c = 0; c < 4; ++c) {
            if (tap[p].at[c] >= 0) sums[static_cast<size_t>(tap[p].at[c])] += tap[p].weight[c] * g;
          }
        }
        T* to = out.data<T>() + plane * H * W;
        for (size_t k = 0; k < sums.size(); ++k) to[k] = static_cast<T>(sums[k]);
      }
    });
  });
}

// For each place, the sum over channels of head times the derivative by x, and by y.
void run_sample_grid(const NDArray& head, const NDArray& data, const NDArray& grid,
                     const NDArray& out, bool dx, bool dy) {
  fill_zero(out);
  if (head.size() == 0) return;
  const int64_t channels = head.shape()[1], points = head.shape().product(2, 4);
  const int64_t H = data.shape()[2], W = data.shape()[3];
  dispatch<FloatingTypes>(out.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = compute_type<T>;
    const T *heads = head.data<T>(), *from = data.data<T>();
    for (int along = 0; along < 2; ++along) {
      if (along == 0 ? dx : dy) continue;  // S_xx and S_yy are zero
      const auto taps = taps_of<T>(grid, H, W, dx || along == 0, dy || along == 1);
      constexpr int64_t kBlock = 256;
      const int64_t blocks = (points + kBlock - 1) / kBlock;
      parallel_for(out.shape()[0] * blocks, 8, [&](int64_t begin, int64_t end) {
        for (int64_t k = begin; k < end; ++k) {
          const int64_t n = k / blocks, first = k % blocks * kBlock;
          const int64_t count = std::min(kBlock, points - first);
          const auto* tap = taps.data() + n * points + first;
          C sums[kBlock] = {};
          for (int64_t plane = n * channels; plane < (n + 1) * channels; ++plane) {
            const T* g = heads + plane * points + first;
            for (int64_t p = 0; p < count; ++p) {
              sums[p] += static_cast<C>(g[p]) * sample_at(from + plane * H * W, tap[p]);
            }
          }
          T* to = out.data<T>() + (2 * n + along) * points + first;
          for (int64_t p = 0; p < count; ++p) to[p] = static_cast<T>(sums[p]);
        }
      });
    }
  });
}

// Checks images and a grid of places in them; the shape of the result.
Shape sampled_shape(const InferCall& call, size_t data, size_t grid) {
  const Shape &x = call.shape(data), &g = call.shape(grid);
  call.expect(x.ndim() == 4, "data must have shape (N, channels, height, width)");
  call.expect(g.ndim() == 4 && g[1] == 2 && g[0] == x[0],
              "grid must have shape (N, 2, height, width), with data's N");
  call.expect(x[2] > 0 && x[3] > 0, "data has no pixels");
  return {x[0], x[1], g[2], g[3]};
}

template <class P>
void infer_sample(InferCall& call) {
  call.expect_floating();
  call.expect_same_dtype();
  call.output(0, sampled_shape(call, 0, 1), call.dtype(0));
}

// Gives grad(0) and grad(1) of _bilinear_sample(data, grid).
void sample_vjp(Vjp& v, const SampleParams& p) {
  const Shape x = v.input_shape(0);
  if (v.needs(0)) {
    v.grad(0, sample_data(v.head(), v.input(1), SampleDataParams{x[2], x[3], p.dx, p.dy}));
  }
  if (v.needs(1)) v.grad(1, sample_grid(v.head(), v.input(0), v.input(1), p));
}

OP(BilinearSampler)
    .inputs("data", "grid")
    .params<SamplerParams>()
    .infer(infer_sample<SamplerParams>)
    .kernel([](const KernelCall& call) {
      run_sample(call.in(0), call.in(1), call.out(), false, false);
    })
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp([](Vjp& v) { sample_vjp(v, SampleParams{}); })
    .doc(
        "The images of data, (N, channels, H, W), at the places of grid, (N, 2, h, w): x and y "
        "from -1 to 1. Interpolates between the four pixels around; zero outside.")
    .example(R"(
>>> image = mx.nd.array([[[[1, 2], [3, 4]]]])
>>> grid = mx.nd.array([[[[0, 1]], [[0, -1]]]])  # the centre; a corner
>>> mx.nd.BilinearSampler(image, grid).asnumpy().tolist()
[[[[2.5, 2.0]]]]
)");

OP(_bilinear_sample)
    .inputs("data", "grid")
    .params<SampleParams>()
    .infer(infer_sample<SampleParams>)
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<SampleParams>();
      run_sample(call.in(0), call.in(1), call.out(), p.dx, p.dy);
    })
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp([](Vjp& v) { sample_vjp(v, v.params<SampleParams>()); })
    .doc("BilinearSampler, or its derivative by the places.");

OP(_backward_bilinear_data)
    .inputs("head", "grid")
    .params<SampleDataParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<SampleDataParams>();
      const Shape &head = call.shape(0), &grid = call.shape(1);
      call.expect_floating();
      call.expect_same_dtype();
      call.expect(head.ndim() == 4 && grid == Shape({head[0], 2, head[2], head[3]}),
                  "head must have shape (N, channels, h, w) and grid (N, 2, h, w)");
      call.expect(p.height > 0 && p.width > 0, "height and width must be positive");
      const Shape out = {head[0], head[1], p.height, p.width};
      checked_size(out, call.name());
      call.output(0, out, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<SampleDataParams>();
      run_sample_data(call.in(0), call.in(1), call.out(), p.dx, p.dy);
    })
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      const auto& p = v.params<SampleDataParams>();
      const SampleParams same{p.dx, p.dy};
      if (v.needs(0)) v.grad(0, sample_op(v.head(), v.input(1), same));
      if (v.needs(1)) v.grad(1, sample_grid(v.input(0), v.head(), v.input(1), same));
    })
    .doc("The adjoint of _bilinear_sample in data.");

OP(_backward_bilinear_grid)
    .inputs("head", "data", "grid")
    .params<SampleParams>()
    .infer([](InferCall& call) {
      call.expect_floating();
      call.expect_same_dtype();
      call.expect(call.shape(0) == sampled_shape(call, 1, 2),
                  "head must have the shape of what was sampled");
      call.output(0, call.shape(2), call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<SampleParams>();
      run_sample_grid(call.in(0), call.in(1), call.in(2), call.out(), p.dx, p.dy);
    })
    .keep_inputs({Keep::kData, Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      const auto& p = v.params<SampleParams>();
      const Shape x = v.input_shape(1);
      compose::GradSums grads;
      for (int64_t along = 0; along < 2; ++along) {
        if (along == 0 ? p.dx : p.dy) continue;
        const SampleParams next{p.dx || along == 0, p.dy || along == 1};
        const NDArray u =
            fn::slice(v.head(), SliceParams{{std::nullopt, along}, {std::nullopt, along + 1}, {}});
        const NDArray head = v.input(0), data = v.input(1), grid = v.input(2);
        if (v.needs(0)) grads.add(0, sample_op(data, grid, next) * u);
        if (v.needs(1)) {
          grads.add(1, sample_data(head * u, grid, SampleDataParams{x[2], x[3], next.dx, next.dy}));
        }
        if (v.needs(2)) grads.add(2, sample_grid(head * u, data, grid, next));
      }
      grads.give(v);
    })
    .doc("The gradient of _bilinear_sample by the places.");

OP(SpatialTransformer)
    .inputs("data", "loc")
    .params<TransformerParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<TransformerParams>();
      const Shape &x = call.shape(0), &loc = call.shape(1);
      call.expect_floating();
      call.expect_same_dtype();
      call.expect(x.ndim() == 4, "data must have shape (N, channels, height, width)");
      call.expect(x[2] > 0 && x[3] > 0, "data has no pixels");
      call.expect(loc == Shape({x[0], 6}), "loc must have shape (N, 6), with data's N");
      expect_target_shape(call, p.target_shape);
      const Shape out = {x[0], x[1], p.target_shape[0], p.target_shape[1]};
      checked_size(out, call.name());
      call.output(0, out, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const NDArray &x = call.in(0), &out = call.out();
      const NDArray grid =
          NDArray::empty(Shape{x.shape()[0], 2, out.shape()[2], out.shape()[3]}, x.dtype());
      run_affine_grid(call.in(1), grid);
      run_sample(x, grid, out, false, false);
    })
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      const auto& p = v.params<TransformerParams>();
      const Shape x = v.input_shape(0);
      const NDArray grid =
          grid_generator(v.input(1), GridParams{TransformType::kAffine, p.target_shape});
      if (v.needs(0)) v.grad(0, sample_data(v.head(), grid, SampleDataParams{x[2], x[3]}));
      if (v.needs(1)) {
        v.grad(1, affine_grid_grad(sample_grid(v.head(), v.input(0), grid, SampleParams{})));
      }
    })
    .doc(
        "The images of data, (N, channels, H, W), at places that affine matrices loc, (N, 6), give "
        "for every pixel of the target: GridGenerator, then BilinearSampler.")
    .example(R"(
>>> image = mx.nd.array([[[[1, 2, 3], [4, 5, 6]]]])
>>> mirror = mx.nd.array([[-1, 0, 0, 0, 1, 0]])  # x becomes -x
>>> how = dict(transform_type="affine", sampler_type="bilinear")
>>> mx.nd.SpatialTransformer(image, mirror, target_shape=(2, 3), **how).asnumpy().tolist()
[[[[3.0, 2.0, 1.0], [6.0, 5.0, 4.0]]]]
)");

}  // namespace
}  // namespace mxtape

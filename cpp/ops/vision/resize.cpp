#include <algorithm>
#include <cmath>
#include <vector>

#include "op/declare.h"
#include "ops/nn/pooling.h"
#include "runtime/parallel.h"

// Images in another size: means over windows that divide them, and bilinear interpolation.
namespace mxtape {
namespace {

void expect_image(InferCall& call) {
  call.expect_floating();
  call.expect(call.shape(0).ndim() == 4, "data must have 4 axes: batch, channels, height, width");
}

// ---- _contrib_AdaptiveAvgPooling2D

struct AdaptiveParams {
  Ints output_size;
  template <class V>
  void visit(V& v) {
    v("output_size", output_size,
      "Height and width of the result, or one number for both; 1 by default.");
  }
};

PoolGeometry adaptive_geometry(const AdaptiveParams& p, const Shape& data) {
  PoolGeometry g;
  g.data_shape.assign(data.begin(), data.end());
  g.out_shape = g.data_shape;
  g.out_shape[2] = p.output_size.empty() ? 1 : p.output_size.front();
  g.out_shape[3] = p.output_size.empty() ? 1 : p.output_size.back();
  return g;
}

OP(_contrib_AdaptiveAvgPooling2D)
    .inputs("data")
    .params<AdaptiveParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<AdaptiveParams>();
      expect_image(call);
      call.expect(p.output_size.size() <= 2, "output_size must be one number or two");
      for (const int64_t n : p.output_size) {
        call.expect(n >= 0, "output_size must not be negative");
      }
      const Shape out(adaptive_geometry(p, call.shape(0)).out_shape);
      call.expect(out.size() == 0 || call.shape(0).product(2, 4) > 0,
                  "there is nothing to average");
      call.output(0, out, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const NDArray& data = call.in(0);
      pool_sum(adaptive_geometry(call.params<AdaptiveParams>(), data.shape()), data, call.out());
    })
    .keep_input(0, Keep::kShape)
    .vjp([](Vjp& v) {
      v.grad(0, fn::pool_sum_adjoint(
                    v.head(), adaptive_geometry(v.params<AdaptiveParams>(), v.input_shape(0))));
    })
    .doc("Means over output_size windows of nearly equal size that together cover each image.")
    .example(R"(
>>> image = mx.nd.array([[[[1, 2, 3], [4, 5, 6]]]])
>>> mx.nd.contrib.AdaptiveAvgPooling2D(image, output_size=(1, 2)).asnumpy().tolist()
[[[[3.0, 4.0]]]]
>>> mx.nd.contrib.AdaptiveAvgPooling2D(image).asnumpy().tolist()  # one mean of all
[[[[3.5]]]]
)");

// ---- bilinear interpolation

struct ResizeParams {
  Ints in, out;  // height and width
  bool align_corners = true;
  template <class V>
  void visit(V& v) {
    v("from_size", in, "Height and width of the images.");
    v("to_size", out, "Height and width of the result.");
    v("align_corners", align_corners, "Whether corners map to corners.");
  }
};
const fn::Op<ResizeParams> resize_op{"_resize_bilinear"},
    resize_adjoint_op{"_backward_resize_bilinear"};

// An element of the result lies between two of the image: how far on the way to the second.
struct Tap {
  int64_t low, high;
  double part;
};

std::vector<Tap> taps(int64_t in, int64_t out, bool align_corners) {
  std::vector<Tap> result;
  // A single element is taken from the start, as in MXNet.
  double scale = 0;
  if (out > 1) {
    scale = align_corners ? static_cast<double>(in - 1) / static_cast<double>(out - 1)
                          : static_cast<double>(in) / static_cast<double>(out);
  }
  for (int64_t i = 0; i < out; ++i) {
    const double o = static_cast<double>(i);
    const double at = align_corners ? scale * o : std::max(0.0, scale * (o + 0.5) - 0.5);
    const int64_t low = std::clamp<int64_t>(static_cast<int64_t>(at), 0, in - 1);
    result.push_back({low, std::min(low + 1, in - 1), at - static_cast<double>(low)});
  }
  return result;
}

// Calls body(plane) over planes of `cost` elements.
template <class Body>
void for_planes(int64_t planes, int64_t cost, Body body) {
  parallel_for(planes, std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(cost, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t p = begin; p < end; ++p) body(p);
               });
}

void resize_bilinear(const ResizeParams& p, const NDArray& data, const NDArray& out) {
  if (out.size() == 0) return;
  const int64_t h = p.in[0], w = p.in[1], oh = p.out[0], ow = p.out[1];
  const std::vector<Tap> rows = taps(h, oh, p.align_corners),
                         columns = taps(w, ow, p.align_corners);
  dispatch<FloatingTypes>(data.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = compute_type<T>;
    for_planes(out.size() / (oh * ow), std::max(h * w, oh * ow), [&](int64_t plane) {
      const T* from = data.data<T>() + plane * h * w;
      T* to = out.data<T>() + plane * oh * ow;
      std::vector<C> line(static_cast<size_t>(w));
      for (const Tap& row : rows) {
        const T *first = from + row.low * w, *second = from + row.high * w;
        const C part = static_cast<C>(row.part);
        for (int64_t x = 0; x < w; ++x) {
          const C a = static_cast<C>(first[x]);
          line[x] = a + part * (static_cast<C>(second[x]) - a);
        }
        for (const Tap& column : columns) {
          const C a = line[column.low];
          *to++ = static_cast<T>(a + static_cast<C>(column.part) * (line[column.high] - a));
        }
      }
    });
  });
}

void resize_bilinear_adjoint(const ResizeParams& p, const NDArray& head, const NDArray& out) {
  if (out.size() == 0) return;
  const int64_t h = p.in[0], w = p.in[1], oh = p.out[0], ow = p.out[1];
  const std::vector<Tap> rows = taps(h, oh, p.align_corners),
                         columns = taps(w, ow, p.align_corners);
  dispatch<FloatingTypes>(head.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = compute_type<T>;
    for_planes(out.size() / (h * w), std::max(h * w, oh * ow), [&](int64_t plane) {
      const T* from = head.data<T>() + plane * oh * ow;
      T* to = out.data<T>() + plane * h * w;
      std::vector<C> line(static_cast<size_t>(w)), image(static_cast<size_t>(h * w));
      for (const Tap& row : rows) {
        std::fill(line.begin(), line.end(), C(0));
        for (const Tap& column : columns) {
          const C g = static_cast<C>(*from++), part = static_cast<C>(column.part);
          line[column.low] += (1 - part) * g;
          line[column.high] += part * g;
        }
        C *first = image.data() + row.low * w, *second = image.data() + row.high * w;
        const C part = static_cast<C>(row.part);
        for (int64_t x = 0; x < w; ++x) first[x] += (1 - part) * line[x];
        for (int64_t x = 0; x < w; ++x) second[x] += part * line[x];
      }
      for (int64_t i = 0; i < h * w; ++i) to[i] = static_cast<T>(image[i]);
    });
  });
}

template <bool kAdjoint>
void infer_resize(InferCall& call) {
  const auto& p = call.params<ResizeParams>();
  expect_image(call);
  const Ints &from = kAdjoint ? p.out : p.in, &to = kAdjoint ? p.in : p.out;
  Shape shape = call.shape(0);
  call.expect(from.size() == 2 && to.size() == 2 && shape[2] == from[0] && shape[3] == from[1],
              "images must have height and width ", Shape(from));
  shape[2] = to[0];
  shape[3] = to[1];
  call.output(0, shape, call.dtype(0));
}

template <bool kAdjoint>
void resize_vjp(Vjp& v) {
  v.grad(0, (kAdjoint ? resize_op : resize_adjoint_op)({v.head()}, v.params<ResizeParams>()));
}

OP(_resize_bilinear)
    .inputs("data")
    .params<ResizeParams>()
    .infer(infer_resize<false>)
    .kernel([](const KernelCall& call) {
      resize_bilinear(call.params<ResizeParams>(), call.in(0), call.out());
    })
    .keep_output(0, Keep::kShape)
    .vjp(resize_vjp<false>)
    .doc("Bilinear interpolation of images.");

OP(_backward_resize_bilinear)
    .inputs("head")
    .params<ResizeParams>()
    .infer(infer_resize<true>)
    .kernel([](const KernelCall& call) {
      resize_bilinear_adjoint(call.params<ResizeParams>(), call.in(0), call.out());
    })
    .keep_output(0, Keep::kShape)
    .vjp(resize_vjp<true>)
    .doc("The gradient of _resize_bilinear, whose gradient is _resize_bilinear.");

// ---- _contrib_BilinearResize2D

enum class ResizeMode : int32_t { kLike, kOddScale, kSize, kEvenDown, kEvenUp, kOddDown, kOddUp };

struct BilinearResizeParams {
  int64_t height = 1, width = 1;
  std::optional<double> scale_height, scale_width;
  ResizeMode mode = ResizeMode::kSize;
  bool align_corners = true;
  template <class V>
  void visit(V& v) {
    v("height", height, "Height of the result in mode size without scales.");
    v("width", width, "Width of the result in mode size without scales.");
    v("scale_height", scale_height,
      "Height of the result beside data's, in modes size, odd_scale.");
    v("scale_width", scale_width, "Width of the result beside data's, in modes size, odd_scale.");
    v("mode", mode,
      "What the size of the result comes from. size: height and width, or the scales; odd_scale: "
      "the scales, odd sizes staying odd; like: a second input; to_even_down and the others: the "
      "nearest even or odd size below or above.",
      {"like", "odd_scale", "size", "to_even_down", "to_even_up", "to_odd_down", "to_odd_up"});
    v("align_corners", align_corners,
      "Whether centres of corner pixels map to one another, rather than the images' borders.");
  }
};

int64_t resized(const BilinearResizeParams& p, int64_t in, int64_t size,
                const std::optional<double>& scale, int64_t like) {
  const bool odd = in % 2;
  // Sizes are found in float32, as in MXNet.
  const auto scaled = [&](int64_t n) {
    const double exact = static_cast<float>(*scale) * static_cast<float>(n);
    return static_cast<int64_t>(std::clamp(exact, -1.0, 1e9));
  };
  switch (p.mode) {
    case ResizeMode::kLike:
      return like;
    case ResizeMode::kOddScale:
      return odd ? scaled(in - 1) + 1 : scaled(in);
    case ResizeMode::kSize:
      return scale ? scaled(in) : size;
    case ResizeMode::kEvenDown:
      return odd ? in - 1 : in;
    case ResizeMode::kEvenUp:
      return odd ? in + 1 : in;
    case ResizeMode::kOddDown:
      return odd ? in : in - 1;
    case ResizeMode::kOddUp:
      return odd ? in : in + 1;
  }
  return size;
}

ResizeParams resize_of(const BilinearResizeParams& p, const Shape& data, const Shape* like) {
  ResizeParams r;
  r.align_corners = p.align_corners;
  r.in = {data[2], data[3]};
  r.out = {resized(p, data[2], p.height, p.scale_height, like ? (*like)[2] : 0),
           resized(p, data[3], p.width, p.scale_width, like ? (*like)[3] : 0)};
  return r;
}

OP(_contrib_BilinearResize2D)
    .inputs("data", "like")
    .params<BilinearResizeParams>()
    .optional_inputs(1,
                     [](const Params* p) -> uint32_t {
                       return p->as<BilinearResizeParams>().mode == ResizeMode::kLike ? 0b11 : 0b01;
                     })
    .no_grad_inputs(1)
    .infer([](InferCall& call) {
      const auto& p = call.params<BilinearResizeParams>();
      expect_image(call);
      const bool like = p.mode == ResizeMode::kLike;
      if (like) call.expect(call.shape(1).ndim() == 4, "like must have 4 axes");
      call.expect(p.height > 0 && p.width > 0, "height and width must be positive");
      call.expect(p.scale_height.has_value() == p.scale_width.has_value(),
                  "scale_height and scale_width must be given together");
      call.expect(p.mode != ResizeMode::kOddScale || p.scale_height.has_value(),
                  "mode odd_scale needs scale_height and scale_width");
      const ResizeParams r = resize_of(p, call.shape(0), like ? &call.shape(1) : nullptr);
      call.expect(r.out[0] >= 0 && r.out[1] >= 0, "the result would have a negative size");
      Shape out = call.shape(0);
      out[2] = r.out[0];
      out[3] = r.out[1];
      call.expect(out.size() == 0 || call.shape(0).size() > 0, "there is nothing to interpolate");
      call.output(0, out, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const Shape* like = call.input_count() > 1 ? &call.in(1).shape() : nullptr;
      resize_bilinear(resize_of(call.params<BilinearResizeParams>(), call.in(0).shape(), like),
                      call.in(0), call.out());
    })
    .keep_input(0, Keep::kShape)
    .keep_output(0, Keep::kShape)
    .vjp([](Vjp& v) {
      const NDArray head = v.head();
      const Shape data = v.input_shape(0);
      ResizeParams r;
      r.align_corners = v.params<BilinearResizeParams>().align_corners;
      r.in = {data[2], data[3]};
      r.out = {head.shape()[2], head.shape()[3]};
      v.grad(0, resize_adjoint_op(head, r));
    })
    .doc("Images in another size, by bilinear interpolation.")
    .example(R"(
>>> image = mx.nd.array([[[[0, 4]]]])
>>> y = mx.nd.contrib.BilinearResize2D(image, height=1, width=5)
>>> y.asnumpy().tolist()  # corners keep their values
[[[[0.0, 1.0, 2.0, 3.0, 4.0]]]]
>>> y = mx.nd.contrib.BilinearResize2D(image, height=1, width=4, align_corners=False)
>>> y.asnumpy().tolist()
[[[[0.0, 1.0, 3.0, 4.0]]]]
)");

}  // namespace
}  // namespace mxtape

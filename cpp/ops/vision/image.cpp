#include "ops/vision/image.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "op/common_params.h"
#include "op/declare.h"
#include "ops/shared/strided.h"
#include "runtime/parallel.h"
#include "runtime/random.h"

// Images: tensors of them, cut, mirrored.
namespace mxtape {
namespace {

struct NormalizeParams {
  Floats mean = {0, 0, 0, 0};
  Floats std = {1, 1, 1, 1};
  template <class V>
  void visit(V& v) {
    v("mean", mean, "What is subtracted: one number, or one for each channel.");
    v("std", std, "What is divided by: one number, or one for each channel.");
  }
};

struct CropParams {
  int64_t x = 0, y = 0, width = 0, height = 0;
  template <class V>
  void visit(V& v) {
    v.required("x", x, "Left column of what is cut out.");
    v.required("y", y, "Its top row.");
    v.required("width", width, "Its width.");
    v.required("height", height, "Its height.");
  }
};

// Every `stride`-th value; kStride is that number where it is known, else 0.
template <int64_t kStride, class T>
void divide_by_255(const T* __restrict from, float* __restrict to, int64_t count, int64_t stride) {
  for (int64_t k = 0; k < count; ++k) {
    to[k] = static_cast<float>(from[k * (kStride ? kStride : stride)]) / 255.0f;
  }
}

OP(_image_to_tensor)
    .inputs("data")
    .infer([](InferCall& call) {
      const int at = expect_images(call);
      const Shape& in = call.shape(0);
      Ints out(in.begin(), in.begin() + at);
      for (const int axis : {at + 2, at, at + 1}) out.push_back(in[axis]);
      call.output(0, Shape(out), DType::kFloat32);
    })
    .kernel([](const KernelCall& call) {
      const NDArray& in = call.in(0);
      const int at = in.ndim() - 3;
      const int64_t channels = in.shape()[in.ndim() - 1];
      const int64_t pixels = in.shape().product(at, at + 2);
      if (in.size() == 0) return;
      float* to = call.out().data<float>();
      dispatch(in.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        const T* from = in.data<T>();
        const int64_t grain = std::max<int64_t>(1, (1 << 14) / pixels);
        parallel_for(in.size() / pixels, grain, [&](int64_t begin, int64_t end) {
          for (int64_t plane = begin; plane < end; ++plane) {
            const T* source = from + plane / channels * channels * pixels + plane % channels;
            if (channels == 3) {
              divide_by_255<3>(source, to + plane * pixels, pixels, 3);
            } else {
              divide_by_255<0>(source, to + plane * pixels, pixels, channels);
            }
          }
        });
      });
    })
    .no_grad("it makes training data of pictures")
    .doc(
        "A picture of values in [0, 255], (height, width, channels), or a batch of them, as "
        "float32 "
        "in [0, 1] with the channels first.")
    .example(R"(
>>> image = mx.nd.array([[[255, 0, 51], [0, 0, 0]]], dtype="uint8")  # one row of two
>>> y = mx.nd.image.to_tensor(image)
>>> y.shape
(3, 1, 2)
>>> print(y.asnumpy().round(4)[:, 0, 0])
[1.  0.  0.2]
)");

double of_channel(const Floats& values, int64_t channel) {
  return values.size() == 1 ? values[0] : values[static_cast<size_t>(channel)];
}

OP(_image_normalize)
    .inputs("data")
    .params<NormalizeParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<NormalizeParams>();
      const Shape& in = call.shape(0);
      call.expect_floating();
      call.expect(in.ndim() == 3 || in.ndim() == 4,
                  "data must have shape (channels, height, width) or (N, channels, height, width)");
      const int64_t channels = in[in.ndim() - 3];
      call.expect(channels == 1 || channels == 3, "data must have 1 or 3 channels");
      for (const Floats* values : {&p.mean, &p.std}) {
        call.expect(values->size() == 1 || static_cast<int64_t>(values->size()) == channels,
                    "mean and std must be one number, or one for each of the ", channels,
                    " channels");
      }
      call.output(0, in, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<NormalizeParams>();
      const NDArray& in = call.in(0);
      const int64_t channels = in.shape()[in.ndim() - 3];
      const int64_t pixels = in.shape().product(in.ndim() - 2, in.ndim());
      dispatch<FloatingTypes>(in.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        using C = compute_type<T>;
        const T* from = in.data<T>();
        T* to = call.out().data<T>();
        const int64_t grain = std::max<int64_t>(1, (1 << 14) / std::max<int64_t>(1, pixels));
        parallel_for(in.shape().product(0, in.ndim() - 2), grain, [&](int64_t begin, int64_t end) {
          for (int64_t plane = begin; plane < end; ++plane) {
            const C mean = static_cast<C>(of_channel(p.mean, plane % channels));
            const C std = static_cast<C>(of_channel(p.std, plane % channels));
            for (int64_t k = plane * pixels; k < (plane + 1) * pixels; ++k) {
              to[k] = static_cast<T>((static_cast<C>(from[k]) - mean) / std);
            }
          }
        });
      });
    })
    .keep_input(0, Keep::kShape)
    .vjp([](Vjp& v) {
      const auto& p = v.params<NormalizeParams>();
      const Shape in = v.input_shape(0);
      const int64_t channels = in[in.ndim() - 3];
      std::vector<double> values;
      for (int64_t c = 0; c < channels; ++c) values.push_back(of_channel(p.std, c));
      const NDArray std = NDArray::empty(Shape{channels, 1, 1}, v.input_dtype(0));
      convert(DType::kFloat64, values.data(), std.dtype(), std.bytes(), channels);
      v.grad(0, v.head() / std);
    })
    .doc("(data - mean) / std for each channel of (channels, height, width), or of a batch.")
    .example(R"(
>>> image = mx.nd.ones((3, 1, 1))  # channels, height, width
>>> y = mx.nd.image.normalize(image, mean=(0, 0.5, 1), std=(1, 0.25, 1))
>>> y.asnumpy().ravel().tolist()
[1.0, 2.0, 0.0]
)");

// The place and extents of what is cut out; the rest of the axes is as it is.
Strided cropped(const Shape& in, const CropParams& p) {
  const int at = in.ndim() - 3;
  const Ints strides = dense_strides(in);
  Strided walk;
  for (int axis = 0; axis < in.ndim(); ++axis) {
    const int64_t extent = axis == at ? p.height : axis == at + 1 ? p.width : in[axis];
    walk.axis(extent, strides[static_cast<size_t>(axis)]);
  }
  walk.offset = p.y * strides[static_cast<size_t>(at)] + p.x * strides[static_cast<size_t>(at + 1)];
  return walk;
}

OP(_image_crop)
    .inputs("data")
    .params<CropParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<CropParams>();
      const int at = expect_images(call);
      Shape out = call.shape(0);
      call.expect(out[out.ndim() - 1] == 1 || out[out.ndim() - 1] == 3,
                  "data must have 1 or 3 channels");
      call.expect(p.width > 0 && p.height > 0, "width and height must be positive");
      call.expect(p.x >= 0 && p.y >= 0 && p.width <= out[at + 1] - p.x && p.height <= out[at] - p.y,
                  "what is cut out must lie within the image");
      out[at] = p.height;
      out[at + 1] = p.width;
      call.output(0, out, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      gather_strided(call.in(0), cropped(call.in(0).shape(), call.params<CropParams>()),
                     call.out());
    })
    .keep_input(0, Keep::kShape)
    .vjp([](Vjp& v) {
      const auto& p = v.params<CropParams>();
      const Shape in = v.input_shape(0);
      SliceParams place;
      if (in.ndim() == 4) {
        place.begin.push_back(std::nullopt);
        place.end.push_back(std::nullopt);
      }
      place.begin.insert(place.begin.end(), {p.y, p.x});
      place.end.insert(place.end.end(), {p.y + p.height, p.x + p.width});
      v.grad(0, fn::slice_assign(full(in, v.input_dtype(0), 0), v.head(), place));
    })
    .doc("A part of an image, or of every image of a batch.")
    .example(R"(
>>> image = mx.nd.arange(6).reshape((2, 3, 1))  # height, width, channels
>>> y = mx.nd.image.crop(image, x=1, y=0, width=2, height=2)
>>> y[:, :, 0].asnumpy().tolist()
[[1.0, 2.0], [4.0, 5.0]]
)");

// ---- mirrored

// Elements of `size` bytes in reverse order; kSize is that number where it is known, else 0.
template <int64_t kSize>
void reverse(const char* from, char* to, int64_t count, int64_t size) {
  const int64_t step = kSize ? kSize : size;
  for (int64_t k = 0; k < count; ++k) {
    std::memcpy(to + k * step, from + (count - 1 - k) * step, static_cast<size_t>(step));
  }
}

void flip_image(const NDArray& in, const NDArray& out, int axis) {
  if (in.size() == 0) return;
  const int64_t rows = in.shape()[0], columns = in.shape()[1];
  const auto row = static_cast<int64_t>(in.nbytes()) / rows, pixel = row / columns;
  const char* from = in.bytes();
  char* to = out.bytes();
  if (axis == 0) return reverse<0>(from, to, rows, row);
  for (int64_t y = 0; y < rows; ++y) {
    (pixel == 3 ? reverse<3> : reverse<0>)(from + y * row, to + y * row, columns, pixel);
  }
}

void infer_image(InferCall& call) {
  expect_image(call);
  call.output(0, call.shape(0), call.dtype(0));
}

template <int axis>
void run_flip(const KernelCall& call) {
  flip_image(call.in(0), call.out(), axis);
}

const fn::Op<> left_right{"_image_flip_left_right"}, top_bottom{"_image_flip_top_bottom"};

OP(_image_flip_left_right)
    .inputs("data")
    .infer(infer_image)
    .kernel(run_flip<1>)
    .vjp([](Vjp& v) { v.grad(0, left_right(v.head())); })
    .doc("An image, (height, width, channels), with its columns reversed.")
    .example(R"(
>>> image = mx.nd.arange(6).reshape((2, 3, 1))
>>> mx.nd.image.flip_left_right(image)[:, :, 0].asnumpy().tolist()
[[2.0, 1.0, 0.0], [5.0, 4.0, 3.0]]
)");

OP(_image_flip_top_bottom)
    .inputs("data")
    .infer(infer_image)
    .kernel(run_flip<0>)
    .vjp([](Vjp& v) { v.grad(0, top_bottom(v.head())); })
    .doc("An image, (height, width, channels), with its rows reversed.")
    .example(R"(
>>> image = mx.nd.arange(6).reshape((2, 3, 1))
>>> mx.nd.image.flip_top_bottom(image)[:, :, 0].asnumpy().tolist()
[[3.0, 4.0, 5.0], [0.0, 1.0, 2.0]]
)");

// The second output says what was drawn.
void infer_random_flip(InferCall& call) {
  infer_image(call);
  call.output(1, Shape{1}, DType::kUint8);
}

template <int axis>
void run_random_flip(const KernelCall& call) {
  const bool flipped = next_random_stream().uniform(0) < 0.5;
  *call.out(1).data<uint8_t>() = flipped;
  if (flipped) {
    flip_image(call.in(0), call.out(), axis);
  } else {
    std::memcpy(call.out().bytes(), call.in(0).bytes(), call.in(0).nbytes());
  }
}

template <const fn::Op<>& flip>
void random_flip_vjp(Vjp& v) {
  v.grad(0, *v.output(1).data<uint8_t>() ? flip(v.head()) : v.head());
}

OP(_image_random_flip_left_right)
    .inputs("data")
    .outputs(2, 1)
    .infer(infer_random_flip)
    .kernel(run_random_flip<1>)
    .random()
    .keep_output(1)
    .vjp(random_flip_vjp<left_right>)
    .doc("An image, or its mirror image: every second time.")
    .example(R"(
>>> image = mx.nd.arange(6).reshape((2, 3, 1))
>>> y = mx.nd.image.random_flip_left_right(image)[:, :, 0].asnumpy().tolist()
>>> y in ([[0, 1, 2], [3, 4, 5]], [[2, 1, 0], [5, 4, 3]])
True
)");

OP(_image_random_flip_top_bottom)
    .inputs("data")
    .outputs(2, 1)
    .infer(infer_random_flip)
    .kernel(run_random_flip<0>)
    .random()
    .keep_output(1)
    .vjp(random_flip_vjp<top_bottom>)
    .doc("An image, or the same upside down: every second time.")
    .example(R"(
>>> image = mx.nd.arange(6).reshape((2, 3, 1))
>>> y = mx.nd.image.random_flip_top_bottom(image)[:, :, 0].asnumpy().tolist()
>>> y in ([[0, 1, 2], [3, 4, 5]], [[3, 4, 5], [0, 1, 2]])
True
)");

}  // namespace
}  // namespace mxtape

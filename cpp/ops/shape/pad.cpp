#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include "op/declare.h"
#include "ops/shared/strided.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// Pad and Crop: images with borders added or taken away.
namespace mxtape {
namespace {

enum class PadMode : int32_t { kConstant, kEdge, kReflect };

struct PadParams {
  PadMode mode = PadMode::kConstant;
  Ints pad_width;
  double constant_value = 0;
  template <class V>
  void visit(V& v) {
    v.required(
        "mode", mode,
        "What fills the border: constant, constant_value; edge, the nearest element; reflect, "
        "the image mirrored at its outermost elements.",
        {"constant", "edge", "reflect"});
    v.required("pad_width", pad_width,
               "For each axis how many elements are added before and after; 0 for the first two.");
    v("constant_value", constant_value, "The number that mode constant fills with.");
  }
};
const fn::Op<PadParams> pad_op{"Pad"};

struct PadGradParams {
  Ints shape;
  PadMode mode = PadMode::kConstant;
  Ints pad_width;
  template <class V>
  void visit(V& v) {
    v.required("shape", shape, "Shape of the array that was padded.");
    v.required("mode", mode, "What filled the border.", {"constant", "edge", "reflect"});
    v.required("pad_width", pad_width, "How many elements were added.");
  }
};
const fn::Op<PadGradParams> pad_grad{"_backward_Pad"};

// Where each element of a padded axis comes from; -1 for nowhere.
std::vector<int64_t> sources(int64_t extent, int64_t padded, int64_t before, PadMode mode) {
  std::vector<int64_t> from(static_cast<size_t>(padded));
  for (int64_t i = 0; i < padded; ++i) {
    int64_t k = i - before;
    if (k < 0 || k >= extent) {
      if (mode == PadMode::kConstant) {
        k = -1;
      } else if (mode == PadMode::kEdge) {
        k = std::clamp<int64_t>(k, 0, extent - 1);
      } else {
        k = k < 0 ? -k : 2 * (extent - 1) - k;
      }
    }
    from[static_cast<size_t>(i)] = k;
  }
  return from;
}

// The planes of an array and the walk over one of them: (depth, height, width), depth 1 with 4
// axes.
struct PadWalk {
  int64_t planes, depth, height, width;  // of the array without the border
  std::vector<int64_t> z, y, x;
  PadWalk(const Shape& small, const Ints& pad_width, PadMode mode) : planes(small.product(0, 2)) {
    const int n = small.ndim();
    depth = n == 5 ? small[2] : 1;
    height = small[n - 2];
    width = small[n - 1];
    const auto along = [&](int axis) {
      const int64_t before = pad_width[static_cast<size_t>(2 * axis)];
      const int64_t after = pad_width[static_cast<size_t>(2 * axis + 1)];
      return sources(small[axis], small[axis] + before + after, before, mode);
    };
    z = n == 5 ? along(2) : std::vector<int64_t>{0};
    y = along(n - 2);
    x = along(n - 1);
  }
  int64_t small_plane() const { return depth * height * width; }
  int64_t large_plane() const { return static_cast<int64_t>(z.size() * y.size() * x.size()); }
};

// Checks the parameters against the shape of the small array; the shape of the large one.
Shape padded_shape(const InferCall& call, const Shape& small, const Ints& pad_width, PadMode mode) {
  const int n = small.ndim();
  call.expect(n == 4 || n == 5, "data must have 4 or 5 axes");
  call.expect(pad_width.size() == static_cast<size_t>(2 * n), "pad_width must have ", 2 * n,
              " numbers: before and after for each axis");
  call.expect(
      std::all_of(pad_width.begin(), pad_width.begin() + 4, [](int64_t p) { return p == 0; }),
      "pad_width must be 0 for the first two axes");
  Shape large = small;
  for (int d = 2; d < n; ++d) {
    const int64_t before = pad_width[static_cast<size_t>(2 * d)];
    const int64_t after = pad_width[static_cast<size_t>(2 * d + 1)];
    const bool adds = before > 0 || after > 0;
    call.expect(std::max(before, after) < (int64_t{1} << 40) && small[d] + before + after >= 0 &&
                    small[d] + std::min<int64_t>(before, 0) + std::min<int64_t>(after, 0) >= 0,
                "pad_width removes more from axis ", d, " than it has, or adds too much");
    call.expect(mode == PadMode::kConstant || !adds || small[d] > 0, "axis ", d,
                " is empty: there is nothing to repeat");
    call.expect(mode != PadMode::kReflect || std::max(before, after) < small[d] || !adds,
                "mode reflect adds fewer elements than an axis has; axis ", d, " has ", small[d]);
    large[d] = small[d] + before + after;
  }
  checked_size(large, call.name());
  return large;
}

template <class T>
void pad_planes(const PadWalk& walk, const NDArray& in, const NDArray& out, T fill) {
  const int64_t wide = static_cast<int64_t>(walk.x.size());
  // The stretch of a row that is copied as it is.
  const auto inside = [&](int64_t i) {
    return walk.x[static_cast<size_t>(i)] == walk.x[static_cast<size_t>(i - 1)] + 1;
  };
  const int64_t rows = walk.planes * static_cast<int64_t>(walk.z.size() * walk.y.size());
  const int64_t per_plane = rows / std::max<int64_t>(walk.planes, 1);
  const int64_t tall = static_cast<int64_t>(walk.y.size());
  int64_t start = 0, stop = 0;  // the longest such stretch
  for (int64_t i = 0; i < wide;) {
    int64_t end = i + 1;
    while (end < wide && walk.x[static_cast<size_t>(i)] >= 0 && inside(end)) ++end;
    if (walk.x[static_cast<size_t>(i)] >= 0 && end - i > stop - start) start = i, stop = end;
    i = end;
  }
  const int64_t grain = std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(wide, 1));
  parallel_for(rows, grain, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      const int64_t plane = row / per_plane, at = row % per_plane;
      const int64_t z = walk.z[static_cast<size_t>(at / tall)];
      const int64_t y = walk.y[static_cast<size_t>(at % tall)];
      T* to = out.data<T>() + row * wide;
      if (z < 0 || y < 0) {
        std::fill_n(to, wide, fill);
        continue;
      }
      const T* from =
          in.data<T>() + plane * walk.small_plane() + (z * walk.height + y) * walk.width;
      const auto element = [&](int64_t i) {
        const int64_t k = walk.x[static_cast<size_t>(i)];
        to[i] = k < 0 ? fill : from[k];
      };
      for (int64_t i = 0; i < start; ++i) element(i);
      if (stop > start)
        std::copy_n(from + walk.x[static_cast<size_t>(start)], stop - start, to + start);
      for (int64_t i = stop; i < wide; ++i) element(i);
    }
  });
}

// Adds the elements of each large plane to where they came from.
template <class T>
void fold_planes(const PadWalk& walk, const NDArray& in, const NDArray& out) {
  using A = compute_type<T>;
  const int64_t wide = static_cast<int64_t>(walk.x.size()), size = walk.small_plane();
  const int64_t grain =
      std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(walk.large_plane() + size, 1));
  parallel_for(walk.planes, grain, [&](int64_t first, int64_t last) {
    std::vector<A> total(static_cast<size_t>(size));
    for (int64_t plane = first; plane < last; ++plane) {
      std::fill(total.begin(), total.end(), A(0));
      const T* from = in.data<T>() + plane * walk.large_plane();
      for (const int64_t z : walk.z) {
        for (const int64_t y : walk.y) {
          if (z >= 0 && y >= 0) {
            A* to = total.data() + (z * walk.height + y) * walk.width;
            for (int64_t i = 0; i < wide; ++i) {
              const int64_t k = walk.x[static_cast<size_t>(i)];
              if (k >= 0) to[k] += static_cast<A>(from[i]);
            }
          }
          from += wide;
        }
      }
      T* to = out.data<T>() + plane * size;
      for (int64_t i = 0; i < size; ++i) to[i] = static_cast<T>(total[static_cast<size_t>(i)]);
    }
  });
}

OP(Pad)
    .alias("pad")
    .inputs("data")
    .params<PadParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<PadParams>();
      call.output(0, padded_shape(call, call.shape(0), p.pad_width, p.mode), call.dtype(0));
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<PadParams>();
      if (call.out().size() == 0) return;
      const PadWalk walk(call.in(0).shape(), p.pad_width, p.mode);
      uint64_t bits = 0;
      convert(DType::kFloat64, &p.constant_value, call.out().dtype(), &bits, 1);
      dispatch<ElementTypes>(call.out().dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        T fill;
        std::memcpy(&fill, &bits, sizeof(T));
        pad_planes<T>(walk, call.in(0), call.out(), fill);
      });
    })
    .keep_input(0, Keep::kShape)
    .vjp([](Vjp& v) {
      const auto& p = v.params<PadParams>();
      const Shape shape = v.input_shape(0);
      v.grad(0, pad_grad(v.head(),
                         PadGradParams{Ints(shape.begin(), shape.end()), p.mode, p.pad_width}));
    })
    .method()
    .doc(
        "Images of 2 or 3 axes, after those of batch and channels, with a border added; a negative "
        "width removes elements.")
    .example(R"(
>>> image = mx.nd.array([[[[1, 2], [3, 4]]]])
>>> width = (0, 0, 0, 0, 0, 1, 1, 0)  # a row below, a column to the left
>>> y = mx.nd.Pad(image, mode="constant", pad_width=width, constant_value=9)
>>> y[0, 0].asnumpy().tolist()
[[9.0, 1.0, 2.0], [9.0, 3.0, 4.0], [9.0, 9.0, 9.0]]
>>> mx.nd.Pad(image, mode="edge", pad_width=width)[0, 0].asnumpy().tolist()
[[1.0, 1.0, 2.0], [3.0, 3.0, 4.0], [3.0, 3.0, 4.0]]
)");

OP(_backward_Pad)
    .inputs("head")
    .params<PadGradParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<PadGradParams>();
      call.expect_floating();
      const Shape small(p.shape);
      checked_size(small, call.name());
      const Shape large = padded_shape(call, small, p.pad_width, p.mode);
      call.expect(call.shape(0) == large, "head must have shape ", large);
      call.output(0, small, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<PadGradParams>();
      if (call.out().size() == 0) return;
      const PadWalk walk(call.out().shape(), p.pad_width, p.mode);
      dispatch<FloatingTypes>(call.out().dtype(), [&](auto tag) {
        fold_planes<typename decltype(tag)::type>(walk, call.in(0), call.out());
      });
    })
    .vjp([](Vjp& v) {
      const auto& p = v.params<PadGradParams>();
      v.grad(0, pad_op(v.head(), PadParams{p.mode, p.pad_width, 0}));
    })
    .doc("The gradient of Pad: each element of the head added to the one that it was a copy of.");

// ---- Crop

struct CropParams {
  int64_t num_args = 1;
  Ints offset{0, 0}, h_w{0, 0};
  bool center_crop = false;
  template <class V>
  void visit(V& v) {
    v("num_args", num_args, "How many arrays are given: 1, or 2 with the one that gives the size.");
    v("offset", offset, "The first row and column of the part.");
    v("h_w", h_w, "Height and width of the part, with one array.");
    v("center_crop", center_crop, "Whether the part is in the middle instead of at offset.");
  }
};

// The first row and column of the part.
std::pair<int64_t, int64_t> crop_origin(const Shape& data, int64_t height, int64_t width,
                                        const CropParams& p) {
  if (p.center_crop) return {(data[2] - height) / 2, (data[3] - width) / 2};
  return {p.offset[0], p.offset[1]};
}

OP(Crop)
    .variadic("data", "num_args")
    .params<CropParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<CropParams>();
      const size_t n = call.input_count();
      call.expect(n <= 2, "accepts 1 or 2 arrays");
      const Shape& data = call.shape(0);
      call.expect(data.ndim() == 4, "data must have 4 axes: (batch, channels, height, width)");
      call.expect(n == 1 || call.shape(1).ndim() == 4, "the second array must have 4 axes");
      call.expect(p.offset.size() == 2 && p.h_w.size() == 2,
                  "offset and h_w must have two numbers: for height and width");
      const int64_t height = n == 2 ? call.shape(1)[2] : p.h_w[0];
      const int64_t width = n == 2 ? call.shape(1)[3] : p.h_w[1];
      call.expect(height >= 1 && width >= 1 && height <= data[2] && width <= data[3],
                  "the part must have a height in [1, ", data[2], "] and a width in [1, ", data[3],
                  "], got ", height, " and ", width);
      if (!p.center_crop) {
        call.expect(p.offset[0] >= 0 && p.offset[0] <= data[2] - height && p.offset[1] >= 0 &&
                        p.offset[1] <= data[3] - width,
                    "offset must be in [0, ", data[2] - height, "] and [0, ", data[3] - width, "]");
      }
      call.output(0, {data[0], data[1], height, width}, call.dtype(0));
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const NDArray &x = call.in(0), &out = call.out();
      if (out.size() == 0) return;
      const auto [top, left] =
          crop_origin(x.shape(), out.shape()[2], out.shape()[3], call.params<CropParams>());
      Strided walk;
      walk.offset = top * x.shape()[3] + left;
      walk.axis(x.shape().product(0, 2), x.shape().product(2, 4));
      walk.axis(out.shape()[2], x.shape()[3]);
      walk.axis(out.shape()[3], 1);
      gather_strided(x, walk, out);
    })
    .keep_input(0, Keep::kShape)
    .vjp([](Vjp& v) {
      const Shape shape = v.input_shape(0);
      const NDArray g = v.head();
      if (v.needs(0)) {
        const auto [top, left] =
            crop_origin(shape, g.shape()[2], g.shape()[3], v.params<CropParams>());
        const Ints border{
            0, 0, 0, 0, top, shape[2] - top - g.shape()[2], left, shape[3] - left - g.shape()[3]};
        v.grad(0, pad_op(g, PadParams{PadMode::kConstant, border, 0}));
      }
      if (v.input_count() > 1 && v.needs(1)) {
        v.grad(1, full(v.input_shape(1), v.input_dtype(1), 0));
      }
    })
    .doc("A rectangle of each image: of size h_w, or of the size of the second array's images.")
    .example(R"(
>>> image = mx.nd.arange(16).reshape((1, 1, 4, 4))
>>> mx.nd.Crop(image, offset=(0, 1), h_w=(2, 2)).asnumpy().tolist()
[[[[1.0, 2.0], [5.0, 6.0]]]]
>>> mx.nd.Crop(image, mx.nd.zeros((1, 1, 2, 2)), center_crop=True).asnumpy().tolist()
[[[[5.0, 6.0], [9.0, 10.0]]]]
)");

}  // namespace
}  // namespace mxtape

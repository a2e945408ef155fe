#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "op/declare.h"
#include "ops/shared/strided.h"
#include "ops/vision/regions.h"
#include "runtime/widen.h"

// Pooling of regions where every bin has channels of its own, and of regions that are turned.
namespace mxtape {
namespace {

struct PositionParams {
  double spatial_scale = 1;
  int64_t output_dim = 0;
  int64_t pooled_size = 0;
  int64_t group_size = 0;
  template <class V>
  void visit(V& v) {
    v.required("spatial_scale", spatial_scale,
               "In [0, 1]: what coordinates are multiplied by to give pixels of data.");
    v.required("output_dim", output_dim, "Channels of the result.");
    v.required("pooled_size", pooled_size, "Height and width of what a region is pooled to.");
    v("group_size", group_size,
      "Along each side of a region, how many parts have channels of their own; pooled_size when "
      "0.");
  }
  int64_t groups() const { return group_size == 0 ? pooled_size : group_size; }
};
const fn::Op<PositionParams> position{"_contrib_PSROIPooling"};

struct PositionGradParams : PositionParams {
  Ints shape;
  template <class V>
  void visit(V& v) {
    v.required("shape", shape, "Shape of the images that were pooled.");
    PositionParams::visit(v);
  }
};
const fn::Op<PositionGradParams> position_grad{"_backward_PSROIPooling"};

struct TurnedParams {
  Ints pooled_size;
  double spatial_scale = 1;
  int64_t sampling_ratio = -1;
  template <class V>
  void visit(V& v) {
    v.required("pooled_size", pooled_size, "Height and width of what a region is pooled to.");
    v.required("spatial_scale", spatial_scale,
               "In [0, 1]: what coordinates are multiplied by to give pixels of data.");
    v("sampling_ratio", sampling_ratio,
      "Samples along each side of a bin; when not positive, one for each pixel.");
  }
};

// Checks images and rows of regions, `width` numbers each, whose first is the image.
void expect_regions(const InferCall& call, const Shape& images, double scale, int64_t width) {
  call.expect_floating();
  call.expect(call.dtype(1) == call.dtype(0), "rois must have the dtype of data");
  call.expect(scale >= 0 && scale <= 1, "spatial_scale must be in [0, 1]");
  call.expect(images.ndim() == 4, "data must have shape (N, channels, height, width)");
  const Shape& rois = call.shape(1);
  call.expect(rois.ndim() == 2 && rois[1] == width, "rois must have shape (regions, ", width, ")");
}

template <class C>
C finite(C x) {
  return std::isnan(x) ? C(0) : std::clamp(x, C(-1e9), C(1e9));
}

// ---- every bin has channels of its own

// The pixels [begin, end) of each bin along one side of a region.
template <class C>
void bin_ranges(C first, C last, C scale, int64_t extent,
                std::vector<std::pair<int64_t, int64_t>>& bins) {
  const C start = std::round(finite(first)) * scale, end = (std::round(finite(last)) + 1) * scale;
  const C size = std::max(end - start, C(.1)) / static_cast<C>(bins.size());
  for (size_t b = 0; b < bins.size(); ++b) {
    const auto low = static_cast<int64_t>(std::floor(static_cast<C>(b) * size + start));
    const auto high = static_cast<int64_t>(std::ceil(static_cast<C>(b + 1) * size + start));
    bins[b] = {std::clamp<int64_t>(low, 0, extent), std::clamp<int64_t>(high, 0, extent)};
  }
}

// Calls f(place in the pooled array, first pixel of the channel, rows, columns) for every bin of
// the regions and channels of a piece.
template <class T, class F>
void for_each_bin(const PositionParams& p, const Shape& images, const NDArray& rois, int64_t first,
                  int64_t last, F&& f) {
  using C = compute_type<T>;
  const int64_t pooled = p.pooled_size, groups = p.groups(), pixels = images[2] * images[3];
  std::vector<std::pair<int64_t, int64_t>> rows(static_cast<size_t>(pooled)), columns(rows.size());
  const C scale = static_cast<C>(p.spatial_scale);
  for (int64_t r = 0; r < rois.shape()[0]; ++r) {
    const T* roi = rois.data<T>() + 5 * r;
    const auto image = static_cast<int64_t>(static_cast<C>(roi[0]));
    bin_ranges(static_cast<C>(roi[1]), static_cast<C>(roi[3]), scale, images[3], columns);
    bin_ranges(static_cast<C>(roi[2]), static_cast<C>(roi[4]), scale, images[2], rows);
    for (int64_t c = first; c < last; ++c) {
      for (int64_t y = 0; y < pooled; ++y) {
        for (int64_t x = 0; x < pooled; ++x) {
          const int64_t channel = (c * groups + y * groups / pooled) * groups + x * groups / pooled;
          f(((r * p.output_dim + c) * pooled + y) * pooled + x,
            (image * images[1] + channel) * pixels, rows[static_cast<size_t>(y)],
            columns[static_cast<size_t>(x)]);
        }
      }
    }
  }
}

Shape position_shape(const InferCall& call, const PositionParams& p, const Shape& images) {
  constexpr int64_t kLimit = 1 << 20;  // of parameters, so that their products do not overflow
  call.expect(
      p.output_dim > 0 && p.pooled_size > 0 && p.output_dim < kLimit && p.pooled_size < kLimit,
      "output_dim and pooled_size must be positive");
  call.expect(p.group_size >= 0 && p.group_size < kLimit, "group_size must not be negative");
  expect_regions(call, images, p.spatial_scale, 5);
  call.expect(images[1] == p.output_dim * p.groups() * p.groups(), "data must have ",
              p.output_dim * p.groups() * p.groups(), " channels");
  const Shape out = {call.shape(1)[0], p.output_dim, p.pooled_size, p.pooled_size};
  checked_size(out, call.name());
  return out;
}

OP(_contrib_PSROIPooling)
    .inputs("data", "rois")
    .params<PositionParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<PositionParams>();
      call.output(0, position_shape(call, p, call.shape(0)), call.dtype(0));
    })
    .check([](const CheckCall& call) { check_regions(call, 1, call.shape(0)[0]); })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<PositionParams>();
      const Shape& images = call.in(0).shape();
      dispatch<FloatingTypes>(call.out().dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        using C = compute_type<T>;
        const T* from = call.in(0).data<T>();
        T* to = call.out().data<T>();
        parallel_for(p.output_dim, 1, [&](int64_t begin, int64_t end) {
          for_each_bin<T>(
              p, images, call.in(1), begin, end,
              [&](int64_t place, int64_t plane, auto rows, auto columns) {
                C sum = 0;
                for (int64_t i = rows.first; i < rows.second; ++i) {
                  for (int64_t j = columns.first; j < columns.second; ++j) {
                    sum += static_cast<C>(from[plane + i * images[3] + j]);
                  }
                }
                const int64_t count = (rows.second - rows.first) * (columns.second - columns.first);
                to[place] = count > 0 ? static_cast<T>(sum / static_cast<C>(count)) : T(0);
              });
        });
      });
    })
    .keep_inputs({Keep::kShape, Keep::kData})
    .vjp([](Vjp& v) {
      const Shape x = v.input_shape(0);
      if (v.needs(0)) {
        const PositionGradParams p{v.params<PositionParams>(), Ints(x.begin(), x.end())};
        v.grad(0, position_grad(v.head(), v.input(1), p));
      }
      if (v.needs(1)) v.grad(1, full(v.input_shape(1), v.input_dtype(1), 0));
    })
    .doc(
        "The mean of each bin of each region, (regions, output_dim, pooled_size, pooled_size), "
        "where "
        "every part of a region has channels of its own.")
    .example(R"(
>>> image = mx.nd.array([1, 2, 3, 4]).reshape((1, 4, 1, 1)).broadcast_to((1, 4, 2, 2))
>>> rois = mx.nd.array([[0, 0, 0, 1, 1]])  # each of its four parts reads its own channel
>>> options = dict(spatial_scale=1, output_dim=1, pooled_size=2)
>>> mx.nd.contrib.PSROIPooling(image, rois, **options).asnumpy().tolist()
[[[[1.0, 2.0], [3.0, 4.0]]]]
)");

OP(_backward_PSROIPooling)
    .inputs("head", "rois")
    .params<PositionGradParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<PositionGradParams>();
      const Shape images(p.shape);
      call.expect(call.shape(0) == position_shape(call, p, images),
                  "head must have the shape of what was pooled");
      call.output(0, images, call.dtype(0));
    })
    .check([](const CheckCall& call) {
      check_regions(call, 1, call.params<PositionGradParams>().shape[0]);
    })
    .kernel([](const KernelCall& call) {
      const PositionParams& p = call.params<PositionGradParams>();
      const NDArray& out = call.out();
      const Shape& images = out.shape();
      dispatch<FloatingTypes>(out.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        using C = compute_type<T>;
        const WideOutput sums(out);
        fill_zero(sums.array());
        const T* from = call.in(0).data<T>();
        C* to = sums.data<C>();
        // The channels of one of output_dim belong to no other.
        parallel_for(p.output_dim, 1, [&](int64_t begin, int64_t end) {
          for_each_bin<T>(p, images, call.in(1), begin, end,
                          [&](int64_t place, int64_t plane, auto rows, auto columns) {
                            const int64_t count =
                                (rows.second - rows.first) * (columns.second - columns.first);
                            if (count <= 0) return;
                            const C share = static_cast<C>(from[place]) / static_cast<C>(count);
                            for (int64_t i = rows.first; i < rows.second; ++i) {
                              for (int64_t j = columns.first; j < columns.second; ++j) {
                                to[plane + i * images[3] + j] += share;
                              }
                            }
                          });
        });
        sums.finish();
      });
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kNothing, Keep::kData})
    .vjp([](Vjp& v) {
      const PositionParams& p = v.params<PositionGradParams>();
      v.grad(0, position(v.head(), v.input(1), p));
    })
    .doc("The adjoint of _contrib_PSROIPooling in data.");

// ---- turned regions

// Along a side of a bin, when their number follows from its size: regions may be of any size.
constexpr int kMostSamples = 4096;
// And when it is given: all of a bin's samples are held at once.
constexpr int64_t kMostGiven = 1024;

template <class T>
void align_turned(const KernelCall& call) {
  using C = compute_type<T>;
  const auto& p = call.params<TurnedParams>();
  const NDArray &data = call.in(0), &out = call.out();
  const int64_t channels = data.shape()[1], H = data.shape()[2], W = data.shape()[3];
  const int64_t height = p.pooled_size[0], width = p.pooled_size[1], bins = height * width;
  const C scale = static_cast<C>(p.spatial_scale);
  const T *from = data.data<T>(), *rois = call.in(1).data<T>();
  T* to = out.data<T>();
  struct Tap {
    int64_t at[4];
    C weight[4];
  };
  parallel_for(out.shape()[0], 1, [&](int64_t begin, int64_t end) {
    std::vector<Tap> taps;
    for (int64_t r = begin; r < end; ++r) {
      const T* roi = rois + 6 * r;
      const auto image = static_cast<int64_t>(static_cast<C>(roi[0]));
      const C x = finite(static_cast<C>(roi[1]) * scale),
              y = finite(static_cast<C>(roi[2]) * scale);
      const C w = std::max(finite(static_cast<C>(roi[3]) * scale), C(1));
      const C h = std::max(finite(static_cast<C>(roi[4]) * scale), C(1));
      const C angle = finite(static_cast<C>(roi[5])) * std::numbers::pi_v<C> / 180;
      const C cosine = std::cos(angle), sine = std::sin(angle);
      const C bin_w = w / static_cast<C>(width), bin_h = h / static_cast<C>(height);
      const auto samples = [&](C bin) {
        if (p.sampling_ratio > 0) return p.sampling_ratio;
        return static_cast<int64_t>(std::min(std::ceil(bin), C(kMostSamples)));
      };
      const int64_t across = samples(bin_w), down = samples(bin_h);
      const C share = 1 / (static_cast<C>(across) * static_cast<C>(down));
      for (int64_t bin = 0; bin < bins; ++bin) {
        taps.clear();
        for (int64_t i = 0; i < down; ++i) {
          const C v = -h / 2 + static_cast<C>(bin / width) * bin_h +
                      (static_cast<C>(i) + C(.5)) * bin_h / static_cast<C>(down);
          for (int64_t j = 0; j < across; ++j) {
            const C u = -w / 2 + static_cast<C>(bin % width) * bin_w +
                        (static_cast<C>(j) + C(.5)) * bin_w / static_cast<C>(across);
            const C px = u * cosine + v * sine + x, py = v * cosine - u * sine + y;
            const bool inside =
                px >= -1 && px <= static_cast<C>(W) && py >= -1 && py <= static_cast<C>(H);
            if (!inside) continue;
            const C cx = std::max(px, C(0)), cy = std::max(py, C(0));
            const int64_t left = std::min(static_cast<int64_t>(cx), W - 1);
            const int64_t top = std::min(static_cast<int64_t>(cy), H - 1);
            const int64_t right = std::min(left + 1, W - 1), bottom = std::min(top + 1, H - 1);
            const C fx = left < right ? cx - static_cast<C>(left) : C(0);
            const C fy = top < bottom ? cy - static_cast<C>(top) : C(0);
            taps.push_back(
                {{top * W + left, top * W + right, bottom * W + left, bottom * W + right},
                 {(1 - fy) * (1 - fx) * share, (1 - fy) * fx * share, fy * (1 - fx) * share,
                  fy * fx * share}});
          }
        }
        for (int64_t c = 0; c < channels; ++c) {
          const T* plane = from + (image * channels + c) * H * W;
          C sum = 0;
          for (const Tap& tap : taps) {
            for (int k = 0; k < 4; ++k) sum += tap.weight[k] * static_cast<C>(plane[tap.at[k]]);
          }
          to[(r * channels + c) * bins + bin] = static_cast<T>(sum);
        }
      }
    }
  });
}

OP(_contrib_RROIAlign)
    .inputs("data", "rois")
    .params<TurnedParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<TurnedParams>();
      call.expect(p.pooled_size.size() == 2 && p.pooled_size[0] > 0 && p.pooled_size[1] > 0,
                  "pooled_size must be a height and a width, both positive");
      const Shape& images = call.shape(0);
      call.expect(p.sampling_ratio <= kMostGiven, "sampling_ratio must be at most ", kMostGiven);
      expect_regions(call, images, p.spatial_scale, 6);
      call.expect(images[2] > 0 && images[3] > 0, "data has no pixels");
      const Shape out = {call.shape(1)[0], images[1], p.pooled_size[0], p.pooled_size[1]};
      checked_size(out, call.name());
      call.output(0, out, call.dtype(0));
    })
    .check([](const CheckCall& call) { check_regions(call, 1, call.shape(0)[0]); })
    .kernel([](const KernelCall& call) {
      dispatch<FloatingTypes>(call.in(0).dtype(),
                              [&](auto tag) { align_turned<typename decltype(tag)::type>(call); });
    })
    .no_grad("it is for inference")
    .doc(
        "ROIAlign of regions that are turned: rows (image, x and y of the centre, width, height, "
        "degrees).")
    .example(R"(
>>> image = mx.nd.arange(25).reshape((1, 1, 5, 5))
>>> rois = mx.nd.array([[0, 2, 2, 2, 2, 0], [0, 2, 2, 2, 2, 90]])  # around (2, 2)
>>> options = dict(pooled_size=(1, 2), spatial_scale=1, sampling_ratio=1)
>>> print(mx.nd.contrib.RROIAlign(image, rois, **options).asnumpy().round(4)[:, 0, 0])
[[11.5 12.5]
 [14.5  9.5]]
)");

}  // namespace
}  // namespace mxtape

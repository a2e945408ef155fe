#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "op/declare.h"
#include "ops/shared/strided.h"
#include "ops/vision/regions.h"
#include "runtime/widen.h"

// Pooling of regions of images. A region is a row (image, x1, y1, x2, y2). Each operator here is
// linear in data once the regions (and the places of maxima) are known, and has an adjoint: each of
// the two is the other's gradient.
namespace mxtape {
namespace {

struct PoolingParams {
  Ints pooled_size;
  double spatial_scale = 1;
  template <class V>
  void visit(V& v) {
    v.required("pooled_size", pooled_size, "Height and width of what a region is pooled to.");
    v.required("spatial_scale", spatial_scale,
               "In [0, 1]: what coordinates are multiplied by to give pixels of data.");
  }
};

struct ImagesParams {
  Ints shape;
  template <class V>
  void visit(V& v) {
    v.required("shape", shape, "Shape of the images that were pooled.");
  }
};
const fn::Op<ImagesParams> pool_grad{"_backward_ROIPooling"};

struct AlignParams {
  Ints pooled_size;
  double spatial_scale = 1;
  int64_t sample_ratio = -1;
  bool position_sensitive = false;
  bool aligned = false;
  template <class V>
  void visit(V& v) {
    v.required("pooled_size", pooled_size, "Height and width of what a region is pooled to.");
    v.required("spatial_scale", spatial_scale,
               "In [0, 1]: what coordinates are multiplied by to give pixels of data.");
    v("sample_ratio", sample_ratio,
      "Samples along each side of a bin; when not positive, one for each pixel.");
    v("position_sensitive", position_sensitive, "Whether every bin has channels of its own.");
    v("aligned", aligned,
      "Whether pixel 0 has its centre at 0.5, and regions may be narrower than a pixel.");
  }
};
const fn::Op<AlignParams> align{"_contrib_ROIAlign"};

struct AlignGradParams : AlignParams {
  Ints shape;
  template <class V>
  void visit(V& v) {
    v.required("shape", shape, "Shape of the images that were pooled.");
    AlignParams::visit(v);
  }
};
const fn::Op<AlignGradParams> align_grad{"_backward_ROIAlign"};

const fn::Op<> pick_maxima{"_roi_maxima"};

void expect_pooling(const InferCall& call, const Ints& pooled_size, double spatial_scale) {
  constexpr int64_t kLimit = int64_t{1} << 31;  // so that their product does not overflow
  call.expect(pooled_size.size() == 2 && pooled_size[0] > 0 && pooled_size[1] > 0 &&
                  pooled_size[0] < kLimit && pooled_size[1] < kLimit,
              "pooled_size must be a height and a width, both positive and below 2^31");
  call.expect(spatial_scale >= 0 && spatial_scale <= 1, "spatial_scale must be in [0, 1]");
}

// Checks images and regions, input 1.
void expect_regions(const InferCall& call, const Shape& images) {
  call.expect_floating();
  call.expect(call.dtype(1) == call.dtype(0), "rois must have the dtype of data");
  call.expect(images.ndim() == 4, "data must have shape (N, channels, height, width)");
  const Shape& rois = call.shape(1);
  call.expect(rois.ndim() == 2 && rois[1] == 5, "rois must have shape (regions, 5)");
}

// A finite number from a coordinate, which may be anything.
template <class C>
C finite(C x) {
  constexpr C kFar = C(1e9);
  return x > -kFar ? std::min(x, kFar) : (x <= -kFar ? -kFar : C(0));
}

// ---- the largest element of each bin

// The pixels of bin `k` of `bins` of a region's side from `first` to `last` pixel, within `extent`.
template <class C>
std::pair<int64_t, int64_t> bin_pixels(int64_t k, int64_t bins, C first, C last, int64_t extent) {
  const C size = std::max(last - first + 1, C(1)) / static_cast<C>(bins);
  const auto begin = static_cast<int64_t>(std::floor(static_cast<C>(k) * size) + first);
  const auto end = static_cast<int64_t>(std::ceil(static_cast<C>(k + 1) * size) + first);
  return {std::clamp<int64_t>(begin, 0, extent), std::clamp<int64_t>(end, 0, extent)};
}

template <class T>
void pool_regions(const KernelCall& call) {
  using C = compute_type<T>;
  const auto& p = call.params<PoolingParams>();
  const NDArray &data = call.in(0), &out = call.out(0), &maxima = call.out(1);
  const int64_t channels = data.shape()[1], H = data.shape()[2], W = data.shape()[3];
  const int64_t bins = p.pooled_size[0] * p.pooled_size[1];
  const C scale = static_cast<C>(p.spatial_scale);
  const T *from = data.data<T>(), *rois = call.in(1).data<T>();
  T* to = out.data<T>();
  int64_t* where = maxima.data<int64_t>();
  parallel_for(out.shape().product(0, 2), 4, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const T* roi = rois + k / channels * 5;
      C side[4];
      for (int s = 0; s < 4; ++s) {
        side[s] = std::round(finite(static_cast<C>(roi[1 + s]) * scale));
      }
      const auto image = static_cast<int64_t>(static_cast<C>(roi[0]));
      const T* plane = from + (image * channels + k % channels) * H * W;
      for (int64_t bin = 0; bin < bins; ++bin) {
        const auto [top, bottom] =
            bin_pixels(bin / p.pooled_size[1], p.pooled_size[0], side[1], side[3], H);
        const auto [left, right] =
            bin_pixels(bin % p.pooled_size[1], p.pooled_size[1], side[0], side[2], W);
        int64_t best = -1;
        C value = 0;
        for (int64_t i = top; i < bottom; ++i) {
          for (int64_t j = left; j < right; ++j) {
            const C x = static_cast<C>(plane[i * W + j]);
            if (best < 0 || x > value) {
              best = i * W + j;
              value = x;
            }
          }
        }
        to[k * bins + bin] = static_cast<T>(value);
        where[k * bins + bin] = best;
      }
    }
  });
}

// to[k] = the element of its image that the k-th maximum was, or zero.
template <class T>
void take_maxima(const KernelCall& call) {
  using C = compute_type<T>;
  const NDArray &data = call.in(0), &out = call.out();
  const int64_t channels = data.shape()[1], pixels = data.shape().product(2, 4);
  const int64_t bins = out.shape().product(2, 4);
  const T *from = data.data<T>(), *rois = call.in(1).data<T>();
  const int64_t* where = call.in(2).data<int64_t>();
  T* to = out.data<T>();
  if (out.size() == 0) return;
  parallel_for(out.size(), 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const int64_t channel = k / bins % channels, roi = k / bins / channels;
      const auto image = static_cast<int64_t>(static_cast<C>(rois[roi * 5]));
      const bool found = where[k] >= 0 && where[k] < pixels;
      to[k] = found ? from[(image * channels + channel) * pixels + where[k]] : T(0);
    }
  });
}

// The sums of an adjoint.
template <class T, class F>
void accumulate(const NDArray& out, F&& f) {
  const WideOutput sums(out);
  fill_zero(sums.array());
  f(sums.data<compute_type<T>>());
  sums.finish();
}

// Channels are independent: each is summed by one thread, in the order of the regions.
template <class T>
void add_maxima(const KernelCall& call) {
  using C = compute_type<T>;
  const NDArray &head = call.in(0), &out = call.out();
  const int64_t regions = head.shape()[0], channels = head.shape()[1];
  const int64_t bins = head.shape().product(2, 4), pixels = out.shape().product(2, 4);
  const T *from = head.data<T>(), *rois = call.in(1).data<T>();
  const int64_t* where = call.in(2).data<int64_t>();
  accumulate<T>(out, [&](C* to) {
    const int64_t work = std::max<int64_t>(1, regions * bins);
    parallel_for(channels, std::max<int64_t>(1, (1 << 13) / work), [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        for (int64_t r = 0; r < regions; ++r) {
          const auto image = static_cast<int64_t>(static_cast<C>(rois[r * 5]));
          C* plane = to + (image * channels + c) * pixels;
          for (int64_t k = (r * channels + c) * bins; k < (r * channels + c + 1) * bins; ++k) {
            if (where[k] >= 0 && where[k] < pixels) plane[where[k]] += static_cast<C>(from[k]);
          }
        }
      }
    });
  });
}

OP(ROIPooling)
    .inputs("data", "rois")
    .params<PoolingParams>()
    .outputs(2, 1)
    .infer([](InferCall& call) {
      const auto& p = call.params<PoolingParams>();
      expect_pooling(call, p.pooled_size, p.spatial_scale);
      expect_regions(call, call.shape(0));
      const Shape out = {call.shape(1)[0], call.shape(0)[1], p.pooled_size[0], p.pooled_size[1]};
      checked_size(out, call.name());
      call.output(0, out, call.dtype(0));
      call.output(1, out, DType::kInt64);
    })
    .check([](const CheckCall& call) { check_regions(call, 1, call.shape(0)[0]); })
    .kernel([](const KernelCall& call) {
      dispatch<FloatingTypes>(call.in(0).dtype(),
                              [&](auto tag) { pool_regions<typename decltype(tag)::type>(call); });
    })
    .keep_inputs({Keep::kShape, Keep::kData})
    .keep_output(1)
    .vjp([](Vjp& v) {
      const Shape x = v.input_shape(0);
      if (v.needs(0)) {
        const ImagesParams images{Ints(x.begin(), x.end())};
        v.grad(0, pool_grad(v.head(), v.input(1), v.output(1), images));
      }
      if (v.needs(1)) v.grad(1, full(v.input_shape(1), v.input_dtype(1), 0));
    })
    .doc(
        "The largest element of each bin of each region, (regions, channels, height, width); 0 "
        "where a bin is outside the image.")
    .example(R"(
>>> image = mx.nd.arange(16).reshape((1, 1, 4, 4))
>>> rois = mx.nd.array([[0, 0, 0, 3, 3]])  # of image 0: x and y of two corners
>>> mx.nd.ROIPooling(image, rois, pooled_size=(2, 2), spatial_scale=1).asnumpy().tolist()
[[[[5.0, 7.0], [13.0, 15.0]]]]
)");

void infer_maxima(InferCall& call, const Shape& images, const Shape& pooled) {
  expect_regions(call, images);
  call.expect(pooled.ndim() == 4 && pooled[0] == call.shape(1)[0] && pooled[1] == images[1] &&
                  call.shape(2) == pooled && call.dtype(2) == DType::kInt64,
              "maxima must be int64 places for each region, channel and bin");
}

OP(_roi_maxima)
    .inputs("data", "rois", "maxima")
    .infer([](InferCall& call) {
      infer_maxima(call, call.shape(0), call.shape(2));
      call.output(0, call.shape(2), call.dtype(0));
    })
    .check([](const CheckCall& call) { check_regions(call, 1, call.shape(0)[0]); })
    .kernel([](const KernelCall& call) {
      dispatch<FloatingTypes>(call.in(0).dtype(),
                              [&](auto tag) { take_maxima<typename decltype(tag)::type>(call); });
    })
    .no_grad_inputs(1, 2)
    .keep_inputs({Keep::kShape, Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      const Shape x = v.input_shape(0);
      v.grad(0,
             pool_grad(v.head(), v.input(1), v.input(2), ImagesParams{Ints(x.begin(), x.end())}));
    })
    .doc("The elements of the regions' images that ROIPooling found to be the largest.");

OP(_backward_ROIPooling)
    .inputs("head", "rois", "maxima")
    .params<ImagesParams>()
    .infer([](InferCall& call) {
      const Shape images(call.params<ImagesParams>().shape);
      infer_maxima(call, images, call.shape(0));
      call.output(0, images, call.dtype(0));
    })
    .check([](const CheckCall& call) {
      check_regions(call, 1, call.params<ImagesParams>().shape[0]);
    })
    .kernel([](const KernelCall& call) {
      dispatch<FloatingTypes>(call.in(0).dtype(),
                              [&](auto tag) { add_maxima<typename decltype(tag)::type>(call); });
    })
    .no_grad_inputs(1, 2)
    .keep_inputs({Keep::kNothing, Keep::kData, Keep::kData})
    .vjp([](Vjp& v) { v.grad(0, pick_maxima(v.head(), v.input(1), v.input(2))); })
    .doc("Images of zeros, with head added where ROIPooling found the largest elements.");

// ---- the mean of samples of each bin

// What the pixels along one side of an image contribute to each bin of a region: interpolation is
// separable, and so is the mean of samples on a grid.
template <class C>
class Side {
 public:
  Side(int64_t bins, int64_t extent)
      : extent_(extent),
        weights_(static_cast<size_t>(bins * extent)),
        ranges_(static_cast<size_t>(bins)) {}

  // For a region from `start`, `length` long, with `samples` samples in a bin, or as many as it has
  // pixels.
  void set(C start, C length, int64_t samples) {
    const C bin = length / static_cast<C>(ranges_.size());
    if (samples <= 0) samples = static_cast<int64_t>(std::ceil(bin));
    for (size_t b = 0; b < ranges_.size(); ++b) {
      C* weights = weights_.data() + static_cast<int64_t>(b) * extent_;
      Range& range = ranges_[b];
      std::fill(weights + range.begin, weights + range.end, C(0));
      range = {extent_, 0};
      if (samples <= 0) {
        range = {0, 0};
        continue;
      }
      const C origin = start + static_cast<C>(b) * bin, n = static_cast<C>(samples);
      const C share = 1 / n;
      const auto sample = [&](int64_t k) { return origin + (static_cast<C>(k) + C(.5)) * bin / n; };
      // Only samples within a pixel of the image count; of a huge region those are few.
      int64_t first = 0, last = samples;
      if (bin > 0) {
        const C reach = static_cast<C>(extent_) - origin;
        first = std::max(first, to_index((-1 - origin) * n / bin) - 2);
        last = std::min(last, to_index(reach * n / bin) + 2);
      }
      for (int64_t k = first; k < last; ++k) {
        const C at = sample(k);
        if (!(at >= -1 && at <= static_cast<C>(extent_))) continue;
        const C inside = std::max(at, C(0));
        const int64_t low = std::min(static_cast<int64_t>(inside), extent_ - 1);
        const int64_t high = std::min(low + 1, extent_ - 1);
        const C part = low < high ? inside - static_cast<C>(low) : C(0);
        weights[low] += (1 - part) * share;
        weights[high] += part * share;
        range.begin = std::min(range.begin, low);
        range.end = std::max(range.end, high + 1);
      }
      if (range.begin >= range.end) range = {0, 0};
    }
  }

  struct Range {
    int64_t begin = 0, end = 0;
  };
  Range range(int64_t bin) const { return ranges_[static_cast<size_t>(bin)]; }
  const C* weights(int64_t bin) const { return weights_.data() + bin * extent_; }

 private:
  static int64_t to_index(C x) { return static_cast<int64_t>(std::clamp(x, C(-1e15), C(1e15))); }

  int64_t extent_;
  std::vector<C> weights_;
  std::vector<Range> ranges_;
};

// Calls f(region, image, rows, columns) for each region of [begin, end) that names an image.
template <class T, class F>
void for_each_region(const AlignParams& p, const Shape& images, const T* rois, int64_t begin,
                     int64_t end, F&& f) {
  using C = compute_type<T>;
  Side<C> rows(p.pooled_size[0], images[2]), columns(p.pooled_size[1], images[3]);
  const C scale = static_cast<C>(p.spatial_scale), offset = p.aligned ? C(.5) : C(0);
  for (int64_t r = begin; r < end; ++r) {
    const T* roi = rois + r * 5;
    const C image = static_cast<C>(roi[0]);
    if (image < 0) continue;
    C side[4];
    for (int s = 0; s < 4; ++s) side[s] = finite(static_cast<C>(roi[1 + s]) * scale - offset);
    C width = side[2] - side[0], height = side[3] - side[1];
    if (!p.aligned) {
      width = std::max(width, C(1));
      height = std::max(height, C(1));
    }
    rows.set(side[1], height, p.sample_ratio);
    columns.set(side[0], width, p.sample_ratio);
    f(r, static_cast<int64_t>(image), rows, columns);
  }
}

// The channel of an image that gives `bin` of channel `c` of the result.
int64_t source_channel(const AlignParams& p, int64_t c, int64_t bin) {
  return p.position_sensitive ? c * p.pooled_size[0] * p.pooled_size[1] + bin : c;
}

template <class T>
void align_regions(const KernelCall& call) {
  using C = compute_type<T>;
  const auto& p = call.params<AlignParams>();
  const NDArray &data = call.in(0), &out = call.out();
  const Shape& images = data.shape();
  const int64_t H = images[2], W = images[3], channels = out.shape()[1];
  const int64_t bins = p.pooled_size[0] * p.pooled_size[1];
  const T *from = data.data<T>(), *rois = call.in(1).data<T>();
  T* to = out.data<T>();
  fill_zero(out);
  if (H == 0 || W == 0 || channels == 0) return;
  parallel_for(out.shape()[0], 1, [&](int64_t begin, int64_t end) {
    for_each_region(
        p, images, rois, begin, end, [&](int64_t r, int64_t image, auto& rows, auto& columns) {
          for (int64_t c = 0; c < channels; ++c) {
            for (int64_t bin = 0; bin < bins; ++bin) {
              const int64_t y = bin / p.pooled_size[1], x = bin % p.pooled_size[1];
              const T* plane = from + (image * images[1] + source_channel(p, c, bin)) * H * W;
              const auto across = columns.range(x), down = rows.range(y);
              const C *wx = columns.weights(x), *wy = rows.weights(y);
              C total = 0;
              for (int64_t i = down.begin; i < down.end; ++i) {
                C sum = 0;
                for (int64_t j = across.begin; j < across.end; ++j) {
                  sum += wx[j] * static_cast<C>(plane[i * W + j]);
                }
                total += wy[i] * sum;
              }
              to[(r * channels + c) * bins + bin] = static_cast<T>(total);
            }
          }
        });
  });
}

template <class T>
void spread_regions(const KernelCall& call) {
  using C = compute_type<T>;
  const AlignParams& p = call.params<AlignGradParams>();
  const NDArray &head = call.in(0), &out = call.out();
  const Shape& images = out.shape();
  const int64_t H = images[2], W = images[3], regions = head.shape()[0], channels = head.shape()[1];
  const int64_t bins = p.pooled_size[0] * p.pooled_size[1];
  const T *from = head.data<T>(), *rois = call.in(1).data<T>();
  accumulate<T>(out, [&](C* to) {
    if (H == 0 || W == 0 || regions == 0) return;
    // A piece is some channels, summed in the order of the regions.
    parallel_for(channels, 8, [&](int64_t begin, int64_t end) {
      for_each_region(p, images, rois, 0, regions,
                      [&](int64_t r, int64_t image, auto& rows, auto& columns) {
                        for (int64_t c = begin; c < end; ++c) {
                          for (int64_t bin = 0; bin < bins; ++bin) {
                            const int64_t y = bin / p.pooled_size[1], x = bin % p.pooled_size[1];
                            C* plane = to + (image * images[1] + source_channel(p, c, bin)) * H * W;
                            const auto across = columns.range(x), down = rows.range(y);
                            const C *wx = columns.weights(x), *wy = rows.weights(y);
                            const C g = static_cast<C>(from[(r * channels + c) * bins + bin]);
                            for (int64_t i = down.begin; i < down.end; ++i) {
                              const C share = g * wy[i];
                              for (int64_t j = across.begin; j < across.end; ++j)
                                plane[i * W + j] += share * wx[j];
                            }
                          }
                        }
                      });
    });
  });
}

Shape aligned_shape(const InferCall& call, const AlignParams& p, const Shape& images) {
  constexpr int64_t kMostSamples = 1 << 16;
  call.expect(p.sample_ratio <= kMostSamples, "sample_ratio must be at most ", kMostSamples);
  expect_pooling(call, p.pooled_size, p.spatial_scale);
  expect_regions(call, images);
  int64_t channels = images[1];
  if (p.position_sensitive) {
    const int64_t bins = p.pooled_size[0] * p.pooled_size[1];
    call.expect(channels % bins == 0, "the number of channels must be a multiple of the ", bins,
                " bins");
    channels /= bins;
  }
  const Shape out = {call.shape(1)[0], channels, p.pooled_size[0], p.pooled_size[1]};
  checked_size(out, call.name());
  // Each thread has a table of what every pixel of a side gives to every bin.
  constexpr int64_t kTable = int64_t{1} << 26;
  for (int side = 0; side < 2; ++side) {
    call.expect(checked_size({p.pooled_size[side], images[2 + side]}, call.name()) <= kTable,
                "pooled_size and data are too large");
  }
  return out;
}

OP(_contrib_ROIAlign)
    .inputs("data", "rois")
    .params<AlignParams>()
    .infer([](InferCall& call) {
      call.output(0, aligned_shape(call, call.params<AlignParams>(), call.shape(0)), call.dtype(0));
    })
    .check([](const CheckCall& call) { check_regions(call, 1, call.shape(0)[0], true); })
    .kernel([](const KernelCall& call) {
      dispatch<FloatingTypes>(call.in(0).dtype(),
                              [&](auto tag) { align_regions<typename decltype(tag)::type>(call); });
    })
    .keep_inputs({Keep::kShape, Keep::kData})
    .vjp([](Vjp& v) {
      const Shape x = v.input_shape(0);
      if (v.needs(0)) {
        v.grad(0, align_grad(v.head(), v.input(1),
                             AlignGradParams{v.params<AlignParams>(), Ints(x.begin(), x.end())}));
      }
      if (v.needs(1)) v.grad(1, full(v.input_shape(1), v.input_dtype(1), 0));
    })
    .doc(
        "The mean of bilinear samples of each bin of each region, (regions, channels, height, "
        "width); 0 for a region of image -1.")
    .example(R"(
>>> image = mx.nd.arange(16).reshape((1, 1, 4, 4))
>>> rois = mx.nd.array([[0, 0, 0, 2, 2]])  # of image 0, from (0, 0) to (2, 2)
>>> options = dict(pooled_size=(1, 2), spatial_scale=1, sample_ratio=1)
>>> mx.nd.contrib.ROIAlign(image, rois, **options).asnumpy().tolist()
[[[[4.5, 5.5]]]]
)");

OP(_backward_ROIAlign)
    .inputs("head", "rois")
    .params<AlignGradParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<AlignGradParams>();
      const Shape images(p.shape);
      call.expect(call.shape(0) == aligned_shape(call, p, images),
                  "head must have the shape of what was pooled");
      call.output(0, images, call.dtype(0));
    })
    .check([](const CheckCall& call) {
      check_regions(call, 1, call.params<AlignGradParams>().shape[0], true);
    })
    .kernel([](const KernelCall& call) {
      dispatch<FloatingTypes>(call.in(0).dtype(), [&](auto tag) {
        spread_regions<typename decltype(tag)::type>(call);
      });
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kNothing, Keep::kData})
    .vjp([](Vjp& v) {
      const AlignParams& p = v.params<AlignGradParams>();
      v.grad(0, align(v.head(), v.input(1), p));
    })
    .doc("The adjoint of _contrib_ROIAlign in data.");

}  // namespace
}  // namespace mxtape

#include <algorithm>
#include <cmath>
#include <vector>

#include "op/declare.h"
#include "ops/shared/compose.h"
#include "ops/shared/index.h"
#include "ops/shared/strided.h"
#include "ops/vision/regions.h"
#include "runtime/parallel.h"

// Pooling of regions where every bin has channels of its own and is displaced: the mean of samples
// of a bin. With S that mean, linear in data, and S_y, S_x its derivatives by the displacement,
// three operators are closed under differentiation: _displaced_pooling (S or a derivative of it),
// its adjoint in data, and its gradient by the displacements.
namespace mxtape {
namespace {

struct PartParams {
  double spatial_scale = 1;
  int64_t output_dim = 0, group_size = 0, pooled_size = 0, part_size = 0, sample_per_part = 1;
  double trans_std = 0;
  bool no_trans = false;
  template <class V>
  void visit(V& v) {
    v.required("spatial_scale", spatial_scale,
               "What coordinates are multiplied by to give pixels of data.");
    v.required("output_dim", output_dim, "Channels of the result.");
    v.required("group_size", group_size,
               "Along each side of a region, how many parts have channels of their own.");
    v.required("pooled_size", pooled_size, "Height and width of what a region is pooled to.");
    v("part_size", part_size,
      "Along each side of a region, how many parts have displacements of their own; pooled_size "
      "when 0.");
    v("sample_per_part", sample_per_part, "Samples along each side of a bin.");
    v("trans_std", trans_std, "What displacements are multiplied by, in sides of the region.");
    v("no_trans", no_trans, "Whether there are no displacements.");
  }
  int64_t parts() const { return part_size == 0 ? pooled_size : part_size; }
};

// Which derivative by the displacement.
struct DisplacedParams : PartParams {
  bool dy = false, dx = false;
  template <class V>
  void visit(V& v) {
    PartParams::visit(v);
    v("dy", dy, "Whether to differentiate by the vertical displacement.");
    v("dx", dx, "Whether to differentiate by the horizontal one.");
  }
};
const fn::Op<DisplacedParams> pool_op{"_displaced_pooling"},
    pool_trans{"_backward_displaced_trans"};

struct DisplacedDataParams : DisplacedParams {
  Ints shape;
  template <class V>
  void visit(V& v) {
    v.required("shape", shape, "Shape of the images that were pooled.");
    DisplacedParams::visit(v);
  }
};
const fn::Op<DisplacedDataParams> pool_data{"_backward_displaced_data"};

template <class C>
C finite(C x) {
  return std::isnan(x) ? C(0) : std::clamp(x, C(-1e9), C(1e9));
}

// One side of a region.
template <class C>
struct Side {
  C start, size;
  Side(C first, C last, C scale) {
    start = std::round(finite(first)) * scale - C(0.5);
    size = std::max((std::round(finite(last)) + 1) * scale - C(0.5) - start, C(0.1));
  }
};

// The two pixels that a sample along an axis lies between, and their weights.
template <class C>
struct Between {
  int64_t at[2] = {0, 0};
  C weight[2] = {0, 0};
  bool inside = false;

  // Beyond half a pixel outside there is no sample; nearer, it is that of the border.
  Between(C x, int64_t extent, bool derivative, C step) {
    inside = x >= C(-0.5) && x <= static_cast<C>(extent) - C(0.5);
    if (!inside) return;
    const C place = std::clamp(x, C(0), static_cast<C>(extent - 1));
    at[0] = static_cast<int64_t>(std::floor(place));
    at[1] = std::min(at[0] + 1, extent - 1);
    const C part = place - std::floor(place);
    if (!derivative) {
      weight[0] = 1 - part;
      weight[1] = part;
    } else if (place == x && part > 0) {
      weight[0] = -step;
      weight[1] = step;
    }
  }
};

// Calls f(place in the pooled array, first pixel of the channel, pixel, weight) for all pixels that
// a bin of channel `c` of region `r` is made of.
template <class T, class F>
void for_bins(const PartParams& p, const Shape& images, const T* rois, const T* trans,
              int64_t classes, int64_t r, int64_t c, bool dy, bool dx, F&& f) {
  using C = compute_type<T>;
  const int64_t H = images[2], W = images[3], pooled = p.pooled_size, parts = p.parts();
  const C scale = static_cast<C>(p.spatial_scale), deviation = static_cast<C>(p.trans_std);
  const T* roi = rois + 5 * r;
  const auto image = static_cast<int64_t>(static_cast<C>(roi[0]));
  const Side<C> across(static_cast<C>(roi[1]), static_cast<C>(roi[3]), scale);
  const Side<C> down(static_cast<C>(roi[2]), static_cast<C>(roi[4]), scale);
  const C bin_w = across.size / static_cast<C>(pooled), bin_h = down.size / static_cast<C>(pooled);
  const C samples = static_cast<C>(p.sample_per_part);
  for (int64_t y = 0; y < pooled; ++y) {
    for (int64_t x = 0; x < pooled; ++x) {
      C move_x = 0, move_y = 0;
      if (trans) {
        const int64_t one = c / (p.output_dim / classes);
        const T* at = trans + ((r * classes + one) * 2 * parts + y * parts / pooled) * parts +
                      x * parts / pooled;
        move_x = static_cast<C>(at[0]) * deviation;
        move_y = static_cast<C>(at[parts * parts]) * deviation;
      }
      const C left = static_cast<C>(x) * bin_w + across.start + move_x * across.size;
      const C top = static_cast<C>(y) * bin_h + down.start + move_y * down.size;
      const int64_t channel =
          (c * p.group_size + y * p.group_size / pooled) * p.group_size + x * p.group_size / pooled;
      const int64_t plane = (image * images[1] + channel) * H * W;
      const int64_t out = ((r * p.output_dim + c) * pooled + y) * pooled + x;
      const auto sample = [&](int64_t k, C from, C bin, int64_t extent, bool derivative, C size) {
        return Between<C>(from + static_cast<C>(k) * (bin / samples), extent, derivative,
                          deviation * size);
      };
      int64_t rows = 0, columns = 0;
      for (int64_t k = 0; k < p.sample_per_part; ++k) {
        rows += sample(k, top, bin_h, H, false, C(0)).inside;
        columns += sample(k, left, bin_w, W, false, C(0)).inside;
      }
      if (rows == 0 || columns == 0) continue;
      const C share = 1 / static_cast<C>(rows * columns);
      for (int64_t i = 0; i < p.sample_per_part; ++i) {
        const auto v = sample(i, top, bin_h, H, dy, down.size);
        if (!v.inside) continue;
        for (int64_t j = 0; j < p.sample_per_part; ++j) {
          const auto h = sample(j, left, bin_w, W, dx, across.size);
          if (!h.inside) continue;
          for (int t = 0; t < 4; ++t) {
            f(out, plane, v.at[t / 2] * W + h.at[t % 2], v.weight[t / 2] * h.weight[t % 2] * share);
          }
        }
      }
    }
  }
}

template <class T>
void pool(const PartParams& p, bool dy, bool dx, const NDArray& data, const NDArray& rois,
          const NDArray& trans, const NDArray& out) {
  using C = compute_type<T>;
  const T* from = data.data<T>();
  const T* moves = trans.defined() ? trans.data<T>() : nullptr;
  const int64_t classes = trans.defined() ? trans.shape()[1] / 2 : 1;
  const int64_t bins = p.pooled_size * p.pooled_size;
  T* to = out.data<T>();
  parallel_for(out.shape().product(0, 2), 4, [&](int64_t begin, int64_t end) {
    std::vector<C> sums(static_cast<size_t>(bins));
    for (int64_t k = begin; k < end; ++k) {
      std::fill(sums.begin(), sums.end(), C(0));
      for_bins(p, data.shape(), rois.data<T>(), moves, classes, k / p.output_dim, k % p.output_dim,
               dy, dx, [&](int64_t place, int64_t plane, int64_t pixel, C weight) {
                 sums[static_cast<size_t>(place - k * bins)] +=
                     weight * static_cast<C>(from[plane + pixel]);
               });
      for (int64_t b = 0; b < bins; ++b)
        to[k * bins + b] = static_cast<T>(sums[static_cast<size_t>(b)]);
    }
  });
}

// The adjoint in data. An image's channel is summed by one thread, in the order of the regions:
// pooled channels have channels of their own.
template <class T>
void spread(const PartParams& p, bool dy, bool dx, const NDArray& head, const NDArray& rois,
            const NDArray& trans, const NDArray& out) {
  using C = compute_type<T>;
  const T *heads = head.data<T>(), *moves = trans.defined() ? trans.data<T>() : nullptr;
  const int64_t classes = trans.defined() ? trans.shape()[1] / 2 : 1;
  std::vector<C> sums(static_cast<size_t>(out.size()));
  parallel_for(p.output_dim, 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < rois.shape()[0]; ++r) {
      for (int64_t c = begin; c < end; ++c) {
        for_bins(p, out.shape(), rois.data<T>(), moves, classes, r, c, dy, dx,
                 [&](int64_t place, int64_t plane, int64_t pixel, C weight) {
                   sums[static_cast<size_t>(plane + pixel)] +=
                       weight * static_cast<C>(heads[place]);
                 });
      }
    }
  });
  T* to = out.data<T>();
  for (size_t e = 0; e < sums.size(); ++e) to[e] = static_cast<T>(sums[e]);
}

// The part that each bin along a side belongs to.
int64_t part_of(const PartParams& p, int64_t bin) { return bin * p.parts() / p.pooled_size; }

// The gradient by the displacements: for each, the sum over its bins and channels.
template <class T>
void sum_moves(const DisplacedParams& p, const NDArray& head, const NDArray& data,
               const NDArray& rois, const NDArray& trans, const NDArray& out) {
  using C = compute_type<T>;
  const int64_t parts = p.parts(), pooled = p.pooled_size, bins = pooled * pooled;
  const int64_t classes = trans.shape()[1] / 2, each = p.output_dim / classes;
  const T *heads = head.data<T>(), *from = data.data<T>();
  T* to = out.data<T>();
  parallel_for(rois.shape()[0] * classes, 1, [&](int64_t begin, int64_t end) {
    std::vector<C> sums(static_cast<size_t>(2 * parts * parts));
    for (int64_t k = begin; k < end; ++k) {
      std::fill(sums.begin(), sums.end(), C(0));
      for (int along = 0; along < 2; ++along) {
        if (along == 0 ? p.dx : p.dy) continue;  // S_xx and S_yy are zero
        for (int64_t c = k % classes * each; c < (k % classes + 1) * each; ++c) {
          for_bins(p, data.shape(), rois.data<T>(), trans.data<T>(), classes, k / classes, c,
                   p.dy || along == 1, p.dx || along == 0,
                   [&](int64_t place, int64_t plane, int64_t pixel, C weight) {
                     const int64_t bin = place % bins;
                     const int64_t at = (along * parts + part_of(p, bin / pooled)) * parts +
                                        part_of(p, bin % pooled);
                     sums[static_cast<size_t>(at)] += weight * static_cast<C>(from[plane + pixel]) *
                                                      static_cast<C>(heads[place]);
                   });
        }
      }
      for (size_t e = 0; e < sums.size(); ++e)
        to[static_cast<size_t>(k) * sums.size() + e] = static_cast<T>(sums[e]);
    }
  });
}

// Checks images of shape `images`, regions, input `rois`, and displacements behind them; the shape
// of the result.
Shape pooled_shape(const InferCall& call, const PartParams& p, const Shape& images, size_t rois) {
  constexpr int64_t kLimit = 1 << 16;  // of parameters, so that their products do not overflow
  call.expect_floating();
  call.expect_same_dtype();
  const auto check = [&](const char* name, int64_t value, int64_t least) {
    call.expect(value >= least && value < kLimit, name, " must be at least ", least);
  };
  check("output_dim", p.output_dim, 1);
  check("group_size", p.group_size, 1);
  check("pooled_size", p.pooled_size, 1);
  check("part_size", p.part_size, 0);
  check("sample_per_part", p.sample_per_part, 1);
  call.expect(images.ndim() == 4, "data must have shape (N, channels, height, width)");
  call.expect(images[1] == p.output_dim * p.group_size * p.group_size, "data must have ",
              p.output_dim * p.group_size * p.group_size, " channels");
  call.expect(images[2] > 0 && images[3] > 0, "data has no pixels");
  const Shape& regions = call.shape(rois);
  call.expect(regions.ndim() == 2 && regions[1] == 5, "rois must have shape (regions, 5)");
  if (!p.no_trans) {
    const Shape& trans = call.shape(rois + 1);
    call.expect(trans.ndim() == 4 && trans[0] == regions[0] && trans[1] >= 2 && trans[1] % 2 == 0 &&
                    p.output_dim % (trans[1] / 2) == 0 && trans[2] == p.parts() &&
                    trans[3] == p.parts(),
                "trans must have shape (regions, 2 * classes, ", p.parts(), ", ", p.parts(),
                "), where classes divides output_dim");
  }
  const Shape out = {regions[0], p.output_dim, p.pooled_size, p.pooled_size};
  checked_size(out, call.name());
  return out;
}

DisplacedParams displaced(const PartParams& p) { return {p}; }
DisplacedDataParams displaced_data(const DisplacedParams& p, const Shape& images) {
  return {p, Ints(images.begin(), images.end())};
}

// Calls op(first inputs, trans) where there are displacements, without them otherwise.
template <class P>
NDArray call_with(const fn::Op<P>& op, const NDArray& a, const NDArray& rois, const NDArray& trans,
                  const P& p) {
  return p.no_trans ? op(a, rois, p) : op(a, rois, trans, p);
}

template <class P>
uint32_t used_inputs(const Params* p) {
  return p->as<P>().no_trans ? 0b011 : 0b111;
}

template <class P>
void infer_pooling(InferCall& call) {
  call.output(0, pooled_shape(call, call.params<P>(), call.shape(0), 1), call.dtype(0));
}

void check_pooling(const CheckCall& call) { check_regions(call, 1, call.shape(0)[0]); }

void run_pooling(const KernelCall& call, const PartParams& p, bool dy, bool dx) {
  if (call.out().size() == 0) return;
  dispatch<FloatingTypes>(call.out().dtype(), [&](auto tag) {
    pool<typename decltype(tag)::type>(p, dy, dx, call.in(0), call.in(1),
                                       p.no_trans ? NDArray() : call.in(2), call.out());
  });
}

void pooling_vjp(Vjp& v, const DisplacedParams& p) {
  const NDArray rois = v.input(1), trans = p.no_trans ? NDArray() : v.input(2);
  if (v.needs(0)) {
    v.grad(0, call_with(pool_data, v.head(), rois, trans, displaced_data(p, v.input_shape(0))));
  }
  if (v.needs(1)) v.grad(1, full(v.input_shape(1), v.input_dtype(1), 0));
  if (!p.no_trans && v.needs(2)) v.grad(2, pool_trans(v.head(), v.input(0), rois, trans, p));
}

OP(_contrib_DeformablePSROIPooling)
    .inputs("data", "rois", "trans")
    .params<PartParams>()
    .optional_inputs(2, used_inputs<PartParams>)
    .infer(infer_pooling<PartParams>)
    .check(check_pooling)
    .kernel([](const KernelCall& call) {
      run_pooling(call, call.params<PartParams>(), false, false);
    })
    .keep_inputs({Keep::kData, Keep::kData, Keep::kData})
    .vjp([](Vjp& v) { pooling_vjp(v, displaced(v.params<PartParams>())); })
    .doc(
        "The mean of bilinear samples of each bin of each region, from channels of its own, where "
        "trans, (regions, 2 * classes, parts, parts), displaces bins across and down.")
    .example(R"(
>>> image = mx.nd.arange(16).reshape((1, 1, 4, 4))
>>> rois = mx.nd.array([[0, 0, 0, 3, 3]])  # of image 0, all of it
>>> options = dict(spatial_scale=1, output_dim=1, group_size=1, pooled_size=2)
>>> y = mx.nd.contrib.DeformablePSROIPooling(
...     image, rois, no_trans=True, sample_per_part=2, **options)
>>> y.asnumpy().tolist()
[[[[1.25, 3.0], [8.25, 10.0]]]]
)");

OP(_displaced_pooling)
    .inputs("data", "rois", "trans")
    .params<DisplacedParams>()
    .optional_inputs(2, used_inputs<DisplacedParams>)
    .infer(infer_pooling<DisplacedParams>)
    .check(check_pooling)
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<DisplacedParams>();
      run_pooling(call, p, p.dy, p.dx);
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kData, Keep::kData, Keep::kData})
    .vjp([](Vjp& v) { pooling_vjp(v, v.params<DisplacedParams>()); })
    .doc("_contrib_DeformablePSROIPooling, or its derivative by the displacements.");

OP(_backward_displaced_data)
    .inputs("head", "rois", "trans")
    .params<DisplacedDataParams>()
    .optional_inputs(2, used_inputs<DisplacedDataParams>)
    .infer([](InferCall& call) {
      const auto& p = call.params<DisplacedDataParams>();
      for (const int64_t extent : p.shape) call.expect(extent >= 0, "shape must not be negative");
      const Shape images(p.shape);
      checked_size(images, call.name());
      call.expect(call.shape(0) == pooled_shape(call, p, images, 1),
                  "head must have the shape of what was pooled");
      call.output(0, images, call.dtype(0));
    })
    .check([](const CheckCall& call) {
      check_regions(call, 1, call.params<DisplacedDataParams>().shape[0]);
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<DisplacedDataParams>();
      dispatch<FloatingTypes>(call.out().dtype(), [&](auto tag) {
        spread<typename decltype(tag)::type>(p, p.dy, p.dx, call.in(0), call.in(1),
                                             p.no_trans ? NDArray() : call.in(2), call.out());
      });
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kData, Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      const DisplacedParams& p = v.params<DisplacedDataParams>();
      const NDArray rois = v.input(1), trans = p.no_trans ? NDArray() : v.input(2);
      if (v.needs(0)) v.grad(0, call_with(pool_op, v.head(), rois, trans, p));
      if (!p.no_trans && v.needs(2)) v.grad(2, pool_trans(v.input(0), v.head(), rois, trans, p));
    })
    .doc("The adjoint of _displaced_pooling in data.");

// For each bin of each channel, what `moves` has for its displacement `along` an axis.
NDArray of_bins(const PartParams& p, const NDArray& moves, int64_t along) {
  const Shape& shape = moves.shape();
  const int64_t pooled = p.pooled_size, bins = p.output_dim * pooled * pooled;
  const int64_t each = p.output_dim / (shape[1] / 2);
  const NDArray where = NDArray::empty(Shape{2, shape[0] * bins}, DType::kInt64);
  int64_t *row = where.data<int64_t>(), *column = row + shape[0] * bins;
  for (int64_t k = 0; k < shape[0] * bins; ++k) {
    const int64_t c = k % bins / pooled / pooled / each;
    row[k] = k / bins;
    column[k] = ((2 * c + along) * p.parts() + part_of(p, k / pooled % pooled)) * p.parts() +
                part_of(p, k % pooled);
  }
  const NDArray flat = reshape(moves, {shape[0], shape.product(1, 4)});
  return reshape(fn::gather_nd(flat, where), {shape[0], p.output_dim, pooled, pooled});
}

OP(_backward_displaced_trans)
    .inputs("head", "data", "rois", "trans")
    .params<DisplacedParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<DisplacedParams>();
      call.expect(!p.no_trans, "there are no displacements");
      call.expect(call.shape(0) == pooled_shape(call, p, call.shape(1), 2),
                  "head must have the shape of what was pooled");
      call.output(0, call.shape(3), call.dtype(0));
    })
    .check([](const CheckCall& call) { check_regions(call, 2, call.shape(1)[0]); })
    .kernel([](const KernelCall& call) {
      dispatch<FloatingTypes>(call.out().dtype(), [&](auto tag) {
        sum_moves<typename decltype(tag)::type>(call.params<DisplacedParams>(), call.in(0),
                                                call.in(1), call.in(2), call.in(3), call.out());
      });
    })
    .no_grad_inputs(2)
    .keep_inputs({Keep::kData, Keep::kData, Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      const auto& p = v.params<DisplacedParams>();
      const NDArray head = v.input(0), data = v.input(1), rois = v.input(2), trans = v.input(3);
      compose::GradSums grads;
      for (int64_t along = 0; along < 2; ++along) {
        if (along == 0 ? p.dx : p.dy) continue;
        DisplacedParams next = p;
        (along == 0 ? next.dx : next.dy) = true;
        const NDArray u = of_bins(p, v.head(), along);
        if (v.needs(0)) grads.add(0, pool_op(data, rois, trans, next) * u);
        if (v.needs(1)) {
          grads.add(1, pool_data(head * u, rois, trans, displaced_data(next, data.shape())));
        }
        if (v.needs(3)) grads.add(3, pool_trans(head * u, data, rois, trans, next));
      }
      grads.give(v);
    })
    .doc("The gradient of _displaced_pooling by the displacements.");

}  // namespace
}  // namespace mxtape

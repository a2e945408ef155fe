#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "op/declare.h"
#include "ops/conv/deformable.h"
#include "ops/shape/slice.h"
#include "ops/shared/compose.h"
#include "ops/shared/strided.h"
#include "runtime/parallel.h"

// With S the sampler, linear in data, and S_y, S_x its derivatives by the places, which are linear
// in data too, three operators are closed under differentiation: _deformable_columns (S or a
// derivative of it), its adjoint in data, and its gradient by the offsets.
namespace mxtape {

ConvGeometry deformable_geometry(const InferCall& call, const WindowParams& window, int64_t groups,
                                 const Shape& data, size_t offset) {
  check_window(call, window);
  call.expect_floating();
  call.expect_same_dtype();
  call.expect(window.axes() == 2, "kernel must be a height and a width");
  call.expect(data.ndim() == 4, "data must have shape (N, channels, height, width)");
  for (const int64_t extent : data)
    call.expect(extent >= 0 && extent < (int64_t{1} << 31), "shape must not be negative");
  call.expect(data[2] * data[3] < std::numeric_limits<int32_t>::max(),
              "an image has too many pixels");
  call.expect(groups >= 1 && data[1] >= 1 && data[1] % groups == 0, "the number of channels, ",
              data[1], ", must be a multiple of num_deformable_group");
  ConvGeometry g = window_geometry(window);
  place_window(call, g, spatial_extents(data, g.axes));
  const Shape offsets = {data[0], 2 * g.taps() * groups, g.out[1], g.out[2]};
  call.require(offset, offsets);
  checked_size(Shape{data[0], data[1] * g.taps(), g.out_size()}, call.name());
  return window_geometry(window, data);
}

namespace {

// The four pixels around a place, and their weights. A pixel outside the image is the one after its
// last: planes are held with a zero there.
template <class C>
struct Taps {
  int32_t at[4];
  C weight[4];
};

// The two pixels around a coordinate along an axis, each -1 where outside, and their weights.
template <class C>
struct AxisTaps {
  int64_t at[2] = {-1, -1};
  C weight[2] = {0, 0};

  AxisTaps(C x, int64_t extent, bool extend, bool derivative) {
    const C size = static_cast<C>(extent);
    // Written so that what is not a number is outside.
    if (!(x < size && (extend ? x >= 0 : x > -1))) return;
    const C low = std::floor(x), part = x - low;
    at[0] = static_cast<int64_t>(low);
    at[1] = at[0] + 1 < extent ? at[0] + 1 : -1;
    weight[0] = derivative ? C(-1) : 1 - part;
    weight[1] = derivative ? C(1) : part;
    if (extend && at[1] < 0) {
      weight[0] = derivative ? C(0) : C(1);
      weight[1] = 0;
    }
  }
};

// The taps of images [first, last): for each row (deformable group, element of the kernel) of each
// image, one for every place of the kernel.
template <class T>
std::vector<Taps<compute_type<T>>> taps_of(const ConvGeometry& g, const DeformableParams& p,
                                           const T* offset, const T* mask, int64_t first,
                                           int64_t last, bool dy, bool dx) {
  using C = compute_type<T>;
  const int64_t rows = p.num_deformable_group * g.taps(), places = g.out_size();
  std::vector<Taps<C>> taps(static_cast<size_t>((last - first) * rows * places));
  const auto outside = static_cast<int32_t>(g.in_size());
  const int64_t grain = std::max<int64_t>(1, (1 << 12) / places);
  parallel_for((last - first) * rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const int64_t row = first * rows + k, tap = k % g.taps();
      const C top = static_cast<C>(tap / g.kernel[2] * g.dilate[1] - g.pad[1]);
      const C left = static_cast<C>(tap % g.kernel[2] * g.dilate[2] - g.pad[2]);
      const T *down = offset + row * 2 * places, *across = down + places;
      for (int64_t place = 0; place < places; ++place) {
        const C y = static_cast<C>(place / g.out[2] * g.stride[1]) + top;
        const C x = static_cast<C>(place % g.out[2] * g.stride[2]) + left;
        const AxisTaps<C> v(y + static_cast<C>(down[place]), g.in[1], p.extend, dy);
        const AxisTaps<C> h(x + static_cast<C>(across[place]), g.in[2], p.extend, dx);
        const C factor = mask ? static_cast<C>(mask[row * places + place]) : C(1);
        Taps<C>& to = taps[static_cast<size_t>(k * places + place)];
        for (int c = 0; c < 4; ++c) {
          const int64_t i = v.at[c / 2], j = h.at[c % 2];
          to.at[c] = i < 0 || j < 0 ? outside : static_cast<int32_t>(i * g.in[2] + j);
          to.weight[c] = v.weight[c / 2] * h.weight[c % 2] * factor;
        }
      }
    }
  });
  return taps;
}

// Planes [first, last) of data, each followed by a zero.
template <class T>
std::vector<compute_type<T>> planes_of(const ConvGeometry& g, const T* data, int64_t first,
                                       int64_t last) {
  const int64_t size = g.in_size();
  std::vector<compute_type<T>> planes(static_cast<size_t>((last - first) * (size + 1)));
  const int64_t grain = std::max<int64_t>(1, (1 << 15) / (size + 1));
  parallel_for(last - first, grain, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const T* from = data + (first + k) * size;
      auto* to = planes.data() + k * (size + 1);
      for (int64_t e = 0; e < size; ++e) to[e] = static_cast<compute_type<T>>(from[e]);
    }
  });
  return planes;
}

template <class C>
C sample(const C* plane, const Taps<C>& tap) {
  return tap.weight[0] * plane[tap.at[0]] + tap.weight[1] * plane[tap.at[1]] +
         tap.weight[2] * plane[tap.at[2]] + tap.weight[3] * plane[tap.at[3]];
}

// The adjoint in data. A plane is summed by one thread.
template <class T>
void add_columns(const ConvGeometry& g, const DeformableParams& p, const NDArray& head,
                 const NDArray& offset, const NDArray& out) {
  using C = compute_type<T>;
  const int64_t places = g.out_size(), taps = g.taps(), size = g.in_size();
  const int64_t sharing = g.in_channels / p.num_deformable_group;
  const auto all =
      taps_of<T>(g, p, offset.data<T>(), static_cast<const T*>(nullptr), 0, g.images, p.dy, p.dx);
  const T* from = head.data<T>();
  const int64_t grain = std::max<int64_t>(1, (1 << 12) / (taps * places));
  parallel_for(g.images * g.in_channels, grain, [&](int64_t begin, int64_t end) {
    std::vector<C> sums(static_cast<size_t>(size + 1));
    for (int64_t plane = begin; plane < end; ++plane) {
      std::fill(sums.begin(), sums.end(), C(0));
      // A plane's deformable group, counted through the images, is plane / sharing.
      const Taps<C>* tap = all.data() + plane / sharing * taps * places;
      const T* heads = from + plane * taps * places;
      for (int64_t k = 0; k < taps * places; ++k) {
        const C value = static_cast<C>(heads[k]);
        for (int c = 0; c < 4; ++c)
          sums[static_cast<size_t>(tap[k].at[c])] += tap[k].weight[c] * value;
      }
      T* to = out.data<T>() + plane * size;
      for (int64_t e = 0; e < size; ++e) to[e] = static_cast<T>(sums[static_cast<size_t>(e)]);
    }
  });
}

// The gradient by the offsets: for each, the sum over the channels that share it.
template <class T>
void sum_offsets(const ConvGeometry& g, const DeformableParams& p, const NDArray& head,
                 const NDArray& data, const NDArray& offset, const NDArray& out) {
  using C = compute_type<T>;
  const int64_t places = g.out_size(), taps = g.taps(), plane_size = g.in_size() + 1;
  const int64_t sharing = g.in_channels / p.num_deformable_group;
  const T* from = head.data<T>();
  const auto planes = planes_of(g, data.data<T>(), 0, g.images * g.in_channels);
  for (int along = 0; along < 2; ++along) {
    if (along == 0 ? p.dy : p.dx) continue;  // S_yy and S_xx are zero
    const auto all = taps_of<T>(g, p, offset.data<T>(), static_cast<const T*>(nullptr), 0, g.images,
                                p.dy || along == 0, p.dx || along == 1);
    const int64_t grain = std::max<int64_t>(1, (1 << 12) / (sharing * places));
    parallel_for(g.images * p.num_deformable_group * taps, grain, [&](int64_t begin, int64_t end) {
      std::vector<C> sums(static_cast<size_t>(places));
      for (int64_t row = begin; row < end; ++row) {
        std::fill(sums.begin(), sums.end(), C(0));
        const Taps<C>* tap = all.data() + row * places;
        const int64_t first = row / taps * sharing;
        for (int64_t plane = first; plane < first + sharing; ++plane) {
          const T* heads = from + (plane * taps + row % taps) * places;
          const C* values = planes.data() + plane * plane_size;
          for (int64_t k = 0; k < places; ++k)
            sums[static_cast<size_t>(k)] += static_cast<C>(heads[k]) * sample(values, tap[k]);
        }
        T* to = out.data<T>() + (2 * row + along) * places;
        for (int64_t k = 0; k < places; ++k) to[k] = static_cast<T>(sums[static_cast<size_t>(k)]);
      }
    });
  }
}

Shape columns_shape(const ConvGeometry& g) {
  return {g.images, g.in_channels * g.taps(), g.out_size()};
}

DeformableDataParams data_params(const DeformableParams& p, const Shape& data) {
  return {p, Ints(data.begin(), data.end())};
}

OP(_deformable_columns)
    .inputs("data", "offset")
    .params<DeformableParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<DeformableParams>();
      const ConvGeometry g = deformable_geometry(call, p, p.num_deformable_group, call.shape(0), 1);
      call.output(0, columns_shape(g), call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const ConvGeometry g = window_geometry(call.params<DeformableParams>(), call.in(0).shape());
      run_deformable_columns(g, call.params<DeformableParams>(), call.in(0), call.in(1), NDArray(),
                             0, g.images, call.out().bytes());
    })
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      const auto& p = v.params<DeformableParams>();
      if (v.needs(0))
        v.grad(0, fn::deformable_data(v.head(), v.input(1), data_params(p, v.input_shape(0))));
      if (v.needs(1)) v.grad(1, fn::deformable_offset(v.head(), v.input(0), v.input(1), p));
    })
    .doc(
        "im2col whose elements are sampled at displaced places, between pixels; or its derivative "
        "by the places.");

OP(_backward_deformable_data)
    .inputs("head", "offset")
    .params<DeformableDataParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<DeformableDataParams>();
      const Shape data(p.shape);
      const ConvGeometry g = deformable_geometry(call, p, p.num_deformable_group, data, 1);
      call.expect(call.shape(0) == columns_shape(g), "head must have shape ", columns_shape(g));
      call.output(0, data, call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<DeformableDataParams>();
      const ConvGeometry g = window_geometry(p, call.out().shape());
      dispatch<FloatingTypes>(call.out().dtype(), [&](auto tag) {
        add_columns<typename decltype(tag)::type>(g, p, call.in(0), call.in(1), call.out());
      });
    })
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      const DeformableParams& p = v.params<DeformableDataParams>();
      if (v.needs(0)) v.grad(0, fn::deformable_columns(v.head(), v.input(1), p));
      if (v.needs(1)) v.grad(1, fn::deformable_offset(v.input(0), v.head(), v.input(1), p));
    })
    .doc("The adjoint of _deformable_columns in data.");

OP(_backward_deformable_offset)
    .inputs("head", "data", "offset")
    .params<DeformableParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<DeformableParams>();
      const ConvGeometry g = deformable_geometry(call, p, p.num_deformable_group, call.shape(1), 2);
      call.expect(call.shape(0) == columns_shape(g), "head must have shape ", columns_shape(g));
      call.output(0, call.shape(2), call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<DeformableParams>();
      const ConvGeometry g = window_geometry(p, call.in(1).shape());
      fill_zero(call.out());
      dispatch<FloatingTypes>(call.out().dtype(), [&](auto tag) {
        sum_offsets<typename decltype(tag)::type>(g, p, call.in(0), call.in(1), call.in(2),
                                                  call.out());
      });
    })
    .keep_inputs({Keep::kData, Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      const auto& p = v.params<DeformableParams>();
      const NDArray head = v.input(0), data = v.input(1), offset = v.input(2);
      const ConvGeometry g = window_geometry(p, data.shape());
      const int64_t groups = p.num_deformable_group, sharing = g.in_channels / groups;
      const Shape offsets = {g.images, groups, g.taps(), 2, g.out_size()};
      const Shape shared = {g.images, groups, sharing, g.taps(), g.out_size()};
      compose::GradSums grads;
      for (int64_t along = 0; along < 2; ++along) {
        if (along == 0 ? p.dy : p.dx) continue;
        DeformableParams next = p;
        (along == 0 ? next.dy : next.dx) = true;
        // What came for one coordinate of the offsets, for every channel that shares them.
        const NDArray u = reshape(slice_axis(reshape(v.head(), offsets), 3, along, along + 1),
                                  {g.images, groups, 1, g.taps(), g.out_size()});
        const auto times_u = [&](const NDArray& columns) {
          return reshape(reshape(columns, shared) * u, columns_shape(g));
        };
        if (v.needs(0)) grads.add(0, times_u(fn::deformable_columns(data, offset, next)));
        if (v.needs(1))
          grads.add(1, fn::deformable_data(times_u(head), offset, data_params(next, data.shape())));
        if (v.needs(2)) grads.add(2, fn::deformable_offset(times_u(head), data, offset, next));
      }
      grads.give(v);
    })
    .doc("The gradient of _deformable_columns by the offsets.");

}  // namespace

void run_deformable_columns(const ConvGeometry& g, const DeformableParams& p, const NDArray& data,
                            const NDArray& offset, const NDArray& mask, int64_t first, int64_t last,
                            void* columns) {
  const int64_t places = g.out_size(), taps = g.taps();
  const int64_t sharing = g.in_channels / p.num_deformable_group;
  dispatch<FloatingTypes>(data.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = compute_type<T>;
    const auto all = taps_of<T>(g, p, offset.data<T>(), mask.defined() ? mask.data<T>() : nullptr,
                                first, last, p.dy, p.dx);
    const auto planes = planes_of(g, data.data<T>(), first * g.in_channels, last * g.in_channels);
    T* to = static_cast<T*>(columns);
    const int64_t grain = std::max<int64_t>(1, (1 << 13) / places);
    parallel_for((last - first) * g.in_channels * taps, grain, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t plane = row / taps;
        const C* values = planes.data() + plane * (g.in_size() + 1);
        const Taps<C>* tap = all.data() + (plane / sharing * taps + row % taps) * places;
        T* out = to + row * places;
        for (int64_t k = 0; k < places; ++k) out[k] = static_cast<T>(sample(values, tap[k]));
      }
    });
  });
}

}  // namespace mxtape

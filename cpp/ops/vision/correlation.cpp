#include <algorithm>
#include <vector>

#include "op/declare.h"
#include "ops/shared/strided.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// Correlation of patches of two images, over displacements of the second. Of products it is linear
// in each image, so the gradients of its gradients are correlations and gradients again; of
// absolute differences it is linear where no two elements are equal.
namespace mxtape {
namespace {

struct CorrelationParams {
  int64_t kernel_size = 1;
  int64_t max_displacement = 1;
  int64_t stride1 = 1;
  int64_t stride2 = 1;
  int64_t pad_size = 0;
  bool is_multiply = true;
  template <class V>
  void visit(V& v) {
    v("kernel_size", kernel_size, "Height and width of a patch, odd.");
    v("max_displacement", max_displacement, "Largest displacement along each axis.");
    v("stride1", stride1, "Pixels between the patches of data1.");
    v("stride2", stride2, "Pixels between displacements.");
    v("pad_size", pad_size, "Zeros around both images.");
    v("is_multiply", is_multiply, "Mean of products; else mean of absolute differences.");
  }
};
const fn::Op<CorrelationParams> correlation{"Correlation"};

// The same, for one of the two images.
struct OneImageParams : CorrelationParams {
  int64_t image = 0;
  template <class V>
  void visit(V& v) {
    CorrelationParams::visit(v);
    v("image", image, "0 for data1, 1 for data2.");
  }
};
const fn::Op<OneImageParams> one_grad{"_backward_Correlation"}, signed_sums{"_correlation_signs"};

// The numbers that follow from the parameters and the images' shape.
struct Geometry {
  int64_t n = 0, channels = 0, height = 0, width = 0;  // of an image
  int64_t kernel = 1, start = 0, stride1 = 1, stride2 = 1, radius = 0, pad = 0;
  int64_t rows = 0, columns = 0;  // of the result

  int64_t displacements() const { return (2 * radius + 1) * (2 * radius + 1); }
  int64_t padded_height() const { return height + 2 * pad; }
  int64_t padded_width() const { return width + 2 * pad; }
  Shape out() const { return {n, displacements(), rows, columns}; }
};

Geometry geometry(const CorrelationParams& p, const Shape& in) {
  Geometry g{in[0], in[1], in[2], in[3]};
  g.kernel = p.kernel_size;
  g.start = p.max_displacement;
  g.stride1 = p.stride1;
  g.stride2 = p.stride2;
  g.radius = p.max_displacement / p.stride2;
  g.pad = p.pad_size;
  const int64_t border = p.max_displacement + (p.kernel_size - 1) / 2;
  g.rows = (g.padded_height() - 2 * border + p.stride1 - 1) / p.stride1;
  g.columns = (g.padded_width() - 2 * border + p.stride1 - 1) / p.stride1;
  return g;
}

Geometry checked_geometry(const InferCall& call, const CorrelationParams& p, const Shape& in) {
  constexpr int64_t kLimit = 1 << 24;  // keeps sums of these within int64
  for (const int64_t size : {p.kernel_size, p.stride1, p.stride2}) {
    call.expect(size > 0 && size < kLimit, "kernel_size, stride1 and stride2 must be positive");
  }
  for (const int64_t size : {p.max_displacement, p.pad_size}) {
    call.expect(size >= 0 && size < kLimit, "max_displacement and pad_size must not be negative");
  }
  call.expect(p.kernel_size % 2 == 1, "kernel_size must be odd");
  call.expect_floating();
  call.expect_same_dtype();
  call.expect(in.ndim() == 4 && in[1] > 0, "data1 must have shape (N, channels, height, width)");
  const Geometry g = geometry(p, in);
  call.expect(g.rows > 0 && g.columns > 0, "the padded images are smaller than a patch with its ",
              "displacements");
  checked_size(g.out(), call.name());
  return g;
}

// An image padded with zeros, channels last: the elements of a patch's row are neighbours.
template <class T>
std::vector<compute_type<T>> padded(const NDArray& image, const Geometry& g) {
  using C = compute_type<T>;
  const int64_t line = g.padded_width() * g.channels;
  std::vector<C> out(static_cast<size_t>(g.n * g.padded_height() * line));
  const T* from = image.data<T>();
  parallel_for(g.n * g.height, 4, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const int64_t n = k / g.height, i = k % g.height;
      C* to = out.data() + (n * g.padded_height() + i + g.pad) * line + g.pad * g.channels;
      for (int64_t c = 0; c < g.channels; ++c) {
        const T* row = from + ((n * g.channels + c) * g.height + i) * g.width;
        for (int64_t j = 0; j < g.width; ++j) to[j * g.channels + c] = static_cast<C>(row[j]);
      }
    }
  });
  return out;
}

// out = the mean over patches of term(k, l), where k and l are the places in padded images of an
// element of data1 and of its partner in data2.
template <class T, class F>
void correlate(const NDArray& out, const Geometry& g, F&& term) {
  using C = compute_type<T>;
  const int64_t side = 2 * g.radius + 1, span = g.kernel * g.channels;
  const C scale = C(1) / static_cast<C>(g.kernel * span);
  T* to = out.data<T>();
  parallel_for(out.size() / g.columns, 1, [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
      const int64_t d = line / g.rows % g.displacements(), i = line % g.rows;
      const int64_t top =
          line / g.rows / g.displacements() * g.padded_height() + g.start + i * g.stride1;
      const int64_t away =
          ((d / side - g.radius) * g.padded_width() + d % side - g.radius) * g.stride2 * g.channels;
      for (int64_t j = 0; j < g.columns; ++j) {
        C sum = 0;
        for (int64_t h = 0; h < g.kernel; ++h) {
          const int64_t k = ((top + h) * g.padded_width() + g.start + j * g.stride1) * g.channels;
          // Independent sums, which the compiler keeps in a vector register.
          constexpr int64_t kLanes = 8;
          C lanes[kLanes] = {};
          int64_t e = 0;
          for (; e + kLanes <= span; e += kLanes) {
            for (int64_t l = 0; l < kLanes; ++l) lanes[l] += term(k + e + l, k + e + l + away);
          }
          for (; e < span; ++e) sum += term(k + e, k + e + away);
          for (const C lane : lanes) sum += lane;
        }
        to[line * g.columns + j] = static_cast<T>(sum * scale);
      }
    }
  });
}

// The adjoint in one image: out[x] = the mean of head times slope(k, l) over all patches and
// displacements where x is element k of data1 (image 0) or its partner l in data2 (image 1).
template <class T, class F>
void spread_heads(const NDArray& head, const NDArray& out, const Geometry& g, int64_t image,
                  F&& slope) {
  using C = compute_type<T>;
  const int64_t side = 2 * g.radius + 1;
  const C scale = C(1) / static_cast<C>(g.kernel * g.kernel * g.channels);
  const T* heads = head.data<T>();
  T* to = out.data<T>();
  // The patches along one axis that cover place `at`: from begin to end.
  const auto covering = [&](int64_t at, int64_t count) {
    const int64_t last = at - g.start, first = last - g.kernel + 1;
    const int64_t begin = first > 0 ? (first + g.stride1 - 1) / g.stride1 : 0;
    const int64_t end = last >= 0 ? std::min(count, last / g.stride1 + 1) : 0;
    return std::pair{begin, end};
  };
  parallel_for(g.n * g.height, 1, [&](int64_t first_line, int64_t last_line) {
    std::vector<C> sums(static_cast<size_t>(g.channels));
    for (int64_t line = first_line; line < last_line; ++line) {
      const int64_t n = line / g.height, y = line % g.height + g.pad;
      for (int64_t x = g.pad; x < g.pad + g.width; ++x) {
        std::fill(sums.begin(), sums.end(), C(0));
        const int64_t here = ((n * g.padded_height() + y) * g.padded_width() + x) * g.channels;
        for (int64_t d = 0; d < g.displacements(); ++d) {
          const int64_t dy = (d / side - g.radius) * g.stride2;
          const int64_t dx = (d % side - g.radius) * g.stride2;
          const auto [top, bottom] = covering(image == 0 ? y : y - dy, g.rows);
          const auto [left, right] = covering(image == 0 ? x : x - dx, g.columns);
          if (top >= bottom || left >= right) continue;
          C total = 0;
          for (int64_t i = top; i < bottom; ++i) {
            const T* row = heads + ((n * g.displacements() + d) * g.rows + i) * g.columns;
            for (int64_t j = left; j < right; ++j) total += static_cast<C>(row[j]);
          }
          const int64_t away = (dy * g.padded_width() + dx) * g.channels;
          const int64_t k = image == 0 ? here : here - away, l = image == 0 ? here + away : here;
          for (int64_t c = 0; c < g.channels; ++c) {
            sums[static_cast<size_t>(c)] += total * slope(k + c, l + c);
          }
        }
        T* pixel = to + (n * g.channels * g.height + y - g.pad) * g.width + x - g.pad;
        for (int64_t c = 0; c < g.channels; ++c) {
          pixel[c * g.height * g.width] = static_cast<T>(sums[static_cast<size_t>(c)] * scale);
        }
      }
    }
  });
}

template <class C>
C sign_of_difference(C a, C b) {
  return a >= b ? C(1) : C(-1);
}

OP(Correlation)
    .inputs("data1", "data2")
    .params<CorrelationParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<CorrelationParams>();
      call.expect(call.shape(0) == call.shape(1), "data1 and data2 must have one shape");
      call.output(0, checked_geometry(call, p, call.shape(0)).out(), call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<CorrelationParams>();
      const Geometry g = geometry(p, call.in(0).shape());
      dispatch<FloatingTypes>(call.out().dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        using C = compute_type<T>;
        const std::vector<C> first = padded<T>(call.in(0), g), second = padded<T>(call.in(1), g);
        const C *a = first.data(), *b = second.data();
        if (p.is_multiply) {
          correlate<T>(call.out(), g, [a, b](int64_t k, int64_t l) { return a[k] * b[l]; });
        } else {
          correlate<T>(call.out(), g,
                       [a, b](int64_t k, int64_t l) { return std::abs(a[k] - b[l]); });
        }
      });
    })
    .keep_inputs({Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      for (size_t i = 0; i < 2; ++i) {
        if (!v.needs(i)) continue;
        v.grad(i, one_grad(v.head(), v.input(0), v.input(1),
                           OneImageParams{v.params<CorrelationParams>(), static_cast<int64_t>(i)}));
      }
    })
    .doc(
        "For patches of data1 and displacements of data2, the mean of the products of their "
        "elements, or of absolute differences: (N, displacements, height, width).")
    .example(R"(
>>> image, moved = mx.nd.zeros((1, 1, 3, 3)), mx.nd.zeros((1, 1, 3, 3))
>>> image[0, 0, 1, 1] = 1
>>> moved[0, 0, 1, 2] = 1  # the bright pixel, one to the right
>>> found = mx.nd.Correlation(image, moved, max_displacement=1, pad_size=1)
>>> found[0, :, 1, 1].reshape((3, 3)).asnumpy().tolist()  # of the middle, by displacement
[[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
)");

OP(_backward_Correlation)
    .inputs("head", "data1", "data2")
    .params<OneImageParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<OneImageParams>();
      call.expect(call.shape(1) == call.shape(2), "data1 and data2 must have one shape");
      call.expect(call.shape(0) == checked_geometry(call, p, call.shape(1)).out(),
                  "head must have the correlation's shape");
      call.output(0, call.shape(1), call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<OneImageParams>();
      const Geometry g = geometry(p, call.in(1).shape());
      const NDArray &head = call.in(0), &out = call.out();
      dispatch<FloatingTypes>(out.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        using C = compute_type<T>;
        if (p.is_multiply) {
          const std::vector<C> other = padded<T>(call.in(p.image == 0 ? 2 : 1), g);
          const C* b = other.data();
          if (p.image == 0) {
            spread_heads<T>(head, out, g, 0, [b](int64_t, int64_t l) { return b[l]; });
          } else {
            spread_heads<T>(head, out, g, 1, [b](int64_t k, int64_t) { return b[k]; });
          }
          return;
        }
        const std::vector<C> first = padded<T>(call.in(1), g), second = padded<T>(call.in(2), g);
        const C *a = first.data(), *b = second.data(), side = p.image == 0 ? C(1) : C(-1);
        spread_heads<T>(head, out, g, p.image, [a, b, side](int64_t k, int64_t l) {
          return side * sign_of_difference(a[k], b[l]);
        });
      });
    })
    .keep_inputs({Keep::kData, Keep::kData, Keep::kData})
    .vjp([](Vjp& v) {
      const auto& p = v.params<OneImageParams>();
      const CorrelationParams& base = p;
      for (size_t i = 1; i < 3; ++i) {
        if (v.needs(i)) v.grad(i, full(v.input_shape(i), v.input_dtype(i), 0));
      }
      if (!p.is_multiply) {
        if (v.needs(0)) v.grad(0, signed_sums(v.head(), v.input(1), v.input(2), p));
        return;
      }
      // The products are of one image and the head: this one takes the place of the other image.
      const size_t other = p.image == 0 ? 2 : 1;
      if (v.needs(0)) {
        v.grad(0, p.image == 0 ? correlation(v.head(), v.input(2), base)
                               : correlation(v.input(1), v.head(), base));
      }
      if (v.needs(other)) {
        v.grad(other, p.image == 0
                          ? one_grad(v.input(0), v.head(), v.input(2), OneImageParams{base, 1})
                          : one_grad(v.input(0), v.input(1), v.head(), OneImageParams{base, 0}));
      }
    })
    .doc("The gradient of Correlation by one of the images.");

OP(_correlation_signs)
    .inputs("data", "data1", "data2")
    .params<OneImageParams>()
    .infer([](InferCall& call) {
      const auto& p = call.params<OneImageParams>();
      call.expect(call.shape(1) == call.shape(2) && call.shape(0) == call.shape(1),
                  "the images must have one shape");
      call.output(0, checked_geometry(call, p, call.shape(1)).out(), call.dtype(0));
    })
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<OneImageParams>();
      const Geometry g = geometry(p, call.in(1).shape());
      dispatch<FloatingTypes>(call.out().dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        using C = compute_type<T>;
        const std::vector<C> data = padded<T>(call.in(0), g);
        const std::vector<C> first = padded<T>(call.in(1), g), second = padded<T>(call.in(2), g);
        const C *u = data.data(), *a = first.data(), *b = second.data();
        if (p.image == 0) {
          correlate<T>(call.out(), g, [u, a, b](int64_t k, int64_t l) {
            return u[k] * sign_of_difference(a[k], b[l]);
          });
        } else {
          correlate<T>(call.out(), g, [u, a, b](int64_t k, int64_t l) {
            return -u[l] * sign_of_difference(a[k], b[l]);
          });
        }
      });
    })
    .keep_inputs({Keep::kShape, Keep::kData, Keep::kData})
    .no_grad_inputs(1, 2)
    .vjp([](Vjp& v) {
      OneImageParams p = v.params<OneImageParams>();
      p.is_multiply = false;
      v.grad(0, one_grad(v.head(), v.input(1), v.input(2), p));
    })
    .doc("How a Correlation of absolute differences changes with one of the images.");

}  // namespace
}  // namespace mxtape

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <type_traits>

#include "core/ndarray.h"
#include "ops/conv/convolution.h"
#include "ops/conv/im2col.h"
#include "ops/conv/onednn_convolution.h"
#include "ops/conv/winograd.h"
#include "ops/linalg/gemm.h"
#include "runtime/widen.h"

// Convolutions as products of matrices: the image is unfolded, a block of its columns at a time.
namespace mxtape {
namespace {

// Elements of a block of unfolded columns: what a processor's cache holds.
constexpr int64_t kBlock = int64_t{1} << 18;
// Work that earns a piece for a thread.
constexpr int64_t kPiece = int64_t{1} << 18;
// Into how many parts the sum over images is cut for the weight's gradient.
constexpr int64_t kParts = 16;

template <class T>
NDArray buffer(int64_t n) {
  return NDArray::empty(Shape{n}, dtype_of<T>);
}

// What the image of one group is multiplied with and into, block by block.
template <class T>
struct Blocks {
  explicit Blocks(const ConvGeometry& geometry)
      : g(geometry),
        rows(g.group_in() * g.taps()),
        positions(g.out_size()),
        // The matrix of a kernel of one tap that moves by one is the image itself.
        is_image(g.taps() == 1 && g.stride == ConvGeometry::Axes{1, 1, 1} &&
                 g.pad == ConvGeometry::Axes{0, 0, 0} && g.in == g.out),
        step(is_image ? std::max<int64_t>(positions, 1) : block_size()),
        columns_buffer(buffer<T>(is_image ? 0 : rows * step)),
        head_buffer(buffer<T>(step < positions ? g.group_out() * step : 0)) {}

  // Columns of a block. All blocks have about the same, so that none is too small to be multiplied
  // fast, and begin with a line of the cache.
  int64_t block_size() const {
    constexpr int64_t kLine = 64 / sizeof(T);
    const int64_t most = std::max(kBlock / std::max<int64_t>(rows, 1), kLine);
    const int64_t blocks = (positions + most - 1) / most;
    if (blocks <= 1) return std::max<int64_t>(positions, 1);
    return ((positions + blocks - 1) / blocks + kLine - 1) / kLine * kLine;
  }

  T* columns() { return columns_buffer.template data<T>(); }

  // Columns [first, last) of the image.
  const T* unfolded(const T* image, int64_t first, int64_t last) {
    if (is_image) return image;
    unfold(g, g.group_in(), image, first, last, columns());
    return columns();
  }
  // Columns [first, last) of a head [group_out, positions], dense.
  const T* head_block(const T* head, int64_t first, int64_t last) {
    if (last - first == positions) return head;
    T* block = head_buffer.template data<T>();
    for (int64_t c = 0; c < g.group_out(); ++c)
      std::copy(head + c * positions + first, head + c * positions + last,
                block + c * (last - first));
    return block;
  }
  template <class F>
  void for_each(F&& f) {
    for (int64_t first = 0; first < positions; first += step)
      f(first, std::min(positions, first + step));
  }

  const ConvGeometry& g;
  int64_t rows, positions;
  bool is_image;
  int64_t step;
  NDArray columns_buffer, head_buffer;
};

// Calls piece(blocks, image, group) for all of them, on all threads.
template <class T, class Piece>
void for_each_group(const ConvGeometry& g, Piece&& piece) {
  const int64_t work = std::max<int64_t>(1, g.image_work() / g.groups);
  parallel_for(g.images * g.groups, std::max<int64_t>(1, kPiece / work),
               [&](int64_t begin, int64_t end) {
                 Blocks<T> blocks(g);
                 for (int64_t i = begin; i < end; ++i) piece(blocks, i / g.groups, i % g.groups);
               });
}

template <class T>
void run_forward(const ConvGeometry& g, const T* data, const T* weight, const T* bias, T* head) {
  for_each_group<T>(g, [&](Blocks<T>& blocks, int64_t image, int64_t group) {
    const T* from = data + (image * g.in_channels + group * g.group_in()) * g.in_size();
    T* to = head + (image * g.out_channels + group * g.group_out()) * g.out_size();
    blocks.for_each([&](int64_t first, int64_t last) {
      const bool whole = last - first == blocks.positions;
      T* out = whole ? to : blocks.head_buffer.template data<T>();
      gemm({.dtype = dtype_of<T>,
            .m = g.group_out(),
            .n = last - first,
            .k = blocks.rows,
            .a = weight + group * g.group_out() * blocks.rows,
            .b = blocks.unfolded(from, first, last),
            .out = out});
      if (whole) return;
      for (int64_t c = 0; c < g.group_out(); ++c)
        std::copy_n(out + c * (last - first), last - first, to + c * blocks.positions + first);
    });
    if (bias) add_bias(to, bias + group * g.group_out(), g.group_out(), g.out_size());
  });
}

template <class T>
void run_to_data(const ConvGeometry& g, const T* head, const T* weight, const T* bias, T* data) {
  for_each_group<T>(g, [&](Blocks<T>& blocks, int64_t image, int64_t group) {
    const T* from = head + (image * g.out_channels + group * g.group_out()) * g.out_size();
    T* to = data + (image * g.in_channels + group * g.group_in()) * g.in_size();
    if (!blocks.is_image) std::fill_n(to, g.group_in() * g.in_size(), T(0));
    blocks.for_each([&](int64_t first, int64_t last) {
      gemm({.dtype = dtype_of<T>,
            .m = blocks.rows,
            .n = last - first,
            .k = g.group_out(),
            .transpose_a = true,
            .a = weight + group * g.group_out() * blocks.rows,
            .b = blocks.head_block(from, first, last),
            .out = blocks.is_image ? to : blocks.columns()});
      if (!blocks.is_image) fold(g, g.group_in(), blocks.columns(), first, last, to);
    });
    if (bias) add_bias(to, bias + group * g.group_in(), g.group_in(), g.in_size());
  });
}

template <class T>
void run_to_weight(const ConvGeometry& g, const T* head, const T* data, T* weight) {
  const int64_t size = g.weight_size(), group_size = size / g.groups;
  const int64_t parts = std::clamp<int64_t>(
      std::min(g.images * g.image_work() / kPiece, (int64_t{1} << 24) / std::max<int64_t>(size, 1)),
      1, std::clamp<int64_t>(g.images, 1, kParts));
  const NDArray sums = buffer<T>(parts == 1 ? 0 : parts * size);
  T* results = parts == 1 ? weight : sums.data<T>();
  parallel_for(parts * g.groups, 1, [&](int64_t begin, int64_t end) {
    Blocks<T> blocks(g);
    const NDArray product = buffer<T>(group_size);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t part = i / g.groups, group = i % g.groups;
      T* sum = results + part * size + group * group_size;
      std::fill_n(sum, group_size, T(0));
      const int64_t last_image = g.images * (part + 1) / parts;
      for (int64_t image = g.images * part / parts; image < last_image; ++image) {
        const T* from = data + (image * g.in_channels + group * g.group_in()) * g.in_size();
        const T* by = head + (image * g.out_channels + group * g.group_out()) * g.out_size();
        blocks.for_each([&](int64_t first, int64_t last) {
          gemm({.dtype = dtype_of<T>,
                .m = g.group_out(),
                .n = blocks.rows,
                .k = last - first,
                .transpose_b = true,
                .a = blocks.head_block(by, first, last),
                .b = blocks.unfolded(from, first, last),
                .out = product.data<T>()});
          const T* add = product.data<T>();
          for (int64_t e = 0; e < group_size; ++e) sum[e] += add[e];
        });
      }
    }
  });
  if (parts > 1) sum_parts(results, parts, size, weight);
}

const void* bytes_or_null(const NDArray& x) { return x.defined() ? x.bytes() : nullptr; }

template <class T>
const T* as(const void* p) {
  return static_cast<const T*>(p);
}

}  // namespace

bool is_switched_on(const char* variable) {
  const char* text = std::getenv(variable);
  return !text || std::string_view(text) != "0";
}

void convolve(const ConvGeometry& g, DType dtype, const void* data, const void* weight,
              const void* bias, void* head) {
  if (is_narrow(dtype)) {
    const NDArray x = widened(dtype, data, g.data_size());
    const NDArray w = widened(dtype, weight, g.weight_size());
    const NDArray b = widened(dtype, bias, g.out_channels);
    const WideOutput out(dtype, head, g.head_size());
    convolve(g, x.dtype(), x.bytes(), w.bytes(), bytes_or_null(b), out.array().bytes());
    return out.finish();
  }
  dispatch<SingleOrDouble>(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* out = static_cast<T*>(head);
    if constexpr (std::is_same_v<T, float>) {
      if (winograd::convolve(g, as<T>(data), as<T>(weight), as<T>(bias), out) ||
          onednn::convolve(g, as<T>(data), as<T>(weight), as<T>(bias), out))
        return;
    }
    run_forward(g, as<T>(data), as<T>(weight), as<T>(bias), out);
  });
}

void convolve_to_data(const ConvGeometry& g, DType dtype, const void* head, const void* weight,
                      const void* bias, void* data) {
  if (is_narrow(dtype)) {
    const NDArray y = widened(dtype, head, g.head_size());
    const NDArray w = widened(dtype, weight, g.weight_size());
    const NDArray b = widened(dtype, bias, g.in_channels);
    const WideOutput out(dtype, data, g.data_size());
    convolve_to_data(g, y.dtype(), y.bytes(), w.bytes(), bytes_or_null(b), out.array().bytes());
    return out.finish();
  }
  dispatch<SingleOrDouble>(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* out = static_cast<T*>(data);
    if constexpr (std::is_same_v<T, float>) {
      if (winograd::convolve_to_data(g, as<T>(head), as<T>(weight), as<T>(bias), out) ||
          onednn::convolve_to_data(g, as<T>(head), as<T>(weight), as<T>(bias), out))
        return;
    }
    run_to_data(g, as<T>(head), as<T>(weight), as<T>(bias), out);
  });
}

void convolve_to_weight(const ConvGeometry& g, DType dtype, const void* head, const void* data,
                        void* weight) {
  if (is_narrow(dtype)) {
    const NDArray y = widened(dtype, head, g.head_size());
    const NDArray x = widened(dtype, data, g.data_size());
    const WideOutput out(dtype, weight, g.weight_size());
    convolve_to_weight(g, y.dtype(), y.bytes(), x.bytes(), out.array().bytes());
    return out.finish();
  }
  dispatch<SingleOrDouble>(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* out = static_cast<T*>(weight);
    if constexpr (std::is_same_v<T, float>) {
      if (winograd::convolve_to_weight(g, as<T>(head), as<T>(data), out) ||
          onednn::convolve_to_weight(g, as<T>(head), as<T>(data), out))
        return;
    }
    run_to_weight(g, as<T>(head), as<T>(data), out);
  });
}

}  // namespace mxtape

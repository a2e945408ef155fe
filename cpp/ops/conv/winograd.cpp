#include "ops/conv/winograd.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "core/ndarray.h"
#include "ops/linalg/gemm_kernel.h"

// F(2x2, 3x3) of Lavin and Gray, "Fast algorithms for convolutional neural networks" (CVPR 2016):
// the 2 x 2 elements of a tile of the result come of 4 x 4 of the source with 16 multiplications
// where the definition has 36. In one dimension, with g the kernel, d the source, y the result,
//   y = A' (G g * B' d),     A' = 1 1  1  0     G = 1   0   0    B' = 1  0 -1  0
//                                 0 1 -1 -1         .5  .5  .5        0  1  1  0
//                                                   .5 -.5  .5        0 -1  1  0
//                                                   0   0   1         0  1  0 -1
// and in two, on rows and then on columns. Each of the 16 products is summed over channels: 16
// products of matrices. The gradient by g is G' (A h * B' d), h being the head: the same source
// tiles, with sums over tiles.
//
// The work is cut into blocks of tiles by the sizes alone, so bits do not depend on threads.
namespace mxtape::winograd {
namespace {

using Kernel = GemmKernel<float>;
using Vector = Kernel::Vector;
constexpr int64_t kLanes = Kernel::kLanes;
typedef uint32_t Integers __attribute__((vector_size(sizeof(Vector))));
constexpr int kProducts = 16;  // products of a tile

// Channels of the result that are transformed back at once: whole panels of the kernel's.
constexpr int64_t kChannels = 24;
static_assert(kChannels % Kernel::kRows == 0);

// From so many channels and tiles on it is worth it.
constexpr int64_t kLeastChannels = 16, kLeastTiles = 48;

// The weight's gradient: channels of the head in a group, pieces that are enough, and elements that
// their sums may take.
constexpr int64_t kGroup = 128, kPieces = 16, kSums = int64_t{1} << 24;

Vector load(const float* at) { return Kernel::load(at); }
void store(float* at, Vector v) { Kernel::store(at, v); }

struct Vectors {
  Vector first, second;
};

template <size_t... I>
Vectors split(Vector a, Vector b, std::index_sequence<I...>) {
  return {__builtin_shufflevector(a, b, (2 * I)...), __builtin_shufflevector(a, b, (2 * I + 1)...)};
}
// Every other element of a and then b, from the first on and from the second on.
Vectors split(Vector a, Vector b) { return split(a, b, std::make_index_sequence<kLanes>()); }

template <size_t... I>
Vectors interleave(Vector a, Vector b, std::index_sequence<I...>) {
  return {__builtin_shufflevector(a, b, (I % 2 * kLanes + I / 2)...),
          __builtin_shufflevector(a, b, (I % 2 * kLanes + (I + kLanes) / 2)...)};
}
// The elements of a and b in turns.
Vectors interleave(Vector a, Vector b) {
  return interleave(a, b, std::make_index_sequence<kLanes>());
}

template <size_t... I>
constexpr Integers counted(std::index_sequence<I...>) {
  return Integers{I...};
}
constexpr Integers kCount = counted(std::make_index_sequence<kLanes>());

// An array of images whose tiles begin `above` and `left` of their first elements.
struct Images {
  int64_t count, channels, height, width;
  int64_t above = 0, left = 0;
  int64_t size() const { return count * channels * height * width; }
  int64_t offset(int64_t image, int64_t channel) const {
    return (image * channels + channel) * height * width;
  }
};

// The tiles of 2 x 2 elements of all images, counted along rows.
struct Tiles {
  int64_t rows, columns, images;
  explicit Tiles(const Images& of)
      : rows((of.height + 1) / 2), columns((of.width + 1) / 2), images(of.count) {}
  int64_t of_image() const { return rows * columns; }
  int64_t count() const { return images * of_image(); }

  // Calls f(image, row, column, count, offset) for all of [t0, t1): of the tiles from that row and
  // column on, kLanes side by side, `count` are within, the first is t0 + offset.
  template <class F>
  void for_each(int64_t t0, int64_t t1, F&& f) const {
    int64_t image = t0 / of_image(), row = t0 / columns % rows, column = t0 % columns;
    for (int64_t t = t0; t < t1;) {
      const int64_t count = std::min({kLanes, columns - column, t1 - t});
      f(image, row, column, count, t - t0);
      t += count;
      column += count;
      if (column == columns) {
        column = 0;
        if (++row == rows) row = 0, ++image;
      }
    }
  }
};

// Elements from the numbers for one product to those for the next: not a multiple of 4096 bytes,
// which would put what is written at once in one set of the cache, and with room for vectors that
// reach past the last.
constexpr int64_t plane_size(int64_t n) {
  static_assert(kLanes <= 16);
  return (n + 1023) / 1024 * 1024 + 16;
}

// For each product a matrix [channels, tiles].
struct Planes {
  Planes(int64_t channels, int64_t tiles)
      : stride(tiles),
        plane(plane_size(channels * tiles)),
        memory(NDArray::empty(Shape{kProducts * plane}, DType::kFloat32)) {}
  float* data() { return memory.data<float>(); }
  float* at(int64_t product, int64_t channel) {
    return data() + product * plane + channel * stride;
  }

  int64_t stride, plane;
  NDArray memory;
};

// kLanes tiles side by side: Rows rows from y on of columns x, x + 1, x + 2 and x + 3, and of those
// 2 further for each tile. 0 outside of the image.
template <int Rows>
struct Window {
  Vector at[Rows][4];

  Window(const Images& from, const float* data, int64_t plane, int64_t y, int64_t x) {
    constexpr int64_t kSpan = 2 * kLanes + 2;
    const bool inside = x >= 0 && x + kSpan <= from.width;
    Integers masks[4];
    for (int i = 0; !inside && i < 4; ++i) {
      // As unsigned numbers: what is left of the image is large.
      const Integers column = kCount + static_cast<uint32_t>(x + i / 2 * 2 + i % 2 * kLanes);
      masks[i] = Integers(column < static_cast<uint32_t>(from.width));
    }
    for (int r = 0; r < Rows; ++r) {
      if (y + r < 0 || y + r >= from.height) {
        for (Vector& v : at[r]) v = Vector{};
        continue;
      }
      const int64_t first = plane + (y + r) * from.width + x;
      float copy[kSpan];
      const float* row = copy;
      if (inside || (first >= 0 && first + kSpan <= from.size())) {
        row = data + first;
      } else {
        for (int64_t i = 0; i < kSpan; ++i)
          copy[i] = first + i >= 0 && first + i < from.size() ? data[first + i] : 0.0f;
      }
      for (int i = 0; i < 4; i += 2) {
        Vector a = load(row + i), b = load(row + i + kLanes);
        if (!inside) {
          a = Vector(Integers(a) & masks[i]);
          b = Vector(Integers(b) & masks[i + 1]);
        }
        const auto [even, odd] = split(a, b);
        at[r][i] = even;
        at[r][i + 1] = odd;
      }
    }
  }
};

// B' d B of tiles [t0, t1), for all channels.
void transform_source(const Images& from, const float* data, const Tiles& tiles, int64_t t0,
                      int64_t t1, Planes& out) {
  for (int64_t c = 0; c < from.channels; ++c) {
    tiles.for_each(t0, t1, [&](int64_t image, int64_t row, int64_t column, int64_t, int64_t t) {
      const Window<4> d(from, data, from.offset(image, c), 2 * row - from.above,
                        2 * column - from.left);
      Vector rows[4][4];
      for (int r = 0; r < 4; ++r) {
        rows[r][0] = d.at[r][0] - d.at[r][2];
        rows[r][1] = d.at[r][1] + d.at[r][2];
        rows[r][2] = d.at[r][2] - d.at[r][1];
        rows[r][3] = d.at[r][1] - d.at[r][3];
      }
      float* to = out.at(0, c) + t;
      for (int i = 0; i < 4; ++i) {
        store(to + i * out.plane, rows[0][i] - rows[2][i]);
        store(to + (4 + i) * out.plane, rows[1][i] + rows[2][i]);
        store(to + (8 + i) * out.plane, rows[2][i] - rows[1][i]);
        store(to + (12 + i) * out.plane, rows[1][i] - rows[3][i]);
      }
    });
  }
}

// A h A' of tiles [t0, t1), for channels [c0, c1).
void transform_head(const Images& from, const float* head, const Tiles& tiles, int64_t t0,
                    int64_t t1, int64_t c0, int64_t c1, Planes& out) {
  for (int64_t c = c0; c < c1; ++c) {
    tiles.for_each(t0, t1, [&](int64_t image, int64_t row, int64_t column, int64_t, int64_t t) {
      const Window<2> h(from, head, from.offset(image, c), 2 * row, 2 * column);
      Vector rows[2][4];
      for (int r = 0; r < 2; ++r) {
        rows[r][0] = h.at[r][0];
        rows[r][1] = h.at[r][0] + h.at[r][1];
        rows[r][2] = h.at[r][0] - h.at[r][1];
        rows[r][3] = -h.at[r][1];
      }
      float* to = out.at(0, c - c0) + t;
      for (int i = 0; i < 4; ++i) {
        store(to + i * out.plane, rows[0][i]);
        store(to + (4 + i) * out.plane, rows[0][i] + rows[1][i]);
        store(to + (8 + i) * out.plane, rows[0][i] - rows[1][i]);
        store(to + (12 + i) * out.plane, -rows[1][i]);
      }
    });
  }
}

// A' m A + bias of tiles [t0, t1) of one channel, whose products are in row `slot` of the planes.
// Adds NaN where a result is not finite.
void transform_products(Planes& products, int64_t slot, const Tiles& tiles, int64_t t0, int64_t t1,
                        const Images& to, int64_t channel, const float* bias, float* data,
                        Vector& not_finite) {
  const Vector start = (bias ? bias[channel] : 0.0f) - Vector{};
  tiles.for_each(t0, t1, [&](int64_t image, int64_t row, int64_t column, int64_t count, int64_t t) {
    const float* from = products.at(0, slot) + t;
    Vector sums[2][4];
    for (int i = 0; i < 4; ++i) {
      const Vector m0 = load(from + i * products.plane), m1 = load(from + (4 + i) * products.plane),
                   m2 = load(from + (8 + i) * products.plane),
                   m3 = load(from + (12 + i) * products.plane);
      sums[0][i] = m0 + m1 + m2;
      sums[1][i] = m1 - m2 - m3;
    }
    const int64_t width = std::min(2 * count, to.width - 2 * column);
    float* at = data + to.offset(image, channel) + 2 * row * to.width + 2 * column;
    for (int r = 0; r < 2 && 2 * row + r < to.height; ++r, at += to.width) {
      const Vector y0 = sums[r][0] + sums[r][1] + sums[r][2] + start,
                   y1 = sums[r][1] - sums[r][2] - sums[r][3] + start;
      const auto [first, second] = interleave(y0, y1);
      if (width == 2 * kLanes) {
        not_finite += first * 0.0f + second * 0.0f;
        store(at, first);
        store(at + kLanes, second);
      } else {
        float line[2 * kLanes];
        store(line, first);
        store(line + kLanes, second);
        for (int64_t x = 0; x < width; ++x) {
          not_finite[0] += line[x] * 0.0f;
          at[x] = line[x];
        }
      }
    }
  });
}

bool has_nan(Vector v) {
  bool found = false;
  for (int64_t i = 0; i < kLanes; ++i) found = found || v[i] != v[i];
  return found;
}

// Where the kernel from channel c of the source to channel k of the result is.
struct Weights {
  const float* data;
  int64_t source_step, result_step;
  bool turned;  // by half a turn
};

// G g G' of all kernels: for each product, for each piece of the source's channels as long as
// GemmKernel's, panels of kRows channels of the result.
struct TransformedWeights {
  TransformedWeights(const Weights& w, int64_t source, int64_t result)
      : rows(Kernel::round_up(result, kPanel)),
        step(Kernel::depth_of(source)),
        plane(plane_size(rows * source)),
        memory(NDArray::empty(Shape{kProducts * plane}, DType::kFloat32)) {
    parallel_for(rows / kPanel, 1, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin * kPanel; k < end * kPanel; k += kPanel) {
        for (int64_t c = 0; c < source; ++c) {
          const int64_t piece = c / step * step, depth = std::min(step, source - piece);
          fill(w.data + k * w.result_step + c * w.source_step, w, std::min(kPanel, result - k),
               memory.data<float>() + piece * rows + k * depth + (c - piece) * kPanel);
        }
      }
    });
  }
  // From channel k of the result and c of the source on: the beginnings of a panel and a piece.
  const float* at(int product, int64_t c, int64_t k, int64_t depth) const {
    return memory.data<float>() + product * plane + c * rows + k * depth;
  }

  int64_t rows, step, plane;
  NDArray memory;

 private:
  static constexpr int64_t kPanel = Kernel::kRows;

  // `count` kernels of a panel.
  void fill(const float* from, const Weights& w, int64_t count, float* to) {
    float g[9][kPanel] = {}, half[4][3][kPanel];
    for (int64_t r = 0; r < count; ++r, from += w.result_step) {
      for (int i = 0; i < 9; ++i) g[i][r] = from[w.turned ? 8 - i : i];
    }
    for (int i = 0; i < 3; ++i) {
      for (int64_t r = 0; r < kPanel; ++r) {
        const float middle = g[3 + i][r], ends = g[i][r] + g[6 + i][r];
        half[0][i][r] = g[i][r];
        half[1][i][r] = 0.5f * (ends + middle);
        half[2][i][r] = 0.5f * (ends - middle);
        half[3][i][r] = g[6 + i][r];
      }
    }
    for (const auto& a : half) {
      for (int64_t r = 0; r < kPanel; ++r) {
        const float middle = a[1][r], ends = a[0][r] + a[2][r];
        to[r] = a[0][r];
        to[plane + r] = 0.5f * (ends + middle);
        to[2 * plane + r] = 0.5f * (ends - middle);
        to[3 * plane + r] = a[2][r];
      }
      to += 4 * plane;
    }
  }
};

bool run_images(const Images& source, const float* data, const Weights& weights, const Tiles& tiles,
                const Images& target, const float* bias, float* out) {
  const int64_t count = tiles.count(), result = target.channels;
  // What the sources of all channels and products take of a core's cache.
  const int64_t block =
      Kernel::round_up(std::clamp<int64_t>(4096 / source.channels, 32, 128), Kernel::kColumns);
  const TransformedWeights transformed(weights, source.channels, result);
  std::atomic<bool> finite = true;
  parallel_for((count + block - 1) / block, 1, [&](int64_t begin, int64_t end) {
    Planes sources(source.channels, block), products(kChannels, block);
    Vector not_finite{};
    for (int64_t b = begin; b < end; ++b) {
      const int64_t t0 = b * block, t1 = std::min(count, t0 + block);
      transform_source(source, data, tiles, t0, t1, sources);
      for (int64_t k = 0; k < result; k += kChannels) {
        const int64_t height = std::min(kChannels, transformed.rows - k);
        for (int i = 0; i < kProducts; ++i) {
          for (int64_t c = 0; c < source.channels; c += transformed.step) {
            const int64_t depth = std::min(transformed.step, source.channels - c);
            Kernel::multiply_panels(transformed.at(i, c, k, depth), sources.at(i, c), depth, height,
                                    block, c > 0, block, products.at(i, 0));
          }
        }
        for (int64_t slot = 0; slot < std::min(kChannels, result - k); ++slot)
          transform_products(products, slot, tiles, t0, t1, target, k + slot, bias, out,
                             not_finite);
      }
    }
    if (has_nan(not_finite)) finite = false;
  });
  return finite;
}

bool enabled() {
  static const bool on = is_switched_on("MXTAPE_WINOGRAD");
  return on;
}

bool fits(const ConvGeometry& g, const Tiles& tiles) {
  const ConvGeometry::Axes ones{1, 1, 1};
  return enabled() && g.kernel == ConvGeometry::Axes{1, 3, 3} && g.stride == ones &&
         g.dilate == ones && g.groups == 1 && g.in[0] == 1 && g.pad[0] == 0 &&
         std::min(g.in_channels, g.out_channels) >= kLeastChannels && tiles.count() >= kLeastTiles;
}

Images data_images(const ConvGeometry& g) {
  return {g.images, g.in_channels, g.in[1], g.in[2], g.pad[1], g.pad[2]};
}
Images head_images(const ConvGeometry& g) {
  return {g.images, g.out_channels, g.out[1], g.out[2], 2 - g.pad[1], 2 - g.pad[2]};
}

}  // namespace

bool convolve(const ConvGeometry& g, const float* data, const float* weight, const float* bias,
              float* head) {
  const Images target = head_images(g);
  const Tiles tiles(target);
  return fits(g, tiles) && run_images(data_images(g), data, {weight, 9, 9 * g.in_channels, false},
                                      tiles, target, bias, head);
}

bool convolve_to_data(const ConvGeometry& g, const float* head, const float* weight,
                      const float* bias, float* data) {
  const Images target = data_images(g);
  const Tiles tiles(target);
  return fits(g, tiles) && run_images(head_images(g), head, {weight, 9 * g.in_channels, 9, true},
                                      tiles, target, bias, data);
}

// The tiles are cut into parts, whose sums are added at the end, and the head's channels into
// groups, for each of which the source is transformed anew.
bool convolve_to_weight(const ConvGeometry& g, const float* head, const float* data,
                        float* weight) {
  const Images x = data_images(g), y = head_images(g);
  const Tiles tiles(y);
  if (!fits(g, tiles)) return false;
  const int64_t groups = (y.channels + kGroup - 1) / kGroup,
                each = (y.channels + groups - 1) / groups, pairs = y.channels * x.channels;
  // What is read for a block, sources and heads, is about as much as the sums that it adds to.
  const int64_t block = Kernel::round_up(
      std::clamp<int64_t>(each * x.channels / (each + x.channels), 32, 128), Kernel::kColumns);
  const int64_t count = tiles.count(), blocks = (count + block - 1) / block;
  const int64_t parts =
      std::clamp<int64_t>(std::min(kPieces / groups, kSums / (kProducts * pairs)), 1, blocks);
  const NDArray sums = NDArray::empty(Shape{parts * kProducts * pairs}, DType::kFloat32);
  parallel_for(parts * groups, 1, [&](int64_t begin, int64_t end) {
    Planes sources(x.channels, block), heads(each, block);
    const NDArray scratch =
        NDArray::empty(Shape{Kernel::columns_size(x.channels)}, DType::kFloat32);
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t part = piece / groups, k0 = piece % groups * each,
                    k1 = std::min(k0 + each, y.channels);
      float* sum = sums.data<float>() + part * kProducts * pairs + k0 * x.channels;
      const int64_t first = blocks * part / parts, last = blocks * (part + 1) / parts;
      for (int64_t b = first; b < last; ++b) {
        const int64_t t0 = b * block, t1 = std::min(count, t0 + block);
        transform_source(x, data, tiles, t0, t1, sources);
        transform_head(y, head, tiles, t0, t1, k0, k1, heads);
        for (int i = 0; i < kProducts; ++i)
          Kernel::multiply_columns({heads.at(i, 0), block, 1}, {sources.at(i, 0), 1, block},
                                   nullptr, k1 - k0, t1 - t0, x.channels, 0, x.channels,
                                   sum + i * pairs, scratch.data<float>(), b > first);
      }
    }
  });
  float* total = sums.data<float>();
  if (parts > 1) sum_parts(total, parts, kProducts * pairs, total);
  std::atomic<bool> finite = true;
  parallel_for(pairs, 1 << 10, [&](int64_t begin, int64_t end) {
    float not_finite = 0;
    for (int64_t p = begin; p < end; ++p) {
      float rows_done[3][4];
      for (int i = 0; i < 4; ++i) {
        const auto m = [&](int r) { return total[(4 * r + i) * pairs + p]; };
        const float middle = 0.5f * (m(1) + m(2));
        rows_done[0][i] = m(0) + middle;
        rows_done[1][i] = 0.5f * (m(1) - m(2));
        rows_done[2][i] = middle + m(3);
      }
      for (int i = 0; i < 3; ++i) {
        const auto& a = rows_done[i];
        const float middle = 0.5f * (a[1] + a[2]);
        float* to = weight + 9 * p + 3 * i;
        to[0] = a[0] + middle;
        to[1] = 0.5f * (a[1] - a[2]);
        to[2] = middle + a[3];
        not_finite += (to[0] + to[1] + to[2]) * 0.0f;
      }
    }
    if (not_finite != not_finite) finite = false;
  });
  return finite;
}

}  // namespace mxtape::winograd

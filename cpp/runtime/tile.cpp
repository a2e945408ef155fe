#include "runtime/tile.h"

#include <algorithm>
#include <cstring>

#include "core/small_vector.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

namespace mxtape {
namespace {

constexpr int64_t kTile = 1024;         // elements: a tile of doubles is a quarter of the L1 cache
constexpr int64_t kThreadWork = 65536;  // element-costs below which a second thread costs more
constexpr int kMaxOperands = 8;
constexpr int64_t kSmall = 64;  // elements up to which a call's set-up outweighs its arithmetic

// The output's axes, with neighbours merged wherever every operand steps through them evenly.
struct Axes {
  SmallVector<int64_t, 8> extents;
};

struct Source {
  const char* data = nullptr;
  DType dtype = DType::kFloat32;
  bool direct = false;              // contiguous and of the compute type: read in place
  bool constant = false;            // one value everywhere
  bool whole = false;               // contiguous, of another type
  SmallVector<int64_t, 8> strides;  // elements, along Axes; 0 where it broadcasts
};

// Copies n elements of `source`, in output order from linear index `begin`, to `out`.
template <class T>
void gather_elements(const Source& source, const Axes& axes, int64_t begin, int64_t n, T* out) {
  const int ndim = static_cast<int>(axes.extents.size());
  const T* data = reinterpret_cast<const T*>(source.data);
  SmallVector<int64_t, 8> index(static_cast<size_t>(ndim));
  int64_t rest = begin, offset = 0;
  for (int d = ndim - 1; d >= 0; --d) {
    index[d] = rest % axes.extents[d];
    rest /= axes.extents[d];
    offset += index[d] * source.strides[d];
  }
  const int64_t inner = axes.extents[ndim - 1], step = source.strides[ndim - 1];
  while (n > 0) {
    const int64_t run = std::min(n, inner - index[ndim - 1]);
    if (step == 0) {
      std::fill_n(out, run, data[offset]);
    } else {
      std::copy_n(data + offset, run, out);
    }
    out += run;
    n -= run;
    offset += (run - 1) * step;
    index[ndim - 1] += run - 1;
    for (int d = ndim - 1; d >= 0; --d) {
      offset += source.strides[d];
      if (++index[d] < axes.extents[d]) break;
      offset -= source.strides[d] * axes.extents[d];
      index[d] = 0;
    }
  }
}

void gather(const Source& source, const Axes& axes, int64_t begin, int64_t n, void* out) {
  dispatch_by_size(source.dtype, [&](auto tag) {
    gather_elements(source, axes, begin, n, static_cast<typename decltype(tag)::type*>(out));
  });
}

void splat(DType dtype, double value, void* out, int64_t n) {
  dispatch(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::fill_n(static_cast<T*>(out), n, convert_value<T>(value));
  });
}

void splat_element(const Source& source, DType compute, void* out, int64_t n) {
  dispatch(source.dtype, [&](auto from) {
    dispatch(compute, [&](auto to) {
      using From = typename decltype(from)::type;
      using To = typename decltype(to)::type;
      std::fill_n(static_cast<To*>(out), n,
                  convert_value<To>(*reinterpret_cast<const From*>(source.data)));
    });
  });
}

bool broadcasts(const TileOperand& operand, const NDArray& out) {
  return operand.array && operand.array->shape() != out.shape() && operand.array->size() != 1;
}

// Merges axes for the operands that broadcast and gives each its strides.
void collapse(std::span<const TileOperand> inputs, const NDArray& out, Axes& axes,
              Source* sources) {
  const Shape& shape = out.shape();
  const int ndim = shape.ndim();
  SmallVector<int64_t, 8> strides[kMaxOperands];
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!broadcasts(inputs[i], out)) continue;
    const Shape& in = inputs[i].array->shape();
    strides[i].resize(static_cast<size_t>(ndim));
    int64_t step = 1;
    for (int d = in.ndim() - 1; d >= 0; --d) {
      strides[i][static_cast<size_t>(d + ndim - in.ndim())] = in[d] == 1 ? 0 : step;
      step *= in[d];
    }
  }
  for (int d = 0; d < ndim; ++d) {
    if (shape[d] == 1) continue;
    bool merge = !axes.extents.empty();
    for (size_t i = 0; merge && i < inputs.size(); ++i) {
      if (!broadcasts(inputs[i], out)) continue;
      merge = sources[i].strides.back() == strides[i][static_cast<size_t>(d)] * shape[d];
    }
    if (merge) {
      axes.extents.back() *= shape[d];
    } else {
      axes.extents.push_back(shape[d]);
    }
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!broadcasts(inputs[i], out)) continue;
      const int64_t stride = strides[i][static_cast<size_t>(d)];
      if (merge) {
        sources[i].strides.back() = stride;
      } else {
        sources[i].strides.push_back(stride);
      }
    }
  }
}

// The commonest calls: few elements, of the compute type, each input of the output's shape or a
// number. They need no description of their inputs.
bool run_small(TileKernel kernel, DType compute, std::span<const TileOperand> inputs,
               const NDArray& out, int64_t n, const void* params) {
  if (out.dtype() != compute || inputs.size() > 3) return false;
  const void* in[3];
  alignas(64) char splats[3][kSmall * sizeof(double)];
  for (size_t i = 0; i < inputs.size(); ++i) {
    const NDArray* array = inputs[i].array;
    if (!array) {
      splat(compute, inputs[i].scalar, splats[i], n);
      in[i] = splats[i];
    } else if (array->dtype() == compute && array->shape() == out.shape()) {
      in[i] = array->bytes();
    } else {
      return false;
    }
  }
  kernel(in, out.bytes(), n, params);
  return true;
}

}  // namespace

void run_tiles(const TileFunction& f, DType compute, std::span<const TileOperand> inputs,
               const NDArray& out, const void* params) {
  const int64_t n = out.size();
  if (n == 0) return;
  const TileKernel kernel = f.kernels[static_cast<int>(compute)];
  const size_t arity = inputs.size();
  if (n <= kSmall && run_small(kernel, compute, inputs, out, n, params)) return;
  const bool store_direct = out.dtype() == compute;
  Source sources[kMaxOperands];
  bool any_broadcast = false, all_direct = store_direct;
  for (size_t i = 0; i < arity; ++i) {
    const TileOperand& operand = inputs[i];
    Source& source = sources[i];
    if (!operand.array) {
      source.constant = true;
    } else {
      source.data = operand.array->bytes();
      source.dtype = operand.array->dtype();
      if (operand.array->shape() == out.shape() || (operand.array->size() == 1 && n == 1)) {
        (source.dtype == compute ? source.direct : source.whole) = true;
      } else if (operand.array->size() == 1) {
        source.constant = true;
      } else {
        any_broadcast = true;
      }
    }
    all_direct = all_direct && source.direct;
  }
  const int64_t grain = std::max<int64_t>(kTile, kThreadWork / std::max(1, f.cost) / kTile * kTile);
  const size_t width = item_size(compute);
  if (all_direct) {
    parallel_for(n, grain, [&](int64_t begin, int64_t end) {
      const void* in[kMaxOperands];
      for (size_t i = 0; i < arity; ++i) {
        in[i] = sources[i].data + static_cast<size_t>(begin) * width;
      }
      kernel(in, out.bytes() + static_cast<size_t>(begin) * width, end - begin, params);
    });
    return;
  }
  Axes axes;
  if (any_broadcast) collapse(inputs, out, axes, sources);
  parallel_for(n, grain, [&](int64_t begin, int64_t end) {
    // Not initialised: a tile is written before it is read.
    alignas(64) char tiles[4][kTile * sizeof(double)];
    alignas(64) char raw[kTile * sizeof(double)];
    NDArray extra;
    if (arity > 3) {
      extra = NDArray::empty({static_cast<int64_t>(arity * kTile * sizeof(double))}, DType::kUint8);
    }
    const void* in[kMaxOperands] = {};
    auto tile_of = [&](size_t i) -> char* {
      return i < 3 ? tiles[i] : extra.bytes() + i * kTile * sizeof(double);
    };
    const int64_t splat_n = std::min(kTile, end - begin);
    for (size_t i = 0; i < arity; ++i) {
      if (!sources[i].constant) continue;
      if (inputs[i].array) {
        splat_element(sources[i], compute, tile_of(i), splat_n);
      } else {
        splat(compute, inputs[i].scalar, tile_of(i), splat_n);
      }
      in[i] = tile_of(i);
    }
    for (int64_t at = begin; at < end; at += kTile) {
      const int64_t count = std::min(kTile, end - at);
      for (size_t i = 0; i < arity; ++i) {
        const Source& source = sources[i];
        if (source.constant) continue;
        if (source.direct) {
          in[i] = source.data + static_cast<size_t>(at) * width;
          continue;
        }
        in[i] = tile_of(i);
        if (source.whole) {
          convert(source.dtype, source.data + static_cast<size_t>(at) * item_size(source.dtype),
                  compute, tile_of(i), count);
        } else if (source.dtype == compute) {
          gather(source, axes, at, count, tile_of(i));
        } else {
          gather(source, axes, at, count, raw);
          convert(source.dtype, raw, compute, tile_of(i), count);
        }
      }
      char* target = out.bytes() + static_cast<size_t>(at) * item_size(out.dtype());
      if (store_direct) {
        kernel(in, target, count, params);
      } else {
        kernel(in, tiles[3], count, params);
        convert(compute, tiles[3], out.dtype(), target, count);
      }
    }
  });
}

}  // namespace mxtape

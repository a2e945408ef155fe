#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>

#include "core/ndarray.h"

namespace mxtape {

// One pointwise instruction: out[i] = f(in[0][i], in[1][i], ...; params) over n contiguous elements
// of one type.
using TileKernel = void (*)(const void* const* in, void* out, int64_t n, const void* params);

// A pointwise function in the element types for which it is compiled. Arrays of another type are
// converted tile by tile: float16 goes through float32, and integers through the type that
// `through` names.
struct TileFunction {
  TileKernel kernels[kKernelDTypes] = {};
  // Relative cost of an element: how early threads pay off.
  int cost = 1;
  // Whether it is the product of two numbers, of which one is often 1.
  bool product = false;

  // The type in which arrays of `dtype` are computed.
  DType compute_dtype(DType dtype) const {
    if (is_storage_only(dtype)) return traits_of(dtype).compute;
    if (kernels[static_cast<int>(dtype)]) return dtype;
    if (is_narrow(dtype)) return traits_of(dtype).compute;
    if (dtype == DType::kBool && kernels[static_cast<int>(DType::kUint8)]) return DType::kUint8;
    return DType::kFloat64;
  }
};

// An input of a pointwise call: an array that broadcasts to the output, or one number.
struct TileOperand {
  const NDArray* array = nullptr;
  double scalar = 0;

  TileOperand() = default;
  TileOperand(const NDArray& array) : array(&array) {}
  TileOperand(double scalar) : scalar(scalar) {}
};

// Runs `f` in `compute` over inputs that broadcast to `out`'s shape, and converts to out's dtype.
// `out` may share memory with an input only element for element.
void run_tiles(const TileFunction& f, DType compute, std::span<const TileOperand> inputs,
               const NDArray& out, const void* params);
// The same in the type in which arrays like `out` are computed.
void run_tiles(const TileFunction& f, std::initializer_list<TileOperand> inputs, const NDArray& out,
               const void* params = nullptr);

}  // namespace mxtape

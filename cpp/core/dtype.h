#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/error.h"

// Only what computes with float16 needs its definition and includes <Eigen/Core>, which takes
// longer to compile than most files here.
namespace Eigen {
struct half;
}

namespace mxtape {

using float16 = Eigen::half;

// The numbers are those of MXNet's type flags, so that files and DLPack agree.
enum class DType : int8_t {
  kFloat32 = 0,
  kFloat64 = 1,
  kFloat16 = 2,
  kUint8 = 3,
  kInt32 = 4,
  kInt8 = 5,
  kInt64 = 6,
  kBool = 7,
};
inline constexpr int kDTypeCount = 8;

constexpr size_t item_size(DType dtype) {
  constexpr size_t sizes[kDTypeCount] = {4, 8, 2, 1, 4, 1, 8, 1};
  return sizes[static_cast<int>(dtype)];
}

constexpr std::string_view dtype_name(DType dtype) {
  constexpr std::string_view names[kDTypeCount] = {"float32", "float64", "float16", "uint8",
                                                   "int32",   "int8",    "int64",   "bool"};
  return names[static_cast<int>(dtype)];
}

inline std::ostream& operator<<(std::ostream& out, DType dtype) { return out << dtype_name(dtype); }

constexpr bool is_floating(DType dtype) { return static_cast<int>(dtype) <= 2; }
constexpr bool is_integer(DType dtype) { return !is_floating(dtype) && dtype != DType::kBool; }

template <class T>
struct TypeTag {
  using type = T;
};

template <class T>
struct NoDType;
template <class T>
inline constexpr DType dtype_of = NoDType<T>::value;
template <>
inline constexpr DType dtype_of<bool> = DType::kBool;
template <>
inline constexpr DType dtype_of<float> = DType::kFloat32;
template <>
inline constexpr DType dtype_of<double> = DType::kFloat64;
template <>
inline constexpr DType dtype_of<float16> = DType::kFloat16;
template <>
inline constexpr DType dtype_of<uint8_t> = DType::kUint8;
template <>
inline constexpr DType dtype_of<int32_t> = DType::kInt32;
template <>
inline constexpr DType dtype_of<int8_t> = DType::kInt8;
template <>
inline constexpr DType dtype_of<int64_t> = DType::kInt64;

// Calls f(TypeTag<T>{}) with the C++ type that stands for `dtype`.
template <class F>
decltype(auto) dispatch(DType dtype, F&& f) {
  switch (dtype) {
    case DType::kFloat32:
      return f(TypeTag<float>{});
    case DType::kFloat64:
      return f(TypeTag<double>{});
    case DType::kFloat16:
      return f(TypeTag<float16>{});
    case DType::kUint8:
      return f(TypeTag<uint8_t>{});
    case DType::kInt32:
      return f(TypeTag<int32_t>{});
    case DType::kInt8:
      return f(TypeTag<int8_t>{});
    case DType::kInt64:
      return f(TypeTag<int64_t>{});
    case DType::kBool:
      return f(TypeTag<bool>{});
  }
  fail("unknown dtype code ", static_cast<int>(dtype));
}

// Calls f with an unsigned type of the element's size: for kernels that only move elements.
template <class F>
decltype(auto) dispatch_by_size(DType dtype, F&& f) {
  switch (item_size(dtype)) {
    case 1:
      return f(TypeTag<uint8_t>{});
    case 2:
      return f(TypeTag<uint16_t>{});
    case 4:
      return f(TypeTag<uint32_t>{});
    default:
      return f(TypeTag<uint64_t>{});
  }
}

// The type in which arithmetic on T is done and sums of T are kept.
template <class T>
using compute_type = std::conditional_t<std::is_same_v<T, float16>, float, T>;

}  // namespace mxtape

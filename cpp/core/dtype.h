#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <utility>

#include "core/bfloat16.h"
#include "core/error.h"

// Only what computes with float16 needs its definition and includes <Eigen/Core>, which takes
// longer to compile than most files here.
namespace Eigen {
struct half;
}

namespace mxtape {

using float16 = Eigen::half;

enum class DType : int8_t {
  kFloat32,
  kFloat64,
  kFloat16,
  kUint8,
  kInt32,
  kInt8,
  kInt64,
  kBool,
  kBfloat16,
};

// What a number is; the codes are DLPack's.
enum class DTypeKind : uint8_t { kInt = 0, kUint = 1, kFloat = 2, kBfloat = 4, kBool = 6 };

struct DTypeTraits {
  DType dtype;
  std::string_view name;
  DTypeKind kind;
  uint8_t size;    // bytes of an element
  int8_t flag;     // MXNet's number for it, which stands in files
  uint8_t digits;  // whole numbers from 0 to 2^digits are held exactly
  DType compute;   // in which arithmetic is done and sums are kept
};

template <class T>
struct DTypeOf : DTypeTraits {
  using type = T;
};

// The table from which all else about dtypes follows, in the order of the enumerators.
inline constexpr std::tuple kDTypes{
    DTypeOf<float>{DType::kFloat32, "float32", DTypeKind::kFloat, 4, 0, 24, DType::kFloat32},
    DTypeOf<double>{DType::kFloat64, "float64", DTypeKind::kFloat, 8, 1, 53, DType::kFloat64},
    DTypeOf<float16>{DType::kFloat16, "float16", DTypeKind::kFloat, 2, 2, 11, DType::kFloat32},
    DTypeOf<uint8_t>{DType::kUint8, "uint8", DTypeKind::kUint, 1, 3, 8, DType::kUint8},
    DTypeOf<int32_t>{DType::kInt32, "int32", DTypeKind::kInt, 4, 4, 31, DType::kInt32},
    DTypeOf<int8_t>{DType::kInt8, "int8", DTypeKind::kInt, 1, 5, 7, DType::kInt8},
    DTypeOf<int64_t>{DType::kInt64, "int64", DTypeKind::kInt, 8, 6, 63, DType::kInt64},
    DTypeOf<bool>{DType::kBool, "bool", DTypeKind::kBool, 1, 7, 1, DType::kBool},
    DTypeOf<bfloat16>{DType::kBfloat16, "bfloat16", DTypeKind::kBfloat, 2, 12, 8, DType::kFloat32}};

// The table without its C++ types, to be indexed by a dtype or gone through.
inline constexpr auto kDTypeTraits = std::apply(
    [](auto... row) { return std::array<DTypeTraits, sizeof...(row)>{row...}; }, kDTypes);
inline constexpr int kDTypeCount = static_cast<int>(kDTypeTraits.size());
// Those that kernels are compiled for come first.
inline constexpr int kKernelDTypes = static_cast<int>(DType::kBfloat16);

constexpr const DTypeTraits& traits_of(DType dtype) {
  return kDTypeTraits[static_cast<size_t>(dtype)];
}
constexpr size_t item_size(DType dtype) { return traits_of(dtype).size; }
constexpr std::string_view dtype_name(DType dtype) { return traits_of(dtype).name; }
constexpr bool is_floating(DType dtype) {
  const DTypeKind kind = traits_of(dtype).kind;
  return kind == DTypeKind::kFloat || kind == DTypeKind::kBfloat;
}
constexpr bool is_integer(DType dtype) { return !is_floating(dtype) && dtype != DType::kBool; }
// Whole numbers from 0 to this are held exactly.
constexpr int64_t exact_integers(DType dtype) {
  const int digits = traits_of(dtype).digits;
  return digits == 63 ? INT64_MAX : int64_t{1} << digits;
}
// Computed in a wider type.
constexpr bool is_narrow(DType dtype) { return traits_of(dtype).compute != dtype; }
// Of no set below but AnyFloatingTypes: kernels are given such arrays in the compute type, if they
// do not say that they read any (OpSchema::any_dtype).
constexpr bool is_storage_only(DType dtype) { return static_cast<int>(dtype) >= kKernelDTypes; }

inline std::ostream& operator<<(std::ostream& out, DType dtype) { return out << dtype_name(dtype); }

namespace detail {

template <class T, class... U>
constexpr size_t row_of(const std::tuple<DTypeOf<U>...>&) {
  static_assert((std::is_same_v<T, U> || ...), "no dtype has this type");
  constexpr bool same[] = {std::is_same_v<T, U>...};
  size_t row = 0;
  while (!same[row]) ++row;
  return row;
}

constexpr bool in_order() {
  for (int i = 0; i < kDTypeCount; ++i) {
    if (kDTypeTraits[static_cast<size_t>(i)].dtype != static_cast<DType>(i)) return false;
  }
  return true;
}
static_assert(in_order(), "kDTypes is not in the order of the enumerators");

template <DType D>
using TypeOf = typename std::tuple_element_t<static_cast<size_t>(D),
                                             std::remove_const_t<decltype(kDTypes)>>::type;

}  // namespace detail

template <class T>
inline constexpr DType dtype_of = static_cast<DType>(detail::row_of<T>(kDTypes));

namespace detail {

template <class T, class... U>
constexpr bool has_dtype(const std::tuple<DTypeOf<U>...>&) {
  return (std::is_same_v<T, U> || ...);
}
template <class T, bool = has_dtype<T>(kDTypes)>
struct Compute {
  using type = T;
};
template <class T>
struct Compute<T, true> {
  using type = TypeOf<traits_of(dtype_of<T>).compute>;
};

}  // namespace detail

// The type in which arithmetic on T is done and sums of T are kept.
template <class T>
using compute_type = typename detail::Compute<T>::type;

// ---- Sets of C++ types for which a kernel is compiled.

// Each type stands for the dtype that has it.
template <class... T>
struct Types {
  using types = Types;
  template <class U>
  static constexpr bool covers(DType dtype) {
    return dtype == dtype_of<U>;
  }
};
using SingleOrDouble = Types<float, double>;
using FloatingTypes = Types<float, double, float16>;
using AnyFloatingTypes = Types<float, double, float16, bfloat16>;
using NumberTypes = Types<float, double, float16, uint8_t, int32_t, int8_t, int64_t>;
using AllTypes = Types<float, double, float16, uint8_t, int32_t, int8_t, int64_t, bool>;

// A type for all dtypes of its size: for kernels that only move elements.
struct ElementTypes {
  using types = Types<uint32_t, uint64_t, uint16_t, uint8_t>;
  template <class U>
  static constexpr bool covers(DType dtype) {
    return item_size(dtype) == sizeof(U);
  }
};

// Types in which sums and products wrap around: integers as unsigned ones of their size.
struct WrappingTypes {
  using types = Types<float, double, float16, uint32_t, uint64_t, uint8_t>;
  template <class U>
  static constexpr bool covers(DType dtype) {
    if constexpr (std::is_integral_v<U>) {
      return !is_floating(dtype) && item_size(dtype) == sizeof(U);
    } else {
      return dtype == dtype_of<U>;
    }
  }
};

template <class T>
struct TypeTag {
  using type = T;
};

namespace detail {

[[noreturn, gnu::cold]] void no_kernel(DType dtype);

template <class Set, class F, class T, class... More>
decltype(auto) dispatch(Types<T, More...>, DType dtype, F& f) {
  if constexpr (sizeof...(More) > 0) {
    if (!Set::template covers<T>(dtype)) return dispatch<Set>(Types<More...>{}, dtype, f);
  } else {
    if (!Set::template covers<T>(dtype)) no_kernel(dtype);
  }
  return f(TypeTag<T>{});
}

}  // namespace detail

// Calls f(TypeTag<T>{}) with the type of `Set` that stands for `dtype`: f is compiled for these
// types only. A set leaves out what inference refuses.
template <class Set = AllTypes, class F>
decltype(auto) dispatch(DType dtype, F&& f) {
  return detail::dispatch<Set>(typename Set::types{}, dtype, f);
}

}  // namespace mxtape

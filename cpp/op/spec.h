#pragma once

#include "core/dtype.h"
#include "core/shape.h"

namespace mxtape {

// How an array is stored. The numbers are MXNet's.
enum class StorageType : int8_t { kUndefined = -1, kDense = 0, kRowSparse = 1, kCsr = 2 };

// The dtype of an array of which inference does not know it yet.
inline constexpr DType kUnknownDType = static_cast<DType>(-1);

// What inference knows of an array, before there is one: an extent that is not known is -1.
struct ArraySpec {
  Shape shape = Shape::unknown();
  DType dtype = kUnknownDType;
  StorageType storage = StorageType::kDense;

  bool known() const { return shape.known() && dtype != kUnknownDType; }
};

}  // namespace mxtape

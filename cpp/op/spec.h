#pragma once

#include "core/dtype.h"
#include "core/shape.h"
#include "core/sparse.h"

namespace mxtape {

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

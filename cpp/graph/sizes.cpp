#include "graph/sizes.h"

namespace mxtape {
namespace {

// The only unknown extent of an array of `size` elements.
void fill_extent(Shape& shape, int64_t size) {
  int unknown = -1;
  int64_t known = 1;
  for (int axis = 0; axis < shape.ndim(); ++axis) {
    if (shape[axis] >= 0) {
      known *= shape[axis];
    } else if (unknown >= 0) {
      return;
    } else {
      unknown = axis;
    }
  }
  if (unknown >= 0 && known > 0 && size % known == 0) shape[unknown] = size / known;
}

// Vectors that are joined to one of `size` elements.
void fill_parts(std::span<ArraySpec> parts, int64_t size, bool share) {
  int64_t unknown = 0;
  for (const ArraySpec& part : parts) {
    if (part.shape.known()) {
      size -= part.shape.size();
    } else {
      ++unknown;
    }
  }
  if (unknown == 0 || size < 0 || size % unknown != 0 || (unknown > 1 && !share)) return;
  for (ArraySpec& part : parts) {
    if (!part.shape.known()) part.shape = Shape{size / unknown};
  }
}

}  // namespace

void learn_from_sizes(const OpSchema& op, std::span<ArraySpec> inputs,
                      std::span<const ArraySpec> outputs, bool share) {
  if (inputs.empty() || !outputs[0].shape.known()) return;
  const int64_t size = outputs[0].shape.size();
  if (op.name == "Reshape" || op.name == "Flatten") {
    Shape& shape = inputs[0].shape;
    if (shape.has_ndim()) fill_extent(shape, size);
  } else if (joins_parameters(op) && outputs[0].shape.ndim() == 1) {
    fill_parts(inputs, size, share);
  }
}

bool joins_parameters(const OpSchema& op) { return op.name == "_rnn_param_concat"; }

}  // namespace mxtape

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

// Vectors that are joined to one of `size` elements. Several that are unknown are of one size: the
// weights of a layer's two directions.
void fill_parts(std::span<ArraySpec> parts, int64_t size) {
  int64_t unknown = 0;
  for (const ArraySpec& part : parts) {
    if (part.shape.known()) {
      size -= part.shape.size();
    } else {
      ++unknown;
    }
  }
  if (unknown == 0 || size < 0 || size % unknown != 0) return;
  for (ArraySpec& part : parts) {
    if (!part.shape.known()) part.shape = Shape{size / unknown};
  }
}

}  // namespace

void learn_from_sizes(const OpSchema& op, std::span<ArraySpec> inputs,
                      std::span<const ArraySpec> outputs) {
  if (inputs.empty() || !outputs[0].shape.known()) return;
  const int64_t size = outputs[0].shape.size();
  if (op.name == "Reshape" || op.name == "Flatten") {
    Shape& shape = inputs[0].shape;
    if (shape.has_ndim()) fill_extent(shape, size);
  } else if (op.name == "_rnn_param_concat" && outputs[0].shape.ndim() == 1) {
    fill_parts(inputs, size);
  }
}

}  // namespace mxtape

#include "core/shape.h"

#include <algorithm>
#include <ostream>

#include "core/error.h"

namespace mxtape {

void Shape::assign(const int64_t* dims, int ndim) {
  reserve(ndim);
  if (ndim) std::memcpy(data(), dims, sizeof(int64_t) * static_cast<size_t>(ndim));
}

bool Shape::known() const {
  return has_ndim() && std::all_of(begin(), end(), [](int64_t extent) { return extent >= 0; });
}

std::string Shape::str() const {
  if (!has_ndim()) return "unknown";
  std::string text = "(";
  for (int i = 0; i < ndim_; ++i) {
    if (i) text += ", ";
    text += std::to_string(data()[i]);
  }
  return text + (ndim_ == 1 ? ",)" : ")");
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << shape.str(); }

int normalize_axis(int64_t axis, int ndim, std::string_view op) {
  if (axis < -ndim || axis >= ndim) {
    fail(op, ": axis ", axis, " is out of range for an array of ", ndim, " dimension",
         ndim == 1 ? "" : "s");
  }
  return static_cast<int>(axis < 0 ? axis + ndim : axis);
}

Shape broadcast_shape(const Shape& a, const Shape& b, std::string_view op) {
  if (a == b) return a;
  const int ndim = std::max(a.ndim(), b.ndim());
  Shape out(ndim, 1);
  for (int i = 0; i < ndim; ++i) {
    const int ia = i - (ndim - a.ndim()), ib = i - (ndim - b.ndim());
    const int64_t da = ia < 0 ? 1 : a[ia], db = ib < 0 ? 1 : b[ib];
    if (da != db && da != 1 && db != 1) {
      fail(op, ": shapes ", a, " and ", b, " cannot be broadcast together: extents ", da, " and ",
           db, " of axis ", i - ndim, " differ and neither is 1");
    }
    out[i] = da == 1 ? db : da;
  }
  return out;
}

bool merge_shape(Shape& shape, const Shape& other) {
  if (!other.has_ndim()) return true;
  if (!shape.has_ndim()) {
    shape = other;
    return true;
  }
  if (shape.ndim() != other.ndim()) return false;
  for (int i = 0; i < shape.ndim(); ++i) {
    if (shape[i] >= 0 && other[i] >= 0 && shape[i] != other[i]) return false;
  }
  for (int i = 0; i < shape.ndim(); ++i) {
    if (shape[i] < 0) shape[i] = other[i];
  }
  return true;
}

int64_t checked_size(const Shape& shape, std::string_view op) {
  int64_t n = 1;
  bool empty = false;
  for (int64_t extent : shape) {
    if (extent < 0) fail(op, ": negative extent in shape ", shape);
    // Strides, and products of some of the extents, must not overflow in an empty array either.
    empty = empty || extent == 0;
    if (extent && (__builtin_mul_overflow(n, extent, &n) || n > (int64_t{1} << 58))) {
      fail_as(ErrorKind::kMemory, op, ": out of memory: shape ", shape,
              " has more elements than memory can hold");
    }
  }
  return empty ? 0 : n;
}

}  // namespace mxtape

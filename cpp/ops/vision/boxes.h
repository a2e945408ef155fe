#pragma once

#include <algorithm>
#include <cstdint>

#include "op/params.h"

// What operators on bounding boxes share.
namespace mxtape {

enum class BoxFormat : int32_t { kCenter, kCorner };
inline const Choices kBoxFormats = {"center", "corner"};

// A box by its sides.
template <class C>
struct Box {
  C left, top, right, bottom;

  template <class T>
  static Box read(const T* p, BoxFormat format = BoxFormat::kCorner) {
    const C a = static_cast<C>(p[0]), b = static_cast<C>(p[1]);
    const C c = static_cast<C>(p[2]), d = static_cast<C>(p[3]);
    if (format == BoxFormat::kCorner) return {a, b, c, d};
    return {a - c / 2, b - d / 2, a + c / 2, b + d / 2};
  }
  C width() const { return right - left; }
  C height() const { return bottom - top; }
  C x() const { return (left + right) / 2; }
  C y() const { return (top + bottom) / 2; }
};

// Intersection over union; 0 for boxes that do not overlap.
template <class C>
C overlap(const Box<C>& a, const Box<C>& b) {
  const C width = std::min(a.right, b.right) - std::max(a.left, b.left);
  const C height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  if (!(width > 0 && height > 0)) return 0;
  const C both = width * height;
  return both / (a.width() * a.height() + b.width() * b.height() - both);
}

}  // namespace mxtape

#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iosfwd>
#include <ranges>
#include <span>
#include <string>
#include <vector>

namespace mxtape {

using Ints = std::vector<int64_t>;

// Extents of an array. Up to four are stored in place; more live on the heap.
class Shape {
 public:
  static constexpr int kInline = 4;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) {
    assign(dims.begin(), static_cast<int>(dims.size()));
  }
  explicit Shape(std::span<const int64_t> dims) {
    assign(dims.data(), static_cast<int>(dims.size()));
  }
  Shape(int ndim, int64_t fill) {
    reserve(ndim);
    for (int i = 0; i < ndim; ++i) data()[i] = fill;
  }
  Shape(const Shape& other) { copy(other); }
  Shape(Shape&& other) noexcept {
    std::memcpy(static_cast<void*>(this), &other, sizeof(Shape));
    other.ndim_ = 0;
  }
  Shape& operator=(const Shape& other) {
    if (this != &other) {
      clear();
      copy(other);
    }
    return *this;
  }
  Shape& operator=(Shape&& other) noexcept {
    if (this != &other) {
      clear();
      std::memcpy(static_cast<void*>(this), &other, sizeof(Shape));
      other.ndim_ = 0;
    }
    return *this;
  }
  ~Shape() { clear(); }

  // A shape of which nothing is known, not even its number of axes: inference begins with it. An
  // extent of -1 is unknown too. Arrays have known shapes.
  static Shape unknown() {
    Shape shape;
    shape.ndim_ = -1;
    return shape;
  }
  bool has_ndim() const { return ndim_ >= 0; }
  bool known() const;

  int ndim() const { return ndim_; }
  int64_t operator[](int i) const { return data()[i]; }
  int64_t& operator[](int i) { return data()[i]; }
  const int64_t* begin() const { return data(); }
  const int64_t* end() const { return data() + ndim_; }
  const int64_t* data() const { return ndim_ <= kInline ? inline_ : heap_; }
  int64_t* data() { return ndim_ <= kInline ? inline_ : heap_; }
  std::span<const int64_t> dims() const { return {data(), static_cast<size_t>(ndim_)}; }

  int64_t size() const { return product(0, ndim_); }
  // Product of the extents in [first, last).
  int64_t product(int first, int last) const {
    const int64_t* dims = data();
    int64_t product = 1;
    for (int i = first; i < last; ++i) product *= dims[i];
    return product;
  }

  bool operator==(const Shape& other) const {
    if (ndim_ != other.ndim_) return false;
    const int64_t *mine = data(), *others = other.data();
    for (int i = 0; i < ndim_; ++i) {
      if (mine[i] != others[i]) return false;
    }
    return true;
  }

  // As Python prints a tuple: (2, 3), (4,), (). An unknown shape is "unknown".
  std::string str() const;

 private:
  void reserve(int ndim) {
    ndim_ = ndim;
    if (ndim > kInline) heap_ = new int64_t[static_cast<size_t>(ndim)];
  }
  void assign(const int64_t* dims, int ndim);
  void copy(const Shape& other) {
    if (other.ndim_ <= kInline) {
      std::memcpy(static_cast<void*>(this), &other, sizeof(Shape));
    } else {
      assign(other.heap_, other.ndim_);
    }
  }
  void clear() {
    if (ndim_ > kInline) delete[] heap_;
    ndim_ = 0;
  }

  union {
    int64_t inline_[kInline] = {};
    int64_t* heap_;
  };
  int32_t ndim_ = 0;
};

std::ostream& operator<<(std::ostream& out, const Shape& shape);

// `axis` counted from the end when negative; an Error that names `op` when it is out of range.
int normalize_axis(int64_t axis, int ndim, std::string_view op);

// The shape to which `a` and `b` broadcast under NumPy's rules.
Shape broadcast_shape(const Shape& a, const Shape& b, std::string_view op);

// Writes what `other` knows into the unknown extents of `shape`. False where the two contradict
// each other; `shape` is then as it was.
bool merge_shape(Shape& shape, const Shape& other);

// Number of elements of a shape given by a user: refuses negative extents and overflow.
int64_t checked_size(const Shape& shape, std::string_view op);

}  // namespace mxtape

// size() counts elements, not axes: ranges must measure a Shape by its iterators.
template <>
inline constexpr bool std::ranges::disable_sized_range<mxtape::Shape> = true;

#pragma once

#include <span>
#include <utility>

#include "core/dtype.h"
#include "core/ref.h"
#include "core/shape.h"
#include "core/storage.h"

namespace mxtape {

// A handle to a dense row-major array: storage, offset, shape, dtype, and where it hangs on the
// tape. The core does not know what the tape is: to it the edge is a counted object and a number.
class NDArray {
 public:
  NDArray() = default;
  NDArray(Ref<Storage> storage, int64_t byte_offset, Shape shape, DType dtype)
      : storage_(std::move(storage)),
        byte_offset_(byte_offset),
        shape_(std::move(shape)),
        dtype_(dtype) {}

  // Uninitialised memory for `shape`.
  static NDArray empty(Shape shape, DType dtype);

  bool defined() const { return static_cast<bool>(storage_); }
  const Shape& shape() const { return shape_; }
  int ndim() const { return shape_.ndim(); }
  DType dtype() const { return dtype_; }
  int64_t size() const { return shape_.size(); }
  size_t nbytes() const { return static_cast<size_t>(size()) * item_size(dtype_); }
  const Ref<Storage>& storage() const { return storage_; }
  int64_t byte_offset() const { return byte_offset_; }
  // Whether this is all of a buffer that nobody else can see.
  bool owns_memory() const {
    return storage_->unique() && byte_offset_ == 0 && nbytes() == storage_->nbytes();
  }
  char* bytes() const { return storage_->data() + byte_offset_; }
  template <class T>
  T* data() const {
    return reinterpret_cast<T*>(bytes());
  }

  // A view with the same elements in another shape of the same size; it has no edge.
  NDArray viewed(Shape shape) const;
  // Rows [begin, end) of the leading axis; shares memory, has no edge.
  NDArray rows(int64_t begin, int64_t end) const;
  // The same array off the tape.
  NDArray detached() const { return viewed(shape_); }

  // Counts a write to the elements, for what the tape has saved.
  void mark_written() const {
    if (storage_->saved()) {
      const auto begin = static_cast<size_t>(byte_offset_);
      const WrittenBytes all{begin, begin + nbytes()};
      storage_->bump_version({&all, 1});
    } else {
      storage_->bump_version();
    }
  }

  // The tape's side.
  RefCounted* edge_node() const { return edge_node_.get(); }
  uint32_t edge_index() const { return edge_index_; }
  void set_edge(Ref<RefCounted> node, uint32_t index) {
    // First: code that runs when the old node goes must not see its number with the new node.
    edge_index_ = index;
    edge_node_ = std::move(node);
  }

 private:
  Ref<Storage> storage_;
  int64_t byte_offset_ = 0;
  Shape shape_;
  DType dtype_ = DType::kFloat32;
  uint32_t edge_index_ = 0;
  Ref<RefCounted> edge_node_;
};

using Arrays = std::span<const NDArray>;

// The inputs of a call, where they lie: to copy a handle costs two atomic counts, and as many to
// drop it.
class Inputs {
 public:
  class Iterator {
   public:
    explicit Iterator(const NDArray* const* at) : at_(at) {}
    const NDArray& operator*() const { return **at_; }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return at_ != other.at_; }

   private:
    const NDArray* const* at_;
  };

  Inputs(const NDArray* const* pointers, size_t size) : pointers_(pointers), size_(size) {}
  const NDArray& operator[](size_t i) const { return *pointers_[i]; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  Iterator begin() const { return Iterator(pointers_); }
  Iterator end() const { return Iterator(pointers_ + size_); }

 private:
  const NDArray* const* pointers_;
  size_t size_;
};

}  // namespace mxtape

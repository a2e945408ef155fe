#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <utility>

namespace mxtape {

// A growable array whose first N elements need no allocation.
template <class T, size_t N>
class SmallVector {
 public:
  SmallVector() = default;
  explicit SmallVector(size_t n) { resize(n); }
  SmallVector(const SmallVector&) = delete;
  SmallVector& operator=(const SmallVector&) = delete;
  ~SmallVector() {
    clear();
    if (data_ != local()) ::operator delete(data_, std::align_val_t(alignof(T)));
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  T& back() { return data_[size_ - 1]; }
  operator std::span<const T>() const { return {data_, size_}; }
  operator std::span<T>() { return {data_, size_}; }

  template <class... Args>
  T& emplace_back(Args&&... args) {
    if (size_ == capacity_) {
      // Made before the elements move: an argument may be one of them.
      T value(std::forward<Args>(args)...);
      grow(capacity_ * 2);
      return *new (data_ + size_++) T(std::move(value));
    }
    return *new (data_ + size_++) T(std::forward<Args>(args)...);
  }
  void push_back(T value) { emplace_back(std::move(value)); }
  void resize(size_t n) {
    if (n > capacity_) grow(n);
    while (size_ < n) new (data_ + size_++) T();
    while (size_ > n) data_[--size_].~T();
  }
  void clear() { resize(0); }

 private:
  T* local() { return reinterpret_cast<T*>(local_); }
  void grow(size_t capacity) {
    T* moved = static_cast<T*>(::operator new(capacity * sizeof(T), std::align_val_t(alignof(T))));
    std::uninitialized_move_n(data_, size_, moved);
    std::destroy_n(data_, size_);
    if (data_ != local()) ::operator delete(data_, std::align_val_t(alignof(T)));
    data_ = moved;
    capacity_ = capacity;
  }

  size_t size_ = 0;
  size_t capacity_ = N;
  alignas(T) std::byte local_[N * sizeof(T)];
  T* data_ = local();
};

}  // namespace mxtape

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace mxtape {

// Intrusive reference count. `dispose` lets a class choose how its last reference goes, so that a
// long chain of nodes is freed without recursion.
class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  void ref() const noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
  void unref() const noexcept {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      const_cast<RefCounted*>(this)->dispose();
    }
  }
  uint32_t ref_count() const noexcept { return refs_.load(std::memory_order_acquire); }

 protected:
  virtual ~RefCounted() = default;
  virtual void dispose() noexcept { delete this; }

 private:
  mutable std::atomic<uint32_t> refs_{0};
};

// Owning pointer to anything with ref() and unref().
template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  explicit Ref(T* pointer) noexcept : pointer_(pointer) {
    if (pointer_) pointer_->ref();
  }
  Ref(const Ref& other) noexcept : Ref(other.pointer_) {}
  Ref(Ref&& other) noexcept : pointer_(std::exchange(other.pointer_, nullptr)) {}
  template <class U>
  Ref(const Ref<U>& other) noexcept : Ref(static_cast<T*>(other.get())) {}
  template <class U>
  Ref(Ref<U>&& other) noexcept : pointer_(static_cast<T*>(other.release())) {}
  ~Ref() {
    if (pointer_) drop(pointer_);
  }
  Ref& operator=(Ref other) noexcept {
    std::swap(pointer_, other.pointer_);
    return *this;
  }

  T* get() const noexcept { return pointer_; }
  T* operator->() const noexcept { return pointer_; }
  T& operator*() const noexcept { return *pointer_; }
  explicit operator bool() const noexcept { return pointer_ != nullptr; }
  bool operator==(const Ref& other) const noexcept { return pointer_ == other.pointer_; }
  T* release() noexcept { return std::exchange(pointer_, nullptr); }

 private:
  // A call: so the destructors of handles, which mostly have been moved from, are two or three
  // tests where they are needed.
  [[gnu::noinline]] static void drop(T* pointer) noexcept { pointer->unref(); }

  T* pointer_ = nullptr;
};

template <class T, class... Args>
Ref<T> make_ref(Args&&... args) {
  return Ref<T>(new T(std::forward<Args>(args)...));
}

}  // namespace mxtape

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/ref.h"

namespace mxtape {

// A reference-counted buffer, 64-byte aligned. Memory of its own follows this header in one block
// from the pool; foreign memory is borrowed and given back through a deleter.
class alignas(64) Storage {
 public:
  using Deleter = void (*)(void* context);

  // `nbytes` of uninitialised memory from the pool; throws Error when there is none.
  static Ref<Storage> allocate(size_t nbytes);
  // Memory of somebody else; `deleter(context)` runs when the last reference goes.
  static Ref<Storage> borrow(void* data, size_t nbytes, Deleter deleter, void* context);

  void ref() const noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
  void unref() const noexcept {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) const_cast<Storage*>(this)->dispose();
  }
  // Whether nobody but the one owner can see the memory; of borrowed memory nobody knows.
  bool unique() const noexcept { return refs_.load(std::memory_order_acquire) == 1 && !deleter_; }

  char* data() const noexcept { return data_; }
  size_t nbytes() const noexcept { return nbytes_; }

  // Counts in-place writes, so that the tape can tell when what it saved has changed.
  uint32_t version() const noexcept { return version_.load(std::memory_order_relaxed); }
  void bump_version() noexcept { version_.fetch_add(1, std::memory_order_relaxed); }

  // The device that the user named, as a type and a number: a label, all memory is the CPU's.
  uint16_t device() const noexcept { return device_; }
  void set_device(uint16_t device) noexcept { device_ = device; }

 private:
  Storage() = default;
  void dispose() noexcept;

  mutable std::atomic<uint32_t> refs_{0};
  std::atomic<uint32_t> version_{0};
  char* data_ = nullptr;
  size_t nbytes_ = 0;
  Deleter deleter_ = nullptr;
  void* context_ = nullptr;
  int16_t size_class_ = -1;
  uint16_t device_ = 0;
};

// What arrays hold, and what waits for new ones in the shared cache and the calling thread's. What
// waits in another thread's cache counts as in use.
struct PoolStats {
  size_t bytes_in_use;
  size_t bytes_cached;
};
PoolStats pool_stats();

// Gives all cached memory back to the system.
void pool_trim();

}  // namespace mxtape

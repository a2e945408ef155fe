#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/ref.h"

namespace mxtape {

// Bytes [begin, end) of a buffer, or those of them that are written: `width` bytes from `begin` on,
// and again after every `stride`. A stride of 0 means all.
struct WrittenBytes {
  size_t begin, end;
  size_t stride = 0, width = 0;
};

// What a storage is. All but the first have no memory of their own, and keep what they are made of
// as their source.
enum class Form : uint8_t {
  kDense,      // memory, which may have to be computed first
  kRowSparse,  // some rows (core/sparse.h)
  kCsr,        // some elements of each row
  kPacked,     // memory that comes back from where a program has put it
  kBatched,    // one example out of a batch
};
inline constexpr size_t kForms = 5;

// A reference-counted buffer, 64-byte aligned. Memory of its own follows this header in one block
// from the pool; foreign memory is borrowed and given back through a deleter. The memory of a
// deferred storage comes when it is first asked for: see runtime/fusion.h.
class alignas(64) Storage {
 public:
  using Deleter = void (*)(void* context);

  // `nbytes` of uninitialised memory from the pool; an Error of kind kMemory when there is none.
  static Ref<Storage> allocate(size_t nbytes);
  // Memory of somebody else; `deleter(context)` runs when the last reference goes.
  static Ref<Storage> borrow(void* data, size_t nbytes, Deleter deleter, void* context);
  // Memory that comes when it is first asked for: `source` says from what.
  static Ref<Storage> defer(size_t nbytes, Ref<RefCounted> source);
  // One of another form, in the place of `nbytes` of memory.
  static Ref<Storage> special(Form form, size_t nbytes, Ref<RefCounted> source);
  // What is called when the memory of a deferred storage of this form is asked for: it resolves the
  // storage, or raises an Error.
  using Compute = void (*)(Storage& storage);
  static void set_compute(Form form, Compute compute) noexcept {
    computes_[static_cast<size_t>(form)] = compute;
  }

  Form form() const noexcept { return form_; }

  void ref() const noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
  void unref() const noexcept {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) const_cast<Storage*>(this)->dispose();
  }
  // A reference from a pointer that is not counted: false when the storage is on its way out.
  bool ref_if_alive() const noexcept;
  uint32_t ref_count() const noexcept { return refs_.load(std::memory_order_acquire); }
  // Whether nobody but the one owner can see the memory; of foreign memory nobody knows.
  bool unique() const noexcept { return ref_count() == 1 && !foreign(); }
  // Whether memory is written to behind this class's back: borrowed, or lent to another library.
  bool foreign() const noexcept { return lent_ || (deleter_ && deleter_ != drop_memory); }
  void set_lent() noexcept { lent_ = true; }

  char* data() const {
    char* data = data_.load(std::memory_order_acquire);
    return data ? data : computed();
  }
  // Computes what waits, if anything does: the memory is there afterwards.
  void materialize() const { data(); }
  size_t nbytes() const noexcept { return nbytes_; }

  bool deferred() const noexcept { return !data_.load(std::memory_order_acquire); }
  // Of a deferred storage; the caller sees to it that nobody resolves it meanwhile.
  RefCounted* source() const noexcept { return source_; }
  // The memory is there now. The source is returned, for the caller to drop.
  Ref<RefCounted> resolve(Ref<Storage> memory) noexcept;
  // How many deferred computations will read the memory: they must run before it is written to.
  std::atomic<uint32_t>& readers() noexcept { return readers_; }
  // How many of the references are the tape's, taken while the storage was deferred.
  std::atomic<uint32_t>& saves() noexcept { return saves_; }

  // Counts in-place writes, so that the tape can tell when what it saved has changed.
  uint32_t version() const noexcept { return version_.load(std::memory_order_relaxed); }
  void bump_version() noexcept { version_.fetch_add(1, std::memory_order_relaxed); }
  // A write to some parts. Of memory of which the tape has saved something, they are noted.
  void bump_version(std::span<const WrittenBytes> parts);
  // Whether some of the bytes [begin, end) may have been written to since `version`.
  bool written_since(uint32_t version, size_t begin, size_t end) const;
  bool saved() const noexcept { return saved_.load(std::memory_order_relaxed); }
  void set_saved() noexcept {
    if (!saved()) saved_.store(true, std::memory_order_relaxed);
  }

  // The device that the user named, as a type and a number: a label, all memory is the CPU's.
  uint16_t device() const noexcept { return device_; }
  void set_device(uint16_t device) noexcept { device_ = device; }

 private:
  Storage() = default;
  void dispose() noexcept;
  void forget_writes() noexcept;
  char* computed() const;
  static void drop_memory(void* memory) { static_cast<Storage*>(memory)->unref(); }

  static inline Compute computes_[kForms] = {};

  mutable std::atomic<uint32_t> refs_{0};
  std::atomic<uint32_t> version_{0};
  std::atomic<char*> data_{nullptr};
  size_t nbytes_ = 0;
  Deleter deleter_ = nullptr;
  void* context_ = nullptr;
  RefCounted* source_ = nullptr;
  std::atomic<uint32_t> readers_{0}, saves_{0};
  int16_t size_class_ = -1;
  uint16_t device_ = 0;
  std::atomic<bool> lent_{false}, saved_{false};
  bool noted_ = false;  // has an entry among the noted writes; guarded by their mutex
  Form form_ = Form::kDense;
};

// What arrays hold, and what waits for new ones in the shared cache and the calling thread's. What
// waits in another thread's cache counts as in use. `peak_bytes` is the most that both together
// have been.
struct PoolStats {
  size_t bytes_in_use;
  size_t bytes_cached;
  size_t peak_bytes;
};
PoolStats pool_stats();

// Gives all cached memory back to the system.
void pool_trim();

}  // namespace mxtape

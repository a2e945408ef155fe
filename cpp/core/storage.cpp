#include "core/storage.h"

#include <bit>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#ifdef __linux__
#include <unistd.h>

#include <sys/mman.h>
#endif

#include "core/at_fork.h"
#include "core/error.h"
#include "core/pool_bytes.h"
#include "core/zeros.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace mxtape {
namespace {

constexpr size_t kAlign = 64;

// The address sanitizer sees one block where the pool hands out many: it is told what an array may
// use. Between the header and the elements it then has room for a zone that nothing may touch.
#ifdef __SANITIZE_ADDRESS__
constexpr size_t kGuard = kAlign;
void forbid(void* memory, size_t bytes) { ASAN_POISON_MEMORY_REGION(memory, bytes); }
void permit(void* memory, size_t bytes) { ASAN_UNPOISON_MEMORY_REGION(memory, bytes); }
#else
constexpr size_t kGuard = 0;
void forbid(void*, size_t) {}
void permit(void*, size_t) {}
#endif

// Four size classes to each power of two, from 128 bytes up: at most a fifth of a block is unused.
constexpr int kFirstLog2 = 7;
constexpr int kClasses = 4 * 42;
constexpr int kSmallClasses = 4 * 9;                   // up to 64 KiB: cached by each thread
constexpr size_t kThreadCacheBytes = size_t{8} << 20;  // a thread's cache holds at most this
constexpr size_t kSharedCacheBytes = size_t{2} << 30;  // and the shared one this

int class_of(size_t bytes) {
  if (bytes <= (size_t{1} << kFirstLog2)) return 0;
  const int log2 = std::bit_width(bytes - 1) - 1;
  const size_t quarter = size_t{1} << (log2 - 2);
  const size_t steps = (bytes - (size_t{1} << log2) + quarter - 1) / quarter;
  return 4 * (log2 - kFirstLog2) + static_cast<int>(steps);
}

size_t class_bytes(int size_class) {
  const size_t base = size_t{1} << (kFirstLog2 + size_class / 4);
  const size_t bytes = base + base / 4 * static_cast<size_t>(size_class % 4);
  return (bytes + kAlign - 1) / kAlign * kAlign;
}

struct FreeBlock {
  FreeBlock* next;
};

char* behind_link(void* block) { return static_cast<char*>(block) + sizeof(FreeBlock); }

std::atomic<size_t> system_bytes{0};
std::atomic<size_t> peak_bytes{0};    // the most that system_bytes has been
std::atomic<size_t> cached_bytes{0};  // in the shared cache

// Large blocks ask for huge pages: fewer faults when first written, fewer misses of the TLB after.
// It is a wish: where the system refuses, small pages do.
void* aligned_memory(size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr size_t kHugePage = size_t{2} << 20;
  if (bytes >= 2 * kHugePage) {
    void* block = nullptr;
    if (posix_memalign(&block, kHugePage, bytes) != 0) return nullptr;
    madvise(block, bytes, MADV_HUGEPAGE);
    return block;
  }
#endif
  return std::aligned_alloc(kAlign, bytes);
}

// Whether this thread's last block is the system's, not one that the pool has handed out before.
thread_local bool last_is_new = false;

void* system_allocate(size_t bytes) {
  void* block = aligned_memory(bytes);
  if (!block) return nullptr;
  last_is_new = true;
  const size_t held = system_bytes.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  size_t peak = peak_bytes.load(std::memory_order_relaxed);
  while (held > peak && !peak_bytes.compare_exchange_weak(peak, held, std::memory_order_relaxed)) {
  }
  return block;
}

void system_free(void* block, size_t bytes) {
  permit(block, bytes);
  system_bytes.fetch_sub(bytes, std::memory_order_relaxed);
  std::free(block);
}

// Fills memory of this process with zeros by giving its pages back: the system makes them anew when
// they are touched. False where it does not do that; the memory may then hold anything.
bool drop_pages(char* data, size_t bytes) {
#ifdef MADV_DONTNEED
  static const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t head = (page - reinterpret_cast<uintptr_t>(data) % page) % page;
  const size_t middle = (bytes - head) / page * page;
  if (madvise(data + head, middle, MADV_DONTNEED) != 0) return false;
  std::memset(data, 0, head);
  std::memset(data + head + middle, 0, bytes - head - middle);
  return true;
#else
  static_cast<void>(data), static_cast<void>(bytes);
  return false;
#endif
}

class SharedCache {
 public:
  void* take(int size_class) {
    std::lock_guard lock(mutex_);
    FreeBlock* block = lists_[size_class];
    if (!block) return nullptr;
    lists_[size_class] = block->next;
    bytes_ -= class_bytes(size_class);
    cached_bytes.fetch_sub(class_bytes(size_class), std::memory_order_relaxed);
    return block;
  }
  void put(void* memory, int size_class) {
    const size_t bytes = class_bytes(size_class);
    {
      std::lock_guard lock(mutex_);
      if (bytes_ + bytes <= kSharedCacheBytes) {
        auto* block = static_cast<FreeBlock*>(memory);
        block->next = lists_[size_class];
        lists_[size_class] = block;
        bytes_ += bytes;
        cached_bytes.fetch_add(bytes, std::memory_order_relaxed);
        return;
      }
    }
    system_free(memory, bytes);
  }
  void trim() {
    std::lock_guard lock(mutex_);
    for (int c = 0; c < kClasses; ++c) {
      while (FreeBlock* block = lists_[c]) {
        lists_[c] = block->next;
        cached_bytes.fetch_sub(class_bytes(c), std::memory_order_relaxed);
        system_free(block, class_bytes(c));
      }
    }
    bytes_ = 0;
  }
  std::mutex& mutex() { return mutex_; }

 private:
  std::mutex mutex_;
  FreeBlock* lists_[kClasses] = {};
  size_t bytes_ = 0;
};

// Never destroyed: arrays may outlive every other static object.
SharedCache& shared_cache() {
  static auto* cache = new SharedCache;
  return *cache;
}

std::mutex& shared_mutex() { return shared_cache().mutex(); }

const ForkRegistration at_fork(AtFork::kPool, lock_at_fork<shared_mutex>());

// A thread's own lists take no lock. Trivial to construct, so that access needs no guard; what it
// holds goes to the shared cache when the thread ends.
struct ThreadCache {
  FreeBlock* lists[kSmallClasses];
  size_t bytes;
  bool closed;
};
thread_local ThreadCache thread_cache;

struct ThreadCacheCloser {
  ~ThreadCacheCloser() {
    flush();
    thread_cache.closed = true;
  }
  static void flush() {
    for (int c = 0; c < kSmallClasses; ++c) {
      while (FreeBlock* block = thread_cache.lists[c]) {
        thread_cache.lists[c] = block->next;
        shared_cache().put(block, c);
      }
    }
    thread_cache.bytes = 0;
  }
};
thread_local ThreadCacheCloser thread_cache_closer;

void* pool_allocate(int size_class) {
  if (size_class < kSmallClasses) {
    ThreadCache& cache = thread_cache;
    if (FreeBlock* block = cache.lists[size_class]) {
      cache.lists[size_class] = block->next;
      cache.bytes -= class_bytes(size_class);
      return block;
    }
  }
  if (void* block = shared_cache().take(size_class)) return block;
  return system_allocate(class_bytes(size_class));
}

void pool_free(void* memory, int size_class) {
  if (size_class < kSmallClasses) {
    ThreadCache& cache = thread_cache;
    const size_t bytes = class_bytes(size_class);
    if (!cache.closed && cache.bytes + bytes <= kThreadCacheBytes) {
      (void)&thread_cache_closer;
      auto* block = static_cast<FreeBlock*>(memory);
      block->next = cache.lists[size_class];
      cache.lists[size_class] = block;
      cache.bytes += bytes;
      return;
    }
  }
  shared_cache().put(memory, size_class);
}

}  // namespace

Ref<Storage> Storage::allocate(size_t nbytes) {
  static_assert(sizeof(Storage) == kAlign);
  // The header's bytes must not come round to a small block.
  const int size_class =
      nbytes <= class_bytes(kClasses - 1) ? class_of(nbytes + sizeof(Storage) + kGuard) : kClasses;
  void* block = nullptr;
  if (size_class < kClasses) {
    block = pool_allocate(size_class);
    if (!block) {
      pool_trim();
      block = system_allocate(class_bytes(size_class));
    }
  }
  if (!block) {
    fail_as(ErrorKind::kMemory, "out of memory: cannot allocate ", nbytes,
            " bytes for an array; other arrays hold ", pool_stats().bytes_in_use, " bytes");
  }
  const size_t usable = sizeof(Storage) + kGuard + nbytes;
  permit(block, usable);
  auto* storage = new (block) Storage;
  storage->data_ = static_cast<char*>(block) + sizeof(Storage) + kGuard;
  forbid(static_cast<char*>(block) + sizeof(Storage), kGuard);
  forbid(static_cast<char*>(block) + usable, class_bytes(size_class) - usable);
  storage->nbytes_ = nbytes;
  storage->size_class_ = static_cast<int16_t>(size_class);
  return Ref<Storage>(storage);
}

Ref<Storage> allocate_zeros(size_t nbytes, bool& zeroed) {
  // Below that, a call of the system costs more than it saves.
  constexpr size_t kWorthIt = size_t{1} << 20;
  last_is_new = false;
  Ref<Storage> storage = Storage::allocate(nbytes);
  zeroed = nbytes >= kWorthIt && last_is_new && drop_pages(storage->data(), nbytes);
  return storage;
}

Ref<Storage> Storage::borrow(void* data, size_t nbytes, Deleter deleter, void* context) {
  Ref<Storage> storage = allocate(0);
  storage->data_ = static_cast<char*>(data);
  storage->nbytes_ = nbytes;
  storage->deleter_ = deleter;
  storage->context_ = context;
  return storage;
}

Ref<Storage> Storage::defer(size_t nbytes, Ref<RefCounted> source) {
  Ref<Storage> storage = allocate(0);
  storage->nbytes_ = nbytes;
  storage->source_ = source.release();
  storage->deleter_ = drop_memory;  // from the start: others may ask meanwhile if it is foreign
  storage->data_ = nullptr;
  return storage;
}

Ref<Storage> Storage::special(Form form, size_t nbytes, Ref<RefCounted> source) {
  Ref<Storage> storage = defer(nbytes, std::move(source));
  storage->form_ = form;
  return storage;
}

char* Storage::computed() const {
  computes_[static_cast<size_t>(form_)](const_cast<Storage&>(*this));
  return data_.load(std::memory_order_acquire);
}

Ref<RefCounted> Storage::resolve(Ref<Storage> memory) noexcept {
  Ref<RefCounted> source(source_);
  std::exchange(source_, nullptr)->unref();
  char* data = memory->data();
  context_ = memory.release();
  data_.store(data, std::memory_order_release);
  return source;
}

size_t pool_bytes(const Storage& storage) {
  const auto block = [](size_t nbytes) {
    return class_bytes(class_of(nbytes + sizeof(Storage) + kGuard));
  };
  const size_t nbytes = storage.nbytes();
  if (storage.deferred()) return block(0);
  const char* in_block = reinterpret_cast<const char*>(&storage) + sizeof(Storage) + kGuard;
  if (storage.data() == in_block) return block(nbytes);
  return block(0) + (storage.foreign() ? 0 : block(nbytes));
}

bool Storage::ref_if_alive() const noexcept {
  uint32_t count = refs_.load(std::memory_order_relaxed);
  while (count && !refs_.compare_exchange_weak(count, count + 1, std::memory_order_acq_rel)) {
  }
  return count != 0;
}

void Storage::dispose() noexcept {
  if (source_) {
    source_->unref();
  } else if (deleter_) {
    deleter_(context_);
  }
  if (saved()) forget_writes();
  const int size_class = size_class_;
  this->~Storage();
  forbid(behind_link(this), class_bytes(size_class) - sizeof(FreeBlock));
  pool_free(this, size_class);
}

PoolStats pool_stats() {
  const size_t cached = cached_bytes.load() + thread_cache.bytes;
  return {system_bytes.load() - cached, cached, peak_bytes.load()};
}

void pool_trim() {
  ThreadCacheCloser::flush();
  shared_cache().trim();
}

}  // namespace mxtape

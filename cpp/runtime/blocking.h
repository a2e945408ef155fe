#pragma once

#include <cstddef>

namespace mxtape {

// Called around work that is large enough for other threads to want the interpreter. `enter`
// returns nullptr where the thread does not hold the interpreter's lock.
struct BlockingHooks {
  void* (*enter)() = nullptr;
  void (*leave)(void*) = nullptr;
};
inline BlockingHooks blocking_hooks;

class BlockingScope {
 public:
  // Bytes of the largest array, or of all outputs together, above which the lock is released.
  static constexpr size_t kBytes = size_t{1} << 17;

  explicit BlockingScope(size_t bytes) {
    if (bytes > kBytes && blocking_hooks.enter) token_ = blocking_hooks.enter();
  }
  BlockingScope(const BlockingScope&) = delete;
  BlockingScope& operator=(const BlockingScope&) = delete;
  ~BlockingScope() {
    if (token_) blocking_hooks.leave(token_);
  }

 private:
  void* token_ = nullptr;
};

}  // namespace mxtape

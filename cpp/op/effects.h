#pragma once

#include <utility>
#include <vector>

#include "core/ndarray.h"

namespace mxtape {

// While it lives, the states that this thread's calls change in place (running statistics) are
// noted as they were before; at its end they are put back. For what is computed a second time.
class UndoneEffects {
 public:
  UndoneEffects() : outside_(std::exchange(current_, this)) {}
  ~UndoneEffects();
  UndoneEffects(const UndoneEffects&) = delete;
  UndoneEffects& operator=(const UndoneEffects&) = delete;

  // Before a call changes `array`.
  static void note(const NDArray& array) {
    if (current_) current_->keep(array);
  }

 private:
  void keep(const NDArray& array);

  static inline thread_local constinit UndoneEffects* current_ = nullptr;
  UndoneEffects* outside_;
  struct Before {
    NDArray array;
    std::vector<char> bytes;
  };
  std::vector<Before> before_;
};

}  // namespace mxtape

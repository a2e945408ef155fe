#pragma once

#include "autograd/node.h"

namespace mxtape::autograd {

// The recording and training flags are each thread's own.
struct ThreadState {
  bool recording = false;
  bool training = false;
};

inline ThreadState& thread_state() {
  static thread_local constinit ThreadState state;
  return state;
}

inline bool is_recording() { return thread_state().recording; }
inline bool is_training() { return thread_state().training; }

// Sets both flags for a C++ scope.
class StateScope {
 public:
  StateScope(bool recording, bool training) : previous_(thread_state()) {
    thread_state() = {recording, training};
  }
  ~StateScope() { thread_state() = previous_; }
  StateScope(const StateScope&) = delete;
  StateScope& operator=(const StateScope&) = delete;

 private:
  ThreadState previous_;
};

}  // namespace mxtape::autograd

#pragma once

#include "autograd/node.h"

namespace mxtape::autograd {

// How a call runs: whether it is recorded, and in which of the modes train and predict.
struct Mode {
  bool recording = false;
  bool training = false;
  bool traced = false;  // what is recorded is told to a CallTrace, and is not on the tape
  bool packs = false;   // what is saved goes through the thread's hooks first
};

// Each thread has its own. A call reads it once, at its start, and passes it on.
inline Mode& thread_mode() {
  static thread_local constinit Mode mode;
  return mode;
}

inline bool is_recording() { return thread_mode().recording; }
inline bool is_training() { return thread_mode().training; }

// Sets both flags for a C++ scope.
class StateScope {
 public:
  StateScope(bool recording, bool training) : previous_(thread_mode()) {
    thread_mode() = {recording, training, false, previous_.packs};
  }
  ~StateScope() { thread_mode() = previous_; }
  StateScope(const StateScope&) = delete;
  StateScope& operator=(const StateScope&) = delete;

 private:
  Mode previous_;
};

}  // namespace mxtape::autograd

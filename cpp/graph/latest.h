#pragma once

#include <algorithm>
#include <deque>
#include <mutex>

#include "core/ref.h"

namespace mxtape {

// The last few of what was made for something, the newest first. Safe from any thread. Python's
// lock is not given up while the mutex is held, so no fork() can find it locked.
template <class T, size_t Most>
class Latest {
 public:
  // The first that fits, which becomes the newest; null when there is none.
  template <class Fits>
  Ref<const T> find(Fits fits) const {
    const std::lock_guard lock(mutex_);
    const auto at =
        std::find_if(kept_.begin(), kept_.end(), [&](const auto& k) { return fits(*k); });
    if (at == kept_.end()) return nullptr;
    if (at != kept_.begin()) std::swap(*at, kept_.front());
    return kept_.front();
  }
  void add(Ref<const T> made) const {
    Ref<const T> oldest;  // dropped without the lock
    const std::lock_guard lock(mutex_);
    kept_.push_front(std::move(made));
    if (kept_.size() <= Most) return;
    oldest = std::move(kept_.back());
    kept_.pop_back();
  }

 private:
  mutable std::mutex mutex_;
  mutable std::deque<Ref<const T>> kept_;
};

}  // namespace mxtape

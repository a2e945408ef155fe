#pragma once

namespace mxtape {

// What has a lock or threads that a forked child must find in order: it has only the thread that
// forked. In the order in which a thread may hold several of the locks, which fork() takes all.
enum class AtFork {
  kWaitingCalls,
  kWritten,
  kPrimitives,
  kRandom,
  kPool,
  kTeam,
  kUpdates,
  kProfile
};
constexpr int kAtForkCount = 8;

struct ForkHandlers {
  void (*before)() = nullptr;  // locks
  void (*in_parent)() = nullptr;
  void (*in_child)() = nullptr;
};

// Installs them; a static object, so that it happens while the module is loaded. One for each.
struct ForkRegistration {
  ForkRegistration(AtFork who, const ForkHandlers& handlers);
};

// Handlers for one mutex, which `mutex()` returns.
template <auto mutex>
constexpr ForkHandlers lock_at_fork() {
  return {[] { mutex().lock(); }, [] { mutex().unlock(); }, [] { mutex().unlock(); }};
}

}  // namespace mxtape

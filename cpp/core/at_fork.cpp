#include "core/at_fork.h"

#include <array>
#include <pthread.h>

namespace mxtape {
namespace {

constinit std::array<ForkHandlers, kAtForkCount> installed;

void before() {
  for (const ForkHandlers& handlers : installed) {
    if (handlers.before) handlers.before();
  }
}

void in_parent() {
  for (auto at = installed.rbegin(); at != installed.rend(); ++at) {
    if (at->in_parent) at->in_parent();
  }
}

void in_child() {
  for (auto at = installed.rbegin(); at != installed.rend(); ++at) {
    if (at->in_child) at->in_child();
  }
}

}  // namespace

ForkRegistration::ForkRegistration(AtFork who, const ForkHandlers& handlers) {
  [[maybe_unused]] static const int registered = pthread_atfork(before, in_parent, in_child);
  installed[static_cast<size_t>(who)] = handlers;
}

}  // namespace mxtape

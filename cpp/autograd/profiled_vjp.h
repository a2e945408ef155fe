#pragma once

#include "autograd/anomaly.h"
#include "core/profile.h"

namespace mxtape::autograd {

// node.vjp(call), recorded while operators are, and looked at while some thread wants that.
inline void profiled_vjp(Node& node, VjpCall& call) {
  if (!profile::records(profile::kImperative | profile::kSymbolic | kWatchGradients)) [[likely]] {
    return node.vjp(call);
  }
  watched_vjp(node, call);
}

}  // namespace mxtape::autograd

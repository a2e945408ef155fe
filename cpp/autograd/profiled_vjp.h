#pragma once

#include "autograd/backward.h"
#include "core/profile.h"

namespace mxtape::autograd {

// node.vjp(call), recorded while operators are.
inline void profiled_vjp(Node& node, VjpCall& call) {
  if (!profile::records(profile::kImperative | profile::kSymbolic)) [[likely]] {
    return node.vjp(call);
  }
  const profile::Span span("backward", "_backward_" + std::string(node.name()));
  node.vjp(call);
}

}  // namespace mxtape::autograd

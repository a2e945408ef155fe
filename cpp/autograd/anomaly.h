#pragma once

#include <string>

#include "autograd/backward.h"

// Looks for the first value that is not finite.
namespace mxtape::autograd {

// What the thread's calls are watched for.
struct AnomalyMode {
  bool backward = false;
  bool forward = false;  // Mode::packs is set too: recorded calls come by here
};
AnomalyMode anomaly_mode();
void set_anomaly_mode(AnomalyMode mode);
// Sets Mode::packs.
void update_packs();

// Whether some thread is watched: a bit beside those of profile::What, so that one test answers
// for both.
inline constexpr uint32_t kWatchGradients = 1u << 16;

// node.vjp(call), timed and looked at, as far as that is wanted.
void watched_vjp(Node& node, VjpCall& call);

// The statistics of an array in which something is not finite; "" if everything is.
using Statistics = std::string (*)(const NDArray& array);
void set_statistics(Statistics statistics);
std::string statistics_unless_finite(const NDArray& array);

}  // namespace mxtape::autograd

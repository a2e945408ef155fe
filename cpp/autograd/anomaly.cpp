#include "autograd/anomaly.h"

#include <optional>

#include "autograd/errors.h"
#include "core/error.h"
#include "core/profile.h"

namespace mxtape::autograd {
namespace {

thread_local constinit AnomalyMode mode;
std::atomic<int> watched_threads{0};
Statistics installed = nullptr;

[[noreturn]] void fail_not_finite(Node& node, std::string_view what, size_t i,
                                  const std::string& statistics, std::string_view advice) {
  fail("detect_anomaly: ", what, i, " of ", node.name(), " is not finite: ", statistics,
       call_text(node), advice);
}

}  // namespace

AnomalyMode anomaly_mode() { return mode; }

void set_anomaly_mode(AnomalyMode now) {
  const int change = static_cast<int>(now.backward) - static_cast<int>(mode.backward);
  const int threads = watched_threads.fetch_add(change) + change;
  if (threads > 0) {
    profile::recorded.fetch_or(kWatchGradients);
  } else {
    profile::recorded.fetch_and(~kWatchGradients);
  }
  mode = now;
  update_packs();
}

void set_statistics(Statistics statistics) { installed = statistics; }

std::string statistics_unless_finite(const NDArray& array) {
  return installed && array.defined() ? installed(array) : "";
}

void watched_vjp(Node& node, VjpCall& call) {
  for (uint32_t i = 0; mode.backward && i < node.output_count(); ++i) {
    if (!call.has_head(i)) continue;
    const std::string statistics = statistics_unless_finite(call.head(i));
    if (statistics.empty()) continue;
    fail_not_finite(
        node, "the gradient that arrives at output ", i, statistics,
        ". It was given as a head gradient, made by a hook, or is a sum that overflows");
  }
  const size_t count = node.edges().size();
  {
    std::optional<profile::Span> span;
    if (profile::records(profile::kImperative | profile::kSymbolic)) {
      span.emplace("backward", "_backward_" + std::string(node.name()));
    }
    node.vjp(call);
  }
  for (size_t i = 0; mode.backward && i < count; ++i) {
    if (!call.needs(i)) continue;
    const std::string statistics = statistics_unless_finite(call.result(i));
    if (!statistics.empty()) {
      fail_not_finite(node, "the gradient for input ", i, statistics, "");
    }
  }
}

}  // namespace mxtape::autograd

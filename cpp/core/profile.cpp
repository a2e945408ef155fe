#include "core/profile.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <new>
#include <set>
#include <tuple>
#include <utility>

#include "core/at_fork.h"
#include "core/storage.h"

namespace mxtape::profile {
namespace {

struct Record {
  std::mutex mutex;
  std::set<std::string, std::less<>> names;
  std::vector<Event> events;
  int64_t dropped = 0;
  std::map<std::tuple<Kind, const std::string*, const std::string*>, Total> totals;
  std::atomic<uint32_t> threads{0};
  std::atomic<int64_t> memory{-1};  // what the counter stands at

  const std::string* name(std::string_view text) {
    const auto found = names.find(text);
    return found != names.end() ? &*found : &*names.emplace(text).first;
  }

  void add(const Event& event, int64_t counted) {
    const auto [at, is_new] =
        totals.try_emplace({event.kind, event.category, event.name},
                           Total{event.kind, event.category, event.name, 0, 0, counted, counted});
    Total& total = at->second;
    ++total.count;
    total.sum += counted;
    total.least = std::min(total.least, counted);
    total.most = std::max(total.most, counted);
    if (events.size() < kMaxEvents) {
      events.push_back(event);
    } else {
      ++dropped;
    }
  }
};

// Never destroyed: threads may run to the very end.
Record& record() {
  static auto* const record = new Record;
  return *record;
}

std::mutex& mutex() { return record().mutex; }
const ForkRegistration at_fork(AtFork::kProfile, lock_at_fork<mutex>());

thread_local constinit OperatorSpan* running = nullptr;

uint32_t this_thread() {
  thread_local const uint32_t number = record().threads.fetch_add(1);
  return number;
}

void sample_memory() {
  const auto bytes = static_cast<int64_t>(pool_stats().bytes_in_use);
  if (record().memory.exchange(bytes) == bytes) return;
  add(Kind::kCounter, "Device Storage", "Memory: cpu/0", now(), bytes);
}

}  // namespace

void record(uint32_t what) {
  // Bits beyond those of What are not the profiler's.
  constexpr uint32_t kAll = kImperative | kSymbolic | kMemory | kUser;
  uint32_t before = recorded.load();
  while (!recorded.compare_exchange_weak(before, (before & ~kAll) | what)) {
  }
  watched_bytes.store(what & (kImperative | kSymbolic) ? 0 : kLargeBytes + 1);
}

int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void add(Kind kind, std::string_view category, std::string_view name, int64_t begin,
         int64_t value) {
  add(kind, category, name, begin, value, kind == Kind::kMarker ? 0 : value);
}

void add(Kind kind, std::string_view category, std::string_view name, int64_t begin, int64_t value,
         int64_t counted) {
  const uint32_t thread = this_thread();
  Record& r = record();
  const std::lock_guard lock(r.mutex);
  try {
    r.add({kind, thread, r.name(category), r.name(name), begin, value}, counted);
  } catch (const std::bad_alloc&) {
    ++r.dropped;  // the program goes on without it
  }
}

Events events(bool clear) {
  Record& r = record();
  const std::lock_guard lock(r.mutex);
  if (!clear) return {r.events, r.dropped};
  return {std::exchange(r.events, {}), std::exchange(r.dropped, 0)};
}

std::vector<Total> totals(bool clear) {
  Record& r = record();
  const std::lock_guard lock(r.mutex);
  std::vector<Total> found;
  for (const auto& [key, total] : r.totals) found.push_back(total);
  if (clear) r.totals.clear();
  return found;
}

Span::Span(std::string_view category, std::string name)
    : category_(category), name_(std::move(name)), begin_(now()) {}

Span::~Span() { add(Kind::kSpan, category_, name_, begin_, now() - begin_); }

OperatorSpan::OperatorSpan(std::string name)
    : name_(std::move(name)), begin_(now()), outer_(std::exchange(running, this)) {}

OperatorSpan::~OperatorSpan() {
  const int64_t took = now() - begin_;
  running = outer_;
  if (outer_) outer_->inside_ += took;
  add(Kind::kSpan, "operator", name_, begin_, took, took - inside_);
  if (records(kMemory)) sample_memory();
}

void OperatorSpan::also(const std::string& operators) {
  if (running && !operators.empty()) running->name_ = operators + "+" + running->name_;
}

}  // namespace mxtape::profile

#include "runtime/random.h"

#include <mutex>
#include <random>
#include <utility>

#include "core/at_fork.h"
#include "core/error.h"

namespace mxtape {
namespace {

struct Sequence {
  std::mutex mutex;
  uint64_t key = (uint64_t{std::random_device{}()} << 32) | std::random_device{}();
  uint64_t next = 0;
};

Sequence& sequence() {
  static auto* instance = new Sequence;
  return *instance;
}

std::mutex& sequence_mutex() { return sequence().mutex; }

const ForkRegistration at_fork(AtFork::kRandom, lock_at_fork<sequence_mutex>());

}  // namespace

void seed_random(uint64_t seed) {
  Sequence& s = sequence();
  std::lock_guard lock(s.mutex);
  s.key = seed;
  s.next = 0;
}

namespace {

thread_local constinit DrawScope* draw_scope = nullptr;

RandomStream draw(DrawScope* scope) {
  if (scope) return scope->next();
  Sequence& s = sequence();
  std::lock_guard lock(s.mutex);
  return RandomStream(s.key, s.next++);
}

}  // namespace

RandomStream next_random_stream() { return draw(draw_scope); }

DrawScope::DrawScope() : outside_(std::exchange(draw_scope, this)) {}
DrawScope::~DrawScope() { draw_scope = outside_; }

RandomStream DrawnStreams::Noting::next() {
  const RandomStream stream = draw(outside());
  drawn_.streams_[drawn_.aside_()].push_back(stream);
  return stream;
}

RandomStream DrawnStreams::Again::next() {
  const bool aside = drawn_.aside_();
  const std::vector<RandomStream>& streams = drawn_.streams_[aside];
  if (used_[aside] == streams.size()) {
    fail("random numbers are drawn more often than the first time, when there were ",
         streams.size(), " draws");
  }
  return streams[used_[aside]++];
}

void DrawnStreams::Again::finish() const {
  const size_t count = drawn_.streams_[0].size(), aside = drawn_.streams_[1].size();
  if (used_[0] == count && (used_[1] == 0 || used_[1] == aside)) return;
  fail("random numbers are drawn ", used_[0] + used_[1], " times, the first time ", count + aside,
       " times");
}

}  // namespace mxtape

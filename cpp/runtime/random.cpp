#include "runtime/random.h"

#include <mutex>
#include <random>

#include "core/at_fork.h"

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

RandomStream next_random_stream() {
  Sequence& s = sequence();
  std::lock_guard lock(s.mutex);
  return RandomStream(s.key, s.next++);
}

}  // namespace mxtape

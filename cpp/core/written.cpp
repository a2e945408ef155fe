#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "core/at_fork.h"
#include "core/storage.h"

// Which bytes of a buffer were written to, so that the tape can tell a write to what it saved from
// one to another part of the same buffer. Noted only of buffers of which it has saved something.
namespace mxtape {
namespace {

// Versions go round.
bool newer(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) > 0; }

// Whether a write reaches bytes [begin, end).
bool touches(const WrittenBytes& part, size_t begin, size_t end) {
  if (part.begin >= std::min(end, part.end) || part.end <= begin) return false;
  if (part.stride == 0) return true;
  // The first piece that ends behind `begin`.
  const size_t first = part.begin + part.width;
  const size_t piece =
      part.begin + (begin < first ? 0 : (begin - first) / part.stride + 1) * part.stride;
  return piece < std::min(end, part.end);
}

struct Note {
  uint32_t version;  // after the write
  WrittenBytes part;
};

// The writes to one buffer, in their order.
struct Notes {
  static constexpr size_t kMost = 2048;

  uint32_t last;   // version after the newest write that is noted
  uint32_t whole;  // a write that is not noted may have been at this version, or before
  std::vector<Note> notes;

  void add(uint32_t version, std::span<const WrittenBytes> parts) {
    // Somebody has written in between, without saying where.
    if (last != version - 1) {
      notes.clear();
      whole = version - 1;
    }
    last = version;
    // The older half counts as one write to everything.
    if (notes.size() + parts.size() > kMost && !notes.empty()) {
      const size_t half = notes.size() / 2;
      whole = notes[half].version;
      notes.erase(notes.begin(), notes.begin() + static_cast<std::ptrdiff_t>(half) + 1);
    }
    for (const WrittenBytes& part : parts) notes.push_back({version, part});
  }

  bool touched(uint32_t since, size_t begin, size_t end) const {
    if (newer(whole, since)) return true;
    for (auto note = notes.rbegin(); note != notes.rend() && newer(note->version, since); ++note) {
      if (touches(note->part, begin, end)) return true;
    }
    return false;
  }
};

struct Table {
  std::mutex mutex;
  std::unordered_map<const Storage*, Notes> notes;
};

// Never destroyed: arrays may outlive every other static object.
Table& table() {
  static auto* const table = new Table;
  return *table;
}

std::mutex& table_mutex() { return table().mutex; }

const ForkRegistration at_fork(AtFork::kWritten, lock_at_fork<table_mutex>());

}  // namespace

void Storage::bump_version(std::span<const WrittenBytes> parts) {
  const auto all = [this](const WrittenBytes& part) {
    return part.stride == 0 && part.begin == 0 && part.end >= nbytes_;
  };
  if (!saved() || std::any_of(parts.begin(), parts.end(), all)) return bump_version();
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  const uint32_t version = version_.fetch_add(1, std::memory_order_relaxed) + 1;
  noted_ = true;
  t.notes.try_emplace(this, Notes{version - 1, version - 1, {}}).first->second.add(version, parts);
}

bool Storage::written_since(uint32_t version, size_t begin, size_t end) const {
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  const auto found = t.notes.find(this);
  if (found == t.notes.end() || found->second.last != this->version()) return true;
  return found->second.touched(version, begin, end);
}

void Storage::forget_writes() noexcept {
  if (!noted_) return;  // nobody else holds the storage
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  t.notes.erase(this);
}

}  // namespace mxtape

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// What the program computes and when, for mx.profiler. While nothing is recorded, an operator's
// call makes no comparison for it that it would not make anyway.
namespace mxtape::profile {

// What is recorded. kUser: what the program itself says; set whenever something is recorded.
enum What : uint32_t { kImperative = 1, kSymbolic = 2, kMemory = 4, kUser = 8 };

inline std::atomic<uint32_t> recorded{0};
inline bool records(uint32_t what) {
  return (recorded.load(std::memory_order_relaxed) & what) != 0;
}
// Sets what is recorded from now on.
void record(uint32_t what);

// A call of an operator over more bytes than this is large: other threads may run meanwhile.
inline constexpr size_t kLargeBytes = size_t{1} << 17;
// From how many bytes on a call is looked at more closely: because it is large, or, while operators
// are recorded, every call.
inline std::atomic<size_t> watched_bytes{kLargeBytes + 1};

// Nanoseconds since some moment.
int64_t now();

enum class Kind : char { kSpan = 'X', kCounter = 'C', kMarker = 'i' };

// `value` is what a span took, in nanoseconds, what a counter stands at, or a marker's scope.
struct Event {
  Kind kind;
  uint32_t thread;
  const std::string *category, *name;
  int64_t begin, value;
};

// Of all events of one kind and name.
struct Total {
  Kind kind;
  const std::string *category, *name;
  int64_t count, sum, least, most;
};

// Adds an event of this thread, whether or not something is recorded. `counted`: what it adds to
// the totals, where that is not its value.
void add(Kind kind, std::string_view category, std::string_view name, int64_t begin, int64_t value);
void add(Kind kind, std::string_view category, std::string_view name, int64_t begin, int64_t value,
         int64_t counted);

struct Events {
  std::vector<Event> events;
  int64_t dropped;  // beyond kMaxEvents: these are in the totals alone
};
inline constexpr size_t kMaxEvents = size_t{1} << 22;

// What has been added, and then forgotten where `clear` is set. Safe from any thread.
Events events(bool clear);
std::vector<Total> totals(bool clear);

// Records the time from construction to destruction.
class Span {
 public:
  Span(std::string_view category, std::string name);
  ~Span();
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;

 private:
  std::string_view category_;
  std::string name_;
  int64_t begin_;
};

// That of an operator, or of a program of several, and the memory that arrays hold afterwards. One
// may run inside another: the totals count the time of each once.
class OperatorSpan {
 public:
  explicit OperatorSpan(std::string name);
  ~OperatorSpan();
  OperatorSpan(const OperatorSpan&) = delete;
  OperatorSpan& operator=(const OperatorSpan&) = delete;

  // The one that runs in this thread also computes these operators, before its own: "exp+relu".
  static void also(const std::string& operators);

 private:
  std::string name_;
  int64_t begin_, inside_ = 0;  // of the spans inside this one
  OperatorSpan* outer_;
};

}  // namespace mxtape::profile

#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include <dnnl.hpp>

// What every user of oneDNN needs: primitives that are made once for a shape and run from any
// thread. For ops/onednn*.cpp alone.
namespace mxtape::onednn {

const dnnl::engine& cpu();

// While it lives, oneDNN works with `count` threads where this thread calls it. A primitive must
// run with the number that it was made with. With one, inside our own parallel_for over pieces cut
// by size, the result's bits cannot depend on the number of threads.
class ThreadLimit {
 public:
  explicit ThreadLimit(int count);
  ~ThreadLimit();
  ThreadLimit(const ThreadLimit&) = delete;
  ThreadLimit& operator=(const ThreadLimit&) = delete;

 private:
  int before_;
};

// A dense row-major array of float32, or one with strides of its own.
dnnl::memory::desc row_major(const dnnl::memory::dims& dims);
dnnl::memory::desc strided(const dnnl::memory::dims& dims, const dnnl::memory::dims& strides);
// The same, in whatever order of elements suits the primitive best.
dnnl::memory::desc any_order(const dnnl::memory::dims& dims);

// One argument of a run: DNNL_ARG_SRC and the like. Arguments are not changed unless they are
// results.
struct Argument {
  int name;
  const void* data;
};

// A primitive whose scratch memory is the caller's, so that many threads may run it at a time.
class Primitive {
 public:
  Primitive() = default;
  template <class Description>
    requires requires(const Description& d) { d.scratchpad_desc(); }
  explicit Primitive(const Description& description)
      : primitive_(description.get()), scratch_(description.scratchpad_desc()) {}

  explicit operator bool() const { return static_cast<bool>(primitive_); }
  // How argument `name` lies in memory.
  dnnl::memory::desc desc(int name) const;
  void run(std::span<const Argument> arguments) const;
  void run(std::initializer_list<Argument> arguments) const {
    run(std::span(arguments.begin(), arguments.size()));
  }

 private:
  dnnl::primitive primitive_;
  dnnl::memory::desc scratch_;
};

// Attributes for primitives that are run as Primitive.
dnnl::primitive_attr caller_scratch();

// Copies an array into another order of its elements; empty when both are the same.
Primitive reorder(const dnnl::memory::desc& from, const dnnl::memory::desc& to);

// What a set of primitives was made for: a number of the maker's own, then all that it depends on.
using Key = std::vector<int64_t>;

// Numbers that tell the makers' keys apart.
enum Maker : int64_t { kConvolution, kPooling, kBatchNorm };

namespace detail {
// Held while primitives are made, so that no thread is in the middle of it when another forks.
std::mutex& making();
std::shared_ptr<const void> find(const Key& key);
void remember(const Key& key, std::shared_ptr<const void> made);
}  // namespace detail

// What make() returned for `key` before, or returns now. A bounded number is remembered, the one
// unused for longest is dropped first.
template <class Made, class Make>
std::shared_ptr<const Made> cached(const Key& key, Make&& make) {
  if (auto found = detail::find(key)) return std::static_pointer_cast<const Made>(found);
  const std::lock_guard lock(detail::making());
  auto made = std::make_shared<const Made>(make());
  detail::remember(key, made);
  return made;
}

}  // namespace mxtape::onednn

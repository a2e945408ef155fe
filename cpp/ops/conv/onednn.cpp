#include "ops/conv/onednn.h"

#ifdef MXTAPE_ONEDNN

#include <list>
#include <map>
#include <mutex>
#include <omp.h>
#include <unordered_map>

#include "core/at_fork.h"
#include "core/error.h"
#include "core/storage.h"
#include "ops/conv/convolution.h"
#include "ops/conv/onednn_primitive.h"

namespace mxtape::onednn {

bool enabled() {
  static const bool on = is_switched_on("MXTAPE_ONEDNN");
  return on;
}

const dnnl::engine& cpu() {
  // Never destroyed: threads may still run when the process ends.
  static const auto* const engine = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *engine;
}

ThreadLimit::ThreadLimit(int count) : before_(omp_get_max_threads()) { omp_set_num_threads(count); }
ThreadLimit::~ThreadLimit() { omp_set_num_threads(before_); }

dnnl::memory::desc strided(const dnnl::memory::dims& dims, const dnnl::memory::dims& strides) {
  return {dims, dnnl::memory::data_type::f32, strides};
}

dnnl::memory::desc row_major(const dnnl::memory::dims& dims) {
  dnnl::memory::dims strides(dims.size(), 1);
  for (size_t i = dims.size(); i-- > 1;) strides[i - 1] = strides[i] * dims[i];
  return strided(dims, strides);
}

dnnl::memory::desc any_order(const dnnl::memory::dims& dims) {
  return {dims, dnnl::memory::data_type::f32, dnnl::memory::format_tag::any};
}

dnnl::primitive_attr caller_scratch() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

dnnl::memory::desc Primitive::desc(int name) const {
  // The C++ classes have no such query for a primitive that has forgotten its kind.
  const_dnnl_memory_desc_t found =
      dnnl_primitive_desc_query_md(primitive_.get_primitive_desc(), dnnl_query_exec_arg_md, name);
  dnnl_memory_desc_t copy = nullptr;
  if (!found || dnnl_memory_desc_clone(&copy, found) != dnnl_success)
    fail("oneDNN: the primitive has no argument ", name);
  return dnnl::memory::desc(copy);
}

void Primitive::run(std::span<const Argument> arguments) const {
  static thread_local dnnl::stream stream(cpu());
  std::unordered_map<int, dnnl::memory> memories;
  for (const Argument& a : arguments)
    memories.emplace(a.name, dnnl::memory(desc(a.name), cpu(), const_cast<void*>(a.data)));
  Ref<Storage> scratch;
  if (const size_t size = scratch_.get_size()) {
    scratch = Storage::allocate(size);
    memories.emplace(DNNL_ARG_SCRATCHPAD, dnnl::memory(scratch_, cpu(), scratch->data()));
  }
  primitive_.execute(stream, memories);
}

Primitive reorder(const dnnl::memory::desc& from, const dnnl::memory::desc& to) {
  if (from == to) return {};
  return Primitive(dnnl::reorder::primitive_desc(cpu(), from, cpu(), to, caller_scratch()));
}

namespace detail {
namespace {

constexpr size_t kRemembered = 256;

struct Cache {
  struct Entry {
    Key key;
    std::shared_ptr<const void> made;
  };
  std::mutex mutex;
  std::list<Entry> entries;  // the last used first
  std::map<Key, std::list<Entry>::iterator> index;
};

Cache& cache() {
  static Cache* const cache = new Cache;  // never destroyed either
  return *cache;
}

// oneDNN has locks of its own, which it takes to make a primitive.
const ForkRegistration at_fork(AtFork::kPrimitives, {[] {
                                                       making().lock();
                                                       cache().mutex.lock();
                                                     },
                                                     [] {
                                                       cache().mutex.unlock();
                                                       making().unlock();
                                                     },
                                                     [] {
                                                       cache().mutex.unlock();
                                                       making().unlock();
                                                     }});

}  // namespace

std::mutex& making() {
  static auto* const mutex = new std::mutex;
  return *mutex;
}

std::shared_ptr<const void> find(const Key& key) {
  Cache& c = cache();
  const std::lock_guard lock(c.mutex);
  const auto at = c.index.find(key);
  if (at == c.index.end()) return nullptr;
  c.entries.splice(c.entries.begin(), c.entries, at->second);
  return at->second->made;
}

void remember(const Key& key, std::shared_ptr<const void> made) {
  Cache& c = cache();
  std::shared_ptr<const void> dropped;  // destroyed after the lock is given back
  const std::lock_guard lock(c.mutex);
  if (c.index.count(key)) return;
  c.entries.push_front({key, std::move(made)});
  c.index.emplace(key, c.entries.begin());
  if (c.entries.size() > kRemembered) {
    dropped = std::move(c.entries.back().made);
    c.index.erase(c.entries.back().key);
    c.entries.pop_back();
  }
}

}  // namespace detail
}  // namespace mxtape::onednn

#else

namespace mxtape::onednn {

bool enabled() { return false; }

}  // namespace mxtape::onednn

#endif

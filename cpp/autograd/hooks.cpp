#include "autograd/hooks.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "autograd/anomaly.h"
#include "autograd/backward.h"
#include "autograd/errors.h"
#include "autograd/recorder.h"
#include "core/error.h"

namespace mxtape::autograd {
namespace {

struct Hook {
  uint64_t number;
  uint32_t index;
  HookKind kind;
  Ref<GradientHook> hook;
};
struct Retained {
  uint32_t index;
  GradReq req;
  NDArray grad;
};
struct Hooks {
  std::vector<Hook> hooks;
  std::vector<Retained> retained;
};

// Never destroyed: nodes live to the very end.
std::unordered_map<const Node*, Hooks>& table() {
  static auto* const table = new std::unordered_map<const Node*, Hooks>;
  return *table;
}
uint64_t next_number = 1;
size_t complete_count = 0;

void uncount(const std::vector<Hook>& hooks) {
  for (const Hook& hook : hooks) complete_count -= hook.kind == HookKind::kComplete;
}

Retained* find_retained(const Node& node, uint32_t index) {
  const auto found = table().find(&node);
  if (found == table().end()) return nullptr;
  for (Retained& each : found->second.retained) {
    if (each.index == index) return &each;
  }
  return nullptr;
}

// Where the hook's code may write: into memory that no other gradient shares.
NDArray own(const NDArray& grad) {
  return grad.storage()->unique() ? grad : gradient_ops().copy(grad);
}

std::string place_text(const Node& node, uint32_t index) {
  if (node.is_leaf()) return "of a variable";
  return str_cat("of output ", index, " of ", node.name());
}

}  // namespace

uint64_t add_hook(Node& node, uint32_t index, HookKind kind, Ref<GradientHook> hook) {
  const uint64_t number = next_number++;
  table()[&node].hooks.push_back({number, index, kind, std::move(hook)});
  complete_count += kind == HookKind::kComplete;
  node.set_hooked(true);
  return number;
}

void remove_hook(uint64_t number) {
  for (auto& [node, entry] : table()) {
    for (size_t i = 0; i < entry.hooks.size(); ++i) {
      if (entry.hooks[i].number != number) continue;
      // Dropped last: that may run code which changes the table.
      const Hook gone = std::move(entry.hooks[i]);
      entry.hooks.erase(entry.hooks.begin() + static_cast<ptrdiff_t>(i));
      complete_count -= gone.kind == HookKind::kComplete;
      return;
    }
  }
}

void move_hooks(Node& from, Node& to) {
  if (!from.hooked() || &from == &to) return;
  auto entry = table().extract(&from);
  from.set_hooked(false);
  if (entry.empty()) return;
  table()[&to] = std::move(entry.mapped());
  to.set_hooked(true);
}

void retain_gradient(Node& node, uint32_t index, NDArray buffer, GradReq req) {
  node.set_hooked(true);
  NDArray before;  // dropped last
  if (Retained* retained = find_retained(node, index)) {
    retained->req = req;
    before = std::exchange(retained->grad, std::move(buffer));
  } else {
    table()[&node].retained.push_back({index, req, std::move(buffer)});
  }
}

NDArray retained_gradient(const Node& node, uint32_t index) {
  const Retained* retained = find_retained(node, index);
  return retained ? retained->grad : NDArray();
}

void drop_hooks(const Node& node) {
  const auto found = table().find(&node);
  if (found == table().end()) return;
  const std::vector<Hook> gone = std::move(found->second.hooks);
  found->second.hooks.clear();
  uncount(gone);
}

void forget_node(const Node& node) noexcept {
  const auto entry = table().extract(&node);
  if (!entry.empty()) uncount(entry.mapped().hooks);
}

size_t complete_hooks() { return complete_count; }

void run_hooks(const Node& node, uint32_t index, HookKind kind, NDArray& grad) {
  const auto found = table().find(&node);
  if (found == table().end()) return;
  // Copied: a hook may remove itself, and add others.
  std::vector<std::pair<uint64_t, Ref<GradientHook>>> hooks;
  for (const Hook& each : found->second.hooks) {
    if (each.index == index && each.kind == kind) hooks.emplace_back(each.number, each.hook);
  }
  for (const auto& [number, hook] : hooks) {
    grad = own(grad);
    NDArray made = hook->run(grad);
    if (!made.defined()) continue;
    if (kind == HookKind::kComplete) {
      fail("the hook ", hook->text(), " on the complete gradient ", place_text(node, index),
           " of shape ", grad.shape(),
           " returned an array. It must return None: to replace a gradient, use "
           "register_gradient_hook()");
    }
    if (made.shape() != grad.shape() || made.dtype() != grad.dtype()) {
      fail("the hook ", hook->text(), " on the gradient ", place_text(node, index),
           " returned an array of shape ", made.shape(), " and dtype ", made.dtype(),
           ", the gradient has ", grad.shape(), " and ", grad.dtype(), node.where());
    }
    grad = std::move(made);
  }
}

bool retains_gradient(const Node& node, uint32_t index) {
  return find_retained(node, index) != nullptr;
}

void write_retained(const Node& node, uint32_t index, NDArray value) {
  const Retained* retained = find_retained(node, index);
  if (!retained) return;
  NDArray buffer =
      written_gradient(NDArray(retained->grad), retained->req, std::move(value).detached());
  if (!buffer.defined()) return;
  // Other code may have run.
  if (Retained* now = find_retained(node, index)) std::swap(now->grad, buffer);
}

NDArray written_gradient(const NDArray& buffer, GradReq req, NDArray value) {
  if (req == GradReq::kAdd) {
    gradient_ops().add_in_place(buffer, std::move(value));
    return NDArray();
  }
  if (buffer.owns_memory() && value.owns_memory() && !value.storage()->deferred() &&
      buffer.storage()->form() == Form::kDense) {
    // Nobody can tell one buffer from another.
    value.storage()->set_device(buffer.storage()->device());
    return value.detached();
  }
  gradient_ops().copy_into(buffer, std::move(value));
  return NDArray();
}

// ---- saved arrays

namespace {

// What a storage of the form kPacked is made of.
class Packed final : public RefCounted {
 public:
  Packed(Ref<SavedHooks> hooks, Ref<RefCounted> object, Shape shape, DType dtype)
      : hooks(std::move(hooks)), object(std::move(object)), shape(std::move(shape)), dtype(dtype) {}
  Ref<SavedHooks> hooks;
  Ref<RefCounted> object;
  Shape shape;
  DType dtype;
};

// The hooks of a block, and what they have packed last: an operator saves what the one before it
// has saved. The arrays are held so that no others can lie in their places.
struct SavedBlock {
  struct Done {
    Ref<Storage> storage;
    uint32_t version;
    int64_t byte_offset;
    Shape shape;
    DType dtype;
    Ref<Storage> packed;
  };
  static constexpr size_t kDone = 4;

  Ref<SavedHooks> hooks;
  std::vector<Done> done;
  size_t next = 0;

  Ref<Storage> find(const Saved& saved) const {
    for (const Done& each : done) {
      if (each.storage == saved.storage && each.version == saved.version &&
          each.byte_offset == saved.byte_offset && each.shape == saved.shape &&
          each.dtype == saved.dtype) {
        return each.packed;
      }
    }
    return {};
  }
  // What it returns is to be dropped when this block may have gone.
  Done add(Done now) {
    if (done.size() < kDone) {
      done.push_back(std::move(now));
      return {};
    }
    return std::exchange(done[next++ % kDone], std::move(now));
  }
};

// A pointer: a thread may end without the lock that the hooks need to go.
thread_local constinit std::vector<SavedBlock>* saved_hooks = nullptr;
thread_local constinit UnpackScope* unpacking = nullptr;

NDArray got_back(const Packed& packed, std::string_view what) {
  const StateScope quiet(false, is_training());
  NDArray array = packed.hooks->unpack(*packed.object);
  if (!array.defined() || array.shape() != packed.shape || array.dtype() != packed.dtype) {
    fail("saved_arrays_hooks: unpack returned an array of ",
         array.defined() ? spec_text(array.shape(), array.dtype()) : "no memory", " for ", what,
         ", which was packed as ", spec_text(packed.shape, packed.dtype));
  }
  return array.storage()->form() == Form::kPacked ? unpacked(array) : array;
}

// A view of memory that has come back into its storage.
NDArray dense_view(const Ref<Storage>& storage, int64_t offset, const Shape& shape, DType dtype) {
  char* data = storage->data();
  auto* owner = new Ref<Storage>(storage);
  auto memory = Storage::borrow(
      data, storage->nbytes(), [](void* owner) { delete static_cast<Ref<Storage>*>(owner); },
      owner);
  return NDArray(std::move(memory), offset, shape, dtype);
}

// Somebody asks for the memory itself.
void compute_packed(Storage& storage) {
  const Ref<RefCounted> source(storage.source());
  const NDArray array = gradient_ops().copy(
      got_back(static_cast<const Packed&>(*source), "an array that was saved").detached());
  array.storage()->materialize();
  if (storage.deferred()) storage.resolve(array.storage());
}

}  // namespace

void update_packs() {
  thread_mode().packs = (saved_hooks && !saved_hooks->empty()) || anomaly_mode().forward;
}

void push_saved_hooks(Ref<SavedHooks> hooks) {
  Storage::set_compute(Form::kPacked, compute_packed);
  if (!saved_hooks) saved_hooks = new std::vector<SavedBlock>;
  saved_hooks->push_back({std::move(hooks), {}});
  update_packs();
}

void pop_saved_hooks() {
  if (!saved_hooks || saved_hooks->empty()) fail("saved_arrays_hooks: this thread has none");
  const SavedBlock gone = std::move(saved_hooks->back());
  saved_hooks->pop_back();
  if (saved_hooks->empty()) delete std::exchange(saved_hooks, nullptr);
  update_packs();
}

void pack(Saved& saved) {
  if (!saved.storage || !saved_hooks || is_packed(saved)) return;
  const size_t depth = saved_hooks->size();
  const Ref<SavedHooks> hooks = saved_hooks->back().hooks;
  SavedBlock::Done gone;
  Ref<Storage> storage = saved_hooks->back().find(saved);
  if (!storage) {
    Ref<RefCounted> object;
    {
      const StateScope quiet(false, is_training());
      object = hooks->pack(saved.array());
    }
    storage =
        Storage::special(Form::kPacked, saved.array().nbytes(),
                         make_ref<Packed>(hooks, std::move(object), saved.shape, saved.dtype));
    storage->set_device(saved.storage->device());
    if (saved_hooks && saved_hooks->size() == depth && saved_hooks->back().hooks == hooks) {
      gone = saved_hooks->back().add(
          {saved.storage, saved.version, saved.byte_offset, saved.shape, saved.dtype, storage});
    }
  }
  if (saved.deferred) saved.storage->saves().fetch_sub(1, std::memory_order_relaxed);
  saved.deferred = false;
  saved.byte_offset = 0;
  saved.version = storage->version();
  saved.storage = std::move(storage);
}

bool is_stale_packed(const Saved& saved) {
  if (!saved.storage->deferred()) return false;
  const auto& packed = static_cast<const Packed&>(*saved.storage->source());
  return packed.hooks->stale(*packed.object);
}

NDArray unpack(const Saved& saved, std::string_view what) {
  const Ref<Storage> storage = saved.storage;
  if (!storage->deferred()) return dense_view(storage, saved.byte_offset, saved.shape, saved.dtype);
  if (unpacking) {
    for (const auto& [known, array] : unpacking->known_) {
      if (known == storage) return array;
    }
  }
  const Ref<RefCounted> source(storage->source());
  NDArray array = got_back(static_cast<const Packed&>(*source), what).detached();
  if (unpacking) unpacking->known_.emplace_back(storage, array);
  return array;
}

NDArray unpacked(const NDArray& array) {
  NDArray made = dense_view(array.storage(), array.byte_offset(), array.shape(), array.dtype());
  made.set_edge(Ref<RefCounted>(array.edge_node()), array.edge_index());
  return made;
}

UnpackScope::UnpackScope() : outer_(std::exchange(unpacking, this)) {}
UnpackScope::~UnpackScope() { unpacking = outer_; }

}  // namespace mxtape::autograd

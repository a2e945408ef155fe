#pragma once

#include <optional>
#include <string>
#include <vector>

#include "autograd/node.h"

// What a program has hung on places of the tape. It lies in a table beside the tape, which is
// looked at where Node::hooked() is set. The interpreter's lock guards it, as it does the nodes.
namespace mxtape::autograd {

class GradientHook : public RefCounted {
 public:
  // What the gradient is from here on; undefined where it stays what it was.
  virtual NDArray run(const NDArray& grad) = 0;
  // What messages call it.
  virtual std::string text() const = 0;
};

// The gradient of an output of a node, or that of a variable once no more can arrive.
enum class HookKind : uint8_t { kGradient, kComplete };

// A number by which the hook can be removed. Hooks run in the order in which they were added.
uint64_t add_hook(Node& node, uint32_t index, HookKind kind, Ref<GradientHook> hook);
// Also of one that has gone.
void remove_hook(uint64_t number);
// A variable that another takes the place of.
void move_hooks(Node& from, Node& to);
// Where the gradient of an output is to be kept.
void retain_gradient(Node& node, uint32_t index, NDArray buffer, GradReq req);
// Undefined where it is not.
NDArray retained_gradient(const Node& node, uint32_t index);
// Of a node whose graph is freed; what has been retained stays.
void drop_hooks(const Node& node);
// Of one that is on its way out.
void forget_node(const Node& node) noexcept;
// How many hooks of this kind there are: without any, nobody counts what arrives at variables.
size_t complete_hooks();

// Runs those of one kind over `grad`, which they may replace.
void run_hooks(const Node& node, uint32_t index, HookKind kind, NDArray& grad);
// Whether backward is to keep the gradient of this output.
bool retains_gradient(const Node& node, uint32_t index);
void write_retained(const Node& node, uint32_t index, NDArray value);

// Puts `value` into a gradient buffer as `req` says. If nobody can tell one from the other, it is
// to become the buffer: then it is returned.
NDArray written_gradient(const NDArray& buffer, GradReq req, NDArray value);

// What the tape saves, put elsewhere and got back.
class SavedHooks : public RefCounted {
 public:
  virtual Ref<RefCounted> pack(const NDArray& array) = 0;
  virtual NDArray unpack(RefCounted& packed) = 0;
  // Whether what was packed is an array that has been written to since.
  virtual bool stale(const RefCounted& packed) const = 0;
};
// Those of this thread, innermost last; Mode::packs says whether there are any.
void push_saved_hooks(Ref<SavedHooks> hooks);
void pop_saved_hooks();

// Puts what the newest of the thread's hooks makes of it in the place of the memory.
void pack(Saved& saved);
inline bool is_packed(const Saved& saved) {
  return saved.storage && saved.storage->form() == Form::kPacked;
}
bool is_stale_packed(const Saved& saved);
// The array, by the hooks that packed it; `what` names it in messages.
NDArray unpack(const Saved& saved, std::string_view what);
// An array without a tape, of memory of the form kPacked.
NDArray unpacked(const NDArray& array);

// While it lives, what is unpacked twice is got back once.
class UnpackScope {
 public:
  UnpackScope();
  ~UnpackScope();
  UnpackScope(const UnpackScope&) = delete;
  UnpackScope& operator=(const UnpackScope&) = delete;

 private:
  friend NDArray unpack(const Saved& saved, std::string_view what);
  std::vector<std::pair<Ref<Storage>, NDArray>> known_;
  UnpackScope* outer_;
};

}  // namespace mxtape::autograd

#include "autograd/node.h"

#include <atomic>
#include <utility>

#include "autograd/backward.h"
#include "autograd/hooks.h"
#include "core/error.h"

namespace mxtape::autograd {
namespace {

std::atomic<uint64_t> next_number{1};
SiteHooks site_hooks;
// What drop_later() was given. A pointer: a thread may end without the lock that sites need.
thread_local constinit std::vector<Ref<Node>>* left = nullptr;
StaleMode stale_mode = StaleMode::kOff;
void (*stale_warn)(const std::string&) = nullptr;

}  // namespace

void set_site_hooks(const SiteHooks& hooks) { site_hooks = hooks; }

Node::Node(bool is_leaf)
    : number_(next_number.fetch_add(1, std::memory_order_relaxed)), is_leaf_(is_leaf) {
  if (site_hooks.capture && !is_leaf) site_ = site_hooks.capture();
}

Node::~Node() {
  if (hooked_) forget_node(*this);
  if (site_.code) site_hooks.release(site_);
}

void Node::dispose() noexcept {
  // The dead wait on a list linked through nothing but this vector, emptied by the outermost call.
  thread_local std::vector<Node*>* pending = nullptr;
  if (pending) {
    pending->push_back(this);
    return;
  }
  std::vector<Node*> list;
  pending = &list;
  delete std::exchange(left, nullptr);
  destroy();
  while (!list.empty()) {
    Node* node = list.back();
    list.pop_back();
    node->destroy();
  }
  pending = nullptr;
}

void drop_later(std::vector<Ref<Node>> nodes) {
  if (!left) left = new std::vector<Ref<Node>>;
  for (Ref<Node>& node : nodes) left->push_back(std::move(node));
}

std::string Node::where() const {
  if (!site_.code || !site_hooks.describe) return "";
  return " (recorded at " + site_hooks.describe(site_) + ")";
}

void mark_variable(NDArray& array, NDArray grad, GradReq req) {
  if (req != GradReq::kNull && (grad.shape() != array.shape() || grad.dtype() != array.dtype())) {
    fail("mark_variables: the gradient buffer has shape ", grad.shape(), " and dtype ",
         grad.dtype(), ", the variable ", array.shape(), " and ", array.dtype());
  }
  array.set_edge(make_ref<LeafNode>(std::move(grad), array.shape(), array.dtype(), req), 0);
}

void set_stale_mode(StaleMode mode, void (*warn)(const std::string&)) {
  stale_mode = mode;
  stale_warn = warn;
}

void report_stale(const Node& node, std::string_view which) {
  if (stale_mode == StaleMode::kOff) return;
  const std::string message =
      str_cat(which, " was saved for the gradient, and its memory was changed in place since");
  // Who runs the node says which it is, and where it was recorded.
  if (stale_mode == StaleMode::kError) throw Error(message);
  if (stale_warn) {
    stale_warn(str_cat(node.name(), ": ", message, node.where(),
                       "; the gradient is computed from the changed values"));
  }
}

}  // namespace mxtape::autograd

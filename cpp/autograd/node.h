#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/ndarray.h"
#include "core/ref.h"

namespace mxtape::autograd {

class Node;

// Points from a node to what made one of its inputs. Empty for an input that is not on the tape.
struct Edge {
  Ref<Node> node;
  uint32_t index = 0;
};

// Where the user's program recorded a node: a counted object of the host language and a position.
struct Site {
  void* code = nullptr;
  int32_t position = 0;
};

// How the host language tells where it is. Without one, nodes have no site.
struct SiteHooks {
  Site (*capture)() = nullptr;
  void (*release)(Site) = nullptr;
  std::string (*describe)(Site) = nullptr;
};
void set_site_hooks(const SiteHooks& hooks);

class VjpCall;

// One recorded step of a computation. Numbers grow with time and edges point to smaller numbers
// only: the order in which to run backward is known without counting dependencies, and nothing is
// cyclic.
class Node : public RefCounted {
 public:
  uint64_t number() const { return number_; }
  virtual std::string_view name() const = 0;
  virtual std::span<Edge> edges() = 0;
  virtual uint32_t output_count() const = 0;
  // Shape and dtype of an output where the node knows them: false otherwise.
  virtual bool output_meta(uint32_t index, Shape& shape, DType& dtype) const {
    (void)index, (void)shape, (void)dtype;
    return false;
  }
  // The same of an input.
  virtual bool input_meta(uint32_t index, Shape& shape, DType& dtype) {
    const Edge& edge = edges()[index];
    return edge.node && edge.node->output_meta(edge.index, shape, dtype);
  }
  // Gives call.grad(i, ...) for the inputs that call.needs(i).
  virtual void vjp(VjpCall& call) = 0;
  // Drops what was saved, and the edges.
  virtual void release() = 0;
  bool released() const { return released_; }
  bool is_leaf() const { return is_leaf_; }
  // Whether a program watches the gradients that arrive here.
  bool hooked() const { return hooked_; }
  void set_hooked(bool hooked) { hooked_ = hooked; }
  // " (recorded at file.py:12)", or "".
  std::string where() const;

 protected:
  explicit Node(bool is_leaf = false);
  ~Node() override;
  // Frees a chain of nodes with a loop where plain destructors would recurse.
  void dispose() noexcept override;
  virtual void destroy() noexcept { delete this; }
  void mark_released() { released_ = true; }

 private:
  uint64_t number_;
  Site site_;
  bool released_ = false;
  bool is_leaf_;
  bool hooked_ = false;
};

enum class GradReq : uint8_t { kNull = 0, kWrite = 1, kAdd = 3 };

// A variable: what attach_grad and mark_variables make of an array.
class LeafNode final : public Node {
 public:
  LeafNode(NDArray grad, Shape shape, DType dtype, GradReq req)
      : Node(true), grad_(std::move(grad)), shape_(std::move(shape)), dtype_(dtype), req_(req) {}

  const NDArray& grad() const { return grad_; }
  void replace_grad(NDArray grad) { grad_ = std::move(grad); }
  GradReq req() const { return req_; }
  // Whether backward has written the gradient since the program last said that it has used it.
  bool fresh() const { return fresh_; }
  void set_fresh(bool fresh) { fresh_ = fresh; }

  std::string_view name() const override { return "variable"; }
  std::span<Edge> edges() override { return {}; }
  uint32_t output_count() const override { return 1; }
  bool output_meta(uint32_t, Shape& shape, DType& dtype) const override {
    shape = shape_;
    dtype = dtype_;
    return true;
  }
  void vjp(VjpCall&) override {}
  void release() override {}

 private:
  NDArray grad_;
  Shape shape_;
  DType dtype_;
  GradReq req_;
  bool fresh_ = false;
};

inline Node* node_of(const NDArray& array) { return static_cast<Node*>(array.edge_node()); }
// An array whose graph has been freed is a constant to whatever is computed from it.
inline bool on_tape(const NDArray& array) {
  const Node* node = node_of(array);
  return node && !node->released();
}
inline Edge edge_of(const NDArray& array) {
  if (!on_tape(array)) return {};
  return {Ref<Node>(node_of(array)), array.edge_index()};
}

inline LeafNode* leaf_of(const NDArray& array) {
  Node* node = node_of(array);
  return node && node->is_leaf() ? static_cast<LeafNode*>(node) : nullptr;
}

// Hangs `array` on a new variable with the gradient buffer `grad`, which has its shape.
void mark_variable(NDArray& array, NDArray grad, GradReq req);

// What a node saves of an array: the data without its edge, or, with no storage, its shape alone.
struct Saved {
  Ref<Storage> storage;
  int64_t byte_offset = 0;
  Shape shape;
  DType dtype = DType::kFloat32;
  bool deferred = false;  // when it was saved: it is among the storage's saves()
  uint32_t version = 0;

  static Saved data(const NDArray& array) {
    Saved saved(array.shape(), array.dtype());
    saved.storage = array.storage();
    saved.byte_offset = array.byte_offset();
    saved.version = saved.storage->version();
    saved.storage->set_saved();
    saved.deferred = saved.storage->deferred();
    if (saved.deferred) saved.storage->saves().fetch_add(1, std::memory_order_relaxed);
    return saved;
  }
  static Saved meta(const NDArray& array) { return {array.shape(), array.dtype()}; }
  Saved(Saved&&) = default;
  Saved& operator=(Saved&&) = delete;
  ~Saved() {
    if (deferred && storage) storage->saves().fetch_sub(1, std::memory_order_relaxed);
  }

  bool stale() const {
    const auto begin = static_cast<size_t>(byte_offset);
    return storage && storage->version() != version &&
           storage->written_since(version, begin, begin + array().nbytes());
  }
  NDArray array() const { return NDArray(storage, byte_offset, shape, dtype); }

 private:
  Saved(const Shape& shape, DType dtype) : shape(shape), dtype(dtype) {}
};

// Raises, warns or keeps silent about a saved array that was changed in place since.
void report_stale(const Node& node, std::string_view which);
enum class StaleMode { kWarn, kError, kOff };
void set_stale_mode(StaleMode mode, void (*warn)(const std::string& message));

}  // namespace mxtape::autograd

#pragma once

#include <span>
#include <vector>

#include "autograd/node.h"
#include "core/small_vector.h"

namespace mxtape::autograd {

// The few array operations that the executor itself needs; the operator layer supplies them,
// recorded where recording is on.
struct GradientOps {
  NDArray (*add)(const NDArray& a, const NDArray& b) = nullptr;
  NDArray (*copy)(const NDArray& value) = nullptr;
  // These take the handle: a value that waits and that nobody else holds goes to the target alone.
  void (*add_in_place)(const NDArray& target, NDArray value) = nullptr;
  void (*copy_into)(const NDArray& target, NDArray value) = nullptr;
  NDArray (*fill_like)(const Shape& shape, DType dtype, double value) = nullptr;
  // `value` as a recorded function, constant, of `variable`.
  NDArray (*tie)(const NDArray& value, const NDArray& variable) = nullptr;
};
void set_gradient_ops(const GradientOps& ops);
const GradientOps& gradient_ops();

// What a long sweep calls now and then: lets other threads run, and throws where the program is to
// be interrupted.
void set_interruption(void (*poll)());
// Keeps nodes until this thread drops another: who interrupts a sweep does not wait for millions.
void drop_later(std::vector<Ref<Node>> nodes);

// What one step of the reverse sweep hands to Node::vjp: the head gradients in, the input gradients
// out.
class VjpCall {
 public:
  VjpCall(Node& node, std::span<NDArray> heads, bool create_graph);

  Node& node() const { return node_; }
  bool create_graph() const { return create_graph_; }
  bool has_head(size_t i) const { return heads_[i].defined(); }
  // The summed gradient of output i; undefined when nothing flowed into it.
  const NDArray& head(size_t i) const { return heads_[i]; }
  // The same; the call has none afterwards.
  NDArray take_head(size_t i) { return std::move(heads_[i]); }
  bool needs(size_t i) const { return needs_[i]; }
  void set_needs(size_t i, bool value) { needs_[i] = value; }
  void grad(size_t i, NDArray value) { grads_[i] = std::move(value); }
  NDArray& result(size_t i) { return grads_[i]; }

 private:
  Node& node_;
  std::span<NDArray> heads_;
  bool create_graph_;
  SmallVector<bool, 8> needs_;
  SmallVector<NDArray, 4> grads_;
};

struct BackwardOptions {
  bool retain_graph = false;
  bool create_graph = false;
  bool train_mode = true;
};

// Gradients of the heads, weighted by head_grads (undefined entries mean ones), summed into the
// buffers of the variables that the tape reaches. Nothing is written when it fails. `written`: the
// buffers, in the order in which the variables were made.
void backward(std::span<const NDArray> heads, std::span<const NDArray> head_grads,
              const BackwardOptions& options, std::vector<NDArray>* written = nullptr);

// The same, returned for `variables` instead of written, each in memory of its own; zeros where no
// gradient flowed. They may be results in the graph.
std::vector<NDArray> grad(std::span<const NDArray> heads, std::span<const NDArray> head_grads,
                          std::span<const NDArray> variables, const BackwardOptions& options);

}  // namespace mxtape::autograd

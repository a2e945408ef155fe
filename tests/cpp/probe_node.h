#pragma once

#include <atomic>
#include <functional>
#include <utility>
#include <vector>

#include "autograd/backward.h"
#include "autograd/node.h"

namespace mxtape::test {

// A node whose gradient a test writes, counted while it lives.
class ProbeNode final : public autograd::Node {
 public:
  using VjpFunction = std::function<void(autograd::VjpCall&)>;
  static inline std::atomic<int> alive{0};

  ProbeNode(Arrays inputs, uint32_t outputs, VjpFunction vjp)
      : outputs_(outputs), vjp_(std::move(vjp)) {
    for (const NDArray& input : inputs) edges_.push_back(autograd::edge_of(input));
    ++alive;
  }

  std::string_view name() const override { return "probe"; }
  std::span<autograd::Edge> edges() override { return edges_; }
  uint32_t output_count() const override { return outputs_; }
  void vjp(autograd::VjpCall& call) override { vjp_(call); }
  void release() override {
    mark_released();
    edges_.clear();
  }

 private:
  ~ProbeNode() override { --alive; }

  uint32_t outputs_;
  VjpFunction vjp_;
  std::vector<autograd::Edge> edges_;
};

// A copy of `value` that hangs on a new probe over `inputs`. By default its gradient is the head's.
inline NDArray probe(
    std::initializer_list<NDArray> inputs, const NDArray& value,
    ProbeNode::VjpFunction vjp = [](autograd::VjpCall& call) { call.grad(0, call.head(0)); }) {
  NDArray out = value.detached();
  out.set_edge(make_ref<ProbeNode>(Arrays(inputs.begin(), inputs.size()), 1, std::move(vjp)), 0);
  return out;
}

}  // namespace mxtape::test

#pragma once

#include <memory>
#include <utility>

#include "autograd/node.h"
#include "op/schema.h"

namespace mxtape {

// A recorded operator call. One allocation: the node, its edges, then what it saved.
class OpNode final : public autograd::Node {
 public:
  static constexpr size_t kMaxArrays = 32767;
  static Ref<OpNode> record(const OpSchema& op, Inputs inputs, Arrays outputs,
                            const ParamsRef& params, Mode mode);
  // Has the thread's hooks put elsewhere what was saved.
  void pack();
  // What a call that was not recorded would have saved of an array: its shape, as an array without
  // memory, and its data or not.
  struct Kept {
    const NDArray* shape = nullptr;
    const autograd::Saved* data = nullptr;
  };
  // The node of such a call, from what it saves in the order of inputs and outputs.
  static Ref<OpNode> rebuild(const OpSchema& op, std::span<const autograd::Edge> inputs,
                             size_t outputs, std::span<const Kept> kept, const ParamsRef& params,
                             Mode mode);

  const OpSchema& op() const { return *op_; }
  const ParamsRef& params() const { return params_; }
  Mode mode() const { return mode_; }
  size_t input_count() const { return input_count_; }
  autograd::Saved* saved_input(size_t i);
  autograd::Saved* saved_output(size_t i);

  std::string_view name() const override { return op_->name; }
  std::span<autograd::Edge> edges() override {
    return {edge_data(), released() ? size_t{0} : input_count_};
  }
  uint32_t output_count() const override { return output_count_; }
  bool output_meta(uint32_t index, Shape& shape, DType& dtype) const override;
  bool input_meta(uint32_t index, Shape& shape, DType& dtype) override;
  void vjp(autograd::VjpCall& call) override;
  void release() override;

 private:
  friend class PassingNode;
  OpNode(const OpSchema& op, size_t inputs, size_t outputs, size_t saved, const ParamsRef& params,
         Mode mode, bool single_sweep = false)
      : Node(single_sweep),
        mode_(mode),
        op_(&op),
        params_(params),
        input_count_(static_cast<uint16_t>(inputs)),
        output_count_(static_cast<uint16_t>(outputs)),
        saved_count_(static_cast<uint16_t>(saved)) {}
  ~OpNode() override { release(); }
  void destroy() noexcept override;

  void save(std::span<const Kept> kept);
  void run_vjp(autograd::VjpCall& call);

  autograd::Edge* edge_data() { return reinterpret_cast<autograd::Edge*>(this + 1); }
  autograd::Saved* saved_data() {
    return reinterpret_cast<autograd::Saved*>(edge_data() + input_count_);
  }

  Mode mode_;  // lies in what is left of Node's last word
  const OpSchema* op_;
  ParamsRef params_;
  uint16_t input_count_, output_count_, saved_count_;
};

// Nodes of calls that were not recorded, one after the other in the same memory: for a sweep that
// needs each but once. They are on no tape and have no site.
class PassingNode {
 public:
  PassingNode() = default;
  PassingNode(const PassingNode&) = delete;
  PassingNode& operator=(const PassingNode&) = delete;
  ~PassingNode() { clear(); }

  OpNode& make(const OpSchema& op, size_t inputs, size_t outputs,
               std::span<const OpNode::Kept> kept, const ParamsRef& params, Mode mode);
  void clear() {
    if (OpNode* node = std::exchange(node_, nullptr)) node->~OpNode();
  }

 private:
  std::unique_ptr<std::byte[]> memory_;
  size_t capacity_ = 0;
  OpNode* node_ = nullptr;
};

}  // namespace mxtape

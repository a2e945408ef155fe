#pragma once

#include <optional>

#include "autograd/forward.h"
#include "op/functional.h"
#include "op/op_node.h"

// How operators push tangents forward: by what they declare, linear(...) or tangent(...), or as
// pointwise functions. What has no rule is left to autograd/forward.h.
namespace mxtape {

// A rule's view of a recorded call: what was saved, the inputs' tangents, the results.
class TangentCall {
 public:
  TangentCall(OpNode& node, autograd::PushCall& call);

  const OpSchema& op() const { return node_.op(); }
  const ParamsRef& params() const { return node_.params(); }
  template <class P>
  const P& params() const {
    return node_.params()->as<P>();
  }
  size_t input_count() const { return node_.input_count(); }
  bool has_tangent(size_t i) const { return call_.tangents()[i].defined(); }
  // That of input i; zeros where it has none and its shape was saved.
  NDArray tangent(size_t i) const;
  // Saved arrays, as in a gradient.
  NDArray input(size_t i) const { return saved_.input(i); }
  NDArray output(size_t i = 0) const { return saved_.output(i); }
  Shape input_shape(size_t i) const;
  void result(size_t i, NDArray tangent) { call_.results()[i] = std::move(tangent); }
  // The gradient of input 0 for the head gradient `head`.
  NDArray gradient(NDArray head);
  bool create_graph() const { return call_.create_graph(); }
  // The operator itself, of other inputs; its outputs are the results.
  void apply(Arrays inputs, const ParamsRef& params);

 private:
  OpNode& node_;
  autograd::PushCall& call_;
  SmallVector<NDArray, 1> no_heads_;
  autograd::VjpCall vjp_call_;
  Vjp saved_;
};

// The rule of operators that are linear in all of their inputs together, as joining arrays is.
void joint_tangent(TangentCall& call);
// Of sums of their inputs.
void sum_tangent(TangentCall& call);
// Of functions of one array whose Jacobian is symmetric: it pushes what the gradient pulls.
void symmetric_tangent(TangentCall& call);
// Of layers of data, weight and perhaps a bias, which is added to a product of the others.
void affine_tangent(TangentCall& call, const ParamsRef& without_bias);
// The same where the parameter no_bias says which.
template <class P>
void layer_tangent(TangentCall& call) {
  P params = call.params<P>();
  params.no_bias = true;
  affine_tangent(call, make_params(std::move(params)));
}

void install_push_rules();

}  // namespace mxtape

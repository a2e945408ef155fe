#include "op/tangent.h"

#include <algorithm>

#include "core/error.h"
#include "op/sparse.h"

namespace mxtape {

using autograd::PushCall;

TangentCall::TangentCall(OpNode& node, PushCall& call)
    : node_(node), call_(call), vjp_call_(node, {}, call.create_graph()), saved_(node, vjp_call_) {}

Shape TangentCall::input_shape(size_t i) const {
  return has_tangent(i) ? call_.tangents()[i].shape() : saved_.input_shape(i);
}

NDArray TangentCall::tangent(size_t i) const {
  if (has_tangent(i)) return call_.tangents()[i];
  return full(saved_.input_shape(i), saved_.input_dtype(i), 0);
}

void TangentCall::apply(Arrays inputs, const ParamsRef& params) {
  Outputs outputs;
  invoke(op(), inputs, params, outputs);
  for (size_t i = 0; i < outputs.size(); ++i) result(i, std::move(outputs[i]));
}

void joint_tangent(TangentCall& call) {
  SmallVector<NDArray, 4> inputs;
  for (size_t i = 0; i < call.input_count(); ++i) inputs.push_back(call.tangent(i));
  call.apply(Arrays(inputs), call.params());
}

void sum_tangent(TangentCall& call) {
  SmallVector<NDArray, 4> inputs;
  for (size_t i = 0; i < call.input_count(); ++i) {
    if (call.has_tangent(i)) inputs.push_back(call.tangent(i));
  }
  call.apply(Arrays(inputs), call.params());
}

NDArray TangentCall::gradient(NDArray head) {
  autograd::VjpCall vjp(node_, {&head, 1}, create_graph());
  vjp.set_needs(0, true);
  node_.vjp(vjp);
  return std::move(vjp.result(0));
}

void symmetric_tangent(TangentCall& call) { call.result(0, call.gradient(call.tangent(0))); }

void affine_tangent(TangentCall& call, const ParamsRef& without_bias) {
  // The first product takes the bias's tangent along.
  bool bias = call.input_count() > 2 && call.has_tangent(2);
  NDArray sum;
  const auto add = [&](const NDArray& data, const NDArray& weight) {
    NDArray product = bias ? invoke(call.op(), {data, weight, call.tangent(2)}, call.params())
                           : invoke(call.op(), {data, weight}, without_bias);
    bias = false;
    autograd::accumulate(sum, std::move(product), call.create_graph());
  };
  if (call.has_tangent(0)) add(call.tangent(0), call.input(1));
  if (call.has_tangent(1)) add(call.input(0), call.tangent(1));
  if (bias) add(fn::zeros_like(call.input(0)), call.input(1));
  call.result(0, std::move(sum));
}

namespace {

bool linear_in_all(const OpSchema& op, const PushCall& call) {
  for (size_t i = 0; i < call.tangents().size(); ++i) {
    if (call.tangents()[i].defined() && !(i < 32 && op.linear >> i & 1)) return false;
  }
  return true;
}

// The tangent of input i in the storage type of the input: parameters may ask for that.
NDArray stored_as_input(const NDArray& tangent, OpNode& node, size_t i) {
  const autograd::Saved* saved = node.saved_input(i);
  if (!saved || !saved->storage || !is_sparse(saved->storage->form())) return tangent;
  return cast_storage(tangent, storage_type(saved->array()));
}

// The sum over the inputs that move of the operator with a tangent in the place of the input.
void push_linear(OpNode& node, PushCall& call) {
  TangentCall view(node, call);
  SmallVector<NDArray, 2> sums;
  sums.resize(call.results().size());
  for (size_t i = 0; i < view.input_count(); ++i) {
    if (!view.has_tangent(i)) continue;
    SmallVector<NDArray, 4> inputs;
    for (size_t k = 0; k < view.input_count(); ++k) {
      inputs.push_back(k == i ? stored_as_input(call.tangents()[i], node, i) : view.input(k));
    }
    view.apply(Arrays(inputs), view.params());
    for (size_t k = 0; k < sums.size(); ++k) {
      NDArray& made = call.results()[k];
      if (!made.defined()) continue;
      autograd::accumulate(sums[k], std::exchange(made, NDArray()), call.create_graph());
    }
  }
  for (size_t k = 0; k < sums.size(); ++k) call.results()[k] = std::move(sums[k]);
}

// The shape of a pointwise call's output. An input whose shape was not saved has that of the
// output.
Shape pointwise_shape(OpNode& node, const PushCall& call) {
  Shape shape;
  DType dtype;
  if (node.output_meta(0, shape, dtype)) return shape;
  Ints dims;
  const auto widen = [&dims](const Shape& other) {
    const auto ndim = static_cast<size_t>(other.ndim());
    if (dims.size() < ndim) dims.insert(dims.begin(), ndim - dims.size(), 1);
    for (size_t k = 0; k < ndim; ++k) {
      int64_t& extent = dims[dims.size() - ndim + k];
      if (extent == 1) extent = other[static_cast<int>(k)];
    }
  };
  for (size_t i = 0; i < node.input_count(); ++i) {
    if (call.tangents()[i].defined()) {
      widen(call.tangents()[i].shape());
    } else if (const autograd::Saved* saved = node.saved_input(i)) {
      widen(saved->shape);
    }
  }
  return Shape(dims);
}

NDArray spread(const NDArray& x, const Shape& shape) {
  return x.shape() == shape ? x : broadcast_to(x, shape);
}

// The node with every saved input repeated to the shape of the output: its gradients are not summed
// then.
Ref<OpNode> spread_node(OpNode& node, const PushCall& call, const Shape& shape) {
  autograd::VjpCall vjp(node, {}, call.create_graph());
  const Vjp saved(node, vjp);
  const OpSchema& op = node.op();
  const size_t inputs = node.input_count();
  SmallVector<NDArray, 4> arrays;
  std::vector<autograd::Saved> data;
  std::vector<autograd::Edge> edges(inputs);
  std::vector<OpNode::Kept> kept;
  data.reserve(inputs + 1);
  arrays.resize(inputs + 1);
  for (size_t i = 0; i < inputs; ++i) {
    const autograd::Saved* each = node.saved_input(i);
    edges[i] = node.edges()[i];
    if (!each) continue;
    if (op.keep_input(i, node.params().get()) == Keep::kData) {
      arrays[i] = spread(saved.input(i), shape);
      edges[i] = autograd::edge_of(arrays[i]);
      data.push_back(autograd::Saved::data(arrays[i]));
      kept.push_back({&arrays[i], &data.back()});
    } else {
      arrays[i] = NDArray(Ref<Storage>(), 0, shape, each->dtype);
      kept.push_back({&arrays[i], nullptr});
    }
  }
  if (const autograd::Saved* each = node.saved_output(0)) {
    arrays[inputs] = NDArray(Ref<Storage>(), 0, shape, each->dtype);
    if (each->storage) {
      arrays[inputs] = saved.output(0);
      data.push_back(autograd::Saved::data(arrays[inputs]));
    }
    kept.push_back({&arrays[inputs], each->storage ? &data.back() : nullptr});
  }
  return OpNode::rebuild(op, edges, 1, kept, node.params(), node.mode());
}

// A pointwise function has a diagonal Jacobian, which is its own transposed.
bool push_pointwise(OpNode& node, PushCall& call) {
  const Shape shape = pointwise_shape(node, call);
  bool same = true;
  for (size_t i = 0; i < node.input_count(); ++i) {
    const NDArray& tangent = call.tangents()[i];
    const autograd::Saved* saved = node.saved_input(i);
    same = same && (!saved || saved->shape == shape);
    same = same && (!tangent.defined() || tangent.shape() == shape);
  }
  const Ref<OpNode> source = same ? Ref<OpNode>(&node) : spread_node(node, call, shape);
  for (size_t i = 0; i < node.input_count(); ++i) {
    if (!call.tangents()[i].defined()) continue;
    NDArray head = spread(call.tangents()[i], shape);
    autograd::VjpCall vjp(*source, {&head, 1}, call.create_graph());
    for (size_t k = 0; k < node.input_count(); ++k) vjp.set_needs(k, k == i);
    source->vjp(vjp);
    if (!vjp.result(i).defined()) continue;
    autograd::accumulate(call.results()[0], std::move(vjp.result(i)), call.create_graph());
  }
  return true;
}

// Whether a pointwise call's arrays have one dtype, as far as the node knows.
bool one_dtype(OpNode& node, const PushCall& call) {
  std::optional<DType> dtype;
  const auto agrees = [&dtype](DType other) { return dtype.value_or(other) == (dtype = other); };
  for (size_t i = 0; i < node.input_count(); ++i) {
    const NDArray& tangent = call.tangents()[i];
    const autograd::Saved* saved = node.saved_input(i);
    if (tangent.defined() && !agrees(tangent.dtype())) return false;
    if (saved && !agrees(saved->dtype)) return false;
  }
  const autograd::Saved* saved = node.saved_output(0);
  return !saved || agrees(saved->dtype);
}

bool push_through_op(PushCall& call) {
  auto* node = dynamic_cast<OpNode*>(&call.node());
  if (!node) return false;
  const OpSchema& op = node->op();
  if (!op.vjp) fail("it has no gradient: ", op.no_grad_reason);
  if (op.is_loss && op.is_loss(node->params().get())) {
    fail(
        "its gradient is that of a loss, whatever flows into its output: it has no tangent. Use "
        "softmax or another operator of the same values");
  }
  if (op.tangent) {
    TangentCall view(*node, call);
    op.tangent(view);
    return true;
  }
  if (op.linear && linear_in_all(op, call)) {
    push_linear(*node, call);
    return true;
  }
  return op.is_pointwise() && one_dtype(*node, call) && push_pointwise(*node, call);
}

// By inference over what is known of the inputs.
bool op_output_meta(const PushCall& call, uint32_t index, Shape& shape, DType& dtype) {
  auto* node = dynamic_cast<OpNode*>(&call.node());
  if (!node) return false;
  const size_t count = node->input_count();
  SmallVector<ArraySpec, 4> inputs;
  SmallVector<ArraySpec, 2> outputs;
  inputs.resize(count);
  outputs.resize(node->output_count());
  for (size_t i = 0; i < count; ++i) {
    if (call.tangents()[i].defined()) {
      inputs[i] = {call.tangents()[i].shape(), call.tangents()[i].dtype()};
    } else if (const autograd::Saved* saved = node->saved_input(i)) {
      inputs[i] = {saved->shape, saved->dtype};
    }
  }
  infer_specs(node->op(), node->params().get(), node->mode(), {inputs.begin(), count},
              {outputs.begin(), outputs.size()});
  if (index >= outputs.size() || !outputs[index].known()) return false;
  shape = outputs[index].shape;
  dtype = outputs[index].dtype;
  return true;
}

}  // namespace

void install_push_rules() { autograd::set_push_rules({push_through_op, op_output_meta}); }

}  // namespace mxtape

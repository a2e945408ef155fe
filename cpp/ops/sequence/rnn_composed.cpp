#include "op/common_params.h"
#include "op/schema.h"
#include "ops/sequence/rnn.h"
#include "ops/shared/compose.h"

// The gradient of the recurrent layer, composed of public operators: slower than the kernel, but
// recorded, so that it can be differentiated in turn. The layers are computed anew, so that the
// gradient depends on the inputs through everything that it reads.
namespace mxtape {

void rnn_composed_vjp(Vjp& v, const NDArray& masks);

namespace {

using compose::columns;
using compose::dot;
using compose::join_columns;
using compose::rows;
using compose::stack;

// What one step did, for the way back.
struct Step {
  NDArray runs, stays;  // [batch, 1], 1 or 0; undefined when all sequences run
  NDArray state_before, cell_before;
  NDArray in, forget, candidate, output;  // lstm's gates; gru's are reset, update, candidate
  NDArray raw_cell, tanh_cell;            // a lstm's cell state before clipping, tanh of it after
  NDArray unprojected;
  NDArray recurrent;  // a gru's recurrent part of its candidate
};

struct Weights {
  NDArray input, hidden, projection, input_bias, hidden_bias;
};

struct Lane {
  Weights w;
  std::vector<Step> steps;
};

// The gradients of what a lane read.
struct LaneGrads {
  NDArray input;            // [rows, input width]
  NDArray weights, biases;  // flat, as parameters has them
  NDArray state, cell;
};

class Composer {
 public:
  Composer(const RnnParams& p, const Shape& data) : p_(p), s_(p, data), clip_(p) {}

  void set_lengths(const NDArray& lengths, DType dtype) {
    for (int64_t t = 0; t < s_.steps; ++t) {
      const NDArray n = reshape(cast(lengths.detached(), dtype), Shape{s_.batch, 1});
      running_.push_back(fn::greater(n, static_cast<double>(t)));
    }
  }

  Weights weights(const NDArray& parameters, int64_t layer, int64_t d) const {
    const int64_t wide = s_.gate_width(), width = s_.input_width(layer);
    const auto take = [&](int64_t at, int64_t m, int64_t n) {
      return reshape(rows(parameters, at, at + m * n), Shape{m, n});
    };
    return {take(s_.input_weight(layer, d), wide, width),
            take(s_.hidden_weight(layer, d), wide, s_.out),
            s_.projects ? take(s_.projection(layer, d), s_.out, s_.hidden) : NDArray(),
            take(s_.input_bias(layer, d), 1, wide), take(s_.hidden_bias(layer, d), 1, wide)};
  }

  // Runs a lane over `x`, [rows, input width]; returns its output, [rows, out].
  NDArray forward(Lane& lane, const NDArray& x, int64_t direction, NDArray state, NDArray cell) {
    lane.steps.resize(size_t(s_.steps));
    const NDArray from_inputs = dot(x, lane.w.input, false, true) + lane.w.input_bias;
    std::vector<NDArray> outputs(size_t(s_.steps));
    for (int64_t i = 0; i < s_.steps; ++i) {
      const int64_t t = rnn_step(s_, direction, i);
      Step& step = lane.steps[size_t(t)];
      step.state_before = state;
      step.cell_before = cell;
      const NDArray inputs = rows(from_inputs, t * s_.batch, (t + 1) * s_.batch);
      const NDArray recurrent = dot(state, lane.w.hidden, false, true) + lane.w.hidden_bias;
      NDArray now = run_cell(lane, step, inputs, recurrent);
      NDArray now_cell = p_.lstm() ? clipped(step.raw_cell) : NDArray();
      outputs[size_t(t)] = now;
      if (!running_.empty()) {
        step.runs = running_[size_t(t)];
        step.stays = 1.0 - step.runs;
        outputs[size_t(t)] = now * step.runs;
        now = outputs[size_t(t)] + state * step.stays;
        if (p_.lstm()) now_cell = now_cell * step.runs + cell * step.stays;
      }
      state = now;
      cell = now_cell;
    }
    return reshape(stack(outputs), Shape{s_.rows(), s_.out});
  }

  // `out_grad` is [rows, out].
  LaneGrads backward(const Lane& lane, const NDArray& x, int64_t direction, const NDArray& out_grad,
                     NDArray dh, NDArray dc) {
    const size_t n = size_t(s_.steps);
    std::vector<NDArray> input_parts(n), recurrent_parts(n), before(n), projected, unprojected;
    for (int64_t i = s_.steps; i-- > 0;) {
      const int64_t t = rnn_step(s_, direction, i);
      const Step& step = lane.steps[size_t(t)];
      NDArray d_out = dh + rows(out_grad, t * s_.batch, (t + 1) * s_.batch), d_cell = dc;
      if (step.runs.defined()) {
        d_out = d_out * step.runs;
        if (p_.lstm()) d_cell = dc * step.runs;
      }
      NDArray d_hidden = d_out;
      if (s_.projects) {
        projected.push_back(d_out);
        unprojected.push_back(step.unprojected);
        d_hidden = dot(d_out, lane.w.projection);
      }
      NDArray passed;  // of the previous state, not through the weights
      cell_grads(step, d_hidden, d_cell, input_parts[size_t(t)], recurrent_parts[size_t(t)],
                 passed);
      before[size_t(t)] = step.state_before;
      NDArray d_state = dot(recurrent_parts[size_t(t)], lane.w.hidden);
      if (passed.defined()) d_state = d_state + passed;
      if (step.runs.defined()) {
        d_state = d_state + dh * step.stays;
        if (p_.lstm()) d_cell = d_cell + dc * step.stays;
      }
      dh = d_state;
      dc = d_cell;
    }
    const Shape wide{s_.rows(), s_.gate_width()};
    const NDArray input_part = reshape(stack(input_parts), wide);
    const NDArray recurrent_part = reshape(stack(recurrent_parts), wide);
    const NDArray previous = reshape(stack(before), Shape{s_.rows(), s_.out});
    const auto flat = [](const NDArray& a) { return reshape(a, Shape{1, a.size()}); };
    std::vector<NDArray> weights = {flat(dot(input_part, x, true)),
                                    flat(dot(recurrent_part, previous, true))};
    if (s_.projects) {
      const NDArray d_out = reshape(stack(projected), Shape{s_.rows(), s_.out});
      const NDArray hidden = reshape(stack(unprojected), Shape{s_.rows(), s_.hidden});
      weights.push_back(flat(dot(d_out, hidden, true)));
    }
    const std::vector<NDArray> biases = {sum(input_part, {0}, true),
                                         sum(recurrent_part, {0}, true)};
    return {dot(input_part, lane.w.input), join_columns(weights), join_columns(biases), dh, dc};
  }

 private:
  NDArray gate(const NDArray& gates, int64_t k) const {
    return columns(gates, k * s_.hidden, (k + 1) * s_.hidden);
  }

  NDArray clipped(const NDArray& cell) const {
    if (!clip_.active) return cell;
    const NDArray bounded = fn::minimum(fn::maximum(cell, clip_.low), clip_.high);
    if (clip_.keep_nan) return bounded;
    return fn::where(fn::equal(cell, cell), bounded,
                     full(cell.shape(), cell.dtype(), clip_.for_nan));
  }

  // The hidden state, projected.
  NDArray run_cell(const Lane& lane, Step& step, const NDArray& inputs, const NDArray& recurrent) {
    if (p_.mode == RnnMode::kLstm) {
      const NDArray gates = inputs + recurrent;
      step.in = fn::sigmoid(gate(gates, 0));
      step.forget = fn::sigmoid(gate(gates, 1));
      step.candidate = fn::tanh(gate(gates, 2));
      step.output = fn::sigmoid(gate(gates, 3));
      step.raw_cell = step.forget * step.cell_before + step.in * step.candidate;
      step.tanh_cell = fn::tanh(clipped(step.raw_cell));
      step.unprojected = step.output * step.tanh_cell;
      return s_.projects ? dot(step.unprojected, lane.w.projection, false, true) : step.unprojected;
    }
    if (p_.mode == RnnMode::kGru) {
      step.in = fn::sigmoid(gate(inputs, 0) + gate(recurrent, 0));
      step.forget = fn::sigmoid(gate(inputs, 1) + gate(recurrent, 1));
      step.recurrent = gate(recurrent, 2);
      step.candidate = fn::tanh(gate(inputs, 2) + step.in * step.recurrent);
      return step.candidate + step.forget * (step.state_before - step.candidate);
    }
    const NDArray x = inputs + recurrent;
    step.output = p_.mode == RnnMode::kRelu ? fn::maximum(x, 0.0) : fn::tanh(x);
    return step.output;
  }

  // `d_cell` goes from this step's cell state to the one before.
  void cell_grads(const Step& step, const NDArray& dh, NDArray& d_cell, NDArray& input_part,
                  NDArray& recurrent_part, NDArray& passed) const {
    const auto through_sigmoid = [](const NDArray& y) { return y * (1.0 - y); };
    const auto through_tanh = [](const NDArray& y) { return 1.0 - y * y; };
    if (p_.mode == RnnMode::kLstm) {
      NDArray dc = d_cell + dh * step.output * through_tanh(step.tanh_cell);
      if (clip_.active) {
        dc = dc * fn::greater_equal(step.raw_cell, clip_.low) *
             fn::lesser_equal(step.raw_cell, clip_.high);
      }
      input_part = recurrent_part =
          join_columns({dc * step.candidate * through_sigmoid(step.in),
                        dc * step.cell_before * through_sigmoid(step.forget),
                        dc * step.in * through_tanh(step.candidate),
                        dh * step.tanh_cell * through_sigmoid(step.output)});
      d_cell = dc * step.forget;
    } else if (p_.mode == RnnMode::kGru) {
      const NDArray d_candidate = dh * (1.0 - step.forget) * through_tanh(step.candidate);
      const NDArray d_update =
          dh * (step.state_before - step.candidate) * through_sigmoid(step.forget);
      const NDArray d_reset = d_candidate * step.recurrent * through_sigmoid(step.in);
      input_part = join_columns({d_reset, d_update, d_candidate});
      recurrent_part = join_columns({d_reset, d_update, d_candidate * step.in});
      passed = dh * step.forget;
    } else if (p_.mode == RnnMode::kRelu) {
      input_part = recurrent_part = dh * fn::greater(step.output, 0.0);
    } else {
      input_part = recurrent_part = dh * through_tanh(step.output);
    }
  }

  const RnnParams& p_;
  RnnShape s_;
  CellClip clip_;
  std::vector<NDArray> running_;
};

}  // namespace

void rnn_composed_vjp(Vjp& v, const NDArray& masks) {
  const auto& p = v.params<RnnParams>();
  const Shape data = v.input_shape(0);
  const RnnShape s(p, data);
  const DType dtype = masks.dtype();
  const auto input = [&](size_t i) { return cast(v.input(i), dtype); };
  const auto head = [&](size_t i) { return cast(v.head(i), dtype); };
  if (s.steps == 0) {
    for (size_t i = 0; i < 2; ++i) v.grad(i, full(v.input_shape(i), v.input_dtype(i), 0));
    for (size_t i = 2; i < p.reserve_index() + 1; ++i) v.grad(i, v.head(i - 1));
    return;
  }
  Composer composer(p, data);
  if (p.use_sequence_length) composer.set_lengths(v.input(p.lstm() ? 4 : 3), dtype);

  const NDArray parameters = input(1);
  const NDArray states = reshape(input(2), Shape{s.layers * s.directions * s.batch, s.out});
  const NDArray cells =
      p.lstm() ? reshape(input(3), Shape{s.layers * s.directions * s.batch, s.hidden}) : NDArray();
  const auto lane_rows = [&](const NDArray& x, int64_t lane) {
    return x.defined() ? rows(x, lane * s.batch, (lane + 1) * s.batch) : x;
  };
  const auto mask = [&](int64_t layer) {
    return masks.rows(layer, layer + 1).viewed(Shape{s.rows(), s.width()});
  };
  std::vector<Lane> lanes(size_t(s.layers * s.directions));
  std::vector<NDArray> layer_inputs = {reshape(input(0), Shape{s.rows(), s.inputs})};
  for (int64_t layer = 0; layer < s.layers; ++layer) {
    std::vector<NDArray> outputs;
    for (int64_t d = 0; d < s.directions; ++d) {
      const int64_t at = layer * s.directions + d;
      Lane& lane = lanes[size_t(at)];
      lane.w = composer.weights(parameters, layer, d);
      outputs.push_back(composer.forward(lane, layer_inputs.back(), d, lane_rows(states, at),
                                         lane_rows(cells, at)));
    }
    if (layer + 1 == s.layers) break;
    const NDArray out = join_columns(outputs);
    layer_inputs.push_back(masks.size() ? out * mask(layer) : out);
  }

  NDArray out_grad = reshape(head(0), Shape{s.rows(), s.width()});
  const NDArray state_heads = reshape(head(1), states.shape());
  const NDArray cell_heads = p.lstm() ? reshape(head(2), cells.shape()) : NDArray();
  std::vector<LaneGrads> grads(lanes.size());
  for (int64_t layer = s.layers; layer-- > 0;) {
    NDArray input_grad;
    for (int64_t d = 0; d < s.directions; ++d) {
      const int64_t at = layer * s.directions + d;
      LaneGrads& grad = grads[size_t(at)];
      grad = composer.backward(lanes[size_t(at)], layer_inputs[size_t(layer)], d,
                               columns(out_grad, d * s.out, (d + 1) * s.out),
                               lane_rows(state_heads, at), lane_rows(cell_heads, at));
      input_grad = d ? input_grad + grad.input : grad.input;
    }
    out_grad = layer && masks.size() ? input_grad * mask(layer - 1) : input_grad;
  }

  std::vector<NDArray> flat, state_grads, cell_grads;
  for (const LaneGrads& grad : grads) flat.push_back(grad.weights);
  for (const LaneGrads& grad : grads) flat.push_back(grad.biases);
  for (const LaneGrads& grad : grads) state_grads.push_back(grad.state);
  for (const LaneGrads& grad : grads) cell_grads.push_back(grad.cell);
  const DType given = v.input_dtype(0);
  if (v.needs(0)) v.grad(0, cast(reshape(out_grad, data), given));
  if (v.needs(1)) v.grad(1, cast(reshape(join_columns(flat), v.input_shape(1)), given));
  if (v.needs(2)) v.grad(2, cast(stack(state_grads), given));
  if (p.lstm() && v.needs(3)) v.grad(3, cast(stack(cell_grads), given));
}

}  // namespace mxtape

#pragma once

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "core/ndarray.h"
#include "op/params.h"
#include "runtime/parallel.h"

// What the files of the fused recurrent layer share.
namespace mxtape {

enum class RnnMode : int32_t { kGru, kLstm, kRelu, kTanh };

struct RnnParams {
  int64_t state_size = 0, num_layers = 0;
  bool bidirectional = false;
  RnnMode mode = RnnMode::kLstm;
  double p = 0;
  bool state_outputs = false;
  std::optional<int64_t> projection_size;
  std::optional<double> lstm_state_clip_min, lstm_state_clip_max;
  bool lstm_state_clip_nan = false;
  bool use_sequence_length = false;
  template <class V>
  void visit(V& v) {
    v.required("state_size", state_size, "Number of hidden units of a layer and direction.");
    v.required("num_layers", num_layers, "Number of layers that lie one over the other.");
    v("bidirectional", bidirectional, "Whether each layer also runs from the end to the start.");
    v.required("mode", mode, "The kind of cell.", {"gru", "lstm", "rnn_relu", "rnn_tanh"});
    v("p", p, "Probability with which dropout between layers sets an element to 0 in train mode.");
    v("state_outputs", state_outputs, "Whether the last states are outputs too.");
    v("projection_size", projection_size,
      "lstm only: the size to which a linear map brings each hidden state.");
    v("lstm_state_clip_min", lstm_state_clip_min, "lstm only: least value of a cell's state.");
    v("lstm_state_clip_max", lstm_state_clip_max, "lstm only: largest value of a cell's state.");
    v("lstm_state_clip_nan", lstm_state_clip_nan,
      "Whether NaN stays NaN when cell states are clipped; otherwise it becomes a bound.");
    v("use_sequence_length", use_sequence_length,
      "Whether an input sequence_length says how many steps each sequence of the batch has.");
  }

  bool lstm() const { return mode == RnnMode::kLstm; }
  bool clips() const { return lstm() && (lstm_state_clip_min || lstm_state_clip_max); }
  // The output after those that a caller may see: what the gradient needs; then dropout's masks.
  size_t reserve_index() const { return lstm() ? 3 : 2; }
};

// The extents of a call, and where its vector of parameters holds what: for each layer and
// direction the weights (inputs, hidden, projection), then for each the two biases.
struct RnnShape {
  RnnShape(const RnnParams& p, const Shape& data)
      : steps(data[0]),
        batch(data[1]),
        inputs(data[2]),
        hidden(p.state_size),
        out(p.projection_size.value_or(p.state_size)),
        layers(p.num_layers),
        directions(p.bidirectional ? 2 : 1),
        gates(p.lstm()                  ? 4
              : p.mode == RnnMode::kGru ? 3
                                        : 1),
        projects(p.projection_size.has_value()) {}

  int64_t steps, batch, inputs, hidden;
  int64_t out;  // size of a hidden state: projection_size, or hidden
  int64_t layers, directions, gates;
  bool projects;

  int64_t rows() const { return steps * batch; }
  int64_t gate_width() const { return gates * hidden; }
  int64_t width() const { return directions * out; }  // of a layer's output
  int64_t input_width(int64_t layer) const { return layer ? width() : inputs; }

  int64_t weights(int64_t layer) const {  // of one direction
    return gate_width() * (input_width(layer) + out) + (projects ? out * hidden : 0);
  }
  int64_t input_weight(int64_t layer, int64_t direction) const {
    const int64_t below = layer ? directions * (weights(0) + (layer - 1) * weights(1)) : 0;
    return below + direction * weights(layer);
  }
  int64_t hidden_weight(int64_t layer, int64_t direction) const {
    return input_weight(layer, direction) + gate_width() * input_width(layer);
  }
  int64_t projection(int64_t layer, int64_t direction) const {
    return hidden_weight(layer, direction) + gate_width() * out;
  }
  int64_t input_bias(int64_t layer, int64_t direction) const {
    return input_weight(layers, 0) + (layer * directions + direction) * 2 * gate_width();
  }
  int64_t hidden_bias(int64_t layer, int64_t direction) const {
    return input_bias(layer, direction) + gate_width();
  }
  int64_t parameters() const { return input_bias(layers, 0); }

  // What the forward kernel leaves for the gradient. For each layer and direction the gates after
  // their activations, [steps, batch, gate_width], and the cell states, or a gru's recurrent
  // part of its candidate, [steps, batch, hidden]; then the layer's output unless it is the last.
  bool has_cells() const { return gates > 1; }
  int64_t reserve_of_direction() const {
    return rows() * (gate_width() + (has_cells() ? hidden : 0));
  }
  int64_t reserve_gates(int64_t layer, int64_t direction) const {
    return layer * (directions * reserve_of_direction() + rows() * width()) +
           direction * reserve_of_direction();
  }
  int64_t reserve_cells(int64_t layer, int64_t direction) const {
    return reserve_gates(layer, direction) + rows() * gate_width();
  }
  int64_t reserve_output(int64_t layer) const { return reserve_gates(layer, directions); }
  int64_t reserve() const { return reserve_gates(layers, 0) - rows() * width(); }
};

// The kernels' view of a call. Arrays are T's, float16 having been widened; null is what a call
// does not have.
template <class T>
struct RnnGiven {
  const T *data, *parameters, *state, *cell;
  const NDArray* lengths;
};
template <class T>
struct RnnForward {
  RnnGiven<T> given;
  T *out, *last_state, *last_cell;
  T* reserve;  // null: nothing is kept
  T* masks;    // null: no dropout
};
template <class T>
struct RnnBackward {
  RnnGiven<T> given;
  const T *out, *reserve, *masks;
  const T *out_grad, *last_state_grad, *last_cell_grad;
  T *data_grad, *parameters_grad, *state_grad, *cell_grad;  // data_grad and cell_grad may be null
};
template <class T>
void rnn_forward(const RnnParams& p, const RnnShape& s, const RnnForward<T>& io);
template <class T>
void rnn_backward(const RnnParams& p, const RnnShape& s, const RnnBackward<T>& io);

// How many steps each sequence has: all of them without `lengths`, else its values within [0,
// steps].
std::vector<int64_t> rnn_lengths(const NDArray* lengths, const RnnShape& s);

// Calls run(direction, first, last), for the rows [first, last) of the batch that go through all
// steps together: rows do not meet in the recurrence, so their bits do not depend on how they are
// shared out. Each block reads all weights in each step: few blocks, but not so large that what a
// step makes leaves the cache. Threads share out blocks; or, where that would have each of few rows
// read weights that no cache of a processor holds, the products and the rows of each step.
template <class F>
void for_rnn_blocks(const RnnShape& s, F&& run) {
  constexpr int64_t kMost = 48, kLargeWeights = int64_t{1} << 19;
  const int64_t threads = std::max<int64_t>(1, thread_count() / s.directions);
  const bool share_steps =
      s.gate_width() * s.out > kLargeWeights && s.batch < kMost * thread_count();
  const int64_t least = (s.batch + kMost - 1) / kMost;
  const int64_t wanted = share_steps ? least : std::max(threads, least);
  const int64_t block = std::max<int64_t>(1, (s.batch + wanted - 1) / wanted);
  const int64_t blocks = (s.batch + block - 1) / block;
  const auto some = [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t first = piece % blocks * block;
      run(piece / blocks, first, std::min(first + block, s.batch));
    }
  };
  if (share_steps) return some(0, s.directions * blocks);
  parallel_for(s.directions * blocks, 1, some);
}

// Calls f(row) for each row of a block in a step.
template <class F>
void for_rows(const RnnShape& s, int64_t rows, F&& f) {
  const int64_t grain = std::max<int64_t>(1, (int64_t{1} << 13) / std::max<int64_t>(1, s.hidden));
  parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) f(r);
  });
}

// Step `i` of a direction, in the order in which it runs.
inline int64_t rnn_step(const RnnShape& s, int64_t direction, int64_t i) {
  return direction ? s.steps - 1 - i : i;
}

struct CellClip {
  explicit CellClip(const RnnParams& p)
      : active(p.clips()),
        keep_nan(p.lstm_state_clip_nan),
        low(p.lstm_state_clip_min.value_or(-std::numeric_limits<double>::infinity())),
        high(p.lstm_state_clip_max.value_or(std::numeric_limits<double>::infinity())),
        for_nan(p.lstm_state_clip_min ? low : high) {}
  bool active, keep_nan;
  double low, high, for_nan;
};

}  // namespace mxtape

#include <cmath>

#include "ops/linalg/gemm.h"
#include "ops/linalg/packed_product.h"
#include "ops/sequence/rnn.h"
#include "ops/shared/exponential.h"
#include "ops/shared/lanes.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"
#include "runtime/random.h"

// The fused recurrent layer, forward. For each layer and direction one product takes all steps'
// inputs to the gates; then blocks of the batch go through the steps, each on its own.
namespace mxtape {
namespace {

template <class T>
Lanes<T> logistic(const Lanes<T>& x) {
  return x.unaryExpr(Sigmoid());
}

template <class T>
void clip_cell(Lanes<T>& cell, const CellClip& clip) {
  for (T& x : cell) {
    if (std::isnan(x)) {
      x = clip.keep_nan ? x : T(clip.for_nan);
    } else {
      x = std::min(std::max(x, T(clip.low)), T(clip.high));
    }
  }
}

// One row's step. `gates` holds the inputs' part and the biases and receives the activations;
// `recurrent` the part of the previous state. Writes the hidden state before projection.
template <class T>
void lstm_cell(int64_t n, T* gates, const T* recurrent, const T* cell_before, T* cell, T* hidden,
               const CellClip& clip) {
  for_lanes<T>(n, [&](int64_t at, int64_t count) {
    const auto gate = [&](int64_t k) -> Lanes<T> {
      return load_lanes(gates + k * n + at, count) + load_lanes(recurrent + k * n + at, count);
    };
    const Lanes<T> in = logistic<T>(gate(0)), forget = logistic<T>(gate(1));
    const Lanes<T> candidate = gate(2).tanh(), output = logistic<T>(gate(3));
    Lanes<T> c = forget * load_lanes(cell_before + at, count) + in * candidate;
    if (clip.active) clip_cell<T>(c, clip);
    store_lanes<T>(in, gates + at, count);
    store_lanes<T>(forget, gates + n + at, count);
    store_lanes<T>(candidate, gates + 2 * n + at, count);
    store_lanes<T>(output, gates + 3 * n + at, count);
    store_lanes<T>(c, cell + at, count);
    store_lanes<T>(output * c.tanh(), hidden + at, count);
  });
}

// `bias` is that of the recurrent part of the candidate; `kept` receives that part.
template <class T>
void gru_cell(int64_t n, T* gates, const T* recurrent, const T* bias, const T* before, T* kept,
              T* hidden) {
  for_lanes<T>(n, [&](int64_t at, int64_t count) {
    const auto gate = [&](int64_t k) { return load_lanes(gates + k * n + at, count); };
    const auto again = [&](int64_t k) { return load_lanes(recurrent + k * n + at, count); };
    const Lanes<T> reset = logistic<T>(gate(0) + again(0));
    const Lanes<T> update = logistic<T>(gate(1) + again(1));
    const Lanes<T> part = again(2) + load_lanes(bias + at, count);
    const Lanes<T> candidate = (gate(2) + reset * part).tanh();
    const Lanes<T> now = candidate + update * (load_lanes(before + at, count) - candidate);
    store_lanes<T>(reset, gates + at, count);
    store_lanes<T>(update, gates + n + at, count);
    store_lanes<T>(candidate, gates + 2 * n + at, count);
    store_lanes<T>(part, kept + at, count);
    store_lanes<T>(now, hidden + at, count);
  });
}

template <class T>
void plain_cell(int64_t n, bool relu, T* gates, const T* recurrent, T* hidden) {
  for_lanes<T>(n, [&](int64_t at, int64_t count) {
    Lanes<T> x = load_lanes(gates + at, count) + load_lanes(recurrent + at, count);
    if (relu) {
      // Eigen 3.4.0 has no cwiseMax<PropagateNaN>.
      const Eigen::internal::scalar_max_op<T, T, Eigen::PropagateNaN> max;
      x = x.binaryExpr(Lanes<T>::Zero(), max).eval();
    } else {
      x = x.tanh().eval();
    }
    store_lanes<T>(x, gates + at, count);
    store_lanes<T>(x, hidden + at, count);
  });
}

// What one layer and direction needs in its steps.
template <class T>
struct Lane {
  PackedMatrix<T> weight;
  std::vector<PackedMatrix<T>> projection;  // one or none
  T *gates, *cells;
  const T *bias, *state, *cell;
  T *out, *last_state, *last_cell;
};

template <class T>
class Recurrence {
 public:
  Recurrence(const RnnParams& p, const RnnShape& s, const std::vector<int64_t>& lengths)
      : p_(p), s_(s), clip_(p), lengths_(lengths) {}

  // Rows [begin, end) of the batch, through all steps of `lane` in `direction`.
  void run(const Lane<T>& lane, int64_t direction, int64_t begin, int64_t end) const {
    const int64_t rows = end - begin, n = s_.hidden, out = s_.out;
    std::vector<T> state(lane.state + begin * out, lane.state + end * out);
    std::vector<T> recurrent(size_t(rows * lane.weight.padded()));
    const int64_t padded = s_.projects ? lane.projection[0].padded() : 0;
    std::vector<T> unprojected(size_t(s_.projects ? rows * n : 0)),
        projected(size_t(rows * padded));
    const T* cell_before = lane.cell ? lane.cell + begin * n : nullptr;
    for (int64_t i = 0; i < s_.steps; ++i) {
      const int64_t t = rnn_step(s_, direction, i), first = t * s_.batch + begin;
      lane.weight.multiply(state.data(), rows, out, recurrent.data());
      T* gates = lane.gates + first * s_.gate_width();
      T* cells = lane.cells ? lane.cells + first * n : nullptr;
      for_rows(s_, rows, [&](int64_t r) {
        const T* before = cell_before ? cell_before + r * n : nullptr;
        if (t >= lengths_[size_t(begin + r)]) {
          if (p_.lstm()) std::copy(before, before + n, cells + r * n);
          return;
        }
        T* hidden = s_.projects ? &unprojected[size_t(r * n)] : &state[size_t(r * out)];
        step(lane, gates + r * s_.gate_width(), &recurrent[size_t(r * lane.weight.padded())],
             before, cells ? cells + r * n : nullptr, hidden);
      });
      if (s_.projects) {
        lane.projection[0].multiply(unprojected.data(), rows, n, projected.data());
      }
      T* to = lane.out + first * s_.width() + direction * out;
      for (int64_t r = 0; r < rows; ++r, to += s_.width()) {
        if (t >= lengths_[size_t(begin + r)]) {
          std::fill(to, to + out, T(0));
          continue;
        }
        T* now = &state[size_t(r * out)];
        if (s_.projects) std::copy_n(&projected[size_t(r * padded)], out, now);
        std::copy(now, now + out, to);
      }
      if (p_.lstm()) cell_before = cells;
    }
    std::copy(state.begin(), state.end(), lane.last_state + begin * out);
    if (lane.last_cell) std::copy_n(cell_before, rows * n, lane.last_cell + begin * n);
  }

 private:
  void step(const Lane<T>& lane, T* gates, const T* recurrent, const T* cell_before, T* cell,
            T* hidden) const {
    const int64_t n = s_.hidden;
    switch (p_.mode) {
      case RnnMode::kLstm:
        return lstm_cell(n, gates, recurrent, cell_before, cell, hidden, clip_);
      case RnnMode::kGru:
        // A gru's new state replaces the old one element by element.
        return gru_cell(n, gates, recurrent, lane.bias + 2 * n, hidden, cell, hidden);
      default:
        return plain_cell(n, p_.mode == RnnMode::kRelu, gates, recurrent, hidden);
    }
  }

  const RnnParams& p_;
  const RnnShape& s_;
  CellClip clip_;
  const std::vector<int64_t>& lengths_;
};

// out = x * mask, the mask drawn here: 0 with probability p, else 1 / (1 - p).
template <class T>
void drop(const RandomStream& random, uint64_t first, double p, int64_t n, const T* x, T* mask,
          T* out) {
  const auto threshold = static_cast<uint64_t>(std::ldexp(p, 32));
  const T keep = p < 1 ? T(1 / (1 - p)) : T(0);
  parallel_for(n, 1 << 13, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += 4) {
      const auto words = random.words(first + static_cast<uint64_t>(i / 4));
      const int64_t count = std::min<int64_t>(4, end - i);
      for (int64_t k = 0; k < count; ++k) {
        mask[i + k] = words[size_t(k)] < threshold ? T(0) : keep;
        out[i + k] = x[i + k] * mask[i + k];
      }
    }
  });
}

// The bias that the product with the inputs adds: both, but for a gru's candidate.
template <class T>
std::vector<T> summed_bias(const RnnParams& p, const RnnShape& s, const T* input, const T* hidden) {
  std::vector<T> bias(input, input + s.gate_width());
  const int64_t n = p.mode == RnnMode::kGru ? 2 * s.hidden : s.gate_width();
  for (int64_t i = 0; i < n; ++i) bias[size_t(i)] += hidden[i];
  return bias;
}

// A direction of a layer before its first step: `gates` holds what the inputs `x` of all steps add.
template <class T>
Lane<T> start_lane(const RnnParams& p, const RnnShape& s, const RnnForward<T>& io, int64_t layer,
                   int64_t direction, const T* x, T* gates, T* out) {
  const T* hidden_bias = io.given.parameters + s.hidden_bias(layer, direction);
  const std::vector<T> bias =
      summed_bias(p, s, io.given.parameters + s.input_bias(layer, direction), hidden_bias);
  gemm({.dtype = dtype_of<T>,
        .m = s.rows(),
        .n = s.gate_width(),
        .k = s.input_width(layer),
        .transpose_b = true,
        .a = x,
        .b = io.given.parameters + s.input_weight(layer, direction),
        .bias = bias.data(),
        .out = gates});
  const int64_t lane = layer * s.directions + direction, states = lane * s.batch * s.out;
  const int64_t cells = lane * s.batch * s.hidden;
  Lane<T> started{PackedMatrix<T>(io.given.parameters + s.hidden_weight(layer, direction), s.out,
                                  s.gate_width(), true),
                  {},
                  gates,
                  s.has_cells() ? gates + s.rows() * s.gate_width() : nullptr,
                  hidden_bias,
                  io.given.state + states,
                  io.given.cell ? io.given.cell + cells : nullptr,
                  out,
                  io.last_state + states,
                  io.last_cell ? io.last_cell + cells : nullptr};
  if (s.projects) {
    started.projection.emplace_back(io.given.parameters + s.projection(layer, direction), s.hidden,
                                    s.out, true);
  }
  return started;
}

}  // namespace

std::vector<int64_t> rnn_lengths(const NDArray* lengths, const RnnShape& s) {
  std::vector<int64_t> found(size_t(s.batch), s.steps);
  if (!lengths) return found;
  convert(lengths->dtype(), lengths->bytes(), DType::kInt64, found.data(), s.batch);
  for (int64_t& n : found) n = std::clamp<int64_t>(n, 0, s.steps);
  return found;
}

template <class T>
void rnn_forward(const RnnParams& p, const RnnShape& s, const RnnForward<T>& io) {
  const std::vector<int64_t> lengths = rnn_lengths(io.given.lengths, s);
  const Recurrence<T> recurrence(p, s, lengths);
  // Without a reserve the layers take turns in the memory of one.
  const int64_t layer_size = s.directions * s.reserve_of_direction();
  const int64_t output_size = s.rows() * s.width(), turns = std::min<int64_t>(2, s.layers - 1);
  std::vector<T> scratch(size_t(io.reserve ? 0 : layer_size + turns * output_size));
  std::vector<T> dropped(size_t(io.masks ? output_size : 0));
  const RandomStream random = io.masks ? next_random_stream() : RandomStream(0, 0);
  const T* x = io.given.data;
  for (int64_t layer = 0; layer < s.layers; ++layer) {
    T* out = layer + 1 == s.layers ? io.out
             : io.reserve          ? io.reserve + s.reserve_output(layer)
                                   : scratch.data() + layer_size + layer % 2 * output_size;
    std::vector<Lane<T>> lanes;
    for (int64_t d = 0; d < s.directions; ++d) {
      T* gates = io.reserve ? io.reserve + s.reserve_gates(layer, d)
                            : scratch.data() + d * s.reserve_of_direction();
      lanes.push_back(start_lane(p, s, io, layer, d, x, gates, out));
    }
    for_rnn_blocks(s, [&](int64_t d, int64_t first, int64_t last) {
      recurrence.run(lanes[size_t(d)], d, first, last);
    });
    x = out;
    if (io.masks && layer + 1 < s.layers) {
      const auto words = static_cast<uint64_t>(layer * ((output_size + 3) / 4));
      drop(random, words, p.p, output_size, out, io.masks + layer * output_size, dropped.data());
      x = dropped.data();
    }
  }
}

template void rnn_forward(const RnnParams&, const RnnShape&, const RnnForward<float>&);
template void rnn_forward(const RnnParams&, const RnnShape&, const RnnForward<double>&);

}  // namespace mxtape

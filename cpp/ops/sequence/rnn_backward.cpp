#include "ops/linalg/gemm.h"
#include "ops/linalg/packed_product.h"
#include "ops/sequence/rnn.h"
#include "ops/shared/lanes.h"
#include "runtime/parallel.h"

// The fused recurrent layer, backward: blocks of the batch go through the steps from the last to
// the first and leave the gradients of the gates; products over all steps turn those into the
// gradients of weights and inputs.
namespace mxtape {
namespace {

template <class T>
using Row = Eigen::Map<Eigen::Array<T, Eigen::Dynamic, 1>>;
template <class T>
using ConstRow = Eigen::Map<const Eigen::Array<T, Eigen::Dynamic, 1>>;

template <class T>
struct LaneGrad {
  PackedMatrix<T> weight;
  std::vector<PackedMatrix<T>> projection;  // one or none
  const T *gates, *cells, *cell;
  T* previous;
  const T *out_grad, *last_state_grad, *last_cell_grad;
  // For all steps: of the gates' inputs' part, and of their recurrent part, which differ for a gru
  // alone; of projected states, and the states before projection.
  T *input_part, *recurrent_part, *projected_grad, *unprojected;
  T *state_grad, *cell_grad;
};

// `hidden_grad` is that of the state before projection; `cell_grad` is of this step's cell state
// and becomes that of the one before. `hidden`, if wanted, receives the state before projection.
template <class T>
void lstm_cell_grad(int64_t n, const T* gates, const T* cell, const T* cell_before,
                    const T* hidden_grad, T* cell_grad, T* gates_grad, T* hidden,
                    const CellClip& clip) {
  for_lanes<T>(n, [&](int64_t at, int64_t count) {
    const auto gate = [&](int64_t k) { return load_lanes(gates + k * n + at, count); };
    const auto store = [&](int64_t k, const Lanes<T>& x) {
      store_lanes<T>(x, gates_grad + k * n + at, count);
    };
    const Lanes<T> in = gate(0), forget = gate(1), candidate = gate(2), output = gate(3);
    const Lanes<T> before = load_lanes(cell_before + at, count);
    const Lanes<T> bounded = load_lanes(cell + at, count).tanh();
    const Lanes<T> dh = load_lanes(hidden_grad + at, count);
    Lanes<T> dc = load_lanes(cell_grad + at, count) + dh * output * (T(1) - bounded * bounded);
    if (clip.active) {
      const Lanes<T> free = forget * before + in * candidate;
      dc = (free >= T(clip.low) && free <= T(clip.high)).select(dc, T(0)).eval();
    }
    store(0, dc * candidate * in * (T(1) - in));
    store(1, dc * before * forget * (T(1) - forget));
    store(2, dc * in * (T(1) - candidate * candidate));
    store(3, dh * bounded * output * (T(1) - output));
    store_lanes<T>(dc * forget, cell_grad + at, count);
    if (hidden) store_lanes<T>(output * bounded, hidden + at, count);
  });
}

// `hidden_grad` becomes the part of the previous state's gradient that passes the weights by.
template <class T>
void gru_cell_grad(int64_t n, const T* gates, const T* kept, const T* before, T* hidden_grad,
                   T* input_part, T* recurrent_part) {
  for_lanes<T>(n, [&](int64_t at, int64_t count) {
    const auto gate = [&](int64_t k) { return load_lanes(gates + k * n + at, count); };
    const auto store = [&](int64_t k, const Lanes<T>& input, const Lanes<T>& recurrent) {
      store_lanes<T>(input, input_part + k * n + at, count);
      store_lanes<T>(recurrent, recurrent_part + k * n + at, count);
    };
    const Lanes<T> reset = gate(0), update = gate(1), candidate = gate(2);
    const Lanes<T> dh = load_lanes(hidden_grad + at, count);
    const Lanes<T> d_candidate = dh * (T(1) - update) * (T(1) - candidate * candidate);
    const Lanes<T> d_update =
        dh * (load_lanes(before + at, count) - candidate) * update * (T(1) - update);
    const Lanes<T> d_reset = d_candidate * load_lanes(kept + at, count) * reset * (T(1) - reset);
    store(0, d_reset, d_reset);
    store(1, d_update, d_update);
    store(2, d_candidate, d_candidate * reset);
    store_lanes<T>(dh * update, hidden_grad + at, count);
  });
}

template <class T>
void plain_cell_grad(int64_t n, bool relu, const T* gates, const T* hidden_grad, T* gates_grad) {
  for_lanes<T>(n, [&](int64_t at, int64_t count) {
    const Lanes<T> y = load_lanes(gates + at, count), dh = load_lanes(hidden_grad + at, count);
    if (relu) {
      store_lanes<T>((y > T(0)).select(dh, T(0)), gates_grad + at, count);
    } else {
      store_lanes<T>(dh * (T(1) - y * y), gates_grad + at, count);
    }
  });
}

template <class T>
class RecurrenceGrad {
 public:
  RecurrenceGrad(const RnnParams& p, const RnnShape& s, const std::vector<int64_t>& lengths)
      : p_(p), s_(s), clip_(p), lengths_(lengths) {}

  void run(const LaneGrad<T>& lane, int64_t direction, int64_t begin, int64_t end) const {
    const int64_t rows = end - begin, n = s_.hidden, out = s_.out, wide = s_.gate_width();
    Block block{begin, rows};
    block.dh.assign(lane.last_state_grad + begin * out, lane.last_state_grad + end * out);
    block.dc.resize(size_t(p_.lstm() ? rows * n : 0));
    if (p_.lstm()) std::copy_n(lane.last_cell_grad + begin * n, rows * n, block.dc.begin());
    block.padded = s_.projects ? lane.projection[0].padded() : 0;
    block.unprojected_grad.resize(size_t(rows * block.padded));
    const int64_t stride = lane.weight.padded();
    std::vector<T> through(size_t(rows * stride));
    for (int64_t i = s_.steps; i-- > 0;) {
      const int64_t t = rnn_step(s_, direction, i), first = t * s_.batch + begin;
      const int64_t before = i ? rnn_step(s_, direction, i - 1) * s_.batch + begin : -1;
      const T* out_grad = lane.out_grad + first * s_.width() + direction * out;
      for (int64_t r = 0; r < rows; ++r) {
        if (runs(block, t, r)) block.state(r, out) += ConstRow<T>(out_grad + r * s_.width(), out);
      }
      if (s_.projects) project_back(lane, block, t, first);
      cells_back(lane, block, t, first, before);
      lane.weight.multiply(lane.recurrent_part + first * wide, rows, wide, through.data());
      for (int64_t r = 0; r < rows; ++r) {
        if (!runs(block, t, r)) continue;
        const ConstRow<T> passed(&through[size_t(r * stride)], out);
        if (p_.mode == RnnMode::kGru) {
          block.state(r, out) += passed;
        } else {
          block.state(r, out) = passed;
        }
      }
    }
    std::copy(block.dh.begin(), block.dh.end(), lane.state_grad + begin * out);
    if (lane.cell_grad) std::copy(block.dc.begin(), block.dc.end(), lane.cell_grad + begin * n);
  }

 private:
  // The rows of the batch that go through the steps together, and the gradients of their states.
  struct Block {
    int64_t begin, rows;
    std::vector<T> dh, dc, unprojected_grad;
    int64_t padded = 0;  // of a row of unprojected_grad
    Row<T> state(int64_t r, int64_t out) { return {&dh[size_t(r * out)], out}; }
  };

  bool runs(const Block& block, int64_t t, int64_t r) const {
    return t < lengths_[size_t(block.begin + r)];
  }

  // From the gradients of the states to those before projection. `first`: the block's first row in
  // step t.
  void project_back(const LaneGrad<T>& lane, Block& block, int64_t t, int64_t first) const {
    const int64_t n = s_.hidden, out = s_.out;
    T* kept = lane.projected_grad + first * out;
    for (int64_t r = 0; r < block.rows; ++r) {
      if (runs(block, t, r)) {
        std::copy_n(&block.dh[size_t(r * out)], out, kept + r * out);
      } else {
        std::fill_n(kept + r * out, out, T(0));
        std::fill_n(lane.unprojected + (first + r) * n, n, T(0));
      }
    }
    lane.projection[0].multiply(kept, block.rows, out, block.unprojected_grad.data());
  }

  // From the gradients of the states to those of the gates. `before`: the block's first row in the
  // step before, -1 in the first one.
  void cells_back(const LaneGrad<T>& lane, Block& block, int64_t t, int64_t first,
                  int64_t before) const {
    const int64_t n = s_.hidden, out = s_.out, wide = s_.gate_width();
    for_rows(s_, block.rows, [&](int64_t r) {
      const int64_t row = first + r;
      T *part = lane.input_part + row * wide, *recurrent_part = lane.recurrent_part + row * wide;
      if (!runs(block, t, r)) {
        std::fill_n(part, wide, T(0));
        std::fill_n(recurrent_part, wide, T(0));
        return;
      }
      const T* gates = lane.gates + row * wide;
      T* hidden_grad = s_.projects ? &block.unprojected_grad[size_t(r * block.padded)]
                                   : &block.dh[size_t(r * out)];
      if (p_.lstm()) {
        const T* cell_before =
            before < 0 ? lane.cell + (block.begin + r) * n : lane.cells + (before + r) * n;
        lstm_cell_grad(n, gates, lane.cells + row * n, cell_before, hidden_grad,
                       &block.dc[size_t(r * n)], part,
                       s_.projects ? lane.unprojected + row * n : nullptr, clip_);
      } else if (p_.mode == RnnMode::kGru) {
        gru_cell_grad(n, gates, lane.cells + row * n, lane.previous + row * out, hidden_grad, part,
                      recurrent_part);
      } else {
        plain_cell_grad(n, p_.mode == RnnMode::kRelu, gates, hidden_grad, part);
      }
    });
  }

  const RnnParams& p_;
  const RnnShape& s_;
  CellClip clip_;
  const std::vector<int64_t>& lengths_;
};

// The state that each step of a direction started from, [steps, batch, out].
template <class T>
void previous_states(const RnnShape& s, const std::vector<int64_t>& lengths, int64_t direction,
                     const T* layer_out, const T* state, T* previous) {
  parallel_for(s.rows(), 256, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t t = row / s.batch, n = row % s.batch, from = direction ? t + 1 : t - 1;
      const bool first = from < 0 || from >= lengths[size_t(n)];
      const T* source = first ? state + n * s.out
                              : layer_out + (from * s.batch + n) * s.width() + direction * s.out;
      std::copy_n(source, s.out, previous + row * s.out);
    }
  });
}

// out[columns] = the sums of the columns of x[rows, columns].
template <class T>
void sum_rows(const T* x, int64_t rows, int64_t columns, T* out) {
  constexpr int64_t kPart = 64;
  parallel_for(columns, kPart, [&](int64_t begin, int64_t end) {
    Row<T> total(out + begin, end - begin);
    total.setZero();
    for (int64_t r = 0; r < rows; ++r) {
      total += ConstRow<T>(x + r * columns + begin, end - begin);
    }
  });
}

// out[m, n] = the transpose of a[rows, m] by b[rows, n].
template <class T>
void weight_grad(const T* a, const T* b, int64_t rows, int64_t m, int64_t n, T* out) {
  gemm({.dtype = dtype_of<T>,
        .m = m,
        .n = n,
        .k = rows,
        .transpose_a = true,
        .a = a,
        .b = b,
        .out = out});
}

template <class T>
void multiply_into(const T* x, const T* factor, int64_t n, T* out) {
  parallel_for(n, 1 << 15, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = x[i] * factor[i];
  });
}

// Where the gradients of a layer's lanes are made: memory of its directions, one after the other.
template <class T>
class LaneMemory {
 public:
  LaneMemory(const RnnParams& p, const RnnShape& s)
      : s_(s),
        gates_(s.rows() * s.gate_width()),
        parts_(p.mode == RnnMode::kGru ? 2 : 1),
        size_(parts_ * gates_ + s.rows() * (s.out + (s.projects ? s.out + s.hidden : 0))),
        memory_(NDArray::empty(Shape{s.directions * size_}, dtype_of<T>)) {}

  LaneGrad<T> lane(const RnnBackward<T>& io, int64_t layer, int64_t direction,
                   const T* out_grad) const {
    const int64_t lane = layer * s_.directions + direction, states = lane * s_.batch * s_.out;
    const int64_t cells = lane * s_.batch * s_.hidden;
    T* input_part = memory_.data<T>() + direction * size_;
    T* recurrent_part = input_part + (parts_ - 1) * gates_;
    T* previous = recurrent_part + gates_;
    T* projected_grad = previous + s_.rows() * s_.out;
    LaneGrad<T> grad{PackedMatrix<T>(io.given.parameters + s_.hidden_weight(layer, direction),
                                     s_.gate_width(), s_.out, false),
                     {},
                     io.reserve + s_.reserve_gates(layer, direction),
                     io.reserve + s_.reserve_cells(layer, direction),
                     io.given.cell ? io.given.cell + cells : nullptr,
                     previous,
                     out_grad,
                     io.last_state_grad + states,
                     io.last_cell_grad ? io.last_cell_grad + cells : nullptr,
                     input_part,
                     recurrent_part,
                     projected_grad,
                     projected_grad + s_.rows() * s_.out,
                     io.state_grad + states,
                     io.cell_grad ? io.cell_grad + cells : nullptr};
    if (s_.projects) {
      grad.projection.emplace_back(io.given.parameters + s_.projection(layer, direction), s_.out,
                                   s_.hidden, false);
    }
    return grad;
  }

 private:
  const RnnShape& s_;
  int64_t gates_, parts_, size_;
  NDArray memory_;
};

// The gradients of a lane's weights and biases, from those of its gates and the layer's input.
template <class T>
void parameter_grads(const RnnShape& s, const LaneGrad<T>& lane, int64_t layer, int64_t direction,
                     const T* input, T* grads) {
  const int64_t rows = s.rows(), wide = s.gate_width();
  weight_grad(lane.input_part, input, rows, wide, s.input_width(layer),
              grads + s.input_weight(layer, direction));
  weight_grad(lane.recurrent_part, lane.previous, rows, wide, s.out,
              grads + s.hidden_weight(layer, direction));
  if (s.projects) {
    weight_grad(lane.projected_grad, lane.unprojected, rows, s.out, s.hidden,
                grads + s.projection(layer, direction));
  }
  T* const bias = grads + s.input_bias(layer, direction);
  T* const hidden_bias = grads + s.hidden_bias(layer, direction);
  sum_rows(lane.input_part, rows, wide, bias);
  if (lane.recurrent_part != lane.input_part) {
    sum_rows(lane.recurrent_part, rows, wide, hidden_bias);
  } else {
    std::copy_n(bias, wide, hidden_bias);
  }
}

// Adds up what the lanes of a layer say of its input; `partial` is for those after the first.
template <class T>
void input_gradient(const RnnShape& s, const std::vector<LaneGrad<T>>& lanes, int64_t layer,
                    const T* parameters, T* partial, T* input_grad) {
  const int64_t rows = s.rows(), width = s.input_width(layer);
  for (int64_t d = 0; d < s.directions; ++d) {
    gemm({.dtype = dtype_of<T>,
          .m = rows,
          .n = width,
          .k = s.gate_width(),
          .a = lanes[size_t(d)].input_part,
          .b = parameters + s.input_weight(layer, d),
          .out = d ? partial : input_grad});
    if (d == 0) continue;
    parallel_for(rows * width, 1 << 15, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) input_grad[i] += partial[i];
    });
  }
}

}  // namespace

template <class T>
void rnn_backward(const RnnParams& p, const RnnShape& s, const RnnBackward<T>& io) {
  const std::vector<int64_t> lengths = rnn_lengths(io.given.lengths, s);
  const RecurrenceGrad<T> recurrence(p, s, lengths);
  const LaneMemory<T> memory(p, s);
  // Between the layers: the gradient of an output, a part of it, and a masked input.
  const int64_t output_size = s.rows() * s.width();
  const auto scratch = [](int64_t n) { return NDArray::empty(Shape{n}, dtype_of<T>); };
  const NDArray between = scratch(s.layers > 1 ? 3 * output_size : 0);
  const NDArray first_partial = scratch(s.directions > 1 && io.data_grad ? s.rows() * s.inputs : 0);
  const T* out_grad = io.out_grad;
  for (int64_t layer = s.layers; layer-- > 0;) {
    const T* layer_out = layer + 1 == s.layers ? io.out : io.reserve + s.reserve_output(layer);
    const T* input = layer ? io.reserve + s.reserve_output(layer - 1) : io.given.data;
    const T* mask = layer && io.masks ? io.masks + (layer - 1) * output_size : nullptr;
    if (mask) {
      T* masked = between.data<T>() + 2 * output_size;
      multiply_into(input, mask, output_size, masked);
      input = masked;
    }
    std::vector<LaneGrad<T>> lanes;
    for (int64_t d = 0; d < s.directions; ++d) {
      LaneGrad<T>& lane = lanes.emplace_back(memory.lane(io, layer, d, out_grad));
      const int64_t states = (layer * s.directions + d) * s.batch * s.out;
      previous_states(s, lengths, d, layer_out, io.given.state + states, lane.previous);
    }
    for_rnn_blocks(s, [&](int64_t d, int64_t first, int64_t last) {
      recurrence.run(lanes[size_t(d)], d, first, last);
    });
    for (int64_t d = 0; d < s.directions; ++d) {
      parameter_grads(s, lanes[size_t(d)], layer, d, input, io.parameters_grad);
    }
    T* const input_grad = layer ? between.data<T>() : io.data_grad;
    T* const partial = layer ? between.data<T>() + output_size : first_partial.data<T>();
    if (input_grad) input_gradient(s, lanes, layer, io.given.parameters, partial, input_grad);
    if (mask) multiply_into(input_grad, mask, output_size, input_grad);
    out_grad = input_grad;
  }
}

template void rnn_backward(const RnnParams&, const RnnShape&, const RnnBackward<float>&);
template void rnn_backward(const RnnParams&, const RnnShape&, const RnnBackward<double>&);

}  // namespace mxtape

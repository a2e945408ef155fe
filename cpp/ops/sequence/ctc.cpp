#include <cmath>
#include <limits>

#include <Eigen/Core>

#include "op/common_params.h"
#include "op/declare.h"
#include "ops/shared/compose.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// Connectionist temporal classification (Graves, Fernandez, Gomez, Schmidhuber: "Connectionist
// temporal classification", ICML 2006): the loss sums the probabilities of all paths that spell
// the labels, with blanks between them and repetitions, in the logarithm.
namespace mxtape {
namespace {

enum class BlankLabel : int32_t { kFirst, kLast };

struct CtcParams {
  bool use_data_lengths = false, use_label_lengths = false;
  BlankLabel blank_label = BlankLabel::kFirst;
  template <class V>
  void visit(V& v) {
    v("use_data_lengths", use_data_lengths, "Whether data_lengths is given.");
    v("use_label_lengths", use_label_lengths,
      "Whether label_lengths is given; otherwise labels end at the first padding.");
    v("blank_label", blank_label,
      "first: the blank is class 0 and labels are padded with 0; last: it is the last class and "
      "they are padded with -1.",
      {"first", "last"});
  }
};

struct CtcInputs {
  explicit CtcInputs(const CtcParams& p)
      : data_lengths(p.use_data_lengths ? 2 : 0),
        label_lengths(p.use_label_lengths ? 2 + p.use_data_lengths : 0) {}
  size_t data_lengths, label_lengths;  // 0: none
};

std::vector<int64_t> as_integers(const NDArray& x) {
  std::vector<int64_t> values(size_t(x.size()));
  convert(x.dtype(), x.bytes(), DType::kInt64, values.data(), x.size());
  return values;
}

// What the sequences of a batch are to spell.
struct CtcTargets {
  int64_t blank;
  std::vector<int64_t> steps;                // of each sequence
  std::vector<std::vector<int64_t>> states;  // its labels with blanks before, between and after
  std::vector<char> possible;                // whether it has enough steps; if not, no labels

  CtcTargets(const CtcParams& p, const Shape& data, const NDArray& label,
             const NDArray* data_lengths, const NDArray* label_lengths)
      : blank(p.blank_label == BlankLabel::kFirst ? 0 : data[2] - 1) {
    const int64_t batch = data[1], width = label.shape()[1];
    const int64_t lowest = p.blank_label == BlankLabel::kFirst ? 1 : 0;
    const std::vector<int64_t> labels = as_integers(label);
    steps =
        data_lengths ? as_integers(*data_lengths) : std::vector<int64_t>(size_t(batch), data[0]);
    std::vector<int64_t> counts(size_t(batch), width);
    if (label_lengths) counts = as_integers(*label_lengths);
    for (int64_t n = 0; n < batch; ++n) {
      const int64_t* row = labels.data() + n * width;
      std::vector<int64_t> all = {blank};
      int64_t needed = 0;
      for (int64_t i = 0; i < counts[size_t(n)] && (label_lengths || row[i] >= lowest); ++i) {
        needed += 1 + (i > 0 && row[i] == row[i - 1]);
        all.push_back(row[i]);
        all.push_back(blank);
      }
      const bool enough = needed <= steps[size_t(n)];
      if (!enough) all.resize(1);
      states.push_back(std::move(all));
      possible.push_back(enough);
    }
  }

  // Whether a path may go to state i from two states before: over the blank between two labels.
  bool skips(size_t n, size_t i) const {
    const std::vector<int64_t>& all = states[n];
    return i >= 2 && all[i] != blank && all[i] != all[i - 2];
  }
};

CtcTargets targets_of(const CtcParams& p, const Shape& data, Inputs inputs) {
  const CtcInputs at(p);
  return {p, data, inputs[1], at.data_lengths ? &inputs[at.data_lengths] : nullptr,
          at.label_lengths ? &inputs[at.label_lengths] : nullptr};
}

void check_lengths(const CheckCall& call, size_t i, int64_t largest, const char* what) {
  for (int64_t n : as_integers(call.input(i))) {
    call.expect(n >= 0 && n <= largest, what, " must be in [0, ", largest, "], got ", n);
  }
}

void infer_ctc(InferCall& call) {
  const auto& p = call.params<CtcParams>();
  const CtcInputs at(p);
  call.expect_floating();
  const Shape &data = call.shape(0), &label = call.shape(1);
  call.expect(data.ndim() == 3, "data must have three axes: (steps, batch, classes)");
  call.expect(label.ndim() == 2, "label must have two axes: (batch, labels)");
  call.expect(data[1] == label[0], "data and label must have the same batch size");
  call.expect(data[2] > 0, "data must have a class");
  call.expect(label[1] <= data[0], "label must not be longer than data");
  for (const size_t i : {at.data_lengths, at.label_lengths}) {
    if (i) call.require(i, Shape{data[1]}, ": (batch,)");
  }
  call.output(0, Shape{data[1]}, call.dtype(0));
  call.output(1, call.recording() ? data : Shape{0}, call.dtype(0));
}

void check_ctc(const CheckCall& call) {
  const auto& p = call.params<CtcParams>();
  const CtcInputs at(p);
  const Shape &data = call.shape(0), &label = call.shape(1);
  if (at.data_lengths) check_lengths(call, at.data_lengths, data[0], "data_lengths");
  if (at.label_lengths) check_lengths(call, at.label_lengths, label[1], "label_lengths");
  SmallVector<const NDArray*, 4> inputs;
  for (size_t i = 0; i < call.input_count(); ++i) inputs.push_back(&call.input(i));
  const CtcTargets targets = targets_of(p, data, Inputs(inputs.data(), inputs.size()));
  for (const auto& states : targets.states) {
    for (int64_t c : states) {
      call.expect(c >= 0 && c < data[2], "labels must be in [0, ", data[2], "), got ", c);
    }
  }
}

using Row = Eigen::Array<double, Eigen::Dynamic, 1>;
constexpr double kNever = -std::numeric_limits<double>::infinity();

double log_sum(double a, double b) {
  const double high = std::max(a, b);
  return high == kNever ? kNever : high + std::log1p(std::exp(std::min(a, b) - high));
}

// out[i] = log(exp(a[i]) + exp(b[i]) + exp(c[i])), a row at a time.
void log_sum(const Row& a, const Row& b, const Row& c, Row& out) {
  // A finite base keeps infinity from being subtracted from itself.
  const Row base = a.cwiseMax(b).cwiseMax(c).cwiseMax(std::numeric_limits<double>::lowest());
  out = base + ((a - base).exp() + (b - base).exp() + (c - base).exp()).log();
}

// One sequence: its loss and, unless `grad` is null, the loss's gradient. A step's classes are
// `stride` elements after those of the step before.
template <class T>
double sequence_loss(const CtcTargets& targets, size_t n, const T* data, int64_t steps,
                     int64_t classes, int64_t stride, T* grad) {
  const std::vector<int64_t>& states = targets.states[n];
  const int64_t length = targets.steps[n], count = static_cast<int64_t>(states.size());
  if (grad) {
    for (int64_t t = targets.possible[n] ? length : 0; t < steps; ++t) {
      std::fill_n(grad + t * stride, classes, T(0));
    }
  }
  // Without a step nothing is spelled, which costs nothing; so does what cannot be spelled.
  if (!targets.possible[n] || length == 0) return 0;
  Eigen::ArrayXXd emitted(count, length), forward(count, length);
  Row probabilities(classes), shifts(length), sums(length);
  for (int64_t t = 0; t < length; ++t) {
    const T* x = data + t * stride;
    for (int64_t c = 0; c < classes; ++c) probabilities[c] = static_cast<double>(x[c]);
    shifts[t] = probabilities.maxCoeff();
    sums[t] = (probabilities - shifts[t]).exp().sum();
    const double log_total = shifts[t] + std::log(sums[t]);
    for (int64_t i = 0; i < count; ++i) {
      emitted(i, t) = static_cast<double>(x[states[size_t(i)]]) - log_total;
    }
  }
  Row one = Row::Constant(count, kNever), two = one, next = one, now = one;
  now.head(std::min<int64_t>(2, count)) = emitted.col(0).head(std::min<int64_t>(2, count));
  forward.col(0) = now;
  for (int64_t t = 1; t < length; ++t) {
    one.tail(count - 1) = now.head(count - 1);
    for (int64_t i = 3; i < count; i += 2) {
      if (targets.skips(n, size_t(i))) two[i] = now[i - 2];
    }
    log_sum(now, one, two, next);
    now = next + emitted.col(t);
    forward.col(t) = now;
  }
  const double total = log_sum(now[count - 1], count > 1 ? now[count - 2] : kNever);
  if (!grad) return -total;
  one.setConstant(kNever);
  two.setConstant(kNever);
  now.setConstant(kNever);
  now.tail(std::min<int64_t>(2, count)).setZero();
  for (int64_t t = length; t-- > 0;) {
    const T* x = data + t * stride;
    for (int64_t c = 0; c < classes; ++c) probabilities[c] = static_cast<double>(x[c]);
    probabilities = (probabilities - shifts[t]).exp() / sums[t];
    next = (forward.col(t) + now - total).exp();
    for (int64_t i = 0; i < count; ++i) probabilities[states[size_t(i)]] -= next[i];
    for (int64_t c = 0; c < classes; ++c) {
      grad[t * stride + c] = convert_value<T>(probabilities[c]);
    }
    now += emitted.col(t);
    one.head(count - 1) = now.tail(count - 1);
    for (int64_t i = 3; i < count; i += 2) {
      if (targets.skips(n, size_t(i))) two[i - 2] = now[i];
    }
    log_sum(now, one, two, next);
    now = next;
  }
  return -total;
}

void run_ctc(const KernelCall& call) {
  const NDArray &data = call.in(0), &loss = call.out(0), &grad = call.out(1);
  const Shape& shape = data.shape();
  const CtcTargets targets = targets_of(call.params<CtcParams>(), shape, call.inputs());
  const int64_t batch = shape[1], classes = shape[2], stride = batch * classes;
  const int64_t work = shape[0] * (classes + 4 * (2 * call.in(1).shape()[1] + 1));
  const int64_t grain = std::max<int64_t>(1, (1 << 13) / std::max<int64_t>(work, 1));
  dispatch<FloatingTypes>(data.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    parallel_for(batch, grain, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        T* to = grad.size() ? grad.data<T>() + n * classes : nullptr;
        loss.data<T>()[n] = convert_value<T>(sequence_loss<T>(
            targets, size_t(n), data.data<T>() + n * classes, shape[0], classes, stride, to));
      }
    });
  });
}

// ---- The gradient where it is recorded: the same sums over paths, of recorded operators.

// Far below any logarithm of a probability, but finite: no infinity meets another.
constexpr double kFar = -1e30;

NDArray log_sum(const NDArray& a, const NDArray& b, const NDArray& c) {
  // Any base gives the same sum: it is a constant to the gradient.
  const NDArray base = fn::maximum(fn::maximum(a, b), c).detached();
  return base + fn::log(fn::exp(a - base) + fn::exp(b - base) + fn::exp(c - base));
}

class ComposedCtc {
 public:
  ComposedCtc(const CtcTargets& targets, const Shape& data, DType dtype)
      : targets_(targets), dtype_(dtype), batch_(data[1]), classes_(data[2]) {
    for (const auto& states : targets.states) {
      states_ = std::max(states_, static_cast<int64_t>(states.size()));
    }
    const auto size = [&](size_t n) { return targets.states[n].size(); };
    first_ =
        constant([&](size_t n, size_t i) { return i < std::min<size_t>(2, size(n)) ? 0 : kFar; });
    last_ =
        constant([&](size_t n, size_t i) { return i < size(n) && i + 2 >= size(n) ? 0 : kFar; });
    into_ =
        constant([&](size_t n, size_t i) { return i < size(n) && targets.skips(n, i) ? 0 : kFar; });
    from_ = constant(
        [&](size_t n, size_t i) { return i + 2 < size(n) && targets.skips(n, i + 2) ? 0 : kFar; });
    edge_ = full(Shape{batch_, 2}, dtype, kFar);
    classes_of_states_ = full(Shape{batch_, states_, classes_}, dtype, 0);
    dispatch<SingleOrDouble>(dtype_, [&](auto tag) {
      auto* data = classes_of_states_.data<typename decltype(tag)::type>();
      for (size_t n = 0; n < size_t(batch_); ++n) {
        for (size_t i = 0; i < size(n); ++i) {
          data[(int64_t(n) * states_ + int64_t(i)) * classes_ + targets.states[n][i]] = 1;
        }
      }
    });
  }

  NDArray gradient(const NDArray& data) const {
    const int64_t steps = data.shape()[0];
    const NDArray logs = fn::log_softmax(data);
    std::vector<NDArray> emitted, forward, grads;
    grads.resize(size_t(steps));
    for (int64_t t = 0; t < steps; ++t) {
      const NDArray step = reshape(compose::rows(logs, t, t + 1), Shape{batch_, 1, classes_});
      emitted.push_back(reshape(fn::batch_dot(step, classes_of_states_, DotParams{false, true}),
                                Shape{batch_, states_}));
    }
    NDArray now = first_ + emitted[0];
    forward.push_back(now);
    for (int64_t t = 1; t < steps; ++t) {
      const NDArray one = shifted(now, 1, true), two = shifted(now, 2, true) + into_;
      now = select(t, log_sum(now, one, two) + emitted[size_t(t)], now);
      forward.push_back(now);
    }
    const NDArray ends = now + last_;
    const NDArray base = call_max(ends);
    const NDArray total = base + fn::log(sum(fn::exp(ends - base), {1}, true));
    now = last_;
    for (int64_t t = steps; t-- > 0;) {
      const NDArray occupied = fn::exp(forward[size_t(t)] + now - total);
      const NDArray counted =
          fn::batch_dot(reshape(occupied, Shape{batch_, 1, states_}), classes_of_states_);
      const NDArray step = reshape(compose::rows(logs, t, t + 1), Shape{batch_, classes_});
      grads[size_t(t)] = (fn::exp(step) - reshape(counted, step.shape())) * counts(t);
      const NDArray through = now + emitted[size_t(t)];
      now = select(
          t, log_sum(through, shifted(through, 1, false), shifted(through, 2, false) + from_), now);
    }
    return compose::stack(grads);
  }

 private:
  template <class F>
  NDArray constant(F&& value) const {
    const NDArray x = NDArray::empty(Shape{batch_, states_}, dtype_);
    dispatch<SingleOrDouble>(dtype_, [&](auto tag) {
      auto* data = x.data<typename decltype(tag)::type>();
      for (size_t n = 0; n < size_t(batch_); ++n) {
        for (size_t i = 0; i < size_t(states_); ++i) *data++ = value(n, i);
      }
    });
    return x;
  }
  // x moved by `by` states towards the end or the start; what comes in is far below.
  NDArray shifted(const NDArray& x, int64_t by, bool to_end) const {
    if (states_ <= by) return full(x.shape(), dtype_, kFar);
    const NDArray edge = compose::columns(edge_, 0, by);
    if (to_end) return compose::join_columns({edge, compose::columns(x, 0, states_ - by)});
    return compose::join_columns({compose::columns(x, by, states_), edge});
  }
  // 1 for sequences whose step t counts.
  NDArray counts(int64_t t) const {
    const NDArray x = NDArray::empty(Shape{batch_, 1}, dtype_);
    dispatch<SingleOrDouble>(dtype_, [&](auto tag) {
      auto* data = x.data<typename decltype(tag)::type>();
      for (size_t n = 0; n < size_t(batch_); ++n) {
        data[n] = t < targets_.steps[n] && targets_.possible[n] ? 1 : 0;
      }
    });
    return x;
  }
  // `a` for the sequences that have a step t, `b` for the others.
  NDArray select(int64_t t, const NDArray& a, const NDArray& b) const {
    return fn::where(broadcast_to(counts(t), a.shape()), a, b);
  }
  static NDArray call_max(const NDArray& x) {
    return fn::max(x.detached(), ReduceParams{Ints{1}, true, false});
  }

  const CtcTargets& targets_;
  DType dtype_;
  int64_t batch_, classes_, states_ = 1;
  NDArray first_, last_, into_, from_, edge_, classes_of_states_;
};

void ctc_vjp(Vjp& v) {
  const auto& p = v.params<CtcParams>();
  const Shape data = v.input_shape(0);
  const NDArray head = reshape(v.head(), Shape{1, data[1], 1});
  if (!v.recording() || data.size() == 0) return v.grad(0, v.output(1) * head);
  SmallVector<NDArray, 4> inputs;
  SmallVector<const NDArray*, 4> pointers;
  for (size_t i = 0; i < v.input_count(); ++i) inputs.push_back(v.input(i));
  for (const NDArray& x : inputs) pointers.push_back(&x);
  const CtcTargets targets = targets_of(p, data, Inputs(pointers.data(), pointers.size()));
  const DType dtype = traits_of(v.input_dtype(0)).compute;
  const ComposedCtc composed(targets, data, dtype);
  v.grad(0, cast(composed.gradient(cast(inputs[0], dtype)), v.input_dtype(0)) * head);
}

OP(CTCLoss)
    .alias("ctc_loss", "_contrib_CTCLoss", "_contrib_ctc_loss")
    .inputs("data", "label", "data_lengths", "label_lengths")
    .params<CtcParams>()
    .optional_inputs(2,
                     [](const Params* p) {
                       const auto& ctc = p->as<CtcParams>();
                       return 0b0011u | (ctc.use_data_lengths ? 0b0100u : 0u) |
                              (ctc.use_label_lengths ? 0b1000u : 0u);
                     })
    .no_grad_inputs(1, 2, 3)
    .outputs(2, 1)
    .infer(infer_ctc)
    .check(check_ctc)
    .kernel(run_ctc)
    .keep_inputs({Keep::kData, Keep::kData, Keep::kData, Keep::kData})
    .keep_output(0, Keep::kShape)
    .keep_output(1)
    .vjp(ctc_vjp)
    .doc(
        "The connectionist temporal classification loss of each sequence: minus the logarithm of "
        "the probability that data, unnormalised scores of shape (steps, batch, classes), spells "
        "label, of shape (batch, labels). A sequence with too few steps for its labels has loss "
        "0.")
    .example(R"(
>>> scores = mx.nd.zeros((2, 1, 3))  # at two steps blank, 1 and 2 are equally likely
>>> label = mx.nd.array([[1]])  # spelt by 3 of the 9 paths: 1 1, blank 1 and 1 blank
>>> loss = mx.nd.CTCLoss(scores, label)
>>> print(mx.nd.exp(-loss).asnumpy().round(4))
[0.3333]
)");

}  // namespace
}  // namespace mxtape

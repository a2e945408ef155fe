#include <cmath>

#include "op/declare.h"
#include "ops/shared/compose.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// The log likelihood of marked self-exciting point processes (Hawkes: "Spectra of some
// self-exciting and mutually exciting point processes", Biometrika 1971) with exponential decay.
// A mark's intensity is mu + alpha * beta * s: s decays by exp(-beta * time) and gains 1 at each
// event of that mark.
namespace mxtape {
namespace {

enum : size_t { kMu, kAlpha, kBeta, kState, kLags, kMarks, kValidLength, kMaxTime };

void infer_hawkes(InferCall& call) {
  call.expect_floating();
  const Shape& mu = call.shape(kMu);
  call.expect(mu.ndim() == 2, "lda must have two axes: (batch, marks)");
  const Shape& lags = call.shape(kLags);
  call.expect(lags.ndim() == 2 && lags[0] == mu[0],
              "lags must have two axes, the first of them lda's: (batch, events)");
  const auto check = [&](size_t i, const Shape& shape) {
    call.require(i, shape);
    if (i != kMarks) call.require_dtype(i, call.dtype(0), ", the dtype of lda");
  };
  check(kAlpha, Shape{mu[1]});
  check(kBeta, Shape{mu[1]});
  check(kState, mu);
  check(kLags, lags);
  check(kMarks, lags);
  check(kValidLength, Shape{mu[0]});
  check(kMaxTime, Shape{mu[0]});
  call.require_dtype(kMarks, DType::kInt32);
  call.output(0, Shape{mu[0]}, call.dtype(0));
  call.output(1, mu, call.dtype(0));
}

void check_marks(const CheckCall& call) {
  const int32_t* marks = call.input(kMarks).data<int32_t>();
  const int64_t kinds = call.shape(kMu)[1];
  for (int64_t i = 0; i < call.shape(kMarks).size(); ++i) {
    call.expect(marks[i] >= 0 && marks[i] < kinds, "marks must be in [0, ", kinds, "), got ",
                marks[i]);
  }
}

// A call in double.
struct Hawkes {
  explicit Hawkes(Inputs in)
      : batch(in[kMu].shape()[0]),
        marks_count(in[kMu].shape()[1]),
        events(in[kLags].shape()[1]),
        mu(wide(in[kMu])),
        alpha(wide(in[kAlpha])),
        beta(wide(in[kBeta])),
        state(wide(in[kState])),
        lags(wide(in[kLags])),
        valid(wide(in[kValidLength])),
        max_time(wide(in[kMaxTime])),
        marks(in[kMarks].data<int32_t>()) {}

  static std::vector<double> wide(const NDArray& x) {
    std::vector<double> values(size_t(x.size()));
    convert(x.dtype(), x.bytes(), DType::kFloat64, values.data(), x.size());
    return values;
  }
  // A fraction of an event counts as none; NaN as no events.
  int64_t length(int64_t n) const {
    const double given = valid[size_t(n)];
    return given > 0 ? static_cast<int64_t>(std::min(given, static_cast<double>(events))) : 0;
  }

  int64_t batch, marks_count, events;
  std::vector<double> mu, alpha, beta, state, lags, valid, max_time;
  const int32_t* marks;

  // Calls event(i, k, d) for each event i of sequence n, in order, and end(k, d) for each mark:
  // d is the time since the mark's last event, or since the start.
  template <class Event, class End>
  void visit(int64_t n, Event&& event, End&& end) const {
    std::vector<double> last(size_t(marks_count), 0.0);
    double time = 0;
    for (int64_t i = 0; i < length(n); ++i) {
      const auto k = static_cast<size_t>(marks[n * events + i]);
      time += lags[size_t(n * events + i)];
      event(i, k, time - last[k]);
      last[k] = time;
    }
    for (size_t k = 0; k < size_t(marks_count); ++k) end(k, max_time[size_t(n)] - last[k]);
  }
};

void run_hawkes(const KernelCall& call) {
  const Hawkes h(call.inputs());
  std::vector<double> likelihood(size_t(h.batch)), states = h.state;
  const int64_t grain = std::max<int64_t>(1, 1024 / (h.events + h.marks_count + 1));
  parallel_for(h.batch, grain, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const double* mu = &h.mu[size_t(n * h.marks_count)];
      double *s = &states[size_t(n * h.marks_count)], total = 0;
      // What the mark's intensity adds up to over time d, and the decay of its state.
      const auto pass = [&](size_t k, double d) {
        const double decay = std::exp(-h.beta[k] * d);
        total -= mu[k] * d + h.alpha[k] * s[k] * (1 - decay);
        s[k] *= decay;
      };
      h.visit(
          n,
          [&](int64_t, size_t k, double d) {
            pass(k, d);
            total += std::log(mu[k] + h.alpha[k] * h.beta[k] * s[k]);
            s[k] += 1;
          },
          pass);
      likelihood[size_t(n)] = total;
    }
  });
  const DType dtype = call.in(0).dtype();
  convert(DType::kFloat64, likelihood.data(), dtype, call.out(0).bytes(), h.batch);
  convert(DType::kFloat64, states.data(), dtype, call.out(1).bytes(), call.out(1).size());
}

// ---- The gradient of lda, alpha, beta and state, from the inputs and the two head gradients.

void infer_hawkes_grad(InferCall& call) {
  infer_hawkes(call);
  const Shape& mu = call.shape(kMu);
  const DType dtype = call.dtype(0);
  call.expect(call.shape(8) == Shape{mu[0]} && call.dtype(8) == dtype,
              "output_grad must have shape ", Shape{mu[0]}, " and dtype ", dtype);
  call.expect(call.shape(9) == mu && call.dtype(9) == dtype, "state_grad must have shape ", mu,
              " and dtype ", dtype);
  for (size_t i = 0; i < 4; ++i) call.output(i, call.shape(i), dtype);
}

void run_hawkes_grad(const KernelCall& call) {
  const Hawkes h(call.inputs());
  const std::vector<double> head = Hawkes::wide(call.in(8));
  std::vector<double> state_grad = Hawkes::wide(call.in(9));
  const size_t size = size_t(h.batch * h.marks_count);
  std::vector<double> mu_grad(size, 0.0), alpha_parts(size, 0.0), beta_parts(size, 0.0);
  const int64_t grain = std::max<int64_t>(1, 1024 / (h.events + h.marks_count + 1));
  parallel_for(h.batch, grain, [&](int64_t begin, int64_t end) {
    struct Event {
      size_t k;
      double elapsed, state;  // the time since the mark's last event, and its state after that
      bool at_end;
    };
    std::vector<Event> events;
    for (int64_t n = begin; n < end; ++n) {
      const size_t row = size_t(n * h.marks_count);
      const double g = head[size_t(n)];
      std::vector<double> s(&h.state[row], &h.state[row] + h.marks_count);
      events.clear();
      const auto pass = [&](size_t k, double d, bool at_end) {
        events.push_back({k, d, s[k], at_end});
        s[k] = s[k] * std::exp(-h.beta[k] * d) + 1;
      };
      h.visit(
          n, [&](int64_t, size_t k, double d) { pass(k, d, false); },
          [&](size_t k, double d) { pass(k, d, true); });
      for (size_t i = events.size(); i-- > 0;) {
        const auto [k, d, before, at_end] = events[i];
        const double decay = std::exp(-h.beta[k] * d), left = before * decay;
        double of_left = state_grad[row + k];  // of the decayed state
        if (!at_end) {
          const double rate = g / (h.mu[row + k] + h.alpha[k] * h.beta[k] * left);
          mu_grad[row + k] += rate;
          alpha_parts[row + k] += rate * h.beta[k] * left;
          beta_parts[row + k] += rate * h.alpha[k] * left;
          of_left += rate * h.alpha[k] * h.beta[k];
        }
        mu_grad[row + k] -= g * d;
        alpha_parts[row + k] -= g * (before - left);
        const double of_decay = (of_left + g * h.alpha[k]) * before;
        beta_parts[row + k] -= of_decay * d * decay;
        state_grad[row + k] = of_left * decay - g * h.alpha[k] * (1 - decay);
      }
    }
  });
  const auto over_batch = [&](const std::vector<double>& parts) {
    std::vector<double> total(size_t(h.marks_count), 0.0);
    for (size_t i = 0; i < size; ++i) total[i % total.size()] += parts[i];
    return total;
  };
  const std::vector<double> alpha_grad = over_batch(alpha_parts),
                            beta_grad = over_batch(beta_parts);
  const std::vector<double>* grads[] = {&mu_grad, &alpha_grad, &beta_grad, &state_grad};
  for (size_t i = 0; i < 4; ++i) {
    const NDArray& out = call.out(i);
    convert(DType::kFloat64, grads[i]->data(), out.dtype(), out.bytes(), out.size());
  }
}

const fn::Op<> hawkes_grad{"_contrib_backward_hawkesll"};

// ---- The same of recorded operators, all marks of an event at once.

void composed_vjp(Vjp& v, Inputs constants) {
  const Hawkes h(constants);
  const DType given = v.input_dtype(0);
  const DType dtype = given == DType::kFloat64 ? given : DType::kFloat32;
  const Shape all{h.batch, h.marks_count};
  // For each event, and then for the end: the time that passed for its mark, and 1 at the mark.
  int64_t most = 0;
  for (int64_t n = 0; n < h.batch; ++n) most = std::max(most, h.length(n));
  std::vector<double> elapsed(size_t((most + 1) * all.size()), 0.0), hits = elapsed;
  for (int64_t n = 0; n < h.batch; ++n) {
    const auto at = [&](int64_t i, size_t k) {
      return size_t((i * h.batch + n) * h.marks_count) + k;
    };
    h.visit(
        n,
        [&](int64_t i, size_t k, double d) {
          elapsed[at(i, k)] = d;
          hits[at(i, k)] = 1;
        },
        [&](size_t k, double d) { elapsed[at(most, k)] = d; });
  }
  const auto constant = [&](const std::vector<double>& values, int64_t i) {
    NDArray x = NDArray::empty(all, dtype);
    convert(DType::kFloat64, values.data() + i * all.size(), dtype, x.bytes(), all.size());
    return x;
  };
  const auto input = [&](size_t i) { return cast(v.input(i), dtype); };
  const NDArray mu = input(kMu), alpha = input(kAlpha), beta = input(kBeta);
  const NDArray ones = full(all, dtype, 1), jump = alpha * beta;
  const NDArray g = cast(reshape(v.head(0), Shape{h.batch, 1}), dtype);
  std::vector<NDArray> states = {input(kState)}, times, decays;
  for (int64_t i = 0; i <= most; ++i) {
    times.push_back(constant(elapsed, i));
    decays.push_back(fn::exp(-(beta * times.back())));
    states.push_back(states.back() * decays.back() + constant(hits, i));
  }
  NDArray of_state = cast(v.head(1), dtype), of_mu, of_alpha, of_beta;
  const auto add = [](NDArray& to, const NDArray& x) { to = to.defined() ? to + x : x; };
  for (int64_t i = most; i >= 0; --i) {
    const NDArray &d = times[size_t(i)], &decay = decays[size_t(i)], &before = states[size_t(i)];
    const NDArray left = before * decay;
    NDArray of_left = of_state;
    if (i < most) {
      const NDArray hit = constant(hits, i);
      const NDArray rate = g * (hit / fn::where(hit, mu + jump * left, ones));
      add(of_mu, rate);
      add(of_alpha, rate * beta * left);
      add(of_beta, rate * alpha * left);
      of_left = of_left + rate * jump;
    }
    add(of_mu, -(g * d));
    add(of_alpha, -(g * (before - left)));
    add(of_beta, -((of_left + g * alpha) * before * d * decay));
    of_state = of_left * decay - g * alpha * (1.0 - decay);
  }
  const NDArray grads[] = {of_mu, sum(of_alpha, {0}, false), sum(of_beta, {0}, false), of_state};
  for (size_t i = 0; i < 4; ++i) {
    if (v.needs(i)) v.grad(i, cast(grads[i], given));
  }
}

void hawkes_vjp(Vjp& v) {
  for (size_t i : {kLags, kValidLength, kMaxTime}) {
    if (v.needs(i)) fail("there is no gradient of ", v.op().inputs[i].name);
  }
  SmallVector<NDArray, 10> inputs;
  for (size_t i = 0; i < v.input_count(); ++i) inputs.push_back(v.input(i));
  if (v.recording()) {
    SmallVector<const NDArray*, 10> pointers;
    for (const NDArray& x : inputs) pointers.push_back(&x);
    return composed_vjp(v, Inputs(pointers.data(), pointers.size()));
  }
  inputs.push_back(v.head(0));
  inputs.push_back(v.head(1));
  Outputs grads;
  invoke(hawkes_grad.schema(), inputs, nullptr, grads);
  for (size_t i = 0; i < 4; ++i) {
    if (v.needs(i)) v.grad(i, grads[i]);
  }
}

OP(_contrib_hawkesll)
    .inputs("lda", "alpha", "beta", "state", "lags", "marks", "valid_length", "max_time")
    .outputs(2)
    .no_grad_inputs(kMarks)
    .infer(infer_hawkes)
    .check(check_marks)
    .kernel(run_hawkes)
    .keep_inputs({Keep::kData, Keep::kData, Keep::kData, Keep::kData, Keep::kData, Keep::kData,
                  Keep::kData, Keep::kData})
    .keep_output(0, Keep::kShape)
    .vjp(hawkes_vjp)
    .doc(
        "Log likelihoods of a batch of marked self-exciting point processes, and their states at "
        "max_time. lda, the background intensities, and state have shape (batch, marks), alpha and "
        "beta (marks,), lags (the times between events) and marks (batch, events), valid_length "
        "and max_time (batch,).")
    .example(R"(
>>> lda, alpha, beta = mx.nd.array([[2]]), mx.nd.array([0]), mx.nd.array([1])
>>> lags, marks = mx.nd.array([[0.5, 0.5]]), mx.nd.array([[0, 0]], dtype="int32")
>>> state, length, end = mx.nd.zeros((1, 1)), mx.nd.array([2]), mx.nd.array([3])
>>> fit, state = mx.nd.contrib.hawkesll(lda, alpha, beta, state, lags, marks, length, end)
>>> print(fit.asnumpy().round(4))  # alpha is 0: a Poisson process, 2 log(2) - 2 * 3
[-4.6137]
)");

OP(_contrib_backward_hawkesll)
    .inputs("lda", "alpha", "beta", "state", "lags", "marks", "valid_length", "max_time",
            "output_grad", "state_grad")
    .outputs(4)
    .infer(infer_hawkes_grad)
    .check(check_marks)
    .kernel(run_hawkes_grad)
    .no_grad("where the gradient of hawkesll is recorded, it is composed of other operators")
    .doc("The gradient of hawkesll for lda, alpha, beta and state.");

}  // namespace
}  // namespace mxtape

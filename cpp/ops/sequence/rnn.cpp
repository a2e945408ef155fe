#include "ops/sequence/rnn.h"

#include "op/declare.h"
#include "runtime/widen.h"

// The fused recurrent layer: its two operators. The gradient is a kernel; where it is recorded, to
// be differentiated in turn, it is composed of public operators: rnn_composed.cpp.
namespace mxtape {

void rnn_composed_vjp(Vjp& v, const NDArray& masks);

namespace {

// Where the inputs of a call lie: some are not in every call.
struct RnnInputs {
  explicit RnnInputs(const RnnParams& p)
      : cell(p.lstm() ? 3 : 0),
        lengths(p.use_sequence_length ? 3 + p.lstm() : 0),
        count(3 + p.lstm() + p.use_sequence_length) {}
  size_t cell, lengths;  // 0: none
  size_t count;
};

void check_params(const InferCall& call, const RnnParams& p) {
  call.expect(p.state_size > 0, "state_size must be positive, got ", p.state_size);
  call.expect(p.num_layers > 0, "num_layers must be positive, got ", p.num_layers);
  call.expect(p.p >= 0 && p.p <= 1, "p must be in [0, 1], got ", p.p);
  if (p.projection_size) {
    call.expect(p.lstm(), "only mode 'lstm' has a projection");
    call.expect(*p.projection_size > 0, "projection_size must be positive, got ",
                *p.projection_size);
  }
  if (p.lstm_state_clip_min && p.lstm_state_clip_max) {
    call.expect(*p.lstm_state_clip_min <= *p.lstm_state_clip_max,
                "lstm_state_clip_min must not be above lstm_state_clip_max");
  }
}

// The inputs that the operator and its gradient share.
RnnShape check_inputs(const InferCall& call, const RnnParams& p) {
  const RnnInputs at(p);
  check_params(call, p);
  call.expect_floating();
  const Shape& data = call.shape(0);
  call.expect(data.ndim() == 3, "data must have three axes: (steps, batch, inputs)");
  const RnnShape s(p, data);
  for (size_t i = 1; i < 3 + size_t{p.lstm()}; ++i) {
    call.require_dtype(i, call.dtype(0), ", the dtype of data");
  }
  call.require(1, Shape{s.parameters()}, " with data of shape ", data);
  const int64_t lanes = s.layers * s.directions;
  const Shape state{lanes, s.batch, s.out}, cell{lanes, s.batch, s.hidden};
  call.require(2, state, ": (layers * directions, batch, size)");
  if (at.cell) call.require(at.cell, cell, ": (layers * directions, batch, size)");
  if (at.lengths) {
    call.require(at.lengths, Shape{s.batch});
    call.fill(at.lengths, call.dtype(0));
  }
  return s;
}

void infer_rnn(InferCall& call) {
  const auto& p = call.params<RnnParams>();
  const RnnShape s = check_inputs(call, p);
  const bool keeps = call.recording();
  const bool drops = call.training() && p.p > 0 && s.layers > 1;
  const DType dtype = call.dtype(0), wide = traits_of(dtype).compute;
  const size_t reserve = p.reserve_index();
  call.output(0, Shape{s.steps, s.batch, s.width()}, dtype);
  for (size_t i = 1; i < reserve; ++i) call.output(i, call.shape(i + 1), dtype);
  call.output(reserve, Shape{keeps ? s.reserve() : 0}, wide);
  call.output(reserve + 1, drops ? Shape{s.layers - 1, s.steps, s.batch, s.width()} : Shape{0},
              wide);
}

template <class T>
T* data_or_null(const NDArray& x) {
  return x.size() ? x.data<T>() : nullptr;
}

// The inputs that both kernels read, in the dtype that they compute in.
struct WideInputs {
  WideInputs(const KernelCall& call, const RnnParams& p)
      : at(p),
        shape(p, call.in(0).shape()),
        dtype(traits_of(call.in(0).dtype()).compute),
        data(widened(call.in(0))),
        parameters(widened(call.in(1))),
        state(widened(call.in(2))),
        cell(at.cell ? widened(call.in(at.cell)) : NDArray()),
        lengths(at.lengths ? &call.in(at.lengths) : nullptr) {}
  template <class T>
  RnnGiven<T> given() const {
    return {.data = data.data<T>(),
            .parameters = parameters.data<T>(),
            .state = state.data<T>(),
            .cell = cell.defined() ? cell.data<T>() : nullptr,
            .lengths = lengths};
  }

  RnnInputs at;
  RnnShape shape;
  DType dtype;
  NDArray data, parameters, state, cell;
  const NDArray* lengths;
};

void run_rnn(const KernelCall& call) {
  const auto& p = call.params<RnnParams>();
  const WideInputs in(call, p);
  const WideOutput out(call.out(0)), last_state(call.out(1));
  const WideOutput last_cell = in.at.cell ? WideOutput(call.out(2)) : WideOutput();
  dispatch<SingleOrDouble>(in.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    rnn_forward<T>(p, in.shape,
                   {.given = in.given<T>(),
                    .out = out.data<T>(),
                    .last_state = last_state.data<T>(),
                    .last_cell = last_cell.data<T>(),
                    .reserve = data_or_null<T>(call.out(p.reserve_index())),
                    .masks = data_or_null<T>(call.out(p.reserve_index() + 1))});
  });
  for (const WideOutput* output : {&out, &last_state, &last_cell}) output->finish();
}

// ---- The gradient. Its inputs: those of the call, its output, reserve and masks, and the head
// gradients of the outputs that a caller may see.

struct RnnGradParams {
  RnnParams rnn;
  bool data_grad = true;
  template <class V>
  void visit(V& v) {
    rnn.visit(v);
    v("data_grad", data_grad, "Whether the gradient of data is wanted.");
  }
};
const fn::Op<RnnGradParams> rnn_grad{"_backward_RNN"};

void infer_rnn_grad(InferCall& call) {
  const auto& p = call.params<RnnGradParams>();
  const RnnInputs at(p.rnn);
  const RnnShape s = check_inputs(call, p.rnn);
  const DType dtype = call.dtype(0), wide = traits_of(dtype).compute;
  const auto check = [&](size_t i, const Shape& shape, DType type) {
    call.expect(call.shape(at.count + i) == shape && call.dtype(at.count + i) == type, "input ",
                at.count + i, " must have shape ", shape, " and dtype ", type);
  };
  const Shape out{s.steps, s.batch, s.width()};
  check(0, out, dtype);
  check(1, Shape{s.reserve()}, wide);
  if (call.shape(at.count + 2) != Shape{0}) {
    check(2, Shape{s.layers - 1, s.steps, s.batch, s.width()}, wide);
  }
  check(3, out, dtype);
  check(4, call.shape(2), dtype);
  if (at.cell) check(5, call.shape(at.cell), dtype);
  call.output(0, p.data_grad ? call.shape(0) : Shape{0}, call.dtype(0));
  for (size_t i = 1; i < 3 + size_t{p.rnn.lstm()}; ++i) {
    call.output(i, call.shape(i), call.dtype(i));
  }
}

void run_rnn_grad(const KernelCall& call) {
  const auto& given = call.params<RnnGradParams>();
  const RnnParams& p = given.rnn;
  const WideInputs in(call, p);
  const RnnInputs& at = in.at;
  const auto input = [&](size_t i) { return widened(call.in(i)); };
  const NDArray out = input(at.count);
  const NDArray &reserve = call.in(at.count + 1), &masks = call.in(at.count + 2);
  const NDArray out_grad = input(at.count + 3), last_state_grad = input(at.count + 4);
  const NDArray last_cell_grad = at.cell ? input(at.count + 5) : NDArray();
  const WideOutput data_grad = given.data_grad ? WideOutput(call.out(0)) : WideOutput();
  const WideOutput parameters_grad(call.out(1)), state_grad(call.out(2));
  const WideOutput cell_grad = at.cell ? WideOutput(call.out(3)) : WideOutput();
  dispatch<SingleOrDouble>(in.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    rnn_backward<T>(p, in.shape,
                    {.given = in.given<T>(),
                     .out = out.data<T>(),
                     .reserve = reserve.data<T>(),
                     .masks = data_or_null<T>(masks),
                     .out_grad = out_grad.data<T>(),
                     .last_state_grad = last_state_grad.data<T>(),
                     .last_cell_grad = at.cell ? last_cell_grad.data<T>() : nullptr,
                     .data_grad = data_grad.data<T>(),
                     .parameters_grad = parameters_grad.data<T>(),
                     .state_grad = state_grad.data<T>(),
                     .cell_grad = cell_grad.data<T>()});
  });
  for (const WideOutput* output : {&data_grad, &parameters_grad, &state_grad, &cell_grad}) {
    output->finish();
  }
}

void rnn_vjp(Vjp& v) {
  const auto& p = v.params<RnnParams>();
  const RnnInputs at(p);
  const size_t reserve = p.reserve_index();
  const NDArray masks = v.output(reserve + 1).detached();
  if (v.recording()) return rnn_composed_vjp(v, masks);
  SmallVector<NDArray, 12> inputs;
  for (size_t i = 0; i < at.count; ++i) inputs.push_back(v.input(i));
  inputs.push_back(v.output(0));
  inputs.push_back(v.output(reserve));
  inputs.push_back(masks);
  for (size_t i = 0; i < reserve; ++i) inputs.push_back(v.head(i));
  Outputs grads;
  invoke(rnn_grad.schema(), inputs, make_params(RnnGradParams{p, v.needs(0)}), grads);
  for (size_t i = 0; i < grads.size(); ++i) {
    if (v.needs(i)) v.grad(i, grads[i]);
  }
}

uint32_t rnn_inputs(const RnnParams& p) {
  return 0b00111u | (p.lstm() ? 0b01000u : 0u) | (p.use_sequence_length ? 0b10000u : 0u);
}

OP(RNN)
    .inputs("data", "parameters", "state", "state_cell", "sequence_length")
    .params<RnnParams>()
    .optional_inputs(3, [](const Params* p) { return rnn_inputs(p->as<RnnParams>()); })
    .outputs([](const Params* p) { return p->as<RnnParams>().reserve_index() + 2; },
             [](const Params* p) -> size_t {
               const auto& rnn = p->as<RnnParams>();
               return rnn.state_outputs ? rnn.reserve_index() : 1;
             })
    .random()
    .infer(infer_rnn)
    .kernel(run_rnn)
    .keep_inputs({Keep::kData, Keep::kData, Keep::kData, Keep::kData, Keep::kData})
    .keep_output(0)
    .keep_output(1, Keep::kShape)
    .keep_output(2)
    .keep_output(3)
    .keep_output(4)
    .vjp(rnn_vjp)
    .doc(
        "Recurrent layers over data of shape (steps, batch, inputs). parameters is one vector: for "
        "each layer and direction the weights of the inputs, of the state, and of the projection; "
        "then for each the two biases. The gates are in the order input, forget, cell, output "
        "(lstm) or reset, update, new (gru). The result has shape (steps, batch, directions * "
        "size); with state_outputs the last states follow. Past a sequence's length it is 0, and "
        "the states are those at its end.")
    .example(R"(
>>> x = mx.nd.array([1, 2, 3]).reshape((3, 1, 1))  # three steps of one number
>>> parameters = mx.nd.array([1, 1, 0, 0])  # weights of input and state, two biases
>>> state = mx.nd.zeros((1, 1, 1))
>>> y = mx.nd.RNN(x, parameters, state, mode="rnn_relu", state_size=1, num_layers=1)
>>> y.asnumpy().ravel().tolist()  # with these weights, a running sum
[1.0, 3.0, 6.0]
)");

OP(_backward_RNN)
    .inputs("data", "parameters", "state", "state_cell", "sequence_length", "output", "reserve",
            "masks", "output_grad", "state_grad", "state_cell_grad")
    .params<RnnGradParams>()
    .optional_inputs(3,
                     [](const Params* p) {
                       const RnnParams& rnn = p->as<RnnGradParams>().rnn;
                       return rnn_inputs(rnn) | 0b01111100000u | (rnn.lstm() ? 1u << 10 : 0u);
                     })
    .outputs([](const Params* p) -> size_t { return p->as<RnnGradParams>().rnn.lstm() ? 4 : 3; })
    .infer(infer_rnn_grad)
    .kernel(run_rnn_grad)
    .no_grad("where the gradient of RNN is recorded, it is composed of other operators")
    .doc("The gradient of RNN, from what its kernel kept.");

}  // namespace
}  // namespace mxtape

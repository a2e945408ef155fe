#include <algorithm>
#include <cstring>

#include "op/declare.h"
#include "ops/shared/index.h"
#include "ops/shared/strided.h"
#include "runtime/convert.h"
#include "runtime/parallel.h"

// Batches of sequences of different lengths: (steps, batch, ...), or (batch, steps, ...) with axis
// 1.
namespace mxtape {
namespace {

struct SequenceParams {
  bool use_sequence_length = false;
  int64_t axis = 0;
  template <class V>
  void visit(V& v) {
    v("use_sequence_length", use_sequence_length,
      "Whether sequence_length is given; else all sequences have all steps.");
    v("axis", axis, "The axis of the steps: 0, or 1.");
  }
};
const fn::Op<SequenceParams> last_op{"SequenceLast"}, reverse_op{"SequenceReverse"};

struct SequenceMaskParams {
  bool use_sequence_length = false;
  double value = 0;
  int64_t axis = 0;
  template <class V>
  void visit(V& v) {
    v("use_sequence_length", use_sequence_length,
      "Whether sequence_length is given; else nothing is masked.");
    v("value", value, "What replaces the elements after the end of a sequence.");
    v("axis", axis, "The axis of the steps: 0, or 1.");
  }
};
const fn::Op<SequenceMaskParams> mask_op{"SequenceMask"};

struct SequenceLastGradParams {
  bool use_sequence_length = false;
  int64_t axis = 0;
  int64_t steps = 1;
  template <class V>
  void visit(V& v) {
    v("use_sequence_length", use_sequence_length, "Whether sequence_length is given.");
    v("axis", axis, "The axis of the steps: 0, or 1.");
    v.required("steps", steps, "How many steps there were.");
  }
};
const fn::Op<SequenceLastGradParams> last_grad{"_backward_SequenceLast"};

template <class P>
uint32_t inputs_of(const Params* p) {
  return p->as<P>().use_sequence_length ? 0b11 : 0b01;
}

// A batch of sequences, each element of it `inner` contiguous numbers.
struct Batch {
  int64_t steps, count, inner;
  int64_t step_stride, sequence_stride;  // in elements of `inner` numbers
  Batch(const Shape& shape, int64_t axis)
      : steps(shape[static_cast<int>(axis)]),
        count(shape[static_cast<int>(1 - axis)]),
        inner(shape.product(2, shape.ndim())),
        step_stride(axis == 0 ? count : 1),
        sequence_stride(axis == 0 ? 1 : steps) {}
  int64_t at(int64_t step, int64_t sequence) const {
    return (step * step_stride + sequence * sequence_stride) * inner;
  }
};

// Checks what all of them need of data of shape `data`.
void check_sequences(const InferCall& call, const Shape& data, int64_t axis, bool lengths) {
  call.expect(data.ndim() >= 2, "data must have at least 2 axes: steps and batch");
  call.expect(axis == 0 || axis == 1, "axis must be 0 or 1, got ", axis);
  if (!lengths) return;
  call.require(1, Shape{data[static_cast<int>(1 - axis)]}, ": a length for each sequence");
}

// Lengths are numbers; those out of range count as the nearest in it.
void check_lengths(const CheckCall& call) {
  if (call.input_count() < 2 || !is_floating(call.dtype(1))) return;
  const NDArray numbers = index_numbers(call.input(1));
  for (int64_t i = 0; i < numbers.size(); ++i) {
    call.expect(numbers.data<int64_t>()[i] != kNoIndex, "sequence_length[", i, "] is nan");
  }
}

// The lengths, within [0, steps].
class Lengths {
 public:
  Lengths(const KernelCall& call, int64_t steps) : steps_(steps) {
    if (call.input_count() > 1) numbers_ = index_numbers(call.in(1));
  }
  int64_t operator[](int64_t sequence) const {
    if (!numbers_.defined()) return steps_;
    return std::clamp<int64_t>(numbers_.data<int64_t>()[sequence], 0, steps_);
  }

 private:
  int64_t steps_;
  NDArray numbers_;
};

int64_t grain_of(int64_t inner) {
  return std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(inner, 1));
}

// `op` of `x`, and of the lengths when the call had them.
template <class P>
NDArray with_lengths(Vjp& v, const fn::Op<P>& op, const NDArray& x, P p) {
  return p.use_sequence_length ? op(x, v.input(1), p) : op(x, p);
}

OP(SequenceMask)
    .inputs("data", "sequence_length")
    .params<SequenceMaskParams>()
    .optional_inputs(1, inputs_of<SequenceMaskParams>)
    .infer([](InferCall& call) {
      const auto& p = call.params<SequenceMaskParams>();
      check_sequences(call, call.shape(0), p.axis, p.use_sequence_length);
      call.output(0, call.shape(0), call.dtype(0));
    })
    .check(check_lengths)
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const auto& p = call.params<SequenceMaskParams>();
      const NDArray &x = call.in(0), &out = call.out();
      if (out.size() == 0) return;
      const Batch batch(x.shape(), p.axis);
      const Lengths lengths(call, batch.steps);
      uint64_t bits = 0;
      convert(DType::kFloat64, &p.value, out.dtype(), &bits, 1);
      dispatch<ElementTypes>(out.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        T fill;
        std::memcpy(&fill, &bits, sizeof(T));
        const T* from = x.data<T>();
        T* to = out.data<T>();
        parallel_for(batch.steps * batch.count, grain_of(batch.inner),
                     [&](int64_t first, int64_t last) {
                       for (int64_t i = first; i < last; ++i) {
                         const int64_t sequence = p.axis == 0 ? i % batch.count : i / batch.steps;
                         const int64_t step = p.axis == 0 ? i / batch.count : i % batch.steps;
                         if (step < lengths[sequence]) {
                           std::copy_n(from + i * batch.inner, batch.inner, to + i * batch.inner);
                         } else {
                           std::fill_n(to + i * batch.inner, batch.inner, fill);
                         }
                       }
                     });
      });
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kNothing, Keep::kData})
    .vjp([](Vjp& v) {
      SequenceMaskParams p = v.params<SequenceMaskParams>();
      p.value = 0;
      v.grad(0, with_lengths(v, mask_op, v.head(), p));
    })
    .doc("Sequences with what comes after their lengths replaced by `value`.")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [3, 4], [5, 6]])  # three steps of two sequences
>>> lengths = mx.nd.array([1, 2])
>>> y = mx.nd.SequenceMask(x, lengths, use_sequence_length=True, value=-1)
>>> y.asnumpy().tolist()
[[1.0, 2.0], [-1.0, 4.0], [-1.0, -1.0]]
)");

Shape without_steps(const Shape& data, int64_t axis) {
  Ints dims(data.begin(), data.end());
  dims.erase(dims.begin() + axis);
  return Shape(dims);
}

void check_last_steps(const CheckCall& call, int64_t steps) {
  const NDArray numbers = index_numbers(call.input(1));
  for (int64_t i = 0; i < numbers.size(); ++i) {
    const int64_t length = numbers.data<int64_t>()[i];
    call.expect(length >= 1 && length <= steps, "sequence_length[", i, "] is ", index_text(length),
                ", it must be in [1, ", steps, "]");
  }
}

OP(SequenceLast)
    .inputs("data", "sequence_length")
    .params<SequenceParams>()
    .optional_inputs(1, inputs_of<SequenceParams>)
    .infer([](InferCall& call) {
      const auto& p = call.params<SequenceParams>();
      check_sequences(call, call.shape(0), p.axis, p.use_sequence_length);
      const int64_t steps = call.shape(0)[static_cast<int>(p.axis)];
      call.expect(steps > 0, "the sequences have no steps");
      call.output(0, without_steps(call.shape(0), p.axis), call.dtype(0));
    })
    .check([](const CheckCall& call) {
      const auto& p = call.params<SequenceParams>();
      if (p.use_sequence_length) check_last_steps(call, call.shape(0)[static_cast<int>(p.axis)]);
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const NDArray &x = call.in(0), &out = call.out();
      if (out.size() == 0) return;
      const Batch batch(x.shape(), call.params<SequenceParams>().axis);
      const Lengths lengths(call, batch.steps);
      dispatch<ElementTypes>(out.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        for (int64_t i = 0; i < batch.count; ++i) {
          std::copy_n(x.data<T>() + batch.at(lengths[i] - 1, i), batch.inner,
                      out.data<T>() + i * batch.inner);
        }
      });
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kShape, Keep::kData})
    .vjp([](Vjp& v) {
      const auto& p = v.params<SequenceParams>();
      const int64_t steps = v.input_shape(0)[static_cast<int>(p.axis)];
      v.grad(0, with_lengths(v, last_grad, v.head(),
                             SequenceLastGradParams{p.use_sequence_length, p.axis, steps}));
    })
    .doc("The last step of each sequence.")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [3, 4], [5, 6]])  # three steps of two sequences
>>> mx.nd.SequenceLast(x).asnumpy().tolist()
[5.0, 6.0]
>>> lengths = mx.nd.array([1, 2])
>>> mx.nd.SequenceLast(x, lengths, use_sequence_length=True).asnumpy().tolist()
[1.0, 4.0]
)");

OP(_backward_SequenceLast)
    .inputs("head", "sequence_length")
    .params<SequenceLastGradParams>()
    .optional_inputs(1, inputs_of<SequenceLastGradParams>)
    .infer([](InferCall& call) {
      const auto& p = call.params<SequenceLastGradParams>();
      const Shape& head = call.shape(0);
      call.expect(head.ndim() >= 1, "head must have at least 1 axis");
      call.expect(p.axis == 0 || p.axis == 1, "axis must be 0 or 1, got ", p.axis);
      call.expect(p.steps >= 1, "steps must be positive");
      Ints dims(head.begin(), head.end());
      dims.insert(dims.begin() + p.axis, p.steps);
      check_sequences(call, Shape(dims), p.axis, p.use_sequence_length);
      call.output(0, Shape(dims), call.dtype(0));
    })
    .check([](const CheckCall& call) {
      const auto& p = call.params<SequenceLastGradParams>();
      if (p.use_sequence_length) check_last_steps(call, p.steps);
    })
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const NDArray &head = call.in(0), &out = call.out();
      fill_zero(out);
      if (out.size() == 0) return;
      const Batch batch(out.shape(), call.params<SequenceLastGradParams>().axis);
      const Lengths lengths(call, batch.steps);
      dispatch<ElementTypes>(out.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        for (int64_t i = 0; i < batch.count; ++i) {
          if (lengths[i] == 0) continue;
          std::copy_n(head.data<T>() + i * batch.inner, batch.inner,
                      out.data<T>() + batch.at(lengths[i] - 1, i));
        }
      });
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kNothing, Keep::kData})
    .vjp([](Vjp& v) {
      const auto& p = v.params<SequenceLastGradParams>();
      v.grad(0, with_lengths(v, last_op, v.head(), SequenceParams{p.use_sequence_length, p.axis}));
    })
    .doc("Zeros, with the head at the last step of each sequence: the gradient of SequenceLast.");

OP(SequenceReverse)
    .inputs("data", "sequence_length")
    .params<SequenceParams>()
    .optional_inputs(1, inputs_of<SequenceParams>)
    .infer([](InferCall& call) {
      const auto& p = call.params<SequenceParams>();
      call.expect(p.axis == 0, "axis must be 0, got ", p.axis);
      check_sequences(call, call.shape(0), p.axis, p.use_sequence_length);
      call.output(0, call.shape(0), call.dtype(0));
    })
    .check(check_lengths)
    .any_dtype()
    .kernel([](const KernelCall& call) {
      const NDArray &x = call.in(0), &out = call.out();
      if (out.size() == 0) return;
      const Batch batch(x.shape(), 0);
      const Lengths lengths(call, batch.steps);
      dispatch<ElementTypes>(out.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        parallel_for(batch.steps * batch.count, grain_of(batch.inner),
                     [&](int64_t first, int64_t last) {
                       for (int64_t i = first; i < last; ++i) {
                         const int64_t step = i / batch.count, sequence = i % batch.count;
                         const int64_t length = lengths[sequence];
                         const int64_t from = step < length ? length - 1 - step : step;
                         std::copy_n(x.data<T>() + batch.at(from, sequence), batch.inner,
                                     out.data<T>() + i * batch.inner);
                       }
                     });
      });
    })
    .no_grad_inputs(1)
    .keep_inputs({Keep::kNothing, Keep::kData})
    // Its own inverse, and so its own adjoint.
    .vjp([](Vjp& v) {
      v.grad(0, with_lengths(v, reverse_op, v.head(), v.params<SequenceParams>()));
    })
    .doc("Sequences with the order of their steps, up to their lengths, reversed.")
    .example(R"(
>>> x = mx.nd.array([[1, 2], [3, 4], [5, 6]])  # three steps of two sequences
>>> lengths = mx.nd.array([2, 3])
>>> mx.nd.SequenceReverse(x, lengths, use_sequence_length=True).asnumpy().tolist()
[[3.0, 6.0], [1.0, 4.0], [5.0, 2.0]]
)");

}  // namespace
}  // namespace mxtape

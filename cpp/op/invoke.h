#pragma once

#include "autograd/recorder.h"
#include "core/small_vector.h"
#include "op/schema.h"

namespace mxtape {

using Outputs = SmallVector<NDArray, 2>;

// Calls an operator: checks, infers, runs the kernel, records. `outputs` holds the arrays to write
// to, undefined ones for new arrays, or is empty and receives new ones. Everything is checked
// before anything is changed.
void invoke(const OpSchema& op, Inputs inputs, const ParamsRef& params, Outputs& outputs);
void invoke(const OpSchema& op, Arrays inputs, const ParamsRef& params, Outputs& outputs);

// The same, into new outputs, with a first input that nobody reads afterwards: the first output, of
// its shape and dtype, is written over it where the operator allows that (in_place), nobody else
// can see its memory and nothing is recorded.
void invoke_over(const OpSchema& op, NDArray first, std::initializer_list<NDArray> others,
                 const ParamsRef& params, Outputs& outputs);

// The same for one visible output.
NDArray invoke(const OpSchema& op, Inputs inputs, const ParamsRef& params = nullptr);
NDArray invoke(const OpSchema& op, std::initializer_list<NDArray> inputs,
               const ParamsRef& params = nullptr);

// Who runs calls in which an array has this form, as an input or an output. Where there are several
// forms, the last in the order of Form.
using FormCall = void (*)(const OpSchema& op, Inputs inputs, const ParamsRef& params,
                          Outputs& outputs);
void set_form_call(Form form, FormCall call);

// Records `op` for an output that already exists: a view of an input.
void record_view(const OpSchema& op, const NDArray& input, const ParamsRef& params, NDArray& view);

// What is told of the calls that a thread makes, and of the views that it records, instead of the
// tape.
class CallTrace {
 public:
  virtual void call(const OpSchema& op, Inputs inputs, const ParamsRef& params, Arrays outputs) = 0;

 protected:
  ~CallTrace() = default;
};

// Until it goes, this thread's calls are told to `trace`.
class CallTraceScope {
 public:
  explicit CallTraceScope(CallTrace& trace);
  ~CallTraceScope();
  CallTraceScope(const CallTraceScope&) = delete;
  CallTraceScope& operator=(const CallTraceScope&) = delete;

 private:
  autograd::StateScope state_;
  CallTrace* previous_;
};

// Throws when recording is on and `array` is in a recorded graph: it may not be written in place.
void check_writable(const NDArray& array, std::string_view op);

// Gives the backward executor the operators that it needs.
void install_gradient_ops();

}  // namespace mxtape

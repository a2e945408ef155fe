#pragma once

#include "op/invoke.h"

namespace mxtape {

// One call of an operator in four steps, which invoke() takes one after the other. Nothing is
// changed before place(), and nobody's values before run().
class Call {
 public:
  // `outputs` holds the arrays to write to, undefined ones for new arrays, or is empty.
  Call(const OpSchema& op, Inputs inputs, const ParamsRef& params, Mode mode, Outputs& outputs)
      : op_(op), inputs_(inputs), params_(params), mode_(mode), outputs_(outputs) {}

  // Checks the inputs, infers the outputs' shapes and dtypes, checks what reads values, and checks
  // the arrays given as outputs.
  void infer();
  // The same where inference has been run before, for such inputs: it made `specs`.
  void assume(std::span<const ArraySpec> specs);
  // Gives every output memory: its own, what the caller gave, or spare memory where that overlaps
  // an input in a way that the kernel could trip over. A call over large arrays may get none yet,
  // and wait.
  void place();
  // Runs the kernel, unless the call waits.
  void run();
  // Hangs the outputs on the tape, where the mode and the inputs ask for it.
  void record();

  std::span<const ArraySpec> specs() const { return specs_; }

 private:
  friend void invoke(const OpSchema& op, Inputs inputs, const ParamsRef& params, Outputs& outputs);
  friend void invoke_step(const OpSchema& op, Inputs inputs, const ParamsRef& params, Mode mode,
                          std::span<const ArraySpec> specs, bool whole, Outputs& outputs);

  // The steps, for invoke(), which has them in line: as calls they would cost a tenth of an
  // operator on a few elements.
  bool infer_in_line();
  void assume_in_line(std::span<const ArraySpec> specs);
  void check_effects();
  void place_in_line();
  void run_in_line();
  void compute_in_line();
  void compute_watched();
  void record_in_line();

  bool mutates(size_t i) const { return op_.mutates(i, inputs_.size(), params_.get(), mode_); }

  const OpSchema& op_;
  Inputs inputs_;
  const ParamsRef& params_;
  Mode mode_;
  Outputs& outputs_;
  size_t given_ = 0;  // how many arrays the caller gave as outputs
  SmallVector<ArraySpec, 2> specs_;
  // The caller's arrays whose results are computed elsewhere, and which outputs they are.
  Outputs spare_;
  SmallVector<size_t, 2> copied_;
  size_t bytes_ = 0;  // of the outputs together, or of the largest input
  bool waits_ = false;
  // What there is to record: nothing, the call, or that it has only constants.
  enum class Recorded : uint8_t { kNothing, kCall, kConstants };
  Recorded recorded_ = Recorded::kNothing;
  bool whole_ = false;  // the outputs that no caller sees are kept
  bool step_ = false;   // a step of a graph
};

// invoke() for a step of a graph: with the results of inference, where `specs` has them, which an
// operator with a check of values needs itself; and with the outputs that no caller sees, where
// `whole` is set.
void invoke_step(const OpSchema& op, Inputs inputs, const ParamsRef& params, Mode mode,
                 std::span<const ArraySpec> specs, bool whole, Outputs& outputs);

// Raises an Error where arrays that are given as outputs are not as inference says.
void check_outputs(const OpSchema& op, const Params* params, std::span<const ArraySpec> specs,
                   Arrays given);

// The last step, for calls that are made of others: whether the call is recorded, and, once it has
// all its outputs, recording it. The first throws where that cannot be.
bool check_recorded(const OpSchema& op, Inputs inputs, Arrays outputs, const Params* params,
                    Mode mode);
void record_made(const OpSchema& op, Inputs inputs, const ParamsRef& params, Mode mode,
                 std::span<NDArray> outputs);

}  // namespace mxtape

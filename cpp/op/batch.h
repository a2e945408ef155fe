#pragma once

#include <initializer_list>
#include <optional>
#include <utility>

#include "op/functional.h"

// Calls over a batch of examples, for vmap. An array that has other values in every example is a
// placeholder: a storage of the form kBatched in the place of one example, whose source holds the
// examples in one array, the physical one, with the batch axis in front. A call with a placeholder
// becomes a call on physical arrays, by the operator's rule: what BatchFn does with a BatchCall.
namespace mxtape {

// One vmap that runs in this thread. Those inside others have larger numbers.
struct BatchLevel {
  uint64_t number;
  int64_t size;    // of the batch
  bool recording;  // whether the thread recorded when it began
};

// Begins and ends one. What is left of its placeholders cannot be used afterwards.
uint64_t enter_batch(int64_t size);
void leave_batch(uint64_t number) noexcept;

inline bool is_batched(const NDArray& array) { return array.storage()->form() == Form::kBatched; }
// One example of `physical`, whose leading axis is the batch of the level `number`.
NDArray example_of(NDArray physical, uint64_t number);
// The examples of `array` with the batch axis in front; undefined where they are all the same.
NDArray examples_of(const NDArray& array, uint64_t number);

// `array` off the tape, and off those on which the physical array is.
NDArray detached(const NDArray& array);

// A call as a rule sees it: the shapes are those of one example. Results have the batch axis in
// front.
class BatchCall {
 public:
  const OpSchema& op() const { return op_; }
  int64_t batch() const { return batch_; }
  size_t input_count() const { return inputs_.size(); }
  // Whether input i differs from example to example.
  bool mapped(size_t i) const { return mapped_[i]; }
  const Shape& shape(size_t i) const { return shapes_[i]; }
  int ndim(size_t i) const { return shapes_[i].ndim(); }
  // The physical array of a mapped input; any other as it is.
  const NDArray& input(size_t i) const { return inputs_[i]; }
  // The physical array of any input: one that is not mapped is repeated.
  NDArray repeated(size_t i) const;
  // The same where an input broadcasts by itself to `ndim` axes of an example.
  NDArray aligned(size_t i, int ndim) const;

  size_t output_count() const { return specs_.size(); }
  const ArraySpec& output(size_t i = 0) const { return specs_[i]; }
  // The shape of all examples of something of this shape.
  Shape batched(const Shape& example) const;
  Shape batched_output(size_t i = 0) const { return batched(specs_[i].shape); }

  const ParamsRef& params() const { return params_; }
  template <class P>
  const P& params() const {
    return params_->as<P>();
  }
  // A copy of the parameters, to be changed.
  Ref<Params> copied_params() const;

  // Calls the operator itself on physical arrays, and makes the outputs those of the call.
  void apply(std::initializer_list<NDArray> inputs, const ParamsRef& params);
  void apply(Arrays inputs, const ParamsRef& params);
  // Output i: of the shape batched_output(i), or another of its size.
  void result(size_t i, NDArray physical);
  // Output i as a rule has made it so far.
  const NDArray& made(size_t i) const { return results_[i]; }
  // Output i where it is the same in all examples.
  void constant(size_t i, NDArray array) { results_[i] = std::move(array), constant_[i] = true; }
  // An Error that says why the call cannot be batched.
  [[noreturn, gnu::cold]] void refuse(std::string_view why) const;

 private:
  friend class BatchedInvocation;
  BatchCall(const OpSchema& op, const ParamsRef& params, int64_t batch)
      : op_(op), params_(params), batch_(batch) {}

  const OpSchema& op_;
  const ParamsRef& params_;
  int64_t batch_;
  SmallVector<NDArray, 4> inputs_;
  SmallVector<Shape, 4> shapes_;
  SmallVector<bool, 8> mapped_;
  SmallVector<ArraySpec, 2> specs_;
  Outputs results_;
  SmallVector<bool, 8> constant_;
};

// The rule of an operator: declared, or derived, or nullptr.
BatchFn batch_rule(const OpSchema& op);

// Declares the rules of operators by their names, which Registry::finish looks up.
class BatchRules {
 public:
  struct Rule {
    const char* op;
    BatchFn rule;
  };
  explicit BatchRules(std::initializer_list<Rule> rules);
};

// Rules and parts of rules that families share.
namespace batch {

// Inputs that have their batch axis in front anyway, all of them repeated where they are not
// mapped.
void in_front(BatchCall& call);
// The same for inputs that broadcast.
void broadcasting(BatchCall& call);
// `axis` or `dim` counted from the front is one further behind.
void shift_axis(BatchCall& call);
// The same for `axis` that may be None: the operator then sees the example as one row.
void shift_axis_or_flatten(BatchCall& call);
// An operator that sees its leading axis as a batch already, in all inputs and outputs: the two
// batches are one.
void merge_leading(BatchCall& call);
// What depends on the shapes of its inputs only.
void shape_only(BatchCall& call);

inline int64_t shifted(int64_t axis) { return axis < 0 ? axis : axis + 1; }
// Which place `axis` of an example has in the physical array.
inline int physical_axis(int64_t axis, int ndim) {
  return static_cast<int>(axis < 0 ? axis + ndim : axis) + 1;
}
// `x` with its two leading axes as one; and apart again, the first being of this extent.
NDArray merged(const NDArray& x);
NDArray parted(const NDArray& x, int64_t batch);
// [batch, *example] with the batch inside axis `axis` of the example, and back: for operators that
// treat every element of that axis in the same way.
NDArray inside_axis(const NDArray& x, int axis);
NDArray out_of_axis(const NDArray& x, int axis, int64_t batch);
NDArray transposed(const NDArray& x, Ints axes);
// `x` with an axis at another place, the others in their order.
NDArray moved_axis(const NDArray& x, int from, int to);
// The numbers 0 to n-1, of dtype int64, in an array of `ndim` axes, along the axis `axis`.
NDArray counted(int64_t n, int ndim, int axis);

template <class T>
T* field(Params& params, std::string_view name) {
  for (const ParamField& each : params.info().fields) {
    if (each.name == name) {
      return reinterpret_cast<T*>(static_cast<char*>(params.data()) + each.offset);
    }
  }
  return nullptr;
}

}  // namespace batch
}  // namespace mxtape

#include "op/sparse.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

#include "autograd/recorder.h"
#include "core/profile.h"
#include "op/effects.h"
#include "op/functional.h"
#include "op/registry.h"
#include "op/widened_call.h"
#include "runtime/blocking.h"
#include "runtime/fusion.h"

namespace mxtape {
namespace {

void (*fallback_hook)(const std::string&) = nullptr;

bool matches(const SparseRow& row, const SparseMatch& match) {
  if (row.inputs.empty()) return row.when(match);
  if (row.inputs.size() != match.input_count()) return false;
  for (size_t i = 0; i < row.inputs.size(); ++i) {
    if (row.inputs[i] != StorageType::kUndefined && row.inputs[i] != match.storage(i)) return false;
  }
  return !row.when || row.when(match);
}

template <class Arrays>
std::string types_text(const Arrays& arrays) {
  std::string text;
  for (const NDArray& array : arrays) {
    text += str_cat(text.empty() ? "" : ", ", storage_name(storage_type(array)));
  }
  return text;
}

}  // namespace

bool SparseMatch::all(std::initializer_list<StorageType> types) const {
  return std::all_of(inputs_.begin(), inputs_.end(), [&](StorageType type) {
    return std::find(types.begin(), types.end(), type) != types.end();
  });
}

SparseRows::SparseRows(std::initializer_list<const char*> ops,
                       std::initializer_list<SparseRow> rows)
    : rows_(rows) {
  for (const char* op : ops) {
    for (const SparseRow& row : rows_) Registry::get().add_sparse_row(op, &row);
  }
}

const SparseRow* find_sparse_row(const SparseMatch& match) {
  for (const SparseRow* row : match.op().sparse) {
    if (matches(*row, match)) return row;
  }
  return nullptr;
}

void set_fallback_hook(void (*hook)(const std::string&)) { fallback_hook = hook; }

// ---- what a kernel sees

NDArray& SparseCall::dense_out(size_t i) {
  const NDArray& out = given_[i];
  bool usable = out.defined() && !is_sparse(out);
  for (const NDArray& input : inputs_) {
    usable = usable && input.storage() != out.storage();
  }
  results_[i] = usable ? out : NDArray::empty(specs_[i].shape, specs_[i].dtype);
  return results_[i];
}

const NDArray& SparseCall::given(size_t i) const {
  static const NDArray none;
  const NDArray& out = given_[i];
  return out.defined() && storage_type(out) == specs_[i].storage ? out : none;
}

void SparseCall::result(size_t i, NDArray array) { results_[i] = std::move(array); }

void SparseCall::result(size_t i, SparseParts parts) {
  results_[i] = make_sparse(specs_[i].storage, specs_[i].shape, std::move(parts));
}

void SparseCall::refuse(std::string_view why) const {
  fail(op_.name, " of storage types ", types_text(inputs_), ": ", why);
}

// ---- the call in all its steps

class SparseInvocation {
 public:
  SparseInvocation(const OpSchema& op, Inputs inputs, const ParamsRef& params, Outputs& outputs)
      : op_(op),
        inputs_(inputs),
        params_(params),
        outputs_(outputs),
        mode_(autograd::thread_mode()),
        call_(op, inputs, params, mode_) {}

  void run() {
    SmallVector<StorageType, 8> types;
    for (const NDArray& input : inputs_) types.push_back(storage_type(input));
    const SparseMatch match(op_, {types.data(), types.size()}, params_.get(), mode_);
    row_ = find_sparse_row(match);
    if (row_ && !op_.any_dtype && any_storage_only(inputs_)) row_ = nullptr;
    infer();
    if (!row_) return run_dense();
    const bool records =
        !row_->composed && check_recorded(op_, inputs_, Arrays(outputs_), params_.get(), mode_);
    compute();
    finish();
    if (records) record_made(op_, inputs_, params_, mode_, outputs_);
  }

 private:
  bool mutates(size_t i) const {
    return op_.mutates && op_.mutates(i, inputs_.size(), params_.get(), mode_);
  }

  void infer() {
    SmallVector<InputView, 8> views;
    for (const NDArray& input : inputs_) {
      views.push_back({&input.shape(), input.dtype(), storage_type(input)});
    }
    const size_t count = op_.count_outputs(params_.get());
    call_.specs_.resize(count);
    InferCall inference(op_, {views.data(), views.size()}, params_.get(), mode_, call_.specs_);
    run_inference(op_, inference);
    // The dense call has checks of its own, which may read all values.
    if (row_) run_check(op_, inference, inputs_);
    if (outputs_.size()) check_outputs(op_, params_.get(), call_.specs_, Arrays(outputs_));
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (mutates(i) && !op_.is_no_grad_input(i)) check_writable(inputs_[i], op_.name);
    }
    if (!row_) return;
    for (ArraySpec& spec : call_.specs_) {
      spec.storage = row_->output;
      if (spec.storage == StorageType::kCsr && spec.shape.ndim() != 2) {
        call_.refuse(
            str_cat("the result has shape ", spec.shape, ", a csr array has 2 dimensions"));
      }
      // A sparse array takes no memory of its size, but its size must be a number.
      checked_size(spec.shape, op_.name);
    }
  }

  void compute() {
    call_.results_.resize(call_.specs_.size());
    call_.given_.resize(call_.specs_.size());
    for (size_t i = 0; i < outputs_.size(); ++i) call_.given_[i] = outputs_[i];
    size_t bytes = 0;
    for (const NDArray& input : inputs_) {
      const bool sparse = is_sparse(input);
      call_.parts_.push_back(sparse ? parts_of(input) : SparseParts());
      bytes =
          std::max(bytes, sparse ? call_.parts_[call_.parts_.size() - 1].nbytes() : input.nbytes());
    }
    for (const ArraySpec& spec : call_.specs_) {
      if (spec.storage != StorageType::kDense) continue;
      bytes = std::max(bytes, static_cast<size_t>(spec.shape.size()) * item_size(spec.dtype));
    }
    if (row_->composed) return row_->kernel(call_);
    const BlockingScope scope(bytes);
    std::optional<profile::OperatorSpan> span;
    if (profile::records(profile::kImperative)) span.emplace(op_.name);
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (is_sparse(inputs_[i])) continue;
      if (mutates(i)) {
        fusion::before_write(inputs_[i]);
        UndoneEffects::note(inputs_[i]);
      }
      inputs_[i].storage()->materialize();
    }
    for (const NDArray& out : outputs_) {
      if (out.defined() && !is_sparse(out)) fusion::before_write(out);
    }
    row_->kernel(call_);
  }

  // What the kernel has made, or given back, into the caller's arrays.
  void finish() {
    const uint16_t device = inputs_.empty() ? 0 : inputs_[0].storage()->device();
    outputs_.resize(call_.specs_.size());
    call_.parts_.clear();
    for (size_t i = 0; i < outputs_.size(); ++i) {
      NDArray& result = call_.results_[i];
      check_result(i, result);
      if (!outputs_[i].defined()) {
        result.storage()->set_device(device);
        outputs_[i] = std::move(result);
      } else if (result.storage() == outputs_[i].storage()) {
        outputs_[i].mark_written();
      } else {
        const Ref<RefCounted> node(result.edge_node());
        const uint32_t index = result.edge_index();
        assign(outputs_[i], std::move(result));
        if (row_->composed && node) outputs_[i].set_edge(node, index);
      }
    }
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (mutates(i)) inputs_[i].mark_written();
    }
  }

  void check_result(size_t i, const NDArray& result) const {
    const ArraySpec& spec = call_.output(i);
    if (!result.defined()) fail(op_.name, ": its kernel for sparse arrays gives no output ", i);
    if (result.shape() == spec.shape && result.dtype() == spec.dtype &&
        storage_type(result) == spec.storage) {
      return;
    }
    fail(op_.name, ": its kernel for sparse arrays gives output ", i, " of shape ", result.shape(),
         ", dtype ", result.dtype(), " and storage type ", storage_name(storage_type(result)),
         ", and inference ", spec.shape, ", ", spec.dtype, " and ", storage_name(spec.storage));
  }

  // Through dense arrays, each recorded as what is made of a sparse one.
  void run_dense() {
    tell();
    bool any = false;
    SmallVector<NDArray, 8> dense;
    for (const NDArray& input : inputs_) {
      any = any || is_sparse(input);
      dense.push_back(in_dense(input));
    }
    SmallVector<const NDArray*, 8> pointers;
    for (const NDArray& input : dense) pointers.push_back(&input);
    Outputs made;
    for (const NDArray& out : outputs_) {
      const bool sparse = out.defined() && is_sparse(out);
      any = any || sparse;
      made.push_back(sparse ? NDArray() : out);
    }
    if (!any) fail(op_.name, ": no row for sparse arrays has these dense inputs");
    invoke_step(op_, Inputs(pointers.data(), pointers.size()), params_, mode_, {}, true, made);
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (mutates(i) && is_sparse(inputs_[i])) assign(inputs_[i], dense[i]);
    }
    for (size_t i = 0; i < outputs_.size(); ++i) {
      if (!outputs_[i].defined() || !is_sparse(outputs_[i])) continue;
      assign(outputs_[i], made[i]);
      // Where nothing was recorded, a variable that is updated stays one.
      if (made[i].edge_node()) {
        outputs_[i].set_edge(Ref<RefCounted>(made[i].edge_node()), made[i].edge_index());
      }
      made[i] = outputs_[i];
    }
    outputs_.resize(made.size());
    for (size_t i = 0; i < made.size(); ++i) outputs_[i] = std::move(made[i]);
  }

  void tell() const {
    const char* verbose = std::getenv("MXNET_STORAGE_FALLBACK_LOG_VERBOSE");
    if (!fallback_hook || !verbose || std::string_view(verbose) != "1") return;
    fallback_hook(str_cat(op_.name, " of storage types ", types_text(inputs_),
                          " is computed with dense arrays: it has no kernel for these"));
  }

  const OpSchema& op_;
  Inputs inputs_;
  const ParamsRef& params_;
  Outputs& outputs_;
  const Mode mode_;
  const SparseRow* row_ = nullptr;
  SparseCall call_;
};

namespace {

void invoke_sparse(const OpSchema& op, Inputs inputs, const ParamsRef& params, Outputs& outputs) {
  SparseInvocation(op, inputs, params, outputs).run();
}

[[maybe_unused]] const bool installed = [] {
  set_form_call(Form::kRowSparse, invoke_sparse);
  set_form_call(Form::kCsr, invoke_sparse);
  return true;
}();

}  // namespace

NDArray cast_storage(const NDArray& x, StorageType type) {
  if (storage_type(x) == type) return x;
  static const OpSchema& op = find_op("cast_storage");
  using Type = CastStorageParams::Type;
  const Type stype = type == StorageType::kCsr         ? Type::kCsr
                     : type == StorageType::kRowSparse ? Type::kRowSparse
                                                       : Type::kDefault;
  return invoke(op, {x}, make_params(CastStorageParams{stype}));
}

void assign(const NDArray& target, NDArray value) {
  if (value.storage() == target.storage()) return;
  if (is_sparse(target)) {
    const StorageType type = storage_type(target);
    if (is_sparse(value) && storage_type(value) != type) {
      const autograd::StateScope quiet(false, false);
      value = in_dense(value.detached());
    }
    return replace_parts(target,
                         is_sparse(value) ? parts_of(value) : parts_from_dense(value, type));
  }
  if (is_sparse(value)) {
    const BlockingScope scope(target.nbytes());
    fusion::before_write(target);
    write_dense(parts_of(value), storage_type(value), target);
    return target.mark_written();
  }
  static const OpSchema& copy = find_op("_copy");
  const autograd::StateScope quiet(false, false);
  Outputs outputs;
  outputs.push_back(target.detached());
  const NDArray inputs[] = {value.detached()};
  invoke(copy, inputs, nullptr, outputs);
}

}  // namespace mxtape

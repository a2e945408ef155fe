#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/sparse.h"
#include "op/call.h"
#include "op/schema.h"

// Calls in which an array is sparse. An operator says for which storage types of its inputs it has
// a kernel of its own, in rows:
//
//   const SparseRows dot({"dot"}, {{{kCsr, kDense}, kDense, csr_times_dense},
//                                  {{kDense, kCsr}, kCsr, dense_times_csr, when_csr_is_asked}});
//
// The first row that matches runs the call. A call that no row matches runs through dense arrays,
// and is right. A row that makes sparse arrays of dense ones sends all calls of its operator here.
namespace mxtape {

class SparseCall;

// What a row's condition may ask: of calls, and of nodes in graphs before there are arrays.
class SparseMatch {
 public:
  SparseMatch(const OpSchema& op, std::span<const StorageType> inputs, const Params* params,
              Mode mode)
      : op_(op), inputs_(inputs), params_(params), mode_(mode) {}
  const OpSchema& op() const { return op_; }
  size_t input_count() const { return inputs_.size(); }
  StorageType storage(size_t i) const { return inputs_[i]; }
  // Whether each input is of one of these types.
  bool all(std::initializer_list<StorageType> types) const;
  template <class P>
  const P& params() const {
    return params_->as<P>();
  }
  const Params* raw_params() const { return params_; }
  bool training() const { return mode_.training; }

 private:
  const OpSchema& op_;
  std::span<const StorageType> inputs_;
  const Params* params_;
  Mode mode_;
};

struct SparseRow {
  // Of each input; kUndefined stands for any. Empty: any inputs for which `when` holds.
  std::vector<StorageType> inputs;
  // Of the outputs.
  StorageType output;
  void (*kernel)(SparseCall&);
  bool (*when)(const SparseMatch&) = nullptr;
  // The kernel calls other operators, which are recorded in the place of this one.
  bool composed = false;
};

// Declares rows for these operators, while the program loads. Rows of an operator may be declared
// in several places, each for storage types of its own. The objects stay for the whole program.
class SparseRows {
 public:
  SparseRows(std::initializer_list<const char*> ops, std::initializer_list<SparseRow> rows);
  SparseRows(const SparseRows&) = delete;
  SparseRows& operator=(const SparseRows&) = delete;

 private:
  std::vector<SparseRow> rows_;
};

// The row for a call with inputs of these types; nullptr where there is none, and the call goes
// through dense arrays, to dense results.
const SparseRow* find_sparse_row(const SparseMatch& match);

// A call that runs: the shapes and dtypes of the outputs are known, and all is checked. Arrays in
// memory are there, also those that have waited.
class SparseCall {
 public:
  const OpSchema& op() const { return op_; }
  size_t input_count() const { return inputs_.size(); }
  const NDArray& in(size_t i) const { return inputs_[i]; }
  Inputs inputs() const { return inputs_; }
  StorageType storage(size_t i) const { return storage_type(inputs_[i]); }
  // Of a sparse input, as they are at the beginning of the call.
  const SparseParts& parts(size_t i) const { return parts_[i]; }
  // The `data` of sparse input i, to be written to in place (writable_data of core/sparse.h). Its
  // parts are not to be asked for afterwards.
  NDArray writable_data(size_t i) {
    parts_[i] = SparseParts();
    return mxtape::writable_data(inputs_[i]);
  }
  template <class P>
  const P& params() const {
    return params_->as<P>();
  }
  const ParamsRef& raw_params() const { return params_; }
  bool training() const { return mode_.training; }
  const ArraySpec& output(size_t i = 0) const { return specs_[i]; }
  size_t output_count() const { return specs_.size(); }

  // Output i, dense, to be written: the caller's array, if that is no input, or a new one.
  NDArray& dense_out(size_t i = 0);
  // The caller's array for output i, of the row's storage type; undefined where there is none. A
  // kernel that may write to it as it is, though it be an input, and does, gives it as the result.
  const NDArray& given(size_t i = 0) const;
  // Output i is `array`: of the output's shape and dtype, and the row's storage type.
  void result(size_t i, NDArray array);
  // Output i is made of `parts`, which are right.
  void result(size_t i, SparseParts parts);
  [[noreturn, gnu::cold]] void refuse(std::string_view why) const;

 private:
  friend class SparseInvocation;
  SparseCall(const OpSchema& op, Inputs inputs, const ParamsRef& params, Mode mode)
      : op_(op), inputs_(inputs), params_(params), mode_(mode) {}

  const OpSchema& op_;
  Inputs inputs_;
  const ParamsRef& params_;
  Mode mode_;
  SmallVector<ArraySpec, 2> specs_;
  SmallVector<SparseParts, 2> parts_;
  Outputs given_, results_;
};

// What is told of a call that goes through dense arrays, where the environment variable
// MXNET_STORAGE_FALLBACK_LOG_VERBOSE is 1.
void set_fallback_hook(void (*hook)(const std::string& message));

// `x` in another storage type: x itself where it is of that type. Recorded.
NDArray cast_storage(const NDArray& x, StorageType type);
inline NDArray in_dense(const NDArray& x) { return cast_storage(x, StorageType::kDense); }

// The values of `value` into `target`, of its shape and dtype, each of any storage type. What
// `value` alone holds may be moved. Off the tape.
void assign(const NDArray& target, NDArray value);

// The values of a sparse array of these parts into `dense`, of its shape and dtype.
void write_dense(const SparseParts& parts, StorageType type, const NDArray& dense);
// An array in memory as the parts of a sparse one: elements that are not 0, rows that have one.
SparseParts parts_from_dense(const NDArray& dense, StorageType type);
// The same parts with ascending columns, equal ones added up.
SparseParts canonical_parts(const SparseParts& parts);
// The csr array of `shape` that has data[k] at (row[k], column[k]), in that form. Vectors of one
// length, rows and columns of int64; raises an Error where they are out of range.
SparseParts csr_from_coordinates(std::string_view what, const Shape& shape, const NDArray& data,
                                 const NDArray& row, const NDArray& column);

struct CastStorageParams {
  enum class Type : int32_t { kCsr, kDefault, kRowSparse } stype = Type::kDefault;
  template <class V>
  void visit(V& v) {
    v.required("stype", stype, "Storage type of the result.", {"csr", "default", "row_sparse"});
  }
};

}  // namespace mxtape

#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "autograd/node.h"
#include "core/error.h"
#include "op/functional.h"
#include "runtime/convert.h"
#include "runtime/fusion.h"
#include "runtime/parallel.h"

// What several unit tests need.
namespace mxtape::test {

inline NDArray array(const Shape& shape, const std::vector<double>& values,
                     DType dtype = DType::kFloat64) {
  NDArray out = NDArray::empty(shape, dtype);
  if (static_cast<size_t>(out.size()) != values.size()) fail("array: a wrong number of values");
  convert(DType::kFloat64, values.data(), dtype, out.bytes(), out.size());
  return out;
}

inline NDArray array(const std::vector<double>& values, DType dtype = DType::kFloat64) {
  return array(Shape{static_cast<int64_t>(values.size())}, values, dtype);
}

inline std::vector<double> elements(const NDArray& x) {
  std::vector<double> values(static_cast<size_t>(x.size()));
  convert(x.dtype(), x.bytes(), DType::kFloat64, values.data(), x.size());
  return values;
}

// From how many elements on pointwise calls wait, while this lives; -1: none does.
class FuseAbove {
 public:
  explicit FuseAbove(int64_t elements) : before_(fusion::set_threshold(elements)) {}
  FuseAbove(const FuseAbove&) = delete;
  FuseAbove& operator=(const FuseAbove&) = delete;
  ~FuseAbove() { fusion::set_threshold(before_); }

 private:
  int64_t before_;
};

// A variable with a gradient buffer that holds `initial` everywhere.
inline NDArray variable(const std::vector<double>& values,
                        autograd::GradReq req = autograd::GradReq::kWrite, double initial = 0) {
  NDArray x = array(values);
  autograd::mark_variable(x, full(x.shape(), x.dtype(), initial), req);
  return x;
}

inline std::vector<double> grad_of(const NDArray& variable) {
  return elements(autograd::leaf_of(variable)->grad());
}

// Parameters of `op` from texts, as a symbol file gives them.
inline Ref<Params> params_from(
    const OpSchema& op,
    std::initializer_list<std::pair<std::string_view, std::string_view>> values) {
  Ref<Params> params = op.params->make();
  for (const auto& [name, text] : values) {
    bool found = false;
    for (size_t i = 0; i < op.params->fields.size(); ++i) {
      if (op.params->fields[i].name != name) continue;
      parse_field(op.params->fields[i], text, params->data(), op.name);
      params->given |= uint32_t{1} << i;
      found = true;
    }
    if (!found) fail(op.name, " has no parameter ", name);
  }
  return params;
}

// The message of the Error that `f` throws; "no error" when it throws none.
template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

inline bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// Sets the number of threads until the end of the scope.
class ThreadCountScope {
 public:
  explicit ThreadCountScope(int n) : before_(thread_count()) { set_thread_count(n); }
  ~ThreadCountScope() { set_thread_count(before_); }
  ThreadCountScope(const ThreadCountScope&) = delete;
  ThreadCountScope& operator=(const ThreadCountScope&) = delete;

 private:
  int before_;
};

}  // namespace mxtape::test

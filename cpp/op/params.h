#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/dtype.h"
#include "core/ref.h"
#include "core/shape.h"

namespace mxtape {

using OptInts = std::optional<Ints>;                    // a shape or axes, or None
using SliceInts = std::vector<std::optional<int64_t>>;  // begin, end, step: entries may be None
using Floats = std::vector<double>;

enum class ParamType : uint8_t {
  kBool,
  kOptBool,
  kInt,
  kOptInt,
  kFloat,
  kOptFloat,
  kString,
  kEnum,
  kDType,
  kOptDType,
  kInts,
  kOptInts,
  kSliceInts,
  kFloats,
};

// The literals that a parameter of an enumeration takes, in the order of its values.
using Choices = std::initializer_list<const char*>;

// One declared parameter of an operator: all that the border needs to bind, check and print it.
struct ParamField {
  std::string name;
  ParamType type;
  size_t offset;
  bool required = false;
  std::vector<std::string> choices;
  std::string default_text;
  std::string doc;
};

// An operator's parameter struct, seen through its fields.
struct ParamsInfo;

namespace detail {

// The address stands for the struct P.
template <class P>
inline constexpr char params_type = 0;

}  // namespace detail

// The parameters of one call, shared by the call and the tape. Who makes them fills them in; from
// then on they are handed on as ParamsRef and do not change.
class Params : public RefCounted {
 public:
  const ParamsInfo& info() const { return *info_; }
  void* data() { return data_; }
  const void* data() const { return data_; }
  // As the struct that they are; an Error when they are another.
  template <class P>
  const P& as() const {
    if (type() != &detail::params_type<P>) check_base(&detail::params_type<P>);
    return *static_cast<const P*>(data_);
  }

  // Bit i: field i was given by the caller. Only those are written to a symbol.
  uint32_t given = 0;

 protected:
  Params(const ParamsInfo* info, void* data) : info_(info), data_(data) {}

 private:
  const char* type() const;
  // The struct may be derived from one that it names as its Base.
  void check_base(const char* wanted) const;

  const ParamsInfo* info_;
  void* data_;
};

using ParamsRef = Ref<const Params>;

struct ParamsInfo {
  std::vector<ParamField> fields;
  Ref<Params> (*make)() = nullptr;
  const char* type = nullptr;  // &detail::params_type<P>
  const char* base = nullptr;  // &detail::params_type<P::Base>
};

inline const char* Params::type() const { return info_->type; }

// A field's value as Python prints it, and as MXNet's symbols hold it.
std::string print_field(const ParamField& field, const void* data);
// "axis=(0,), keepdims=True": what was given.
std::string print_given(const Params& params);
// Reads `text`, as MXNet's symbols hold it, into a field; an Error that names `op` when it does not
// fit.
void parse_field(const ParamField& field, std::string_view text, void* data, std::string_view op);

namespace detail {

template <class T>
constexpr ParamType param_type() {
  if constexpr (std::is_same_v<T, bool>) return ParamType::kBool;
  if constexpr (std::is_same_v<T, std::optional<bool>>) return ParamType::kOptBool;
  if constexpr (std::is_same_v<T, int64_t>) return ParamType::kInt;
  if constexpr (std::is_same_v<T, std::optional<int64_t>>) return ParamType::kOptInt;
  if constexpr (std::is_same_v<T, double>) return ParamType::kFloat;
  if constexpr (std::is_same_v<T, std::optional<double>>) return ParamType::kOptFloat;
  if constexpr (std::is_same_v<T, std::string>) return ParamType::kString;
  if constexpr (std::is_same_v<T, DType>) return ParamType::kDType;
  if constexpr (std::is_same_v<T, std::optional<DType>>) return ParamType::kOptDType;
  if constexpr (std::is_same_v<T, Ints>) return ParamType::kInts;
  if constexpr (std::is_same_v<T, OptInts>) return ParamType::kOptInts;
  if constexpr (std::is_same_v<T, SliceInts>) return ParamType::kSliceInts;
  if constexpr (std::is_same_v<T, Floats>) return ParamType::kFloats;
  if constexpr (std::is_enum_v<T> && !std::is_same_v<T, DType>) return ParamType::kEnum;
}

// Collects the fields of a parameter struct through its `visit`.
class FieldCollector {
 public:
  FieldCollector(const void* base, std::vector<ParamField>& fields)
      : base_(base), fields_(fields) {}

  template <class T>
  void operator()(const char* name, const T& value, const char* doc, Choices choices = {}) {
    add(name, type_of(value), &value, doc, choices, false);
  }
  template <class T>
  void required(const char* name, const T& value, const char* doc, Choices choices = {}) {
    add(name, type_of(value), &value, doc, choices, true);
  }

 private:
  template <class T>
  static constexpr ParamType type_of(const T&) {
    static_assert(param_type<T>() != ParamType::kEnum || sizeof(T) == sizeof(int32_t));
    return param_type<T>();
  }
  void add(const char* name, ParamType type, const void* value, const char* doc, Choices choices,
           bool required);

  const void* base_;
  std::vector<ParamField>& fields_;
};

}  // namespace detail

// The information of parameter struct P, made on first use. P has defaults for its members and
//   template <class V> void visit(V& v) { v("axis", axis, "what it means"); v.required("k", k,
//   "..."); }
// Where it is derived from a struct as which it is read too, `using Base = ...` says so.
template <class P>
const ParamsInfo* params_info() {
  class Typed final : public Params {
   public:
    explicit Typed(const ParamsInfo* info) : Params(info, &value_) {}

   private:
    P value_;
  };
  static const ParamsInfo info = []() __attribute__((cold)) {
    ParamsInfo made;
    P defaults;
    detail::FieldCollector collector(&defaults, made.fields);
    defaults.visit(collector);
    made.make = [] { return Ref<Params>(new Typed(params_info<P>())); };
    made.type = &detail::params_type<P>;
    if constexpr (requires { typename P::Base; }) {
      static_assert(std::is_base_of_v<typename P::Base, P>);
      made.base = &detail::params_type<typename P::Base>;
    }
    return made;
  }();
  return &info;
}

// Parameters for a call made from C++.
template <class P>
ParamsRef make_params(P value) {
  Ref<Params> params = params_info<P>()->make();
  *static_cast<P*>(params->data()) = std::move(value);
  params->given = ~uint32_t{0};
  return params;
}

}  // namespace mxtape

#include "op/params.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/error.h"

namespace mxtape {
namespace {

template <class T>
T& field_at(void* data, size_t offset) {
  return *reinterpret_cast<T*>(static_cast<char*>(data) + offset);
}
template <class T>
const T& field_at(const void* data, size_t offset) {
  return *reinterpret_cast<const T*>(static_cast<const char*>(data) + offset);
}

std::string print_float(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  std::string text(buffer, end);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

template <class List, class Print>
std::string print_tuple(const List& list, Print print) {
  std::string text = "(";
  for (size_t i = 0; i < list.size(); ++i) {
    if (i) text += ", ";
    text += print(list[i]);
  }
  return text + (list.size() == 1 ? ",)" : ")");
}

std::string print_ints(const Ints& ints) {
  return print_tuple(ints, [](int64_t v) { return std::to_string(v); });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())))
    text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.remove_suffix(1);
  return text;
}

// An item of a tuple: "3L" is how Python 2 printed a long, and files of then have it.
std::string_view without_long(std::string_view item) {
  return item.size() > 1 && item.back() == 'L' ? item.substr(0, item.size() - 1) : item;
}

template <class T>
bool parse_number(std::string_view text, T& value) {
  text = trim(text);
  if (text.size() >= 2 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool parse_bool(std::string_view text, bool& value) {
  std::string lower(trim(text));
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  value = lower == "true" || lower == "1";
  return value || lower == "false" || lower == "0";
}

// "(1, 2)", "[1,2]", "1, None" or "3": calls add(item) for every item.
template <class Add>
bool parse_list(std::string_view text, Add add) {
  text = trim(text);
  if (!text.empty() && (text.front() == '(' || text.front() == '[')) {
    if (text.size() < 2 || text.back() != (text.front() == '(' ? ')' : ']')) return false;
    text = trim(text.substr(1, text.size() - 2));
  }
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    if (!add(trim(text.substr(0, comma)))) return false;
    text = trim(text.substr(std::min(comma + 1, text.size())));
  }
  return true;
}

bool parse_slice_ints(std::string_view text, SliceInts& list) {
  list.clear();
  return parse_list(text, [&](std::string_view item) {
    if (item == "None") return list.emplace_back(), true;
    return parse_number(without_long(item), list.emplace_back().emplace());
  });
}

bool parse_floats(std::string_view text, Floats& list) {
  list.clear();
  return parse_list(text,
                    [&](std::string_view item) { return parse_number(item, list.emplace_back()); });
}

bool parse_ints(std::string_view text, Ints& ints) {
  ints.clear();
  return parse_list(text, [&](std::string_view item) {
    return parse_number(without_long(item), ints.emplace_back());
  });
}

bool parse_dtype(std::string_view text, DType& dtype) {
  for (const DTypeTraits& traits : kDTypeTraits) {
    if (traits.name == trim(text)) {
      dtype = traits.dtype;
      return true;
    }
  }
  return false;
}

template <class T, class Parse>
bool parse_optional(std::string_view text, std::optional<T>& value, Parse parse) {
  if (trim(text) == "None") {
    value.reset();
    return true;
  }
  return parse(text, value.emplace());
}

}  // namespace

std::string print_field(const ParamField& field, const void* data) {
  const size_t at = field.offset;
  switch (field.type) {
    case ParamType::kBool:
      return field_at<bool>(data, at) ? "True" : "False";
    case ParamType::kOptBool: {
      const auto& value = field_at<std::optional<bool>>(data, at);
      return !value ? "None" : *value ? "True" : "False";
    }
    case ParamType::kInt:
      return std::to_string(field_at<int64_t>(data, at));
    case ParamType::kOptInt: {
      const auto& value = field_at<std::optional<int64_t>>(data, at);
      return value ? std::to_string(*value) : "None";
    }
    case ParamType::kFloat:
      return print_float(field_at<double>(data, at));
    case ParamType::kOptFloat: {
      const auto& value = field_at<std::optional<double>>(data, at);
      return value ? print_float(*value) : "None";
    }
    case ParamType::kString:
      return field_at<std::string>(data, at);
    case ParamType::kEnum: {
      const auto choice = static_cast<size_t>(field_at<int32_t>(data, at));
      return choice < field.choices.size() ? field.choices[choice] : std::to_string(choice);
    }
    case ParamType::kDType:
      return std::string(dtype_name(field_at<DType>(data, at)));
    case ParamType::kOptDType: {
      const auto& value = field_at<std::optional<DType>>(data, at);
      return value ? std::string(dtype_name(*value)) : "None";
    }
    case ParamType::kInts:
      return print_ints(field_at<Ints>(data, at));
    case ParamType::kOptInts: {
      const auto& value = field_at<OptInts>(data, at);
      return value ? print_ints(*value) : "None";
    }
    case ParamType::kSliceInts:
      return print_tuple(field_at<SliceInts>(data, at), [](const std::optional<int64_t>& v) {
        return v ? std::to_string(*v) : std::string("None");
      });
    case ParamType::kFloats:
      return print_tuple(field_at<Floats>(data, at), print_float);
  }
  return "";
}

std::string print_given(const Params& params) {
  std::string text;
  const auto& fields = params.info().fields;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (!(params.given >> i & 1)) continue;
    if (!text.empty()) text += ", ";
    text += fields[i].name + "=" + print_field(fields[i], params.data());
  }
  return text;
}

void Params::check_base(const char* wanted) const {
  if (info_->base == wanted) return;
  std::string names;
  for (const ParamField& field : info_->fields) names += (names.empty() ? "" : ", ") + field.name;
  fail("the parameters (", names, ") are read as another operator's");
}

void parse_field(const ParamField& field, std::string_view text, void* data, std::string_view op) {
  const size_t at = field.offset;
  bool ok = false;
  const auto number = [](std::string_view t, auto& v) { return parse_number(t, v); };
  switch (field.type) {
    case ParamType::kBool:
      ok = parse_bool(text, field_at<bool>(data, at));
      break;
    case ParamType::kOptBool:
      ok = parse_optional(text, field_at<std::optional<bool>>(data, at), parse_bool);
      break;
    case ParamType::kInt:
      ok = parse_number(text, field_at<int64_t>(data, at));
      break;
    case ParamType::kOptInt:
      ok = parse_optional(text, field_at<std::optional<int64_t>>(data, at), number);
      break;
    case ParamType::kFloat:
      ok = parse_number(text, field_at<double>(data, at));
      break;
    case ParamType::kOptFloat:
      ok = parse_optional(text, field_at<std::optional<double>>(data, at), number);
      break;
    case ParamType::kString:
      field_at<std::string>(data, at) = text;
      ok = true;
      break;
    case ParamType::kEnum: {
      const auto found = std::find(field.choices.begin(), field.choices.end(), text);
      if (found != field.choices.end()) {
        field_at<int32_t>(data, at) = static_cast<int32_t>(found - field.choices.begin());
        ok = true;
      }
      break;
    }
    case ParamType::kDType:
      ok = parse_dtype(text, field_at<DType>(data, at));
      break;
    case ParamType::kOptDType:
      ok = parse_optional(text, field_at<std::optional<DType>>(data, at), parse_dtype);
      break;
    case ParamType::kInts:
      ok = parse_ints(text, field_at<Ints>(data, at));
      break;
    case ParamType::kOptInts:
      ok = parse_optional(text, field_at<OptInts>(data, at), parse_ints);
      break;
    case ParamType::kSliceInts:
      ok = parse_slice_ints(text, field_at<SliceInts>(data, at));
      break;
    case ParamType::kFloats:
      ok = parse_floats(text, field_at<Floats>(data, at));
      break;
  }
  if (ok) return;
  std::string expected;
  for (const std::string& choice : field.choices) {
    expected += (expected.empty() ? "; expected one of '" : ", '") + choice + "'";
  }
  if (field.type == ParamType::kDType || field.type == ParamType::kOptDType) {
    for (const DTypeTraits& traits : kDTypeTraits) {
      expected += str_cat(expected.empty() ? "; expected one of " : ", ", traits.name);
    }
  }
  fail(op, ": invalid value '", text, "' for parameter ", field.name, expected);
}

void detail::FieldCollector::add(const char* name, ParamType type, const void* value,
                                 const char* doc, Choices choices, bool required) {
  const auto offset =
      static_cast<size_t>(static_cast<const char*>(value) - static_cast<const char*>(base_));
  ParamField field{name, type, offset, required, {choices.begin(), choices.end()}, "", doc};
  if (!required) field.default_text = print_field(field, base_);
  fields_.push_back(std::move(field));
}

}  // namespace mxtape

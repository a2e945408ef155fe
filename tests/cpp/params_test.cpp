#include "op/params.h"

#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support.h"

namespace mxtape {
namespace {

using test::contains;
using test::error_of;

enum class OutOfRange : int32_t { kClip, kWrap, kRaise };

// One field of every type.
struct EveryType {
  bool flag = true;
  std::optional<bool> opt_flag;
  int64_t number = -3;
  std::optional<int64_t> opt_number = 4;
  double real = 0.5;
  std::optional<double> opt_real;
  std::string text = "plain";
  OutOfRange mode = OutOfRange::kWrap;
  DType dtype = DType::kInt32;
  std::optional<DType> opt_dtype;
  Ints ints = {1};
  OptInts opt_ints;
  SliceInts slices = {std::nullopt, 2};
  Floats reals = {0.5, 2};
  template <class V>
  void visit(V& v) {
    v("flag", flag, "A bool.");
    v("opt_flag", opt_flag, "A bool or None.");
    v("number", number, "An integer.");
    v("opt_number", opt_number, "An integer or None.");
    v("real", real, "A number.");
    v("opt_real", opt_real, "A number or None.");
    v("text", text, "A string.");
    v("mode", mode, "A choice.", {"clip", "wrap", "raise"});
    v.required("dtype", dtype, "A dtype.");
    v("opt_dtype", opt_dtype, "A dtype or None.");
    v("ints", ints, "A tuple.");
    v("opt_ints", opt_ints, "A tuple or None.");
    v("slices", slices, "A tuple with None in it.");
    v("reals", reals, "A tuple of numbers.");
  }
};

const ParamField& field_called(const std::string& name) {
  for (const ParamField& field : params_info<EveryType>()->fields) {
    if (field.name == name) return field;
  }
  fail("no field ", name);
}

// The field `name` after reading `text`, as it prints.
std::string read_and_printed(const std::string& name, std::string_view text) {
  const Ref<Params> params = params_info<EveryType>()->make();
  parse_field(field_called(name), text, params->data(), "some_op");
  return print_field(field_called(name), params->data());
}

TEST(Params, FieldsAreDescribed) {
  const ParamsInfo* info = params_info<EveryType>();
  EXPECT_EQ(info, params_info<EveryType>());
  const std::vector<std::pair<std::string, ParamType>> expected = {
      {"flag", ParamType::kBool},        {"opt_flag", ParamType::kOptBool},
      {"number", ParamType::kInt},       {"opt_number", ParamType::kOptInt},
      {"real", ParamType::kFloat},       {"opt_real", ParamType::kOptFloat},
      {"text", ParamType::kString},      {"mode", ParamType::kEnum},
      {"dtype", ParamType::kDType},      {"opt_dtype", ParamType::kOptDType},
      {"ints", ParamType::kInts},        {"opt_ints", ParamType::kOptInts},
      {"slices", ParamType::kSliceInts}, {"reals", ParamType::kFloats},
  };
  ASSERT_EQ(info->fields.size(), expected.size());
  std::set<ParamType> types;
  for (size_t i = 0; i < expected.size(); ++i) {
    const ParamField& field = info->fields[i];
    EXPECT_EQ(field.name, expected[i].first);
    EXPECT_EQ(field.type, expected[i].second) << field.name;
    EXPECT_EQ(field.required, field.name == "dtype");
    EXPECT_FALSE(field.doc.empty());
    types.insert(field.type);
  }
  EXPECT_EQ(types.size(), static_cast<size_t>(ParamType::kFloats) + 1);
  EXPECT_EQ(field_called("mode").choices, (std::vector<std::string>{"clip", "wrap", "raise"}));
}

TEST(Params, DefaultsArePrinted) {
  const std::vector<std::pair<std::string, std::string>> defaults = {
      {"flag", "True"},        {"opt_flag", "None"},    {"number", "-3"},  {"opt_number", "4"},
      {"real", "0.5"},         {"opt_real", "None"},    {"text", "plain"}, {"mode", "wrap"},
      {"dtype", ""},           {"opt_dtype", "None"},   {"ints", "(1,)"},  {"opt_ints", "None"},
      {"slices", "(None, 2)"}, {"reals", "(0.5, 2.0)"},
  };
  const Ref<Params> params = params_info<EveryType>()->make();
  for (const auto& [name, text] : defaults) {
    EXPECT_EQ(field_called(name).default_text, text) << name;
    // A required field has a value too, but no default.
    EXPECT_EQ(print_field(field_called(name), params->data()), name == "dtype" ? "int32" : text);
  }
  EXPECT_EQ(params->given, 0u);
}

TEST(Params, EveryTypeIsReadAndPrinted) {
  struct Case {
    const char *name, *text, *printed;
  };
  const Case cases[] = {
      {"reals", "(1, -2.5e-3)", "(1.0, -0.0025)"},
      {"reals", "[]", "()"},
      {"reals", "3", "(3.0,)"},
      {"flag", "True", "True"},
      {"flag", "false", "False"},
      {"flag", "1", "True"},
      {"flag", " 0 ", "False"},
      {"opt_flag", "None", "None"},
      {"opt_flag", "False", "False"},
      {"opt_flag", "true", "True"},
      {"number", "0", "0"},
      {"number", "+17", "17"},
      {"number", " -9223372036854775808 ", "-9223372036854775808"},
      {"opt_number", "None", "None"},
      {"opt_number", "-1", "-1"},
      {"real", "1", "1.0"},
      {"real", "-2.5e-3", "-0.0025"},
      {"real", "+1e300", "1e+300"},
      {"real", "0.1", "0.1"},
      {"real", "inf", "inf"},
      {"real", "-inf", "-inf"},
      {"real", "nan", "nan"},
      {"opt_real", "None", "None"},
      {"opt_real", "3.25", "3.25"},
      {"text", "any, (text) ", "any, (text) "},
      {"text", "", ""},
      {"mode", "clip", "clip"},
      {"mode", "raise", "raise"},
      {"dtype", "float16", "float16"},
      {"dtype", "bool", "bool"},
      {"opt_dtype", "None", "None"},
      {"opt_dtype", "int64", "int64"},
      {"ints", "(1, -2, 3)", "(1, -2, 3)"},
      {"ints", "[4,5]", "(4, 5)"},
      {"ints", "()", "()"},
      {"ints", "7", "(7,)"},
      {"ints", "(7,)", "(7,)"},
      {"ints", "7, 8", "(7, 8)"},
      {"opt_ints", "None", "None"},
      {"opt_ints", "(0, 1)", "(0, 1)"},
      {"opt_ints", "()", "()"},
      {"slices", "(None, 3, None)", "(None, 3, None)"},
      {"slices", "None", "(None,)"},
      {"slices", "-1", "(-1,)"},
      {"slices", "[]", "()"},
  };
  std::set<std::string> seen;
  for (const Case& c : cases) {
    EXPECT_EQ(read_and_printed(c.name, c.text), c.printed) << c.name << " from " << c.text;
    // What is printed reads as the same value.
    EXPECT_EQ(read_and_printed(c.name, c.printed), c.printed) << c.name;
    seen.insert(c.name);
  }
  EXPECT_EQ(seen.size(), params_info<EveryType>()->fields.size());
}

TEST(Params, ReadValuesAreTyped) {
  const Ref<Params> params = params_info<EveryType>()->make();
  for (const auto& [name, text] :
       std::vector<std::pair<const char*, const char*>>{{"flag", "False"},
                                                        {"opt_flag", "True"},
                                                        {"number", "12345678901"},
                                                        {"opt_number", "None"},
                                                        {"real", "1e-5"},
                                                        {"opt_real", "2"},
                                                        {"text", "t"},
                                                        {"mode", "raise"},
                                                        {"dtype", "uint8"},
                                                        {"opt_dtype", "float64"},
                                                        {"ints", "(3, 4)"},
                                                        {"opt_ints", "(5,)"},
                                                        {"slices", "(None, 6)"}}) {
    parse_field(field_called(name), text, params->data(), "some_op");
  }
  const auto& p = params->as<EveryType>();
  EXPECT_FALSE(p.flag);
  EXPECT_EQ(p.opt_flag, true);
  EXPECT_EQ(p.number, 12345678901);
  EXPECT_FALSE(p.opt_number.has_value());
  EXPECT_EQ(p.real, 1e-5);
  EXPECT_EQ(p.opt_real, 2.0);
  EXPECT_EQ(p.text, "t");
  EXPECT_EQ(p.mode, OutOfRange::kRaise);
  EXPECT_EQ(p.dtype, DType::kUint8);
  EXPECT_EQ(p.opt_dtype, DType::kFloat64);
  EXPECT_EQ(p.ints, (Ints{3, 4}));
  EXPECT_EQ(p.opt_ints, (Ints{5}));
  EXPECT_EQ(p.slices, (SliceInts{std::nullopt, 6}));
}

TEST(Params, EveryDoubleComesBack) {
  uint64_t bits = 88172645463325252u;
  for (int i = 0; i < 20000; ++i) {
    bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
    double value;
    std::memcpy(&value, &bits, sizeof value);
    if (std::isnan(value)) continue;
    EveryType p;
    p.real = value;
    const std::string text = print_field(field_called("real"), &p);
    p.real = 0;
    parse_field(field_called("real"), text, &p, "op");
    ASSERT_EQ(p.real, value) << text;
  }
}

TEST(Params, EveryDTypeComesBack) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const std::string name(dtype_name(static_cast<DType>(i)));
    EXPECT_EQ(read_and_printed("dtype", name), name);
    EXPECT_EQ(read_and_printed("opt_dtype", name), name);
  }
}

TEST(Params, WhatDoesNotFitIsRefused) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> wrong = {
      {"flag", {"", "yes", "2", "None"}},
      {"opt_flag", {"", "none", "maybe"}},
      {"number", {"", "1.5", "one", "1 2", "9223372036854775808", "+-3", "--3", "None", "0x10"}},
      {"opt_number", {"", "1.0", "none"}},
      {"real", {"", "1,5", "e", "1e999", "+-1.0", "None"}},
      {"opt_real", {"", "1.0.0"}},
      {"mode", {"", "Clip", "0"}},
      {"dtype", {"", "float", "None", "float128"}},
      {"opt_dtype", {"", "int"}},
      {"ints", {"(1, 2", "1, 2)", "[1, 2)", "(1 2)", "(1,,2)", "(,)", "(None,)", "a", "(1.0,)"}},
      {"opt_ints", {"(1, 2", "(1, None)"}},
      {"slices", {"(1, 2", "(none,)", "(1, x)"}},
  };
  for (const auto& [name, texts] : wrong) {
    for (const std::string& text : texts) {
      EveryType p;
      const std::string error =
          error_of([&, &name = name] { parse_field(field_called(name), text, &p, "some_op"); });
      EXPECT_TRUE(contains(error, "some_op: invalid value '" + text + "' for parameter " + name))
          << name << " took '" << text << "': " << error;
    }
  }
  EveryType p;
  EXPECT_TRUE(contains(error_of([&] { parse_field(field_called("mode"), "none", &p, "op"); }),
                       "expected one of 'clip', 'wrap', 'raise'"));
}

TEST(Params, PrintsWhatWasGiven) {
  const Ref<Params> params = params_info<EveryType>()->make();
  EXPECT_EQ(print_given(*params), "");
  params->given = 1u << 2 | 1u << 10;
  EXPECT_EQ(print_given(*params), "number=-3, ints=(1,)");
}

TEST(Params, MadeFromAStruct) {
  EveryType value;
  value.number = 9;
  value.ints = {4, 5};
  value.text = std::string(100, 'x');
  const ParamsRef params = make_params(value);
  EXPECT_EQ(&params->info(), params_info<EveryType>());
  EXPECT_EQ(params->as<EveryType>().number, 9);
  EXPECT_EQ(params->as<EveryType>().ints, (Ints{4, 5}));
  EXPECT_EQ(params->as<EveryType>().text, value.text);
  EXPECT_TRUE(contains(print_given(*params), "number=9, opt_number=4"));
}

}  // namespace
}  // namespace mxtape

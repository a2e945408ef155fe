#include "op/call.h"

#include <gtest/gtest.h>

#include "autograd/recorder.h"
#include "op/common_params.h"
#include "support.h"

namespace mxtape {
namespace {

using test::array;
using test::contains;
using test::elements;
using test::error_of;

constexpr Mode kQuiet{}, kRecording{true, false};

// A call that owns what it refers to.
struct TestCall {
  TestCall(const char* name, std::initializer_list<NDArray> inputs, ParamsRef params = nullptr,
           Mode mode = kQuiet)
      : arrays(inputs), params(std::move(params)) {
    for (const NDArray& x : arrays) pointers.push_back(&x);
    call.emplace(find_op(name), Inputs(pointers.data(), pointers.size()), this->params, mode,
                 outputs);
  }

  std::vector<NDArray> arrays;
  std::vector<const NDArray*> pointers;
  ParamsRef params;
  Outputs outputs;
  std::optional<Call> call;
};

TEST(Call, InferencePlacesNothing) {
  TestCall t("dot", {array({2, 3}, {1, 2, 3, 4, 5, 6}), array({3, 1}, {1, 1, 1})},
             make_params(DotParams{}));
  t.call->infer();
  ASSERT_EQ(t.call->specs().size(), 1u);
  EXPECT_EQ(t.call->specs()[0].shape, Shape({2, 1}));
  EXPECT_EQ(t.call->specs()[0].dtype, DType::kFloat64);
  EXPECT_TRUE(t.outputs.empty());
  t.call->place();
  ASSERT_EQ(t.outputs.size(), 1u);
  t.call->run();
  EXPECT_EQ(elements(t.outputs[0]), (std::vector<double>{6, 15}));
}

TEST(Call, OnlyTheLastStepRecords) {
  TestCall t("exp", {test::variable({0, 0})}, nullptr, kRecording);
  t.call->infer();
  t.call->place();
  t.call->run();
  EXPECT_FALSE(autograd::on_tape(t.outputs[0]));
  t.call->record();
  EXPECT_TRUE(autograd::on_tape(t.outputs[0]));
  autograd::backward({&t.outputs[0], 1}, {}, {});
  EXPECT_EQ(test::grad_of(t.arrays[0]), (std::vector<double>{1, 1}));
}

TEST(Call, TheModeIsTheCallsAndNotTheThreads) {
  const autograd::StateScope recording(true, true);
  TestCall t("exp", {test::variable({0})});
  t.call->infer();
  t.call->place();
  t.call->run();
  t.call->record();
  EXPECT_FALSE(autograd::on_tape(t.outputs[0]));
}

TEST(Call, ChecksOfValuesComeBeforeAnythingChanges) {
  TestCall t("softmax_cross_entropy", {array({1, 2}, {0, 0}), array({1}, {2})});
  EXPECT_TRUE(contains(error_of([&] { t.call->infer(); }), "label[0] is 2, data has 2 classes"));
  EXPECT_TRUE(t.outputs.empty());
}

TEST(Call, ChecksOfValuesResolveOpenShapes) {
  TestCall t("_contrib_boolean_mask", {array({3, 1}, {1, 2, 3}), array({3}, {1, 0, 1})},
             find_op("_contrib_boolean_mask").params->make());
  t.call->infer();
  EXPECT_EQ(t.call->specs()[0].shape, Shape({2, 1}));
}

TEST(Inference, UnknownShapesEndIt) {
  ArraySpec inputs[2], outputs[1];
  EXPECT_FALSE(infer_specs(find_op("elemwise_add"), nullptr, kQuiet, inputs, outputs));
  EXPECT_FALSE(outputs[0].shape.has_ndim());
}

TEST(Inference, WhatUsesAnOutputSaysWhatItIs) {
  ArraySpec inputs[2], outputs[1];
  inputs[0].dtype = DType::kFloat32;
  outputs[0].shape = Shape{2, 3};
  EXPECT_TRUE(infer_specs(find_op("elemwise_add"), nullptr, kQuiet, inputs, outputs));
  for (const ArraySpec& input : inputs) {
    EXPECT_EQ(input.shape, Shape({2, 3}));
    EXPECT_EQ(input.dtype, DType::kFloat32);
  }
  outputs[0].shape = Shape{3, 2};
  const std::string error =
      error_of([&] { infer_specs(find_op("elemwise_add"), nullptr, kQuiet, inputs, outputs); });
  EXPECT_TRUE(contains(error, "elemwise_add: inputs must have one shape")) << error;
}

TEST(Shape, UnknownExtentsAreMerged) {
  Shape shape = Shape::unknown();
  EXPECT_FALSE(shape.known());
  EXPECT_EQ(shape, Shape::unknown());
  EXPECT_FALSE(shape == Shape{});
  EXPECT_EQ(shape.str(), "unknown");
  EXPECT_TRUE(merge_shape(shape, Shape{-1, 3}));
  EXPECT_EQ(shape, Shape({-1, 3}));
  EXPECT_FALSE(merge_shape(shape, Shape{2, 4}));
  EXPECT_FALSE(merge_shape(shape, Shape{3}));
  EXPECT_EQ(shape, Shape({-1, 3})) << "changed by what contradicts it";
  EXPECT_TRUE(merge_shape(shape, Shape{2, -1}));
  EXPECT_EQ(shape, Shape({2, 3}));
  EXPECT_TRUE(shape.known());
  EXPECT_TRUE(Shape{}.known());
}

TEST(Params, OfAnotherStructAreRefused) {
  const ParamsRef params = make_params(ReshapeParams{{2, 3}});
  EXPECT_EQ(params->as<ReshapeParams>().shape, (Ints{2, 3}));
  const std::string error = error_of([&] { params->as<CastParams>(); });
  EXPECT_TRUE(contains(error, "reverse, target_shape")) << error;
}

struct Wide {
  double rate = 1;
  template <class V>
  void visit(V& v) {
    v("rate", rate, "A number.");
  }
};
struct Derived : Wide {
  using Base = Wide;
};

TEST(Params, AreReadAsTheirBase) {
  EXPECT_EQ(make_params(Derived{{3}})->as<Wide>().rate, 3);
  EXPECT_THROW(make_params(Wide{3})->as<Derived>(), Error);
}

TEST(Error, OfAHelperGetsWhatTheCallWasGiven) {
  const NDArray x = array({2, 3}, {1, 2, 3, 4, 5, 6});
  const std::string error =
      error_of([&] { invoke(find_op("sum"), {x}, make_params(ReduceParams{Ints{5}})); });
  EXPECT_TRUE(contains(error, "sum: ") && contains(error, "[given data (2, 3) float64")) << error;
  EXPECT_EQ(error.find("[given"), error.rfind("[given")) << error;
}

}  // namespace
}  // namespace mxtape

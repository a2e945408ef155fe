#include "pointwise.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>

#include "machine.h"
#include "op/invoke.h"
#include "op/registry.h"
#include "support.h"

namespace mxtape::micro {
namespace {

constexpr int64_t kElements = 2048;  // some arrays of them fit in the first cache
// So many times the declared cost is much slower. A tenfold loss is what a function costs that is
// not vectorised; costs are rough, and differ between processors.
constexpr double kMuch = 4;
// What a function that an operator chooses by a parameter may cost: its TileFunction is not seen.
constexpr int kChosenCost = 12;

// The seconds that a call takes, the least of some rounds.
double least_seconds(const std::function<void()>& run) {
  double least = 1e9;
  for (int round = 0; round < 25; ++round) {
    int calls = 0;
    const double began = now();
    double passed;
    do {
      run();
      ++calls;
    } while ((passed = now() - began) < 2e-4);
    least = std::min(least, passed / calls);
  }
  return least;
}

// Numbers from where the operator's tests draw them.
NDArray draw(const OpSchema& op, DType dtype, uint32_t seed) {
  const SampleDomain domain = op.samples.empty() ? SampleDomain() : op.samples[0];
  std::vector<double> numbers(kElements);
  for (double& x : numbers) {
    seed = seed * 1664525u + 1013904223u;
    x = domain.low + (domain.high - domain.low) * ((seed >> 8) + 0.5) / (1 << 24);
  }
  return test::array({kElements}, numbers, dtype);
}

// Nanoseconds an element, by the kernel alone.
double tile_time(const OpSchema& op, DType dtype) {
  const NDArray a = draw(op, dtype, 1), b = draw(op, dtype, 2), c = draw(op, dtype, 3);
  const NDArray out = NDArray::empty(a.shape(), dtype);
  const Ref<Params> params = op.params ? op.params->make() : Ref<Params>();
  const void* in[] = {a.bytes(), b.bytes(), c.bytes(), a.bytes()};
  const TileKernel kernel = op.tile.kernels[static_cast<int>(dtype)];
  const auto run = [&] { kernel(in, out.bytes(), kElements, params ? params->data() : nullptr); };
  return 1e9 * least_seconds(run) / kElements;
}

// The same of a call, which has some work beside the kernel.
double call_time(const OpSchema& op, const Ref<Params>& params, DType dtype) {
  const NDArray x = draw(op, dtype, 1);
  const NDArray* in[] = {&x};
  const auto run = [&] { invoke(op, Inputs(in, 1), params); };
  return 1e9 * least_seconds(run) / kElements;
}

struct Row {
  std::string name;
  int cost;
  double times[2];  // of float32 and float64
};

constexpr DType kTypes[] = {DType::kFloat32, DType::kFloat64};

// One row for each function: operators may share one, as the forms of a binary operator do.
std::vector<Row> rows() {
  std::map<TileKernel, const OpSchema*> functions;
  for (const OpSchema* op : Registry::get().all()) {
    if (!op->is_pointwise()) continue;
    const OpSchema*& known = functions[op->tile.kernels[static_cast<int>(DType::kFloat32)]];
    // Public names before the others, which come first in the alphabet.
    if (!known || (known->name[0] == '_' && op->name[0] != '_')) known = op;
  }
  std::vector<Row> list;
  for (const auto& [kernel, op] : functions) {
    list.push_back(
        {op->name, op->tile.cost, {tile_time(*op, kTypes[0]), tile_time(*op, kTypes[1])}});
  }
  for (const char* name : {"Activation", "LeakyReLU"}) {
    const OpSchema& op = find_op(name);
    for (const std::string_view choice :
         {"relu", "sigmoid", "softrelu", "softsign", "tanh", "elu", "gelu", "leaky", "selu"}) {
      Ref<Params> params;
      try {
        params = test::params_from(op, {{"act_type", choice}});
      } catch (const Error&) {
        continue;  // the other operator's
      }
      list.push_back({std::string(name) + " " + std::string(choice),
                      kChosenCost,
                      {call_time(op, params, kTypes[0]), call_time(op, params, kTypes[1])}});
    }
  }
  std::sort(list.begin(), list.end(), [](const Row& a, const Row& b) { return a.name < b.name; });
  return list;
}

}  // namespace

int report_pointwise(const std::vector<std::string>& names) {
  const OpSchema& sum = find_op("broadcast_add");
  const double unit[] = {tile_time(sum, kTypes[0]), tile_time(sum, kTypes[1])};
  std::printf("an addition takes %.3f ns in float32, %.3f ns in float64\n\n", unit[0], unit[1]);
  std::printf("%-28s %6s %12s %8s %12s %8s\n", "function", "cost", "float32 ns", "cost",
              "float64 ns", "cost");
  int slow = 0;
  for (const Row& row : rows()) {
    const bool wanted =
        names.empty() || std::any_of(names.begin(), names.end(), [&](const std::string& part) {
          return row.name.find(part) != std::string::npos;
        });
    if (!wanted) continue;
    const double costs[] = {row.times[0] / unit[0], row.times[1] / unit[1]};
    const bool much = std::max(costs[0], costs[1]) > kMuch * row.cost;
    slow += much;
    std::printf("%-28s %6d %12.3f %8.1f %12.3f %8.1f%s\n", row.name.c_str(), row.cost, row.times[0],
                costs[0], row.times[1], costs[1], much ? "  slow" : "");
  }
  std::printf("\n%d of them are more than %g times slower than their cost says\n", slow, kMuch);
  return slow;
}

}  // namespace mxtape::micro

// The kernels alone, called from C++ with memory that is there already, against what the processor
// can do: copying as many bytes, or multiplying and adding in registers.
//
//   mxtape_micro [name...]
//   mxtape_micro --pointwise [name...]
//
// The second looks at the pointwise operators, by the element: see pointwise.h.
// Every kernel is run on arrays that fit in the cache and on arrays that do not. OMP_NUM_THREADS
// sets the threads.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "machine.h"
#include "op/registry.h"
#include "pointwise.h"
#include "runtime/parallel.h"
#include "support.h"

namespace mxtape::micro {
namespace {

using Setting = std::pair<std::string_view, std::string_view>;

constexpr int kRounds = 7;
constexpr double kSecondsPerRound = 0.03;
constexpr int64_t kColumns = 1024;
constexpr int64_t kWidth = 128;

struct Kernel {
  std::string name;
  std::function<void()> run;
  double bytes = 0;  // that it has to read and write
  double flops = 0;  // where these and not the bytes are what it is about
};

NDArray values(const Shape& shape, DType dtype = DType::kFloat32) {
  std::vector<double> numbers(static_cast<size_t>(shape.size()));
  uint32_t seed = 1;
  for (double& x : numbers) {
    seed = seed * 1664525u + 1013904223u;
    x = (seed >> 8) * 0x1p-24 + 0.5;
  }
  return test::array(shape, numbers, dtype);
}

double bytes_of(const std::vector<NDArray>& arrays) {
  double sum = 0;
  for (const NDArray& x : arrays) sum += static_cast<double>(x.size()) * item_size(x.dtype());
  return sum;
}

// A call of an operator that writes the array `out` over and over. The bytes are those of inputs
// and output, and of the inputs that it changes once more.
Kernel call(std::string name, const char* op_name, std::vector<NDArray> inputs, NDArray out,
            std::initializer_list<Setting> settings, const std::vector<NDArray>& changed = {}) {
  const OpSchema& op = find_op(op_name);
  const ParamsRef params = op.params ? test::params_from(op, settings) : nullptr;
  const double bytes = bytes_of(inputs) + bytes_of({out}) + bytes_of(changed);
  auto run = [&op, inputs, params, out] {
    SmallVector<const NDArray*, 4> pointers;
    for (const NDArray& x : inputs) pointers.push_back(&x);
    Outputs outputs;
    outputs.push_back(out);
    invoke(op, Inputs(pointers.data(), pointers.size()), params, outputs);
    // Whatever the engine may have put off is done when its memory is asked for.
    asm volatile("" : : "r"(out.bytes()) : "memory");
  };
  return {std::move(name), run, bytes, 0};
}

std::vector<Kernel> kernels(int64_t elements) {
  const int64_t rows = elements / kColumns, cells = elements / kWidth;
  const Shape flat{elements}, matrix{rows, kColumns};
  const NDArray x = values(flat), y = values(flat), out = values(flat);
  const NDArray m = values(matrix), m_out = values(matrix), row = values(Shape{1, kColumns});
  const NDArray gamma = values(Shape{kColumns}), beta = values(Shape{kColumns});
  const NDArray table = values(Shape{cells, kWidth}), picked = values(Shape{cells, kWidth});
  NDArray ids = NDArray::empty(Shape{cells}, DType::kInt32);
  for (int64_t i = 0; i < cells; ++i) ids.data<int32_t>()[i] = (i * 7919 + 13) % cells;
  const NDArray mean = values(flat), square = values(flat);

  std::vector<Kernel> list{
      call("add", "elemwise_add", {x, y}, out, {}),
      call("broadcast add", "broadcast_add", {m, row}, m_out, {}),
      call("exp", "exp", {x}, out, {}),
      call("tanh", "tanh", {x}, out, {}),
      call("cast to float16", "Cast", {x}, values(flat, DType::kFloat16), {{"dtype", "float16"}}),
      call("sum", "sum", {x}, values(Shape{1}), {}),
      call("sum, axis 0", "sum", {m}, values(Shape{kColumns}), {{"axis", "0"}}),
      call("sum, axis 1", "sum", {m}, values(Shape{rows}), {{"axis", "1"}}),
      call("softmax", "softmax", {m}, m_out, {}),
      call("LayerNorm", "LayerNorm", {m, gamma, beta}, m_out, {}),
      call("transpose", "transpose", {m}, values(Shape{kColumns, rows}), {}),
      call("take rows", "take", {table, ids}, picked, {}),
      call("sgd_update", "sgd_update", {x, y}, x, {{"lr", "0.001"}}),
      call("adam_update", "adam_update", {x, y, mean, square}, x, {{"lr", "0.001"}},
           {mean, square}),
  };
  return list;
}

Kernel dot() {
  constexpr int64_t n = 1024;
  const NDArray a = values(Shape{n, n}), b = values(Shape{n, n}), out = values(Shape{n, n});
  Kernel kernel = call("dot 1024", "dot", {a, b}, out, {});
  kernel.flops = 2.0 * n * n * n;
  return kernel;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// The seconds of a call, over as many calls as the time of a round allows.
double seconds(const std::function<void()>& run) {
  run();
  const double began = now();
  int calls = 0;
  double passed = 0;
  do {
    run();
    ++calls;
    passed = now() - began;
  } while (passed < kSecondsPerRound);
  return passed / calls;
}

bool wanted(const std::string& name, const std::vector<std::string>& names) {
  if (names.empty()) return true;
  return std::any_of(names.begin(), names.end(),
                     [&](const auto& part) { return name.find(part) != std::string::npos; });
}

void report(const Kernel& kernel) {
  std::vector<double> times, parts;
  for (int round = 0; round < kRounds; ++round) {
    // The limit is measured beside the kernel: a slow moment of the machine hits both.
    const double time = seconds(kernel.run);
    const double limit = kernel.flops > 0 ? kernel.flops / multiply_add_peak(2)
                                          : copy_seconds(static_cast<size_t>(kernel.bytes), 3);
    times.push_back(time);
    parts.push_back(limit / time);
  }
  const double time = median(times);
  if (kernel.flops > 0) {
    std::printf("%-18s %12.1f %10.1f GFLOP/s %9.0f %% of peak\n", kernel.name.c_str(), 1e6 * time,
                kernel.flops / time / 1e9, 100 * median(parts));
  } else {
    std::printf("%-18s %12.1f %10.1f GB/s %12.0f %% of copy\n", kernel.name.c_str(), 1e6 * time,
                kernel.bytes / time / 1e9, 100 * median(parts));
  }
  std::fflush(stdout);
}

}  // namespace
}  // namespace mxtape::micro

int main(int argc, char** argv) {
  using namespace mxtape;
  Registry::get().finish();
  std::vector<std::string> names(argv + 1, argv + argc);
  if (!names.empty() && names[0] == "--pointwise") {
    names.erase(names.begin());
    micro::report_pointwise(names);
    return 0;
  }
  std::printf("%d threads; %s\n", thread_count(), MXTAPE_ISA_NAME);
  for (const int64_t elements : {int64_t{1} << 14, int64_t{1} << 23}) {
    std::printf("\n%-18s %12s %15s %22s\n", (std::to_string(elements) + " elements").c_str(), "us",
                "rate", "share of the limit");
    for (const auto& kernel : micro::kernels(elements)) {
      if (micro::wanted(kernel.name, names)) micro::report(kernel);
    }
  }
  std::printf("\n");
  if (const auto kernel = micro::dot(); micro::wanted(kernel.name, names)) micro::report(kernel);
}

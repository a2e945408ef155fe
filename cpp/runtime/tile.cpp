#include "runtime/tile.h"

#include "runtime/convert.h"
#include "runtime/fusion.h"
#include "runtime/tile_program.h"

namespace mxtape {
namespace {

constexpr int64_t kSmall = 64;  // elements up to which a call's set-up outweighs its arithmetic

// The commonest calls: few elements, of the compute type, each input of the output's shape or a
// number. They need no description of their inputs.
bool run_small(TileKernel kernel, DType compute, std::span<const TileOperand> inputs,
               const NDArray& out, int64_t n, const void* params) {
  if (out.dtype() != compute || inputs.size() > 3) return false;
  const void* in[3];
  alignas(64) char splats[3][kSmall * sizeof(double)];
  for (size_t i = 0; i < inputs.size(); ++i) {
    const NDArray* array = inputs[i].array;
    if (!array) {
      fill(compute, inputs[i].scalar, splats[i], n);
      in[i] = splats[i];
    } else if (array->dtype() == compute && array->shape() == out.shape()) {
      in[i] = array->bytes();
    } else {
      return false;
    }
  }
  kernel(in, out.bytes(), n, params);
  return true;
}

}  // namespace

void run_tiles(const TileFunction& f, DType compute, std::span<const TileOperand> inputs,
               const NDArray& out, const void* params) {
  const int64_t n = out.size();
  if (n == 0) return;
  for (const TileOperand& input : inputs) {
    if (input.array && input.array->storage()->deferred()) {
      return fusion::run(f, compute, inputs, out, params);
    }
  }
  const TileKernel kernel = f.kernels[static_cast<int>(compute)];
  const size_t arity = inputs.size();
  if (n <= kSmall && run_small(kernel, compute, inputs, out, n, params)) return;
  TileProgram program(compute, n);
  int values[TileProgram::kMaxInputs];
  for (size_t i = 0; i < arity; ++i) {
    const NDArray* array = inputs[i].array;
    values[i] = array ? program.load(*array, out.shape()) : program.constant(inputs[i].scalar);
  }
  program.store(program.step(kernel, params, f.cost, {values, arity}), out);
  program.run();
}

void run_tiles(const TileFunction& f, std::initializer_list<TileOperand> inputs, const NDArray& out,
               const void* params) {
  run_tiles(f, f.compute_dtype(out.dtype()), {inputs.begin(), inputs.size()}, out, params);
}

}  // namespace mxtape

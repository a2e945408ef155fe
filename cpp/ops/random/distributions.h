#pragma once

#include <cstdint>
#include <limits>

#include "core/ndarray.h"
#include "runtime/random.h"

// Arrays of random numbers. Element i depends on the stream and i alone, never on the threads.
namespace mxtape {

enum class Standard { kUniform, kNormal, kExponential };

// What is done to a standard number: scale * number + shift, at most `limit`.
struct Affine {
  double scale = 1, shift = 0, limit = std::numeric_limits<double>::infinity();
};

// Fills a floating-point array from a standard distribution: uniform in [0, 1), normal with mean 0
// and deviation 1, exponential with mean 1.
void fill_random(const NDArray& out, Standard distribution, const Affine& affine,
                 const RandomStream& stream);

// The largest number of `dtype` below `high`, but not below `low`: what keeps rounding from giving
// `high` itself.
double largest_below(double high, double low, DType dtype);

// Fills an int32 or int64 array with integers in [low, low + span).
void fill_integers(const NDArray& out, int64_t low, uint64_t span, const RandomStream& stream);

// One number from a distribution that takes a varying number of random words. `i` is its index.
double draw_gamma(double shape, const RandomStream& stream, int64_t i);
double draw_poisson(double mean, const RandomStream& stream, int64_t i);

}  // namespace mxtape

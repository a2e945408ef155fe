#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

namespace mxtape {

// Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC
// 2011): four random words are a pure function of a key and a counter, so any element can be drawn
// by any thread.
inline std::array<uint32_t, 4> philox(uint64_t key, uint64_t stream, uint64_t counter) {
  std::array<uint32_t, 4> c = {static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32),
                               static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)};
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c[0], p1 = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

// The same for `Lanes` counters from `first` on, side by side so that the compiler uses vector
// registers: word[j * Lanes + lane] is word j of counter first + lane.
template <int Lanes>
void philox_lanes(uint64_t key, uint64_t stream, uint64_t first, uint32_t* word) {
  uint32_t c0[Lanes], c1[Lanes], c2[Lanes], c3[Lanes];
  for (int l = 0; l < Lanes; ++l) {
    const uint64_t counter = first + static_cast<uint64_t>(l);
    c0[l] = static_cast<uint32_t>(counter);
    c1[l] = static_cast<uint32_t>(counter >> 32);
    c2[l] = static_cast<uint32_t>(stream);
    c3[l] = static_cast<uint32_t>(stream >> 32);
  }
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int l = 0; l < Lanes; ++l) {
      const uint64_t p0 = uint64_t{0xD2511F53} * c0[l], p1 = uint64_t{0xCD9E8D57} * c2[l];
      c0[l] = static_cast<uint32_t>(p1 >> 32) ^ c1[l] ^ k0;
      c1[l] = static_cast<uint32_t>(p1);
      c2[l] = static_cast<uint32_t>(p0 >> 32) ^ c3[l] ^ k1;
      c3[l] = static_cast<uint32_t>(p0);
    }
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  for (int l = 0; l < Lanes; ++l) {
    word[l] = c0[l];
    word[Lanes + l] = c1[l];
    word[2 * Lanes + l] = c2[l];
    word[3 * Lanes + l] = c3[l];
  }
}

// One operator call's random numbers: word i depends on the seed, the call's number and i alone.
class RandomStream {
 public:
  RandomStream(uint64_t key, uint64_t stream) : key_(key), stream_(stream) {}

  uint64_t key() const { return key_; }
  uint64_t stream() const { return stream_; }
  std::array<uint32_t, 4> words(uint64_t i) const { return philox(key_, stream_, i); }
  // Uniform in [0, 1) with 53 bits.
  double uniform(uint64_t i) const {
    const auto w = words(i);
    return to_double(w[0], w[1]);
  }
  // Standard normal by Box and Muller's transform.
  double normal(uint64_t i) const {
    const auto w = words(i);
    const double u = 1.0 - to_double(w[0], w[1]), v = to_double(w[2], w[3]);
    return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586477 * v);
  }

 private:
  static double to_double(uint32_t high, uint32_t low) {
    const uint64_t bits = (uint64_t{high} << 21) ^ (uint64_t{low} >> 11);
    return static_cast<double>(bits) * 0x1p-53;
  }
  uint64_t key_, stream_;
};

// Starts the process's sequence of streams again.
void seed_random(uint64_t seed);
// The next stream of the sequence.
RandomStream next_random_stream();

// The streams that a part of a program has drawn, to be drawn again when the part runs again. What
// is drawn aside, to initialize something at first use, is kept apart: it need not come again.
class DrawnStreams {
 public:
  // `aside` says whether what is drawn now is.
  explicit DrawnStreams(bool (*aside)()) : aside_(aside) {}
  // While it lives, notes what this thread draws.
  class Noting;
  // While it lives, this thread draws what was noted.
  class Again;

 private:
  bool (*aside_)();
  std::vector<RandomStream> streams_[2];
};

// Where a thread draws from, the innermost scope first.
class DrawScope {
 public:
  virtual RandomStream next() = 0;
  DrawScope(const DrawScope&) = delete;
  DrawScope& operator=(const DrawScope&) = delete;

 protected:
  DrawScope();
  ~DrawScope();
  DrawScope* outside() const { return outside_; }

 private:
  DrawScope* outside_;
};

class DrawnStreams::Noting final : public DrawScope {
 public:
  explicit Noting(DrawnStreams& drawn) : drawn_(drawn) {}
  RandomStream next() override;

 private:
  DrawnStreams& drawn_;
};

class DrawnStreams::Again final : public DrawScope {
 public:
  explicit Again(const DrawnStreams& drawn) : drawn_(drawn) {}
  // An Error when there were not so many.
  RandomStream next() override;
  // An Error when there were more.
  void finish() const;

 private:
  const DrawnStreams& drawn_;
  size_t used_[2] = {};
};

}  // namespace mxtape

#pragma once

#include <bit>
#include <cstdint>

namespace mxtape {

// The upper half of a float32: its range, with 8 bits of precision. It is stored and converted;
// what computes, computes in float32.
struct bfloat16 {
  bfloat16() = default;
  explicit constexpr bfloat16(float value) : bits(rounded(value)) {}
  explicit constexpr operator float() const { return std::bit_cast<float>(uint32_t{bits} << 16); }

  uint16_t bits;

 private:
  // To nearest, ties to even. A NaN stays one, though its last bits go.
  static constexpr uint16_t rounded(float value) {
    const auto given = std::bit_cast<uint32_t>(value);
    const uint32_t nearest = given + 0x7fff + (given >> 16 & 1);
    const uint32_t quiet = given | 0x400000;
    return static_cast<uint16_t>(((given & 0x7fffffff) > 0x7f800000 ? quiet : nearest) >> 16);
  }
};

}  // namespace mxtape

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "autograd/node.h"

// Messages of the tape: which call, which arrays, where it was recorded, and what to do about it.
namespace mxtape::autograd {

// Why an array is on no tape. It lies where the index of an edge would.
enum class OffTape : uint32_t {
  kNotRecorded,  // or made of values
  kNoVariable,   // recorded, from nothing that is a variable
  kNoFlow,       // from what has a gradient, in a place that has none
  kDetached,     // or computed from such an array; and so below
  kGradient,
  kFreed,
};
// Sets the reason, which what is computed from the array has too.
inline void set_off_tape(NDArray& array, OffTape why) {
  if (!array.edge_node()) array.set_edge({}, static_cast<uint32_t>(why));
}
// What a recorded call makes of these inputs, none of which is on the tape.
void explain_unrecorded(std::span<const NDArray* const> inputs, std::span<NDArray> outputs);

// "(2, 3) float32".
std::string spec_text(const Shape& shape, DType dtype);
// " (inputs (2, 3) float32, ?; recorded at file.py:12)", or what is known of it.
std::string call_text(Node& node);
// The same of a call whose inputs are known.
std::string call_text(const Node& node, std::string_view inputs);

// In a handler: throws what is in flight again, with the call in its message.
[[noreturn, gnu::cold, gnu::noinline]] void rethrow_in_backward(Node& node);
// Adds a line to an exception of the host language, which is in flight.
void set_error_note(void (*note)(const std::string& text));

[[noreturn, gnu::cold]] void fail_freed(std::string_view what, const Node& node);
[[noreturn, gnu::cold]] void fail_not_recorded(size_t position, const NDArray& head);
[[noreturn, gnu::cold]] void fail_not_reached(size_t position, const NDArray& variable);
[[noreturn, gnu::cold]] void fail_no_gradient();

}  // namespace mxtape::autograd

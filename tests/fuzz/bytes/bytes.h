#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/error.h"

// What the fuzzers of the readers of bytes have in common (main.cpp). Each has a file with its
// `read_bytes`, which may throw an Error and nothing else.
namespace mxtape::fuzz {

void read_bytes(const uint8_t* data, size_t size);

// Ends the process, so that the fuzzer keeps the input, where something does not hold.
void require(bool holds, const char* what);

// The name of a file in memory that is this process's own.
const std::string& scratch_file();

}  // namespace mxtape::fuzz

// What libFuzzer calls with its inputs.

#include <cstdio>
#include <cstdlib>

#include <sys/mman.h>

#include "bytes.h"
#include "op/registry.h"

namespace mxtape::fuzz {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

const std::string& scratch_file() {
  static const int file = memfd_create("scratch", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  return path;
}

}  // namespace mxtape::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  mxtape::Registry::get().finish();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    mxtape::fuzz::read_bytes(data, size);
  } catch (const mxtape::Error&) {
  }
  return 0;
}

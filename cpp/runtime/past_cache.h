#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace mxtape {

// Large results are written past the cache, which would not hold them anyway: the memory need not
// be read first.
constexpr size_t kBeyondCache = size_t{16} << 20;
inline bool goes_past_cache(const void* data, size_t nbytes) {
#ifdef __SSE2__
  return nbytes >= kBeyondCache && reinterpret_cast<uintptr_t>(data) % 16 == 0;
#else
  (void)data, (void)nbytes;
  return false;
#endif
}

// Copies `n` bytes, or zeros where `from` is null, past the cache where `to` is aligned to 16
// bytes. Before another thread reads them: end_past_cache().
inline void write_past_cache(char* to, const char* from, size_t n) {
#ifdef __SSE2__
  const bool aligned = reinterpret_cast<uintptr_t>(to) % 16 == 0;
  for (; aligned && n >= 64; n -= 64) {
    for (int i = 0; i < 64; i += 16, to += 16) {
      __m128i part = _mm_setzero_si128();
      if (from) {
        part = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
        from += 16;
      }
      _mm_stream_si128(reinterpret_cast<__m128i*>(to), part);
    }
  }
#endif
  if (n == 0) return;
  if (from) {
    std::memcpy(to, from, n);
  } else {
    std::memset(to, 0, n);
  }
}
inline void end_past_cache() {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

}  // namespace mxtape

// CRC32C (Castagnoli), chosen at run time: SSE4.2, ARMv8 CRC or a table. Known answer: crc32c("123456789") = e3069283.
#pragma once

#include <array>
#include <cstring>

#include "layout.hpp"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace tapehub {

namespace detail {

constexpr std::array<u32, 256> crc_table() {
  std::array<u32, 256> table{};
  for (u32 i = 0; i < 256; ++i) {
    u32 c = i;
    for (int k = 0; k < 8; ++k) c = (c & 1) ? (c >> 1) ^ 0x82F63B78u : c >> 1;
    table[i] = c;
  }
  return table;
}
inline constexpr auto kCrcTable = crc_table();

inline u32 crc_soft(u32 crc, const unsigned char* p, size_t n) {
  while (n--) crc = (crc >> 8) ^ kCrcTable[(crc ^ *p++) & 255];
  return crc;
}

#if defined(__x86_64__)
[[gnu::target("sse4.2")]] inline u32 crc_sse(u32 crc, const unsigned char* p, size_t n) {
  u64 c = crc;
  for (; n >= 8; n -= 8, p += 8) {
    u64 word;
    std::memcpy(&word, p, 8);
    c = _mm_crc32_u64(c, word);
  }
  u32 out = u32(c);
  for (; n; --n, ++p) out = _mm_crc32_u8(out, *p);
  return out;
}
// In assembly, since a function with a target of its own is never inlined, and this one is part of every publish.
inline u32 crc_tick_sse(const u64* w) {
  u64 c = 0xFFFFFFFFu;
  for (int i = 0; i < 7; ++i) asm("crc32q %1, %0" : "+r"(c) : "r"(w[i]));
  u32 out = u32(c);
  asm("crc32l %1, %0" : "+r"(out) : "r"(u32(w[7])));
  return ~out;
}
inline const bool kHasCrc = __builtin_cpu_supports("sse4.2");
#endif

}  // namespace detail

inline u32 crc_update(u32 crc, const void* data, size_t n) {
  auto* p = static_cast<const unsigned char*>(data);
#if defined(__x86_64__)
  if (detail::kHasCrc) return detail::crc_sse(crc, p, n);
#endif
  return detail::crc_soft(crc, p, n);
}
inline u32 crc32c(const void* data, size_t n) { return ~crc_update(0xFFFFFFFFu, data, n); }

// Of a tick whose words are at hand, its checksum's half of the last one not counted.
inline u32 tick_crc(const u64 (&words)[8]) {
#if defined(__x86_64__)
  if (detail::kHasCrc) return detail::crc_tick_sse(words);
#endif
  return ~crc_update(0xFFFFFFFFu, words, kCrcOffset);
}

// Of a whole record: every byte but its own field at kCrcOffset.
inline u32 record_crc(const void* record, size_t bytes) {
  auto* p = static_cast<const unsigned char*>(record);
  if (bytes == kLineBytes) {
    u64 words[8];
    std::memcpy(words, p, sizeof words);
    return tick_crc(words);
  }
  const u32 crc = crc_update(0xFFFFFFFFu, p, kCrcOffset);
  return ~crc_update(crc, p + kLineBytes, bytes - kLineBytes);
}

}  // namespace tapehub

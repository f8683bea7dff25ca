// Words that two processes share: relaxed atomics under a sequence word.
//
// A plain copy that races a writer is undefined in C++20, so payload goes word by word through these. In a crash-point
// build every store also counts, and the process is killed after the chosen one.
#pragma once

#include <csignal>
#include <cstring>
#include <type_traits>
#include <unistd.h>

#include "layout.hpp"

namespace tapehub {

#ifdef TAPEHUB_CRASH_POINTS
inline i64 crash_countdown = -1;  // -1: off
inline i64 crash_stores = 0;      // counted in any case, to learn how many points an operation has
inline int crash_signal = SIGKILL;  // SIGSTOP: stand still there
[[gnu::noinline]] inline void crash_point() {
  __atomic_fetch_add(&crash_stores, 1, __ATOMIC_RELAXED);
  if (__atomic_load_n(&crash_countdown, __ATOMIC_RELAXED) > 0 &&
      __atomic_sub_fetch(&crash_countdown, 1, __ATOMIC_RELAXED) == 0) {
    ::kill(::getpid(), crash_signal);
  }
}
#else
inline void crash_point() {}
#endif

// Whole words of records whose fields have other types.
using Word [[gnu::may_alias]] = u64;

template <class T>
T peek(const T& word, int order = __ATOMIC_RELAXED) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  T out;
  switch (order) {
    case __ATOMIC_ACQUIRE: __atomic_load(&word, &out, __ATOMIC_ACQUIRE); break;
    case __ATOMIC_SEQ_CST: __atomic_load(&word, &out, __ATOMIC_SEQ_CST); break;
    default: __atomic_load(&word, &out, __ATOMIC_RELAXED); break;
  }
  return out;
}
template <class T>
T peek_acquire(const T& word) {
  return peek(word, __ATOMIC_ACQUIRE);
}

template <class T>
void put(T& word, std::type_identity_t<T> value) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  __atomic_store(&word, &value, __ATOMIC_RELAXED);
  crash_point();
}
template <class T>
void put_release(T& word, std::type_identity_t<T> value) {
  __atomic_store(&word, &value, __ATOMIC_RELEASE);
  crash_point();
}

// The thread sanitizer does not know fences. It misses nothing for it here: every word that they order is an atomic.
#if defined(__SANITIZE_THREAD__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"
#endif
inline void fence_acquire() { __atomic_thread_fence(__ATOMIC_ACQUIRE); }
inline void fence_release() { __atomic_thread_fence(__ATOMIC_RELEASE); }
inline void fence_full() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
#if defined(__SANITIZE_THREAD__)
#pragma GCC diagnostic pop
#endif

// Shared to private. The caller validates the sequence word afterwards.
template <class T>
inline void read_words(T& to, const T& from) {
  static_assert(sizeof(T) % 8 == 0 && std::is_trivially_copyable_v<T>);
  auto* out = reinterpret_cast<unsigned char*>(&to);
  auto* in = reinterpret_cast<const Word*>(&from);
#pragma GCC unroll 64
  for (size_t i = 0; i < sizeof(T) / 8; ++i) {
    u64 word = __atomic_load_n(in + i, __ATOMIC_RELAXED);
    std::memcpy(out + 8 * i, &word, 8);
  }
}

// A copy of 96 bytes in half the instructions, for loops over candles. Written in assembly because to C++ it is a race;
// x86 loads are in order and the sequence word is checked behind it, as behind the loop above.
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
inline void read_96(void* to, const void* from) {
  asm volatile(
      "movdqu (%1), %%xmm0\n\t"
      "movdqu 16(%1), %%xmm1\n\t"
      "movdqu 32(%1), %%xmm2\n\t"
      "movdqu 48(%1), %%xmm3\n\t"
      "movdqu 64(%1), %%xmm4\n\t"
      "movdqu 80(%1), %%xmm5\n\t"
      "movdqu %%xmm0, (%0)\n\t"
      "movdqu %%xmm1, 16(%0)\n\t"
      "movdqu %%xmm2, 32(%0)\n\t"
      "movdqu %%xmm3, 48(%0)\n\t"
      "movdqu %%xmm4, 64(%0)\n\t"
      "movdqu %%xmm5, 80(%0)\n\t"
      :
      : "r"(to), "r"(from)
      : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5");
}
template <>
inline void read_words(CandleBody& to, const CandleBody& from) {
  read_96(&to, &from);
}
#endif

// Private to shared, or shared to shared by the lock's owner.
template <class T>
inline void write_words(T& to, const T& from) {
  static_assert(sizeof(T) % 8 == 0 && std::is_trivially_copyable_v<T>);
  auto* out = reinterpret_cast<Word*>(&to);
  auto* in = reinterpret_cast<const unsigned char*>(&from);
#pragma GCC unroll 64
  for (size_t i = 0; i < sizeof(T) / 8; ++i) {
    u64 word;
    std::memcpy(&word, in + 8 * i, 8);
    __atomic_store_n(out + i, word, __ATOMIC_RELAXED);
    crash_point();
  }
}

}  // namespace tapehub

// The limit of this machine, without Python and without a hub: what a row can at best approach.
//
//   probe loop COUNT          empty loop and clock reading, ns
//   probe read COUNT          sequence-locked read of one 64-byte line, ns a read (loop subtracted)
//   probe copy LINES ROUNDS   64-byte lines copied into warm pages, lines a second
//   probe wake COUNT RATE     writer process wakes a reader process blocked in a futex: ns from before the store to after the wake
//   probe spin COUNT RATE     the same with a reader that never sleeps
//   probe store COUNT RATE    one 64-byte line stored into warm pages between two sleeps: ns of the store and of reading the clock
//
// Prints one JSON object. Results are the medians and percentiles of single events, nearest rank.
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

using u64 = std::uint64_t;
using i64 = std::int64_t;

i64 now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return i64(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

void sleep_until(i64 at_ns) {
  timespec t{at_ns / 1'000'000'000, at_ns % 1'000'000'000};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr);
}

template <class T>
void keep(T& value) {
  asm volatile("" : "+r,m"(value) : : "memory");
}

void* shared(std::size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (p == MAP_FAILED) std::abort();
  return p;
}

i64 at(const std::vector<i64>& sorted, double share) {
  return sorted[std::min(sorted.size() - 1, std::size_t(double(sorted.size()) * share))];
}

double loop_ns(u64 count) {
  const i64 start = now_ns();
  for (u64 i = 0; i < count; ++i) keep(i);
  return double(now_ns() - start) / double(count);
}

struct alignas(64) Line {
  std::atomic<u64> word;
  std::atomic<u64> body[7];
};
static_assert(sizeof(Line) == 64);

void read_line(u64 count) {
  auto* lines = static_cast<Line*>(shared(8 * sizeof(Line)));
  const i64 start = now_ns();
  for (u64 i = 0; i < count; ++i) {
    const Line& line = lines[i & 7];
    u64 before, after;
    do {
      before = line.word.load(std::memory_order_acquire);
      for (const auto& word : line.body) asm volatile("" : : "r"(word.load(std::memory_order_relaxed)));
      std::atomic_thread_fence(std::memory_order_acquire);
      after = line.word.load(std::memory_order_relaxed);
    } while (before != after);
  }
  const double gross = double(now_ns() - start) / double(count);
  std::printf("{\"ns\": %.3f, \"loop_ns\": %.3f}\n", gross - loop_ns(count), loop_ns(count));
}

void copy_lines(u64 lines, u64 rounds) {
  const std::size_t bytes = lines * 64;
  auto* from = static_cast<char*>(shared(bytes));
  auto* to = static_cast<char*>(shared(bytes));
  std::memset(from, 1, bytes);
  std::memset(to, 2, bytes);
  std::vector<i64> times;
  for (u64 i = 0; i < rounds; ++i) {
    const i64 start = now_ns();
    std::memcpy(to, from, bytes);
    times.push_back(now_ns() - start);
    keep(to);
  }
  std::sort(times.begin(), times.end());
  std::printf("{\"per_s\": %.0f}\n", double(lines) * 1e9 / double(at(times, 0.5)));
}

struct Exchange {
  alignas(64) std::atomic<std::uint32_t> word;
  alignas(64) std::atomic<i64> sent_ns;
  alignas(64) std::atomic<std::uint32_t> ready;
  alignas(64) i64 gap_ns[1];
};

void wake(u64 count, u64 rate, bool spin) {
  auto* x = static_cast<Exchange*>(shared(sizeof(Exchange) + count * sizeof(i64)));
  const pid_t child = fork();
  if (child == 0) {
    auto* word = reinterpret_cast<std::uint32_t*>(&x->word);
    x->ready.store(1);
    for (std::uint32_t seen = 0; seen < count;) {
      while (x->word.load(std::memory_order_acquire) == seen)
        if (!spin) syscall(SYS_futex, word, FUTEX_WAIT, seen, nullptr, nullptr, 0);
      x->gap_ns[seen] = now_ns() - x->sent_ns.load(std::memory_order_relaxed);
      seen = x->word.load(std::memory_order_acquire);
    }
    _exit(0);
  }
  while (!x->ready.load()) usleep(1000);
  const i64 step = 1'000'000'000 / i64(rate);
  i64 next = now_ns() + 50'000'000;
  for (u64 i = 0; i < count; ++i, next += step) {
    sleep_until(next);
    x->sent_ns.store(now_ns(), std::memory_order_relaxed);
    x->word.store(std::uint32_t(i + 1), std::memory_order_release);
    if (!spin) syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&x->word), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  }
  waitpid(child, nullptr, 0);
  std::vector<i64> gaps;
  for (u64 i = 0; i < count; ++i)
    if (x->gap_ns[i]) gaps.push_back(x->gap_ns[i]);
  std::sort(gaps.begin(), gaps.end());
  std::printf("{\"p50_ns\": %ld, \"p99_ns\": %ld, \"count\": %zu}\n", long(at(gaps, 0.5)), long(at(gaps, 0.99)), gaps.size());
}

void store(u64 count, u64 rate) {
  constexpr u64 kLines = 1 << 14;
  auto* lines = static_cast<Line*>(shared(kLines * sizeof(Line)));
  const i64 step = 1'000'000'000 / i64(rate);
  std::vector<i64> gaps(count);
  i64 next = now_ns() + 50'000'000;
  for (u64 i = 0; i < count; ++i, next += step) {
    sleep_until(next);
    const i64 before = now_ns();
    Line& line = lines[i % kLines];
    for (auto& word : line.body) word.store(i, std::memory_order_relaxed);
    line.word.store(i, std::memory_order_release);
    gaps[i] = now_ns() - before;
  }
  std::sort(gaps.begin(), gaps.end());
  std::printf("{\"p50_ns\": %ld, \"p99_ns\": %ld, \"p999_ns\": %ld}\n", long(at(gaps, 0.5)), long(at(gaps, 0.99)),
              long(at(gaps, 0.999)));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  const u64 first = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0;
  const u64 second = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 0;
  if (mode == "loop" && first) {
    const i64 start = now_ns();
    for (u64 i = 0; i < first; ++i) {
      i64 t = now_ns();
      keep(t);
    }
    const double clock = double(now_ns() - start) / double(first);
    std::printf("{\"loop_ns\": %.3f, \"clock_ns\": %.3f}\n", loop_ns(first), clock);
  } else if (mode == "read" && first) {
    read_line(first);
  } else if (mode == "copy" && first && second) {
    copy_lines(first, second);
  } else if (mode == "store" && first && second) {
    store(first, second);
  } else if ((mode == "wake" || mode == "spin") && first && second) {
    wake(first, second, mode == "spin");
  } else {
    std::fprintf(stderr, "probe: got \"%s\"; expected loop COUNT | read COUNT | copy LINES ROUNDS | wake COUNT RATE | spin COUNT RATE | store COUNT RATE\n",
                 mode.c_str());
    return 2;
  }
}

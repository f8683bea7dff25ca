// What every native test needs: named cases, checks that throw, directories that clean up after themselves, children.
#pragma once

#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <sstream>

#include "tapehub/hub.hpp"

#if defined(__SANITIZE_THREAD__)
// Children of a test that has had threads start helper threads of their own.
extern "C" [[gnu::used]] inline const char* __tsan_default_options() { return "die_after_fork=0"; }
#endif

namespace tapehub::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr u32 kSlow = 6;  // sanitizers: try every sixth crash point
#else
inline constexpr u32 kSlow = 1;
#endif

// Everything, where a common run tries an even spread: `make crash-points`.
inline bool try_all() { return std::getenv("TAPEHUB_TEST_ALL") != nullptr; }

struct Failed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

#define CHECK(condition)                                                                                    \
  do {                                                                                                      \
    if (!(condition)) {                                                                                     \
      throw ::tapehub::test::Failed(std::string(__FILE__) + ":" + std::to_string(__LINE__) + ": " #condition); \
    }                                                                                                       \
  } while (0)
#define CHECK_EMPTY(text)                                                                                     \
  do {                                                                                                        \
    const std::string difference_ = (text);                                                                   \
    if (!difference_.empty()) {                                                                                     \
      throw ::tapehub::test::Failed(std::string(__FILE__) + ":" + std::to_string(__LINE__) + ": " + difference_);   \
    }                                                                                                         \
  } while (0)

// Where files cost no disk: a killed process says nothing about a lost power supply, so a sync may be free.
inline std::string memory_backed() {
  const std::string shared = "/dev/shm";
  return ::access(shared.c_str(), W_OK) == 0 ? shared : std::filesystem::temp_directory_path().string();
}

// A directory below `root`, and one for the memory files; both go with the object.
class Home {
 public:
  explicit Home(const std::string& root = std::filesystem::temp_directory_path().string()) : owner_(::getpid()) {
    std::string base = root + "/tapehub-native-XXXXXX";
    if (!::mkdtemp(base.data())) fail_errno("create", base);
    path_ = base;
    memory_ = memory_backed() + "/tapehub-native-memory-" + std::filesystem::path(path_).filename().string().substr(15);
    std::filesystem::create_directory(memory_);
  }
  Home(const Home&) = delete;
  ~Home() {
    if (owner_ != ::getpid()) return;
    std::error_code ec;
    std::filesystem::remove_all(path_, ec);
    std::filesystem::remove_all(memory_, ec);
  }
  std::string hub(const char* name = "hub") const { return path_ + "/" + name; }
  const std::string& memory() const { return memory_; }

  Options options(const char* name = "test") const {
    Options options;
    options.create = true;
    options.name = name;
    options.memory_root = memory_;
    options.segment_lines = 1024;
    options.helper_thread = false;
    options.lock_timeout_ns = 20 * kSecond;
    return options;
  }

 private:
  pid_t owner_;
  std::string path_, memory_;
};

// Runs `work` in a forked child and returns waitpid's status: 0 when it came to its end.
inline pid_t start_child(const std::function<void()>& work) {
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) fail_errno("fork", "a child");
  if (pid != 0) return pid;
  int code = 0;
  try {
    work();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "child: %s\n", error.what());
    code = 9;
  }
  std::fflush(nullptr);
  ::_exit(code);
}
inline int end_of(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}
inline int in_child(const std::function<void()>& work) { return end_of(start_child(work)); }
inline bool was_killed(int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL; }
inline bool came_to_its_end(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }

struct Test {
  const char* name;
  void (*run)();
};

// Every test, or those whose name holds the first argument. `after` is told of each: its seconds, and whether it held.
using After = std::function<void(const Test&, double, bool)>;
inline int run_tests(std::initializer_list<Test> tests, int argc, char** argv, const After& after = {}) {
  int failed = 0;
  for (const Test& test : tests) {
    if (argc > 1 && std::string(test.name).find(argv[1]) == std::string::npos) continue;
    const i64 started = boot_ns();
    const auto seconds = [started] { return double(boot_ns() - started) / 1e9; };
    bool held = true;
    try {
      test.run();
      std::printf("ok      %-90s %6.2f s\n", test.name, seconds());
    } catch (const std::exception& error) {
      std::printf("FAILED  %s\n        %s\n", test.name, error.what());
      held = false;
      ++failed;
    }
    if (after) after(test, seconds(), held);
    std::fflush(stdout);
  }
  return failed != 0;
}

}  // namespace tapehub::test

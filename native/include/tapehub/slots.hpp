// Who is attached, and which of them may write: slots, their byte locks, and the writer lock.
//
// A slot is alive while its byte in <hub>/locks is locked. The kernel drops such a lock with its process, never passes it
// to a forked child and knows nothing of it after a reboot; a pid proves none of that. Such locks are also dropped when
// a process closes *any* descriptor of the file, so a process opens the file once and keeps it.
#pragma once

#include <pthread.h>

#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "directory.hpp"

namespace tapehub {

inline constexpr off_t kByteOpen = 0;        // attaching, rebuilding, the last one leaving
inline constexpr off_t kByteServer = 1;
inline constexpr off_t kByteMaintainer = 2;  // syncs, checkpoints, drops segments
inline constexpr off_t kByteExtend = 3;      // creates segments, grows the arena
inline constexpr off_t kByteSlots = 16;

class ProcessLocks {
 public:
  explicit ProcessLocks(File file) : file_(std::move(file)) {}

  // The locks of one hub directory, opened once a process.
  static std::shared_ptr<ProcessLocks> of(const Directory& home) {
    Registry& registry = Registry::get();
    std::lock_guard guard(registry.mutex);
    FileId id;
    if (!home.id("locks", &id)) {
      home.open("locks", O_RDWR | O_CREAT);
      if (!home.id("locks", &id)) fail_errno("look up", home.path_of("locks"));
    }
    auto& known = registry.locks[{id.device, id.inode}];
    if (!known) known = std::make_shared<ProcessLocks>(home.open("locks", O_RDWR | O_CREAT));
    return known;
  }
  static u32 forks() { return forks_.load(std::memory_order_relaxed); }

  bool try_lock(off_t byte) {
    std::lock_guard guard(mutex_);
    if (held_.count(byte)) return false;  // by another thread of this process: the kernel would say yes
    if (!try_lock_byte(file_.fd(), byte)) return false;
    held_.insert(byte);
    return true;
  }
  bool lock(off_t byte, i64 timeout_ns) {
    for (i64 waited = 0; !try_lock(byte); waited += 1'000'000) {
      if (waited >= timeout_ns) return false;
      sleep_ns(1'000'000);
    }
    return true;
  }
  void unlock(off_t byte) {
    std::lock_guard guard(mutex_);
    held_.erase(byte);
    unlock_byte(file_.fd(), byte);
  }
  bool mine(off_t byte) {
    std::lock_guard guard(mutex_);
    return held_.count(byte) != 0;
  }
  // Pid of whoever holds it, 0 when nobody does.
  pid_t holder(off_t byte) {
    if (mine(byte)) return ::getpid();
    return byte_lock_holder(file_.fd(), byte);
  }

 private:
  struct Registry {
    std::mutex mutex;
    std::map<std::pair<dev_t, ino_t>, std::shared_ptr<ProcessLocks>> locks;

    static Registry& get() {
      static Registry* registry = [] {
        auto* made = new Registry;
        ::pthread_atfork([] { get().mutex.lock(); }, [] { get().mutex.unlock(); },
                         [] {
                           // The child holds none of the parent's locks. Its copies are left alone, not destroyed:
                           // threads that own parts of them exist in the parent only.
                           new std::map(std::move(get().locks));
                           get().locks.clear();
                           forks_.fetch_add(1);
                           get().mutex.unlock();
                         });
        return made;
      }();
      return *registry;
    }
  };

  static inline std::atomic<u32> forks_{0};
  std::mutex mutex_;
  std::set<off_t> held_;
  File file_;
};

// The slots file: what readers and producers say of themselves. Mapped read-write by everyone, held by nobody's word.
class Slots {
 public:
  static constexpr u64 kBytes = sizeof(SlotsHeader) + kSlots * sizeof(Slot) + kCursors * sizeof(Cursor);

  Slots() = default;
  Slots(int fd, const std::string& path) : map_(Mapping::of(fd, kBytes, true, path)) {}
  SlotsHeader& header() const { return *map_.at<SlotsHeader>(); }
  Slot& slot(u32 i) const { return map_.at<Slot>(sizeof(SlotsHeader))[i]; }
  Cursor& cursor(u32 i) const { return map_.at<Cursor>(sizeof(SlotsHeader) + kSlots * sizeof(Slot))[i]; }

 private:
  Mapping map_;
};

struct Owner {  // of the writer lock, or of a cursor
  u32 slot;
  u32 generation;
  static Owner of(u64 word) { return {u32(word & 0xFFFF) - 1, u32(word >> 32)}; }
  u64 word() const { return u64(slot + 1) | u64(generation) << 32; }
};
inline constexpr u64 kContended = 1ull << 16;

}  // namespace tapehub

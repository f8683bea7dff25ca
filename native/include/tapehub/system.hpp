// What the core asks of the operating system: files, mappings, byte locks, futexes, clocks.
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "atomics.hpp"
#include "error.hpp"

namespace tapehub {

// ---------------------------------------------------------------- clocks

inline i64 clock_ns(clockid_t id) {
  timespec ts;
  ::clock_gettime(id, &ts);
  return i64(ts.tv_sec) * kSecond + ts.tv_nsec;
}
inline i64 wall_ns() { return clock_ns(CLOCK_REALTIME); }
#if defined(CLOCK_BOOTTIME)
inline i64 boot_ns() { return clock_ns(CLOCK_BOOTTIME); }  // goes on while the machine sleeps
#else
inline i64 boot_ns() { return clock_ns(CLOCK_MONOTONIC); }
#endif

inline void cpu_pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// ---------------------------------------------------------------- files

// A hub is its owner's alone, or a group's too. Then its directories have the group's set-id and write bits, so that
// whatever is made in them belongs to the group, and files take after their directory.
inline constexpr gid_t kNoGroup = gid_t(-1);
inline gid_t group_of(const struct stat& directory) {
  constexpr mode_t kShared = S_ISGID | S_IWGRP;
  return (directory.st_mode & kShared) == kShared ? directory.st_gid : kNoGroup;
}
inline gid_t shared_group(const std::string& directory) {
  struct stat st;
  return ::stat(directory.c_str(), &st) == 0 ? group_of(st) : kNoGroup;
}
inline gid_t shared_group(int directory) {
  struct stat st;
  return ::fstat(directory, &st) == 0 ? group_of(st) : kNoGroup;
}
class File {
 public:
  File() = default;
  explicit File(int fd) : fd_(fd) {}
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  File& operator=(File&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~File() { reset(); }

  static File open(const std::string& path, int flags, mode_t mode = 0600) {
    File file = try_open(path, flags, mode);
    if (file.fd_ < 0) fail_errno("open", path);
    return file;
  }
  // No file where there is none. Whatever else keeps it from being opened, as too many open files do, is no absence.
  static File find(const std::string& path, int flags) {
    File file = try_open(path, flags);
    if (!file && errno != ENOENT) fail_errno("open", path);
    return file;
  }
  static File try_open(const std::string& path, int flags, mode_t mode = 0600) {
    File file(::open(path.c_str(), flags | O_CLOEXEC, mode));
    if (file.fd_ >= 0 && (flags & O_CREAT) && shared_group(path.substr(0, path.rfind('/'))) != kNoGroup) {
      ::fchmod(file.fd_, 0660);  // of another user's file it fails: that one did it
    }
    return file;
  }

  int fd() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  explicit operator bool() const { return fd_ >= 0; }
  void reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

inline void restrict_directory(const File& directory, gid_t group, const std::string& path) {
  if (group == kNoGroup) {
    ::fchmod(directory.fd(), 0700);
  } else if (::fchown(directory.fd(), uid_t(-1), group) != 0 || ::fchmod(directory.fd(), 02770) != 0) {
    fail_errno("give to group " + std::to_string(group), path);
  }
}
inline void restrict_directory(const std::string& path, gid_t group) {
  restrict_directory(File::open(path, O_RDONLY | O_DIRECTORY), group, path);
}

struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const FileId& other) const = default;
};

inline bool file_id(const std::string& path, FileId* out) {
  struct stat st;
  if (::stat(path.c_str(), &st) != 0) return false;
  *out = {st.st_dev, st.st_ino};
  return true;
}

inline FileId file_id(const File& file) {
  struct stat st;
  return ::fstat(file.fd(), &st) == 0 ? FileId{st.st_dev, st.st_ino} : FileId{};
}

inline u64 file_size(int fd) {
  struct stat st;
  return ::fstat(fd, &st) == 0 ? u64(st.st_size) : 0;
}

// Blocks are taken now: a store into a hole of a full disk would be a SIGBUS.
inline int allocate(int fd, u64 offset, u64 bytes) {
#if defined(__APPLE__)
  fstore_t store{F_ALLOCATEALL, F_PEOFPOSMODE, 0, off_t(bytes), 0};
  if (::fcntl(fd, F_PREALLOCATE, &store) != 0) return errno;
  return ::ftruncate(fd, off_t(offset + bytes)) == 0 ? 0 : errno;
#else
  return ::posix_fallocate(fd, off_t(offset), off_t(bytes));
#endif
}

inline void write_whole(const File& file, const void* data, size_t bytes, const std::string& path) {
  auto* p = static_cast<const char*>(data);
  for (size_t done = 0; done < bytes;) {
    const ssize_t n = ::write(file.fd(), p + done, bytes - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno("write", path);
    done += size_t(n);
  }
}

// Nothing of a file that cannot be read.
inline std::string read_whole(const File& file) {
  std::string out;
  char buffer[4096];
  for (ssize_t n; file && ((n = ::read(file.fd(), buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR));) {
    if (n > 0) out.append(buffer, size_t(n));
  }
  return out;
}
inline std::string read_small_file(const std::string& path) { return read_whole(File::try_open(path, O_RDONLY)); }

inline std::string boot_id() {
  std::string id = read_small_file("/proc/sys/kernel/random/boot_id");
  while (!id.empty() && (id.back() == '\n' || id.back() == ' ')) id.pop_back();
  if (id.empty()) id = "no-boot-id-" + std::to_string((wall_ns() - boot_ns()) / (10 * kSecond));
  return id.substr(0, 39);
}

inline void random_bytes(void* out, size_t bytes) {
  File file = File::open("/dev/urandom", O_RDONLY);
  if (::read(file.fd(), out, bytes) != ssize_t(bytes)) fail_errno("read", "/dev/urandom");
}

// Byte locks and shared mappings do not reach across machines.
inline std::string network_file_system(const std::string& path) {
#if defined(__linux__)
  struct statfs fs;
  if (::statfs(path.c_str(), &fs) != 0) return {};
  switch (u32(fs.f_type)) {
    case 0x6969: return "NFS";
    case 0x517B: return "SMB";
    case 0xFE534D42: return "SMB2";
    case 0xFF534D42: return "CIFS";
    case 0x01021997: return "9P";
    case 0x00C36400: return "Ceph";
    case 0x73757245: return "Coda";
    case 0x5346414F: return "AFS";
    default: return {};
  }
#else
  (void)path;
  return {};
#endif
}

// ---------------------------------------------------------------- mappings

class Mapping {
 public:
  Mapping() = default;
  Mapping(void* base, size_t bytes) : base_(base), bytes_(bytes) {}
  Mapping(Mapping&& o) noexcept : base_(std::exchange(o.base_, nullptr)), bytes_(std::exchange(o.bytes_, 0)) {}
  Mapping& operator=(Mapping&& o) noexcept {
    if (this != &o) {
      reset();
      base_ = std::exchange(o.base_, nullptr);
      bytes_ = std::exchange(o.bytes_, 0);
    }
    return *this;
  }
  ~Mapping() { reset(); }

  static Mapping of(int fd, size_t bytes, bool writable, const std::string& path) {
    void* base = ::mmap(nullptr, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) fail_errno("map", path);
    return {base, bytes};
  }
  static Mapping reserve(size_t bytes) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#if defined(MAP_NORESERVE)
    flags |= MAP_NORESERVE;
#endif
    void* base = ::mmap(nullptr, bytes, PROT_NONE, flags, -1, 0);
    if (base == MAP_FAILED) fail_errno("reserve address space", std::to_string(bytes) + " bytes");
    return {base, bytes};
  }

  template <class T = unsigned char>
  T* at(size_t offset = 0) const {
    return reinterpret_cast<T*>(static_cast<unsigned char*>(base_) + offset);
  }
  size_t bytes() const { return bytes_; }
  explicit operator bool() const { return base_ != nullptr; }
  void reset() {
    if (base_) ::munmap(base_, bytes_);
    base_ = nullptr;
    bytes_ = 0;
  }

 private:
  void* base_ = nullptr;
  size_t bytes_ = 0;
};

// Make pages present and writable in this process, so that no store on the publish path faults.
inline void populate(void* base, size_t bytes, bool write) {
#if defined(__linux__)
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
  if (::madvise(base, bytes, write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) == 0) return;
#endif
  auto* p = static_cast<volatile unsigned char*>(base);
  for (size_t i = 0; i < bytes; i += 4096) {
    if (write) {
      __atomic_fetch_or(const_cast<unsigned char*>(p + i), 0, __ATOMIC_RELAXED);
    } else {
      (void)p[i];
    }
  }
}

// ---------------------------------------------------------------- byte locks: held by a process, gone with it

inline bool try_lock_byte(int fd, off_t byte) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return ::fcntl(fd, F_SETLK, &lock) == 0;
}
inline void unlock_byte(int fd, off_t byte) {
  struct flock lock {};
  lock.l_type = F_UNLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  ::fcntl(fd, F_SETLK, &lock);
}
// Pid of the other process that holds it, or 0.
inline pid_t byte_lock_holder(int fd, off_t byte) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  if (::fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return 0;
  return lock.l_pid > 0 ? lock.l_pid : -1;  // -1: a process of another pid namespace
}

// ---------------------------------------------------------------- waiting

inline void sleep_ns(i64 ns) {
  timespec ts{time_t(ns / kSecond), long(ns % kSecond)};
  ::nanosleep(&ts, nullptr);
}

#if defined(__linux__)
inline void futex_wait(const u32& word, u32 seen, i64 timeout_ns) {
  timespec ts{time_t(timeout_ns / kSecond), long(timeout_ns % kSecond)};
  ::syscall(SYS_futex, &word, FUTEX_WAIT, seen, &ts, nullptr, 0);
}
inline void futex_wake(const u32& word, int count) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE, count, nullptr, nullptr, 0);
}
#else
inline void futex_wait(const u32& word, u32 seen, i64 timeout_ns) {
  i64 nap = 50'000;
  for (i64 slept = 0; slept < timeout_ns && peek(word) == seen; slept += nap) sleep_ns(nap);
}
inline void futex_wake(const u32&, int) {}
#endif

}  // namespace tapehub

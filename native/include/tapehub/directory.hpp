// A directory held by its descriptor. What is done here reaches this very directory, also when it was moved away and another
// lies under its path: a process that has not noticed yet must not write into a hub that is not its own.
#pragma once

#include <dirent.h>

#include <vector>

#include "system.hpp"

namespace tapehub {

// Names are relative to the directory, and may lead below it. Paths are for messages.
class Directory {
 public:
  Directory() = default;
  explicit Directory(const std::string& path) : path_(path), file_(File::open(path, O_RDONLY | O_DIRECTORY)) {}

  const std::string& path() const { return path_; }
  std::string path_of(const std::string& name) const { return path_ + "/" + name; }

  File open(const std::string& name, int flags, mode_t mode = 0600) const {
    File file = try_open(name, flags, mode);
    if (!file) fail_errno("open", path_of(name));
    return file;
  }
  File try_open(const std::string& name, int flags, mode_t mode = 0600) const {
    File file(::openat(file_.fd(), name.c_str(), flags | O_CLOEXEC, mode));
    if (file && (flags & O_CREAT) && shared_group(file_.fd()) != kNoGroup) {
      ::fchmod(file.fd(), 0660);  // of another user's file it fails: that one did it
    }
    return file;
  }
  File find(const std::string& name, int flags) const {
    File file = try_open(name, flags);
    if (!file && errno != ENOENT) fail_errno("open", path_of(name));
    return file;
  }
  bool status(const std::string& name, struct stat* out) const { return ::fstatat(file_.fd(), name.c_str(), out, 0) == 0; }
  bool exists(const std::string& name) const {
    struct stat ignored;
    return status(name, &ignored);
  }
  bool id(const std::string& name, FileId* out) const {
    struct stat st;
    if (!status(name, &st)) return false;
    *out = {st.st_dev, st.st_ino};
    return true;
  }
  // As open as this one: to its owner alone, or to a group.
  void make_directory(const std::string& name) const {
    if (::mkdirat(file_.fd(), name.c_str(), 0700) != 0 && errno != EEXIST) fail_errno("create", path_of(name));
    restrict_directory(open(name, O_RDONLY | O_DIRECTORY), shared_group(file_.fd()), path_of(name));
  }
  bool remove(const std::string& name) const { return ::unlinkat(file_.fd(), name.c_str(), 0) == 0; }
  bool rename(const std::string& from, const std::string& to) const {
    return ::renameat(file_.fd(), from.c_str(), file_.fd(), to.c_str()) == 0;
  }
  // Nothing where there is no such file.
  std::string read(const std::string& name) const { return read_whole(find(name, O_RDONLY)); }

  // What lies in a directory below, in no order; nothing where there is none.
  std::vector<std::string> names_in(const std::string& below) const {
    std::vector<std::string> out;
    File directory = find(below, O_RDONLY | O_DIRECTORY);
    if (!directory) return out;
    DIR* entries = ::fdopendir(directory.fd());
    if (!entries) fail_errno("list", path_of(below));
    directory.release();
    while (const dirent* entry = ::readdir(entries)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") out.push_back(name);
    }
    ::closedir(entries);
    return out;
  }

  // Durable when it returns; whoever reads meanwhile finds the old content or the new.
  void write_atomically(const std::string& name, const void* data, size_t bytes) const {
    const std::string temporary = name + ".tmp";
    {
      const File file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC);
      write_whole(file, data, bytes, path_of(temporary));
      if (::fsync(file.fd()) != 0) fail_errno("sync", path_of(temporary));
    }
    crash_point();
    if (!rename(temporary, name)) fail_errno("rename into place", path_of(name));
    crash_point();
    ::fsync(file_.fd());
  }

 private:
  std::string path_;
  File file_;
};

}  // namespace tapehub

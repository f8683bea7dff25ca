// The files of a hub: copied as a reboot finds them, or kept and put back as if nothing had happened to them.
//
// The lock file always stays as it is: a process that closes any handle of it loses every lock it holds.
#pragma once

#include <map>

#include "support.hpp"

namespace tapehub::test {

namespace fs = std::filesystem;

inline bool is_lock_file(const fs::path& path) { return path.filename() == "locks"; }

// The directory alone, as after a reboot: control, log and checkpoint.
inline void copy_hub(const std::string& from, const std::string& to) {
  fs::create_directories(to);
  for (const auto& entry : fs::directory_iterator(to)) {
    if (!is_lock_file(entry.path())) fs::remove_all(entry.path());
  }
  for (const auto& entry : fs::directory_iterator(from)) {
    if (!is_lock_file(entry.path())) fs::copy(entry.path(), to + "/" + entry.path().filename().string(), fs::copy_options::recursive);
  }
}

inline std::vector<std::string> files_below(const std::string& directory) {
  std::vector<std::string> out;
  std::error_code ec;
  for (const auto& entry : fs::recursive_directory_iterator(directory, ec)) {
    if (entry.is_regular_file() && !is_lock_file(entry.path())) out.push_back(entry.path().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

// How far each line of each file has come: untouched, begun, complete, committed (words 1 to 7 are written before word 0, the
// checksum last). The log only grows, so two directories of one hub that have the same shape hold the same records, but
// for the times at which they were published.
inline u64 shape_of(const std::string& directory) {
  u64 shape = 14695981039346656037ull;
  const auto mix = [&shape](u64 value) { shape = (shape ^ value) * 1099511628211ull; };
  for (const std::string& path : files_below(directory)) {
    File file = File::open(path, O_RDONLY);
    const u64 bytes = file_size(file.fd());
    mix(std::hash<std::string>()(path));
    mix(bytes);
    if (fs::path(path).filename() == "control" && bytes == sizeof(ControlFile)) {
      mix(Mapping::of(file.fd(), bytes, false, path).at<const ControlFile>()->epoch);
    }
    if (!path.ends_with(".tape")) continue;
    const Mapping map = Mapping::of(file.fd(), bytes, false, path);
    for (u64 at = 0; at + kLineBytes <= bytes; at += kLineBytes) {
      auto* words = map.at<const Word>(at);
      u64 any = 0;
      for (u32 i = 0; i < 8; ++i) any |= words[i];
      if (any != 0) mix(at << 3 | u64(words[0] != 0) << 1 | u64(words[7] != 0));
    }
  }
  return shape;
}

// A hub's directory and memory files at one instant.
class Image {
 public:
  Image(const std::string& directory, const std::string& memory_root) : roots_{directory, memory_root} {
    for (const std::string& root : roots_) {
      for (const std::string& path : files_below(root)) files_.emplace(path, Kept(path));
    }
  }

  // False when a file had to be made anew: who has the old one mapped must open the hub again.
  bool put_back() {
    bool same = true;
    for (const std::string& root : roots_) {
      for (const std::string& path : files_below(root)) {
        if (files_.count(path)) continue;
        fs::remove(path);
        same &= !is_mapped_by_hubs(path);
      }
    }
    for (const auto& entry : fs::directory_iterator(roots_[1])) {  // what is left of another memory directory
      if (fs::is_empty(entry.path())) fs::remove(entry.path());
    }
    for (auto& [path, kept] : files_) {
      // What processes say of themselves is theirs: whoever is attached keeps its place and its generation.
      if (fs::path(path).filename() == "slots" && fs::exists(path)) continue;
      same &= kept.put_back(path) || !is_mapped_by_hubs(path);
    }
    return same;
  }

 private:
  static bool is_mapped_by_hubs(const std::string& path) {
    return path.ends_with(".tape") || fs::path(path).filename() == "views";
  }

  // Comparing is cheaper than writing: most pages are as they were.
  class Kept {
   public:
    explicit Kept(const std::string& path) {
      map(path);
      bytes_ = map_.bytes();
      used_ = used(path);
      data_.assign(map_.at<const char>(), used_);
    }
    bool put_back(const std::string& path) {
      struct stat st;
      const bool there = ::stat(path.c_str(), &st) == 0;
      const bool same = there && st.st_ino == inode_ && st.st_dev == device_;
      if (!there) {
        fs::create_directories(fs::path(path).parent_path());
        File::open(path, O_RDWR | O_CREAT);
      }
      if (!there || u64(st.st_size) != bytes_) {
        File file = File::open(path, O_RDWR);
        if (::ftruncate(file.fd(), off_t(bytes_)) != 0) fail_errno("put back the size of", path);
        if (int code = bytes_ == 0 ? 0 : allocate(file.fd(), 0, bytes_)) fail_errno("put back", path, code);
      }
      if (!same) map(path);
      const u64 end = std::max(used_, std::min(used(path), bytes_));
      for (u64 at = 0; at < end; at += kPage) {
        static constexpr char kZeros[kPage] = {};
        const u64 n = std::min(kPage, end - at), kept = at < used_ ? std::min(n, used_ - at) : 0;
        char* to = map_.at<char>(at);
        if (std::memcmp(to, data_.data() + at, kept) != 0) std::memcpy(to, data_.data() + at, kept);
        if (std::memcmp(to + kept, kZeros, n - kept) != 0) std::memset(to + kept, 0, n - kept);
      }
      return same;
    }

   private:
    void map(const std::string& path) {
      File file = File::open(path, O_RDWR);
      struct stat st;
      if (::fstat(file.fd(), &st) != 0) fail_errno("look up", path);
      inode_ = st.st_ino;
      device_ = st.st_dev;
      map_ = st.st_size == 0 ? Mapping() : Mapping::of(file.fd(), size_t(st.st_size), true, path);
    }
    // The arena of the views has room for more than the few chunks that a test uses; nothing is stored beyond those taken.
    u64 used(const std::string& path) const {
      if (fs::path(path).filename() != "views") return map_.bytes();
      const Hot& hot = *map_.at<Hot>(ViewsLayout::kHot);
      return std::min<u64>(map_.bytes(), ViewsLayout::kArena + peek(hot.arena_next) * kChunkBytes);
    }

    Mapping map_;
    ino_t inode_ = 0;
    dev_t device_ = 0;
    u64 bytes_ = 0, used_ = 0;
    std::string data_;
  };

  std::string roots_[2];
  std::map<std::string, Kept> files_;
};

}  // namespace tapehub::test

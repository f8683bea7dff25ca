// The tape itself: segment files, mapped read-only for readers and, for the writer, read-write a second time.
//
// Readers see a contiguous range of addresses (a window), so a view of a million lines is one pointer even when it
// crosses segments. Segments are created whole, allocated and touched before anyone may write to them.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "crc32c.hpp"
#include "directory.hpp"

namespace tapehub {

struct Geometry {
  u32 segment_lines = kSegmentLinesDefault;
  u32 shift = 20;

  static Geometry of(u32 segment_lines) {
    Geometry g;
    g.segment_lines = segment_lines;
    g.shift = u32(__builtin_ctz(segment_lines));
    return g;
  }
  u64 segment_bytes() const { return u64(segment_lines) * kLineBytes; }
  u64 segment_of(u64 line) const { return line >> shift; }
  u64 offset_of(u64 line) const { return line & (segment_lines - 1); }
  u64 first_line(u64 segment) const { return (segment << shift) + kHeaderLines; }
  u64 end_line(u64 segment) const { return (segment + 1) << shift; }
};

// A run of segments at consecutive addresses. Views hold it; it is unmapped with the last of them.
class Window {
 public:
  Window(const Geometry& geometry, u64 first_segment, u32 count)
      : geometry_(geometry), first_(first_segment), mapped_(count),
        space_(Mapping::reserve(geometry.segment_bytes() * count)) {}

  bool covers(u64 segment) const { return segment >= first_ && segment - first_ < mapped_.size(); }
  bool mapped(u64 segment) const { return mapped_[segment - first_].load(std::memory_order_acquire); }
  const unsigned char* line(u64 n) const {
    return space_.at<const unsigned char>((n - (first_ << geometry_.shift)) * kLineBytes);
  }
  bool map(u64 segment, const File& file, const std::string& path) {
    if (!file || file_size(file.fd()) < geometry_.segment_bytes()) return false;
    void* at = space_.at((segment - first_) * geometry_.segment_bytes());
    if (::mmap(at, geometry_.segment_bytes(), PROT_READ, MAP_SHARED | MAP_FIXED, file.fd(), 0) == MAP_FAILED) {
      fail_errno("map", path);
    }
    mapped_[segment - first_].store(true, std::memory_order_release);
    return true;
  }

 private:
  Geometry geometry_;
  u64 first_;
  std::vector<std::atomic<bool>> mapped_;
  Mapping space_;
};

class Log {
 public:
  static constexpr u64 kWindowSegments = 64;  // of address space, at least
  static constexpr u32 kWritable = 4;  // segments that a process can write to at a time

  // The directory is the hub's, and outlives the log.
  Log(const Directory& home, const Geometry& geometry, const u8* hub_id, u64 oldest_segment)
      : home_(&home), geometry_(geometry) {
    std::memcpy(hub_id_, hub_id, sizeof hub_id_);
    rebase(oldest_segment);
  }

  const Geometry& geometry() const { return geometry_; }
  static std::string name_of(u64 segment) {
    char name[32];
    std::snprintf(name, sizeof name, "log/%012llu.tape", static_cast<unsigned long long>(segment));
    return name;
  }
  std::string path_of(u64 segment) const { return home_->path_of(name_of(segment)); }

  // ------------------------------------------------------------ reading

  // Address of a line, or null when its segment was dropped. No system call once the segment is mapped.
  const unsigned char* line(u64 n) {
    Window* window = window_.load(std::memory_order_acquire);
    const u64 segment = geometry_.segment_of(n);
    if (!window->covers(segment) || !window->mapped(segment)) [[unlikely]] {
      window = map(segment);
      if (!window) return nullptr;
    }
    return window->line(n);
  }
  const TickLine* tick(u64 n) { return reinterpret_cast<const TickLine*>(line(n)); }

  // Lines [start, start + lines) at one address; null when any of their segments is gone.
  const unsigned char* view(u64 start, u64 lines, std::shared_ptr<Window>* keep) {
    if (lines == 0) lines = 1;
    const u64 first = geometry_.segment_of(start), last = geometry_.segment_of(start + lines - 1);
    std::lock_guard guard(mutex_);
    auto window = std::find_if(windows_.begin(), windows_.end(),
                               [&](const auto& one) { return one->covers(first) && one->covers(last); });
    if (window == windows_.end()) {  // it begins in one and ends in the next
      auto made = std::make_shared<Window>(geometry_, first, u32(std::max<u64>(kWindowSegments, last - first + 1)));
      window = windows_.insert(windows_.end(), std::move(made));
    }
    for (u64 segment = first; segment <= last; ++segment) {
      if ((*window)->mapped(segment)) continue;
      if (!(*window)->map(segment, find(segment, O_RDONLY), path_of(segment))) return nullptr;
    }
    *keep = *window;
    return (*window)->line(start);
  }

  // Map ahead, so that the first reader of a new segment makes no system call.
  void map_ahead(u64 segment) {
    Window* window = window_.load(std::memory_order_acquire);
    if (!window->covers(segment) || !window->mapped(segment)) map(segment);
  }

  bool exists(u64 segment) const { return home_->exists(name_of(segment)); }
  File find(u64 segment, int flags) const { return home_->find(name_of(segment), flags); }
  bool remove(u64 segment) const { return home_->remove(name_of(segment)); }

  std::vector<u64> segments() const { return segments_in(*home_); }
  static std::vector<u64> segments_in(const Directory& home) {
    std::vector<u64> out;
    for (const std::string& name : home.names_in("log")) {
      if (name.size() == 17 && name.ends_with(".tape")) out.push_back(std::strtoull(name.c_str(), nullptr, 10));
    }
    std::sort(out.begin(), out.end());
    return out;
  }

  // ------------------------------------------------------------ writing

  // Address for a store, or null while this process has not made the segment writable. No system call.
  unsigned char* writable(u64 n) const {
    const u64 segment = geometry_.segment_of(n);
    const Writable& slot = writable_[segment % kWritable];
    if (slot.segment.load(std::memory_order_acquire) != segment + 1) return nullptr;
    return slot.map.at(geometry_.offset_of(n) * kLineBytes);
  }

  // A newer segment keeps its place: whoever asks for an older one lags behind, and another thread may be writing.
  void make_writable(u64 segment, bool touch = true) {
    std::lock_guard guard(mutex_);
    Writable& slot = writable_[segment % kWritable];
    if (slot.segment.load(std::memory_order_acquire) > segment) return;
    const std::string path = path_of(segment);
    const File file = home_->open(name_of(segment), O_RDWR);
    if (file_size(file.fd()) < geometry_.segment_bytes()) {
      fail(Cause::Format, "segment has " + std::to_string(file_size(file.fd())) + " bytes, expected " +
                              std::to_string(geometry_.segment_bytes()) + ": " + path + "; close all and reopen the hub");
    }
    slot.segment.store(0, std::memory_order_release);
    slot.map = Mapping::of(file.fd(), geometry_.segment_bytes(), true, path);
    if (touch) populate(slot.map.at(), geometry_.segment_bytes(), true);
    slot.segment.store(segment + 1, std::memory_order_release);
  }

  // After a sync the kernel write-protects the pages again; take the faults here and not on the publish path.
  void repopulate(u64 line, u64 bytes) {
    std::lock_guard guard(mutex_);  // it stays mapped meanwhile
    unsigned char* at = writable(line);
    if (!at) return;
    const u64 offset = geometry_.offset_of(line) * kLineBytes & ~4095ull;
    const u64 n = std::min(bytes, geometry_.segment_bytes() - offset);
    populate(at - (geometry_.offset_of(line) * kLineBytes - offset), n, true);
  }

  // Create a whole segment: allocated, touched, its header written. Returns false when it was there already.
  bool create(u64 segment, u64 epoch) {
    if (exists(segment)) return false;
    const std::string path = path_of(segment), name = name_of(segment);
    const std::string temporary = name + "." + std::to_string(::getpid()) + ".tmp";
    const File file = home_->open(temporary, O_RDWR | O_CREAT | O_TRUNC);
    if (int code = allocate(file.fd(), 0, geometry_.segment_bytes())) {
      home_->remove(temporary);
      fail_errno("allocate " + std::to_string(geometry_.segment_bytes() >> 20) + " MiB for the next segment", path, code);
    }
    Mapping map = Mapping::of(file.fd(), geometry_.segment_bytes(), true, home_->path_of(temporary));
    populate(map.at(), map.bytes(), true);
    fill_header(*map.at<SegmentHeader>(), segment, epoch);
    crash_point();
    if (!home_->rename(temporary, name)) fail_errno("rename into place", path);
    crash_point();
    return true;
  }

  // Over a damaged one, with nobody attached: the records behind it are sound.
  void write_header(u64 segment, u64 epoch) {
    fill_header(*reinterpret_cast<SegmentHeader*>(writable(segment << geometry_.shift)), segment, epoch);
  }

  // Stable storage for lines [from, to): the written range only.
  void sync(u64 from, u64 to) const {
    for (u64 segment = geometry_.segment_of(from); from < to; ++segment) {
      const u64 end = std::min(to, geometry_.end_line(segment));
      if (const File file = find(segment, O_RDWR)) {  // else it was dropped
        const u64 first = geometry_.offset_of(from) * kLineBytes & ~4095ull;
        const u64 last = (geometry_.offset_of(end - 1) + 1) * kLineBytes;
        // msync reaches only the file's range, and needs a mapping of its own when ours is elsewhere.
        void* at = ::mmap(nullptr, last - first, PROT_READ, MAP_SHARED, file.fd(), off_t(first));
        if (at == MAP_FAILED) fail_errno("map for sync", path_of(segment));
        const int failed = ::msync(at, last - first, MS_SYNC);
        const int code = errno;
        ::munmap(at, last - first);
        if (failed) fail_errno("sync", path_of(segment), code);
      }
      from = end;
    }
  }

 private:
  struct Writable {
    std::atomic<u64> segment{0};
    Mapping map;
  };

  void fill_header(SegmentHeader& header, u64 segment, u64 epoch) const {
    header.magic = kMagic;
    header.format = kFormat;
    header.segment_lines = geometry_.segment_lines;
    std::memcpy(header.hub_id, hub_id_, sizeof hub_id_);
    header.segment = segment;
    header.epoch = epoch;
    header.created_ns = wall_ns();
    header.word = make_word(segment << geometry_.shift, Kind::Segment, kHeaderLines);
    header.crc32c = crc32c(&header, offsetof(SegmentHeader, records_before));
  }

  Window* map(u64 segment) {
    std::lock_guard guard(mutex_);
    for (auto& window : windows_) {
      if (!window->covers(segment)) continue;
      if (!window->mapped(segment) && !window->map(segment, find(segment, O_RDONLY), path_of(segment))) return nullptr;
      return window.get();
    }
    const File file = find(segment, O_RDONLY);
    if (!file) return nullptr;
    Window* window = rebase(segment);
    return window->map(segment, file, path_of(segment)) ? window : nullptr;
  }

  Window* rebase(u64 first_segment) {
    const u64 count = std::max<u64>(kWindowSegments, std::min<u64>(1024, (64ull << 30) / geometry_.segment_bytes()));
    windows_.push_back(std::make_shared<Window>(geometry_, first_segment, u32(count)));
    window_.store(windows_.back().get(), std::memory_order_release);
    return windows_.back().get();
  }

  const Directory* home_;
  Geometry geometry_;
  u8 hub_id_[16];
  std::mutex mutex_;
  std::vector<std::shared_ptr<Window>> windows_;
  std::atomic<Window*> window_{nullptr};
  Writable writable_[kWritable];
};

// What a walk over raw lines finds at line n. `bytes` is where the line is mapped.
enum class Found { Record, Nothing, Damaged };

inline Found examine(const unsigned char* bytes, u64 n, const Geometry& geometry, u64* word_out) {
  const u64 word = peek_acquire(*reinterpret_cast<const Word*>(bytes));
  *word_out = word;
  if (word == 0) return Found::Nothing;
  const u32 lines = word_lines(word);
  if (word_seq(word) != n || geometry.offset_of(n) + lines > geometry.segment_lines) return Found::Damaged;
  if (word_kind(word) == Kind::Segment) {
    auto* header = reinterpret_cast<const SegmentHeader*>(bytes);
    const bool sound = header->magic == kMagic && header->crc32c == crc32c(header, offsetof(SegmentHeader, records_before));
    return sound ? Found::Record : Found::Damaged;
  }
  const u32 crc = peek(*reinterpret_cast<const u32*>(bytes + kCrcOffset));
  return crc == record_crc(bytes, size_t(lines) * kLineBytes) ? Found::Record : Found::Damaged;
}

}  // namespace tapehub

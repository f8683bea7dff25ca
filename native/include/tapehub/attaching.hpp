// Opening a hub: create it, or attach to it, whatever the last process left behind.
#pragma once

#include "recovery.hpp"

namespace tapehub {

// What helps whoever attaches, from a program that cannot make one as well: `connect` has no create.
inline std::string how_to_start(const std::string& directory) {
  return "start one with \"tapehub up --hub " + directory + "\", or make one by DataHub.open(..., create=True)";
}

// ---------------------------------------------------------------- control file

inline void Attachment::create_control() {
  const u32 lines = options_.segment_lines;
  if (lines < kSegmentLinesMin || (lines & (lines - 1)) != 0) {
    fail(Cause::Invalid, "segment_lines is " + std::to_string(lines) + ", expected a power of two of at least " +
                             std::to_string(kSegmentLinesMin));
  }
  control_ = ControlFile{};
  control_.magic = kMagic;
  control_.format = kFormat;
  control_.segment_lines = lines;
  random_bytes(control_.hub_id, sizeof control_.hub_id);
  control_.epoch = 1;
  control_.created_ns = wall_ns();
  control_.price_basis = u32(options_.price_basis);
  control_.sync_mode = u32(options_.sync_mode);
  control_.grace_ns = options_.grace_ns;
  control_.sync_interval_ns = options_.sync_interval_ns;
  control_.retention_bytes = options_.retention_bytes;
  control_.retention_ns = options_.retention_ns;
}

inline void Attachment::save_control() {
  control_.crc32c = crc32c(&control_, offsetof(ControlFile, crc32c));
  home_.write_atomically("control", &control_, sizeof control_);
}

inline void Attachment::load_control() {
  const std::string path = home_.path_of("control");
  const std::string data = home_.read("control");
  if (data.size() >= 12) {
    u64 magic;
    u32 format;
    std::memcpy(&magic, data.data(), 8);
    std::memcpy(&format, data.data() + 8, 4);
    if (magic != kMagic) fail(Cause::Format, "not a tapehub control file: " + path + "; choose another directory");
    if (format != kFormat) {
      fail(Cause::Format, "hub format is " + std::to_string(format) + ", this tapehub reads " + std::to_string(kFormat) +
                              ": " + directory_ + "; install the tapehub that wrote it, or choose another directory");
    }
  }
  if (data.size() != sizeof control_) {
    fail(Cause::Format, "control file has " + std::to_string(data.size()) + " bytes, expected " +
                            std::to_string(sizeof control_) + ": " + path + "; restore it from a backup");
  }
  std::memcpy(&control_, data.data(), sizeof control_);
  if (control_.crc32c != crc32c(&control_, offsetof(ControlFile, crc32c))) {
    fail(Cause::Format, "control file fails its checksum: " + path + "; restore it from a backup");
  }
}

// ---------------------------------------------------------------- attach

inline void Attachment::attach() {
  namespace fs = std::filesystem;
  std::error_code ec;
  if (options_.segments_ahead >= Log::kWritable) {
    fail(Cause::Invalid, "segments_ahead is " + std::to_string(options_.segments_ahead) + ", expected at most " +
                             std::to_string(Log::kWritable - 1));
  }
  if (!fs::exists(directory_ + "/control", ec)) {
    if (!options_.create) {
      fail(Cause::NotRunning, "no hub there: " + directory_ + "; " + how_to_start(directory_));
    }
    const bool foreign = fs::exists(directory_, ec) && !fs::is_empty(directory_, ec) &&
                         !fs::exists(directory_ + "/locks", ec);
    if (foreign) fail(Cause::Format, "directory holds other files and no hub: " + directory_ + "; choose an empty one");
    fs::create_directories(directory_, ec);
    if (ec) fail_errno("create the hub directory", directory_, ec.value());
    restrict_directory(directory_, options_.group);
  }
  const std::string network = network_file_system(directory_);
  if (!network.empty()) {
    fail(Cause::Hub, "hub directory is on " + network + ", expected a local file system: " + directory_ +
                         "; byte locks and shared mappings do not reach across machines, set TAPEHUB_HOME elsewhere");
  }
  if (::access(directory_.c_str(), W_OK) != 0) fail_errno("write to the hub directory", directory_);
  home_ = Directory(directory_);
  locks_ = ProcessLocks::of(home_);
  if (!locks_->lock(kByteOpen, 30 * kSecond)) {
    fail(Cause::Stalled, "process " + std::to_string(locks_->holder(kByteOpen)) + " has been opening the hub for 30 s: " +
                             directory_ + "; resume or kill it");
  }
  try {
    if (!home_.exists("control")) {
      if (!options_.create) fail(Cause::NotRunning, "no hub there: " + directory_ + "; " + how_to_start(directory_));
      create_control();
      home_.make_directory("log");
      rebuild();
    } else {
      load_control();
      refuse_foreign_segments();
      sweep_unfinished_segments();
      if (!views_usable()) {
        rebuild();
      } else if (control_.clean_line != 0) {  // the last one left the views behind: from here on the end is open again
        change_control([](ControlFile& control) { control.clean_line = 0; });
        control_.clean_line = 0;
      }
    }
  } catch (...) {
    give_up();
    throw;
  }
}

// Whoever rebuilt has said in the log what the next ones have to know. From here on they find it.
inline void Attachment::let_others_in() {
  if (!memory_made_.empty()) {
    if (cut_tail_) flush();  // no epoch in the control file that a power loss could take from the log
    save_control();
    memory_made_.clear();
  }
  control_file_ = home_.open("control", O_RDONLY);
  control_id_ = file_id(control_file_);
  locks_->unlock(kByteOpen);
}

inline void Attachment::give_up() noexcept {
  release_slot();
  std::error_code ec;
  if (!memory_made_.empty()) std::filesystem::remove_all(memory_made_, ec);  // no control file names it
  locks_->unlock(kByteOpen);
}

inline void Attachment::take_slot() {
  for (u32 i = 0; i < kSlots; ++i) {
    if (!locks_->try_lock(kByteSlots + i)) continue;
    slot_ = i;
    Slot& slot = slots_.slot(i);
    if (std::optional<Loss> loss = settle_taken(i)) losses_.push_back(*loss);  // its new owner begins at zero
    generation_ = u32(peek(slot.generation) + 1);
    if (generation_ == 0) generation_ = 1;
    put_release(slot.generation, generation_);
    put(slot.pid, u32(::getpid()));
    put(slot.ts_attach, wall_ns());
    put(slot.is_server, 0u);
    char name[kSymbolBytes] = {};
    std::strncpy(name, options_.name.c_str(), kSymbolBytes - 1);
    for (u32 k = 0; k < kSymbolBytes; k += 8) {
      u64 word;
      std::memcpy(&word, name + k, 8);
      put(*reinterpret_cast<Word*>(slot.name + k), word);
    }
    slot_held_ = true;
    return;
  }
  fail(Cause::Hub, "all " + std::to_string(kSlots) + " places of the hub are taken: " + directory_ + "; close some processes");
}

inline bool Attachment::views_usable() {
  const std::string memory = memory_dir();
  const std::string views_path = memory + "/views", slots_path = memory + "/slots";
  u32 alive = 0;
  for (u32 i = 0; i < kSlots; ++i) alive += locks_->holder(kByteSlots + i) != 0;
  bool usable = boot_id() == control_.boot_id;
  File views_file = usable ? File::find(views_path, O_RDWR) : File();
  File slots_file = usable ? File::find(slots_path, O_RDWR) : File();
  usable = views_file && slots_file && file_size(slots_file.fd()) == Slots::kBytes &&
           file_size(views_file.fd()) >= ViewsLayout::kArena;
  if (usable) {
    Views found(views_file.fd(), false, views_path);
    const ViewsHeader& header = found.header();
    usable = header.magic == kMagic && header.format == kFormat && header.ready == 1 && header.bytes_fixed == ViewsLayout::kArena &&
             header.epoch == control_.epoch && std::memcmp(header.hub_id, control_.hub_id, 16) == 0 && at_home(header);
    if (usable) {
      file_id(views_path, &views_id_);
      views_ = std::move(found);
      slots_ = Slots(slots_file.fd(), slots_path);
      hold_memory();
      std::vector<u64> there = Log::segments_in(home_);
      log_.emplace(home_, Geometry::of(control_.segment_lines), control_.hub_id, there.empty() ? 0 : there.front());
      if (alive == 0 && !tail_is_sound()) {
        views_ = Views();
        return false;
      }
      take_slot();
      return true;
    }
  }
  // Someone may still work on views that we cannot see: never start a second lock beside theirs.
  for (i64 waited = 0; alive != 0; waited += 10'000'000) {
    alive = 0;
    pid_t holder = 0;
    for (u32 i = 0; i < kSlots; ++i) {
      if (pid_t pid = locks_->holder(kByteSlots + i)) { ++alive; holder = pid; }
    }
    if (alive != 0 && waited >= 3 * kSecond) {
      fail(Cause::Stalled, "process " + std::to_string(holder) + " is attached to views of this hub that are not at " +
                               memory + " any more: " + directory_ + "; close or kill it, or share that directory with it");
    }
    if (alive != 0) sleep_ns(10'000'000);
  }
  return false;
}

// A whole, valid segment under another hub's name was put here by somebody: its records are not this hub's.
inline void Attachment::refuse_foreign_segments() {
  for (u64 segment : Log::segments_in(home_)) {
    SegmentHeader header{};
    const std::string path = home_.path_of(Log::name_of(segment));
    const File file = home_.find(Log::name_of(segment), O_RDONLY);
    if (!file || ::read(file.fd(), &header, sizeof header) != ssize_t(sizeof header)) continue;  // recovery deals with it
    const bool sound = header.magic == kMagic && header.crc32c == crc32c(&header, offsetof(SegmentHeader, records_before));
    if (sound && std::memcmp(header.hub_id, control_.hub_id, 16) != 0) {
      fail(Cause::Format, "segment belongs to another hub: " + path + "; move it away, or restore this hub's own");
    }
  }
}

// Left by a process that was killed while it made them. Whoever makes one holds kByteExtend.
inline void Attachment::sweep_unfinished_segments() {
  if (!locks_->try_lock(kByteExtend)) return;
  for (const std::string& name : home_.names_in("log")) {
    if (name.ends_with(".tmp")) home_.remove("log/" + name);
  }
  locks_->unlock(kByteExtend);
}

// With nobody attached: do the last records still pass their checksums, and are all segments whole?
inline bool Attachment::tail_is_sound() {
  const u64 head = peek(hot().head);
  if (head <= log_->geometry().first_line(0)) return true;
  const std::vector<u64> segments = unbroken(log_->segments(), log_->geometry().segment_of(head));
  return !segments.empty() && log_->geometry().first_line(segments.front()) <= peek(hot().oldest_line) && sound_up_to(head);
}

inline bool Attachment::sound_up_to(u64 head) {
  const Geometry& geometry = log_->geometry();
  const u64 segment = geometry.segment_of(head - 1);
  u64 line = geometry.first_line(segment);
  if (head < line) return false;
  const u64 careful = head > line + kTailLines ? head - kTailLines : line;
  if (!log_->line(line)) return false;  // missing, or shorter than a segment
  while (line < head) {
    const unsigned char* bytes = log_->line(line);
    u64 word = peek_acquire(*reinterpret_cast<const Word*>(bytes));
    if (word_seq(word) != line || word == 0) return false;
    if (line >= careful && examine(bytes, line, geometry, &word) != Found::Record) return false;
    line += word_lines(word);
  }
  return line == head;
}

// A segment that was cut short is made whole again, with zeros; what they replace is gone.
inline bool Attachment::restore_segment_size(u64 segment) {
  const std::string path = log_->path_of(segment);
  const File file = home_.open(Log::name_of(segment), O_RDWR);
  const u64 size = file_size(file.fd()), expected = log_->geometry().segment_bytes();
  if (size == expected) return false;
  if (size > expected) {
    fail(Cause::Format, "segment has " + std::to_string(size) + " bytes, expected " + std::to_string(expected) + ": " + path +
                            "; it is not of this hub, move it away");
  }
  if (int code = allocate(file.fd(), 0, expected)) fail_errno("restore the size of", path, code);
  return true;
}

// Of earlier incarnations, also of one that was killed while it was built. Nobody is attached to them.
inline void Attachment::remove_left_over_memory(const std::string& root) {
  namespace fs = std::filesystem;
  std::error_code ec;
  std::vector<std::string> found;
  for (auto& entry : fs::directory_iterator(root, ec)) {
    if (entry.path().filename().string().starts_with("tapehub-")) found.push_back(entry.path().string());
  }
  if (control_.memory_dir[0]) found.push_back(memory_dir());
  for (const std::string& path : found) {
    File file = File::try_open(path + "/views", O_RDONLY);
    if (!file || file_size(file.fd()) < sizeof(ViewsHeader)) continue;
    const Mapping map = Mapping::of(file.fd(), sizeof(ViewsHeader), false, path);
    const ViewsHeader& header = *map.at<ViewsHeader>();
    const bool ours = header.magic == kMagic && std::memcmp(header.hub_id, control_.hub_id, 16) == 0 && at_home(header);
    if (ours) fs::remove_all(path, ec);
  }
}

// Whoever has memory files mapped holds them, by a lock that knows nothing of paths. A forked child holds them too.
inline void Attachment::hold_memory() {
  memory_held_ = File::open(memory_dir() + "/hub", O_RDONLY);
  if (::flock(memory_held_.fd(), LOCK_SH) != 0) fail_errno("lock", memory_dir() + "/hub");
}
inline bool Attachment::in_use(const File& held) { return held && ::flock(held.fd(), LOCK_EX | LOCK_NB) != 0; }

// Memory files of hubs that are gone, left by processes that were killed.
inline void Attachment::sweep_orphans(const std::string& root) {
  namespace fs = std::filesystem;
  const std::string prefix = "tapehub-" + std::to_string(::getuid()) + "-";
  std::error_code ec;
  for (auto& entry : fs::directory_iterator(root, ec)) {
    const std::string path = entry.path().string();
    if (!entry.path().filename().string().starts_with(prefix)) continue;
    struct stat st;
    if (::stat(path.c_str(), &st) != 0 || wall_ns() / kSecond - st.st_mtim.tv_sec < 60) continue;  // maybe being made
    const std::string hub = read_small_file(path + "/hub");
    if (in_use(File::try_open(path + "/hub", O_RDONLY))) continue;  // its hub may have been moved, or be a container's
    const std::string data = read_small_file(hub + "/control");
    ControlFile control{};
    if (data.size() == sizeof control) std::memcpy(&control, data.data(), sizeof control);
    if (!hub.empty() && path == control.memory_dir) continue;
    fs::remove_all(path, ec);
  }
}

}  // namespace tapehub

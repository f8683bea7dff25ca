// Opening a hub: create it, attach to it, or rebuild its views from checkpoint and log.
#pragma once

#include "attachment.hpp"

namespace tapehub {

// Walks the log from a line and applies what is there. Called by whoever owns the writer lock, or with nobody attached.
struct Recovery {
  Attachment& hub;
  u64 line;
  u64 records = 0;

  // Apply every whole record from `line` on; stop at the first that is not.
  void replay() {
    const Geometry& geometry = hub.log().geometry();
    Applier& applier = hub.applier();
    for (;;) {
      ensure_room();
      applier.begin();
      u64 chunk = 0, last = 0;
      bool stop = false;
      while (chunk < kBatchRecords && applier.arena_has_room(chunk + 2)) {
        unsigned char* bytes = at(line);
        u64 word;
        if (bytes) finish_tick(bytes);
        if (!bytes || examine(bytes, line, geometry, &word) != Found::Record) {
          stop = true;
          break;
        }
        const Kind kind = word_kind(word);
        if (kind == Kind::Tick) {
          const TickLine& tick = *reinterpret_cast<const TickLine*>(bytes);
          const u16 channel = known_channel(tick.instrument, tick.source);
          if (channel != kNone16 && applier.applied_seq(channel) < line) {
            if (applier.is_late(channel, tick.ts_event)) {
              if (chunk != 0) break;  // late ticks are chunks of their own, as when they were published
              applier.late_tick(channel, line, tick);
              last = line++;
              ++chunk;
              break;
            }
            applier.tick(channel, line, tick);
          } else {
            applier.skip_tick(tick.ts_event);
          }
          last = line++;
          ++chunk;
          continue;
        }
        const bool alone = kind != Kind::Pad && kind != Kind::Segment;
        if (alone && chunk != 0) break;
        if (kind == Kind::Segment && geometry.segment_of(line) > 0) {
          if (unsigned char* header = hub.log().writable(line)) {
            put(reinterpret_cast<SegmentHeader*>(header)->records_before, applier.hub().records + chunk);
          }
        }
        applier.record(bytes);
        last = line;
        line += word_lines(word);
        if (alone) {
          ++chunk;
          break;
        }
      }
      if (last != 0 || chunk != 0) applier.end(std::max(last, applier.hub().head - 1), line, chunk);
      records += chunk;
      if (stop) return;
    }
  }

  // What a dead writer left beyond the end must not look like a record later; it is kept in a file for whoever wants
  // to look. Returns true when a committed record was among it.
  bool clean_beyond(u64 lines_max, const std::string& keep_in = {}) {
    const Geometry& geometry = hub.log().geometry();
    bool damaged = false;
    File keep;
    const u64 end = std::min(line + lines_max, geometry.end_line(geometry.segment_of(line)));
    for (u64 n = line; n < end; ++n) {
      unsigned char* bytes = hub.log().writable(n);
      auto* words = reinterpret_cast<Word*>(bytes);
      u64 any = 0;
      for (u32 i = 0; i < 8; ++i) any |= peek(words[i]);
      if (any == 0) continue;
      const u64 word = peek(words[0]);
      // Announced candles are committed before the record that caused them: without it they were never acknowledged.
      const bool announced = n != line && word_kind(word) == Kind::Candle;
      if (word != 0 && (n == line || word_seq(word) == n) && !announced) damaged = true;
      if (!keep_in.empty()) {
        if (!keep) keep = File::open(keep_in, O_WRONLY | O_CREAT | O_APPEND);
        if (::write(keep.fd(), bytes, kLineBytes) != ssize_t(kLineBytes)) fail_errno("write", keep_in);
      }
      for (u32 i = 0; i < 8; ++i) put(words[i], 0);
    }
    return damaged;
  }

 private:
  u16 known_channel(u16 instrument, u8 source) const {
    return instrument < kInstrumentsMax && source < kSourcesMax ? hub.applier().channel_of(instrument, source) : kNone16;
  }
  // A tick whose word alone is missing: its writer died before the last store, or, where the line's number is a power of
  // two, one flipped bit took the word away. The checksum covers the word, so the record is known to be whole and is
  // committed. Not so a late tick: its revisions may be missing.
  void finish_tick(unsigned char* bytes) {
    if (peek(*reinterpret_cast<const Word*>(bytes)) != 0) return;
    TickLine tick;
    read_words(tick, *reinterpret_cast<const TickLine*>(bytes));
    tick.word = make_word(line, Kind::Tick, 1);
    if (tick.crc32c != record_crc(&tick, sizeof tick)) return;
    const u16 channel = known_channel(tick.instrument, tick.source);
    if (channel == kNone16 || hub.applier().is_late(channel, tick.ts_event)) return;
    put_release(*reinterpret_cast<Word*>(bytes), tick.word);
  }
  void ensure_room() {
    if (!hub.applier().arena_has_room(kBatchRecords)) hub.grow_arena(Applier::kChunksPerRecord * kBatchRecords);
  }
  unsigned char* at(u64 n) {
    const u64 segment = hub.log().geometry().segment_of(n);
    if (!hub.log().writable(n)) {
      if (!hub.log().exists(segment)) return nullptr;
      hub.log().make_writable(segment, false);
    }
    return hub.log().writable(n);
  }
};

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
}

inline void Attachment::save_control() {
  control_.crc32c = crc32c(&control_, offsetof(ControlFile, crc32c));
  write_file_atomically(directory_ + "/control", &control_, sizeof control_);
}

inline void Attachment::load_control() {
  const std::string path = directory_ + "/control";
  const std::string data = read_small_file(path);
  if (data.size() >= 12) {
    u64 magic;
    u32 format;
    std::memcpy(&magic, data.data(), 8);
    std::memcpy(&format, data.data() + 8, 4);
    if (magic != kMagic) fail(Cause::Format, "not a tapehub control file: " + path + "; choose another directory");
    if (format != kFormat) {
      fail(Cause::Format, "hub format is " + std::to_string(format) + ", this tapehub reads " + std::to_string(kFormat) +
                              ": " + directory_ + "; run \"tapehub migrate\" of the newer version");
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
  if (!fs::exists(directory_ + "/control", ec)) {
    if (!options_.create) {
      fail(Cause::NotRunning, "no hub there: " + directory_ + "; start one with \"tapehub serve\" or pass create=True");
    }
    const bool foreign = fs::exists(directory_, ec) && !fs::is_empty(directory_, ec) &&
                         !fs::exists(directory_ + "/locks", ec);
    if (foreign) fail(Cause::Format, "directory holds other files and no hub: " + directory_ + "; choose an empty one");
    fs::create_directories(directory_, ec);
    if (ec) fail_errno("create the hub directory", directory_, ec.value());
    ::chmod(directory_.c_str(), 0700);
  }
  const std::string network = network_file_system(directory_);
  if (!network.empty()) {
    fail(Cause::Hub, "hub directory is on " + network + ", expected a local file system: " + directory_ +
                         "; byte locks and shared mappings do not reach across machines, set TAPEHUB_HOME elsewhere");
  }
  if (::access(directory_.c_str(), W_OK) != 0) fail_errno("write to the hub directory", directory_);
  locks_ = ProcessLocks::of(directory_ + "/locks");
  if (!locks_->lock(kByteOpen, 30 * kSecond)) {
    fail(Cause::Stalled, "process " + std::to_string(locks_->holder(kByteOpen)) + " has been opening the hub for 30 s: " +
                             directory_ + "; resume or kill it");
  }
  try {
    if (!fs::exists(directory_ + "/control", ec)) {
      if (!options_.create) fail(Cause::NotRunning, "no hub there: " + directory_ + "; start one with \"tapehub serve\"");
      create_control();
      fs::create_directories(directory_ + "/log", ec);
      if (ec) fail_errno("create the log directory", directory_ + "/log", ec.value());
      ::chmod((directory_ + "/log").c_str(), 0700);
      rebuild();
    } else {
      load_control();
      refuse_foreign_segments();
      sweep_unfinished_segments();
      if (!views_usable()) rebuild();
    }
    if (!file_id(directory_ + "/control", &control_id_)) fail_errno("look up", directory_ + "/control");
  } catch (...) {
    release_slot();
    if (!memory_made_.empty()) std::filesystem::remove_all(memory_made_, ec);  // no control file names it
    locks_->unlock(kByteOpen);
    throw;
  }
  locks_->unlock(kByteOpen);
}

// Every owner of a slot begins with a balanced account: what the one before it left in flight is lost for good, and
// what it published without having received it is nothing the next one can owe.
inline void settle_accounts(SlotsHeader& header, Slot& slot) {
  const i64 known = i64(peek(slot.published) - peek(slot.others) + peek(slot.refused) + peek(slot.duplicates) +
                        peek(slot.quarantined));
  const i64 owed = i64(peek(slot.received)) - known;
  if (owed > 0) {
    put(slot.received, peek(slot.received) - u64(owed));
    put(header.lost, peek(header.lost) + u64(owed));
  } else if (owed < 0) {
    put(slot.others, peek(slot.others) + u64(-owed));
  }
}

inline void Attachment::take_slot() {
  for (u32 i = 0; i < kSlots; ++i) {
    if (!locks_->try_lock(kByteSlots + i)) continue;
    slot_ = i;
    Slot& slot = slots_.slot(i);
    generation_ = u32(peek(slot.generation) + 1);
    if (generation_ == 0) generation_ = 1;
    put_release(slot.generation, generation_);
    put(slot.pid, u32(::getpid()));
    put(slot.ts_attach, wall_ns());
    put(slot.is_server, 0u);
    settle_accounts(slots_.header(), slot);
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
  File views_file = usable ? File::try_open(views_path, O_RDWR) : File();
  File slots_file = usable ? File::try_open(slots_path, O_RDWR) : File();
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
      std::vector<u64> there = Log(directory_ + "/log", Geometry::of(control_.segment_lines), control_.hub_id, 0).segments();
      log_.emplace(directory_ + "/log", Geometry::of(control_.segment_lines), control_.hub_id, there.empty() ? 0 : there.front());
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
  const Geometry geometry = Geometry::of(control_.segment_lines);
  Log log(directory_ + "/log", geometry, control_.hub_id, 0);
  for (u64 segment : log.segments()) {
    SegmentHeader header{};
    const std::string path = log.path_of(segment);
    File file = File::try_open(path, O_RDONLY);
    if (!file || ::read(file.fd(), &header, sizeof header) != ssize_t(sizeof header)) continue;  // recovery deals with it
    const bool sound = header.magic == kMagic && header.crc32c == crc32c(&header, offsetof(SegmentHeader, records_before));
    if (sound && std::memcmp(header.hub_id, control_.hub_id, 16) != 0) {
      fail(Cause::Format, "segment belongs to another hub: " + path + "; move it away, or restore this hub's own");
    }
  }
}

// Left by a process that was killed while it made them. Whoever makes one holds kByteExtend.
inline void Attachment::sweep_unfinished_segments() {
  namespace fs = std::filesystem;
  if (!locks_->try_lock(kByteExtend)) return;
  std::vector<fs::path> found;
  std::error_code ec;
  for (auto& entry : fs::directory_iterator(directory_ + "/log", ec)) {
    if (entry.path().extension() == ".tmp") found.push_back(entry.path());
  }
  for (const fs::path& path : found) fs::remove(path, ec);
  locks_->unlock(kByteExtend);
}

// With nobody attached: do the last records still pass their checksums, and are all segments whole?
inline bool Attachment::tail_is_sound() {
  const u64 head = peek(hot().head);
  return head <= log_->geometry().first_line(0) || sound_up_to(head);
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
  File file = File::open(path, O_RDWR);
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
    const std::string data = read_small_file(hub + "/control");
    ControlFile control{};
    if (data.size() == sizeof control) std::memcpy(&control, data.data(), sizeof control);
    if (!hub.empty() && path == control.memory_dir) continue;
    fs::remove_all(path, ec);
  }
}

inline void Attachment::rebuild() {
  namespace fs = std::filesystem;
  std::error_code ec;
  const bool fresh = !fs::exists(directory_ + "/control", ec);

  // A memory directory of this hub's own, so that two incarnations never meet.
  std::string root = options_.memory_root;
  if (root.empty()) root = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : directory_;
  remove_left_over_memory(root);
  char id[64];
  std::snprintf(id, sizeof id, "/tapehub-%u-%02x%02x%02x%02x%02x%02x-%llx", unsigned(::getuid()), control_.hub_id[0],
                control_.hub_id[1], control_.hub_id[2], control_.hub_id[3], control_.hub_id[4], control_.hub_id[5],
                static_cast<unsigned long long>(wall_ns()));
  const std::string memory = root + id;
  sweep_orphans(root);
  if (memory.size() >= sizeof control_.memory_dir) fail(Cause::Invalid, "path of the memory directory is too long: " + memory);
  fs::create_directories(memory, ec);
  if (ec) fail_errno("create the memory directory", memory, ec.value());
  memory_made_ = memory;
  ::chmod(memory.c_str(), 0700);
  std::memset(control_.memory_dir, 0, sizeof control_.memory_dir);
  std::memcpy(control_.memory_dir, memory.data(), memory.size());
  std::memset(control_.boot_id, 0, sizeof control_.boot_id);
  const std::string boot = boot_id();
  std::memcpy(control_.boot_id, boot.data(), boot.size());
  { File origin = File::open(memory + "/hub", O_WRONLY | O_CREAT | O_TRUNC);
    if (::write(origin.fd(), directory_.data(), directory_.size()) < 0) fail_errno("write", memory + "/hub"); }

  const std::string views_path = memory + "/views", slots_path = memory + "/slots";
  File slots_file = File::open(slots_path, O_RDWR | O_CREAT | O_TRUNC);
  if (int code = allocate(slots_file.fd(), 0, Slots::kBytes)) fail_errno("allocate", slots_path, code);
  slots_ = Slots(slots_file.fd(), slots_path);
  File views_file = File::open(views_path, O_RDWR | O_CREAT | O_TRUNC);
  if (int code = allocate(views_file.fd(), 0, ViewsLayout::kArena)) fail_errno("allocate", views_path, code);
  views_ = Views(views_file.fd(), false, views_path);
  file_id(views_path, &views_id_);
  const Geometry geometry = Geometry::of(control_.segment_lines);
  std::vector<u64> segments = Log(directory_ + "/log", geometry, control_.hub_id, 0).segments();
  log_.emplace(directory_ + "/log", geometry, control_.hub_id, segments.empty() ? 0 : segments.front());
  arena_touched_ = 0;
  writer_views_ = Views();
  applier_.reset();
  Views writable_views(views_file.fd(), true, views_path);
  Hot& hot = writable_views.hot();
  ViewsHeader& header = writable_views.header();
  header.magic = kMagic;
  header.format = kFormat;
  std::memcpy(header.hub_id, control_.hub_id, 16);
  std::memcpy(header.boot_id, control_.boot_id, sizeof header.boot_id);
  header.bytes_fixed = ViewsLayout::kArena;
  FileId home;
  if (!file_id(directory_ + "/locks", &home)) fail_errno("look up", directory_ + "/locks");
  header.home_device = u64(home.device);
  header.home_inode = u64(home.inode);
  for (u32 i = 0; i < kInstrumentsMax; ++i) writable_views.instrument(i).primary_channel = kNone16;
  hot.rare[1].seq = kUnset;
  hot.block[0].ts_event_max = kTimeNever;
  hot.block[0].watermark_ns = kTimeNever;

  u64 line = segments.empty() ? kHeaderLines : geometry.first_line(segments.front());
  u64 known_head = 0;  // some process was that far once
  hot.block[0].head = line;
  hot.head = line;
  if (!segments.empty()) {
    if (const unsigned char* first = log_->line(segments.front() << geometry.shift)) {
      hot.block[0].records = peek(reinterpret_cast<const SegmentHeader*>(first)->records_before);
    }
  }
  for (const char* suffix : {"", ".old"}) {
    if (fresh || hot.checkpoint_line != 0) break;
    const std::string path = checkpoint_path() + suffix;
    std::string data = read_small_file(path);
    if (data.empty()) continue;
    try {
      CheckpointReader checkpoint(std::move(data), control_.hub_id, path);
      const u64 from = checkpoint.head().hub.block.head;
      known_head = std::max(known_head, from);
      if (segments.empty() || !sound_up_to(from)) continue;
      const u64 chunks = checkpoint.chunks_needed();
      if (int code = allocate(views_file.fd(), ViewsLayout::kArena, chunks * kChunkBytes)) {
        fail_errno("allocate", views_path, code);
      }
      hot.arena_ready = chunks;
      checkpoint.restore(writable_views);
      line = from;
      hot.checkpoint_line = from;
    } catch (const Error& error) {
      if (error.cause != Cause::Format) throw;  // a damaged checkpoint only costs time: the log has everything
    }
  }
  if (!segments.empty() && segments.front() > 0 && hot.checkpoint_line == 0) {
    fs::remove_all(memory, ec);
    fail(Cause::Format, "no sound checkpoint, and the log begins at segment " + std::to_string(segments.front()) +
                            ", expected 0: what its instruments are called is lost: " + directory_ +
                            "; restore the file \"checkpoint\" from a backup");
  }
  take_slot();
  writer_views_ = std::move(writable_views);
  applier_.emplace(writer_views_, PriceBasis(control_.price_basis), control_.grace_ns);
  grow_arena(Applier::kChunksPerRecord * kBatchRecords);

  bool lost_records = false;
  for (u64 segment : segments) lost_records |= restore_segment_size(segment);
  Recovery recovery{*this, line};
  recovery.replay();
  replayed_ = recovery.records;
  line = recovery.line;
  const u64 segment_at_end = geometry.segment_of(line);
  for (u64 segment : segments) {
    if (segment < segment_at_end) continue;
    log_->make_writable(segment, false);
    const u64 from = segment == segment_at_end ? line : geometry.first_line(segment);
    Recovery beyond{*this, from};
    lost_records |= beyond.clean_beyond(geometry.segment_lines, cut_path(from));
    u64 word;
    const u64 header_line = segment << geometry.shift;
    if (examine(log_->writable(header_line), header_line, geometry, &word) == Found::Record) continue;
    if (from > geometry.first_line(segment)) {
      log_->write_header(segment, control_.epoch);  // there are records behind it
      lost_records = true;
    } else {
      ::unlink(log_->path_of(segment).c_str());  // made again when it is needed
    }
  }
  segments = log_->segments();
  log_.emplace(directory_ + "/log", geometry, control_.hub_id, segments.empty() ? segment_at_end : segments.front());
  if (line < known_head) lost_records = true;
  Hot& live = writer_views_.hot();
  put(live.oldest_line, segments.empty() ? line : geometry.first_line(segments.front()));
  put(live.synced_line, std::max(peek(live.checkpoint_line), peek(live.oldest_line)));
  put(live.ready_line, segments.empty() ? 0 : geometry.end_line(segments.back()));
  if (lost_records) {
    ++control_.epoch;
    cut_tail_ = true;
  }
  writer_views_.header().epoch = control_.epoch;
  put_release(writer_views_.header().ready, 1);
  save_control();
  memory_made_.clear();
}

}  // namespace tapehub

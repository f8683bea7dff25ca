// Rebuilding the views from checkpoint and log, and repairing the end of the log.
#pragma once

#include "attachment.hpp"

namespace tapehub {

// Walks the log from a line and applies what is there. Called by whoever owns the writer lock, or with nobody attached.
struct Recovery {
  Attachment& hub;
  u64 line;
  u64 records = 0;
  u64 epoch = 0;  // the newest that a record told of

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
        if (kind == Kind::Epoch) epoch = std::max(epoch, peek(reinterpret_cast<const RecordHead*>(bytes)->fixed[1]));
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
        if (!keep) keep = hub.home().open(keep_in, O_WRONLY | O_CREAT | O_APPEND);
        write_whole(keep, bytes, kLineBytes, hub.home().path_of(keep_in));
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
    if (!hub.applier().arena_has_room(kBatchRecords)) hub.grow_arena(hub.applier().chunks_for(kBatchRecords));
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

// What the cursors of durable streams say; nothing of one that cannot be read.
inline std::vector<std::optional<std::string>> Attachment::cursors() const {
  std::vector<std::optional<std::string>> out;
  for (const std::string& name : home_.names_in("cursors")) {
    if (name.starts_with(".")) continue;  // being written, or left by a process that was killed as it wrote
    try {
      out.push_back(home_.read("cursors/" + name));
    } catch (const Error&) {
      out.emplace_back();
    }
  }
  return out;
}

// How far durable streams had committed: some reader was that far once. A cursor is "position epoch hub_id"; those of
// older versions are a position alone, and count in the first epoch: later it would be beyond each end that comes until the
// log has grown. One of another epoch, or of another hub, counts other sequences.
inline u64 Attachment::committed_line() {
  char id[2 * sizeof control_.hub_id + 1];
  for (u32 i = 0; i < sizeof control_.hub_id; ++i) std::snprintf(id + 2 * i, 3, "%02x", control_.hub_id[i]);
  u64 found = 0;
  for (const std::optional<std::string>& text : cursors()) {
    if (!text) continue;  // another user's: it says nothing to us
    unsigned long long position = 0, epoch = 0;
    char of[2 * sizeof control_.hub_id + 1] = {};
    const int fields = std::sscanf(text->c_str(), "%llu %llu %32s", &position, &epoch, of);
    const bool ours = (fields == 1 && control_.epoch == 1) || (fields == 3 && epoch == control_.epoch && std::strcmp(of, id) == 0);
    if (ours) found = std::max<u64>(found, position);
  }
  return found;
}

// ---------------------------------------------------------------- rebuild

// A memory directory of this hub's own, so that two incarnations never meet.
inline void Attachment::make_memory_directory() {
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
  std::error_code ec;
  std::filesystem::create_directories(memory, ec);
  if (ec) fail_errno("create the memory directory", memory, ec.value());
  memory_made_ = memory;
  restrict_directory(memory, shared_group(directory_));
  std::memset(control_.memory_dir, 0, sizeof control_.memory_dir);
  std::memcpy(control_.memory_dir, memory.data(), memory.size());
  const File origin = File::open(memory + "/hub", O_WRONLY | O_CREAT | O_TRUNC);
  write_whole(origin, directory_.data(), directory_.size(), memory + "/hub");
  hold_memory();
}

// Slots and views as they are before anything is published. Returns the views to write to.
inline Views Attachment::make_memory_files(const Accounts& before) {
  const std::string views_path = memory_dir() + "/views", slots_path = memory_dir() + "/slots";
  const File slots_file = File::open(slots_path, O_RDWR | O_CREAT | O_TRUNC);
  if (int code = allocate(slots_file.fd(), 0, Slots::kBytes)) fail_errno("allocate", slots_path, code);
  slots_ = Slots(slots_file.fd(), slots_path);
  const File views_file = File::open(views_path, O_RDWR | O_CREAT | O_TRUNC);
  if (int code = allocate(views_file.fd(), 0, ViewsLayout::kArena)) fail_errno("allocate", views_path, code);
  views_ = Views(views_file.fd(), false, views_path);
  views_id_ = file_id(views_file);
  Views made(views_file.fd(), true, views_path);
  ViewsHeader& header = made.header();
  header.magic = kMagic;
  header.format = kFormat;
  std::memcpy(header.hub_id, control_.hub_id, 16);
  std::memcpy(header.boot_id, control_.boot_id, sizeof header.boot_id);
  header.bytes_fixed = ViewsLayout::kArena;
  FileId locks;
  if (!home_.id("locks", &locks)) fail_errno("look up", home_.path_of("locks"));
  header.home_device = u64(locks.device);
  header.home_inode = u64(locks.inode);
  write_words(slots_.header().settled, before);  // only now: what a death leaves behind says whose it is
  for (u32 i = 0; i < kInstrumentsMax; ++i) made.instrument(i).primary_channel = kNone16;
  Hot& hot = made.hot();
  hot.rare[1].seq = kUnset;
  hot.block[0].ts_event_max = kTimeNever;
  hot.block[0].watermark_ns = kTimeNever;
  return made;
}

// Without those before one that is missing below a segment: nobody can walk on from them, and they count as dropped.
inline std::vector<u64> Attachment::unbroken(std::vector<u64> segments, u64 below) {
  for (size_t i = segments.size(); i-- > 1;) {
    if (segments[i] > below || segments[i] == segments[i - 1] + 1) continue;
    segments.erase(segments.begin(), segments.begin() + std::ptrdiff_t(i));
    break;
  }
  return segments;
}

// The newest sound checkpoint into empty views: hot.checkpoint_line says from where on the log is to be replayed. Where
// there is none, and no line that all begins with, nobody knows what the instruments are called.
inline void Attachment::restore_checkpoint(const Views& into, const std::vector<u64>& segments, u64* known_head) {
  Hot& hot = into.hot();
  for (const char* name : {kCheckpoint, kCheckpointBefore}) {
    if (hot.checkpoint_line != 0) break;
    std::string data = home_.read(name);
    if (data.empty()) continue;
    try {
      CheckpointReader checkpoint(std::move(data), control_.hub_id, home_.path_of(name));
      const u64 from = checkpoint.head().hub.block.head;
      control_.epoch = std::max(control_.epoch, checkpoint.head().epoch);
      *known_head = std::max(*known_head, from);
      if (segments.empty() || !sound_up_to(from)) continue;
      const u64 chunks = checkpoint.chunks_needed();
      const std::string path = memory_dir() + "/views";
      const int code = chunks ? allocate(File::open(path, O_RDWR).fd(), ViewsLayout::kArena, chunks * kChunkBytes) : 0;
      if (code != 0) fail_errno("allocate", path, code);
      hot.arena_ready = chunks;
      checkpoint.restore(into);
      hot.checkpoint_line = from;
    } catch (const Error& error) {
      if (error.cause != Cause::Format) throw;  // a damaged checkpoint only costs time: the log has everything
    }
  }
  if (!segments.empty() && segments.front() > 0 && hot.checkpoint_line == 0) {
    fail(Cause::Format, "no sound checkpoint, and the log begins at segment " + std::to_string(segments.front()) +
                            ", expected 0: what its instruments are called is lost: " + directory_ +
                            "; restore the file \"checkpoint\" from a backup");
  }
}

// Nothing behind a line may look like a record later. Returns true when something was there that could have been one.
inline bool Attachment::clean_tail(u64 line, const std::vector<u64>& segments) {
  const Geometry& geometry = log_->geometry();
  bool lost_records = false;
  for (u64 segment : segments) {
    if (segment < geometry.segment_of(line)) continue;
    log_->make_writable(segment, false);
    const u64 from = segment == geometry.segment_of(line) ? line : geometry.first_line(segment);
    Recovery beyond{*this, from};
    lost_records |= beyond.clean_beyond(geometry.segment_lines, cut_name(from));
    u64 word;
    const u64 header_line = segment << geometry.shift;
    if (examine(log_->writable(header_line), header_line, geometry, &word) == Found::Record) continue;
    if (from > geometry.first_line(segment)) {
      log_->write_header(segment, control_.epoch);  // there are records behind it
      lost_records = true;
    } else {
      log_->remove(segment);  // made again when it is needed
    }
  }
  return lost_records;
}

// The views anew, from checkpoint and log, with nobody attached. The control file is written by let_others_in().
inline void Attachment::rebuild() {
  const bool fresh = !home_.exists("control");
  losses_.clear();
  const Accounts before = fresh ? Accounts{} : accounts_before();
  make_memory_directory();
  const std::string boot = boot_id();
  rebooted_ = !fresh && boot != control_.boot_id;
  std::memset(control_.boot_id, 0, sizeof control_.boot_id);
  std::memcpy(control_.boot_id, boot.data(), boot.size());
  u64 clean_line = std::exchange(control_.clean_line, 0);  // to be set again by the last one that leaves
  u64 known_head = clean_line;                             // some process was that far once

  arena_touched_ = 0;
  writer_views_ = Views();
  applier_.reset();
  Views made = make_memory_files(before);
  const Geometry geometry = Geometry::of(control_.segment_lines);
  std::vector<u64> segments = Log::segments_in(home_);
  const auto open_log = [&](u64 first) { log_.emplace(home_, geometry, control_.hub_id, first); };
  open_log(segments.empty() ? 0 : segments.front());
  u64 line = segments.empty() ? kHeaderLines : geometry.first_line(segments.front());
  made.hot().block[0].head = line;
  made.hot().head = line;
  if (!segments.empty()) {
    if (const unsigned char* first = log_->line(segments.front() << geometry.shift)) {
      made.hot().block[0].records = peek(reinterpret_cast<const SegmentHeader*>(first)->records_before);
    }
  }
  const u64 told = control_.epoch;
  for (u64 segment : segments) {
    const unsigned char* bytes = log_->line(segment << geometry.shift);
    u64 word;
    if (!bytes || examine(bytes, segment << geometry.shift, geometry, &word) != Found::Record) continue;
    control_.epoch = std::max(control_.epoch, reinterpret_cast<const SegmentHeader*>(bytes)->epoch);
  }
  restore_checkpoint(made, segments, &known_head);
  if (control_.epoch != told) clean_line = 0;  // the control file is of an earlier time: it was restored from a backup
  known_head = std::max(known_head, committed_line());
  take_slot();
  writer_views_ = std::move(made);
  applier_.emplace(writer_views_, PriceBasis(control_.price_basis), control_.grace_ns);
  grow_arena(applier_->chunks_for(kBatchRecords));

  bool lost_records = false;
  for (u64 segment : segments) lost_records |= restore_segment_size(segment);
  Hot& hot = writer_views_.hot();
  Recovery recovery{*this, std::max(line, peek(hot.checkpoint_line))};
  recovery.replay();
  replayed_ = recovery.records;
  control_.epoch = std::max(control_.epoch, recovery.epoch);  // who began it died before the control file had it
  line = recovery.line;
  lost_records |= clean_tail(line, segments);
  segments = unbroken(log_->segments(), geometry.segment_of(line));
  open_log(segments.empty() ? geometry.segment_of(line) : segments.front());
  // Lines that a power loss took leave no trace where nothing behind them was stored. So unless the end is the clean one,
  // a reboot means that some reader may have seen sequences which now are free.
  if (line < known_head || (rebooted_ && line != clean_line)) lost_records = true;
  if (!lost_records) found_clean_ = clean_line;
  put(hot.oldest_line, segments.empty() ? line : geometry.first_line(segments.front()));
  put(hot.synced_line, std::max(peek(hot.checkpoint_line), peek(hot.oldest_line)));
  put(hot.ready_line, segments.empty() ? 0 : geometry.end_line(segments.back()));
  if (lost_records) {
    ++control_.epoch;
    cut_tail_ = true;
  }
  writer_views_.header().epoch = control_.epoch;
  put_release(writer_views_.header().ready, 1);
}

}  // namespace tapehub

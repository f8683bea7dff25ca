// One process attached to one incarnation of a hub: its files, its slot, its mappings.
//
//   <hub>/control        identity: format, geometry, epoch, boot id, where the views are
//   <hub>/locks          byte locks, nothing else
//   <hub>/log/*.tape     the tape
//   <hub>/checkpoint     the views at some line
//   <hub>/accounts       what was received, and what became of it
//   <memory>/views       the views and the writer lock     (tmpfs where there is one)
//   <memory>/slots       what processes say of themselves
#pragma once

#include <atomic>
#include <optional>

#include "accounts.hpp"
#include "applier.hpp"
#include "checkpoint.hpp"
#include "log.hpp"
#include "reading.hpp"

namespace tapehub {

struct Options {
  bool create = false;
  bool read_only = false;
  std::string name;
  std::string memory_root;        // empty: /dev/shm where it is writable, else the hub directory
  gid_t group = kNoGroup;         // whom a new hub is shared with
  u32 segment_lines = kSegmentLinesDefault;
  PriceBasis price_basis = PriceBasis::Mid;
  SyncMode sync_mode = SyncMode::Interval;
  i64 sync_interval_ns = kSecond;
  i64 grace_ns = kSecond / 2;
  i64 lock_timeout_ns = 2 * kSecond;
  u64 segments_ahead = 1;
  u64 retention_bytes = 0;  // of a new hub; 0 = kRetentionBytes
  i64 retention_ns = 0;     // of a new hub; 0 = kRetentionNs
  bool helper_thread = true;
  std::vector<std::pair<i64, i64>> zone;  // New York's transitions, for a new hub
};

struct Retention {
  u64 bytes;
  i64 ns;
};
struct Loss {  // a process that left, or died, with something in hand
  std::string process;
  u64 pid;
  Accounts counts;
};

enum class Lost : int { No = 0, Replaced = 1, Deleted = 2 };

class Attachment {
 public:
  Attachment(std::string directory, const Options& options) : directory_(std::move(directory)), options_(options) {
    forks_ = ProcessLocks::forks();
    attach();
  }
  // Both end what the constructor began: until then nobody else comes in.
  void let_others_in();
  void give_up() noexcept;
  ~Attachment() { detach(); }
  Attachment(const Attachment&) = delete;

  const std::string& directory() const { return directory_; }
  const Options& options() const { return options_; }
  const ControlFile& control() const { return control_; }
  const Views& views() const { return views_; }
  Hot& hot() const { return views_.hot(); }
  Log& log() { return *log_; }
  Slots& slots() { return slots_; }
  Slot& slot() { return slots_.slot(slot_); }
  Owner me() const { return {slot_, generation_}; }
  ProcessLocks& locks() { return *locks_; }
  bool of_this_process() const { return forks_ == ProcessLocks::forks(); }
  std::string memory_dir() const { return control_.memory_dir; }
  const Directory& home() const { return home_; }
  std::vector<std::optional<std::string>> cursors() const;
  bool cut_tail() const { return cut_tail_; }
  bool rebooted() const { return rebooted_; }

  // ------------------------------------------------------------ settings that may change

  Retention retention() const;
  void set_retention(u64 bytes, i64 ns);

  // ------------------------------------------------------------ accounts

  Standing standing() {
    return all_accounts(slots_, [this](u32 i) { return locks_->holder(kByteSlots + i) != 0; });
  }
  std::vector<Loss> take_losses() { return std::exchange(losses_, {}); }  // found by this process as it opened the hub
  std::optional<Loss> settle_slot(u32 number);
  void save_accounts(bool all_left);

  // Nobody else is attached and all is stored: whoever rebuilds can tell that nothing is missing behind this line.
  void end_cleanly() {
    const u64 head = peek(hot().head);
    change_control([head](ControlFile& control) { control.clean_line = head; });
  }
  u64 replayed() const { return replayed_; }

  // ------------------------------------------------------------ is it still the hub we attached to?

  // Sequentially consistent, as is the store: see Hub::lock().
  Lost lost() const { return Lost(lost_.load(std::memory_order_seq_cst)); }
  void look_around() {
    FileId now;
    if (!file_id(directory_ + "/control", &now)) {
      lost_ = int(Lost::Deleted);
    } else if (!(now == control_id_)) {
      lost_ = int(Lost::Replaced);
    } else if (!file_id(memory_dir() + "/views", &now) || !(now == views_id_)) {
      lost_ = int(Lost::Replaced);
    } else {
      return;
    }
    if (!writing()) release_slot();  // a newcomer waits for this before it rebuilds; else next time
  }
  // Whether some thread of this process is between lock and unlock: its slot is what keeps others from taking the lock over.
  bool writing() const { return (peek(hot().lock, __ATOMIC_SEQ_CST) & ~kContended) == me().word(); }
  void release_slot() {
    if (slot_held_.exchange(false)) locks_->unlock(kByteSlots + slot_);
  }

  // ------------------------------------------------------------ writing

  // Views as a writer sees them: mapped a second time, when this process first writes.
  const Views& writable() {
    if (!writer_ready_.load(std::memory_order_acquire)) [[unlikely]] {
      if (options_.read_only && !writer_views_) fail(Cause::Hub, "this process opened the hub read-only: " + directory_);
      std::lock_guard guard(mutex_);
      if (!writer_views_) {
        const std::string path = memory_dir() + "/views";
        File file = File::open(path, O_RDWR);
        Views made(file.fd(), true, path);
        populate(made.at(0), ViewsLayout::kArena, true);
        populate_arena(made);
        writer_views_ = std::move(made);
        applier_.emplace(writer_views_, PriceBasis(control_.price_basis), control_.grace_ns);
      }
      writer_ready_.store(true, std::memory_order_release);
    }
    return writer_views_;
  }
  // What a process that opened the hub read-only had to write, to rebuild it, is written.
  void stop_writing() {
    writer_ready_ = false;
    applier_.reset();
    writer_views_ = Views();
  }
  bool is_writer() const { return writer_ready_.load(std::memory_order_acquire); }
  Applier& applier() { return *applier_; }
  const Applier& applier() const { return *applier_; }
  u64 arena_touched() const { return arena_touched_.load(std::memory_order_acquire); }

  // Grow the arena until `chunks` more can be taken. False when another process has been extending the hub for longer than
  // that. Never called inside the writer lock.
  bool try_grow_arena(u64 chunks, i64 patience_ns) {
    writable();
    std::lock_guard guard(mutex_);
    Hot& hot = writer_views_.hot();
    if (peek(hot.arena_next) + chunks > peek(hot.arena_ready)) {
      if (!locks_->lock(kByteExtend, patience_ns)) return false;
      if (peek(hot.arena_next) + chunks > peek(hot.arena_ready)) {
        const u64 ready = peek(hot.arena_ready);
        const u64 more = std::max(peek(hot.arena_next) + chunks - ready, std::clamp(ready / 2, kArenaStepMin, kArenaStepMax));
        const std::string path = memory_dir() + "/views";
        File file = File::try_open(path, O_RDWR);  // it may be gone: the lock must not stay behind with an exception
        const int code = file ? allocate(file.fd(), ViewsLayout::kArena + ready * kChunkBytes, more * kChunkBytes) : errno;
        if (code == 0) put_release(hot.arena_ready, ready + more);
        locks_->unlock(kByteExtend);
        if (code != 0) fail_errno("allocate memory for candle rings", path, code);
      } else {
        locks_->unlock(kByteExtend);
      }
    }
    populate_arena(writer_views_);
    return true;
  }
  void grow_arena(u64 chunks) {
    if (!try_grow_arena(chunks, options_.lock_timeout_ns)) fail_extend();
  }

  // Create segment `number`, or find it created, and make it writable here. Nothing happens when the log is past it: the
  // caller did not run for a while, and the segment may have been dropped. False when another process has been extending
  // the hub for longer than that. Never called inside the writer lock.
  bool try_prepare_segment(u64 number, i64 patience_ns) {
    writable();
    Hot& hot = writer_views_.hot();
    const auto past = [&] { return number < log_->geometry().segment_of(peek_acquire(hot.head)); };
    if (past()) return true;
    if (!log_->exists(number)) {
      if (!locks_->lock(kByteExtend, patience_ns)) return false;
      try {
        if (!past()) log_->create(number, control_.epoch);  // none is dropped while the lock is held
      } catch (...) {
        locks_->unlock(kByteExtend);
        throw;
      }
      locks_->unlock(kByteExtend);
    }
    if (past()) return true;
    log_->make_writable(number);
    const u64 end = log_->geometry().end_line(number);
    for (u64 ready = peek(hot.ready_line); ready < end;) {
      if (__atomic_compare_exchange_n(&hot.ready_line, &ready, end, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) break;
    }
    return true;
  }
  void prepare_segment(u64 number) {
    if (!try_prepare_segment(number, 20 * kSecond)) fail_extend();
  }

  // ------------------------------------------------------------ liveness of others

  bool owner_alive(Owner owner) {
    if (owner.slot == slot_) return owner.generation == generation_;
    if (owner.slot >= kSlots || locks_->holder(kByteSlots + owner.slot) == 0) return false;
    return u32(peek_acquire(slots_.slot(owner.slot).generation)) == owner.generation;
  }
  u32 others_alive() {
    u32 count = 0;
    for (u32 i = 0; i < kSlots; ++i) count += (i != slot_ || !slot_held_) && byte_lock_held_by_other(i);
    return count;
  }
  std::string describe(Owner owner) {
    if (owner.slot >= kSlots) return "an unknown process";
    Slot& slot = slots_.slot(owner.slot);
    char name[kSymbolBytes + 1] = {};
    std::memcpy(name, slot.name, kSymbolBytes);
    return "process " + std::to_string(peek(slot.pid)) + (name[0] ? std::string(" (") + name + ")" : "");
  }

  // Leave: the last one out writes a checkpoint and takes the memory files along.
  void detach() noexcept;

  void checkpoint() {
    CheckpointWriter writer(views_, control_.hub_id, control_.epoch);
    home_.rename(kCheckpoint, kCheckpointBefore);
    crash_point();
    const u64 line = writer.write(home_, kCheckpoint);
    put_release(writable().hot().checkpoint_line, line);
  }
  void flush() {
    std::lock_guard guard(sync_mutex_);
    Hot& hot = writable().hot();
    const u64 from = peek(hot.synced_line), to = peek_acquire(hot.head);
    if (from >= to) return;
    log_->sync(from, to);
    for (u64 seen = from; seen < to;) {
      if (__atomic_compare_exchange_n(&hot.synced_line, &seen, to, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) break;
    }
    __atomic_fetch_add(&hot.sync_count, 1, __ATOMIC_RELAXED);
  }

 private:
  // Chunks. By half of what there is, so that a hub of few instruments stays small and one of many seldom grows.
  static constexpr u64 kArenaStepMin = 128, kArenaStepMax = 1024;  // 1.5 and 12 MiB

  [[noreturn]] void fail_extend() {
    fail(Cause::Stalled, "process " + std::to_string(locks_->holder(kByteExtend)) +
                             " has been extending the hub for too long: " + directory_ + "; resume or kill it");
  }
  bool byte_lock_held_by_other(u32 slot) { return byte_lock_holder_of(slot) != 0; }
  pid_t byte_lock_holder_of(u32 slot) {
    const pid_t pid = locks_->holder(kByteSlots + slot);
    return pid == ::getpid() && !of_this_process() ? 0 : pid;
  }
  void populate_arena(const Views& views) {
    const u64 ready = peek_acquire(views.hot().arena_ready), done = arena_touched_.load();
    if (ready > done) {
      populate(views.chunk(u32(done)), (ready - done) * kChunkBytes, true);
      arena_touched_.store(ready, std::memory_order_release);
    }
  }

  void attach();
  void create_control();
  void load_control();
  void save_control();
  template <class Change>
  void change_control(Change change);
  u64 committed_line();
  Accounts accounts_before();
  std::optional<Loss> settle_taken(u32 number);
  bool views_usable();
  bool at_home(const ViewsHeader& header) const {
    FileId id;
    return home_.id("locks", &id) && header.home_device == u64(id.device) && header.home_inode == u64(id.inode);
  }
  void remove_left_over_memory(const std::string& root);
  void make_memory_directory();
  Views make_memory_files(const Accounts& before);
  void restore_checkpoint(const Views& into, const std::vector<u64>& segments, u64* known_head);
  static std::vector<u64> unbroken(std::vector<u64> segments, u64 below);
  bool clean_tail(u64 line, const std::vector<u64>& segments);
  void rebuild();
  void take_slot();
  static void sweep_orphans(const std::string& root);
  void hold_memory();
  static bool in_use(const File& held);
  bool tail_is_sound();
  void refuse_foreign_segments();
  void sweep_unfinished_segments();
  bool sound_up_to(u64 head);
  bool restore_segment_size(u64 segment);
  std::string cut_name(u64 line) const {
    return "cut-" + std::to_string(control_.epoch) + "-" + std::to_string(line) + ".lines";
  }
  static constexpr u64 kTailLines = 65'536;  // checksummed at every open
  friend struct Recovery;

  static constexpr const char* kCheckpoint = "checkpoint";
  static constexpr const char* kCheckpointBefore = "checkpoint.old";

  std::string directory_;
  Directory home_;  // the directory of this very hub, wherever it is now
  Options options_;
  u32 forks_ = 0;
  ControlFile control_{};
  File control_file_;  // open, so that no file made after it is deleted has its inode; nor that of the views, which are mapped
  FileId control_id_, views_id_;
  std::shared_ptr<ProcessLocks> locks_;
  u32 slot_ = 0;
  u32 generation_ = 0;
  std::atomic<bool> slot_held_{false}, writer_ready_{false};
  std::atomic<int> lost_{0};
  std::mutex mutex_, sync_mutex_;
  Views views_, writer_views_;
  Slots slots_;
  File memory_held_;
  std::optional<Log> log_;
  std::optional<Applier> applier_;
  std::atomic<u64> arena_touched_{0};
  std::string memory_made_;  // by a rebuild that nobody else has seen yet
  bool cut_tail_ = false;
  bool rebooted_ = false;
  std::vector<Loss> losses_;
  AccountsFile saved_accounts_{};
  u64 found_clean_ = 0;  // the clean end from which this process rebuilt
  u64 replayed_ = 0;
};

}  // namespace tapehub

#include "attaching.hpp"
#include "settings.hpp"

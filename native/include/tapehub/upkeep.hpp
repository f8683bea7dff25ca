// What happens off the publish path: waiting for the lock, repairing after a dead writer, preparing segments, syncing,
// checkpoints, retention.
#pragma once

#include "hub.hpp"

namespace tapehub {

inline void Hub::lock_slowly() {
  u64& word = writer_hot().lock;
  const u64 mine = at_.me().word();
  const i64 started = boot_ns();
  i64 nap = 200'000;
  u64 watched = 0;
  i64 watched_since = started, looked = started;
  for (u32 spin = 0;; ++spin) {
    u64 seen = peek(word);
    if (seen == 0) {
      // The next one in line may be asleep: whoever came through here wakes it again.
      if (__atomic_compare_exchange_n(&word, &seen, mine | kContended, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return;
      continue;
    }
    if (spin < 300) {
      cpu_pause();
      continue;
    }
    const u64 holder = seen & ~kContended;
    const i64 now = boot_ns();
    if (now - looked > 100'000'000) {  // the helper itself may be waiting here
      looked = now;
      at_.look_around();
    }
    if (holder != watched) {
      watched = holder;
      watched_since = now;
    }
    if (at_.lost() != Lost::No) fail_lost();
    if (!at_.owner_alive(Owner::of(holder))) {
      if (__atomic_compare_exchange_n(&word, &seen, mine | kContended, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        try {
          repair();
        } catch (...) {  // a full disk, say: the lock is the dead owner's again, and whoever comes next repairs
          put_release(word, holder | kContended);
          throw;
        }
        return;
      }
      continue;
    }
    if (now - started > at_.options().lock_timeout_ns) {
      fail(Cause::Stalled, at_.describe(Owner::of(holder)) + " holds the writer lock and has not moved for " +
                               std::to_string((now - watched_since) / 1'000'000) + " ms, expected microseconds: " +
                               at_.directory() + "; it is stopped (resume it) or starved; nothing was published");
    }
    if (!(seen & kContended)) {
      if (!__atomic_compare_exchange_n(&word, &seen, seen | kContended, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) continue;
      seen |= kContended;
    }
    futex_wait(lock_futex(), u32(seen), nap);
    nap = std::min<i64>(nap * 2, 5'000'000);
  }
}

// The lock is ours and its last owner died: finish what reached the log, wipe what did not.
inline void Hub::repair() {
  Hot& hot = writer_hot();
  HubBlock block;
  read_words(block, hot.block[peek(hot.flip) & 1]);
  at_.applier().forget_unfinished();
  Recovery recovery{at_, block.head};
  recovery.replay();
  const Geometry& geometry = log().geometry();
  const u64 segment = geometry.segment_of(recovery.line);
  if (log().exists(segment)) {
    if (!log().writable(recovery.line)) log().make_writable(segment, false);
    recovery.clean_beyond(2 * kRecordLinesMax + kTimeframeCount * 3);
  }
  put_release(hot.head, recovery.line);
  __atomic_fetch_add(&hot.repairs, 1, __ATOMIC_RELAXED);
  bump();
}

inline void Hub::help() {
  while (!stop_) {
    try {
      upkeep(true);
    } catch (const std::exception&) {
      // A full disk: publishing reports it with its place and remedy when it needs the space; here only try again.
      sleep_ns(50'000'000);
    }
    for (u32 i = 0; i < 4 && !stop_; ++i) sleep_ns(2'500'000);
  }
  if (maintainer_.exchange(false)) at_.locks().unlock(kByteMaintainer);
}

// The next incarnation of this very process may take them: the directory, and with it the locks, may be the same.
inline void Hub::leave_roles() {
  if (maintainer_.exchange(false)) at_.locks().unlock(kByteMaintainer);
  stop_serving();
}

inline bool Hub::serve() {
  if (!at_.locks().try_lock(kByteServer)) return false;
  put(slot().is_server, 1u);
  serving_ = true;
  return true;
}

inline void Hub::stop_serving() {
  if (!serving_.exchange(false)) return;
  put(slot().is_server, 0u);
  at_.locks().unlock(kByteServer);
}

inline void Hub::upkeep(bool everything) {
  const i64 now = boot_ns();
  if (now >= next_look_) {
    next_look_ = now + 100'000'000;
    at_.look_around();
  }
  if (at_.lost() != Lost::No) leave_roles();
  if (at_.lost() != Lost::No || at_.options().read_only) return;
  const Geometry& geometry = log().geometry();
  Hot& hot = this->hot();
  const u64 head = peek_acquire(hot.head);
  const u64 segment = geometry.segment_of(head);
  // This runs a hundred times a second beside the publisher, so each step first asks, without a system call, whether
  // there is anything to do.
  if (segment + 1 != mapped_upto_ && log().exists(segment)) {
    log().map_ahead(segment);
    mapped_upto_ = segment + 1;
  }
  if (!maintainer_ && now >= next_role_) {
    next_role_ = now + kSecond;
    maintainer_ = at_.locks().try_lock(kByteMaintainer);
  }
  if (at_.is_writer()) {
    if (segment + 1 != prepared_for_) {
      bool prepared = true;
      for (u64 ahead = 0; prepared && ahead <= at_.options().segments_ahead; ++ahead) {
        prepared = at_.try_prepare_segment(segment + ahead, kPatience);
        if (prepared) log().map_ahead(segment + ahead);
      }
      if (prepared) prepared_for_ = segment + 1;
    }
    const u64 wanted = at_.applier().chunks_for(kBatchRecords) + kChunksAhead;
    if (peek(hot.arena_next) + wanted > at_.arena_touched()) at_.try_grow_arena(wanted, kPatience);
    // Our syncs, and the kernel's own writeback, leave the pages write-protected.
    const u64 syncs = peek(hot.sync_count);
    if (syncs != synced_seen_ || now >= next_repopulate_) {
      synced_seen_ = syncs;
      next_repopulate_ = now + kSecond;
      log().repopulate(head, 1 << 20);
    }
  }
  if (!maintainer_ || !everything) return;

  if (SyncMode(at_.control().sync_mode) == SyncMode::Interval && now >= next_sync_) {
    next_sync_ = now + at_.control().sync_interval_ns;
    if (peek(hot.synced_line) < head) {
      at_.flush();
      synced_seen_ = peek(hot.sync_count);
      if (at_.is_writer()) log().repopulate(peek_acquire(hot.head), 1 << 20);
    }
  }
  const u64 since = head - std::min(head, peek(hot.checkpoint_line));
  if (since > 1'000'000 && now >= next_checkpoint_) {
    next_checkpoint_ = now + 2 * kSecond;
    at_.checkpoint();
  }
  if (now >= next_server_look_) {
    next_server_look_ = now + kSecond;
    finish_for_the_dead();
    close_by_ticks_without_server();
    settle_dead();
  }
  if (next_accounts_ == 0) next_accounts_ = now + 10 * kSecond;
  if (now >= next_accounts_) {
    next_accounts_ = now + 10 * kSecond;
    at_.save_accounts(false);
  }
  if (now >= next_retention_) {
    next_retention_ = now + 5 * kSecond;
    drop_old_segments();
  }
}

// What a writer had half done when it died is finished by the next one. There may be none for hours, and until then a channel
// may show a tick that the hub's own counts do not.
inline void Hub::finish_for_the_dead() {
  const u64 holder = peek(hot().lock) & ~kContended;
  if (holder != 0 && !at_.owner_alive(Owner::of(holder))) repair_if_needed();
}

// A server that died takes its watermarks along: from here on intervals are closed by the ticks again, and the log says so.
inline void Hub::close_by_ticks_without_server() {
  const HubState state = read_hub(hot());
  if (WatermarkMode(state.rare.clock.watermark_mode) != WatermarkMode::Server) return;
  if (at_.locks().holder(kByteServer) != 0) return;
  ClockBody clock = state.rare.clock;
  clock.watermark_mode = u32(WatermarkMode::Ticks);
  clock.watermark_ns = state.block.watermark_ns;
  RecordInput input;
  input.kind = Kind::Clock;
  input.ts_event = now_under(state.rare.clock, state.block);
  input.flags = kClockGoesOn;
  input.payload = &clock;
  input.payload_bytes = sizeof clock;
  publish_record(input, [&](RecordInput&) {
    const bool still = read_hub(hot()).block.watermark_mode == u32(WatermarkMode::Server);
    return still && at_.locks().holder(kByteServer) == 0 ? kUnset : u64{0};
  });
}

// Unlink whole segments, oldest first, that are checkpointed, over the bounds, and released by every durable cursor
// that is not too far behind itself. Readers that have one mapped keep it until they let go.
inline void Hub::drop_old_segments() {
  const Geometry& geometry = log().geometry();
  Hot& hot = at_.writable().hot();
  const std::vector<u64> segments = log().segments();
  const u64 checkpointed = peek(hot.checkpoint_line), newest = geometry.segment_of(peek(hot.head));
  const Retention keep = at_.retention();
  u64 released = UINT64_MAX;
  for (const std::optional<std::string>& text : at_.cursors()) {
    if (!text) released = 0;  // another user's, perhaps: it may need everything
    if (text && !text->empty()) released = std::min<u64>(released, std::strtoull(text->c_str(), nullptr, 10));
  }
  u64 total = segments.size() * geometry.segment_bytes();
  for (u64 segment : segments) {
    const u64 end = geometry.end_line(segment);
    if (segment + 1 >= newest || end > checkpointed) break;
    struct stat st;
    if (!at_.home().status(Log::name_of(segment), &st)) break;
    const i64 age = wall_ns() - (i64(st.st_mtim.tv_sec) * kSecond + st.st_mtim.tv_nsec);
    const bool over = total > keep.bytes || age > keep.ns;
    const bool far_over = total > 2 * keep.bytes;  // a cursor that was given up may not fill the disk
    if (!over || (end > released && !far_over)) break;
    if (!at_.locks().try_lock(kByteExtend)) break;  // nobody makes it again meanwhile; else another time
    put_release(hot.oldest_line, geometry.first_line(segment + 1));
    const bool gone = log().remove(segment);
    at_.locks().unlock(kByteExtend);
    if (!gone) break;
    total -= geometry.segment_bytes();
  }
}

// The last process that leaves writes a checkpoint and takes the memory files along.
inline void Attachment::detach() noexcept {
  if (!of_this_process() || !locks_) return;  // a forked child has nothing to give back
  try {
    if (lost() != Lost::No && !in_use(memory_held_)) {
      // The hub directory was deleted or exchanged, and nobody else has our memory files: nobody will find them any more,
      // unless they are still those of the hub that is there now.
      const std::string data = read_small_file(directory_ + "/control");
      ControlFile now{};
      if (data.size() == sizeof now) std::memcpy(&now, data.data(), sizeof now);
      std::error_code ec;
      if (memory_dir() != now.memory_dir) std::filesystem::remove_all(memory_dir(), ec);
    }
    const bool opening = slot_held_ && locks_->lock(kByteOpen, 5 * kSecond);
    if (!opening) release_slot();  // whoever is opening the hub has been stopped: the views stay, for the next who opens
    if (opening) {
      const bool last = lost() == Lost::No && others_alive() == 0;
      if (last && !options_.read_only) {
        try {
          flush();
          if (peek(hot().checkpoint_line) != peek(hot().head)) checkpoint();
          end_cleanly();
        } catch (const std::exception&) {
          // A full disk costs the next opening a longer replay, and after a reboot a new epoch, nothing else.
        }
      } else if (last && found_clean_ != 0 && found_clean_ == peek(hot().head)) {
        end_cleanly();  // only read since: the end is the one that was found
      }
      // A reader cannot write the checkpoint; without one the views stay, for the next who opens.
      if (last && (!options_.read_only || peek(hot().checkpoint_line) == peek(hot().head))) {
        std::error_code ec;
        try {
          save_accounts(true);
        } catch (const std::exception&) {
          // A full disk: the sums go back to what was last saved.
        }
        std::filesystem::remove_all(memory_dir(), ec);
      }
      const bool forsaken = !last && is_writer() && lost() == Lost::No && locks_->holder(kByteMaintainer) == 0;
      release_slot();
      locks_->unlock(kByteOpen);
      if (forsaken) flush();  // those that stay may be readers: who would sync what this one wrote?
    }
  } catch (const std::exception&) {
    release_slot();
  }
}

}  // namespace tapehub

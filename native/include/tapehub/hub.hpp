// A hub as one process sees it: publish, read, wait. Any number of threads may call it.
#pragma once

#include <bit>
#include <climits>
#include <thread>

#include "attachment.hpp"

namespace tapehub {

struct TickInput {
  i64 ts_event;
  i64 ts_recv;  // 0: as published
  double bid, ask;
  float bid_size, ask_size;
  u16 channel, instrument;
  u8 source, flags;
};

struct RecordInput {
  Kind kind;
  i64 ts_event = 0;
  i64 ts_recv = 0;
  u64 fixed1 = 0, fixed2 = 0;
  u16 instrument = kNone16;
  u8 source = 0, flags = 0;
  const void* payload = nullptr;
  u32 payload_bytes = 0;
};

class Hub {
 public:
  Hub(const std::string& directory, const Options& options) : at_(directory, options), rings_(at_.views(), at_.control().grace_ns) {
    try {
      if (at_.cut_tail()) log_epoch();
      if (at_.rebooted()) anchor_clock_anew();
      at_.let_others_in();
    } catch (...) {
      at_.give_up();
      throw;
    }
    if (options.read_only) at_.stop_writing(); else log_found_losses();
    if (options.helper_thread) helper_ = std::thread([this] { help(); });
  }
  ~Hub() {
    stop_ = true;
    if (helper_.joinable()) {
      if (at_.of_this_process()) helper_.join(); else helper_.detach();  // after a fork the thread is the parent's
    }
    if (at_.of_this_process()) leave_roles();
    settle_as_it_leaves();
  }

  Attachment& at() { return at_; }
  const Views& views() const { return at_.views(); }
  Log& log() { return at_.log(); }
  Hot& hot() { return at_.hot(); }
  Slot& slot() { return at_.slot(); }

  // ------------------------------------------------------------ the hub clock

  i64 now() {
    const HubState hub = read_hub(hot());
    return now_under(hub.rare.clock, hub.block);
  }
  // An event clock stands where the newest event is, or where `advance` has brought it in a market without events.
  i64 now_under(const ClockBody& clock, const HubBlock& hub) {
    switch (ClockMode(clock.mode)) {
      case ClockMode::Virtual: return clock.anchor_ns + i64(double(boot_ns() - clock.anchor_boot_ns) * clock.rate);
      case ClockMode::Event: {
        if (hub.watermark_ns == kTimeNever) return hub.ts_event_max == kTimeNever ? clock.anchor_ns : hub.ts_event_max;
        return std::max(hub.ts_event_max, hub.watermark_ns + at_.control().grace_ns);
      }
      default: return wall_ns() + clock.skew_ns;
    }
  }

  // ------------------------------------------------------------ publishing

  // Its sequence; kUnset, and nothing published, when it is over a minute ahead of the hub clock.
  u64 publish_tick(const TickInput& input) {
    for (;;) {
      Need need;
      {
        Guard guard(*this);
        Applier& applier = at_.applier();
        applier.begin();
        u64 head = applier.hub().head;
        if (place(1, &head, &need, 0)) {
          const i64 now = now_under(applier.hub_rare().clock, applier.hub());
          if (input.ts_event > now + kMinute && !follows_events()) return kUnset;
          u64 seq = head, records = 1;
          if (!applier.is_late(input.channel, input.ts_event)) {
            applier.tick(input.channel, seq, write_tick(input, seq, now));
            return finish(guard, seq, seq + 1, records, 1, input.flags);
          }
          if (place_group(&head, &need)) {
            seq = head;  // only now: the group may have gone to the next segment
            late_tick(input, now, &head, &records);
            return finish(guard, seq, head, records, 1, input.flags);
          }
        }
      }
      provide(need);
    }
  }

  // *published counts up as it goes, so that whoever catches an error knows how many are in the log. The lock is released
  // every kBatchRecords records.
  void publish_ticks(const TickInput* ticks, u64 count, u64* published) {
    for (const TickInput* const end = ticks + count; ticks != end;) {
      Need need;
      {
        Guard guard(*this);
        Applier& applier = at_.applier();
        applier.begin();
        u64 head = applier.hub().head, last = 0, records = 0, room = 0;
        const TickInput* const first = ticks;
        const i64 now = now_under(applier.hub_rare().clock, applier.hub());
        while (records < kBatchRecords && ticks != end) {
          if (room == 0) {  // the rest of this segment, as far as it is ready
            if (!place(1, &head, &need, records)) break;
            const Geometry& geometry = log().geometry();
            room = std::min<u64>(geometry.end_line(geometry.segment_of(head)) - head, kBatchRecords - records);
            if (!arena_room(records + room)) {
              need.chunks = applier.chunks_for(kBatchRecords);
              break;
            }
          }
          if (applier.is_late(ticks->channel, ticks->ts_event)) {
            if (records != 0 || !place_group(&head, &need)) break;  // in a chunk of its own
            last = head;
            records = 1;
            late_tick(*ticks++, now, &head, &records);
            break;
          }
          applier.tick(ticks->channel, head, write_tick(*ticks, head, now));
          ++ticks;
          last = head++;
          --room;
          ++records;
        }
        if (last != 0) {
          finish(guard, last, head, records, u64(ticks - first), first->flags);
          *published += u64(ticks - first);
        }
      }
      if (need) provide(need);
    }
  }

  u64 publish_record(const RecordInput& input) {
    return publish_record(input, [](RecordInput&) { return kUnset; });
  }

  // `settle` runs under the lock, before anything is written: it may complete the record, or return a result of its own
  // (anything but kUnset) when there is nothing left to publish.
  template <class Settle>
  u64 publish_record(RecordInput input, Settle settle) {
    const u32 lines = 1 + (input.payload_bytes + kLineBytes - 1) / kLineBytes;
    if (lines > kRecordLinesMax) {
      fail(Cause::Invalid, "payload has " + std::to_string(input.payload_bytes) + " bytes, at most " +
                               std::to_string((kRecordLinesMax - 1) * kLineBytes) + " fit into a record");
    }
    for (;;) {
      Need need;
      {
        Guard guard(*this);
        Applier& applier = at_.applier();
        if (const u64 settled = settle(input); settled != kUnset) return settled;
        applier.begin();
        u64 head = applier.hub().head;
        const u32 group = lines + kTimeframeCount * 3 + 8;
        if (place(group, &head, &need, 0, ring_work(input.kind))) {
          const i64 now = now_under(applier.hub_rare().clock, applier.hub());
          const u64 seq = head;
          unsigned char* bytes = log().writable(head);
          const u64 word = write_record(input, head, lines, now);
          head += lines;
          u64 records = 1;
          if (input.kind == Kind::Candle) {  // the superseded candle is part of the same commit
            applier.record_uncommitted(bytes, word);
            write_revisions(&head, &records, now, input.source);
            commit(bytes, word);
          } else {
            commit(bytes, word);
            applier.record(bytes);
          }
          finish(guard, seq, head, records, 1);
          put(slot().others, slot().others + 1);
          return seq;
        }
      }
      provide(need);
    }
  }

  // ------------------------------------------------------------ names: found, or defined once for all processes

  u16 define(InstrumentRow row, bool redefine = false);
  u8 define_source(const std::string& name);
  u16 define_channel(u16 instrument, u8 source);

  // ------------------------------------------------------------ waiting

  // Until the log has grown past `seen`, or the time is up. Rechecks every 50 ms whatever happens.
  bool wait(u64 seen, i64 timeout_ns, u32 spins = 0) {
    Hot& hot = this->hot();
    for (u32 i = 0; i < spins; ++i) {
      if (peek_acquire(hot.head) > seen) return true;
      cpu_pause();
    }
    const i64 deadline = timeout_ns < 0 ? INT64_MAX : boot_ns() + timeout_ns;
    while (peek_acquire(hot.head) <= seen) {
      const i64 left = deadline - boot_ns();
      if (left <= 0 || at_.lost() != Lost::No) return false;
      const u32 word = peek_acquire(hot.wake);
      put(at_.slots().header().waiters, 1u);
      fence_full();  // pairs with the exchange in unlock(): one of the two sees the other's store
      if (peek_acquire(hot.head) > seen) return true;
      futex_wait(hot.wake, word, std::min<i64>(left, 50'000'000));
    }
    return true;
  }

  // The one that closes intervals: false where another process, or another handle of this one, is.
  bool serve();
  void stop_serving();
  void leave_roles();

  RingReader& rings() { return rings_; }
  void repair_if_needed() {
    if (at_.options().read_only) return;
    at_.writable();
    Guard guard(*this);
  }

  // One round of the upkeep that keeps system calls off the publish path. Public for processes without a helper thread.
  void upkeep(bool everything);

 private:
  static constexpr i64 kPatience = 20'000'000;  // of the helper, who has other work, with those that extend the hub
  static constexpr u64 kChunksAhead = 192;  // 2 MiB: some instruments that tick for the first time, or a minute of many
  static bool same_name(const char* a, const char* b) { return std::strncmp(a, b, kSymbolBytes) == 0; }

  struct Need {
    bool segment = false;
    u64 segment_number = 0;
    u64 chunks = 0;
    explicit operator bool() const { return segment || chunks != 0; }
  };

  // The writer lock. Nothing between its constructor and destructor allocates, faults or calls the system.
  class Guard {
   public:
    explicit Guard(Hub& hub) : hub_(hub) { hub.lock(); }
    ~Guard() {
      hub_.unlock();
      if (published_) hub_.wake();
    }
    void publish() { published_ = true; }

   private:
    Hub& hub_;
    bool published_ = false;
  };

  void lock() {
    if (!at_.of_this_process()) [[unlikely]] {  // a child that died with its parent's lock would look alive for ever
      fail(Cause::Closed, "this hub was opened before a fork, expected one of this process: " + at_.directory() +
                              "; open it again in the child");
    }
    at_.writable();
    u64 free = 0;
    if (!__atomic_compare_exchange_n(&writer_hot().lock, &free, at_.me().word(), false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
      lock_slowly();
    }
    crash_point();
    // Pairs with look_around(), which sets `lost` and then looks at the lock: either it leaves our slot alone until we
    // unlock, or we see that the hub is lost. Without its slot a writer looks dead, and the next one would write beside it.
    if (at_.lost() != Lost::No) [[unlikely]] {
      unlock();
      fail_lost();
    }
  }
  [[noreturn]] void fail_lost() {
    fail(Cause::Hub, "the hub was replaced or deleted: " + at_.directory() +
                         "; what this call has not published yet is to be published again, to the hub that lies there now");
  }
  void unlock() {
    const u64 word = __atomic_exchange_n(&writer_hot().lock, 0, __ATOMIC_SEQ_CST);
    crash_point();
    if (word & kContended) [[unlikely]] futex_wake(lock_futex(), 1);
  }
  // What every publish ends with: its effects become visible, then whoever waits is told. `last` is its last record that
  // has effects, and the sequence it is known by.
  // Ticks that a caller pushed are no feed's, also in a process that has one: `flags` are those of a whole batch.
  u64 finish(Guard& guard, u64 last, u64 head, u64 records, u64 published, u8 flags = 0) {
    at_.applier().end(last, head, records);
    bump();
    if (flags & kTickUnverified) put(slot().others, slot().others + published);
    put(slot().published, slot().published + published);
    guard.publish();
    return last;
  }
  Hot& writer_hot() { return at_.writable().hot(); }
  // The kernel compares 32 bits: the half with the owner's slot and the contended bit.
  const u32& lock_futex() {
    using Half [[gnu::may_alias]] = u32;
    return *reinterpret_cast<const Half*>(&writer_hot().lock);
  }
  void lock_slowly();
  void repair();

  void bump() {
    u32& wake = writer_hot().wake;
    put_release(wake, peek(wake) + 1);
  }
  void wake() {
    u32& waiters = at_.slots().header().waiters;
    if (peek(waiters) != 0) [[unlikely]] {
      put(waiters, 0u);
      futex_wake(hot().wake, INT_MAX);
    }
  }

  // ------------------------------------------------------------ lines of the tape: tape_writer.hpp

  bool arena_room(u64 records);
  // A pushed candle may be inserted in the middle of every ring.
  static u64 ring_work(Kind kind) { return kind == Kind::Candle || kind == Kind::Gap ? 4 : 1; }
  const unsigned char* place(u32 lines, u64* head, Need* need, u64 done, u64 more = 1);
  bool place_group(u64* head, Need* need);
  void pad(u64 line, u64 end);
  // Under an event clock nothing is ahead of now.
  bool follows_events() { return ClockMode(at_.applier().hub_rare().clock.mode) == ClockMode::Event; }
  static void commit(unsigned char* bytes, u64 word) { put_release(*reinterpret_cast<Word*>(bytes), word); }
  i64 stamp(i64 now, i64 ts_event) const;
  const TickLine& write_tick(const TickInput& input, u64 seq, i64 now, bool committed = true);
  void late_tick(const TickInput& input, i64 now, u64* head, u64* records);
  void write_revisions(u64* head, u64* records, i64 now, u8 source);
  u64 write_record(const RecordInput& input, u64 seq, u32 lines, i64 now);
  void provide(const Need& need) {
    if (need.segment) at_.prepare_segment(need.segment_number);
    if (need.chunks) at_.grow_arena(need.chunks);
  }

  void help();
  void drop_old_segments();
  void finish_for_the_dead();
  void close_by_ticks_without_server();
  void log_loss(const Loss& loss);
  void log_found_losses() noexcept;
  void settle_dead();
  void settle_as_it_leaves() noexcept;
  void log_epoch();
  void anchor_clock_anew();
  i64 last_stamp_since(u64 from);

  Attachment at_;
  RingReader rings_;
  std::thread helper_;
  std::atomic<bool> stop_{false};
  u64 synced_seen_ = 0;
  i64 next_sync_ = 0, next_look_ = 0, next_checkpoint_ = 0, next_retention_ = 0, next_server_look_ = 0, next_role_ = 0, next_repopulate_ = 0,
      next_accounts_ = 0;
  u64 mapped_upto_ = 0, prepared_for_ = 0;  // segment + 1
  std::atomic<bool> maintainer_{false}, serving_{false};
};

}  // namespace tapehub

#include "definitions.hpp"
#include "settling.hpp"
#include "tape_writer.hpp"
#include "upkeep.hpp"

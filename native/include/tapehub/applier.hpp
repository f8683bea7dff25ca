// Records into views: the one place where candles, latest values and counters change. Called by the lock's owner, for
// what it publishes, and by recovery, for what the log holds; the same records give the same views.
//
// A chunk of records is applied in three steps: bodies are filled next to the valid ones under tag kUnset; the tags are
// set to the chunk's last sequence; one flip a channel makes them valid. A writer that dies before the flip leaves
// nothing behind that a reader can see, and recovery applies the chunk again.
#pragma once

#include <vector>

#include "views.hpp"

namespace tapehub {

struct Revision {  // announced in the log beside the record that caused it
  CandleBody body;
};

class Applier {
 public:
  Applier(const Views& views, PriceBasis basis, i64 grace_ns)
      : views_(views), hot_(views.hot()), zone_(views.zone()), basis_(basis), grace_ns_(grace_ns) {
    works_.resize(kChannelsMax);
    work_of_.assign(kChannelsMax, 0);
    touched_.reserve(16384);
    revisions_.reserve(2 * kTimeframeCount);
  }

  const HubBlock& hub() const { return hub_; }
  const HubRare& hub_rare() const { return rare_; }
  u64 channels_touched() const { return work_count_; }

  // ------------------------------------------------------------ a chunk

  void begin() {
    ++stamp_;
    last_channel_ = kNone16;
    work_count_ = 0;
    touched_.clear();
    revisions_.clear();
    if (peek_acquire(hot_.zone_count) != zone_.count) renew_zone();  // published by another process
    const u64 flip = peek(hot_.flip);
    read_words(hub_, hot_.block[flip & 1]);
    read_words(rare_, hot_.rare[valid_copy(hot_.rare, hub_.head - 1)]);
    rare_changed_ = false;
  }

  // True when the intervals this tick belongs to are partly closed: it goes through late_tick, in a chunk of its own.
  bool is_late(u16 channel, i64 ts_event) {
    const i64 mark = watermark(work_on(channel));
    return ts_event < mark && floor_div(ts_event, kSecond) * kSecond + kSecond <= mark;
  }

  // `tick` is the line in the log, where it stays until end(): copies of it would be the larger part of the work.
  void tick(u16 channel, u64 seq, const TickLine& tick) {
    Work& work = work_on(channel);
    note_tick(work, seq, tick);
    ChannelBlock& block = work.block;
    const double price = price_of(basis_, tick.bid, tick.ask);
    const i64 second = floor_div(tick.ts_event, kSecond) * kSecond;
    if (block.pending.ticks != 0 && block.pending.start == second) {
      fold(block.pending, tick.ts_event, price);
    } else {
      if (block.pending.ticks != 0) merge_pending(work, false);
      block.pending = pending_of(second, tick.ts_event, price);
    }
    block.ts_pending_arrival = tick.ts_publish;
    if (second <= block.ring_top) merge_pending(work, false);  // out of order: never left pending
  }

  // A tick whose channel has it already: recovery only keeps the hub's own counters up.
  void skip_tick(i64 ts_event) {
    if (ts_event > hub_.ts_event_max) hub_.ts_event_max = ts_event;
  }

  // Merge at once and number the revisions of every candle that was already final.
  void late_tick(u16 channel, u64 seq, const TickLine& tick) {
    Work& work = work_on(channel);
    if (work.block.pending.ticks != 0) merge_pending(work, false);
    note_tick(work, seq, tick);
    const i64 second = floor_div(tick.ts_event, kSecond) * kSecond;
    work.block.pending = pending_of(second, tick.ts_event, price_of(basis_, tick.bid, tick.ask));
    work.block.ts_pending_arrival = tick.ts_publish;
    merge_pending(work, true);
  }
  const std::vector<Revision>& revisions() const { return revisions_; }

  void record(const unsigned char* bytes) {  // any kind but a tick
    apply(bytes, peek_acquire(*reinterpret_cast<const Word*>(bytes)));
  }
  void record_uncommitted(const unsigned char* bytes, u64 word) { apply(bytes, word); }
  void count_announced() {
    ++rare_.by_kind[u32(Kind::Candle)];
    rare_changed_ = true;
  }

  // After a writer died: counters that it tagged but never made visible must not become valid when the log passes
  // their tag. (A candle under such a tag is written again by the same record.)
  void forget_unfinished() {
    const auto forget = [](auto* pair, u64 applied) {
      for (u32 i = 0; i < 2; ++i) {
        if (peek(pair[i].seq) > applied) put(pair[i].seq, kUnset);
      }
    };
    forget(hot_.rare, peek(hot_.block[peek(hot_.flip) & 1].head) - 1);
    for (u64 id = 0, n = peek(hot_.channels); id < n; ++id) forget(views_.channel(u32(id)).rare, applied_seq(u16(id)));
  }

  // The records up to `last_seq` are in the log: make their effects visible. `head` is the next free line.
  void end(u64 last_seq, u64 head, u64 records) {
    for (u32 i = 0; i < work_count_; ++i) settle(works_[i]);
    for (CandleBody* body : touched_) put_release(body->seq, last_seq);
    for (u32 i = 0; i < work_count_; ++i) {
      Work& work = works_[i];
      if (!work.rare_changed) continue;
      ChannelRare* pair = work.shared->rare;
      ChannelRare& victim = pair[1 - valid_copy(pair, work.applied)];
      work.rare.seq = kUnset;
      put(victim.seq, kUnset);
      fence_release();
      write_words(victim, work.rare);
      put_release(victim.seq, last_seq);
    }
    for (u32 i = 0; i < work_count_; ++i) {
      Work& work = works_[i];
      work.block.applied_seq = last_seq;
      if (work.latest) read_words(work.block.latest, *work.latest);
      const u64 flip = peek(work.shared->flip);
      fence_release();
      write_words(work.shared->block[(flip + 1) & 1], work.block);
      put_release(work.shared->flip, flip + 1);
    }
    if (rare_changed_) {
      HubRare& victim = hot_.rare[1 - valid_copy(hot_.rare, hub_.head - 1)];
      rare_.seq = kUnset;
      put(victim.seq, kUnset);
      fence_release();
      write_words(victim, rare_);
      put_release(victim.seq, last_seq);
    }
    hub_.head = head;
    hub_.records += records;
    const u64 flip = peek(hot_.flip);
    fence_release();
    write_words(hot_.block[(flip + 1) & 1], hub_);
    put_release(hot_.flip, flip + 1);
    put_release(hot_.head, head);
  }

  u16 channel_of(u16 instrument, u8 source) const {
    const u16 slot = peek(views_.channel_slot(instrument, source));
    return slot == 0 ? kNone16 : u16(slot - 1);
  }
  u64 applied_seq(u16 channel) const {
    const Channel& shared = views_.channel(channel);
    return peek(shared.block[peek(shared.flip) & 1].applied_seq);
  }
  // Chunks that so many records of one chunk can need at the most. A record adds one entry to each ring of its channel, and
  // one to its index; so a channel begins a chunk of each with its first record, and then with every 64th.
  static constexpr u64 kChunksPerRecord = kTimeframeCount + 1;
  u64 chunks_for(u64 records) const {
    return kChunksPerRecord * (std::min(records, peek(hot_.channels)) + records / kChunkEntries);
  }
  bool arena_has_room(u64 records) const { return peek(hot_.arena_next) + chunks_for(records) <= peek(hot_.arena_ready); }

 private:
  struct Part : Pending {
    i64 arrival;
  };
  struct Work {
    u16 channel;
    bool rare_changed;
    bool rare_loaded;
    u64 applied;  // by the copy that is active in shared memory
    Channel* shared;
    const TickLine* latest;  // of this chunk, where it is newer than the block's
    i64 ts_latest;
    ChannelBlock block;
    ChannelRare rare;
    // Ticks on their way up: see carry().
    Part parts[kTimeframeCount];
    Interval part_interval[kTimeframeCount];
    // The candle of each timeframe that this chunk has already taken up, and its interval: the next second nearly always
    // goes into the same ones.
    struct {
      CandleBody* body;
      i64 start, end;
    } open[kTimeframeCount];
  };

  Work& work_on(u16 channel) {
    if (channel == last_channel_) [[likely]] return *last_work_;
    last_channel_ = channel;
    return *(last_work_ = &work_among(channel));
  }
  Work& work_among(u16 channel) {
    const u64 mark = work_of_[channel];
    if (mark >> 16 == stamp_) return works_[mark & 0xFFFF];
    Work& work = works_[work_count_];
    work_of_[channel] = stamp_ << 16 | work_count_++;
    work.channel = channel;
    work.rare_changed = false;
    work.shared = &views_.channel(channel);
    read_words(work.block, work.shared->block[peek(work.shared->flip) & 1]);
    work.applied = work.block.applied_seq;
    work.rare_loaded = false;
    for (Part& part : work.parts) part.ticks = 0;
    forget_open(work);
    if (work.block.clock_seq != hub_.clock_seq) {  // lateness starts afresh under a new clock
      work.block.clock_seq = hub_.clock_seq;
      work.block.ts_event_max = kTimeNever;
    }
    work.latest = nullptr;
    const bool none = work.block.latest.word == 0 || work.block.ts_event_max == kTimeNever;
    work.ts_latest = none ? kTimeNever : work.block.latest.ts_event;
    return work;
  }
  static void forget_open(Work& work) {
    for (auto& open : work.open) open = {nullptr, 0, 0};
  }
  // Before anything but a tick on time looks at the rings.
  void bring_up_to_date(Work& work) {
    rare_of(work);
    if (work.block.pending.ticks != 0) merge_pending(work, false);
    settle(work);
    forget_open(work);
  }
  // Most ticks change nothing in here, so it is copied only when something does.
  ChannelRare& rare_of(Work& work) {
    if (!work.rare_loaded) {
      read_words(work.rare, work.shared->rare[valid_copy(work.shared->rare, work.applied)]);
      work.rare_loaded = true;
    }
    return work.rare;
  }

  void renew_zone() {
    zone_ = views_.zone();
    intervals_ = IntervalCache();
  }
  i64 watermark(const Work& work) const { return watermark_of(hub_, work.block.ts_event_max, grace_ns_); }

  void note_tick(Work& work, u64 seq, const TickLine& tick) {
    ChannelBlock& block = work.block;
    put(*index_slot(work, block.ticks), seq);
    ++block.ticks;
    block.last_tick_seq = seq;
    block.ts_tick_arrival = tick.ts_publish;
    if (block.ticks == 1) {
      GapSpans spans = GapSpans::of(rare_of(work));
      spans.first_tick(tick.ts_event);
      spans.keep_in(work.rare);
      work.rare_changed = true;
    }
    if (tick.flags & kTickCorrected) {
      ++rare_of(work).corrected;
      work.rare_changed = true;
    }
    if (tick.ts_event >= work.ts_latest) {
      work.latest = &tick;
      work.ts_latest = tick.ts_event;
    }
    if (tick.ts_event > block.ts_event_max) block.ts_event_max = tick.ts_event;
    if (tick.ts_event > hub_.ts_event_max) hub_.ts_event_max = tick.ts_event;
  }

  // ------------------------------------------------------------ ring entries: candle_writer.hpp

  u32 take_chunk();
  u64* index_slot(Work& work, u64 ordinal);
  CandleBody* pair_of(Work& work, u32 frame, u64 ordinal);
  CandleBody* touched_in(const CandleBody* pair) const;
  CandleBody current(Work& work, u32 frame, u64 ordinal);
  i64 start_of(Work& work, u32 frame, u64 ordinal);
  CandleBody* store(Work& work, u32 frame, u64 ordinal, CandleBody body);
  static void prefetch(const CandleBody* pair);
  u64 lowest(const Work& work, u32 frame) const;
  enum class Place { There, Append, Insert, Outside };
  Place place_of(Work& work, u32 frame, i64 start, u64* ordinal);
  CandleBody* put_new(Work& work, u32 frame, u64 ordinal, Place place, const CandleBody& body);
  static void merge_in_place(CandleBody& body, const Pending& part, i64 arrival);
  float coverage(const Work& work, const Interval& interval) const;
  void merge_pending(Work& work, bool late);
  void carry(Work& work, u32 frame, const Part& part);
  void settle(Work& work, u32 frame);
  void settle(Work& work);
  bool merge_into_ring(Work& work, u32 frame, const Part& part, i64 mark);

  // ------------------------------------------------------------ other records: records.hpp

  void pushed_candle(Work& work, const RecordHead& head, CandleBody body);
  void roll_up(Work& work, u32 frame, i64 ts);
  void count_pending(Work& work);
  void clear(Work& work, u64 seq);
  void gap(Work& work, i64 from, i64 to, bool lasts);
  void clock(const RecordHead& head, u64 seq, const unsigned char* payload);
  void sessions(const RecordHead& head, const unsigned char* payload);
  void zone(const RecordHead& head, const unsigned char* payload);
  void definition(const unsigned char* payload);
  void source(const unsigned char* payload);
  void new_channel(const RecordHead& head);
  void clear_all(const RecordHead& head, u64 seq);
  void order_flow(Work& work, const RecordHead& head, u64 seq);
  void apply_to_channel(Work& work, const RecordHead& head, u64 word, const unsigned char* payload);
  void apply(const unsigned char* bytes, u64 word);

  const Views& views_;
  Hot& hot_;
  Zone zone_;
  PriceBasis basis_;
  i64 grace_ns_;
  IntervalCache intervals_;
  HubBlock hub_{};
  HubRare rare_{};
  bool rare_changed_ = false;
  std::vector<Work> works_;
  std::vector<u64> work_of_;  // by channel: stamp and index into works_
  u64 stamp_ = 0;
  u32 work_count_ = 0;
  u16 last_channel_ = kNone16;
  Work* last_work_ = nullptr;
  std::vector<CandleBody*> touched_;
  std::vector<Revision> revisions_;
};

}  // namespace tapehub

#include "candle_writer.hpp"
#include "records.hpp"

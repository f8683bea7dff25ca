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
  // Chunks that one record can need at the most: one for every ring, one for the index.
  static constexpr u64 kChunksPerRecord = kTimeframeCount + 1;
  bool arena_has_room(u64 records) const {
    return peek(hot_.arena_next) + kChunksPerRecord * records <= peek(hot_.arena_ready);
  }

 private:
  void apply(const unsigned char* bytes, u64 word);  // see below

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
    if (block.ticks == 1 && rare_of(work).gap_end == 0) {  // nothing was live before the first tick
      work.rare.gap_start = kTimeNever;
      work.rare.gap_end = tick.ts_event;
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

  // ------------------------------------------------------------ ring entries

  u32 take_chunk() {
    const u64 number = peek(hot_.arena_next);
    put(hot_.arena_next, number + 1);  // first, so that a crash here leaks a chunk and never shares one
    return u32(number) + 1;
  }
  u64* index_slot(Work& work, u64 ordinal) {
    u32& chunk = work.shared->index_chunks[ordinal % kIndexCapacity / kIndexPerChunk];
    if (peek(chunk) == 0) put_release(chunk, take_chunk());
    return views_.index_entry(*work.shared, ordinal);
  }
  CandleBody* pair_of(Work& work, u32 frame, u64 ordinal) {
    const u32 slot = u32(ordinal & (kTimeframes[frame].capacity - 1));
    u32& chunk = work.shared->ring_chunks[kRings.first_chunk[frame] + slot / kChunkEntries];
    if (peek(chunk) == 0) put_release(chunk, take_chunk());
    return views_.entry(*work.shared, frame, ordinal);
  }
  CandleBody* touched_in(const CandleBody* pair) const {
    if (peek(pair[0].seq) != kUnset && peek(pair[1].seq) != kUnset) return nullptr;
    for (size_t i = touched_.size(); i-- > 0;) {
      if (touched_[i] == pair || touched_[i] == pair + 1) return touched_[i];
    }
    return nullptr;  // left by a dead writer
  }
  CandleBody current(Work& work, u32 frame, u64 ordinal) {
    CandleBody* pair = pair_of(work, frame, ordinal);
    const CandleBody* body = touched_in(pair);
    if (!body) body = pair + std::max(0, valid_copy(pair, work.applied));
    CandleBody out;
    read_words(out, *body);
    return out;
  }
  i64 start_of(Work& work, u32 frame, u64 ordinal) {
    CandleBody* pair = pair_of(work, frame, ordinal);
    const CandleBody* body = touched_in(pair);
    if (!body) body = pair + std::max(0, valid_copy(pair, work.applied));
    return peek(body->timestamp);
  }
  CandleBody* store(Work& work, u32 frame, u64 ordinal, CandleBody body) {
    CandleBody* pair = pair_of(work, frame, ordinal);
    CandleBody* target = touched_in(pair);
    if (!target) {
      const int valid = valid_copy(pair, work.applied);
      target = pair + (valid < 0 ? 0 : 1 - valid);
      put(target->seq, kUnset);
      fence_release();
      touched_.push_back(target);
    }
    body.seq = kUnset;
    write_words(*target, body);
    return target;
  }

  // The entry that the next second of this channel will take has not been touched for a whole round of the ring.
  static void prefetch(const CandleBody* pair) {
    for (size_t offset = 0; pair && offset < kEntryBytes; offset += 64) {
      __builtin_prefetch(reinterpret_cast<const char*>(pair) + offset, 1);
    }
  }

  u64 lowest(const Work& work, u32 frame) const {
    const u64 end = work.rare.ring_end[frame], capacity = kTimeframes[frame].capacity;
    return std::max(work.rare.ring_base[frame], end > capacity ? end - capacity : 0);
  }

  enum class Place { There, Append, Insert, Outside };
  Place place_of(Work& work, u32 frame, i64 start, u64* ordinal) {
    const u64 end = work.rare.ring_end[frame], low = lowest(work, frame);
    *ordinal = end;
    if (end == low) return Place::Append;
    const i64 top = start_of(work, frame, end - 1);
    if (start > top) return Place::Append;
    if (start == top) {
      *ordinal = end - 1;
      return Place::There;
    }
    u64 a = low, b = end - 1;  // first entry whose start is not below ours
    while (a < b) {
      const u64 mid = a + (b - a) / 2;
      if (start_of(work, frame, mid) < start) a = mid + 1; else b = mid;
    }
    *ordinal = a;
    if (start_of(work, frame, a) == start) return Place::There;
    const bool full = end - low == kTimeframes[frame].capacity || low != work.rare.ring_base[frame];
    return a == low && full ? Place::Outside : Place::Insert;
  }
  CandleBody* put_new(Work& work, u32 frame, u64 ordinal, Place place, const CandleBody& body) {
    u64& end = work.rare.ring_end[frame];
    work.rare_changed = true;
    if (place == Place::Insert) {
      for (u64 k = end; k > ordinal; --k) store(work, frame, k, current(work, frame, k - 1));
    }
    CandleBody* stored = store(work, frame, ordinal, body);
    ++end;
    if (frame == 0) prefetch(views_.entry(*work.shared, frame, end));
    return stored;
  }

  // `merge` on a body that this chunk is filling, touching only what a part can change.
  static void merge_in_place(CandleBody& body, const Pending& part, i64 arrival) {
    if (part.high > peek(body.high)) put(body.high, part.high);
    if (part.low < peek(body.low)) put(body.low, part.low);
    if (part.ts_last >= peek(body.ts_last)) {
      put(body.close, part.close);
      put(body.ts_last, part.ts_last);
    }
    if (part.ts_first < peek(body.ts_first)) {
      put(body.open, part.open);
      put(body.ts_first, part.ts_first);
    }
    put(body.volume, peek(body.volume) + double(part.ticks));
    put(body.ticks, peek(body.ticks) + u32(part.ticks));
    put(body.ts_arrival, arrival);
  }

  float coverage(const Work& work, const Interval& interval) const {
    const i64 from = std::max(interval.start, work.rare.gap_start), to = std::min(interval.close, work.rare.gap_end);
    if (to <= from) return 1.0f;
    return 1.0f - float(double(to - from) / double(interval.close - interval.start));
  }

  // The pending second into the rings. On time, only its own ring is written at once: longer candles gather their parts
  // in this process's memory until their own interval changes, or the chunk ends.
  void merge_pending(Work& work, bool late) {
    rare_of(work);
    work.rare_changed = true;
    const Part part{work.block.pending, work.block.ts_pending_arrival};
    work.block.pending.ticks = 0;
    work.rare.ts_candle_arrival = part.arrival;
    if (!late) {
      merge_into_ring(work, 0, part, kTimeNever);
      carry(work, 1, part);
      return;
    }
    settle(work);
    const i64 mark = watermark(work);
    const size_t announced = revisions_.size();
    for (u32 frame = 0; frame < kTimeframeCount; ++frame) {
      if (!merge_into_ring(work, frame, part, mark)) break;
    }
    if (revisions_.size() != announced) ++work.rare.late_applied;
  }

  void carry(Work& work, u32 frame, const Part& part) {
    for (; frame < kTimeframeCount; ++frame) {
      auto& gathered = work.parts[frame];
      auto& interval = work.part_interval[frame];
      if (gathered.ticks != 0 && part.start >= interval.start && part.start < interval.end) {
        merge_parts(gathered, part);
        gathered.arrival = part.arrival;
        return;
      }
      if (gathered.ticks != 0) settle(work, frame);
      gathered = part;
      interval = intervals_.of(zone_, frame, part.start, work.shared->week_days);
      return;
    }
  }
  // What a timeframe has gathered goes into its ring, and on to the next one.
  void settle(Work& work, u32 frame) {
    const Part part = work.parts[frame];
    work.parts[frame].ticks = 0;
    if (merge_into_ring(work, frame, part, kTimeNever)) carry(work, frame + 1, part);
  }
  void settle(Work& work) {
    for (u32 frame = 1; frame < kTimeframeCount; ++frame) {
      if (work.parts[frame].ticks != 0) settle(work, frame);
    }
  }

  // False when a pushed minute owns the interval: neither it nor what rolls up from it takes ticks. A candle that was
  // closed by `mark` is revised, and announced.
  bool merge_into_ring(Work& work, u32 frame, const Part& part, i64 mark) {
    auto& open = work.open[frame];
    if (mark == kTimeNever && part.start >= open.start && part.start < open.end) {
      merge_in_place(*open.body, part, part.arrival);
      return true;
    }
    const Interval interval = intervals_.of(zone_, frame, part.start, work.shared->week_days);
    u64 ordinal;
    const Place place = place_of(work, frame, interval.start, &ordinal);
    const bool closed = mark != kTimeNever && interval.close <= mark;
    CandleBody body;
    if (place == Place::There) {
      body = current(work, frame, ordinal);
      if (frame == kMinuteFrame && (body.flags & kCandlePushed)) {
        work.rare.superseded_ticks += part.ticks;
        return false;
      }
      merge(body, part, part.arrival);
      if (closed) ++body.revision;
      open = {store(work, frame, ordinal, body), interval.start, interval.end};
    } else if (place == Place::Outside) {
      if (frame == kMinuteFrame) work.rare.late_unapplied += part.ticks;
      return true;
    } else {
      body = candle_of(part, interval.start, frame, part.arrival, work.shared->source, work.shared->instrument);
      body.coverage = coverage(work, interval);
      if (closed) ++body.revision;
      CandleBody* stored = put_new(work, frame, ordinal, place, body);
      // An insertion moves the others: what was open may be another entry now.
      if (place == Place::Insert) open = {nullptr, 0, 0}; else open = {stored, interval.start, interval.end};
      if (frame == kMinuteFrame) ++work.rare.candles_built;
      if (frame == 0 && interval.start > work.block.ring_top) work.block.ring_top = interval.start;
    }
    if (closed) {
      body.status = u8(CandleStatus::Revised);
      revisions_.push_back({body});
    }
    return true;
  }

  // ------------------------------------------------------------ pushed candles, clears, gaps

  void pushed_candle(Work& work, const RecordHead& head, CandleBody body) {
    bring_up_to_date(work);
    const Interval minute = intervals_.of(zone_, kMinuteFrame, body.timestamp, work.shared->week_days);
    body.timestamp = minute.start;
    body.timeframe = kMinuteFrame;
    body.flags |= kCandlePushed;
    body.ts_first = minute.start;
    body.ts_last = minute.end - 1;
    body.ts_arrival = head.ts_publish;
    body.instrument = work.shared->instrument;  // its source stays as labelled by the caller
    body.revision = 1;
    body.status = 0;
    ++(body.flags & kCandleWarm ? work.rare.candles_warm : work.rare.candles_received);
    work.rare.ts_candle_arrival = head.ts_publish;
    work.rare_changed = true;
    u64 ordinal;
    const Place place = place_of(work, kMinuteFrame, minute.start, &ordinal);
    if (place == Place::Outside) return;  // older than the ring: it stays in the log
    if (place == Place::There) {
      CandleBody old = current(work, kMinuteFrame, ordinal);
      body.revision = u16(old.revision + 1);
      store(work, kMinuteFrame, ordinal, body);
      if (!(old.flags & kCandlePushed)) {
        old.status = u8(CandleStatus::Superseded);
        revisions_.push_back({old});
      }
    } else {
      put_new(work, kMinuteFrame, ordinal, place, body);
    }
    // A tick before a minute that is there already goes into the rings at once: readers merge the pending one on top.
    work.block.ring_top = std::max(work.block.ring_top, minute.start - kSecond);
    for (u32 frame = kMinuteFrame + 1; frame < kTimeframeCount; ++frame) roll_up(work, frame, minute.start);
  }

  // A candle again from its children, which the pushed minute changed.
  void roll_up(Work& work, u32 frame, i64 ts) {
    const Interval interval = intervals_.of(zone_, frame, ts, work.shared->week_days);
    u64 first;
    place_of(work, frame - 1, interval.start, &first);
    const u64 end = work.rare.ring_end[frame - 1];
    CandleBody sum{};
    u32 children = 0;
    for (u64 k = first; k < end; ++k) {
      const CandleBody child = current(work, frame - 1, k);
      if (child.timestamp >= interval.end) break;
      if (child.timestamp < interval.start) continue;
      if (children++ == 0) sum = child; else merge(sum, child);
    }
    if (children == 0) return;
    sum.timestamp = interval.start;
    sum.timeframe = u8(frame);
    sum.flags &= u8(kCandleRealVolume | kCandleBackfill);
    sum.revision = 1;
    u64 ordinal;
    const Place place = place_of(work, frame, interval.start, &ordinal);
    if (place == Place::Outside) return;
    if (place == Place::There) {
      const CandleBody old = current(work, frame, ordinal);
      const u64 low = lowest(work, frame - 1);
      const bool full = end - low == kTimeframes[frame - 1].capacity;
      // Older children have left their ring, nothing can be added up again: it keeps what it was made of.
      if (first == low && full && start_of(work, frame - 1, first) > interval.start) return;
      sum.revision = interval.close <= watermark(work) ? u16(old.revision + 1) : old.revision;
      sum.coverage = old.coverage;
      store(work, frame, ordinal, sum);
    } else {
      put_new(work, frame, ordinal, place, sum);
    }
  }

  void clear(Work& work, u64 seq) {
    bring_up_to_date(work);
    ChannelRare& rare = work.rare;
    for (u32 frame = 0; frame < kTimeframeCount; ++frame) rare.ring_base[frame] = rare.ring_end[frame];
    rare.cleared_seq = seq;
    rare.ticks_at_clear = work.block.ticks;
    rare.flow_seq = 0;
    rare.ts_flow_arrival = rare.ts_candle_arrival = 0;
    work.rare_changed = true;
    work.block.pending = Pending{};
    work.block.latest = TickLine{};
    work.latest = nullptr;
    work.ts_latest = kTimeNever;
    work.block.ts_tick_arrival = 0;
    work.block.ring_top = kTimeNever;
  }

  void gap(Work& work, i64 from, i64 to, bool lasts) {
    bring_up_to_date(work);
    for (u32 frame = 0; frame < kTimeframeCount && !lasts; ++frame) {
      for (u64 k = work.rare.ring_end[frame], low = lowest(work, frame); k-- > low;) {
        CandleBody body = current(work, frame, k);
        const Interval interval = intervals_.of(zone_, frame, body.timestamp, work.shared->week_days);
        if (interval.close <= from) break;
        const i64 overlap = std::min(interval.close, to) - std::max(interval.start, from);
        if (overlap <= 0) continue;
        body.coverage = std::max(0.0f, body.coverage - float(double(overlap) / double(interval.close - interval.start)));
        store(work, frame, k, body);
      }
    }
    work.rare.gap_start = from;
    work.rare.gap_end = to;
    work.rare_changed = true;
  }

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

inline void Applier::apply(const unsigned char* bytes, u64 word) {
  RecordHead head;
  read_words(head, *reinterpret_cast<const RecordHead*>(bytes));
  const Kind kind = word_kind(word);
  const u64 seq = word_seq(word);
  const unsigned char* payload = bytes + kLineBytes;
  if (kind == Kind::Pad || kind == Kind::Segment) return;
  if (u32(kind) < kKindsCounted) {
    ++rare_.by_kind[u32(kind)];
    rare_changed_ = true;
  }
  const u16 channel = head.instrument < kInstrumentsMax && head.source < kSourcesMax
                          ? channel_of(head.instrument, head.source) : kNone16;
  if (kind == Kind::Definition || kind == Kind::Source || kind == Kind::Channel) {
    put(hot_.definitions, seq);  // by sequence, so that applying it again changes nothing
  }
  switch (kind) {
    case Kind::Watermark:
      if (head.ts_event > hub_.watermark_ns) hub_.watermark_ns = head.ts_event;
      break;
    case Kind::Clock: {
      read_words(rare_.clock, *reinterpret_cast<const ClockBody*>(payload));
      hub_.clock_mode = rare_.clock.mode;
      hub_.watermark_mode = rare_.clock.watermark_mode;
      if (head.flags & 1) break;  // same time line: only who moves the watermark has changed
      hub_.clock_seq = seq;
      hub_.watermark_ns = rare_.clock.watermark_ns;
      hub_.ts_event_max = kTimeNever;
      break;
    }
    case Kind::Calendar: {
      const u64 n = std::min<u64>(head.fixed[1], 192);
      auto* rows = reinterpret_cast<const i64*>(payload);
      for (u64 i = 0; i < n; ++i) {
        put(hot_.zone_from[i], rows[2 * i]);
        put(hot_.zone_offset[i], rows[2 * i + 1]);
      }
      put_release(hot_.zone_count, n);
      renew_zone();
      break;
    }
    case Kind::Definition: {
      InstrumentRow row;
      read_words(row, *reinterpret_cast<const InstrumentRow*>(payload));
      if (row.id >= kInstrumentsMax) break;
      if (row.id < peek(hot_.instruments) && row.primary_channel == kNone16) {
        row.primary_channel = peek(views_.instrument(row.id).primary_channel);
      }
      Instrument& copies = views_.instrument_copies(row.id);
      const u64 flip = peek(copies.flip);
      fence_release();
      write_words(copies.row[(flip + 1) & 1], row);
      put_release(copies.flip, flip + 1);
      if (row.id >= peek(hot_.instruments)) put_release(hot_.instruments, row.id + 1);
      break;
    }
    case Kind::Source: {
      SourceRow row;
      read_words(row, *reinterpret_cast<const SourceRow*>(payload));
      if (row.id >= kSourcesMax) break;
      write_words(views_.source(row.id), row);
      if (row.id >= peek(hot_.sources)) put_release(hot_.sources, u64(row.id) + 1);
      break;
    }
    case Kind::Channel: {
      const u64 id = head.fixed[1];
      if (id >= kChannelsMax || channel != kNone16) break;
      Channel& shared = views_.channel(u32(id));
      const InstrumentRow& row = views_.instrument(head.instrument);
      put(shared.instrument, head.instrument);
      put(shared.source, head.source);
      put(shared.week_days, row.week_days);
      put(shared.block[0].ts_event_max, kTimeNever);
      put(shared.block[0].ring_top, kTimeNever);
      if (peek(row.primary_channel) == kNone16) put(views_.instrument(head.instrument).primary_channel, u16(id));
      if (id >= peek(hot_.channels)) put_release(hot_.channels, id + 1);
      put_release(views_.channel_slot(head.instrument, head.source), u16(id + 1));
      break;
    }
    case Kind::Clear:
      if (head.instrument == kNone16) {
        for (u64 one = 0, n = peek(hot_.channels); one < n; ++one) {
          if (applied_seq(u16(one)) < seq) clear(work_on(u16(one)), seq);
        }
        break;
      }
      for (u32 source = 0; source < kSourcesMax; ++source) {
        const u16 one = channel_of(head.instrument, u8(source));
        if (one != kNone16 && applied_seq(one) < seq) clear(work_on(one), seq);
      }
      break;
    case Kind::Candle:
      if (channel != kNone16 && applied_seq(channel) < seq) {
        CandleBody body;
        read_words(body, *reinterpret_cast<const CandleBody*>(payload));
        const auto status = CandleStatus(body.status);
        if (status != CandleStatus::Revised && status != CandleStatus::Superseded) {
          pushed_candle(work_on(channel), head, body);
        }
      }
      break;
    case Kind::OrderFlow:
      if (channel != kNone16 && applied_seq(channel) < seq) {
        Work& work = work_on(channel);
        rare_of(work).flow_seq = seq;
        work.rare.ts_flow_arrival = head.ts_publish;
        ++work.rare.flow_updates;
        work.rare_changed = true;
      }
      break;
    case Kind::State:
      if (channel != kNone16 && applied_seq(channel) < seq) {
        Work& work = work_on(channel);
        rare_of(work).state = head.fixed[1];
        work.rare.ts_state = head.ts_event;
        work.rare_changed = true;
      }
      break;
    case Kind::Gap:
      if (channel != kNone16 && applied_seq(channel) < seq && !(head.flags & kGapNoted)) {
        gap(work_on(channel), i64(head.fixed[1]), head.flags & kGapLasts ? INT64_MAX : i64(head.fixed[2]),
            head.flags & kGapLasts);
      }
      break;
    default: break;
  }
}

}  // namespace tapehub

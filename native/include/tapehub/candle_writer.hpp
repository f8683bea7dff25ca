// Seconds into candles into rings: the part of the applier that touches ring entries. Included by applier.hpp.
#pragma once

#include "applier.hpp"

namespace tapehub {

inline u32 Applier::take_chunk() {
  const u64 number = peek(hot_.arena_next);
  if (number >= peek(hot_.arena_ready)) [[unlikely]] {  // rather an error, and nothing published, than a bus error
    fail(Cause::Hub, "the candle rings have no chunk left of " + std::to_string(number) +
                         ", expected room for every publish: this is a bug of tapehub's; open the hub again");
  }
  put(hot_.arena_next, number + 1);  // first, so that a crash here leaks a chunk and never shares one
  return u32(number) + 1;
}

inline u64* Applier::index_slot(Work& work, u64 ordinal) {
  u32& chunk = work.shared->index_chunks[ordinal % kIndexCapacity / kIndexPerChunk];
  if (peek(chunk) == 0) put_release(chunk, take_chunk());
  return views_.index_entry(*work.shared, ordinal);
}

inline CandleBody* Applier::pair_of(Work& work, u32 frame, u64 ordinal) {
  const u32 slot = u32(ordinal & (kTimeframes[frame].capacity - 1));
  u32& chunk = work.shared->ring_chunks[kRings.first_chunk[frame] + slot / kChunkEntries];
  if (peek(chunk) == 0) put_release(chunk, take_chunk());
  return views_.entry(*work.shared, frame, ordinal);
}

inline CandleBody* Applier::touched_in(const CandleBody* pair) const {
  if (peek(pair[0].seq) != kUnset && peek(pair[1].seq) != kUnset) return nullptr;
  for (size_t i = touched_.size(); i-- > 0;) {
    if (touched_[i] == pair || touched_[i] == pair + 1) return touched_[i];
  }
  return nullptr;  // left by a dead writer
}

inline CandleBody Applier::current(Work& work, u32 frame, u64 ordinal) {
  CandleBody* pair = pair_of(work, frame, ordinal);
  const CandleBody* body = touched_in(pair);
  if (!body) body = pair + std::max(0, valid_copy(pair, work.applied));
  CandleBody out;
  read_words(out, *body);
  return out;
}

inline i64 Applier::start_of(Work& work, u32 frame, u64 ordinal) {
  CandleBody* pair = pair_of(work, frame, ordinal);
  const CandleBody* body = touched_in(pair);
  if (!body) body = pair + std::max(0, valid_copy(pair, work.applied));
  return peek(body->timestamp);
}

inline CandleBody* Applier::store(Work& work, u32 frame, u64 ordinal, CandleBody body) {
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
inline void Applier::prefetch(const CandleBody* pair) {
  for (size_t offset = 0; pair && offset < kEntryBytes; offset += 64) {
    __builtin_prefetch(reinterpret_cast<const char*>(pair) + offset, 1);
  }
}

inline u64 Applier::lowest(const Work& work, u32 frame) const {
  const u64 end = work.rare.ring_end[frame], capacity = kTimeframes[frame].capacity;
  return std::max(work.rare.ring_base[frame], end > capacity ? end - capacity : 0);
}

inline Applier::Place Applier::place_of(Work& work, u32 frame, i64 start, u64* ordinal) {
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

inline CandleBody* Applier::put_new(Work& work, u32 frame, u64 ordinal, Place place, const CandleBody& body) {
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
inline void Applier::merge_in_place(CandleBody& body, const Pending& part, i64 arrival) {
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

inline float Applier::coverage(const Work& work, const Interval& interval) const {
  return GapSpans::of(work.rare).coverage(interval);
}

// The pending second into the rings. On time, only its own ring is written at once: longer candles gather their parts
// in this process's memory until their own interval changes, or the chunk ends.
inline void Applier::merge_pending(Work& work, bool late) {
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

inline void Applier::carry(Work& work, u32 frame, const Part& part) {
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
inline void Applier::settle(Work& work, u32 frame) {
  const Part part = work.parts[frame];
  work.parts[frame].ticks = 0;
  if (merge_into_ring(work, frame, part, kTimeNever)) carry(work, frame + 1, part);
}

inline void Applier::settle(Work& work) {
  for (u32 frame = 1; frame < kTimeframeCount; ++frame) {
    if (work.parts[frame].ticks != 0) settle(work, frame);
  }
}

// False when a pushed minute owns the interval: neither it nor what rolls up from it takes ticks. A candle that was
// closed by `mark` is revised, and announced.
inline bool Applier::merge_into_ring(Work& work, u32 frame, const Part& part, i64 mark) {
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

}  // namespace tapehub

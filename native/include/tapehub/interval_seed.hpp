// Beginning to follow intervals at the head of the log, without reading the log: from what the views hold. Included by
// intervals.hpp.
#pragma once

#include "intervals.hpp"

namespace tapehub {

// The hub's block says up to which line it is true, a channel's up to which record: when no channel is ahead of the hub,
// all of them are as at the hub's head. 0 when the views cannot tell where reports begin, kUnset when a writer came between.
inline u64 IntervalFold::try_seed(Hub& hub) {
  HubBlock block;
  read_flipped(hub.hot().flip, hub.hot().block, block);
  by_ticks_ = WatermarkMode(block.watermark_mode) == WatermarkMode::Ticks;
  watermark_ = block.watermark_ns;
  std::vector<CandleBody> bodies;
  for (u64 id = 0, n = peek_acquire(hub.hot().channels); id < n; ++id) {
    define(hub, u16(id));
    if (!wanted(u16(id))) continue;
    Work& work = works_[id];
    const Channel& shared = hub.views().channel(u32(id));
    ChannelState state;
    if (!try_read_channel(shared, state) || state.block.applied_seq >= block.head) return kUnset;
    work.ticks = state.block.ticks;
    work.gaps = GapSpans::of(state.rare);
    if (state.block.clock_seq == block.clock_seq) work.ts_event_max = state.block.ts_event_max;
    // Else nothing has begun under this clock; candles of an earlier one may still be joined by ticks to come.
    const bool begun = watermark_ != kTimeNever || work.ts_event_max != kTimeNever;
    if (begun && !seed_open(hub, shared, state, block, work)) return 0;
    for (u32 frame = 0; frame <= longest_; ++frame) {
      if (!kept_[frame]) continue;
      RingQuery query{frame, kTimeframes[frame].capacity + 1};
      query.from = frame >= kMinuteFrame ? work.open[longest_] : work.open[frame];
      query.forming = true;
      bodies.resize(query.limit);
      const i64 count = hub.rings().try_read(shared, state, block, query, bodies.data());
      if (count < 0) return kUnset;
      work.rings[frame].assign(bodies.begin(), bodies.begin() + count);
      if (u64(count) > kTimeframes[frame].capacity) work.rings[frame].pop_front();
    }
  }
  return block.head;
}

// What a reader of the whole log would have open: the first interval that is not closed, where two things can be ruled
// out. The channel may have begun after it: not where its newest tick lies before, or one of its earlier ticks under this
// clock. And ticks may have closed more before a server came: not where it was there before any that could have.
inline bool IntervalFold::seed_open(Hub& hub, const Channel& shared, const ChannelState& state, const HubBlock& block, Work& work) {
  std::fill(std::begin(work.open), std::end(work.open), kTimeNever);
  work.closed = mark_of(work);
  if (work.closed == kTimeNever) return false;  // a server has come, and has said nothing yet
  open_after(work, work.closed);
  if (work.ts_event_max == kTimeNever) return true;
  i64 first_end = INT64_MAX, first_close = INT64_MAX;
  for (u32 frame = 0; frame <= longest_; ++frame) {
    if (!asked_[frame]) continue;
    const Interval interval = interval_at(work, frame, work.open[frame]);
    first_close = std::min(first_close, interval.close);
    if (work.ts_event_max >= interval.start) first_end = std::min(first_end, interval.end);
  }
  const bool may_be_closed = !by_ticks_ && work.ts_event_max - grace_ns_ >= first_close;
  if (first_end == INT64_MAX && !may_be_closed) return true;
  const u64 end = state.block.ticks, reach = std::min<u64>(end, kIndexCapacity - 2 * kBatchRecords);
  for (u64 k = end - reach; k < end; ++k) {
    const u64* entry = hub.views().index_entry(shared, k);
    const u64 seq = entry ? peek(*entry) : 0;
    const TickLine* line = seq == 0 ? nullptr : hub.log().tick(seq);
    if (!line || word_seq(peek_acquire(line->word)) != seq || word_kind(peek(line->word)) != Kind::Tick) return false;
    const i64 ts = peek(line->ts_event);
    if (k == end - reach && first_end != INT64_MAX && (seq <= block.clock_seq || ts >= first_end)) return false;
    if (!may_be_closed) return true;
    if (ts - grace_ns_ < first_close) continue;
    if (k == end - reach && reach < end) return false;
    bool changed = false;
    each_record(hub, seq, block.head, [&](const unsigned char*, Kind kind) { changed |= kind == Kind::Clock; });
    return !changed;
  }
  return false;
}

}  // namespace tapehub

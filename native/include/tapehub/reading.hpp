// What readers get out of the views: no lock, no system call, bounded steps.
#pragma once

#include "views.hpp"

namespace tapehub {

inline ChannelState read_channel(const Channel& channel) {
  ChannelState out;
  for (u32 attempt = 0; attempt < kReadAttempts; ++attempt) {
    if (try_read_channel(channel, out)) return out;
    cpu_pause();
  }
  fail_lapped("a channel");
}

struct RingQuery {
  u32 frame;
  u64 limit;
  i64 from = kTimeNever;     // open times in [from, to)
  i64 to = INT64_MAX;
  bool forming = false;      // the unfinished candle too
};

// Fills `out` (room for limit bodies) oldest first and returns how many. One consistent state of the channel. Any
// number of threads may share one.
class RingReader {
 public:
  RingReader(const Views& views, i64 grace_ns) : views_(views), grace_ns_(grace_ns) {}

  // Counters as if the pending ticks were merged already. False when the ring has moved on since.
  bool account_pending(const Channel& channel, ChannelState& state) const {
    if (state.block.pending.ticks == 0) return true;
    const u64 end = state.rare.ring_end[kMinuteFrame], low = lowest(state.rare, kMinuteFrame);
    CandleBody top;
    top.timestamp = kTimeNever;
    if (end > low && !read_entry(channel, kMinuteFrame, end - 1, state.block.applied_seq, top)) return false;
    if (top.timestamp != floor_div(state.block.pending.start, kMinute) * kMinute) {
      ++state.rare.candles_built;
    } else if (top.flags & kCandlePushed) {
      state.rare.superseded_ticks += state.block.pending.ticks;
    }
    return true;
  }

  // How many candles the query can return at the most, for sizing the output.
  u64 bound(const Channel& channel, const RingQuery& query) const {
    const ChannelState state = read_channel(channel);
    return std::min(query.limit, state.rare.ring_end[query.frame] - lowest(state.rare, query.frame) + 1);
  }

  u64 read(const Channel& channel, const RingQuery& query, CandleBody* out) const {
    ChannelState state;
    for (u32 attempt = 0; attempt < kReadAttempts; ++attempt) {
      if (!try_read_channel(channel, state)) continue;
      HubBlock hub;
      read_flipped(views_.hot().flip, views_.hot().block, hub);
      const i64 count = try_read(channel, state, hub, query, out);
      if (count >= 0) return u64(count);
      cpu_pause();
    }
    fail_lapped("a candle ring");
  }

  // As read, from a state that the caller took: -1 when the ring has moved on since.
  i64 try_read(const Channel& channel, const ChannelState& state, const HubBlock& hub, const RingQuery& query,
               CandleBody* out) const {
    const i64 count = try_fill(channel, state, hub, query, [out](u64 i) -> CandleBody& { return out[i]; });
    if (count > 0 && u64(count) < query.limit) {
      std::memmove(out, out + (query.limit - u64(count)), u64(count) * sizeof(CandleBody));
    }
    return count;
  }

  // The same into places of the caller's choosing: out(0) to out(limit - 1), of which the last `count` are filled.
  template <class Out>
  u64 fill(const Channel& channel, const RingQuery& query, Out out) const {
    ChannelState state;
    for (u32 attempt = 0; attempt < kReadAttempts; ++attempt) {
      if (!try_read_channel(channel, state)) continue;
      HubBlock hub;
      read_flipped(views_.hot().flip, views_.hot().block, hub);
      const i64 count = try_fill(channel, state, hub, query, out);
      if (count >= 0) return u64(count);
      cpu_pause();
    }
    fail_lapped("a candle ring");
  }

  template <class Out>
  i64 try_fill(const Channel& channel, const ChannelState& state, const HubBlock& hub, const RingQuery& query,
               Out out) const {
    const Zone zone = views_.zone();  // each time: the calendar may have been published after we attached
    const u64 applied = state.block.applied_seq;
    const u64 end = state.rare.ring_end[query.frame], low = lowest(state.rare, query.frame);
    const i64 mark = watermark_of(hub, state.block.ts_event_max, grace_ns_);
    const Pending& pending = state.block.pending;
    u64 room = query.limit, count = 0;
    bool older_are_final = false;
    // Newest first, from the end of the output on.
    auto emit = [&](CandleBody& body) {
      if (!older_are_final) {
        const bool closed = close_of(zone, query.frame, body.timestamp, channel.week_days) <= mark;
        const bool final = closed || (body.flags & kCandlePushed);
        body.status = u8(!final ? CandleStatus::Forming
                                : body.revision > 1 ? CandleStatus::Revised : CandleStatus::Final);
        older_are_final = closed;
        if (!final && !query.forming) return;
      } else {
        body.status = u8(body.revision > 1 ? CandleStatus::Revised : CandleStatus::Final);
      }
      CandleBody& slot = out(query.limit - ++count);
      if (&slot != &body) slot = body;
      --room;
    };
    u64 ordinal = end;
    bool waiting = pending.ticks != 0;
    if (waiting) {
      const i64 start = interval_of(zone, query.frame, pending.start, channel.week_days).start;
      CandleBody top;
      top.timestamp = kTimeNever;
      if (end > low && !read_entry(channel, query.frame, end - 1, applied, top)) return -1;
      if (top.timestamp == start) {
        if (!(query.frame >= kMinuteFrame && minute_is_pushed(channel, state))) merge(top, pending, state.block.ts_pending_arrival);
        --ordinal;
      } else if (query.frame > kMinuteFrame && minute_is_pushed(channel, state)) {
        waiting = false;
      } else {
        top = candle_of(pending, start, query.frame, state.block.ts_pending_arrival, channel.source, channel.instrument);
        top.seq = state.block.last_tick_seq;
        top.coverage = coverage(zone, state.rare, channel, query.frame, start);
      }
      if (waiting && top.timestamp >= query.from && top.timestamp < query.to && room > 0) emit(top);
    }
    while (ordinal > low && room > 0) {
      if (older_are_final && query.from == kTimeNever && (query.to == INT64_MAX || count != 0)) {
        const i64 copied = read_final(channel, query.frame, ordinal, std::min(room, ordinal - low), applied, room, out);
        if (copied < 0) return -1;
        count += u64(copied);
        break;
      }
      CandleBody& body = out(query.limit - count - 1);
      if (!read_entry(channel, query.frame, --ordinal, applied, body)) return -1;
      if (body.timestamp < query.from) break;
      if (body.timestamp >= query.to) {
        if (close_of(zone, query.frame, body.timestamp, channel.week_days) <= mark) older_are_final = true;
        continue;
      }
      emit(body);
    }
    return i64(count);
  }

  static u64 lowest(const ChannelRare& rare, u32 frame) {
    const u64 end = rare.ring_end[frame], capacity = kTimeframes[frame].capacity;
    return std::max(rare.ring_base[frame], end > capacity ? end - capacity : 0);
  }

  // The long run of finished candles below `ordinal`, newest at out(room - 1): a chunk at a time.
  template <class Out>
  i64 read_final(const Channel& channel, u32 frame, u64 ordinal, u64 count, u64 applied, u64 room, Out out) const {
    for (u64 left = count; left > 0;) {
      const u64 in_chunk = std::min(left, (ordinal - 1) % kChunkEntries + 1);
      const CandleBody* pair = views_.entry(channel, frame, ordinal - 1);
      if (!pair) return -1;
      for (u64 i = 0; i < in_chunk; ++i, pair -= 2) {
        CandleBody& body = out(--room);
        if (!read_tagged(pair, applied, body)) return -1;
        body.status = u8(body.revision > 1 ? CandleStatus::Revised : CandleStatus::Final);
      }
      ordinal -= in_chunk;
      left -= in_chunk;
    }
    return i64(count);
  }

  bool read_entry(const Channel& channel, u32 frame, u64 ordinal, u64 applied, CandleBody& out) const {
    const CandleBody* pair = views_.entry(channel, frame, ordinal);
    return pair && read_tagged(pair, applied, out);
  }

 private:
  static i64 close_of(const Zone& zone, u32 frame, i64 start, u32 week_days) {
    if (frame <= kHourFrame) return start + kTimeframes[frame].span_ns;
    return interval_of(zone, frame, start, week_days).close;
  }
  // A pending tick does not change a minute that a caller authored, nor what rolls up from it.
  bool minute_is_pushed(const Channel& channel, const ChannelState& state) const {
    const u64 end = state.rare.ring_end[kMinuteFrame];
    CandleBody body;
    return end > lowest(state.rare, kMinuteFrame) &&
           read_entry(channel, kMinuteFrame, end - 1, state.block.applied_seq, body) &&
           body.timestamp == floor_div(state.block.pending.start, kMinute) * kMinute && (body.flags & kCandlePushed);
  }
  static float coverage(const Zone& zone, const ChannelRare& rare, const Channel& channel, u32 frame, i64 start) {
    return GapSpans::of(rare).coverage(interval_of(zone, frame, start, channel.week_days));
  }

  const Views& views_;
  i64 grace_ns_;
};

}  // namespace tapehub

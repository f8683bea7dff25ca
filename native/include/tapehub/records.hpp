// What records other than ticks do to the views: pushed candles, clears, gaps, clocks, definitions. Included by applier.hpp.
#pragma once

#include "applier.hpp"

namespace tapehub {

inline void Applier::pushed_candle(Work& work, const RecordHead& head, CandleBody body) {
  bring_up_to_date(work);
  const Interval minute = intervals_.of(zone_, kMinuteFrame, body.timestamp, work.shared->week_days);
  body = pushed_body(body, minute, head.ts_publish, work.shared->instrument);
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
inline void Applier::roll_up(Work& work, u32 frame, i64 ts) {
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
    const bool closed = interval.close <= watermark(work);
    sum.revision = u16(old.revision + closed);
    sum.coverage = old.coverage;
    store(work, frame, ordinal, sum);
    if (closed) {
      sum.status = u8(CandleStatus::Revised);
      revisions_.push_back({sum});
    }
  } else {
    sum.coverage = coverage(work, interval);  // not that of its first minute
    put_new(work, frame, ordinal, place, sum);
  }
}

// As merging it would count it. A clear drops it at once, and one of all channels has no room in the rings of each.
inline void Applier::count_pending(Work& work) {
  const Pending& pending = work.block.pending;
  if (pending.ticks == 0) return;
  u64 ordinal;
  switch (place_of(work, kMinuteFrame, floor_div(pending.start, kMinute) * kMinute, &ordinal)) {
    case Place::There:
      if (current(work, kMinuteFrame, ordinal).flags & kCandlePushed) work.rare.superseded_ticks += pending.ticks;
      break;
    case Place::Outside: work.rare.late_unapplied += pending.ticks; break;
    default: ++work.rare.candles_built;
  }
}

inline void Applier::clear(Work& work, u64 seq) {
  rare_of(work);
  count_pending(work);
  forget_open(work);
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

inline void Applier::gap(Work& work, i64 from, i64 to, bool lasts) {
  bring_up_to_date(work);
  GapSpans spans = GapSpans::of(work.rare);
  for (u32 frame = 0; frame < kTimeframeCount && !lasts; ++frame) {
    for (u64 k = work.rare.ring_end[frame], low = lowest(work, frame); k-- > low;) {
      CandleBody body = current(work, frame, k);
      const Interval interval = intervals_.of(zone_, frame, body.timestamp, work.shared->week_days);
      if (interval.close <= from) break;
      if (frame == kMinuteFrame && (body.flags & kCandlePushed)) continue;  // it came with its coverage
      const float reduced = spans.reduced(body.coverage, interval, from, to);
      if (reduced == body.coverage) continue;
      body.coverage = reduced;
      store(work, frame, k, body);
    }
  }
  spans.note(from, to);
  spans.keep_in(work.rare);
  work.rare_changed = true;
}

// ---------------------------------------------------------------- of the hub as a whole

inline void Applier::clock(const RecordHead& head, u64 seq, const unsigned char* payload) {
  read_words(rare_.clock, *reinterpret_cast<const ClockBody*>(payload));
  hub_.clock_mode = rare_.clock.mode;
  hub_.watermark_mode = rare_.clock.watermark_mode;
  if (head.flags & kClockGoesOn) return;  // same time line: only who moves the watermark has changed
  hub_.clock_seq = seq;
  hub_.watermark_ns = rare_.clock.watermark_ns;
  hub_.ts_event_max = kTimeNever;
}

inline void Applier::sessions(const RecordHead& head, const unsigned char* payload) {
  if (head.fixed[1] >= kCalendarsMax || head.fixed[0] != sizeof(SessionTableBody)) return;
  SessionTableBody body;
  read_words(body, *reinterpret_cast<const SessionTableBody*>(payload));
  SessionTable& copies = hot_.sessions[head.fixed[1]];
  const u64 flip = peek(copies.flip);
  fence_release();
  write_words(copies.body[(flip + 1) & 1], body);
  put_release(copies.flip, flip + 1);
}

inline void Applier::zone(const RecordHead& head, const unsigned char* payload) {
  const u64 n = std::min<u64>(head.fixed[1], 192);
  auto* rows = reinterpret_cast<const i64*>(payload);
  for (u64 i = 0; i < n; ++i) {
    put(hot_.zone_from[i], rows[2 * i]);
    put(hot_.zone_offset[i], rows[2 * i + 1]);
  }
  put_release(hot_.zone_count, n);
  renew_zone();
}

inline void Applier::definition(const unsigned char* payload) {
  InstrumentRow row;
  read_words(row, *reinterpret_cast<const InstrumentRow*>(payload));
  if (row.id >= kInstrumentsMax) return;
  if (row.id < peek(hot_.instruments) && row.primary_channel == kNone16) {
    row.primary_channel = peek(views_.instrument(row.id).primary_channel);
  }
  Instrument& copies = views_.instrument_copies(row.id);
  const u64 flip = peek(copies.flip);
  fence_release();
  write_words(copies.row[(flip + 1) & 1], row);
  put_release(copies.flip, flip + 1);
  if (row.id >= peek(hot_.instruments)) put_release(hot_.instruments, row.id + 1);
}

inline void Applier::source(const unsigned char* payload) {
  SourceRow row;
  read_words(row, *reinterpret_cast<const SourceRow*>(payload));
  if (row.id >= kSourcesMax) return;
  write_words(views_.source(row.id), row);
  if (row.id >= peek(hot_.sources)) put_release(hot_.sources, u64(row.id) + 1);
}

inline void Applier::new_channel(const RecordHead& head) {
  const u64 id = head.fixed[1];
  if (id >= kChannelsMax) return;
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
}

inline void Applier::clear_all(const RecordHead& head, u64 seq) {
  if (head.instrument == kNone16) {
    for (u64 one = 0, n = peek(hot_.channels); one < n; ++one) {
      if (applied_seq(u16(one)) < seq) clear(work_on(u16(one)), seq);
    }
    return;
  }
  for (u32 source = 0; source < kSourcesMax; ++source) {
    const u16 one = channel_of(head.instrument, u8(source));
    if (one != kNone16 && applied_seq(one) < seq) clear(work_on(one), seq);
  }
}

// ---------------------------------------------------------------- of one channel

// The latest is that of the greatest ts_event; a new clock and a clear begin anew.
inline void Applier::order_flow(Work& work, const RecordHead& head, u64 seq) {
  ChannelRare& rare = rare_of(work);
  if (rare.flow_seq == 0 || rare.flow_clock_seq != hub_.clock_seq || head.ts_event >= rare.ts_flow_event) {
    rare.flow_seq = seq;
    rare.ts_flow_event = head.ts_event;
    rare.flow_clock_seq = hub_.clock_seq;
  }
  work.rare.ts_flow_arrival = head.ts_publish;
  ++work.rare.flow_updates;
  work.rare_changed = true;
}

inline void Applier::apply_to_channel(Work& work, const RecordHead& head, u64 word, const unsigned char* payload) {
  switch (word_kind(word)) {
    case Kind::Candle: {
      CandleBody body;
      read_words(body, *reinterpret_cast<const CandleBody*>(payload));
      const auto status = CandleStatus(body.status);
      if (status != CandleStatus::Revised && status != CandleStatus::Superseded) pushed_candle(work, head, body);
      break;
    }
    case Kind::OrderFlow: order_flow(work, head, word_seq(word)); break;
    case Kind::State:
      rare_of(work).state = head.fixed[1];
      work.rare.ts_state = head.ts_event;
      work.rare_changed = true;
      break;
    case Kind::Gap: {
      const bool lasts = head.flags & kGapLasts;
      gap(work, i64(head.fixed[1]), lasts ? INT64_MAX : i64(head.fixed[2]), lasts);
      break;
    }
    default: break;
  }
}

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
    case Kind::Watermark: hub_.watermark_ns = std::max(hub_.watermark_ns, head.ts_event); break;
    case Kind::Clock: clock(head, seq, payload); break;
    case Kind::Calendar:
      if (head.flags & kCalendarSessions) sessions(head, payload); else zone(head, payload);
      break;
    case Kind::Definition: definition(payload); break;
    case Kind::Source: source(payload); break;
    case Kind::Channel:
      if (channel == kNone16) new_channel(head);
      break;
    case Kind::Clear: clear_all(head, seq); break;
    case Kind::Gap:
      if (head.flags & kGapNoted) break;
      [[fallthrough]];
    case Kind::Candle:
    case Kind::OrderFlow:
    case Kind::State:
      if (channel != kNone16 && applied_seq(channel) < seq) apply_to_channel(work_on(channel), head, word, payload);
      break;
    default: break;
  }
}

}  // namespace tapehub
